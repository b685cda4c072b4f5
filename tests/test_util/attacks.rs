//! Each attack of `test_util` finds the hole that it is for, and leaves a sound application alone.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method as HttpMethod, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use bytes::Bytes;
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_step_up::{
    Aal, Aal2, CurrentSession, Method, RequireAal, RequireAal2, Requirement, RouterExt, SessionContext, SigningKey,
    StepUp, StepUpBuilder, Subject,
    directory::{Directory, DirectoryFuture, Identity},
    extract::Fresh,
    factor::{LookupSecrets, Totp},
    store::SubjectStore,
    test_util::Attacks,
};

use crate::common::store::TestStore;

const KEY: Requirement = Requirement::aal2().phishing_resistant();
const RECENT: Requirement = Requirement::aal2().max_age(Duration::from_secs(300));
const PAY: [(&str, &str); 2] = [("GET", "/pay"), ("POST", "/pay")];

fn step_up_on(store: &TestStore) -> StepUp {
    configured(store, |builder| builder)
}

fn configured(store: &TestStore, configure: impl Fn(StepUpBuilder) -> StepUpBuilder) -> StepUp {
    let builder = StepUp::builder("https://bank.example")
        .signing_key(SigningKey::generate("2026-11").unwrap())
        .store(store.clone())
        .factor(Totp::new("Example Bank"))
        .factor(LookupSecrets::default());
    configure(builder).build().unwrap()
}

fn step_up() -> StepUp {
    step_up_on(&TestStore::default())
}

fn alice() -> Subject {
    Subject::new("alice").unwrap()
}

/// An application with the companion router and the layer.
fn app(step_up: &StepUp, routes: Router) -> Attacks<axum::routing::RouterIntoService<Body>> {
    let app = routes.merge(step_up.router()).layer(step_up.layer());
    Attacks::new(step_up, app.into_service(), alice())
}

fn guarded(requirement: Requirement) -> Router {
    Router::new().route_requiring("/pay", requirement, get(async || "form").post(async || "sent"))
}

/// What the attack complains of, line by line after the headline; nothing if it is content.
async fn complaints(attack: impl Future<Output = ()>) -> Vec<String> {
    let mut attack = pin!(attack);
    let text = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| attack.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(String::new()),
        Err(panic) => Poll::Ready(panic.downcast_ref::<String>().expect("a text").clone()),
    })
    .await;
    text.lines().skip(1).map(str::to_owned).collect()
}

/// Who was let in, of lines that all are about this route.
#[track_caller]
fn who(complaints: &[String], route: &str) -> BTreeSet<String> {
    let name = |line: &String| {
        let rest = line.strip_prefix(route).and_then(|rest| rest.strip_prefix(" with "));
        let rest = rest.unwrap_or_else(|| panic!("not about {route}: {line}"));
        rest.split([',', ':']).next().unwrap().to_owned()
    };
    complaints.iter().map(name).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test]
async fn a_sound_application_holds() {
    for requirement in [Requirement::aal1(), Requirement::highest_available(), Requirement::aal2(), RECENT] {
        let step_up = step_up();
        let attacks = app(&step_up, guarded(requirement));
        attacks.assert_denied_below(requirement, &PAY).await;
        attacks.assert_replay_refused(&PAY).await;
        if requirement != Requirement::aal1() {
            attacks.assert_steps_up(&PAY).await;
        }
    }
    // Where methods are named.
    let push = Method::custom("push").unwrap();
    for (requirement, totp) in [
        (KEY, false),
        (KEY.max_age(Duration::from_secs(300)), false),
        (RECENT.any_of([Method::Totp]), true),
        (RECENT.any_of([Method::LookupSecret, push]), false),
        (Requirement::aal2().any_of([push]), false),
        (Requirement::aal2().any_of([Method::Oidc]), false),
        (Requirement::highest_available().any_of([Method::Totp, Method::WebAuthn]), true),
        (Requirement::aal1().any_of([Method::Passkey]), false),
    ] {
        let step_up = step_up();
        let attacks = app(&step_up, guarded(requirement));
        attacks.assert_denied_below(requirement, &PAY).await;
        if totp {
            attacks.assert_steps_up(&PAY).await;
        }
    }
    // Where the second factor lapses, and every request reads the store.
    let strict = |builder: StepUpBuilder| {
        builder.standing_max_age(Duration::ZERO).second_factor_lifespan(Duration::from_secs(60))
    };
    let step_up = configured(&TestStore::default(), strict);
    let attacks = app(&step_up, guarded(RECENT));
    attacks.assert_denied_below(RECENT, &PAY).await;
    attacks.assert_steps_up(&PAY).await;
}

