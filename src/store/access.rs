//! The stores, with a time limit on every call.

use std::{sync::Arc, time::Duration};

use super::{
    Attempt, AttemptKey, AttemptPolicy, Changes, Completed, Completion, Counted, Credential, FlowId, FlowStore,
    LogPlace, Revocation, StoreError, StoreErrorKind, StoreFuture, StoredFlow, StoredStanding, SubjectStore, Written,
};
use crate::{
    aal::Method,
    audit::count_store_error,
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession, Subject},
};

/// How many open flows without a session are kept, over all clients. Where the password is a factor, anybody can send a wrong one. Without a
/// limit they would fill the store. Each that was completed has signed somebody in; those are not counted.
const ANONYMOUS_FLOWS: u32 = 10_000;

#[derive(Clone)]
pub(crate) struct Stores {
    subjects: Arc<dyn SubjectStore>,
    flows: Arc<dyn FlowStore>,
    /// Whether both are one store, so that a completion ends its flow and counter in the same transaction.
    one: bool,
    timeout: Duration,
}

impl Stores {
    pub(crate) fn new(
        subjects: Arc<dyn SubjectStore>,
        flows: Arc<dyn FlowStore>,
        one: bool,
        timeout: Duration,
    ) -> Self {
        Self { subjects, flows, one, timeout }
    }

    async fn within<T>(&self, call: StoreFuture<'_, T>) -> Result<T, StoreError> {
        let answer = tokio::time::timeout(self.timeout, call)
            .await
            .unwrap_or_else(|elapsed| Err(StoreError::with_source(StoreErrorKind::Unavailable, elapsed)));
        answer.inspect_err(count_store_error)
    }

    pub(crate) async fn create_session(&self, session: &StoredSession) -> Result<(), StoreError> {
        self.within(self.subjects.create_session(session)).await
    }

    pub(crate) async fn standing(
        &self,
        subject: &Subject,
        id: SessionId,
    ) -> Result<Option<StoredStanding>, StoreError> {
        self.within(self.subjects.standing(subject, id)).await
    }

    pub(crate) async fn session_of(
        &self,
        subject: &Subject,
        binding: BindingKey,
        now: Timestamp,
    ) -> Result<Option<StoredStanding>, StoreError> {
        self.within(self.subjects.session_of(subject, binding, now)).await
    }

    pub(crate) async fn sessions(&self, subject: &Subject, now: Timestamp) -> Result<Vec<StoredSession>, StoreError> {
        self.within(self.subjects.sessions(subject, now)).await
    }

    pub(crate) async fn revoke(&self, subject: &Subject, which: Revocation) -> Result<u64, StoreError> {
        self.within(self.subjects.revoke(subject, which)).await
    }

