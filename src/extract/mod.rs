//! Extractors for axum: a session, or the proof of a level, in a handler's signature.
//!
//! They decide with the same code as the guards, and need the same [outer layer](crate::layer).
//!
//! # Order
//!
//! axum runs extractors from left to right, and only the last one may read the body. Put these first: a refused request is then refused
//! before its body is read, and the client learns nothing else about it.
//!
//! ```
//! use axum::{Json, extract::Path};
//! use tower_step_up::Aal2;
//!
//! // right: first the proof, then the path, the body last
//! async fn change(user: Aal2, Path(id): Path<u64>, Json(limit): Json<u64>) -> String {
//!     format!("{} sets {id} to {limit}", user.subject())
//! }
//! # let _: axum::Router = axum::Router::new().route("/limits/{id}", axum::routing::put(change));
//! ```
//!
//! They decide when the head of the request is there. [`Fresh`] reads the body and then decides once more: use it where a session that is
//! revoked, or a proof that grows old, while the body is on its way must not count.
//!
//! # If a handler does not compile
//!
//! axum's own traits decide what a handler may take and return, and the compiler only says that it is no handler:
//!
//! ```text
//! error[E0277]: the trait bound `fn(Json<u64>, Proven<TwoFactors>) -> ... {change}: Handler<_, _>` is not satisfied
//!   = note: Consider using `#[axum::debug_handler]` to improve the error message
//! ```
//!
//! | the handler | why | instead |
//! |---|---|---|
//! | takes `(Json(limit): Json<u64>, user: Aal2)` | only the last argument may read the body | `(user: Aal2, Json(limit): Json<u64>)` |
//! | returns `(Redirect, SignedIn)` | only the last part of a response is the response; those before it add to it | `(SignedIn, Redirect)` |
//! | returns `Result<_, tower_step_up::Error>` | an [`Error`](crate::Error) is for your log and is no response | `.map_err(..)`, for example to 503 |
//!
//! ```compile_fail,E0277
//! # use axum::{Json, Router, routing::put};
//! # use tower_step_up::Aal2;
//! async fn change(Json(limit): Json<u64>, user: Aal2) -> String {
//!     format!("{} sets {limit}", user.subject())
//! }
//! let _: Router = Router::new().route("/limits", put(change));
//! ```
//!
//! ```compile_fail,E0277
//! # use axum::{Router, response::Redirect, routing::post};
//! # use tower_step_up::SignedIn;
//! # fn signed_in() -> SignedIn { unimplemented!() }
//! async fn log_in() -> (Redirect, SignedIn) {
//!     (Redirect::to("/payments"), signed_in())
//! }
//! let _: Router = Router::new().route("/login", post(log_in));
//! ```

mod fresh;

use std::{convert::Infallible, fmt, marker::PhantomData, sync::Arc};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use http::{header, request::Parts};

pub use self::fresh::Fresh;
use crate::{
    aal::{Aal, Proof},
    challenge::AccessDenied,
    clock::Timestamp,
    context::{RequestHead, SessionContext},
    guard::{find_context, tell_unmeetable},
    headers::NO_STORE,
    requirement::{Requirement, Shortfall},
    session::{Session, Subject},
    source::{Evidence, Head},
    standing::Standing,
    step_up::SignedIn,
};

impl IntoResponse for AccessDenied {
    fn into_response(self) -> Response {
        self.into_empty_response()
    }
}

/// An empty answer with the session cookie.
impl IntoResponse for SignedIn {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

impl IntoResponseParts for SignedIn {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.headers_mut().append(header::SET_COOKIE, self.cookie().clone());
        parts.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        Ok(parts)
    }
}

fn denied(context: &SessionContext, shortfall: Shortfall, requirement: Requirement, parts: &Parts) -> AccessDenied {
    tell_unmeetable(context, shortfall, &requirement, &parts.uri, &parts.extensions);
    AccessDenied::new(context.clone(), shortfall, requirement, RequestHead::of(parts.into(), context.edge()))
}

async fn extract(parts: &Parts, requirement: Requirement) -> Result<CurrentSession, AccessDenied> {
    let context = find_context(None, &parts.uri, &parts.extensions)?;
    match context.verdict(&requirement, Some(&parts.extensions)).await {
        Ok(evidence) => Ok(CurrentSession::new(evidence, context)),
        Err(shortfall) => Err(denied(context, shortfall, requirement, parts)),
    }
}

/// The context of the request, to decide in the middle of a handler. Without the outer layer, the answer is 500.
impl<S: Sync> FromRequestParts<S> for SessionContext {
    type Rejection = AccessDenied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let context = find_context(None, &parts.uri, &parts.extensions)?;
        Ok(context.with_head(Head::from(&*parts)))
    }
}

/// Any valid session, whatever its level.
///
/// ```
/// use tower_step_up::CurrentSession;
///
/// async fn greet(user: CurrentSession) -> String {
///     format!("Hello {}", user.subject())
/// }
///
/// // for pages that are open to everybody
/// async fn home(user: Option<CurrentSession>) -> String {
///     user.map_or_else(|| "Hello stranger".to_owned(), |user| format!("Hello {}", user.subject()))
/// }
/// # let _: axum::Router =
/// #     axum::Router::new().route("/", axum::routing::get(home)).route("/greet", axum::routing::get(greet));
/// ```
///
/// A request without a session gets the same answer as from a guard with [`Requirement::aal1`]. `Option<CurrentSession>` refuses with 503
/// if the store does not answer, since then nobody knows whether there is a session.
#[derive(Clone, Debug)]
pub struct CurrentSession {
    evidence: Arc<Evidence>,
    now: Timestamp,
}

