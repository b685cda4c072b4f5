//! Codes by mail and text message: the addresses of the directory, the two steps, and what limits them.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tower_step_up::{
    Aal, Method, Subject,
    aal::Proof,
    directory::{Address, Channel, Destination},
    factor::{Code, Factor, FactorContext, FactorFuture, FieldError, Form, Refusal, Verdict},
    wire::ui::{Group, Node, Text},
};

use crate::{
    postbox::{Condition, Postbox},
    site::{Answer, Client, KINDS, Kind, OpenFlow, Site},
};

const MAIL: &str = "kim@app.example";
const PHONE: &str = "+4915112345678";

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

fn mail() -> Address {
    Address::email(MAIL).verified(true)
}

fn phone() -> Address {
    Address::sms("+49 151 12345678").verified(true)
}

fn with(configure: impl FnOnce(Code) -> Code) -> (Site, Postbox) {
    let postbox = Postbox::default();
    let code = configure(Code::new(postbox.clone()));
    (Site::with(|builder| builder.factor(code).application_name("Example Bank")), postbox)
}

fn site() -> (Site, Postbox) {
    with(|code| code)
}

async fn client(site: &Site, kind: Kind) -> Client {
    match kind {
        Kind::Browser => site.browser("kim").await,
        Kind::Spa => site.spa("kim").await,
        Kind::Native => site.native("kim").await,
    }
}

/// The flow after a submit: browsers read it anew.
async fn shown(client: &mut Client, flow: &OpenFlow, answer: Answer) -> Answer {
    if client.kind == Kind::Browser {
        assert_eq!(answer.location(), format!("https://bank.example/self-service/ui/login?flow={}", flow.id()));
        return client.read("login", flow.id()).await;
    }
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    answer
}

async fn says(client: &mut Client, flow: &OpenFlow, fields: &[(&str, &str)]) -> Answer {
    let answer = client.submit(flow, fields).await;
    shown(client, flow, answer).await
}

const ENTER: [&str; 6] =
    ["code: identifier", "code: method", "code: code", "code: method", "code: resend", "default: csrf_token"];

