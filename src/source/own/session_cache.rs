//! A cache that saves verifying a token, and reading its session and standing, for each request.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    epochs::{Epoch, Epochs},
    known_token::KnownToken,
};
use crate::{
    clock::Timestamp,
    session::{
        BindingKey, SessionId, Subject,
        token::{KeyRing, Verified},
    },
    source::Evidence,
};

/// What was read of a session then.
#[derive(Clone)]
pub(crate) struct Read {
    pub(crate) evidence: Arc<Evidence>,
    pub(crate) at: Timestamp,
    /// When the directory last said that the subject is active.
    pub(crate) asked_at: Timestamp,
    /// Until when the log may vouch for it.
    pub(crate) until: Timestamp,
    pub(crate) epoch: Epoch,
    /// How many of the standing's credentials the store keeps, beside devices: the first. The others are the application's, which is asked again.
    pub(crate) stored: usize,
}

/// What is known of a verified token. What was read of its session repeats what the token says.
#[derive(Clone)]
enum Known {
    Verified(Arc<Verified>),
    Read { read: Read, token_ends_at: Timestamp },
}

impl Known {
    fn ends_at(&self) -> Timestamp {
        match self {
            Self::Verified(verified) => verified.expires_at,
            Self::Read { token_ends_at, .. } => *token_ends_at,
        }
    }
}

/// A token that is valid, and its place in the cache.
pub(crate) struct Found {
    token: KnownToken,
    known: Known,
}

impl Found {
    /// The session that the token names.
    pub(crate) fn names(&self) -> Option<(SessionId, &Subject)> {
        match &self.known {
            Known::Verified(verified) => Some((verified.id, &verified.subject)),
            Known::Read { read, .. } => Some((read.evidence.session.id()?, read.evidence.session.subject())),
        }
    }

    /// What ties its session together through all rotations.
    pub(crate) fn binding(&self) -> Option<BindingKey> {
        match &self.known {
            Known::Verified(verified) => Some(verified.binding),
            Known::Read { read, .. } => read.evidence.session.binding(),
        }
    }

    /// What the token says.
    pub(crate) fn verified(self) -> Option<Verified> {
        Some(match self.known {
            Known::Verified(verified) => Arc::unwrap_or_clone(verified),
            Known::Read { read, token_ends_at } => {
                let session = &read.evidence.session;
                Verified {
                    id: session.id()?,
                    subject: session.subject().clone(),
                    binding: session.binding()?,
                    expires_at: token_ends_at,
                }
            }
        })
    }
}

/// Tokens that were verified, with their sessions as they were read within the last minutes.
///
/// A session is good while nothing is known to have changed since, and either it is younger than `max_age`, or the store's log of changes
/// vouches for it: a reading of the log that *began* less than `max_age` ago told no change of its subject. Either way, what changed
/// longer ago than `max_age` is not served. The log knows only the store, so what the directory said counts for `max_age` and no longer.
pub(crate) struct SessionCache {
    entries: quick_cache::sync::Cache<KnownToken, Known>,
    hasher: foldhash::quality::RandomState,
    epochs: Arc<Epochs>,
    max_age: Duration,
    /// Whether there is a directory that could disable a subject, or that keeps credentials.
    asks_directory: bool,
}

impl SessionCache {
    /// The longest time that an entry is used without being read again.
    pub(crate) const LONGEST: Duration = Duration::from_secs(300);

    pub(super) fn new(capacity: usize, max_age: Duration, asks_directory: bool, epochs: Arc<Epochs>) -> Self {
        let hasher = foldhash::quality::RandomState::default();
        Self { entries: quick_cache::sync::Cache::new(capacity), hasher, epochs, max_age, asks_directory }
    }

    /// The token, after at most one verification; `None` if it is not valid.
    pub(super) fn find(&self, token: &[u8], keys: &KeyRing, now: Timestamp) -> Option<Found> {
        let key = KnownToken::of(token, &self.hasher)?;
        let known = if let Some(known) = self.entries.get(&key) {
            known
        } else {
            let verified = Known::Verified(Arc::new(keys.verify(token, now).ok()?));
            // Only verified tokens are cached, so garbage cannot push a good one out.
            self.entries.insert(key, verified.clone());
            verified
        };
        (now < known.ends_at()).then_some(Found { token: key, known })
    }

