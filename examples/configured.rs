//! Reads the configuration from a file with Ory's key names.
//!
//! ```text
//! cargo run --example configured --features config -- examples/configured.json
//! ```
//!
//! The file is JSON here. [`Config`] takes any format that serde has a crate for. An unknown key or a bad value ends the program with the
//! name of the key. A key of Kratos that means nothing here is logged.

use std::{env, error::Error, fs};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{Html, Redirect},
    routing::{get, post},
};
use serde_json::{Value, json};
use tower_step_up::{
    Config, Method, RequireAal2, RouterExt, SignedIn, SigningKey, StepUp, Subject, store::MemoryStore,
};
use url::Url;

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let path = env::args().nth(1).unwrap_or_else(|| "examples/configured.json".to_owned());
    let config: Config =
        serde_json::from_str(&fs::read_to_string(&path)?).map_err(|error| format!("{path}: {error}"))?;
    let public_url = config.public_url().ok_or("serve.public.base_url is missing")?;
    let step_up = StepUp::builder(public_url)
        .configure(&config)
        // The file that comes with this example has no `secrets.cookie`, since everybody can read it. The keys of yours come first.
        .signing_key(SigningKey::generate("demo")?)
        .store(MemoryStore::default())
        .build()?;
    step_up.import_totp(&Subject::new("alice")?, SECRET).await?;

    let app = Router::new()
        .route("/payments", get(async || "payments of alice").layer(RequireAal2))
        .route("/login", get(async || Html("<form method=post><button>I am alice</button></form>")).post(login))
        .route("/api/login", post(api_login))
        .with_state(step_up.clone())
        .with_step_up(&step_up);

    let address = Url::parse(public_url)?.socket_addrs(|| None)?;
    let listener = tokio::net::TcpListener::bind(address.as_slice()).await?;
    println!("listening on {public_url}");
    axum::serve(listener, app).await?;
    Ok(())
}

/// Your application has its own login. This one believes everybody.
async fn sign_in(step_up: &StepUp) -> Result<SignedIn, StatusCode> {
    let alice = Subject::new("alice").map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    step_up.sign_in(alice, Method::Password).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

async fn login(State(step_up): State<StepUp>) -> Result<(SignedIn, Redirect), StatusCode> {
    Ok((sign_in(&step_up).await?, Redirect::to("/payments")))
}

async fn api_login(State(step_up): State<StepUp>) -> Result<Json<Value>, StatusCode> {
    let signed_in = sign_in(&step_up).await?;
    Ok(Json(json!({ "session_token": signed_in.token().as_str() })))
}
