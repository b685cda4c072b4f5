//! What Kratos said a moment ago.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use quick_cache::sync;
use tower_step_up::{clock::Timestamp, source::Evidence};

use crate::credential::Key;

/// So many sessions are remembered, in about five megabytes. More only make Kratos answer more often.
const CAPACITY: usize = 10_000;

/// What was asked at that instant, by the clock that goes on while others are set.
#[derive(Clone)]
struct Heard {
    evidence: Arc<Evidence>,
    at: Instant,
    /// By the application's clock. The other one may stand still while the machine sleeps.
    now: Timestamp,
}

/// Sessions that were shown less than `max_age` ago. Who has none is not remembered, so that strangers push nobody out.
pub(crate) struct Cache {
    sessions: sync::Cache<Key, Heard>,
    max_age: Duration,
}

impl Cache {
    pub(crate) fn new(max_age: Duration) -> Self {
        Self { sessions: sync::Cache::new(CAPACITY), max_age }
    }

    pub(crate) const fn max_age(&self) -> Duration {
        self.max_age
    }

    pub(crate) fn get(&self, key: &Key, now: Timestamp) -> Option<Arc<Evidence>> {
        if self.max_age.is_zero() {
            return None;
        }
        let heard = self.sessions.get(key)?;
        is_young(&heard, Instant::now(), now, self.max_age).then_some(heard.evidence)
    }

    /// Keeps what was asked at that instant.
    pub(crate) fn keep(&self, key: Key, evidence: Arc<Evidence>, at: Instant, now: Timestamp) {
        if !self.max_age.is_zero() {
            self.sessions.insert(key, Heard { evidence, at, now });
        }
    }

    pub(crate) fn forget(&self, key: &Key) {
        self.sessions.remove(key);
    }
}

fn is_young(heard: &Heard, instant: Instant, now: Timestamp, max_age: Duration) -> bool {
    let apart = now.since(heard.now).max(heard.now.since(now));
    instant.saturating_duration_since(heard.at) < max_age && apart < max_age
}

#[cfg(test)]
mod tests {
    use tower_step_up::{
        Subject,
        session::Session,
        standing::{Enrolled, Standing},
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn evidence(name: &str) -> Arc<Evidence> {
        let session = Session::external(Subject::new(name).unwrap(), vec![]);
        Arc::new(Evidence::new(session, Standing::external(Enrolled::Unknown)))
    }

    #[test]
    fn what_was_heard_grows_old_by_either_clock() {
        let at = Instant::now();
        let heard = Heard { evidence: evidence("kim"), at, now: NOW };
        let nearly = Duration::from_millis(999);
        for (instant, now, young) in [
            (at, NOW, true),
            (at + nearly, NOW + nearly, true),
            (at + SECOND, NOW, false),
            (at, NOW + SECOND, false),
            (at, NOW - nearly, true),
            (at, NOW - SECOND, false),
        ] {
            assert_eq!(is_young(&heard, instant, now, SECOND), young, "{instant:?} {now}");
        }
    }

    #[test]
    fn a_session_is_kept_under_its_key_until_it_is_forgotten() {
        let cache = Cache::new(Duration::from_secs(3600));
        cache.keep([1; 32], evidence("kim"), Instant::now(), NOW);
        assert_eq!(cache.get(&[1; 32], NOW), Some(evidence("kim")));
        assert_eq!(cache.get(&[2; 32], NOW), None);
        cache.forget(&[1; 32]);
        assert_eq!(cache.get(&[1; 32], NOW), None);
    }

    #[test]
    fn nothing_is_kept_for_no_time_and_the_number_is_bounded() {
        let none = Cache::new(Duration::ZERO);
        none.keep([1; 32], evidence("kim"), Instant::now(), NOW);
        assert_eq!((none.get(&[1; 32], NOW), none.sessions.len()), (None, 0));
        let cache = Cache::new(Duration::from_secs(3600));
        let kim = evidence("kim");
        for number in 0..3 * u32::try_from(CAPACITY).unwrap() {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_le_bytes());
            cache.keep(key, Arc::clone(&kim), Instant::now(), NOW);
        }
        assert!(cache.sessions.len() <= CAPACITY, "{}", cache.sessions.len());
    }
}