/// Asserts that the flow asks for the code that went to this address, as it is shown.
#[track_caller]
fn assert_sent(flow: &Value, shown: &str, channel: &str, kind: Kind) {
    let attributes = |place: usize| &flow["ui"]["nodes"][place]["attributes"];
    let label = |place: usize| &flow["ui"]["nodes"][place]["meta"]["label"]["id"];
    assert_eq!((&flow["state"], &flow["active"]), (&json!("sent_email"), &json!("code")), "{flow}");
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let named: Vec<_> = nodes
        .iter()
        .map(|node| format!("{}: {}", node["group"].as_str().unwrap(), node["attributes"]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(named, ENTER);
    let input = |name: &str, kind: &str, value: &str| json!({"name": name, "type": kind, "value": value, "disabled": false, "node_type": "input"});
    assert_eq!(*attributes(0), input("identifier", "hidden", shown));
    let said = &flow["ui"]["nodes"][0]["meta"]["label"];
    assert_eq!((&said["id"], &said["context"]), (&json!(1_010_023), &json!({"address": shown, "channel": channel})));
    assert_eq!(*attributes(1), input("method", "hidden", "code"));
    assert_eq!(
        *attributes(2),
        json!({"name": "code", "type": "text", "required": true, "autocomplete": "one-time-code", "disabled": false, "node_type": "input"})
    );
    assert_eq!(*attributes(3), input("method", "submit", "code"));
    assert_eq!(*attributes(4), input("resend", "submit", "code"));
    assert_eq!((label(2), label(3), label(4)), (&json!(1_070_013), &json!(1_070_009), &json!(1_070_008)));
    if kind == Kind::Native {
        assert_eq!(attributes(5)["value"], "");
    }
}

fn ids(flow: &Value) -> Vec<u64> {
    let messages = flow["ui"]["messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| message["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_code_to_a_chosen_address_lifts_the_session() {
    for kind in KINDS {
        let (site, postbox) = site();
        site.users.reach("kim", [mail(), phone()]);
        site.users.read_in("kim", "de-DE");
        let mut kim = client(&site, kind).await;
        assert_eq!(kim.whoami().await.error_id(), "session_aal2_required", "it is a second factor");
        let flow = kim.begin("login", "?aal=aal2&return_to=/payments").await;
        assert_eq!(flow.nodes(), ["default: csrf_token", "code: address", "code: address"]);
        assert_eq!((&flow.view["state"], flow.messages()), (&json!("choose_method"), vec![1_010_004]));
        assert_eq!(postbox.count(), 0, "nothing is sent before one is chosen");
        let button = &flow.view["ui"]["nodes"][2];
        assert_eq!(
            button["attributes"],
            json!({"name": "address", "type": "submit", "value": PHONE, "disabled": false, "node_type": "input"})
        );
        assert_eq!(button["meta"]["label"]["context"], json!({"address": PHONE, "channel": "sms"}));
        assert_eq!(button["meta"]["label"]["id"], 1_010_023);

        // The browser sends the pressed button and no `method`.
        let next = says(&mut kim, &flow, &[("address", PHONE)]).await.json();
        assert_eq!(ids(&next), [1_010_025], "{kind:?}");
        assert_sent(&next, PHONE, "sms", kind);
        let sent = postbox.last();
        assert_eq!((sent.to.as_str(), sent.channel), (PHONE, Channel::Sms));
        assert_eq!((sent.site.as_str(), sent.application.as_str()), ("bank.example", "Example Bank"));
        assert_eq!((sent.locale.as_deref(), sent.minutes), (Some("de-DE"), 10));
        assert!(sent.code.len() == 6 && !next.to_string().contains(&sent.code));

        let wrong = says(&mut kim, &flow, &[("method", "code"), ("code", &postbox.wrong_code())]).await.json();
        assert_eq!(ids(&wrong), [4_010_008]);
        assert_sent(&wrong, PHONE, "sms", kind);
        // As Elements sends it, and as people type it.
        let typed = format!(" {} {} ", &sent.code[..3], &sent.code[3..]);
        let fields = [("method", "code"), ("code", &typed), ("resend", ""), ("identifier", PHONE)];
        let answer = kim.submit(&flow, &fields).await;
        if kind == Kind::Browser {
            assert_eq!(answer.location(), "https://bank.example/payments");
        } else {
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        }
        kim.keep_token(&answer);
        let session = kim.whoami().await.json();
        assert_eq!(session["authenticator_assurance_level"], "aal2", "{kind:?}");
        assert_eq!(session["authentication_methods"][1]["method"], "code");
        assert_eq!(kim.get("/payments").await.text, "payments");
        assert_eq!(postbox.count(), 1);
        let done = kim.read("login", flow.id()).await.json();
        assert_eq!(done["state"], "passed_challenge");
    }
}

#[tokio::test]
async fn an_address_is_named_in_every_way_that_clients_have() {
    for kind in KINDS {
        for fields in [
            &[("address", MAIL)][..],
            &[("method", "code"), ("address", MAIL)],
            &[("method", "code"), ("identifier", MAIL)],
            &[("method", "code"), ("identifier", "KIM@App.example"), ("resend", ""), ("code", "")],
            // `address` counts before what another factor's hidden field says.
            &[("address", MAIL), ("identifier", PHONE)],
            &[("address", MAIL), ("identifier", "kim"), ("webauthn_login_trigger", "{}")],
        ] {
            let (site, postbox) = site();
            site.users.reach("kim", [phone(), mail()]);
            let mut kim = client(&site, kind).await;
            let flow = kim.begin("login", "?aal=aal2").await;
            let next = says(&mut kim, &flow, fields).await.json();
            assert_sent(&next, MAIL, "email", kind);
            assert_eq!(postbox.last().to, MAIL, "{fields:?}");
        }
    }
}

#[tokio::test]
async fn a_form_without_a_good_address_sends_nothing() {
    for kind in KINDS {
        let (site, postbox) = site();
        site.users.reach("kim", [mail(), phone()]);
        site.users.reach("lee", [Address::email("lee@app.example").verified(true)]);
        let mut kim = client(&site, kind).await;
        for query in ["?aal=aal2", "?aal=aal2&refresh=true"] {
            let flow = kim.begin("login", query).await;
            for (fields, expected) in [
                (&[("method", "code")][..], 4_000_002),
                (&[("method", "code"), ("address", "")], 4_000_002),
                (&[("method", "code"), ("identifier", "")], 4_000_002),
                (&[("address", "lee@app.example")], 4_000_035),
                (&[("method", "code"), ("identifier", "lee@app.example")], 4_000_035),
                (&[("method", "code"), ("identifier", "lee")], 4_000_035),
                (&[("address", "kim@app.example, lee@app.example")], 4_000_035),
                // Which of two is not said.
                (&[("method", "code"), ("identifier", "kim")], 4_000_035),
                (&[("method", "code"), ("resend", "code")], 4_000_002),
            ] {
                let next = says(&mut kim, &flow, fields).await.json();
                assert_eq!((ids(&next), &next["state"]), (vec![expected], &json!("choose_method")), "{fields:?}");
                assert_eq!(next["ui"]["nodes"].as_array().unwrap().len(), 3, "{fields:?}");
            }
        }
        assert_eq!(postbox.count(), 0);
        assert_eq!(kim.whoami().await.error_id(), "session_aal2_required");
    }
}

/// One address and nothing else: nobody has to choose.
#[tokio::test]
async fn the_only_way_is_taken_at_once() {
    for kind in KINDS {
        for query in ["?aal=aal2", "?aal=aal2&refresh=true"] {
            let (site, postbox) = site();
            site.users.reach("kim", [mail()]);
            let mut kim = client(&site, kind).await;
            let flow = kim.begin("login", query).await;
            assert_eq!((flow.messages(), postbox.count()), (vec![1_010_025], 1), "{kind:?}");
            assert_sent(&flow.view, MAIL, "email", kind);
            // A reload sends no other code, and ends none.
            let again = kim.begin("login", query).await;
            assert_eq!((again.messages(), postbox.count()), (vec![1_010_025], 1));
            assert_sent(&again.view, MAIL, "email", kind);
            // After the cool-down, it does.
            site.clock.advance(Duration::from_secs(30));
            let late = kim.begin("login", query).await;
            assert_eq!((late.messages(), postbox.count()), (vec![1_010_025], 2));
            let first = postbox.all()[0].code.clone();
            if first != postbox.code() {
                let old = says(&mut kim, &flow, &[("method", "code"), ("code", &first)]).await;
                assert_eq!(old.messages(), [4_010_008], "the new one has ended it");
            }
            // The code belongs to the session: it is good in the first form too.
            let answer = kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
            kim.keep_token(&answer);
            assert_eq!(kim.get("/payments").await.text, "payments", "{kind:?}");
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_unasked_where_there_is_a_choice() {
    for kind in KINDS {
        let (site, postbox) = site();
        site.users.reach("kim", [mail()]);
        site.enrol("kim").await;
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        assert_eq!(flow.nodes(), ["default: csrf_token", "code: address", "totp: totp_code", "totp: method"]);
        assert_eq!((postbox.count(), &flow.view["state"]), (0, &json!("choose_method")));
        // The user's own name in a hidden field means the only address.
        if kind == Kind::Spa {
            let next = says(&mut kim, &flow, &[("method", "code"), ("identifier", "kim")]).await.json();
            assert_sent(&next, MAIL, "email", kind);
            // Other forms are taken all the same.
            let code = site.code();
            assert_eq!(kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await.status, StatusCode::OK);
        }
    }
    let (site, postbox) = site();
    site.users.reach("lee", [mail(), phone()]);
    let mut lee = site.spa("lee").await;
    assert_eq!((lee.begin("login", "?aal=aal2").await.nodes().len(), postbox.count()), (3, 0));
}

#[tokio::test]
async fn another_code_can_be_asked_for() {
    for kind in KINDS {
        let (site, postbox) = site();
        site.users.reach("kim", [mail(), phone()]);
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        says(&mut kim, &flow, &[("address", MAIL)]).await;
        let first = postbox.code();
        let answer = kim.submit(&flow, &[("method", "code"), ("resend", "code")]).await;
        if kind == Kind::Native {
            assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (429, "security_too_many_attempts"));
            assert_eq!(answer.headers["retry-after"], "30");
        } else {
            let told = if kind == Kind::Browser { kim.read("login", flow.id()).await } else { answer };
            assert_eq!(told.messages(), [4_990_001], "{told:?}");
            assert_sent(&told.json(), MAIL, "email", kind);
        }
        assert_eq!(postbox.count(), 1);
        site.clock.advance(Duration::from_secs(30));
        // Without `identifier`, with it in another case, with a code beside it, and to another address.
        for (fields, to) in [
            (&[("method", "code"), ("resend", "code")][..], MAIL),
            (&[("method", "code"), ("resend", "CODE"), ("identifier", MAIL), ("code", &first)], MAIL),
            (&[("method", "code"), ("resend", "code"), ("identifier", "kim")], MAIL),
            (&[("method", "code"), ("resend", "code"), ("address", PHONE)], PHONE),
        ] {
            let next = says(&mut kim, &flow, fields).await.json();
            assert_eq!(ids(&next), [1_010_025]);
            assert_sent(&next, to, if to == MAIL { "email" } else { "sms" }, kind);
            assert_eq!(postbox.last().to, to);
            site.clock.advance(Duration::from_secs(30));
        }
        assert_eq!(postbox.count(), 5);
        let answer = kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.get("/payments").await.text, "payments");
    }
}

#[tokio::test]
async fn a_form_without_a_code_says_so_and_counts_nothing() {
    let (site, postbox) = site();
    site.users.reach("kim", [mail(), phone()]);
    for kind in KINDS {
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        says(&mut kim, &flow, &[("address", MAIL)]).await;
        for fields in [
            &[("method", "code")][..],
            &[("method", "code"), ("code", ""), ("resend", "")],
            &[("method", "code"), ("identifier", MAIL)],
            &[("method", "code"), ("identifier", "kim")],
        ] {
            for _ in 0..5 {
                let told = says(&mut kim, &flow, fields).await;
                assert_eq!((told.messages(), told.node_messages("code")), (vec![], vec![4_000_002]), "{fields:?}");
                assert_sent(&told.json(), MAIL, "email", kind);
            }
        }
        let answer = kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.get("/payments").await.text, "payments");
        site.clock.advance(Duration::from_secs(30));
    }
}

#[tokio::test]
async fn a_code_grows_old_and_is_good_once() {
    for kind in KINDS {
        let (site, postbox) = site();
        site.users.reach("kim", [mail()]);
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let code = postbox.code();
        site.clock.advance(Duration::from_secs(600));
        let late = says(&mut kim, &flow, &[("method", "code"), ("code", &code)]).await;
        assert_eq!(late.messages(), [4_010_008], "ten minutes are over");
        says(&mut kim, &flow, &[("method", "code"), ("resend", "code")]).await;
        site.clock.advance(Duration::from_secs(599));
        let code = postbox.code();
        let answer = kim.submit(&flow, &[("method", "code"), ("code", &code)]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.get("/payments").await.text, "payments");
        // In another form of the same session, it is used.
        let again = kim.begin("login", "?aal=aal2&refresh=true").await;
        if postbox.code() != code {
            let used = says(&mut kim, &again, &[("method", "code"), ("code", &code)]).await;
            assert_eq!(used.messages(), [4_010_008]);
        }
    }
}

#[tokio::test]
async fn a_code_is_tried_five_times_and_then_a_new_one_is_needed() {
    for kind in KINDS {
        let postbox = Postbox::default();
        let code = Code::new(postbox.clone());
        // So that the lock of the factor does not come first.
        let many = tower_step_up::store::AttemptPolicy { free: 50, hard_stop: 100, ..Default::default() };
        let site = Site::with(|builder| builder.factor(code).attempts(many));
        site.users.reach("kim", [mail()]);
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let other = kim.begin("login", "?aal=aal2").await;
        for number in 0..5 {
            // Counted for the code, whichever form.
            let form = if number % 2 == 0 { &flow } else { &other };
            let told = says(&mut kim, form, &[("method", "code"), ("code", &postbox.wrong_code())]).await;
            assert_eq!(told.messages(), [4_010_008], "{kind:?} {number}");
        }
        let right = postbox.code();
        for form in [&flow, &other] {
            let told = says(&mut kim, form, &[("method", "code"), ("code", &right)]).await;
            assert_eq!(told.messages(), [4_000_001], "the right one too");
            assert_sent(&told.json(), MAIL, "email", kind);
        }
        site.clock.advance(Duration::from_secs(30));
        says(&mut kim, &flow, &[("method", "code"), ("resend", "code")]).await;
        let answer = kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.get("/payments").await.text, "payments");
    }
}

#[tokio::test]
async fn wrong_codes_lock_the_factor_and_not_the_others() {
    for kind in KINDS {
        let (site, postbox) = site();
        site.users.reach("kim", [mail()]);
        site.enrol("kim").await;
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        says(&mut kim, &flow, &[("address", MAIL)]).await;
        let wrong = postbox.wrong_code();
        let mut tries = 0;
        loop {
            let answer = kim.submit(&flow, &[("method", "code"), ("code", &wrong)]).await;
            let told = if kind == Kind::Browser { kim.read("login", flow.id()).await } else { answer };
            if told.status.as_u16() == 429 || told.messages() == [4_990_001] {
                break;
            }
            tries += 1;
            assert!(tries < 20, "it never locks");
        }
        let locked = kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
        assert!(kind == Kind::Browser || locked.is_locked(), "{locked:?}");
        // Asking for another is no guess; and another factor is not locked.
        site.clock.advance(Duration::from_secs(30));
        let code = site.code();
        let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.get("/payments").await.text, "payments");
    }
}

#[tokio::test]
async fn a_subject_gets_ten_codes_an_hour() {
    let (site, postbox) = site();
    site.users.reach("kim", [mail(), phone()]);
    let mut sent = 0;
    'sessions: for session in 0.. {
        let mut kim = client(&site, KINDS[session % 3]).await;
        for address in [MAIL, PHONE] {
            let flow = kim.begin("login", "?aal=aal2").await;
            let answer = kim.submit(&flow, &[("address", address)]).await;
            if postbox.count() == sent {
                assert!(kim.kind == Kind::Browser || answer.is_locked(), "{answer:?}");
                assert!(answer.headers.contains_key("retry-after"));
                break 'sessions;
            }
            sent += 1;
        }
        site.clock.advance(Duration::from_secs(30));
    }
    assert_eq!(sent, 10);
    site.clock.advance(Duration::from_secs(3600));
    let mut kim = client(&site, Kind::Spa).await;
    let flow = kim.begin("login", "?aal=aal2").await;
    says(&mut kim, &flow, &[("address", MAIL)]).await;
    assert_eq!(postbox.count(), 11);
}

#[tokio::test]
async fn only_what_is_verified_and_an_address_counts() {
    let unverified = [Address::email(MAIL), Address::sms("0151 1234"), Address::email("kim").verified(true)];
    let (site, postbox) = site();
    site.users.reach("kim", unverified.clone());
    let mut kim = site.spa("kim").await;
    let answer = kim.get("/self-service/login/browser?aal=aal2").await;
    assert_eq!(answer.error_id(), "browser_location_change_required", "no second factor: {answer:?}");
    assert_eq!(kim.get("/limits").await.text, "limits");

    let (site, other) = with(Code::unverified_addresses);
    site.users.reach("kim", unverified);
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    assert_sent(&flow.view, MAIL, "email", Kind::Spa);
    assert_eq!((postbox.count(), other.count()), (0, 1));
}

#[tokio::test]
async fn the_preferred_address_comes_first_and_each_once() {
    let (site, _) = site();
    let again = Address::email("KIM@app.example").verified(true);
    site.users.reach("kim", [Address::email("a@app.example").verified(true), mail(), again, phone().preferred(true)]);
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    let nodes = flow.view["ui"]["nodes"].as_array().unwrap();
    let values: Vec<_> = nodes[1..].iter().map(|node| node["attributes"]["value"].as_str().unwrap()).collect();
    assert_eq!(values, [PHONE, "a@app.example", MAIL]);
}

#[tokio::test]
async fn masked_addresses_are_shown_and_named_by_their_masks() {
    for kind in KINDS {
        let (site, postbox) = with(Code::mask_addresses);
        let twin = Address::email("kai@app.example").verified(true);
        site.users.reach("kim", [mail(), twin, phone()]);
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let nodes = flow.view["ui"]["nodes"].as_array().unwrap();
        let values: Vec<_> = nodes[1..].iter().map(|node| node["attributes"]["value"].as_str().unwrap()).collect();
        assert_eq!(values, ["k***@app.example", "k***@app.example (2)", "+49*********78"]);
        let told = says(&mut kim, &flow, &[("address", MAIL)]).await;
        assert_eq!((told.messages(), postbox.count()), (vec![4_000_035], 0), "a guess learns nothing");
        let next = says(&mut kim, &flow, &[("method", "code"), ("identifier", "k***@app.example (2)")]).await.json();
        assert_sent(&next, "k***@app.example (2)", "email", kind);
        assert_eq!(postbox.last().to, "kai@app.example");
        for text in [flow.view.to_string(), next.to_string()] {
            assert!(!text.contains("kai@") && !text.contains("kim@") && !text.contains("15112345"), "{text}");
        }
        site.clock.advance(Duration::from_secs(30));
        says(&mut kim, &flow, &[("method", "code"), ("resend", "code"), ("identifier", "k***@app.example (2)")]).await;
        let answer = kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.get("/payments").await.text, "payments");
    }
}