#[tokio::test]
async fn the_walk_names_a_method_that_was_added_after_the_layer() {
    let step_up = step_up();
    let attacks = app(&step_up, Router::new().route("/pay", get(async || "").layer(RequireAal2).post(async || "sent")));
    let complaints = complaints(attacks.assert_denied_below(Requirement::aal2(), &PAY)).await;
    assert_eq!(complaints[0], "POST /pay with no session: 200 OK, should refuse");
    assert!(complaints.contains(&"POST /pay with one factor, by X-Session-Token: 200 OK, should refuse".to_owned()));
    let all = set([
        "no session",
        "one factor and no second enrolled",
        "a second factor that was removed",
        "one factor",
        "a second factor that was replaced",
        "a session that has expired",
        "a forged session",
    ]);
    assert_eq!(who(&complaints, "POST /pay"), all);
}

#[tokio::test]
async fn the_walk_names_a_route_that_takes_any_method() {
    let key = RECENT.phishing_resistant();
    let step_up = step_up();
    let complaints = complaints(app(&step_up, guarded(RECENT)).assert_denied_below(key, &PAY[..1])).await;
    let weak = ["a second factor by another method", "a fresh proof by another method beside one that is too old"];
    let of_get: Vec<_> = complaints.into_iter().filter(|line| line.starts_with("GET ")).collect();
    assert_eq!(who(&of_get, "GET /pay"), set(weak));
}

#[tokio::test]
async fn the_walk_tells_weaker_requirements_apart() {
    let short_of = async |guard: Router, requirement| {
        let step_up = step_up();
        let complaints = complaints(app(&step_up, guard).assert_denied_below(requirement, &[("POST", "/pay")])).await;
        let posted: Vec<_> = complaints.into_iter().filter(|line| line.starts_with("POST")).collect();
        who(&posted, "POST /pay")
    };
    // Nobody is asked for a factor that they do not have.
    let none_enrolled = set(["one factor and no second enrolled", "a second factor that was removed"]);
    let (old, renewed) = ("proofs that are too old", "a fresh password and a second factor that is too old");
    assert_eq!(short_of(guarded(Requirement::highest_available()), Requirement::aal2()).await, none_enrolled);
    assert_eq!(short_of(guarded(Requirement::aal2()), RECENT).await, set([old, renewed]));
    let longer = Requirement::aal2().max_age(Duration::from_secs(302));
    assert_eq!(short_of(guarded(longer), RECENT).await, set([old, renewed]));
    // The password's age in place of the second factor's.
    let mixed = RequireAal::new(Requirement::aal1().max_age(Duration::from_secs(300)));
    let mixed = Router::new().route("/pay", post(async || "sent")).layer(mixed).layer(RequireAal2);
    assert_eq!(short_of(mixed, RECENT).await, set([renewed]));
    assert_eq!(short_of(guarded(RECENT), RECENT).await, set([]));
}

/// A guard of the application's own, which looks at what the session has proven and not at what still counts.
async fn own_guard(request: Request, next: Next) -> Response {
    let context = SessionContext::of(request.extensions()).unwrap();
    let session = context.session().await.unwrap();
    let proven = session.is_some_and(|session| session.proofs().iter().any(|proof| proof.aal() == Aal::Aal2));
    if proven { next.run(request).await } else { RequireAal2Refusal.into_response() }
}

/// An answer that looks like a guard's.
struct RequireAal2Refusal;

impl IntoResponse for RequireAal2Refusal {
    fn into_response(self) -> Response {
        (StatusCode::FORBIDDEN, [("ory-error-id", "session_aal2_required")]).into_response()
    }
}

