//! The stores against the kit that every store must pass, and the kit against a store that it must not let pass.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

#[cfg(any(feature = "sqlite", all(unix, feature = "postgres")))]
mod growth;
#[path = "../common/naive.rs"]
mod naive;
mod naive_is_caught;
#[cfg(all(unix, feature = "postgres"))]
mod pgbouncer;
#[cfg(any(feature = "sqlite", all(unix, feature = "postgres")))]
mod plans;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
#[cfg(all(unix, feature = "postgres"))]
mod postgres_log;
#[cfg(all(unix, feature = "redis"))]
#[path = "redis.rs"]
mod redis_store;
#[cfg(any(feature = "sqlite", all(unix, feature = "postgres")))]
mod round_trips;
#[cfg(all(unix, any(feature = "postgres", feature = "redis")))]
#[path = "../servers/mod.rs"]
mod servers;
#[cfg(any(feature = "sqlite", all(unix, feature = "postgres")))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_log;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod turns;
mod unknown_is_caught;

use tower_step_up::store::{MemoryStore, contract};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_keeps_the_contract() {
    contract::run(|| async { MemoryStore::default() }).await;
}

#[tokio::test]
async fn memory_keeps_the_contract_on_one_thread() {
    contract::run(|| async { MemoryStore::default() }).await;
}
