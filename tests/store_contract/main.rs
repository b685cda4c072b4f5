//! The stores against the kit that every store must pass, and the kit against a store that it must not let pass.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod naive;
#[cfg(feature = "sqlite")]
mod sqlite;

use tower_step_up::store::{MemoryStore, contract};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_keeps_the_contract() {
    contract::run(|| async { MemoryStore::default() }).await;
}

#[tokio::test]
async fn memory_keeps_the_contract_on_one_thread() {
    contract::run(|| async { MemoryStore::default() }).await;
}
