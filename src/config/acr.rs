//! The names of levels for API clients.

use crate::{
    aal::Aal,
    context::AcrValues,
    error::{BuildError, BuildErrorKind},
};

/// The names as they were given; a level that comes again replaces the earlier names.
#[derive(Default)]
pub(super) struct GivenAcrValues(Vec<(Assurance, Vec<String>)>);

/// What the names are for.
enum Assurance {
    Level(Aal),
    PhishingResistant,
}

impl GivenAcrValues {
    pub(super) fn add<I, T>(&mut self, level: Aal, values: I)
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        self.0.push((Assurance::Level(level), values.into_iter().map(Into::into).collect()));
    }

    pub(super) fn add_phishing_resistant<I, T>(&mut self, values: I)
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        self.0.push((Assurance::PhishingResistant, values.into_iter().map(Into::into).collect()));
    }

    /// Checks the names and puts them over those that hold without any.
    pub(super) fn over(&self, mut names: AcrValues) -> Result<AcrValues, BuildError> {
        let fail = |help: &str| Err(BuildError::new(BuildErrorKind::AcrValues, help));
        for (assurance, values) in &self.0 {
            // In a quoted string, separated by spaces: the characters of RFC 6749 appendix A.4.
            let token = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
            if values.iter().any(|value| value.is_empty() || !value.bytes().all(token)) {
                return fail("acr_values: each name must be ASCII without spaces, quotes and backslashes");
            }
            let joined = (!values.is_empty()).then(|| values.join(" "));
            match assurance {
                Assurance::PhishingResistant => names.phishing_resistant = joined,
                Assurance::Level(Aal::Aal0) => return fail("acr_values: no route requires Aal0; name Aal1 or Aal2"),
                Assurance::Level(Aal::Aal1) => names.aal1 = joined,
                Assurance::Level(Aal::Aal2) => names.aal2 = joined,
            }
        }
        Ok(names)
    }
}
