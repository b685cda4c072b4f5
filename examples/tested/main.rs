//! An application that attacks itself in its tests.
//!
//! ```text
//! cargo run  --example tested --features test-util
//! cargo test --example tested --features test-util
//! ```
//!
//! The application is in this file, its tests are in `tests.rs`. Only the tests need the feature `test-util`: in your own `Cargo.toml`, put it
//! under `[dev-dependencies]`.
//!
//! See a test fail: take `.layer(RequireAal2)` off `/payments`, or the `max_age` off `RECENT`, or `sign_out` out of `log_out`.
//! `cargo test` then names each request that got through, for example
//!
//! ```text
//! not guarded as Requirement { level: Aal2, max_age: None } asks:
//! GET /payments with no session: 200 OK, should refuse
//! GET /payments with one factor, by cookie: 200 OK, should refuse
//! ```

#[cfg(test)]
mod tests;

use std::{error::Error, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tower_step_up::{
    Aal2, CurrentSession, Method, RequireAal2, Requirement, RouterExt, SigningKey, StepUp, Subject,
    clock::{Clock, SystemClock},
    extract::Fresh,
    factor::Totp,
    store::MemoryStore,
};

const PUBLIC_URL: &str = "http://127.0.0.1:3000";
const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// For routes that move money.
const RECENT: Requirement = Requirement::aal2().max_age(Duration::from_secs(300));

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let step_up = step_up(SystemClock)?;
    step_up.import_totp(&Subject::new("alice")?, SECRET).await?;
    println!("Open {PUBLIC_URL}/payments and confirm with: oathtool --totp -b {SECRET}");
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app(&step_up)).await?;
    Ok(())
}

/// The tests use the same, with a fixed clock.
fn step_up(clock: impl Clock) -> Result<StepUp, Box<dyn Error>> {
    Ok(StepUp::builder(PUBLIC_URL)
        .insecure_http_on_loopback()
        .signing_key(SigningKey::generate("demo")?)
        .store(MemoryStore::default())
        .factor(Totp::new("Tested"))
        .clock(clock)
        .build()?)
}

/// The whole application, so that the tests attack what users get.
fn app(step_up: &StepUp) -> Router {
    Router::new()
        .route("/login", get(async || Html("<form method=post><button>I am alice</button></form>")).post(log_in))
        .route("/logout", post(log_out))
        .route("/payments", get(async || "Your payments.").layer(RequireAal2))
        .route_requiring("/transfer", RECENT, get(form).post(send))
        .route("/limits", get(limits).put(set_limit))
        .with_state(step_up.clone())
        .with_step_up(step_up)
        .layer(middleware::from_fn(same_origin))
}

async fn form() -> Html<&'static str> {
    Html("<form method=post><button>Send 100</button></form>")
}

async fn send() -> Redirect {
    Redirect::to("/payments")
}

async fn limits(user: Aal2) -> String {
    format!("The limits of {}.", user.subject())
}

/// Judged when the whole body is there, however long that takes.
async fn set_limit(Fresh(user, Json(limit)): Fresh<Aal2, Json<u32>>) -> String {
    format!("{} may send {limit}.", user.subject())
}

#[derive(Deserialize)]
struct ReturnTo {
    return_to: Option<String>,
}

/// Your application has its own login. This one believes everybody. The form posts to its own URL.
async fn log_in(State(step_up): State<StepUp>, Query(query): Query<ReturnTo>) -> Result<impl IntoResponse, StatusCode> {
    let alice = Subject::new("alice").map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let signed_in = step_up.sign_in(alice, Method::Password).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let return_to = query.return_to.and_then(|text| step_up.return_url(&text));
    Ok((signed_in, Redirect::to(return_to.as_deref().unwrap_or("/payments"))))
}

/// Ends the session itself. Removing the cookie is not enough: somebody may have a copy.
async fn log_out(State(step_up): State<StepUp>, session: CurrentSession) -> Result<impl IntoResponse, StatusCode> {
    step_up.sign_out(session.session()).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let cookie = step_up.removal_cookie().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(axum::http::header::SET_COOKIE, cookie)], Redirect::to("/login")))
}

/// Refuses forms that another site made the browser send. A client without this header is not a browser.
async fn same_origin(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site");
    if request.method().is_safe() || site.is_none_or(|site| site == "same-origin") {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}
