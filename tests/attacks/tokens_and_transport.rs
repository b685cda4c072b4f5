//! Sections 2, 4 and 6 of the list of attacks, as far as the layers are concerned.

use std::time::Duration;

use axum::{
    Router,
    routing::{get as route_get, post},
};
use tower_step_up::{CurrentSession, Requirement, RouterExt};

use crate::{
    Target,
    common::{BROWSER, COOKIE, User, query, request, send, split, store::ADDRESS},
    get,
};

fn app(target: &Target) -> Router {
    let calls = target.bank.calls.clone();
    Router::new()
        .route_requiring("/pay", Requirement::aal2(), route_get(move || async move { calls.one() }))
        .route("/public", route_get(async || "public"))
        .layer(target.bank.step_up.layer())
}

#[tokio::test]
async fn two_credentials_fail_closed() {
    let target = Target::new();
    let app = app(&target);
    let (kim, lee) = (target.bank.aal2("kim").await, target.bank.aal2("lee").await);
    for honest in [("cookie", kim.cookie()), ("authorization", kim.bearer()), ("x-session-token", kim.token().into())] {
        target.assert_passed(&get(&app, "/pay", &[(honest.0, &honest.1)]).await);
    }
    let (valid, other) = (kim.cookie(), lee.cookie());
    let garbage = format!("{COOKIE}=garbage");
    for headers in [
        vec![("cookie", format!("{valid}; {other}"))],
        vec![("cookie", format!("{other}; {valid}"))],
        vec![("cookie", format!("{valid}; {garbage}"))],
        vec![("cookie", format!("{garbage}; {valid}"))],
        vec![("cookie", valid.clone()), ("cookie", other.clone())],
        vec![("cookie", garbage.clone()), ("cookie", valid.clone())],
        vec![("cookie", valid.clone()), ("cookie", valid.clone())],
        vec![("cookie", valid.clone()), ("authorization", lee.bearer())],
        vec![("authorization", kim.bearer()), ("authorization", lee.bearer())],
        vec![("x-session-token", kim.token().into()), ("x-session-token", lee.token().into())],
        vec![("x-session-token", kim.token().into()), ("cookie", other.clone())],
        vec![("x-session-token", kim.token().into()), ("cookie", format!("{garbage}; {other}"))],
        vec![("x-session-token", kim.token().into()), ("authorization", lee.bearer())],
        // Read nowhere but where it belongs.
        vec![("authorization", format!("Basic {}", kim.token()))],
        vec![("authorization", kim.token().into())],
        vec![("x-session-token", "wrong".into()), ("cookie", valid.clone())],
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        target.assert_refused(&get(&app, "/pay", &headers).await, 401, "session_inactive");
    }
    for parameter in ["token", "access_token", "session_token", COOKIE] {
        let path = format!("/pay?{parameter}={}", kim.token());
        target.assert_refused(&get(&app, &path, &[]).await, 401, "session_inactive");
    }
    // Also where nothing is refused, it is noticed.
    assert_eq!(get(&app, "/public", &[("cookie", &format!("{valid}; {other}"))]).await.body, "public");
    let audit = target.log.take_audit();
    assert!(audit.len() == 1 && audit[0].contains("ambiguous"), "{audit:?}");
}

#[tokio::test]
async fn tossed_cookie_is_ignored() {
    let target = Target::new();
    let app = app(&target);
    let (kim, thief) = (target.bank.aal2("kim").await, target.bank.aal2("thief").await);
    target.assert_passed(&get(&app, "/pay", &[("cookie", &kim.cookie())]).await);
    let token = thief.token();
    for tossed in [
        format!("step_up_session={token}"),
        format!("__host-step_up_session={token}"),
        format!("%5F%5FHost-step_up_session={token}"),
        format!("\"{COOKIE}\"={token}"),
        format!("{COOKIE} ={token}"),
        format!("{COOKIE}=\"{token}\""),
        format!("{COOKIE}= {token}"),
        format!("__Secure-step_up_session={token}"),
        format!("a={COOKIE}={token}"),
    ] {
        target.assert_refused(&get(&app, "/pay", &[("cookie", &tossed)]).await, 401, "session_inactive");
        // It does not stand in the way of the real one.
        if !tossed.starts_with(&format!("{COOKIE}=")) {
            let both = format!("{tossed}; {}", kim.cookie());
            target.assert_passed(&get(&app, "/pay", &[("cookie", &both)]).await);
        }
    }
}

