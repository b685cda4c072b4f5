//! Until when what was read still counts: what this process has written since, and what the store's log has told.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::{clock::Timestamp, session::Subject};

/// Each change raises one of a fixed number of heights, chosen by the subject's hash. A read remembers the height from *before* it
/// began, so a read that raced a change is never served. This needs no list of keys for each subject. Two subjects that share a height
/// only cost each other a read.
///
/// A reading of the log raises the heights of all that changed before it began, and only then says when it began. So what has its height
/// still is as new as that. If the log has a gap, a new turn begins: what was read in an earlier one is vouched for by its age alone.
pub(super) struct Epochs {
    heights: Box<[AtomicU64]>,
    hasher: RandomState,
    turn: AtomicU32,
    origin: Instant,
    /// When the last successful reading of the log began: microseconds since the origin, plus one. Zero: there was none.
    read_at: AtomicU64,
    /// The same by the clock of the application, which goes on while a machine sleeps.
    read_at_by_clock: AtomicI64,
    /// Whether anything was read or served since this was last taken.
    used: AtomicBool,
}

/// The height from before a read of the store began, and the turn.
#[derive(Clone, Copy)]
pub(crate) struct Epoch {
    height: u64,
    slot: u32,
    turn: u32,
}

impl Epochs {
    const FEWEST: usize = 4096;
    const MOST: usize = 65_536;

    /// For about as many sessions as this.
    pub(super) fn new(sessions: usize) -> Self {
        let heights = sessions.clamp(Self::FEWEST, Self::MOST);
        Self {
            heights: std::iter::repeat_with(AtomicU64::default).take(heights).collect(),
            hasher: RandomState::new(),
            turn: AtomicU32::new(0),
            origin: Instant::now(),
            read_at: AtomicU64::new(0),
            read_at_by_clock: AtomicI64::new(0),
            used: AtomicBool::new(false),
        }
    }

    fn slot_of(&self, subject: &Subject) -> u32 {
        let heights = u64::try_from(self.heights.len()).unwrap_or(u64::MAX);
        let slot = self.hasher.hash_one(subject).checked_rem(heights).unwrap_or_default();
        u32::try_from(slot).unwrap_or_default()
    }

    fn at(&self, slot: u32) -> Option<&AtomicU64> {
        self.heights.get(usize::try_from(slot).ok()?)
    }

    fn height(&self, slot: u32) -> u64 {
        self.at(slot).map_or(0, |height| height.load(Ordering::Acquire))
    }

    /// Call before the store is read.
    pub(super) fn before_read(&self, subject: &Subject) -> Epoch {
        let slot = self.slot_of(subject);
        Epoch { height: self.height(slot), slot, turn: self.turn.load(Ordering::Acquire) }
    }

    /// Whether nothing is known to have changed since.
    pub(super) fn is_untouched(&self, epoch: Epoch) -> bool {
        epoch.height == self.height(epoch.slot)
    }

    /// Whether the log has told everything since then that was changed until less than `age` before now, which is given by both clocks. Ask
    /// [`is_untouched`](Self::is_untouched) afterwards, never before: a reading that ends in between would be believed for what it was not
    /// asked.
    pub(super) fn is_followed(&self, epoch: Epoch, age: Duration, now: Instant, by_clock: Timestamp) -> bool {
        let Some(read_at) = self.read_at.load(Ordering::Acquire).checked_sub(1) else { return false };
        let read_by_clock = Timestamp::from_unix_milliseconds(self.read_at_by_clock.load(Ordering::Acquire));
        // Neither clock alone will do: one stands still while the machine sleeps, the other can be set.
        let recent = now.saturating_duration_since(self.origin).saturating_sub(Duration::from_micros(read_at)) < age
            && by_clock.since(read_by_clock).max(read_by_clock.since(by_clock)) < age;
        recent && epoch.turn == self.turn.load(Ordering::Acquire)
    }

    /// Drops everything that was read about this subject so far.
    pub(super) fn raise(&self, subject: &Subject) {
        if let Some(height) = self.at(self.slot_of(subject)) {
            height.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Drops everything that was read about anybody so far.
    pub(super) fn raise_all(&self) {
        for height in &self.heights {
            height.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The log has a gap.
    pub(super) fn begin_turn(&self) {
        self.turn.fetch_add(1, Ordering::AcqRel);
    }

    /// A reading of the log that began then has succeeded. What it told must have been raised already.
    pub(super) fn confirm(&self, began: Instant, by_clock: Timestamp) {
        let since = began.saturating_duration_since(self.origin).as_micros();
        self.read_at_by_clock.store(by_clock.unix_milliseconds(), Ordering::Release);
        self.read_at.store(u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1), Ordering::Release);
    }

    /// Somebody needs the log.
    pub(super) fn use_log(&self) {
        // Not written by each request: the processors would take it from each other.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody has needed it since this was last asked.
    pub(super) fn take_use(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOON: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn kim() -> Subject {
        Subject::new("kim").unwrap()
    }

    #[test]
    fn a_change_ends_what_was_read_before_and_during_it() {
        let epochs = Epochs::new(10);
        let before = epochs.before_read(&kim());
        assert!(epochs.is_untouched(before));
        epochs.raise(&kim());
        assert!(!epochs.is_untouched(before));
        assert!(epochs.is_untouched(epochs.before_read(&kim())));
        let before = epochs.before_read(&kim());
        epochs.raise_all();
        assert!(!epochs.is_untouched(before));
    }

    #[test]
    fn a_reading_counts_from_its_beginning_and_by_both_clocks() {
        let epochs = Epochs::new(10);
        let epoch = epochs.before_read(&kim());
        let began = Instant::now();
        let followed =
            |later: Duration, by_clock: Timestamp| epochs.is_followed(epoch, SECOND, began + later, by_clock);
        assert!(!followed(Duration::ZERO, NOON), "nothing was read yet");
        epochs.confirm(began, NOON);
        let (almost, step) = (Duration::from_millis(999), Duration::from_millis(1));
        assert!(followed(almost, NOON + almost));
        assert!(!followed(almost + step, NOON), "a clock that was set back, or stands still");
        assert!(!followed(Duration::ZERO, NOON + SECOND), "a machine that slept, or a clock that was set forward");
        assert!(!followed(Duration::ZERO, NOON - SECOND), "a clock that was set back");
        epochs.confirm(began + SECOND, NOON + SECOND);
        assert!(followed(SECOND, NOON + SECOND));
    }

    #[test]
    fn after_a_gap_the_log_vouches_for_nothing_that_was_read_before() {
        let epochs = Epochs::new(10);
        let before = epochs.before_read(&kim());
        let began = Instant::now();
        epochs.begin_turn();
        epochs.confirm(began, NOON);
        let followed = |epoch| epochs.is_followed(epoch, SECOND, began, NOON);
        assert!(!followed(before));
        assert!(epochs.is_untouched(before), "its age may still vouch for it");
        assert!(followed(epochs.before_read(&kim())));
    }

    #[test]
    fn there_are_about_as_many_heights_as_sessions() {
        for (sessions, heights) in [(1, 4096), (10_000, 10_000), (1_000_000, 65_536)] {
            assert_eq!(Epochs::new(sessions).heights.len(), heights);
        }
    }
}
