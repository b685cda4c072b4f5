//! What a refused form is told: one message about the whole of it, or one about each of its fields.

use crate::{clock::Timestamp, factor::FieldError, flow::record::Flow, wire::ui::Text};

/// Messages, each about the field of this name or about the whole form.
pub(crate) struct Said {
    messages: Vec<(Option<&'static str>, Text)>,
    /// Whether it is about a wrong answer that counted.
    counted: bool,
    /// What the factor advises after several of them.
    advice: Option<&'static str>,
}

/// From this wrong answer in a flow on, the factor's advice is added.
const ADVISED_AT: u32 = 2;

impl Said {
    fn all(messages: impl IntoIterator<Item = (Option<&'static str>, Text)>) -> Self {
        Self { messages: messages.into_iter().collect(), counted: false, advice: None }
    }

    pub(crate) fn one(field: Option<&'static str>, text: Text) -> Self {
        Self::all([(field, text)])
    }

    /// A wrong answer that counted. From the second in the flow on, the user reads the advice too.
    pub(crate) fn wrong(field: Option<&'static str>, text: Text, advice: Option<&'static str>) -> Self {
        Self { counted: true, advice, ..Self::one(field, text) }
    }

    /// One more message about the whole form.
    pub(crate) fn add(&mut self, text: Text) {
        self.messages.push((None, text));
    }

    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        Self::all(errors.into_iter().map(|error| (error.field, error.text)))
    }

    /// The same in a login flow, where a wrong answer is told about the whole form: so is one that cannot be right.
    pub(crate) fn fields_of_login(errors: Vec<FieldError>, wrong: &Text) -> Self {
        let place = |error: &FieldError| error.field.filter(|_| error.text.id != wrong.id);
        Self::all(errors.into_iter().map(|error| (place(&error), error.text)))
    }

    /// Replaces the flow's messages. `beside`: adds to them instead, since a concurrent request wrote them.
    pub(crate) fn put_into(&self, flow: &mut Flow, beside: bool, now: Timestamp) {
        if !beside {
            flow.clear_messages(now);
        }
        let mut advice = None;
        if self.counted {
            flow.failures = flow.failures.saturating_add(1);
            advice = self.advice.filter(|_| flow.failures >= ADVISED_AT);
        }
        for (field, text) in &self.messages {
            let mut text = text.clone();
            if let Some(advice) = advice {
                text.text = format!("{} {advice}", text.text).into();
            }
            flow.say_too(*field, text, now);
        }
    }
}
