//! The log of changes: the last ones, in a ring.

use std::collections::VecDeque;

use super::State;
use crate::{
    session::Subject,
    store::{Changes, LogPlace},
};

#[derive(Default)]
pub(super) struct Log {
    /// How many changes came before those that are kept.
    forgotten: u64,
    /// Oldest first. `None` is everybody.
    kept: VecDeque<Option<Subject>>,
}

impl Log {
    /// As many changes as nobody misses who reads now and then.
    const KEPT: usize = 4096;

    fn tell(&mut self, changed: Option<&Subject>) {
        self.kept.push_back(changed.cloned());
        if self.kept.len() > Self::KEPT && self.kept.pop_front().is_some() {
            self.forgotten = self.forgotten.saturating_add(1);
        }
    }

    fn since(&self, place: Option<&LogPlace>) -> Changes {
        let here = self.forgotten.saturating_add(u64::try_from(self.kept.len()).unwrap_or(u64::MAX));
        let now = LogPlace::new(here.to_string());
        // Also a place that lies ahead of the log is none of it.
        let known = place.and_then(|place| place.as_str().parse().ok()).filter(|seen: &u64| *seen <= here);
        let Some(passed) = known.and_then(|seen| seen.checked_sub(self.forgotten)) else { return Changes::Cut(now) };
        let new = self.kept.iter().skip(usize::try_from(passed).unwrap_or(usize::MAX));
        match new.cloned().collect::<Option<Vec<_>>>() {
            Some(subjects) => Changes::Of(subjects, now),
            None => Changes::OfEverybody(now),
        }
    }
}

impl State {
    pub(super) fn tell(&mut self, subject: &Subject) {
        self.log.tell(Some(subject));
    }

    pub(super) fn tell_everybody(&mut self) {
        self.log.tell(None);
    }

    pub(super) fn changes(&self, since: Option<&LogPlace>) -> Changes {
        self.log.since(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_tells_who_was_away_for_too_long() {
        let kim = Subject::new("kim").unwrap();
        let mut log = Log::default();
        let Changes::Cut(place) = log.since(None) else { panic!("a place to begin") };
        for told in 1..=Log::KEPT {
            log.tell(Some(&kim));
            let Changes::Of(subjects, _) = log.since(Some(&place)) else { panic!("{told} are kept") };
            assert_eq!(subjects.len(), told);
        }
        log.tell(Some(&kim));
        let Changes::Cut(place) = log.since(Some(&place)) else { panic!("one is gone") };
        assert_eq!(log.since(Some(&place)), Changes::Of(vec![], place.clone()));
        assert_eq!(log.kept.len(), Log::KEPT);
    }

    #[test]
    fn a_place_of_another_log_is_none() {
        let log = Log::default();
        for foreign in ["1", "-1", "", "a place"] {
            assert!(matches!(log.since(Some(&LogPlace::new(foreign))), Changes::Cut(_)), "{foreign}");
        }
    }
}
