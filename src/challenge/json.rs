//! Refusals as Ory's envelope, by which Ory's clients know what to do.

use http::StatusCode;
use url::Url;

use crate::{requirement::Shortfall, wire::Envelope};

/// The envelope of a refusal. Clients with a session are told where a browser can do something about it.
pub(crate) fn envelope(shortfall: Shortfall, destination: Option<&Url>) -> Envelope {
    let envelope = match shortfall {
        Shortfall::Unavailable => {
            return Envelope::new(
                StatusCode::SERVICE_UNAVAILABLE,
                None,
                "service unavailable",
                "This cannot be answered right now. Try again in a moment.",
            );
        }
        // The same for every route, so that it says nothing of what a route requires.
        Shortfall::NoSession => {
            return Envelope::new(
                StatusCode::UNAUTHORIZED,
                Some("session_inactive"),
                "no valid session",
                "Sign in before you open this page.",
            );
        }
        Shortfall::LevelTooLow => Envelope::new(
            StatusCode::FORBIDDEN,
            Some("session_aal2_required"),
            "second factor missing",
            "This needs a second proof of who you are.",
        ),
        Shortfall::NothingEnrolled => Envelope::new(
            StatusCode::FORBIDDEN,
            Some("session_aal2_required"),
            "no second factor enrolled",
            "This needs a second proof of who you are. Set one up first.",
        )
        .detail("second_factor", "missing"),
        Shortfall::CannotTell => Envelope::new(
            StatusCode::FORBIDDEN,
            Some("session_aal2_required"),
            "second factor unknown",
            "This needs the strongest proof that you can give, and it is not known here which that is.",
        ),
        Shortfall::TooOld { .. } => Envelope::new(
            StatusCode::FORBIDDEN,
            Some("session_refresh_required"),
            "proven too long ago",
            "Prove once more that it is you: the last time is too long ago for this.",
        ),
    };
    match destination {
        Some(url) => envelope.redirect_browser_to(url),
        None => envelope,
    }
}
