//! What was read a moment ago for sessions of the application that have no step-up.

use std::sync::Arc;

use crate::{
    aal::Proof,
    clock::Timestamp,
    session::{BindingKey, Subject},
    source::{
        Evidence,
        own::{OwnSessions, Read},
    },
};

/// By their handle. Each counts for as long as what is read for a token does.
pub(crate) struct Remembered(quick_cache::sync::Cache<BindingKey, Read>);

impl Remembered {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(quick_cache::sync::Cache::new(capacity))
    }

    /// For this user with this first factor, if it still counts.
    pub(super) fn find(
        &self,
        handle: BindingKey,
        (subject, first_factor): (&Subject, &Proof),
        own: &OwnSessions,
        now: Timestamp,
    ) -> Option<Arc<Evidence>> {
        let read = self.0.get(&handle)?;
        let session = &read.evidence.session;
        let same = session.subject() == subject && session.proofs().first() == Some(first_factor);
        (same && own.cache.is_believed(&read, now)).then_some(read.evidence)
    }

    pub(super) fn keep(&self, handle: BindingKey, read: Read, own: &OwnSessions) {
        if own.cache.keeps() {
            own.cache.use_log();
            self.0.insert(handle, read);
            own.log_reader.go_on();
        }
    }
}
