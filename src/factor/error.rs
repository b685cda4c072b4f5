//! How a factor fails.

use std::{future::Future, pin::Pin};

use crate::{error::StoreError, seal::SealError};

/// What the steps of a [`Factor`](super::Factor) return.
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
