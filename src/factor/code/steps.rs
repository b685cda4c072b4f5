//! The two steps of a login: choosing an address, and typing the code.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    known::{self, Known, Selected},
    live::{Live, NewCode, Typed},
    sender::{Message, MessagePurpose, SendError},
    sends,
    settings::Code,
};
use crate::{
    aal::{CredentialId, Method},
    error::BuildError,
    factor::{
        Elsewhere, ElsewhereContext, Factor, FactorContext, FactorError, FactorFuture, FieldError, FirstStep, Form,
        Refusal, Verdict, typed,
    },
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

/// What became of a code.
enum Delivery {
    /// It was sent, or one that was sent a moment ago is still good.
    Done,
    Failed,
    /// Nobody knows.
    Perhaps,
    Wait(Duration),
}

impl Code {
    /// Sends a code to this address. `anew`: whether the user has asked for another one than they have.
    async fn send(&self, context: &FactorContext<'_>, known: &Known, anew: bool) -> Result<Delivery, FactorError> {
        let reserved = match sends::reserve(context, known.id, self.limits).await? {
            Ok(reserved) => reserved,
            Err(wait) => {
                let there = Live::of(context).await?.is_some_and(|live| live.to == known.id);
                return Ok(if there && !anew { Delivery::Done } else { Delivery::Wait(wait) });
            }
        };
        let code = NewCode::random()?;
        // Good before it is sent: then nobody gets one that is not.
        let replaced = Live::put(context, &code, known.id, self.lifespan).await?;
        match self.deliver(context, known, &code).await {
            Ok(()) => Ok(Delivery::Done),
            Err(error @ SendError::NotSent(_)) => {
                tell("a code could not be sent", &error);
                replaced.take_back(context).await?;
                reserved.give_back(context).await?;
                Ok(Delivery::Failed)
            }
            Err(error @ SendError::Unknown(_)) => {
                tell("nobody knows whether a code was sent", &error);
                Ok(Delivery::Perhaps)
            }
        }
    }

    async fn deliver(&self, context: &FactorContext<'_>, known: &Known, code: &NewCode) -> Result<(), SendError> {
        let sender = self.sender_for(known.to.channel()).ok_or_else(|| SendError::not_sent("no sender reaches it"))?;
        let locale = context.directory.locale(context.subject).await.unwrap_or_else(|error| {
            tracing::warn!(target: "tower_step_up::code", %error, "the directory does not say in which language a user reads");
            None
        });
        let message = Message {
            to: &known.to,
            code: code.as_str(),
            minutes: self.lifespan.as_secs().div_euclid(60),
            locale: locale.as_deref(),
            purpose: MessagePurpose::Confirm,
            application: context.application_name,
            site: context.public_url.host_str().unwrap_or_default(),
            action: None,
        };
        let sent = tokio::time::timeout(self.send_timeout, sender.send(message)).await;
        sent.unwrap_or_else(|elapsed| Err(SendError::unknown(elapsed)))
    }

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
        let (message, state) = match self.send(&context, to, anew).await? {
            Delivery::Done => (message::code_sent(), Chosen { to: to.id }.written()?),
            Delivery::Perhaps => (message::code_perhaps_sent(), Chosen { to: to.id }.written()?),
            Delivery::Failed => return Ok(Verdict::NotSent(message::code_not_sent())),
            Delivery::Wait(wait) => return Ok(Verdict::Wait { seconds: whole_seconds(wait) }),
        };
        Ok(Verdict::Sent { state, credential: to.id, message })
    }

    async fn compared(&self, context: &FactorContext<'_>, code: &str, known: &[Known]) -> Result<Verdict, FactorError> {
        let is_known = |id| known.iter().any(|one| one.id == id);
        Ok(match Live::try_typed(context, &typed::normalise(code), is_known).await? {
            Typed::Right(credential) => Verdict::Proven(Consumption::Present { credential }),
            Typed::Wrong => Verdict::Wrong,
            Typed::UsedUp => Verdict::Refused(FieldError { field: None, text: message::code_used_up() }),
        })
    }
}

/// Whether the form asks for another code. That counts before a code in the same form.
fn asks_anew(form: &Form) -> bool {
    form.get("resend").is_some_and(|resend| resend.eq_ignore_ascii_case("code"))
}

/// Rounded up, so that nobody comes back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

fn tell(what: &str, error: &SendError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(target: "tower_step_up::code", cause, "{what}");
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

    fn is_usable(&self, credentials: &[Credential]) -> bool {
        credentials.iter().any(|credential| known::destination(credential).is_some())
    }

    fn begin_alone<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, FirstStep> {
        Box::pin(async move {
            let known = known::all(&context, self.masks);
            let [only] = known.as_slice() else { return Ok(FirstStep::Choose { message: None }) };
            let message = match self.send(&context, only, false).await? {
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
