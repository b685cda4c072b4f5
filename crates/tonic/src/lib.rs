//! Step-up authentication for [tonic]: gRPC services that ask for a second factor, and clients that understand it.
//!
//! The guards of [`tower_step_up`] are tower layers, so they stand in front of a tonic service as they are. tonic's `Interceptor` cannot wait, and
//! a guard may have to. This crate gives the answers that gRPC clients understand:
//!
//! - [`answer`] makes a refusal a response that consists of trailers only, with a status and where to go in its details.
//! - [`require`] asks in the middle of a method, and fails with such a status.
//! - [`StepUpRequired`] reads it in the client.
//!
//! | refused because | status |
//! |---|---|
//! | there is no valid session | `UNAUTHENTICATED` (16) |
//! | the level is too low, or was proven too long ago | `PERMISSION_DENIED` (7) |
//! | the store or the source of sessions did not answer | `UNAVAILABLE` (14) |
//! | the outer layer is missing | `INTERNAL` (13) |
//!
//! A client sends its session token or its access token as metadata: `authorization: Bearer …`.
//!
//! ```
//! use tonic::service::LayerExt as _;
//! use tower::ServiceBuilder;
//! use tower_step_up::{RequireAal2, SigningKey, StepUp, factor::Totp, store::MemoryStore};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let step_up = StepUp::builder("https://bank.example")
//!     .signing_key(SigningKey::generate("2026-11")?)
//!     .store(MemoryStore::default())
//!     .factor(Totp::new("Example Bank"))
//!     .on_refusal(tower_step_up_tonic::answer)
//!     .build()?;
//!
//! let (_, payments) = tonic_health::server::health_reporter(); // a service of yours
//! let payments = ServiceBuilder::new().layer(RequireAal2).named_layer(payments);
//! let server = tonic::transport::Server::builder()
//!     .layer(step_up.layer().body_with(tower_step_up_tonic::body))
//!     .add_service(payments);
//! # drop(server);
//! # Ok(())
//! # }
//! ```
//!
//! gRPC-Web works the same: put `tonic_web::GrpcWebLayer` outside of `step_up.layer()`.
//!
//! [tonic]: https://docs.rs/tonic

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod refusal;
mod require;
mod required;

pub use self::{
    refusal::{answer, body, status},
    require::require,
    required::StepUpRequired,
};
