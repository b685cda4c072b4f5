//! The layers under tower alone: no axum, any body, any error.

#![allow(clippy::panic, reason = "a test that fails panics")]

mod common;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use common::{Bank, COOKIE, Calls, NO_STORE, Untouchable, request, send};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_step_up::{RequireAal, RequireAal2, Requirement, SessionContext, Shortfall, source::Head};

/// Panics unless it was polled ready before each call; a clone was not. Its answer is the subject's name.
#[derive(Default)]
struct Strict {
    ready: bool,
    calls: Calls,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, calls: self.calls.clone() }
    }
}

impl<B> Service<Request<B>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        self.calls.one();
        let context = SessionContext::of(request.extensions()).cloned();
        let context = context.unwrap_or_else(|| panic!("the layer puts it there"));
        Box::pin(async move {
            let session = context.session().await.unwrap_or_else(|error| panic!("{error}"));
            let name = session.map_or(String::new(), |session| session.subject().to_string());
            Ok(Response::new(Full::from(name)))
        })
    }
}

#[tokio::test]
async fn a_guarded_service_needs_nothing_but_tower() {
    let bank = Bank::new();
    let service = ServiceBuilder::new()
        .layer(bank.step_up.layer())
        .layer(RequireAal2)
        .service(Strict { calls: bank.calls.clone(), ..Strict::default() });
    let kim = bank.aal2("kim").await;
    let answer = send(&service, request("GET", "/", &[("cookie", &kim.cookie())])).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..], bank.calls.take()), (200, &b"kim"[..], 1));

    let lee = bank.aal1("lee").await;
    let answer =
        send(&service, request("GET", "/", &[("cookie", &lee.cookie()), ("accept", "application/json")])).await;
    assert_eq!((answer.status.as_u16(), bank.calls.take()), (403, 0));
    assert_eq!(answer.error_id(), "session_aal2_required");
}

#[tokio::test]
async fn the_ready_service_is_called_whether_or_not_the_store_is_asked() {
    let bank = Bank::new();
    let mut service = bank.step_up.layer().layer(Strict::default());
    let kim = bank.aal2("kim").await;
    let cookie = kim.cookie();
    bank.store.take_reads();
    for reads in [1, 0, 0] {
        for headers in [&[("cookie", cookie.as_str())][..], &[]] {
            let ready = ServiceExt::<Request<Full<Bytes>>>::ready(&mut service).await.unwrap();
            let response = ready.call(request("GET", "/", headers)).await.unwrap();
            let name = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(name, if headers.is_empty() { "" } else { "kim" });
        }
        assert_eq!(bank.store.take_reads(), reads);
    }
}

/// A service that finds out in the middle that it needs more, without a framework.
#[tokio::test]
async fn a_service_refuses_in_the_middle_as_a_guard_does() {
    let bank = Bank::new();
    let middle = service_fn(|request: Request<Full<Bytes>>| async move {
        let context = SessionContext::of(request.extensions()).unwrap().with_head(Head::from(&request));
        match context.decide(&Requirement::aal2()).await {
            Ok(_) => Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("paid"))),
            Err(_) => Ok(context.challenge(Requirement::aal2()).into_empty_response()),
        }
    });
    let middle = bank.step_up.layer().layer(middle);
    // The same for code whose answer the outer layer does not see.
    let whole = service_fn(|request: Request<Full<Bytes>>| async move {
        let context = SessionContext::of(request.extensions()).unwrap().with_head(Head::from(&request));
        let _ = context.decide(&Requirement::aal2()).await;
        let (mut parts, body) = context.challenge(Requirement::aal2()).into_full_response().into_parts();
        parts.extensions.clear();
        Ok::<_, Infallible>(Response::from_parts(parts, Full::from(body)))
    });
    let whole = bank.step_up.layer().layer(whole);
    let door = ServiceBuilder::new().layer(bank.step_up.layer()).layer(RequireAal2).service(Strict::default());
    let (kim, bob) = (bank.aal2("kim").await, bank.aal1("bob").await);
    assert_eq!(send(&middle, request("GET", "/", &[("cookie", &kim.cookie())])).await.body, "paid");
    for headers in [&[("cookie", bob.cookie())][..], &[("accept", "application/json".to_owned())], &[]] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (middle, door) =
            (send(&middle, request("GET", "/", &headers)).await, send(&door, request("GET", "/", &headers)).await);
        assert_eq!((middle.status, &middle.headers, &middle.body), (door.status, &door.headers, &door.body));
        assert_ne!(middle.status, 200);
        let whole = send(&whole, request("GET", "/", &headers)).await;
        assert_eq!((whole.status, &whole.headers, &whole.body), (door.status, &door.headers, &door.body));
    }
}

