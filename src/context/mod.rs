//! The outer layer, and what it finds out about a request: its session, if it has one that is good, and what to come back to.
//!
//! The layer always puts a [`SessionContext`] into the request's extensions, in place of any that is there, so that nothing which
//! came from elsewhere is believed. On the way out it turns a guard's refusal into what the client understands.
//!
//! It knows nothing of requirements: guards decide.
//!
//! ```
//! # use std::convert::Infallible;
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use tower_step_up::{RequireAal2, SigningKey, StepUp, factor::Totp, store::MemoryStore};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let step_up = StepUp::builder("https://bank.example")
//! #     .signing_key(SigningKey::hs256("2026-11", [7; 32])?)
//! #     .store(MemoryStore::default())
//! #     .factor(Totp::new("Example Bank"))
//! #     .build()?;
//! async fn payments(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     Ok(Response::new(Full::from("all payments")))
//! }
//!
//! let service = ServiceBuilder::new()
//!     .layer(step_up.layer()) // the outer layer comes first
//!     .layer(RequireAal2)
//!     .service_fn(payments);
//!
//! let request = Request::get("/payments").header("accept", "application/json").body(Full::default())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), 401);
//! # Ok(())
//! # }
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{Extensions, uri::PathAndQuery};

use crate::{
    audit::AuditEventKind,
    clock::Timestamp,
    engine::Engine,
    requirement::{Requirement, Shortfall},
    session::{Session, SessionId, Subject, cookie::Transport},
    source::Evidence,
    standing::{Enrolled, Standing},
    step_up::StepUp,
};

/// What is known of a request's session. [`StepUpLayer`] puts it into the request's extensions.
///
/// Guards and extractors read it; so may any code under the layer, also where there is no axum:
///
/// ```
/// use tower_step_up::SessionContext;
///
/// fn subject<B>(request: &http::Request<B>) -> Option<&str> {
///     let context = SessionContext::of(request.extensions())?;
///     Some(context.session()?.subject().as_str())
/// }
/// ```
#[derive(Clone)]
pub struct SessionContext {
    shared: Arc<Shared>,
}

struct Shared {
    step_up: StepUp,
    found: Found,
    transport: Option<Transport>,
    now: Timestamp,
    path_and_query: Option<PathAndQuery>,
    /// Whether the session was read for this very request, and not found in the cache.
    is_fresh: bool,
    /// Whether anything looked at the session, so that the answer depends on it.
    consulted: AtomicBool,
}

/// How the search for a session ended.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// There is none that is good.
    Nothing,
    /// There are several credentials, or one that cannot be read: that was reported as such, and counts as none.
    Ambiguous,
    /// This one.
    Session(Arc<Evidence>),
    /// The store or directory did not answer, so nothing is known.
    Unavailable,
}

/// The store or directory did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable;

/// Why a request does not get through a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The session falls short.
    Shortfall(Shortfall),
    /// The store did not answer, and nothing is assumed.
    Unavailable,
}

impl SessionContext {
    pub(crate) fn new(
        step_up: StepUp,
        found: Found,
        transport: Option<Transport>,
        now: Timestamp,
        path_and_query: Option<PathAndQuery>,
        is_fresh: bool,
    ) -> Self {
        let consulted = AtomicBool::new(false);
        Self { shared: Arc::new(Shared { step_up, found, transport, now, path_and_query, is_fresh, consulted }) }
    }

    /// Whether the session passes for one whose subject has no second factor by what was read for an earlier request. Another
    /// process may have bound one since.
    pub(crate) fn remembers_no_second_factor(&self) -> bool {
        match self.authenticated() {
            Ok(Some(found)) => !self.shared.is_fresh && found.standing.enrolled() == Enrolled::No,
            _ => false,
        }
    }

    /// The same request with its session as the store has it now.
    pub(crate) async fn read_anew(self) -> Self {
        let Shared { step_up, found, transport, now, path_and_query, .. } = &*self.shared;
        let found = match found {
            Found::Session(found) => match found.session.id() {
                Some(id) => read(step_up.engine(), id, found.session.subject(), *now).await,
                None => Found::Nothing,
            },
            other => other.clone(),
        };
        Self::new(step_up.clone(), found, *transport, *now, path_and_query.clone(), true)
    }

