//! Security keys, and codes by mail beside them, as a running Ory Kratos answered the same requests: see `tests/fidelity/` of the repository.

#[path = "../../../../../tests/fidelity/client.rs"]
mod client;
#[path = "../../../../../tests/fidelity/compare.rs"]
mod compare;
mod own_pins;
#[path = "../../../../../tests/fidelity/pin.rs"]
mod pin;
#[path = "../../../../../tests/fidelity/pins.rs"]
mod pins;
#[path = "../../../../../tests/fidelity/plain.rs"]
mod plain;
mod site;
mod steps;

use self::{compare::compare, own_pins::OWN_PINS, pin::assert_explained, pins::EVERYWHERE};

const RECORDED: &str = include_str!("../../../../../tests/fidelity/factors.json");

#[tokio::test]
async fn keys_and_codes_are_answered_as_kratos_does_but_for_what_is_pinned() {
    let theirs: Vec<serde_json::Value> = serde_json::from_str(RECORDED).unwrap();
    let ours = steps::run(&site::Site::new()).await;
    assert_explained(&compare("factors", &theirs, &ours), &[EVERYWHERE, OWN_PINS].concat());
}
