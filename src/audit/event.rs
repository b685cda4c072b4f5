//! Audit events, in types that have no room for a secret.

use super::{Actor, AuditRequest, refusal::RefusalReason};
use crate::{
    aal::{CredentialId, Method},
    clock::Timestamp,
    requirement::Shortfall,
    session::{SessionId, Subject},
};

/// A decision or an action.
///
/// It serialises to a flat object, for logs and queues. The names of the fields and of the events stay as they are; later versions may add
/// some. A field that does not apply is missing. No field ever has a secret.
///
/// | field | what it says |
/// |---|---|
/// | `at` | when, as RFC 3339 in UTC |
/// | `event` | what happened: [`AuditEventKind::name`] |
/// | `actor` | who did it: `user`, `administrator` or `system` |
/// | `subject` | whose session or factor it is |
/// | `session` | the id of the session from now on |
/// | `method` | the authentication method, such as `totp` |
/// | `credential` | the id of the credential |
/// | `reason` | why something was refused or failed |
/// | `replaced` | the id that the session had before |
/// | `ended` | the session that was ended, if one was named |
/// | `kept` | the session that was kept when all others were ended |
/// | `count` | how many sessions or credentials |
/// | `retry_after` | how many seconds the factor stays locked |
/// | `request.method` | the HTTP method |
/// | `request.route` | the pattern of the matched route, such as `/accounts/{id}` |
/// | `request.request_id`, `request.user_agent` | what the headers say: see [`Client`](crate::client::Client) |
/// | `request.client_address` | the address, once [`client_address`](crate::StepUpBuilder::client_address) says how to know it |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When it happened.
    pub at: Timestamp,
    /// The user whose session or factor it is; `None` if nobody was signed in.
    pub subject: Option<Subject>,
    /// The session, under its id from now on.
    pub session: Option<SessionId>,
    /// What happened.
    pub kind: AuditEventKind,
    /// Who caused it.
    pub actor: Actor,
    /// The request that it belongs to, if it belongs to one that is known.
    pub request: Option<AuditRequest>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditEventKind {
    /// A session began.
    SignedIn {
        /// The first factor.
        method: Method,
    },
    /// A user signed out.
    SignedOut,
    /// A request was refused, and the client was told what to prove. The route is guarded, or is one of the companion router's
    /// that needs a session.
    Challenged {
        /// Why it was refused.
        reason: ChallengeReason,
    },
    /// The companion router refused a request for a reason other than what the session proves.
    Refused {
        /// Why it was refused.
        reason: RefusalReason,
    },
    /// A request was refused because the store or the directory did not answer.
    Unavailable,
    /// A request had several credentials, or an unreadable one. It was treated as if it had none.
    CredentialsRefused,
    /// A factor was proven within a session.
    Passed {
        /// The factor.
        method: Method,
    },
    /// A code is on its way to the user, who is asked for it: it was sent now or, within the cool-down, a moment ago.
    CodeSent {
        /// The factor.
        method: Method,
        /// The credential that it was sent for: an address.
        credential: CredentialId,
    },
    /// A form that was answered a moment ago came once more, and got the same answer. Nothing was used up, and nothing changed.
    Repeated,
    /// A factor was not proven, or a new one was not confirmed. The attempt counts as failed.
    Failed {
        /// The factor.
        method: Method,
        /// Why.
        reason: FailureReason,
    },
    /// An attempt was not evaluated, because too many had failed before it.
    Locked {
        /// The factor.
        method: Method,
        /// How many seconds the factor stays locked.
        retry_after: u64,
    },
    /// The application unlocked a factor of a user.
    Unlocked {
        /// The factor.
        method: Method,
    },
    /// A session got a new id, and the old id is dead.
    Rotated {
        /// The old id; `None` if this crate did not begin the session.
        replaced: Option<SessionId>,
    },
    /// The user or the application bound a credential, in place of others of its method or beside them.
    Enrolled {
        /// The factor.
        method: Method,
        /// The credential.
        credential: CredentialId,
    },
    /// A credential was removed. Its factor may have others.
    Removed {
        /// The factor.
        method: Method,
        /// The credential.
        credential: CredentialId,
    },
    /// A credential got another name.
    Renamed {
        /// The factor.
        method: Method,
        /// The credential.
        credential: CredentialId,
    },
    /// The user does not want to be asked on this device any more: the second factor was just proven on it.
    DeviceTrusted {
        /// The device.
        device: CredentialId,
    },
    /// A trusted device stood for the second factor. The session got a new id.
    DeviceUsed {
        /// The device.
        device: CredentialId,
    },
    /// A device is not trusted any more: it was forgotten, its time is over, the user's factors have changed, or all sessions were ended.
    DeviceForgotten {
        /// The device.
        device: CredentialId,
    },
    /// A cookie of a trusted device came that was replaced before, or was made up. Somebody may have a copy, so the device is not trusted any more.
    DeviceReplayed {
        /// The device.
        device: CredentialId,
    },
    /// Sessions were ended.
    Revoked {
        /// How many.
        sessions: u64,
        /// The session that was ended, if it was one that was named.
        ended: Option<SessionId>,
        /// The session that was kept, if it was all others.
        kept: Option<SessionId>,
    },
    /// Everything of the subject was removed.
    Deleted,
    /// All sessions of all subjects were ended.
    RevokedEveryone {
        /// How many were found.
        sessions: u64,
    },
    /// Credentials were sealed again, under the newest key.
    Resealed {
        /// How many.
        credentials: u64,
    },
}

