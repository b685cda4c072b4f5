//! The elements of a form, of all kinds that Ory has.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Group, Text,
    attributes::{Attributes, Choice, Input, InputKind, Script, Trigger},
};

/// One element of a form.
///
/// ```
/// use tower_step_up::wire::ui::{Group, InputKind, Node, Script, Text, Trigger};
///
/// let name = Node::input(Group::WebAuthn, "webauthn_register_displayname", InputKind::Text)
///     .value("")
///     .label(Text::info(1_050_013, "Name of the key"));
/// let trigger = Node::input(Group::WebAuthn, "webauthn_register_trigger", InputKind::Button)
///     .value("{}")
///     .onclick("window.oryWebAuthnRegistration({})", Trigger::WebAuthnRegistration)
///     .label(Text::info(1_050_012, "Add a security key"));
/// let script = Script::new("webauthn_script", "https://bank.example/.well-known/ory/webauthn.js", "sha512-..");
/// let nodes = [name, trigger, Node::script(Group::WebAuthn, script)];
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    #[serde(rename = "type")]
    kind: NodeKind,
    /// The part of the form that it belongs to.
    pub group: Group,
    /// The messages about this element.
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
    A,
    Script,
    Div,
}

/// What describes a node apart from its attributes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The label, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Text>,
}

impl Node {
    fn new(kind: NodeKind, group: Group, attributes: Attributes) -> Self {
        Self { kind, group, messages: Vec::new(), meta: Meta::default(), attributes }
    }

    /// An optional input, without value and label.
    pub fn input(group: Group, name: impl Into<Cow<'static, str>>, kind: InputKind) -> Self {
        let input = Input::new(name.into(), kind);
        Self::new(NodeKind::Input, group, Attributes::Input(input))
    }

    /// A required field.
    pub fn field(group: Group, name: impl Into<Cow<'static, str>>, kind: InputKind, label: Text) -> Self {
        Self::input(group, name, kind).required().label(label)
    }

    /// A hidden value.
    pub fn hidden(group: Group, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self::input(group, name, InputKind::Hidden).value(value)
    }

    /// A button that sends the form with this name and value.
    pub fn button(group: Group, name: impl Into<Cow<'static, str>>, value: impl Into<Value>, label: Text) -> Self {
        Self::input(group, name, InputKind::Submit).value(value).label(label)
    }

    /// A picture of this width and height in pixels. The built-in pages load nothing from elsewhere, so `src` is a `data:` URL.
    pub fn image(group: Group, id: impl Into<String>, src: impl Into<String>, size: (u32, u32), label: Text) -> Self {
        let (width, height) = size;
        let attributes = Attributes::Img { src: src.into(), id: id.into(), width, height };
        Self::new(NodeKind::Img, group, attributes).label(label)
    }

    /// A text to read.
    pub fn text(group: Group, id: impl Into<String>, text: Text, label: Text) -> Self {
        Self::new(NodeKind::Text, group, Attributes::Text { text, id: id.into() }).label(label)
    }

    /// A link: a URL, a path here, or an address that opens an app.
    pub fn anchor(group: Group, id: impl Into<String>, href: impl Into<String>, title: Text) -> Self {
        Self::new(NodeKind::A, group, Attributes::A { href: href.into(), title, id: id.into() })
    }

    /// A script.
    pub fn script(group: Group, script: Script) -> Self {
        Self::new(NodeKind::Script, group, Attributes::Script(script))
    }

    /// An empty element that a script fills.
    pub fn division(group: Group, id: impl Into<String>) -> Self {
        Self::new(NodeKind::Div, group, Attributes::Div { id: id.into(), class: None, data: BTreeMap::new() })
    }

    fn edit_input(mut self, edit: impl FnOnce(&mut Input)) -> Self {
        if let Attributes::Input(input) = &mut self.attributes {
            edit(input);
        }
        self
    }

    /// The same node with a label.
    #[must_use]
    pub fn label(mut self, label: Text) -> Self {
        self.meta.label = Some(label);
        self
    }

    /// The same input, required.
    #[must_use]
    pub fn required(self) -> Self {
        self.edit_input(|input| input.required = true)
    }

    /// The same input, disabled.
    #[must_use]
    pub fn disabled(self) -> Self {
        self.edit_input(|input| input.disabled = true)
    }

    /// The same input with a value.
    #[must_use]
    pub fn value(self, value: impl Into<Value>) -> Self {
        self.edit_input(|input| input.value = Some(value.into()))
    }

