//! Refusals in Ory's envelope, which tells Ory's clients what to do.

use http::StatusCode;

use crate::{requirement::Shortfall, source::Remedy, wire::Envelope};

/// The answer to a prefetch that nobody may see. The browser asks again when the user does.
pub(crate) fn prefetched() -> Envelope {
    Envelope::new(
        StatusCode::SERVICE_UNAVAILABLE,
        None,
        "not prefetched",
        "This page cannot be fetched in advance. Please open it when you need it.",
    )
}

/// The envelope of a refusal. If there is a session, it says where a browser can meet the requirement, and by which methods.
pub(crate) fn envelope(shortfall: Shortfall, remedy: &Remedy) -> Envelope {
    let envelope = match shortfall {
        Shortfall::Unavailable => {
            return Envelope::new(
                StatusCode::SERVICE_UNAVAILABLE,
                None,
                "service unavailable",
                "The service is not available right now. Please try again in a moment.",
            );
        }
        // The same for every route: it does not reveal what a route requires.
        Shortfall::NoSession => {
            return Envelope::new(
                StatusCode::UNAUTHORIZED,
                Some("session_inactive"),
                "no valid session",
                "Please sign in first.",
            );
        }
        Shortfall::LevelTooLow => Envelope::new(
            StatusCode::FORBIDDEN,
            Some("session_aal2_required"),
            "second factor missing",
            "Please confirm with your second factor.",
        ),
        Shortfall::NothingEnrolled => Envelope::new(
            StatusCode::FORBIDDEN,
            Some("session_aal2_required"),
            "no second factor enrolled",
            "This needs a second factor, and you have none yet. Please set one up first.",
        )
        .detail("second_factor", "missing"),
        Shortfall::CannotTell => Envelope::new(
            StatusCode::FORBIDDEN,
            Some("session_aal2_required"),
            "second factor unknown",
            "This needs your second factor, if you have one. Please sign in again and use it.",
        ),
        Shortfall::TooOld { .. } => Envelope::new(
            StatusCode::FORBIDDEN,
            Some("session_refresh_required"),
            "proven too long ago",
            "Please confirm again that it is you. The last time was too long ago.",
        ),
        Shortfall::MethodMissing { .. } => Envelope::new(
            StatusCode::FORBIDDEN,
            Some("session_refresh_required"),
            "required method missing",
            "Please confirm that it is you in one of the ways that this needs.",
        ),
        Shortfall::MethodNotEnrolled => Envelope::new(
            StatusCode::FORBIDDEN,
            Some("session_refresh_required"),
            "no required method enrolled",
            "This needs another way to confirm that it is you, and you have none of that kind yet. Please set one up first.",
        )
        .detail("second_factor", "missing"),
        Shortfall::NoMethodPossible => {
            return Envelope::new(
                StatusCode::FORBIDDEN,
                None,
                "no method can meet the requirement",
                "Nobody can open this: what it requires excludes itself. Please tell those who run this application.",
            );
        }
    };
    let envelope =
        if remedy.methods.is_empty() { envelope } else { envelope.detail("methods", remedy.methods.clone()) };
    match &remedy.page {
        Some(url) => envelope.redirect_browser_to(url),
        None => envelope,
    }
}
