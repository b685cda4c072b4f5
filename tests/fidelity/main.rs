//! The companion router beside what a running Ory Kratos answered to the same requests, in the strict and in the lax model.
//!
//! `strict.json` and `lax.json` have the recorded answers, one step a line: status, kind of body, redirects, cookies set or removed, ids of
//! errors and messages, nodes with their attributes and labels. Ids, times, tokens, hosts and all texts are placeholders. `steps` sends the
//! same requests, and `compare` prints each place that differs and is not in the list `pins`.
//!
//! `factors.json` has the same of security keys and of codes by mail. The keys are in a crate of their own, so the tests of
//! `crates/webauthn/` send those requests, with the files of this folder.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that fails panics"
)]

mod client;
mod compare;
mod pin;
mod pins;
mod plain;
mod site;
mod steps;

use serde_json::{Value, json};
use tower_step_up::RequiredAal;

use self::{
    compare::compare,
    pin::{Pin, assert_explained, unexplained},
    pins::{EVERYWHERE, PINS},
    site::Site,
};

const STRICT: &str = include_str!("strict.json");
const LAX: &str = include_str!("lax.json");

fn recorded(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

async fn ours(required: RequiredAal) -> Vec<Value> {
    steps::run(&Site::new(required)).await
}

#[tokio::test]
async fn both_models_answer_as_kratos_does_but_for_what_is_pinned() {
    let strict = compare("strict", &recorded(STRICT), &ours(RequiredAal::HighestAvailable).await);
    let lax = compare("lax", &recorded(LAX), &ours(RequiredAal::Aal1).await);
    assert_explained(&[strict, lax].concat(), &[EVERYWHERE, PINS].concat());
}

/// The comparison would notice: a changed status, label, order or cookie, a missing step, and a pin that nothing needs.
#[test]
fn an_answer_that_changes_is_noticed() {
    let theirs = recorded(STRICT);
    let unchanged = compare("strict", &theirs, &theirs);
    assert_eq!(unchanged.len(), 0, "{unchanged:?}");
    let places = |changed: &[Value]| -> Vec<String> {
        compare("strict", &theirs, changed).into_iter().map(|difference| difference.place).collect()
    };
    let changed = |step: &str, pointer: &str, value: Value| {
        let mut steps = theirs.clone();
        let step = steps.iter_mut().find(|own| own["step"] == step).unwrap();
        *step.pointer_mut(pointer).unwrap() = value;
        places(&steps)
    };
    assert_eq!(changed("whoami, nobody", "/status", json!(403)), [".status"]);
    assert_eq!(
        changed("refresh SPA", "/body/ui/nodes/3/label/0", json!(1_010_022)),
        [".body.ui.nodes[password:method].label"]
    );
    assert_eq!(changed("refresh SPA", "/cookies", json!({ "session": "set" })), [".cookies", ".cookies.session"]);
    assert_eq!(changed("aal2 HTML begin", "/location", json!("{public}/elsewhere")), [".location"]);
    let mut reordered = theirs.clone();
    let step = reordered.iter_mut().find(|own| own["step"] == "aal2 with both").unwrap();
    step["body"]["ui"]["nodes"].as_array_mut().unwrap().reverse();
    assert!(places(&reordered).contains(&".body.ui.nodes#order".to_owned()));
    assert_eq!(places(&theirs[1..]), ["."], "a step that is not taken");

    let one = [Pin::new("*", "*", "all of it")];
    assert_eq!(unexplained(&[], &one).1.len(), 1, "a pin that nothing needs");
}
