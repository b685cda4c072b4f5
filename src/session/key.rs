//! The application's keys, checked.

use std::fmt;

use zeroize::Zeroizing;

/// A key that signs session tokens.
///
/// The first key of the builder signs; all of them verify. To rotate, put a new key first and keep the old one for as long as a
/// session lives.
///
/// ```
/// use tower_step_up::SigningKey;
///
/// let key = SigningKey::hs256("2026-11", [7; 32])?;
/// assert!(SigningKey::hs256("2026-11", b"too short").is_err());
/// # Ok::<(), tower_step_up::session::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    secret: Zeroizing<Vec<u8>>,
}

impl SigningKey {
    /// An HMAC-SHA256 key with a name (the token's `kid`) and a secret of at least 32 bytes (RFC 7518 section 3.2) from a
    /// cryptographic generator, for example `openssl rand 32`.
    ///
    /// # Errors
    ///
    /// The secret is shorter than 32 bytes, or the id does not have 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    pub fn hs256(id: impl Into<String>, secret: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let id = id.into();
        check_key(&id, secret.as_ref())?;
        Ok(Self { id, secret: Zeroizing::new(secret.as_ref().to_vec()) })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key cannot be used. The text says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey(&'static str);

impl InvalidKey {
    pub(crate) const fn unusable() -> Self {
        Self("the cryptography does not work with this key")
    }
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidKey {}

pub(crate) fn check_key(id: &str, secret: &[u8]) -> Result<(), InvalidKey> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
        return Err(InvalidKey("a key id has 1 to 64 characters of A-Z a-z 0-9 . _ -, for example \"2026-11\""));
    }
    if secret.len() < 32 {
        return Err(InvalidKey("a key needs a secret of at least 32 random bytes, for example from `openssl rand 32`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_have_a_longest_length() {
        let key = |length| SigningKey::hs256("k".repeat(length), [7; 32]);
        assert!(key(1).is_ok() && key(64).is_ok());
        assert!(key(0).is_err() && key(65).is_err());
    }
}
