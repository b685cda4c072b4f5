//! Why a session falls short of a requirement.

use std::{fmt, time::Duration};

/// Why a session does not meet a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortfall {
    /// There is no valid session.
    NoSession,
    /// A second factor is required, the subject has one, and it was not proven in this session.
    LevelTooLow,
    /// A second factor is required, and the subject has none. The user must enrol one first.
    NothingEnrolled,
    /// The highest available level is required, but the source of the session does not know which level that is. This never
    /// passes.
    CannotTell,
    /// The store, the directory or the source of sessions did not answer, so nothing is known.
    Unavailable,
    /// The level is high enough, but was proven longer ago than the requirement allows. If the requirement names methods, it is the newest
    /// proof by one of these that is too old.
    TooOld {
        /// The greatest age that the requirement allows.
        max_age: Duration,
        /// Whether the second factor must be proven again. If not, any factor will do.
        second_factor: bool,
    },
    /// The level is high enough, but by none of the methods that the requirement names.
    MethodMissing {
        /// Whether one of them must be proven as the second factor.
        second_factor: bool,
    },
    /// The requirement names methods, and the subject has no credential of any of them. The user must enrol one first.
    MethodNotEnrolled,
    /// No method can meet the requirement: requirements that exclude each other have met. This never passes, and there is nothing that the
    /// user can do.
    NoMethodPossible,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSession => "no valid session",
            Self::LevelTooLow => "second factor missing",
            Self::NothingEnrolled => "no second factor enrolled",
            Self::CannotTell => "unknown whether there is a second factor",
            Self::Unavailable => "the session could not be looked up",
            Self::TooOld { .. } => "proven too long ago",
            Self::MethodMissing { .. } => "not proven by a required method",
            Self::MethodNotEnrolled => "no required method enrolled",
            Self::NoMethodPossible => "no method can meet the requirement",
        })
    }
}
