//! htmx would follow a redirect and put the page into a fragment. So a header tells it to load the page.
//!
//! The user sees the page in `HX-Current-URL`; the request's own URL is only a part of it. So the user returns to that page. A boosted
//! request loads a whole page, so there the user returns to the request's own URL.

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
