//! A flow's nodes as the built-in pages show them: one section per factor. A button that needs a script is shown only if the page
//! runs scripts.

use serde_json::Value;
use url::Url;

use crate::wire::ui::{Attributes, Group, Input, InputKind, Node, Text};

/// One factor's part of the page.
#[derive(Default)]
pub(crate) struct Section<'a> {
    pub(crate) title: &'static str,
    pub(crate) hidden: Vec<Hidden<'a>>,
    pub(crate) pictures: Vec<Picture<'a>>,
    pub(crate) texts: Vec<Reading<'a>>,
    pub(crate) links: Vec<Link<'a>>,
    pub(crate) fields: Vec<Field<'a>>,
    /// What is wrong with values that nobody sees.
    pub(crate) errors: Vec<&'a str>,
    pub(crate) buttons: Vec<Button<'a>>,
    /// Buttons that remove one of several credentials. They are in a form of their own: Enter in a field must press none of them.
    pub(crate) removals: Vec<Button<'a>>,
    /// Buttons that a script answers.
    pub(crate) triggers: Vec<Trigger<'a>>,
    /// A page may have several sections. The first is for the factor that most people use.
    pub(crate) first: bool,
    /// What the user should know before choosing.
    pub(crate) note: Option<String>,
}

pub(crate) struct Picture<'a> {
    pub(crate) id: &'a str,
    pub(crate) src: &'a str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) label: &'a str,
}

/// One text to read, or several.
pub(crate) struct Reading<'a> {
    pub(crate) id: &'a str,
    pub(crate) label: &'a str,
    pub(crate) items: Vec<&'a str>,
}

pub(crate) struct Link<'a> {
    pub(crate) id: &'a str,
    pub(crate) href: &'a str,
    pub(crate) title: &'a str,
}

pub(crate) struct Field<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) label: &'a str,
    pub(crate) value: String,
    /// Whether the box is ticked.
    pub(crate) checked: bool,
    pub(crate) required: bool,
    pub(crate) disabled: bool,
    pub(crate) pattern: Option<&'a str>,
    pub(crate) maxlength: Option<u32>,
    pub(crate) messages: &'a [Text],
    /// The ids of all messages about this field.
    pub(crate) described_by: Option<String>,
    /// Attributes for the keyboard and for password managers.
    pub(crate) hints: &'static str,
    pub(crate) autocomplete: &'a str,
}

pub(crate) struct Button<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: String,
    pub(crate) label: &'a str,
    pub(crate) disabled: bool,
    /// Whether it removes a factor. Such a button must not look like the main one.
    pub(crate) takes_away: bool,
    /// Whether it sends the form as it is, whatever is missing.
    pub(crate) sends_anyway: bool,
}

/// A button that calls a function of the factor's script.
pub(crate) struct Trigger<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: String,
    pub(crate) label: &'a str,
    pub(crate) function: &'static str,
}

/// A hidden value of a form. Every form has the CSRF token and the user name; a factor's values are only in its own form.
pub(crate) struct Hidden<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: String,
}

impl Section<'_> {
    /// Whether there is anything but removals.
    pub(crate) fn has_form(&self) -> bool {
        let nothing = self.pictures.is_empty()
            && self.texts.is_empty()
            && self.links.is_empty()
            && self.fields.is_empty()
            && self.buttons.is_empty()
            && self.triggers.is_empty()
            && self.note.is_none();
        !nothing
    }
}

/// The hidden values of a section, without those that a button sends.
fn hidden(nodes: &[Node], group: Group) -> Vec<Hidden<'_>> {
    let inputs = || nodes.iter().filter_map(|node| input_of(node).map(|input| (node.group, input)));
    let sent_by_button = |hidden: &Input| {
        inputs().any(|(own, input)| own == group && input.kind == InputKind::Submit && input.name == hidden.name)
    };
    inputs()
        .filter(|(own, input)| input.kind == InputKind::Hidden && (*own == group || *own == Group::Default))
        .filter(|(_, input)| !sent_by_button(input))
        .map(|(_, input)| Hidden { name: &input.name, value: value_of(input) })
        .collect()
}

fn input_of(node: &Node) -> Option<&Input> {
    match &node.attributes {
        Attributes::Input(input) => Some(input),
        _ => None,
    }
}

