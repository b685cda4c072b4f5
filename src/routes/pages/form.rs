//! A flow's nodes as the built-in pages show them: one section per factor. A button that needs a script is shown only if the page
//! runs scripts.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::view::{Button, Field, Hidden, Link, Message, Picture, Reading, Section, Trigger};
use crate::{
    language::Spoken,
    wire::ui::{Attributes, Group, Input, InputKind, Node, Text},
};

/// Messages in the page's language.
pub(super) fn messages(texts: &[Text], spoken: Spoken<'_>) -> Vec<Message> {
    texts.iter().map(|text| Message { kind: text.kind.as_str(), text: spoken.text(text) }).collect()
}

/// The hidden values of a section, without those that a button sends.
fn hidden(nodes: &[Node], group: Group) -> Vec<Hidden> {
    let inputs = || nodes.iter().filter_map(|node| input_of(node).map(|input| (node.group, input)));
    let sent_by_button = |hidden: &Input| {
        inputs().any(|(own, input)| own == group && input.kind == InputKind::Submit && input.name == hidden.name)
    };
    inputs()
        .filter(|(own, input)| input.kind == InputKind::Hidden && (*own == group || *own == Group::Default))
        .filter(|(_, input)| !sent_by_button(input))
        .map(|(_, input)| Hidden { name: input.name.to_string(), value: value_of(input) })
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
pub(super) fn sections(
    nodes: &[Node],
    messages: &[Text],
    spoken: Spoken<'_>,
    answered: impl Fn(Group) -> bool,
) -> Vec<Section> {
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
        let mut section = section(nodes, messages, spoken, group, position == 0);
        if !answered(group) {
            section.triggers.clear();
        }
        section
    };
    groups.into_iter().enumerate().map(shown).collect()
}

/// What the settings page has beyond the nodes: how many recovery codes are left, and a button to replace them. The wire contract offers
/// that only after a list was asked for.
pub(super) fn complete(sections: &mut [Section], left: (usize, usize), has_others: bool, spoken: Spoken<'_>) {
    for section in sections {
        let at = |name: &str| section.buttons.iter().position(|button| button.name == name);
        let (reveal, regenerate) = (at("lookup_secret_reveal"), at("lookup_secret_regenerate"));
        if let (Some(reveal), None) = (reveal, regenerate) {
            section.buttons.insert(reveal.saturating_add(1), replace(spoken));
        }
        section.note = match (reveal, regenerate, left) {
            (Some(_), _, (left, of)) => {
                Some(spoken.say("lookup-secrets-left", &[("left", left.into()), ("of", of.into())]))
            }
            (None, Some(_), (_, 0)) if has_others => Some(spoken.say("lookup-secrets-none", &[])),
            _ => None,
        };
    }
}

fn replace(spoken: Spoken<'_>) -> Button {
    Button {
        name: "lookup_secret_regenerate".to_owned(),
        value: "true".to_owned(),
        label: spoken.say("lookup-secrets-replace", &[]),
        disabled: false,
        takes_away: false,
        sends_anyway: false,
    }
}

fn section(nodes: &[Node], messages: &[Text], spoken: Spoken<'_>, group: Group, first: bool) -> Section {
    let title = title(group).map(|id| spoken.say(id, &[])).unwrap_or_default();
    let mut section = Section { title, hidden: hidden(nodes, group), first, ..Section::default() };
    // A visible field of the default group, such as the user name, is in the first section.
    for node in nodes.iter().filter(|node| node.group == group || (first && node.group == Group::Default)) {
        let label = node.meta.label.as_ref().map(|label| spoken.text(label)).unwrap_or_default();
        match &node.attributes {
            Attributes::Img { src, id, width, height } => {
                let (src, id) = (src.clone(), id.clone());
                section.pictures.push(Picture { id, src, width: *width, height: *height, label });
            }
            Attributes::Text { text, id } => {
                section.readings.push(Reading { id: id.clone(), label, items: items(text, spoken) });
            }
            Attributes::A { href, title, id } if leads_somewhere(href) => {
                section.links.push(Link { id: id.clone(), href: href.clone(), title: spoken.text(title) });
            }
            Attributes::Input(input) if input.kind == InputKind::Submit => {
                let button = Button {
                    name: input.name.to_string(),
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
                    name: input.name.to_string(),
                    value: value_of(input),
                    label,
                    function: trigger.as_str(),
                }));
            }
            Attributes::Input(input) if input.kind == InputKind::Hidden => {
                section.errors.extend(node.messages.iter().map(|message| spoken.text(message)));
            }
            Attributes::Input(input) => {
                let field = html_type(input.kind).map(|kind| field(node, input, kind, label, messages, spoken));
                section.fields.extend(field);
            }
            Attributes::A { .. } | Attributes::Script(_) | Attributes::Div { .. } => {}
        }
    }
    section
}

