//! Extractors for axum: a session, or the proof of a level, in a handler's signature.
//!
//! They decide by the same code as the guards and need the same [outer layer](crate::StepUpLayer) around them.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    aal::{Aal, Proof},
    challenge::Rejection,
    clock::Timestamp,
    context::{Denied, SessionContext, Unavailable},
    guard::{self, Head, Refusal},
    requirement::Requirement,
    session::{Session, Subject},
    source::Evidence,
    standing::Standing,
};

/// A request that an extractor refused. The outer layer renders it; without one, it is an empty 500.
#[derive(Debug)]
pub struct AccessDenied(Refusal);

impl IntoResponse for AccessDenied {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

fn head(parts: &Parts) -> Head<'_> {
    Head { method: &parts.method, headers: &parts.headers, extensions: &parts.extensions }
}

fn extract(parts: &Parts, requirement: Requirement) -> Result<CurrentSession, AccessDenied> {
    let context = guard::context(None, &parts.extensions).map_err(AccessDenied)?;
    guard::enforce(&requirement, None, head(parts))
        .map(|authenticated| CurrentSession::new(authenticated, context))
        .map_err(AccessDenied)
}

/// Any valid session, whatever its level.
///
/// ```
/// use tower_step_up::CurrentSession;
///
/// async fn greet(user: CurrentSession) -> String {
///     format!("Hello {}", user.subject())
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(greet));
/// ```
///
/// A request without one gets the same answer as from a guard with [`Requirement::aal1`].
#[derive(Clone, Debug)]
pub struct CurrentSession {
    authenticated: Arc<Evidence>,
    now: Timestamp,
}

impl CurrentSession {
    fn new(authenticated: &Arc<Evidence>, context: &SessionContext) -> Self {
        Self { authenticated: Arc::clone(authenticated), now: context.now() }
    }

    /// The session's level at the time of the request.
    pub fn aal(&self) -> Aal {
        self.standing().level(self.session(), self.now)
    }

    /// The proofs that count at the time of the request, oldest first.
    pub fn counting_proofs(&self) -> impl Iterator<Item = &Proof> {
        self.standing().counting_proofs(self.session(), self.now)
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.authenticated.session
    }

    /// Whose session it is.
    pub fn subject(&self) -> &Subject {
        self.authenticated.session.subject()
    }

    /// What counts of the session now.
    pub fn standing(&self) -> &Standing {
        &self.authenticated.standing
    }
}

impl<S: Sync> FromRequestParts<S> for CurrentSession {
    type Rejection = AccessDenied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        extract(parts, Requirement::aal1())
    }
}

/// A valid session if there is one, for pages that are open to all.
///
/// ```
/// use tower_step_up::MaybeSession;
///
/// async fn home(MaybeSession(user): MaybeSession) -> String {
///     match user {
///         Some(user) => format!("Hello {}", user.subject()),
///         None => "Hello stranger".to_owned(),
///     }
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(home));
/// ```
///
/// It refuses with 503 when the store does not answer: then it is not known whether there is a session.
#[derive(Clone, Debug)]
pub struct MaybeSession(pub Option<CurrentSession>);

impl<S: Sync> FromRequestParts<S> for MaybeSession {
    type Rejection = AccessDenied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let context = guard::context(None, &parts.extensions).map_err(AccessDenied)?;
        let found = context.authenticated().map_err(|Unavailable| {
            let rejection = Rejection::new(context.clone(), Denied::Unavailable, &parts.method, &parts.headers);
            AccessDenied(Refusal::Rejected(Box::new(rejection)))
        })?;
        Ok(Self(found.map(|authenticated| CurrentSession::new(authenticated, context))))
    }
}

/// Proof that the request's session has two factors. A handler that takes one cannot be reached without them.
///
/// ```
/// use tower_step_up::Aal2;
///
/// async fn change_limits(user: Aal2, body: String) -> String {
///     format!("{} may change limits", user.subject())
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::post(change_limits));
/// ```
///
/// Put it before extractors that read the body: axum runs them in order, and what is refused should not be read. It asks what
/// [`Requirement::aal2`] asks; for an age, put a guard around the route as well.
#[derive(Clone, Debug)]
pub struct Aal2(CurrentSession);

impl Aal2 {
    /// The session.
    pub fn session(&self) -> &Session {
        self.0.session()
    }

    /// Whose session it is.
    pub fn subject(&self) -> &Subject {
        self.0.subject()
    }

    /// What counts of the session now.
    pub fn standing(&self) -> &Standing {
        self.0.standing()
    }
}

impl<S: Sync> FromRequestParts<S> for Aal2 {
    type Rejection = AccessDenied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        extract(parts, Requirement::aal2()).map(Self)
    }
}
