//! What holds for every endpoint, and details of the contract that belong to no single journey.

use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use serde_json::{Value, json};
use tower_step_up::{RequiredAal, factor::Password};

use crate::{
    site::{Answer, BROWSER, Client, KINDS, Kind, ORIGIN, Site, code_of},
    store::{ADDRESS, TestStore},
};

const REFRESH: &str = "session_refresh_required";
const UNKNOWN: &str = "3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20";

async fn client(site: &Site, kind: Kind, name: &str) -> Client {
    match kind {
        Kind::Browser => site.browser(name).await,
        Kind::Spa => site.spa(name).await,
        Kind::Native => site.native(name).await,
    }
}

fn assert_private(answer: &Answer, what: &str) {
    assert_eq!(answer.headers["cache-control"], "private, no-cache, no-store, must-revalidate", "{what}");
    if answer.headers.contains_key("content-type") {
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{what}");
    }
    let vary = answer.headers["vary"].to_str().unwrap();
    for name in ["Cookie", "Authorization", "X-Session-Token", "Accept", "HX-Request"].into_iter().chain([
        "X-Requested-With",
        "Sec-Fetch-Mode",
        "Sec-Fetch-Dest",
        "Sec-Fetch-Site",
    ]) {
        assert!(vary.contains(name), "{what}: {vary}");
    }
}