fn field(node: &Node, input: &Input, kind: &'static str, label: String, global: &[Text], spoken: Spoken<'_>) -> Field {
    let hints = hints(&input.name);
    Field {
        name: input.name.to_string(),
        kind,
        label,
        value: match input.kind {
            // A ticked box sends its value.
            InputKind::Checkbox => "true".to_owned(),
            InputKind::Password => String::new(),
            _ => value_of(input),
        },
        checked: input.kind == InputKind::Checkbox && input.value == Some(Value::Bool(true)),
        required: input.required || hints.required,
        disabled: input.disabled,
        pattern: hints.pattern.or(input.pattern.as_deref()).map(str::to_owned),
        maxlength: hints.maxlength.or(input.maxlength),
        hint: hints.text.map(|id| spoken.say(id, &[])),
        inputmode: hints.inputmode,
        autocapitalize: hints.autocapitalize,
        autocomplete: input.autocomplete.as_deref().unwrap_or_else(|| autocomplete(node.group, input)).to_owned(),
        messages: messages(&node.messages, spoken),
        described_by: describing(&input.name, &node.messages, global),
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
fn items(text: &Text, spoken: Spoken<'_>) -> Vec<String> {
    let list = text.context.as_ref().and_then(|context| context.get("secrets")?.as_array());
    match list {
        Some(list) => (1..)
            .zip(list)
            .filter_map(|(number, item)| Some(spoken.numbered(&Text::deserialize(item).ok()?, number)))
            .collect(),
        None => vec![spoken.text(text)],
    }
}

/// The id of a section's title.
fn title(group: Group) -> Option<&'static str> {
    Some(match group {
        Group::Totp => "group-totp",
        Group::LookupSecret => "group-lookup-secret",
        Group::WebAuthn | Group::Passkey => "group-webauthn",
        Group::Code => "group-code",
        Group::Password => "group-password",
        Group::Oidc | Group::Saml => "group-oidc",
        Group::Default => return None,
    })
}

/// What the pages know of the fields of built-in factors.
#[derive(Default)]
struct Hints {
    inputmode: Option<&'static str>,
    pattern: Option<&'static str>,
    maxlength: Option<u32>,
    /// The id of what browsers show when the pattern does not fit.
    text: Option<&'static str>,
    required: bool,
    /// Whether a phone begins with capital letters. Nothing corrects the spelling of such a field.
    autocapitalize: Option<&'static str>,
}

fn hints(name: &str) -> Hints {
    // As the server reads it: digits of either width, with blanks and dashes of any kind between them.
    const SIX_DIGITS: &str = concat!(
        r"[\s\-\u0085\u00AD\u200B-\u200F\u2010-\u2015\u2060\u2212\uFE58\uFE63\uFF0D]*(?:[0-9\uFF10-\uFF19]",
        r"[\s\-\u0085\u00AD\u200B-\u200F\u2010-\u2015\u2060\u2212\uFE58\uFE63\uFF0D]*){6}",
    );
    let none = Hints::default();
    match name {
        "totp_code" => Hints {
            inputmode: Some("numeric"),
            pattern: Some(SIX_DIGITS),
            maxlength: Some(64),
            text: Some("totp-hint"),
            ..none
        },
        "code" => Hints { inputmode: Some("numeric"), text: Some("code-hint"), ..none },
        // No pattern: codes that were imported may have any characters.
        "lookup_secret" => {
            Hints { maxlength: Some(256), text: Some("lookup-secret-hint"), autocapitalize: Some("characters"), ..none }
        }
        // A key without a name could not be told from others, so ask before the browser asks for the key.
        "webauthn_register_displayname" => Hints { required: true, maxlength: Some(64), ..none },
        _ => none,
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
    use crate::{
        language::Languages,
        wire::ui::{Script, Trigger as Function},
    };

    fn label() -> Text {
        Text::info(1, "label")
    }

    /// The sections of these nodes in English, with the groups that a script answers.
    fn shown(nodes: &[Node], answered: impl Fn(Group) -> bool) -> Vec<Section> {
        let languages = Languages::new(&[], &[], None).unwrap();
        sections(nodes, &[], languages.choose(["en"]), answered)
    }

    #[test]
    fn browsers_fill_in_what_fits() {
        let of = |group, name: &'static str, kind| {
            let node = Node::field(group, name, kind, label());
            shown(&[node], |_| true)[0].fields[0].autocomplete.clone()
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
        let sections = shown(&nodes, |_| true);
        let sent: Vec<Vec<_>> =
            sections.iter().map(|section| section.hidden.iter().map(|hidden| hidden.name.as_str()).collect()).collect();
        assert_eq!(sent, [vec!["csrf_token"], vec!["csrf_token", "identifier"]], "totp first, then code");
    }

    #[test]
    fn a_script_is_answered_by_a_button_of_its_own() {
        let nodes = [
            Node::script(Group::WebAuthn, Script::new("webauthn_script", "/w.js", "")),
            Node::division(Group::WebAuthn, "map"),
            Node::input(Group::WebAuthn, "trigger", InputKind::Button).onclick("x()", Function::WebAuthnLogin),
            Node::input(Group::WebAuthn, "trust", InputKind::Checkbox).value(true).label(label()),
        ];
        assert!(shown(&nodes, |_| false)[0].triggers.is_empty(), "no script answers it");
        let sections = shown(&nodes, |group| group == Group::WebAuthn);
        let [section] = sections.as_slice() else { panic!("one section") };
        let fields: Vec<_> =
            section.fields.iter().map(|field| (field.name.as_str(), field.kind, field.checked)).collect();
        assert_eq!(fields, [("trust", "checkbox", true)]);
        assert!(section.buttons.is_empty() && section.links.is_empty());
        let [trigger] = section.triggers.as_slice() else { panic!("one trigger") };
        assert_eq!((trigger.name.as_str(), trigger.function), ("trigger", "oryWebAuthnLogin"));
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
