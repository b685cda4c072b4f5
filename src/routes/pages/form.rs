//! A flow's nodes as the built-in pages show them: one section for each factor.

use crate::ui::{Attributes, Group, InputKind, Node, Text};

/// One factor's part of the form: its fields and the button that sends them.
pub(crate) struct Section<'a> {
    pub(crate) fields: Vec<Field<'a>>,
    pub(crate) button: Option<Button<'a>>,
    /// Several factors stand in one page; the first is the one that most people want.
    pub(crate) first: bool,
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
}

/// The masked CSRF token among the nodes.
pub(crate) fn csrf_value(nodes: &[Node]) -> String {
    nodes.iter().find(|node| node.name() == "csrf_token").and_then(value_of).unwrap_or_default()
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
    groups.into_iter().enumerate().map(|(position, group)| section(nodes, messages, group, position == 0)).collect()
}

fn section<'a>(nodes: &'a [Node], messages: &[Text], group: Group, first: bool) -> Section<'a> {
    let mut section = Section { fields: Vec::new(), button: None, first };
    for node in nodes.iter().filter(|node| node.group == group) {
        let Attributes::Input(input) = &node.attributes else { continue };
        let label = node.meta.label.as_ref().map_or("", |label| label.text.as_ref());
        match input.kind {
            InputKind::Submit => {
                let value = value_of(node).unwrap_or_default();
                section.button = Some(Button { name: &input.name, value, label });
            }
            InputKind::Hidden => {}
            kind => section.fields.push(Field {
                name: &input.name,
                kind: if kind == InputKind::Password { "password" } else { "text" },
                label,
                messages: &node.messages,
                described_by: describing(&input.name, &node.messages, messages),
                hints: hints(group),
                autocomplete: input.autocomplete.as_deref().unwrap_or_else(|| autocomplete(group)),
            }),
        }
    }
    section
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