    /// Whether it is a hidden input of this name.
    pub(crate) fn is_hidden(&self, name: &str) -> bool {
        matches!(&self.attributes, Attributes::Input(input) if input.kind == InputKind::Hidden && input.name == name)
    }

    pub(crate) fn set_value(&mut self, value: impl Into<Value>) {
        if let Attributes::Input(input) = &mut self.attributes {
            input.value = Some(value.into());
        }
    }

    /// The same input with an HTML `autocomplete` value.
    #[must_use]
    pub fn autocomplete(self, autocomplete: &'static str) -> Self {
        self.edit_input(|input| input.autocomplete = Some(autocomplete.into()))
    }

    /// The same input with an HTML `pattern`, which the browser checks before it sends the form.
    #[must_use]
    pub fn pattern(self, pattern: &'static str) -> Self {
        self.edit_input(|input| input.pattern = Some(pattern.into()))
    }

    /// The same input for at most this many characters.
    #[must_use]
    pub fn maxlength(self, characters: u32) -> Self {
        self.edit_input(|input| input.maxlength = Some(characters))
    }

    /// The same input with values to choose from.
    #[must_use]
    pub fn options<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Self {
        let choices = values.into_iter().map(|value| Choice { value: value.into() }).collect();
        self.edit_input(|input| input.options = choices)
    }

    /// The same input, which runs this JavaScript when it is clicked. Ory's UI kits call the function `trigger` of the
    /// [`script`](Self::script).
    #[must_use]
    pub fn onclick(self, javascript: impl Into<String>, trigger: Trigger) -> Self {
        self.edit_input(|input| {
            input.onclick = Some(javascript.into());
            input.onclick_trigger = Some(trigger);
        })
    }

    /// The same input, which runs this JavaScript when the form is loaded. Ory's UI kits call the function `trigger` of the
    /// [`script`](Self::script).
    #[must_use]
    pub fn onload(self, javascript: impl Into<String>, trigger: Trigger) -> Self {
        self.edit_input(|input| {
            input.onload = Some(javascript.into());
            input.onload_trigger = Some(trigger);
        })
    }

    /// The same [`division`](Self::division) with CSS classes.
    #[must_use]
    pub fn class(mut self, classes: impl Into<String>) -> Self {
        if let Attributes::Div { class, .. } = &mut self.attributes {
            *class = Some(classes.into());
        }
        self
    }

    /// The same [`division`](Self::division) with one more `data-` attribute. The name has no prefix.
    #[must_use]
    pub fn data(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Attributes::Div { data, .. } = &mut self.attributes {
            data.insert(name.into(), value.into());
        }
        self
    }

    /// The name of an input, the id of anything else.
    pub fn name(&self) -> &str {
        match &self.attributes {
            Attributes::Input(input) => &input.name,
            Attributes::Img { id, .. }
            | Attributes::Text { id, .. }
            | Attributes::A { id, .. }
            | Attributes::Div { id, .. } => id,
            Attributes::Script(script) => &script.id,
        }
    }

