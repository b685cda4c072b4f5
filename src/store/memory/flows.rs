//! Flows and counters of attempts.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{State, full};
use crate::{
    clock::Timestamp,
    session::{BindingKey, Subject},
    store::{
        Attempt, AttemptKey, AttemptPolicy, Counted, EXPIRED_FLOWS_KEPT, FlowId, PRUNE_EVERY, StoreError,
        StoreErrorKind, StoredFlow,
    },
};

pub(super) struct Kept {
    flow: StoredFlow,
    /// Its place in [`State::flow_order`].
    place: u64,
}

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
    #[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
    pub(super) fn sweep_flows(&mut self, now: Timestamp) {
        self.drop_flows(|flow| flow.expires_at + EXPIRED_FLOWS_KEPT <= now);
    }

    fn drop_flows(&mut self, which: impl Fn(&StoredFlow) -> bool) {
        let going: Vec<_> = self.flows.values().filter(|kept| which(&kept.flow)).map(|kept| kept.flow.id).collect();
        for id in going {
            self.drop_flow(id);
        }
    }

    fn drop_flow(&mut self, id: FlowId) {
        let Some(Kept { flow, place }) = self.flows.remove(&id) else { return };
        self.flow_order.remove(&place);
        if let Some(own) = self.flows_of.get_mut(&flow.binding) {
            own.remove(&place);
            if own.is_empty() {
                self.flows_of.remove(&flow.binding);
            }
        }
    }

    pub(super) fn create_flow(
        &mut self,
        flow: &StoredFlow,
        keep: u32,
        now: Timestamp,
        capacity: usize,
    ) -> Result<(), StoreError> {
        if self.flows.contains_key(&flow.id) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        self.sweep(now, self.flows.len() >= capacity);
        let place = self.flow_order.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        self.flow_order.insert(place, flow.id);
        self.flows_of.entry(flow.binding).or_default().insert(place, flow.id);
        self.flows.insert(flow.id, Kept { flow: StoredFlow { in_use: false, ..flow.clone() }, place });
        // A session has few flows. Without a session, many may go at once.
        if flow.binding.is_some() || place.is_multiple_of(PRUNE_EVERY.unsigned_abs()) {
            self.prune_flows(flow.binding, keep);
        }
        while self.flows.len() > capacity
            && let Some((_, &oldest)) = self.flow_order.first_key_value()
        {
            self.drop_flow(oldest);
        }
        Ok(())
    }

    fn prune_flows(&mut self, binding: Option<BindingKey>, keep: u32) {
        let Some(own) = self.flows_of.get(&binding) else { return };
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        // The one in use stays. Of two flows, the other is the new one: so it stays only where two may.
        let stays = |id: &FlowId| keep > 1 && self.flows.get(id).is_some_and(|kept| kept.flow.in_use);
        let going = own.values().copied().filter(|id| !stays(id)).take(own.len().saturating_sub(keep));
        let going: Vec<_> = going.collect();
        for id in going {
            self.drop_flow(id);
        }
    }

    pub(super) fn flow(&self, id: FlowId) -> Option<StoredFlow> {
        self.flows.get(&id).map(|kept| kept.flow.clone())
    }

    pub(super) fn touch_flow(&mut self, touched: &StoredFlow) -> bool {
        let there = self.flows.get(&touched.id).map(|kept| kept.flow.binding);
        if let Some(Some(binding)) = there {
            let own = self.flows_of.get(&Some(binding)).into_iter().flat_map(BTreeMap::values);
            for id in own {
                if let Some(Kept { flow, .. }) = self.flows.get_mut(id) {
                    flow.in_use = flow.id == touched.id;
                }
            }
        }
        there.is_some()
    }

    pub(super) fn update_flow(&mut self, new: &StoredFlow) -> bool {
        let Some(Kept { flow, .. }) = self.flows.get_mut(&new.id) else { return false };
        if flow.version != new.version || flow.completed {
            return false;
        }
        flow.version = flow.version.saturating_add(1);
        flow.body.clone_from(&new.body);
        true
    }

    pub(super) fn is_open(&self, id: FlowId, now: Timestamp) -> bool {
        self.flows.get(&id).is_some_and(|kept| !kept.flow.completed && kept.flow.expires_at > now)
    }

    pub(super) fn complete_flow(&mut self, new: &StoredFlow, now: Timestamp) -> bool {
        let open = self.is_open(new.id, now);
        if open && let Some(Kept { flow, .. }) = self.flows.get_mut(&new.id) {
            flow.completed = true;
            flow.version = flow.version.saturating_add(1);
            flow.body.clone_from(&new.body);
        }
        open
    }

    pub(super) fn remove_flows(&mut self, subject: &Subject, except: Option<FlowId>) {
        self.drop_flows(|flow| flow.subject.as_ref() == Some(subject) && Some(flow.id) != except);
    }

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
