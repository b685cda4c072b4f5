//! A key as it is stored: sealed, so that nobody who writes to the store swaps it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tower_step_up::{
    Subject,
    aal::CredentialId,
    factor::{FactorContext, FactorError},
    seal::{SealError, Sealer},
    store::Credential,
};
use webauthn_rs_core::proto::Credential as PublicKeyCredential;

/// A key of a subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Key {
    /// The id of the subject's account that the key knows, in base64url: random, and the same for all keys of a subject.
    pub(crate) user_handle: String,
    pub(crate) credential: PublicKeyCredential,
    /// Whether it is not known yet if the key can be backed up: it was added where nobody kept that. The first answer tells.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) flags_unknown: bool,
}

/// A key with the credential that it is stored in.
pub(crate) struct Own<'a> {
    pub(crate) stored: &'a Credential,
    pub(crate) key: Key,
}

impl Key {
    /// The keys of the subject.
    pub(crate) fn all<'a>(context: &FactorContext<'a>) -> Result<Vec<Own<'a>>, FactorError> {
        let open = |stored: &'a Credential| {
            let opened = context.sealer.open(&seal_context(context.subject, stored.summary.id), &stored.data)?;
            let key = serde_json::from_slice(&opened).map_err(|error| FactorError::Unavailable(error.into()))?;
            Ok(Own { stored, key })
        };
        context.credentials.iter().map(open).collect()
    }

    pub(crate) fn sealed(&self, subject: &Subject, id: CredentialId, sealer: &Sealer) -> Result<Vec<u8>, FactorError> {
        let plain = serde_json::to_vec(self).map_err(|error| FactorError::Unavailable(error.into()))?;
        Ok(sealer.seal(&seal_context(subject, id), &plain)?)
    }

    /// What no other subject may have: W3C Web Authentication section 7.1, step 26.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"webauthn\0").chain_update(&self.credential.cred_id).finalize().into()
    }

    /// The id in lower-case hexadecimal, as Ory's forms name it.
    pub(crate) fn hex_id(&self) -> String {
        use std::fmt::Write;
        self.credential.cred_id.iter().fold(String::new(), |mut hex, byte| {
            // Writing into a string never fails.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// A new random user handle.
pub(crate) fn random_handle() -> Result<String, FactorError> {
    let mut handle = [0; 32];
    getrandom::fill(&mut handle).map_err(|error| FactorError::Unavailable(error.into()))?;
    Ok(URL_SAFE_NO_PAD.encode(handle))
}

/// The same key under the newest encryption key.
pub(crate) fn reseal(subject: &Subject, stored: &Credential, sealer: &Sealer) -> Result<Option<Vec<u8>>, SealError> {
    let context = seal_context(subject, stored.summary.id);
    if sealer.is_newest(&context, &stored.data) {
        return Ok(None);
    }
    let opened = sealer.open(&context, &stored.data)?;
    sealer.seal(&context, &opened).map(Some)
}

/// The owner of a key, as its sealing context.
fn seal_context(subject: &Subject, id: CredentialId) -> Vec<u8> {
    format!("webauthn\0{id}\0{}", subject.as_str()).into_bytes()
}

/// The bytes of a user handle.
pub(crate) fn handle_bytes(user_handle: &str) -> Result<Vec<u8>, FactorError> {
    URL_SAFE_NO_PAD.decode(user_handle).map_err(|error| FactorError::Unavailable(error.into()))
}
