//! The note in a session that the user does not want to be asked on this device.
//!
//! It stands among the proofs, so that every store keeps it, but nothing is proven by it: it has no level and no time, and counts for none.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Aal, CredentialId, Method, Proof};
use crate::clock::Timestamp;

/// The second factors that a subject has, in short. Other factors, other text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct BoundFactors(String);

impl BoundFactors {
    /// Of these credentials, in any order.
    pub(crate) fn of(credentials: impl Iterator<Item = CredentialId>) -> Self {
        let mut ids: Vec<_> = credentials.collect();
        ids.sort_unstable();
        let mut digest = Sha256::new_with_prefix("tower-step-up factors of a device v1");
        for id in ids {
            digest.update(Uuid::from(id).as_bytes());
        }
        Self(URL_SAFE_NO_PAD.encode(digest.finalize()))
    }
}

impl fmt::Debug for BoundFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundFactors(..)")
    }
}

/// That the session is used on a trusted device. It is worth something only as long as the device exists, until this time, and while the subject
/// has these factors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceNote {
    pub(crate) device: CredentialId,
    pub(crate) until: Timestamp,
    pub(crate) factors: BoundFactors,
}

impl DeviceNote {
    /// As it stands in a session.
    pub(crate) fn to_proof(&self) -> Proof {
        let terms = format!("{} {}", self.until.unix_milliseconds(), self.factors.0);
        Proof::at_unknown_time(Method::TRUSTED_DEVICE, Aal::Aal0).with_credential(self.device).with_provider(terms)
    }

    /// The note, if this is one.
    pub(crate) fn of(proof: &Proof) -> Option<Self> {
        if !proof.is_device_note() {
            return None;
        }
        let (until, factors) = proof.provider()?.split_once(' ')?;
        let until = Timestamp::from_unix_milliseconds(until.parse().ok()?);
        Some(Self { device: proof.credential()?, until, factors: BoundFactors(factors.to_owned()) })
    }
}

impl Proof {
    /// Whether it is no proof, but says that the device is trusted.
    pub(crate) fn is_device_note(&self) -> bool {
        self.method.is_trusted_device()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aal::level_of;

    fn note(factors: &[CredentialId]) -> DeviceNote {
        DeviceNote {
            device: CredentialId::random(),
            until: Timestamp::from_unix_milliseconds(1_800_000_000_123),
            factors: BoundFactors::of(factors.iter().copied()),
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_proves_nothing() {
        let note = note(&[CredentialId::random()]);
        let proof = note.to_proof();
        let stored: Proof = serde_json::from_str(&serde_json::to_string(&proof).unwrap()).unwrap();
        assert_eq!(DeviceNote::of(&stored), Some(note));
        assert_eq!((proof.aal(), proof.completed_at()), (Aal::Aal0, None));
        assert_eq!(
            level_of([&Proof::new(Method::Password, Aal::Aal1, Timestamp::from_unix_seconds(0)), &proof]),
            Aal::Aal1
        );
    }

    #[test]
    fn what_is_malformed_is_no_note() {
        let device = CredentialId::random();
        let bare = Proof::at_unknown_time(Method::TRUSTED_DEVICE, Aal::Aal0);
        for provider in ["", " ", "x y", "1800000000123"] {
            assert_eq!(
                DeviceNote::of(&bare.clone().with_credential(device).with_provider(provider)),
                None,
                "{provider}"
            );
        }
        assert_eq!(DeviceNote::of(&bare.clone().with_provider("1 x")), None);
        assert_eq!(DeviceNote::of(&bare), None);
        let totp = Proof::at_unknown_time(Method::Totp, Aal::Aal2).with_credential(device).with_provider("1 x");
        assert_eq!(DeviceNote::of(&totp), None);
    }

    #[test]
    fn a_newer_note_replaces_an_older_one() {
        let (old, new) = (note(&[]).to_proof(), note(&[CredentialId::random()]).to_proof());
        assert!(old.is_replaced_by(&new) && new.is_replaced_by(&old));
        let push = Proof::at_unknown_time(Method::custom("push").unwrap(), Aal::Aal0);
        assert!(!push.is_replaced_by(&new) && !new.is_replaced_by(&push));
    }

    #[test]
    fn the_order_of_factors_does_not_matter_and_each_of_them_does() {
        let (one, two, three) = (CredentialId::random(), CredentialId::random(), CredentialId::random());
        let of = |ids: &[CredentialId]| BoundFactors::of(ids.iter().copied());
        assert_eq!(of(&[one, two]), of(&[two, one]));
        for other in [&[one][..], &[two], &[one, three], &[one, two, three], &[]] {
            assert_ne!(of(other), of(&[one, two]));
        }
    }
}
