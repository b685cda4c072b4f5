//! What factors keep in a flow between their steps, sealed.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    aal::{CredentialId, Method},
    factor::FactorError,
    seal::Sealer,
    session::SessionId,
    store::{Credential, FlowId},
};

/// The states of a flow's factors, in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FactorStates {
    #[allow(clippy::struct_field_names, reason = "flows that are stored have this name")]
    factor_states: BTreeMap<Method, String>,
    /// Those that a credential was made of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    taken_states: BTreeMap<Method, Taken>,
    /// The credentials that the subject had when a state was kept. A version before did not keep them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    kept_for: BTreeMap<Method, Vec<CredentialId>>,
}

/// A state that a credential was made of. Nothing shows it any more, and it makes a credential once.
///
/// The credential is stored in the transaction that ends this session. So whoever has it still may try again, after a double click or a
/// crash, and the store lets one of them through. Without a session that ends, nobody may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    state: String,
    ends: Option<SessionId>,
}

impl FactorStates {
    pub(super) fn keep(
        &mut self,
        sealer: &Sealer,
        flow: FlowId,
        method: Method,
        state: &[u8],
        own: &[Credential],
    ) -> Result<(), FactorError> {
        let bytes = sealer.seal(&context(flow, method), state)?;
        self.taken_states.remove(&method);
        self.kept_for.insert(method, own.iter().map(|credential| credential.summary.id).collect());
        self.factor_states.insert(method, STANDARD.encode(bytes));
        Ok(())
    }

    pub(super) fn open(&self, sealer: &Sealer, flow: FlowId, method: Method) -> Result<Option<Vec<u8>>, FactorError> {
        opened(self.factor_states.get(&method), sealer, flow, method)
    }

    /// Whether all credentials are still there that a factor's state was kept for. Otherwise it proves nothing: a code that was sent to an
    /// address is no proof of the address that has replaced it.
    pub(super) fn fit(&self, method: Method, own: &[Credential]) -> bool {
        let has = |id: &CredentialId| own.iter().any(|credential| credential.summary.id == *id);
        self.kept_for.get(&method).is_none_or(|known| known.iter().all(has))
    }

    /// Whether a factor has a state.
    pub(crate) fn has(&self, method: Method) -> bool {
        self.factor_states.contains_key(&method)
    }

    pub(crate) fn drop(&mut self, method: Method) {
        self.factor_states.remove(&method);
        self.taken_states.remove(&method);
        self.kept_for.remove(&method);
    }

    /// Whether both are the same for this factor.
    pub(crate) fn agree(&self, other: &Self, method: Method) -> bool {
        self.factor_states.get(&method) == other.factor_states.get(&method)
            && self.taken_states.get(&method) == other.taken_states.get(&method)
    }

    /// Takes a factor's state, or its absence, from another copy of the flow.
    pub(crate) fn copy(&mut self, from: &Self, method: Method) {
        self.drop(method);
        if let Some(state) = from.factor_states.get(&method) {
            self.factor_states.insert(method, state.clone());
        }
        if let Some(taken) = from.taken_states.get(&method) {
            self.taken_states.insert(method, taken.clone());
        }
        if let Some(own) = from.kept_for.get(&method) {
            self.kept_for.insert(method, own.clone());
        }
    }

    /// Takes the factor's state for a credential. The one who stores it ends this session.
    pub(crate) fn take(&mut self, method: Method, ends: Option<SessionId>) {
        if let Some(state) = self.factor_states.remove(&method) {
            self.taken_states.insert(method, Taken { state, ends });
        }
    }

    /// Whether the state of `before` was taken by a request that ends this session.
    pub(crate) fn took(&self, before: &Self, method: Method, ends: Option<SessionId>) -> bool {
        let taken = self.taken_by(method, ends);
        taken.is_some() && (taken == before.factor_states.get(&method) || taken == before.taken_by(method, ends))
    }

    /// The state that was taken by a request that ends this session.
    pub(crate) fn open_taken(
        &self,
        sealer: &Sealer,
        flow: FlowId,
        method: Method,
        ends: Option<SessionId>,
    ) -> Result<Option<Vec<u8>>, FactorError> {
        opened(self.taken_by(method, ends), sealer, flow, method)
    }

    fn taken_by(&self, method: Method, ends: Option<SessionId>) -> Option<&String> {
        let taken = self.taken_states.get(&method)?;
        (taken.ends.is_some() && taken.ends == ends).then_some(&taken.state)
    }
}

