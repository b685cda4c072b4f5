//! Section 1 of the list of attacks: which route asks for what, and what a session has proven.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    routing::{any, get as route_get, post},
};
use tower_step_up::{
    Aal, Aal2, Method, RequireAal, RequireAal2, Requirement, RouterExt,
    aal::{CredentialId, Proof},
    clock::Clock,
    test_util::{Attacks, mint},
};

use crate::{
    Target,
    common::{self, BROWSER, Calls, User, query, request, send},
    get,
    site::Client,
    world::{World, as_program, assert_error},
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
    target.assert_refused(&answer, 401, "session_inactive");
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
    // Why the helper exists, and how to find such a route: the walk passes over the one and names the other.
    assert_eq!(pay(&raw, &aal1).await.status, 200);
    let routes = [("GET", "/pay"), ("HEAD", "/pay"), ("POST", "/pay")];
    let attacks = |app: Router| {
        let subject = tower_step_up::Subject::new("walker").unwrap();
        Attacks::new(&target.bank.step_up, app.into_service::<Body>(), subject)
    };
    attacks(annotated).assert_denied_below(Requirement::aal2(), &routes).await;
    let raw = attacks(raw);
    let walk = tokio::spawn(async move { raw.assert_denied_below(Requirement::aal2(), &routes).await });
    let panic = walk.await.unwrap_err().into_panic();
    let named: Vec<_> = panic.downcast_ref::<String>().unwrap().lines().skip(1).collect();
    assert_eq!(named[0], "POST /pay with no session: 200 OK, should refuse");
    assert!(named.contains(&"POST /pay with one factor, by cookie: 200 OK, should refuse"));
    assert!(named.iter().all(|line| line.starts_with("POST /pay")), "{named:#?}");
}

/// How the walk sees routes that are not what they seem.
#[tokio::test]
async fn the_walk_is_not_deceived() {
    let target = Target::new();
    let app = Router::new()
        .route("/own", route_get(async || axum::http::StatusCode::FORBIDDEN))
        .route("/public", route_get(async || "open"))
        .layer(target.bank.step_up.layer())
        .into_service::<Body>();
    for route in [("GET", "/own"), ("GET", "/public"), ("GET", "/misspelt"), ("POST", "/public")] {
        let subject = tower_step_up::Subject::new("walker").unwrap();
        let attacks = Attacks::new(&target.bank.step_up, app.clone(), subject);
        let walk = tokio::spawn(async move { attacks.assert_denied_below(Requirement::aal1(), &[route]).await });
        assert!(walk.await.unwrap_err().is_panic(), "{route:?}");
    }
}

