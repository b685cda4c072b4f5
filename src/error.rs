//! The crate's errors. Each is opaque and has a `kind()` to act on. Their texts never contain a secret or a database's address.

use std::{error::Error as StdError, fmt};

type Source = Box<dyn StdError + Send + Sync>;

/// A store could not do what it was asked.
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
    /// The id to create, or the [fingerprint](crate::store::Credential::fingerprint), exists already.
    Conflict,
    /// A stored value cannot be read.
    Corrupt,
    /// The store does not know this [`Consumption`](crate::store::Consumption),
    /// [`CredentialChange`](crate::store::CredentialChange) or call: it is older than the crate or the factor that uses it. Nothing
    /// was changed. The crate refuses with 503.
    Unsupported,
}

impl StoreError {
    /// An error of this kind.
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// An error of this kind and its cause. The crate logs the cause ([`Error::source`](StdError::source)), and never sends it to
    /// users.
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
            StoreErrorKind::Conflict => "the id or fingerprint exists in the store already",
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

/// The configuration of a [`StepUp`](crate::StepUp) is wrong. The text says what to change.
#[derive(Debug)]
pub struct BuildError {
    kind: BuildErrorKind,
    help: String,
}

/// Which part of the configuration is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// The public URL.
    PublicUrl,
    /// A signing or encryption key, or the cryptography that uses it.
    Key,
    /// The store.
    Store,
    /// The source of sessions.
    Source,
    /// The factors.
    Factor,
    /// The cookie.
    Cookie,
    /// Another URL: of a page, or to return to.
    Url,
    /// A duration, count or size.
    Limit,
    /// The configuration file has keys that set nothing, and it must not.
    Config,
    /// The names of levels for API clients.
    AcrValues,
    /// The looks of the built-in pages.
    Theme,
    /// The texts of the built-in pages.
    Language,
}

impl BuildError {
    /// The settings of a factor of your own are wrong, and this says what to change
    /// ([`Factor::check_configuration`](crate::factor::Factor::check_configuration)).
    pub fn factor(help: impl Into<String>) -> Self {
        Self::new(BuildErrorKind::Factor, help)
    }

    pub(crate) fn new(kind: BuildErrorKind, help: impl Into<String>) -> Self {
        Self { kind, help: help.into() }
    }

    /// Which part of the configuration is wrong.
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

/// A call to [`StepUp`](crate::StepUp) failed.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    source: Option<Source>,
}

/// Why the call failed.
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
    /// A token could not be signed, or a secret could not be sealed or opened.
    Cryptography,
    /// No configured factor takes this credential.
    Credential,
    /// The TOTP secret is not base32 text, or is shorter than 128 bits.
    TotpSecret,
    /// No recovery code was given, or one has fewer than 13 or more than 64 characters, or appears twice.
    LookupSecrets,
    /// There are no proofs, or they make no sense: the source of the error says why.
    Proof,
    /// The store does not know this call or this kind of change: it is older than the crate. Nothing was done.
    Unsupported,
    /// Other requests kept changing the same thing at the same moment. Nothing was done.
    Conflict,
    /// The call does not fit where sessions come from, or the application's session could not be read or written: the source of the error
    /// says which. See [`StepUpBuilder::sessions`](crate::StepUpBuilder::sessions).
    Sessions,
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn with_source(kind: ErrorKind, source: impl Into<Source>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// Why the call failed.
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
            ErrorKind::Cryptography => "a token could not be signed, or a secret not be sealed or opened",
            ErrorKind::Credential => "no configured factor takes this credential",
            ErrorKind::TotpSecret => "a TOTP secret must be base32 text of at least 128 bits",
            ErrorKind::LookupSecrets => {
                "give at least one recovery code; each needs 13 to 64 characters, and all must differ"
            }
            ErrorKind::Proof => "these proofs cannot begin a session",
            ErrorKind::Unsupported => "the store does not know how to do this, so nothing was done",
            ErrorKind::Conflict => "another request changed it at the same moment, so nothing was done; try again",
            ErrorKind::Sessions => "the sessions are the application's, and this cannot be done with them",
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
        let unsupported = error.kind() == StoreErrorKind::Unsupported;
        Self::with_source(if unsupported { ErrorKind::Unsupported } else { ErrorKind::Store }, error)
    }
}
