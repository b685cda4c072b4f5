//! What the tests of both databases share.

use std::time::Duration;

use tower_step_up::{
    Aal, Method, Subject,
    aal::{CredentialId, Proof},
    client::Client,
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession},
    standing::CredentialSummary,
    store::{
        Attempt, AttemptKey, AttemptPolicy, Completed, Completion, Consumption, Counted, Credential, CredentialChange,
        FlowId, FlowStore as _, Rotation, SqlStore, StoreError, StoreErrorKind, StoredFlow, SubjectStore as _, Written,
    },
};

pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn kim() -> Subject {
    Subject::new("kim").unwrap()
}

pub(crate) fn flow(binding: Option<BindingKey>) -> StoredFlow {
    let mut flow = StoredFlow::new(FlowId::random(), NOW + HOUR, "{}");
    (flow.subject, flow.binding) = (Some(kim()), binding);
    flow
}

pub(crate) fn step(credential: &Credential, step: u64) -> Completion {
    let mut completion = Completion::new(kim(), NOW);
    completion.consume = Some(Consumption::Step { credential: credential.summary.id, step });
    completion
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.unwrap_err().kind()
}

/// How many migrations there are for this kind of database.
pub(crate) fn migrations(kind: &str) -> i64 {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind);
    i64::try_from(std::fs::read_dir(folder).unwrap().count()).unwrap()
}

/// A flow that was begun by a version that knew no column for its session is read, used and removed as before.
pub(crate) async fn assert_flow_stays(store: &SqlStore, old: &StoredFlow) {
    let new = flow(Some(BindingKey::random()));
    store.create_flow(&new, 1, NOW).await.unwrap();
    assert_eq!(store.flow(old.id).await.unwrap().as_ref(), Some(old));
    assert_eq!(store.update_flow(old).await.unwrap(), Written::Done);
    assert_eq!(store.complete_flow(old, NOW).await.unwrap(), Written::Done);
    store.remove_flows(&kim(), Some(new.id)).await.unwrap();
    assert_eq!((store.flow(old.id).await.unwrap(), store.flow(new.id).await.unwrap()), (None, Some(new)));
}

/// Credentials that a version wrote which knew neither names nor uses are read, named and used.
pub(crate) async fn assert_credentials_stay(
    store: &SqlStore,
    before: (CredentialId, Timestamp),
    beside: (CredentialId, Timestamp),
) {
    let known = |(id, created_at)| {
        let summary = CredentialSummary { id, method: Method::Totp, aal: Aal::Aal2 };
        let mut known = Credential::new(summary, created_at).with_data(vec![7]);
        known.last_step = 5;
        known
    };
    let (mut first, second) = (known(before), known(beside));
    assert_eq!(store.credentials(&kim()).await.unwrap(), [first.clone(), second.clone()]);
    let mut used = step(&first, 6);
    used.credentials = vec![CredentialChange::SetName { credential: before.0, name: Some("old app".parse().unwrap()) }];
    assert_eq!(store.complete(&used).await.unwrap(), Completed::Done);
    (first.name, first.last_step, first.last_used_at) = (Some("old app".parse().unwrap()), 6, Some(NOW));
    assert_eq!(store.credentials(&kim()).await.unwrap(), [first, second]);
}

/// Sessions that a version wrote which knew no devices are read, and replaced by others that have none.
pub(crate) async fn assert_sessions_stay(store: &SqlStore, old: [SessionId; 2]) {
    for id in old {
        let old = store.standing(&kim(), id).await.unwrap().unwrap().session;
        assert_eq!((old.id(), old.device(), old.answered()), (id, None, None));
        let new = old.renewed(Proof::new(Method::Totp, Aal::Aal2, NOW), NOW, HOUR, None);
        let mut completion = Completion::new(kim(), NOW);
        completion.rotate = Some(Rotation { old: id, new: new.clone() });
        assert_eq!(store.complete(&completion).await.unwrap(), Completed::Done);
        assert_eq!(store.standing(&kim(), new.id()).await.unwrap().unwrap().session, new);
    }
    let proof = Proof::new(Method::Password, Aal::Aal1, NOW);
    let new = StoredSession::new(kim(), proof, NOW, HOUR);
    let new = new.with_device(&Client::default().with_address([192, 0, 2, 7].into()));
    store.create_session(&new).await.unwrap();
    assert_eq!(store.standing(&kim(), new.id()).await.unwrap().unwrap().session, new);
}

/// An attempt that a version counted which could give nothing back stays counted, and those that are counted after it are given back.
pub(crate) async fn assert_counters_stay(store: &SqlStore) {
    let key = AttemptKey { subject: kim(), method: Method::Totp };
    let policy = AttemptPolicy { free: 3, hard_stop: 3, ..AttemptPolicy::default() };
    for now in [NOW, NOW + HOUR] {
        let Attempt::Counted(last) = store.begin_attempt(&key, &policy, now).await.unwrap() else { panic!("stopped") };
        assert_eq!(store.begin_attempt(&key, &policy, now + HOUR).await.unwrap(), Attempt::Stopped, "two from before");
        assert!(store.give_back_attempt(&key, &last, &policy, now).await.unwrap());
    }
    // It is no longer stopped, so it may be forgotten: 30 days after the last attempt, or after it was given back.
    let later = NOW + AttemptPolicy::REMEMBERED_FOR + HOUR;
    let Attempt::Counted(anew) = store.begin_attempt(&key, &policy, later).await.unwrap() else { panic!("stopped") };
    for _ in 0..2 {
        assert!(store.begin_attempt(&key, &policy, later).await.unwrap().is_allowed(), "it began anew");
    }
    let forgotten = Counted::new(uuid::Uuid::new_v4(), None);
    assert!(!store.give_back_attempt(&key, &forgotten, &policy, later).await.unwrap());
    assert!(store.give_back_attempt(&key, &anew, &policy, later).await.unwrap());
}