/// Nothing is lost, the user is told, other factors stay usable, and no attempt is counted.
#[tokio::test]
async fn an_outage_of_the_sender_costs_nothing() {
    for kind in KINDS {
        let (site, postbox) = site();
        site.users.reach("kim", [mail()]);
        site.enrol("kim").await;
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        postbox.is(Condition::Down);
        for _ in 0..20 {
            let told = says(&mut kim, &flow, &[("address", MAIL)]).await;
            assert_eq!((told.messages(), &told.json()["state"]), (vec![4_000_001], &json!("choose_method")));
            assert!(told.text.contains("could not be sent"), "{kind:?}");
            assert_eq!(told.nodes(), ["default: csrf_token", "code: address", "totp: totp_code", "totp: method"]);
        }
        postbox.is(Condition::Works);
        let next = says(&mut kim, &flow, &[("address", MAIL)]).await;
        assert_eq!(next.messages(), [1_010_025], "at once");
        // A second code that cannot be sent leaves the first one good.
        site.clock.advance(Duration::from_secs(30));
        postbox.is(Condition::Down);
        let told = says(&mut kim, &flow, &[("method", "code"), ("resend", "code")]).await;
        assert_eq!(told.messages(), [4_000_001]);
        assert_sent(&told.json(), MAIL, "email", kind);
        let answer = kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.get("/payments").await.text, "payments", "{kind:?}");
    }
}

