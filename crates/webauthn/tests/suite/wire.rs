//! What Ory's clients see: wire-factors.md, sections 1.2 to 1.7.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tower_step_up_webauthn::{UserVerification, WebAuthn};

use crate::{
    bank::{add, bank, bank_with, login_options, registration_options, send},
    key::{Forgery, SecurityKey},
    site::{Kind, Site},
};

async fn added(site: &Site) -> SecurityKey {
    let mut key = SecurityKey::new();
    add(&mut site.spa("kim").await, &mut key, "blue").await;
    key
}

/// A node without what is new each time.
fn fixed(mut node: Value) -> Value {
    let attributes = node["attributes"].as_object_mut().unwrap();
    for (name, value) in attributes.iter_mut() {
        let text = value.as_str().unwrap_or_default();
        if text.starts_with('{') || text.contains("({") {
            *value = json!("OPTIONS");
        } else if ["integrity", "nonce"].contains(&name.as_str()) {
            *value = json!("NEW");
        }
    }
    node
}

#[tokio::test]
async fn a_login_has_the_nodes_of_the_contract() {
    let site = bank();
    added(&site).await;
    let mut session = site.spa("kim").await;
    for query in ["?aal=aal2", "?aal=aal2&refresh=true"] {
        let flow = session.begin("login", query).await;
        let nodes = flow.view["ui"]["nodes"].as_array().unwrap().clone();
        let nodes: Vec<_> = nodes.into_iter().skip(1).map(fixed).collect();
        assert_eq!(
            json!(nodes),
            json!([
                {"type": "input", "group": "default", "messages": [], "meta": {}, "attributes":
                    {"node_type": "input", "name": "identifier", "type": "hidden", "value": "kim", "disabled": false}},
                {"type": "input", "group": "webauthn", "messages": [], "meta": {}, "attributes":
                    {"node_type": "input", "name": "webauthn_login", "type": "hidden", "value": "", "disabled": false}},
                {"type": "script", "group": "webauthn", "messages": [], "meta": {}, "attributes":
                    {"node_type": "script", "id": "webauthn_script", "async": true, "crossorigin": "anonymous",
                     "src": "https://bank.example/.well-known/ory/webauthn.js", "integrity": "NEW", "nonce": "NEW",
                     "referrerpolicy": "no-referrer", "type": "text/javascript"}},
                {"type": "input", "group": "webauthn", "messages": [],
                 "meta": {"label": {"id": 1_010_008, "type": "info", "text": "Use your security key"}}, "attributes":
                    {"node_type": "input", "name": "webauthn_login_trigger", "type": "button", "value": "OPTIONS",
                     "disabled": false, "onclick": "OPTIONS", "onclickTrigger": "oryWebAuthnLogin"}},
            ]),
            "{query}"
        );
        let options = login_options(&flow);
        let trigger = nodes_named(&flow.view, "webauthn_login_trigger");
        assert_eq!(trigger["attributes"]["onclick"], format!("window.oryWebAuthnLogin({options})"));
    }
}

