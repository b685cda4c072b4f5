//! The companion router, by what clients of every kind see of it: wire.md section by section.

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
    reason = "a test that fails panics"
)]

#[path = "../common/address_page.rs"]
mod address_page;
mod addresses;
#[path = "../common/answers.rs"]
mod answers;
mod bodies;
mod codes;
mod cookies;
#[cfg(feature = "metrics")]
mod counters;
mod devices;
#[path = "../common/held.rs"]
mod held;
mod honest;
mod in_use;
mod journeys;
#[path = "../common/key.rs"]
mod key;
mod languages;
#[path = "../common/log.rs"]
mod log;
mod login_begin;
mod login_submit;
mod logout;
#[path = "../../examples/own_factor/mail_code.rs"]
mod mail_code;
mod manage;
mod methods;
mod navigation;
mod operations;
mod outages;
mod own_addresses;
mod own_factor;
mod own_method;
mod pages_say;
#[path = "../common/post.rs"]
mod post;
#[path = "../common/postbox.rs"]
mod postbox;
mod push;
mod races;
mod repeats;
mod running;
mod settings;
mod site;
#[path = "../common/store.rs"]
mod store;
mod store_calls;
mod theme;
mod trusted_devices;
mod typing;
mod whoami;
mod wire;
#[path = "../common/witness.rs"]
mod witness;
