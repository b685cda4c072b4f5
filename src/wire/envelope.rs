//! The JSON body of every error: Ory's envelope, with the fields of RFC 9457 beside it for clients that ask for them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};
use url::Url;

use crate::headers::{NO_STORE, VARY, negotiation, never_sniff};

const ORY_ERROR_ID: HeaderName = HeaderName::from_static("ory-error-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    status: StatusCode,
    id: Option<&'static str>,
    message: &'static str,
    reason: &'static str,
    details: Map<String, Value>,
    /// Fields beside `error`, where SDKs look for them.
    top: Map<String, Value>,
    /// `WWW-Authenticate`.
    challenge: Option<HeaderValue>,
}

impl Envelope {
    pub(crate) fn new(
        status: StatusCode,
        id: Option<&'static str>,
        message: &'static str,
        reason: &'static str,
    ) -> Self {
        Self { status, id, message, reason, details: Map::new(), top: Map::new(), challenge: None }
    }

    pub(crate) fn reason(&self) -> &'static str {
        self.reason
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The same error under another status: Bearer clients get 401 where others get 403.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Adds the header that tells an API client how to authenticate.
    pub(crate) fn with_challenge(self, challenge: HeaderValue) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    pub(crate) fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn top_level(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.top.insert(name.to_owned(), value.into());
        self
    }

    /// The URL that a browser must go to. SDKs read it at the top, others in the details; both are always equal.
    pub(crate) fn redirect_browser_to(self, url: &Url) -> Self {
        self.detail("redirect_browser_to", url.as_str()).top_level("redirect_browser_to", url.as_str())
    }

    /// The error alone, as `getFlowError` returns it. `request_id` is the client's `X-Request-ID`.
    pub(crate) fn error(&self, request_id: Option<&str>) -> Value {
        let mut error = Map::new();
        let mut set = |name: &str, value: Value| error.insert(name.to_owned(), value);
        set("code", self.status.as_u16().into());
        set("status", self.status.canonical_reason().unwrap_or_default().into());
        set("reason", self.reason.into());
        set("message", self.message.into());
        for (name, value) in [("id", self.id), ("request", request_id)] {
            if let Some(value) = value {
                set(name, value.into());
            }
        }
        if !self.details.is_empty() {
            set("details", self.details.clone().into());
        }
        Value::Object(error)
    }

    /// The response to a request with these headers.
    pub(crate) fn respond(self, request: &HeaderMap) -> Response<Bytes> {
        let request_id = request.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| id.len() <= 128);
        let mut body = self.top.clone();
        body.insert("error".to_owned(), self.error(request_id));
        let problem = negotiation::names_problem_json(request);
        if problem {
            let status = self.status.canonical_reason().unwrap_or_default();
            body.insert("type".to_owned(), "about:blank".into());
            body.insert("title".to_owned(), status.into());
            body.insert("status".to_owned(), self.status.as_u16().into());
            body.insert("detail".to_owned(), self.reason.into());
        }
        let mut response = Response::new(Value::Object(body).to_string().into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, if problem { PROBLEM_JSON } else { JSON });
        headers.insert(ORY_ERROR_ID, HeaderValue::from_static(self.id.unwrap_or_default()));
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        headers.insert(header::VARY, VARY);
        never_sniff(headers);
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn respond(request: &[(&'static str, &str)]) -> (Response<Bytes>, Value) {
        let request = request.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let envelope =
            Envelope::new(StatusCode::FORBIDDEN, Some("session_aal2_required"), "second factor missing", "Why.")
                .redirect_browser_to(&Url::parse("https://bank.example/x").unwrap());
        let response = envelope.respond(&request);
        let body = serde_json::from_slice(response.body()).unwrap();
        (response, body)
    }

    #[test]
    fn the_body_is_exactly_the_envelope() {
        let (response, body) = respond(&[]);
        assert_eq!(
            body,
            json!({
                "error": {"id": "session_aal2_required", "code": 403, "status": "Forbidden", "reason": "Why.",
                    "message": "second factor missing", "details": {"redirect_browser_to": "https://bank.example/x"}},
                "redirect_browser_to": "https://bank.example/x",
            })
        );
        assert_eq!(response.status(), 403);
        for (name, value) in [
            ("content-type", "application/json"),
            ("ory-error-id", "session_aal2_required"),
            ("cache-control", "private, no-cache, no-store, must-revalidate"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        assert_eq!(response.headers()["vary"], VARY);
    }

    #[test]
    fn the_request_id_is_echoed_and_problem_fields_come_only_on_request() {
        let (response, body) = respond(&[("x-request-id", "req-7"), ("accept", "application/problem+json")]);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(body["error"]["request"], "req-7");
        assert_eq!(
            (&body["status"], &body["title"], &body["detail"]),
            (&403.into(), &"Forbidden".into(), &"Why.".into())
        );
        let (_, body) = respond(&[("x-request-id", &"x".repeat(200))]);
        assert_eq!(body["error"].get("request"), None);
    }
}
