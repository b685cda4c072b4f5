//! Factors behind one trait: a challenge step, an answer step, the nodes of the form, and the credential that was used.
//!
//! A factor decides and never writes. The store consumes what the answer uses up, in the transaction that renews the session.

mod enrolment;
mod form;
pub(crate) mod lookup_secret;
mod password;
mod picture;
mod script;
mod totp;
mod typed;

use std::{future::Future, pin::Pin, time::Duration};

use url::Url;

#[cfg(feature = "axum")]
pub(crate) use self::password::identifier as identifier_of;
pub(crate) use self::totp::decode_secret as decode_totp_secret;
#[cfg(all(feature = "axum", feature = "test-util"))]
pub(crate) use self::totp::random_secret as random_totp_secret;
#[cfg(any(test, fuzzing))]
pub(crate) use self::totp::seal_context as totp_seal_context;
pub use self::{
    enrolment::{Enrolment, EnrolmentOutcome},
    form::Form,
    lookup_secret::LookupSecrets,
    password::{FirstFactor, Password},
    script::PageScript,
    totp::Totp,
};
use crate::{
    aal::{Aal, Method},
    audit::FailureReason,
    clock::Timestamp,
    directory::Directory,
    error::{BuildError, StoreError},
    seal::{SealError, Sealer},
    session::Subject,
    store::{Consumption, Credential},
    wire::ui::{Node, Text},
};

/// What a factor knows when it is called.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct FactorContext<'a> {
    /// The subject who is to give a proof.
    pub subject: &'a Subject,
    /// The user name of the subject: [`Directory::identifier`].
    pub identifier: &'a str,
    /// The application's users.
    pub directory: &'a dyn Directory,
    /// The subject's credentials of this factor's method.
    pub credentials: &'a [Credential],
    /// The public URL of the application, as [`StepUp::builder`](crate::StepUp::builder) got it.
    pub public_url: &'a Url,
    /// The current time.
    pub now: Timestamp,
    /// Seals and opens the factor's data.
    pub sealer: &'a Sealer,
    /// The state that the factor's last step left in the flow. In a login, it is `None` once a credential is gone that it was kept for: a code
    /// that was sent to the old address proves nothing of the new one.
    pub state: Option<&'a [u8]>,
    /// Whether the flow is a browser flow. Other clients run no scripts, so a factor that needs a script should give them no nodes.
    pub browser: bool,
}

impl std::fmt::Debug for FactorContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactorContext").field("subject", &self.subject).field("now", &self.now).finish_non_exhaustive()
    }
}

/// What the steps of a [`Factor`] return.
pub type FactorFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, FactorError>> + Send + 'a>>;

/// A factor failed. The crate refuses with 503, counts no success, and logs the causes ([`Error::source`](std::error::Error::source)): put no
/// secret into them.
#[derive(Debug)]
#[non_exhaustive]
pub enum FactorError {
    /// A secret could not be sealed or opened: a key is missing, or a row was changed. The attempt stays counted.
    Seal(SealError),
    /// A service of the factor did not answer. The attempt stays counted: an answer may have been compared, or a code sent, before.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// The factor failed before it compared or sent anything: for example, it could not connect to the mail server. The attempt is given
    /// back, so that an outage locks nobody.
    ///
    /// Return it only if the form's answer was compared with nothing. Otherwise whoever can cause the failure guesses without limit.
    NotCompared(Box<dyn std::error::Error + Send + Sync>),
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
            Self::NotCompared(_) => "a factor failed before it compared anything",
        })
    }
}

impl std::error::Error for FactorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Seal(error) => Some(error),
            Self::Unavailable(error) | Self::NotCompared(error) => Some(error.as_ref()),
        }
    }
}

/// A factor's verdict on an answer.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
#[must_use = "nothing is proven before the store has consumed it"]
pub enum Verdict {
    /// Right, if the store can still consume this.
    Proven(Consumption),
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

/// A way to prove who one is, such as [`Totp`].
pub trait Factor: Send + Sync + 'static {
    /// The method of its proofs and credentials: a built-in one, or one of your own ([`Method::custom`]). Two factors of a
    /// [`StepUp`](crate::StepUp) cannot share a method.
    fn method(&self) -> Method;

    /// The built-in method that Ory's endpoints show for this factor, since SDKs know only the built-in names. Forms send it as `method`,
    /// the factor's nodes are in [its group](crate::wire::ui::Group::of), and `active` and a session's `authentication_methods` have it.
    /// The latter add the name of a method of your own as `custom_method`.
    ///
    /// By default the method itself, or `code` for one of your own. Two factors of a [`StepUp`](crate::StepUp) cannot be shown as the
    /// same method. A built-in method must be shown as itself.
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

    /// Checks the factor's own settings when a [`StepUp`](crate::StepUp) is built for this public URL. By default, accepts them.
    ///
    /// # Errors
    ///
    /// A setting is unsafe or makes no sense.
    fn check_configuration(&self, public_url: &Url) -> Result<(), BuildError> {
        let _ = public_url;
        Ok(())
    }

    /// The script that the factor's nodes need. The companion router serves it to everybody, and its own pages contain it. By default,
    /// none.
    fn script(&self) -> Option<&PageScript> {
        None
    }