/// The value as a form sends it.
fn value_of(input: &Input) -> String {
    match &input.value {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
        _ => String::new(),
    }
}

/// The sections, those first that most people use. `answered`: whether a script of the page answers the buttons of a group; others are left
/// out.
pub(crate) fn sections<'a>(nodes: &'a [Node], messages: &[Text], answered: impl Fn(Group) -> bool) -> Vec<Section<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for node in nodes.iter().filter(|node| node.group != Group::Default) {
        if !groups.contains(&node.group) {
            groups.push(node.group);
        }
    }
    // What resists phishing comes first, then the app: recovery codes are only a backup.
    groups.sort_by_key(|group| match group {
        Group::WebAuthn => 0,
        Group::Totp => 1,
        _ => 2,
    });
    let shown = |(position, group)| {
        let mut section = section(nodes, messages, group, position == 0);
        if !answered(group) {
            section.triggers.clear();
        }
        section
    };
    groups.into_iter().enumerate().map(shown).collect()
}

/// What the settings page has beyond the nodes: how many recovery codes are left, and a button to replace them. The wire contract offers
/// that only after a list was asked for.
pub(crate) fn complete(sections: &mut [Section<'_>], left: (usize, usize), has_others: bool) {
    for section in sections {
        let at = |name: &str| section.buttons.iter().position(|button| button.name == name);
        let (reveal, regenerate) = (at("lookup_secret_reveal"), at("lookup_secret_regenerate"));
        if let (Some(reveal), None) = (reveal, regenerate) {
            section.buttons.insert(reveal.saturating_add(1), replace());
        }
        section.note = match (reveal, regenerate, left) {
            (Some(_), _, (left, of)) => Some(format!("{left} of your {of} recovery codes are left.")),
            (None, Some(_), (_, 0)) if has_others => Some(
                "You have no recovery codes yet. Create some now: with them you get in when your phone is lost."
                    .to_owned(),
            ),
            _ => None,
        };
    }
}

fn replace<'a>() -> Button<'a> {
    Button {
        name: "lookup_secret_regenerate",
        value: "true".to_owned(),
        label: "Replace the codes",
        disabled: false,
        takes_away: false,
        sends_anyway: false,
    }
}

fn section<'a>(nodes: &'a [Node], messages: &[Text], group: Group, first: bool) -> Section<'a> {
    let mut section = Section { title: title(group), hidden: hidden(nodes, group), first, ..Section::default() };
    // A visible field of the default group, such as the user name, is in the first section.
    for node in nodes.iter().filter(|node| node.group == group || (first && node.group == Group::Default)) {
        let label = node.meta.label.as_ref().map_or("", |label| label.text.as_ref());
        match &node.attributes {
            Attributes::Img { src, id, width, height } => {
                section.pictures.push(Picture { id, src, width: *width, height: *height, label });
            }
            Attributes::Text { text, id } => section.texts.push(Reading { id, label, items: items(text) }),
            Attributes::A { href, title, id } if leads_somewhere(href) => {
                section.links.push(Link { id, href, title: &title.text });
            }
            Attributes::Input(input) if input.kind == InputKind::Submit => {
                let button = Button {
                    name: &input.name,
                    value: value_of(input),
                    label,
                    disabled: input.disabled,
                    takes_away: ["_unlink", "_disable", "_remove"].iter().any(|end| input.name.ends_with(end)),
                    sends_anyway: input.name == "resend",
                };
                let place = if input.name.ends_with("_remove") { &mut section.removals } else { &mut section.buttons };
                place.push(button);
            }
            Attributes::Input(input) if input.kind == InputKind::Button => {
                section.triggers.extend(input.onclick_trigger.map(|trigger| Trigger {
                    name: &input.name,
                    value: value_of(input),
                    label,
                    function: trigger.as_str(),
                }));
            }
            Attributes::Input(input) if input.kind == InputKind::Hidden => {
                section.errors.extend(node.messages.iter().map(|message| message.text.as_ref()));
            }
            Attributes::Input(input) => {
                let field = html_type(input.kind).map(|kind| field(node, input, kind, label, messages));
                section.fields.extend(field);
            }
            Attributes::A { .. } | Attributes::Script(_) | Attributes::Div { .. } => {}
        }
    }
    section
}

