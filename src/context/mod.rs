//! What is known of a request's session, and the only way to a verdict about it.
//!
//! The outer [layer](crate::layer) puts a [`SessionContext`] into the extensions of every request. It replaces any context that is
//! already there, so no forged one is believed. Guards, extractors, the companion router and your own code all ask it. The session is
//! looked up only when somebody asks, and once per request.

mod acr;
mod address;
mod door;
mod edge;
mod head;
mod refusal;
mod refusals;

use std::sync::{Arc, OnceLock, atomic::AtomicBool};

use http::{Extensions, uri::PathAndQuery};
use tokio::sync::OnceCell;
use tracing::Span;
use url::Url;

pub(crate) use self::{
    acr::AcrValues,
    address::Address,
    edge::{ClientAddress, Edge, KeepAddress, ShortAddress},
    head::RequestHead,
    refusal::RefusalHook,
};
pub use self::{refusal::Refusal, refusals::Refusals};
use crate::{
    aal::Aal,
    audit::{Actor, AuditEventKind, Origin},
    client::Client,
    clock::Timestamp,
    requirement::{Requirement, Shortfall},
    session::Session,
    source::{Clue, Evidence, Head, Look, Recalled, Remedy, Transport, Unmet},
    standing::Standing,
};

/// What is known of a request's session. The outer layer puts it into the request's extensions.
///
/// Guards and extractors read it. Any other code under the layer can read it too, also without axum:
///
/// ```
/// use tower_step_up::{Requirement, SessionContext};
///
/// async fn may_see_drafts<B>(request: &http::Request<B>) -> bool {
///     let Some(context) = SessionContext::of(request.extensions()) else { return false };
///     context.decide(&Requirement::aal2()).await.is_ok()
/// }
/// ```
///
/// Under axum it is an extractor. A handler can refuse in the middle with [`challenge`](Self::challenge). The client gets the same answer
/// as from a guard:
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::Json;
/// use tower_step_up::{AccessDenied, CurrentSession, Requirement, SessionContext};
///
/// async fn pay(user: CurrentSession, context: SessionContext, Json(amount): Json<u64>) -> Result<String, AccessDenied> {
///     if amount > 1000 && context.decide(&Requirement::aal2()).await.is_err() {
///         return Err(context.challenge(Requirement::aal2()));
///     }
///     Ok(format!("{} pays {amount}", user.subject()))
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::post(pay));
/// ```
#[derive(Clone)]
pub struct SessionContext {
    shared: Arc<Shared>,
    /// The head of the request, if known: a refusal in the middle is rendered for this client.
    head: Option<Arc<RequestHead>>,
    /// How refusals of this part of the application are answered.
    refusals: Refusals,
}

struct Shared {
    edge: Arc<Edge>,
    look: Look,
    now: Timestamp,
    address: Address,
    recalled: OnceLock<Recalled>,
    /// The source's answer for this request. Few requests ask, so only those allocate room for it.
    read: OnceLock<Box<OnceCell<Answer>>>,
    /// Whether anything looked at the session. Then the answer depends on it.
    consulted: AtomicBool,
}

/// The answer of a source.
type Answer = Result<Option<Arc<Evidence>>, Unshown>;

/// Why a source shows no session, though there may be one.
#[derive(Clone, Copy)]
enum Unshown {
    /// It did not answer.
    Unavailable,
    /// It wants a second factor first.
    SecondFactorRequired,
}

/// The source of sessions did not answer, so the request's session is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unavailable;

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the session could not be looked up")
    }
}

impl std::error::Error for Unavailable {}

impl SessionContext {
    pub(crate) fn new(edge: Arc<Edge>, look: Look, now: Timestamp, address: Address) -> Self {
        let (recalled, read, consulted) = (OnceLock::new(), OnceLock::new(), AtomicBool::new(false));
        Self {
            shared: Arc::new(Shared { edge, look, now, address, recalled, read, consulted }),
            head: None,
            refusals: Refusals::default(),
        }
    }

    /// The same context under these [`Refusals`].
    pub(crate) fn answering(self, refusals: Refusals) -> Self {
        Self { refusals, ..self }
    }

    pub(crate) const fn refusals(&self) -> Refusals {
        self.refusals
    }

    /// The context of the innermost layer around this request; `None` if there is no layer.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The same context with the head of its request. [`challenge`](Self::challenge) needs it to answer in this client's format, and
    /// [`client`](Self::client) to say who it is. Under axum, a context in the handler's arguments has it already.
    #[must_use]
    pub fn with_head(&self, head: Head<'_>) -> Self {
        self.with_known_head(RequestHead::of(head, &self.shared.edge))
    }

    pub(crate) fn with_known_head(&self, head: RequestHead) -> Self {
        Self { head: Some(Arc::new(head)), ..self.clone() }
    }

