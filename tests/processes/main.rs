//! Several processes on one store, and processes that are killed: what must hold for an application that outgrows one machine. The servers are
//! this test executable, started once more; those of `examples/bank/tests` are banks.
//!
//! These tests start PostgreSQL and Redis. Where one of them is not installed they do nothing, unless `STEP_UP_TEST_ALL=1`
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

mod changes;
mod client;
mod program;
#[path = "../servers/mod.rs"]
mod servers;
mod storm;
