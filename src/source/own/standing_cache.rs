//! A cache that saves reading a session and its standing for each request.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::epochs::{Epoch, Epochs};
use crate::{
    clock::Timestamp,
    session::{SessionId, Subject},
    source::Evidence,
};

#[derive(Clone)]
struct Cached {
    evidence: Arc<Evidence>,
    read_at: Timestamp,
    /// When the directory last said that the subject is active.
    asked_at: Timestamp,
    /// Until when the log may vouch for it.
    until: Timestamp,
    epoch: Epoch,
}

/// Sessions read within the last minutes, keyed by id.
///
/// An entry is good while nothing is known to have changed since, and either it is younger than `max_age`, or the store's log of changes
/// vouches for it: a reading of the log that *began* less than `max_age` ago told no change of its subject. Either way, what changed
/// longer ago than `max_age` is not served. The log knows only the store, so what the directory said counts for `max_age` and no longer.
pub(crate) struct StandingCache {
    entries: quick_cache::sync::Cache<SessionId, Cached>,
    epochs: Arc<Epochs>,
    max_age: Duration,
    /// Whether there is a directory that could disable a subject.
    asks_directory: bool,
}

/// What the log vouches for, but the directory must be asked again.
pub(crate) struct Unasked(Cached);

impl StandingCache {
    /// The longest time that an entry is used without being read again.
    pub(super) const LONGEST: Duration = Duration::from_secs(300);

    pub(super) fn new(capacity: usize, max_age: Duration, asks_directory: bool, epochs: Arc<Epochs>) -> Self {
        Self { entries: quick_cache::sync::Cache::new(capacity), epochs, max_age, asks_directory }
    }

    /// Call before the store is read.
    pub(crate) fn before_read(&self, subject: &Subject) -> Epoch {
        self.epochs.before_read(subject)
    }

    /// The session as it was read a moment ago, if it may still be used.
    pub(crate) fn get(&self, id: SessionId, subject: &Subject, now: Timestamp) -> Option<Arc<Evidence>> {
        let cached = self.vouched(id, subject, now)?;
        (!self.asks_directory || self.is_young(cached.asked_at, now)).then_some(cached.evidence)
    }

    /// The session that [`get`](Self::get) would return if the directory had been asked lately.
    pub(crate) fn get_unasked(&self, id: SessionId, subject: &Subject, now: Timestamp) -> Option<Unasked> {
        let cached = self.vouched(id, subject, now)?;
        // Only if that is why: who has got it already and asks again wants it from the store.
        let old = now >= cached.asked_at && now.since(cached.asked_at) >= self.max_age;
        (self.asks_directory && old).then_some(Unasked(cached))
    }

    fn is_young(&self, at: Timestamp, now: Timestamp) -> bool {
        now >= at && now.since(at) < self.max_age
    }

    fn vouched(&self, id: SessionId, subject: &Subject, now: Timestamp) -> Option<Cached> {
        if self.max_age.is_zero() {
            return None;
        }
        let cached = self.entries.get(&id)?;
        let vouched = self.is_young(cached.read_at, now) || self.is_followed(&cached, now);
        let same_subject = cached.evidence.session.subject() == subject;
        // The epoch is that of the entry's subject, who is the same.
        (vouched && same_subject && self.epochs.is_untouched(cached.epoch)).then_some(cached)
    }

    fn is_followed(&self, cached: &Cached, now: Timestamp) -> bool {
        let in_time = now >= cached.read_at && now < cached.until;
        let followed = in_time && self.epochs.is_followed(cached.epoch, self.max_age, Instant::now(), now);
        if followed {
            self.epochs.use_log();
        }
        followed
    }

    /// Keeps what was read then, after the directory was asked. The log may vouch for it until the second instant.
    pub(crate) fn insert(&self, evidence: Arc<Evidence>, read_at: Timestamp, until: Timestamp, epoch: Epoch) {
        if let Some(id) = evidence.session.id()
            && !self.max_age.is_zero()
        {
            self.epochs.use_log();
            self.entries.insert(id, Cached { evidence, read_at, asked_at: read_at, until, epoch });
        }
    }

    /// The directory was asked then, and said that the subject is active.
    pub(crate) fn asked(&self, Unasked(mut cached): Unasked, asked_at: Timestamp) -> Arc<Evidence> {
        let evidence = Arc::clone(&cached.evidence);
        cached.asked_at = asked_at;
        if let Some(id) = evidence.session.id() {
            self.entries.insert(id, cached);
        }
        evidence
    }

    /// Forgets the subject when the returned value is dropped: after a write, and also if the request is cancelled during the
    /// write.
    pub(crate) fn forget_afterwards<'a>(&'a self, subject: &'a Subject) -> ForgetOnDrop<'a> {
        ForgetOnDrop { cache: self, subject }
    }

    /// Drops everything that was read about anybody so far.
    pub(crate) fn forget_everyone(&self) {
        self.epochs.raise_all();
    }

