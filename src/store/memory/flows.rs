//! Flows, and which of them gives way when there are too many.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use super::State;
use crate::{
    clock::Timestamp,
    session::{BindingKey, Subject},
    store::{EXPIRED_FLOWS_KEPT, FlowId, PRUNE_EVERY, StoreError, StoreErrorKind, StoredFlow},
};

/// All flows, and the orders in which they give way. Every change takes a flow out of the orders and enters it again, so that finding the one
/// to go never looks at all of them.
#[derive(Default)]
pub(super) struct Flows {
    pub(super) all: HashMap<FlowId, Kept>,
    /// The place of the next one.
    next: u64,
    /// By end: all but those that are done.
    pub(super) by_end: BTreeSet<(Timestamp, FlowId)>,
    /// By end: those without a session that were completed. They only say that something was proven with them, and so that it cannot be once
    /// more. No number of others pushes them out.
    pub(super) done: BTreeSet<(Timestamp, FlowId)>,
    /// By age: the others without a session.
    pub(super) anonymous: BTreeMap<u64, FlowId>,
    /// By age: those of each session.
    pub(super) of_sessions: HashMap<BindingKey, BTreeMap<u64, FlowId>>,
    /// The same for each owner, over all their sessions.
    pub(super) of_owners: HashMap<Option<Subject>, Own>,
    /// Who has most comes last; of several, the one who has the oldest.
    pub(super) most: BTreeMap<Rank, Option<Subject>>,
}

pub(super) struct Kept {
    pub(super) flow: StoredFlow,
    /// A later one has a greater place.
    pub(super) place: u64,
}

/// By age, those in use after all others.
pub(super) type Own = BTreeMap<(bool, u64), FlowId>;

pub(super) type Rank = (usize, Reverse<(bool, u64)>);

pub(super) fn rank(own: &Own) -> Option<Rank> {
    own.first_key_value().map(|(&oldest, _)| (own.len(), Reverse(oldest)))
}

impl Flows {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Enters the flow into the orders.
    fn enter(&mut self, flow: &StoredFlow, place: u64) {
        match flow.binding {
            None if flow.completed => {
                self.done.insert((flow.expires_at, flow.id));
                return;
            }
            None => {
                self.anonymous.insert(place, flow.id);
            }
            Some(binding) => {
                self.of_sessions.entry(binding).or_default().insert(place, flow.id);
                self.change_owner(flow.subject.as_ref(), |own| own.insert((flow.in_use, place), flow.id));
            }
        }
        self.by_end.insert((flow.expires_at, flow.id));
    }

    /// Takes the flow out of the orders.
    fn leave(&mut self, flow: &StoredFlow, place: u64) {
        self.done.remove(&(flow.expires_at, flow.id));
        self.by_end.remove(&(flow.expires_at, flow.id));
        self.anonymous.remove(&place);
        let Some(binding) = flow.binding else { return };
        if let Some(own) = self.of_sessions.get_mut(&binding) {
            own.remove(&place);
            if own.is_empty() {
                self.of_sessions.remove(&binding);
            }
        }
        self.change_owner(flow.subject.as_ref(), |own| own.remove(&(flow.in_use, place)));
    }

