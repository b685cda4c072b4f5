//! Every way a route can fail: an envelope for programs, an error page for browsers.
//!
//! The texts are fixed, so error pages need no store. The id of an error page is a hash of its text and is always the same. Nobody can
//! fill a store with errors.

use axum::{http::StatusCode, response::Response};
use uuid::Uuid;

use super::{answer, scope::Scope};
use crate::{
    audit::{AuditEventKind, ChallengeReason, RefusalReason},
    challenge::bearer,
    error::{Error, StoreError},
    factor::FactorError,
    ids,
    requirement::Shortfall,
    urls::return_to::with_query,
    wire::Envelope,
};

/// Why a route fails. Failures that depend on a flow are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    NoSession,
    FirstFactorRequired,
    AlreadyAvailable,
    StillSignedIn,
    ForbiddenReturnTo,
    UnknownAal,
    UnknownMethods,
    RepeatedParameter,
    LoginChallenge,
    TokenizeAs,
    FlowDisabled,
    BadFlowQuery,
    UnknownFlow,
    UnknownError,
    UnknownSchema,
    Csrf,
    IdentityMismatch,
    BodyTooLarge,
    BodyTooLate,
    WrongHttpMethod,
    BadBody,
    MissingLogoutToken,
    WrongLogoutToken,
    WrongSessionToken,
    BadPage,
    BadSessionId,
    OwnSession,
    Unavailable,
}

/// What a user can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WayOut {
    SignIn,
    /// Open the form again.
    BeginAnew,
    TryAgain,
    /// Look at the sessions, and sign out there.
    Sessions,
    /// Go back to the application.
    GoBack,
}

/// The name space of the ids of error pages (RFC 9562 section 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x7d1f_3c52_91b8_4c37_8d0e_5a1b_c1f2_8e44);

impl Failure {
    pub(super) const ALL: [Self; 28] = [
        Self::NoSession,
        Self::FirstFactorRequired,
        Self::AlreadyAvailable,
        Self::StillSignedIn,
        Self::ForbiddenReturnTo,
        Self::UnknownAal,
        Self::UnknownMethods,
        Self::RepeatedParameter,
        Self::LoginChallenge,
        Self::TokenizeAs,
        Self::FlowDisabled,
        Self::BadFlowQuery,
        Self::UnknownFlow,
        Self::UnknownError,
        Self::UnknownSchema,
        Self::Csrf,
        Self::IdentityMismatch,
        Self::BodyTooLarge,
        Self::BodyTooLate,
        Self::WrongHttpMethod,
        Self::BadBody,
        Self::MissingLogoutToken,
        Self::WrongLogoutToken,
        Self::WrongSessionToken,
        Self::BadPage,
        Self::BadSessionId,
        Self::OwnSession,
        Self::Unavailable,
    ];

