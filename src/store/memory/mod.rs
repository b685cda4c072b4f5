//! A store in this process's memory.

mod accounts;
mod attempts;
mod erase;
mod flows;
mod log;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Mutex,
};

use self::{accounts::Account, attempts::Counter, flows::Flows, log::Log};
use super::{
    Attempt, AttemptKey, AttemptPolicy, Changes, Completed, Completion, Counted, Credential, FlowId, FlowStore,
    LogPlace, Revocation, StoreError, StoreErrorKind, StoreFuture, StoredFlow, StoredStanding, SubjectStore, Written,
};
use crate::{
    aal::{CredentialId, Method},
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession, Subject},
};

/// Keeps everything in this process's memory. Use it for tests, for a first try, or for one process that may forget.
///
/// A restart forgets all of it: sessions, enrolled credentials, which codes were used, who is locked. Several processes do not
/// share it. In production use a durable store.
///
/// It is bounded: at most [`capacity`](Self::with_capacity) sessions, credentials, flows and counters of attempts, each. Flows without a session
/// that were completed are counted apart, and there are as many at most. What has expired is dropped as the store is used. When it is full,
///
/// * flows give way to new ones: expired ones, then the oldest of those without a session, and then the flows of the subject that has most over
///   all its sessions, its oldest first and those in use last. Their users start again. So no subject can push out another's flows by its own;
/// * of completed flows without a session, those give way that end first;
/// * new sessions, credentials and counters are refused with [`StoreErrorKind::Unavailable`], and no attempt goes uncounted. No live session is
///   thrown out, except where one subject has more than 50: then the oldest session of the one that has most gives way, so that no subject
///   can keep all others out.
///
/// If a panic ever interrupts a change, the store answers `Unavailable` from then on rather than trust what is left.
///
/// ```
/// use tower_step_up::store::MemoryStore;
///
/// let store = MemoryStore::default();
/// # let _ = store;
/// ```
pub struct MemoryStore {
    state: Mutex<State>,
    capacity: usize,
}

/// The data behind the lock. It is reached only through [`MemoryStore::with`].
#[derive(Default)]
struct State {
    accounts: HashMap<Subject, Account>,
    sessions: HashMap<SessionId, StoredSession>,
    credential_ids: HashSet<CredentialId>,
    fingerprints: HashSet<[u8; 32]>,
    flows: Flows,
    attempts: HashMap<AttemptKey, Counter>,
    /// How many times all sessions of a subject or of everybody were ended.
    revocations: u64,
    /// The number of the one that last ended those of everybody; 0 if none did.
    everyone_revoked: u64,
    log: Log,
    /// How many since the last sweep.
    writes: usize,
}

impl MemoryStore {
    const DEFAULT_CAPACITY: usize = 20_000;
    /// The store removes expired entries after at least this many writes. A large store does so after a quarter as many
    /// writes as it has entries, so that a write costs the same however much there is.
    const SWEEP_EVERY: usize = 256;

    /// A store that keeps at most this many sessions, credentials, flows, completed flows without a session, and counters of attempts, each.
    /// The default is 20 000.
    ///
    /// ```
    /// use tower_step_up::store::MemoryStore;
    ///
    /// let store = MemoryStore::with_capacity(500);
    /// # let _ = store;
    /// ```
    pub fn with_capacity(capacity: usize) -> Self {
        Self { state: Mutex::default(), capacity }
    }

    /// The lock is never held across an await: `act` is not async.
    fn with<'a, T: Send + 'a>(
        &'a self,
        act: impl FnOnce(&mut State, usize) -> Result<T, StoreError> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let mut state = self.state.lock().map_err(|_| StoreError::new(StoreErrorKind::Unavailable))?;
            act(&mut state, self.capacity)
        })
    }
}

impl State {
    /// Drops what has expired: now and then, and always when `full`.
    fn sweep(&mut self, now: Timestamp, full: bool) {
        self.writes = self.writes.saturating_add(1);
        let entries = self.sessions.len().max(self.flows.len()).max(self.attempts.len()).max(self.accounts.len());
        if full || self.writes >= MemoryStore::SWEEP_EVERY.max(entries >> 2) {
            self.writes = 0;
            self.flows.sweep(now);
            self.attempts.retain(|_, counter| !counter.is_forgotten(now));
            self.sweep_accounts(now);
        }
    }
}

fn full() -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, "the memory store is full")
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl SubjectStore for MemoryStore {
    fn create_session<'a>(&'a self, session: &'a StoredSession) -> StoreFuture<'a, ()> {
        self.with(|state, capacity| state.create_session(session, capacity))
    }

    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>> {
        self.with(move |state, _| Ok(state.standing(subject, session)))
    }

    fn session_of<'a>(
        &'a self,
        subject: &'a Subject,
        binding: BindingKey,
        now: Timestamp,
    ) -> StoreFuture<'a, Option<StoredStanding>> {
        self.with(move |state, _| Ok(state.session_of(subject, binding, now)))
    }

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<StoredSession>> {
        self.with(move |state, _| Ok(state.sessions(subject, now)))
    }

    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64> {
        self.with(move |state, capacity| Ok(state.revoke(subject, which, capacity)))
    }

    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>> {
        self.with(|state, _| Ok(state.credentials(subject)))
    }

    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed> {
        self.with(|state, capacity| state.carry_out(completion, capacity))
    }

    fn delete_subject<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, ()> {
        self.with(|state, _| {
            state.delete_subject(subject);
            Ok(())
        })
    }

    fn revoke_everyone(&self, _: Timestamp) -> StoreFuture<'_, u64> {
        self.with(|state, _| Ok(state.revoke_everyone()))
    }

    fn revocations(&self) -> StoreFuture<'_, u64> {
        self.with(|state, _| Ok(state.revocations))
    }

    fn note_use<'a>(&'a self, subject: &'a Subject, session: SessionId, at: Timestamp) -> StoreFuture<'a, Written> {
        self.with(move |state, _| Ok(state.note_use(subject, session, at)))
    }

    fn notes_use(&self) -> bool {
        true
    }

    fn changes<'a>(&'a self, since: Option<&'a LogPlace>) -> StoreFuture<'a, Changes> {
        self.with(move |state, _| Ok(state.changes(since)))
    }
}

impl FlowStore for MemoryStore {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()> {
        self.with(move |state, capacity| state.create_flow(flow, keep, now, capacity))
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        self.with(move |state, _| Ok(state.flow(id)))
    }

    fn touch_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        self.with(|state, _| Ok(state.touch_flow(flow).into()))
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        self.with(|state, _| Ok(state.update_flow(flow).into()))
    }

    fn complete_flow<'a>(&'a self, flow: &'a StoredFlow, now: Timestamp) -> StoreFuture<'a, Written> {
        self.with(move |state, _| Ok(state.complete_flow(flow, now).into()))
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        self.with(move |state, _| {
            state.remove_flows(subject, except);
            Ok(())
        })
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        self.with(move |state, capacity| state.begin_attempt(key, policy, now, capacity))
    }

    fn give_back_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        attempt: &'a Counted,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, bool> {
        self.with(move |state, _| Ok(state.give_back_attempt(key, attempt, policy, now)))
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        self.with(|state, _| {
            state.attempts.remove(key);
            Ok(())
        })
    }

    fn forget_subject<'a>(&'a self, subject: &'a Subject, _: &'a [Method]) -> StoreFuture<'a, ()> {
        self.with(|state, _| {
            state.forget_subject(subject);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
