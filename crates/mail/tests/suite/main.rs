//! Mails with codes: what they say, and what becomes of them when the server does not take them.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that fails panics"
)]

mod bank;
mod mail;
mod outages;
mod real;
mod server;
