//! Binding and removing credentials in the settings.

use super::{FactorContext, FactorError, FieldError, Form};
use crate::{
    store::Credential,
    wire::ui::{Node, Text},
};

/// How a subject binds, replaces and removes credentials of a factor in a settings flow.
///
/// The flow asks for recent proof before any of it. The factor decides what a form means; it writes nothing.
pub trait Enrolment: Send + Sync {
    /// What a new settings flow keeps, sealed, for a subject with these credentials: a secret to be, for example.
    ///
    /// # Errors
    ///
    /// There are no random numbers or a secret cannot be sealed.
    fn begin(&self, context: FactorContext<'_>) -> Result<Option<Vec<u8>>, FactorError>;

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

    /// What the form asks for, carried out in thought.
    ///
    /// # Errors
    ///
    /// What the flow keeps cannot be read, or a secret cannot be sealed.
    fn submit(&self, context: FactorContext<'_>, form: &Form) -> Result<EnrolmentOutcome, FactorError>;
}

/// What a submitted settings form comes to.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum EnrolmentOutcome {
    /// Nothing is saved yet: the flow keeps this and is shown again.
    Pending(Vec<u8>),
    /// The subject has this credential from now on, in place of all others of the method, and has just proven it.
    Enrolled(Credential),
    /// The subject has no credential of the method any more.
    Removed,
    /// The answer is wrong: it stays counted as a failed attempt.
    Wrong(FieldError),
    /// The form makes no sense in the present state.
    Refused(Text),
}

/// Shows no secret: what is pending may be one.
impl std::fmt::Debug for EnrolmentOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending(_) => f.write_str("Pending(..)"),
            Self::Enrolled(credential) => f.debug_tuple("Enrolled").field(credential).finish(),
            Self::Removed => f.write_str("Removed"),
            Self::Wrong(error) => f.debug_tuple("Wrong").field(error).finish(),
            Self::Refused(text) => f.debug_tuple("Refused").field(text).finish(),
        }
    }
}
