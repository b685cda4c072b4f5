//! What a factor could not even begin is given back: an outage of its server locks nobody. Everything else stays counted.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::StatusCode;
use serde_json::json;
use tower_step_up::{
    Method, StepUpBuilder, Subject,
    directory::{Directory, DirectoryFuture, Identity},
    factor::{FactorError, Password},
};

use crate::{
    log::Log,
    post::{Chain, Post, Server, WHY},
    site::{Answer, Client, KINDS, Kind, OpenFlow, Site},
    store::TestStore,
};

const SEND: [(&str, &str); 1] = [("method", "code")];
const TOO_MANY: u64 = 4_990_001;

fn guess(code: &str) -> [(&str, &str); 2] {
    [("method", "code"), ("code", code)]
}

async fn client(site: &Site, kind: Kind) -> Client {
    match kind {
        Kind::Browser => site.browser("kim").await,
        Kind::Spa => site.spa("kim").await,
        Kind::Native => site.native("kim").await,
    }
}

/// Somebody with an address for codes.
async fn known(store: &TestStore, post: &Post, kind: Kind) -> (Site, Client) {
    let site = Site::on(store.clone(), |builder| builder.factor(post.clone()));
    site.step_up.bind(&Subject::new("kim").unwrap(), Method::Code, Vec::new()).await.unwrap();
    let kim = client(&site, kind).await;
    (site, kim)
}

/// 503; a browser is led to the page that says so.
#[track_caller]
fn assert_down(kim: &Client, answer: &Answer) {
    if kim.kind == Kind::Browser {
        assert!(answer.location().contains("/ui/error?id="), "{answer:?}");
    } else {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    }
}

/// The flow took the form, or says something other than that there were too many.
async fn is_locked(kim: &mut Client, flow: &OpenFlow, answer: &Answer) -> bool {
    if kim.kind != Kind::Browser {
        return answer.is_locked();
    }
    let leads_on = answer.location().ends_with(flow.id());
    let kind = if flow.action().contains("/settings") { "settings" } else { "login" };
    leads_on && kim.read(kind, flow.id()).await.messages().contains(&TOO_MANY)
}

fn succeeded(answer: &Answer) -> bool {
    answer.status == StatusCode::OK || answer.status == StatusCode::SEE_OTHER
}

