//! A form that comes again: clicked twice, or after an answer that was lost. The user gets the same answer and stays signed in.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::{StatusCode, header};
use tower_step_up::{Subject, audit::AuditEvent, clock::Clock, factor::Password, store::SubjectStore};

use crate::{
    site::{Answer, Client, KINDS, Kind, OpenFlow, Site, code_of},
    store::TestStore,
    witness,
};

/// Both stores in one, and flows apart from sessions.
fn sites() -> [(TestStore, Site); 2] {
    [false, true].map(|apart| {
        let store = TestStore::default();
        let site = Site::on(store.clone(), |builder| {
            let builder = builder.factor(Password::default());
            if apart { builder.flow_store(store.clone()) } else { builder }
        });
        (store, site)
    })
}

async fn client(site: &Site, kind: Kind) -> Client {
    match kind {
        Kind::Browser => site.browser("kim").await,
        Kind::Spa => site.spa("kim").await,
        Kind::Native => site.native("kim").await,
    }
}

fn kim() -> Subject {
    Subject::new("kim").unwrap()
}

/// The credential that an answer brought.
fn take(mut client: Client, answer: &Answer) -> Client {
    if client.kind == Kind::Native {
        client.keep_token(answer);
    }
    client
}

/// Both answers say the same, and lead to the same session.
async fn assert_same(kind: Kind, [first, again]: [(Client, &Answer); 2]) {
    let answers = [first.1, again.1];
    assert_eq!(answers[0].status, answers[1].status, "{:?}", answers[1]);
    assert_eq!(answers[0].headers.get(header::LOCATION), answers[1].headers.get(header::LOCATION));
    let mut sessions = vec![];
    for (client, answer) in [first, again] {
        assert_eq!(answer.headers.contains_key(header::SET_COOKIE), kind != Kind::Native, "{answer:?}");
        let mut client = take(client, answer);
        let session = client.whoami().await;
        assert_eq!(session.status, StatusCode::OK, "signed out: {session:?}");
        sessions.push(session.json());
    }
    assert_eq!(sessions[0], sessions[1]);
}

const TOTP: &str = "totp";

fn code_fields(code: &str) -> [(&str, &str); 2] {
    [("method", TOTP), ("totp_code", code)]
}

#[tokio::test]
async fn a_second_click_gets_the_same_answer_once_more() {
    for kind in KINDS {
        for (store, site) in sites() {
            site.enrol("kim").await;
            let mut kim_there = client(&site, kind).await;
            let flow = kim_there.begin("login", "?aal=aal2&return_to=/payments").await;
            let (code, old) = (site.code(), kim_there.clone());
            let first = kim_there.submit(&flow, &code_fields(&code)).await;
            let before = store.credentials(&kim()).await.unwrap();
            for seconds in [0, 4, 5] {
                site.clock.advance(Duration::from_secs(seconds));
                let mut again = old.clone();
                let answer = again.submit(&flow, &code_fields(&code)).await;
                assert_same(kind, [(kim_there.clone(), &first), (again, &answer)]).await;
            }
            assert_eq!(store.credentials(&kim()).await.unwrap(), before, "the code is used once");
            assert_eq!(store.sessions(&kim(), site.clock.now()).await.unwrap().len(), 1);
            // Ten seconds after the first.
            site.clock.advance(Duration::from_secs(1));
            let late = old.clone().submit(&flow, &code_fields(&code)).await;
            assert!(!late.headers.contains_key(header::SET_COOKIE), "{late:?}");
            if kind != Kind::Browser {
                assert_eq!(
                    (late.status, late.error_id().as_str()),
                    (StatusCode::UNAUTHORIZED, "session_aal1_required")
                );
            }
            // The user works on, and no attempt was counted.
            let mut kim_there = take(kim_there, &first);
            assert_eq!(kim_there.get("/payments").await.status, StatusCode::OK);
        }
    }
}