#[tokio::test]
async fn an_outage_at_the_beginning_leaves_a_form_to_try_again() {
    for kind in KINDS {
        let (site, postbox) = site();
        site.users.reach("kim", [mail()]);
        let mut kim = client(&site, kind).await;
        postbox.is(Condition::Down);
        let flow = kim.begin("login", "?aal=aal2").await;
        assert_eq!((flow.messages(), &flow.view["state"]), (vec![1_010_004, 4_000_001], &json!("choose_method")));
        assert_eq!(flow.nodes(), ["default: csrf_token", "code: address"]);
        postbox.is(Condition::Works);
        let next = says(&mut kim, &flow, &[("address", MAIL)]).await;
        assert_sent(&next.json(), MAIL, "email", kind);
    }
}

/// What may have been sent counts as sent, and can be typed.
#[tokio::test(start_paused = true)]
async fn what_may_have_been_sent_can_be_typed() {
    for (condition, kind) in [(Condition::Breaks, Kind::Spa), (Condition::Hangs, Kind::Native)] {
        let (site, postbox) = site();
        site.users.reach("kim", [mail(), phone()]);
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        postbox.is(condition);
        let next = says(&mut kim, &flow, &[("address", MAIL)]).await;
        assert_eq!(next.messages(), [4_000_001], "{condition:?}");
        assert!(next.text.contains("may not have been sent"));
        assert_sent(&next.json(), MAIL, "email", kind);
        let answer = kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.get("/payments").await.text, "payments");
    }
}

