//! The script that asks the browser for a key.

use tower_step_up::{
    factor::{FactorContext, PageScript},
    wire::ui::{Group, Node},
};
use uuid::Uuid;

pub(crate) static SCRIPT: PageScript = PageScript::new(".well-known/ory/webauthn.js", include_str!("webauthn.js"));

/// The script's node. Only browsers get it.
pub(crate) fn node(context: &FactorContext<'_>) -> Option<Node> {
    // Ory's nonce is new at each node, and named by no policy.
    let script = || SCRIPT.referred("webauthn_script", context.public_url).nonce(Uuid::new_v4().to_string());
    context.browser.then(|| Node::script(Group::WebAuthn, script()))
}
