//! Applications with sessions of axum-login and of tower-sessions, whose users step up by HTTP, without a network.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "not a library, and not each helper of another crate is used"
)]

mod adapters;
mod ages;
mod attacks;
mod browser;
mod ends;
mod facade;
mod handlers;
mod host;
#[path = "../../../../tests/common/log.rs"]
mod log;
mod logins;
mod outages;
mod races;
mod readme;
mod site;
#[path = "../../../../tests/common/store.rs"]
mod store;
#[path = "../../../../tests/ways/table.rs"]
mod table;
mod way;
mod wiring;
