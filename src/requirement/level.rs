//! The levels that a route can require.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The level that a route requires, weakest first, with the names of Ory's `required_aal`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequiredAal {
    /// Any valid session ("lax").
    Aal1,
    /// The highest level that the subject can reach ("strict"). The default.
    #[default]
    HighestAvailable,
    /// Two factors. Users without a second factor must enrol one.
    Aal2,
}

impl RequiredAal {
    pub(super) const ALL: [Self; 3] = [Self::Aal1, Self::HighestAvailable, Self::Aal2];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Aal1 => "aal1",
            Self::HighestAvailable => "highest_available",
            Self::Aal2 => "aal2",
        }
    }
}

/// The text is not the name of a [`RequiredAal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRequiredAal(());

impl fmt::Display for UnknownRequiredAal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("required_aal must be aal1, highest_available or aal2")
    }
}

impl std::error::Error for UnknownRequiredAal {}

impl FromStr for RequiredAal {
    type Err = UnknownRequiredAal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|required| required.as_str() == text).ok_or(UnknownRequiredAal(()))
    }
}