    /// Drops everything that was read about this subject so far. Call it after every write, even one that failed.
    pub(crate) fn forget(&self, subject: &Subject) {
        self.epochs.raise(subject);
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

    fn cache(max_age: Duration, asks_directory: bool) -> StandingCache {
        StandingCache::new(10, max_age, asks_directory, Arc::new(Epochs::new(10)))
    }

    fn cached(cache: &StandingCache, read_at: Timestamp) -> StoredSession {
        let totp = credential();
        let session = stepped_up(totp.id);
        let epoch = cache.before_read(session.subject());
        let evidence = Evidence { session: session.clone().into(), standing: Standing::new(vec![totp]) };
        cache.insert(Arc::new(evidence), read_at, read_at + StandingCache::LONGEST, epoch);
        session
    }

    #[test]
    fn the_cache_serves_within_its_age_and_never_before_its_own_time() {
        let cache = cache(Duration::from_secs(1), true);
        let session = cached(&cache, at(2000));
        let get = |now| cache.get(session.id(), session.subject(), now).is_some();
        assert!(get(at(2000)));
        assert!(!get(at(2001)));
        assert!(!get(at(1999)), "a clock that went back makes the age unknown");
        assert!(cache.get(session.id(), &Subject::new("lee").unwrap(), at(2000)).is_none());
    }

    #[test]
    fn a_write_ends_what_was_read_before_and_during_it() {
        let cache = cache(MINUTE, true);
        let session = cached(&cache, at(2000));
        cache.forget(session.subject());
        assert!(cache.get(session.id(), session.subject(), at(2000)).is_none());

        let epoch = cache.before_read(session.subject());
        cache.forget(session.subject());
        let evidence = Evidence { session: session.clone().into(), standing: Standing::new(vec![]) };
        cache.insert(Arc::new(evidence), at(2000), at(3000), epoch);
        assert!(cache.get(session.id(), session.subject(), at(2000)).is_none());
    }

    #[test]
    fn a_write_that_is_given_up_forgets_the_subject_too() {
        let cache = cache(MINUTE, true);
        let session = cached(&cache, at(2000));
        let get = || cache.get(session.id(), session.subject(), at(2000)).is_some();
        let write = cache.forget_afterwards(session.subject());
        assert!(get());
        drop(write);
        assert!(!get());
    }

    #[test]
    fn zero_reads_every_time() {
        let cache = cache(Duration::ZERO, false);
        let session = cached(&cache, at(2000));
        cache.epochs.confirm(Instant::now(), at(2000));
        assert!(cache.get(session.id(), session.subject(), at(2000)).is_none());
    }

    /// By a reading that begins at this very moment, and by the clock then.
    fn reads_the_log(cache: &StandingCache, then: Timestamp) {
        cache.epochs.confirm(Instant::now(), then);
    }

    #[test]
    fn the_log_vouches_for_five_minutes_and_only_while_it_is_read() {
        let cache = cache(MINUTE, false);
        let session = cached(&cache, at(2000));
        let get = |now| cache.get(session.id(), session.subject(), now).is_some();
        assert!(!get(at(2060)), "it was never read");
        reads_the_log(&cache, at(2060));
        assert!(get(at(2060)) && get(at(2119)));
        assert!(!get(at(2120)), "the last reading is too old");
        reads_the_log(&cache, at(2299));
        assert!(get(at(2299)));
        assert!(!get(at(2300)), "it is read again after five minutes");
        assert!(!get(at(1999)), "a clock that went back makes the age unknown");
    }

    #[test]
    fn what_the_log_tells_is_dropped_and_the_log_never_overrides_a_write() {
        let cache = cache(MINUTE, false);
        let session = cached(&cache, at(2000));
        let get = |now| cache.get(session.id(), session.subject(), now).is_some();
        cache.epochs.raise(session.subject());
        reads_the_log(&cache, at(2001));
        assert!(!get(at(2001)), "even what is young");
        let session = cached(&cache, at(2000));
        let get = |now| cache.get(session.id(), session.subject(), now).is_some();
        cache.forget(session.subject());
        reads_the_log(&cache, at(2090));
        assert!(!get(at(2090)));
    }

    #[test]
    fn a_gap_in_the_log_leaves_what_is_young() {
        let cache = cache(MINUTE, false);
        let session = cached(&cache, at(2000));
        let get = |now| cache.get(session.id(), session.subject(), now).is_some();
        cache.epochs.begin_turn();
        reads_the_log(&cache, at(2059));
        assert!(get(at(2059)) && !get(at(2060)));
    }

    #[test]
    fn what_the_directory_said_counts_for_its_own_age() {
        let cache = cache(MINUTE, true);
        let session = cached(&cache, at(2000));
        let get = |now| cache.get(session.id(), session.subject(), now).is_some();
        let unasked = |now| cache.get_unasked(session.id(), session.subject(), now);
        reads_the_log(&cache, at(2070));
        assert!(unasked(at(2059)).is_none(), "it was asked lately");
        assert!(!get(at(2060)));
        let again = unasked(at(2060)).expect("the log vouches for the rest");
        assert_eq!(cache.asked(again, at(2060)).session.id(), Some(session.id()));
        reads_the_log(&cache, at(2119));
        assert!(get(at(2119)) && !get(at(2120)));
        cache.forget(session.subject());
        assert!(unasked(at(2120)).is_none(), "it is read anew");
    }
}
