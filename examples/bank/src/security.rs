//! For all of the bank's own pages: who may send a form, and what browsers may do with a page.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};

use crate::pages::refused;

/// The origin under which browsers reach the bank, as they write it in `Origin`.
#[derive(Clone)]
pub(crate) struct OwnOrigin(Arc<str>);

impl OwnOrigin {
    pub(crate) fn of(public_url: &url::Url) -> Self {
        Self(public_url.origin().ascii_serialization().into())
    }
}

/// Refuses forms that another site made the browser send.
///
/// The session cookie is `SameSite=Lax`, so a form from another *site* comes without it. Pages cannot forge the two headers below.
/// They also stop other origins of the same site, and protect the login form, which needs no cookie. A client that sends neither
/// is not a browser, so no other site can make it send cookies.
pub(crate) async fn same_origin(State(own): State<OwnOrigin>, request: Request, next: Next) -> Response {
    let safe = request.method().is_safe();
    if safe || comes_from(&own, request.headers()) { next.run(request).await } else { refused() }
}

fn comes_from(own: &OwnOrigin, headers: &HeaderMap) -> bool {
    let site_fits = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none");
    let origin_fits = headers.get(header::ORIGIN).is_none_or(|origin| origin.as_bytes() == own.0.as_bytes());
    site_fits && origin_fits
}

/// Headers for pages: they load only the style sheet, no site can frame them, and no cache stores them.
pub(crate) async fn page_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
