//! A store that reads, yields, and then writes: every race that the kit knows must catch it.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::Mutex,
};

use tokio::task::yield_now;
use tower_step_up::{
    Session, SessionId, Subject, Timestamp,
    store::{
        Attempt, AttemptKey, AttemptPolicy, Completed, Completion, Consumption, Credential, CredentialChange, FlowId,
        FlowStore, MemoryStore, Revocation, Rotation, StoreError, StoreErrorKind, StoreFuture, StoredFlow,
        StoredStanding, SubjectStore, contract,
    },
};

/// Right in all it does, as long as one task does it.
#[derive(Default)]
struct Naive {
    inner: MemoryStore,
    sessions: Mutex<HashSet<SessionId>>,
    attempts: Mutex<HashMap<AttemptKey, (u32, Option<Timestamp>)>>,
    flows: Mutex<HashMap<FlowId, StoredFlow>>,
}

impl Naive {
    async fn judged(&self, completion: &Completion) -> Result<Completed, StoreError> {
        let Completion { subject, now, .. } = completion;
        if let Some(flow) = completion.flow {
            let flow = self.flows.lock().unwrap().get(&flow).cloned();
            if !flow.is_some_and(|flow| !flow.completed && flow.expires_at > *now) {
                return Ok(Completed::FlowGone);
            }
        }
        if let Some(rotation) = &completion.rotate
            && !self.inner.standing(subject, rotation.old).await?.is_some_and(|standing| {
                standing.session.expires_at() > *now
                    && rotation.new.subject() == subject
                    && standing.not_before.is_none_or(|not_before| standing.session.issued_at() >= not_before)
            })
        {
            return Ok(Completed::SessionGone);
        }
        let credentials = self.inner.credentials(subject).await?;
        let find = |id| credentials.iter().find(|credential| credential.summary.id == id);
        Ok(match completion.consume {
            Some(Consumption::Step { credential, step }) => match find(credential) {
                None => Completed::Unknown,
                Some(found) if found.last_step >= step => Completed::Used,
                Some(_) => Completed::Done,
            },
            Some(Consumption::Secret { credential, hash }) => {
                match find(credential).and_then(|found| found.secrets.iter().find(|secret| secret.hash == hash)) {
                    None => Completed::Unknown,
                    Some(secret) if secret.used_at.is_some() => Completed::Used,
                    Some(_) => Completed::Done,
                }
            }
            None | Some(_) => Completed::Done,
        })
    }
}

impl SubjectStore for Naive {
    fn create_session<'a>(&'a self, session: &'a Session) -> StoreFuture<'a, ()> {
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

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<Session>> {
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
            let judged = self.judged(completion).await?;
            if judged != Completed::Done {
                return Ok(judged);
            }
            yield_now().await;
            let Completion { subject, now, .. } = completion;
            if let Some(flow) = completion.flow.and_then(|id| self.flows.lock().unwrap().get_mut(&id).cloned()) {
                self.flows.lock().unwrap().insert(flow.id, StoredFlow { completed: true, ..flow });
            }
            if let Some(Rotation { old, new }) = &completion.rotate {
                self.inner.revoke(subject, Revocation::One(*old)).await?;
                self.inner.create_session(new).await?;
            }
            let mut written = Completion::new(subject.clone(), *now);
            for mut credential in self.inner.credentials(subject).await? {
                match completion.consume {
                    Some(Consumption::Step { step, .. }) => credential.last_step = step,
                    Some(Consumption::Secret { hash, .. }) => {
                        for secret in &mut credential.secrets {
                            if secret.hash == hash {
                                secret.used_at = Some(*now);
                            }
                        }
                    }
                    _ => {}
                }
                written.credentials.push(CredentialChange::Replace(credential));
            }
            written.credentials.extend(completion.credentials.clone());
            self.inner.complete(&written).await
        })
    }
}

impl FlowStore for Naive {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, _: Timestamp) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let own = self.flows.lock().unwrap().values().filter(|old| old.binding == flow.binding).count();
            yield_now().await;
            let mut flows = self.flows.lock().unwrap();
            if own >= usize::try_from(keep).unwrap() {
                let oldest = flows.values().find(|old| old.binding == flow.binding).map(|old| old.id);
                oldest.map(|oldest| flows.remove(&oldest));
            }
            flows.insert(flow.id, flow.clone());
            Ok(())
        })
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        Box::pin(async move { Ok(self.flows.lock().unwrap().get(&id).cloned()) })
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let stored = self.flow(flow.id).await?;
            let Some(stored) = stored.filter(|stored| !stored.completed && stored.version == flow.version) else {
                return Ok(false);
            };
            yield_now().await;
            let written = StoredFlow { version: flow.version + 1, body: flow.body.clone(), ..stored };
            self.flows.lock().unwrap().insert(flow.id, written);
            Ok(true)
        })
    }

    fn complete_flow(&self, id: FlowId, now: Timestamp) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let Some(flow) = self.flow(id).await?.filter(|flow| !flow.completed && flow.expires_at > now) else {
                return Ok(false);
            };
            yield_now().await;
            self.flows.lock().unwrap().insert(id, StoredFlow { completed: true, ..flow });
            Ok(true)
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
            let (failures, locked_until) = counter.unwrap_or_default();
            if failures >= policy.hard_stop {
                return Ok(Attempt::Stopped);
            }
            if let Some(until) = locked_until.filter(|&until| now < until) {
                return Ok(Attempt::LockedUntil(until));
            }
            yield_now().await;
            let delay = policy.delay_after(failures + 1);
            let lock = (!delay.is_zero()).then(|| now + delay);
            self.attempts.lock().unwrap().insert(key.clone(), (failures + 1, lock));
            Ok(Attempt::Allowed)
        })
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.attempts.lock().unwrap().remove(key);
            Ok(())
        })
    }
}

async fn assert_caught(name: &str, check: impl Future<Output = ()> + Send + 'static) {
    let outcome = tokio::spawn(check).await;
    assert!(outcome.is_err_and(|error| error.is_panic()), "the naive store passes {name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_kit_catches_a_store_that_reads_and_then_writes() {
    use contract::races;
    macro_rules! assert_all_caught {
        ($($check:ident),*) => {
            $(assert_caught(stringify!($check), async { races::$check(Naive::default()).await }).await;)*
        };
    }
    assert_all_caught!(
        one_task_takes_a_step,
        one_task_takes_a_secret,
        one_task_rotates_a_session,
        one_task_creates_a_session,
        one_of_rotation_and_revocation_ends_a_session,
        revocation_of_all_leaves_no_session,
        parallel_guesses_stay_within_the_limit,
        one_task_updates_a_flow,
        one_task_completes_a_flow,
        one_completion_ends_a_flow,
        flows_created_at_once_stay_within_the_limit
    );
}

/// So that what the kit catches above is the race and not some other fault of the naive store.
#[tokio::test]
async fn the_naive_store_is_right_as_long_as_nobody_races() {
    contract::sessions::come_back_as_they_were(Naive::default()).await;
    contract::sessions::existing_ids_are_refused(Naive::default()).await;
    contract::completions::steps_only_rise(Naive::default()).await;
    contract::completions::rotation_replaces_the_session(Naive::default()).await;
    contract::flows::are_updated_by_version(Naive::default()).await;
    contract::flows::are_completed_once(Naive::default()).await;
    contract::attempts::delays_grow_as_the_policy_says(Naive::default()).await;
    contract::attempts::start_anew_after_a_reset(Naive::default()).await;
}
