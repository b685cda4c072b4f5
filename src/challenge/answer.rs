//! The answer to a refused request, before it replaces the response.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use url::Url;

pub(super) struct Challenge {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Challenge {
    /// 303, so no client sends the body again, as all do on 307 and some do on 302.
    pub(super) fn see_other(url: &Url) -> Self {
        let mut headers = HeaderMap::new();
        // A serialised URL is ASCII without control characters, so this never fails.
        if let Ok(url) = HeaderValue::from_str(url.as_str()) {
            headers.insert(header::LOCATION, url);
        }
        Self { status: StatusCode::SEE_OTHER, headers, body: Bytes::new() }
    }
}

impl From<Response<Bytes>> for Challenge {
    fn from(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body }
    }
}
