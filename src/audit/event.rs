//! What is told, in types that have no room for a secret.

use crate::{
    aal::{CredentialId, Method},
    clock::Timestamp,
    requirement::Shortfall,
    session::{SessionId, Subject},
};

/// Something that was decided or done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Whose session or factor; `None` if nobody was signed in.
    pub subject: Option<Subject>,
    /// In which session, under the id that it has from now on.
    pub session: Option<SessionId>,
    /// What.
    pub kind: AuditEventKind,
}

/// What was decided or done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditEventKind {
    /// A session began.
    SignedIn {
        /// By which first factor.
        method: Method,
    },
    /// A session's holder ended it.
    SignedOut,
    /// A request to a guarded route, or to a route of the companion router that asks for a session, was refused, and the client told what
    /// to prove.
    Challenged {
        /// Why it was refused.
        reason: ChallengeReason,
    },
    /// The companion router refused a request for another reason than what the session proves.
    Refused {
        /// Why.
        reason: RefusalReason,
    },
    /// A request was refused since the store or the directory did not answer.
    Unavailable,
    /// A request brought several credentials, or one that cannot be read, and was treated as if it had none.
    CredentialsRefused,
    /// A factor was proven within a session.
    Passed {
        /// Which.
        method: Method,
    },
    /// A factor was not proven, or a new one not confirmed. The attempt stays counted.
    Failed {
        /// Which.
        method: Method,
        /// Why.
        reason: FailureReason,
    },
    /// An attempt was not evaluated, since there were too many before it.
    Locked {
        /// At which factor.
        method: Method,
        /// For how many seconds more.
        retry_after: u64,
    },
    /// The application let a subject try again at a factor.
    Unlocked {
        /// At which.
        method: Method,
    },
    /// A session goes on under a new id, and the old one is dead.
    Rotated {
        /// The old id; `None` if the session was begun by somebody else than this crate.
        replaced: Option<SessionId>,
    },
    /// A credential was bound, by the user or by the application: in place of others of its method, or beside them.
    Enrolled {
        /// Of which factor.
        method: Method,
        /// Which.
        credential: CredentialId,
    },
    /// A credential was removed. Its factor may have others.
    Removed {
        /// Of which factor.
        method: Method,
        /// Which.
        credential: CredentialId,
    },
    /// A credential was given another name.
    Renamed {
        /// Of which factor.
        method: Method,
        /// Which.
        credential: CredentialId,
    },
    /// Sessions were ended.
    Revoked {
        /// How many.
        sessions: u64,
    },
    /// Credentials were sealed anew, under the newest key.
    Resealed {
        /// How many.
        credentials: u64,
    },
}

/// Why a request was told to prove more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChallengeReason {
    /// There is no session.
    NoSession,
    /// The session's level is too low.
    LevelTooLow,
    /// The level is too low, and there is no second factor to raise it with.
    NothingEnrolled,
    /// What was proven was proven too long ago.
    TooOld,
    /// The highest available level is asked for, and the source of the session cannot tell which that is.
    CannotTell,
}

impl From<Shortfall> for AuditEventKind {
    fn from(shortfall: Shortfall) -> Self {
        let reason = match shortfall {
            Shortfall::NoSession => ChallengeReason::NoSession,
            Shortfall::LevelTooLow => ChallengeReason::LevelTooLow,
            Shortfall::NothingEnrolled => ChallengeReason::NothingEnrolled,
            Shortfall::CannotTell => ChallengeReason::CannotTell,
            Shortfall::TooOld { .. } => ChallengeReason::TooOld,
            Shortfall::Unavailable => return Self::Unavailable,
        };
        Self::Challenged { reason }
    }
}

impl From<RefusalReason> for AuditEventKind {
    fn from(reason: RefusalReason) -> Self {
        Self::Refused { reason }
    }
}

