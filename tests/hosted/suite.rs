//! The attacks that applications run on themselves, on one with sessions of its own.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, body::Body, middleware, routing::put};
use http::{Request, Response, header};
use tower::{ServiceExt, service_fn};
use tower_step_up::{
    Aal2, Requirement, SigningKey, StepUp, Subject, error::BuildErrorKind, extract::Fresh, factor::Totp,
    store::MemoryStore, test_util::Attacks,
};

use crate::{client::Browser, host::Hosts, site::Site};

const ROUTES: [(&str, &str); 2] = [("GET", "/pay"), ("POST", "/pay")];

/// The cookies of the login that was last asked for.
type Last = Arc<Mutex<String>>;

fn attacks(site: &Site, app: Router) -> (Attacks<axum::routing::RouterIntoService<Body>>, Last) {
    let last = Last::default();
    let (router, kept) = (site.app.clone(), Arc::clone(&last));
    let attacks = Attacks::new(&site.bank.step_up, app.into_service(), Subject::new("kim").unwrap());
    let attacks = attacks.signing_in(move |subject| {
        let (router, kept) = (router.clone(), Arc::clone(&kept));
        async move {
            let mut browser = Browser::default();
            assert_eq!(browser.post(&router, &format!("/login/{subject}")).await.status, 200);
            let cookie = format!("{}={}", crate::host::COOKIE, browser.host_id());
            kept.lock().unwrap().clone_from(&cookie);
            cookie
        }
    });
    (attacks, last)
}

#[tokio::test]
async fn they_hold_and_let_the_honest_user_in() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let (attacks, last) = attacks(&site, site.app.clone());
        attacks.assert_denied_below(Requirement::aal2(), &ROUTES).await;
        let recent = Requirement::aal2().max_age(Duration::from_secs(300));
        attacks.assert_denied_below(recent, &[("GET", "/recent")]).await;
        attacks.assert_denied_below(Requirement::aal1(), &[("GET", "/me")]).await;
        attacks.assert_denied_below(Requirement::highest_available(), &[("GET", "/highest")]).await;
        attacks.assert_replay_refused(&ROUTES).await;
        attacks.assert_steps_up(&ROUTES).await;
        let app = site.app.clone();
        attacks
            .assert_dead_after(&ROUTES, async |kim| {
                let cookies = format!("{}; {}={}", last.lock().unwrap(), crate::common::COOKIE, kim.token().as_str());
                let request = Request::post("/logout").header(header::COOKIE, cookies).body(Body::empty()).unwrap();
                assert_eq!(app.oneshot(request).await.unwrap().status(), 200);
            })
            .await;
    }
}

async fn set_limit(Fresh(user, Json(limit)): Fresh<Aal2, Json<u64>>) -> String {
    format!("{} {limit}", user.subject())
}

fn with_a_limit(site: &Site) -> Router {
    let layer = crate::host::Layer { records: site.records.clone(), tells: true };
    Router::new()
        .route("/limit", put(set_limit))
        .layer(site.bank.step_up.layer())
        .layer(middleware::from_fn_with_state(layer, crate::host::layer))
}

#[tokio::test]
async fn a_body_that_is_held_back_is_judged_when_it_comes() {
    let site = Site::new();
    let (attacks, _) = attacks(&site, with_a_limit(&site));
    attacks.assert_judged_after_body(&[("PUT", "/limit")], ("application/json", "7"), Body::new).await;
}

/// An application that keeps what was decided once, by the token alone.
#[tokio::test]
#[should_panic(expected = "sessions do not end as they should")]
async fn an_application_that_remembers_for_itself_is_caught() {
    let site = Site::new();
    let seen = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let inner = site.app.clone();
    let app = service_fn(move |request: Request<Body>| {
        let (inner, seen) = (inner.clone(), Arc::clone(&seen));
        async move {
            let cookies = request.headers().get(header::COOKIE).map(|value| value.to_str().unwrap().to_owned());
            let known = cookies.clone().is_some_and(|cookies| seen.lock().unwrap().contains(&cookies));
            if known {
                return Ok::<_, Infallible>(Response::new(Body::from("remembered")));
            }
            let answer = inner.oneshot(request).await?;
            if answer.status() == 200 && cookies.is_some() {
                seen.lock().unwrap().extend(cookies);
            }
            Ok(answer)
        }
    });
    let router = site.app.clone();
    let attacks = Attacks::new(&site.bank.step_up, app, Subject::new("kim").unwrap()).signing_in(move |subject| {
        let router = router.clone();
        async move {
            let mut browser = Browser::default();
            browser.post(&router, &format!("/login/{subject}")).await;
            format!("{}={}", crate::host::COOKIE, browser.host_id())
        }
    });
    attacks.assert_replay_refused(&[("GET", "/pay")]).await;
}

#[tokio::test]
#[should_panic(expected = "say by Attacks::signing_in how somebody signs in there")]
async fn they_must_be_told_how_somebody_signs_in() {
    let site = Site::new();
    let attacks =
        Attacks::new(&site.bank.step_up, site.app.clone().into_service::<Body>(), Subject::new("kim").unwrap());
    attacks.assert_denied_below(Requirement::aal2(), &ROUTES).await;
}

/// What an application is told that wants both.
#[test]
fn devices_are_trusted_only_where_the_sessions_are_ours() {
    let builder = || {
        StepUp::builder("https://bank.example")
            .signing_key(SigningKey::generate("2026-11").unwrap())
            .store(MemoryStore::default())
            .factor(Totp::new("Example Bank"))
            .sessions(Hosts)
    };
    assert!(builder().build().is_ok());
    let error = builder().trusted_devices(Duration::from_secs(86_400)).build().unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Source);
    assert!(error.to_string().contains("trusted_devices needs this crate's own sessions"), "{error}");
}
