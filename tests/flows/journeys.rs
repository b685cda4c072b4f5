//! Ways through several endpoints: what one leads to is what the next takes.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;
use tower_step_up::store::AttemptPolicy;

use crate::site::{Client, KINDS, Kind, ORIGIN, Site};

async fn client(site: &Site, kind: Kind, name: &str) -> Client {
    match kind {
        Kind::Browser => site.browser(name).await,
        Kind::Spa => site.spa(name).await,
        Kind::Native => site.native(name).await,
    }
}

/// Makes recovery codes in a session that may do so.
async fn recovery_codes(client: &mut Client) -> Vec<String> {
    let flow = client.begin("settings", "").await;
    let shown = client.submit(&flow, &[("lookup_secret_regenerate", "true")]).await;
    let secrets = shown.node("lookup_secret_codes")["attributes"]["text"]["context"]["secrets"].clone();
    let answer = client.submit(&flow, &[("lookup_secret_confirm", "true")]).await;
    client.keep_token(&answer);
    let code = |text: &Value| text["context"]["secret"].as_str().unwrap().to_owned();
    secrets.as_array().unwrap().iter().map(code).collect()
}

async fn use_code(client: &mut Client, code: &str) -> StatusCode {
    let flow = client.begin("login", "?aal=aal2&refresh=true").await;
    let answer = client.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret", code)]).await;
    if answer.status == StatusCode::OK {
        client.keep_token(&answer);
    }
    answer.status
}

#[tokio::test]
async fn the_strict_gate_knows_every_second_factor() {
    for (totp, codes, used_up) in
        [(true, false, false), (false, true, false), (true, true, false), (false, true, true), (true, true, true)]
    {
        let site = Site::new();
        let mut kim = site.native("kim").await;
        if codes {
            let secrets = recovery_codes(&mut kim).await;
            for secret in secrets.iter().filter(|_| used_up) {
                assert_eq!(use_code(&mut kim, secret).await, StatusCode::OK);
            }
        }
        if totp {
            site.enrol("kim").await;
        }
        let case = format!("totp {totp}, codes {codes}, used up {used_up}");
        let mut aal1 = site.native("kim").await;
        for path in ["/sessions/whoami", "/sessions", "/self-service/settings/api"] {
            assert_eq!(aal1.get(path).await.error_id(), "session_aal2_required", "{case}: {path}");
        }
        if totp {
            assert_eq!(aal1.step_up(&site.code()).await.status, StatusCode::OK);
            for path in ["/sessions/whoami", "/sessions", "/self-service/settings/api"] {
                assert_eq!(aal1.get(path).await.status, StatusCode::OK, "{case}: {path}");
            }
        }
    }
}

#[tokio::test]
async fn the_way_to_the_settings_survives_the_second_factor() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.browser("kim").await;
    let refused = kim.get("/self-service/settings/browser?return_to=/pay").await;
    let login = refused.location().strip_prefix(&format!("{ORIGIN}/self-service/login/browser")).unwrap().to_owned();
    let flow = kim.begin("login", &login).await;
    let passed = kim.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
    let back = passed.location().to_owned();
    assert_eq!(back, format!("{ORIGIN}/self-service/settings/browser?return_to=/pay"), "as it was asked for");
    let settings =
        kim.begin("settings", back.strip_prefix(&format!("{ORIGIN}/self-service/settings/browser")).unwrap()).await;
    let saved = kim.submit(&settings, &[("totp_unlink", "true")]).await;
    assert_eq!(saved.location(), format!("{ORIGIN}/pay"));
}

#[tokio::test]
async fn a_lost_authenticator_is_replaced_with_a_recovery_code() {
    for kind in [Kind::Spa, Kind::Native] {
        let site = Site::new();
        site.enrol("kim").await;
        let mut kim = client(&site, kind, "kim").await;
        kim.step_up(&site.code()).await;
        let codes = recovery_codes(&mut kim).await;

        let mut later = client(&site, kind, "kim").await;
        assert_eq!(use_code(&mut later, &codes[0]).await, StatusCode::OK);
        assert_eq!(use_code(&mut later, &codes[1]).await, StatusCode::OK, "a second one, by refresh");
        // The second factor that is left keeps the level.
        let flow = kim.begin("settings", "").await;
        let answer = kim.submit(&flow, &[("lookup_secret_disable", "true")]).await;
        kim.keep_token(&answer);
        assert_eq!(kim.whoami().await.json()["authenticator_assurance_level"], "aal2");
        assert_eq!(later.whoami().await.error_id(), "session_aal2_required", "its proof is gone");
    }
}

#[tokio::test]
async fn an_expired_first_login_begins_anew() {
    for kind in KINDS {
        let site = Site::with_password();
        let mut bob = site.stranger(kind);
        let flow = bob.begin("login", "?return_to=/pay").await;
        site.clock.advance(Duration::from_secs(3600));
        let fields = [("method", "password"), ("identifier", "bob"), ("password", "bob-password")];
        let answer = bob.submit(&flow, &fields).await;
        let id = match kind {
            Kind::Browser => answer.location().rsplit_once("flow=").unwrap().1.to_owned(),
            _ => answer.json()["use_flow_id"].as_str().unwrap().to_owned(),
        };
        let next = bob.read("login", &id).await;
        assert_eq!(next.messages(), [4_010_001], "{kind:?}");
        for key in ["requested_aal", "refresh", "return_to", "type"] {
            assert_eq!(next.json()[key], flow.view[key], "{key}");
        }
        assert_eq!(next.json()["requested_aal"], "aal1");
    }
}

#[tokio::test]
async fn a_flow_for_the_first_factor_takes_no_second_one() {
    let site = Site::with_password();
    site.enrol("kim").await;
    for kind in [Kind::Spa, Kind::Native] {
        let mut kim = client(&site, kind, "kim").await;
        let flow = kim.begin("login", "?refresh=true").await;
        let code = site.next_code();
        for fields in [
            [("method", "totp"), ("totp_code", code.as_str())],
            [("method", "lookup_secret"), ("lookup_secret", "ABCD")],
        ] {
            assert_eq!(kim.submit(&flow, &fields).await.messages(), [4_010_002], "{fields:?}");
        }
        assert_eq!(kim.step_up(&code).await.status, StatusCode::OK, "the code was not used up");
    }
}

#[tokio::test]
async fn wrong_codes_count_for_the_user_and_the_factor_wherever_they_come_from() {
    let policy = AttemptPolicy { free: 3, ..AttemptPolicy::default() };
    let site = Site::with(|builder| builder.attempts(policy));
    site.enrol("kim").await;
    let mut first = site.native("kim").await;
    first.step_up(&site.code()).await;
    let codes = recovery_codes(&mut first).await;
    for _ in 0..3 {
        let mut other = site.native("kim").await;
        assert_eq!(other.step_up("000000").await.messages(), [4_000_008]);
    }
    let mut another = site.spa("kim").await;
    assert!(another.step_up(&site.code()).await.is_locked());
    assert_eq!(use_code(&mut another, &codes[0]).await, StatusCode::OK, "the other factor is open");
    site.enrol("lee").await;
    assert_eq!(site.native("lee").await.step_up(&site.code()).await.status, StatusCode::OK, "and so are other users");
}
