//! What counts of a session now, given what the store knows of its subject; and the cache that spares reading it each time.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    aal::{Aal, CredentialId, Method, Proof, level_of},
    clock::Timestamp,
    session::{Session, SessionId, Subject},
};

/// What is known of a stored credential without its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialSummary {
    /// The credential's id, which proofs made with it carry.
    pub id: CredentialId,
    /// The method it belongs to.
    pub method: Method,
    /// The level of a proof made with it.
    pub aal: Aal,
}

/// What counts of a session at a moment: the subject's live credentials, and how proofs age.
///
/// A proof counts if it was completed by now (clocks of several machines may differ by the leeway), if its credential, when it
/// names one, still exists, and, for a second factor, if the configured lifespan of second factors has not passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    credentials: Vec<CredentialSummary>,
    leeway: Duration,
    second_factor_lifespan: Option<Duration>,
}

impl Standing {
    /// How far clocks may differ, if nothing else is configured.
    pub(crate) const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);

    /// The standing of a subject that has these credentials.
    pub const fn new(credentials: Vec<CredentialSummary>) -> Self {
        Self { credentials, leeway: Self::DEFAULT_LEEWAY, second_factor_lifespan: None }
    }

    /// How far in the future a proof may lie and still count, since the clocks of two machines are never quite the same.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// For how long a second factor counts; without end if `None`.
    #[must_use]
    pub const fn second_factor_lifespan(mut self, lifespan: Option<Duration>) -> Self {
        self.second_factor_lifespan = lifespan;
        self
    }

    /// The subject's credentials.
    pub fn credentials(&self) -> &[CredentialSummary] {
        &self.credentials
    }

    /// Whether the subject has any second factor, used up or not.
    pub fn has_second_factor(&self) -> bool {
        self.credentials.iter().any(|credential| credential.aal == Aal::Aal2)
    }

    /// The proofs that count now, oldest first.
    pub fn counting_proofs<'a>(&'a self, session: &'a Session, now: Timestamp) -> impl Iterator<Item = &'a Proof> + 'a {
        session.proofs().iter().filter(move |proof| self.counts(proof, now))
    }

    fn counts(&self, proof: &Proof, now: Timestamp) -> bool {
        let alive = proof.credential().is_none_or(|id| self.credentials.iter().any(|known| known.id == id));
        let made = proof.completed_at() <= now + self.leeway;
        let fresh = proof.aal() != Aal::Aal2
            || self.second_factor_lifespan.is_none_or(|lifespan| now.since(proof.completed_at()) < lifespan);
        alive && made && fresh
    }

    /// The session's level now.
    pub fn level(&self, session: &Session, now: Timestamp) -> Aal {
        level_of(self.counting_proofs(session, now))
    }

    /// When the newest proof that counts was completed.
    pub fn authenticated_at(&self, session: &Session, now: Timestamp) -> Option<Timestamp> {
        self.counting_proofs(session, now).map(Proof::completed_at).max()
    }

    /// When the newest second-factor proof that counts was completed.
    pub fn second_factor_at(&self, session: &Session, now: Timestamp) -> Option<Timestamp> {
        self.counting_proofs(session, now).filter(|proof| proof.aal() == Aal::Aal2).map(Proof::completed_at).max()
    }
}

/// A session that is alive, with its standing: what one read of the store gives, and what the cache holds.
#[derive(Clone, Debug)]
pub(crate) struct Authenticated {
    pub(crate) session: Session,
    pub(crate) standing: Standing,
}

#[derive(Clone)]
struct Cached {
    authenticated: Arc<Authenticated>,
    read_at: Timestamp,
    epoch: Epoch,
}

