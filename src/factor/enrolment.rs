//! Binding and removing credentials in the settings.

use super::{FactorContext, FactorError, FactorFuture, FieldError, Form};
use crate::{
    aal::CredentialId,
    store::{Credential, CredentialName},
    wire::ui::{Node, Text},
};

/// How a subject binds, replaces and removes credentials of a factor in a settings flow.
///
/// The flow asks for a recent proof first. The factor decides what a form means, and writes nothing.
///
/// It may take several steps. A step returns its state in [`EnrolmentOutcome::Pending`], the flow keeps it sealed, and the next step
/// finds it in [`FactorContext::state`]. It may also bind several credentials, give each a name and remove them one by one:
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
    /// What a new settings flow keeps, sealed, for a subject with these credentials: for example a new secret. By default, nothing.
    ///
    /// # Errors
    ///
    /// There are no random numbers, a secret cannot be sealed, or a service of the factor does not answer.
    fn begin<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, Option<Vec<u8>>> {
        let _ = context;
        Box::pin(async { Ok(None) })
    }

    /// The nodes of the settings flow.
    ///
    /// # Errors
    ///
    /// The flow's state cannot be read.
    fn nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError>;

    /// Whether a form without `method` is for this factor, judged by the names of its fields.
    fn claims(&self, form: &Form) -> bool;

    /// Checks the fields before the attempt is counted or anything is compared.
    ///
    /// # Errors
    ///
    /// A field is missing.
    fn check_fields(&self, context: FactorContext<'_>, form: &Form) -> Result<(), FieldError>;

    /// The errors of all fields, as [`Factor::field_errors`](super::Factor::field_errors). By default, the one of
    /// [`check_fields`](Self::check_fields).
    fn field_errors(&self, context: FactorContext<'_>, form: &Form) -> Vec<FieldError> {
        self.check_fields(context, form).err().into_iter().collect()
    }

    /// Whether this form guesses no secret and sends nothing, such as a request for new codes. Such a form is not counted as an attempt,
    /// and no lock refuses it: whoever guessed wrong must not keep the owner from replacing the codes. By default, every form counts. A form for which
    /// [`Factor::sends`](super::Factor::sends) is true counts whatever this says.
    fn guesses_nothing(&self, form: &Form) -> bool {
        let _ = form;
        false
    }

    /// Whether a credential that this form binds counts as proven by it: it was shown that the user has it. If not, it raises no session. By
    /// default, a form that [guesses nothing](Self::guesses_nothing) proves nothing.
    fn proves(&self, form: &Form) -> bool {
        !self.guesses_nothing(form)
    }

    /// Decides what the form does, and writes nothing. The attempt already counts as failed; saving the outcome resets the count.
    ///
    /// # Errors
    ///
    /// The flow's state cannot be read, a secret cannot be sealed, or a service of the factor does not answer. If the form was counted,
    /// [`FactorError::NotCompared`] gives the attempt back.
    fn submit<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, EnrolmentOutcome>;
}

/// The outcome of a submitted settings form.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum EnrolmentOutcome {
    /// There is one more step, and nothing is saved yet. It counts as an attempt until something is saved, so nobody can have codes sent
    /// without limit.
    Pending {
        /// The flow's new state for that step. The flow keeps it sealed.
        state: Vec<u8>,
        /// What the user reads. An error text makes this a failed attempt: for example when the challenge is used up.
        message: Option<Text>,
    },
    /// The answer is wrong, and the flow's state is another one from now on: for example, since each challenge may be answered once.
    Retry {
        /// The flow's new state. The flow keeps it sealed.
        state: Vec<u8>,
        /// The field that is wrong; `None` if it is the form as a whole.
        field: Option<&'static str>,
        /// What the user reads.
        text: Text,
    },
    /// A code was sent, and it is to be typed next. Nothing is saved yet, and the flow keeps no state: what is needed for that step, and how many
    /// codes are sent, the factor itself [remembers](FactorContext::memory).
    Sent {
        /// The name of what it was sent to, for the [audit](crate::audit).
        credential: CredentialId,
        /// What the user reads.
        message: Text,
    },
    /// What was to be sent was surely not: the service that sends did not answer. The user reads this.
    NotSent(Text),
    /// Nothing was compared or sent: the user has to wait, as after too many attempts.
    Wait {
        /// How long, in whole seconds.
        seconds: u64,
    },
    /// What was begun in earlier steps is dropped, as the user wants. Nothing is saved.
    Dropped,
    /// The subject has just proven this credential. It replaces all others of the method.
    Enrolled(Credential),
    /// The subject gets this credential in addition to the others of the method. The first counts as just proven. A further one adds no
    /// proof.
    Added(Credential),
    /// Removes all credentials of the method.
    Removed,
    /// Removes this credential and keeps the others of the method. Refused unless it is one of [`FactorContext::credentials`].
    RemovedOne(CredentialId),
    /// Gives the credential this name, or none. Refused unless it is one of [`FactorContext::credentials`].
    Renamed {
        /// The credential.
        credential: CredentialId,
        /// The new name.
        name: Option<CredentialName>,
    },
    /// The answer is wrong. It counts as a failed attempt.
    Wrong(FieldError),
    /// The form does not fit the present state. This counts as an attempt, too.
    Refused(Text),
}

/// Shows no secret: a pending state may be one.
impl std::fmt::Debug for EnrolmentOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending { .. } => f.write_str("Pending { .. }"),
            Self::Retry { .. } => f.write_str("Retry { .. }"),
            Self::Sent { .. } => f.write_str("Sent { .. }"),
            Self::NotSent(_) => f.write_str("NotSent(..)"),
            Self::Wait { .. } => f.write_str("Wait { .. }"),
            Self::Dropped => f.write_str("Dropped"),
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
