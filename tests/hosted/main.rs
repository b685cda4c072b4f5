//! Sessions that the application has already, by the public API: an application whose sessions are its own, who is signed in there, and what
//! a step-up adds.

#![allow(unreachable_pub, reason = "not a library")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

#[path = "../common/mod.rs"]
mod common;

mod client;
mod codes;
mod ends;
mod faults;
mod first_factor;
mod host;
mod model;
#[path = "../common/postbox.rs"]
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    missing_docs,
    reason = "shared with other tests"
)]
mod postbox;
mod races;
mod site;
mod step_up;
mod suite;