/// Sessions read within the last moments, keyed by id.
///
/// An entry is good for `max_age`, and only while nothing was written for its subject on this process. Writes raise one of a
/// fixed number of epochs, chosen by the subject's hash; a read remembers the epoch that stood *before* it began. So a read
/// that raced a write is never served, without a list of keys for each subject. Two subjects that share an epoch cost each
/// other a read, nothing more.
pub(crate) struct StandingCache {
    entries: quick_cache::sync::Cache<SessionId, Cached>,
    epochs: Box<[AtomicU64]>,
    hasher: RandomState,
    max_age: Duration,
}

/// The epoch that stood before a read of the store began: which of them it was, and how high.
#[derive(Clone, Copy)]
pub(crate) struct Epoch {
    slot: usize,
    height: u64,
}

impl StandingCache {
    const EPOCHS: u16 = 4096;

    pub(crate) fn new(capacity: usize, max_age: Duration) -> Self {
        Self {
            entries: quick_cache::sync::Cache::new(capacity),
            epochs: std::iter::repeat_with(AtomicU64::default).take(usize::from(Self::EPOCHS)).collect(),
            hasher: RandomState::new(),
            max_age,
        }
    }

    fn slot_of(&self, subject: &Subject) -> usize {
        let slot = self.hasher.hash_one(subject).checked_rem(Self::EPOCHS.into()).unwrap_or_default();
        usize::try_from(slot).unwrap_or_default()
    }

    /// Call before the store is read.
    pub(crate) fn before_read(&self, subject: &Subject) -> Epoch {
        let slot = self.slot_of(subject);
        Epoch { slot, height: self.height(slot) }
    }

    fn height(&self, slot: usize) -> u64 {
        self.epochs.get(slot).map_or(0, |epoch| epoch.load(Ordering::Acquire))
    }

    /// The session as it was read a moment ago, if nothing speaks against using that.
    pub(crate) fn get(&self, id: SessionId, subject: &Subject, now: Timestamp) -> Option<Arc<Authenticated>> {
        if self.max_age.is_zero() {
            return None;
        }
        let Cached { authenticated, read_at, epoch } = self.entries.get(&id)?;
        let age_known = now >= read_at;
        let fresh = age_known && now.since(read_at) < self.max_age;
        let same_subject = authenticated.session.subject() == subject;
        // The slot is that of the subject in the entry, who is the same.
        let untouched = epoch.height == self.height(epoch.slot);
        (fresh && untouched && same_subject).then_some(authenticated)
    }

    pub(crate) fn insert(&self, authenticated: Arc<Authenticated>, read_at: Timestamp, epoch: Epoch) {
        if !self.max_age.is_zero() {
            let id = authenticated.session.id();
            self.entries.insert(id, Cached { authenticated, read_at, epoch });
        }
    }

    /// Forgets the subject when the returned value is dropped: after a write, and also if the request that writes is given up while
    /// the store is at it.
    pub(crate) fn forget_afterwards<'a>(&'a self, subject: &'a Subject) -> ForgetOnDrop<'a> {
        ForgetOnDrop { cache: self, subject }
    }