fn field<'a>(node: &'a Node, input: &'a Input, kind: &'static str, label: &'a str, messages: &[Text]) -> Field<'a> {
    Field {
        name: &input.name,
        kind,
        label,
        value: match input.kind {
            // A ticked box sends its value.
            InputKind::Checkbox => "true".to_owned(),
            InputKind::Password => String::new(),
            _ => value_of(input),
        },
        checked: input.kind == InputKind::Checkbox && input.value == Some(Value::Bool(true)),
        required: input.required,
        disabled: input.disabled,
        pattern: input.pattern.as_deref(),
        maxlength: input.maxlength,
        messages: &node.messages,
        described_by: describing(&input.name, &node.messages, messages),
        hints: hints(&input.name),
        autocomplete: input.autocomplete.as_deref().unwrap_or_else(|| autocomplete(node.group, input)),
    }
}

/// The HTML type of a field that users fill in; `None` for other inputs.
fn html_type(kind: InputKind) -> Option<&'static str> {
    Some(match kind {
        InputKind::Text => "text",
        InputKind::Password => "password",
        InputKind::Number => "number",
        InputKind::Checkbox => "checkbox",
        InputKind::Email => "email",
        InputKind::Tel => "tel",
        InputKind::DatetimeLocal => "datetime-local",
        InputKind::Date => "date",
        InputKind::Url => "url",
        InputKind::Hidden | InputKind::Submit | InputKind::Button => return None,
    })
}

/// Whether the link opens a page or an app. Links with a script or with inline content are left out.
fn leads_somewhere(href: &str) -> bool {
    if href.starts_with('/') {
        return true;
    }
    Url::parse(href).is_ok_and(|url| !["javascript", "data", "vbscript", "blob", "about"].contains(&url.scheme()))
}

/// The texts of a list of secrets, or the text itself.
fn items(text: &Text) -> Vec<&str> {
    let list = text.context.as_ref().and_then(|context| context.get("secrets")?.as_array());
    match list {
        Some(list) => list.iter().filter_map(|item| item.get("text")?.as_str()).collect(),
        None => vec![text.text.as_ref()],
    }
}

fn title(group: Group) -> &'static str {
    match group {
        Group::Totp => "Authenticator app",
        Group::LookupSecret => "Recovery codes",
        Group::WebAuthn | Group::Passkey => "Security key",
        Group::Code => "Codes by message",
        Group::Password => "Password",
        Group::Oidc | Group::Saml => "Other accounts",
        Group::Default => "",
    }
}

/// Fixed attributes for fields of the built-in factors. They go into the tag unescaped, so nothing here may come from a request.
fn hints(name: &str) -> &'static str {
    match name {
        // As the server reads it: digits of either width, with blanks and dashes of any kind between them.
        "totp_code" => concat!(
            r#"inputmode="numeric" maxlength="64" title="Six digits, for example 123 456" pattern=""#,
            r"[\s\-\u0085\u00AD\u200B-\u200F\u2010-\u2015\u2060\u2212\uFE58\uFE63\uFF0D]*(?:[0-9\uFF10-\uFF19]",
            r#"[\s\-\u0085\u00AD\u200B-\u200F\u2010-\u2015\u2060\u2212\uFE58\uFE63\uFF0D]*){6}""#,
        ),
        "code" => r#"inputmode="numeric" title="The code from the message""#,
        // No pattern: codes that were imported may have any characters.
        "lookup_secret" => concat!(
            r#"autocapitalize="characters" spellcheck="false" maxlength="256" "#,
            r#"title="A code of your list, with or without dashes""#,
        ),
        // A key without a name could not be told from others, so ask before the browser asks for the key.
        "webauthn_register_displayname" => r#"required maxlength="64""#,
        _ => "",
    }
}

/// What browsers may fill in. A factor's form may have more than the code: a box to tick, an address, a name.
fn autocomplete(group: Group, input: &Input) -> &'static str {
    let is_code = input.name == "code" || input.name.ends_with("_code");
    match (group, input.kind) {
        (Group::Default, _) if input.name == "identifier" => "username",
        (Group::Totp | Group::Code, InputKind::Text | InputKind::Number) if is_code => "one-time-code",
        (Group::Password, InputKind::Password) => "current-password",
        (_, InputKind::Email) => "email",
        (_, InputKind::Tel) => "tel",
        _ => "off",
    }
}

