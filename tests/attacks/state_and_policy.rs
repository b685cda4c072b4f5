//! Section 1 of the list of attacks: which route asks for what, and what a session has proven.

use std::time::Duration;

use axum::{
    Router,
    routing::{any, get as route_get, post},
};
use tower_step_up::{Aal, Aal2, Clock, Method, Proof, RequireAal, RequireAal2, Requirement, RouterExt};

use crate::{
    Target,
    common::{BROWSER, Calls, User, query, request, send},
    get,
};

const FIVE_MINUTES: Duration = Duration::from_secs(300);
const A_LITTLE_LATER: Duration = Duration::from_secs(301);

/// A handler that counts.
macro_rules! handler {
    ($target:expr) => {{
        let calls: Calls = $target.bank.calls.clone();
        move || async move { calls.one() }
    }};
}

#[tokio::test]
async fn head_and_options_run_the_same_guard() {
    let target = Target::new();
    let app = Router::new()
        .route_requiring("/pay", Requirement::aal2(), route_get(handler!(target)).post(handler!(target)))
        .layer(target.bank.step_up.layer());
    let (aal1, aal2) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    let ask = async |user: &User, method: &str| {
        send(&app, request(method, "/pay", &[("cookie", &user.cookie()), ("accept", "application/json")])).await
    };
    for method in ["GET", "HEAD", "POST"] {
        target.assert_passed(&ask(&aal2, method).await);
    }
    // Who may come in learns that there is no such method. Who may not learns nothing.
    assert_eq!(ask(&aal2, "PATCH").await.status, 405);
    let by_get = ask(&aal1, "GET").await;
    target.assert_refused(&by_get, 403, "session_aal2_required");
    for method in ["HEAD", "POST", "OPTIONS", "PATCH", "TRACE", "PROPFIND"] {
        let answer = ask(&aal1, method).await;
        target.assert_refused(&answer, 403, if method == "HEAD" { "" } else { "session_aal2_required" });
        if method == "HEAD" {
            assert_eq!(answer.headers, by_get.headers);
        }
    }
    let preflight = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    let answer = send(&app, request("OPTIONS", "/pay", &preflight)).await;
    target.assert_refused(&answer, 303, "");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn method_added_after_the_layer_is_guarded() {
    let target = Target::new();
    let (show, pay) = (handler!(target), handler!(target));
    let annotated = Router::new()
        .route_requiring("/pay", Requirement::aal2(), route_get(show.clone()).post(pay.clone()))
        .layer(target.bank.step_up.layer());
    let raw =
        Router::new().route("/pay", route_get(show).layer(RequireAal2).post(pay)).layer(target.bank.step_up.layer());
    let (aal1, aal2) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    let pay = async |app: &Router, user: &User| {
        send(app, request("POST", "/pay", &[("cookie", &user.cookie()), ("accept", "application/json")])).await
    };
    target.assert_passed(&pay(&annotated, &aal2).await);
    target.assert_refused(&pay(&annotated, &aal1).await, 403, "session_aal2_required");
    // Why the helper exists.
    assert_eq!(pay(&raw, &aal1).await.status, 200);
}

#[tokio::test]
async fn missing_or_misplaced_outer_layer_fails_closed() {
    let target = Target::new();
    let layer = || target.bank.step_up.layer();
    let calls = target.bank.calls.clone();
    let proof = move |_: Aal2| async move { calls.one() };
    let routes = || {
        Router::new()
            .route("/guard", route_get(handler!(target)).layer(RequireAal2))
            .route_requiring("/annotated", Requirement::aal1(), route_get(handler!(target)))
            .route("/extractor", route_get(proof.clone()))
    };
    let aal2 = target.bank.aal2("kim").await;
    let cookie = aal2.cookie();
    let paths = ["/guard", "/annotated", "/extractor"];
    let right = routes().layer(layer());
    for path in paths {
        target.assert_passed(&get(&right, path, &[("cookie", &cookie)]).await);
    }
    let swapped = Router::new().route("/guard", route_get(handler!(target)).layer((RequireAal2, layer())));
    let added_later = Router::new().layer(layer()).merge(routes());
    for (app, paths) in [(&routes(), &paths[..]), (&added_later, &paths), (&swapped, &paths[..1])] {
        for path in paths {
            let answer = get(app, path, &[("cookie", &cookie)]).await;
            assert_eq!((answer.status.as_u16(), answer.body.len(), target.bank.calls.take()), (500, 0, 0), "{path}");
        }
    }
    let errors: Vec<_> = target.log.take().into_iter().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(".layer(step_up.layer())"), "{errors:?}");
}

