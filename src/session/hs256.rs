//! HS256: what a token is signed with.
//!
//! `jsonwebtoken` asks the provider of the process for its cryptography. Which one that is, the application decides, or nobody has: so nothing
//! of it that asks for a provider is called here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::InvalidKey;

/// The bytes of a signature, and the characters of its text.
const BYTES: usize = 32;
const CHARACTERS: usize = 43;

/// A secret that has been worked into both hashes already, so that a message costs two blocks less. Wiped when dropped.
pub(super) struct Hs256(Hmac<Sha256>);

impl Hs256 {
    pub(super) fn new(secret: &[u8]) -> Result<Self, InvalidKey> {
        Hmac::new_from_slice(secret).map(Self).map_err(|_| InvalidKey::unusable())
    }

    fn over(&self, message: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update(message)
    }

    pub(super) fn signature(&self, message: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.over(message).finalize().into_bytes())
    }

    /// Whether this is the message's signature, as a token has it. Compares in constant time.
    pub(super) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        // Rounded up to whole groups of four characters.
        let mut bytes = [0; BYTES.next_multiple_of(3)];
        if signature.len() != CHARACTERS || URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes) != Ok(BYTES) {
            return false;
        }
        bytes.first_chunk::<BYTES>().is_some_and(|bytes| self.over(message).verify_slice(bytes).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
    use proptest::prelude::*;

    use super::*;

    /// RFC 7515, appendix A.1.
    #[test]
    fn the_example_of_the_standard() {
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let hs256 = Hs256::new(&URL_SAFE_NO_PAD.decode(secret).unwrap()).unwrap();
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
            .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(hs256.signature(message.as_bytes()), signature);
        assert!(hs256.has_signed(message.as_bytes(), signature));
    }

    proptest! {
        #[test]
        fn agrees_with_an_implementation_by_others(
            secret in proptest::collection::vec(any::<u8>(), 32..200),
            message in proptest::collection::vec(any::<u8>(), 0..4000),
        ) {
            let hs256 = Hs256::new(&secret).unwrap();
            let signature = hs256.signature(&message);
            let theirs = crypto::sign(&message, &EncodingKey::from_secret(&secret).unwrap(), Algorithm::HS256);
            prop_assert_eq!(&signature, &theirs.unwrap());
            let key = DecodingKey::from_secret(&secret).unwrap();
            prop_assert!(crypto::verify(&signature, &message, &key, Algorithm::HS256).unwrap());
            prop_assert!(hs256.has_signed(&message, &signature));
        }

        #[test]
        fn nothing_else_is_the_signature(secret: [u8; 32], position in 0..CHARACTERS, other in "[A-Za-z0-9_-]") {
            let hs256 = Hs256::new(&secret).unwrap();
            let signature = hs256.signature(b"message");
            let mut changed = signature.clone();
            changed.replace_range(position..=position, &other);
            prop_assert_eq!(hs256.has_signed(b"message", &changed), changed == signature);
            prop_assert!(!hs256.has_signed(b"messagf", &signature));
            for bad in [&signature[1..], &signature[..CHARACTERS - 1], "", &format!("{signature}="), &format!("{signature}A")] {
                prop_assert!(!hs256.has_signed(b"message", bad));
            }
        }
    }
}