    /// The same request at this instant: the session is looked up again, and everything is judged by what holds now.
    ///
    /// A context is about the instant at which the head of its request arrived. Use this after your code has waited for something that the
    /// client delays as it likes, such as a body or the next message of a stream. [`Fresh`](crate::extract::Fresh) does it for a body.
    ///
    #[cfg_attr(feature = "axum", doc = "```")]
    #[cfg_attr(not(feature = "axum"), doc = "```ignore")]
    /// use axum::body::{Body, to_bytes};
    /// use tower_step_up::{AccessDenied, Requirement, SessionContext};
    ///
    /// const AAL2: Requirement = Requirement::aal2();
    ///
    /// async fn upload(context: SessionContext, body: Body) -> Result<String, AccessDenied> {
    ///     context.decide(&AAL2).await.map_err(|_| context.challenge(AAL2))?;
    ///     let bytes = to_bytes(body, 1_000_000).await.unwrap_or_default();
    ///     // It may have taken an hour.
    ///     let context = context.anew();
    ///     let found = context.decide(&AAL2).await.map_err(|_| context.challenge(AAL2))?;
    ///     Ok(format!("{} bytes from {}", bytes.len(), found.session.subject()))
    /// }
    /// # let _: axum::Router = axum::Router::new().route("/", axum::routing::post(upload));
    /// ```
    #[must_use]
    pub fn anew(&self) -> Self {
        // What follows depends on the session, and the layer sees only this context.
        self.consult();
        let Shared { edge, look, address, .. } = &*self.shared;
        let anew = Self::new(Arc::clone(edge), look.clone(), edge.clock.now(), address.clone());
        Self { head: self.head.clone(), refusals: self.refusals, ..anew }
    }

    /// Decides whether the request's session meets the requirement. Waits only if the session must be looked up.
    ///
    /// # Errors
    ///
    /// The shortfall, if the session does not meet it.
    pub async fn decide(&self, requirement: &Requirement) -> Result<&Evidence, Shortfall> {
        self.verdict(requirement, None).await.map(AsRef::as_ref)
    }

    /// The same without waiting; `None` if the source of sessions must be asked first.
    ///
    /// # Errors
    ///
    /// As [`decide`](Self::decide).
    pub fn decided(&self, requirement: &Requirement) -> Option<Result<&Evidence, Shortfall>> {
        self.verdict_without_waiting(requirement, None).map(|verdict| verdict.map(AsRef::as_ref))
    }

    /// The session, if there is a valid one that its source shows (see
    /// [`SecondFactorRequired`](crate::source::SecondFactorRequired)). Waits only if it must be looked up.
    ///
    /// # Errors
    ///
    /// The source of sessions did not answer.
    pub async fn session(&self) -> Result<Option<&Session>, Unavailable> {
        Ok(self.evidence().await?.map(|evidence| &evidence.session))
    }

    /// The [`Standing`] of the session now, if there is a valid session. Waits only if it must be looked up.
    ///
    /// To decide whether a request may pass, use [`decide`](Self::decide): the standing may be remembered, and then lack a second factor
    /// that was enrolled a moment ago on another process.
    ///
    /// # Errors
    ///
    /// As [`session`](Self::session).
    pub async fn standing(&self) -> Result<Option<&Standing>, Unavailable> {
        Ok(self.evidence().await?.map(|evidence| &evidence.standing))
    }

    /// The instant that the request is judged by: when its head arrived, or when this context was made [anew](Self::anew).
    pub fn now(&self) -> Timestamp {
        self.shared.now
    }

    pub(crate) fn edge(&self) -> &Arc<Edge> {
        &self.shared.edge
    }

    /// Whether the layer that made this context belongs to this edge.
    pub(crate) fn belongs_to(&self, edge: &Arc<Edge>) -> bool {
        Arc::ptr_eq(&self.shared.edge, edge)
    }

    /// Path and query as the application got them, before any router stripped a prefix.
    pub(crate) fn path_and_query(&self) -> Option<&PathAndQuery> {
        self.shared.address.path_and_query.as_ref()
    }

    /// Whether a router around the outer layer stripped a prefix, which [`path_and_query`](Self::path_and_query) has.
    pub(crate) fn is_nested(&self) -> bool {
        self.shared.address.nested
    }

    pub(crate) fn clue(&self) -> Option<&Clue> {
        match &self.shared.look {
            Look::Clue(clue) => Some(clue),
            _ => None,
        }
    }

    pub(crate) fn transport(&self) -> Option<Transport> {
        match &self.shared.look {
            Look::Clue(clue) => Some(clue.transport()),
            Look::Ambiguous(transport) => Some(*transport),
            Look::Nothing | Look::Miswired(_) => None,
        }
    }