/// Why the companion router refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// It may come from a foreign page: the CSRF cookie and the form's token do not fit the flow.
    CrossSite,
    /// The flow was begun in another session, or the form names another user.
    AnotherSession,
    /// It asks to return to a URL that the application does not allow.
    ForbiddenReturnTo,
    /// There is no such flow, or not any more.
    UnknownFlow,
    /// The flow has expired.
    ExpiredFlow,
    /// The flow has been passed already, or was written by another request meanwhile.
    UsedFlow,
    /// What it asks for is there already, or the session proves it already.
    NothingToDo,
    /// The token that ends a session is not that of the session.
    WrongToken,
    /// The subject's account is disabled.
    Disabled,
    /// It is not understood: a parameter, the body, the HTTP method, or a method of authentication that is not offered.
    Invalid,
}

impl RefusalReason {
    const fn name(self) -> &'static str {
        match self {
            Self::CrossSite => "cross_site",
            Self::AnotherSession => "another_session",
            Self::ForbiddenReturnTo => "forbidden_return_to",
            Self::UnknownFlow => "unknown_flow",
            Self::ExpiredFlow => "expired_flow",
            Self::UsedFlow => "used_flow",
            Self::NothingToDo => "nothing_to_do",
            Self::WrongToken => "wrong_token",
            Self::Disabled => "disabled",
            Self::Invalid => "invalid",
        }
    }
}

/// Why a factor was not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureReason {
    /// The answer is wrong.
    Wrong,
    /// The answer was right, but used before.
    Used,
    /// A new factor was not confirmed.
    NotConfirmed,
}

impl AuditEventKind {
    /// The event's name in the log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SignedIn { .. } => "signed_in",
            Self::SignedOut => "signed_out",
            Self::Challenged { .. } => "challenged",
            Self::Refused { .. } => "refused",
            Self::Unavailable => "unavailable",
            Self::CredentialsRefused => "credentials_refused",
            Self::Passed { .. } => "passed",
            Self::Failed { .. } => "failed",
            Self::Locked { .. } => "locked",
            Self::Unlocked { .. } => "unlocked",
            Self::Rotated { .. } => "rotated",
            Self::Enrolled { .. } => "enrolled",
            Self::Removed { .. } => "removed",
            Self::Renamed { .. } => "renamed",
            Self::Revoked { .. } => "revoked",
            Self::Resealed { .. } => "resealed",
        }
    }

    pub(super) const fn method(&self) -> Option<Method> {
        match self {
            Self::SignedIn { method }
            | Self::Passed { method }
            | Self::Failed { method, .. }
            | Self::Locked { method, .. }
            | Self::Unlocked { method }
            | Self::Enrolled { method, .. }
            | Self::Removed { method, .. }
            | Self::Renamed { method, .. } => Some(*method),
            _ => None,
        }
    }

    pub(super) const fn credential(&self) -> Option<CredentialId> {
        match self {
            Self::Enrolled { credential, .. } | Self::Removed { credential, .. } | Self::Renamed { credential, .. } => {
                Some(*credential)
            }
            _ => None,
        }
    }

    pub(super) const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Challenged { reason } => Some(match reason {
                ChallengeReason::NoSession => "no_session",
                ChallengeReason::LevelTooLow => "level_too_low",
                ChallengeReason::NothingEnrolled => "nothing_enrolled",
                ChallengeReason::TooOld => "too_old",
                ChallengeReason::CannotTell => "cannot_tell",
            }),
            Self::Failed { reason, .. } => Some(match reason {
                FailureReason::Wrong => "wrong",
                FailureReason::Used => "used",
                FailureReason::NotConfirmed => "not_confirmed",
            }),
            Self::Refused { reason } => Some(reason.name()),
            Self::Unavailable => Some("unavailable"),
            Self::CredentialsRefused => Some("ambiguous"),
            Self::Locked { .. } => Some("too_many_attempts"),
            _ => None,
        }
    }
}
