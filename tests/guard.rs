//! What guards, annotated routes and extractors let through, and what they do not.

mod common;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::StatusCode,
    response::Redirect,
    routing::{any, get},
};
use common::{BROWSER, Bank, NO_STORE, User, VARY, request, send};
use http::{Request, header};
use tower_step_up::{
    Aal, Aal2, CurrentSession, Method, RequireAal, RequireAal2, Requirement, RouterExt, SessionContext, Subject,
    aal::Proof, clock::Clock,
};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn app(bank: &Bank) -> Router {
    let calls = bank.calls.clone();
    let page = move || {
        let calls = calls.clone();
        get(move || async move { calls.one() })
    };
    let recent = |requirement: Requirement| RequireAal::new(requirement.max_age(FIVE_MINUTES));
    Router::new()
        .route("/aal1", page().layer(RequireAal::new(Requirement::aal1())))
        .route("/highest", page().layer(RequireAal::new(Requirement::highest_available())))
        .route("/aal2", page().layer(RequireAal2))
        .route("/recent-aal1", page().layer(recent(Requirement::aal1())))
        .route("/recent-highest", page().layer(recent(Requirement::highest_available())))
        .route("/recent-aal2", page().layer(RequireAal2.max_age(FIVE_MINUTES)))
        .route_requiring("/annotated", Requirement::aal2().max_age(FIVE_MINUTES), page())
        .layer(bank.step_up.layer())
}

