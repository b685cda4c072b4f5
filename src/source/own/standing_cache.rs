//! A cache that saves reading a session and its standing for each request.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    clock::Timestamp,
    session::{SessionId, Subject},
    source::Evidence,
};

#[derive(Clone)]
struct Cached {
    evidence: Arc<Evidence>,
    read_at: Timestamp,
    epoch: Epoch,
}

/// Sessions read within the last moments, keyed by id.
///
/// An entry is good for `max_age`, and only while this process writes nothing for its subject. Each write raises one of a fixed
/// number of epochs, chosen by the subject's hash. A read remembers the epoch from *before* it began, so a read that raced a
/// write is never served. This needs no list of keys for each subject. Two subjects that share an epoch only cost each other a
/// read.
pub(crate) struct StandingCache {
    entries: quick_cache::sync::Cache<SessionId, Cached>,
    epochs: Box<[AtomicU64]>,
    hasher: RandomState,
    max_age: Duration,
}

/// The epoch from before a read of the store began: its slot and its value.
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

    /// The session as it was read a moment ago, if it may still be used.
    pub(crate) fn get(&self, id: SessionId, subject: &Subject, now: Timestamp) -> Option<Arc<Evidence>> {
        if self.max_age.is_zero() {
            return None;
        }
        let Cached { evidence, read_at, epoch } = self.entries.get(&id)?;
        let age_known = now >= read_at;
        let fresh = age_known && now.since(read_at) < self.max_age;
        let same_subject = evidence.session.subject() == subject;
        // The slot is that of the entry's subject, who is the same.
        let untouched = epoch.height == self.height(epoch.slot);
        (fresh && untouched && same_subject).then_some(evidence)
    }

    pub(crate) fn insert(&self, evidence: Arc<Evidence>, read_at: Timestamp, epoch: Epoch) {
        if let Some(id) = evidence.session.id()
            && !self.max_age.is_zero()
        {
            self.entries.insert(id, Cached { evidence, read_at, epoch });
        }
    }

    /// Forgets the subject when the returned value is dropped: after a write, and also if the request is cancelled during the
    /// write.
    pub(crate) fn forget_afterwards<'a>(&'a self, subject: &'a Subject) -> ForgetOnDrop<'a> {
        ForgetOnDrop { cache: self, subject }
    }

    /// Drops everything that was read about anybody so far.
    pub(crate) fn forget_everyone(&self) {
        for epoch in &self.epochs {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Drops everything that was read about this subject so far. Call it after every write, even one that failed.
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
    use crate::{
        aal::{Aal, CredentialId, Method, Proof},
        session::StoredSession,
        standing::{CredentialSummary, Standing},
    };

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn credential() -> CredentialSummary {
        CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 }
    }

    fn stepped_up(credential: CredentialId) -> StoredSession {
        let password = Proof::new(Method::Password, Aal::Aal1, at(1000));
        let totp = Proof::new(Method::Totp, Aal::Aal2, at(1100)).with_credential(credential);
        StoredSession::new(Subject::new("kim").unwrap(), password, at(1000), 60 * MINUTE).renewed(
            totp,
            at(1100),
            60 * MINUTE,
            None,
        )
    }

    fn cached(cache: &StandingCache, read_at: Timestamp) -> StoredSession {
        let totp = credential();
        let session = stepped_up(totp.id);
        let epoch = cache.before_read(session.subject());
        let evidence = Evidence { session: session.clone().into(), standing: Standing::new(vec![totp]) };
        cache.insert(Arc::new(evidence), read_at, epoch);
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
        let evidence = Evidence { session: session.clone().into(), standing: Standing::new(vec![]) };
        cache.insert(Arc::new(evidence), at(2000), epoch);
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
