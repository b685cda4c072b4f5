//! The addresses of a subject as its forms show and name them.

use super::own;
use crate::{
    aal::CredentialId,
    directory::Destination,
    factor::{FactorContext, Form},
};

/// An address that codes may go to.
pub(super) struct Known {
    pub(super) id: CredentialId,
    /// What sends to it are counted under, whoever keeps it: [`StepUp::address_id`](crate::StepUp::address_id).
    pub(super) address: CredentialId,
    pub(super) to: Destination,
    /// As the form shows it and takes it back: masked, if the application says so.
    pub(super) shown: String,
}

/// Which address a form means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selected<'a> {
    /// It names none.
    Nothing,
    /// It only says who the user is, as the hidden field of another factor does.
    User,
    /// It names one that the subject does not have.
    Unknown,
    One(&'a Known),
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Known {}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The addresses in the order in which they are offered, each once: those of the directory, then the user's own.
pub(super) fn all(context: &FactorContext<'_>, masks: bool) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    let kept = context.elsewhere().iter().filter_map(|one| Some((one.summary.id, Destination::read(&one.data)?)));
    let own = context.stored().iter().filter_map(|one| Some((one.summary.id, own::opened(context, one)?)));
    for (id, to) in kept.chain(own) {
        let Some(address) = own::name(context, &to) else { continue };
        // One mailbox is one factor, whoever has brought it.
        if known.iter().any(|earlier| earlier.to == to) {
            continue;
        }
        let mut shown = if masks { to.masked() } else { to.as_str().to_owned() };
        // Two that look alike must still be told apart.
        let alike = known.iter().filter(|earlier| earlier.is_masked_as(&shown)).count();
        if alike > 0 {
            shown = format!("{shown} ({})", alike.saturating_add(1));
        }
        known.push(Known { id, address, to, shown });
    }
    known
}

impl Known {
    fn is_masked_as(&self, shown: &str) -> bool {
        let rest = self.shown.strip_prefix(shown);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
    }

    /// Whether the text names this address: as it is shown, or in another form of the whole of it if the whole is shown.
    fn is_named(&self, text: &str, masks: bool) -> bool {
        let text = text.trim();
        let is_it = || Destination::parse(self.to.channel(), text).is_ok_and(|parsed| parsed == self.to);
        self.shown.eq_ignore_ascii_case(text) || !masks && is_it()
    }
}

/// The address that the form means. `address` counts before `identifier`, which other factors' hidden fields fill in.
pub(super) fn selected<'a>(known: &'a [Known], form: &Form, identifier: &str, masks: bool) -> Selected<'a> {
    let named = |text: &str| known.iter().find(|one| one.is_named(text, masks));
    if let Some(text) = form.get("address") {
        return named(text).map_or(Selected::Unknown, Selected::One);
    }
    let Some(text) = form.get("identifier") else { return Selected::Nothing };
    match named(text) {
        Some(one) => Selected::One(one),
        None if text.trim() == identifier.trim() => Selected::User,
        None => Selected::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::directory::Channel;

    fn known(masks: bool) -> Vec<Known> {
        let of = |(channel, text)| {
            let to = Destination::parse(channel, text).unwrap();
            let shown = if masks { to.masked() } else { to.as_str().to_owned() };
            Known { id: CredentialId::random(), address: CredentialId::random(), to, shown }
        };
        [(Channel::Email, "kim@app.example"), (Channel::Sms, "+4915112345678")].map(of).into()
    }

    fn place(known: &[Known], body: serde_json::Value, masks: bool) -> Option<usize> {
        let form = Form::from_json(body).unwrap();
        match selected(known, &form, "kim", masks) {
            Selected::One(one) => known.iter().position(|other| other == one),
            Selected::Unknown => Some(9),
            Selected::User => Some(8),
            Selected::Nothing => None,
        }
    }

    #[test]
    fn a_form_names_an_address_in_either_field() {
        let all = known(false);
        for (body, expected) in [
            (json!({"address": "kim@app.example"}), Some(0)),
            (json!({"address": " KIM@App.example"}), Some(0)),
            (json!({"identifier": "+49 151 12345678"}), Some(1)),
            (json!({"address": "+4915112345678", "identifier": "kim@app.example"}), Some(1)),
            (json!({"address": "lee@app.example", "identifier": "kim@app.example"}), Some(9)),
            (json!({"identifier": "kim"}), Some(8)),
            (json!({"identifier": "lee"}), Some(9)),
            (json!({"address": "", "identifier": ""}), None),
            (json!({}), None),
        ] {
            assert_eq!(place(&all, body.clone(), false), expected, "{body}");
        }
    }

    #[test]
    fn what_is_masked_is_named_by_its_mask_alone() {
        let all = known(true);
        assert_eq!(place(&all, json!({"address": "k***@app.example"}), true), Some(0));
        assert_eq!(place(&all, json!({"identifier": "+49*********78"}), true), Some(1));
        assert_eq!(
            place(&all, json!({"address": "kim@app.example"}), true),
            Some(9),
            "it would tell a guess from a miss"
        );
    }
}
