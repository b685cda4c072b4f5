//! The two steps of a login: choosing an address, and typing the code.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    delivery::{Delivery, whole_seconds},
    known::{self, Known, Selected},
    live::{Live, Typed, Use},
    own,
    settings::Code,
};
use crate::{
    aal::{CredentialId, Method},
    directory::Destination,
    error::BuildError,
    factor::{
        Elsewhere, ElsewhereContext, Factor, FactorContext, FactorError, FactorFuture, FieldError, FirstStep, Form,
        Refusal, StoredCredentials, Verdict, typed,
    },
    seal::{SealError, Sealer},
    session::Subject,
    store::{Consumption, Credential},
    wire::ui::{Group, InputKind, Node, Text, message},
};

/// Beside sending: reading and writing the memory, asking the directory.
const TIME_BESIDE: Duration = Duration::from_secs(10);

/// What the flow keeps between the two steps.
#[derive(Serialize, Deserialize)]
struct Chosen {
    to: CredentialId,
}

impl Chosen {
    fn written(&self) -> Result<Vec<u8>, FactorError> {
        serde_json::to_vec(self).map_err(|error| FactorError::Unavailable(error.into()))
    }

    /// The address that was chosen in this flow, if the subject still has it.
    fn of<'a>(context: &FactorContext<'_>, known: &'a [Known]) -> Option<&'a Known> {
        let chosen: Self = serde_json::from_slice(context.state?).ok()?;
        known.iter().find(|one| one.id == chosen.to)
    }
}

impl Code {
    async fn answered(&self, context: FactorContext<'_>, form: &Form) -> Result<Verdict, FactorError> {
        let known = known::all(&context, self.masks);
        let chosen = Chosen::of(&context, &known);
        let selected = known::selected(&known, form, context.identifier, self.masks);
        let refused = |field, text| Ok(Verdict::Refused(FieldError { field, text }));
        let anew = asks_anew(form);
        if let Some(code) = form.get("code").filter(|_| !anew) {
            return self.compared(&context, code, &known).await;
        }
        let to = match (selected, chosen, known.as_slice()) {
            (Selected::One(one), _, _) => one,
            (Selected::Nothing | Selected::User, Some(chosen), _) if anew => chosen,
            (Selected::Nothing | Selected::User, Some(_), _) => return refused(Some("code"), message::missing("code")),
            (Selected::Nothing, None, _) => return refused(None, message::missing("identifier")),
            (Selected::User, None, [only]) => only,
            (Selected::Unknown, _, _) | (Selected::User, None, _) => return refused(None, message::no_code_address()),
        };
        // A form that only lacks the code names the address that it was sent to, in a hidden field.
        if !anew && form.get("address").is_none() && chosen == Some(to) {
            return refused(Some("code"), message::missing("code"));
        }
        let (message, state) = match self.send(&context, Use::Proof, to, anew).await? {
            Delivery::Done => (message::code_sent(), Chosen { to: to.id }.written()?),
            Delivery::Perhaps => (message::code_perhaps_sent(), Chosen { to: to.id }.written()?),
            Delivery::Failed => return Ok(Verdict::NotSent(message::code_not_sent())),
            Delivery::Wait(wait) => return Ok(Verdict::Wait { seconds: whole_seconds(wait) }),
        };
        Ok(Verdict::Sent { state, credential: to.id, message })
    }

    async fn compared(&self, context: &FactorContext<'_>, code: &str, known: &[Known]) -> Result<Verdict, FactorError> {
        let is_known = |id| known.iter().any(|one| one.id == id);
        Ok(match Live::try_typed(context, Use::Proof, &typed::normalise(code), is_known).await? {
            Typed::Right(live) => Verdict::Proven(Consumption::Present { credential: live.to }),
            Typed::Wrong => Verdict::Wrong,
            Typed::UsedUp => Verdict::Refused(FieldError { field: None, text: message::code_used_up() }),
        })
    }
}