#[tokio::test]
async fn errors_pass_through_unchanged() {
    let bank = Bank::new();
    let failing = service_fn(|_: Request<Full<Bytes>>| async { Err::<Response<Full<Bytes>>, _>("broken") });
    let service =
        ServiceBuilder::new().layer(bank.step_up.layer()).layer(RequireAal::new(Requirement::aal1())).service(failing);
    let kim = bank.aal1("kim").await;
    for _cold_then_warm in 0..2 {
        let error = service.clone().oneshot(request("GET", "/", &[("cookie", &kim.cookie())])).await.unwrap_err();
        assert_eq!(error, "broken");
    }
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_never_read() {
    let bank = Bank::new();
    let reading = service_fn(|request: Request<Untouchable>| async {
        request.into_body().collect().await?;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = ServiceBuilder::new().layer(bank.step_up.layer()).layer(RequireAal2).service(reading);
    let lee = bank.aal1("lee").await;
    for (cookie, status) in [(lee.cookie(), 403), (format!("{COOKIE}=nonsense"), 401)] {
        let request = request("POST", "/pay", &[("cookie", &cookie), ("accept", "application/json")]);
        let answer = send(&service, request.map(|_| Untouchable)).await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn a_refused_head_has_no_body_without_a_framework_that_strips_it() {
    let bank = Bank::new();
    let service = ServiceBuilder::new().layer(bank.step_up.layer()).layer(RequireAal2).service(Strict::default());
    let ask = async |method| send(&service, request(method, "/", &[("accept", "application/json")])).await;
    let (get, head) = (ask("GET").await, ask("HEAD").await);
    assert_eq!((head.status, &head.headers, head.body.len()), (get.status, &get.headers, 0));
    assert_eq!(get.header("content-length"), Some(get.body.len().to_string()));
}

#[tokio::test]
async fn nothing_of_a_rejection_leaves_the_layer() {
    let bank = Bank::new();
    let service = ServiceBuilder::new().layer(bank.step_up.layer()).layer(RequireAal2).service(Strict::default());
    let response = service.oneshot(request("GET", "/", &[])).await.unwrap();
    assert_eq!(response.status(), 303);
    // but why, for layers outside
    assert_eq!(response.extensions().len(), 1);
    assert_eq!(response.extensions().get(), Some(&Shortfall::NoSession));
}

#[tokio::test]
async fn answers_that_nobody_asked_about_a_session_are_left_alone() {
    let bank = Bank::new();
    let public = service_fn(|_: Request<Full<Bytes>>| async {
        let response = Response::builder().header("cache-control", "public, max-age=60").body(Full::<Bytes>::default());
        Ok::<_, Infallible>(response.unwrap())
    });
    let kim = bank.aal2("kim").await;
    let service = bank.step_up.layer().layer(public);
    let answer = send(&service, request("GET", "/logo", &[("cookie", &kim.cookie())])).await;
    assert_eq!(answer.header("cache-control").as_deref(), Some("public, max-age=60"));
    assert_eq!(answer.header("vary"), None);

    let guarded = ServiceBuilder::new().layer(bank.step_up.layer()).layer(RequireAal2).service(public);
    let answer = send(&guarded, request("GET", "/statement", &[("cookie", &kim.cookie())])).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control").as_deref()), (200, Some(NO_STORE)));
}