    /// The context of the innermost layer around this request; `None` if there is no layer.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The session, if there is one that is good.
    pub fn session(&self) -> Option<&Session> {
        self.authenticated().ok().flatten().map(|authenticated| &authenticated.session)
    }

    /// What counts of the session now, if there is one that is good.
    pub fn standing(&self) -> Option<&Standing> {
        self.authenticated().ok().flatten().map(|authenticated| &authenticated.standing)
    }

    /// The instant at which the request was looked at.
    pub fn now(&self) -> Timestamp {
        self.shared.now
    }

    /// What the outer layer saw of the request's URI, before any router stripped a prefix.
    pub(crate) fn path_and_query(&self) -> Option<&PathAndQuery> {
        self.shared.path_and_query.as_ref()
    }

    pub(crate) fn transport(&self) -> Option<Transport> {
        self.shared.transport
    }

    pub(crate) fn step_up(&self) -> &StepUp {
        &self.shared.step_up
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.shared.step_up.engine()
    }

    /// Whether the layer that made this context belongs to `step_up`.
    pub(crate) fn belongs_to(&self, step_up: &StepUp) -> bool {
        Arc::ptr_eq(self.shared.step_up.engine(), step_up.engine())
    }

    pub(crate) fn is_ambiguous(&self) -> bool {
        matches!(self.shared.found, Found::Ambiguous)
    }

    pub(crate) fn was_consulted(&self) -> bool {
        self.shared.consulted.load(Ordering::Relaxed)
    }

    /// The session, unless the store did not answer.
    pub(crate) fn authenticated(&self) -> Result<Option<&Arc<Evidence>>, Unavailable> {
        self.shared.consulted.store(true, Ordering::Relaxed);
        match &self.shared.found {
            Found::Nothing | Found::Ambiguous => Ok(None),
            Found::Session(authenticated) => Ok(Some(authenticated)),
            Found::Unavailable => Err(Unavailable),
        }
    }

    /// Tells the audit why this request is refused.
    pub(crate) fn report_refusal(&self, why: impl Into<AuditEventKind>) {
        let kind = why.into();
        let tells_of_the_request = matches!(kind, AuditEventKind::Challenged { .. } | AuditEventKind::Refused { .. });
        // That there were several credentials was reported when they were seen: one event for one refusal.
        if self.is_ambiguous() && tells_of_the_request {
            return;
        }
        let engine = self.engine();
        match self.session() {
            Some(session) => engine.audit.record_in_session(engine.now(), session, kind),
            None => engine.audit.record_anonymous(engine.now(), kind),
        }
    }

    /// Whether the request's session meets the requirement.
    pub(crate) fn check(&self, requirement: &Requirement) -> Result<&Arc<Evidence>, Denied> {
        match self.authenticated() {
            Err(Unavailable) => Err(Denied::Unavailable),
            Ok(None) => Err(Denied::Shortfall(Shortfall::NoSession)),
            Ok(Some(authenticated)) => requirement
                .check(&authenticated.session, &authenticated.standing, self.shared.now)
                .map(|()| authenticated)
                .map_err(Denied::Shortfall),
        }
    }
}

impl std::fmt::Debug for SessionContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionContext").field("now", &self.shared.now).finish_non_exhaustive()
    }
}

pub(crate) async fn read(engine: &Engine, id: SessionId, subject: &Subject, now: Timestamp) -> Found {
    match engine.read_session(id, subject, now).await {
        Ok(Some(authenticated)) => Found::Session(authenticated),
        Ok(None) => Found::Nothing,
        Err(error) => {
            // The error's source may name a database; its own text never does.
            tracing::error!(target: "tower_step_up::context", %error, kind = ?error.kind(), "a session could not be looked up");
            Found::Unavailable
        }
    }
}
