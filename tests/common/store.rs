//! A store around another (in memory, if nothing else is said) that can be made to fail, to hang, to yield, to hold a call back, and
//! that counts how often it is read.

use std::{
    any::Any,
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{Notify, OnceCell},
    task::yield_now,
};

use tower_step_up::{
    Method, StepUpBuilder, Subject,
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession},
    store::{
        Attempt, AttemptKey, AttemptPolicy, Changes, Completed, Completion, Counted, Credential, FlowId, FlowStore,
        LogPlace, MemoryStore, Revocation, StoreError, StoreErrorKind, StoreFuture, StoredFlow, StoredStanding,
        SubjectStore, Written,
    },
};

/// What no log, error or answer may show.
pub const ADDRESS: &str = "postgres://bank:hunter2@db.internal";

#[derive(Clone)]
pub struct TestStore(Arc<State>);

/// The store that keeps subjects and the one that keeps flows. Often they are one.
pub struct Inner {
    subjects: Arc<dyn SubjectStore>,
    flows: Arc<dyn FlowStore>,
}

type Opening = Pin<Box<dyn Future<Output = Inner> + Send>>;

struct State {
    /// Opened by the first call, since that takes a runtime.
    inner: OnceCell<Inner>,
    opening: Mutex<Option<Opening>>,
    /// Whether subjects and flows are kept apart.
    split: bool,
    /// What goes when the store does.
    _kept: Box<dyn Any + Send + Sync>,
    mode: AtomicU8,
    reads: AtomicUsize,
    /// The names of the calls, in order.
    calls: Mutex<Vec<&'static str>>,
    /// In how many calls one fails.
    fail_in: Mutex<Option<usize>>,
    /// Calls of this name wait.
    held: Mutex<Option<(&'static str, Arc<Gate>)>>,
    held_after: Mutex<Option<(&'static str, Arc<Gate>)>>,
    /// Completions are answered as by a store that does not know what they ask for.
    knows_less: AtomicBool,
    /// What becomes of a completion before it is applied.
    edit: Mutex<fn(&mut Completion)>,
    log: Mutex<Log>,
    /// How many readings of the log have begun.
    readings: AtomicUsize,
    /// How many of them have taken what there was, and take long.
    late: AtomicUsize,
}

/// How the log of changes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// As the store is.
    AsItIs,
    /// It cannot be read, though all else can.
    Down,
    /// A reading never ends.
    Hangs,
    /// It leaves out what it should tell.
    Broken,
    /// It was cut down each time.
    Cut,
    /// A reading takes what there is, and then as long as this is so.
    Late,
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

impl Inner {
    pub fn one<S: SubjectStore + FlowStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self { subjects: Arc::<S>::clone(&store), flows: store }
    }

    pub fn two(subjects: impl SubjectStore, flows: impl FlowStore) -> Self {
        Self { subjects: Arc::new(subjects), flows: Arc::new(flows) }
    }
}

impl TestStore {
    pub fn over<S: SubjectStore + FlowStore>(inner: S) -> Self {
        Self::of(async { Inner::one(inner) }, false, ())
    }

    /// Around one that the first call opens. `kept` is dropped after it.
    pub fn opening<S, F>(open: F, kept: impl Any + Send + Sync) -> Self
    where
        S: SubjectStore + FlowStore,
        F: Future<Output = S> + Send + 'static,
    {
        Self::of(async { Inner::one(open.await) }, false, kept)
    }

    /// Around two, of which one keeps the subjects and one the flows.
    pub fn opening_two(open: impl Future<Output = Inner> + Send + 'static, kept: impl Any + Send + Sync) -> Self {
        Self::of(open, true, kept)
    }

