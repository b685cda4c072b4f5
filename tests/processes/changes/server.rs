//! A node: anybody may sign in as anybody, see the own session, and end those of anybody. It is this test executable, started once more.

use std::{env, process::Command, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_step_up::{CurrentSession, Method, SigningKey, StepUp, Subject, factor::Totp, store::SqlStore};

use crate::program::Program;

pub(crate) const STANDING: Duration = Duration::from_secs(1);

pub(crate) fn start(store: &str) -> Program {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "changes::server::serve", "--nocapture", "--test-threads=1"]);
    Program::start(command.env("CHANGES_STORE", store))
}

/// Does nothing but where a test has started it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve() {
    let Ok(store) = env::var("CHANGES_STORE") else { return };
    let step_up = StepUp::builder("http://127.0.0.1:1")
        .insecure_http_on_loopback()
        .signing_key(SigningKey::hs256("changes", b"signs in tests and nowhere else.").unwrap())
        .store(SqlStore::connect(&store).await.unwrap())
        .standing_max_age(STANDING)
        .store_timeout(Duration::from_secs(2))
        .factor(Totp::new("Changes"))
        .build()
        .unwrap();
    let app = Router::new()
        .route("/enter/{user}", post(enter))
        .route("/end/{user}", post(end))
        .route("/see", get(|user: CurrentSession| async move { user.subject().to_string() }))
        .with_state(step_up.clone())
        .layer(step_up.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on http://{}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

async fn enter(State(step_up): State<StepUp>, Path(user): Path<String>) -> Result<Json<Value>, StatusCode> {
    let signed_in = step_up.sign_in(Subject::new(user).unwrap(), Method::Password).await;
    let signed_in = signed_in.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Json(json!({ "session_token": signed_in.token().as_str() })))
}

async fn end(State(step_up): State<StepUp>, Path(user): Path<String>) -> StatusCode {
    match step_up.revoke_all(&Subject::new(user).unwrap()).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
