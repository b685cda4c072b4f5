//! Audit: one typed event for every decision that matters, sent to `tracing` and to the application's own sink.
//!
//! All events are made and sent here. None carries a secret: no code, token, key or answer is within their reach.
//!
//! # Levels
//!
//! What changes something or proves something is logged at INFO. Refusals (`challenged`, `refused`, `credentials_refused`) and `locked` are logged
//! at DEBUG, since anybody can make thousands of them. The first in each second is logged at INFO, and at WARN if credentials are refused or
//! something is locked, with `unlogged`: how many since the last one were logged at DEBUG alone. Each kind is counted apart, and locks of users
//! apart from those of forms without a session, so none hides another. The application's sink and the counters get them all.
//!
//! # Spans
//!
//! Each decision is a `tracing` span, and so is each submitted form of a step-up or of the settings. Events within it, those of the audit
//! included, are its children. A span that nobody listens to costs a comparison.
//!
//! | span | target | level | fields |
//! |---|---|---|---|
//! | `decision` | `tower_step_up::decision` | debug | `requirement`, `route` if axum matched one, `outcome` |
//! | `step_up` | `tower_step_up::flow` | info | `requirement`, `route`, `outcome` |
//! | `settings` | `tower_step_up::flow` | info | `route`, `outcome` |
//!
//! The outcome of a decision is `passed`, or the reason of a challenge: `no_session`, `level_too_low`, `nothing_enrolled`, `too_old`,
//! `cannot_tell`, `method_missing`, `method_not_enrolled`, `no_method_possible`, `unavailable`. That of a form is the name of what happened
//! (`passed`, `signed_in`, `enrolled`) or the reason why not (`wrong`, `used`, `cross_site`); it is missing if the flow goes on with a further
//! step.
//!
//! # Counters
//!
//! With the feature `metrics`, these counters go to the recorder that the application has installed with the `metrics` crate. Their names and
//! labels are stable; no label has text of a client.
//!
//! | counter | labels | counts |
//! |---|---|---|
//! | `tower_step_up_decisions_total` | `outcome`, as of the span | decisions |
//! | `tower_step_up_events_total` | `event`, `method` and `reason` as in [`AuditEvent`], or `none` | audit events: sign-ins, step-ups, failures, locks |
//! | `tower_step_up_store_errors_total` | `kind`: `unavailable`, `conflict`, `corrupt`, `unsupported` | calls of a store that failed |
//! | `tower_step_up_change_readings_total` | `outcome`: `read`, `cut` (it begins anew), `late` (too late to be believed), `failed` | readings of the store's log of changes |

mod counters;
mod event;
mod json;
mod origin;
mod refusal;
mod sample;

use std::{fmt, sync::Arc};

use self::sample::Samples;
pub(crate) use self::{
    counters::{count_decision, count_reading, count_store_error, outcome},
    origin::Origin,
};
pub use self::{
    event::{AuditEvent, AuditEventKind, ChallengeReason, FailureReason},
    origin::{Actor, AuditRequest},
    refusal::RefusalReason,
};
use crate::{
    aal::Method,
    client::Client,
    clock::Timestamp,
    session::{Session, SessionId, Subject},
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
    samples: Arc<Samples>,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("sink", &self.sink.is_some()).finish_non_exhaustive()
    }
}

impl Audit {
    pub(crate) fn to(sink: impl AuditSink) -> Self {
        Self { sink: Some(Arc::new(sink)), ..Self::default() }
    }

    /// Records an event in a session.
    pub(crate) fn record_in_session(
        &self,
        at: Timestamp,
        origin: &Origin,
        session: impl AsRef<Session>,
        kind: AuditEventKind,
    ) {
        let session = session.as_ref();
        self.record(at, origin, Some(session.subject().clone()), session.id(), kind);
    }

    /// Records an event about a subject, outside a session.
    pub(crate) fn record_for_subject(&self, at: Timestamp, origin: &Origin, subject: &Subject, kind: AuditEventKind) {
        self.record(at, origin, Some(subject.clone()), None, kind);
    }

    /// Records an event without a known subject.
    pub(crate) fn record_anonymous(&self, at: Timestamp, origin: &Origin, kind: AuditEventKind) {
        self.record(at, origin, None, None, kind);
    }

    fn record(
        &self,
        at: Timestamp,
        origin: &Origin,
        subject: Option<Subject>,
        session: Option<SessionId>,
        kind: AuditEventKind,
    ) {
        let Origin { actor, request } = origin.clone();
        self.send(&AuditEvent { at, subject, session, kind, actor, request });
    }

    fn send(&self, event: &AuditEvent) {
        log(event, &self.samples);
        counters::count_event(&event.kind);
        if let Some(sink) = &self.sink {
            sink.record(event);
        }
    }
}

fn log(event: &AuditEvent, samples: &Samples) {
    let at = event.at;
    let AuditEvent { subject, session, kind, actor, request, .. } = event;
    let (event, actor) = (kind.name(), actor.as_str());
    let (method, reason) = (kind.method(), kind.reason());
    let method = method.as_ref().map(Method::as_str);
    // Written with Debug, so that no subject breaks the line.
    let subject = subject.as_ref().map(|subject| tracing::field::debug(subject.as_str()));
    let session = session.map(tracing::field::display);
    let credential = kind.credential().map(tracing::field::display);
    let replaced = kind.replaced().map(tracing::field::display);
    let ended = kind.ended().map(tracing::field::display);
    let kept = kind.kept().map(tracing::field::display);
    let (count, retry_after) = (kind.count(), kind.retry_after());
    let client = request.as_ref().map(|request| &request.client);
    let http_method = request.as_ref().map(|request| request.method.as_str());
    let route = request.as_ref().and_then(|request| request.route.as_deref());
    let request_id = client.and_then(Client::request_id);
    let user_agent = client.and_then(Client::user_agent);
    let client_address = client.and_then(Client::address).map(tracing::field::display);
    macro_rules! write {
        ($level:expr, $unlogged:expr) => {
            tracing::event!(
                target: TARGET, $level, event, actor, reason, method, credential, subject, session, replaced, ended, kept, count,
                retry_after,                 http_method, route, request_id, client_address, user_agent, unlogged = $unlogged,
            )
        };
    }
    // One in a second at this level, and the others at DEBUG.
    macro_rules! write_sample {
        ($level:expr, $sample:expr) => {
            if let Some(unlogged) = $sample.take(at) {
                write!($level, (unlogged > 0).then_some(unlogged));
            } else {
                write!(tracing::Level::DEBUG, None::<u64>);
            }
        };
    }
    match kind {
        AuditEventKind::Locked { .. } if subject.is_some() => write_sample!(tracing::Level::WARN, samples.locks),
        AuditEventKind::Locked { .. } => write_sample!(tracing::Level::WARN, samples.used_up_forms),
        AuditEventKind::CredentialsRefused => write_sample!(tracing::Level::WARN, samples.credentials),
        AuditEventKind::Challenged { .. } | AuditEventKind::Refused { .. } => {
            write_sample!(tracing::Level::INFO, samples.refusals);
        }
        _ => write!(tracing::Level::INFO, None::<u64>),
    }
}
