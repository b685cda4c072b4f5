//! A gRPC service whose payments need a second factor, and a client that steps up.
//!
//! ```sh
//! cargo run -p tower-step-up-tonic --example payments            # both, in one process
//! cargo run -p tower-step-up-tonic --example payments -- serve   # the server alone, for a client of yours
//! ```

mod client;
/// Made by tonic-prost-build from `payments.proto`.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::as_conversions, reason = "generated")]
mod payments;
mod server;

use std::error::Error;

use tokio::net::TcpListener;

/// The secret of kim's authenticator app, in base32.
const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let alone = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("serve") => true,
        Some(other) => return Err(format!("unknown argument {other}: say `serve` or nothing").into()),
    };
    let listener = TcpListener::bind(if alone { "127.0.0.1:3000" } else { "127.0.0.1:0" }).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = server::app(&url).await?;
    if alone {
        println!("gRPC and sign-in at {url}: POST /login with the name `kim` gives a token");
        axum::serve(listener, app).await?;
        return Ok(());
    }
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    client::run(&url).await?;
    server.abort();
    Ok(())
}