#[tokio::test]
async fn huge_token_or_cookie_header_is_dropped_early() {
    let target = Target::new();
    let app = app(&target);
    let kim = target.bank.aal2("kim").await;
    let many = format!("{}{}", "cookie=x; ".repeat(500), kim.cookie());
    target.assert_passed(&get(&app, "/pay", &[("cookie", &many)]).await);
    target.bank.store.take_reads();
    let (head, rest) = kim.token().split_once('.').unwrap();
    for token in [
        "x".repeat(1_000_000),
        format!("{head}.{}", "A".repeat(1_000_000)),
        format!("{head}{}", ".".repeat(10_000)),
        format!("{}{rest}", format!("{head}.").repeat(1000)),
        format!("{}{}", kim.token(), "A".repeat(3_800)),
    ] {
        for headers in [
            ("cookie", format!("{COOKIE}={token}")),
            ("authorization", format!("Bearer {token}")),
            ("x-session-token", token.clone()),
        ] {
            target.assert_refused(&get(&app, "/pay", &[(headers.0, &headers.1)]).await, 401, "session_inactive");
        }
    }
    let tossed = format!("{COOKIE}=x; ").repeat(4_000);
    target.assert_refused(&get(&app, "/pay", &[("cookie", &tossed)]).await, 401, "session_inactive");
    assert_eq!(target.bank.store.take_reads(), 0);
}

#[tokio::test]
async fn host_headers_never_build_urls() {
    let target = Target::new();
    let app = app(&target);
    let (bob, kim) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    target.assert_passed(&get(&app, "/pay", &[("cookie", &kim.cookie()), ("host", "bank.example")]).await);
    let evil = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-original-host", "evil.example"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
        ("hx-current-url", "https://evil.example/"),
    ];
    for cookie in [bob.cookie(), String::new()] {
        for (path, accept, hx) in [
            ("/pay", BROWSER, "false"),
            ("/pay", "application/json", "false"),
            ("/pay", "*/*", "true"),
            ("https://evil.example/pay", BROWSER, "false"),
        ] {
            let headers = [&evil[..], &[("cookie", cookie.as_str()), ("accept", accept), ("hx-request", hx)]].concat();
            let answer = send(&app, request("GET", path, &headers)).await;
            assert!(matches!(answer.status.as_u16(), 303 | 401 | 403), "{answer:?}");
            let all = format!("{answer:?}");
            assert!(!all.contains("evil") && !all.contains("http://"), "{all}");
            assert_eq!(target.bank.calls.take(), 0);
        }
    }
    crate::pages::companion_urls_never_come_from_headers(&evil).await;
}

#[tokio::test]
async fn redirect_never_replays_a_post() {
    let target = Target::with(|builder| builder.after_unsafe_url("/payments"));
    let calls = target.bank.calls.clone();
    let pay = move |_: CurrentSession, body: String| async move {
        assert_eq!(body, "to=lee&amount=5");
        calls.one();
    };
    let app = Router::new().route_requiring("/pay", Requirement::aal2(), post(pay)).layer(target.bank.step_up.layer());
    let (bob, kim) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    let pay = async |user: Option<&User>, method: &str| {
        let cookie = user.map(User::cookie).unwrap_or_default();
        let mut request = request(method, "/pay?id=7", &[("cookie", &cookie), ("accept", BROWSER)]);
        *request.body_mut() = "to=lee&amount=5".into();
        send(&app, request).await
    };
    target.assert_passed(&pay(Some(&kim), "POST").await);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for (user, aal) in [(Some(&bob), &[("aal", "aal2")][..]), (None, &[])] {
            let answer = pay(user, method).await;
            // A form sends POST. The other methods are a script's, which must not be led to a page.
            let url = if method == "POST" {
                target.assert_refused(&answer, 303, "");
                answer.header("location")
            } else if user.is_some() {
                target.assert_refused(&answer, 403, "session_aal2_required");
                answer.json()["redirect_browser_to"].as_str().map(str::to_owned)
            } else {
                target.assert_refused(&answer, 401, "session_inactive");
                continue;
            };
            let (_, parameters) = split(&url.unwrap());
            assert_eq!(parameters, query(&[aal, &[("return_to", "https://bank.example/payments")]].concat()));
            assert!(!format!("{answer:?}").contains("amount"));
        }
    }
}