    // A table, however long.
    #[allow(clippy::too_many_lines)]
    pub(crate) fn envelope(self) -> Envelope {
        let new = Envelope::new;
        match self {
            Self::NoSession => {
                new(StatusCode::UNAUTHORIZED, Some("session_inactive"), "no valid session", "Please sign in first.")
            }
            Self::FirstFactorRequired => new(
                StatusCode::UNAUTHORIZED,
                Some("session_aal1_required"),
                "no valid session",
                "Please sign in first, then confirm with your second factor.",
            ),
            Self::AlreadyAvailable => new(
                StatusCode::BAD_REQUEST,
                Some("session_already_available"),
                "session already available",
                "You are already signed in. To confirm again, add refresh=true.",
            ),
            Self::StillSignedIn => new(
                StatusCode::FORBIDDEN,
                Some("session_refresh_required"),
                "still signed in from before",
                "You are still signed in from before. Please sign out, and then sign in again.",
            ),
            Self::ForbiddenReturnTo => new(
                StatusCode::BAD_REQUEST,
                Some("self_service_flow_return_to_forbidden"),
                "return_to not allowed",
                "This application does not allow the address in return_to.",
            ),
            Self::UnknownAal => {
                new(StatusCode::BAD_REQUEST, None, "unknown assurance level", "The parameter aal must be aal1 or aal2.")
            }
            Self::UnknownMethods => new(
                StatusCode::BAD_REQUEST,
                None,
                "unknown methods",
                "The parameter methods must be a list of known methods, separated by commas.",
            ),
            Self::RepeatedParameter => {
                new(StatusCode::BAD_REQUEST, None, "repeated parameter", "Please give each parameter only once.")
            }
            Self::LoginChallenge => new(
                StatusCode::BAD_REQUEST,
                None,
                "login_challenge not supported",
                "This application does not support OAuth2 logins.",
            ),
            Self::TokenizeAs => new(
                StatusCode::BAD_REQUEST,
                None,
                "tokenize_as not supported",
                "This application does not turn sessions into other tokens.",
            ),
            Self::FlowDisabled => new(
                StatusCode::BAD_REQUEST,
                Some("self_service_flow_disabled"),
                "login flow not available",
                "Please sign in on the application's own login page.",
            ),
            Self::BadFlowQuery => {
                new(StatusCode::BAD_REQUEST, None, "flow is not an id", "The parameter flow must be the id of a flow.")
            }
            Self::UnknownFlow => new(
                StatusCode::NOT_FOUND,
                None,
                "unknown flow",
                "This form does not exist any more. Please open it again.",
            ),
            Self::UnknownSchema => {
                new(StatusCode::NOT_FOUND, None, "unknown schema", "There is no schema with this id.")
            }
            Self::UnknownError => new(
                StatusCode::NOT_FOUND,
                None,
                "unknown error",
                "There is no error with this id. Please go back and try again.",
            ),
            Self::Csrf => new(
                StatusCode::FORBIDDEN,
                Some("security_csrf_violation"),
                "cross-site request refused",
                "This form was not opened in this browser. Please open it again.",
            )
            .detail("hint", "Send the flow's cookies and csrf_token from a page of the application.")
            .detail("reject_reason", "The CSRF cookie or the csrf_token is missing, or does not match this flow."),
            Self::IdentityMismatch => new(
                StatusCode::FORBIDDEN,
                Some("security_identity_mismatch"),
                "flow of another session",
                "This form belongs to another session. Please open it again.",
            ),
            Self::BodyTooLarge => {
                new(StatusCode::PAYLOAD_TOO_LARGE, None, "body too large", "The form is too large. Please send less.")
            }
            Self::BodyTooLate => new(
                StatusCode::REQUEST_TIMEOUT,
                None,
                "body not there in time",
                "The form took too long to arrive. Please send it again.",
            ),
            Self::WrongHttpMethod => new(
                StatusCode::METHOD_NOT_ALLOWED,
                None,
                "method not allowed",
                "This address does not support this HTTP method.",
            ),
            Self::BadBody => new(StatusCode::BAD_REQUEST, None, "unreadable body", "The body must be a JSON object."),
            Self::MissingLogoutToken => new(
                StatusCode::BAD_REQUEST,
                None,
                "logout token missing",
                "Please use the logout_url from /self-service/logout/browser.",
            ),
            Self::WrongLogoutToken => new(
                StatusCode::FORBIDDEN,
                None,
                "wrong logout token",
                "This logout link belongs to another session. Please log out again.",
            ),
            Self::WrongSessionToken => new(
                StatusCode::FORBIDDEN,
                None,
                "wrong session token",
                "The body must have the session_token of your session.",
            ),
            Self::BadPage => new(StatusCode::BAD_REQUEST, None, "bad page", "Page parameters must be whole numbers."),
            Self::BadSessionId => {
                new(StatusCode::BAD_REQUEST, None, "not a session id", "The path must end in the id of a session.")
            }
            Self::OwnSession => {
                new(StatusCode::BAD_REQUEST, None, "own session", "To end your own session, please log out.")
            }
            Self::Unavailable => {
                new(StatusCode::SERVICE_UNAVAILABLE, None, "temporarily unavailable", "Please try again in a moment.")
            }
        }
    }

    /// What a user can do about it.
    pub(crate) const fn way_out(self) -> WayOut {
        match self {
            Self::NoSession | Self::FirstFactorRequired | Self::FlowDisabled => WayOut::SignIn,
            Self::ForbiddenReturnTo
            | Self::UnknownAal
            | Self::UnknownMethods
            | Self::RepeatedParameter
            | Self::LoginChallenge
            | Self::BadFlowQuery
            | Self::UnknownFlow
            | Self::Csrf
            | Self::IdentityMismatch
            | Self::BodyTooLarge
            | Self::BodyTooLate
            | Self::WrongHttpMethod
            | Self::BadBody => WayOut::BeginAnew,
            Self::Unavailable => WayOut::TryAgain,
            Self::MissingLogoutToken
            | Self::WrongLogoutToken
            | Self::WrongSessionToken
            | Self::BadPage
            | Self::BadSessionId
            | Self::OwnSession
            | Self::StillSignedIn => WayOut::Sessions,
            Self::AlreadyAvailable | Self::TokenizeAs | Self::UnknownError | Self::UnknownSchema => WayOut::GoBack,
        }
    }