#[tokio::test]
async fn every_answer_is_private_and_every_error_is_an_envelope() {
    let site = Site::with_password();
    site.enrol("kim").await;
    let paths = [
        "/sessions/whoami",
        "/sessions/whoami?tokenize_as=x",
        "/sessions",
        "/sessions?page=x",
        "/sessions/x",
        "/sessions/%FF",
        "/sessions/%00",
        "/self-service/login/browser",
        "/self-service/login/browser?aal=aal2",
        "/self-service/login/browser?refresh=true",
        "/self-service/login/browser?aal=aal9",
        "/self-service/login/browser?return_to=//x",
        "/self-service/login/api",
        "/self-service/login/api?aal=aal2",
        &format!("/self-service/login/flows?id={UNKNOWN}"),
        "/self-service/login",
        &format!("/self-service/login?flow={UNKNOWN}"),
        "/self-service/settings/browser",
        "/self-service/settings/api",
        &format!("/self-service/settings/flows?id={UNKNOWN}"),
        "/self-service/settings",
        &format!("/self-service/settings?flow={UNKNOWN}"),
        "/self-service/logout/browser",
        "/self-service/logout",
        "/self-service/logout?token=x",
        "/self-service/logout/api",
        "/self-service/errors?id=stub:500",
        "/self-service/errors",
        "/self-service/ui/login",
        &format!("/self-service/ui/login?flow={UNKNOWN}"),
        "/self-service/ui/settings",
        &format!("/self-service/ui/settings?flow={UNKNOWN}"),
        "/self-service/ui/error",
        "/self-service/ui/style.css",
    ];
    for kind in KINDS {
        for mut sender in [site.stranger(kind), client(&site, kind, "kim").await, client(&site, kind, "bob").await] {
            for path in paths {
                for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
                    let what = format!("{kind:?} {method} {path}");
                    let keeps = sender.clone();
                    let request = sender.request(method.clone(), path).header("x-request-id", "req-7");
                    let answer = sender.send(request.body(Body::empty()).unwrap()).await;
                    // A session that was ended by the way is of no use to the next.
                    sender = keeps;
                    assert_private(&answer, &what);
                    assert!(answer.status.as_u16() < 500, "{what}: {answer:?}");
                    if !answer.status.is_client_error() {
                        continue;
                    }
                    let id = answer.headers["ory-error-id"].to_str().unwrap().to_owned();
                    assert_eq!(answer.headers["content-type"], "application/json", "{what}");
                    if method == Method::HEAD {
                        continue;
                    }
                    let error = &answer.json()["error"];
                    assert_eq!(error["code"], answer.status.as_u16(), "{what}");
                    assert_eq!(error["status"], answer.status.canonical_reason().unwrap(), "{what}");
                    assert_eq!(error["request"], "req-7", "{what}");
                    assert_eq!(error["id"].as_str().unwrap_or_default(), id, "{what}");
                    assert!(error.get("debug").is_none() && error["message"].is_string());
                    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
                        assert!(answer.headers.contains_key("allow"), "{what}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn without_its_layer_every_endpoint_says_500_and_nothing_else() {
    let site = Site::new();
    let bare = axum::Router::new().merge(site.step_up.router());
    let mut kim = Client { router: bare, ..site.spa("kim").await };
    for path in ["/sessions/whoami", "/self-service/login/browser?aal=aal2", "/self-service/settings/browser"] {
        let answer = kim.get(path).await;
        assert_private(&answer, path);
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (500, &json!(500)), "{path}");
    }
}

#[tokio::test]
async fn no_other_origin_is_let_in_by_default() {
    let site = Site::new();
    let kim = site.spa("kim").await;
    for method in [Method::OPTIONS, Method::GET] {
        let request = kim
            .request(method.clone(), "/self-service/login/browser")
            .header(header::ORIGIN, "https://evil.example")
            .header("access-control-request-method", "GET");
        let answer = kim.clone().send(request.body(Body::empty()).unwrap()).await;
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{method}");
    }
}

#[tokio::test]
async fn problem_details_come_only_on_request() {
    let site = Site::new();
    for (accept, problem) in [("application/json", false), ("application/problem+json, */*", true), (BROWSER, false)] {
        let mut client = site.stranger(Kind::Native);
        let mut request = client.request(Method::GET, "/sessions/whoami");
        request.headers_mut().unwrap().insert("accept", accept.parse().unwrap());
        let answer = client.send(request.body(Body::empty()).unwrap()).await;
        let body = answer.json();
        let mut fields: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        if problem {
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(fields, ["detail", "error", "status", "title", "type"]);
        } else {
            assert_eq!(answer.headers["content-type"], "application/json");
            assert_eq!(fields, ["error"]);
        }
    }
}

#[tokio::test]
async fn bearer_clients_are_told_how_to_authenticate() {
    let site =
        Site::with(|builder| builder.settings_required_aal(RequiredAal::Aal1).whoami_required_aal(RequiredAal::Aal1));
    site.enrol("kim").await;
    // RFC 9110 section 15.5.2: a 401 says what would do. Nothing is told of what the endpoint asks for.
    for path in ["/sessions/whoami", "/sessions", "/self-service/settings/api", "/self-service/login/api?aal=aal2"] {
        let mut stranger = site.stranger(Kind::Native);
        let answer = stranger.get(path).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(
            answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap()),
            Some("Bearer"),
            "{path}"
        );
        let request = stranger.bearer(Method::GET, path).body(Body::empty()).unwrap();
        let answer = stranger.send(request).await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer error=\"invalid_token\"", "{path}");
    }
    // The settings keep 403 for Ory's sake, and add the challenge of RFC 9470.
    let mut kim = site.native("kim").await;
    let flow = kim.begin("settings", "").await;
    let submit = |kim: &Client, bearer: bool| {
        let request =
            if bearer { kim.bearer(Method::POST, &flow.action()) } else { kim.request(Method::POST, &flow.action()) };
        request.header(header::CONTENT_TYPE, "application/json").body(Body::from(r#"{"totp_unlink":true}"#)).unwrap()
    };
    let answer = kim.clone().send(submit(&kim, true)).await;
    assert_eq!((answer.status, answer.error_id().as_str()), (StatusCode::FORBIDDEN, "session_refresh_required"));
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("insufficient_user_authentication") && challenge.contains("acr_values=\"aal2\""));
    assert!(challenge.ends_with("max_age=\"3600\""), "one login is enough for both: {challenge}");
    let answer = kim.clone().send(submit(&kim, false)).await;
    assert_eq!(answer.headers.get("www-authenticate"), None);

    kim.step_up(&site.code()).await;
    site.clock.advance(Duration::from_secs(3600));
    let flow = kim.begin("settings", "").await;
    let request = kim.bearer(Method::POST, &flow.action()).header(header::CONTENT_TYPE, "application/json");
    let answer = kim.clone().send(request.body(Body::from(r#"{"totp_unlink":true}"#)).unwrap()).await;
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("max_age=\"3600\""), "{challenge}");
}

#[tokio::test]
async fn without_a_verifier_the_first_factor_is_renewed_by_the_application() {
    let site = Site::new();
    site.enrol("kim").await;
    let query = "?refresh=true&return_to=%2Fpay";
    let url = format!("{ORIGIN}/login?return_to=https%3A%2F%2Fbank.example%2Fpay");
    let mut browser = site.browser("kim").await;
    assert_eq!(browser.get(&format!("/self-service/login/browser{query}")).await.location(), url);
    let answer = site.spa("kim").await.get(&format!("/self-service/login/browser{query}")).await;
    assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (422, "browser_location_change_required"));
    assert_eq!(answer.json()["redirect_browser_to"], url);
    let answer = site.native("kim").await.get(&format!("/self-service/login/api{query}")).await;
    assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (400, "self_service_flow_disabled"));
}

#[tokio::test]
async fn what_only_takes_away_is_not_gated() {
    for kind in [Kind::Spa, Kind::Native] {
        let site = Site::new();
        site.enrol("kim").await;
        let mut kim = client(&site, kind, "kim").await;
        assert_eq!(kim.get("/sessions").await.error_id(), "session_aal2_required");
        assert_eq!(kim.get("/self-service/logout/browser").await.status, StatusCode::OK);
        kim.begin("login", "?aal=aal2").await;
    }
}

#[tokio::test]
async fn ending_other_sessions_takes_a_recent_second_factor() {
    for kind in [Kind::Spa, Kind::Native] {
        // In the lax model too, and in the strict one before the gate says anything.
        for required in [RequiredAal::Aal1, RequiredAal::HighestAvailable] {
            let site = Site::with(|builder| builder.whoami_required_aal(required).settings_required_aal(required));
            site.enrol("kim").await;
            let (mut kim, mut other) = (client(&site, kind, "kim").await, site.spa("kim").await);
            let one = format!("/sessions/{UNKNOWN}");
            for late in [false, true] {
                for path in ["/sessions", &one] {
                    let answer = kim.delete(path, "").await;
                    assert_eq!((answer.status, answer.error_id().as_str()), (StatusCode::FORBIDDEN, REFRESH), "{path}");
                    let url = format!("{ORIGIN}/self-service/login/browser?aal=aal2&refresh=true");
                    assert_eq!(answer.json()["redirect_browser_to"], url);
                }
                assert_eq!(other.get("/account").await.status, StatusCode::OK);
                let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
                let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
                assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
                kim.keep_token(&answer);
                if !late {
                    site.clock.advance(Duration::from_secs(3600));
                }
            }
            assert_eq!(kim.delete(&one, "").await.status, StatusCode::NO_CONTENT);
            assert_eq!(kim.delete("/sessions", "").await.json(), json!({ "count": 1 }));
            assert_eq!(other.get("/account").await.status, StatusCode::UNAUTHORIZED);
        }
    }
}

#[tokio::test]
async fn a_gate_that_closes_meanwhile_leads_back_to_the_same_form() {
    for kind in KINDS {
        let site = Site::new();
        let mut kim = client(&site, kind, "kim").await;
        let flow = kim.begin("settings", "").await;
        // A second factor appears elsewhere.
        site.enrol("kim").await;
        let page = format!("https%3A%2F%2Fbank.example%2Fself-service%2Fui%2Fsettings%3Fflow%3D{}", flow.id());
        let url = format!("{ORIGIN}/self-service/login/browser?aal=aal2&return_to={page}");
        // Reading is for programs: whoever asks gets JSON.
        let read = kim.read("settings", flow.id()).await;
        assert_eq!((read.status, read.error_id().as_str()), (StatusCode::FORBIDDEN, "session_aal2_required"));
        assert_eq!(read.json()["redirect_browser_to"], url, "{kind:?}");
        let submitted = kim.submit(&flow, &[("totp_unlink", "true")]).await;
        if kind == Kind::Browser {
            assert_eq!(submitted.location(), url);
        } else {
            assert_eq!(submitted.json()["redirect_browser_to"], url);
        }
        let login = kim.begin("login", "?aal=aal2").await;
        let answer = kim.submit(&login, &[("method", "totp"), ("totp_code", &site.code())]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.read("settings", flow.id()).await.status, StatusCode::OK, "{kind:?}");
    }
}

/// Attributes, label and group of every node, without what is different each time.
fn shape(flow: &Value) -> Value {
    let mut nodes = flow["ui"]["nodes"].clone();
    for node in nodes.as_array_mut().unwrap() {
        if node["attributes"]["name"] == "csrf_token" {
            node["attributes"]["value"] = "[csrf]".into();
        }
        if let Some(label) = node["meta"].get_mut("label") {
            *label = label["id"].clone();
        }
    }
    nodes
}

fn input(group: &str, label: u32, name: &str, kind: &str, mut attributes: Value) -> Value {
    for (name, value) in
        [("name", json!(name)), ("type", json!(kind)), ("disabled", json!(false)), ("node_type", json!("input"))]
    {
        attributes[name] = value;
    }
    let meta = if label == 0 { json!({}) } else { json!({ "label": label }) };
    json!({ "type": "input", "group": group, "messages": [], "meta": meta, "attributes": attributes })
}

#[tokio::test]
async fn login_nodes_have_the_attributes_of_the_contract() {
    let site = Site::with_password();
    let mut kim = site.spa("kim").await;
    let settings = kim.begin("settings", "").await;
    kim.submit(&settings, &[("lookup_secret_regenerate", "true")]).await;
    kim.submit(&settings, &[("lookup_secret_confirm", "true")]).await;
    site.enrol("kim").await;
    let csrf = input("default", 0, "csrf_token", "hidden", json!({ "value": "[csrf]", "required": true }));
    let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
    let required = json!({ "value": "", "required": true });
    let expected = json!([
        csrf,
        input("totp", 1_010_006, "totp_code", "text", required.clone()),
        input("totp", 1_010_009, "method", "submit", json!({ "value": "totp" })),
        input("lookup_secret", 1_010_007, "lookup_secret", "text", required),
        input("lookup_secret", 1_010_010, "method", "submit", json!({ "value": "lookup_secret" })),
    ]);
    assert_eq!(shape(&flow.view), expected);

    let flow = kim.begin("login", "?refresh=true").await;
    let password = json!({ "required": true, "autocomplete": "current-password" });
    let expected = json!([
        csrf,
        input("default", 0, "identifier", "hidden", json!({ "value": "kim" })),
        input("password", 1_070_001, "password", "password", password),
        input("password", 1_010_001, "method", "submit", json!({ "value": "password" })),
    ]);
    assert_eq!(shape(&flow.view), expected);
}

#[tokio::test]
async fn settings_flows_have_the_shape_of_the_contract() {
    let site = Site::new();
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("settings", "?return_to=/pay").await.view;
    let mut keys: Vec<_> = flow.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = [
        "expires_at",
        "id",
        "identity",
        "issued_at",
        "organization_id",
        "request_url",
        "return_to",
        "state",
        "type",
        "ui",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&flow["type"], &flow["state"]), (&json!("browser"), &json!("show_form")));
    assert_eq!(flow["ui"]["action"], format!("{ORIGIN}/self-service/settings?flow={}", flow["id"].as_str().unwrap()));
    assert_eq!(flow["identity"]["traits"], json!({ "username": "kim" }));
    assert_eq!(flow["request_url"], format!("{ORIGIN}/self-service/settings/browser?return_to=/pay"));

    let nodes = shape(&flow);
    let flag = |label, name| input("lookup_secret", label, name, "submit", json!({ "value": "true" }));
    assert_eq!(nodes[1], flag(1_050_008, "lookup_secret_regenerate"));
    let (qr, secret) = (&nodes[2], &nodes[3]);
    assert_eq!((&qr["type"], &qr["group"], &qr["meta"]["label"]), (&json!("img"), &json!("totp"), &json!(1_050_005)));
    let attributes = &qr["attributes"];
    assert_eq!((&attributes["width"], &attributes["height"]), (&json!(256), &json!(256)));
    assert_eq!((&attributes["id"], &attributes["node_type"]), (&json!("totp_qr"), &json!("img")));
    assert!(attributes["src"].as_str().unwrap().starts_with("data:image/"));
    assert_eq!((&secret["type"], &secret["meta"]["label"]), (&json!("text"), &json!(1_050_017)));
    assert_eq!(secret["attributes"]["id"], "totp_secret_key");
    assert_eq!(secret["attributes"]["node_type"], "text");
    let text = &secret["attributes"]["text"];
    assert_eq!(text["id"], 1_050_006);
    let secret = text["context"]["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 32, "20 bytes in base32");
    assert_eq!(nodes[4], input("totp", 1_070_006, "totp_code", "text", json!({ "required": true })));
    assert_eq!(nodes[5], input("totp", 1_070_003, "method", "submit", json!({ "value": "totp" })));

    let open = kim.begin("settings", "").await;
    let shown = kim.submit(&open, &[("lookup_secret_regenerate", "true")]).await.json();
    let nodes = shape(&shown);
    assert_eq!((&nodes[1]["type"], &nodes[1]["meta"]["label"]), (&json!("text"), &json!(1_050_010)));
    let codes = &nodes[1]["attributes"];
    assert_eq!((&codes["id"], &codes["text"]["id"]), (&json!("lookup_secret_codes"), &json!(1_050_015)));
    let one = &codes["text"]["context"]["secrets"][0];
    assert_eq!((&one["id"], &one["context"]["secret"]), (&json!(1_050_009), &one["text"]));
    assert_eq!(nodes[2], flag(1_050_011, "lookup_secret_confirm"));
    let done = kim.submit(&open, &[("lookup_secret_confirm", "true")]).await.json();
    assert_eq!(shape(&done)[2], flag(1_050_016, "lookup_secret_disable"));
    assert_eq!(done["ui"]["messages"][0]["type"], "success");

    let mut lee = site.spa("lee").await;
    let open = lee.begin("settings", "").await;
    let secret = open.view["ui"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|node| node["attributes"]["text"]["context"]["secret"].as_str().map(str::to_owned));
    let code = code_of(&secret.unwrap(), site.seconds());
    let done = lee.submit(&open, &[("method", "totp"), ("totp_code", &code)]).await.json();
    let unlink = json!({ "value": "true", "required": true });
    assert_eq!(
        shape(&done).as_array().unwrap().last().unwrap(),
        &input("totp", 1_050_004, "totp_unlink", "submit", unlink)
    );
}

#[tokio::test]
async fn a_passed_flow_says_how() {
    for kind in [Kind::Spa, Kind::Native] {
        let site = Site::with_password();
        site.enrol("kim").await;
        let mut kim = client(&site, kind, "kim").await;
        for (query, fields, method) in [
            ("?aal=aal2", vec![("method", "totp"), ("totp_code", "now")], "totp"),
            (
                "?refresh=true",
                vec![("method", "password"), ("identifier", "kim"), ("password", "kim-password")],
                "password",
            ),
        ] {
            let flow = kim.begin("login", query).await;
            assert_eq!(flow.view.get("active"), None);
            let code = site.code();
            let wrong: Vec<_> =
                fields.iter().map(|(name, value)| (*name, if *value == "now" { "000000" } else { value })).collect();
            if method == "totp" {
                assert_eq!(kim.submit(&flow, &wrong).await.json().get("active"), None);
            }
            let right: Vec<_> =
                fields.iter().map(|(name, value)| (*name, if *value == "now" { &code } else { *value })).collect();
            let answer = kim.submit(&flow, &right).await;
            kim.keep_token(&answer);
            let passed = kim.read("login", flow.id()).await.json();
            assert_eq!((&passed["state"], &passed["active"]), (&json!("passed_challenge"), &json!(method)), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn the_csrf_cookie_stays_with_the_user_and_only_the_field_counts() {
    let site = Site::with_password();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    let code = site.code();
    let request = kim.request(Method::POST, &flow.action()).header("x-csrf-token", flow.csrf());
    let body = json!({ "method": "totp", "totp_code": code }).to_string();
    let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
    assert_eq!(kim.send(request).await.error_id(), "security_csrf_violation");
    let csrf = |answer: &Answer| {
        answer.headers.get_all("set-cookie").iter().any(|cookie| cookie.to_str().unwrap().contains("csrf_token_"))
    };
    let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    assert!(answer.status.is_success() && !csrf(&answer), "the same user");

    let mut stranger = site.stranger(Kind::Spa);
    let flow = stranger.begin("login", "").await;
    let fields = [("method", "password"), ("password_identifier", "bob"), ("password", "bob-password")];
    let answer = stranger.submit(&flow, &fields).await;
    assert!(answer.status.is_success() && csrf(&answer), "somebody who was not known before");
}

#[tokio::test]
async fn the_session_says_until_when_the_second_factor_counts() {
    let site = Site::with(|builder| builder.second_factor_lifespan(Duration::from_secs(600)));
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    let session = kim.whoami().await.json();
    assert!(session["aal2_expires_at"].as_str().unwrap() > session["aal2_authenticated_at"].as_str().unwrap());
    site.clock.advance(Duration::from_secs(600));
    assert_eq!(kim.whoami().await.error_id(), "session_aal2_required");
    let site = Site::new();
    assert_eq!(site.spa("bob").await.whoami().await.json().get("aal2_expires_at"), None);
}

#[tokio::test]
async fn a_store_that_fails_in_the_middle_lifts_nobody() {
    for kind in KINDS {
        let store = TestStore::default();
        let site = Site::on(store.clone(), |builder| builder.factor(Password::default()));
        site.enrol("kim").await;
        let mut kim = client(&site, kind, "kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let fields = [("method", "totp".to_owned()), ("totp_code", site.code())];
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        store.is_down();
        let answer = kim.submit(&flow, &fields).await;
        if kind == Kind::Browser {
            let page = answer.location().to_owned();
            assert!(page.contains("/self-service/ui/error?id="));
            let shown = kim.get(&page).await;
            assert!(shown.status.is_success() && !shown.text.contains(ADDRESS), "{shown:?}");
        } else {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{kind:?}");
            assert!(!answer.text.contains(ADDRESS));
        }
        assert_eq!(answer.headers.get("set-cookie"), None);
        store.works();
        let answer = kim.submit(&flow, &fields).await;
        kim.keep_token(&answer);
        assert_eq!(kim.whoami().await.json()["authenticator_assurance_level"], "aal2", "the code was not used up");
    }
}

#[tokio::test]
async fn of_several_flags_the_one_that_saves_counts() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    let flow = kim.begin("settings", "").await;
    let flag = |name: &'static str| (name, "true");
    let all = [
        flag("lookup_secret_regenerate"),
        flag("lookup_secret_disable"),
        flag("lookup_secret_reveal"),
        flag("lookup_secret_confirm"),
    ];
    assert_eq!(kim.submit(&flow, &all).await.messages(), [4_000_001], "confirm, with nothing to confirm");
    assert_eq!(kim.submit(&flow, &all[..3]).await.messages(), [4_000_001], "reveal, with nothing to reveal");
    assert!(kim.submit(&flow, &all[..1]).await.nodes().contains(&"lookup_secret: lookup_secret_codes".to_owned()));
    assert_eq!(kim.submit(&flow, &all).await.json()["state"], "success", "confirm");
    let flow = kim.begin("settings", "").await;
    let answer = kim.submit(&flow, &all[..3]).await;
    assert_eq!((answer.messages(), answer.status.as_u16()), (vec![1_990_005], 200), "reveal");
    let answer = kim.submit(&flow, &all[..2]).await;
    assert_eq!(answer.json()["state"], "show_form", "regenerate");
    assert!(answer.nodes().contains(&"lookup_secret: lookup_secret_confirm".to_owned()));
    let flow = kim.begin("settings", "").await;
    let answer = kim.submit(&flow, &all[1..2]).await;
    assert_eq!(answer.json()["state"], "success", "disable");
    assert!(!answer.nodes().contains(&"lookup_secret: lookup_secret_disable".to_owned()));
}

#[tokio::test]
async fn nobody_tests_another_users_password_in_a_session() {
    for kind in KINDS {
        let site = Site::with_password();
        let mut kim = client(&site, kind, "kim").await;
        let flow = kim.begin("login", "?refresh=true").await;
        for password in ["lee-password", "wrong"] {
            let fields = [("method", "password"), ("identifier", "lee"), ("password", password)];
            let answer = kim.submit(&flow, &fields).await;
            match kind {
                Kind::Browser => assert!(answer.location().contains("/self-service/ui/error?id=")),
                _ => assert_eq!(answer.error_id(), "security_identity_mismatch"),
            }
        }
        assert_eq!(site.users.password_checks.load(Ordering::SeqCst), 0, "{kind:?}");
        assert_eq!(kim.get("/account").await.text, "kim");
    }
}

#[tokio::test]
async fn a_place_to_return_to_is_checked_again_when_it_is_used() {
    let store = TestStore::default();
    let shop = "https://shop.example/cart";
    let before = Site::on(store.clone(), |builder| {
        builder.allowed_return_url(ORIGIN).allowed_return_url("https://shop.example/")
    });
    before.enrol("kim").await;
    let mut kim = before.spa("kim").await;
    let login = kim.begin("login", &format!("?aal=aal2&return_to={shop}")).await;
    assert_eq!(login.view["return_to"], shop);
    // The application restarts with a shorter list.
    let after = Site::on(store, |builder| builder);
    let mut kim = Client { cookies: kim.cookies, ..after.stranger(Kind::Spa) };
    let answer = kim.submit(&login, &[("method", "totp"), ("totp_code", &after.code())]).await;
    assert_eq!(answer.json()["continue_with"][0]["redirect_browser_to"], format!("{ORIGIN}/"));

    let kim_before = before.stranger(Kind::Spa);
    let mut kim_before = Client { cookies: kim.cookies.clone(), ..kim_before };
    let settings = kim_before.begin("settings", &format!("?return_to={shop}")).await;
    let mut kim = Client { cookies: kim_before.cookies, ..after.stranger(Kind::Spa) };
    let answer = kim.submit(&settings, &[("totp_unlink", "true")]).await;
    let page = format!("{ORIGIN}/self-service/ui/settings?flow={}", settings.id());
    assert_eq!(answer.json()["continue_with"][0]["redirect_browser_to"], page);
}

#[tokio::test]
async fn entries_of_a_method_do_not_pile_up() {
    let site = Site::with_password();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    for _ in 0..3 {
        let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
        kim.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
        let flow = kim.begin("login", "?refresh=true").await;
        kim.submit(&flow, &[("method", "password"), ("identifier", "kim"), ("password", "kim-password")]).await;
    }
    let session = kim.whoami().await.json();
    let methods: Vec<_> =
        session["authentication_methods"].as_array().unwrap().iter().map(|one| one["method"].clone()).collect();
    assert_eq!(methods.len(), 2, "{methods:?}");
}

#[tokio::test]
async fn an_expired_submit_says_since_when() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    site.clock.advance(Duration::from_secs(3660));
    let body = kim.submit(&flow, &[("method", "totp"), ("totp_code", "123456")]).await.json();
    assert_eq!(body["since"], 60_000_000_000_u64);
    assert_eq!(body["expired_at"], flow.view["expires_at"]);
    assert_eq!(body["error"]["code"], 410);
    let next = kim.read("login", body["use_flow_id"].as_str().unwrap()).await.json();
    let context = &next["ui"]["messages"][1]["context"];
    assert_eq!(context["expired_at"], flow.view["expires_at"]);
    assert!(context["expired_at_unix"].is_i64());
}

/// Ory's Rust crate sends `method` twice, and Ory's reference front end `identifier`.
#[tokio::test]
async fn a_field_that_is_repeated_with_the_same_value_is_taken_once() {
    for kind in KINDS {
        let site = Site::new();
        site.enrol("kim").await;
        let mut kim = client(&site, kind, "kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let (code, csrf) = (site.code(), flow.csrf());
        for (again, passes) in [("lookup_secret", false), ("totp", true)] {
            let (media_type, body) = if kind == Kind::Browser {
                let fields = [("method", "totp"), ("totp_code", &code), ("csrf_token", &csrf), ("method", again)];
                let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                ("application/x-www-form-urlencoded", body)
            } else {
                let fields = format!(r#""method":"totp","totp_code":"{code}","csrf_token":"{csrf}""#);
                ("application/json", format!(r#"{{{fields},"method":"{again}"}}"#))
            };
            let request = kim.request(Method::POST, &flow.action()).header(header::CONTENT_TYPE, media_type);
            let answer = kim.send(request.body(Body::from(body)).unwrap()).await;
            if passes {
                if kind == Kind::Native {
                    kim.keep_token(&answer);
                }
                assert_eq!(kim.whoami().await.status, 200, "{kind:?} {answer:?}");
            } else if kind == Kind::Browser {
                assert!(answer.location().contains(flow.id()), "{answer:?}");
                assert_eq!(kim.read("login", flow.id()).await.messages(), [4_000_001]);
            } else {
                assert_eq!((answer.status.as_u16(), answer.messages()), (400, vec![4_000_001]), "{answer:?}");
            }
        }
    }
}