#[tokio::test]
async fn an_outage_of_the_mail_server_locks_nobody() {
    for kind in KINDS {
        let (store, post) = (TestStore::default(), Post::default());
        let (_, mut kim) = known(&store, &post, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        post.is(Server::Down);
        for _ in 0..12 {
            let answer = kim.submit(&flow, &SEND).await;
            assert_down(&kim, &answer);
        }
        store.take_calls();
        kim.submit(&flow, &SEND).await;
        let calls = store.take_calls();
        assert_eq!(
            calls,
            ["flow", "credentials", "begin_attempt", "update_flow", "give_back_attempt", "update_flow"],
            "the claim is given up too"
        );
        // It counts nothing, and hides nothing: all five are left, and no more.
        post.is(Server::Works);
        for number in 1..=3 {
            assert!(succeeded(&kim.submit(&flow, &SEND).await), "{number}");
            assert_eq!(post.sent(), number);
        }
        let wrong = kim.submit(&flow, &guess("wrong")).await;
        assert!(!is_locked(&mut kim, &flow, &wrong).await);
        let right = kim.submit(&flow, &guess(&post.code())).await;
        assert!(succeeded(&right), "{right:?}");
        assert_eq!(kim.read("login", flow.id()).await.json()["state"], "passed_challenge", "{kind:?}");
    }
}

/// The twin: who does not know whether anything was sent is not given anything back, and neither is who asks a store that cannot.
#[tokio::test]
async fn other_failures_stay_counted() {
    for kind in KINDS {
        for (server, knows_less) in [(Server::Lost, false), (Server::Down, true)] {
            let (store, post) = (TestStore::default(), Post::default());
            let (_, mut kim) = known(&store, &post, kind).await;
            let flow = kim.begin("login", "?aal=aal2").await;
            post.is(server);
            store.knows_less(knows_less);
            for _ in 0..5 {
                let answer = kim.submit(&flow, &SEND).await;
                assert_down(&kim, &answer);
            }
            store.knows_less(false);
            post.is(Server::Works);
            let answer = kim.submit(&flow, &SEND).await;
            assert!(is_locked(&mut kim, &flow, &answer).await, "{answer:?}");
            assert_eq!(post.sent(), 0);
        }
    }
}

#[tokio::test]
async fn an_outage_while_enrolling_locks_nobody() {
    for kind in KINDS {
        let (store, post) = (TestStore::default(), Post::default());
        let site = Site::on(store.clone(), |builder| builder.factor(post.clone()));
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("settings", "").await;
        post.is(Server::Down);
        for _ in 0..12 {
            let answer = kim.submit(&flow, &SEND).await;
            assert_down(&kim, &answer);
        }
        post.is(Server::Works);
        for number in 1..=4 {
            assert!(succeeded(&kim.submit(&flow, &SEND).await));
            assert_eq!(post.sent(), number);
        }
        let answer = kim.submit(&flow, &guess(&post.code())).await;
        assert!(succeeded(&answer), "{answer:?}");
        let kim = Subject::new("kim").unwrap();
        assert_eq!(site.step_up.credentials(&kim).await.unwrap().len(), 1, "{kind:?}");

        // The twin.
        let mut lee = site.spa("lee").await;
        let flow = lee.begin("settings", "").await;
        post.is(Server::Lost);
        for _ in 0..5 {
            assert_down(&lee, &lee.clone().submit(&flow, &SEND).await);
        }
        assert!(lee.submit(&flow, &SEND).await.is_locked());
    }
}

/// A directory whose database may be down.
#[derive(Clone, Default)]
struct Doors(Arc<Mutex<Server>>);

impl Directory for Doors {
    fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async { Ok(Some(Identity::new(json!({ "username": subject.as_str() })))) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }

    fn check_password<'a>(&'a self, identifier: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        let server = *self.0.lock().unwrap();
        Box::pin(async move {
            match server {
                Server::Down => return Err(FactorError::NotCompared(Chain::of(WHY).into()).into()),
                Server::Works => {}
                _ => return Err(Chain::of(WHY).into()),
            }
            Ok((password == "right").then(|| Subject::new(identifier).unwrap()))
        })
    }
}

fn password(password: &str) -> [(&str, &str); 3] {
    [("method", "password"), ("identifier", "kim"), ("password", password)]
}