    fn change_owner(&mut self, owner: Option<&Subject>, change: impl FnOnce(&mut Own) -> Option<FlowId>) {
        let owner = owner.cloned();
        let own = self.of_owners.entry(owner.clone()).or_default();
        let before = rank(own);
        change(own);
        let after = rank(own);
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.most.remove(&before);
        }
        match after {
            Some(after) => {
                self.most.insert(after, owner);
            }
            None => {
                self.of_owners.remove(&owner);
            }
        }
    }

    fn change<T>(&mut self, id: FlowId, change: impl FnOnce(&mut StoredFlow) -> T) -> Option<T> {
        let Kept { mut flow, place } = self.all.remove(&id)?;
        self.leave(&flow, place);
        let changed = change(&mut flow);
        self.enter(&flow, place);
        self.all.insert(id, Kept { flow, place });
        Some(changed)
    }

    fn drop(&mut self, id: FlowId) {
        if let Some(Kept { flow, place }) = self.all.remove(&id) {
            self.leave(&flow, place);
        }
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        while let Some(id) = self.removable(now) {
            self.drop(id);
        }
    }

    #[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
    fn removable(&self, now: Timestamp) -> Option<FlowId> {
        let mut first = [&self.by_end, &self.done].into_iter().filter_map(|order| order.first());
        first.find(|(end, _)| *end + EXPIRED_FLOWS_KEPT <= now).map(|&(_, id)| id)
    }

    /// Adds a flow, and lets others give way to it: those of its session first, and then whatever is too many.
    fn add(&mut self, flow: &StoredFlow, keep: u32, now: Timestamp, capacity: usize) {
        let place = self.next;
        self.next = place.saturating_add(1);
        let flow = StoredFlow { in_use: false, ..flow.clone() };
        self.enter(&flow, place);
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        match flow.binding {
            Some(binding) => self.prune_session(binding, keep),
            // Many may go at once.
            None if place.is_multiple_of(PRUNE_EVERY.unsigned_abs()) => {
                let too_many = self.anonymous.len().saturating_sub(keep);
                let going: Vec<_> = self.anonymous.values().copied().take(too_many).collect();
                for id in going {
                    self.drop(id);
                }
            }
            None => {}
        }
        let id = flow.id;
        self.all.insert(id, Kept { flow, place });
        while self.by_end.len() > capacity {
            let first = self.first_to_go(id, now);
            self.drop(first);
        }
        // They have room of their own, so that who signs in again and again leaves room for what is open.
        while self.done.len() > capacity
            && let Some(&(_, id)) = self.done.first()
        {
            self.drop(id);
        }
    }

    fn prune_session(&mut self, binding: BindingKey, keep: usize) {
        let Some(own) = self.of_sessions.get(&binding) else { return };
        // The one in use stays. Of two flows, the other is the new one: so it stays only where two may.
        let stays = |id: &FlowId| keep > 1 && self.all.get(id).is_some_and(|kept| kept.flow.in_use);
        let going = own.values().copied().filter(|id| !stays(id)).take(own.len().saturating_sub(keep));
        let going: Vec<_> = going.collect();
        for id in going {
            self.drop(id);
        }
    }

    /// Which flow gives way to the new one: what has expired, then what is of no session, then what is of whoever has most.
    fn first_to_go(&self, new: FlowId, now: Timestamp) -> FlowId {
        let expired = self.by_end.iter().take_while(|(end, _)| *end <= now).map(|(_, id)| id);
        let owned = self.most.values().rev().filter_map(|owner| self.of_owners.get(owner)).flat_map(BTreeMap::values);
        let mut order = expired.chain(self.anonymous.values()).chain(owned);
        order.find(|&&id| id != new).copied().unwrap_or(new)
    }
}

impl State {
    pub(super) fn create_flow(
        &mut self,
        flow: &StoredFlow,
        keep: u32,
        now: Timestamp,
        capacity: usize,
    ) -> Result<(), StoreError> {
        if self.flows.all.contains_key(&flow.id) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        self.sweep(now, false);
        self.flows.add(flow, keep, now, capacity);
        Ok(())
    }

    pub(super) fn flow(&self, id: FlowId) -> Option<StoredFlow> {
        self.flows.all.get(&id).map(|kept| kept.flow.clone())
    }

    pub(super) fn touch_flow(&mut self, touched: &StoredFlow) -> bool {
        let there = self.flows.all.get(&touched.id).map(|kept| kept.flow.binding);
        if let Some(Some(binding)) = there {
            let own = self.flows.of_sessions.get(&binding).into_iter().flat_map(BTreeMap::values);
            let own: Vec<_> = own.copied().collect();
            for id in own {
                self.flows.change(id, |flow| flow.in_use = id == touched.id);
            }
        }
        there.is_some()
    }

    pub(super) fn update_flow(&mut self, new: &StoredFlow) -> bool {
        let Some(Kept { flow, .. }) = self.flows.all.get_mut(&new.id) else { return false };
        if flow.version != new.version || flow.completed {
            return false;
        }
        flow.version = flow.version.saturating_add(1);
        flow.body.clone_from(&new.body);
        true
    }

    pub(super) fn is_open(&self, id: FlowId, now: Timestamp) -> bool {
        self.flows.all.get(&id).is_some_and(|kept| !kept.flow.completed && kept.flow.expires_at > now)
    }

    pub(super) fn complete_flow(&mut self, new: &StoredFlow, now: Timestamp) -> bool {
        let completed = self.is_open(new.id, now).then(|| {
            self.flows.change(new.id, |flow| {
                flow.completed = true;
                flow.version = flow.version.saturating_add(1);
                flow.body.clone_from(&new.body);
            })
        });
        completed.flatten().is_some()
    }

    pub(super) fn remove_flows(&mut self, subject: &Subject, except: Option<FlowId>) {
        let of_subject = |flow: &StoredFlow| flow.subject.as_ref() == Some(subject) && Some(flow.id) != except;
        let flows = self.flows.all.values().map(|kept| &kept.flow);
        let going: Vec<_> = flows.filter(|flow| of_subject(flow)).map(|flow| flow.id).collect();
        for id in going {
            self.flows.drop(id);
        }
    }
}
