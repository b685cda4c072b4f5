//! What a flow shows: nodes, labels and messages in Ory's shape. Values only: no HTML, no HTTP.

mod attributes;
pub(crate) mod messages;
mod node;
pub(crate) mod reasons;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    attributes::{Attributes, Choice, Input, InputKind, Script, Trigger},
    node::{Meta, Node},
};
pub(crate) use self::{messages as message, reasons as reason};
use crate::aal::Method;

/// A text with the id that clients look it up by. The ids are Ory's, the words are ours.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// The id that clients look it up by.
    pub id: u32,
    /// What users read.
    pub text: Cow<'static, str>,
    /// How serious it is.
    #[serde(rename = "type")]
    pub kind: TextKind,
    /// Values that the text was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
}

/// How serious a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextKind {
    /// Information.
    Info,
    /// Something is wrong.
    Error,
    /// Something was done.
    Success,
}

/// Shows only the id: some texts are secrets.
impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TextKind {
    /// The name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Error => "error",
            Self::Success => "success",
        }
    }
}

impl Text {
    /// A text that informs, such as a label.
    pub fn info(id: u32, text: impl Into<Cow<'static, str>>) -> Self {
        Self { id, text: text.into(), kind: TextKind::Info, context: None }
    }

    /// A text that says what is wrong.
    pub fn error(id: u32, text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: TextKind::Error, ..Self::info(id, text) }
    }

    /// A text that says what was done.
    pub fn success(id: u32, text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: TextKind::Success, ..Self::info(id, text) }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.kind == TextKind::Error
    }

    /// The same text with the values that it was made from, as an object. Clients put them into their own translation.
    ///
    /// ```
    /// use tower_step_up::wire::ui::Text;
    ///
    /// let context = serde_json::json!({ "display_name": "My key" });
    /// let label = Text::info(1_050_018, "Remove My key").with_context(context);
    /// ```
    #[must_use]
    pub fn with_context(self, context: Value) -> Self {
        Self { context: Some(context), ..self }
    }
}

/// The part of a form that a node belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Group {
    /// Upstream providers.
    Oidc,
    /// What belongs to no single method.
    Default,
    /// Public-key credentials.
    #[serde(rename = "webauthn")]
    WebAuthn,
    /// Discoverable public-key credentials.
    Passkey,
    /// Codes sent out of band.
    Code,
    /// The password.
    Password,
    /// Time-based one-time passwords.
    Totp,
    /// Look-up secrets.
    LookupSecret,
    /// Upstream providers that speak SAML.
    Saml,
}

impl Group {
    /// The group of a built-in method. A factor that is [shown as](crate::factor::Factor::shown_as) this method has its nodes
    /// there. `None` for methods without a form.
    pub const fn of(method: Method) -> Option<Self> {
        Some(match method {
            Method::Password => Self::Password,
            Method::Oidc => Self::Oidc,
            Method::Saml => Self::Saml,
            Method::Totp => Self::Totp,
            Method::LookupSecret => Self::LookupSecret,
            Method::WebAuthn => Self::WebAuthn,
            Method::Code => Self::Code,
            Method::Passkey => Self::Passkey,
            _ => return None,
        })
    }
}

/// Puts the nodes of a login flow into the order of the wire contract.
pub(crate) fn sort_login_nodes(nodes: &mut [Node]) {
    nodes.sort_by_key(|node| (node.group, node.rank()));
}

/// Puts the nodes of a settings flow into the order of the wire contract.
pub(crate) fn sort_settings_nodes(nodes: &mut [Node]) {
    let place = |group| match group {
        Group::Default => 0,
        Group::LookupSecret => 1,
        Group::WebAuthn => 2,
        Group::Passkey => 3,
        Group::Totp => 4,
        Group::Oidc | Group::Saml | Group::Code | Group::Password => 5,
    };
    nodes.sort_by_key(|node| (place(node.group), node.rank()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_nodes_are_ordered_by_group_and_rank() {
        let label = || Text::info(1, "");
        let mut nodes = vec![
            Node::button(Group::LookupSecret, "method", "lookup_secret", label()),
            Node::button(Group::Totp, "method", "totp", label()),
            Node::field(Group::Totp, "totp_code", InputKind::Text, label()),
            Node::field(Group::Password, "password", InputKind::Password, label()),
            Node::hidden(Group::Default, "identifier", "kim"),
            Node::hidden(Group::Default, "csrf_token", "x"),
        ];
        sort_login_nodes(&mut nodes);
        let names: Vec<_> = nodes.iter().map(Node::name).collect();
        assert_eq!(names, ["csrf_token", "identifier", "password", "totp_code", "method", "method"]);
    }
}