#[tokio::test]
async fn client_markers_never_raise_the_level() {
    let target = Target::new();
    let app = Router::new()
        .route_requiring("/pay", Requirement::aal2(), any(handler!(target)))
        .layer(target.bank.step_up.layer());
    let (aal1, aal2) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    target.assert_passed(&get(&app, "/pay", &[("cookie", &aal2.cookie())]).await);
    let cookie = aal1.cookie();
    let both = format!("{cookie}; aal=aal2; session_aal=aal2");
    for (path, headers) in [
        ("/pay", ("x-session-aal", "aal2")),
        ("/pay", ("x_session_aal", "aal2")),
        ("/pay", ("x-authenticated-aal", "aal2")),
        ("/pay", ("x-middleware-subrequest", "middleware:middleware:middleware")),
        ("/pay", ("user-agent", "kube-probe/1.30")),
        ("/pay", ("x-http-method-override", "OPTIONS")),
        ("/pay", ("x-original-url", "/public")),
        ("/pay", ("x-forwarded-uri", "/public")),
        ("/pay?aal=aal2", ("x-forwarded-for", "127.0.0.1")),
        ("/pay?x=/public", ("forwarded", "for=127.0.0.1")),
        ("/pay?skipVerification=true", ("host", "localhost")),
    ] {
        let answer = get(&app, path, &[("cookie", &both), headers]).await;
        target.assert_refused(&answer, 403, "session_aal2_required");
    }
    let mut posted = request("POST", "/pay", &[("cookie", &cookie), ("content-type", "application/json")]);
    *posted.body_mut() = r#"{"aal":"aal2","skipVerification":true}"#.into();
    target.assert_refused(&send(&app, posted).await, 403, "session_aal2_required");
}

#[tokio::test]
async fn nested_routers_keep_their_requirement() {
    let target = Target::new();
    let guarded = || Router::new().route_requiring("/pay", Requirement::aal2(), route_get(handler!(target)));
    let app = Router::new()
        .nest("/nested/{bank}", guarded())
        .nest_service("/service", guarded())
        .merge(guarded())
        .fallback_service(guarded().fallback_service(route_get(handler!(target)).layer(RequireAal2)))
        .layer(target.bank.step_up.layer());
    let (aal1, aal2) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    for path in ["/nested/7/pay?to=lee", "/service/pay?to=lee", "/pay?to=lee", "/elsewhere?to=lee"] {
        target.assert_passed(&get(&app, path, &[("cookie", &aal2.cookie())]).await);
        target.assert_refused(&get(&app, path, &[("cookie", &aal1.cookie())]).await, 403, "session_aal2_required");
        let answer = send(&app, request("GET", path, &[("cookie", &aal1.cookie()), ("accept", BROWSER)])).await;
        target.assert_refused(&answer, 303, "");
        let whole = format!("https://bank.example{path}");
        assert_eq!(answer.location().1, query(&[("aal", "aal2"), ("return_to", &whole)]));
    }
}

