//! Second factors behind one trait: a challenge step, an answer step, the nodes of the form, and the credential that was used.
//!
//! A factor decides; it never writes. What its answer uses up, the store consumes in the transaction that renews the session.

mod enrolment;
mod form;
pub(crate) mod lookup_secret;
mod password;
mod totp;

use std::{future::Future, pin::Pin};

#[cfg(feature = "axum")]
pub(crate) use self::password::identifier as identifier_of;
pub(crate) use self::totp::decode_secret as decode_totp_secret;
#[cfg(any(test, fuzzing))]
pub(crate) use self::totp::seal_context as totp_seal_context;
pub use self::{
    enrolment::{Enrolment, EnrolmentOutcome},
    form::Form,
    lookup_secret::LookupSecrets,
    password::{FirstFactor, Password},
    totp::Totp,
};
use crate::{
    aal::{Aal, Method},
    clock::Timestamp,
    directory::Directory,
    error::{BuildError, StoreError},
    seal::{SealError, Sealer},
    session::Subject,
    store::{Consumption, Credential},
    wire::ui::{Node, Text},
};

/// What a factor is told of the moment.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct FactorContext<'a> {
    /// Whose proof it is to be.
    pub subject: &'a Subject,
    /// The name under which the subject knows itself: [`Directory::identifier`].
    pub identifier: &'a str,
    /// What the application knows of its users.
    pub directory: &'a dyn Directory,
    /// The subject's credentials of this factor's method.
    pub credentials: &'a [Credential],
    /// The present instant.
    pub now: Timestamp,
    /// Seals and opens what the factor keeps.
    pub sealer: &'a Sealer,
    /// What the factor's last step left in the flow.
    pub state: Option<&'a [u8]>,
    /// Whether the flow is a browser's. Another client runs no scripts, so a factor that needs one has no nodes for it.
    pub browser: bool,
}

impl std::fmt::Debug for FactorContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactorContext").field("subject", &self.subject).field("now", &self.now).finish_non_exhaustive()
    }
}

/// What the steps of a [`Factor`] return.
pub type FactorFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, FactorError>> + Send + 'a>>;

/// A factor could not do its work. The crate refuses with 503 and counts no success.
#[derive(Debug)]
#[non_exhaustive]
pub enum FactorError {
    /// A secret could not be sealed or opened: a key is missing or a row was changed.
    Seal(SealError),
    /// Something that the factor needs did not answer.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

impl From<SealError> for FactorError {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl From<StoreError> for FactorError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl std::fmt::Display for FactorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Seal(_) => "a factor's secret could not be sealed or opened",
            Self::Unavailable(_) => "a factor did not answer",
        })
    }
}

impl std::error::Error for FactorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Seal(error) => Some(error),
            Self::Unavailable(error) => Some(error.as_ref()),
        }
    }
}

/// What a factor makes of an answer.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
#[must_use = "nothing is proven before the store has consumed it"]
pub enum Verdict {
    /// It is right, if the store can still consume this.
    Proven(Consumption),
    /// It is right, and there is nothing in this crate's store to consume: the application keeps the credential. It counts for as long as
    /// the first of the subject's credentials is there; where there may be several, name the one by [`Consumption::Present`].
    ProvenElsewhere,
    /// It is wrong.
    Wrong,
    /// There is one more step: a code was sent, for example. It stays counted as an attempt until a later step is proven, so that
    /// nobody has codes sent without end.
    Continue {
        /// What the flow keeps for it, sealed, in place of what it kept.
        state: Vec<u8>,
        /// What the user reads about it. A text that says what is wrong makes it a failed attempt, whose answer may be given only once:
        /// a challenge that is spent, for example.
        message: Option<Text>,
    },
}

/// Shows no secret: what the flow keeps may be one.
impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Proven(_) => "Proven(..)",
            Self::ProvenElsewhere => "ProvenElsewhere",
            Self::Wrong => "Wrong",
            Self::Continue { .. } => "Continue { .. }",
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
    /// The answer was right but used before.
    Used,
}

/// Something about one field that can be said without looking at any secret.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub text: Text,
}