    /// Nothing read of this subject so far is served again. Call after every write, whether or not it seemed to succeed.
    pub(crate) fn forget(&self, subject: &Subject) {
        if let Some(epoch) = self.epochs.get(self.slot_of(subject)) {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// See [`StandingCache::forget_afterwards`].
pub(crate) struct ForgetOnDrop<'a> {
    cache: &'a StandingCache,
    subject: &'a Subject,
}

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        self.cache.forget(self.subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn credential() -> CredentialSummary {
        CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 }
    }

    fn stepped_up(credential: CredentialId) -> Session {
        Session::new(Subject::new("kim").unwrap(), Proof::new(Method::Password, Aal::Aal1, at(1000)), 60 * MINUTE)
            .renewed(Proof::new(Method::Totp, Aal::Aal2, at(1100)).with_credential(credential), 60 * MINUTE, None)
    }

    #[test]
    fn a_proof_dies_with_its_credential() {
        let totp = credential();
        let session = stepped_up(totp.id);
        assert_eq!(Standing::new(vec![totp]).level(&session, at(1200)), Aal::Aal2);
        assert_eq!(Standing::new(vec![credential()]).level(&session, at(1200)), Aal::Aal1);
        assert_eq!(Standing::new(vec![]).second_factor_at(&session, at(1200)), None);
    }

    #[test]
    fn a_proof_from_the_future_counts_only_within_the_leeway() {
        let totp = credential();
        let session = stepped_up(totp.id);
        let standing = Standing::new(vec![totp]).leeway(Duration::from_secs(5));
        assert_eq!(standing.level(&session, at(1095)), Aal::Aal2);
        assert_eq!(standing.level(&session, at(1094)), Aal::Aal1);
        assert_eq!(standing.level(&session, at(0)), Aal::Aal0);
    }

    #[test]
    fn a_second_factor_lapses_but_the_session_stays() {
        let totp = credential();
        let session = stepped_up(totp.id);
        let standing = Standing::new(vec![totp]).second_factor_lifespan(Some(MINUTE));
        assert_eq!(standing.level(&session, at(1159)), Aal::Aal2);
        assert_eq!(standing.level(&session, at(1160)), Aal::Aal1);
    }

    #[test]
    fn a_standing_tells_its_credentials_apart_by_level() {
        let totp = credential();
        let passkey = CredentialSummary { method: Method::Passkey, aal: Aal::Aal1, ..credential() };
        assert_eq!(Standing::new(vec![passkey, totp]).credentials(), [passkey, totp]);
        assert!(Standing::new(vec![passkey, totp]).has_second_factor());
        assert!(
            !Standing::new(vec![passkey]).has_second_factor(),
            "a credential of the first level is no second factor"
        );
        assert!(!Standing::new(vec![]).has_second_factor());
    }

    fn cached(cache: &StandingCache, read_at: Timestamp) -> Session {
        let totp = credential();
        let session = stepped_up(totp.id);
        let epoch = cache.before_read(session.subject());
        let authenticated = Authenticated { session: session.clone(), standing: Standing::new(vec![totp]) };
        cache.insert(Arc::new(authenticated), read_at, epoch);
        session
    }

    #[test]
    fn the_cache_serves_within_its_age_and_never_before_its_own_time() {
        let cache = StandingCache::new(10, Duration::from_secs(1));
        let session = cached(&cache, at(2000));
        let get = |now| cache.get(session.id(), session.subject(), now).is_some();
        assert!(get(at(2000)));
        assert!(!get(at(2001)));
        assert!(!get(at(1999)), "a clock that went back makes the age unknown");
        assert!(cache.get(session.id(), &Subject::new("lee").unwrap(), at(2000)).is_none());
    }

    #[test]
    fn a_write_ends_what_was_read_before_and_during_it() {
        let cache = StandingCache::new(10, MINUTE);
        let session = cached(&cache, at(2000));
        cache.forget(session.subject());
        assert!(cache.get(session.id(), session.subject(), at(2000)).is_none());

        let epoch = cache.before_read(session.subject());
        cache.forget(session.subject());
        let authenticated = Authenticated { session: session.clone(), standing: Standing::new(vec![]) };
        cache.insert(Arc::new(authenticated), at(2000), epoch);
        assert!(cache.get(session.id(), session.subject(), at(2000)).is_none());
    }

    #[test]
    fn a_write_that_is_given_up_forgets_the_subject_too() {
        let cache = StandingCache::new(10, MINUTE);
        let session = cached(&cache, at(2000));
        let get = || cache.get(session.id(), session.subject(), at(2000)).is_some();
        let write = cache.forget_afterwards(session.subject());
        assert!(get());
        drop(write);
        assert!(!get());
    }

    #[test]
    fn zero_reads_every_time() {
        let cache = StandingCache::new(10, Duration::ZERO);
        let session = cached(&cache, at(2000));
        assert!(cache.get(session.id(), session.subject(), at(2000)).is_none());
    }
}