#[tokio::test]
async fn every_guarded_route_refuses_aal1() {
    for world in World::on_every_store(|builder| builder) {
        let site = &world.a;
        // A flow from before the factor was there, so that reading and submitting can be tried as well.
        let mut thief = site.spa("kim").await;
        let flow = thief.begin("settings", "").await;
        site.enrol("kim").await;
        let settings = format!("/self-service/settings?flow={}", flow.id());
        let read = format!("/self-service/settings/flows?id={}", flow.id());
        let routes = [
            ("GET", "/payments"),
            ("HEAD", "/payments"),
            ("GET", "/transfer"),
            ("HEAD", "/transfer"),
            ("POST", "/transfer"),
            ("GET", "/limits"),
            ("GET", "/sessions/whoami"),
            ("POST", "/sessions/whoami"),
            ("DELETE", "/sessions/whoami"),
            ("HEAD", "/sessions/whoami"),
            ("GET", "/sessions"),
            ("HEAD", "/sessions"),
            ("GET", "/self-service/settings/browser"),
            ("GET", "/self-service/settings/api"),
        ];
        let app = site.router.clone().into_service::<Body>();
        let walker = Attacks::new(&site.step_up, app, tower_step_up::Subject::new("walker").unwrap());
        let (payments, others) = routes.split_at(5);
        walker.assert_denied_below(Requirement::aal2(), payments).await;
        walker.assert_denied_below(Requirement::highest_available(), others).await;
        site.calls.store(0, std::sync::atomic::Ordering::SeqCst);

        let mut kim = site.spa("kim").await;
        assert_eq!(kim.step_up(&site.code()).await.status, 200);
        let calls = || site.calls.swap(0, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(calls(), 0);
        let before = world.known("kim").await;
        let cookies =
            thief.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        for (method, path) in routes.into_iter().chain([("GET", read.as_str()), ("POST", settings.as_str())]) {
            let request = axum::http::Request::builder().method(method).uri(path).header("cookie", &cookies);
            let request = request.header("accept", "application/json").header("content-type", "application/json");
            let answer = send(&site.router, request.body(common::Untouchable).unwrap()).await;
            assert_eq!((answer.status.as_u16(), calls()), (403, 0), "{method} {path}");
            assert_eq!(answer.header("ory-error-id").as_deref(), Some("session_aal2_required"), "{method} {path}");
            assert_eq!(answer.header("set-cookie"), None);
            assert_eq!(answer.header("x-kratos-authenticated-identity-id"), None);
            // The honest twin, except where the flow is another session's, the method is none, or nothing is a form.
            if path.contains("flow") || method == "PUT" {
                continue;
            }
            let status = as_program(&kim)
                .send(kim.request(method.parse().unwrap(), path).body(Body::empty()).unwrap())
                .await
                .status;
            assert_eq!(status, 200, "{method} {path}");
            calls();
        }
        assert_eq!(world.known("kim").await.credentials, before.credentials);
        // To begin the step-up runs nothing of what was asked for.
        let login = thief.begin("login", "?aal=aal2&return_to=/transfer").await;
        assert_eq!(calls(), 0);
        assert_eq!(thief.totp(&login, &world.next_code()).await.status, 200);
        assert_eq!(calls(), 0);
        assert!(thief.opens(site, "/transfer").await);
    }
}

/// There is no table of paths that could disagree with the router: a requirement stands on the route itself (SECURITY.md).
#[tokio::test]
async fn path_variants_never_dodge_the_policy() {
    let target = Target::new();
    let app = Router::new()
        .route_requiring("/pay", Requirement::aal2(), any(handler!(target)))
        .route_requiring("/x/{id}/pay", Requirement::aal2(), any(handler!(target)))
        .layer(target.bank.step_up.layer());
    let (aal1, aal2) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    for path in ["/pay", "/x/7/pay"] {
        target.assert_passed(&get(&app, path, &[("cookie", &aal2.cookie())]).await);
        target.assert_refused(&get(&app, path, &[("cookie", &aal1.cookie())]).await, 403, "session_aal2_required");
    }
    let mut paths: Vec<String> = [
        "/pay/",
        "/PAY",
        "//pay",
        "/./pay",
        "/x/../pay",
        "/%70ay",
        "/pay%2F",
        "/pay;x=1",
        "/pay%00",
        "/pay%20",
        "/pay?",
        "/pay.",
        "/pay/.",
        "/pay%2e",
        "/%2e/pay",
        "/x%2f..%2fpay",
        "/x/%2e%2e/pay",
        "/x//pay",
        "/x/7/pay/",
        "/x/%2f/pay",
        "/pay%23",
        "/pay%3f",
    ]
    .map(str::to_owned)
    .into();
    // Every way to write one character of it otherwise.
    for place in 1..4 {
        for byte in ["%70", "%50", "%C1%B0", "%00", ";", "%u0070"] {
            let mut path = "/pay".to_owned();
            path.replace_range(place..=place, byte);
            paths.push(path);
        }
    }
    for path in &paths {
        if path.parse::<axum::http::Uri>().is_err() {
            continue;
        }
        let answer = get(&app, path, &[("cookie", &aal1.cookie())]).await;
        let ran = target.bank.calls.take();
        assert!(matches!(answer.status.as_u16(), 403 | 404) && ran == 0, "{path}: {answer:?}");
        target.log.take();
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// No path reaches the handler at aal1, whatever it is made of.
    #[test]
    fn no_path_reaches_the_handler_below_the_level(path in "/(x|pay|PAY|%70|%2F|/|\\.|;|%00|%25|[a-z%.;/]){0,8}(pay)?/?") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let target = Target::in_memory();
            let app = Router::new()
                .route_requiring("/pay", Requirement::aal2(), any(handler!(target)))
                .route_requiring("/x/{*rest}", Requirement::aal2(), any(handler!(target)))
                .layer(target.bank.step_up.layer());
            let aal1 = target.bank.aal1("bob").await;
            if path.parse::<axum::http::Uri>().is_ok() {
                let answer = get(&app, &path, &[("cookie", &aal1.cookie())]).await;
                assert!(matches!(answer.status.as_u16(), 403 | 404), "{answer:?}");
            }
            assert_eq!(target.bank.calls.take(), 0);
        });
    }
}

