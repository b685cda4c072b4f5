//! Several stores on one database that take turns call by call, as processes behind a balancer would.

use std::sync::atomic::{AtomicUsize, Ordering};

use tower_step_up::{
    Method, Subject,
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession},
    store::{
        Attempt, AttemptKey, AttemptPolicy, Changes, Completed, Completion, Counted, Credential, FlowId, FlowStore,
        LogPlace, Revocation, StoreFuture, StoredFlow, StoredStanding, SubjectStore, Written,
    },
};

pub(crate) struct Turns<S> {
    stores: Vec<S>,
    calls: AtomicUsize,
}

impl<S> Turns<S> {
    pub(crate) fn new(stores: Vec<S>) -> Self {
        Self { stores, calls: AtomicUsize::new(0) }
    }

    fn next(&self) -> &S {
        &self.stores[self.calls.fetch_add(1, Ordering::Relaxed) % self.stores.len()]
    }
}

impl<S: SubjectStore> SubjectStore for Turns<S> {
    fn create_session<'a>(&'a self, session: &'a StoredSession) -> StoreFuture<'a, ()> {
        self.next().create_session(session)
    }

    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>> {
        self.next().standing(subject, session)
    }

    fn session_of<'a>(
        &'a self,
        subject: &'a Subject,
        binding: BindingKey,
        now: Timestamp,
    ) -> StoreFuture<'a, Option<StoredStanding>> {
        self.next().session_of(subject, binding, now)
    }

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<StoredSession>> {
        self.next().sessions(subject, now)
    }

    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64> {
        self.next().revoke(subject, which)
    }

    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>> {
        self.next().credentials(subject)
    }

    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed> {
        self.next().complete(completion)
    }

    fn delete_subject<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, ()> {
        self.next().delete_subject(subject)
    }

    fn revocations(&self) -> StoreFuture<'_, u64> {
        self.next().revocations()
    }

    fn revoke_everyone(&self, at: Timestamp) -> StoreFuture<'_, u64> {
        self.next().revoke_everyone(at)
    }

    fn note_use<'a>(&'a self, subject: &'a Subject, session: SessionId, at: Timestamp) -> StoreFuture<'a, Written> {
        self.next().note_use(subject, session, at)
    }

    fn notes_use(&self) -> bool {
        self.next().notes_use()
    }

    fn changes<'a>(&'a self, since: Option<&'a LogPlace>) -> StoreFuture<'a, Changes> {
        self.next().changes(since)
    }
}

impl<S: FlowStore> FlowStore for Turns<S> {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()> {
        self.next().create_flow(flow, keep, now)
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        self.next().flow(id)
    }

    fn touch_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        self.next().touch_flow(flow)
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        self.next().update_flow(flow)
    }

    fn complete_flow<'a>(&'a self, flow: &'a StoredFlow, now: Timestamp) -> StoreFuture<'a, Written> {
        self.next().complete_flow(flow, now)
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        self.next().remove_flows(subject, except)
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        self.next().begin_attempt(key, policy, now)
    }

    fn give_back_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        attempt: &'a Counted,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, bool> {
        self.next().give_back_attempt(key, attempt, policy, now)
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        self.next().reset_attempts(key)
    }

    fn forget_subject<'a>(&'a self, subject: &'a Subject, methods: &'a [Method]) -> StoreFuture<'a, ()> {
        self.next().forget_subject(subject, methods)
    }
}
