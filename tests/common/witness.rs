//! What happened on the server while one request was answered, however many others there were at that time.

use std::{cell::RefCell, future::Future};

use axum::http::{HeaderMap, StatusCode, header};
use tower_step_up::audit::{AuditEvent, AuditEventKind};

/// What one request caused.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub events: Vec<AuditEvent>,
    /// How often a handler of the application ran.
    pub calls: usize,
}

tokio::task_local! {
    static SEEN: RefCell<Seen>;
}

/// For the application's audit.
pub fn hear(event: &AuditEvent) {
    let _ = SEEN.try_with(|seen| seen.borrow_mut().events.push(event.clone()));
}

/// For the application's handlers.
pub fn handler_runs() {
    let _ = SEEN.try_with(|seen| seen.borrow_mut().calls += 1);
}

/// Does the work, and tells what it caused.
pub async fn watch<F: Future>(work: F) -> (F::Output, Seen) {
    let watched = async {
        let output = work.await;
        (output, SEEN.with(RefCell::take))
    };
    SEEN.scope(RefCell::default(), watched).await
}

/// Whether a cookie hands out a session.
pub fn hands_out_a_session(headers: &HeaderMap) -> bool {
    headers.get_all(header::SET_COOKIE).iter().any(|cookie| {
        let cookie = cookie.to_str().unwrap();
        cookie.contains("step_up_session=") && !cookie.contains("Max-Age=0")
    })
}

/// Whether this crate refuses something by this answer. It does not where the application has no such route, where a program is sent
/// elsewhere, and where nothing is set up rightly.
fn is_a_refusal(status: StatusCode, headers: &HeaderMap) -> bool {
    let ours = headers.contains_key(header::CACHE_CONTROL);
    let elsewhere = status == StatusCode::UNPROCESSABLE_ENTITY || status == StatusCode::INTERNAL_SERVER_ERROR;
    ours && !elsewhere && (status.is_client_error() || status.is_server_error())
}

impl Seen {
    /// Why the request was refused, once for each time it was told.
    fn refusals(&self) -> impl Iterator<Item = &AuditEventKind> {
        self.events.iter().map(|event| &event.kind).filter(|kind| {
            matches!(
                kind,
                AuditEventKind::Challenged { .. }
                    | AuditEventKind::Refused { .. }
                    | AuditEventKind::Failed { .. }
                    | AuditEventKind::Locked { .. }
                    | AuditEventKind::Unavailable
                    | AuditEventKind::CredentialsRefused
            )
        })
    }

    /// What holds of every answer: who is refused is so once, with a reason and no secret, runs no handler and gets no session.
    #[track_caller]
    pub fn assert_fits(&self, status: StatusCode, headers: &HeaderMap) {
        let refusals: Vec<_> = self.refusals().collect();
        let told = format!("{status} {headers:?} {self:#?}");
        assert!(!told.contains("eyJ") || hands_out_a_session(headers), "a token is told: {told}");
        // A wrong answer is told at once, and then that the store did not answer.
        let once = matches!(refusals[..], [] | [_] | [AuditEventKind::Failed { .. }, AuditEventKind::Unavailable]);
        assert!(once, "told more than once: {told}");
        if is_a_refusal(status, headers) {
            // A flow that asks for a code has the status of a refusal.
            let sent = |event: &AuditEvent| matches!(event.kind, AuditEventKind::CodeSent { .. });
            assert!(!refusals.is_empty() || self.events.iter().any(sent), "not told: {told}");
        }
        if status.is_success() {
            // Several credentials count as none, and what asks for none goes on.
            assert!(matches!(refusals[..], [] | [AuditEventKind::CredentialsRefused]), "{told}");
        } else if !refusals.is_empty() {
            assert_eq!(self.calls, 0, "the handler ran: {told}");
            assert!(!hands_out_a_session(headers), "a refusal hands out a session: {told}");
            let changes = self.events.iter().filter(|event| {
                matches!(
                    event.kind,
                    AuditEventKind::Passed { .. }
                        | AuditEventKind::Rotated { .. }
                        | AuditEventKind::Enrolled { .. }
                        | AuditEventKind::Removed { .. }
                        | AuditEventKind::Renamed { .. }
                )
            });
            assert_eq!(changes.count(), 0, "a refusal changed something: {told}");
        }
    }
}