    /// Call before the store is read.
    pub(crate) fn before_read(&self, subject: &Subject) -> Epoch {
        self.epochs.before_read(subject)
    }

    /// The session as it was read a moment ago, if it may still be used.
    pub(super) fn believed(&self, found: &Found, now: Timestamp) -> Option<Arc<Evidence>> {
        let Known::Read { read, .. } = &found.known else { return None };
        self.is_believed(read, now).then(|| Arc::clone(&read.evidence))
    }

    /// Whether what was read then may still be used.
    pub(crate) fn is_believed(&self, read: &Read, now: Timestamp) -> bool {
        self.is_vouched(read, now) && (!self.asks_directory || self.is_young(read.asked_at, now))
    }

    /// Whether anything is kept at all.
    pub(crate) const fn keeps(&self) -> bool {
        !self.max_age.is_zero()
    }

    /// What [`believed`](Self::believed) would give if the directory had been asked lately.
    pub(super) fn unasked(&self, found: &Found, now: Timestamp) -> Option<Read> {
        let Known::Read { read, .. } = &found.known else { return None };
        // Only if that is why: who has got it already and asks again wants it from the store.
        let old = now >= read.asked_at && now.since(read.asked_at) >= self.max_age;
        (self.asks_directory && old && self.is_vouched(read, now)).then(|| read.clone())
    }

    fn is_young(&self, at: Timestamp, now: Timestamp) -> bool {
        now >= at && now.since(at) < self.max_age
    }

    fn is_vouched(&self, read: &Read, now: Timestamp) -> bool {
        let vouched = self.is_young(read.at, now) || self.is_followed(read, now);
        vouched && self.epochs.is_untouched(read.epoch)
    }

    fn is_followed(&self, read: &Read, now: Timestamp) -> bool {
        let in_time = now >= read.at && now < read.until;
        let followed = in_time && self.epochs.is_followed(read.epoch, self.max_age, Instant::now(), now);
        if followed {
            self.epochs.use_log();
        }
        followed
    }

    /// Something was read that the log of changes can vouch for.
    pub(crate) fn use_log(&self) {
        self.epochs.use_log();
    }

    /// Keeps what was read of the token's session.
    pub(super) fn keep(&self, found: &Found, read: Read) {
        if !self.keeps() {
            return;
        }
        self.use_log();
        let token_ends_at = found.known.ends_at();
        self.entries.insert(found.token, Known::Read { read, token_ends_at });
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

/// See [`SessionCache::forget_afterwards`].
pub(crate) struct ForgetOnDrop<'a> {
    cache: &'a SessionCache,
    subject: &'a Subject,
}

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        self.cache.forget(self.subject);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::{
        aal::{Aal, CredentialId, Method, Proof},
        session::{SessionToken, SigningKey, StoredSession},
        standing::{CredentialSummary, Standing},
    };

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn ring() -> KeyRing {
        let key = SigningKey::hs256("a", *b"signs in tests and nowhere else.").unwrap();
        KeyRing::new(&[key], "https://bank.example/", Duration::from_secs(5)).unwrap()
    }

    fn session() -> StoredSession {
        let password = Proof::new(Method::Password, Aal::Aal1, at(1000));
        StoredSession::new(Subject::new("kim").unwrap(), password, at(1000), 60 * MINUTE)
    }

    fn token(keys: &KeyRing) -> SessionToken {
        keys.mint(&session(), Aal::Aal1).unwrap()
    }

    fn of_capacity(capacity: usize, max_age: Duration, asks_directory: bool) -> SessionCache {
        SessionCache::new(capacity, max_age, asks_directory, Arc::new(Epochs::new(10)))
    }

    /// A cache, and the token of a session that was read once.
    struct Kept {
        cache: SessionCache,
        keys: KeyRing,
        session: StoredSession,
        token: SessionToken,
    }

