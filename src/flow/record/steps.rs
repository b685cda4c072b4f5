//! What factors keep in a flow between their steps.

use super::Flow;
use crate::{aal::Method, engine::Engine, factor::FactorError, flow::states::FactorStates, store::Credential};

impl Flow {
    /// Keeps a factor's state for its next step. `own`: the credentials of the method that the factor saw.
    pub(crate) fn keep_state(
        &mut self,
        engine: &Engine,
        method: Method,
        state: &[u8],
        own: &[Credential],
    ) -> Result<(), FactorError> {
        self.states.keep(&engine.sealer, self.id, method, state, own)
    }

    /// A factor's state.
    pub(crate) fn state(&self, engine: &Engine, method: Method) -> Result<Option<Vec<u8>>, FactorError> {
        self.states.open(&engine.sealer, self.id, method)
    }

    /// A factor's state in a login; `None` if a credential is gone that it was kept for.
    pub(crate) fn state_of(
        &self,
        engine: &Engine,
        method: Method,
        own: &[Credential],
    ) -> Result<Option<Vec<u8>>, FactorError> {
        if self.states.fit(method, own) { self.state(engine, method) } else { Ok(None) }
    }

    /// What factors keep here between their steps.
    pub(crate) const fn states(&self) -> &FactorStates {
        &self.states
    }

    /// The same, to change it.
    pub(crate) const fn states_mut(&mut self) -> &mut FactorStates {
        &mut self.states
    }
}
