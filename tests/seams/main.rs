//! The seams of the layers, used as a stranger uses them: one door to every verdict, sessions of others, answers of one's own, any type
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
mod door;
mod refusal;
mod source;
