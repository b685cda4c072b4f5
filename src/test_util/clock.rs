use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::clock::{Clock, Timestamp};

/// A clock that stands still until you move it. Clones share the time.
///
/// ```
/// use std::time::Duration;
/// use tower_step_up::{clock::{Clock, Timestamp}, test_util::FixedClock};
///
/// let clock = FixedClock::new(Timestamp::from_unix_seconds(1_800_000_000));
/// clock.advance(Duration::from_secs(30));
/// assert_eq!(clock.now(), Timestamp::from_unix_seconds(1_800_000_030));
/// ```
#[derive(Clone, Debug)]
pub struct FixedClock(Arc<AtomicI64>);

impl FixedClock {
    /// A clock that shows this time.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.unix_milliseconds())))
    }

    /// Sets it to this time, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.unix_milliseconds(), Ordering::SeqCst);
    }

    /// Moves it forwards.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Default for FixedClock {
    /// 2027-01-15T08:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::from_unix_seconds(1_800_000_000))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_milliseconds(self.0.load(Ordering::SeqCst))
    }
}
