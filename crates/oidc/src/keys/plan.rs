//! When the issuer is asked for its keys. Pure: ages in, decision out.

use std::time::Duration;

/// How often an unknown key may make us ask. A flood of made-up key ids costs the issuer this much.
pub(crate) const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(60);

/// How long a failed refresh rests while the keys are still good.
pub(crate) const REFRESH_PAUSE: Duration = Duration::from_secs(60);

/// How long a failed attempt rests while no keys are known.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How keys age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// They are read again after this.
    pub(crate) refresh: Duration,
    /// They are forgotten after this.
    pub(crate) keep: Duration,
}

/// How long ago something happened; `None` if never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ages {
    /// The keys were read.
    pub(crate) read: Option<Duration>,
    /// The last attempt to read them began.
    pub(crate) tried: Option<Duration>,
    /// They were read because of an unknown key, and it was not there.
    pub(crate) missed: Option<Duration>,
}

/// What to do about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Use it. Read the keys again beside it, if they are due.
    Use { refresh: bool },
    /// Ask the issuer, and wait for the answer.
    Ask,
    /// There is no such key.
    Absent,
    /// No keys are known, and the issuer was asked a moment ago.
    Unavailable,
}

fn is_over(age: Option<Duration>, pause: Duration) -> bool {
    age.is_none_or(|age| age >= pause)
}

impl Limits {
    /// Whether the keys are still good.
    pub(crate) fn are_usable(&self, ages: Ages) -> bool {
        !is_over(ages.read, self.keep)
    }

    /// `has_key`: whether the keys that were read last have the one that is wanted.
    pub(crate) fn next(&self, ages: Ages, has_key: bool) -> Next {
        if !self.are_usable(ages) {
            return if is_over(ages.tried, RETRY_PAUSE) { Next::Ask } else { Next::Unavailable };
        }
        if has_key {
            return Next::Use {
                refresh: is_over(ages.read, self.refresh) && is_over(ages.tried, REFRESH_PAUSE.min(self.refresh)),
            };
        }
        if is_over(ages.missed, UNKNOWN_KEY_PAUSE) { Next::Ask } else { Next::Absent }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { refresh: Duration::from_secs(300), keep: Duration::from_secs(3600) };

    fn next(read: Option<u64>, tried: Option<u64>, missed: Option<u64>, has_key: bool) -> Next {
        let age = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        LIMITS.next(Ages { read: age(read), tried: age(tried), missed: age(missed) }, has_key)
    }

    #[test]
    fn the_issuer_is_asked_when_it_must_be() {
        for (read, tried, missed, has_key, expected) in [
            (None, None, None, false, Next::Ask),
            (None, Some(4), None, false, Next::Unavailable),
            (None, Some(5), None, false, Next::Ask),
            (Some(0), Some(0), None, true, Next::Use { refresh: false }),
            (Some(299), Some(299), None, true, Next::Use { refresh: false }),
            (Some(300), Some(300), None, true, Next::Use { refresh: true }),
            (Some(900), Some(59), None, true, Next::Use { refresh: false }),
            (Some(900), Some(60), None, true, Next::Use { refresh: true }),
            (Some(3599), Some(1), None, true, Next::Use { refresh: false }),
            (Some(3600), Some(1), None, true, Next::Unavailable),
            (Some(3600), Some(5), None, true, Next::Ask),
            (Some(10), Some(10), None, false, Next::Ask),
            (Some(10), Some(10), Some(10), false, Next::Absent),
            (Some(10), Some(10), Some(59), false, Next::Absent),
            (Some(10), Some(10), Some(60), false, Next::Ask),
        ] {
            assert_eq!(next(read, tried, missed, has_key), expected, "{read:?} {tried:?} {missed:?} {has_key}");
        }
    }

    proptest! {
        /// A key is used only while the keys are young enough, and never one that is not there.
        #[test]
        fn old_keys_are_never_used(
            read in prop::option::of(0..8000u64), tried in prop::option::of(0..8000u64), missed in prop::option::of(0..8000u64), has_key: bool,
        ) {
            let used = matches!(next(read, tried, missed, has_key), Next::Use { .. });
            prop_assert_eq!(used, has_key && read.is_some_and(|read| read < 3600));
        }

        /// Whatever arrives, and however often, a minute sees few questions.
        #[test]
        fn floods_cost_the_issuer_little(wishes in prop::collection::vec((0..2000u64, any::<bool>()), 1..200), reachable: bool) {
            let (mut now, mut asked) = (0u64, Vec::new());
            let (mut read, mut tried, mut missed) = (None, None, None);
            for (pause, has_key) in wishes {
                now += pause;
                let ages = |at: Option<u64>| at.map(|at| Duration::from_millis(now - at));
                let plan = LIMITS.next(Ages { read: ages(read), tried: ages(tried), missed: ages(missed) }, has_key);
                if matches!(plan, Next::Ask | Next::Use { refresh: true }) {
                    asked.push(now);
                    tried = Some(now);
                    read = if reachable { Some(now) } else { read };
                    missed = if !has_key && read.is_some() { Some(now) } else { missed };
                }
            }
            let longest = if reachable { 3 } else { 13 };
            for at in &asked {
                prop_assert!(asked.iter().filter(|other| (*at..at + 60_000).contains(other)).count() <= longest);
            }
        }
    }
}