impl CurrentSession {
    fn new(evidence: &Arc<Evidence>, context: &SessionContext) -> Self {
        Self { evidence: Arc::clone(evidence), now: context.now() }
    }

    /// The session's level at the time of the request.
    pub fn aal(&self) -> Aal {
        self.standing().level(self.session(), self.now)
    }

    /// Whether the user does not want to be asked on this device, and the device is [trusted](crate::StepUpBuilder::trusted_devices) at the time of
    /// the request. The session's level is not raised by that: with `aal1`, it is the device that stood for the second factor.
    pub fn is_on_trusted_device(&self) -> bool {
        self.standing().is_on_trusted_device(self.session(), self.now)
    }

    /// The proofs that count at the time of the request, oldest first.
    pub fn counting_proofs(&self) -> impl Iterator<Item = &Proof> {
        self.standing().counting_proofs(self.session(), self.now)
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.evidence.session
    }

    /// Whose session it is.
    pub fn subject(&self) -> &Subject {
        self.evidence.session.subject()
    }

    /// The standing of the session: which proofs count, and which second factors are enrolled.
    pub fn standing(&self) -> &Standing {
        &self.evidence.standing
    }
}

impl<S: Sync> FromRequestParts<S> for CurrentSession {
    type Rejection = AccessDenied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        extract(parts, Requirement::aal1()).await
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for CurrentSession {
    type Rejection = AccessDenied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        match extract(parts, Requirement::aal1()).await {
            Ok(session) => Ok(Some(session)),
            // The first level is never too low, so its source does not show the session before a second factor is proven.
            Err(denied) if matches!(denied.shortfall(), Some(Shortfall::NoSession | Shortfall::LevelTooLow)) => {
                Ok(None)
            }
            Err(denied) => Err(denied),
        }
    }
}

/// A requirement as a type, for [`Proven`].
pub trait Required: Send + Sync + 'static {
    /// The requirement.
    const REQUIREMENT: Requirement;
}

/// Proof that the request's session meets a requirement. A handler that takes one is never called without it.
///
/// ```
/// use std::time::Duration;
/// use tower_step_up::{Proven, Required, Requirement};
///
/// /// A second factor, proven within the last five minutes.
/// struct FiveMinutes;
///
/// impl Required for FiveMinutes {
///     const REQUIREMENT: Requirement = Requirement::aal2().max_age(Duration::from_secs(300));
/// }
///
/// async fn transfer(user: Proven<FiveMinutes>, body: String) -> String {
///     format!("{} sends {body}", user.subject())
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::post(transfer));
/// ```
///
/// A requirement that [nobody can meet](Requirement::is_impossible) does not compile:
///
/// ```compile_fail,E0080
/// # use tower_step_up::{Method, Proven, Required, Requirement};
/// struct Nobody;
///
/// impl Required for Nobody {
///     const REQUIREMENT: Requirement = Requirement::aal2().any_of([Method::Totp]).phishing_resistant();
/// }
///
/// async fn never(_: Proven<Nobody>) {}
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::post(never));
/// ```
///
/// The age is measured when the request arrives, not at the end of its body. `Fresh<Proven<FiveMinutes>, String>` measures it when the body
/// is there, see [`Fresh`].
pub struct Proven<R> {
    session: CurrentSession,
    required: PhantomData<fn() -> R>,
}

impl<R> Proven<R> {
    /// The session, as [`CurrentSession`] has it.
    pub const fn current_session(&self) -> &CurrentSession {
        &self.session
    }

    /// The session.
    pub fn session(&self) -> &Session {
        self.session.session()
    }

    /// Whose session it is.
    pub fn subject(&self) -> &Subject {
        self.session.subject()
    }

    /// The standing of the session: which proofs count, and which second factors are enrolled.
    pub fn standing(&self) -> &Standing {
        self.session.standing()
    }
}

impl<R> Clone for Proven<R> {
    fn clone(&self) -> Self {
        Self { session: self.session.clone(), required: PhantomData }
    }
}

impl<R> fmt::Debug for Proven<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proven").field(&self.session).finish()
    }
}

impl<S: Sync, R: Required> FromRequestParts<S> for Proven<R> {
    type Rejection = AccessDenied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        const { assert!(!R::REQUIREMENT.is_impossible(), "no method can meet this requirement") };
        let session = extract(parts, R::REQUIREMENT).await?;
        Ok(Self { session, required: PhantomData })
    }
}

/// Two factors of any age: what [`Aal2`] requires.
#[derive(Clone, Copy, Debug)]
pub struct TwoFactors;

impl Required for TwoFactors {
    const REQUIREMENT: Requirement = Requirement::aal2();
}

/// Proof that the request's session has two factors. A handler that takes one is never called without them.
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
/// It requires [`Requirement::aal2`]. For an age, see [`Proven`]. It decides before the body is there; [`Fresh`] decides once more after it.
pub type Aal2 = Proven<TwoFactors>;