/// Why a client was told to prove more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChallengeReason {
    /// There is no session.
    NoSession,
    /// The session's level is too low.
    LevelTooLow,
    /// The level is too low, and there is no second factor to raise it with.
    NothingEnrolled,
    /// The proof is too old.
    TooOld,
    /// The highest available level is required, but the source of the session does not know which level that is.
    CannotTell,
    /// The level was proven, but by no required method.
    MethodMissing,
    /// The user has no credential of a required method.
    MethodNotEnrolled,
    /// What the route requires excludes itself.
    NoMethodPossible,
}

impl From<Shortfall> for AuditEventKind {
    fn from(shortfall: Shortfall) -> Self {
        let reason = match shortfall {
            Shortfall::NoSession => ChallengeReason::NoSession,
            Shortfall::LevelTooLow => ChallengeReason::LevelTooLow,
            Shortfall::NothingEnrolled => ChallengeReason::NothingEnrolled,
            Shortfall::CannotTell => ChallengeReason::CannotTell,
            Shortfall::TooOld { .. } => ChallengeReason::TooOld,
            Shortfall::MethodMissing { .. } => ChallengeReason::MethodMissing,
            Shortfall::MethodNotEnrolled => ChallengeReason::MethodNotEnrolled,
            Shortfall::NoMethodPossible => ChallengeReason::NoMethodPossible,
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
    /// The answer was right but for the signature counter, which did not rise: the security key may have been cloned.
    ClonedKey,
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
            Self::CodeSent { .. } => "code_sent",
            Self::Repeated => "repeated",
            Self::Failed { .. } => "failed",
            Self::Locked { .. } => "locked",
            Self::Unlocked { .. } => "unlocked",
            Self::Rotated { .. } => "rotated",
            Self::Enrolled { .. } => "enrolled",
            Self::Removed { .. } => "removed",
            Self::Renamed { .. } => "renamed",
            Self::DeviceTrusted { .. } => "device_trusted",
            Self::DeviceUsed { .. } => "device_used",
            Self::DeviceForgotten { .. } => "device_forgotten",
            Self::DeviceReplayed { .. } => "device_replayed",
            Self::Revoked { .. } => "revoked",
            Self::Deleted => "deleted",
            Self::RevokedEveryone { .. } => "revoked_everyone",
            Self::Resealed { .. } => "resealed",
        }
    }

    pub(super) const fn method(&self) -> Option<Method> {
        match self {
            Self::SignedIn { method }
            | Self::Passed { method }
            | Self::CodeSent { method, .. }
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
            Self::CodeSent { credential, .. }
            | Self::Enrolled { credential, .. }
            | Self::Removed { credential, .. }
            | Self::Renamed { credential, .. } => Some(*credential),
            Self::DeviceTrusted { device }
            | Self::DeviceUsed { device }
            | Self::DeviceForgotten { device }
            | Self::DeviceReplayed { device } => Some(*device),
            _ => None,
        }
    }

    /// The reason, or the name if there is none.
    pub(crate) fn outcome(&self) -> &'static str {
        self.reason().unwrap_or(self.name())
    }

    pub(super) const fn replaced(&self) -> Option<SessionId> {
        match self {
            Self::Rotated { replaced } => *replaced,
            _ => None,
        }
    }

    pub(super) const fn ended(&self) -> Option<SessionId> {
        match self {
            Self::Revoked { ended, .. } => *ended,
            _ => None,
        }
    }

    pub(super) const fn kept(&self) -> Option<SessionId> {
        match self {
            Self::Revoked { kept, .. } => *kept,
            _ => None,
        }
    }

    pub(super) const fn count(&self) -> Option<u64> {
        match self {
            Self::Revoked { sessions: count, .. }
            | Self::RevokedEveryone { sessions: count }
            | Self::Resealed { credentials: count } => Some(*count),
            _ => None,
        }
    }

    pub(super) const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Locked { retry_after, .. } => Some(*retry_after),
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
                ChallengeReason::MethodMissing => "method_missing",
                ChallengeReason::MethodNotEnrolled => "method_not_enrolled",
                ChallengeReason::NoMethodPossible => "no_method_possible",
            }),
            Self::Failed { reason, .. } => Some(match reason {
                FailureReason::Wrong => "wrong",
                FailureReason::Used => "used",
                FailureReason::NotConfirmed => "not_confirmed",
                FailureReason::ClonedKey => "cloned_key",
            }),
            Self::Refused { reason } => Some(reason.name()),
            Self::Unavailable => Some("unavailable"),
            Self::CredentialsRefused => Some("ambiguous"),
            Self::Locked { .. } => Some("too_many_attempts"),
            _ => None,
        }
    }
}
