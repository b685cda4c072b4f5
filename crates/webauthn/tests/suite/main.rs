//! Security keys in flows of every kind of client, without a network: honest ones in software, and forged answers.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that fails panics, and not each helper of another crate is used"
)]

#[path = "../../../../tests/common/answers.rs"]
mod answers;
mod attacks;
mod bank;
mod fidelity;
#[path = "../../../../tests/common/held.rs"]
mod held;
mod honest;
mod import;
mod key;
mod phishing;
#[path = "../../../../tests/common/postbox.rs"]
mod postbox;
mod script;
#[path = "../../../../tests/flows/site.rs"]
mod site;
#[path = "../../../../tests/common/store.rs"]
mod store;
mod wire;
#[path = "../../../../tests/common/witness.rs"]
mod witness;