#[tokio::test]
async fn the_walk_finds_guards_that_believe_too_much() {
    let step_up = step_up();
    let routes = Router::new().route("/pay", post(async || "sent")).layer(from_fn(own_guard));
    let found = complaints(app(&step_up, routes).assert_denied_below(Requirement::aal2(), &[("POST", "/pay")])).await;
    assert_eq!(
        who(&found, "POST /pay"),
        set(["a second factor that was removed", "a second factor that was replaced"])
    );

    // A token is there, so it will be good.
    let believes = async |headers: HeaderMap| {
        if headers.contains_key("x-session-token") {
            "sent".into_response()
        } else {
            RequireAal2Refusal.into_response()
        }
    };
    let routes = Router::new().route("/pay", post(believes));
    let found = complaints(app(&step_up, routes).assert_denied_below(Requirement::aal2(), &[("POST", "/pay")])).await;
    let of_post: Vec<_> = found.iter().filter(|line| line.contains("200 OK")).cloned().collect();
    assert!(of_post.iter().all(|line| line.ends_with("by X-Session-Token: 200 OK, should refuse")), "{found:#?}");
    assert!(who(&of_post, "POST /pay").is_superset(&set(["a forged session", "a session that has expired"])));
}

#[tokio::test]
async fn the_walk_tries_methods_that_nobody_named() {
    for open in ["HEAD", "OPTIONS", "UNKNOWN"] {
        let step_up = step_up();
        // A guard that is only around some methods.
        let choose = move |request: Request, next: Next| async move {
            if request.method().as_str() == open { "handled".into_response() } else { next.run(request).await }
        };
        let routes = Router::new().route("/pay", any(async || "handled").layer(RequireAal2)).layer(from_fn(choose));
        let attacks = app(&step_up, routes);
        let found = complaints(attacks.assert_denied_below(Requirement::aal2(), &PAY)).await;
        assert_eq!(found[0], format!("{open} /pay with no session: 200 OK, should refuse"));
        assert!(found.iter().all(|line| line.starts_with(open)), "{found:#?}");
    }
}

