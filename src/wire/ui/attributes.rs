//! The attributes of each kind of node, as in Ory's `OpenAPI` document.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Text;

/// What a node is, with everything that a client needs to render it.
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
    /// A link.
    A {
        /// The address that it leads to.
        href: String,
        /// What users read.
        title: Text,
        /// The element's id.
        id: String,
    },
    /// A script that the page loads.
    Script(Script),
    /// An empty element that a script fills.
    Div {
        /// The element's id.
        id: String,
        /// Its CSS classes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<String>,
        /// Its `data-` attributes.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        data: BTreeMap<String, String>,
    },
}

/// Hides pictures: the QR code of a TOTP secret is the secret.
impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(input) => input.fmt(f),
            Self::Img { id, .. } => f.debug_struct("Img").field("id", id).finish_non_exhaustive(),
            Self::Text { text, id } => f.debug_struct("Text").field("id", id).field("text", text).finish(),
            Self::A { id, title, .. } => {
                f.debug_struct("A").field("id", id).field("title", title).finish_non_exhaustive()
            }
            Self::Script(script) => script.fmt(f),
            Self::Div { id, .. } => f.debug_struct("Div").field("id", id).finish_non_exhaustive(),
        }
    }
}

/// A field or button of a form. [`Node`](super::Node) makes it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Input {
    /// The name that it is sent under.
    pub name: Cow<'static, str>,
    /// The HTML input type.
    #[serde(rename = "type")]
    pub kind: InputKind,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Whether it must be filled in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Whether it is disabled.
    pub disabled: bool,
    /// The HTML `autocomplete` value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autocomplete: Option<Cow<'static, str>>,
    /// The HTML `pattern` that the value must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Cow<'static, str>>,
    /// The greatest number of characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maxlength: Option<u32>,
    /// The values to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    /// JavaScript to run on a click, for plain pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onclick: Option<String>,
    /// The function of the script that a click calls, for Ory's UI kits.
    #[serde(default, rename = "onclickTrigger", skip_serializing_if = "Option::is_none")]
    pub onclick_trigger: Option<Trigger>,
    /// JavaScript to run when the form is loaded, for plain pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onload: Option<String>,
    /// The function of the script that is called when the form is loaded, for Ory's UI kits.
    #[serde(default, rename = "onloadTrigger", skip_serializing_if = "Option::is_none")]
    pub onload_trigger: Option<Trigger>,
}

impl Input {
    pub(super) const fn new(name: Cow<'static, str>, kind: InputKind) -> Self {
        Self {
            name,
            kind,
            value: None,
            required: false,
            disabled: false,
            autocomplete: None,
            pattern: None,
            maxlength: None,
            options: Vec::new(),
            onclick: None,
            onclick_trigger: None,
            onload: None,
            onload_trigger: None,
        }
    }
}

/// Shows only the name and the type: the value may be a token.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    /// A line of text that is masked, such as a password.
    Password,
    /// A number.
    Number,
    /// A box to tick.
    Checkbox,
    /// A hidden value.
    Hidden,
    /// An email address.
    Email,
    /// A telephone number.
    Tel,
    /// A button that sends the form.
    Submit,
    /// A button that a script handles. The built-in pages run no scripts, and leave it out.
    Button,
    /// A date and a time.
    #[serde(rename = "datetime-local")]
    DatetimeLocal,
    /// A date.
    Date,
    /// A URL.
    Url,
}

/// A value that an input can have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Choice {
    /// The value.
    pub value: Value,
}

/// A function of Ory's script that an input calls. SDKs know these names and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Trigger {
    /// Registers a security key.
    #[serde(rename = "oryWebAuthnRegistration")]
    WebAuthnRegistration,
    /// Signs in with a security key.
    #[serde(rename = "oryWebAuthnLogin")]
    WebAuthnLogin,
    /// Signs in with a passkey.
    #[serde(rename = "oryPasskeyLogin")]
    PasskeyLogin,
    /// Offers passkeys in the identifier's field.
    #[serde(rename = "oryPasskeyLoginAutocompleteInit")]
    PasskeyLoginAutocompleteInit,
    /// Registers a passkey with a new account.
    #[serde(rename = "oryPasskeyRegistration")]
    PasskeyRegistration,
    /// Registers a passkey in the settings.
    #[serde(rename = "oryPasskeySettingsRegistration")]
    PasskeySettingsRegistration,
}

impl Trigger {
    /// The function's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebAuthnRegistration => "oryWebAuthnRegistration",
            Self::WebAuthnLogin => "oryWebAuthnLogin",
            Self::PasskeyLogin => "oryPasskeyLogin",
            Self::PasskeyLoginAutocompleteInit => "oryPasskeyLoginAutocompleteInit",
            Self::PasskeyRegistration => "oryPasskeyRegistration",
            Self::PasskeySettingsRegistration => "oryPasskeySettingsRegistration",
        }
    }
}

/// A script that pages load. The built-in pages run it only if it is the script of a factor
/// ([`Factor::script`](crate::factor::Factor::script)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Script {
    /// The element's id. Ory's UI kits look for `webauthn_script`.
    pub id: String,
    /// Its URL.
    pub src: String,
    /// Hash of the script (Subresource Integrity); empty if it is not checked.
    pub integrity: String,
    /// Whether it is loaded asynchronously: yes.
    #[serde(rename = "async")]
    pub is_async: bool,
    /// The HTML `crossorigin` value: `anonymous`.
    pub crossorigin: String,
    /// The HTML `referrerpolicy` value: `no-referrer`.
    pub referrerpolicy: String,
    /// The media type: `text/javascript`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The nonce for a content security policy; empty if there is none.
    pub nonce: String,
}

impl Script {
    /// A script with this id, address and hash. Everything else is as in Ory.
    pub fn new(id: impl Into<String>, src: impl Into<String>, integrity: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            src: src.into(),
            integrity: integrity.into(),
            is_async: true,
            crossorigin: "anonymous".to_owned(),
            referrerpolicy: "no-referrer".to_owned(),
            kind: "text/javascript".to_owned(),
            nonce: String::new(),
        }
    }

    /// The same script with a nonce.
    #[must_use]
    pub fn nonce(self, nonce: impl Into<String>) -> Self {
        Self { nonce: nonce.into(), ..self }
    }
}
