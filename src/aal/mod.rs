//! Levels, methods and proofs, and the rule that turns proofs into a level.
//!
//! Values only: nothing here knows of sessions, stores or HTTP.

mod kept;
mod method;
mod methods;
mod trusted;
mod upstream;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::kept::KeptMethod;
pub(crate) use self::methods::BuiltIn;
pub(crate) use self::trusted::{BoundFactors, DeviceNote};
pub use self::{
    method::{CustomMethod, InvalidMethod, Method, UnknownMethod},
    methods::Methods,
    upstream::UpstreamAssurance,
};
use crate::clock::Timestamp;

/// Authenticator assurance level, after NIST SP 800-63B.
///
/// `aal3` needs a hardware-bound, phishing-resistant key. No factor of this crate reaches it, so it has no variant yet. Text that
/// claims it is refused like any other unknown level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Aal {
    /// Nothing was proven. A session at this level counts as no session.
    #[default]
    Aal0,
    /// One factor was proven.
    Aal1,
    /// Two different factors were proven.
    Aal2,
}

impl Aal {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aal0 => "aal0",
            Self::Aal1 => "aal1",
            Self::Aal2 => "aal2",
        }
    }
}

impl fmt::Display for Aal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one stored credential of a subject: an enrolled TOTP secret, a set of look-up secrets, a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CredentialId(Uuid);

impl CredentialId {
    /// A new random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl From<Uuid> for CredentialId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<CredentialId> for Uuid {
    fn from(id: CredentialId) -> Self {
        id.0
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One completed method.
///
/// ```
/// use tower_step_up::{Aal, Method, aal::Proof, clock::Timestamp};
///
/// let password = Proof::new(Method::Password, Aal::Aal1, Timestamp::from_unix_seconds(1_800_000_000));
/// assert_eq!(password.aal(), Aal::Aal1);
/// assert_eq!(password.credential(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    method: KeptMethod,
    aal: Aal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<CredentialId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<CredentialId>,
}

impl Proof {
    /// A proof whose credential is not kept in this crate's store, such as the application's password.
    pub fn new(method: Method, aal: Aal, completed_at: Timestamp) -> Self {
        Self { completed_at: Some(completed_at), ..Self::at_unknown_time(method, aal) }
    }

    /// A proof of unknown time. It counts for a level, but never for an age.
    pub fn at_unknown_time(method: Method, aal: Aal) -> Self {
        Self { method: method.into(), aal, completed_at: None, credential: None, provider: None, address: None }
    }

    /// The same proof, tied to a stored credential: it counts only as long as that credential exists.
    #[must_use]
    pub const fn with_credential(mut self, credential: CredentialId) -> Self {
        self.credential = Some(credential);
        self
    }

    /// The same proof, made at the named upstream provider (`oidc` and `saml`).
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Arc<str>>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// The same proof, made with something that was sent to this address, as
    /// [`StepUp::address_id`](crate::StepUp::address_id) names it: a code or a link by mail, with which the application signs its users in. A session
    /// whose first factor has it takes no second factor by the same address: it is one mailbox, and so one factor.
    #[must_use]
    pub const fn with_address(mut self, address: CredentialId) -> Self {
        self.address = Some(address);
        self
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method.get()
    }

    /// The level that this proof contributes. The level of the session is computed from all its proofs.
    pub const fn aal(&self) -> Aal {
        self.aal
    }

    /// When the method was completed, if that is known.
    pub const fn completed_at(&self) -> Option<Timestamp> {
        self.completed_at
    }

    /// The credential that was used, if this crate stores it.
    pub const fn credential(&self) -> Option<CredentialId> {
        self.credential
    }

    /// The upstream provider, if the proof was made at one.
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// The address that it was made with, if that was said.
    pub const fn address(&self) -> Option<CredentialId> {
        self.address
    }

