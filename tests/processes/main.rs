//! Several processes on one store, and processes that are killed: what must hold for an application that outgrows one machine.
//!
//! These tests start PostgreSQL, Redis and nginx. Where one of them is not installed they do nothing, unless `STEP_UP_TEST_ALL=1`
//! says that they must run, as `scripts/test` does.

#![cfg(unix)]
// Clippy takes helpers for no part of a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]

mod balanced;
mod behind_nginx;
mod changes;
mod client;
mod native_client;
mod program;
#[path = "../servers/mod.rs"]
mod servers;
mod slow_clients;
mod storm;
mod two_banks;
