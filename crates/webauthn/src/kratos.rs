//! Keys that users have added at Ory Kratos.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::Deserialize;
use serde_json::Value;
use tower_step_up::{
    Error, Importing, Method, StepUp, Subject,
    aal::CredentialId,
    factor::FactorError,
    store::{Credential, CredentialName},
};
use webauthn_rs_core::proto::{
    AttestationFormat, COSEKey, Credential as PublicKey, ParsedAttestation, RegisteredExtensions,
    UserVerificationPolicy,
};

use crate::key::Key;

/// What Kratos keeps of a user's keys: the `config` of the credentials of type `webauthn`.
#[derive(Deserialize)]
struct Config {
    credentials: Vec<Stored>,
    /// In base64, as all bytes here.
    user_handle: String,
}

#[derive(Deserialize)]
struct Stored {
    id: String,
    public_key: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    is_passwordless: bool,
    #[serde(default)]
    authenticator: Authenticator,
    #[serde(default)]
    flags: Option<Flags>,
}

#[derive(Default, Deserialize)]
struct Authenticator {
    #[serde(default)]
    sign_count: u32,
}

#[derive(Deserialize)]
struct Flags {
    #[serde(default)]
    user_verified: bool,
    #[serde(default)]
    backup_eligible: bool,
    #[serde(default)]
    backup_state: bool,
}

/// Stores the security keys that the subject has added at Ory Kratos, beside those that are there. `config` is the `config` of the
/// identity's credentials of type `webauthn`, as `GET /admin/identities/{id}?include_credential=webauthn` returns it. The relying party id must be the
/// one of Kratos.
///
/// The keys keep their names, their counters and the user handle. If Kratos did not keep whether a key can be backed up, its first answer
/// tells. Keys that were added for sign-in without a password (`is_passwordless`) are left out, as Kratos never takes them for a second factor.
///
/// Each key is stored by itself. If one is there already, or is another subject's, this ends with an error, and the keys before it stay.
///
/// # Errors
///
/// The configuration cannot be read, no [`WebAuthn`](crate::WebAuthn) factor is configured (both `Credential`), a key could not be sealed
/// (`Cryptography`), or the store did not answer or has the key already (`Store`).
pub async fn import_from_kratos(
    step_up: &StepUp,
    subject: &Subject,
    config: &Value,
) -> Result<Vec<CredentialId>, Error> {
    let mut imported = Vec::new();
    let config = Config::deserialize(config);
    let stored = match &config {
        Ok(config) => config.credentials.iter().filter(|stored| !stored.is_passwordless).map(Some).collect(),
        // Refused with the error of whoever makes the credential.
        Err(_) => vec![None],
    };
    for stored in stored {
        let make = |importing: Importing<'_>| match (&config, stored) {
            (Ok(config), Some(stored)) => stored.credential(&config.user_handle, importing),
            (Err(error), _) => Err(unreadable(error.to_string())),
            _ => Err(unreadable("no key")),
        };
        imported.push(step_up.import_credential(subject, Method::WebAuthn, make).await?);
    }
    Ok(imported)
}

fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FactorError {
    FactorError::NotCompared(error.into())
}

impl Stored {
    fn credential(&self, user_handle: &str, importing: Importing<'_>) -> Result<Credential, FactorError> {
        let key = self.key(user_handle)?;
        let id = importing.summary.id;
        let credential = Credential::new(importing.summary, importing.now)
            .with_data(key.sealed(importing.subject, id, importing.sealer)?)
            .with_fingerprint(key.fingerprint());
        Ok(match self.display_name.trim().parse::<CredentialName>() {
            Ok(name) => credential.with_name(name),
            Err(_) => credential,
        })
    }

    fn key(&self, user_handle: &str) -> Result<Key, FactorError> {
        let handle = STANDARD.decode(user_handle).map_err(unreadable)?;
        let public_key = STANDARD.decode(&self.public_key).map_err(unreadable)?;
        let public_key: serde_cbor_2::Value = serde_cbor_2::from_slice(&public_key).map_err(unreadable)?;
        let flags = self.flags.as_ref();
        Ok(Key {
            user_handle: URL_SAFE_NO_PAD.encode(handle),
            flags_unknown: flags.is_none(),
            credential: PublicKey {
                cred_id: STANDARD.decode(&self.id).map_err(unreadable)?,
                cred: COSEKey::try_from(&public_key).map_err(unreadable)?,
                counter: self.authenticator.sign_count,
                transports: None,
                user_verified: flags.is_some_and(|flags| flags.user_verified),
                backup_eligible: flags.is_some_and(|flags| flags.backup_eligible),
                backup_state: flags.is_some_and(|flags| flags.backup_state),
                registration_policy: UserVerificationPolicy::Discouraged_DO_NOT_USE,
                extensions: RegisteredExtensions::none(),
                attestation: ParsedAttestation::default(),
                attestation_format: AttestationFormat::None,
            },
        })
    }
}
