//! A page that asks for a security key, and one that asks for it anew. Everything is in memory.
//!
//! ```text
//! cargo run -p tower-step-up-webauthn --example keys
//! ```

use std::{error::Error, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect},
    routing::get,
};
use serde::Deserialize;
use tower_step_up::{Method, RequireAal2, Requirement, RouterExt, SigningKey, StepUp, Subject, store::MemoryStore};
use tower_step_up_webauthn::WebAuthn;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Browsers use keys for domains, and not for 127.0.0.1.
    let step_up = StepUp::builder("http://localhost:3000")
        .insecure_http_on_loopback()
        .signing_key(SigningKey::generate("demo")?)
        .store(MemoryStore::default())
        .factor(WebAuthn::new("Keys"))
        .build()?;

    let anew = Requirement::aal2().max_age(Duration::from_secs(10));
    let app = Router::new()
        .route("/", get(async || "Welcome. You got here with a security key.").layer(RequireAal2))
        .route_requiring("/again", anew, get(async || "You have used it within the last ten seconds."))
        .route("/login", get(async || Html("<form method=post><button>I am alice</button></form>")).post(login))
        .with_state(step_up.clone())
        .with_step_up(&step_up);

    println!("Open http://localhost:3000/");
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
