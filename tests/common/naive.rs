//! A store that reads, yields, and then writes, one thing after the other: what tests of races must not let pass.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use tokio::task::yield_now;
use tower_step_up::{
    Method, Subject,
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession},
    store::{
        Attempt, AttemptKey, AttemptPolicy, Completed, Completion, Consumption, Counted, Credential, CredentialChange,
        FlowId, FlowStore, MemoryStore, Revocation, Rotation, StoreError, StoreErrorKind, StoreFuture, StoredFlow,
        StoredStanding, SubjectStore, Written,
    },
};

/// Right in all it does, as long as one task does it.
#[derive(Default)]
pub(crate) struct Naive {
    inner: MemoryStore,
    sessions: Mutex<HashSet<SessionId>>,
    attempts: Mutex<HashMap<AttemptKey, (u32, Counted)>>,
    flows: Mutex<HashMap<FlowId, StoredFlow>>,
    /// The oldest first.
    order: Mutex<Vec<FlowId>>,
}

impl Naive {
    async fn judged(&self, completion: &Completion) -> Result<Completed, StoreError> {
        let Completion { subject, now, .. } = completion;
        if let Some(flow) = &completion.flow {
            let flow = self.flows.lock().unwrap().get(&flow.id).cloned();
            if !flow.is_some_and(|flow| !flow.completed && flow.expires_at > *now) {
                return Ok(Completed::FlowGone);
            }
        }
        if let Some(rotation) = &completion.rotate
            && !self
                .inner
                .standing(subject, rotation.old)
                .await?
                .is_some_and(|standing| standing.session.expires_at() > *now && rotation.new.subject() == subject)
        {
            return Ok(Completed::SessionGone);
        }
        if let Some(new) = &completion.begin
            && (new.subject() != subject || new.revocations() < new.revocations().and(Some(self.revocations().await?)))
        {
            return Ok(Completed::SessionGone);
        }
        let credentials = self.inner.credentials(subject).await?;
        if let Some(expected) = &completion.expect_credentials {
            let ids = credentials.iter().map(|credential| credential.summary.id).collect::<HashSet<_>>();
            if ids != expected.iter().copied().collect() {
                return Ok(Completed::CredentialsChanged);
            }
        }
        let find = |id| credentials.iter().find(|credential| credential.summary.id == id);
        let stale = |change: &CredentialChange| match change {
            CredentialChange::SetData { credential, expected, .. } => {
                find(*credential).is_some_and(|found| found.data != *expected)
            }
            _ => false,
        };
        Ok(match &completion.consume {
            Some(Consumption::Step { credential, step }) => match find(*credential) {
                None => Completed::Unknown,
                Some(found) if found.last_step >= *step => Completed::Used,
                Some(_) => Completed::Done,
            },
            Some(Consumption::Data { credential, expected, .. }) => match find(*credential) {
                None => Completed::Unknown,
                Some(found) if found.data != *expected => Completed::Used,
                Some(_) => Completed::Done,
            },
            Some(Consumption::Secret { credential, hash }) => {
                match find(*credential).and_then(|found| found.secrets.iter().find(|secret| secret.hash == *hash)) {
                    None => Completed::Unknown,
                    Some(secret) if secret.used_at.is_some() => Completed::Used,
                    Some(_) => Completed::Done,
                }
            }
            _ if completion.credentials.iter().any(stale) => Completed::CredentialsChanged,
            None | Some(_) => Completed::Done,
        })
    }
}

fn written(mut stored: StoredFlow, new: &StoredFlow, completed: bool) -> StoredFlow {
    stored.completed = completed;
    stored.version += 1;
    stored.body.clone_from(&new.body);
    stored
}

