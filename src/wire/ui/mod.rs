//! What a flow shows: nodes, labels and messages in Ory's shape. Values only: no HTML, no HTTP.

pub(crate) mod messages;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::messages as message;

/// A text with the id that clients key on. The words are ours, the ids are Ory's.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// What clients key on.
    pub id: u32,
    /// What people read.
    pub text: Cow<'static, str>,
    /// How serious it is.
    #[serde(rename = "type")]
    pub kind: TextKind,
    /// Values that the text was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
}

/// How serious a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextKind {
    /// It informs.
    Info,
    /// Something is wrong.
    Error,
    /// Something was done.
    Success,
}

/// Shows the id alone: the text of some is a secret.
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
    /// A text that informs, a label for one.
    pub fn info(id: u32, text: impl Into<Cow<'static, str>>) -> Self {
        Self { id, text: text.into(), kind: TextKind::Info, context: None }
    }

    /// A text that says what is wrong.
    pub fn error(id: u32, text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: TextKind::Error, ..Self::info(id, text) }
    }

    pub(crate) fn success(id: u32, text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: TextKind::Success, ..Self::info(id, text) }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.kind == TextKind::Error
    }

    pub(crate) fn with_context(self, context: Value) -> Self {
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
    /// What belongs to no method.
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
}

/// One element of a form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    #[serde(rename = "type")]
    kind: NodeKind,
    /// The part of the form that it belongs to.
    pub group: Group,
    /// What is said about this element.
    pub messages: Vec<Text>,
    /// Its label.
    pub meta: Meta,
    /// What it is.
    pub attributes: Attributes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NodeKind {
    Input,
    Img,
    Text,
}

/// What is said of a node apart from its attributes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The label, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Text>,
}

/// What a node is, with all that a client needs to render it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "node_type", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Attributes {
    /// A field or button.
    Input(Input),
    /// A picture.
    Img {
        /// `data:` URL of the picture.
        src: String,
        /// The element's id.
        id: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A text to read.
    Text {
        /// The text.
        text: Text,
        /// The element's id.
        id: String,
    },
}

/// Shows no picture: the one of a TOTP secret is the secret.
impl std::fmt::Debug for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(input) => input.fmt(f),
            Self::Img { id, .. } => f.debug_struct("Img").field("id", id).finish_non_exhaustive(),
            Self::Text { text, id } => f.debug_struct("Text").field("id", id).field("text", text).finish(),
        }
    }
}

/// A field or button of a form.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The name it is sent under.
    pub name: Cow<'static, str>,
    /// The HTML input type.
    #[serde(rename = "type")]
    pub kind: InputKind,
    /// The value it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Whether it must be filled in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Whether it is switched off.
    pub disabled: bool,
    /// The HTML `autocomplete` value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autocomplete: Option<Cow<'static, str>>,
}

/// Shows the name alone: the value may be a token.
impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The HTML type of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InputKind {
    /// A line of text.
    Text,
    /// A line of text that is not shown.
    Password,
    /// Not shown at all.
    Hidden,
    /// A button that sends the form.
    Submit,
}

impl Node {
    fn input(group: Group, name: impl Into<Cow<'static, str>>, kind: InputKind, value: Option<Value>) -> Self {
        let input = Input { name: name.into(), kind, value, required: false, disabled: false, autocomplete: None };
        Self {
            kind: NodeKind::Input,
            group,
            messages: Vec::new(),
            meta: Meta::default(),
            attributes: Attributes::Input(input),
        }
    }

    /// A field that must be filled in.
    pub fn field(group: Group, name: impl Into<Cow<'static, str>>, kind: InputKind, label: Text) -> Self {
        Self::input(group, name, kind, None).required().label(label)
    }

    /// A hidden value.
    pub fn hidden(group: Group, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self::input(group, name, InputKind::Hidden, Some(value.into()))
    }

    /// A button that sends the form with this name and value.
    pub fn button(group: Group, name: impl Into<Cow<'static, str>>, value: impl Into<Value>, label: Text) -> Self {
        Self::input(group, name, InputKind::Submit, Some(value.into())).label(label)
    }

    pub(crate) fn image(group: Group, id: &str, src: String, pixels: u32, label: Text) -> Self {
        let attributes = Attributes::Img { src, id: id.to_owned(), width: pixels, height: pixels };
        Self { kind: NodeKind::Img, attributes, ..Self::hidden(group, "", "") }.label(label)
    }

    pub(crate) fn text(group: Group, id: &str, text: Text, label: Text) -> Self {
        let attributes = Attributes::Text { text, id: id.to_owned() };
        Self { kind: NodeKind::Text, attributes, ..Self::hidden(group, "", "") }.label(label)
    }

    fn edit_input(mut self, edit: impl FnOnce(&mut Input)) -> Self {
        if let Attributes::Input(input) = &mut self.attributes {
            edit(input);
        }
        self
    }

    fn label(mut self, label: Text) -> Self {
        self.meta.label = Some(label);
        self
    }

    /// The same input, and it must be there.
    #[must_use]
    pub fn required(self) -> Self {
        self.edit_input(|input| input.required = true)
    }

    /// The same input with a value.
    #[must_use]
    pub fn value(self, value: impl Into<Value>) -> Self {
        self.edit_input(|input| input.value = Some(value.into()))
    }

    /// The same input with an HTML `autocomplete` value.
    #[must_use]
    pub fn autocomplete(self, autocomplete: &'static str) -> Self {
        self.edit_input(|input| input.autocomplete = Some(autocomplete.into()))
    }

    /// The name of an input, the id of anything else.
    pub fn name(&self) -> &str {
        match &self.attributes {
            Attributes::Input(input) => &input.name,
            Attributes::Img { id, .. } | Attributes::Text { id, .. } => id,
        }
    }

    /// Where the node stands in its group: what identifies first, the button last.
    fn rank(&self) -> u8 {
        match self.name() {
            "csrf_token" => 0,
            "identifier" => 1,
            "password" => 2,
            "method" => 4,
            _ => 3,
        }
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
        Group::Oidc | Group::Code | Group::Password => 5,
    };
    nodes.sort_by_key(|node| (place(node.group), node.rank()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_the_wire_shape() {
        let label = Text::info(1_010_006, "Code");
        let field = Node::field(Group::Totp, "totp_code", InputKind::Text, label.clone()).value("");
        assert_eq!(
            serde_json::to_value(&field).unwrap(),
            serde_json::json!({
                "type": "input", "group": "totp", "messages": [],
                "meta": {"label": {"id": 1_010_006, "type": "info", "text": "Code"}},
                "attributes": {"name": "totp_code", "type": "text", "value": "", "required": true, "disabled": false,
                    "node_type": "input"},
            })
        );
        let text = Node::text(Group::Totp, "totp_secret_key", label.clone(), label.clone());
        let image = Node::image(Group::Totp, "totp_qr", "data:image/svg+xml;base64,".to_owned(), 256, label);
        for node in [field, text, image] {
            let read: Node = serde_json::from_value(serde_json::to_value(&node).unwrap()).unwrap();
            assert_eq!(read, node);
        }
    }

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
