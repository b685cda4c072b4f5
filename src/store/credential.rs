//! A credential as a store keeps it.

use std::{fmt, sync::Arc};

use crate::{clock::Timestamp, standing::CredentialSummary};

/// A stored credential with its secret, which is sealed or hashed by the factor that made it.
///
/// ```
/// use tower_step_up::{Aal, Method, aal::CredentialId, clock::Timestamp, standing::CredentialSummary, store::Credential};
///
/// # let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let summary = CredentialSummary { id: CredentialId::random(), method: Method::WebAuthn, aal: Aal::Aal2 };
/// let credential = Credential::new(summary, now).with_data(b"public key".to_vec()).with_name("blue key".parse()?);
/// # assert_eq!(credential.name.unwrap().as_str(), "blue key");
/// # Ok::<(), tower_step_up::store::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credential {
    /// Id, method and level.
    pub summary: CredentialSummary,
    /// What its owner calls it, if they have said: one of several of a method is told from the others by it. Shown, never trusted.
    pub name: Option<CredentialName>,
    /// What the factor keeps for itself; sealed if it is a secret.
    pub data: Vec<u8>,
    /// Hashes of single-use secrets, each with whether it was used. Empty for factors that have none.
    pub secrets: Vec<StoredSecret>,
    /// The last accepted step (TOTP) or counter; 0 if none was accepted yet. It only ever rises. At most [`i64::MAX`], since that
    /// is what databases can keep.
    pub last_step: u64,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When a proof last used it; `None` if none did yet. The store sets it to [`Completion::now`](super::Completion::now) with each
    /// [`Consumption`](super::Consumption).
    pub last_used_at: Option<Timestamp>,
}

impl Credential {
    /// A credential without a name, data or secrets, of which nothing was used yet.
    pub const fn new(summary: CredentialSummary, created_at: Timestamp) -> Self {
        Self {
            summary,
            name: None,
            data: Vec::new(),
            secrets: Vec::new(),
            last_step: 0,
            created_at,
            last_used_at: None,
        }
    }

    /// The same with this name.
    #[must_use]
    pub fn with_name(self, name: CredentialName) -> Self {
        Self { name: Some(name), ..self }
    }

    /// The same with this data of the factor's.
    #[must_use]
    pub fn with_data(self, data: Vec<u8>) -> Self {
        Self { data, ..self }
    }

    /// The same with these single-use secrets.
    #[must_use]
    pub fn with_secrets(self, secrets: Vec<StoredSecret>) -> Self {
        Self { secrets, ..self }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("summary", &self.summary)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// What its owner calls a credential, such as "blue key": 1 to 255 bytes without control characters.
///
/// It is the owner's own text: escape it where it is shown, and decide nothing by it. Two credentials may have the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialName(Arc<str>);

impl CredentialName {
    const MAX_BYTES: usize = 255;

    /// Takes the text as a name.
    ///
    /// # Errors
    ///
    /// The text is empty, longer than 255 bytes, or has a control character.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidName> {
        let text = text.into();
        if text.is_empty() || text.len() > Self::MAX_BYTES || text.chars().any(char::is_control) {
            return Err(InvalidName(()));
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for CredentialName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// The text cannot be a [`CredentialName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidName(());

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a credential's name must have 1 to 255 bytes and no control characters")
    }
}

impl std::error::Error for InvalidName {}

/// A single-use secret as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// When it was used, if it was.
    pub used_at: Option<Timestamp>,
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSecret").field("used_at", &self.used_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        for good in ["x", "blue key", "K\u{fc}chenschl\u{fc}ssel \u{1f511}", "<b>'\"&", &"n".repeat(255)] {
            assert_eq!(CredentialName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "two\nlines", "bell\u{7}", "\u{0}", "c1 \u{85}", &"n".repeat(256), &"\u{fc}".repeat(128)] {
            assert_eq!(bad.parse::<CredentialName>(), Err(InvalidName(())), "{bad:?}");
        }
    }
}
