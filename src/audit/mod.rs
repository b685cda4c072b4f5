//! Audit: one typed event for every decision that matters, sent to `tracing` and to the application's own sink.
//!
//! All events are made and sent here. None carries a secret: no code, token, key or answer is within their reach.

mod event;

use std::{fmt, sync::Arc};

pub use self::event::{AuditEvent, AuditEventKind, ChallengeReason, FailureReason, RefusalReason};
use crate::{
    aal::Method,
    clock::Timestamp,
    session::{Session, Subject},
};

/// The `tracing` target of the events.
const TARGET: &str = "tower_step_up::audit";

/// Receives the audit events of an application that keeps its own audit. A closure will do.
///
/// The crate calls it while it serves a request, so it must not wait: put the event into a channel or a buffer.
///
/// ```
/// use std::sync::mpsc;
/// use tower_step_up::{SigningKey, StepUp, audit::AuditEvent, factor::Totp, store::MemoryStore};
///
/// let (sender, receiver) = mpsc::channel();
/// let step_up = StepUp::builder("https://bank.example")
///     .signing_key(SigningKey::generate("2026-11")?)
///     .store(MemoryStore::default())
///     .factor(Totp::new("Example Bank"))
///     .audit(move |event: &AuditEvent| drop(sender.send(event.clone())))
///     .build()?;
/// # drop((step_up, receiver));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait AuditSink: Send + Sync + 'static {
    /// Receives one event.
    fn record(&self, event: &AuditEvent);
}

impl<F: Fn(&AuditEvent) + Send + Sync + 'static> AuditSink for F {
    fn record(&self, event: &AuditEvent) {
        self(event);
    }
}

/// The destination of events.
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

    /// Records an event in a session.
    pub(crate) fn record_in_session(&self, at: Timestamp, session: impl AsRef<Session>, kind: AuditEventKind) {
        let session = session.as_ref();
        self.send(&AuditEvent { at, subject: Some(session.subject().clone()), session: session.id(), kind });
    }

    /// Records an event about a subject, outside a session.
    pub(crate) fn record_for_subject(&self, at: Timestamp, subject: &Subject, kind: AuditEventKind) {
        self.send(&AuditEvent { at, subject: Some(subject.clone()), session: None, kind });
    }

    /// Records an event without a known subject.
    pub(crate) fn record_anonymous(&self, at: Timestamp, kind: AuditEventKind) {
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
    let (method, reason) = (kind.method(), kind.reason());
    let method = method.as_ref().map(Method::as_str);
    // Written with Debug, so that no subject breaks the line.
    let subject = subject.as_ref().map(|subject| tracing::field::debug(subject.as_str()));
    let session = session.map(tracing::field::display);
    let credential = kind.credential().map(tracing::field::display);
    let (mut replaced, mut count, mut retry_after) = (None, None, None);
    match *kind {
        AuditEventKind::Rotated { replaced: id } => replaced = id.map(tracing::field::display),
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
        _ => {
            tracing::info!(target: TARGET, event = name, reason, method, credential, subject, session, replaced, count);
        }
    }
}