#[tokio::test]
async fn an_address_that_is_gone_takes_its_proofs_along() {
    for kind in KINDS {
        let (site, postbox) = site();
        site.users.reach("kim", [mail(), phone()]);
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        says(&mut kim, &flow, &[("address", MAIL)]).await;
        let answer = kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.get("/payments").await.text, "payments");
        site.users.reach("kim", [phone()]);
        // Within a second: standing_max_age.
        site.clock.advance(Duration::from_secs(1));
        let refused = kim.get("/payments").await;
        assert_ne!(refused.text, "payments", "{kind:?}");
        assert_eq!(kim.whoami().await.error_id(), "session_aal2_required", "the other address is still a factor");
        site.users.reach("kim", []);
        site.clock.advance(Duration::from_secs(1));
        assert_eq!(kim.whoami().await.json()["authenticator_assurance_level"], "aal1");
        // It comes back, and the proof with it: the directory decides.
        site.users.reach("kim", [mail()]);
        site.clock.advance(Duration::from_secs(1));
        assert_eq!(kim.get("/payments").await.text, "payments");
    }
}

#[tokio::test]
async fn a_directory_that_does_not_answer_lets_nobody_in() {
    let (site, postbox) = site();
    site.users.reach("kim", [mail()]);
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
    assert_eq!(kim.get("/payments").await.text, "payments");
    site.users.fail_for_addresses(true);
    assert_eq!(kim.get("/payments").await.text, "payments", "as a moment ago");
    site.clock.advance(Duration::from_secs(1));
    assert_eq!(kim.get("/payments").await.status, StatusCode::SERVICE_UNAVAILABLE);
    site.users.fail_for_addresses(false);
    assert_eq!(kim.get("/payments").await.text, "payments");
}

