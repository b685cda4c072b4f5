//! A store in memory that can be made to fail, to hang, and that counts how often it is read.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

use tower_step_up::{
    Session, SessionId, Subject, Timestamp,
    store::{
        Attempt, AttemptKey, AttemptPolicy, Completed, Completion, Credential, FlowId, FlowStore, MemoryStore,
        Revocation, StoreError, StoreErrorKind, StoreFuture, StoredFlow, StoredStanding, SubjectStore,
    },
};

/// What no log, error or answer may show.
pub const ADDRESS: &str = "postgres://bank:hunter2@db.internal";

#[derive(Clone, Default)]
pub struct TestStore(Arc<State>);

#[derive(Default)]
struct State {
    memory: MemoryStore,
    mode: AtomicU8,
    reads: AtomicUsize,
}

impl TestStore {
    pub fn works(&self) {
        self.0.mode.store(0, Ordering::SeqCst);
    }

    pub fn is_down(&self) {
        self.0.mode.store(1, Ordering::SeqCst);
    }

    pub fn hangs(&self) {
        self.0.mode.store(2, Ordering::SeqCst);
    }

    /// How many sessions were read since the last time it was asked.
    pub fn take_reads(&self) -> usize {
        self.0.reads.swap(0, Ordering::SeqCst)
    }

    fn within<'a, T: Send + 'a>(&'a self, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        Box::pin(async move {
            match self.0.mode.load(Ordering::SeqCst) {
                0 => call.await,
                1 => Err(StoreError::with_source(StoreErrorKind::Unavailable, ADDRESS)),
                _ => pending().await,
            }
        })
    }
}

impl SubjectStore for TestStore {
    fn create_session<'a>(&'a self, session: &'a Session) -> StoreFuture<'a, ()> {
        self.within(self.0.memory.create_session(session))
    }

    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        self.within(self.0.memory.standing(subject, session))
    }

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<Session>> {
        self.within(self.0.memory.sessions(subject, now))
    }

    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64> {
        self.within(self.0.memory.revoke(subject, which))
    }

    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>> {
        self.within(self.0.memory.credentials(subject))
    }

    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed> {
        self.within(self.0.memory.complete(completion))
    }
}

impl FlowStore for TestStore {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()> {
        self.within(self.0.memory.create_flow(flow, keep, now))
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        self.within(self.0.memory.flow(id))
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, bool> {
        self.within(self.0.memory.update_flow(flow))
    }

    fn complete_flow(&self, id: FlowId, now: Timestamp) -> StoreFuture<'_, bool> {
        self.within(self.0.memory.complete_flow(id, now))
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        self.within(self.0.memory.remove_flows(subject, except))
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        self.within(self.0.memory.begin_attempt(key, policy, now))
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        self.within(self.0.memory.reset_attempts(key))
    }
}
