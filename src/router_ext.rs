//! Routes with a requirement, and the whole step-up in one call, for axum.

use axum::{Router, routing::MethodRouter};

use crate::{guard::RequireAal, requirement::Requirement, step_up::StepUp};

mod sealed {
    pub trait Sealed {}
    impl<S> Sealed for axum::Router<S> {}
}

/// What this crate adds to [`Router`].
pub trait RouterExt<S>: sealed::Sealed + Sized {
    /// Adds a route whose methods all have this requirement.
    ///
    /// ```
    /// use std::time::Duration;
    /// use axum::{Router, routing::get};
    /// use tower_step_up::{Requirement, RouterExt};
    ///
    /// # async fn form() {}
    /// # async fn send() {}
    /// # let step_up = tower_step_up::StepUp::builder("https://bank.example")
    /// #     .signing_key(tower_step_up::SigningKey::generate("2026-11")?)
    /// #     .store(tower_step_up::store::MemoryStore::default())
    /// #     .factor(tower_step_up::factor::Totp::new("Example Bank"))
    /// #     .build()?;
    /// let recent = Requirement::aal2().max_age(Duration::from_secs(300));
    /// let app: Router = Router::new()
    ///     .route_requiring("/transfer", recent, get(form).post(send))
    ///     .layer(step_up.layer());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// It takes the finished `MethodRouter`, so no method can be forgotten. It also guards `HEAD`, which axum answers from `GET`, and the
    /// answer to methods that the route does not have. `get(form).layer(RequireAal2).post(send)` would leave `POST` open.
    ///
    /// A later [`Router::method_not_allowed_fallback`] replaces the guarded answer to such methods by a handler without a guard. Methods
    /// that another `route` adds to the path have the requirement of that call, or none.
    ///
    /// # Panics
    ///
    /// As [`Router::route`]: the path is invalid, or already has the method. And if the requirement [is impossible](Requirement::is_impossible).
    #[must_use]
    fn route_requiring(self, path: &str, requirement: Requirement, method_router: MethodRouter<S>) -> Self;

    /// Adds the companion router, and puts the outer layer around it and around all routes that are there already. Call it last.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use tower_step_up::{RequireAal2, RouterExt};
    ///
    /// # let step_up = tower_step_up::StepUp::builder("https://bank.example")
    /// #     .signing_key(tower_step_up::SigningKey::generate("2026-11")?)
    /// #     .store(tower_step_up::store::MemoryStore::default())
    /// #     .factor(tower_step_up::factor::Totp::new("Example Bank"))
    /// #     .build()?;
    /// let app: Router = Router::new()
    ///     .route("/payments", get(|| async { "payments" }).layer(RequireAal2))
    ///     .with_step_up(&step_up);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// It is short for `.merge(step_up.router()).layer(step_up.layer())`. A route that is added afterwards is outside the layer: its guards
    /// answer 500, and the log names it.
    ///
    /// # Panics
    ///
    /// The companion router is there already, or a route of your own has one of its paths.
    #[must_use]
    fn with_step_up(self, step_up: &StepUp) -> Self;
}

impl<S> RouterExt<S> for Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    #[track_caller]
    fn route_requiring(self, path: &str, requirement: Requirement, method_router: MethodRouter<S>) -> Self {
        assert!(!requirement.is_impossible(), "no method can meet what {path:?} requires: {requirement}");
        self.route(path, method_router.layer(RequireAal::new(requirement)))
    }

    #[track_caller]
    fn with_step_up(self, step_up: &StepUp) -> Self {
        self.merge(step_up.router()).layer(step_up.layer())
    }
}
