//! Who sent a request: what the application says decides, not what the client says.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{Router, extract::ConnectInfo, routing::get};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;
use tower_step_up::{
    Aal, Method, RequireAal2, SessionContext, StepUp, StepUpBuilder, Subject,
    aal::Proof,
    audit::{AuditEvent, AuditSink},
    client::Client,
    clock::Timestamp,
    session::Session,
    source::{Clue, Evidence, Head, Look, SessionSource, SourceFuture, Transport},
    standing::{Enrolled, Standing},
};

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

/// Sessions of a gateway that has seen a password.
struct Gateway;

impl SessionSource for Gateway {
    fn look(&self, head: Head<'_>) -> Look {
        head.headers.get("x-user").map_or(Look::Nothing, |user| Look::Clue(Clue::from_header(user, Transport::Header)))
    }

    fn ask<'a>(&'a self, clue: &'a Clue, _: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        Box::pin(async move {
            let user = Subject::new(std::str::from_utf8(clue.bytes().unwrap_or_default())?)?;
            let session = Session::external(user, vec![Proof::at_unknown_time(Method::Password, Aal::Aal1)]);
            Ok(Some(Arc::new(Evidence::new(session, Standing::external(Enrolled::Yes)))))
        })
    }
}

/// The application's own audit, which writes lines of JSON.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl AuditSink for Lines {
    fn record(&self, event: &AuditEvent) {
        self.0.lock().unwrap().push(serde_json::to_string(event).unwrap());
    }
}

/// A guard for sessions of others tells a sink of the application the same as a whole step-up, also without axum's routes.
#[tokio::test]
async fn a_sink_of_the_application_writes_what_a_guard_refuses() {
    let lines = Lines::default();
    let guard = StepUp::guard("https://bank.example")
        .source(Gateway)
        .audit(lines.clone())
        .client_address(|head| Some(head.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
        .build()
        .unwrap();
    let handler = async |_: Request| Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::default()));
    let service = tower::ServiceBuilder::new().layer(guard.layer()).layer(RequireAal2).service_fn(handler);
    let mut refused = forwarded();
    refused.headers_mut().insert("x-user", "kim".parse().unwrap());
    assert_eq!(send(&service, refused).await.status, 403);
    let mut lines = lines.0.lock().unwrap().clone();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let mut line: serde_json::Value = serde_json::from_str(&lines.remove(0)).unwrap();
    assert!(line.as_object_mut().unwrap().remove("at").is_some_and(|at| at.is_string()));
    let request = json!({ "method": "GET", "user_agent": "curl/8.5", "client_address": "198.51.100.4" });
    let expected = json!({
        "event": "challenged", "actor": "user", "subject": "kim", "reason": "level_too_low", "request": request,
    });
    assert_eq!(line, expected);
}
