//! The crate's errors: opaque, with a `kind()` to act on, never with a secret or a database's address in their text.

use std::{error::Error as StdError, fmt};

type Source = Box<dyn StdError + Send + Sync>;

/// A store did not do what it was asked.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Source>,
}

/// What went wrong in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It did not answer, in time or at all. The crate refuses with 503.
    Unavailable,
    /// What was to be created exists already.
    Conflict,
    /// A stored value cannot be read.
    Corrupt,
    /// The store does not know the [`Consumption`](crate::store::Consumption) or the [`CredentialChange`](crate::store::CredentialChange)
    /// that it was asked for: it is older than the crate or the factor that asks. It has changed nothing. The crate refuses with 503.
    Unsupported,
}

impl StoreError {
    /// An error of this kind.
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// An error of this kind and what caused it. The cause is for [`Error::source`](StdError::source), not for users: the
    /// crate logs it, and never sends it.
    pub fn with_source(kind: StoreErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// What went wrong.
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Unavailable => "the store did not answer",
            StoreErrorKind::Conflict => "the store has this already",
            StoreErrorKind::Corrupt => "a stored value cannot be read",
            StoreErrorKind::Unsupported => "the store does not know this kind of change",
        })
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| -> &(dyn StdError + 'static) { source })
    }
}

/// A [`StepUp`](crate::StepUp) cannot be built this way. The text says what to change.
#[derive(Debug)]
pub struct BuildError {
    kind: BuildErrorKind,
    help: String,
}

/// Which part of the configuration is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// The public URL.
    PublicUrl,
    /// A signing or encryption key, or the cryptography behind it.
    Key,
    /// The store.
    Store,
    /// The source of sessions.
    Source,
    /// The factors.
    Factor,
    /// The cookie.
    Cookie,
    /// Another URL: a page, or one to return to.
    Url,
    /// A duration, count or size.
    Limit,
}

impl BuildError {
    pub(crate) fn new(kind: BuildErrorKind, help: impl Into<String>) -> Self {
        Self { kind, help: help.into() }
    }

    /// Which part of the configuration is at fault.
    pub const fn kind(&self) -> BuildErrorKind {
        self.kind
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.help)
    }
}

impl StdError for BuildError {}

/// What an application asked of [`StepUp`](crate::StepUp) could not be done.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    source: Option<Source>,
}

/// Why it could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store did not answer or could not be read.
    Store,
    /// The application's directory did not answer.
    Directory,
    /// The subject is not active.
    Inactive,
    /// The method cannot be a first factor.
    Method,
    /// The token could not be signed or a secret not be sealed.
    Cryptography,
    /// The credential is not of a kind that a configured factor takes.
    Credential,
    /// The TOTP secret is no base32 text, or shorter than 128 bits.
    TotpSecret,
    /// There is no recovery code, or one is shorter than 13 or longer than 64 characters or stands there twice.
    LookupSecrets,
    /// A session was to begin without any proof.
    Proof,
    /// What was to be changed was changed elsewhere at the same moment, again and again; nothing was done.
    Conflict,
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn with_source(kind: ErrorKind, source: impl Into<Source>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// Why it could not be done.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ErrorKind::Store => "the store did not answer",
            ErrorKind::Directory => "the directory did not answer",
            ErrorKind::Inactive => "the subject is not active",
            ErrorKind::Method => "this method cannot be a first factor",
            ErrorKind::Cryptography => "signing or sealing failed",
            ErrorKind::Credential => "no configured factor takes this credential",
            ErrorKind::TotpSecret => "a TOTP secret must be base32 text of at least 128 bits",
            ErrorKind::LookupSecrets => {
                "recovery codes must be one or more, each of 13 to 64 characters, and all different"
            }
            ErrorKind::Proof => "a session needs at least one proof",
            ErrorKind::Conflict => "it was changed elsewhere at the same moment, so nothing was done; try again",
        })
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| -> &(dyn StdError + 'static) { source })
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::with_source(ErrorKind::Store, error)
    }
}