#[tokio::test]
async fn the_directory_is_asked_seldom_and_never_without_the_factor() {
    let plain = Site::new();
    plain.enrol("kim").await;
    let mut kim = plain.spa("kim").await;
    kim.step_up(&plain.code()).await;
    assert_eq!(kim.get("/payments").await.text, "payments");
    assert_eq!(plain.users.address_questions.load(std::sync::atomic::Ordering::SeqCst), 0);

    let (site, postbox) = site();
    site.users.reach("kim", [mail()]);
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
    kim.get("/payments").await;
    let asked = || site.users.address_questions.swap(0, std::sync::atomic::Ordering::SeqCst);
    asked();
    for _ in 0..10 {
        assert_eq!(kim.get("/payments").await.text, "payments");
    }
    assert_eq!(asked(), 0);
    site.clock.advance(Duration::from_secs(1));
    for _ in 0..10 {
        assert_eq!(kim.get("/payments").await.text, "payments");
    }
    assert_eq!(asked(), 1);
}

/// A mailbox that has let the user in is no second factor.
#[tokio::test]
async fn the_mailbox_of_the_first_factor_is_no_second_one() {
    let (site, postbox) = site();
    let kim = subject("kim");
    let id =
        |address: &str| site.step_up.address_id(&kim, &Destination::parse(Channel::Email, address).unwrap()).unwrap();
    let sign_in = async |proof: Proof| {
        let signed_in = site.step_up.sign_in_with(kim.clone(), vec![proof]).await.unwrap();
        Client { token: Some(signed_in.token().as_str().to_owned()), ..site.stranger(Kind::Native) }
    };
    let now = || tower_step_up::clock::Clock::now(&site.clock);
    let by_mail = |address: Option<&str>| {
        let proof = Proof::new(Method::CodeRecovery, Aal::Aal1, now());
        match address {
            Some(address) => proof.with_address(id(address)),
            None => proof,
        }
    };
    site.users.reach("kim", [mail()]);
    for proof in [by_mail(Some(" KIM@app.example")), by_mail(None)] {
        let mut client = sign_in(proof).await;
        let flow = client.begin("login", "?aal=aal2").await;
        assert_eq!((flow.messages(), postbox.count()), (vec![1_010_004, 1_990_001], 0), "nothing is enrolled");
        assert_eq!(client.get("/limits").await.text, "limits", "and nothing is asked for");
    }
    site.users.reach("kim", [mail(), phone()]);
    let mut client = sign_in(by_mail(Some(MAIL))).await;
    let flow = client.begin("login", "?aal=aal2").await;
    assert_sent(&flow.view, PHONE, "sms", Kind::Native);
    let told = client.submit(&flow, &[("method", "code"), ("address", MAIL)]).await;
    assert_eq!((told.messages(), postbox.count()), (vec![4_000_035], 1));
    // In a session that began with a password it is one.
    let mut other = site.native("kim").await;
    assert_eq!(other.begin("login", "?aal=aal2").await.nodes().len(), 3);
    let whoami = client.whoami().await;
    assert!(!whoami.text.contains("app.example"), "{whoami:?}");
}

