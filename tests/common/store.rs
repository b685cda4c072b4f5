//! A store around another (in memory, if nothing else is said) that can be made to fail, to hang, to yield, to hold a call back, and
//! that counts how often it is read.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

use tokio::{sync::Notify, task::yield_now};

use tower_step_up::{
    Session, SessionId, Subject, Timestamp,
    store::{
        Attempt, AttemptKey, AttemptPolicy, Completed, Completion, Credential, FlowId, FlowStore, MemoryStore,
        Revocation, StoreError, StoreErrorKind, StoreFuture, StoredFlow, StoredStanding, SubjectStore,
    },
};

/// What no log, error or answer may show.
pub const ADDRESS: &str = "postgres://bank:hunter2@db.internal";

pub trait Both: SubjectStore + FlowStore {}

impl<S: SubjectStore + FlowStore> Both for S {}

#[derive(Clone)]
pub struct TestStore(Arc<State>);

struct State {
    inner: Box<dyn Both>,
    mode: AtomicU8,
    reads: AtomicUsize,
    /// The names of the calls, in order.
    calls: Mutex<Vec<&'static str>>,
    /// In how many calls one fails.
    fail_in: Mutex<Option<usize>>,
    /// Calls of this name wait.
    held: Mutex<Option<(&'static str, Arc<Gate>)>>,
    /// What becomes of a completion before it is applied.
    edit: Mutex<fn(&mut Completion)>,
}

/// Holds calls back until it is opened.
#[derive(Default)]
pub struct Gate {
    reached: Notify,
    opened: Notify,
}

impl Gate {
    /// Until a call has come so far.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    pub fn open(&self) {
        self.opened.notify_one();
    }
}

impl Default for TestStore {
    fn default() -> Self {
        Self::over(MemoryStore::default())
    }
}

impl TestStore {
    pub fn over(inner: impl Both) -> Self {
        Self(Arc::new(State {
            inner: Box::new(inner),
            mode: AtomicU8::default(),
            reads: AtomicUsize::default(),
            calls: Mutex::default(),
            fail_in: Mutex::default(),
            held: Mutex::default(),
            edit: Mutex::new(|_| ()),
        }))
    }

    /// Every call yields before and after it is done.
    pub fn yields(&self) {
        self.0.mode.store(3, Ordering::SeqCst);
    }

    /// The call after so many others fails, once.
    pub fn fails_after(&self, calls: usize) {
        *self.0.fail_in.lock().unwrap() = Some(calls);
    }

    /// Whether the call that was to fail has come.
    pub fn has_failed(&self) -> bool {
        self.0.fail_in.lock().unwrap().take().is_none()
    }

    /// The next call of this name waits for the gate, before it does anything.
    pub fn hold(&self, name: &'static str) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        *self.0.held.lock().unwrap() = Some((name, Arc::clone(&gate)));
        gate
    }

    /// Completions are applied as this leaves them.
    pub fn edits(&self, edit: fn(&mut Completion)) {
        *self.0.edit.lock().unwrap() = edit;
    }

    /// The calls since the last time it was asked.
    pub fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.calls.lock().unwrap())
    }

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

    fn within<'a, T: Send + 'a>(&'a self, name: &'static str, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        Box::pin(async move {
            self.0.calls.lock().unwrap().push(name);
            let held = self.0.held.lock().unwrap().take_if(|(held, _)| *held == name);
            if let Some((_, gate)) = held {
                gate.reached.notify_one();
                gate.opened.notified().await;
            }
            let failing = {
                let mut left = self.0.fail_in.lock().unwrap();
                let now = *left == Some(0);
                *left = left.and_then(|left| left.checked_sub(1));
                now
            };
            let down = || Err(StoreError::with_source(StoreErrorKind::Unavailable, ADDRESS));
            match self.0.mode.load(Ordering::SeqCst) {
                0 if failing => down(),
                0 => call.await,
                1 => down(),
                3 => {
                    yield_now().await;
                    let answer = call.await;
                    yield_now().await;
                    answer
                }
                _ => pending().await,
            }
        })
    }
}

impl SubjectStore for TestStore {
    fn create_session<'a>(&'a self, session: &'a Session) -> StoreFuture<'a, ()> {
        self.within("create_session", self.0.inner.create_session(session))
    }

    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        self.within("standing", self.0.inner.standing(subject, session))
    }

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<Session>> {
        self.within("sessions", self.0.inner.sessions(subject, now))
    }

    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64> {
        self.within("revoke", self.0.inner.revoke(subject, which))
    }

    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>> {
        self.within("credentials", self.0.inner.credentials(subject))
    }

    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed> {
        let mut completion = completion.clone();
        (*self.0.edit.lock().unwrap())(&mut completion);
        self.within("complete", Box::pin(async move { self.0.inner.complete(&completion).await }))
    }
}

impl FlowStore for TestStore {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()> {
        self.within("create_flow", self.0.inner.create_flow(flow, keep, now))
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        self.within("flow", self.0.inner.flow(id))
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, bool> {
        self.within("update_flow", self.0.inner.update_flow(flow))
    }

    fn complete_flow(&self, id: FlowId, now: Timestamp) -> StoreFuture<'_, bool> {
        self.within("complete_flow", self.0.inner.complete_flow(id, now))
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        self.within("remove_flows", self.0.inner.remove_flows(subject, except))
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        self.within("begin_attempt", self.0.inner.begin_attempt(key, policy, now))
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        self.within("reset_attempts", self.0.inner.reset_attempts(key))
    }
}