    /// The id of the page that shows this error.
    pub(crate) fn page_id(self) -> Uuid {
        ids::of_name(NAMESPACE, self.envelope().error(None).to_string().as_bytes())
    }

    pub(crate) fn of_page(id: Uuid) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.page_id() == id)
    }

    /// The audit event for it.
    pub(crate) const fn audited(self) -> AuditEventKind {
        let reason = match self {
            Self::Unavailable => return AuditEventKind::Unavailable,
            Self::NoSession | Self::FirstFactorRequired => {
                return AuditEventKind::Challenged { reason: ChallengeReason::NoSession };
            }
            Self::Csrf => RefusalReason::CrossSite,
            Self::IdentityMismatch => RefusalReason::AnotherSession,
            Self::ForbiddenReturnTo => RefusalReason::ForbiddenReturnTo,
            Self::UnknownFlow => RefusalReason::UnknownFlow,
            Self::AlreadyAvailable | Self::StillSignedIn => RefusalReason::NothingToDo,
            Self::MissingLogoutToken | Self::WrongLogoutToken | Self::WrongSessionToken => RefusalReason::WrongToken,
            Self::UnknownAal
            | Self::UnknownMethods
            | Self::RepeatedParameter
            | Self::LoginChallenge
            | Self::TokenizeAs
            | Self::FlowDisabled
            | Self::BadFlowQuery
            | Self::UnknownError
            | Self::UnknownSchema
            | Self::BodyTooLarge
            | Self::BodyTooLate
            | Self::WrongHttpMethod
            | Self::BadBody
            | Self::BadPage
            | Self::BadSessionId
            | Self::OwnSession => RefusalReason::Invalid,
        };
        AuditEventKind::Refused { reason }
    }

    /// Reports to the audit and answers: an envelope for programs, a redirect to the error page for browsers.
    pub(crate) fn respond(self, scope: &Scope, json: bool) -> Response {
        scope.context.report_refusal(self.audited());
        self.answer(scope, json)
    }

    /// The same without a report, for when the audit has another reason already.
    pub(crate) fn answer(self, scope: &Scope, json: bool) -> Response {
        let (engine, headers) = (scope.engine(), &scope.headers);
        tracing::debug!(failure = ?self, "a self-service request failed");
        let response = if json {
            let envelope = self.envelope();
            // RFC 9110 section 15.5.2: a 401 says how to authenticate.
            let envelope = match envelope.status() {
                StatusCode::UNAUTHORIZED => envelope.with_challenge(bearer::unauthenticated(headers)),
                _ => envelope,
            };
            answer::from_bytes(envelope.respond(headers))
        } else {
            let id = self.page_id().to_string();
            answer::see_other(&with_query(engine.urls.error_ui.clone(), &[("id", Some(&id))]))
        };
        match self {
            Self::NoSession | Self::FirstFactorRequired => answer::because(response, Shortfall::NoSession),
            Self::Unavailable => answer::because(response, Shortfall::Unavailable),
            _ => response,
        }
    }
}

/// Logs the error's own text without its cause, which may name a database. The client learns only that something is down.
fn down(error: &dyn std::error::Error) -> Failure {
    tracing::error!(%error, "a self-service request could not be served");
    Failure::Unavailable
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        down(&error)
    }
}

impl From<FactorError> for Failure {
    /// Logs the causes too: only they say what the factor's own service lacks. What a store says stays out, since it may name a database.
    fn from(error: FactorError) -> Self {
        let mut causes = Vec::new();
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = if cause.is::<StoreError>() { None } else { cause.source() };
        }
        tracing::error!(%error, causes = causes.join(": "), "a self-service request could not be served");
        Self::Unavailable
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        down(&error)
    }
}

impl From<crate::context::Unavailable> for Failure {
    fn from(_: crate::context::Unavailable) -> Self {
        Self::Unavailable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_page_of_its_own() {
        for failure in Failure::ALL {
            assert_eq!(Failure::of_page(failure.page_id()), Some(failure));
        }
        assert_eq!(Failure::of_page(Uuid::nil()), None);
    }
}
