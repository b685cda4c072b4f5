//! Which proofs of a session count now, given what its source knows about the subject.

mod recency;

use std::time::Duration;

pub(crate) use self::recency::Recency;
use crate::{
    aal::{Aal, BoundFactors, CredentialId, DeviceNote, Method, Proof, level_of},
    clock::Timestamp,
    session::Session,
};

/// A stored credential without its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialSummary {
    /// The credential's id. Proofs made with it carry this id.
    pub id: CredentialId,
    /// The method it belongs to.
    pub method: Method,
    /// The level of a proof made with it.
    pub aal: Aal,
}

/// Whether a subject has a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Enrolled {
    /// At least one, used up or not.
    Yes,
    /// None.
    No,
    /// The source does not know. This never passes where it decides.
    Unknown,
}

/// What decides which proofs of a session count: the subject's credentials, and how proofs age.
///
/// A proof counts under these conditions:
///
/// * It proves something: the note that a device is trusted does not.
/// * It was completed by now. Clocks of several machines may differ by the leeway.
/// * Its credential still exists, if it names one.
/// * For a second factor: the configured lifespan of second factors has not passed since it was proven or, where that is unknown, since the
///   session began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    credentials: Box<[CredentialSummary]>,
    /// The subject's trusted devices. They are no credentials that anything is proven with.
    devices: Box<[CredentialId]>,
    enrolled: Enrolled,
    /// In milliseconds, as all times are.
    leeway: u64,
    /// The same; the longest is without end.
    second_factor_lifespan: u64,
}