    /// The node's place in its group: identifiers first, the button last.
    pub(super) fn rank(&self) -> u8 {
        match self.name() {
            "csrf_token" => 0,
            "identifier" => 1,
            "password" => 2,
            "method" => 4,
            _ => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn label() -> Text {
        Text::info(1_010_006, "Code")
    }

    /// A node as it is on the wire, after checking that it can be read back.
    fn wire(node: &Node) -> Value {
        let wire = serde_json::to_value(node).unwrap();
        assert_eq!(&serde_json::from_value::<Node>(wire.clone()).unwrap(), node);
        wire
    }

    #[test]
    fn nodes_have_the_wire_shape() {
        let field = Node::field(Group::Totp, "totp_code", InputKind::Text, label()).value("");
        assert_eq!(
            wire(&field),
            json!({
                "type": "input", "group": "totp", "messages": [],
                "meta": {"label": {"id": 1_010_006, "type": "info", "text": "Code"}},
                "attributes": {"name": "totp_code", "type": "text", "value": "", "required": true, "disabled": false,
                    "node_type": "input"},
            })
        );
        wire(&Node::text(Group::Totp, "totp_secret_key", label(), label()));
        wire(&Node::image(Group::Totp, "totp_qr", "data:image/png;base64,", (256, 256), label()));
    }

    /// As Ory's `OpenAPI` document has them.
    #[test]
    fn every_kind_of_node_has_the_attributes_of_ory() {
        let anchor = Node::anchor(Group::Code, "open_app", "bank://confirm", label());
        assert_eq!(
            wire(&anchor),
            json!({
                "type": "a", "group": "code", "messages": [], "meta": {},
                "attributes": {"node_type": "a", "id": "open_app", "href": "bank://confirm", "title": label()},
            })
        );
        let script = Node::script(Group::WebAuthn, Script::new("webauthn_script", "/w.js", "sha512-x").nonce("n"));
        assert_eq!(
            wire(&script)["attributes"],
            json!({
                "node_type": "script", "id": "webauthn_script", "src": "/w.js", "integrity": "sha512-x", "async": true,
                "crossorigin": "anonymous", "referrerpolicy": "no-referrer", "type": "text/javascript", "nonce": "n",
            })
        );
        let plain = Node::division(Group::Default, "map");
        assert_eq!(wire(&plain)["attributes"], json!({"node_type": "div", "id": "map"}));
        let div = plain.class("wide").data("sitekey", "x");
        assert_eq!(
            wire(&div)["attributes"],
            json!({"node_type": "div", "id": "map", "class": "wide", "data": {"sitekey": "x"}})
        );
        let trigger = Node::input(Group::WebAuthn, "webauthn_login_trigger", InputKind::Button)
            .value("{}")
            .onclick("window.oryWebAuthnLogin({})", Trigger::WebAuthnLogin)
            .onload("x()", Trigger::PasskeyLoginAutocompleteInit)
            .pattern("[0-9]+")
            .maxlength(6)
            .options(["a", "b"])
            .disabled();
        assert_eq!(
            wire(&trigger)["attributes"],
            json!({
                "node_type": "input", "name": "webauthn_login_trigger", "type": "button", "value": "{}", "disabled": true,
                "onclick": "window.oryWebAuthnLogin({})", "onclickTrigger": "oryWebAuthnLogin",
                "onload": "x()", "onloadTrigger": "oryPasskeyLoginAutocompleteInit",
                "pattern": "[0-9]+", "maxlength": 6, "options": [{"value": "a"}, {"value": "b"}],
            })
        );
        let names = ["a", "script", "div", "input"];
        let kinds = [anchor, script, div, trigger].map(|node| wire(&node)["type"].clone());
        assert_eq!(kinds.each_ref().map(|kind| kind.as_str().unwrap()), names);
    }

    #[test]
    fn inputs_have_the_types_of_ory() {
        use InputKind::{
            Button, Checkbox, Date, DatetimeLocal, Email, Hidden, Number, Password, Submit, Tel, Text, Url,
        };
        let kinds = [Text, Password, Number, Checkbox, Hidden, Email, Tel, Submit, Button, DatetimeLocal, Date, Url];
        let names = kinds.map(|kind| serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned());
        let expected = [
            "text",
            "password",
            "number",
            "checkbox",
            "hidden",
            "email",
            "tel",
            "submit",
            "button",
            "datetime-local",
            "date",
            "url",
        ];
        assert_eq!(names.each_ref().map(String::as_str), expected);
    }

    #[test]
    fn triggers_have_the_names_of_ory() {
        use Trigger::{
            PasskeyLogin, PasskeyLoginAutocompleteInit, PasskeyRegistration, PasskeySettingsRegistration,
            WebAuthnLogin, WebAuthnRegistration,
        };
        for trigger in [
            WebAuthnRegistration,
            WebAuthnLogin,
            PasskeyLogin,
            PasskeyLoginAutocompleteInit,
            PasskeyRegistration,
            PasskeySettingsRegistration,
        ] {
            assert_eq!(serde_json::to_value(trigger).unwrap(), trigger.as_str());
        }
    }

    #[test]
    fn no_value_of_a_node_is_in_its_debug() {
        let secret = "s3cret";
        let nodes = [
            Node::hidden(Group::Totp, "x", secret).onclick(secret, Trigger::WebAuthnLogin),
            Node::image(Group::Totp, "x", secret, (1, 1), label()),
            Node::text(Group::Totp, "x", Text::info(1, secret), label()),
            Node::anchor(Group::Totp, "x", secret, label()),
            Node::division(Group::Totp, "x").data("y", secret),
        ];
        assert!(!format!("{nodes:?}").contains(secret), "{nodes:?}");
    }
}
