//! The way up, and what it leaves alone.

use axum::body::Body;
use http::Request;
use tower_step_up::{
    Method, Subject,
    error::ErrorKind,
    source::{Head, HostLook, HostSessions},
};

use crate::{
    client::{Browser, STEP_UP, totp},
    common::{BROWSER, COOKIE, log::Log, send},
    host::Hosts,
    site::Site,
};

#[tokio::test]
async fn the_first_step_up_brings_the_first_cookie_of_ours_and_leaves_the_hosts_session_alone() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let mut kim = site.signed_in("kim").await;
        assert_eq!(site.records.take_writes(), 1, "the note is written with the login");
        site.enrol("kim").await;
        assert_eq!(kim.cookies.len(), 1);
        assert_eq!(kim.get(&site.app, "/me").await.body, "kim");
        let refused = kim.open(&site.app, "/pay").await;
        let begin = refused.header("location").unwrap();
        assert_eq!((refused.status.as_u16(), begin.contains("aal=aal2")), (303, true), "{refused:?}");
        assert_eq!(kim.cookies.len(), 1, "nothing of ours before the flow");

        let (action, csrf) = kim.begin(&site.app, STEP_UP).await;
        assert!(!kim.has_token());
        let before = site.records.get(&kim.host_id()).unwrap();
        let id = kim.host_id();
        let thief = kim.only_of_host();
        let code = site.code();
        let answer = kim.submit(&site.app, &action, &totp(&csrf, &code)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["session"]["authenticator_assurance_level"], "aal2");
        assert!(kim.has_token());
        assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
        assert_eq!(kim.get(&site.app, "/recent").await.status, 200);
        assert_eq!(site.level(&mut kim).await, "aal2");
        assert_eq!((kim.host_id(), site.records.take_writes()), (id.clone(), 0));
        assert_eq!(site.records.get(&id), Some(before));

        // The host's cookie alone, stolen before or after.
        for mut thief in [thief, kim.only_of_host()] {
            assert_eq!(thief.get(&site.app, "/me").await.status, 200);
            assert_eq!(thief.get(&site.app, "/pay").await.status, 403);
        }
        let described = kim.get(&site.app, "/described").await.json();
        assert_eq!(described["authenticator_assurance_level"], "aal2");
        let described = kim.only_of_host().get(&site.app, "/described").await.json();
        assert_eq!(described["authenticator_assurance_level"], "aal1", "whatever the store has");
        // And ours alone.
        let mut thief = kim.clone();
        thief.cookies.remove(crate::host::COOKIE);
        assert_eq!(thief.get(&site.app, "/pay").await.status, 401);
        assert_eq!(thief.get(&site.app, "/me").await.status, 401);
    }
}

#[tokio::test]
async fn a_token_helps_in_no_other_session() {
    let site = Site::new();
    let kim = site.stepped_up("kim").await;
    let lee = site.signed_in("lee").await;
    let other = site.signed_in("kim").await;
    for session in [lee, other] {
        let mut mixed = kim.clone();
        mixed.cookies.extend(session.cookies);
        assert_eq!(mixed.get(&site.app, "/pay").await.status, 403);
        assert_eq!(mixed.get(&site.app, "/me").await.status, 200);
    }
}

#[tokio::test]
async fn two_tokens_are_refused_and_send_nobody_round() {
    let site = Site::new();
    let (kim, lee) = (site.stepped_up("kim").await, site.stepped_up("lee").await);
    let cookies =
        |browser: &Browser| browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    let both = [cookies(&kim), vec![format!("{COOKIE}={}", lee.cookies[COOKIE])]].concat().join("; ");
    for path in ["/me", "/pay"] {
        let request = Request::get(path).header("cookie", &both).header("accept", BROWSER).body(Body::empty()).unwrap();
        let answer = send(&site.app, request).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (401, None), "{path}");
    }
}

#[tokio::test]
async fn a_double_click_and_a_repeat_get_the_same_answer() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let mut kim = site.signed_in("kim").await;
        site.enrol("kim").await;
        let (action, csrf) = kim.begin(&site.app, STEP_UP).await;
        let form = totp(&csrf, &site.code());
        let mut again = kim.clone();
        let first = kim.submit(&site.app, &action, &form).await;
        assert_eq!(first.status, 200);
        let second = again.submit(&site.app, &action, &form).await;
        assert_eq!(second.status, 200, "{second:?}");
        for mut browser in [kim, again] {
            assert_eq!(browser.get(&site.app, "/pay").await.status, 200);
        }
        // The form is of no use to somebody with the host's cookie alone.
        let mut thief = Browser { cookies: site.signed_in("kim").await.cookies };
        assert_ne!(thief.submit(&site.app, &action, &form).await.status, 200);
    }
}