fn nodes_named(view: &Value, name: &str) -> Value {
    let nodes = view["ui"]["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["attributes"]["name"] == name).unwrap().clone()
}

#[tokio::test]
async fn options_have_the_shape_of_the_contract() {
    for (policy, name, timeout) in
        [(UserVerification::Discouraged, "discouraged", 120_000), (UserVerification::Preferred, "preferred", 300_000)]
    {
        let site = bank_with(WebAuthn::new("Example Bank").user_verification(policy));
        let mut kim = site.spa("kim").await;
        let settings = kim.begin("settings", "").await;
        let mut options: Value = serde_json::from_str(&registration_options(&settings)).unwrap();
        let public_key = options["publicKey"].as_object_mut().unwrap();
        for random in ["challenge", "user"] {
            let value = if random == "user" { public_key["user"]["id"].clone() } else { public_key[random].clone() };
            assert_eq!(value.as_str().unwrap().len(), 43, "32 bytes in base64url");
        }
        public_key["user"]["id"] = json!("HANDLE");
        public_key["challenge"] = json!("CHALLENGE");
        let parameters = public_key.remove("pubKeyCredParams").unwrap();
        assert_eq!(parameters[0], json!({"type": "public-key", "alg": -7}));
        assert_eq!(
            json!(public_key),
            json!({
                "rp": {"name": "Example Bank", "id": "bank.example"},
                "user": {"name": "kim", "displayName": "kim", "id": "HANDLE"},
                "challenge": "CHALLENGE", "timeout": timeout, "attestation": "none",
                "authenticatorSelection":
                    {"residentKey": "discouraged", "requireResidentKey": false, "userVerification": name},
            })
        );
        added(&site).await;
        let mut session = site.spa("kim").await;
        let flow = session.begin("login", "?aal=aal2").await;
        let mut options: Value = serde_json::from_str(&login_options(&flow)).unwrap();
        let allowed = options["publicKey"]["allowCredentials"].take();
        assert_eq!((allowed.as_array().unwrap().len(), &allowed[0]["type"]), (1, &json!("public-key")));
        options["publicKey"]["challenge"] = json!("CHALLENGE");
        assert_eq!(
            options["publicKey"],
            json!({"challenge": "CHALLENGE", "timeout": timeout, "rpId": "bank.example", "allowCredentials": null,
                   "userVerification": name})
        );
    }
}

#[tokio::test]
async fn a_login_without_an_answer_says_so() {
    let site = bank();
    let mut key = added(&site).await;
    let mut session = site.spa("kim").await;
    for answer in ["", "{", "[]", r#"{"id": 1}"#] {
        let flow = session.begin("login", "?aal=aal2").await;
        let refused = session.submit(&flow, &[("method", "webauthn"), ("webauthn_login", answer)]).await;
        assert_eq!((refused.status, refused.messages()), (StatusCode::BAD_REQUEST, vec![4_000_001]), "{answer}");
        // Nothing was looked at, so the challenge is still good.
        let answer = key.get(&login_options(&flow), &Forgery::default());
        let passed = send(&mut site.spa("kim").await, &flow, &answer).await;
        assert_eq!(passed.status, StatusCode::FORBIDDEN, "another session");
    }
    site.enrol("lee").await;
    let mut lee = site.spa("lee").await;
    let flow = lee.begin("login", "?aal=aal2").await;
    let answer = key.get(r#"{"publicKey": {"challenge": "AA"}}"#, &Forgery::default());
    assert_eq!(send(&mut lee, &flow, &answer).await.messages(), [4_000_013]);
}

#[tokio::test]
async fn what_elements_sends_besides_is_ignored() {
    let site = bank();
    let mut key = added(&site).await;
    let mut session = site.browser("kim").await;
    let flow = session.begin("login", "?aal=aal2").await;
    let options = login_options(&flow);
    let answer = key.get(&options, &Forgery::default());
    let fields =
        [("identifier", "kim"), ("webauthn_login", answer.as_str()), ("webauthn_login_trigger", options.as_str())];
    assert_eq!(session.submit(&flow, &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(crate::bank::level(&mut session).await, "aal2");
}

#[tokio::test]
async fn settings_say_what_is_wrong_with_a_new_key() {
    let site = bank();
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("settings", "").await;
    let answer = SecurityKey::new().create(&registration_options(&flow), &Forgery::default());
    let long = "x".repeat(256);
    for (name, node, id) in
        [("", 4_000_002, 0), ("  ", 4_000_002, 0), (long.as_str(), 4_000_001, 0), ("a\nb", 4_000_001, 0)]
    {
        let refused = crate::bank::register(&mut kim, &flow, name, &answer).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.node_messages("webauthn_register_displayname"), [node], "{name:?} {id}");
    }
    for (fields, id) in [
        (vec![("webauthn_register_displayname", "blue"), ("webauthn_register", "{")], 4_000_001),
        (vec![("method", "webauthn")], 4_010_004),
        (vec![("method", "webauthn"), ("webauthn_register_displayname", "blue")], 4_010_004),
        (vec![("webauthn_remove", "00")], 4_000_001),
        (vec![("webauthn_remove", "x\u{0}y")], 4_000_001),
    ] {
        let refused = kim.submit(&flow, &fields).await;
        assert_eq!((refused.status, refused.messages()), (StatusCode::BAD_REQUEST, vec![id]), "{fields:?}");
    }
    // None of this used the challenge up.
    let saved = crate::bank::register(&mut kim, &flow, "blue", &answer).await;
    assert_eq!((saved.status, saved.messages()), (StatusCode::OK, vec![1_050_001]), "{saved:?}");
    assert_eq!(
        saved.nodes().into_iter().filter(|node| node.starts_with("webauthn")).collect::<Vec<_>>(),
        [
            "webauthn: webauthn_remove",
            "webauthn: webauthn_register_displayname",
            "webauthn: webauthn_register",
            "webauthn: webauthn_register_trigger",
            "webauthn: webauthn_script",
        ]
    );
}

#[tokio::test]
async fn a_native_app_is_not_offered_keys() {
    let site = bank();
    added(&site).await;
    let mut app = site.native("kim").await;
    let flow = app.begin("login", "?aal=aal2").await;
    assert!(flow.nodes().is_empty(), "{}", flow.view);
    assert_eq!(flow.messages(), [1_010_004, 1_990_002]);
    let refused = app.submit(&flow, &[("method", "webauthn"), ("webauthn_login", "{}")]).await;
    assert_eq!((refused.status, refused.messages()), (StatusCode::BAD_REQUEST, vec![4_010_002]), "{refused:?}");
    let mut app = site.native("lee").await;
    let flow = app.begin("settings", "").await;
    assert!(!flow.nodes().iter().any(|node| node.contains("webauthn")), "{:?}", flow.nodes());
    let refused = app.submit(&flow, &[("webauthn_register", "{}"), ("webauthn_register_displayname", "x")]).await;
    assert_eq!((refused.status, refused.messages()), (StatusCode::BAD_REQUEST, vec![4_010_004]), "{refused:?}");
    assert_eq!(Kind::Native, app.kind);
}
