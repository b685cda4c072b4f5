//! The bank as a program: two on one store, behind nginx, with slow clients and with a native one.
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
mod bank;
mod behind_nginx;
#[path = "../../../../tests/processes/client.rs"]
mod client;
mod codes;
#[cfg(feature = "mail")]
#[allow(dead_code, unreachable_pub, reason = "the tests of another crate use the rest")]
#[path = "../../../../crates/mail/tests/suite/server.rs"]
mod mail_server;
mod native_client;
#[path = "../../../../tests/processes/program.rs"]
mod program;
#[path = "../../../../tests/servers/mod.rs"]
mod servers;
mod settings;
mod slow_clients;
mod trusted_device;
mod two_banks;
