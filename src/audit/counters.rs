//! Counters for the application's own metrics (feature `metrics`). Their names stand in the documentation of [`audit`](super) only.

#[cfg(feature = "metrics")]
use metrics::counter;

use super::AuditEventKind;
use crate::{
    error::{StoreError, StoreErrorKind},
    requirement::Shortfall,
};

/// What a decision comes to, in spans and counters.
pub(crate) fn outcome<T>(verdict: &Result<T, Shortfall>) -> &'static str {
    match verdict {
        Ok(_) => "passed",
        Err(shortfall) => AuditEventKind::from(*shortfall).reason().unwrap_or("refused"),
    }
}

/// Counts a decision. One that lets through costs no allocation: its labels are constants.
pub(crate) fn count_decision<T>(verdict: &Result<T, Shortfall>) {
    #[cfg(feature = "metrics")]
    match verdict {
        Ok(_) => counter!("tower_step_up_decisions_total", "outcome" => "passed").increment(1),
        Err(_) => counter!("tower_step_up_decisions_total", "outcome" => outcome(verdict)).increment(1),
    }
    #[cfg(not(feature = "metrics"))]
    let _ = verdict;
}

pub(super) fn count_event(kind: &AuditEventKind) {
    #[cfg(feature = "metrics")]
    {
        let method = kind.method().map_or_else(|| "none".to_owned(), |method| method.as_str().to_owned());
        let reason = kind.reason().unwrap_or("none");
        counter!("tower_step_up_events_total", "event" => kind.name(), "method" => method, "reason" => reason)
            .increment(1);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = kind;
}

pub(crate) fn count_store_error(error: &StoreError) {
    #[cfg(feature = "metrics")]
    {
        let kind = match error.kind() {
            StoreErrorKind::Unavailable => "unavailable",
            StoreErrorKind::Conflict => "conflict",
            StoreErrorKind::Corrupt => "corrupt",
            StoreErrorKind::Unsupported => "unsupported",
        };
        counter!("tower_step_up_store_errors_total", "kind" => kind).increment(1);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (error, StoreErrorKind::Corrupt);
}

/// Counts a reading of the store's log of changes.
pub(crate) fn count_reading(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    counter!("tower_step_up_change_readings_total", "outcome" => outcome).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = outcome;
}
