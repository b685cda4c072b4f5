//! The outer layer keeps the type of a body, so it fits around any HTTP service.

use std::convert::Infallible;

use axum::{Router, ServiceExt as AxumServiceExt, extract::Request, routing::get};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_step_up::{Aal2, RequireAal2};

use crate::common::{Bank, request, send};

/// Status and body of a real server's answer.
async fn ask(address: std::net::SocketAddr, cookie: &str) -> (u16, String) {
    let client = reqwest::Client::new();
    let request =
        client.get(format!("http://{address}/")).header("cookie", cookie).header("accept", "application/json");
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// `axum::serve` needs exactly axum's body, also when the layer is around the whole router.
#[tokio::test]
async fn axum_serves_a_router_that_is_layered_as_a_whole() {
    let bank = Bank::new();
    let (kim, bob) = (bank.aal2("kim").await, bank.aal1("bob").await);
    let router: Router = Router::new().route("/", get(async |user: Aal2| user.subject().to_string()));
    let service = bank.step_up.layer().layer(router);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, AxumServiceExt::<Request>::into_make_service(service)).await });
    assert_eq!(ask(address, &kim.cookie()).await, (200, "kim".to_owned()));
    let (status, body) = ask(address, &bob.cookie()).await;
    assert!(status == 403 && body.contains("session_aal2_required"), "{body}");
}

/// hyper's own body for requests, and any type for responses.
#[tokio::test]
async fn plain_hyper_serves_a_guarded_service() {
    let bank = Bank::new();
    let (kim, bob) = (bank.aal2("kim").await, bank.aal1("bob").await);
    let inner = service_fn(|_: http::Request<Incoming>| async {
        Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::from("paid")))
    });
    let service = ServiceBuilder::new().layer(bank.step_up.layer()).layer(RequireAal2).service(inner);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            let serve = async move {
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
            };
            tokio::spawn(serve);
        }
    });
    assert_eq!(ask(address, &kim.cookie()).await, (200, "paid".to_owned()));
    let (status, body) = ask(address, &bob.cookie()).await;
    assert!(status == 403 && body.contains("session_aal2_required"), "{body}");
}

#[tokio::test]
async fn a_body_that_no_bytes_make_is_made_by_a_function() {
    let bank = Bank::new();
    let bob = bank.aal1("bob").await;
    let inner = service_fn(|_: http::Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(http::Response::new(Boxed(Full::from("paid").boxed())))
    });
    let layer = bank.step_up.layer().body_with(|bytes| Boxed(Full::new(bytes).boxed()));
    let service = ServiceBuilder::new().layer(layer).layer(RequireAal2).service(inner);
    let asking = request("GET", "/", &[("cookie", &bob.cookie()), ("accept", "application/json")]);
    let response = service.oneshot(asking).await.unwrap();
    let body = response.into_body().0.collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{"), "{body:?}");
}

/// A body type of the application, which can be empty but not made from bytes.
struct Boxed(BoxBody<Bytes, Infallible>);

impl Default for Boxed {
    fn default() -> Self {
        Self(Full::default().boxed())
    }
}

/// A tonic service, whose body has no `From<Bytes>`. The application gives an answer that gRPC clients understand: status 200, and
/// trailers only.
#[tokio::test]
async fn a_tonic_service_answers_in_its_own_words() {
    use tonic::{Code, Status, body::Body};
    let grpc = |status: Status| {
        let (parts, ()) = status.into_http().into_parts();
        http::Response::from_parts(parts, Bytes::new())
    };
    let bank = Bank::with(|builder| {
        builder.on_refusal(move |refusal| {
            let status = match refusal.shortfall {
                tower_step_up::Shortfall::NoSession => Status::unauthenticated("sign in"),
                _ => Status::permission_denied(refusal.shortfall.to_string()),
            };
            Some(grpc(status))
        })
    });
    let (kim, bob) = (bank.aal2("kim").await, bank.aal1("bob").await);
    let inner = service_fn(|_: http::Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(http::Response::new(Body::new(Full::from("message"))))
    });
    let layer = bank.step_up.layer().body_with(|bytes| Body::new(Full::new(bytes)));
    let service = ServiceBuilder::new().layer(layer).layer(RequireAal2).service(inner);
    let ask = async |bearer: &str| {
        let headers = [("content-type", "application/grpc"), ("authorization", bearer)];
        send(&service, request("POST", "/bank.Payments/List", &headers)).await
    };
    assert_eq!(ask(&kim.bearer()).await.body, "message");
    for (bearer, code) in [(bob.bearer(), Code::PermissionDenied), (String::new(), Code::Unauthenticated)] {
        let answer = ask(&bearer).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
        assert_eq!(Status::from_header_map(&answer.headers).unwrap().code(), code);
        assert_eq!(answer.header("content-type").as_deref(), Some("application/grpc"));
    }
}