async fn statuses(bank: &Bank, app: &Router, user: Option<&User>, paths: &[&str]) -> Vec<u16> {
    let mut statuses = vec![];
    for path in paths {
        let cookie = user.map(User::cookie).unwrap_or_default();
        let answer = send(app, request("GET", path, &[("cookie", &cookie), ("accept", "application/json")])).await;
        assert_eq!(bank.calls.take(), usize::from(answer.status == 200), "{path}");
        statuses.push(answer.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn each_requirement_lets_through_what_it_says() {
    let bank = Bank::new();
    let app = app(&bank);
    let paths = ["/aal1", "/highest", "/aal2", "/recent-aal1", "/recent-highest", "/recent-aal2", "/annotated"];
    let without_factor = bank.without_factor("ann").await;
    let aal1 = bank.aal1("bob").await;
    let aal2 = bank.aal2("kim").await;
    let all = async |user| statuses(&bank, &app, user, &paths).await;

    assert_eq!(all(None).await, [401; 7]);
    assert_eq!(all(Some(&without_factor)).await, [200, 200, 403, 200, 200, 403, 403]);
    assert_eq!(all(Some(&aal1)).await, [200, 403, 403, 200, 403, 403, 403]);
    assert_eq!(all(Some(&aal2)).await, [200; 7]);

    bank.clock.advance(FIVE_MINUTES);
    assert_eq!(all(Some(&aal2)).await, [200; 7]);
    bank.clock.advance(Duration::from_millis(1));
    assert_eq!(all(Some(&without_factor)).await, [200, 200, 403, 403, 403, 403, 403]);
    assert_eq!(all(Some(&aal1)).await, [200, 403, 403, 403, 403, 403, 403]);
    assert_eq!(all(Some(&aal2)).await, [200, 200, 200, 403, 403, 403, 403]);

    // A password renews only the age of a first factor.
    bank.prove(&aal2, Proof::new(Method::Password, Aal::Aal1, bank.clock.now())).await;
    assert_eq!(all(Some(&aal2)).await, [200, 200, 200, 200, 403, 403, 403]);

    bank.clock.advance(Duration::from_secs(86_400));
    assert_eq!(all(Some(&aal2)).await, [401; 7]);
}

#[tokio::test]
async fn extractors_decide_as_guards_do() {
    let bank = Bank::new();
    let name = |session: Option<&tower_step_up::session::Session>| {
        session.map_or_else(|| "nobody".to_owned(), |session| session.subject().to_string())
    };
    let app = Router::new()
        .route(
            "/maybe",
            get(async move |user: Option<CurrentSession>| name(user.as_ref().map(CurrentSession::session))),
        )
        .route("/any", get(async |user: CurrentSession| user.subject().to_string()))
        .route("/aal2", get(async |user: Aal2| user.subject().to_string()))
        .layer(bank.step_up.layer());
    let aal1 = bank.aal1("bob").await;
    let aal2 = bank.aal2("kim").await;
    for (user, path, status, body) in [
        (None, "/maybe", 200, "nobody"),
        (None, "/any", 401, ""),
        (None, "/aal2", 401, ""),
        (Some(&aal1), "/maybe", 200, "bob"),
        (Some(&aal1), "/any", 200, "bob"),
        (Some(&aal1), "/aal2", 403, ""),
        (Some(&aal2), "/maybe", 200, "kim"),
        (Some(&aal2), "/any", 200, "kim"),
        (Some(&aal2), "/aal2", 200, "kim"),
    ] {
        let cookie = user.map(User::cookie).unwrap_or_default();
        let answer = send(&app, request("GET", path, &[("cookie", &cookie), ("accept", "application/json")])).await;
        assert_eq!(answer.status, status, "{path} {body}");
        if status == 200 {
            assert_eq!(answer.body, body, "{path}");
        } else {
            assert_eq!(answer.error_id(), if status == 401 { "session_inactive" } else { "session_aal2_required" });
        }
        answer.assert_private();
    }
}

#[tokio::test]
async fn a_proof_in_the_signature_comes_before_the_body() {
    let bank = Bank::new();
    let app = Router::new()
        .route("/limits", axum::routing::put(async |_: Aal2, body: String| body))
        .layer(bank.step_up.layer());
    let aal1 = bank.aal1("bob").await;
    let aal2 = bank.aal2("kim").await;
    let put = |cookie: String, body| Request::put("/limits").header(header::COOKIE, cookie).body(body).unwrap();
    assert_eq!(send(&app, put(aal2.cookie(), Body::from("5"))).await.body, "5");

    let endless = Body::new(common::Untouchable);
    // No browser navigates by PUT, so it is not redirected.
    assert_eq!(send(&app, put(aal1.cookie(), endless)).await.status, 403);
}

#[tokio::test]
async fn the_context_is_there_with_and_without_a_session_and_never_an_older_one() {
    let bank = Bank::new();
    let other = Bank::new();
    let show = any(async |request: axum::extract::Request| {
        let context = SessionContext::of(request.extensions()).unwrap();
        context.session().await.unwrap().map(|session| session.subject().to_string()).unwrap_or_default()
    });
    let inner = bank.step_up.layer();
    let app = Router::new().route("/", show).layer(inner).layer(other.step_up.layer());
    let of_the_other = other.aal2("kim").await;
    assert_eq!(send(&app, request("GET", "/", &[("cookie", &of_the_other.cookie())])).await.body, "");
    let of_this = bank.aal1("bob").await;
    assert_eq!(send(&app, request("GET", "/", &[("cookie", &of_this.cookie())])).await.body, "bob");
}

#[tokio::test]
async fn a_guard_bound_to_one_step_up_believes_no_other() {
    let (bank, other) = (Bank::new(), Bank::with(|builder| builder.cookie_name("__Host-other")));
    let calls = bank.calls.clone();
    let page = get(move || async move { calls.one() });
    let routes = Router::new().route("/", page.layer(RequireAal2.within(&bank.step_up)));
    let user = other.aal2("kim").await;
    let cookie = format!("__Host-other={}", user.token());

    let (log, _guard) = common::log::Log::begin();
    let wrong = routes.clone().layer(other.step_up.layer());
    for _ in 0..2 {
        let answer = send(&wrong, request("GET", "/", &[("cookie", &cookie)])).await;
        assert_eq!((answer.status.as_u16(), answer.body.len(), bank.calls.take()), (500, 0, 0));
    }
    let errors: Vec<_> = log.take().into_iter().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("RequireAal::within"), "{errors:?}");

    let right = routes.layer(bank.step_up.layer());
    let user = bank.aal2("kim").await;
    assert_eq!(send(&right, request("GET", "/", &[("cookie", &user.cookie())])).await.status, 200);
    assert_eq!(bank.calls.take(), 1);
}

#[tokio::test]
async fn a_missing_layer_is_told_once_for_each_route() {
    let bank = Bank::new();
    let nested = Router::new().route("/{id}", get(async |_: CurrentSession| "nested").layer(RequireAal2));
    let app = Router::new()
        .route("/forgotten/{id}", get(async || "guarded").layer(RequireAal2))
        .route("/extracted", get(async |user: Aal2| user.subject().to_string()))
        .nest("/inner", nested)
        .merge(bank.step_up.router());
    let (log, _guard) = common::log::Log::begin();
    for path in ["/forgotten/1", "/forgotten/2", "/extracted", "/inner/1", "/inner/2", "/sessions/whoami"].repeat(2) {
        assert_eq!(send(&app, request("GET", path, &[])).await.status, 500, "{path}");
    }
    let errors: Vec<_> = log.take().into_iter().filter(|line| line.contains("ERROR")).collect();
    let routes = ["/forgotten/{id}", "/extracted", "/inner/{id}", "/sessions/whoami"];
    assert_eq!(errors.len(), routes.len(), "{errors:?}");
    for (error, route) in errors.iter().zip(routes) {
        assert!(error.contains(&format!("route={route:?}")) && error.contains("with_step_up"), "{error}");
    }
}

/// `with_step_up` is the router and the layer, in the right order, whatever comes first in the application.
#[tokio::test]
async fn one_call_adds_router_and_layer() {
    let bank = Bank::new();
    let handler = async |State(greeting): State<&'static str>, user: Aal2| format!("{greeting} {}", user.subject());
    let app: Router = Router::new()
        .route("/", get(handler))
        .route("/guarded", get(async || "in").layer(RequireAal2))
        .fallback(async || "nothing here")
        .with_step_up(&bank.step_up)
        .route("/late", get(async || "in").layer(RequireAal2))
        .with_state("hello");
    let kim = bank.aal2("kim").await;
    let get = |path| request("GET", path, &[("cookie", &kim.cookie()), ("accept", "application/json")]);
    assert_eq!(send(&app, get("/")).await.body, "hello kim");
    assert_eq!(send(&app, get("/guarded")).await.body, "in");
    assert_eq!(send(&app, get("/sessions/whoami")).await.status, 200);
    assert_eq!(send(&app, get("/elsewhere")).await.body, "nothing here");
    for (path, status) in [("/", 401), ("/guarded", 401), ("/sessions/whoami", 401)] {
        assert_eq!(send(&app, request("GET", path, &[("accept", "application/json")])).await.status, status, "{path}");
    }
    assert_eq!(send(&app, get("/late")).await.status, 500, "outside the layer nothing gets through");
}

#[tokio::test]
async fn a_sign_in_is_a_response_of_its_own_or_a_part_of_one() {
    let bank = Bank::new();
    let sign_in = move || {
        let step_up = bank.step_up.clone();
        async move { step_up.sign_in(Subject::new("kim").unwrap(), Method::Password).await.unwrap() }
    };
    let (alone, part, first) = (sign_in.clone(), sign_in.clone(), sign_in);
    let app: Router = Router::new()
        .route("/alone", get(alone))
        .route("/part", get(async move || (part().await, Redirect::to("/payments"))))
        .route("/status", get(async move || (StatusCode::CREATED, first().await, "welcome")));
    for (path, status) in [("/alone", 200), ("/part", 303), ("/status", 201)] {
        let answer = send(&app, request("GET", path, &[])).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("set-cookie").unwrap().starts_with("__Host-step_up_session="), "{path}");
        assert_eq!(answer.header("cache-control").as_deref(), Some(NO_STORE), "{path}");
    }
}

#[tokio::test]
async fn what_depends_on_a_session_is_kept_by_nobody() {
    let bank = Bank::new();
    let cached =
        || get(async |_: Option<CurrentSession>| [(header::CACHE_CONTROL, "public"), (header::VARY, "Origin")]);
    let careful = get(async |_: Option<CurrentSession>| [(header::CACHE_CONTROL, "no-store, max-age=0")]);
    let app = Router::new()
        .route("/cached", cached())
        .route("/careful", careful)
        .route("/public", get(async || [(header::CACHE_CONTROL, "public")]))
        .layer(bank.step_up.layer());
    let answer = send(&app, request("GET", "/cached", &[])).await;
    assert_eq!(answer.header("cache-control").as_deref(), Some(NO_STORE));
    assert_eq!(answer.header("vary"), Some(format!("Origin, {VARY}")));
    let answer = send(&app, request("GET", "/careful", &[])).await;
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store, max-age=0"));
    assert_eq!(answer.header("vary").as_deref(), Some(VARY));
    let answer = send(&app, request("GET", "/public", &[])).await;
    assert_eq!((answer.header("cache-control").as_deref(), answer.header("vary")), (Some("public"), None));
}

#[tokio::test]
async fn the_outer_layer_goes_around_a_fallback_and_single_routes_too() {
    let bank = Bank::new();
    let calls = bank.calls.clone();
    let handler = move || async move { calls.one() };
    let app = Router::new()
        .route("/one", get(handler.clone()).layer((bank.step_up.layer(), RequireAal2)))
        .fallback_service(get(handler).layer((bank.step_up.layer(), RequireAal2)));
    let (aal1, aal2) = (bank.aal1("bob").await, bank.aal2("kim").await);
    for path in ["/one", "/whatever"] {
        let get = |user: &User| request("GET", path, &[("cookie", &user.cookie()), ("accept", BROWSER)]);
        assert_eq!((send(&app, get(&aal1)).await.status.as_u16(), bank.calls.take()), (303, 0), "{path}");
        assert_eq!((send(&app, get(&aal2)).await.status.as_u16(), bank.calls.take()), (200, 1), "{path}");
    }
}
