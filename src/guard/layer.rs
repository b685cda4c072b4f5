use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::RequireAalService;
use crate::{aal::Method, context::Edge, requirement::Requirement};

/// Lets a request through only if its session has two factors.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use tower_layer::Layer;
/// use tower_step_up::RequireAal2;
///
/// # let (payments, transfer) = ((), ());
/// let payments = RequireAal2.layer(payments);
/// let transfer = RequireAal2.max_age(Duration::from_secs(300)).layer(transfer);
/// ```
///
/// See the [module](super) for what it does not cover, and [`Requirement::aal2`] for what it requires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct RequireAal2;

impl RequireAal2 {
    /// Two factors, the second proven at most this long ago.
    pub const fn max_age(self, max_age: Duration) -> RequireAal {
        RequireAal::new(Requirement::aal2().max_age(max_age))
    }

    /// Two factors, the second proven by one of these methods: see [`Requirement::any_of`].
    ///
    /// ```
    /// use tower_layer::Layer;
    /// use tower_step_up::{Method, RequireAal2};
    ///
    /// # let keys = ();
    /// let keys = RequireAal2.any_of([Method::WebAuthn, Method::Totp]).layer(keys);
    /// ```
    pub const fn any_of<const N: usize>(self, methods: [Method; N]) -> RequireAal {
        RequireAal::new(Requirement::aal2().any_of(methods))
    }

    /// Two factors, the second proven by a method that resists phishing: see [`Requirement::phishing_resistant`].
    ///
    /// ```
    /// use tower_layer::Layer;
    /// use tower_step_up::RequireAal2;
    ///
    /// # let administration = ();
    /// let administration = RequireAal2.phishing_resistant().layer(administration);
    /// ```
    pub const fn phishing_resistant(self) -> RequireAal {
        RequireAal::new(Requirement::aal2().phishing_resistant())
    }
}

/// Lets a request through only if its session meets a [`Requirement`].
///
/// ```
/// use tower_layer::Layer;
/// use tower_step_up::{RequireAal, Requirement};
///
/// # let accounts = ();
/// let accounts = RequireAal::new(Requirement::highest_available()).layer(accounts);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct RequireAal {
    requirement: Requirement,
    within: Option<Arc<Edge>>,
}

impl RequireAal {
    /// A guard with this requirement.
    pub const fn new(requirement: Requirement) -> Self {
        Self { requirement, within: None }
    }

    pub(crate) fn within_edge(mut self, edge: &Arc<Edge>) -> Self {
        self.within = Some(Arc::clone(edge));
        self
    }
}

impl From<RequireAal2> for RequireAal {
    fn from(_: RequireAal2) -> Self {
        Self::new(Requirement::aal2())
    }
}

impl From<Requirement> for RequireAal {
    fn from(requirement: Requirement) -> Self {
        Self::new(requirement)
    }
}

impl<S> Layer<S> for RequireAal {
    type Service = RequireAalService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireAalService::new(inner, self.requirement, self.within.clone())
    }
}

impl<S> Layer<S> for RequireAal2 {
    type Service = RequireAalService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireAalService::new(inner, Requirement::aal2(), None)
    }
}