    /// Whether the factor is offered in browser flows (`true`) or in those of other clients (`false`). Where it is not, a form for it is
    /// refused like one for a factor that is not configured. By default, it is offered in both.
    fn is_offered(&self, browser: bool) -> bool {
        let _ = browser;
        true
    }

    /// How long one step of the factor may take: [`challenge`](Self::challenge), [`answer`](Self::answer), a sign-in by its
    /// [`first_factor`](Self::first_factor), or a step of its [`enrolment`](Self::enrolment). Then it is dropped and the request refused
    /// with 503. The attempt stays counted, since a code may have been compared or sent. From 1 ms to 60 seconds.
    ///
    /// By default `None`: as long as a call of the directory, 5 seconds unless
    /// [`directory_timeout`](crate::StepUpBuilder::directory_timeout) says otherwise.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Whether the factor calls [`Directory::check_password`]. Then `build()` makes sure that
    /// the application has a directory that [checks passwords](Directory::checks_passwords). By default, it does not.
    fn needs_passwords(&self) -> bool {
        false
    }

    /// Whether the credentials can be used now. A set whose secrets are all used is enrolled, but not usable.
    fn is_usable(&self, credentials: &[Credential]) -> bool {
        !credentials.is_empty()
    }

    /// The challenge step, when a flow begins. Returns the state that the flow keeps, sealed, for the answer step. By default, nothing.
    ///
    /// New flows do not count as attempts. Send mails and messages in [`answer`](Self::answer), which does count.
    fn challenge<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, Option<Vec<u8>>> {
        let _ = context;
        Box::pin(async { Ok(None) })
    }

    /// The nodes of a login flow for a subject whose credentials are usable.
    fn nodes(&self, context: FactorContext<'_>) -> Vec<Node>;

    /// Whether a form without `method` is for this factor, judged by the names of its fields: a script sends a form without the pressed
    /// button. By default, no form is.
    fn claims(&self, form: &Form) -> bool {
        let _ = form;
        false
    }

    /// Checks the fields before the attempt is counted or anything is compared.
    ///
    /// # Errors
    ///
    /// A field is missing or too short.
    fn check_fields(&self, form: &Form) -> Result<(), FieldError>;

    /// The same for forms with several fields: the errors of all of them, so that users see everything that is missing at once. Whatever
    /// [`check_fields`](Self::check_fields) refuses must be among them. By default, its one error.
    fn field_errors(&self, form: &Form) -> Vec<FieldError> {
        self.check_fields(form).err().into_iter().collect()
    }

    /// Whether nobody can guess what this form has to say: a signature, for example. Such a form is not counted as an attempt, and no lock
    /// refuses it. A wrong one is audited all the same. A form that [`sends`](Self::sends) something counts whatever this says. By
    /// default, every form counts.
    fn guesses_nothing(&self, form: &Form) -> bool {
        let _ = form;
        false
    }

    /// The answer step. The attempt already counts as failed; a success resets the count.
    ///
    /// # Errors
    ///
    /// A secret does not open, or a service of the factor does not answer. [`FactorError::NotCompared`] gives the attempt back.
    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict>;

    /// Whether this form, in a login or in the settings, may send something that must not go out twice: a mail, a message, a prompt on
    /// another device. By default, no.
    ///
    /// If several such forms arrive at once for a flow, the factor answers one of them, and the other clients learn that. A double click
    /// on "send me a code" sends one code. This costs one more write of the flow before the answer.
    fn sends(&self, form: &Form) -> bool {
        let _ = form;
        false
    }

    /// What the user reads when the answer is refused.
    fn refusal(&self, why: Refusal) -> Text;

    /// A sentence that is added to what the user reads from the second wrong answer in a flow on: what may be the matter. By default none.
    fn advice(&self) -> Option<&'static str> {
        None
    }

    /// How a user without a session signs in with this factor alone; `None` if that is not possible.
    fn first_factor(&self) -> Option<&dyn FirstFactor> {
        None
    }

    /// Whether the factor is only a backup for a lost one. When the last other second factor is removed, the credentials of backup
    /// factors are removed too: leftover codes must neither lift a session nor be required.
    fn is_backup(&self) -> bool {
        false
    }

    /// How users bind and remove credentials of this factor in the settings; `None` if the application does that itself.
    fn enrolment(&self) -> Option<&dyn Enrolment> {
        None
    }

    /// How the settings show credentials that the application manages itself ([`StepUp::bind`](crate::StepUp::bind)): for example the
    /// address that codes go to, and a link to the page that changes it. By default, not at all. A factor with an
    /// [`enrolment`](Self::enrolment) shows that one's nodes instead.
    ///
    /// # Errors
    ///
    /// The data of a credential cannot be read.
    fn settings_nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        let _ = context;
        Ok(Vec::new())
    }

    /// The credential's data, sealed again under the newest key; `None` if it already is, or if nothing is sealed.
    ///
    /// # Errors
    ///
    /// The data does not open: a key is missing, or the row was changed.
    fn reseal(
        &self,
        subject: &Subject,
        credential: &Credential,
        sealer: &Sealer,
    ) -> Result<Option<Vec<u8>>, SealError> {
        let _ = (subject, credential, sealer);
        Ok(None)
    }

    /// The time step up to which codes are burnt when *another* factor succeeds; `None` if the factor has no time steps.
    fn open_step(&self, now: Timestamp) -> Option<u64> {
        let _ = now;
        None
    }
}
