//! A store that knows less than this crate asks for fails the kit, and the kit says by which check.

use tower_step_up::{
    Method, Subject,
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession},
    store::{
        Attempt, AttemptKey, AttemptPolicy, Completed, Completion, Consumption, Counted, Credential, CredentialChange,
        FlowId, FlowStore, MemoryStore, Revocation, StoreError, StoreErrorKind, StoreFuture, StoredFlow,
        StoredStanding, SubjectStore, Written, contract,
    },
};

/// What a store of the version before does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    Remove,
    SetData,
    SetName,
    Data,
    Begin,
    Delete,
    Answered,
    Device,
}

/// What it does about it.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// As the contract asks.
    Refuses,
    /// As nobody should.
    PassesOver,
}

struct Older {
    inner: MemoryStore,
    unknown: Unknown,
    does: Does,
}

impl Older {
    fn knows(&self, change: &CredentialChange) -> bool {
        match change {
            CredentialChange::Remove(_) => self.unknown != Unknown::Remove,
            CredentialChange::SetData { .. } => self.unknown != Unknown::SetData,
            CredentialChange::SetName { .. } => self.unknown != Unknown::SetName,
            _ => true,
        }
    }

    /// What it understands of the completion.
    fn understood(&self, completion: &Completion) -> Completion {
        let mut understood = completion.clone();
        understood.credentials.retain(|change| self.knows(change));
        if self.unknown == Unknown::Data && matches!(understood.consume, Some(Consumption::Data { .. })) {
            understood.consume = None;
        }
        if self.unknown == Unknown::Begin {
            understood.begin = None;
        }
        for session in understood.begin.iter_mut().chain(understood.rotate.iter_mut().map(|rotate| &mut rotate.new)) {
            let plain = plain(session);
            *session = match (self.unknown, session.answered().copied(), session.device()) {
                (Unknown::Answered, _, Some(device)) => plain.with_device(device),
                (Unknown::Device, Some(answered), _) => plain.with_answered(answered),
                (Unknown::Answered | Unknown::Device, ..) => plain,
                _ => continue,
            };
        }
        understood
    }
}

/// As a store keeps it that has no place for the rest.
fn plain(session: &StoredSession) -> StoredSession {
    let plain = StoredSession::from_parts(
        session.id(),
        session.subject().clone(),
        session.binding(),
        session.proofs().to_vec(),
        session.issued_at(),
        session.expires_at(),
    );
    match session.seen_at() {
        Some(at) => plain.with_seen_at(at),
        None => plain,
    }
}

impl SubjectStore for Older {
    fn create_session<'a>(&'a self, session: &'a StoredSession) -> StoreFuture<'a, ()> {
        self.inner.create_session(session)
    }

    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>> {
        self.inner.standing(subject, session)
    }

    fn session_of<'a>(
        &'a self,
        subject: &'a Subject,
        binding: BindingKey,
        now: Timestamp,
    ) -> StoreFuture<'a, Option<StoredStanding>> {
        self.inner.session_of(subject, binding, now)
    }

    fn revocations(&self) -> StoreFuture<'_, u64> {
        self.inner.revocations()
    }

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<StoredSession>> {
        self.inner.sessions(subject, now)
    }

    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64> {
        self.inner.revoke(subject, which)
    }

    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>> {
        self.inner.credentials(subject)
    }

    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed> {
        Box::pin(async move {
            let understood = self.understood(completion);
            match self.does {
                Does::Refuses if understood != *completion => Err(StoreError::new(StoreErrorKind::Unsupported)),
                _ => self.inner.complete(&understood).await,
            }
        })
    }

    fn note_use<'a>(&'a self, subject: &'a Subject, session: SessionId, at: Timestamp) -> StoreFuture<'a, Written> {
        self.inner.note_use(subject, session, at)
    }

    fn notes_use(&self) -> bool {
        self.inner.notes_use()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_kit_says_what_an_older_store_does_not_know() {
    for (unknown, check) in [
        (Unknown::Remove, "credentials::are_removed_by_id"),
        (Unknown::SetName, "credentials::are_named_in_place"),
        (Unknown::SetData, "credentials::data_is_set_in_place"),
        (Unknown::Data, "completions::data_is_compared_and_set"),
        (Unknown::Begin, "completions::a_session_begins"),
        (Unknown::Answered, "sessions::answered_forms_stay_with_their_session"),
        (Unknown::Device, "sessions::devices_stay_with_their_session"),
        (Unknown::Delete, "erasure::a_subject_is_deleted"),
    ] {
        for does in [Does::Refuses, Does::PassesOver] {
            let older = move || async move { Older { inner: MemoryStore::default(), unknown, does } };
            let outcome = tokio::spawn(async move { contract::run_subjects(older).await }).await;
            let panic = outcome.expect_err("an older store passes").into_panic();
            let said = panic.downcast_ref::<String>().expect("a text");
            assert!(said.starts_with(&format!("the store fails {check}: ")), "{unknown:?} {does:?}: {said}");
        }
    }
}

/// Keeps flows and counters as stores did before attempts could be given back.
struct KeepsAll(MemoryStore);

impl FlowStore for KeepsAll {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()> {
        self.0.create_flow(flow, keep, now)
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        self.0.flow(id)
    }

    fn touch_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        self.0.touch_flow(flow)
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        self.0.update_flow(flow)
    }

    fn complete_flow<'a>(&'a self, flow: &'a StoredFlow, now: Timestamp) -> StoreFuture<'a, Written> {
        self.0.complete_flow(flow, now)
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        self.0.remove_flows(subject, except)
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        Box::pin(async move {
            Ok(match self.0.begin_attempt(key, policy, now).await? {
                Attempt::Counted(_) => Attempt::Allowed,
                refused => refused,
            })
        })
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        self.0.reset_attempts(key)
    }
}

/// It needs no change to be built and used, and the kit says what it lacks. What it is asked to give back anyway stays counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_gives_nothing_back_counts_as_before() {
    let store = KeepsAll(MemoryStore::default());
    let key = AttemptKey { subject: Subject::new("kim").unwrap(), method: Method::Code };
    let (policy, now) = (AttemptPolicy { free: 1, ..AttemptPolicy::default() }, Timestamp::from_unix_seconds(1));
    assert_eq!(store.begin_attempt(&key, &policy, now).await.unwrap(), Attempt::Allowed);
    let attempt = Counted::new(uuid::Uuid::new_v4(), None);
    let error = store.give_back_attempt(&key, &attempt, &policy, now).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert!(matches!(store.begin_attempt(&key, &policy, now).await.unwrap(), Attempt::LockedUntil(_)));

    let kit = async { contract::run_flows(|| async { KeepsAll(MemoryStore::default()) }).await };
    let panic = tokio::spawn(kit).await.expect_err("an older store passes").into_panic();
    let said = panic.downcast_ref::<String>().expect("a text");
    assert!(said.starts_with("the store fails giving_back::leaves_the_free_ones: "), "{said}");
}
