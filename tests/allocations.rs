//! What a request that passes costs in allocations. The numbers are the promise; a higher one is a regression.

#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::{
    convert::Infallible,
    future::ready,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use allocation_counter::measure;
use bytes::Bytes;
use common::{Bank, request};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_step_up::{Method, RequireAal, RequireAal2, Requirement, SessionContext};

type Body = Full<Bytes>;

/// Runs a future that never waits, without a runtime that would allocate for itself.
fn now<F: Future>(future: F) -> F::Output {
    let polled = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready(), "it waits");
    match polled {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!(),
    }
}

/// As hyper makes them: URI and headers share the connection's buffer, and there is an extension already.
fn like_hyper(cookie: &str) -> Request<Body> {
    let buffer = Bytes::from(b"GET /payments?page=2 HTTP/1.1".to_vec());
    let mut request = request("GET", "/", &[]);
    let head = Bytes::from(format!("cookie: {cookie}\r\n").into_bytes());
    let cookie = HeaderValue::from_maybe_shared(head.slice(8..head.len() - 2)).unwrap();
    request.headers_mut().insert(header::COOKIE, cookie);
    let uri = Uri::from_maybe_shared(buffer.slice(4..20));
    *request.uri_mut() = uri.unwrap_or_default();
    assert_eq!(request.uri(), "/payments?page=2");
    request.extensions_mut().insert("what hyper puts there");
    request
}

/// An answer that has a header, as every answer with a body does.
fn answer() -> Response<Body> {
    let mut response = Response::new(Body::default());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Listens as applications do in production: the spans of decisions are for debugging, and cost nothing.
fn listen() -> tracing::subscriber::DefaultGuard {
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::sink);
    tracing::subscriber::set_default(log.finish())
}

#[test]
fn a_guard_that_lets_through_allocates_nothing() {
    let _listening = listen();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bank = Bank::new();
    let kim = runtime.block_on(bank.aal2("kim"));
    // Through the outer layer, for the context that the guards then read.
    let kept = Arc::new(Mutex::new(None));
    let keep = service_fn(|request: Request<Body>| {
        *kept.lock().unwrap() = Some(request);
        ready(Ok::<_, Infallible>(answer()))
    });
    let mut keeping = bank.step_up.layer().layer(keep);
    runtime.block_on(keeping.call(like_hyper(&kim.cookie()))).unwrap();
    // The first look at the session reads the store; what is measured is a later request.
    let first = kept.lock().unwrap().take().unwrap();
    let context = SessionContext::of(first.extensions()).unwrap();
    assert!(runtime.block_on(context.decide(&Requirement::aal2())).is_ok());
    runtime.block_on(keeping.call(like_hyper(&kim.cookie()))).unwrap();
    let request = kept.lock().unwrap().take().unwrap();

    let mut guarded = ServiceBuilder::new()
        .layer(RequireAal::new(Requirement::aal1()))
        .layer(RequireAal::new(Requirement::highest_available()).within(&bank.step_up))
        .layer(RequireAal2.max_age(Duration::from_secs(300)))
        .layer(RequireAal2.any_of([Method::WebAuthn, Method::Totp]))
        .layer(RequireAal2)
        .service(service_fn(|_: Request<Body>| ready(Ok::<_, Infallible>(Response::new(Body::default())))));
    let mut response = None;
    let counted = measure(|| response = Some(now(guarded.call(request)).unwrap()));
    assert_eq!((response.unwrap().status().as_u16(), counted.count_total), (200, 0));
}

#[test]
fn the_outer_layer_allocates_twice_when_it_knows_the_session() {
    let _listening = listen();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bank = Bank::new();
    let kim = runtime.block_on(bank.aal2("kim"));
    let answers = Arc::new(Mutex::new(vec![answer(), answer(), answer()]));
    let handler = service_fn(|_: Request<Body>| ready(Ok::<_, Infallible>(answers.lock().unwrap().pop().unwrap())));
    let mut service = ServiceBuilder::new().layer(bank.step_up.layer()).layer(RequireAal2).service(handler);
    assert_eq!(runtime.block_on(service.call(like_hyper(&kim.cookie()))).unwrap().status(), 200);
    for _warm in 0..2 {
        let request = like_hyper(&kim.cookie());
        let mut response = None;
        // The context, and its place among the extensions.
        let counted = measure(|| response = Some(now(service.call(request)).unwrap()));
        let response = response.unwrap();
        assert_eq!((response.status().as_u16(), response.headers().len()), (200, 3));
        assert_eq!(counted.count_total, 2, "{counted:?}");
    }
}
