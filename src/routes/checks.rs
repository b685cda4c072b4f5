//! The checks that login and settings submissions share.

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
    headers::negotiation,
    store::Attempt,
    wire::Envelope,
};

/// Whether this request may submit this flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It comes from the client that began the flow.
    Trusted,
    /// A browser flow without matching CSRF cookie and form value, or from a foreign page.
    Forged,
    /// An API flow, which needs no CSRF token, sent by a browser.
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

/// Whether the answer to a submitted flow is JSON. Browsers that show pages get redirects.
pub(crate) fn answers_in_json(scope: &Scope, flow: &Flow) -> bool {
    flow.flow_type == FlowType::Api || negotiation::wants_json(&scope.headers)
}

/// `Retry-After` when waiting does not help: one day.
const STOPPED_RETRY_SECONDS: u64 = 86_400;

/// How many seconds the client must wait; `None` if this attempt may be evaluated.
pub(crate) fn locked_for(attempt: Attempt, now: Timestamp) -> Option<u64> {
    match attempt {
        Attempt::Allowed | Attempt::Counted(_) => None,
        Attempt::LockedUntil(until) => {
            let wait = until.since(now);
            // Rounded up, so that nobody comes back too early.
            Some(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
        }
        Attempt::Stopped => Some(STOPPED_RETRY_SECONDS),
    }
}

/// 429, with the same bytes for right and wrong answers: neither is evaluated.
pub(crate) fn too_many_attempts(headers: &HeaderMap, retry_after: u64) -> Response {
    let envelope = Envelope::new(
        StatusCode::TOO_MANY_REQUESTS,
        Some("security_too_many_attempts"),
        "too many attempts",
        "Too many attempts. Please wait before you try again.",
    )
    .detail("retry_after", retry_after);
    retry_later(answer::from_bytes(envelope.respond(headers)), retry_after)
}

/// The same answer with `Retry-After`.
pub(crate) fn retry_later(mut response: Response, retry_after: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, retry_after.into());
    response
}
