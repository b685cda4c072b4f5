//! Checks that submitted login and settings flows share.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::Response,
};

use super::{answer, scope::Scope};
use crate::{
    clock::Timestamp,
    factor::Form,
    flow::{
        csrf::{self, CsrfToken},
        record::{Flow, FlowType},
    },
    store::Attempt,
    wire::Envelope,
};

/// Whether the request may change something by this flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It comes from where the flow was begun.
    Trusted,
    /// A browser flow without the pair of CSRF cookie and form value, or from a foreign page.
    Forged,
    /// An API flow sent by a browser, which would need no token at all.
    BrowserInApiFlow,
}

pub(crate) fn origin(scope: &Scope, flow: &Flow, form: &Form) -> Origin {
    match flow.flow_type {
        FlowType::Api if csrf::comes_from_a_browser(&scope.headers) => Origin::BrowserInApiFlow,
        FlowType::Api => Origin::Trusted,
        FlowType::Browser => {
            let token = CsrfToken::from_cookie(&scope.headers, &scope.engine().sessions.cookies.csrf);
            let pair = match (token, form.get("csrf_token"), &flow.csrf) {
                (Some(token), Some(value), Some(hash)) => token.fits(value, hash),
                _ => false,
            };
            let ours = csrf::origin_is_ours(&scope.headers, &scope.engine().urls.page_origins);
            if pair && ours { Origin::Trusted } else { Origin::Forged }
        }
    }
}

/// What the user reads when a browser sends an API flow.
pub(crate) const BROWSER_IN_API_FLOW: &str = "This form was begun by a program and cannot be sent from a browser.";

/// What `Retry-After` says when no waiting helps: look again in a day.
const STOPPED_RETRY_SECONDS: u64 = 86_400;

/// For how many seconds no attempt is evaluated; `None` if this one may be.
pub(crate) fn locked_for(attempt: Attempt, now: Timestamp) -> Option<u64> {
    match attempt {
        Attempt::Allowed => None,
        Attempt::LockedUntil(until) => {
            let wait = until.since(now);
            // Rounded up, so that nobody comes back too early.
            Some(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
        }
        Attempt::Stopped => Some(STOPPED_RETRY_SECONDS),
    }
}

/// 429, the same bytes for a right and a wrong answer, since neither is looked at.
pub(crate) fn too_many_attempts(headers: &HeaderMap, retry_after: u64) -> Response {
    let envelope = Envelope::new(
        StatusCode::TOO_MANY_REQUESTS,
        Some("security_too_many_attempts"),
        "too many attempts",
        "Too many attempts in a row. Please wait before you try again.",
    )
    .detail("retry_after", retry_after);
    let mut response = answer::from_bytes(envelope.respond(headers));
    response.headers_mut().insert(header::RETRY_AFTER, retry_after.into());
    response
}
