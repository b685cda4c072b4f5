//! What a factor says of an answer.

use crate::{aal::CredentialId, audit::FailureReason, store::Consumption, wire::ui::Text};

/// A factor's verdict on an answer.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
#[must_use = "nothing is proven before the store has consumed it"]
pub enum Verdict {
    /// Right, if the store can still consume this.
    Proven(Consumption),
    /// Nothing was compared, since the form cannot be answered as it is: it names no address, for example. The user reads why, in the same
    /// flow. It counts as an attempt unless it [guesses nothing](super::Factor::guesses_nothing).
    Refused(FieldError),
    /// Nothing was compared, and what was to be sent was surely not: the service that sends did not answer. The user reads this in the same
    /// flow, where other factors stay usable. It counts as an attempt unless it [guesses nothing](super::Factor::guesses_nothing).
    NotSent(Text),
    /// Nothing was compared or sent: the user has to wait, as after too many attempts.
    Wait {
        /// How long, in whole seconds.
        seconds: u64,
    },
    /// Right, and the store has nothing to consume: the application keeps the credential. The proof counts for as long as the first of
    /// the subject's credentials exists. If there may be several, name one with [`Consumption::Present`].
    ProvenElsewhere,
    /// Wrong.
    Wrong,
    /// It was right a short while ago, and cannot be used any more. It counts as wrong, and the user reads
    /// [`Refusal::TooOld`]. Never say this of an answer that can still become right: a guesser would keep it.
    TooOld,
    /// Wrong, and the flow's state is another one from now on: for example, since each challenge may be answered once. The user reads
    /// [`Refusal::Wrong`].
    Retry {
        /// The flow's new state. The flow keeps it sealed.
        state: Vec<u8>,
        /// Why, for the [audit](crate::audit).
        reason: FailureReason,
    },
    /// A code was sent, and it is to be typed next. As [`Continue`](Self::Continue), apart from two things. Programs get the flow with 400, since Ory's
    /// clients take 200 for the end of the login. And the state is kept whatever other requests have written meanwhile. The factor itself limits
    /// how many are sent.
    Sent {
        /// The flow's new state. The flow keeps it sealed, for as long as the credential exists.
        state: Vec<u8>,
        /// The credential that the code was sent for.
        credential: CredentialId,
        /// What the user reads.
        message: Text,
    },
    /// There is one more step: for example, a code was sent. It counts as an attempt until a later step is proven, so nobody can have
    /// codes sent without limit.
    Continue {
        /// The flow's new state for that step. The flow keeps it sealed.
        state: Vec<u8>,
        /// What the user reads. An error text makes this a failed attempt: for example when the challenge is used up.
        message: Option<Text>,
    },
}

/// Shows no secret: the state may be one.
impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Proven(_) => "Proven(..)",
            Self::ProvenElsewhere => "ProvenElsewhere",
            Self::Wrong => "Wrong",
            Self::TooOld => "TooOld",
            Self::Retry { .. } => "Retry { .. }",
            Self::Sent { .. } => "Sent { .. }",
            Self::Refused(_) => "Refused(..)",
            Self::NotSent(_) => "NotSent(..)",
            Self::Wait { .. } => "Wait { .. }",
            Self::Continue { .. } => "Continue { .. }",
        })
    }
}

/// A first step that was taken without a form, when a flow began.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum FirstStep {
    /// There is none: the user chooses first.
    Choose {
        /// What the user reads, if not what every such flow says.
        message: Option<Text>,
    },
    /// It was taken: for example, a code is on its way.
    Taken {
        /// The flow's state for the next step. The flow keeps it sealed, for as long as the credential exists.
        state: Vec<u8>,
        /// The credential that it is about.
        credential: CredentialId,
        /// What the user reads, and nothing else.
        message: Text,
    },
}

/// Shows no secret: the state may be one.
impl std::fmt::Debug for FirstStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Choose { .. } => "Choose { .. }",
            Self::Taken { .. } => "Taken { .. }",
        })
    }
}

/// Why an answer is refused, for the text that the user reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The subject has no credential of this factor.
    NotEnrolled,
    /// The answer is wrong.
    Wrong,
    /// The answer was right, but used before.
    Used,
    /// The answer was right a short while ago.
    TooOld,
}

/// An error in one field that shows without looking at any secret.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// The field's name; `None` if it is about the form as a whole, or about a field that nobody sees.
    pub field: Option<&'static str>,
    /// What is wrong with it.
    pub text: Text,
}