fn opened(
    state: Option<&String>,
    sealer: &Sealer,
    flow: FlowId,
    method: Method,
) -> Result<Option<Vec<u8>>, FactorError> {
    let Some(bytes) = state.and_then(|text| STANDARD.decode(text).ok()) else { return Ok(None) };
    Ok(Some(sealer.open(&context(flow, method), &bytes)?.to_vec()))
}

fn context(flow: FlowId, method: Method) -> Vec<u8> {
    format!("flow\0{method}\0{flow}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{aal::Aal, clock::Timestamp, seal::EncryptionKey, standing::CredentialSummary};

    fn kept(sealer: &Sealer, flow: FlowId) -> FactorStates {
        let mut states = FactorStates::default();
        states.keep(sealer, flow, Method::Totp, b"kept", &[]).unwrap();
        states
    }

    fn sealer() -> Sealer {
        Sealer::new(vec![EncryptionKey::generate("2026-11").unwrap()])
    }

    /// A state does not open when it is copied into another flow or under another method.
    #[test]
    fn what_a_factor_keeps_belongs_to_its_flow_and_method() {
        let (sealer, one, other) = (sealer(), FlowId::random(), FlowId::random());
        let mut states = kept(&sealer, one);
        assert_eq!(states.open(&sealer, one, Method::Totp).unwrap().as_deref(), Some(&b"kept"[..]));
        let state = states.factor_states[&Method::Totp].clone();
        states.factor_states.insert(Method::Code, state);
        assert!(states.open(&sealer, one, Method::Code).is_err());
        assert!(states.open(&sealer, other, Method::Totp).is_err());
    }

    /// A state fits while all credentials exist that it was kept for, whatever else there is; one of a version before fits.
    #[test]
    fn a_state_ends_with_its_credential() {
        let (sealer, flow, method) = (sealer(), FlowId::random(), Method::Code);
        let bound = || {
            let summary = CredentialSummary { id: CredentialId::random(), method, aal: Aal::Aal2 };
            Credential::new(summary, Timestamp::from_unix_seconds(0))
        };
        let (old, new) = (bound(), bound());
        let mut states = FactorStates::default();
        states.keep(&sealer, flow, method, b"sent", std::slice::from_ref(&old)).unwrap();
        let written = serde_json::to_value(&states).unwrap();
        let read: FactorStates = serde_json::from_value(written.clone()).unwrap();
        let mut copied = FactorStates::default();
        copied.copy(&read, method);
        for states in [&states, &read, &copied] {
            for (own, fits) in [(vec![&old], true), (vec![&new, &old], true), (vec![&new], false), (vec![], false)] {
                let own: Vec<_> = own.into_iter().cloned().collect();
                assert_eq!(states.fit(method, &own), fits, "{own:?}");
            }
        }
        let mut before = written;
        before.as_object_mut().unwrap().remove("kept_for").unwrap();
        let before: FactorStates = serde_json::from_value(before).unwrap();
        assert!(before.fit(method, &[]));
    }

    /// Once a credential was made of it, a state is there for the session that ends with it, and for nobody else.
    #[test]
    fn a_state_is_taken_once() {
        let (sealer, flow, method) = (sealer(), FlowId::random(), Method::Totp);
        let (by, other) = (Some(SessionId::random()), Some(SessionId::random()));
        let before = kept(&sealer, flow);
        for ends in [by, None] {
            let mut states = before.clone();
            states.take(method, ends);
            assert!(!states.has(method) && states.open(&sealer, flow, method).unwrap().is_none());
            // As another process reads it.
            let mut states: FactorStates = serde_json::from_str(&serde_json::to_string(&states).unwrap()).unwrap();
            for who in [by, other, None] {
                let may = who.is_some() && who == ends;
                assert_eq!(states.open_taken(&sealer, flow, method, who).unwrap().is_some(), may, "{ends:?} {who:?}");
                assert_eq!(states.took(&before, method, who), may);
                assert_eq!(states.took(&states, method, who), may);
                assert!(!states.took(&kept(&sealer, flow), method, who), "of another state");
            }
            // Taking it again takes nothing.
            states.take(method, other);
            assert!(states.open_taken(&sealer, flow, method, other).unwrap().is_none());
            // A new one is in its place.
            states.keep(&sealer, flow, method, b"new", &[]).unwrap();
            assert!(states.has(method) && states.open_taken(&sealer, flow, method, ends).unwrap().is_none());
        }
    }
}
