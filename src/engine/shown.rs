//! The names of methods and factors on Ory's endpoints, and the level of a method at the application's own login.

use serde_json::Value;

use super::Engine;
use crate::{
    aal::{Aal, Method},
    clock::Timestamp,
    factor::Factor,
    session::Session,
    standing::Standing,
    wire,
};

impl Engine {
    /// The factor that forms call by this name. Custom names are not used on Ory's endpoints.
    pub(crate) fn factor_shown_as(&self, method: Method) -> Option<&dyn Factor> {
        self.factors.iter().find(|factor| factor.shown_as() == method).map(AsRef::as_ref)
    }

    /// The built-in method that stands for this one. A custom method whose factor is no longer configured uses the default name.
    pub(crate) fn shown(&self, method: Method) -> Method {
        match (method, self.factor(method)) {
            (Method::Custom(_), Some(factor)) => factor.shown_as(),
            (Method::Custom(_), None) => Method::Code,
            (built_in, _) => built_in,
        }
    }

    /// The session object of the wire contract, with the names that Ory knows.
    pub(crate) fn session_view(
        &self,
        session: impl AsRef<Session>,
        standing: &Standing,
        identity: &Value,
        now: Timestamp,
    ) -> Value {
        let lapse = self.limits.second_factor_lifespan.lifespan();
        wire::session::session(session, standing, identity, now, lapse, |method| self.shown(method))
    }

    /// The level of a proof of this method at the application's own login. `None` if it is only a second factor: a custom method
    /// must not count as both.
    pub(crate) fn first_factor_level(&self, method: Method) -> Option<Aal> {
        let own_second =
            method.custom_name().is_some() && self.factor(method).is_some_and(|own| own.aal() == Aal::Aal2);
        method.first_factor_level().filter(|_| !own_second)
    }
}
