//! The smallest program that asks for a second factor: one guarded page, everything in memory.
//!
//! ```text
//! cargo run --example minimal
//! ```

use std::error::Error;

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect},
    routing::get,
};
use serde::Deserialize;
use tower_step_up::{Method, RequireAal2, RouterExt, SigningKey, StepUp, Subject, factor::Totp, store::MemoryStore};

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let step_up = StepUp::builder("http://127.0.0.1:3000")
        .insecure_http_on_loopback()
        .signing_key(SigningKey::generate("demo")?)
        .store(MemoryStore::default())
        .factor(Totp::new("Minimal"))
        .build()?;
    step_up.import_totp(&Subject::new("alice")?, SECRET).await?;

    let app = Router::new()
        .route("/", get(async || "Welcome. You got here with two factors.").layer(RequireAal2))
        .route("/login", get(async || Html("<form method=post><button>I am alice</button></form>")).post(login))
        .with_state(step_up.clone())
        .with_step_up(&step_up);

    println!("Open http://127.0.0.1:3000/ and confirm with: oathtool --totp -b {SECRET}");
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await?;
    Ok(())
}

#[derive(Deserialize)]
struct ReturnTo {
    return_to: Option<String>,
}

/// Your application has its own login. This one believes everybody. The form posts to its own URL.
async fn login(State(step_up): State<StepUp>, Query(query): Query<ReturnTo>) -> Result<impl IntoResponse, StatusCode> {
    let alice = Subject::new("alice").map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let signed_in = step_up.sign_in(alice, Method::Password).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let return_to = query.return_to.and_then(|text| step_up.return_url(&text));
    Ok((signed_in, Redirect::to(return_to.as_deref().unwrap_or("/"))))
}