    fn of(open: impl Future<Output = Inner> + Send + 'static, split: bool, kept: impl Any + Send + Sync) -> Self {
        Self(Arc::new(State {
            inner: OnceCell::new(),
            opening: Mutex::new(Some(Box::pin(open))),
            split,
            _kept: Box::new(kept),
            mode: AtomicU8::default(),
            reads: AtomicUsize::default(),
            calls: Mutex::default(),
            fail_in: Mutex::default(),
            held: Mutex::default(),
            held_after: Mutex::default(),
            knows_less: AtomicBool::default(),
            edit: Mutex::new(|_| ()),
            log: Mutex::new(Log::AsItIs),
            readings: AtomicUsize::default(),
            late: AtomicUsize::default(),
        }))
    }

    /// Makes it the store of what is being built.
    pub fn give_to(&self, builder: StepUpBuilder) -> StepUpBuilder {
        let builder = builder.store(self.clone());
        if self.0.split { builder.flow_store(self.clone()) } else { builder }
    }

    /// Whether a completion is one call for the subject, one for the flow and one for the counter.
    pub fn is_split(&self) -> bool {
        self.0.split
    }

    async fn inner(&self) -> &Inner {
        let open = async {
            // There, unless it failed the first time.
            let opening = self.0.opening.lock().unwrap().take().unwrap();
            opening.await
        };
        self.0.inner.get_or_init(|| open).await
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

    /// The next call of this name waits for the gate, when it has its answer.
    pub fn hold_after(&self, name: &'static str) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        *self.0.held_after.lock().unwrap() = Some((name, Arc::clone(&gate)));
        gate
    }

    /// The next call of this name waits for the gate, before it does anything.
    pub fn hold(&self, name: &'static str) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        *self.0.held.lock().unwrap() = Some((name, Arc::clone(&gate)));
        gate
    }

    /// Whether completions are answered as by a store that does not know what they ask for.
    pub fn knows_less(&self, less: bool) {
        self.0.knows_less.store(less, Ordering::SeqCst);
    }

    /// Completions are applied as this leaves them.
    pub fn edits(&self, edit: fn(&mut Completion)) {
        *self.0.edit.lock().unwrap() = edit;
    }

    pub fn log_is(&self, log: Log) {
        *self.0.log.lock().unwrap() = log;
    }

    /// How many readings of the log have begun.
    pub fn readings(&self) -> usize {
        self.0.readings.load(Ordering::SeqCst)
    }

    /// How many readings have taken what there was and were late to tell it.
    pub fn late_readings(&self) -> usize {
        self.0.late.load(Ordering::SeqCst)
    }

    /// How many hold this store.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
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

    fn within<'a, T: Send + 'a>(
        &'a self,
        name: &'static str,
        call: impl FnOnce(&'a Inner) -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
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
                0 => {
                    let answer = call(self.inner().await).await;
                    let held = self.0.held_after.lock().unwrap().take_if(|(held, _)| *held == name);
                    if let Some((_, gate)) = held {
                        gate.reached.notify_one();
                        gate.opened.notified().await;
                    }
                    answer
                }
                1 => down(),
                3 => {
                    yield_now().await;
                    let answer = call(self.inner().await).await;
                    yield_now().await;
                    answer
                }
                _ => pending().await,
            }
        })
    }
}