impl SubjectStore for Naive {
    fn create_session<'a>(&'a self, session: &'a StoredSession) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if self.sessions.lock().unwrap().contains(&session.id()) {
                return Err(StoreError::new(StoreErrorKind::Conflict));
            }
            yield_now().await;
            self.sessions.lock().unwrap().insert(session.id());
            self.inner.create_session(session).await.or(Ok(()))
        })
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

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<StoredSession>> {
        self.inner.sessions(subject, now)
    }

    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            if let Revocation::Others(kept) = which {
                let mut ended = 0;
                for session in self.inner.sessions(subject, Timestamp::from_unix_seconds(0)).await? {
                    yield_now().await;
                    if session.binding() != kept {
                        ended += self.inner.revoke(subject, Revocation::One(session.id())).await?;
                    }
                }
                return Ok(ended);
            }
            if let Revocation::One(id) = which {
                self.sessions.lock().unwrap().remove(&id);
            }
            self.inner.revoke(subject, which).await
        })
    }

    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>> {
        self.inner.credentials(subject)
    }

    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed> {
        Box::pin(async move {
            let judged = self.judged(completion).await?;
            if judged != Completed::Done {
                return Ok(judged);
            }
            yield_now().await;
            let Completion { subject, now, .. } = completion;
            if let Some(flow) = &completion.flow {
                let mut flows = self.flows.lock().unwrap();
                let stored = flows.remove(&flow.id);
                flows.extend(stored.map(|stored| (flow.id, written(stored, flow, true))));
            }
            if let Some(Rotation { old, new }) = &completion.rotate {
                self.revoke(subject, Revocation::One(*old)).await?;
                yield_now().await;
                self.create_session(new).await?;
            }
            if let Some(new) = &completion.begin {
                // What it has judged it does not write.
                let proofs = new.proofs().to_vec();
                let (binding, issued_at) = (new.binding(), new.issued_at());
                let judged =
                    StoredSession::from_parts(new.id(), subject.clone(), binding, proofs, issued_at, new.expires_at());
                let judged = new.device().map_or(judged.clone(), |device| judged.with_device(device));
                let judged = new.answered().map_or(judged.clone(), |answered| judged.with_answered(*answered));
                self.create_session(&judged).await?;
            }
            let mut written = Completion::new(subject.clone(), *now);
            for mut credential in self.inner.credentials(subject).await? {
                written.credentials.push(CredentialChange::Remove(credential.summary.id));
                match &completion.consume {
                    Some(consumption) if consumption.credential() != credential.summary.id => {}
                    Some(Consumption::Step { step, .. }) => credential.last_step = *step,
                    Some(Consumption::Data { data, .. }) => credential.data.clone_from(data),
                    Some(Consumption::Secret { hash, .. }) => {
                        for secret in &mut credential.secrets {
                            if secret.hash == *hash {
                                secret.used_at = Some(*now);
                            }
                        }
                    }
                    _ => {}
                }
                if completion.consume.as_ref().is_some_and(|used| used.credential() == credential.summary.id) {
                    credential.last_used_at = Some(*now);
                }
                for (_, step) in completion.raise_steps.iter().filter(|(id, _)| *id == credential.summary.id) {
                    credential.last_step = credential.last_step.max(*step);
                }
                written.credentials.push(CredentialChange::Add(credential));
            }
            // Made for what was read before; what others have set since is overwritten.
            written.credentials.extend(
                completion
                    .credentials
                    .iter()
                    .cloned()
                    .filter_map(|change| match change {
                        CredentialChange::SetData { credential, data, .. } => {
                            let known = written.credentials.iter().rev().find_map(|change| match change {
                                CredentialChange::Add(known) if known.summary.id == credential => {
                                    Some(known.data.clone())
                                }
                                _ => None,
                            });
                            known.map(|expected| CredentialChange::SetData { credential, expected, data })
                        }
                        other => Some(other),
                    })
                    .collect::<Vec<_>>(),
            );
            for key in &completion.reset {
                self.reset_attempts(key).await?;
            }
            self.inner.complete(&written).await
        })
    }

    fn delete_subject<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.sessions.lock().unwrap().clear();
            self.inner.delete_subject(subject).await?;
            self.forget_subject(subject, &[]).await
        })
    }

    fn revocations(&self) -> StoreFuture<'_, u64> {
        self.inner.revocations()
    }

    fn revoke_everyone(&self, at: Timestamp) -> StoreFuture<'_, u64> {
        self.inner.revoke_everyone(at)
    }

    fn note_use<'a>(&'a self, subject: &'a Subject, session: SessionId, at: Timestamp) -> StoreFuture<'a, Written> {
        self.inner.note_use(subject, session, at)
    }

    fn notes_use(&self) -> bool {
        self.inner.notes_use()
    }
}