    /// How to fix the application, if its source of sessions cannot work.
    pub(crate) fn miswired(&self) -> Option<&'static str> {
        match self.shared.look {
            Look::Miswired(help) => Some(help),
            _ => None,
        }
    }

    pub(crate) fn head(&self) -> Option<&RequestHead> {
        self.head.as_deref()
    }

    /// Who sent the request: for a list of sessions or a log, never for a decision.
    ///
    /// It is known only to a context that has its [head](Self::with_head). Under axum, take the context from the handler's arguments.
    ///
    #[cfg_attr(feature = "axum", doc = "```")]
    #[cfg_attr(not(feature = "axum"), doc = "```ignore")]
    /// use tower_step_up::SessionContext;
    ///
    /// async fn hello(context: SessionContext) -> String {
    ///     format!("You use {}", context.client())
    /// }
    /// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(hello));
    /// ```
    pub fn client(&self) -> Client {
        self.head().map(RequestHead::client).unwrap_or_default()
    }

    /// What the client can do about a shortfall.
    pub(crate) fn remedy(&self, shortfall: Shortfall, requirement: Requirement, return_to: Option<&Url>) -> Remedy {
        // Nothing is known, or nothing helps.
        if matches!(shortfall, Shortfall::Unavailable | Shortfall::NoMethodPossible) {
            return Remedy::default();
        }
        let evidence = self.known().map(AsRef::as_ref);
        let mut remedy = self.shared.edge.source.remedy(&Unmet {
            shortfall,
            requirement,
            evidence,
            clue: self.clue(),
            now: self.now(),
            return_to,
        });
        let (level, max_age) = match shortfall {
            // A client without a session learns nothing about what the route requires.
            Shortfall::NoSession | Shortfall::Unavailable | Shortfall::NoMethodPossible => return remedy,
            Shortfall::TooOld { max_age, second_factor: true } => (Aal::Aal2, Some(max_age)),
            Shortfall::TooOld { max_age, second_factor: false } => (Aal::Aal1, Some(max_age)),
            Shortfall::MethodMissing { second_factor: false } => (Aal::Aal1, requirement.longest_age()),
            Shortfall::LevelTooLow
            | Shortfall::NothingEnrolled
            | Shortfall::CannotTell
            | Shortfall::MethodMissing { second_factor: true }
            | Shortfall::MethodNotEnrolled => (Aal::Aal2, requirement.longest_age()),
        };
        remedy.acr_values = remedy.acr_values.or_else(|| self.shared.edge.acr_values.of(level, &requirement));
        if let (true, Some(methods)) = (remedy.methods.is_empty(), requirement.methods()) {
            remedy = remedy.with_methods(methods.iter().map(|method| method.to_string()));
        }
        remedy.max_age = remedy.max_age.or(max_age);
        remedy
    }

    pub(crate) fn known_session(&self) -> Option<&Session> {
        self.known().map(|evidence| &evidence.session)
    }

    /// Who causes what this request does.
    pub(crate) fn origin(&self) -> Origin {
        Origin { actor: Actor::User, request: self.head().and_then(RequestHead::audited) }
    }

    /// Begins a span for the form that this request submits. The context tells it what comes of it.
    pub(crate) fn submits(&self, form: fn(Option<&str>) -> Span) -> (Self, Span) {
        let Some(head) = self.head() else { return (self.clone(), Span::none()) };
        let span = form(head.route());
        (self.with_known_head(head.within(span.clone())), span)
    }

    /// Tells the span of the form, if this request submits one.
    pub(crate) fn tell(&self, field: &str, text: &str) {
        if let Some(head) = self.head() {
            head.form().record(field, text);
        }
    }

    /// Records what happened in a session because of this request.
    pub(crate) fn record(&self, session: impl AsRef<Session>, kind: AuditEventKind) {
        // A rotation only follows from what was told before.
        if !matches!(kind, AuditEventKind::Rotated { .. }) {
            self.tell("outcome", kind.outcome());
        }
        let Edge { audit, clock, .. } = &*self.shared.edge;
        audit.record_in_session(clock.now(), &self.origin(), session, kind);
    }

    /// Reports to the audit why this request is refused.
    pub(crate) fn report_refusal(&self, why: impl Into<AuditEventKind>) {
        let kind = why.into();
        let tells_of_the_request = matches!(kind, AuditEventKind::Challenged { .. } | AuditEventKind::Refused { .. });
        // The layer reported the ambiguous credentials already: one event per refusal.
        if matches!(self.shared.look, Look::Ambiguous(_)) && tells_of_the_request {
            return;
        }
        if let Some(session) = self.known_session() {
            self.record(session, kind);
            return;
        }
        self.tell("outcome", kind.outcome());
        let Edge { audit, clock, .. } = &*self.shared.edge;
        audit.record_anonymous(clock.now(), &self.origin(), kind);
    }
}

impl std::fmt::Debug for SessionContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionContext").field("now", &self.shared.now).finish_non_exhaustive()
    }
}
