//! A Kratos that answers what it is told, and sees what it is asked.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
    serve::ListenerExt,
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
};
use tower_step_up_kratos::Kratos;

use crate::server::Count;

type Reply = Arc<dyn Fn() -> Response + Send + Sync>;

#[derive(Clone)]
pub struct Faulty {
    pub url: String,
    pub requests: Count,
    pub connections: Count,
    under_way: Count,
    pub most_under_way: Count,
    /// The heads of the requests.
    pub seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    reply: Arc<Mutex<Reply>>,
    /// Each answer takes one.
    pub may_answer: Arc<Semaphore>,
}

struct UnderWay(Count);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(State(faulty): State<Faulty>, request: Request) -> Response {
    faulty.requests.fetch_add(1, Ordering::SeqCst);
    let now = faulty.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    let _under_way = UnderWay(Arc::clone(&faulty.under_way));
    faulty.most_under_way.fetch_max(now, Ordering::SeqCst);
    let asked = format!("{} {}", request.method(), request.uri());
    faulty.seen.lock().unwrap().push((asked, request.headers().clone()));
    faulty.may_answer.acquire().await.unwrap().forget();
    let reply = Arc::clone(&faulty.reply.lock().unwrap());
    reply()
}

pub fn respond(status: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A good session with both factors.
pub fn session() -> Value {
    json!({
        "id": "7d0c9e1a-52f0-4c58-9c0b-6a1f3b6f2a11", "active": true, "authenticator_assurance_level": "aal2",
        "expires_at": "9999-01-01T00:00:00Z", "issued_at": "2027-01-15T07:00:00Z",
        "authentication_methods": [
            { "method": "password", "aal": "aal1", "completed_at": "2027-01-15T08:00:00Z" },
            { "method": "totp", "aal": "aal2", "completed_at": "2027-01-15T08:00:00Z" },
        ],
        "identity": { "id": "0b8f6f0e-4f0a-4a0c-8a51-2f6f7f1f9c01", "state": "active", "traits": {} },
    })
}

impl Faulty {
    /// It answers well, and at once.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let reply: Reply = Arc::new(|| respond(200, session().to_string()));
        let count = Count::default;
        let faulty = Self {
            url,
            requests: count(),
            connections: count(),
            under_way: count(),
            most_under_way: count(),
            seen: Arc::default(),
            reply: Arc::new(Mutex::new(reply)),
            may_answer: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        };
        let router = Router::new().fallback(answer).with_state(faulty.clone());
        let connections = Arc::clone(&faulty.connections);
        let listener = listener.tap_io(move |_| {
            connections.fetch_add(1, Ordering::SeqCst);
        });
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        faulty
    }

    pub fn reply(&self, reply: impl Fn() -> Response + Send + Sync + 'static) {
        *self.reply.lock().unwrap() = Arc::new(reply);
    }

    /// From now on it answers only when it may.
    pub fn hold(&self) {
        self.may_answer.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub fn take_requests(&self) -> usize {
        self.requests.swap(0, Ordering::SeqCst)
    }

    pub fn source(&self) -> Kratos {
        Kratos::new(&self.url).insecure_http_on_loopback().cache(Duration::ZERO)
    }
}

/// A server that sends these bytes to each connection, whatever it is asked, and then hangs up or waits for ever.
pub async fn raw(bytes: &'static [u8], hangs_up: bool) -> Kratos {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(bytes).await;
            if !hangs_up {
                open.push(connection);
            }
        }
    });
    Kratos::new(url).insecure_http_on_loopback().cache(Duration::ZERO)
}

/// A body that never ends.
pub fn endless() -> Body {
    struct Endless;

    impl axum::body::HttpBody for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[b' '; 16 * 1024])))))
        }
    }

    Body::new(Endless)
}