/// The first submit comes to its next call of this name, the second is answered, then the first goes on.
async fn overtaken(
    store: &TestStore,
    call: &'static str,
    first: impl Future<Output = Answer>,
    second: impl Future<Output = Answer>,
) -> [Answer; 2] {
    let gate = store.hold(call);
    let (first, second) = tokio::join!(first, async {
        gate.reached().await;
        let second = second.await;
        gate.open();
        second
    });
    [first, second]
}

#[tokio::test]
async fn of_two_clicks_at_once_the_loser_gets_the_answer_of_the_winner() {
    for kind in KINDS {
        for call in ["begin_attempt", "credentials", "complete"] {
            for (store, site) in sites() {
                site.enrol("kim").await;
                let mut one = client(&site, kind).await;
                let flow = one.begin("login", "?aal=aal2").await;
                let (code, mut two) = (site.code(), one.clone());
                let fields = code_fields(&code);
                let [late, early] =
                    overtaken(&store, call, one.submit(&flow, &fields), two.submit(&flow, &fields)).await;
                assert_same(kind, [(two.clone(), &early), (one, &late)]).await;
                assert_eq!(store.sessions(&kim(), site.clock.now()).await.unwrap().len(), 1);
                // The loser's attempt was given back.
                let mut kim_there = take(two, &early);
                for _ in 0..4 {
                    let flow = kim_there.begin("login", "?aal=aal2&refresh=true").await;
                    kim_there.submit(&flow, &code_fields("000000")).await;
                }
                let flow = kim_there.begin("login", "?aal=aal2&refresh=true").await;
                let right = kim_there.submit(&flow, &code_fields(&site.next_code())).await;
                assert_ne!(right.status, StatusCode::TOO_MANY_REQUESTS);
                assert_ne!(right.status, StatusCode::BAD_REQUEST, "{right:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_first_sign_in_is_repeated_in_a_browser_and_never_by_api() {
    for kind in KINDS {
        for (store, site) in sites() {
            let mut kim_there = site.stranger(kind);
            let flow = kim_there.begin("login", "").await;
            let old = kim_there.clone();
            let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
            let first = kim_there.submit(&flow, &fields).await;
            let mut again = old.clone();
            let answer = again.submit(&flow, &fields).await;
            if kind == Kind::Native {
                assert_eq!((answer.status, answer.messages()), (StatusCode::BAD_REQUEST, vec![4_010_007]));
            } else {
                assert_same(kind, [(kim_there, &first), (again, &answer)]).await;
            }
            assert_eq!(store.sessions(&kim(), site.clock.now()).await.unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn of_two_first_sign_ins_at_once_both_get_one_session() {
    for kind in [Kind::Browser, Kind::Spa] {
        for call in ["create_flow", "credentials"] {
            for (store, site) in sites() {
                let mut one = site.stranger(kind);
                let flow = one.begin("login", "").await;
                let mut two = one.clone();
                let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
                let [late, early] =
                    overtaken(&store, call, one.submit(&flow, &fields), two.submit(&flow, &fields)).await;
                assert_same(kind, [(two, &early), (one, &late)]).await;
                assert_eq!(store.sessions(&kim(), site.clock.now()).await.unwrap().len(), 1);
            }
        }
    }
}

fn secret_of(flow: &OpenFlow) -> String {
    let nodes = flow.view["ui"]["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["attributes"]["id"] == "totp_secret_key").expect("a secret");
    node["attributes"]["text"]["context"]["secret"].as_str().unwrap().to_owned()
}

/// Binding a factor, replacing codes, removing them, removing the factor: each rotates the session.
#[tokio::test]
async fn a_change_in_the_settings_that_is_sent_twice_happens_once() {
    for kind in KINDS {
        for at_once in [false, true] {
            for (store, site) in sites() {
                let mut here = client(&site, kind).await;
                for step in ["enrol", "codes", "disable", "unlink"] {
                    let flow = here.begin("settings", "").await;
                    let code;
                    let fields = match step {
                        "enrol" => {
                            code = code_of(&secret_of(&flow), site.seconds());
                            vec![("method", TOTP), ("totp_code", code.as_str())]
                        }
                        "codes" => {
                            here.submit(&flow, &[("lookup_secret_regenerate", "true")]).await;
                            vec![("lookup_secret_confirm", "true")]
                        }
                        "disable" => vec![("lookup_secret_disable", "true")],
                        _ => vec![("totp_unlink", "true")],
                    };
                    let mut again = here.clone();
                    let (first, answer) = if at_once {
                        let [late, early] =
                            overtaken(&store, "complete", again.submit(&flow, &fields), here.submit(&flow, &fields))
                                .await;
                        (early, late)
                    } else {
                        let first = here.submit(&flow, &fields).await;
                        (first, again.submit(&flow, &fields).await)
                    };
                    let after = store.credentials(&kim()).await.unwrap();
                    let expected = match step {
                        "enrol" | "disable" => 1,
                        "codes" => 2,
                        _ => 0,
                    };
                    assert_eq!(after.len(), expected, "{step}");
                    assert_same(kind, [(here.clone(), &first), (again, &answer)]).await;
                    here = take(here, &first);
                    if kind != Kind::Browser {
                        let (mut first, mut answer) = (first.json(), answer.json());
                        for body in [&mut first, &mut answer] {
                            // Both are masked and minted anew.
                            body["continue_with"] = serde_json::Value::Null;
                            for node in body["ui"]["nodes"].as_array_mut().unwrap() {
                                if node["attributes"]["name"] == "csrf_token" {
                                    node["attributes"]["value"] = serde_json::Value::Null;
                                }
                            }
                        }
                        assert_eq!(first, answer, "{step}");
                    }
                    let stored = here.read("settings", flow.id()).await;
                    assert_eq!(stored.status, StatusCode::OK, "{stored:?}");
                }
            }
        }
    }
}

/// Codes that are the only second factor raise what the user must prove. The form that confirmed them is answered again all the same.
#[tokio::test]
async fn codes_alone_are_confirmed_twice_with_one_answer() {
    for kind in KINDS {
        for held in [None, Some("update_flow"), Some("complete")] {
            for (store, site) in sites() {
                let mut here = client(&site, kind).await;
                let flow = here.begin("settings", "").await;
                here.submit(&flow, &[("lookup_secret_regenerate", "true")]).await;
                let mut again = here.clone();
                let fields = [("lookup_secret_confirm", "true")];
                let answers = match held {
                    Some(call) => {
                        overtaken(&store, call, again.submit(&flow, &fields), here.submit(&flow, &fields)).await
                    }
                    None => [here.submit(&flow, &fields).await, again.submit(&flow, &fields).await],
                };
                assert_eq!(answers[0].status, answers[1].status, "{held:?}: {answers:?}");
                assert_eq!(store.sessions(&kim(), site.clock.now()).await.unwrap().len(), 1);
                assert_eq!(store.credentials(&kim()).await.unwrap().len(), 1);
                for (client, answer) in [here, again].into_iter().zip(&answers) {
                    let mut kim_there = take(client, answer);
                    assert_eq!(kim_there.get("/account").await.status, StatusCode::OK, "signed out: {answer:?}");
                    assert_ne!(kim_there.get("/payments").await.status, StatusCode::OK, "{answer:?}");
                }
            }
        }
    }
}

/// The audit tells a repetition apart from a proof, and counts it neither as one nor as a failure.
#[tokio::test]
async fn the_audit_says_that_a_form_was_repeated() {
    for kind in KINDS {
        let events = Arc::new(Mutex::new(vec![]));
        let told = Arc::clone(&events);
        let site = Site::with(|builder| {
            builder.audit(move |event: &AuditEvent| {
                witness::hear(event);
                told.lock().unwrap().push(event.kind.name());
            })
        });
        site.enrol("kim").await;
        let mut kim_there = client(&site, kind).await;
        let flow = kim_there.begin("login", "?aal=aal2").await;
        let (code, mut again) = (site.code(), kim_there.clone());
        events.lock().unwrap().clear();
        kim_there.submit(&flow, &code_fields(&code)).await;
        again.submit(&flow, &code_fields(&code)).await;
        assert_eq!(*events.lock().unwrap(), ["passed", "rotated", "repeated"], "{kind:?}");
    }
}
