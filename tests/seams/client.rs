//! Who sent a request: what the application says decides, not what the client says.

use std::net::{IpAddr, SocketAddr};

use axum::{Router, extract::ConnectInfo, routing::get};
use bytes::Bytes;
use http_body_util::Full;
use tower_step_up::{SessionContext, StepUpBuilder, client::Client, source::Head};

use crate::common::{Bank, request, send};

type Request = http::Request<Full<Bytes>>;

/// What a handler sees of the request's client.
async fn seen(configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder, request: Request) -> String {
    let bank = Bank::with(configure);
    let app = Router::new()
        .route("/", get(async |context: SessionContext| context.client().to_string()))
        .layer(bank.step_up.layer());
    let answer = send(&app, request).await;
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// From the connection of a proxy, with what the client wrote.
fn forwarded() -> Request {
    let mut request = request(
        "GET",
        "/",
        &[
            ("user-agent", "curl/8.5"),
            ("x-forwarded-for", "192.0.2.66, 192.0.2.7"),
            ("forwarded", "for=192.0.2.66"),
            ("x-real-ip", "192.0.2.66"),
        ],
    );
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([198, 51, 100, 4], 4711))));
    request
}

#[tokio::test]
async fn nobody_knows_an_address_until_the_application_says_how() {
    assert_eq!(seen(|builder| builder, forwarded()).await, "curl/8.5");
}

#[tokio::test]
async fn the_application_reads_the_connection_or_what_its_proxy_wrote() {
    let peer = |head: Head<'_>| Some(head.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip());
    assert_eq!(seen(|builder| builder.client_address(peer), forwarded()).await, "curl/8.5 at 198.51.100.4");
    let last = |head: Head<'_>| -> Option<IpAddr> {
        head.headers.get("x-forwarded-for")?.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    assert_eq!(seen(|builder| builder.client_address(last), forwarded()).await, "curl/8.5 at 192.0.2.7");
    assert_eq!(seen(|builder| builder.client_address(last), request("GET", "/", &[])).await, "unknown");
}

/// The outer layer keeps no headers, so a context from the extensions knows nothing until it gets the head.
#[tokio::test]
async fn a_context_without_a_head_knows_no_client() {
    let bank = Bank::with(|builder| builder.client_address(|_| Some(IpAddr::from([192, 0, 2, 7]))));
    let clients = async |request: Request| {
        let context = SessionContext::of(request.extensions()).unwrap();
        let client = context.with_head(Head::from(&request)).client();
        assert_eq!(context.client(), Client::default());
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::from(client.to_string())))
    };
    let service = tower::ServiceBuilder::new().layer(bank.step_up.layer()).service_fn(clients);
    let answer = send(&service, request("GET", "/", &[("user-agent", "curl/8.5")])).await;
    assert_eq!(answer.body, "curl/8.5 at 192.0.2.7");
}
