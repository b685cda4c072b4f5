//! Logout: by URL and token, and by session token.

use axum::http::StatusCode;
use tower_step_up::{Subject, store::Revocation};

use crate::site::{Kind, ORIGIN, Site};

const BEGIN: &str = "/self-service/logout/browser";
const NATIVE: &str = "/self-service/logout/api";

#[tokio::test]
async fn a_browser_logs_out_by_the_url_it_was_given() {
    for kind in [Kind::Browser, Kind::Spa] {
        let site = Site::new();
        let mut client = site.browser("kim").await;
        client.kind = kind;
        let begun = client.get(&format!("{BEGIN}?return_to=/bye")).await.json();
        let url = begun["logout_url"].as_str().unwrap();
        assert!(url.contains(begun["logout_token"].as_str().unwrap()) && url.contains("return_to="));
        let mut old = client.clone();
        let answer = client.get(url).await;
        match kind {
            Kind::Browser => assert_eq!(answer.location(), format!("{ORIGIN}/bye")),
            _ => assert_eq!(answer.status, StatusCode::NO_CONTENT),
        }
        assert_eq!(client.session_cookie(), None);
        assert!(client.cookies.keys().any(|name| name.contains("csrf")), "a new CSRF token");
        old.kind = Kind::Spa;
        assert_eq!(old.get("/account").await.status, StatusCode::UNAUTHORIZED);
        old.kind = kind;
        let again = old.clone().get(url).await;
        assert_eq!((again.status, again.headers.get("location")), (answer.status, answer.headers.get("location")));
        // Only with its own token.
        old.kind = Kind::Spa;
        assert_eq!(old.get("/self-service/logout?token=x").await.error_id(), "session_inactive");
    }
}

/// A link that is older than a step-up ends nothing, and does not say that it did.
#[tokio::test]
async fn a_replaced_session_is_not_said_to_be_over() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    let url = kim.get(BEGIN).await.json()["logout_url"].as_str().unwrap().to_owned();
    let mut old = kim.clone();
    kim.step_up(&site.code()).await;
    assert_eq!(old.get(&url).await.error_id(), "session_inactive");
    assert_eq!(kim.get("/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn nobody_is_logged_out_without_the_right_token() {
    let site = Site::new();
    let mut kim = site.spa("kim").await;
    let lee = site.spa("lee").await.get(BEGIN).await.json();
    let foreign = format!("/self-service/logout?token={}", lee["logout_token"].as_str().unwrap());
    for (path, status) in [
        ("/self-service/logout", 400),
        ("/self-service/logout?token=", 400),
        ("/self-service/logout?token=wrong", 403),
        (foreign.as_str(), 403),
        ("/self-service/logout?token=wrong&return_to=https://evil.example", 400),
    ] {
        assert_eq!(kim.get(path).await.status.as_u16(), status, "{path}");
    }
    assert_eq!(site.stranger(Kind::Spa).get("/self-service/logout?token=x").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.stranger(Kind::Spa).get(BEGIN).await.error_id(), "session_inactive");
    assert_eq!(
        kim.get(&format!("{BEGIN}?return_to=//evil.example")).await.error_id(),
        "self_service_flow_return_to_forbidden"
    );
    assert_eq!(kim.get("/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_logout_token_dies_with_the_rotation_of_its_session() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    let url = kim.get(BEGIN).await.json()["logout_url"].as_str().unwrap().to_owned();
    kim.step_up(&site.code()).await;
    assert_eq!(kim.get(&url).await.status, StatusCode::FORBIDDEN);
    assert_eq!(kim.get("/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_native_client_logs_out_by_its_token() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut native = site.native("kim").await;
    let token = native.token.clone().unwrap();
    let body = |token: &str| serde_json::json!({ "session_token": token }).to_string();
    let mut anybody = site.stranger(Kind::Native);
    for (body, status) in [("", 400), ("[]", 400), ("{}", 403), (body("x").as_str(), 403)] {
        assert_eq!(anybody.delete(NATIVE, body).await.status.as_u16(), status, "{body}");
    }
    native.step_up(&site.code()).await;
    assert_eq!(anybody.delete(NATIVE, &body(&token)).await.status, StatusCode::FORBIDDEN, "rotated away");
    assert_eq!(native.get("/account").await.status, StatusCode::OK);

    let token = native.token.clone().unwrap();
    assert_eq!(anybody.delete(NATIVE, &body(&token)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(native.get("/account").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(anybody.delete(NATIVE, &body(&token)).await.status, StatusCode::NO_CONTENT, "already revoked");

    let other = site.native("kim").await;
    site.step_up
        .revoke(&Subject::new("kim").unwrap(), Revocation::All(tower_step_up::clock::Clock::now(&site.clock)))
        .await
        .unwrap();
    assert_eq!(anybody.delete(NATIVE, &body(other.token.as_deref().unwrap())).await.status, StatusCode::NO_CONTENT);
}