    pub(crate) async fn note_use(
        &self,
        subject: &Subject,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Written, StoreError> {
        self.within(self.subjects.note_use(subject, session, at)).await
    }

    pub(crate) async fn changes(&self, since: Option<&LogPlace>) -> Result<Changes, StoreError> {
        self.within(self.subjects.changes(since)).await
    }

    /// Removes everything of a subject. With two stores, what opens something goes first.
    pub(crate) async fn delete_subject(&self, subject: &Subject, methods: &[Method]) -> Result<(), StoreError> {
        self.within(self.subjects.delete_subject(subject)).await?;
        if self.one { Ok(()) } else { self.within(self.flows.forget_subject(subject, methods)).await }
    }

    pub(crate) async fn revoke_everyone(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.within(self.subjects.revoke_everyone(at)).await
    }

    /// Read it before anything is proven for a session that begins; `None` if the store does not count them.
    pub(crate) async fn revocations(&self) -> Result<Option<u64>, StoreError> {
        match self.within(self.subjects.revocations()).await {
            Ok(revocations) => Ok(Some(revocations)),
            Err(error) if error.kind() == StoreErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether both stores answer: reads what nobody has.
    pub(crate) async fn ready(&self) -> Result<(), StoreError> {
        let nobody =
            Subject::new("readiness probe").map_err(|error| StoreError::with_source(StoreErrorKind::Corrupt, error))?;
        self.standing(&nobody, SessionId::random()).await?;
        self.flow(FlowId::random()).await?;
        Ok(())
    }

    pub(crate) async fn credentials(&self, subject: &Subject) -> Result<Vec<Credential>, StoreError> {
        self.within(self.subjects.credentials(subject)).await
    }

    /// Applies the completion. If another store keeps the flows, no transaction holds both.
    ///
    /// If a session is replaced, its end decides which of several requests wins, and the flow ends afterwards. So a refused
    /// answer leaves the flow open for the next one, and after a crash in between only a further proof opens anything. Otherwise
    /// the flow ends first and decides, also if a session begins: nothing else tells two requests apart that would each begin
    /// one. After a crash or a refusal in between, the user needs a new flow.
    pub(crate) async fn apply(&self, mut completion: Completion) -> Result<Completed, StoreError> {
        if self.one {
            return self.within(self.subjects.complete(&completion)).await;
        }
        let now = completion.now;
        let (flow, reset) = (completion.flow.take(), std::mem::take(&mut completion.reset));
        let ends_later = completion.rotate.is_some();
        if let Some(flow) = &flow {
            let open = if ends_later {
                self.flow(flow.id).await?.is_some_and(|flow| !flow.completed && flow.expires_at > now)
            } else {
                self.within(self.flows.complete_flow(flow, now)).await?.is_done()
            };
            if !open {
                return Ok(Completed::FlowGone);
            }
        }
        let completed = self.within(self.subjects.complete(&completion)).await?;
        if completed == Completed::Done {
            // The step-up is done, even if the rest fails.
            if let Some(flow) = flow.filter(|_| ends_later) {
                match self.within(self.flows.complete_flow(&flow, now)).await {
                    Ok(Written::Done) => {}
                    Ok(Written::Superseded) => {
                        tracing::warn!(flow = %flow.id, "another request has ended or removed a completed flow");
                    }
                    Err(error) => tracing::warn!(%error, "could not end a completed flow"),
                }
            }
            for key in reset {
                if let Err(error) = self.within(self.flows.reset_attempts(&key)).await {
                    // The count only stays too high until the next success.
                    tracing::warn!(%error, method = %key.method, "could not reset the counter of attempts");
                }
            }
        }
        Ok(completed)
    }

    pub(crate) async fn create_flow(&self, flow: &StoredFlow, keep: u32, now: Timestamp) -> Result<(), StoreError> {
        let keep = if flow.binding.is_some() { keep } else { ANONYMOUS_FLOWS };
        self.within(self.flows.create_flow(flow, keep, now)).await
    }

    pub(crate) async fn flow(&self, id: FlowId) -> Result<Option<StoredFlow>, StoreError> {
        self.within(self.flows.flow(id)).await
    }

    pub(crate) async fn touch_flow(&self, flow: &StoredFlow) -> Result<Written, StoreError> {
        self.within(self.flows.touch_flow(flow)).await
    }

    pub(crate) async fn update_flow(&self, flow: &StoredFlow) -> Result<Written, StoreError> {
        self.within(self.flows.update_flow(flow)).await
    }

    pub(crate) async fn remove_flows(&self, subject: &Subject, except: Option<FlowId>) -> Result<(), StoreError> {
        self.within(self.flows.remove_flows(subject, except)).await
    }

    pub(crate) async fn reset_attempts(&self, key: &AttemptKey) -> Result<(), StoreError> {
        self.within(self.flows.reset_attempts(key)).await
    }

    pub(crate) async fn begin_attempt(
        &self,
        key: &AttemptKey,
        policy: &AttemptPolicy,
        now: Timestamp,
    ) -> Result<Attempt, StoreError> {
        self.within(self.flows.begin_attempt(key, policy, now)).await
    }

    pub(crate) async fn give_back_attempt(
        &self,
        key: &AttemptKey,
        attempt: &Counted,
        policy: &AttemptPolicy,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.within(self.flows.give_back_attempt(key, attempt, policy, now)).await
    }

    /// How long one call may take.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aal::{Aal, Method, Proof},
        store::{MemoryStore, Rotation},
    };

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    /// Also with flows in another store, only an open flow takes a proof.
    #[tokio::test]
    async fn a_flow_that_is_over_replaces_no_session() {
        let (subjects, elsewhere) = (Arc::new(MemoryStore::default()), Arc::new(MemoryStore::default()));
        let subject = Subject::new("kim").unwrap();
        for one in [false, true] {
            let flows = Arc::clone(if one { &subjects } else { &elsewhere });
            let stores = Stores::new(subjects.clone(), flows, one, HOUR);
            for (name, completed, expires_at, expected) in [
                ("open", false, NOW + Duration::from_millis(1), Completed::Done),
                ("passed", true, NOW + HOUR, Completed::FlowGone),
                ("expired", false, NOW, Completed::FlowGone),
                ("passed and expired", true, NOW, Completed::FlowGone),
            ] {
                let old = StoredSession::new(subject.clone(), Proof::new(Method::Password, Aal::Aal1, NOW), NOW, HOUR);
                stores.create_session(&old).await.unwrap();
                let flow = StoredFlow {
                    id: FlowId::random(),
                    subject: Some(subject.clone()),
                    binding: Some(old.binding()),
                    expires_at,
                    version: 0,
                    completed,
                    in_use: false,
                    body: String::new(),
                };
                stores.create_flow(&flow, 50, NOW).await.unwrap();
                let mut completion = Completion::new(subject.clone(), NOW);
                let new = old.rotated();
                completion.rotate = Some(Rotation { old: old.id(), new: new.clone() });
                completion.flow = Some(flow.clone());
                assert_eq!(stores.apply(completion).await.unwrap(), expected, "{name}, one store: {one}");
                let alive = stores.sessions(&subject, NOW).await.unwrap();
                let ids: Vec<_> = alive.iter().map(StoredSession::id).collect();
                let done = expected == Completed::Done;
                assert_eq!((ids.contains(&old.id()), ids.contains(&new.id())), (!done, done), "{name}");
                let kept = stores.flow(flow.id).await.unwrap().unwrap();
                assert_eq!(kept.completed, completed || done, "{name}");
            }
        }
    }

    /// One open flow begins one session, also with flows in another store. A flow that is over begins none.
    #[tokio::test]
    async fn a_flow_begins_one_session() {
        let (subjects, elsewhere) = (Arc::new(MemoryStore::default()), Arc::new(MemoryStore::default()));
        let subject = Subject::new("kim").unwrap();
        let new = |now| StoredSession::new(subject.clone(), Proof::new(Method::Password, Aal::Aal1, now), now, HOUR);
        for one in [false, true] {
            let stores =
                Stores::new(subjects.clone(), if one { subjects.clone() } else { elsewhere.clone() }, one, HOUR);
            let key = AttemptKey { subject: subject.clone(), method: Method::Password };
            let policy = AttemptPolicy { free: 1, ..AttemptPolicy::default() };
            assert!(stores.begin_attempt(&key, &policy, NOW).await.unwrap().is_allowed());
            let flow = StoredFlow::new(FlowId::random(), NOW + HOUR, "");
            stores.create_flow(&flow, 50, NOW).await.unwrap();
            for expected in [Completed::Done, Completed::FlowGone] {
                let session = new(NOW);
                let mut completion = Completion::new(subject.clone(), NOW);
                completion.begin = Some(session.clone());
                (completion.flow, completion.reset) = (Some(flow.clone()), vec![key.clone()]);
                assert_eq!(stores.apply(completion).await.unwrap(), expected, "one store: {one}");
                let begun = stores.session_of(&subject, session.binding(), NOW).await.unwrap();
                assert_eq!(begun.is_some(), expected == Completed::Done);
            }
            assert!(stores.flow(flow.id).await.unwrap().unwrap().completed);
            assert!(stores.begin_attempt(&key, &policy, NOW).await.unwrap().is_allowed(), "counted anew");

            // If a session may not begin, the flow stays open in one store. With two stores, the user needs a new one.
            let flow = StoredFlow::new(FlowId::random(), NOW + HOUR, "");
            stores.create_flow(&flow, 50, NOW).await.unwrap();
            let before = stores.revocations().await.unwrap().unwrap();
            stores.revoke(&subject, Revocation::All(NOW)).await.unwrap();
            let mut completion = Completion::new(subject.clone(), NOW);
            completion.begin = Some(new(NOW).with_revocations(before));
            completion.flow = Some(flow.clone());
            assert_eq!(stores.apply(completion).await.unwrap(), Completed::SessionGone);
            assert_eq!(stores.flow(flow.id).await.unwrap().unwrap().completed, !one);
        }
    }
}
