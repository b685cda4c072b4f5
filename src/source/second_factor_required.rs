use std::fmt;

/// There is a session, but its source does not show it before the user proves a second factor. Ory Kratos does so where its setting
/// `session.whoami.required_aal` is `highest_available`.
///
/// A [`SessionSource`](super::SessionSource) returns it from [`ask`](super::SessionSource::ask) as its error. Whatever a route requires,
/// even [`Requirement::aal1`](crate::Requirement::aal1), is then refused with [`Shortfall::LevelTooLow`](crate::Shortfall::LevelTooLow).
/// Where a session is optional, there is none.
///
/// ```
/// use tower_step_up::source::{SecondFactorRequired, SourceError};
///
/// let error: SourceError = SecondFactorRequired::new().into();
/// assert!(error.is::<SecondFactorRequired>());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecondFactorRequired;

impl SecondFactorRequired {
    /// The error.
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for SecondFactorRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session is not shown before a second factor is proven")
    }
}

impl std::error::Error for SecondFactorRequired {}
