//! What the application knows about its users.

mod address;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use serde_json::{Map, Value};
use uuid::Uuid;

pub use self::address::{Address, Channel, Destination, InvalidAddress};
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    ids,
    session::Subject,
};

/// Why a directory did not answer. The crate refuses with 503, and logs the cause but does not send it.
pub type DirectoryError = Box<dyn std::error::Error + Send + Sync>;

/// The return type of the methods of [`Directory`].
pub type DirectoryFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, DirectoryError>> + Send + 'a>>;

/// What the application knows about its users. The application implements it. Without one, every subject is active and has no
/// traits.
///
/// ```
/// use tower_step_up::{Subject, directory::{Directory, DirectoryFuture, Identity}};
///
/// struct Users;
///
/// impl Directory for Users {
///     fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
///         Box::pin(async move {
///             // Look the user up in the application's own database.
///             Ok(Some(Identity::new(serde_json::json!({ "username": subject.as_str() }))))
///         })
///     }
/// }
/// ```
pub trait Directory: Send + Sync + 'static {
    /// The subject's identity, as `whoami` shows it; `None` if the application no longer knows the subject. Then the subject
    /// counts as not active.
    fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>>;

    /// Whether the subject may have a session now. The crate asks this for each session in use, once in each
    /// [`standing_max_age`](crate::StepUpBuilder::standing_max_age): by default, once a second. So it should be quick. By default, true if
    /// [`identity`](Self::identity) is there and active.
    fn is_active<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, bool> {
        Box::pin(async move { Ok(self.identity(subject).await?.is_some_and(|identity| identity.active)) })
    }

    /// Whether the application ends the sessions of a user whom it disables, by [`StepUp::revoke_all`](crate::StepUp::revoke_all). Then
    /// every process hears of it through the store's log of changes, and [`is_active`](Self::is_active) is asked only when a session is read
    /// from the store: about every five minutes where the store keeps such a log. By default false.
    fn ends_sessions(&self) -> bool {
        false
    }

    /// The name that the user signs in with. It appears in authenticator apps, on the built-in pages, and in the password form.
    /// By default, the subject.
    fn identifier<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, String> {
        Box::pin(async move { Ok(subject.as_str().to_owned()) })
    }

    /// The subject's addresses for codes, in the order in which they are offered; the preferred ones come first. Needed only with the factor
    /// [`Code`](crate::factor::Code). By default none.
    ///
    /// Each [verified](Address::verified) address is a second factor of the subject for as long as it is here: the sessions of the subject ask
    /// for it, and a proof that was made with it counts no longer once it is gone. So the crate asks this for each session in use, once in each
    /// [`standing_max_age`](crate::StepUpBuilder::standing_max_age), and it should be quick. What is no address is left out and logged.
    fn addresses<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Vec<Address>> {
        let _ = subject;
        Box::pin(async { Ok(Vec::new()) })
    }

    /// The language that the subject reads, as a tag of BCP 47 such as `de` or `pt-BR`: of messages, and of the built-in pages, unless
    /// [`language_of`](crate::StepUpBuilder::language_of) says another one. By default `None`: a page is in the language that the browser asks for,
    /// and for messages whoever sends them decides.
    fn locale<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<String>> {
        let _ = subject;
        Box::pin(async { Ok(None) })
    }

    /// Whether [`check_password`](Self::check_password) is implemented. By default it is not, and then `build()` refuses the factor
    /// [`Password`](crate::factor::Password): otherwise every right password would end in an error.
    fn checks_passwords(&self) -> bool {
        false
    }

    /// The subject with this identifier and password; `None` if they are wrong. Needed only with the factor
    /// [`Password`](crate::factor::Password), and then [`checks_passwords`](Self::checks_passwords) must say `true`.
    ///
    /// It should take as long for an unknown identifier as for a wrong password. It should also limit the attempts of strangers:
    /// this crate cannot count those without giving strangers a way to lock users out.
    ///
    /// # Errors
    ///
    /// The directory did not answer. The attempt stays counted, unless the error is a
    /// [`FactorError::NotCompared`](crate::factor::FactorError::NotCompared): the directory could not even begin, for example since its
    /// database did not take the connection. The default implementation always fails, since it cannot check passwords.
    fn check_password<'a>(&'a self, identifier: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        let _ = (identifier, password);
        Box::pin(async { Err("the application's Directory does not implement check_password".into()) })
    }
}