/// A way to prove something more, such as [`Totp`].
pub trait Factor: Send + Sync + 'static {
    /// The method that its proofs and credentials have: a built-in one, or the application's own ([`Method::custom`]). Two factors of a
    /// [`StepUp`](crate::StepUp) cannot share one.
    fn method(&self) -> Method;

    /// The built-in method as which the factor is shown on Ory's endpoints: forms name it, the factor's nodes stand in
    /// [its group](crate::wire::ui::Group::of), and so it is called in `active` and in a session's `authentication_methods`, where the
    /// name of a method of the application's own stands beside it as `custom_method`. SDKs know the built-in names and no others.
    ///
    /// By default the method itself, or `code` for one of the application's own. Two factors of a [`StepUp`](crate::StepUp) cannot be
    /// shown as the same, and a built-in one is shown as itself.
    fn shown_as(&self) -> Method {
        match self.method() {
            Method::Custom(_) => Method::Code,
            built_in => built_in,
        }
    }

    /// The level of its proofs.
    fn aal(&self) -> Aal {
        Aal::Aal2
    }

    /// Looks at the factor's own settings when a [`StepUp`](crate::StepUp) is built. By default, all is well.
    ///
    /// # Errors
    ///
    /// A setting is unsafe or makes no sense.
    fn check_configuration(&self) -> Result<(), BuildError> {
        Ok(())
    }

    /// Whether the credentials can be used now. A set of secrets that are all used is enrolled, but not usable.
    fn is_usable(&self, credentials: &[Credential]) -> bool {
        !credentials.is_empty()
    }

    /// The challenge step, when a flow begins: what the flow keeps, sealed, for the answer step. By default, nothing.
    ///
    /// Flows begin without being counted. What must not be sent without end, a mail for one, belongs into [`answer`](Self::answer).
    fn challenge<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, Option<Vec<u8>>> {
        let _ = context;
        Box::pin(async { Ok(None) })
    }

    /// The nodes of a login flow for a subject whose credentials are usable.
    fn nodes(&self, context: FactorContext<'_>) -> Vec<Node>;

    /// Whether a form that names no method is for this factor, by the names of its fields: a script sends a form without the button
    /// that was pressed. By default, none is.
    fn claims(&self, form: &Form) -> bool {
        let _ = form;
        false
    }

    /// What can be said of the fields before anything is counted or compared.
    ///
    /// # Errors
    ///
    /// A field is missing or too short.
    fn check_fields(&self, form: &Form) -> Result<(), FieldError>;

    /// The answer step. The attempt has been counted as failed already; a success takes that back.
    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict>;

    /// Whether an answer to this form, in a login or in the settings, may set something going outside that must not go twice: a mail, a
    /// message, a prompt on another device. By default, it does not.
    ///
    /// Of such forms that are sent at once for the same flow, one is answered, and the others are told so: a double click on "send me a
    /// code" sends one. That takes one more write of the flow, before the answer.
    fn sends(&self, form: &Form) -> bool {
        let _ = form;
        false
    }

    /// What the user reads when the answer is refused.
    fn refusal(&self, why: Refusal) -> Text;

    /// How somebody without a session signs in by this factor alone; `None` if that is not possible.
    fn first_factor(&self) -> Option<&dyn FirstFactor> {
        None
    }

    /// Whether the factor only stands in for another that is lost. When the last other second factor is removed, credentials of
    /// such a factor go with it: left-over codes must neither lift a session nor be asked for.
    fn is_backup(&self) -> bool {
        false
    }

    /// How subjects bind and remove credentials of this factor in the settings; `None` if the application does that itself.
    fn enrolment(&self) -> Option<&dyn Enrolment> {
        None
    }

    /// How the settings show credentials that the application gives and takes by itself ([`StepUp::bind`](crate::StepUp::bind)): a text
    /// with the address that codes go to, a link to where it is changed. By default, not at all. A factor with an
    /// [`enrolment`](Self::enrolment) has the nodes of that.
    ///
    /// # Errors
    ///
    /// What is kept of a credential cannot be read.
    fn settings_nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        let _ = context;
        Ok(Vec::new())
    }

    /// What the factor keeps of this credential, sealed anew under the newest key; `None` if it is already, or if nothing is sealed.
    ///
    /// # Errors
    ///
    /// It does not open: a key is missing, or the row was changed.
    fn reseal(
        &self,
        subject: &Subject,
        credential: &Credential,
        sealer: &Sealer,
    ) -> Result<Option<Vec<u8>>, SealError> {
        let _ = (subject, credential, sealer);
        Ok(None)
    }

    /// The step up to which the credential's open window is burnt when *another* factor succeeds, if it has steps.
    fn open_step(&self, now: Timestamp) -> Option<u64> {
        let _ = now;
        None
    }
}
