//! A denied request, for the code that must answer it.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::Rejection;
use crate::{
    context::{RequestHead, SessionContext},
    requirement::{Requirement, Shortfall},
};

/// A request that a guard or an extractor denies.
///
/// Its response is empty, and the [outer layer](crate::layer) fills it in for this client. It can be part of your own error type. Return
/// its response unchanged:
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::response::{IntoResponse, Response};
/// use tower_step_up::AccessDenied;
///
/// enum AppError {
///     Denied(AccessDenied),
///     NotFound,
/// }
///
/// impl From<AccessDenied> for AppError {
///     fn from(denied: AccessDenied) -> Self {
///         Self::Denied(denied)
///     }
/// }
///
/// impl IntoResponse for AppError {
///     fn into_response(self) -> Response {
///         match self {
///             Self::Denied(denied) => denied.into_response(),
///             Self::NotFound => http::StatusCode::NOT_FOUND.into_response(),
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "the request is denied only if its response is returned"]
pub struct AccessDenied(Why);

#[derive(Clone, Debug)]
enum Why {
    /// The session falls short.
    Rejected(Box<Rejection>),
    /// The application is not set up correctly.
    Miswired,
}

impl AccessDenied {
    pub(crate) fn new(
        context: SessionContext,
        shortfall: Shortfall,
        requirement: Requirement,
        head: RequestHead,
    ) -> Self {
        Self(Why::Rejected(Box::new(Rejection::new(context, shortfall, requirement, head))))
    }

    pub(crate) const fn miswired() -> Self {
        Self(Why::Miswired)
    }

    /// Why the request is denied; `None` if the application is not set up correctly, for example without the outer layer.
    pub fn shortfall(&self) -> Option<Shortfall> {
        match &self.0 {
            Why::Rejected(rejection) => Some(rejection.shortfall()),
            Why::Miswired => None,
        }
    }

    /// The status, whatever the client. The outer layer may change it: browsers, for example, get 303.
    ///
    /// | shortfall | status |
    /// |---|---|
    /// | `NoSession` | 401 |
    /// | `Unavailable` | 503 |
    /// | any other | 403 |
    /// | none: not set up correctly | 500 |
    pub fn status(&self) -> StatusCode {
        match self.shortfall() {
            Some(Shortfall::NoSession) => StatusCode::UNAUTHORIZED,
            Some(Shortfall::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
            Some(_) => StatusCode::FORBIDDEN,
            None => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// An empty response with any type of body, which the outer layer fills in. Under axum,
    /// [`IntoResponse`](axum::response::IntoResponse) does the same.
    #[must_use = "the request is denied only if its response is returned"]
    pub fn into_empty_response<B: Default>(self) -> Response<B> {
        let mut response = Response::new(B::default());
        // The default of a response is 200.
        *response.status_mut() = self.status();
        if let Why::Rejected(rejection) = self.0 {
            response.extensions_mut().insert(*rejection);
        }
        response
    }

    /// The whole response, as the outer layer makes it: with the application's own answer, the headers and the audit event. For code whose
    /// result is not an HTTP response that the outer layer sees, such as a method of gRPC.
    #[must_use = "the request is denied only if its response is returned"]
    pub fn into_full_response(self) -> Response<Bytes> {
        let (mut parts, ()) = Response::new(()).into_parts();
        // The default of a response is 200.
        parts.status = self.status();
        let body = match self.0 {
            Why::Rejected(rejection) => rejection.render(&mut parts),
            Why::Miswired => Bytes::new(),
        };
        Response::from_parts(parts, body)
    }
}

impl std::fmt::Display for AccessDenied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.shortfall() {
            Some(shortfall) => write!(f, "access denied: {shortfall}"),
            None => f.write_str("access denied: the application is not set up correctly"),
        }
    }
}

impl std::error::Error for AccessDenied {}

impl SessionContext {
    /// Refuses the request in the middle of a handler. The client gets the same answer as from a guard with this requirement.
    ///
    /// If the session does meet the requirement, the client is asked to prove it again. Call [`decide`](Self::decide) first: as long as
    /// nobody has looked up the session, the client is told that its level is too low.
    ///
    /// The context must know the kind of client: take it from the handler's arguments, or use [`with_head`](Self::with_head). Otherwise
    /// the client gets the answer for programs.
    pub fn challenge(&self, requirement: Requirement) -> AccessDenied {
        let shortfall = match self.known_verdict(&requirement) {
            Some(Err(shortfall)) => shortfall,
            Some(Ok(_)) => requirement.proven_anew(),
            None => Shortfall::LevelTooLow,
        };
        let head = self.head().cloned().unwrap_or_else(RequestHead::of_a_program);
        AccessDenied::new(self.clone(), shortfall, requirement, head)
    }
}
