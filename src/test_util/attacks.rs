use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{session::Subject, step_up::StepUp};

/// Attacks on your own router, for your own tests.
///
/// Each panics if its attack succeeds, and names the method, the path and who got through. Each also checks that an honest user gets in,
/// since an application that refuses everybody proves nothing.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, body::Body, routing::get};
/// use tower_step_up::{RequireAal2, Requirement, RouterExt, StepUp, Subject, test_util::Attacks};
/// # use tower_step_up::{SigningKey, factor::Totp, store::MemoryStore};
///
/// const RECENT: Requirement = Requirement::aal2().max_age(Duration::from_secs(300));
///
/// // The application's own router, as it is in production.
/// fn app(step_up: &StepUp) -> Router {
///     Router::new()
///         .route("/payments", get(async || "payments").layer(RequireAal2))
///         .route_requiring("/transfer", RECENT, get(async || "form").post(async || "sent"))
///         .merge(step_up.router())
///         .layer(step_up.layer())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let step_up = StepUp::builder("https://bank.example")
/// #     .signing_key(SigningKey::generate("2026-11")?)
/// #     .store(MemoryStore::default())
/// #     .factor(Totp::new("Example Bank"))
/// #     .build()?;
/// let app = app(&step_up).into_service::<Body>();
/// let attacks = Attacks::new(&step_up, app, Subject::new("alice")?);
///
/// // Below the level: no session, one factor, a second factor too long ago, a factor that was removed, ...
/// attacks.assert_denied_below(Requirement::aal2(), &[("GET", "/payments")]).await;
/// attacks.assert_denied_below(RECENT, &[("GET", "/transfer"), ("POST", "/transfer")]).await;
///
/// // Old cookies and tokens, after the session was renewed, signed out or revoked.
/// let routes = [("GET", "/payments"), ("POST", "/transfer")];
/// attacks.assert_replay_refused(&routes).await;
///
/// // Bodies that are held back, on routes that take `Fresh`: see `assert_judged_after_body`.
///
/// // The step-up: a code opens the routes, works once, and ends the old session.
/// attacks.assert_steps_up(&routes).await;
/// # Ok(())
/// # }
/// ```
///
/// Under axum, take [`Router::into_service`](https://docs.rs/axum/latest/axum/struct.Router.html#method.into_service); any other tower
/// service works as well. Give each test its own store: an attack replaces the subject's credentials while it runs, and restores them at
/// its end. Sessions that it began stay.
#[derive(Clone)]
pub struct Attacks<S> {
    pub(super) step_up: StepUp,
    pub(super) service: S,
    pub(super) subject: Subject,
    pub(super) signs_in: Option<SignsIn>,
}

/// Signs a subject in at the application's own login, and returns the `Cookie` header.
pub(super) type SignsIn = Arc<dyn Fn(Subject) -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

impl<S: fmt::Debug> fmt::Debug for Attacks<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attacks")
            .field("service", &self.service)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl<S> Attacks<S> {
    /// Attacks on a service, as this subject. The service must have [`StepUp::layer`] around it.
    pub fn new(step_up: &StepUp, service: S, subject: Subject) -> Self {
        Self { step_up: step_up.clone(), service, subject, signs_in: None }
    }

    /// The same attacks on an application that has sessions of its own ([`StepUpBuilder::sessions`](crate::StepUpBuilder::sessions)). The
    /// function signs the subject in by the application's own login, and returns the `Cookie` header that a browser sends then. It is called
    /// for each session that an attack begins.
    ///
    /// There, a session that has ended has one factor still: that of the application. So give routes that require two.
    #[must_use]
    pub fn signing_in<F, R>(mut self, sign_in: F) -> Self
    where
        F: Fn(Subject) -> R + Send + Sync + 'static,
        R: Future<Output = String> + Send + 'static,
    {
        self.signs_in = Some(Arc::new(move |subject| Box::pin(sign_in(subject))));
        self
    }
}

/// Panics with the findings, if there are any.
#[allow(clippy::panic, reason = "it is an assertion")]
pub(super) fn report(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}