#[tokio::test]
async fn a_session_from_before_has_a_step_up_too() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let mut kim = older(&site);
        site.enrol("kim").await;
        assert_eq!(kim.get(&site.app, "/me").await.status, 200);
        // Two tabs begin at once, before either answer has come.
        let mut tab = kim.clone();
        let (action, csrf) = kim.begin(&site.app, STEP_UP).await;
        let (other, other_csrf) = tab.begin(&site.app, STEP_UP).await;
        let code = site.code();
        assert_eq!(kim.submit(&site.app, &action, &totp(&csrf, &code)).await.status, 200);
        let code = site.code();
        assert_eq!(tab.submit(&site.app, &other, &totp(&other_csrf, &code)).await.status, 200);
        assert_eq!(tab.get(&site.app, "/pay").await.status, 200);
    }
}

/// A browser whose host session is from before this crate was there.
pub fn older(site: &Site) -> Browser {
    let record = crate::host::Record { user: Some("kim".to_owned()), password: "old".to_owned(), ..Default::default() };
    site.records.put("older", record);
    Browser { cookies: [(crate::host::COOKIE.to_owned(), "older".to_owned())].into() }
}

#[tokio::test]
async fn sessions_begin_at_the_hosts_login_alone() {
    let site = Site::new();
    let kim = Subject::new("kim").unwrap();
    let step_up = &site.bank.step_up;
    let error = step_up.sign_in(kim.clone(), Method::Password).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sessions);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("its own login"));
    let proof = tower_step_up::aal::Proof::at_unknown_time(Method::Password, tower_step_up::Aal::Aal1);
    assert_eq!(step_up.sign_in_with(kim, vec![proof]).await.unwrap_err().kind(), ErrorKind::Sessions);
    // And there is nothing to note where the sessions are this crate's.
    let own = crate::common::Bank::new();
    let HostLook::Session(session) = no_session(&site).await else { panic!() };
    assert_eq!(own.step_up.proved_in(&*session, Method::Password).await.unwrap_err().kind(), ErrorKind::Sessions);
    assert_eq!(step_up.proved_in(&*session, Method::Totp).await.unwrap_err().kind(), ErrorKind::Method);
    let mut nobody = Browser::default();
    let led = nobody.open(&site.app, "/self-service/login/browser").await;
    assert_eq!(led.header("location").as_deref(), Some("https://bank.example/login"));
}

async fn no_session(site: &Site) -> HostLook {
    use axum::{Router, middleware, routing::get};
    let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = std::sync::Arc::clone(&seen);
    let app = Router::new()
        .route(
            "/",
            get(async move |request: axum::extract::Request| {
                *keep.lock().unwrap() = Some(Hosts.look(Head::from(&request)));
            }),
        )
        .layer(middleware::from_fn_with_state(
            crate::host::Layer { records: site.records.clone(), tells: true },
            crate::host::layer,
        ));
    Browser::default().get(&app, "/").await;
    seen.lock().unwrap().take().unwrap()
}

#[tokio::test]
async fn the_wrong_order_of_layers_is_an_error_that_says_how_to_mend_it() {
    use axum::{Router, middleware, routing::get};
    let site = Site::new();
    let (log, _guard) = Log::begin();
    let step_up = &site.bank.step_up;
    let layer = crate::host::Layer { records: site.records.clone(), tells: true };
    let app = Router::new()
        .route("/wrong-order", get(async || "pay").layer(tower_step_up::RequireAal2))
        .merge(step_up.router())
        .layer(middleware::from_fn_with_state(layer, crate::host::layer))
        .layer(step_up.layer());
    let mut kim = Browser::default();
    for path in ["/wrong-order", "/sessions/whoami", STEP_UP] {
        assert_eq!(kim.get(&app, path).await.status, 500, "{path}");
    }
    let logged = log.take();
    let told = |line: &String| line.contains("put `.layer(sessions)` after `.layer(step_up.layer())`");
    assert_eq!(logged.iter().filter(|line| told(line)).count(), 3, "{logged:?}");
}

#[tokio::test]
async fn what_was_read_a_moment_ago_is_not_read_again() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        site.enrol("kim").await;
        let (mut kim, mut lee) = (site.signed_in("kim").await, site.stepped_up("lee").await);
        for browser in [&mut kim, &mut lee] {
            assert_eq!(browser.get(&site.app, "/me").await.status, 200);
            site.bank.store.take_calls();
            assert_eq!(browser.get(&site.app, "/me").await.status, 200);
            let pay = browser.get(&site.app, "/pay").await.status;
            assert_eq!(pay, if browser.has_token() { 200 } else { 403 });
            assert_eq!(site.bank.store.take_calls(), Vec::<&str>::new(), "tells: {tells}");
        }
        // That there is no second factor is read anew where it decides.
        let mut sam = site.signed_in("sam").await;
        assert_eq!(sam.get(&site.app, "/highest").await.status, 200);
        site.bank.store.take_calls();
        assert_eq!(sam.get(&site.app, "/highest").await.status, 200);
        assert!(!site.bank.store.take_calls().is_empty());
        // Another process ends what was read here.
        let kims = Subject::new("kim").unwrap();
        assert_eq!(site.step_up(&mut kim).await.status, 200);
        assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
        site.bank.step_up.revoke_all(&kims).await.unwrap();
        assert_eq!(kim.get(&site.app, "/pay").await.status, 403);
    }
}
