//! Requests that nobody sees the answer of: they begin and end nothing.

use axum::{
    http::{HeaderName, StatusCode},
    response::Response,
};

use super::{answer, scope::Scope};
use crate::{audit::RefusalReason, challenge, headers::negotiation, wire::Envelope};

/// The answer to a prefetch: a browser asks before the user does, and asks again when the user does.
pub(crate) fn prefetched(scope: &Scope) -> Option<Response> {
    negotiation::is_prefetch(&scope.headers).then(|| respond(scope, challenge::prefetched()))
}

/// The answer to a request that can show no form, such as one of an image: with a flow for each, it would push out the one that the user
/// is filling in.
pub(crate) fn shows_no_form(scope: &Scope) -> Option<Response> {
    prefetched(scope).or_else(|| {
        let envelope = || {
            Envelope::new(
                StatusCode::NOT_ACCEPTABLE,
                None,
                "no form wanted",
                "This address answers with a form: as a page, or as JSON. Please ask for one of them.",
            )
        };
        (!negotiation::can_show_a_form(&scope.headers)).then(|| respond(scope, envelope()))
    })
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a page of another site has sent the browser here. The user sees a form then, but nothing is sent to them before they press a button: a
/// page that opens the form again and again would use up what they may get.
pub(crate) fn comes_from_another_site(scope: &Scope) -> bool {
    scope.headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site")
}

fn respond(scope: &Scope, envelope: Envelope) -> Response {
    scope.context.report_refusal(RefusalReason::Background);
    answer::from_bytes(envelope.respond(&scope.headers))
}