/// Removing the last stored factor keeps recovery codes while an address is left.
#[tokio::test]
async fn an_address_counts_when_another_factor_is_removed() {
    let (site, _) = site();
    site.users.reach("kim", [mail()]);
    site.enrol("kim").await;
    site.step_up.import_lookup_secrets(&subject("kim"), &["aaaaaaaaaaaaaaaaaaaaaaaa"]).await.unwrap();
    site.step_up.unbind(&subject("kim"), Method::Totp).await.unwrap();
    let left = site.step_up.credentials(&subject("kim")).await.unwrap();
    assert_eq!(left.iter().map(|one| one.method).collect::<Vec<_>>(), [Method::LookupSecret]);
    let mut kim = site.spa("kim").await;
    kim.step_up("000000").await;
    // Changing factors takes the second factor, which is an address.
    let flow = kim.begin("login", "?aal=aal2").await;
    assert_eq!(flow.nodes()[1], "code: address");
}

#[tokio::test]
async fn settings_show_no_address() {
    for kind in KINDS {
        let (site, _) = with(|code| code);
        site.users.reach("kim", [mail()]);
        let site = Site { step_up: site.step_up.clone(), ..site };
        site.step_up.set_settings_required_aal(tower_step_up::RequiredAal::Aal1);
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("settings", "").await;
        assert!(!flow.nodes().iter().any(|node| node.starts_with("code")), "{:?}", flow.nodes());
        assert!(!flow.view.to_string().contains(MAIL));
        let answer = kim.submit(&flow, &[("method", "code"), ("address", "lee@app.example")]).await;
        let told = if kind == Kind::Browser {
            answer.location();
            kim.read("settings", flow.id()).await
        } else {
            answer
        };
        assert_eq!(told.messages(), [4_010_004], "{told:?}");
    }
}