    impl Kept {
        fn new(max_age: Duration, asks_directory: bool) -> Self {
            let totp = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
            let proof = Proof::new(Method::Totp, Aal::Aal2, at(1100)).with_credential(totp.id);
            let session = session().renewed(proof, at(1100), 60 * MINUTE, None);
            let keys = ring();
            let token = keys.mint(&session, Aal::Aal2).unwrap();
            let kept = Self { cache: of_capacity(10, max_age, asks_directory), keys, session, token };
            kept.read(at(2000));
            kept
        }

        fn reading(&self, read_at: Timestamp) -> Read {
            let epoch = self.cache.before_read(self.session.subject());
            let evidence = Evidence { session: self.session.clone().into(), standing: Standing::new(vec![]) };
            let until = read_at + SessionCache::LONGEST;
            Read { evidence: Arc::new(evidence), at: read_at, asked_at: read_at, until, epoch, stored: 0 }
        }

        fn read(&self, read_at: Timestamp) {
            self.cache.keep(&self.find(read_at).unwrap(), self.reading(read_at));
        }

        fn find(&self, now: Timestamp) -> Option<Found> {
            self.cache.find(self.token.as_str().as_bytes(), &self.keys, now)
        }

        fn is_believed(&self, now: Timestamp) -> bool {
            self.find(now).is_some_and(|found| self.cache.believed(&found, now).is_some())
        }

        /// By a reading that begins at this very moment, and by the clock then.
        fn reads_the_log(&self, then: Timestamp) {
            self.cache.epochs.confirm(Instant::now(), then);
        }
    }

    #[test]
    fn the_cache_serves_within_its_age_and_never_before_its_own_time() {
        let kept = Kept::new(Duration::from_secs(1), true);
        assert!(kept.is_believed(at(2000)));
        assert!(!kept.is_believed(at(2001)));
        assert!(!kept.is_believed(at(1999)), "a clock that went back makes the age unknown");
    }

    #[test]
    fn a_token_ends_and_says_the_same_before_and_after_its_session_is_read() {
        let kept = Kept::new(MINUTE, false);
        let verified = kept.keys.verify(kept.token.as_str(), at(2000)).unwrap();
        assert_eq!(kept.find(at(2000)).unwrap().verified(), Some(verified.clone()));
        assert_eq!(kept.find(at(2000)).unwrap().names(), Some((verified.id, &verified.subject)));
        let unread = of_capacity(10, MINUTE, false);
        let found = || unread.find(kept.token.as_str().as_bytes(), &kept.keys, at(2000)).unwrap();
        assert_eq!(
            (found().names(), found().verified()),
            (Some((verified.id, &verified.subject)), Some(verified.clone()))
        );
        assert!(unread.believed(&found(), at(2000)).is_none());
        let end = kept.session.expires_at();
        kept.read(end - Duration::from_secs(1));
        assert!(kept.is_believed(end - Duration::from_millis(1)));
        assert!(kept.find(end).is_none(), "out of the cache too");
    }

    #[test]
    fn a_write_ends_what_was_read_before_and_during_it() {
        let kept = Kept::new(MINUTE, true);
        kept.cache.forget(kept.session.subject());
        assert!(!kept.is_believed(at(2000)));

        let reading = kept.reading(at(2000));
        kept.cache.forget(kept.session.subject());
        kept.cache.keep(&kept.find(at(2000)).unwrap(), reading);
        assert!(!kept.is_believed(at(2000)));
    }

    #[test]
    fn a_write_that_is_given_up_forgets_the_subject_too() {
        let kept = Kept::new(MINUTE, true);
        let write = kept.cache.forget_afterwards(kept.session.subject());
        assert!(kept.is_believed(at(2000)));
        drop(write);
        assert!(!kept.is_believed(at(2000)));
    }

    #[test]
    fn zero_reads_every_time() {
        let kept = Kept::new(Duration::ZERO, false);
        kept.reads_the_log(at(2000));
        assert!(!kept.is_believed(at(2000)));
    }

    #[test]
    fn the_log_vouches_for_five_minutes_and_only_while_it_is_read() {
        let kept = Kept::new(MINUTE, false);
        assert!(!kept.is_believed(at(2060)), "it was never read");
        kept.reads_the_log(at(2060));
        assert!(kept.is_believed(at(2060)) && kept.is_believed(at(2119)));
        assert!(!kept.is_believed(at(2120)), "the last reading is too old");
        kept.reads_the_log(at(2299));
        assert!(kept.is_believed(at(2299)));
        assert!(!kept.is_believed(at(2300)), "it is read again after five minutes");
        assert!(!kept.is_believed(at(1999)), "a clock that went back makes the age unknown");
    }

