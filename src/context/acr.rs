//! The names that clients ask for levels by: `acr_values` of RFC 9470.

use crate::aal::Aal;

/// The names of each level, the most wanted first, separated by spaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct AcrValues {
    pub(crate) aal1: Option<String>,
    pub(crate) aal2: Option<String>,
}

impl AcrValues {
    pub(super) fn of(&self, level: Aal) -> Option<String> {
        match level {
            Aal::Aal0 => None,
            Aal::Aal1 => self.aal1.clone(),
            Aal::Aal2 => self.aal2.clone(),
        }
    }
}
