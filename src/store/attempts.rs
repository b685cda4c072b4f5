//! Attempts: what is counted, how many are allowed, and what follows.

use std::{collections::BTreeSet, time::Duration};

use uuid::Uuid;

use crate::{aal::Method, clock::Timestamp, session::Subject};

/// A subject and a method, whose attempts are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttemptKey {
    /// The subject.
    pub subject: Subject,
    /// The method.
    pub method: Method,
}

impl AttemptKey {
    /// The subject's counters of these methods, each once.
    pub(crate) fn all_of(subject: &Subject, methods: impl IntoIterator<Item = Method>) -> Vec<Self> {
        let methods: BTreeSet<_> = methods.into_iter().collect();
        methods.into_iter().map(|method| Self { subject: subject.clone(), method }).collect()
    }
}

/// How many failed attempts in a row are allowed, and what follows.
///
/// After `free` failures in a row, each further attempt has to wait: first `first_delay`, then twice as long each time, at most
/// `longest_delay`. After `hard_stop` failures in a row, no attempt is evaluated (NIST SP 800-63B-4 section 3.2.2 asks for at
/// most 100) until the factor is bound again or the application unlocks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptPolicy {
    /// Failures in a row that cause no wait.
    pub free: u32,
    /// The wait after the last free failure.
    pub first_delay: Duration,
    /// The longest wait.
    pub longest_delay: Duration,
    /// Failures in a row after which no attempt is evaluated.
    pub hard_stop: u32,
}

impl Default for AttemptPolicy {
    fn default() -> Self {
        Self { free: 5, first_delay: Duration::from_secs(30), longest_delay: Duration::from_secs(3600), hard_stop: 100 }
    }
}

impl AttemptPolicy {
    /// How long a store remembers failures at least: 30 days after the last attempt.
    ///
    /// It is long because an attacker who waits until a counter is forgotten never meets the hard stop. This way they make about
    /// three guesses a day.
    pub const REMEMBERED_FOR: Duration = Duration::from_secs(30 * 86_400);

    /// Until when the next attempt is locked after `failures` in a row, the last of them at `now`; `None` if it is not locked.
    #[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
    pub(super) fn locked_until(&self, failures: u32, now: Timestamp) -> Option<Timestamp> {
        let delay = self.delay_after(failures);
        (!delay.is_zero()).then(|| now + delay)
    }

    /// When a counter with so many failures may be forgotten, if ever.
    #[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
    pub(super) fn forgotten_at(&self, failures: u32, now: Timestamp) -> Option<Timestamp> {
        (failures < self.hard_stop).then(|| now + Self::REMEMBERED_FOR)
    }

    /// How long the next attempt has to wait after `failures` in a row.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_step_up::store::AttemptPolicy;
    ///
    /// let policy = AttemptPolicy::default();
    /// assert_eq!(policy.delay_after(4), Duration::ZERO);
    /// assert_eq!(policy.delay_after(5), Duration::from_secs(30));
    /// assert_eq!(policy.delay_after(6), Duration::from_secs(60));
    /// assert_eq!(policy.delay_after(99), Duration::from_secs(3600));
    /// ```
    pub fn delay_after(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => {
                self.first_delay.saturating_mul(2u32.saturating_pow(beyond.min(31))).min(self.longest_delay)
            }
        }
    }
}

/// Whether an attempt may be evaluated. If it may, it already counts as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "an attempt that is not allowed must not be evaluated"]
pub enum Attempt {
    /// It may, and it stays counted: this store gives nothing back.
    Allowed,
    /// It may, and this names it to [`FlowStore::give_back_attempt`](super::FlowStore::give_back_attempt).
    Counted(Counted),
    /// Not before this instant.
    LockedUntil(Timestamp),
    /// Not at all: the hard stop was reached.
    Stopped,
}

impl Attempt {
    /// Whether it may be evaluated.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed | Self::Counted(_))
    }
}

/// One attempt that was counted, as a store knows it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// Which life of the counter it belongs to. It is drawn at random when a counter begins, and anew when it begins again after a reset
    /// or after it was forgotten.
    pub generation: Uuid,
    /// The lock that this attempt has set, if it has.
    pub locked_until: Option<Timestamp>,
}

impl Counted {
    /// An attempt of this generation, which has set this lock.
    pub const fn new(generation: Uuid, locked_until: Option<Timestamp>) -> Self {
        Self { generation, locked_until }
    }
}
