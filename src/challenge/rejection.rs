//! A shortfall on its way out: it travels in the response's extensions from the guard to the outer layer, which renders it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header, response};

use super::{bearer, htmx, json, redirect};
use crate::{
    audit::AuditEventKind,
    context::{Denied, SessionContext},
    headers::{NO_STORE, add_vary, negotiation},
    requirement::Shortfall,
    session::cookie::Transport,
};

/// The request headers that rendering reads.
const KEPT: [HeaderName; 7] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::REFERER,
    negotiation::HX_REQUEST,
    htmx::HX_BOOSTED,
    htmx::HX_CURRENT_URL,
    HeaderName::from_static("x-request-id"),
];

/// Headers that describe a body, which is replaced.
const OF_THE_BODY: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
    header::ETAG,
    header::LAST_MODIFIED,
    header::ACCEPT_RANGES,
];

#[derive(Clone)]
pub(crate) struct Rejection {
    pub(super) context: SessionContext,
    pub(super) denied: Denied,
    pub(super) method: Method,
    /// Only [`KEPT`].
    pub(super) headers: HeaderMap,
}

impl std::fmt::Debug for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rejection").field("denied", &self.denied).finish_non_exhaustive()
    }
}

impl Rejection {
    pub(crate) fn new(context: SessionContext, denied: Denied, method: &Method, headers: &HeaderMap) -> Self {
        let mut kept = HeaderMap::new();
        for name in KEPT {
            for value in headers.get_all(&name) {
                kept.append(&name, value.clone());
            }
        }
        Self { context, denied, method: method.clone(), headers: kept }
    }

    /// The status before anything is known of the client.
    pub(crate) fn status(&self) -> StatusCode {
        match self.denied {
            Denied::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Denied::Shortfall(Shortfall::NoSession) => StatusCode::UNAUTHORIZED,
            Denied::Shortfall(_) => StatusCode::FORBIDDEN,
        }
    }

    /// Turns the refused response into the challenge and returns its body. What other layers added, such as the headers of CORS,
    /// stays.
    pub(crate) fn render(self, parts: &mut response::Parts) -> Bytes {
        self.report();
        for name in OF_THE_BODY {
            parts.headers.remove(name);
        }
        let return_to = redirect::return_to(&self);
        let destination = redirect::destination(&self.context, self.denied, return_to.as_ref());
        let (status, headers, body) = match &destination {
            Some(url) if self.is_navigation() => redirect::see_other(url),
            _ => {
                let envelope = json::envelope(self.denied, destination.as_ref());
                let envelope = bearer::unauthorized(envelope, &self.context, self.denied);
                let envelope = bearer::challenge(envelope, &self.context, self.denied);
                let (mut challenge, body) = envelope.respond(&self.headers).into_parts();
                if negotiation::is_htmx(&self.headers) {
                    htmx::redirect(&mut challenge.headers, destination.as_ref());
                }
                (challenge.status, challenge.headers, body)
            }
        };
        parts.status = status;
        for (name, value) in headers.iter().filter(|(name, _)| *name != header::VARY) {
            parts.headers.insert(name, value.clone());
        }
        parts.headers.insert(header::CACHE_CONTROL, NO_STORE);
        parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
        add_vary(&mut parts.headers);
        // RFC 9110 section 9.3.2: the headers are those of GET.
        if self.method == Method::HEAD { Bytes::new() } else { body }
    }

    /// Whether a browser goes to a page, and can be sent to another one.
    ///
    /// A client that sends its token in a header of its own is none, whatever it accepts: many accept `*/*`, as browsers do.
    fn is_navigation(&self) -> bool {
        matches!(self.context.transport(), None | Some(Transport::Cookie))
            && !negotiation::is_htmx(&self.headers)
            && !negotiation::wants_json(&self.headers)
    }

    fn report(&self) {
        self.context.report_refusal(match self.denied {
            Denied::Unavailable => AuditEventKind::Unavailable,
            Denied::Shortfall(shortfall) => shortfall.into(),
        });
    }
}
