//! Honest mistakes, and what front ends written for Ory expect then: what stays in the form, what it says, and what changes nothing.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use serde_json::json;
use tower_step_up::Subject;

use crate::site::{Answer, Client, KINDS, Kind, ORIGIN, OpenFlow, Site};

/// The form as it is after a submit: the answer itself for programs, what the page reads for browsers.
async fn after(client: &mut Client, flow: &OpenFlow, answer: Answer) -> Answer {
    if client.kind == Kind::Browser { client.read("login", flow.id()).await } else { answer }
}

async fn client(site: &Site, kind: Kind, name: &str) -> Client {
    match kind {
        Kind::Browser => site.browser(name).await,
        Kind::Spa => site.spa(name).await,
        Kind::Native => site.native(name).await,
    }
}

#[tokio::test]
async fn the_identifier_stays_in_the_form_after_a_wrong_password() {
    let site = Site::with_password();
    for kind in KINDS {
        let mut client = site.stranger(kind);
        let flow = client.begin("login", "").await;
        let typed = |answer: &Answer| answer.node("identifier")["attributes"]["value"].clone();
        for (fields, messages, expected) in [
            (&[("identifier", "kim"), ("password", "wrong")][..], &[4_000_006][..], "kim"),
            (&[("identifier", " lee"), ("password", "wrong")], &[4_000_006], "lee"),
            // The password alone is missing.
            (&[("identifier", "kim")], &[], "kim"),
            (&[("password", "x")], &[], ""),
            (&[("password_identifier", "lee"), ("password", "wrong")], &[4_000_006], "lee"),
        ] {
            let fields = [&[("method", "password")], fields].concat();
            let answer = client.submit(&flow, &fields).await;
            let shown = after(&mut client, &flow, answer).await;
            assert_eq!(
                (shown.messages().as_slice(), &typed(&shown)),
                (messages, &json!(expected)),
                "{kind:?} {fields:?}"
            );
            assert_eq!(shown.node("password")["attributes"].get("value"), None);
        }
        // What is no user name is not kept.
        let long = "k".repeat(600);
        let answer = client.submit(&flow, &[("method", "password"), ("identifier", &long), ("password", "x")]).await;
        assert_eq!(typed(&after(&mut client, &flow, answer).await), "");
        if kind == Kind::Browser {
            client.submit(&flow, &[("method", "password"), ("identifier", "k\"><script>"), ("password", "x")]).await;
        }
        let page = client.get(&format!("/self-service/ui/login?flow={}", flow.id())).await;
        if kind == Kind::Browser {
            assert!(page.text.contains("value=\"k&#34;&#62;&#60;script&#62;\""), "{}", page.text);
            assert!(page.text.contains("autocomplete=\"username\""));
        }
    }
}

/// An API flow is read by its id alone: that tells nobody who tried, or whom it asks.
#[tokio::test]
async fn an_id_alone_does_not_say_who_the_form_is_for() {
    let site = Site::with_password();
    let mut client = site.stranger(Kind::Native);
    let flow = client.begin("login", "").await;
    let wrong = client.submit(&flow, &[("method", "password"), ("identifier", "kim"), ("password", "x")]).await;
    assert_eq!(wrong.node("identifier")["attributes"]["value"], "kim", "whoever sent it knows it");
    assert_eq!(client.read("login", flow.id()).await.node("identifier")["attributes"]["value"], "");

    let mut kim = site.native("kim").await;
    let flow = kim.begin("login", "?refresh=true").await;
    assert_eq!(kim.read("login", flow.id()).await.node("identifier")["attributes"]["value"], "kim");
    let stranger = client.read("login", flow.id()).await;
    assert_eq!((stranger.status, &stranger.node("identifier")["attributes"]["value"]), (StatusCode::OK, &json!("")));
}

#[tokio::test]
async fn a_completed_flow_shows_no_old_error() {
    for kind in KINDS {
        let site = Site::with_password();
        // Signing in.
        let mut client = site.stranger(kind);
        let flow = client.begin("login", "").await;
        for password in ["wrong", "kim-password"] {
            let fields = [("method", "password"), ("identifier", "kim"), ("password", password)];
            let answer = client.submit(&flow, &fields).await;
            if password != "wrong" {
                client.keep_token(&answer);
            }
        }
        let done = client.read("login", flow.id()).await;
        if kind == Kind::Native {
            assert_eq!((&done.json()["state"], done.messages()), (&json!("passed_challenge"), vec![]));
            assert_eq!(done.node("identifier")["attributes"]["value"], "");
        } else {
            // The CSRF cookie is of the one who has signed in now.
            assert_eq!(done.error_id(), "security_csrf_violation", "{kind:?}");
            let page = format!("/self-service/ui/login?flow={}", flow.id());
            let mut browser = Client { kind: Kind::Browser, ..client.clone() };
            let begin = browser.get(&page).await.location().to_owned();
            assert_eq!(browser.get(&begin).await.location(), format!("{ORIGIN}/"), "led on, not to an error");
            browser.cookies.clear();
            assert!(browser.get(&page).await.location().contains("/ui/error?id="), "nobody goes round in circles");
        }
        // Stepping up, after an error on the field and one on the form.
        site.enrol("kim").await;
        let flow = client.begin("login", "?aal=aal2").await;
        client.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await;
        client.submit(&flow, &[("method", "totp")]).await;
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
        client.keep_token(&answer);
        let done = client.read("login", flow.id()).await;
        assert_eq!((&done.json()["state"], done.messages()), (&json!("passed_challenge"), vec![]), "{kind:?}");
        assert_eq!(done.node_messages("totp_code"), [0; 0], "{kind:?}");
        if kind == Kind::Browser {
            let page = client.get(&format!("/self-service/ui/login?flow={}", flow.id())).await;
            assert!(!page.text.contains("role=\"alert\""), "{}", page.text);
        }
    }
}

