//! Secrets at rest: authenticated encryption under a ring of keys.
//!
//! A sealed value is `version (1) | length of key id (1) | key id | nonce (24) | ciphertext and tag` with XChaCha20-Poly1305. Its
//! 192-bit nonces may be random for any number of values. The owner of the value is authenticated as associated data, so a row
//! that is copied to another subject does not open.

use std::fmt;

use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use constant_time_eq::constant_time_eq;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    aal::CredentialId,
    session::{
        InvalidKey, SigningKey,
        key::{check_key, random_secret},
    },
};

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// A key under which secrets are sealed at rest.
///
/// The first key of the builder seals; all of them open. To rotate, put a new key first, and keep the old one as long as secrets
/// are sealed under it.
///
/// ```
/// use tower_step_up::seal::EncryptionKey;
///
/// # let secret = "a secret of 32 or more random bytes";
/// let key = EncryptionKey::new("2026-11", secret)?;
/// assert!(EncryptionKey::new("2026-11", b"too short").is_err());
/// # Ok::<(), tower_step_up::session::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct EncryptionKey {
    id: String,
    key: Zeroizing<[u8; 32]>,
    /// For digests. Some requests make one, so it is made only once.
    digests: Zeroizing<[u8; 32]>,
}

impl EncryptionKey {
    /// A key with a name and a secret of at least 32 bytes from a cryptographic generator.
    ///
    /// # Errors
    ///
    /// As [`SigningKey::hs256`].
    pub fn new(id: impl Into<String>, secret: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let id = id.into();
        check_key(&id, secret.as_ref())?;
        Self::of(id, secret.as_ref())
    }

    fn of(id: String, secret: &[u8]) -> Result<Self, InvalidKey> {
        let key = derive(secret, b"tower-step-up sealing v1")?;
        Ok(Self { digests: derive(key.as_slice(), b"tower-step-up forms v1")?, key, id })
    }

    /// A key with a new random secret, for tests and demonstrations: when the process ends, nobody can open what it sealed.
    ///
    /// # Errors
    ///
    /// As [`SigningKey::generate`].
    pub fn generate(id: impl Into<String>) -> Result<Self, InvalidKey> {
        Self::new(id, random_secret()?.as_slice())
    }

    /// Derives a key from a signing key, for applications without an encryption key.
    pub(crate) fn derived_from(key: &SigningKey) -> Result<Self, InvalidKey> {
        Self::of(key.id().to_owned(), key.secret())
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// HKDF-SHA256 (RFC 5869) separates this use of a secret from all others.
fn derive(secret: &[u8], use_of_it: &[u8]) -> Result<Zeroizing<[u8; 32]>, InvalidKey> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, secret).expand(use_of_it, key.as_mut()).map_err(|_| InvalidKey::unusable())?;
    Ok(key)
}

/// Seals and opens the secrets of factors.
#[derive(Clone, Debug)]
pub struct Sealer {
    keys: Vec<EncryptionKey>,
}

/// A secret could not be sealed or opened. It says no more, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealError(());

impl SealError {
    /// It opened, and made no sense.
    pub(crate) const fn unreadable() -> Self {
        Self(())
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret could not be sealed or opened")
    }
}

impl std::error::Error for SealError {}

impl Sealer {
    pub(crate) const fn new(keys: Vec<EncryptionKey>) -> Self {
        Self { keys }
    }

    /// Encrypts `secret` so that it opens only together with the same `context`.
    ///
    /// # Errors
    ///
    /// The operating system gave no random numbers.
    pub fn seal(&self, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.keys.first().ok_or(SealError(()))?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError(()))?;
        let id_length = u8::try_from(key.id.len()).map_err(|_| SealError(()))?;
        let ciphertext = cipher(key)
            .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: context })
            .map_err(|_| SealError(()))?;
        Ok([&[VERSION, id_length], key.id.as_bytes(), &nonce, &ciphertext].concat())
    }

    /// Decrypts what [`seal`](Self::seal) made with the same `context`.
    ///
    /// # Errors
    ///
    /// The key is no longer there, the context is another, or the value was changed.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (id, rest) = split(sealed).ok_or(SealError(()))?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError(()))?;
        // Several keys can have the same name, such as a signing key and an encryption key that are both named after the month.
        self.keys
            .iter()
            .filter(|key| key.id.as_bytes() == id)
            .find_map(|key| cipher(key).decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: context }).ok())
            .map(Zeroizing::new)
            .ok_or(SealError(()))
    }
}

impl Sealer {
    /// A digest that only a holder of the key can make, so nobody else can test a guess with it.
    pub(crate) fn digest(&self, message: &[u8]) -> Option<[u8; 32]> {
        digest(self.keys.first()?, message)
    }