/// A user as `whoami` shows it. Put nothing in it that the user may not see.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Identity {
    /// The user's traits: a JSON object.
    pub traits: Value,
    /// Whether the user may have a session.
    pub active: bool,
    /// What else the user may see; `null` if there is nothing.
    pub metadata_public: Value,
    /// When the user was created.
    pub created_at: Option<Timestamp>,
    /// When the user was last changed.
    pub updated_at: Option<Timestamp>,
}

impl Identity {
    /// An active user with these traits.
    pub const fn new(traits: Value) -> Self {
        Self { traits, active: true, metadata_public: Value::Null, created_at: None, updated_at: None }
    }

    /// The same user, active or not.
    #[must_use]
    pub const fn active(mut self, active: bool) -> Self {
        self.active = active;
        self
    }
}

/// The directory, with a time limit on every answer.
#[derive(Clone)]
pub(crate) struct Users {
    directory: Arc<dyn Directory>,
    timeout: Duration,
}

impl Users {
    pub(crate) fn new(directory: Arc<dyn Directory>, timeout: Duration) -> Self {
        Self { directory, timeout }
    }

    /// The directory itself, for a factor, which has a time limit of its own.
    pub(crate) fn directory(&self) -> &dyn Directory {
        self.directory.as_ref()
    }

    /// The answer, if it comes in time.
    pub(crate) async fn within<T, E: Into<DirectoryError>>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        let answer = tokio::time::timeout(self.timeout, question).await;
        answer
            .map_err(|elapsed| Error::with_source(ErrorKind::Directory, elapsed))?
            .map_err(|error| Error::with_source(ErrorKind::Directory, error))
    }

    /// Whether a subject may be disabled of which no store hears.
    pub(crate) fn must_be_asked(&self) -> bool {
        !self.directory.ends_sessions()
    }

    pub(crate) async fn is_active(&self, subject: &Subject) -> Result<bool, Error> {
        self.within(self.directory.is_active(subject)).await
    }

    pub(crate) async fn identity(&self, subject: &Subject) -> Result<Option<Identity>, Error> {
        self.within(self.directory.identity(subject)).await
    }

    pub(crate) async fn identifier(&self, subject: &Subject) -> Result<String, Error> {
        self.within(self.directory.identifier(subject)).await
    }

    #[cfg(feature = "axum")]
    pub(crate) async fn locale(&self, subject: &Subject) -> Result<Option<String>, Error> {
        self.within(self.directory.locale(subject)).await
    }
}

/// The directory of applications that have none.
pub(crate) struct NoDirectory;

impl Directory for NoDirectory {
    fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async { Ok(Some(Identity::new(Value::Object(Map::new())))) })
    }

    fn is_active<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, bool> {
        Box::pin(async { Ok(true) })
    }

    fn ends_sessions(&self) -> bool {
        true
    }
}

/// The name space of identity ids that are made from subjects (RFC 9562 section 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x3f5f_92d4_6c1d_4f0c_9a56_21d4_6f1b_7a10);

/// The identity's id on the wire: the subject, if it is a canonical UUID, otherwise a UUID derived from it.
pub(crate) fn identity_id(subject: &Subject) -> Uuid {
    match Uuid::try_parse(subject.as_str()) {
        Ok(id) if id.to_string() == subject.as_str() => id,
        _ => ids::of_name(NAMESPACE, subject.as_str().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_stable_and_a_uuid_stays_itself() {
        let id = |text: &str| identity_id(&Subject::new(text).unwrap()).to_string();
        assert_eq!(id("0b8f6f0e-4f0a-4a0c-8a51-2f6f7f1f9c01"), "0b8f6f0e-4f0a-4a0c-8a51-2f6f7f1f9c01");
        assert_eq!(id("alice"), id("alice"));
        assert_ne!(id("alice"), id("Alice"));
        assert_ne!(id("0B8F6F0E-4F0A-4A0C-8A51-2F6F7F1F9C01"), "0b8f6f0e-4f0a-4a0c-8a51-2f6f7f1f9c01");
    }
}