/// As above: guarded routes in place of a table.
#[tokio::test]
async fn query_and_headers_never_pick_the_policy() {
    let target = Target::new();
    let app = Router::new()
        .route("/public", any(async || "public"))
        .route_requiring("/pay", Requirement::aal2(), any(handler!(target)))
        .layer(target.bank.step_up.layer());
    let (aal1, aal2) = (target.bank.aal1("bob").await, target.bank.aal2("kim").await);
    for path in ["/pay", "/pay?x=/public", "/pay?/public", "/pay?x=%23/public", "/pay?%2e%2e/public"] {
        for header in [
            ("x-none", ""),
            ("host", "bank.example/public?"),
            ("host", "public"),
            ("x-forwarded-uri", "/public"),
            ("x-forwarded-path", "/public"),
            ("x-original-uri", "/public"),
            ("x-original-url", "/public"),
            ("x-rewrite-url", "/public"),
            ("x-forwarded-method", "OPTIONS"),
            ("x-original-method", "OPTIONS"),
            ("x-http-method-override", "GET"),
            ("x-http-method", "OPTIONS"),
            ("x-method-override", "OPTIONS"),
        ] {
            target.assert_passed(&get(&app, path, &[("cookie", &aal2.cookie()), header]).await);
            for method in ["GET", "POST", "OPTIONS"] {
                let headers =
                    [("cookie", aal1.cookie()), ("accept", "application/json".into()), (header.0, header.1.into())];
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let answer = send(&app, request(method, path, &headers)).await;
                target.assert_refused(&answer, 403, "session_aal2_required");
            }
        }
    }
    for path in ["/pay%23/public", "/pay%3fx=/public", "/public/../pay", "/public%2f..%2fpay"] {
        let answer = get(&app, path, &[("cookie", &aal1.cookie())]).await;
        assert_eq!((answer.status.as_u16(), target.bank.calls.take()), (404, 0), "{path}");
    }
    // An absolute form is routed by its path, and its host is not ours to believe.
    let answer = get(&app, "https://evil.example/pay", &[("cookie", &aal1.cookie())]).await;
    target.assert_refused(&answer, 403, "session_aal2_required");
}

