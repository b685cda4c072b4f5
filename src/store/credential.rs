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
    /// The owner's name for it, if there is one. It tells apart several credentials of one method. It is shown, never trusted.
    pub name: Option<CredentialName>,
    /// The factor's own data; sealed if it is a secret.
    pub data: Vec<u8>,
    /// What only one credential of all subjects may have, if there is such a thing: for example a hash of the id of a security key. A store
    /// refuses a second one as [`Conflict`](super::StoreErrorKind::Conflict). It never changes.
    pub fingerprint: Option<[u8; 32]>,
    /// Hashes of single-use secrets, each with when it was used. Empty for factors without such secrets.
    pub secrets: Vec<StoredSecret>,
    /// The last accepted step (TOTP) or counter; 0 if none was accepted yet. It only rises, to at most [`i64::MAX`]: databases
    /// keep no greater number.
    pub last_step: u64,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When a proof last used it; `None` if none has. The store sets it to [`Completion::now`](super::Completion::now) with each
    /// [`Consumption`](super::Consumption).
    pub last_used_at: Option<Timestamp>,
}

impl Credential {
    /// A new, unused credential without name, data and secrets.
    pub const fn new(summary: CredentialSummary, created_at: Timestamp) -> Self {
        Self {
            summary,
            name: None,
            data: Vec::new(),
            fingerprint: None,
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

    /// The same with this data of the factor.
    #[must_use]
    pub fn with_data(self, data: Vec<u8>) -> Self {
        Self { data, ..self }
    }

    /// The same with this [fingerprint](Self::fingerprint).
    #[must_use]
    pub fn with_fingerprint(self, fingerprint: [u8; 32]) -> Self {
        Self { fingerprint: Some(fingerprint), ..self }
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

/// The owner's name for a credential, such as "blue key": 1 to 255 bytes without control characters.
///
/// It is untrusted text: escape it where you show it, and decide nothing by it. Two credentials may have the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialName(Arc<str>);

impl CredentialName {
    pub(crate) const MAX_BYTES: usize = 255;

    /// Makes a name of this text.
    ///
    /// # Errors
    ///
    /// The text is empty, longer than 255 bytes, or contains a control character.
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
    /// A hash of the secret, as its factor makes it.
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
