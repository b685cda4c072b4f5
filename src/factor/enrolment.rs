//! Binding and removing credentials in the settings.

use super::{FactorContext, FactorError, FactorFuture, FieldError, Form};
use crate::{
    aal::CredentialId,
    store::{Credential, CredentialName},
    wire::ui::{Node, Text},
};

/// How a subject binds, replaces and removes credentials of a factor in a settings flow.
///
/// The flow asks for recent proof before any of it. The factor decides what a form means; it writes nothing.
///
/// It may take several steps: what one step leaves ([`EnrolmentOutcome::Pending`]), sealed in the flow, the next finds in
/// [`FactorContext::state`]. And it may bind several credentials, each with a name, removed one by one:
///
/// ```
/// # use tower_step_up::wire::ui::{Group, Node, Text};
/// use tower_step_up::factor::{
///     Enrolment, EnrolmentOutcome, FactorContext, FactorError, FactorFuture, FieldError, Form,
/// };
///
/// struct Phones;
///
/// impl Enrolment for Phones {
///     fn nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
///         let remove = Text::info(1_050_018, "Remove a phone");
///         let ids = context.credentials.iter().map(|credential| credential.summary.id.to_string());
///         Ok(ids.map(|id| Node::button(Group::Code, "phone_remove", id, remove.clone())).collect())
///     }
///
///     fn claims(&self, form: &Form) -> bool {
///         form.get("phone_remove").is_some()
///     }
///
///     fn check_fields(&self, _: FactorContext<'_>, _: &Form) -> Result<(), FieldError> {
///         Ok(())
///     }
///
///     fn submit<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, EnrolmentOutcome> {
///         Box::pin(async move {
///             let named = form.get("phone_remove").unwrap_or_default();
///             let ids = context.credentials.iter().map(|credential| credential.summary.id);
///             Ok(match ids.into_iter().find(|id| id.to_string() == named) {
///                 Some(id) => EnrolmentOutcome::RemovedOne(id),
///                 None => EnrolmentOutcome::Refused(Text::error(4_000_001, "There is no such phone.")),
///             })
///         })
///     }
/// }
/// ```
pub trait Enrolment: Send + Sync {
    /// What a new settings flow keeps, sealed, for a subject with these credentials: a secret to be, for example. By default, nothing.
    ///
    /// # Errors
    ///
    /// There are no random numbers, a secret cannot be sealed, or something that the factor needs does not answer.
    fn begin<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, Option<Vec<u8>>> {
        let _ = context;
        Box::pin(async { Ok(None) })
    }

    /// The nodes of the settings flow.
    ///
    /// # Errors
    ///
    /// What the flow keeps cannot be read.
    fn nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError>;

    /// Whether a form that names no method is for this factor, by the names of its fields.
    fn claims(&self, form: &Form) -> bool;

    /// What can be said of the fields before anything is counted or compared.
    ///
    /// # Errors
    ///
    /// A field is missing.
    fn check_fields(&self, context: FactorContext<'_>, form: &Form) -> Result<(), FieldError>;

    /// Whether this form guesses no secret and sends nothing, such as one that asks for new codes. While the subject has no credential of
    /// the factor, such a form does not stay counted as an attempt. By default, every form does.
    fn guesses_nothing(&self, form: &Form) -> bool {
        let _ = form;
        false
    }

    /// What the form asks for, carried out in thought. The attempt has been counted as failed already; what is saved takes that back.
    ///
    /// # Errors
    ///
    /// What the flow keeps cannot be read, a secret cannot be sealed, or something that the factor needs does not answer.
    fn submit<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, EnrolmentOutcome>;
}

/// What a submitted settings form comes to.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum EnrolmentOutcome {
    /// There is one more step, and nothing is saved yet. It stays counted as an attempt until something is, so that nobody has codes
    /// sent without end.
    Pending {
        /// What the flow keeps for it, sealed, in place of what it kept.
        state: Vec<u8>,
        /// What the user reads about it. A text that says what is wrong makes it a failed attempt, whose answer may be given only once:
        /// a challenge that is spent, for example.
        message: Option<Text>,
    },
    /// The subject has this credential from now on, in place of all others of the method, and has just proven it.
    Enrolled(Credential),
    /// The subject has this credential from now on, beside the others of the method. If it is the first, it has just been proven;
    /// another proves nothing that was not proven before.
    Added(Credential),
    /// The subject has no credential of the method any more.
    Removed,
    /// The subject has this credential no more, and keeps the others of the method. Refused if it is none of
    /// [`FactorContext::credentials`].
    RemovedOne(CredentialId),
    /// The credential has this name from now on, or none. Refused if it is none of [`FactorContext::credentials`].
    Renamed {
        /// Which.
        credential: CredentialId,
        /// The new name.
        name: Option<CredentialName>,
    },
    /// The answer is wrong: it stays counted as a failed attempt.
    Wrong(FieldError),
    /// The form makes no sense in the present state. It stays counted as an attempt, too.
    Refused(Text),
}

/// Shows no secret: what is pending may be one.
impl std::fmt::Debug for EnrolmentOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending { .. } => f.write_str("Pending { .. }"),
            Self::Enrolled(credential) => f.debug_tuple("Enrolled").field(credential).finish(),
            Self::Added(credential) => f.debug_tuple("Added").field(credential).finish(),
            Self::Removed => f.write_str("Removed"),
            Self::RemovedOne(id) => f.debug_tuple("RemovedOne").field(id).finish(),
            Self::Renamed { credential, .. } => {
                f.debug_struct("Renamed").field("credential", credential).finish_non_exhaustive()
            }
            Self::Wrong(error) => f.debug_tuple("Wrong").field(error).finish(),
            Self::Refused(text) => f.debug_tuple("Refused").field(text).finish(),
        }
    }
}