/// An API flow is read by its id alone: whoever has that learns no address.
#[tokio::test]
async fn the_id_of_a_flow_tells_no_address() {
    let (site, _) = site();
    site.users.reach("kim", [mail(), phone()]);
    let mut kim = site.native("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    let mut stranger = site.stranger(Kind::Native);
    let read = stranger.read("login", flow.id()).await;
    assert_eq!(read.nodes(), ["default: csrf_token", "code: address", "code: address"]);
    assert!(!read.text.contains("kim") && !read.text.contains("1511234"), "{read:?}");
    kim.submit(&flow, &[("address", MAIL)]).await;
    let read = stranger.read("login", flow.id()).await;
    assert_eq!(read.nodes(), ENTER);
    assert!(!read.text.contains("kim@"), "{read:?}");
    assert!(kim.read("login", flow.id()).await.text.contains(MAIL), "its own client does");
}

/// A factor whose nodes have the hidden field that says who the user is, as security keys have it.
struct Key;

impl Factor for Key {
    fn method(&self) -> Method {
        Method::WebAuthn
    }

    fn is_offered(&self, browser: bool) -> bool {
        browser
    }

    fn nodes(&self, context: FactorContext<'_>) -> Vec<Node> {
        vec![
            Node::hidden(Group::Default, "identifier", context.identifier),
            Node::hidden(Group::WebAuthn, "webauthn_login", ""),
        ]
    }

    fn check_fields(&self, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn answer<'a>(&'a self, _: FactorContext<'a>, _: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async { Ok(Verdict::Wrong) })
    }

    fn refusal(&self, _: Refusal) -> Text {
        Text::error(4_000_043, "No.")
    }
}

/// Ory Elements sends the hidden identifier in place of the address that was chosen. So there is one, and it names the first address.
#[tokio::test]
async fn beside_security_keys_there_is_one_identifier_and_it_is_an_address() {
    for kind in KINDS {
        let postbox = Postbox::default();
        let code = Code::new(postbox.clone());
        let site = Site::with(|builder| builder.factor(Key).factor(code));
        site.users.reach("kim", [mail(), phone()]);
        site.step_up.bind(&subject("kim"), Method::WebAuthn, Vec::new()).await.unwrap();
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        if kind == Kind::Native {
            assert_eq!(
                flow.nodes(),
                ["default: csrf_token", "code: address", "code: address"],
                "keys are for browsers"
            );
            continue;
        }
        assert_eq!(
            flow.nodes(),
            [
                "default: csrf_token",
                "default: identifier",
                "webauthn: webauthn_login",
                "code: address",
                "code: address"
            ]
        );
        assert_eq!(flow.view["ui"]["nodes"][1]["attributes"]["value"], MAIL);
        let elements =
            [("method", "code"), ("identifier", MAIL), ("webauthn_login_trigger", "{}"), ("webauthn_login", "")];
        let next = says(&mut kim, &flow, &elements).await.json();
        assert_sent(&next, MAIL, "email", kind);
        // The form of a key is still taken.
        let told = says(&mut kim, &flow, &[("method", "webauthn"), ("webauthn_login", "{}")]).await;
        assert_eq!(told.messages(), [4_000_043]);
    }
}

/// The page works without scripts, and leads to another way.
#[tokio::test]
async fn the_page_asks_for_the_code_and_leads_to_other_ways() {
    let (site, postbox) = site();
    site.users.reach("kim", [mail()]);
    site.enrol("kim").await;
    let mut kim = site.browser("kim").await;
    let flow = kim.begin("login", "?aal=aal2&return_to=/payments").await;
    let page = format!("/self-service/ui/login?flow={}", flow.id());
    let before = kim.get(&page).await.text;
    assert!(before.contains(&format!(r#"name="address" value="{MAIL}""#)), "{before}");
    kim.submit(&flow, &[("address", MAIL)]).await;
    let after = kim.get(&page).await.text;
    assert!(after.contains(r#"name="code""#) && after.contains(r#"autocomplete="one-time-code""#), "{after}");
    assert!(after.contains(r#"inputmode="numeric""#), "{after}");
    assert!(after.contains(r#"name="resend" value="code" formnovalidate"#), "{after}");
    assert!(!after.contains("totp_code"), "{after}");
    let way =
        "https://bank.example/self-service/login/browser?aal=aal2&amp;return_to=https%3A%2F%2Fbank.example%2Fpayments";
    assert!(after.contains(way) || after.contains(&way.replace("&amp;", "&#38;")), "{after}");
    assert_eq!(postbox.count(), 1);
}

/// The same form again, after its answer was lost, gets the same answer.
#[tokio::test]
async fn a_double_click_on_a_right_code_signs_nobody_out() {
    let (site, postbox) = site();
    site.users.reach("kim", [mail()]);
    let kim = site.browser("kim").await;
    let mut first = kim.clone();
    let flow = first.begin("login", "?aal=aal2").await;
    let code = postbox.code();
    let csrf = flow.csrf();
    let fields = [("method", "code"), ("code", code.as_str()), ("csrf_token", csrf.as_str())];
    let mut second = first.clone();
    let action = flow.action();
    let (one, other) = tokio::join!(first.post(&action, &fields), second.post(&action, &fields));
    for (answer, client) in [(one, &mut first), (other, &mut second)] {
        assert_eq!(answer.location(), "https://bank.example/", "{answer:?}");
        assert_eq!(client.get("/payments").await.text, "payments");
    }
}
