//! Where a browser goes on from a flow: its page, the enrolment, or elsewhere.

use axum::{http::StatusCode, response::Response};
use url::Url;

use super::{answer, scope::Scope};
use crate::{
    flow::{owner::Owner, record::Flow},
    source::Evidence,
    standing::Recency,
    wire::Envelope,
};

/// Where a factor is enrolled. Who has another one proves it first, if they have not a moment ago: the settings would ask for it in the
/// middle of the enrolment.
pub(crate) fn enrolment(
    scope: &Scope,
    return_to: Option<&Url>,
    found: Option<&Evidence>,
    owner: Option<&Owner>,
) -> Url {
    let engine = scope.engine();
    let enrolment = engine.urls.enrolment(return_to);
    let (Some(found), Some(owner)) = (found, owner) else { return enrolment };
    let max_age = engine.limits.privileged_session_max_age;
    match owner.standing(engine).recency(&found.session, max_age, scope.now()) {
        Recency::ProveAnew { second_factor: true } => engine.urls.login(true, true, Some(&enrolment)),
        Recency::ProveAnew { second_factor: false } | Recency::Recent => enrolment,
    }
}

/// The page that shows the flow.
pub(crate) fn page_of(flow: &Flow, scope: &Scope) -> Url {
    let mut url = scope.engine().urls.login_ui.clone();
    url.query_pairs_mut().append_pair("flow", &flow.id().to_string());
    url
}

/// Leads a browser elsewhere: a redirect for one that shows pages, 422 for a script.
pub(crate) fn lead_to(url: &Url, json: bool, scope: &Scope) -> Response {
    if json { answer::from_bytes(leave_for(url).respond(&scope.headers)) } else { answer::see_other(url) }
}

/// 422: a script must send the browser to this URL.
pub(crate) fn leave_for(url: &Url) -> Envelope {
    Envelope::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        Some("browser_location_change_required"),
        "browser location change required",
        "Please continue at the address in redirect_browser_to.",
    )
    .top_level("redirect_browser_to", url.as_str())
}