#[tokio::test]
async fn routers_that_know_no_other_method_and_cors_layers_are_no_holes() {
    let step_up = step_up();
    let cors = async |request: Request, next: Next| {
        if request.method() != HttpMethod::OPTIONS {
            return next.run(request).await;
        }
        ([(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"))], "").into_response()
    };
    let routes = Router::new().route("/pay", get(async || "form").layer(RequireAal2)).layer(from_fn(cors));
    app(&step_up, routes).assert_denied_below(Requirement::aal2(), &[("GET", "/pay")]).await;

    // The proof in the signature: the router itself answers what it does not know.
    let routes = Router::new().route("/pay", get(async |_: tower_step_up::Aal2| "form"));
    let attacks = app(&step_up, routes);
    attacks.assert_denied_below(Requirement::aal2(), &[("GET", "/pay")]).await;
    let named = [("GET", "/pay"), ("POST", "/pay")];
    let found = complaints(attacks.assert_denied_below(Requirement::aal2(), &named)).await;
    assert_eq!(found[0], "POST /pay with no session: 405 Method Not Allowed, should refuse", "a misspelling");
}

#[tokio::test]
async fn an_application_that_lets_nobody_in_is_found_out() {
    let step_up = step_up();
    let nobody = Router::new().route("/pay", get(async || RequireAal2Refusal));
    for (routes, complaint) in [
        (nobody, "403 Forbidden session_aal2_required"),
        (Router::new().fallback(async || StatusCode::NOT_FOUND).layer(RequireAal2), "404 Not Found"),
        (guarded(Requirement::aal2()).route("/other", get(async || "")), ""),
    ] {
        let attacks = Attacks::new(&step_up, routes.layer(step_up.layer()).into_service::<Body>(), alice());
        let found = complaints(attacks.assert_denied_below(Requirement::aal2(), &[("GET", "/pay")])).await;
        let honest = "GET /pay with two factors, proven just now, by cookie";
        let expected = (!complaint.is_empty()).then(|| format!("{honest}: {complaint}, should let in"));
        assert_eq!(found.last(), expected.as_ref());
    }

    // Without its layer, with the layer of another, and with no routes.
    let found = complaints(
        Attacks::new(&step_up, guarded(RECENT).into_service::<Body>(), alice()).assert_denied_below(RECENT, &PAY),
    )
    .await;
    assert_eq!(found[0], "GET /pay with no session: 500 Internal Server Error, should refuse");
    let misplaced = guarded(RECENT).layer(self::step_up().layer()).into_service::<Body>();
    let found = complaints(Attacks::new(&step_up, misplaced, alice()).assert_denied_below(RECENT, &PAY)).await;
    let honest = "with two factors, proven just now, by cookie: 401 Unauthorized session_inactive, should let in";
    assert_eq!(found, PAY.map(|(method, path)| format!("{method} {path} {honest}")));
}

/// Knows nobody, so every session is refused, whatever its level.
struct Nobody;

impl Directory for Nobody {
    fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async { Ok(None) })
    }
}

#[tokio::test]
async fn a_subject_whom_the_application_does_not_know_proves_nothing() {
    let step_up = configured(&TestStore::default(), |builder| builder.directory(Nobody));
    let attacks = app(&step_up, guarded(Requirement::aal2()));
    let found = complaints(attacks.assert_denied_below(Requirement::aal2(), &[("GET", "/pay")])).await;
    let honest =
        "GET /pay with two factors, proven just now, by cookie: 401 Unauthorized session_inactive, should let in";
    assert_eq!(found, [honest]);
}

#[tokio::test]
async fn the_subject_has_afterwards_what_it_had_before() {
    let store = TestStore::default();
    let step_up = step_up_on(&store);
    step_up.import_totp(&alice(), "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").await.unwrap();
    step_up.import_lookup_secrets(&alice(), &["ABCD-EFGH-IJKL-MNOP"]).await.unwrap();
    let before = store.credentials(&alice()).await.unwrap();
    assert_eq!(before.len(), 2);
    let attacks = app(&step_up, guarded(RECENT));
    attacks.assert_denied_below(RECENT, &PAY).await;
    attacks.assert_replay_refused(&PAY).await;
    attacks.assert_dead_after(&PAY, async |alice| step_up.sign_out(alice.session()).await.unwrap()).await;
    attacks.assert_steps_up(&PAY).await;
    assert_eq!(store.credentials(&alice()).await.unwrap(), before);
}

type Known = Arc<Mutex<BTreeSet<String>>>;

/// Spares whoever came in once the guard the next time, by what `key` makes of the request.
async fn remembers(known: Known, key: Option<String>, request: Request, next: Next) -> Response {
    let Some(key) = key else { return next.run(request).await };
    if known.lock().unwrap().contains(&key) {
        return "let in, as last time".into_response();
    }
    let response = next.run(request).await;
    if response.status().is_success() {
        known.lock().unwrap().insert(key);
    }
    response
}

async fn remembers_cookies(State(known): State<Known>, request: Request, next: Next) -> Response {
    let key = request.headers().get(header::COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned());
    remembers(known, key, request, next).await
}

async fn remembers_users(State(known): State<Known>, request: Request, next: Next) -> Response {
    let context = SessionContext::of(request.extensions()).unwrap();
    let key = context.session().await.unwrap().map(|session| session.subject().to_string());
    remembers(known, key, request, next).await
}

#[tokio::test]
async fn replay_finds_an_application_that_remembers_cookies() {
    let step_up = step_up();
    let routes = guarded(RECENT).layer(from_fn_with_state(Known::default(), remembers_cookies));
    let found = complaints(app(&step_up, routes).assert_replay_refused(&[("POST", "/pay")])).await;
    let ended = [
        "a session from before the password was renewed",
        "a session that was signed out",
        "a session that was revoked",
        "a session that was revoked from another",
        "a session whose user had all sessions revoked",
    ];
    assert_eq!(found, ended.map(|who| format!("POST /pay with {who}, by cookie: 200 OK, should be dead")));
}

#[tokio::test]
async fn a_logout_that_only_takes_the_cookie_away_is_found() {
    let step_up = step_up();
    let log_out = |ends: bool| {
        async move |State(step_up): State<StepUp>, session: CurrentSession| {
            if ends {
                step_up.sign_out(session.session()).await.unwrap();
            }
            [(header::SET_COOKIE, step_up.removal_cookie().unwrap())]
        }
    };
    for ends in [true, false] {
        let routes =
            guarded(RECENT).merge(Router::new().route("/logout", post(log_out(ends))).with_state(step_up.clone()));
        let attacks = app(&step_up, routes.clone());
        let service = routes.layer(step_up.layer());
        let found = complaints(attacks.assert_dead_after(&[("GET", "/pay")], async |alice| {
            let cookie = alice.cookie().to_str().unwrap().split(';').next().unwrap().to_owned();
            let request = Request::post("/logout").header(header::COOKIE, cookie).body(Body::empty()).unwrap();
            let answer = service.oneshot(request).await.unwrap();
            assert!(answer.status().is_success() && answer.headers().contains_key(header::SET_COOKIE));
        }))
        .await;
        let ways = ["cookie", "X-Session-Token", "Authorization: Bearer"];
        let alive = ways.map(|way| format!("GET /pay with a session that was ended, by {way}: 200 OK, should be dead"));
        assert_eq!(found, if ends { vec![] } else { alive.to_vec() });
    }
}

#[tokio::test]
async fn a_step_up_that_opens_too_much_is_found() {
    let step_up_ = step_up();
    let routes = guarded(RECENT).layer(from_fn_with_state(Known::default(), remembers_users));
    let found = complaints(app(&step_up_, routes).assert_steps_up(&[("POST", "/pay")])).await;
    let used =
        "POST /pay with one factor and a code that was used, by X-Session-Token: 200 OK, should ask for a second";
    assert_eq!(found[0], used);

    // A store that lets codes be used again.
    let store = TestStore::default();
    let step_up = step_up_on(&store);
    store.edits(|completion| completion.consume = None);
    let found = complaints(app(&step_up, guarded(RECENT)).assert_steps_up(&PAY)).await;
    assert!(found[0].contains("with a code that was used: 200 OK, should refuse"), "{found:#?}");
    store.edits(|_| ());
    app(&step_up, guarded(RECENT)).assert_steps_up(&PAY).await;
}

#[tokio::test]
async fn a_step_up_that_does_not_work_is_found() {
    // No companion router.
    let step_up = step_up();
    let alone = guarded(RECENT).layer(step_up.layer()).into_service::<Body>();
    let found = complaints(Attacks::new(&step_up, alone, alice()).assert_steps_up(&PAY)).await;
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("GET /self-service/login/api?aal=aal2: 404 Not Found, expected a login flow"));
    assert!(found[1].starts_with("GET /self-service/login/browser?aal=aal2"), "{found:#?}");

    // Cookies get lost on the way out.
    let loses = async |request: Request, next: Next| {
        let mut response = next.run(request).await;
        response.headers_mut().remove(header::SET_COOKIE);
        response
    };
    let found = complaints(
        Attacks::new(
            &step_up,
            guarded(RECENT).merge(step_up.router()).layer(step_up.layer()).layer(from_fn(loses)).into_service::<Body>(),
            alice(),
        )
        .assert_steps_up(&PAY),
    )
    .await;
    assert!(matches!(&found[..], [line] if line.ends_with("(by cookie)")), "{found:#?}");

    // A page that forgets where the browser was.
    let forgets = async |request: Request, next: Next| {
        let mut response = next.run(request).await;
        if let Some(place) = response.headers().get(header::LOCATION).and_then(|place| place.to_str().ok()) {
            let place = place.split("&return_to").next().unwrap().to_owned();
            response.headers_mut().insert(header::LOCATION, place.parse().unwrap());
        }
        response
    };
    let app = guarded(RECENT).merge(step_up.router()).layer(step_up.layer()).layer(from_fn(forgets));
    let found = complaints(Attacks::new(&step_up, app.into_service::<Body>(), alice()).assert_steps_up(&PAY)).await;
    let back = "GET /pay in a browser: the step-up returns to \"https://bank.example/\", should return to that page";
    assert_eq!(found, [back]);

    // A route that asks for one factor only.
    let found = complaints(self::app(&step_up, guarded(Requirement::aal1())).assert_steps_up(&[("GET", "/pay")])).await;
    assert_eq!(found[0], "GET /pay with one factor, by X-Session-Token: 200 OK, should ask for a second");
}

