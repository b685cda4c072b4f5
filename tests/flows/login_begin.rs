//! Starting and reading a login flow: sections 4 to 6.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tower_step_up::{
    Subject,
    clock::Clock,
    store::{Completed, Completion, CredentialChange, SubjectStore},
};

use crate::{
    site::{KINDS, Kind, ORIGIN, SECRET, Site},
    store::TestStore,
};

fn login(kind: Kind, query: &str) -> String {
    let endpoint = if kind == Kind::Native { "api" } else { "browser" };
    format!("/self-service/login/{endpoint}{query}")
}

/// The error behind a browser's redirect to the error page, or the envelope.
async fn error_of(site: &Site, kind: Kind, query: &str, user: Option<&str>) -> (u64, String) {
    let mut client = match (user, kind) {
        (None, _) => site.stranger(kind),
        (Some(name), Kind::Browser) => site.browser(name).await,
        (Some(name), Kind::Spa) => site.spa(name).await,
        (Some(name), Kind::Native) => site.native(name).await,
    };
    let answer = client.get(&login(kind, query)).await;
    let error = if kind == Kind::Browser {
        let page = answer.location().to_owned();
        let id = page.strip_prefix(&format!("{ORIGIN}/self-service/ui/error?id=")).expect("an error page").to_owned();
        client.get(&format!("/self-service/errors?id={id}")).await.json()["error"].clone()
    } else {
        answer.json()["error"].clone()
    };
    (error["code"].as_u64().unwrap(), error["id"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn bad_queries_are_refused_whoever_asks() {
    let site = Site::new();
    site.enrol("kim").await;
    for kind in KINDS {
        for user in [None, Some("kim")] {
            for (query, code, id) in [
                ("?aal=aal2&return_to=https://evil.example/", 400, "self_service_flow_return_to_forbidden"),
                ("?aal=aal3&return_to=https://evil.example/", 400, "self_service_flow_return_to_forbidden"),
                ("?return_to=/a&return_to=/b", 400, "self_service_flow_return_to_forbidden"),
                ("?login_challenge=x&aal=aal3", 400, ""),
                ("?aal=aal3", 400, ""),
                ("?aal=aal0", 400, ""),
                ("?aal=aal2&aal=aal2", 400, ""),
            ] {
                assert_eq!(
                    error_of(&site, kind, query, user).await,
                    (code, id.to_owned()),
                    "{kind:?} {user:?} {query}"
                );
            }
        }
    }
}

#[tokio::test]
async fn without_a_session_a_second_factor_cannot_be_proven() {
    let site = Site::new();
    for kind in KINDS {
        for query in ["?aal=aal2", "?aal=AAL2&refresh=true"] {
            let expected = (401, "session_aal1_required".to_owned());
            assert_eq!(error_of(&site, kind, query, None).await, expected, "{kind:?} {query}");
        }
    }
}

#[tokio::test]
async fn without_a_session_the_first_login_is_the_applications() {
    let site = Site::new();
    for query in ["?return_to=%2Fpayments", "?aal=aal1&return_to=%2Fpayments", "?refresh=true&return_to=%2Fpayments"] {
        let url = format!("{ORIGIN}/login?return_to=https%3A%2F%2Fbank.example%2Fpayments");
        assert_eq!(site.stranger(Kind::Browser).get(&login(Kind::Browser, query)).await.location(), url);
        let spa = site.stranger(Kind::Spa).get(&login(Kind::Spa, query)).await;
        assert_eq!(
            (spa.status, spa.error_id().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "browser_location_change_required")
        );
        assert_eq!(spa.json()["redirect_browser_to"], url);
        assert_eq!(error_of(&site, Kind::Native, query, None).await, (400, "self_service_flow_disabled".to_owned()));
    }
}

#[tokio::test]
async fn with_a_verifier_a_flow_without_session_is_a_plain_one() {
    let site = Site::with_password();
    for kind in KINDS {
        for query in ["", "?aal=aal1", "?refresh=true"] {
            let flow = site.stranger(kind).begin("login", query).await;
            assert_eq!(
                (&flow.view["refresh"], &flow.view["requested_aal"]),
                (&false.into(), &"aal1".into()),
                "{kind:?}"
            );
            assert_eq!(
                flow.nodes(),
                ["default: csrf_token", "default: identifier", "password: password", "password: method"]
            );
            assert!(flow.messages().is_empty());
        }
    }
}

#[tokio::test]
async fn what_is_there_already_is_not_proven_again() {
    let site = Site::new();
    site.enrol("kim").await;
    let already = (400, "session_already_available".to_owned());
    for kind in [Kind::Spa, Kind::Native] {
        assert_eq!(error_of(&site, kind, "", Some("kim")).await, already);
        assert_eq!(error_of(&site, kind, "?aal=aal1", Some("kim")).await, already);
    }
    let mut browser = site.browser("kim").await;
    assert_eq!(browser.get(&login(Kind::Browser, "")).await.location(), format!("{ORIGIN}/"));
    assert_eq!(browser.get(&login(Kind::Browser, "?return_to=/pay")).await.location(), format!("{ORIGIN}/pay"));
    browser.step_up(&site.code()).await;
    let answer = browser.get(&login(Kind::Browser, "?aal=aal2&return_to=/pay")).await;
    assert_eq!(answer.location(), format!("{ORIGIN}/pay"));
    let mut native = site.native("kim").await;
    native.step_up(&site.next_code()).await;
    assert_eq!(native.get(&login(Kind::Native, "?aal=aal2")).await.error_id(), "session_already_available");
}

#[tokio::test]
async fn flows_say_what_they_are_for() {
    let site = Site::new();
    site.enrol("kim").await;
    for kind in KINDS {
        let mut client = match kind {
            Kind::Browser => site.browser("kim").await,
            Kind::Spa => site.spa("kim").await,
            Kind::Native => site.native("kim").await,
        };
        let nodes = ["default: csrf_token", "totp: totp_code", "totp: method"];
        let flow = client.begin("login", "?aal=aal2&return_to=/pay").await;
        assert_eq!((flow.messages(), flow.nodes()), (vec![1_010_004], nodes.map(str::to_owned).to_vec()), "{kind:?}");
        assert_eq!(flow.view["return_to"], "https://bank.example/pay");
        assert_eq!(flow.view["refresh"], false);
        assert_eq!(
            client.begin("login", "?aal=aal2&refresh=true").await.messages(),
            [1_010_003, 1_010_004],
            "{kind:?}"
        );
        client.step_up(&site.next_code()).await;
        let flow = client.begin("login", "?aal=aal2&refresh=true").await;
        assert_eq!((flow.messages(), flow.view["refresh"].as_bool()), (vec![1_010_003], Some(true)), "{kind:?}");
    }
}

#[tokio::test]
async fn the_flow_object_has_the_shape_of_the_contract() {
    let site = Site::new();
    site.enrol("kim").await;
    let flow = site.spa("kim").await.begin("login", "?aal=aal2&return_to=/pay").await;
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!(flow.view, {
            ".id" => "[id]", ".ui.action" => "[action]", ".ui.nodes[0].attributes.value" => "[csrf]",
        });
    });
    let flow = site.native("kim").await.begin("login", "?aal=aal2").await;
    assert_eq!(flow.csrf(), "");
    assert_eq!(flow.view["request_url"], "https://bank.example/self-service/login/api?aal=aal2");
    assert_eq!(flow.view.get("return_to"), None);
}

#[tokio::test]
async fn only_the_browser_endpoint_sets_the_csrf_cookie_and_only_once() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut browser = site.browser("kim").await;
    let first = browser.get(&login(Kind::Browser, "?aal=aal2")).await;
    let cookie = first.headers["set-cookie"].to_str().unwrap();
    let name = cookie.split_once('=').unwrap().0;
    assert_eq!(name.strip_prefix("__Host-csrf_token_").unwrap().len(), 64);
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=31536000"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let again = browser.get(&login(Kind::Browser, "?aal=aal2")).await;
    assert_eq!(again.headers.get("set-cookie"), None);
    let api = site.native("kim").await.get(&login(Kind::Native, "?aal=aal2")).await;
    assert_eq!(api.headers.get("set-cookie"), None);
    assert_eq!(api.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_second_factor_every_client_is_led_to_enrolment() {
    let site = Site::new();
    let url = format!("{ORIGIN}/self-service/settings/browser?return_to=https%3A%2F%2Fbank.example%2Fpay");
    let query = "?aal=aal2&return_to=/pay";
    assert_eq!(site.browser("bob").await.get(&login(Kind::Browser, query)).await.location(), url);
    for query in [query, "?aal=aal2&return_to=/pay&refresh=true"] {
        let spa = site.spa("bob").await.get(&login(Kind::Spa, query)).await;
        assert_eq!(
            (spa.status.as_u16(), spa.error_id().as_str()),
            (422, "browser_location_change_required"),
            "{query}"
        );
        let body = spa.json();
        // At the top alone, as Kratos has it here.
        assert_eq!(
            (&body["redirect_browser_to"], &body["error"]["details"]),
            (&serde_json::json!(url), &serde_json::Value::Null)
        );
    }
    let native = site.native("bob").await.begin("login", "?aal=aal2&refresh=true&return_to=/pay").await;
    assert_eq!((native.nodes(), native.messages()), (Vec::<String>::new(), vec![1_010_003, 1_010_004, 1_990_001]));
    assert_eq!(native.view["ui"]["messages"][2]["context"]["settings_url"], url);
}

/// A form whose factor was removed while it was open, sent too late: the new one would have nothing to fill in.
#[tokio::test]
async fn an_expired_form_without_a_factor_leads_to_enrolment_too() {
    for kind in KINDS {
        let store = TestStore::default();
        let site = Site::on(store.clone(), |builder| builder);
        let subject = Subject::new("bob").unwrap();
        let credential = site.step_up.import_totp(&subject, SECRET).await.unwrap();
        let mut bob = match kind {
            Kind::Browser => site.browser("bob").await,
            Kind::Spa => site.spa("bob").await,
            Kind::Native => site.native("bob").await,
        };
        let flow = bob.begin("login", "?aal=aal2&return_to=/pay").await;
        // By a process that ended before it could end the open forms.
        let mut completion = Completion::new(subject.clone(), site.clock.now());
        completion.credentials.push(CredentialChange::Remove(credential));
        assert_eq!(store.complete(&completion).await.unwrap(), Completed::Done);
        site.step_up.forget(&subject);
        site.clock.advance(Duration::from_secs(3601));
        let answer = bob.submit(&flow, &[("method", "totp"), ("totp_code", "123456")]).await;
        let url = format!("{ORIGIN}/self-service/settings/browser?return_to=https%3A%2F%2Fbank.example%2Fpay");
        match kind {
            Kind::Browser => assert_eq!(answer.location(), url),
            Kind::Spa => {
                assert_eq!((answer.status.as_u16(), &answer.json()["redirect_browser_to"]), (422, &json!(url)));
            }
            Kind::Native => {
                assert_eq!((answer.status, answer.json()["use_flow_id"].is_string()), (StatusCode::GONE, true));
            }
        }
    }
}

#[tokio::test]
async fn a_flow_is_read_only_by_whose_it_is() {
    let site = Site::new();
    site.enrol("kim").await;
    site.enrol("lee").await;
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    assert_eq!(kim.read("login", flow.id()).await.status, StatusCode::OK);

    let mut without_cookie = kim.clone();
    without_cookie.cookies.retain(|name, _| !name.contains("csrf"));
    assert_eq!(without_cookie.read("login", flow.id()).await.error_id(), "security_csrf_violation");

    let mut lee = site.spa("lee").await;
    lee.cookies
        .extend(kim.cookies.iter().filter(|(name, _)| name.contains("csrf")).map(|(n, v)| (n.clone(), v.clone())));
    assert_eq!(lee.read("login", flow.id()).await.error_id(), "security_identity_mismatch");
    let mut other_session = site.spa("kim").await;
    other_session
        .cookies
        .extend(lee.cookies.iter().filter(|(name, _)| name.contains("csrf")).map(|(n, v)| (n.clone(), v.clone())));
    assert_eq!(other_session.read("login", flow.id()).await.error_id(), "security_identity_mismatch");

    for id in ["", "x", "3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20", "3C1DE7A4-9A0E-4A55-8C33-1B7F0F6F5D20"] {
        assert_eq!(kim.read("login", id).await.status, StatusCode::NOT_FOUND, "{id}");
    }

    // A native client has no token parameter: the id is enough.
    let flow = site.native("kim").await.begin("login", "?aal=aal2").await;
    assert_eq!(site.stranger(Kind::Native).read("login", flow.id()).await.status, StatusCode::OK);
    assert_eq!(site.native("lee").await.read("login", flow.id()).await.error_id(), "security_identity_mismatch");
}

#[tokio::test]
async fn an_expired_flow_says_how_to_begin_anew() {
    let site = Site::new();
    site.enrol("kim").await;
    for (kind, key, endpoint) in [(Kind::Spa, "redirect_to", "browser"), (Kind::Native, "api", "api")] {
        let mut client = if kind == Kind::Spa { site.spa("kim").await } else { site.native("kim").await };
        let flow = client.begin("login", "?aal=aal2&refresh=true&return_to=/pay").await;
        site.clock.advance(std::time::Duration::from_secs(3600));
        let answer = client.read("login", flow.id()).await;
        assert_eq!((answer.status, answer.error_id().as_str()), (StatusCode::GONE, "self_service_flow_expired"));
        let details = &answer.json()["error"]["details"];
        let url = format!(
            "{ORIGIN}/self-service/login/{endpoint}?aal=aal2&refresh=true&return_to=https%3A%2F%2Fbank.example%2Fpay"
        );
        assert_eq!(details[key], url);
        assert_eq!(details.get("return_to").is_some(), kind == Kind::Spa);
        assert_eq!(answer.json().get("use_flow_id"), None);
    }
}

#[tokio::test]
async fn wrong_http_methods_get_405_with_allow() {
    let site = Site::new();
    let mut client = site.stranger(Kind::Spa);
    for (path, allow) in [
        ("/self-service/login?flow=3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20&totp_code=123456", "POST"),
        ("/self-service/settings?totp_unlink=true", "POST"),
        ("/self-service/logout/api", "DELETE"),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers["allow"], allow);
    }
}
