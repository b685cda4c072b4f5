//! How a flow goes to its store and comes back, and how one of several requests claims it.

use super::Flow;
use crate::{
    clock::Timestamp,
    error::StoreError,
    store::{StoreErrorKind, StoredFlow},
};

impl Flow {
    pub(crate) fn from_stored(stored: StoredFlow) -> Result<Self, StoreError> {
        let flow: Self = serde_json::from_str(&stored.body)
            .map_err(|error| StoreError::with_source(StoreErrorKind::Corrupt, error))?;
        Ok(Self {
            id: stored.id,
            subject: stored.subject,
            binding: stored.binding.or(flow.binding_in_body),
            version: stored.version,
            completed: stored.completed,
            in_use: stored.in_use,
            stored: true,
            expires_at: stored.expires_at,
            ..flow
        })
    }

    pub(crate) fn to_stored(&self) -> Result<StoredFlow, StoreError> {
        let body =
            serde_json::to_string(self).map_err(|error| StoreError::with_source(StoreErrorKind::Corrupt, error))?;
        Ok(StoredFlow {
            subject: self.subject.clone(),
            binding: self.binding,
            version: self.version,
            completed: self.completed,
            in_use: self.in_use,
            ..StoredFlow::new(self.id, self.expires_at, body)
        })
    }

    /// Call this once the store has the flow.
    pub(crate) const fn was_written(&mut self) {
        self.version = self.version.saturating_add(1);
    }

    /// Takes over what others have stored. A claim of this request stays its own.
    pub(crate) fn replace_by(&mut self, stored: Self) {
        *self = Self { claim: self.claim, ..stored };
    }

    /// Claims the flow until then; takes effect when it is written. Fails while another request has a claim.
    #[must_use]
    pub(crate) fn claim(&mut self, now: Timestamp, until: Timestamp) -> bool {
        if self.sending_until.is_some_and(|other| now < other) {
            return false;
        }
        self.sending_until = Some(until);
        self.claim = Some(until);
        true
    }

    /// Whether this request has claimed the flow.
    pub(crate) const fn is_claimed(&self) -> bool {
        self.claim.is_some()
    }

    /// Ends the claim of this request, if it has one.
    pub(crate) fn release(&mut self) {
        if self.claim.is_some() && self.claim == self.sending_until {
            self.sending_until = None;
        }
    }

    pub(crate) fn not_stored(self) -> Self {
        Self { stored: false, ..self }
    }

    pub(crate) const fn is_stored(&self) -> bool {
        self.stored
    }

    /// Call this once the store has it for the first time.
    pub(crate) const fn was_created(&mut self) {
        self.stored = true;
    }
}
