//! What a form of the built-in pages shows, in the page's language.

use serde::Serialize;

/// One factor's part of the page.
#[derive(Default, Serialize)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) hidden: Vec<Hidden>,
    pub(super) pictures: Vec<Picture>,
    pub(super) readings: Vec<Reading>,
    pub(super) links: Vec<Link>,
    pub(super) fields: Vec<Field>,
    /// What is wrong with values that nobody sees.
    pub(super) errors: Vec<String>,
    pub(super) buttons: Vec<Button>,
    /// Buttons that remove one of several credentials. They are in a form of their own: Enter in a field must press none of them.
    pub(super) removals: Vec<Button>,
    /// Buttons that a script answers.
    pub(super) triggers: Vec<Trigger>,
    /// A page may have several sections. The first is for the factor that most people use.
    pub(super) first: bool,
    /// What the user should know before choosing.
    pub(super) note: Option<String>,
}

impl Section {
    /// Whether there is anything but removals.
    pub(super) fn has_form(&self) -> bool {
        let nothing = self.pictures.is_empty()
            && self.readings.is_empty()
            && self.links.is_empty()
            && self.fields.is_empty()
            && self.buttons.is_empty()
            && self.triggers.is_empty()
            && self.note.is_none();
        !nothing
    }
}

/// What is said about the whole page, or about a field.
#[derive(Serialize)]
pub(super) struct Message {
    pub(super) kind: &'static str,
    pub(super) text: String,
}

impl Message {
    pub(super) fn is_error(&self) -> bool {
        self.kind == "error"
    }
}

#[derive(Serialize)]
pub(super) struct Picture {
    pub(super) id: String,
    pub(super) src: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) label: String,
}

/// One text to read, or several.
#[derive(Serialize)]
pub(super) struct Reading {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) items: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Link {
    pub(super) id: String,
    pub(super) href: String,
    pub(super) title: String,
}

#[derive(Serialize)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) label: String,
    pub(super) value: String,
    /// Whether the box is ticked.
    pub(super) checked: bool,
    pub(super) required: bool,
    pub(super) disabled: bool,
    pub(super) pattern: Option<String>,
    pub(super) maxlength: Option<u32>,
    /// What browsers show when the pattern does not fit.
    pub(super) hint: Option<String>,
    pub(super) inputmode: Option<&'static str>,
    /// How a phone writes capital letters. Nothing corrects the spelling of such a field.
    pub(super) autocapitalize: Option<&'static str>,
    pub(super) autocomplete: String,
    pub(super) messages: Vec<Message>,
    /// The ids of all messages about this field.
    pub(super) described_by: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Button {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) label: String,
    pub(super) disabled: bool,
    /// Whether it removes a factor. Such a button must not look like the main one.
    pub(super) takes_away: bool,
    /// Whether it sends the form as it is, whatever is missing.
    pub(super) sends_anyway: bool,
}

/// A button that calls a function of the factor's script.
#[derive(Serialize)]
pub(super) struct Trigger {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) label: String,
    pub(super) function: &'static str,
}

/// A hidden value of a form. Every form has the CSRF token and the user name; a factor's values are only in its own form.
#[derive(Serialize)]
pub(super) struct Hidden {
    pub(super) name: String,
    pub(super) value: String,
}