#[tokio::test]
async fn an_outage_of_the_directory_uses_up_no_form() {
    for kind in KINDS {
        for (server, given_back) in [(Server::Down, true), (Server::Lost, false)] {
            let doors = Doors::default();
            let site = Site::with(|builder| builder.directory(doors.clone()).factor(Password::default()));
            let mut kim = site.stranger(kind);
            let flow = kim.begin("login", "").await;
            *doors.0.lock().unwrap() = server;
            for _ in 0..5 {
                let answer = kim.submit(&flow, &password("right")).await;
                assert_down(&kim, &answer);
            }
            *doors.0.lock().unwrap() = Server::Works;
            if given_back {
                for _ in 0..4 {
                    kim.submit(&flow, &password("wrong")).await;
                }
            }
            let answer = kim.submit(&flow, &password("right")).await;
            if given_back {
                kim.keep_token(&answer);
            }
            let expected = if given_back { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            assert_eq!(kim.whoami().await.status, expected, "{kind:?} {server:?}: {answer:?}");

            // In a session it is the factor's counter.
            let mut lee = client(&site, kind).await;
            let flow = lee.begin("login", "?refresh=true").await;
            *doors.0.lock().unwrap() = server;
            for _ in 0..5 {
                let answer = lee.submit(&flow, &password("right")).await;
                assert_down(&lee, &answer);
            }
            *doors.0.lock().unwrap() = Server::Works;
            let answer = lee.submit(&flow, &password("right")).await;
            assert_eq!(is_locked(&mut lee, &flow, &answer).await, !given_back, "{kind:?} {server:?}: {answer:?}");
        }
    }
}

/// A secret that does not open, since its key is missing, was not compared either.
#[tokio::test]
async fn a_missing_key_locks_nobody() {
    let site = Site::new();
    let subject = Subject::new("kim").unwrap();
    site.step_up.bind(&subject, Method::Totp, b"sealed under another key".to_vec()).await.unwrap();
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    for _ in 0..8 {
        let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    }
}

/// Each factor has as long as it says, and no other is waited for any longer. What took too long may have been sent, so it stays counted.
#[tokio::test(start_paused = true)]
async fn each_factor_has_its_own_time() {
    let configured = |builder: StepUpBuilder| builder.directory_timeout(Duration::from_secs(3));
    for (timeout, expected) in [(None, 3), (Some(1), 1), (Some(20), 20)] {
        let post = Post::with_timeout(timeout.map(Duration::from_secs));
        let site = Site::with(|builder| configured(builder).factor(post.clone()));
        post.is(Server::Hangs);
        for settings in [true, false] {
            let mut kim = site.spa("kim").await;
            let flow = if settings {
                kim.begin("settings", "").await
            } else {
                site.step_up.unlock(&Subject::new("kim").unwrap(), Method::Code).await.unwrap();
                site.step_up.bind(&Subject::new("kim").unwrap(), Method::Code, Vec::new()).await.unwrap();
                kim.begin("login", "?aal=aal2").await
            };
            for _ in 0..5 {
                let begun = tokio::time::Instant::now();
                assert_down(&kim, &kim.clone().submit(&flow, &SEND).await);
                assert_eq!(begun.elapsed().as_secs(), expected, "{timeout:?}");
            }
            assert!(kim.submit(&flow, &SEND).await.is_locked());
        }
    }
}

/// While a slow factor is at work, no other request sends: its claim lasts as long as it may.
#[tokio::test]
async fn a_claim_lasts_as_long_as_the_factor_may_take() {
    for settings in [true, false] {
        let (store, post) = (TestStore::default(), Post::with_timeout(Some(Duration::from_secs(40))));
        let (site, mut kim) = if settings {
            let site = Site::on(store.clone(), |builder| builder.factor(post.clone()));
            let kim = site.spa("kim").await;
            (site, kim)
        } else {
            known(&store, &post, Kind::Spa).await
        };
        let flow = if settings { kim.begin("settings", "").await } else { kim.begin("login", "?aal=aal2").await };
        let mut again = kim.clone();
        post.is(Server::Waits);
        let (early, ()) = tokio::join!(kim.submit(&flow, &SEND), async {
            post.reached.notified().await;
            post.is(Server::Works);
            site.clock.advance(Duration::from_secs(39));
            let late = again.submit(&flow, &SEND).await;
            assert_eq!((late.status, post.sent()), (StatusCode::BAD_REQUEST, 0), "{late:?}");
            // A process that died blocks nobody for ever.
            site.clock.advance(Duration::from_secs(7));
            let later = again.submit(&flow, &SEND).await;
            assert_eq!((later.status, post.sent()), (StatusCode::OK, 1), "{later:?}");
            post.goes.notify_one();
        });
        assert_eq!(early.status, StatusCode::OK, "{early:?}");
    }
}

/// The click that sent nothing does not count.
#[tokio::test]
async fn two_clicks_at_once_count_once() {
    for settings in [true, false] {
        let (store, post) = (TestStore::default(), Post::default());
        let (_, mut kim) = if settings {
            let site = Site::on(store.clone(), |builder| builder.factor(post.clone()));
            let kim = site.spa("kim").await;
            (site, kim)
        } else {
            known(&store, &post, Kind::Spa).await
        };
        let flow = if settings { kim.begin("settings", "").await } else { kim.begin("login", "?aal=aal2").await };
        for number in 1..=5 {
            let gate = store.hold("update_flow");
            let mut again = kim.clone();
            let (late, early) = tokio::join!(kim.submit(&flow, &SEND), async {
                gate.reached().await;
                let early = again.submit(&flow, &SEND).await;
                gate.open();
                early
            });
            let expected = (StatusCode::OK, StatusCode::BAD_REQUEST);
            // The last free one is locked for whoever comes second.
            if number < 5 {
                assert_eq!((early.status, late.status), expected, "{number}: {late:?}");
                assert_eq!(post.sent(), number);
            }
        }
        assert!(kim.submit(&flow, &SEND).await.is_locked());
    }
}

/// Once, with everything behind it, and without what the user has typed.
#[tokio::test]
async fn the_cause_is_logged_once_with_its_causes() {
    let (store, post) = (TestStore::default(), Post::default());
    let (_, mut kim) = known(&store, &post, Kind::Spa).await;
    let flow = kim.begin("login", "?aal=aal2").await;
    let (log, _guard) = Log::begin();
    for (server, said) in
        [(Server::Down, "a factor failed before it compared anything"), (Server::Lost, "a factor did not answer")]
    {
        post.is(server);
        log.take();
        let answer = kim.submit(&flow, &[("method", "code"), ("typed", "hunter2")]).await;
        let lines = log.take();
        let errors: Vec<_> = lines.iter().filter(|line| line.contains(WHY[2])).collect();
        let [line] = errors[..] else { panic!("{lines:?}") };
        assert!(line.contains(" ERROR ") && line.contains(said), "{line}");
        assert!(line.contains(&WHY.join(": ")), "{line}");
        assert!(!lines.join("\n").contains("hunter2") && !answer.text.contains(WHY[0]), "{lines:?}");
    }

    // Which factor was too slow, and what was its time.
    post.is(Server::Hangs);
    tokio::time::pause();
    kim.submit(&flow, &SEND).await;
    let lines = log.take().join("\n");
    assert!(lines.contains("the factor code took longer than 5s"), "{lines}");

    // What a store says may name a database.
    log.take();
    store.is_down();
    kim.submit(&flow, &SEND).await;
    assert!(!log.take().join("\n").contains("causes"), "the store's own words");
}

/// What sends is counted until something is proven: neither a removal of nothing nor a name in between begins the count anew.
#[tokio::test]
async fn pending_enrolments_are_counted_and_limited() {
    for kind in KINDS {
        let post = Post::default();
        let site = Site::with(|builder| builder.factor(post.clone()));
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("settings", "").await;
        for number in 1..=9 {
            let answer = kim.submit(&flow, &SEND).await;
            assert_eq!(is_locked(&mut kim, &flow, &answer).await, number > 5, "{number}: {answer:?}");
            // It removes nothing, and counts as little.
            let nothing = kim.submit(&flow, &[("method", "code"), ("remove", "true")]).await;
            assert_eq!(is_locked(&mut kim, &flow, &nothing).await, number > 4, "{number}: {nothing:?}");
        }
        assert_eq!(post.sent(), 5, "{kind:?}");

        // With an address that has a name.
        let post = Post::default();
        let (_, mut kim) = known(&TestStore::default(), &post, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        kim.submit(&flow, &SEND).await;
        let proven = kim.submit(&flow, &guess(&post.code())).await;
        kim.keep_token(&proven);
        let mut flow = kim.begin("settings", "").await;
        for number in 1..=9 {
            let answer = kim.submit(&flow, &SEND).await;
            assert_eq!(is_locked(&mut kim, &flow, &answer).await, number > 5, "{number}: {answer:?}");
            for name in [format!("name {number}"), format!("name {number}")] {
                let named = kim.submit(&flow, &[("method", "code"), ("name", &name)]).await;
                let locked = is_locked(&mut kim, &flow, &named).await;
                assert_eq!(locked, number > 4, "{number}: {named:?}");
                if !locked && kind == Kind::Native && named.json()["continue_with"].is_array() {
                    kim.keep_token(&named);
                }
            }
            flow = kim.begin("settings", "").await;
        }
        assert_eq!(post.sent(), 6, "one at the sign-in, and then five");
    }
}