#[tokio::test]
async fn weak_verdict_is_not_reused_for_a_strong_rule() {
    let target = Target::new();
    let app = Router::new()
        .route_requiring("/weak", Requirement::aal1(), route_get(handler!(target)))
        .route_requiring("/strong", Requirement::aal2(), route_get(handler!(target)))
        .route_requiring("/recent", Requirement::aal2().max_age(FIVE_MINUTES), route_get(handler!(target)))
        .layer(target.bank.step_up.layer());
    let (aal1, aal2) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    for path in ["/strong", "/recent"] {
        target.assert_passed(&get(&app, path, &[("cookie", &aal2.cookie())]).await);
    }
    target.bank.clock.advance(A_LITTLE_LATER);
    for _warm in 0..2 {
        target.assert_passed(&get(&app, "/weak", &[("cookie", &aal1.cookie())]).await);
        target.assert_refused(&get(&app, "/strong", &[("cookie", &aal1.cookie())]).await, 403, "session_aal2_required");
        target.assert_passed(&get(&app, "/strong", &[("cookie", &aal2.cookie())]).await);
        target.assert_refused(
            &get(&app, "/recent", &[("cookie", &aal2.cookie())]).await,
            403,
            "session_refresh_required",
        );
    }
    let cookie = aal1.cookie();
    let asked = (0..100).map(|index| {
        let (app, cookie) = (app.clone(), cookie.clone());
        let path = if index % 2 == 0 { "/weak" } else { "/strong" };
        tokio::spawn(async move { (path, get(&app, path, &[("cookie", &cookie)]).await.status.as_u16()) })
    });
    for answer in asked.collect::<Vec<_>>() {
        let (path, status) = answer.await.unwrap();
        assert_eq!(status, if path == "/weak" { 200 } else { 403 });
    }
    assert_eq!(target.bank.calls.take(), 50);
}

#[tokio::test]
async fn combined_requirements_take_the_strictest() {
    let target = Target::new();
    let calls = target.bank.calls.clone();
    let proof = move |_: Aal2| async move { calls.one() };
    let (aal1, recent) = (RequireAal::new(Requirement::aal1()), RequireAal2.max_age(FIVE_MINUTES));
    let app = Router::new()
        .route("/loose-outside", route_get(handler!(target)).layer((aal1.clone(), RequireAal2)))
        .route("/loose-inside", route_get(handler!(target)).layer((RequireAal2, aal1.clone())))
        .route("/proof", route_get(proof).layer(aal1.clone()))
        .route_requiring("/recent", Requirement::aal1(), route_get(handler!(target)).layer(recent.clone()))
        .nest("/all", Router::new().route("/aal1", route_get(handler!(target)).layer(aal1)).layer(recent))
        .route_requiring(
            "/and",
            Requirement::aal2().and(Requirement::aal1().max_age(FIVE_MINUTES)),
            route_get(handler!(target)),
        )
        .layer(target.bank.step_up.layer());
    let (aal1, aal2) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    for path in ["/loose-outside", "/loose-inside", "/proof", "/recent", "/all/aal1", "/and"] {
        target.assert_passed(&get(&app, path, &[("cookie", &aal2.cookie())]).await);
        target.assert_refused(&get(&app, path, &[("cookie", &aal1.cookie())]).await, 403, "session_aal2_required");
    }
    target.bank.clock.advance(A_LITTLE_LATER);
    for path in ["/recent", "/all/aal1", "/and"] {
        target.assert_refused(&get(&app, path, &[("cookie", &aal2.cookie())]).await, 403, "session_refresh_required");
    }
}

#[tokio::test]
async fn max_age_counts_from_the_second_factor() {
    let target = Target::new();
    let app = Router::new()
        .route_requiring("/transfer", Requirement::aal2().max_age(FIVE_MINUTES), post(handler!(target)))
        .layer(target.bank.step_up.layer());
    let kim = target.bank.aal2("kim").await;
    let send = async |path: &str| {
        send(&app, request("POST", path, &[("cookie", &kim.cookie()), ("accept", "application/json")])).await
    };
    target.assert_passed(&send("/transfer").await);
    target.bank.clock.advance(Duration::from_secs(7200));
    for path in ["/transfer", "/transfer?aal=aal1", "/transfer?refresh=false"] {
        target.bank.prove(&kim, Proof::new(Method::Password, Aal::Aal1, target.bank.clock.now())).await;
        let answer = send(path).await;
        target.assert_refused(&answer, 403, "session_refresh_required");
        let url = answer.json()["redirect_browser_to"].as_str().unwrap().to_owned();
        assert!(url.contains("?aal=aal2&refresh=true&"), "{url}");
    }
    let credential = target.bank.enrol(&kim).await;
    let totp = Proof::new(Method::Totp, Aal::Aal2, target.bank.clock.now()).with_credential(credential);
    target.bank.prove(&kim, totp).await;
    target.assert_passed(&send("/transfer").await);
}

