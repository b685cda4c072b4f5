//! htmx follows a redirect inside its own request and would put the page into a fragment, so it is told to go there by a header.
//!
//! What the user sees is the page in `HX-Current-URL`; the request's own URL gives only a part of it. So a user comes back to that
//! page, unless the request was boosted, that is, a link whose target is a whole page.

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

pub(super) const HX_CURRENT_URL: HeaderName = HeaderName::from_static("hx-current-url");
const HX_BOOSTED: HeaderName = HeaderName::from_static("hx-boosted");
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

pub(super) fn is_boosted(headers: &HeaderMap) -> bool {
    headers.get(HX_BOOSTED).is_some_and(|value| value == "true")
}

/// Makes htmx load the page as a whole.
pub(super) fn redirect(headers: &mut HeaderMap, destination: Option<&Url>) {
    if let Some(url) = destination.and_then(|url| HeaderValue::from_str(url.as_str()).ok()) {
        headers.insert(HX_REDIRECT, url);
    }
}