impl SubjectStore for TestStore {
    fn create_session<'a>(&'a self, session: &'a StoredSession) -> StoreFuture<'a, ()> {
        self.within("create_session", |inner| inner.subjects.create_session(session))
    }

    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        self.within("standing", move |inner| inner.subjects.standing(subject, session))
    }

    fn session_of<'a>(
        &'a self,
        subject: &'a Subject,
        binding: BindingKey,
        now: Timestamp,
    ) -> StoreFuture<'a, Option<StoredStanding>> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        self.within("session_of", move |inner| inner.subjects.session_of(subject, binding, now))
    }

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<StoredSession>> {
        self.within("sessions", move |inner| inner.subjects.sessions(subject, now))
    }

    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64> {
        self.within("revoke", move |inner| inner.subjects.revoke(subject, which))
    }

    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>> {
        self.within("credentials", |inner| inner.subjects.credentials(subject))
    }

    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed> {
        let mut completion = completion.clone();
        (*self.0.edit.lock().unwrap())(&mut completion);
        if self.0.knows_less.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) });
        }
        self.within("complete", |inner| Box::pin(async move { inner.subjects.complete(&completion).await }))
    }

    fn delete_subject<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, ()> {
        if self.0.knows_less.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) });
        }
        self.within("delete_subject", |inner| inner.subjects.delete_subject(subject))
    }

    fn revocations(&self) -> StoreFuture<'_, u64> {
        if self.0.knows_less.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) });
        }
        self.within("revocations", |inner| inner.subjects.revocations())
    }

    fn revoke_everyone(&self, at: Timestamp) -> StoreFuture<'_, u64> {
        if self.0.knows_less.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) });
        }
        self.within("revoke_everyone", move |inner| inner.subjects.revoke_everyone(at))
    }

    fn note_use<'a>(&'a self, subject: &'a Subject, session: SessionId, at: Timestamp) -> StoreFuture<'a, Written> {
        self.within("note_use", move |inner| inner.subjects.note_use(subject, session, at))
    }

    fn notes_use(&self) -> bool {
        // Every store behind it does.
        !self.0.knows_less.load(Ordering::SeqCst)
    }

    /// Beside the other calls, since it comes at any time.
    fn changes<'a>(&'a self, since: Option<&'a LogPlace>) -> StoreFuture<'a, Changes> {
        self.0.readings.fetch_add(1, Ordering::SeqCst);
        let log = *self.0.log.lock().unwrap();
        let mode = self.0.mode.load(Ordering::SeqCst);
        Box::pin(async move {
            if mode == 1 || log == Log::Down {
                return Err(StoreError::with_source(StoreErrorKind::Unavailable, ADDRESS));
            }
            if mode == 2 || log == Log::Hangs {
                return pending().await;
            }
            let told = self.inner().await.subjects.changes(since).await?;
            if log == Log::Late {
                self.0.late.fetch_add(1, Ordering::SeqCst);
                while *self.0.log.lock().unwrap() == Log::Late {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            }
            Ok(match told {
                Changes::Of(_, place) | Changes::OfEverybody(place) if log == Log::Broken => Changes::Of(vec![], place),
                Changes::Of(_, place) | Changes::OfEverybody(place) if log == Log::Cut => Changes::Cut(place),
                told => told,
            })
        })
    }
}

impl FlowStore for TestStore {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()> {
        self.within("create_flow", move |inner| inner.flows.create_flow(flow, keep, now))
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        self.within("flow", move |inner| inner.flows.flow(id))
    }

    fn touch_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        self.within("touch_flow", |inner| inner.flows.touch_flow(flow))
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        self.within("update_flow", |inner| inner.flows.update_flow(flow))
    }

    fn complete_flow<'a>(&'a self, flow: &'a StoredFlow, now: Timestamp) -> StoreFuture<'a, Written> {
        self.within("complete_flow", move |inner| inner.flows.complete_flow(flow, now))
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        self.within("remove_flows", move |inner| inner.flows.remove_flows(subject, except))
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        let gives_nothing_back = self.0.knows_less.load(Ordering::SeqCst);
        self.within("begin_attempt", move |inner| {
            Box::pin(async move {
                Ok(match inner.flows.begin_attempt(key, policy, now).await? {
                    Attempt::Counted(_) if gives_nothing_back => Attempt::Allowed,
                    attempt => attempt,
                })
            })
        })
    }

    fn give_back_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        attempt: &'a Counted,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, bool> {
        if self.0.knows_less.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) });
        }
        self.within("give_back_attempt", move |inner| inner.flows.give_back_attempt(key, attempt, policy, now))
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        self.within("reset_attempts", |inner| inner.flows.reset_attempts(key))
    }

    fn forget_subject<'a>(&'a self, subject: &'a Subject, methods: &'a [Method]) -> StoreFuture<'a, ()> {
        self.within("forget_subject", move |inner| inner.flows.forget_subject(subject, methods))
    }
}