    /// Whether a later proof of the same kind replaces this one, so that a session's list does not grow for ever.
    pub(crate) fn is_replaced_by(&self, newer: &Self) -> bool {
        let same_kind = self.method == newer.method && self.aal == newer.aal;
        same_kind && (self.provider == newer.provider || newer.is_device_note())
    }
}

/// Whether what is sent to an address is a factor of its own beside these proofs: `ids` are the names of the address. It is none if a first
/// factor was proven by it; nor if all first factors came by mail or message, and nobody has said by which address.
pub(crate) fn is_apart(ids: &[CredentialId], proofs: &[Proof]) -> bool {
    let first = || proofs.iter().filter(|proof| proof.aal == Aal::Aal1);
    let is_sent = |proof: &Proof| matches!(proof.method(), Method::Code | Method::LinkRecovery | Method::CodeRecovery);
    let proved_it = first().any(|proof| proof.address.is_some_and(|address| ids.contains(&address)));
    let unsaid = first().any(|proof| is_sent(proof) && proof.address.is_none());
    let is_all_there_is = unsaid && first().all(is_sent);
    !proved_it && !is_all_there_is
}

/// The level of these proofs together. Pass only proofs that count: their credential exists, and their time is not in the future.
///
/// 1. no proof: `aal0`;
/// 2. at least one `aal1` and at least one `aal2`: `aal2`;
/// 3. an `oidc` or `saml` proof at `aal2`, even alone: `aal2`, since the provider vouches for both factors;
/// 4. anything else, such as TOTP alone: `aal1`.
pub(crate) fn level_of<'a>(proofs: impl IntoIterator<Item = &'a Proof>) -> Aal {
    let (mut any, mut first, mut second, mut federated) = (false, false, false, false);
    for proof in proofs {
        any = true;
        first |= proof.aal == Aal::Aal1;
        second |= proof.aal == Aal::Aal2;
        federated |= proof.aal == Aal::Aal2 && matches!(proof.method(), Method::Oidc | Method::Saml);
    }
    if federated || (first && second) {
        Aal::Aal2
    } else if any {
        Aal::Aal1
    } else {
        Aal::Aal0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proof(method: Method, aal: Aal) -> Proof {
        Proof::new(method, aal, Timestamp::from_unix_seconds(0))
    }

    fn any_proof() -> impl Strategy<Value = Proof> {
        (prop::sample::select(Method::built_in()), prop::sample::select(&[Aal::Aal0, Aal::Aal1, Aal::Aal2][..]))
            .prop_map(|(method, aal)| proof(method, aal))
    }

    #[test]
    fn levels_of_the_wire_contract() {
        use Aal::{Aal0, Aal1, Aal2};
        let cases: &[(&[(Method, Aal)], Aal)] = &[
            (&[], Aal0),
            (&[(Method::Password, Aal1)], Aal1),
            (&[(Method::Oidc, Aal1)], Aal1),
            (&[(Method::LinkRecovery, Aal1)], Aal1),
            (&[(Method::Totp, Aal2)], Aal1),
            (&[(Method::Totp, Aal2), (Method::LookupSecret, Aal2)], Aal1),
            (&[(Method::Password, Aal1), (Method::Oidc, Aal1)], Aal1),
            (&[(Method::Password, Aal1), (Method::Totp, Aal2)], Aal2),
            (&[(Method::Password, Aal1), (Method::LookupSecret, Aal2)], Aal2),
            (&[(Method::Oidc, Aal1), (Method::Totp, Aal2)], Aal2),
            (&[(Method::CodeRecovery, Aal1), (Method::WebAuthn, Aal2)], Aal2),
            (&[(Method::LinkRecovery, Aal1), (Method::Code, Aal1)], Aal1),
            // The stored level beats the method's name.
            (&[(Method::Password, Aal1), (Method::WebAuthn, Aal1)], Aal1),
            (&[(Method::Password, Aal1), (Method::Code, Aal2)], Aal2),
            (&[(Method::Oidc, Aal2)], Aal2),
            (&[(Method::Saml, Aal2), (Method::Totp, Aal2)], Aal2),
            (&[(Method::WebAuthn, Aal2)], Aal1),
            (&[(Method::Password, Aal0)], Aal1),
        ];
        for (proofs, expected) in cases {
            let proofs: Vec<_> = proofs.iter().map(|&(method, aal)| proof(method, aal)).collect();
            assert_eq!(level_of(&proofs), *expected, "{proofs:?}");
        }
    }

    #[test]
    fn a_level_that_is_not_there_is_refused() {
        for level in ["aal10", "AAL2 ", "aal3", "", "AAL2"] {
            assert!(serde_json::from_value::<Aal>(level.into()).is_err(), "{level}");
        }
    }

    #[test]
    fn levels_have_their_wire_names() {
        for (level, name) in [(Aal::Aal0, "aal0"), (Aal::Aal1, "aal1"), (Aal::Aal2, "aal2")] {
            assert_eq!((level.as_str(), level.to_string().as_str()), (name, name));
            assert_eq!(serde_json::to_value(level).unwrap(), name);
        }
    }

    #[test]
    fn a_proof_makes_room_only_for_one_of_its_kind() {
        let second = proof(Method::WebAuthn, Aal::Aal2);
        let provided = second.clone().with_provider("idp");
        assert!(second.is_replaced_by(&second));
        assert!(
            second.is_replaced_by(&second.clone().with_credential(CredentialId::random())),
            "another key of the user"
        );
        assert!(provided.is_replaced_by(&provided));
        assert!(!second.is_replaced_by(&proof(Method::Totp, Aal::Aal2)), "another method");
        assert!(!second.is_replaced_by(&proof(Method::WebAuthn, Aal::Aal1)), "another level");
        assert!(!second.is_replaced_by(&provided), "another provider");
        assert!(!second.is_replaced_by(&proof(Method::Totp, Aal::Aal2).with_provider("idp")));
        assert!(!second.is_replaced_by(&proof(Method::Totp, Aal::Aal1)), "nothing in common but the provider");
        assert_eq!((second.provider(), provided.provider()), (None, Some("idp")));
    }

    #[test]
    fn a_mailbox_is_one_factor() {
        let [own, other] = [(); 2].map(|()| CredentialId::random());
        let first = |method| proof(method, Aal::Aal1);
        let is_apart = |proofs: &[Proof]| is_apart(&[own], proofs);
        assert!(is_apart(&[]) && is_apart(&[first(Method::Password)]));
        for sent in [Method::Code, Method::LinkRecovery, Method::CodeRecovery] {
            assert!(!is_apart(&[first(sent).with_address(own)]));
            assert!(!is_apart(&[first(Method::Password), first(sent).with_address(own)]), "whatever else was proven");
            assert!(is_apart(&[first(sent).with_address(other)]));
            assert!(!is_apart(&[first(sent)]), "nobody knows by which");
            assert!(is_apart(&[first(sent), first(Method::Password)]));
        }
        assert!(!is_apart(&[first(Method::Oidc).with_address(own)]));
        assert!(is_apart(&[proof(Method::Code, Aal::Aal2).with_address(own)]), "it is the second factor itself");
    }

    #[test]
    fn an_id_stays_the_same_in_whatever_shape() {
        let id = Uuid::new_v4();
        assert_eq!(Uuid::from(CredentialId::from(id)), id);
        assert_eq!(CredentialId::from(id).to_string(), id.to_string());
    }

    proptest! {
        #[test]
        fn adding_a_proof_never_lowers_a_level(proofs in prop::collection::vec(any_proof(), 0..8), added in any_proof()) {
            let before = level_of(&proofs);
            prop_assert!(level_of(proofs.iter().chain([&added])) >= before);
        }

        #[test]
        fn order_and_repetition_do_not_matter(proofs in prop::collection::vec(any_proof(), 0..8)) {
            let level = level_of(&proofs);
            prop_assert_eq!(level_of(proofs.iter().rev()), level);
            prop_assert_eq!(level_of(proofs.iter().chain(&proofs)), level);
        }
    }
}