    #[test]
    fn what_the_log_tells_is_dropped_and_the_log_never_overrides_a_write() {
        let kept = Kept::new(MINUTE, false);
        kept.cache.epochs.raise(kept.session.subject());
        kept.reads_the_log(at(2001));
        assert!(!kept.is_believed(at(2001)), "even what is young");
        kept.read(at(2000));
        kept.cache.forget(kept.session.subject());
        kept.reads_the_log(at(2090));
        assert!(!kept.is_believed(at(2090)));
    }

    #[test]
    fn a_gap_in_the_log_leaves_what_is_young() {
        let kept = Kept::new(MINUTE, false);
        kept.cache.epochs.begin_turn();
        kept.reads_the_log(at(2059));
        assert!(kept.is_believed(at(2059)) && !kept.is_believed(at(2060)));
    }

    #[test]
    fn what_the_directory_said_counts_for_its_own_age() {
        let kept = Kept::new(MINUTE, true);
        let unasked = |now| kept.cache.unasked(&kept.find(now).unwrap(), now);
        kept.reads_the_log(at(2070));
        assert!(unasked(at(2059)).is_none(), "it was asked lately");
        assert!(!kept.is_believed(at(2060)));
        let again = unasked(at(2060)).expect("the log vouches for the rest");
        kept.cache.keep(&kept.find(at(2060)).unwrap(), Read { asked_at: at(2060), ..again });
        kept.reads_the_log(at(2119));
        assert!(kept.is_believed(at(2119)) && !kept.is_believed(at(2120)));
        kept.cache.forget(kept.session.subject());
        assert!(unasked(at(2120)).is_none(), "it is read anew");
    }

    /// The cache keeps the end of a token and a hash of the rest.
    #[test]
    fn a_known_signature_lets_nothing_else_through() {
        let (keys, cache) = (ring(), of_capacity(10, MINUTE, false));
        let valid = |token: &[u8]| cache.find(token, &keys, at(1000)).is_some();
        let tokens = [token(&keys), token(&keys)];
        assert!(tokens.iter().all(|token| valid(token.as_str().as_bytes())));
        let [(ours, signature), (theirs, _)] = tokens.each_ref().map(|token| token.as_str().rsplit_once('.').unwrap());
        assert!(!valid(format!("{theirs}.{signature}").as_bytes()));
        for position in 0..ours.len() + 1 + signature.len() {
            let mut changed = tokens[0].as_str().as_bytes().to_vec();
            changed[position] ^= 1;
            assert!(!valid(&changed), "{position}");
            let shorter = [&changed[..position], &changed[position + 1..]].concat();
            assert!(!valid(&shorter), "without {position}");
        }
        assert_eq!(cache.entries.len(), 2);
    }

    #[test]
    fn a_flood_of_forged_tokens_pushes_no_good_one_out() {
        let (keys, cache) = (ring(), of_capacity(100, MINUTE, false));
        let valid = |token: &str| cache.find(token.as_bytes(), &keys, at(1000)).is_some();
        let good: Vec<_> = (0..50).map(|_| token(&keys)).collect();
        let hits = || {
            let before = keys.verifications.load(Relaxed);
            assert!(good.iter().all(|token| valid(token.as_str())));
            good.len() - (keys.verifications.load(Relaxed) - before)
        };
        assert_eq!(hits(), 0, "the first time each is verified");
        let known = hits();
        assert!(known >= 45, "{known} of them are in the cache");

        let (message, _) = good[0].as_str().rsplit_once('.').unwrap();
        for flood in 0..20_000 {
            let before = keys.verifications.load(Relaxed);
            assert!(!valid(&format!("{message}.{flood:043}")));
            assert_eq!(keys.verifications.load(Relaxed) - before, 1);
            if flood % 4000 == 0 {
                assert!(hits() >= known, "after {flood}");
            }
        }
        assert!(hits() >= known);
    }
}
