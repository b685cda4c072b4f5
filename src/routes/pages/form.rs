//! A flow's nodes as the built-in pages show them: one section for each factor.

use crate::wire::ui::{Attributes, Group, InputKind, Node, Text};

/// One factor's part of the page.
#[derive(Default)]
pub(crate) struct Section<'a> {
    pub(crate) title: &'static str,
    pub(crate) pictures: Vec<Picture<'a>>,
    pub(crate) texts: Vec<Reading<'a>>,
    pub(crate) fields: Vec<Field<'a>>,
    pub(crate) buttons: Vec<Button<'a>>,
    /// Several factors stand in one page; the first is the one that most people want.
    pub(crate) first: bool,
}

pub(crate) struct Picture<'a> {
    pub(crate) id: &'a str,
    pub(crate) src: &'a str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) label: &'a str,
}

/// A text to read, or several.
pub(crate) struct Reading<'a> {
    pub(crate) id: &'a str,
    pub(crate) label: &'a str,
    pub(crate) items: Vec<&'a str>,
}

pub(crate) struct Field<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) label: &'a str,
    pub(crate) messages: &'a [Text],
    /// The ids of all messages that are about this field.
    pub(crate) described_by: Option<String>,
    /// Attributes for the keyboard and for password managers.
    pub(crate) hints: &'static str,
    pub(crate) autocomplete: &'a str,
}

pub(crate) struct Button<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: String,
    pub(crate) label: &'a str,
    /// Whether it takes a factor away: such a button must not look like the one to press.
    pub(crate) takes_away: bool,
}

/// A value that goes with every form of the page.
pub(crate) struct Hidden<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: String,
}

/// The hidden values among the nodes: the CSRF token, and who it is.
pub(crate) fn hidden(nodes: &[Node]) -> Vec<Hidden<'_>> {
    let inputs = nodes.iter().filter_map(|node| match &node.attributes {
        Attributes::Input(input) if input.kind == InputKind::Hidden => Some((node, input)),
        _ => None,
    });
    inputs.map(|(node, input)| Hidden { name: &input.name, value: value_of(node).unwrap_or_default() }).collect()
}

fn value_of(node: &Node) -> Option<String> {
    match &node.attributes {
        Attributes::Input(input) => input.value.as_ref()?.as_str().map(str::to_owned),
        _ => None,
    }
}

/// The sections in the order of the nodes.
pub(crate) fn sections<'a>(nodes: &'a [Node], messages: &[Text]) -> Vec<Section<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for node in nodes.iter().filter(|node| node.group != Group::Default) {
        if !groups.contains(&node.group) {
            groups.push(node.group);
        }
    }
    // Whoever sets a factor up begins with the app; codes on paper only stand in for it.
    groups.sort_by_key(|group| *group != Group::Totp);
    groups.into_iter().enumerate().map(|(position, group)| section(nodes, messages, group, position == 0)).collect()
}

fn section<'a>(nodes: &'a [Node], messages: &[Text], group: Group, first: bool) -> Section<'a> {
    let mut section = Section { title: title(group), first, ..Section::default() };
    // A visible field of no group, such as who wants to sign in, stands in the first section.
    for node in nodes.iter().filter(|node| node.group == group || (first && node.group == Group::Default)) {
        let label = node.meta.label.as_ref().map_or("", |label| label.text.as_ref());
        match &node.attributes {
            Attributes::Img { src, id, width, height } => {
                section.pictures.push(Picture { id, src, width: *width, height: *height, label });
            }
            Attributes::Text { text, id } => section.texts.push(Reading { id, label, items: items(text) }),
            Attributes::Input(input) => match input.kind {
                InputKind::Hidden => {}
                InputKind::Submit => section.buttons.push(Button {
                    name: &input.name,
                    value: value_of(node).unwrap_or_default(),
                    label,
                    takes_away: input.name.ends_with("_unlink") || input.name.ends_with("_disable"),
                }),
                kind => section.fields.push(Field {
                    name: &input.name,
                    kind: if kind == InputKind::Password { "password" } else { "text" },
                    label,
                    messages: &node.messages,
                    described_by: describing(&input.name, &node.messages, messages),
                    hints: hints(node.group),
                    autocomplete: input.autocomplete.as_deref().unwrap_or_else(|| autocomplete(node.group)),
                }),
            },
        }
    }
    section
}

/// The single texts of a list of secrets, or the text itself.
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
        Group::Oidc => "Other accounts",
        Group::Default => "",
    }
}

/// Fixed texts, never from a request: they go into the tag as they are.
fn hints(group: Group) -> &'static str {
    match group {
        Group::Totp => r#"inputmode="numeric" pattern="\s*[0-9]{6}\s*" maxlength="12""#,
        Group::LookupSecret => r#"autocapitalize="characters" spellcheck="false" maxlength="64""#,
        _ => "",
    }
}

fn autocomplete(group: Group) -> &'static str {
    match group {
        Group::Totp | Group::Code => "one-time-code",
        Group::Password => "current-password",
        _ => "off",
    }
}

/// The ids of the messages that belong to a field: its own, and errors about the whole form, which are about what was typed.
fn describing(name: &str, own: &[Text], global: &[Text]) -> Option<String> {
    let errors = global.iter().zip(1..).filter(|(message, _)| message.is_error());
    let global = errors.map(|(_, index)| format!("message-{index}"));
    let own = (1..=own.len()).map(|index| format!("{name}-message-{index}"));
    let ids: Vec<_> = global.chain(own).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}
