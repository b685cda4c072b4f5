//! The seams of the layers, used from outside the crate: one way to every verdict, sessions of another system, your own answers, any type
//! of body.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod client;
mod door;
mod refusal;
mod source;
