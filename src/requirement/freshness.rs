//! How fresh a second factor must be, in three steps that have names.

use std::time::Duration;

/// How long ago the second factor may have been proven: for [`Requirement::fresh`](crate::Requirement::fresh).
///
/// | step | proven within | for example |
/// |---|---|---|
/// | [`Strict`](Self::Strict) | 10 minutes | a transfer, a new password, an export of everything |
/// | [`Moderate`](Self::Moderate) | 1 hour | an address, a limit |
/// | [`Lax`](Self::Lax) | 24 hours | a page that shows what is private |
///
/// The names and the figures are those of the presets for a second factor in Clerk's reverification. For comparison, NIST SP 800-63B-4 wants the
/// user of a whole session at AAL2 to authenticate again after at most 24 hours, or one hour without activity (section 2.2.3), and at AAL3 after
/// 12 hours, or 15 minutes (section 2.3.3). A second factor lapses after 24 hours here in any case, unless
/// [`second_factor_lifespan`](crate::StepUpBuilder::second_factor_lifespan) says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// Within 10 minutes.
    Strict,
    /// Within 1 hour.
    Moderate,
    /// Within 24 hours.
    Lax,
}

impl Freshness {
    /// The greatest age of the proof.
    pub const fn max_age(self) -> Duration {
        Duration::from_secs(match self {
            Self::Strict => 600,
            Self::Moderate => 3600,
            Self::Lax => 86_400,
        })
    }
}
