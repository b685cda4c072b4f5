//! Routes that ask for a factor that resists phishing.

use std::time::Duration;

use axum::{http::StatusCode, routing::get};
use tower_step_up::{Method, Requirement, RouterExt};
use tower_step_up_webauthn::WebAuthn;

use crate::{
    bank::{add, login_options, send, step_up, value},
    key::{Forgery, SecurityKey},
    site::{Client, Kind, Site},
};

/// A bank with a vault that opens to a key alone, and a door that wants it within a minute.
fn bank() -> Site {
    let site = Site::with(|builder| builder.factor(WebAuthn::new("Example Bank")));
    let strong = Requirement::aal2().phishing_resistant();
    let recent = Requirement::aal2().any_of([Method::WebAuthn]).max_age(Duration::from_secs(60));
    let router = axum::Router::new()
        .route_requiring("/vault", strong, get(async || "vault"))
        .route_requiring("/door", recent, get(async || "door"))
        .layer(site.step_up.layer())
        .merge(site.router.clone());
    Site { router, ..site }
}

/// Somebody with an app and a key.
async fn enrolled(site: &Site) -> SecurityKey {
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.next_code()).await;
    let mut key = SecurityKey::new();
    assert_eq!(add(&mut kim, &mut key, "blue").await.status, StatusCode::OK);
    key
}

#[tokio::test]
async fn a_code_does_not_open_what_asks_for_a_key() {
    let site = bank();
    let mut key = enrolled(&site).await;
    let mut session = site.spa("kim").await;
    session.step_up(&site.next_code()).await;
    assert_eq!(session.get("/payments").await.text, "payments");
    let refused = session.get("/vault").await;
    assert_eq!((refused.status, refused.error_id().as_str()), (StatusCode::FORBIDDEN, "session_refresh_required"));
    let refusal = refused.json();
    assert_eq!(refusal["error"]["details"]["methods"], serde_json::json!(["passkey", "webauthn"]));
    let next = refusal["redirect_browser_to"].as_str().unwrap().to_owned();
    assert!(next.contains("methods=passkey%2Cwebauthn") || next.contains("methods=passkey,webauthn"), "{next}");

    // The form offers the key and nothing else, and takes nothing else.
    let begun = session.get(&next).await;
    let nodes = begun.nodes();
    assert!(nodes.iter().any(|node| node.contains("webauthn_login")), "{nodes:?}");
    assert!(!nodes.iter().any(|node| node.starts_with("totp")), "{nodes:?}");
    let query = next.split_once('?').unwrap().1;
    let flow = session.begin("login", &format!("?{query}")).await;
    let code = site.next_code();
    let by_code = session.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    assert_eq!(by_code.messages(), [4_010_002], "{by_code:?}");
    assert_eq!(session.get("/vault").await.status, StatusCode::FORBIDDEN);
    let flow = session.begin("login", &format!("?{query}")).await;
    let answer = key.get(&login_options(&flow), &Forgery::default());
    assert_eq!(send(&mut session, &flow, &answer).await.status, StatusCode::OK);
    assert_eq!(session.get("/vault").await.text, "vault");
}

#[tokio::test]
async fn a_fresh_code_does_not_renew_the_age_of_a_key() {
    let site = bank();
    let mut key = enrolled(&site).await;
    let mut session = site.spa("kim").await;
    step_up(&mut session, &mut key, "?aal=aal2").await;
    assert_eq!(session.get("/door").await.text, "door");
    site.clock.advance(Duration::from_secs(61));
    let flow = session.begin("login", "?aal=aal2&refresh=true").await;
    let code = site.next_code();
    session.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    assert_eq!(session.get("/door").await.error_id(), "session_refresh_required");
    step_up(&mut session, &mut key, "?aal=aal2&refresh=true").await;
    assert_eq!(session.get("/door").await.text, "door");
}

#[tokio::test]
async fn who_has_no_key_is_led_to_add_one() {
    let site = bank();
    let mut kim = site.browser("kim").await;
    let first = kim.get("/vault").await;
    assert!(first.location().contains("/self-service/"), "{first:?}");
    let mut spa = Client { kind: Kind::Spa, ..kim.clone() };
    let mut key = SecurityKey::new();
    assert_eq!(add(&mut spa, &mut key, "blue").await.status, StatusCode::OK);
    assert_eq!(spa.get("/vault").await.text, "vault", "adding it was a proof");

    // With an app, the way to the settings goes through the app.
    site.enrol("lee").await;
    let mut lee = site.spa("lee").await;
    lee.step_up(&site.next_code()).await;
    let refused = lee.get("/vault").await.json();
    assert_eq!(refused["error"]["details"]["second_factor"], "missing", "{refused}");
    let mut key = SecurityKey::new();
    assert_eq!(add(&mut lee, &mut key, "green").await.status, StatusCode::OK);
    step_up(&mut lee, &mut key, "?aal=aal2&refresh=true").await;
    assert_eq!(lee.get("/vault").await.text, "vault");
}

#[tokio::test]
async fn a_key_that_is_removed_closes_what_it_opened() {
    let site = bank();
    let mut key = enrolled(&site).await;
    let mut session = site.spa("kim").await;
    step_up(&mut session, &mut key, "?aal=aal2").await;
    let mut other = session.clone();
    assert_eq!(other.get("/vault").await.text, "vault");
    let settings = session.begin("settings", "").await;
    let id = value(&settings, "webauthn_remove");
    assert_eq!(session.submit(&settings, &[("webauthn_remove", &id)]).await.status, StatusCode::OK);
    assert_eq!(session.get("/vault").await.status, StatusCode::FORBIDDEN);
    assert_ne!(other.get("/vault").await.status, StatusCode::OK);
}
