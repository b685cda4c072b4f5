//! A bank for browsers that signs its users in by OpenID Connect, and the provider that it signs them in at.
//!
//! ```text
//! cargo run -p tower-step-up-oidc --example relying_party
//! ```
//!
//! Open <http://localhost:3000>. The provider prints its codes here. `bank.rs` is what an application has to do; `provider.rs` stands in for
//! Keycloak and its like.

mod bank;
mod provider;

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let (bank, provider) = ("http://localhost:3000", "http://localhost:3001");
    let listener = TcpListener::bind("127.0.0.1:3001").await?;
    let app =
        provider::router(provider, &format!("{bank}/callback"), |code| println!("The provider sends the code {code}"))?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    let app = bank::router(bank, provider).await?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("The bank is at {bank}; sign in as kim with the password kim");
    axum::serve(listener, app).await?;
    Ok(())
}