/// Whole milliseconds.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Standing {
    /// How far clocks may differ by default.
    pub(crate) const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);

    /// The standing of a subject that has these credentials.
    pub fn new(credentials: Vec<CredentialSummary>) -> Self {
        let (devices, credentials): (Vec<_>, Vec<_>) =
            credentials.into_iter().partition(|credential| credential.method.is_trusted_device());
        let has_second = credentials.iter().any(|credential| credential.aal == Aal::Aal2);
        let enrolled = if has_second { Enrolled::Yes } else { Enrolled::No };
        let devices = devices.into_iter().map(|device| device.id).collect();
        Self { credentials: credentials.into_boxed_slice(), devices, ..Self::external(enrolled) }
    }

    /// The standing of a subject whose credentials are kept elsewhere. Its proofs name no credential, so they count.
    pub fn external(enrolled: Enrolled) -> Self {
        let leeway = milliseconds(Self::DEFAULT_LEEWAY);
        Self {
            credentials: Box::default(),
            devices: Box::default(),
            enrolled,
            leeway,
            second_factor_lifespan: u64::MAX,
        }
    }

    /// How far in the future a proof may be and still count: the clocks of two machines are never quite the same.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = milliseconds(leeway);
        self
    }

    /// How long a second factor counts, in whole milliseconds. `None` means without end.
    #[must_use]
    pub fn second_factor_lifespan(mut self, lifespan: Option<Duration>) -> Self {
        // Even the longest is not without end: a proof of unknown time may have lapsed.
        self.second_factor_lifespan = lifespan.map_or(u64::MAX, |lifespan| milliseconds(lifespan).min(u64::MAX - 1));
        self
    }

    /// The subject's credentials that this crate keeps.
    pub fn credentials(&self) -> &[CredentialSummary] {
        &self.credentials
    }

    /// The first `count` of the credentials, and the devices: what a store had, if it was given first.
    pub(crate) fn first(&self, count: usize) -> Vec<CredentialSummary> {
        let device = |id: &CredentialId| CredentialSummary { id: *id, method: Method::TRUSTED_DEVICE, aal: Aal::Aal0 };
        let first = self.credentials.get(..count).unwrap_or_default();
        first.iter().copied().chain(self.devices.iter().map(device)).collect()
    }

    /// Whether the subject has any second factor, used up or not.
    pub const fn enrolled(&self) -> Enrolled {
        self.enrolled
    }

    /// The proofs that count now, oldest first.
    pub fn counting_proofs<'a>(&'a self, session: &'a Session, now: Timestamp) -> impl Iterator<Item = &'a Proof> + 'a {
        session.proofs().iter().filter(move |proof| self.counts(proof, session.issued_at(), now))
    }

    /// Whether the proof counts now, in a session that began then.
    pub(crate) fn counts(&self, proof: &Proof, begun: Option<Timestamp>, now: Timestamp) -> bool {
        let alive = proof.credential().is_none_or(|id| self.credentials.iter().any(|known| known.id == id));
        let made = proof.completed_at().is_none_or(|at| at <= now + Duration::from_millis(self.leeway));
        // A proof of unknown time was taken when the session began. Where that is unknown too, it may have lapsed.
        let lifespan = Duration::from_millis(self.second_factor_lifespan);
        let young = || proof.completed_at().or(begun).is_some_and(|at| now.since(at) < lifespan);
        let fresh = proof.aal() != Aal::Aal2 || self.second_factor_lifespan == u64::MAX || young();
        alive && made && fresh && !proof.is_device_note()
    }

    /// Whether the session is used on a device on which its user does not want to be asked. This is no proof: the session's level and the ages
    /// of its proofs do not know it. It ends with the device, in its time, and when the subject's second factors are others.
    pub fn is_on_trusted_device(&self, session: &Session, now: Timestamp) -> bool {
        self.trusted_device(session, now).is_some()
    }

    /// The device, if it is trusted now.
    pub(crate) fn trusted_device(&self, session: &Session, now: Timestamp) -> Option<CredentialId> {
        if self.devices.is_empty() || self.enrolled != Enrolled::Yes {
            return None;
        }
        let note = session.proofs().iter().find_map(DeviceNote::of)?;
        let counts = self.devices.contains(&note.device) && now < note.until && note.factors == self.bound_factors();
        counts.then_some(note.device)
    }

    /// The second factors that the subject has.
    pub(crate) fn bound_factors(&self) -> BoundFactors {
        let second = self.credentials.iter().filter(|credential| credential.aal == Aal::Aal2);
        BoundFactors::of(second.map(|credential| credential.id))
    }

    /// The session's level now.
    pub fn level(&self, session: &Session, now: Timestamp) -> Aal {
        level_of(self.counting_proofs(session, now))
    }

    /// When the newest proof that counts was completed. Proofs of unknown time are left out.
    pub fn authenticated_at(&self, session: &Session, now: Timestamp) -> Option<Timestamp> {
        self.counting_proofs(session, now).filter_map(Proof::completed_at).max()
    }

    /// When the newest second-factor proof that counts was completed. Proofs of unknown time are left out.
    pub fn second_factor_at(&self, session: &Session, now: Timestamp) -> Option<Timestamp> {
        self.counting_proofs(session, now)
            .filter(|proof| proof.aal() == Aal::Aal2)
            .filter_map(Proof::completed_at)
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{StoredSession, Subject};

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn credential() -> CredentialSummary {
        CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 }
    }

    fn stepped_up(credential: CredentialId) -> StoredSession {
        StoredSession::new(
            Subject::new("kim").unwrap(),
            Proof::new(Method::Password, Aal::Aal1, at(1000)),
            at(1000),
            60 * MINUTE,
        )
        .renewed(
            Proof::new(Method::Totp, Aal::Aal2, at(1100)).with_credential(credential),
            at(1100),
            60 * MINUTE,
            None,
        )
    }

    #[test]
    fn a_proof_dies_with_its_credential() {
        let totp = credential();
        let session = stepped_up(totp.id);
        assert_eq!(Standing::new(vec![totp]).level(session.as_ref(), at(1200)), Aal::Aal2);
        assert_eq!(Standing::new(vec![credential()]).level(session.as_ref(), at(1200)), Aal::Aal1);
        assert_eq!(Standing::new(vec![]).second_factor_at(session.as_ref(), at(1200)), None);
    }

    #[test]
    fn a_proof_from_the_future_counts_only_within_the_leeway() {
        let totp = credential();
        let session = stepped_up(totp.id);
        let standing = Standing::new(vec![totp]).leeway(Duration::from_secs(5));
        assert_eq!(standing.level(session.as_ref(), at(1095)), Aal::Aal2);
        assert_eq!(standing.level(session.as_ref(), at(1094)), Aal::Aal1);
        assert_eq!(standing.level(session.as_ref(), at(0)), Aal::Aal0);
    }

    #[test]
    fn a_second_factor_lapses_but_the_session_stays() {
        let totp = credential();
        let session = stepped_up(totp.id);
        let standing = Standing::new(vec![totp]).second_factor_lifespan(Some(MINUTE));
        assert_eq!(standing.level(session.as_ref(), at(1159)), Aal::Aal2);
        assert_eq!(standing.level(session.as_ref(), at(1160)), Aal::Aal1);
    }

    #[test]
    fn a_second_factor_of_unknown_time_lapses_with_the_age_of_its_session() {
        let saml = Proof::at_unknown_time(Method::Saml, Aal::Aal2);
        let session = StoredSession::new(Subject::new("kim").unwrap(), saml.clone(), at(1000), 60 * MINUTE);
        let session = session.renewed(Proof::new(Method::Password, Aal::Aal1, at(1050)), at(1050), 60 * MINUTE, None);
        let standing = Standing::new(vec![]).second_factor_lifespan(Some(MINUTE));
        assert_eq!(standing.level(session.as_ref(), at(1059)), Aal::Aal2);
        assert_eq!(standing.level(session.as_ref(), at(1060)), Aal::Aal1);
        let external = Session::external(Subject::new("kim").unwrap(), vec![saml]);
        assert_eq!(standing.level(&external, at(1000)), Aal::Aal0, "nobody knows since when");
    }

    #[test]
    fn a_trusted_device_ends_with_itself_in_its_time_and_with_the_factors() {
        let totp = credential();
        let device = CredentialSummary { id: CredentialId::random(), method: Method::TRUSTED_DEVICE, aal: Aal::Aal0 };
        let standing = Standing::new(vec![totp, device]);
        assert_eq!(standing.credentials(), [totp], "it is none of the credentials");
        let note = DeviceNote { device: device.id, until: at(2000), factors: standing.bound_factors() };
        let password = Proof::new(Method::Password, Aal::Aal1, at(1000));
        let session = StoredSession::new(Subject::new("kim").unwrap(), password, at(1000), 60 * MINUTE);
        let noted = session.as_ref().successor(Some(note.to_proof()), at(1000), at(4600));
        let on_device = |standing: &Standing, now| standing.is_on_trusted_device(noted.as_ref(), now);
        assert!(on_device(&standing, at(1999)));
        assert!(!on_device(&standing, at(2000)), "its time is over");
        assert!(!standing.is_on_trusted_device(session.as_ref(), at(1999)), "another session of the user");
        assert!(!on_device(&Standing::new(vec![totp]), at(1999)), "it was forgotten");
        assert!(!on_device(&Standing::new(vec![device]), at(1999)), "the factor was removed");
        assert!(!on_device(&Standing::new(vec![totp, device, credential()]), at(1999)), "another was added");
        assert!(!on_device(&Standing::new(vec![credential(), device]), at(1999)), "another is in its place");
        assert_eq!((standing.level(noted.as_ref(), at(1999)), noted.authenticated_at()), (Aal::Aal1, at(1000)));
        assert_eq!(standing.counting_proofs(noted.as_ref(), at(1999)).count(), 1);
        // The note alone is no session.
        let alone = Session::external(Subject::new("kim").unwrap(), vec![note.to_proof()]);
        assert_eq!(standing.level(&alone, at(1999)), Aal::Aal0);
        assert_eq!(Standing::external(Enrolled::Yes).level(&alone, at(1999)), Aal::Aal0);
    }

    #[test]
    fn a_standing_tells_its_credentials_apart_by_level() {
        let totp = credential();
        let passkey = CredentialSummary { method: Method::Passkey, aal: Aal::Aal1, ..credential() };
        assert_eq!(Standing::new(vec![passkey, totp]).credentials(), [passkey, totp]);
        assert_eq!(Standing::new(vec![passkey, totp]).enrolled(), Enrolled::Yes);
        assert_eq!(
            Standing::new(vec![passkey]).enrolled(),
            Enrolled::No,
            "a credential of the first level is no second factor"
        );
        assert_eq!(Standing::new(vec![]).enrolled(), Enrolled::No);
    }
}
