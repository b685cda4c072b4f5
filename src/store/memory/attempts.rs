//! Counters of attempts.

use uuid::Uuid;

use super::{State, full};
use crate::{
    clock::Timestamp,
    store::{Attempt, AttemptKey, AttemptPolicy, Counted, StoreError},
};

pub(super) struct Counter {
    generation: Uuid,
    failures: u32,
    locked_until: Option<Timestamp>,
    forgotten_at: Option<Timestamp>,
}

impl Counter {
    pub(super) fn is_forgotten(&self, now: Timestamp) -> bool {
        self.forgotten_at.is_some_and(|at| at <= now)
    }
}

impl State {
    pub(super) fn begin_attempt(
        &mut self,
        key: &AttemptKey,
        policy: &AttemptPolicy,
        now: Timestamp,
        capacity: usize,
    ) -> Result<Attempt, StoreError> {
        let known = self.attempts.get(key).filter(|counter| !counter.is_forgotten(now));
        let failures = known.map_or(0, |counter| counter.failures);
        if failures >= policy.hard_stop {
            return Ok(Attempt::Stopped);
        }
        if let Some(until) = known.and_then(|counter| counter.locked_until).filter(|&until| now < until) {
            return Ok(Attempt::LockedUntil(until));
        }
        let generation = known.map(|counter| counter.generation);
        if generation.is_none() {
            self.sweep(now, self.attempts.len() >= capacity);
            if self.attempts.len() >= capacity {
                return Err(full());
            }
        }
        let failures = failures.saturating_add(1);
        let counter = Counter {
            generation: generation.unwrap_or_else(Uuid::new_v4),
            failures,
            locked_until: policy.locked_until(failures, now),
            forgotten_at: policy.forgotten_at(failures, now),
        };
        let attempt = Attempt::Counted(Counted::new(counter.generation, counter.locked_until));
        self.attempts.insert(key.clone(), counter);
        Ok(attempt)
    }

    pub(super) fn give_back_attempt(
        &mut self,
        key: &AttemptKey,
        attempt: &Counted,
        policy: &AttemptPolicy,
        now: Timestamp,
    ) -> bool {
        let own = |counter: &&mut Counter| counter.generation == attempt.generation && counter.failures > 0;
        let Some(counter) = self.attempts.get_mut(key).filter(own) else { return false };
        counter.failures = counter.failures.saturating_sub(1);
        if counter.locked_until == attempt.locked_until {
            counter.locked_until = None;
        }
        if counter.failures < policy.hard_stop {
            counter.forgotten_at = counter.forgotten_at.or(policy.forgotten_at(counter.failures, now));
        }
        true
    }
}
