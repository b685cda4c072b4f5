//! Which refusals are logged at INFO and above: a scanner makes thousands a minute, and they must neither fill a disk nor hide.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::clock::Timestamp;

/// What strangers can make without limit, each sampled by itself: the one must not hide the other.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) refusals: Sample,
    pub(super) credentials: Sample,
    /// Of users, by whoever has their password.
    pub(super) locks: Sample,
    /// Of forms that were begun without a session.
    pub(super) used_up_forms: Sample,
}

/// Lets one in a second through, and says how many it held back before.
#[derive(Debug)]
pub(super) struct Sample {
    second: AtomicI64,
    held_back: AtomicU64,
}

impl Default for Sample {
    fn default() -> Self {
        Self { second: AtomicI64::new(i64::MIN), held_back: AtomicU64::new(0) }
    }
}

impl Sample {
    /// How many were held back since the last one that was let through; `None` if this one is held back too.
    pub(super) fn take(&self, at: Timestamp) -> Option<u64> {
        let (second, last) = (at.unix_seconds(), self.second.load(Ordering::Relaxed));
        // Also a clock that was set back lets one through.
        let first =
            second != last && self.second.compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if first {
            return Some(self.held_back.swap(0, Ordering::Relaxed));
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_second_is_let_through_and_none_is_lost() {
        let sample = Sample::default();
        let at = |seconds| Timestamp::from_unix_seconds(seconds);
        let taken: Vec<_> = [5, 5, 5, 6, 9, 9, 8, 8, 10].map(|seconds| sample.take(at(seconds))).into();
        assert_eq!(taken, [Some(0), None, None, Some(2), Some(0), None, Some(1), None, Some(1)]);
    }
}