impl FlowStore for Naive {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, _: Timestamp) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let own = self.flows.lock().unwrap().values().filter(|old| old.binding == flow.binding).count();
            yield_now().await;
            let mut flows = self.flows.lock().unwrap();
            if own >= usize::try_from(keep).unwrap() {
                let order = self.order.lock().unwrap();
                let own = |id: &&FlowId| flows.get(*id).is_some_and(|old| old.binding == flow.binding);
                let in_use = |id: &&FlowId| keep > 1 && flows.get(*id).is_some_and(|old| old.in_use);
                let oldest = order.iter().find(|id| own(id) && !in_use(id)).copied();
                oldest.map(|oldest| flows.remove(&oldest));
            }
            self.order.lock().unwrap().push(flow.id);
            let mut new = flow.clone();
            new.in_use = false;
            flows.insert(flow.id, new);
            Ok(())
        })
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        Box::pin(async move { Ok(self.flows.lock().unwrap().get(&id).cloned()) })
    }

    fn touch_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        Box::pin(async move {
            let others: Vec<_> =
                self.flows.lock().unwrap().values().filter(|old| old.in_use).map(|old| old.id).collect();
            if self.flow(flow.id).await?.is_none() {
                return Ok(Written::Superseded);
            }
            yield_now().await;
            let mut flows = self.flows.lock().unwrap();
            for other in flows.values_mut().filter(|old| old.binding == flow.binding && others.contains(&old.id)) {
                other.in_use = false;
            }
            if let Some(flow) = flows.get_mut(&flow.id) {
                flow.in_use = true;
            }
            Ok(Written::Done)
        })
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        Box::pin(async move {
            let stored = self.flow(flow.id).await?;
            let Some(stored) = stored.filter(|stored| !stored.completed && stored.version == flow.version) else {
                return Ok(Written::Superseded);
            };
            yield_now().await;
            self.flows.lock().unwrap().insert(flow.id, written(stored, flow, false));
            Ok(Written::Done)
        })
    }

    fn complete_flow<'a>(&'a self, flow: &'a StoredFlow, now: Timestamp) -> StoreFuture<'a, Written> {
        Box::pin(async move {
            let Some(stored) = self.flow(flow.id).await?.filter(|flow| !flow.completed && flow.expires_at > now) else {
                return Ok(Written::Superseded);
            };
            yield_now().await;
            self.flows.lock().unwrap().insert(flow.id, written(stored, flow, true));
            Ok(Written::Done)
        })
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let goes = |flow: &StoredFlow| flow.subject.as_ref() == Some(subject) && Some(flow.id) != except;
            self.flows.lock().unwrap().retain(|_, flow| !goes(flow));
            Ok(())
        })
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        Box::pin(async move {
            let counter = self.attempts.lock().unwrap().get(key).copied();
            let (failures, last) = counter.unwrap_or_else(|| (0, Counted::new(uuid::Uuid::new_v4(), None)));
            if failures >= policy.hard_stop {
                return Ok(Attempt::Stopped);
            }
            if let Some(until) = last.locked_until.filter(|&until| now < until) {
                return Ok(Attempt::LockedUntil(until));
            }
            yield_now().await;
            let delay = policy.delay_after(failures + 1);
            let attempt = Counted::new(last.generation, (!delay.is_zero()).then(|| now + delay));
            self.attempts.lock().unwrap().insert(key.clone(), (failures + 1, attempt));
            Ok(Attempt::Counted(attempt))
        })
    }

    fn give_back_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        attempt: &'a Counted,
        _: &'a AttemptPolicy,
        _: Timestamp,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let counter = self.attempts.lock().unwrap().get(key).copied();
            let own = |&(failures, last): &(u32, Counted)| last.generation == attempt.generation && failures > 0;
            let Some((failures, mut last)) = counter.filter(own) else { return Ok(false) };
            yield_now().await;
            last.locked_until = last.locked_until.filter(|until| Some(*until) != attempt.locked_until);
            self.attempts.lock().unwrap().insert(key.clone(), (failures - 1, last));
            Ok(true)
        })
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.attempts.lock().unwrap().remove(key);
            Ok(())
        })
    }

    fn forget_subject<'a>(&'a self, subject: &'a Subject, _: &'a [Method]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.remove_flows(subject, None).await?;
            self.attempts.lock().unwrap().retain(|key, _| key.subject != *subject);
            Ok(())
        })
    }
}
