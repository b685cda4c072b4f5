//! What a refused form is told: one message about the whole of it, or one about each of its fields.

use crate::{clock::Timestamp, factor::FieldError, flow::record::Flow, wire::ui::Text};

/// Messages, each about the field of this name or about the whole form.
pub(crate) struct Said(Vec<(Option<&'static str>, Text)>);

impl Said {
    pub(crate) fn one(field: Option<&'static str>, text: Text) -> Self {
        Self(vec![(field, text)])
    }

    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        Self(errors.into_iter().map(|error| (Some(error.field), error.text)).collect())
    }

    /// The same in a login flow, where a wrong answer is told about the whole form: so is one that cannot be right.
    pub(crate) fn fields_of_login(errors: Vec<FieldError>, wrong: &Text) -> Self {
        let place = |error: &FieldError| Some(error.field).filter(|_| error.text.id != wrong.id);
        Self(errors.into_iter().map(|error| (place(&error), error.text)).collect())
    }

    /// Replaces the flow's messages. `beside`: adds to them instead, since a concurrent request wrote them.
    pub(crate) fn put_into(&self, flow: &mut Flow, beside: bool, now: Timestamp) {
        if !beside {
            flow.clear_messages(now);
        }
        for (field, text) in &self.0 {
            flow.say_too(*field, text.clone(), now);
        }
    }
}
