//! [`StepUp`]: the application's handle, and its calls.

#[cfg(feature = "cors")]
mod cors;
mod credentials;
mod guard;
mod manage;
mod operations;
mod sign_in;

use std::{fmt, sync::Arc};

pub use self::{credentials::Importing, guard::StepUpGuard, operations::CredentialDetails, sign_in::SignedIn};
use crate::{
    audit::{Actor, AuditRequest, Origin},
    client::Client,
    context::{Edge, SessionContext},
    engine::Engine,
    guard::{RequireAal, RequireAal2},
    layer::StepUpLayer,
    requirement::RequiredAal,
    session::Subject,
};

/// How often a change is tried again if the credentials change at the same moment.
const ROUNDS: u32 = 3;

/// A configured step-up. Build it once, and take the [layer](Self::layer), the router and sessions from it.
///
/// Clones are cheap and share everything.
#[derive(Clone)]
pub struct StepUp {
    engine: Arc<Engine>,
    edge: Arc<Edge>,
    /// Who asks for what the application does with this handle, if it says so.
    actor: Option<Actor>,
    request: Option<AuditRequest>,
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUp").field("public_url", &self.edge.urls.public.as_str()).finish_non_exhaustive()
    }
}

impl StepUp {
    pub(crate) const fn new(engine: Arc<Engine>, edge: Arc<Edge>) -> Self {
        Self { engine, edge, actor: None, request: None }
    }

    pub(crate) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) const fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// The same step-up, for what the application does because of this request. Its audit events name the request, and a session that it
    /// begins names the [client](SessionContext::client).
    ///
    /// Under axum, take the context from the handler's arguments; elsewhere it needs its [head](SessionContext::with_head).
    ///
    /// ```
    /// use tower_step_up::{Method, SessionContext, SignedIn, StepUp, Subject};
    ///
    /// async fn sign_in(step_up: StepUp, context: SessionContext, user: Subject) -> Result<SignedIn, tower_step_up::Error> {
    ///     step_up.for_request(&context).sign_in(user, Method::Password).await
    /// }
    /// # drop(sign_in);
    /// ```
    #[must_use]
    pub fn for_request(&self, context: &SessionContext) -> Self {
        Self { request: context.origin().request, ..self.clone() }
    }

    /// The same step-up, for what this actor asks the application to do. Its audit events say so.
    ///
    /// Without it, [`sign_in`](Self::sign_in), [`reauthenticate`](Self::reauthenticate) and [`sign_out`](Self::sign_out) are the user's
    /// doing; `import_..` and [`reseal`](Self::reseal) the system's; everything else an administrator's.
    ///
    /// ```
    /// use tower_step_up::{Error, StepUp, Subject, audit::Actor};
    ///
    /// async fn sign_out_everywhere(step_up: StepUp, user: &Subject) -> Result<u64, Error> {
    ///     step_up.acting_as(Actor::User).revoke_all(user).await
    /// }
    /// # drop(sign_out_everywhere);
    /// ```
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor: Some(actor), ..self.clone() }
    }

    /// Who causes what a call does, if the application does not say otherwise.
    pub(crate) fn origin(&self, usual: Actor) -> Origin {
        Origin { actor: self.actor.unwrap_or(usual), request: self.request.clone() }
    }

    /// Who sent the request that the application names, if it names one.
    pub(crate) fn client(&self) -> Client {
        self.request.as_ref().map(|request| request.client.clone()).unwrap_or_default()
    }

    /// The layer: guards find each request's session through it, and it renders every refusal.
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// use tower_layer::Layer;
    ///
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// # let my_service = ();
    /// let service = step_up.layer().layer(my_service);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn layer(&self) -> StepUpLayer {
        StepUpLayer::new(Arc::clone(&self.edge))
    }

    /// The companion router: `/self-service/...`, `/sessions/whoami` and the built-in pages.
    ///
    /// Put [`layer`](Self::layer) around it. Without it, or under the layer of another `StepUp`, every route answers 500. If you nest the
    /// router under a path, the public URL must include that path.
    ///
    /// ```
    /// use axum::Router;
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    ///
    /// let app: Router = Router::new().merge(step_up.router()).layer(step_up.layer());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "axum")]
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        crate::routes::router(crate::routes::Site::new(Arc::clone(&self.engine), Arc::clone(&self.edge)))
    }

    /// Sets what whoami requires of a session, from the next request on: Ory's `session.whoami.required_aal`.
    pub fn set_whoami_required_aal(&self, required: RequiredAal) {
        self.engine.whoami.set(required);
    }

    /// Sets what the settings require of a session, from the next request on: Ory's `selfservice.flows.settings.required_aal`.
    pub fn set_settings_required_aal(&self, required: RequiredAal) {
        self.engine.settings.set(required);
    }

    /// Clears this process's cache for the subject, so the next request reads the store and the directory. Call it after disabling a
    /// user.
    pub fn forget(&self, subject: &Subject) {
        self.engine.sessions.cache.forget(subject);
    }
}

impl RequireAal {
    /// The same guard, bound to one [`StepUp`]. Under the layer of another, it answers 500.
    ///
    /// For applications with several `StepUp`s: a route under the wrong layer would otherwise be open to the wrong users. With only one,
    /// it adds nothing.
    pub fn within(self, step_up: &StepUp) -> Self {
        self.within_edge(step_up.edge())
    }
}

impl RequireAal2 {
    /// The same guard, bound to one [`StepUp`]: see [`RequireAal::within`].
    pub fn within(self, step_up: &StepUp) -> RequireAal {
        RequireAal::from(self).within(step_up)
    }
}