#[tokio::test]
async fn level_is_computed_from_typed_proofs() {
    let target = Target::new();
    let app = Router::new()
        .route("/account", route_get(async |_: tower_step_up::CurrentSession| "account"))
        .route_requiring("/pay", Requirement::aal2(), route_get(handler!(target)))
        .layer(target.bank.step_up.layer());
    let now = target.bank.clock.now();
    let proof = |method: Method, aal: Aal| Proof::new(method, aal, now);
    let step_up = &target.bank.step_up;
    let totp = || proof(Method::Totp, Aal::Aal2).with_credential(CredentialId::random());
    let minted = async |name: &str, proofs: Vec<Proof>| {
        User(mint(step_up, tower_step_up::Subject::new(name).unwrap(), proofs).await.unwrap())
    };
    let honest = minted("kim", vec![proof(Method::Password, Aal::Aal1), totp()]).await;
    target.assert_passed(&get(&app, "/pay", &[("cookie", &honest.cookie())]).await);
    for (name, proofs) in [
        ("lone", vec![totp()]),
        ("twice", vec![totp(), totp()]),
        ("passwords", vec![proof(Method::Password, Aal::Aal1), proof(Method::Password, Aal::Aal1)]),
        ("firsts", vec![proof(Method::Password, Aal::Aal1), proof(Method::Oidc, Aal::Aal1)]),
        // A link and a code that both went to one mailbox are one channel.
        ("mail", vec![proof(Method::LinkRecovery, Aal::Aal1), proof(Method::CodeRecovery, Aal::Aal1)]),
        ("mailed", vec![proof(Method::CodeRecovery, Aal::Aal1), proof(Method::Code, Aal::Aal1)]),
        // A proof of a credential that is not the subject's.
        (
            "foreign",
            vec![
                proof(Method::Password, Aal::Aal1),
                proof(Method::Password, Aal::Aal1).with_credential(CredentialId::random()),
            ],
        ),
    ] {
        let user = minted(name, proofs).await;
        target.bank.enrol(&user).await;
        let account = get(&app, "/account", &[("cookie", &user.cookie())]).await;
        assert!(matches!(account.status.as_u16(), 200 | 401), "{name}: {account:?}");
        target.log.take();
        let answer = get(&app, "/pay", &[("cookie", &user.cookie())]).await;
        assert!(matches!(answer.status.as_u16(), 401 | 403), "{name}: {answer:?}");
        assert_eq!(target.bank.calls.take(), 0);
        target.log.take();
    }
    // Levels are two; every other text is none, in a claim, a stored row, a configuration or a query.
    for text in ["aal10", "AAL2 ", "AAL2", "aal3", "", "aal", "2", "aal2\0"] {
        assert!(serde_json::from_str::<Aal>(&format!("\"{text}\"")).is_err(), "{text:?}");
    }
    let world = World::new();
    world.a.enrol("kim").await;
    for client in [&mut world.a.spa("kim").await, &mut world.a.native("kim").await] {
        let endpoint = if client.token.is_some() { "api" } else { "browser" };
        for level in ["aal3", "aal0", "aal10", "aal2%20", "2", "aal1,aal2", "aal1&aal=aal2"] {
            let answer = client.get(&format!("/self-service/login/{endpoint}?aal={level}")).await;
            assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (400, ""), "{level}");
        }
        client.assert_aal1(&world.a).await;
    }
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
    assert_eq!(errors.len(), paths.len(), "each route once: {errors:?}");
    for (error, path) in errors.iter().zip(paths) {
        assert!(error.contains(".layer(step_up.layer())") && error.contains(path), "{errors:?}");
    }

    // The companion router: without the layer, and under that of another.
    let (own, other) = (World::new(), World::new());
    own.a.enrol("kim").await;
    let mut kim = own.a.spa("kim").await;
    assert_eq!(kim.step_up(&own.a.code()).await.status, 200);
    let companion = || own.a.step_up.router();
    let added_later = Router::new().layer(own.a.step_up.layer()).merge(companion());
    for router in [companion(), companion().layer(other.a.step_up.layer()), added_later] {
        for path in
            ["/sessions/whoami", "/self-service/login/browser?aal=aal2", "/self-service/settings/browser", "/sessions"]
        {
            assert!(kim.get(path).await.status != 500, "the honest twin");
            let mut lost = kim.clone();
            lost.router = router.clone();
            let answer = lost.get(path).await;
            assert_eq!(answer.status, 500, "{path}");
            assert!(!answer.text.contains("kim") && answer.headers.get("set-cookie").is_none(), "{answer:?}");
        }
    }
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

    // By the companion router: the password is proven anew, the second factor is not.
    for world in World::on_every_store(|builder| builder.factor(tower_step_up::factor::Password::default())) {
        let site = &world.a;
        site.enrol("kim").await;
        let mut kim = site.spa("kim").await;
        assert_eq!(kim.step_up(&site.code()).await.status, 200);
        assert!(kim.opens(site, "/transfer").await);
        world.advance(A_LITTLE_LATER);
        for query in ["?refresh=true", "?refresh=true&aal=aal1"] {
            let flow = kim.begin("login", query).await;
            let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
            assert_eq!(kim.submit(&flow, &fields).await.status, 200);
            assert!(kim.pays(site).await && !kim.opens(site, "/transfer").await);
            assert_error(&kim.get("/transfer").await, 403, "session_refresh_required");
        }
        let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
        assert_eq!(kim.totp(&flow, &site.code()).await.status, 200);
        assert!(kim.opens(site, "/transfer").await);
    }
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

    // The same where another node binds the factor, on a guard and on what the companion router gates.
    let world = World::new();
    let guarded = Router::new()
        .route_requiring("/", Requirement::highest_available(), route_get(handler!(target)))
        .layer(world.b.step_up.layer());
    let mut bob = world.a.native("bob").await;
    let mut there = world.b.native("bob").await;
    let mut at_guard = Client { router: guarded, ..there.clone() };
    for _warm in 0..2 {
        assert_eq!(at_guard.get("/").await.status, 200);
        assert_eq!(there.whoami().await.status, 200);
    }
    assert_eq!(target.bank.calls.take(), 2);
    bob.enrol_totp(&world.a).await;
    for _ in 0..2 {
        let answer = at_guard.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (403, "session_aal2_required"));
        let answer = there.whoami().await;
        assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (403, "session_aal2_required"));
    }
    assert_eq!(target.bank.calls.take(), 0);
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
