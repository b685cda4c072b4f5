//! The factor: it says what the form shows, sends a code, and checks the answer. It writes nothing. The crate keeps its state in the flow,
//! sealed.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tower_step_up::{
    Method,
    clock::Timestamp,
    factor::{Factor, FactorContext, FactorError, FactorFuture, FieldError, Form, Refusal, Verdict},
    store::Consumption,
    wire::ui::{Group, InputKind, Node, Text},
};

const GOOD_FOR_SECONDS: i64 = 600;

/// Sends codes to an address, which is the user's credential.
pub(crate) struct MailCode<Send> {
    /// Takes the address and the code. A real one waits for a mail server, since `answer` is asynchronous. If it cannot connect, it says
    /// [`FactorError::NotCompared`], so that an outage locks nobody.
    send: Send,
}

impl<Send: Fn(&str, &str)> MailCode<Send> {
    pub(crate) const fn new(send: Send) -> Self {
        Self { send }
    }
}

/// The state between sending the code and checking it.
#[derive(Serialize, Deserialize)]
struct Sent {
    code: String,
    expires_at: i64,
}

impl Sent {
    fn of(context: &FactorContext<'_>) -> Option<Self> {
        let sent: Self = serde_json::from_slice(context.state?).ok()?;
        (context.now < Timestamp::from_unix_seconds(sent.expires_at)).then_some(sent)
    }

    fn is(&self, code: &str) -> bool {
        self.code.as_bytes().ct_eq(code.trim().as_bytes()).into()
    }
}

fn random_code() -> Result<String, FactorError> {
    let mut bytes = [0; 8];
    // Nothing was compared or sent yet.
    getrandom::fill(&mut bytes).map_err(|error| FactorError::NotCompared(error.into()))?;
    Ok(format!("{:06}", u64::from_le_bytes(bytes) % 1_000_000))
}

impl<Send: Fn(&str, &str) + std::marker::Send + Sync + 'static> Factor for MailCode<Send> {
    fn method(&self) -> Method {
        Method::Code
    }

    /// First a button. After the code is sent, a field for it.
    fn nodes(&self, context: FactorContext<'_>) -> Vec<Node> {
        let button = |id, text| Node::button(Group::Code, "method", Method::Code.as_str(), Text::info(id, text));
        if Sent::of(&context).is_none() {
            return vec![button(1_010_023, "Send me a code by email")];
        }
        let field = Node::field(Group::Code, "code", InputKind::Text, Text::info(1_070_013, "Code from the email"));
        vec![field.autocomplete("one-time-code"), button(1_070_009, "Confirm")]
    }

    /// All fields may be missing: a form without a code asks for one.
    fn check_fields(&self, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    /// The crate counts the attempt before it calls this. So both guesses and mails are limited.
    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async move {
            let Some(credential) = context.credentials.first() else { return Ok(Verdict::Wrong) };
            if let Some(code) = form.get("code") {
                // The same transaction stores the proof and ends the flow, so the code works once.
                let right = Sent::of(&context).is_some_and(|sent| sent.is(code));
                let consumption = Consumption::Present { credential: credential.summary.id };
                return Ok(if right { Verdict::Proven(consumption) } else { Verdict::Wrong });
            }
            let address =
                std::str::from_utf8(&credential.data).map_err(|error| FactorError::Unavailable(error.into()))?;
            let code = random_code()?;
            (self.send)(address, &code);
            let sent = Sent { code, expires_at: context.now.unix_seconds().saturating_add(GOOD_FOR_SECONDS) };
            let state = serde_json::to_vec(&sent).map_err(|error| FactorError::Unavailable(error.into()))?;
            let message = Some(Text::info(1_010_025, "We sent a code to your email address."));
            Ok(Verdict::Continue { state, message })
        })
    }

    /// A double click on the button sends one mail.
    fn sends(&self, form: &Form) -> bool {
        form.get("code").is_none()
    }

    /// The application binds the address, so the settings only show it.
    fn settings_nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        let Some(credential) = context.credentials.first() else { return Ok(Vec::new()) };
        let address = std::str::from_utf8(&credential.data).map_err(|error| FactorError::Unavailable(error.into()))?;
        let label = Text::info(1_010_023, "Codes go to this address");
        Ok(vec![Node::text(Group::Code, "code_address", Text::info(1_010_023, address.to_owned()), label)])
    }

    fn refusal(&self, why: Refusal) -> Text {
        match why {
            Refusal::NotEnrolled => Text::error(4_000_035, "You have no email address for codes."),
            _ => Text::error(4_010_008, "This code is wrong or has expired."),
        }
    }
}