#[tokio::test]
async fn every_missing_field_says_so() {
    let site = Site::with_password();
    for kind in KINDS {
        let mut client = site.stranger(kind);
        let flow = client.begin("login", "").await;
        let answer = client.submit(&flow, &[("method", "password")]).await;
        let shown = after(&mut client, &flow, answer).await;
        for name in ["identifier", "password"] {
            assert_eq!(shown.node_messages(name), [4_000_002], "{kind:?} {name}");
        }
        assert_eq!(shown.messages(), [0; 0]);
    }
}

/// Front ends find their own parameters in it.
#[tokio::test]
async fn the_address_of_a_flow_is_the_one_that_was_asked_for() {
    let site = Site::with_password();
    let query = "?theme=dark&return_to=%2Fpay&z=1&a=%C3%A9+x&a=2";
    for kind in KINDS {
        for form in ["login", "settings"] {
            let mut client = client(&site, kind, "kim").await;
            if form == "login" {
                client.cookies.clear();
                client.token = None;
            }
            let flow = client.begin(form, query).await;
            let endpoint = if kind == Kind::Native { "api" } else { "browser" };
            assert_eq!(flow.view["request_url"], format!("{ORIGIN}/self-service/{form}/{endpoint}{query}"), "{kind:?}");
            assert_eq!(flow.view["return_to"], format!("{ORIGIN}/pay"));
            let plain = client.begin(form, "").await;
            assert_eq!(plain.view["request_url"], format!("{ORIGIN}/self-service/{form}/{endpoint}"));
            // Nobody fills the store with addresses.
            let long = client.begin(form, &format!("?x={}", "y".repeat(8192))).await;
            assert_eq!(long.view["request_url"], plain.view["request_url"]);
        }
    }
}

#[tokio::test]
async fn a_change_that_changes_nothing_rotates_no_token() {
    for kind in KINDS {
        let site = Site::new();
        let mut kim = client(&site, kind, "kim").await;
        let before = (kim.session_cookie().map(str::to_owned), kim.token.clone());
        let flow = kim.begin("settings", "").await;
        let answer = kim.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret_disable", "true")]).await;
        assert_eq!(answer.headers.get(header::SET_COOKIE), None, "{kind:?}");
        let page = format!("{ORIGIN}/self-service/ui/settings?flow={}", flow.id());
        if kind == Kind::Browser {
            assert_eq!(answer.location(), page);
        } else {
            let body = answer.json();
            assert_eq!((answer.messages(), &body["state"]), (vec![1_050_001], &json!("success")));
            let go_on = json!([{ "action": "redirect_browser_to", "redirect_browser_to": page }]);
            assert_eq!(body.get("continue_with"), Some(&go_on).filter(|_| kind == Kind::Spa));
        }
        assert_eq!((kim.session_cookie().map(str::to_owned), kim.token.clone()), before);
        assert_eq!(kim.whoami().await.status, StatusCode::OK, "the same token goes on working");
        let subject = Subject::new("kim").unwrap();
        assert_eq!(site.step_up.sessions(&subject).await.unwrap().len(), 1);
    }
}

/// Letters and seven digits cannot be a code: they guess nothing, so they lock nobody.
#[tokio::test]
async fn what_cannot_be_a_code_is_no_guess() {
    for kind in KINDS {
        let site = Site::new();
        site.enrol("kim").await;
        let mut kim = client(&site, kind, "kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        for typed in
            ["1234567", "abcdef", "12345a", "1234567890123", "+123456", "12.34.56"].into_iter().cycle().take(12)
        {
            let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", typed)]).await;
            let shown = after(&mut kim, &flow, answer).await;
            assert_eq!(shown.messages(), [4_000_008], "{kind:?} {typed}");
        }
        let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
        assert!(matches!(answer.status, StatusCode::OK | StatusCode::SEE_OTHER), "{answer:?}");
        kim.keep_token(&answer);
        let flow = kim.begin("settings", "").await;
        assert!(flow.nodes().contains(&"totp: totp_unlink".to_owned()), "and the code was taken");
    }
}

#[tokio::test]
async fn a_body_without_fields_is_a_form_without_a_method() {
    let site = Site::new();
    site.enrol("kim").await;
    for kind in [Kind::Spa, Kind::Native] {
        for (form, query, expected) in [("login", "?aal=aal2", 4_010_002), ("settings", "", 4_010_004)] {
            let mut client = client(&site, kind, if form == "login" { "kim" } else { "lee" }).await;
            let flow = client.begin(form, query).await;
            let request = client.request(Method::POST, &flow.action()).header(header::CONTENT_TYPE, "application/json");
            let answer = client.send(request.body(Body::from("{}")).unwrap()).await;
            assert_eq!(
                (answer.status, answer.messages()),
                (StatusCode::BAD_REQUEST, vec![expected]),
                "{kind:?} {form}"
            );
        }
    }
}

#[tokio::test]
async fn the_sample_of_an_error_has_an_id_like_any_other() {
    let mut anybody = Site::new().stranger(Kind::Spa);
    for query in ["id=stub:500", "error=stub:500"] {
        let sample = anybody.get(&format!("/self-service/errors?{query}")).await.json();
        let id = sample["id"].as_str().unwrap();
        assert_eq!(uuid::Uuid::parse_str(id).unwrap().to_string(), id);
        assert_eq!(sample["error"]["code"], 500);
        let again = anybody.get(&format!("/self-service/errors?id={id}")).await.json();
        assert_eq!((&again["id"], &again["error"]), (&sample["id"], &sample["error"]));
    }
}
