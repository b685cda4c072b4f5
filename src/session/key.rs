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
/// # let secret = "a secret of 32 or more random bytes";
/// let key = SigningKey::hs256("2026-11", secret)?;
/// assert!(SigningKey::hs256("2026-11", b"too short").is_err());
/// assert!(SigningKey::hs256("2026-11", [7; 32]).is_err(), "long enough, but anybody can guess it");
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
    /// The secret is shorter than 32 bytes, or can be guessed: equal bytes, a pattern that repeats, a placeholder such as `change-me`. Or
    /// the id does not have 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    pub fn hs256(id: impl Into<String>, secret: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let id = id.into();
        check_key(&id, secret.as_ref())?;
        Ok(Self { id, secret: Zeroizing::new(secret.as_ref().to_vec()) })
    }

    /// A key with a new random secret, which nobody else knows and nothing keeps. For tests and demonstrations: when the process ends, so
    /// do all sessions, and no other process accepts them.
    ///
    /// ```
    /// use tower_step_up::SigningKey;
    ///
    /// let key = SigningKey::generate("demo")?;
    /// # drop(key);
    /// # Ok::<(), tower_step_up::session::InvalidKey>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The id is wrong, as for [`hs256`](Self::hs256), or the operating system gives no random numbers.
    pub fn generate(id: impl Into<String>) -> Result<Self, InvalidKey> {
        Self::hs256(id, random_secret()?.as_slice())
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
    if can_be_guessed(secret) {
        return Err(InvalidKey(
            "this secret can be guessed, since it repeats itself or is a placeholder; make one, for example by `openssl rand 32`",
        ));
    }
    Ok(())
}

/// A secret for one process.
pub(crate) fn random_secret() -> Result<Zeroizing<[u8; 32]>, InvalidKey> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut()).map_err(|_| InvalidKey("the operating system gives no random numbers"))?;
    Ok(secret)
}

/// Words of secrets that documentation asks to replace.
const PLACEHOLDERS: &[&str] =
    &["changeme", "change-me", "change_me", "change me", "insecure", "not-secure", "replace this", "replace-this"];

/// Random bytes, also as hexadecimal or base64 text, have more different ones than this but once in ten million times.
const FEWEST_DIFFERENT: usize = 6;

/// Whether the secret is one that people type instead of making one. A secret that passes may still be weak.
fn can_be_guessed(secret: &[u8]) -> bool {
    let different = secret.iter().collect::<std::collections::BTreeSet<_>>().len();
    let repeats =
        |period: usize| secret.iter().zip(secret.iter().skip(period)).all(|(earlier, later)| earlier == later);
    let steps = || secret.iter().zip(secret.iter().skip(1)).map(|(earlier, later)| later.wrapping_sub(*earlier));
    let contains = |text: &&str| secret.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text.as_bytes()));
    different < FEWEST_DIFFERENT
        || (1..=secret.len() / 2).any(repeats)
        || steps().zip(steps().skip(1)).all(|(earlier, later)| earlier == later)
        || PLACEHOLDERS.iter().any(contains)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_that_can_be_guessed_are_no_keys() {
        let counting: Vec<u8> = (0..40).collect();
        for secret in [
            &[0; 32][..],
            &[7; 32],
            b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy",
            b"passwordpasswordpasswordpassword",
            b"0123456789abcdef0123456789abcdef",
            &counting,
            b"PLEASE-CHANGE-ME-I-AM-VERY-INSECURE",
            b"32-LONG-SECRET-NOT-SECURE-AT-ALL",
            b"replace this by 32 random bytes or more",
        ] {
            let error = SigningKey::hs256("a", secret).unwrap_err().to_string();
            assert!(error.contains("guessed") && error.contains("openssl rand 32"), "{error}");
            assert_eq!(crate::seal::EncryptionKey::new("a", secret).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn generated_keys_differ() {
        let secrets = [(); 3].map(|()| SigningKey::generate("a").unwrap().secret().to_vec());
        assert!(secrets[0] != secrets[1] && secrets[1] != secrets[2]);
        assert!(SigningKey::generate("a b").is_err());
    }

    proptest! {
        /// As bytes, and as text in hexadecimal.
        #[test]
        fn random_secrets_are_keys(secret: [u8; 32]) {
            let text = secret.map(|byte| format!("{byte:02x}")).concat();
            prop_assert!(SigningKey::hs256("a", secret).is_ok() && SigningKey::hs256("a", text).is_ok());
        }
    }

    #[test]
    fn key_ids_have_a_longest_length() {
        let key = |length| SigningKey::generate("k".repeat(length));
        assert!(key(1).is_ok() && key(64).is_ok());
        assert!(key(0).is_err() && key(65).is_err());
    }
}
