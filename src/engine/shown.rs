//! Under which names methods and factors are known on Ory's endpoints, and of what level a method is at the application's own login.

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
    /// The factor that forms name so. A name of the application's own is no name on Ory's endpoints.
    pub(crate) fn factor_shown_as(&self, method: Method) -> Option<&dyn Factor> {
        self.factors.iter().find(|factor| factor.shown_as() == method).map(AsRef::as_ref)
    }

    /// The built-in method that stands for this one. What is left of a factor that is configured no more goes by the name that factors
    /// of the application's own have by default.
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
        let lapse = self.limits.second_factor_lifespan;
        wire::session::session(session, standing, identity, now, lapse, |method| self.shown(method))
    }

    /// The level of a proof of this method that the application itself has seen at its login. `None` if it only ever is a second factor:
    /// a method of the application's own must not count as both.
    pub(crate) fn first_factor_level(&self, method: Method) -> Option<Aal> {
        let own_second =
            method.custom_name().is_some() && self.factor(method).is_some_and(|own| own.aal() == Aal::Aal2);
        method.first_factor_level().filter(|_| !own_second)
    }
}