#[tokio::test]
async fn auth_responses_are_never_cached() {
    let target = Target::new();
    let app = Router::new()
        .route_requiring("/pay/{page}", Requirement::aal2(), route_get(async || [("cache-control", "max-age=3600")]))
        .route("/home", route_get(async |_: Option<CurrentSession>| ()))
        .layer(target.bank.step_up.layer());
    let (bob, kim) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    for (cookie, path, status) in [
        (kim.cookie(), "/pay/x.css", 200),
        (bob.cookie(), "/pay/x.css", 403),
        (String::new(), "/pay/x.css", 401),
        (bob.cookie(), "/home", 200),
    ] {
        let answer = get(&app, path, &[("cookie", &cookie)]).await;
        assert_eq!(answer.status, status);
        answer.assert_private();
    }
    crate::pages::companion_answers_are_never_cached().await;
}

/// The layers' part of `store_down_fails_closed`.
pub async fn guards_fail_closed_when_the_store_is_down() {
    let target = Target::new();
    let app = app(&target);
    let kim = target.bank.aal2("kim").await;
    let pay = async || get(&app, "/pay", &[("cookie", &kim.cookie())]).await;
    target.assert_passed(&pay().await);
    target.bank.store.is_down();
    // What was read a moment ago is still good; nothing is, after that.
    target.assert_passed(&pay().await);
    target.bank.clock.advance(Duration::from_secs(1));
    for accept in ["application/json", BROWSER] {
        let answer = send(&app, request("GET", "/pay", &[("cookie", &kim.cookie()), ("accept", accept)])).await;
        assert_eq!((answer.status.as_u16(), answer.error_id().as_str(), target.bank.calls.take()), (503, "", 0));
        assert!(!format!("{answer:?}").contains(ADDRESS));
        let lines = target.log.take();
        assert_eq!(lines.iter().filter(|line| line.contains("ERROR")).count(), 1, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.contains("audit")).count(), 1, "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains(ADDRESS) && !line.contains("hunter2")), "{lines:?}");
    }
    // Who needs no session is served; strangers are told apart without the store.
    assert_eq!(get(&app, "/public", &[("cookie", &kim.cookie())]).await.body, "public");
    target.log.take();
    target.assert_refused(&get(&app, "/pay", &[]).await, 401, "session_inactive");
    target.bank.store.works();
    target.assert_passed(&pay().await);
}

/// The layers' part of `slow_store_times_out`.
pub async fn guards_time_out_when_the_store_is_slow() {
    let limit = Duration::from_secs(3);
    let target = Target::with(|builder| builder.store_timeout(limit));
    let app = app(&target);
    let kim = target.bank.aal2("kim").await;
    target.assert_passed(&get(&app, "/pay", &[("cookie", &kim.cookie())]).await);
    // Only now, since a paused clock runs ahead of a database that is waited for.
    tokio::time::pause();
    target.bank.store.hangs();
    target.bank.clock.advance(Duration::from_secs(1));
    let begun = tokio::time::Instant::now();
    let waiting: Vec<_> = (0..1000)
        .map(|_| {
            let (app, cookie) = (app.clone(), kim.cookie());
            tokio::spawn(async move { get(&app, "/pay", &[("cookie", &cookie)]).await.status.as_u16() })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(get(&app, "/pay", &[]).await.status, 401);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for answer in waiting {
        assert_eq!(answer.await.unwrap(), 503);
    }
    let waited = begun.elapsed();
    assert!(waited >= limit && waited < limit + Duration::from_millis(100), "{waited:?}");
    assert_eq!(target.bank.calls.take(), 0);
    target.log.take();
    target.bank.store.works();
    tokio::time::resume();
    target.assert_passed(&get(&app, "/pay", &[("cookie", &kim.cookie())]).await);
}
