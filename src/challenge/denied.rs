//! A request that is not let through, as the one who must answer it sees it.

use http::{Response, StatusCode};

use super::Rejection;
use crate::{
    context::{RequestHead, SessionContext},
    requirement::{Requirement, Shortfall},
};

/// A request that a guard or an extractor does not let through.
///
/// As an answer it is empty: the [outer layer](crate::layer) makes of it what this client understands. So it can be a part of an
/// application's own error type, as long as the answer that it makes is returned as it is:
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
pub struct AccessDenied(Why);

#[derive(Clone, Debug)]
enum Why {
    /// The session does not do.
    Rejected(Box<Rejection>),
    /// The application is put together wrongly.
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

    /// Why; `None` if the application is put together wrongly, such as without the outer layer.
    pub fn shortfall(&self) -> Option<Shortfall> {
        match &self.0 {
            Why::Rejected(rejection) => Some(rejection.shortfall()),
            Why::Miswired => None,
        }
    }

    /// The status before anything is known of the client. Browsers get 303 instead, for example.
    ///
    /// | shortfall | status |
    /// |---|---|
    /// | `NoSession` | 401 |
    /// | `Unavailable` | 503 |
    /// | any other | 403 |
    /// | none: put together wrongly | 500 |
    pub fn status(&self) -> StatusCode {
        match self.shortfall() {
            Some(Shortfall::NoSession) => StatusCode::UNAUTHORIZED,
            Some(Shortfall::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
            Some(_) => StatusCode::FORBIDDEN,
            None => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// An empty answer that the outer layer fills, for any type of body. Under axum, [`IntoResponse`](axum::response::IntoResponse) does
    /// the same.
    pub fn into_empty_response<B: Default>(self) -> Response<B> {
        let mut response = Response::new(B::default());
        // The default of a response is 200.
        *response.status_mut() = self.status();
        if let Why::Rejected(rejection) = self.0 {
            response.extensions_mut().insert(*rejection);
        }
        response
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
    /// Refuses the request in the middle of a handler: the client gets the same answer as from a guard with this requirement.
    ///
    /// If the session meets the requirement all the same, it must be proven anew. Ask [`decide`](Self::decide) first: as long as nobody has
    /// looked the session up, the answer is the one for a session whose level is too low.
    ///
    /// The context must know what kind of client this is: take it from the handler's arguments, or see [`with_head`](Self::with_head). Else
    /// the answer is the one for a program.
    pub fn challenge(&self, requirement: Requirement) -> AccessDenied {
        let shortfall = match self.verdict_without_waiting(&requirement) {
            Some(Err(shortfall)) => shortfall,
            Some(Ok(_)) => requirement.proven_anew(),
            None => Shortfall::LevelTooLow,
        };
        let head = self.head().cloned().unwrap_or_else(super::rejection::head_of_a_program);
        AccessDenied::new(self.clone(), shortfall, requirement, head)
    }
}