#[tokio::test]
async fn an_application_below_a_path_is_attacked_there() {
    let step_up = StepUp::builder("https://bank.example/app")
        .signing_key(SigningKey::generate("2026-11").unwrap())
        .store(TestStore::default())
        .factor(Totp::new("Example Bank"))
        .build()
        .unwrap();
    let app = Router::new().nest("/app", guarded(RECENT).merge(step_up.router())).layer(step_up.layer());
    let attacks = Attacks::new(&step_up, app.into_service::<Body>(), alice());
    let routes = [("GET", "/app/pay"), ("POST", "/app/pay")];
    attacks.assert_denied_below(RECENT, &routes).await;
    attacks.assert_steps_up(&routes).await;
}

/// A service without axum, whose body is a text: guarded rightly, and with a guard that is not there.
#[tokio::test]
async fn a_plain_tower_service_is_attacked_as_well() {
    let step_up = step_up();
    let pay = || {
        service_fn(async |_: http::Request<String>| Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::default())))
    };
    let sound = ServiceBuilder::new().layer(step_up.layer()).layer(RequireAal2).service(pay());
    let attacks = Attacks::new(&step_up, sound, alice());
    attacks.assert_denied_below(Requirement::aal2(), &PAY).await;
    attacks.assert_replay_refused(&PAY).await;
    let open = ServiceBuilder::new().layer(step_up.layer()).service(pay());
    let found = complaints(Attacks::new(&step_up, open, alice()).assert_denied_below(Requirement::aal2(), &PAY)).await;
    assert!(who(&found[..1], "GET /pay").contains("no session"), "{found:?}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_application_on_a_database_holds() {
    let store = tower_step_up::store::SqlStore::connect("sqlite::memory:").await.unwrap();
    let step_up = StepUp::builder("https://bank.example")
        .signing_key(SigningKey::generate("2026-11").unwrap())
        .store(store)
        .factor(Totp::new("Example Bank"))
        .build()
        .unwrap();
    let attacks = app(&step_up, guarded(RECENT));
    attacks.assert_denied_below(RECENT, &PAY).await;
    attacks.assert_replay_refused(&PAY).await;
    attacks.assert_steps_up(&PAY).await;
}