#[tokio::test]
async fn user_without_second_factor_is_not_waved_through() {
    let target = Target::new();
    let app = Router::new()
        .route_requiring("/highest", Requirement::highest_available(), route_get(handler!(target)))
        .route_requiring("/pay", Requirement::aal2(), route_get(handler!(target)))
        .route_requiring("/limits", Requirement::aal2(), route_get(handler!(target)))
        .layer(target.bank.step_up.layer());
    let (ann, kim) = (target.bank.without_factor("ann").await, target.bank.aal2("kim").await);
    target.assert_passed(&get(&app, "/pay", &[("cookie", &kim.cookie())]).await);
    target.assert_passed(&get(&app, "/highest", &[("cookie", &ann.cookie())]).await);
    for path in ["/pay", "/limits", "/pay"] {
        let answer = get(&app, path, &[("cookie", &ann.cookie())]).await;
        target.assert_refused(&answer, 403, "session_aal2_required");
        let body = answer.json();
        assert_eq!(body["error"]["details"]["second_factor"], "missing");
        assert!(body["redirect_browser_to"].as_str().unwrap().contains("/self-service/settings/browser"));
    }
}

#[tokio::test]
async fn factor_added_elsewhere_is_seen_at_once() {
    let target = Target::new();
    let app = Router::new()
        .route_requiring("/", Requirement::highest_available(), route_get(handler!(target)))
        .layer(target.bank.step_up.layer());
    let ann = target.bank.without_factor("ann").await;
    for _warm in 0..2 {
        target.assert_passed(&get(&app, "/", &[("cookie", &ann.cookie())]).await);
    }
    target.bank.enrol(&ann).await;
    target.assert_refused(&get(&app, "/", &[("cookie", &ann.cookie())]).await, 403, "session_aal2_required");
}

#[tokio::test]
async fn challenge_tells_strangers_nothing() {
    let target = Target::new();
    let app = Router::new()
        .route_requiring("/aal1", Requirement::aal1(), route_get(handler!(target)))
        .route_requiring("/aal2", Requirement::aal2(), route_get(handler!(target)))
        .route_requiring("/recent", Requirement::aal2().max_age(FIVE_MINUTES), route_get(handler!(target)))
        .layer(target.bank.step_up.layer());
    let kim = target.bank.aal2("kim").await;
    for path in ["/aal1", "/aal2", "/recent"] {
        target.assert_passed(&get(&app, path, &[("cookie", &kim.cookie())]).await);
    }
    let forged = format!("{}x", kim.token());
    let strangers = [
        vec![],
        vec![("cookie", format!("{}={forged}", crate::common::COOKIE))],
        vec![("authorization", format!("Bearer {forged}"))],
        vec![("authorization", "Basic a2ltOnB3".to_owned())],
        vec![("x-session-token", forged)],
    ];
    for accept in ["application/json", BROWSER] {
        for stranger in &strangers {
            let mut seen = vec![];
            for path in ["/aal1", "/aal2", "/recent"] {
                let mut headers: Vec<_> = stranger.iter().map(|(name, value)| (*name, value.as_str())).collect();
                headers.push(("accept", accept));
                let mut answer = send(&app, request("GET", path, &headers)).await;
                let redirected = answer.status == 303;
                target.assert_refused(
                    &answer,
                    if redirected { 303 } else { 401 },
                    if redirected { "" } else { "session_inactive" },
                );
                let all = format!("{answer:?}");
                assert!(!all.contains("acr_values") && !all.contains("aal=") && !all.contains("max_age"), "{all}");
                if redirected {
                    let (page, parameters) = answer.location();
                    assert_eq!(page, "https://bank.example/login");
                    assert_eq!(parameters, query(&[("return_to", &format!("https://bank.example{path}"))]));
                    // It is the request's own, and all that may differ.
                    answer.headers.remove("location");
                }
                seen.push((answer.status, answer.headers, answer.body));
            }
            assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
        }
    }
}
