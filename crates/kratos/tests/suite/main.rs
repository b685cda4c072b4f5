//! Guards over real sockets: an application in front, and behind it a Kratos.
//!
//! That is the companion router of `tower-step-up`, which speaks Kratos' wire, and for the faults a server that answers what it is told. The
//! last test runs the same attacks and journeys against a real Kratos: see `scripts/against-kratos`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, reason = "not a library")]

mod application;
mod attacks;
mod client;
mod faults;
mod faulty;
mod flights;
mod journeys;
mod server;
mod settings;
#[path = "../../../../tests/ways/table.rs"]
mod table;
mod way;

use self::server::Server;

#[tokio::test]
async fn no_attack_succeeds_in_the_strict_model() {
    attacks::all(&Server::stand_in(true, &[]).await).await;
}

#[tokio::test]
async fn no_attack_succeeds_in_the_lax_model() {
    attacks::all(&Server::stand_in(false, &[]).await).await;
}

#[tokio::test]
async fn users_are_led_to_kratos_and_back_in_the_strict_model() {
    let address = application::Address::bind().await;
    journeys::all(&Server::stand_in(true, &[&address.url]).await, address).await;
}

#[tokio::test]
async fn users_are_led_to_kratos_and_back_in_the_lax_model() {
    let address = application::Address::bind().await;
    journeys::all(&Server::stand_in(false, &[&address.url]).await, address).await;
}

/// `scripts/against-kratos` says what it needs.
#[tokio::test]
#[ignore = "needs a Kratos: scripts/against-kratos"]
async fn against_a_real_kratos() {
    let server = Server::real();
    attacks::all(&server).await;
    journeys::all(&server, application::Address::bind().await).await;
}
