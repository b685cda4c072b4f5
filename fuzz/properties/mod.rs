//! What attackers can send and broken stores can hold, as functions of bytes. Each asserts what must be true for *any* bytes.
//!
//! The fuzzer in `fuzz/` calls them. `cargo test` calls them with bounded random input and with the fuzzer's corpus. Nothing else uses
//! them.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a property that does not hold panics"
)]

mod accept;
#[cfg(feature = "axum")]
mod bank;
mod lookup_secrets;
mod return_to;
mod session_headers;
mod stored_rows;
#[cfg(feature = "axum")]
mod submit_bodies;
#[cfg(test)]
mod tests;
mod world;

#[cfg(feature = "axum")]
pub use self::submit_bodies::submit_bodies;
pub use self::{
    accept::accept, lookup_secrets::lookup_secrets, return_to::return_to, session_headers::session_headers,
    stored_rows::stored_rows,
};