/// Whether the form asks for another code. That counts before a code in the same form.
fn asks_anew(form: &Form) -> bool {
    form.get("resend").is_some_and(|resend| resend.eq_ignore_ascii_case("code"))
}

impl Factor for Code {
    fn method(&self) -> Method {
        Method::Code
    }

    fn check_configuration(&self, public_url: &Url) -> Result<(), BuildError> {
        self.check(public_url)
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.send_timeout.saturating_add(TIME_BESIDE))
    }

    fn keeps_elsewhere(&self) -> bool {
        true
    }

    fn elsewhere<'a>(&'a self, context: ElsewhereContext<'a>) -> FactorFuture<'a, Vec<Elsewhere>> {
        Box::pin(self.find(context))
    }

    fn stored_credentials(&self) -> StoredCredentials {
        if self.users_add { StoredCredentials::Addresses } else { StoredCredentials::Ignored }
    }

    fn stored_address(
        &self,
        subject: &Subject,
        credential: &Credential,
        sealer: &Sealer,
    ) -> Result<Option<Destination>, SealError> {
        own::open(subject, credential, sealer).map(Some)
    }

    fn reseal(
        &self,
        subject: &Subject,
        credential: &Credential,
        sealer: &Sealer,
    ) -> Result<Option<Vec<u8>>, SealError> {
        own::reseal(subject, credential, sealer)
    }

    fn with_addresses_of_users(&self) -> Option<&Code> {
        self.users_add.then_some(self)
    }

    fn begin_alone<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, FirstStep> {
        Box::pin(async move {
            let known = known::all(&context, self.masks);
            let [only] = known.as_slice() else { return Ok(FirstStep::Choose { message: None }) };
            let message = match self.send(&context, Use::Proof, only, false).await? {
                Delivery::Done => message::code_sent(),
                Delivery::Perhaps => message::code_perhaps_sent(),
                Delivery::Failed => return Ok(FirstStep::Choose { message: Some(message::code_not_sent()) }),
                Delivery::Wait(_) => return Ok(FirstStep::Choose { message: None }),
            };
            Ok(FirstStep::Taken { state: Chosen { to: only.id }.written()?, credential: only.id, message })
        })
    }

    fn nodes(&self, context: FactorContext<'_>) -> Vec<Node> {
        let known = known::all(&context, self.masks);
        let label = |one: &Known| message::code_address(&one.shown, one.to.channel().as_str());
        let Some(chosen) = Chosen::of(&context, &known) else {
            let button = |one: &Known| Node::button(Group::Code, "address", one.shown.as_str(), label(one));
            return known.iter().map(button).collect();
        };
        vec![
            Node::hidden(Group::Code, "identifier", chosen.shown.as_str()).label(label(chosen)),
            Node::hidden(Group::Code, "method", Method::Code.as_str()),
            Node::field(Group::Code, "code", InputKind::Text, message::code_field()).autocomplete("one-time-code"),
            Node::button(Group::Code, "method", Method::Code.as_str(), message::code_button()),
            Node::button(Group::Code, "resend", Method::Code.as_str(), message::code_resend()),
        ]
    }

    fn takes_over(&self, context: FactorContext<'_>) -> bool {
        Chosen::of(&context, &known::all(&context, self.masks)).is_some()
    }

    fn hidden_identifier(&self, context: FactorContext<'_>) -> Option<String> {
        known::all(&context, self.masks).into_iter().next().map(|first| first.shown)
    }

    fn claims(&self, form: &Form) -> bool {
        form.get("address").is_some()
    }

    /// What is missing depends on the step, which only the answer knows.
    fn check_fields(&self, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    /// Asking for a code guesses nothing. How many are sent is limited apart.
    fn guesses_nothing(&self, form: &Form) -> bool {
        asks_anew(form) || form.get("code").is_none()
    }

    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(self.answered(context, form))
    }

    fn refusal(&self, why: Refusal) -> Text {
        match why {
            Refusal::NotEnrolled => message::no_code_address(),
            Refusal::Wrong | Refusal::Used | Refusal::TooOld => message::code_wrong(),
        }
    }
}
