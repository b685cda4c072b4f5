//! The names that clients ask for levels by: `acr_values` of RFC 9470.

use crate::{
    aal::{Aal, Methods},
    requirement::Requirement,
};

/// The names of each level, the most wanted first, separated by spaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct AcrValues {
    pub(crate) aal1: Option<String>,
    pub(crate) aal2: Option<String>,
    /// Of a second factor that resists phishing.
    pub(crate) phishing_resistant: Option<String>,
}

impl AcrValues {
    pub(super) fn of(&self, level: Aal, requirement: &Requirement) -> Option<String> {
        if requirement.methods().is_some_and(Methods::are_phishing_resistant)
            && let Some(names) = &self.phishing_resistant
        {
            return Some(names.clone());
        }
        match level {
            Aal::Aal0 => None,
            Aal::Aal1 => self.aal1.clone(),
            Aal::Aal2 => self.aal2.clone(),
        }
    }
}
