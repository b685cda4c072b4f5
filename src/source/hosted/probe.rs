//! For tests of applications: what the layer has found of a request. No request from outside can bring it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::source::Clue;

/// Put it into the extensions of a request, and take the clue afterwards.
#[derive(Clone, Default)]
pub(crate) struct Probe(Arc<Mutex<Option<Clue>>>);

impl Probe {
    pub(super) fn keep(&self, clue: &Clue) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(clue.clone());
    }

    pub(crate) fn take(&self) -> Option<Clue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