#[tokio::test]
async fn a_factor_must_be_there_to_step_up() {
    let step_up = StepUp::builder("https://bank.example")
        .signing_key(SigningKey::generate("2026-11").unwrap())
        .store(TestStore::default())
        .factor(LookupSecrets::default())
        .build()
        .unwrap();
    let attacks = app(&step_up, guarded(RECENT));
    attacks.assert_denied_below(RECENT, &PAY).await;
    let mut attack = pin!(attacks.assert_steps_up(&PAY));
    let panicked = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| attack.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(false),
        Err(_) => Poll::Ready(true),
    });
    assert!(panicked.await);
    assert!(step_up.sign_in(alice(), Method::Password).await.is_ok());
}

async fn set_limit(user: Aal2, Json(limit): Json<u64>) -> String {
    format!("{} {limit}", user.subject())
}

async fn set_limit_freshly(Fresh(user, Json(limit)): Fresh<Aal2, Json<u64>>) -> String {
    format!("{} {limit}", user.subject())
}

#[tokio::test]
async fn a_held_body_names_routes_that_are_judged_at_the_head() {
    let step_up = step_up();
    let unread = async |user: Aal2, _: Body| user.subject().to_string();
    let routes = Router::new()
        .route("/fresh", post(set_limit_freshly))
        .route("/head", post(set_limit))
        .route("/guard", post(async |_: Json<u64>| "set").layer(RequireAal2))
        .route("/unread", post(unread));
    let attacks = app(&step_up, routes);
    let sent = ("application/json", "7");
    attacks.assert_judged_after_body(&[("POST", "/fresh")], sent, Body::new).await;
    for path in ["/head", "/guard"] {
        let complaints = complaints(attacks.assert_judged_after_body(&[("POST", path)], sent, Body::new)).await;
        let ways = ["by cookie", "by X-Session-Token", "by Authorization: Bearer"];
        let expected = ways.map(|way| {
            format!("POST {path} with a session that was revoked before its body came, {way}: 200 OK, should be dead")
        });
        assert_eq!(complaints, expected);
    }
    let complaints = complaints(attacks.assert_judged_after_body(&[("POST", "/unread")], sent, Body::new)).await;
    assert_eq!(
        complaints[0],
        "POST /unread with a body that is held back, by cookie: 200 OK, should wait for its body"
    );
    assert_eq!(complaints.len(), 3);
}

#[tokio::test]
async fn a_held_body_names_routes_that_refuse_the_honest_user() {
    let step_up = step_up();
    let attacks = app(&step_up, Router::new().route("/fresh", post(set_limit_freshly)));
    let sent = ("application/json", "7");
    let complaints = complaints(attacks.assert_judged_after_body(&[("POST", "/absent")], sent, Body::new)).await;
    assert_eq!(complaints[0], "POST /absent with two factors, by cookie: 404 Not Found, should let in");
}
