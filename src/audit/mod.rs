//! What an audit needs to know: one typed event for every decision that matters, to `tracing` and to the application's own sink.
//!
//! All of them are made and sent here. None carries a secret: no code, token, key or answer is in reach of them.

use std::{fmt, sync::Arc};

use crate::{
    aal::Method,
    clock::Timestamp,
    session::{Session, SessionId, Subject},
};

/// The `tracing` target of the events.
const TARGET: &str = "tower_step_up::audit";

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
    /// A guarded request was refused, and the client told what to prove.
    Challenged {
        /// Why it was refused.
        reason: ChallengeReason,
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
        /// The old id.
        replaced: SessionId,
    },
    /// A factor was bound, by the user or by an import.
    Enrolled {
        /// Which.
        method: Method,
    },
    /// A factor was removed.
    Removed {
        /// Which.
        method: Method,
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

/// Why a guarded request was refused.
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
            Self::Unavailable => "unavailable",
            Self::CredentialsRefused => "credentials_refused",
            Self::Passed { .. } => "passed",
            Self::Failed { .. } => "failed",
            Self::Locked { .. } => "locked",
            Self::Unlocked { .. } => "unlocked",
            Self::Rotated { .. } => "rotated",
            Self::Enrolled { .. } => "enrolled",
            Self::Removed { .. } => "removed",
            Self::Revoked { .. } => "revoked",
            Self::Resealed { .. } => "resealed",
        }
    }

    const fn method(&self) -> Option<Method> {
        match self {
            Self::SignedIn { method }
            | Self::Passed { method }
            | Self::Failed { method, .. }
            | Self::Locked { method, .. }
            | Self::Unlocked { method }
            | Self::Enrolled { method }
            | Self::Removed { method } => Some(*method),
            _ => None,
        }
    }

    const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Challenged { reason } => Some(match reason {
                ChallengeReason::NoSession => "no_session",
                ChallengeReason::LevelTooLow => "level_too_low",
                ChallengeReason::NothingEnrolled => "nothing_enrolled",
                ChallengeReason::TooOld => "too_old",
            }),
            Self::Failed { reason, .. } => Some(match reason {
                FailureReason::Wrong => "wrong",
                FailureReason::Used => "used",
                FailureReason::NotConfirmed => "not_confirmed",
            }),
            Self::Unavailable => Some("unavailable"),
            Self::CredentialsRefused => Some("ambiguous"),
            Self::Locked { .. } => Some("too_many_attempts"),
            _ => None,
        }
    }
}

/// Takes the events, for an application that keeps an audit of its own: a closure will do.
///
/// It is called while a request is served, so it must not wait: put the event into a channel or a buffer.
///
/// ```
/// use std::sync::mpsc;
/// use tower_step_up::{AuditEvent, SigningKey, StepUp, factor::Totp, store::MemoryStore};
///
/// let (sender, receiver) = mpsc::channel();
/// let step_up = StepUp::builder("https://bank.example")
///     .signing_key(SigningKey::hs256("2026-11", [7; 32])?)
///     .store(MemoryStore::default())
///     .factor(Totp::new("Example Bank"))
///     .audit(move |event: &AuditEvent| drop(sender.send(event.clone())))
///     .build()?;
/// # drop((step_up, receiver));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait AuditSink: Send + Sync + 'static {
    /// Takes one event.
    fn record(&self, event: &AuditEvent);
}

impl<F: Fn(&AuditEvent) + Send + Sync + 'static> AuditSink for F {
    fn record(&self, event: &AuditEvent) {
        self(event);
    }
}

/// Where events go.
#[derive(Clone, Default)]
pub(crate) struct Audit {
    sink: Option<Arc<dyn AuditSink>>,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("sink", &self.sink.is_some()).finish()
    }
}

impl Audit {
    pub(crate) fn to(sink: impl AuditSink) -> Self {
        Self { sink: Some(Arc::new(sink)) }
    }

    /// Something in a session.
    pub(crate) fn of_session(&self, at: Timestamp, session: &Session, kind: AuditEventKind) {
        self.send(&AuditEvent { at, subject: Some(session.subject().clone()), session: Some(session.id()), kind });
    }

    /// Something about a subject, in no session.
    pub(crate) fn of_subject(&self, at: Timestamp, subject: &Subject, kind: AuditEventKind) {
        self.send(&AuditEvent { at, subject: Some(subject.clone()), session: None, kind });
    }

    /// Something about nobody that is known.
    pub(crate) fn of_nobody(&self, at: Timestamp, kind: AuditEventKind) {
        self.send(&AuditEvent { at, subject: None, session: None, kind });
    }

    fn send(&self, event: &AuditEvent) {
        log(event);
        if let Some(sink) = &self.sink {
            sink.record(event);
        }
    }
}

fn log(event: &AuditEvent) {
    let AuditEvent { subject, session, kind, .. } = event;
    let name = kind.name();
    let (method, reason) = (kind.method().map(Method::as_str), kind.reason());
    // Written as Debug, so that no text of a subject breaks the line.
    let subject = subject.as_ref().map(|subject| tracing::field::debug(subject.as_str()));
    let session = session.map(tracing::field::display);
    let (mut replaced, mut count, mut retry_after) = (None, None, None);
    match *kind {
        AuditEventKind::Rotated { replaced: id } => replaced = Some(tracing::field::display(id)),
        AuditEventKind::Revoked { sessions: number } | AuditEventKind::Resealed { credentials: number } => {
            count = Some(number);
        }
        AuditEventKind::Locked { retry_after: seconds, .. } => retry_after = Some(seconds),
        _ => {}
    }
    match kind {
        AuditEventKind::Locked { .. } | AuditEventKind::CredentialsRefused => {
            tracing::warn!(target: TARGET, event = name, reason, method, subject, session, retry_after);
        }
        _ => tracing::info!(target: TARGET, event = name, reason, method, subject, session, replaced, count),
    }
}
