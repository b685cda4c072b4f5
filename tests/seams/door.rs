//! One way to every verdict, which waits only when it must.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use tower::{Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_step_up::{
    Aal2, AccessDenied, CurrentSession, Proven, RequireAal, RequireAal2, Required, Requirement, SessionContext,
    Shortfall,
};

use crate::common::{BROWSER, Bank, NO_STORE, User, request, send};

/// The outcome of a future that must not wait.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

/// An extractor of the application, which requires the highest level that the user has.
struct Highest;

impl<S: Sync> FromRequestParts<S> for Highest {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let context = SessionContext::of(&parts.extensions).ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        match context.decide(&Requirement::highest_available()).await {
            Ok(_) => Ok(Self),
            Err(Shortfall::LevelTooLow) => Err(StatusCode::IM_A_TEAPOT),
            Err(_) => Err(StatusCode::FORBIDDEN),
        }
    }
}

/// A user enrols a factor on another process, while this one has cached that there is none. It must not trust its cache: neither to let
/// the user in, nor to send the user to enrol again.
#[tokio::test]
async fn nobody_believes_a_memory_that_there_is_no_second_factor() {
    let bank = Bank::new();
    let highest = RequireAal::new(Requirement::highest_available());
    let app = Router::new()
        .route("/own", get(async |_: Highest| ()))
        .route("/guard", get(async || ()).layer(highest))
        .route(
            "/handler",
            get(async |context: SessionContext| match context.decide(&Requirement::aal2()).await {
                Err(Shortfall::LevelTooLow) => StatusCode::IM_A_TEAPOT,
                Err(Shortfall::NothingEnrolled) => StatusCode::FORBIDDEN,
                _ => StatusCode::OK,
            }),
        )
        .layer(bank.step_up.layer());
    for (path, before, after) in [("/own", 200, 418), ("/guard", 200, 403), ("/handler", 403, 418)] {
        let kim = bank.without_factor(&format!("kim{}", path.len())).await;
        let cookie = kim.cookie();
        let ask = async || {
            let answer = send(&app, request("GET", path, &[("cookie", &cookie), ("accept", "application/json")])).await;
            answer.status.as_u16()
        };
        assert_eq!([ask().await, ask().await], [before; 2], "{path}: the honest twin");
        bank.enrol_elsewhere(&kim).await;
        assert_eq!(ask().await, after, "{path}");
    }
}

/// A store that hangs delays only requests that ask for a session.
#[tokio::test]
async fn a_route_that_asks_nothing_waits_for_nothing() {
    let bank = Bank::new();
    let kim = bank.aal2("kim").await;
    let health = async |context: SessionContext| {
        let headers = [(header::CACHE_CONTROL, "public, max-age=60")];
        (headers, context.now().to_string())
    };
    let app = Router::new()
        .route("/health", get(health))
        .route("/guarded", get(async || ()).layer(RequireAal2))
        .route("/proof", get(async |_: Aal2| ()))
        .layer(bank.step_up.layer());
    bank.store.hangs();
    bank.store.take_reads();
    let ask = |path| send(&app, request("GET", path, &[("cookie", &kim.cookie())]));
    for path in ["/guarded", "/proof"] {
        assert!(at_once(ask(path)).is_none(), "{path} asks the store");
    }
    let answer = at_once(ask("/health")).expect("it waits for nothing");
    assert_eq!(answer.status, 200);
    // A handler that reads only the time does not use the session, so its response keeps its own caching headers.
    assert_eq!(answer.header("cache-control").as_deref(), Some("public, max-age=60"));
    assert_eq!(answer.header("vary"), None);
}

/// The store is read once per request, however many ask.
#[tokio::test]
async fn guards_and_extractors_of_a_request_share_one_read() {
    let bank = Bank::with(|builder| builder.standing_max_age(Duration::ZERO));
    let kim = bank.aal2("kim").await;
    let handler = async |user: CurrentSession, _: Aal2, optional: Option<CurrentSession>, context: SessionContext| {
        assert!(optional.is_some());
        assert!(context.session().await.unwrap().is_some() && context.standing().await.unwrap().is_some());
        assert!(context.decided(&Requirement::aal2()).unwrap().is_ok());
        user.subject().to_string()
    };
    let highest = RequireAal::new(Requirement::highest_available());
    let app = Router::new()
        .route("/", get(handler).layer((highest, RequireAal2)))
        .layer(RequireAal::new(Requirement::aal1()))
        .layer(bank.step_up.layer());
    bank.store.take_reads();
    for _ in 0..2 {
        let answer = send(&app, request("GET", "/", &[("cookie", &kim.cookie())])).await;
        assert_eq!((&answer.body[..], bank.store.take_reads()), (&b"kim"[..], 1));
        assert_eq!(answer.header("cache-control").as_deref(), Some(NO_STORE));
    }
}

