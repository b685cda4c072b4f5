//! What a client sees of a refusal. One place knows every kind of client: browsers, SPAs, htmx pages, API clients.

mod envelope;
pub(crate) mod negotiation;

use http::HeaderValue;

pub(crate) use self::envelope::Envelope;

/// For every answer that depends on a session: nobody keeps it.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-cache, no-store, must-revalidate");

/// The request headers that an answer may depend on.
pub(crate) const VARY: HeaderValue =
    HeaderValue::from_static("Cookie, Authorization, X-Session-Token, Accept, HX-Request");

// Until the layers land.
pub(crate) fn gate(
    _: &crate::requirement::Shortfall,
    _: &crate::context::SessionContext,
    _: Option<&url::Url>,
) -> Envelope {
    Envelope::new(http::StatusCode::FORBIDDEN, None, "", "")
}
