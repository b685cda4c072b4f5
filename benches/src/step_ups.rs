//! Step-ups end to end over sockets: begin a flow, submit a TOTP code, as many clients at once as there are connections. The server is
//! this program once more, with a store of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Router,
    extract::{Path, State},
    routing::post,
};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tower_step_up::{Method, SigningKey, StepUp, Subject, factor::Totp};

use crate::{
    cases::flows::{TOTP_SECRET, code},
    servers,
    sockets::{Served, until_input_ends},
    world::{Directory, Place, SECRET},
};

/// Each steps up once, since a code counts once.
const USERS: usize = 1500;
const CONNECTIONS: [usize; 2] = [1, 8];

/// Anybody may sign in as anybody here.
pub fn serve(place: &str, users: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let place = Place::ALL.into_iter().find(|one| one.name() == place).expect("a store");
    let directory = Directory(servers::directory("step-ups", None));
    let users: usize = users.parse().unwrap();
    let router = runtime.block_on(async {
        let builder = StepUp::builder("http://127.0.0.1:1")
            .insecure_http_on_loopback()
            .signing_key(SigningKey::hs256("2026-11", SECRET).unwrap())
            .factor(Totp::new("Example Bank"));
        let step_up = place.open(builder, &directory, "bank").await.expect("its server").build().unwrap();
        for user in 0..users {
            step_up.import_totp(&subject(user), TOTP_SECRET).await.unwrap();
        }
        let enter = async |State(step_up): State<StepUp>, Path(user): Path<usize>| {
            let signed_in = step_up.sign_in(subject(user), Method::Password).await.unwrap();
            signed_in.token().as_str().to_owned()
        };
        Router::new()
            .route("/enter/{user}", post(enter))
            .with_state(step_up.clone())
            .merge(step_up.router())
            .layer(step_up.layer())
    });
    until_input_ends(&runtime, router, "");
}

fn subject(user: usize) -> Subject {
    Subject::new(format!("user-{user}")).unwrap()
}

struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn send(&mut self, method: &str, path: &str, token: &str, body: String) -> (StatusCode, Bytes) {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:1");
        request = request.header("accept", "application/json").header("content-type", "application/json");
        if !token.is_empty() {
            request = request.header("x-session-token", token);
        }
        self.0.ready().await.unwrap();
        let response = self.0.send_request(request.body(Full::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }

    async fn step_up(&mut self, token: &str) {
        let (status, body) = self.send("GET", "/self-service/login/api?aal=aal2", token, String::new()).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
        let flow: Value = serde_json::from_slice(&body).unwrap();
        let path = format!("/self-service/login?flow={}", flow["id"].as_str().unwrap());
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let body = format!(r#"{{"method":"totp","totp_code":"{}"}}"#, code(seconds));
        let (status, body) = self.send("POST", &path, token, body).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
    }
}

/// The times that step-ups took, and how long all of them did.
async fn load(address: &str, connections: usize, first: usize, users: usize) -> (Vec<Duration>, Duration) {
    let mut client = Client::connect(address).await;
    let mut tokens = Vec::new();
    for user in first..first + users {
        let (status, body) = client.send("POST", &format!("/enter/{user}"), "", String::new()).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
        tokens.push(String::from_utf8(body.to_vec()).unwrap());
    }
    let tokens = Arc::new(tokens);
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(address).await);
    }
    let begun = Instant::now();
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let (tokens, next) = (Arc::clone(&tokens), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while let Some(token) = tokens.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    client.step_up(token).await;
                    times.push(begun.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let whole = begun.elapsed();
    times.sort();
    (times, whole)
}

pub fn table(filter: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("| store | connections | step-ups/s | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|");
    for place in Place::ALL.into_iter().filter(|place| place.name().contains(filter)) {
        let installed = match place {
            Place::Memory | Place::Sqlite => true,
            Place::Postgres => servers::postgres::Postgres::shared().is_some(),
            Place::SqliteAndRedis => servers::redis::Redis::shared().is_some(),
        };
        if !installed {
            continue;
        }
        let warm = 50;
        let users = (USERS + warm) * CONNECTIONS.len();
        let server = Served::start(&["serve-step-ups", place.name(), &users.to_string()]);
        let mut first = 0;
        for connections in CONNECTIONS {
            runtime.block_on(load(&server.address, connections, first, warm));
            let (times, whole) = runtime.block_on(load(&server.address, connections, first + warm, USERS));
            first += USERS + warm;
            let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
            let rate = times.len() as f64 / whole.as_secs_f64();
            println!("| {} | {connections} | {rate:.0} | {:.2} | {:.2} |", place.name(), at(0.5), at(0.99));
        }
    }
}