/// The ids of the messages about a field: its own, and errors about the whole form.
fn describing(name: &str, own: &[Text], global: &[Text]) -> Option<String> {
    let errors = global.iter().zip(1..).filter(|(message, _)| message.is_error());
    let global = errors.map(|(_, index)| format!("message-{index}"));
    let own = (1..=own.len()).map(|index| format!("{name}-message-{index}"));
    let ids: Vec<_> = global.chain(own).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ui::{Script, Trigger};

    fn label() -> Text {
        Text::info(1, "label")
    }

    #[test]
    fn browsers_fill_in_what_fits() {
        let of = |group, name: &'static str, kind| {
            let node = Node::field(group, name, kind, label());
            sections(&[node], &[], |_| true)[0].fields[0].autocomplete.to_owned()
        };
        for (group, name, kind, expected) in [
            (Group::Totp, "totp_code", InputKind::Text, "one-time-code"),
            (Group::Code, "code", InputKind::Number, "one-time-code"),
            (Group::Code, "remember", InputKind::Checkbox, "off"),
            (Group::Code, "address", InputKind::Email, "email"),
            (Group::Code, "phone", InputKind::Tel, "tel"),
            (Group::Password, "password", InputKind::Password, "current-password"),
            // Kept on paper: a browser must not offer to save or fill it.
            (Group::LookupSecret, "lookup_secret", InputKind::Text, "off"),
            (Group::WebAuthn, "name", InputKind::Text, "off"),
        ] {
            assert_eq!(of(group, name, kind), expected, "{name}");
        }
    }

    #[test]
    fn a_hidden_value_goes_with_its_own_form_alone() {
        let nodes = [
            Node::hidden(Group::Default, "csrf_token", "x"),
            Node::hidden(Group::Code, "identifier", "kim@app.example"),
            Node::hidden(Group::Code, "method", "code"),
            Node::button(Group::Code, "method", "code", label()),
            Node::button(Group::Totp, "method", "totp", label()),
        ];
        let sections = sections(&nodes, &[], |_| true);
        let sent: Vec<Vec<_>> =
            sections.iter().map(|section| section.hidden.iter().map(|hidden| hidden.name).collect()).collect();
        assert_eq!(sent, [vec!["csrf_token"], vec!["csrf_token", "identifier"]], "totp first, then code");
    }

    #[test]
    fn a_script_is_answered_by_a_button_of_its_own() {
        let nodes = [
            Node::script(Group::WebAuthn, Script::new("webauthn_script", "/w.js", "")),
            Node::division(Group::WebAuthn, "map"),
            Node::input(Group::WebAuthn, "trigger", InputKind::Button).onclick("x()", Trigger::WebAuthnLogin),
            Node::input(Group::WebAuthn, "trust", InputKind::Checkbox).value(true).label(label()),
        ];
        assert!(sections(&nodes, &[], |_| false)[0].triggers.is_empty(), "no script answers it");
        let sections = sections(&nodes, &[], |group| group == Group::WebAuthn);
        let [section] = sections.as_slice() else { panic!("one section") };
        let fields: Vec<_> = section.fields.iter().map(|field| (field.name, field.kind, field.checked)).collect();
        assert_eq!(fields, [("trust", "checkbox", true)]);
        assert!(section.buttons.is_empty() && section.links.is_empty());
        let [trigger] = section.triggers.as_slice() else { panic!("one trigger") };
        assert_eq!((trigger.name, trigger.function), ("trigger", "oryWebAuthnLogin"));
    }

    #[test]
    fn a_link_is_no_script() {
        for good in ["https://bank.example/x", "/help", "bank://confirm?id=1", "tel:123"] {
            assert!(leads_somewhere(good), "{good}");
        }
        for bad in ["javascript:alert(1)", " JavaScript:alert(1)", "java\nscript:x", "data:text/html,x", "", "help"] {
            assert!(!leads_somewhere(bad), "{bad}");
        }
    }
}
