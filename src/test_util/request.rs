//! The requests of the attacks, and what their answers mean.

use std::fmt::Debug;

use http::{HeaderMap, Method, Request, Response, StatusCode, header, request::Builder, response::Parts};
use tower_service::Service;

use super::Attacks;
use crate::session::cookie::{Transport, X_SESSION_TOKEN};

/// A method and a path.
pub(super) type Route<'a> = (&'a str, &'a str);

/// All ways to carry a session.
pub(super) const TRANSPORTS: [Transport; 3] = [Transport::Cookie, Transport::Header, Transport::Bearer];

pub(super) const fn name_of(transport: Transport) -> &'static str {
    match transport {
        Transport::Cookie => "by cookie",
        Transport::Header => "by X-Session-Token",
        Transport::Bearer => "by Authorization: Bearer",
    }
}

/// A session as a client sends it.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) transport: Transport,
    /// Of this crate.
    pub(super) token: Option<&'a str>,
    /// The `Cookie` header of the application's own session.
    pub(super) host: Option<&'a str>,
}

impl Sent<'_> {
    /// The same by another transport.
    pub(super) const fn by(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// Whether this answer says that the session has ended. That of the application, if it has one, goes on, and has one factor.
    pub(super) fn has_ended(&self, answer: &Parts) -> bool {
        if self.host.is_some() { refusal(answer).is_some() } else { is_dead(answer) }
    }
}

impl<S> Attacks<S> {
    /// Sends a request without a body, as a page of the application or as a program, and returns the head of the answer.
    pub(super) async fn ask<ReqBody, ResBody>(&self, (method, path): Route<'_>, session: Option<Sent<'_>>) -> Parts
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        let request = self.head((method, path), session).body(ReqBody::default());
        #[allow(clippy::panic, reason = "it is an assertion")]
        let request = request.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        self.send(request).await.into_parts().0
    }

    /// A request as a page of the application or a program sends it.
    pub(super) fn head(&self, (method, path): Route<'_>, session: Option<Sent<'_>>) -> Builder {
        let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, "application/json");
        if let Some(Sent { transport, token, host }) = session {
            match (transport, token) {
                (Transport::Header, Some(token)) => request = request.header(&X_SESSION_TOKEN, token),
                (Transport::Bearer, Some(token)) => {
                    request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
                }
                // As a browser sends it, for applications that check the origin.
                (Transport::Cookie, _) | (_, None) => {
                    request = request.header(header::ORIGIN, self.origin()).header("sec-fetch-site", "same-origin");
                }
            }
            let own = token.filter(|_| transport == Transport::Cookie).map(|token| self.cookie(token));
            let cookies: Vec<_> = host.map(str::to_owned).into_iter().chain(own).collect();
            if !cookies.is_empty() {
                request = request.header(header::COOKIE, cookies.join("; "));
            }
        }
        if method == Method::OPTIONS {
            request = request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET");
        }
        request
    }

    #[allow(clippy::expect_used, reason = "it is an assertion")]
    pub(super) async fn send<ReqBody, ResBody>(&self, request: Request<ReqBody>) -> Response<ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
    {
        let mut service = self.service.clone();
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.expect("the service failed");
        service.call(request).await.expect("the service failed")
    }

    pub(super) fn cookie(&self, token: &str) -> String {
        format!("{}={token}", self.step_up.engine().sessions.cookies.session)
    }

    pub(super) fn origin(&self) -> String {
        self.step_up.engine().urls.public.origin().ascii_serialization()
    }

    /// Which of these routes do not let this session reach the handler. Sends one request each, since a handler may have effects.
    pub(super) async fn closed_to<ReqBody, ResBody>(
        &self,
        routes: &[Route<'_>],
        session: Sent<'_>,
        who: &str,
    ) -> Vec<String>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        self.other_than(routes, &[session.transport], session, who, "let in", reaches_the_handler).await
    }

    /// On which of these routes this token still has a session.
    pub(super) async fn alive_at<ReqBody, ResBody>(
        &self,
        routes: &[Route<'_>],
        session: Sent<'_>,
        who: &str,
    ) -> Vec<String>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        self.other_than(routes, &TRANSPORTS, session, who, "be dead", |answer| session.has_ended(answer)).await
    }

    /// Which of these routes do not ask this session for its second factor.
    pub(super) async fn not_asked_at<ReqBody, ResBody>(
        &self,
        routes: &[Route<'_>],
        session: Sent<'_>,
        who: &str,
    ) -> Vec<String>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        let asks = |answer: &Parts| refusal(answer) == Some("session_aal2_required");
        self.other_than(routes, &[session.transport], session, who, "ask for a second", asks).await
    }

    /// Which of these routes do not answer this token as they should.
    async fn other_than<ReqBody, ResBody>(
        &self,
        routes: &[Route<'_>],
        transports: &[Transport],
        session: Sent<'_>,
        who: &str,
        should: &str,
        does: impl Fn(&Parts) -> bool,
    ) -> Vec<String>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        let mut found = Vec::new();
        for &(method, path) in routes {
            for &transport in transports {
                let answer = self.ask((method, path), Some(session.by(transport))).await;
                if !does(&answer) {
                    let way = name_of(transport);
                    found.push(format!("{method} {path} with {who}, {way}: {}, should {should}", seen(&answer)));
                }
            }
        }
        found
    }
}

fn error_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("ory-error-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty())
}

/// The error's id, if a guard or the router of this crate refused the request.
pub(super) fn refusal(answer: &Parts) -> Option<&str> {
    let id = error_id(&answer.headers)?;
    let fits = match id {
        "session_inactive" | "session_aal1_required" => answer.status == StatusCode::UNAUTHORIZED,
        // 401 with a bearer token (RFC 9470).
        "session_aal2_required" | "session_refresh_required" => {
            matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        }
        _ => false,
    };
    fits.then_some(id)
}

/// Whether there is no session any more.
fn is_dead(answer: &Parts) -> bool {
    matches!(refusal(answer), Some("session_inactive" | "session_aal1_required"))
}

/// Whether the request reached a handler that exists and works.
pub(super) fn reaches_the_handler(answer: &Parts) -> bool {
    let absent = matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    refusal(answer).is_none() && !absent && !answer.status.is_server_error()
}

/// The answer, for a report.
pub(super) fn seen(answer: &Parts) -> String {
    match error_id(&answer.headers) {
        Some(id) => format!("{} {id}", answer.status),
        None => answer.status.to_string(),
    }
}
