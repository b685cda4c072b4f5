//! The outer layer: it puts a [`SessionContext`](crate::SessionContext) into every request, and renders what guards refuse.
//!
//! It decides nothing and never waits. If a route asks for no session, the layer only looks at the request's headers.
//!
//! ```
//! # use std::convert::Infallible;
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use tower_step_up::{RequireAal2, SigningKey, StepUp, factor::Totp, store::MemoryStore};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let step_up = StepUp::builder("https://bank.example")
//! #     .signing_key(SigningKey::generate("2026-11")?)
//! #     .store(MemoryStore::default())
//! #     .factor(Totp::new("Example Bank"))
//! #     .build()?;
//! async fn payments(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     Ok(Response::new(Full::from("all payments")))
//! }
//!
//! let service = ServiceBuilder::new()
//!     .layer(step_up.layer()) // the outer layer comes first
//!     .layer(RequireAal2)
//!     .service_fn(payments);
//!
//! let request = Request::get("/payments").header("accept", "application/json").body(Full::default())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), 401);
//! # Ok(())
//! # }
//! ```
//!
//! Layers outside find the [`Shortfall`](crate::Shortfall) of a refused request in the response's extensions.

mod body;
mod future;
#[allow(clippy::module_inception, reason = "as tower-http has it")]
mod layer;
mod service;

pub use self::{
    body::{BodyWith, FromBytes, MakeBody},
    future::ResponseFuture,
    layer::StepUpLayer,
    service::StepUpService,
};