    /// Ids for a credential that is kept elsewhere, made of its name: one under each key, that of the newest first. Nobody without a key can
    /// tell whether an id is that of a name. Make the credential with the first. The others are for proofs of before the newest key:
    /// [`Elsewhere::earlier`](crate::factor::Elsewhere::earlier).
    pub fn credential_ids(&self, name: &[u8]) -> Vec<CredentialId> {
        // No other digest is of a message that begins like this.
        let message = [b"credential kept elsewhere\0", name].concat();
        let digests = self.keys.iter().filter_map(|key| digest(key, &message));
        let bytes = digests.filter_map(|digest| digest.first_chunk::<16>().copied());
        bytes.map(|bytes| uuid::Builder::from_random_bytes(bytes).into_uuid().into()).collect()
    }

    /// Whether this is the digest of the message, under any key.
    pub(crate) fn is_digest(&self, message: &[u8], expected: &[u8; 32]) -> bool {
        self.keys.iter().filter_map(|key| digest(key, message)).any(|digest| constant_time_eq(&digest, expected))
    }

    /// Whether the digest of the message begins like this, under any key.
    pub(crate) fn is_beginning_of_digest(&self, message: &[u8], beginning: &[u8]) -> bool {
        let digests = self.keys.iter().filter_map(|key| digest(key, message));
        digests
            .into_iter()
            .any(|digest| digest.get(..beginning.len()).is_some_and(|own| constant_time_eq(own, beginning)))
    }

    /// Whether this was sealed under the newest key. The name alone does not tell: several keys can have the same one.
    pub fn is_newest(&self, context: &[u8], sealed: &[u8]) -> bool {
        let newest = self.keys.first().map(|key| Self::new(vec![key.clone()]));
        newest.is_some_and(|newest| newest.open(context, sealed).is_ok())
    }

    /// The same secret under the newest key; `None` if it is sealed under that one already.
    pub(crate) fn reseal(&self, context: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        if self.is_newest(context, sealed) {
            return Ok(None);
        }
        self.seal(context, &self.open(context, sealed)?).map(Some)
    }
}

/// HMAC-SHA256 of the message under a key of its own, and once more: the two steps of HKDF.
fn digest(key: &EncryptionKey, message: &[u8]) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    Hkdf::<Sha256>::new(Some(key.digests.as_slice()), message).expand(b"digest", &mut digest).ok()?;
    Some(digest)
}

fn cipher(key: &EncryptionKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key.key))
}

fn split(sealed: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[version, id_length], rest) = sealed.split_first_chunk::<2>()?;
    (version == VERSION).then(|| rest.split_at_checked(usize::from(id_length))).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;

    fn sealer(ids: &[&str]) -> Sealer {
        Sealer::new(ids.iter().map(|id| EncryptionKey::new(*id, Sha256::digest(id)).unwrap()).collect())
    }

    #[test]
    fn opens_only_with_its_context_and_unchanged() {
        let sealer = sealer(&["a"]);
        let sealed = sealer.seal(b"kim", b"secret").unwrap();
        assert_eq!(sealer.open(b"kim", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(sealer.open(b"lee", &sealed), Err(SealError(())));
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(sealer.open(b"kim", &changed), Err(SealError(())), "{position}");
        }
        assert_ne!(sealer.seal(b"kim", b"secret").unwrap(), sealed, "the nonce is random");
    }

    #[test]
    fn an_old_key_still_opens_and_the_new_one_seals() {
        let old = sealer(&["old"]).seal(b"", b"secret").unwrap();
        let both = sealer(&["new", "old"]);
        assert_eq!(both.open(b"", &old).unwrap().as_slice(), b"secret");
        let new = both.seal(b"", b"secret").unwrap();
        assert!(sealer(&["old"]).open(b"", &new).is_err());
    }

    #[test]
    fn a_digest_is_of_one_message_under_one_key() {
        let (old, both) = (sealer(&["old"]), sealer(&["new", "old"]));
        let digest = old.digest(b"code=123456").unwrap();
        assert!(old.is_digest(b"code=123456", &digest) && both.is_digest(b"code=123456", &digest));
        assert!(!old.is_digest(b"code=123457", &digest));
        assert!(!sealer(&["new"]).is_digest(b"code=123456", &digest), "another key");
        assert_ne!(both.digest(b"code=123456").unwrap(), digest, "the newest key makes it");
        assert_ne!(digest, <[u8; 32]>::from(Sha256::digest(b"code=123456")));
    }

    #[test]
    fn a_credential_kept_elsewhere_has_an_id_under_each_key() {
        let (old, both) = (sealer(&["old"]), sealer(&["new", "old"]));
        let [new, earlier] = both.credential_ids(b"kim").try_into().unwrap();
        assert_eq!(old.credential_ids(b"kim"), [earlier]);
        assert!(new != earlier && !both.credential_ids(b"lee").contains(&new));
    }

    #[test]
    fn debug_shows_no_key() {
        let text = format!("{:?}", sealer(&["a"]));
        assert!(text.contains("\"a\"") && !text.contains("97"), "{text}");
    }

    proptest! {
        #[test]
        fn garbage_never_opens(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(sealer(&["a"]).open(b"", &bytes).is_err());
        }
    }
}