/// A request that waits for the store takes no place from another request.
#[tokio::test]
async fn a_guard_that_waits_holds_no_place_of_the_inner_service() {
    let bank = Bank::new();
    let kim = bank.aal2("kim").await;
    let inner = service_fn(|_: Request| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    let limited = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(inner);
    let service = ServiceBuilder::new().layer(bank.step_up.layer()).layer(RequireAal2).service(limited.clone());
    bank.step_up.forget(&kim.subject());
    let gate = bank.store.hold("standing");
    let cookie = kim.cookie();
    let asking = request("GET", "/", &[("cookie", &cookie)]).map(Body::new);
    let waiting = tokio::spawn(service.clone().oneshot(asking));
    gate.reached().await;
    // Others get through, again and again.
    for _ in 0..3 {
        let response = at_once(limited.clone().oneshot(Request::new(Body::empty()))).expect("there is a place");
        assert_eq!(response.unwrap().status(), 200);
    }
    gate.open();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

/// The waiting request polls the inner service until it is ready, and its errors come out.
#[tokio::test]
async fn a_guard_that_waited_asks_whether_the_inner_service_is_ready() {
    #[derive(Clone)]
    struct NeverReady;
    impl Service<Request> for NeverReady {
        type Response = Response;
        type Error = &'static str;
        type Future = std::future::Ready<Result<Response, &'static str>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Err("overloaded"))
        }
        fn call(&mut self, _: Request) -> Self::Future {
            panic!("called without being ready")
        }
    }
    let bank = Bank::new();
    let kim = bank.aal2("kim").await;
    let mut service = ServiceBuilder::new().layer(bank.step_up.layer()).layer(RequireAal2).service(NeverReady);
    bank.step_up.forget(&kim.subject());
    let asking = request("GET", "/", &[("cookie", &kim.cookie())]).map(Body::new);
    assert_eq!(service.call(asking).await.unwrap_err(), "overloaded");
}

#[tokio::test]
async fn a_future_that_is_given_up_while_it_waits_spoils_nothing() {
    let bank = Bank::new();
    let kim = bank.aal2("kim").await;
    let app = Router::new().route("/", get(async |_: Aal2| ()).layer(RequireAal2)).layer(bank.step_up.layer());
    let ask = || send(&app, request("GET", "/", &[("cookie", &kim.cookie())]));
    bank.store.hangs();
    assert!(at_once(ask()).is_none());
    bank.store.works();
    assert_eq!(ask().await.status, 200);
}

struct FiveMinutes;

impl Required for FiveMinutes {
    const REQUIREMENT: Requirement = Requirement::aal2().max_age(Duration::from_secs(300));
}

#[tokio::test]
async fn a_proof_with_an_age_is_a_type() {
    let bank = Bank::new();
    let app = Router::new()
        .route("/", get(async |user: Proven<FiveMinutes>| user.subject().to_string()))
        .layer(bank.step_up.layer());
    let kim = bank.aal2("kim").await;
    let ask =
        async || send(&app, request("GET", "/", &[("cookie", &kim.cookie()), ("accept", "application/json")])).await;
    assert_eq!(ask().await.body, "kim");
    bank.clock.advance(Duration::from_secs(301));
    assert_eq!(ask().await.error_id(), "session_refresh_required");
}

/// A client without a session is told apart from one whose session is not known.
#[tokio::test]
async fn an_optional_session_is_none_only_if_that_is_known() {
    let bank = Bank::new();
    let kim = bank.aal1("kim").await;
    let app = Router::new()
        .route(
            "/",
            get(async |user: Option<CurrentSession>| user.map_or_else(String::new, |user| user.subject().to_string())),
        )
        .layer(bank.step_up.layer());
    let ask = async |cookie: &str| send(&app, request("GET", "/", &[("cookie", cookie)])).await;
    assert_eq!((ask("").await.status.as_u16(), &ask("").await.body[..]), (200, &b""[..]));
    assert_eq!(ask(&kim.cookie()).await.body, "kim");
    bank.step_up.forget(&kim.subject());
    bank.store.is_down();
    assert_eq!(ask(&kim.cookie()).await.status, 503);
    assert_eq!(ask("").await.status, 200);
}

/// An application's own error type.
#[derive(Debug)]
enum AppError {
    Denied(AccessDenied),
    NotFound,
}

impl From<AccessDenied> for AppError {
    fn from(denied: AccessDenied) -> Self {
        Self::Denied(denied)
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        match self {
            Self::Denied(denied) => denied.into_response(),
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

/// Every kind of client that is refused in the middle of a handler sees the same as from a guard.
#[tokio::test]
async fn a_refusal_in_the_middle_looks_like_one_at_the_door() {
    let bank = Bank::new();
    let recent = Requirement::aal2().max_age(Duration::from_secs(300));
    let middle = move |_: CurrentSession, context: SessionContext| async move {
        match context.decide(&recent).await {
            Ok(_) => Err::<(), _>(AppError::NotFound),
            Err(_) => Err(context.challenge(recent).into()),
        }
    };
    let app = Router::new()
        .route("/middle", any(middle))
        .route("/door", any(async || ()).layer(RequireAal::new(recent)))
        .layer(bank.step_up.layer());
    let (stale, aal1) = (bank.aal2("kim").await, bank.aal1("bob").await);
    let without = bank.without_factor("ann").await;
    bank.clock.advance(Duration::from_secs(301));
    let browser = [("accept", BROWSER), ("referer", "https://bank.example/form")];
    let (json, htmx) =
        ([("accept", "application/json")], [("hx-request", "true"), ("hx-current-url", "https://bank.example/x")]);
    for user in [&stale, &aal1, &without] {
        for headers in [&browser[..], &json, &htmx] {
            for method in ["GET", "POST", "HEAD"] {
                for credential in [("cookie", user.cookie()), ("authorization", user.bearer())] {
                    let headers: Vec<_> =
                        headers.iter().copied().chain([(credential.0, credential.1.as_str())]).collect();
                    let ask = async |path| {
                        let answer = send(&app, request(method, path, &headers)).await;
                        let text = String::from_utf8(answer.body.to_vec()).unwrap().replace("%2Fmiddle", "%2Fdoor");
                        let mut names: Vec<_> = answer
                            .headers
                            .iter()
                            .map(|(name, value)| {
                                format!("{name}: {}", value.to_str().unwrap().replace("%2Fmiddle", "%2Fdoor"))
                            })
                            .collect();
                        names.retain(|header| !header.starts_with("content-length"));
                        names.sort();
                        (answer.status, names, text)
                    };
                    let (middle, door) = (ask("/middle").await, ask("/door").await);
                    assert_eq!(middle, door, "{method} {headers:?}");
                    assert_ne!(door.0, 200);
                }
            }
        }
    }
}

/// A refusal still refuses if it comes too early or if the session meets the requirement.
#[tokio::test]
async fn a_refusal_in_the_middle_refuses_whatever_is_known() {
    let bank = Bank::new();
    let early = async |context: SessionContext| context.challenge(Requirement::aal2());
    let late = async |_: Aal2, context: SessionContext| context.challenge(Requirement::aal2());
    let app = Router::new().route("/early", post(early)).route("/late", post(late)).layer(bank.step_up.layer());
    let kim = bank.aal2("kim").await;
    for (path, id) in [("/early", "session_aal2_required"), ("/late", "session_refresh_required")] {
        bank.step_up.forget(&kim.subject());
        let answer =
            send(&app, request("POST", path, &[("cookie", &kim.cookie()), ("accept", "application/json")])).await;
        assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (403, id));
    }
    let nobody = send(&app, request("POST", "/early", &[("accept", "application/json")])).await;
    assert_eq!(nobody.error_id(), "session_inactive");
}

#[tokio::test]
async fn a_denial_says_what_it_is() {
    let bank = Bank::new();
    let kim = bank.aal1("kim").await;
    let seen = async |context: SessionContext| {
        let denied = context.challenge(Requirement::aal2());
        let error: &dyn std::error::Error = &denied;
        format!("{error} | {} | {:?}", denied.status(), denied.shortfall())
    };
    let app = Router::new()
        .route("/", get(seen).layer(RequireAal::new(Requirement::aal1())))
        .route("/open", get(seen))
        .layer(bank.step_up.layer());
    let ask = async |path, user: Option<&User>| {
        let cookie = user.map(User::cookie).unwrap_or_default();
        String::from_utf8(send(&app, request("GET", path, &[("cookie", &cookie)])).await.body.to_vec()).unwrap()
    };
    assert_eq!(ask("/", Some(&kim)).await, "access denied: second factor missing | 403 Forbidden | Some(LevelTooLow)");
    assert_eq!(ask("/open", None).await, "access denied: no valid session | 401 Unauthorized | Some(NoSession)");

    // Without the layer, no session falls short.
    let bare = Router::new().route(
        "/",
        get(async |result: Result<CurrentSession, AccessDenied>| {
            let denied = result.unwrap_err();
            format!("{denied} | {} | {:?}", denied.status(), denied.shortfall())
        }),
    );
    let answer = send(&bare, request("GET", "/", &[])).await;
    let expected = "access denied: the application is not set up correctly | 500 Internal Server Error | None";
    assert_eq!(answer.body, expected);
}
