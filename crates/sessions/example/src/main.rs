//! A site whose users sign in with axum-login, with users and sessions in SQLite, and which asks for a second factor before it shows the
//! payments.
//!
//! ```text
//! cargo run --manifest-path crates/sessions/example/Cargo.toml
//! ```
//!
//! Open <http://127.0.0.1:3000/payments> and sign in as `ferris` with `hunter42`.

mod users;
mod web;

use std::error::Error;

use tracing_subscriber::EnvFilter;

use crate::web::App;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).init();
    App::new().await?.serve().await
}
