//! What every store must do, as checks that panic where one does not. For tests only: feature `test-util`.
//!
//! [`run`] takes a store that is both a [`SubjectStore`] and a [`FlowStore`]; [`run_subjects`] and [`run_flows`] take one that is
//! only one of them. Each check can also be called by itself, with an empty store. The stores of this crate pass all of them.
//!
//! Call them on a multi-thread runtime: otherwise a race shows only where the store happens to yield. The clock of the checks is
//! their own; none of them sleeps.
//!
//! ```
//! use tower_step_up::store::{MemoryStore, contract};
//!
//! # #[tokio::main]
//! # async fn main() {
//! contract::run(|| async { MemoryStore::default() }).await;
//!
//! // Or one by one:
//! contract::sessions::existing_ids_are_refused(MemoryStore::default()).await;
//! # }
//! ```
//!
//! # Panics
//!
//! Every function in here panics when the store breaks the contract, or when it returns an error that the check does not ask for.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests that run outside of this crate too: a violation panics, as the module's documentation says"
)]

pub mod attempts;
pub mod completions;
pub mod credentials;
pub mod flows;
pub mod isolation;
pub mod races;
pub mod refusals;
pub mod sessions;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{
    Attempt, AttemptKey, AttemptPolicy, Completed, Completion, Consumption, Credential, CredentialChange, FlowId,
    FlowStore, Rotation, StoredFlow, StoredSecret, SubjectStore,
};
use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    clock::Timestamp,
    session::{BindingKey, StoredSession, Subject},
    standing::CredentialSummary,
};

/// Runs all checks, each on a new, empty store.
pub async fn run<S, F, Fut>(new_store: F)
where
    S: SubjectStore + FlowStore,
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
{
    run_subjects(&new_store).await;
    run_flows(&new_store).await;
    refusals::of_a_flow_change_nothing(new_store().await).await;
    refusals::leave_the_counter_alone(new_store().await).await;
    completions::end_the_flow_and_the_count(new_store().await).await;
    races::one_completion_ends_a_flow(new_store().await).await;
    isolation::flows_and_counters_of_lookalikes(new_store().await).await;
}

/// Runs the checks of a [`SubjectStore`], each on a new, empty store.
pub async fn run_subjects<S, F, Fut>(new_store: F)
where
    S: SubjectStore,
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
{
    sessions::come_back_as_they_were(new_store().await).await;
    sessions::existing_ids_are_refused(new_store().await).await;
    sessions::are_listed_newest_first_while_alive(new_store().await).await;
    sessions::one_is_revoked(new_store().await).await;
    sessions::others_are_revoked(new_store().await).await;
    sessions::all_are_revoked(new_store().await).await;
    sessions::not_before_only_moves_forward(new_store().await).await;
    sessions::expired_ones_make_room(new_store().await).await;
    credentials::come_back_as_they_were(new_store().await).await;
    credentials::change_and_show_in_the_standing(new_store().await).await;
    credentials::are_applied_in_order(new_store().await).await;
    credentials::are_resealed_in_place(new_store().await).await;
    credentials::existing_ids_are_refused(new_store().await).await;
    credentials::ten_thousand_are_no_trouble(new_store().await).await;
    completions::steps_only_rise(new_store().await).await;
    completions::raised_steps_never_fall(new_store().await).await;
    completions::secrets_are_single_use(new_store().await).await;
    completions::present_needs_the_credential(new_store().await).await;
    completions::rotation_replaces_the_session(new_store().await).await;
    completions::rotation_needs_a_live_session(new_store().await).await;
    completions::rotation_needs_a_new_id(new_store().await).await;
    completions::check_session_before_consumption(new_store().await).await;
    refusals::change_nothing(new_store().await).await;
    isolation::sessions_and_credentials_of_lookalikes(new_store().await).await;
    isolation::others_credentials_are_unknown(new_store().await).await;
    races::one_task_takes_a_step(new_store().await).await;
    races::one_task_takes_a_secret(new_store().await).await;
    races::one_task_rotates_a_session(new_store().await).await;
    races::one_task_creates_a_session(new_store().await).await;
    races::one_of_rotation_and_revocation_ends_a_session(new_store().await).await;
    races::revocation_of_all_leaves_no_session(new_store().await).await;
}

/// Runs the checks of a [`FlowStore`], each on a new, empty store.
pub async fn run_flows<S, F, Fut>(new_store: F)
where
    S: FlowStore,
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
{
    flows::come_back_as_they_were(new_store().await).await;
    flows::existing_ids_are_refused(new_store().await).await;
    flows::are_updated_by_version(new_store().await).await;
    flows::are_completed_once(new_store().await).await;
    flows::are_completed_at_any_version(new_store().await).await;
    flows::are_not_completed_when_expired(new_store().await).await;
    flows::the_oldest_give_way(new_store().await).await;
    flows::of_another_session_stay(new_store().await).await;
    flows::nobodys_are_bounded(new_store().await).await;
    flows::are_removed_by_subject(new_store().await).await;
    flows::removed_ones_make_room(new_store().await).await;
    attempts::delays_grow_as_the_policy_says(new_store().await).await;
    attempts::locked_ones_change_nothing(new_store().await).await;
    attempts::free_ones_lock_no_slow_clock(new_store().await).await;
    attempts::stop_for_good(new_store().await).await;
    attempts::are_remembered(new_store().await).await;
    attempts::start_anew_after_a_reset(new_store().await).await;
    attempts::are_counted_by_subject_and_method(new_store().await).await;
    races::parallel_guesses_stay_within_the_limit(new_store().await).await;
    races::one_task_updates_a_flow(new_store().await).await;
    races::one_task_completes_a_flow(new_store().await).await;
    races::wrong_answers_do_not_stop_the_right_one(new_store().await).await;
    races::flows_created_at_once_stay_within_the_limit(new_store().await).await;
}

/// The instant of the checks: 2027-01-15T08:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn subject(text: &str) -> Subject {
    Subject::new(text).expect("a subject")
}

fn kim() -> Subject {
    subject("kim")
}

fn signed_in_at(subject: &Subject, now: Timestamp) -> StoredSession {
    StoredSession::new(subject.clone(), Proof::new(Method::Password, Aal::Aal1, now), now, DAY)
}

fn stepped_up(session: &StoredSession, now: Timestamp) -> StoredSession {
    session.renewed(Proof::new(Method::Totp, Aal::Aal2, now), now, DAY, None)
}

fn rotation(old: &StoredSession, now: Timestamp) -> Rotation {
    Rotation { old: old.id(), new: stepped_up(old, now) }
}

async fn created<S: SubjectStore>(store: &S, subject: &Subject, now: Timestamp) -> StoredSession {
    let session = signed_in_at(subject, now);
    store.create_session(&session).await.expect("a new session");
    session
}

async fn is_there<S: SubjectStore>(store: &S, session: &StoredSession) -> bool {
    store.standing(session.subject(), session.id()).await.expect("a standing").is_some()
}

fn credential(method: Method, secrets: &[[u8; 32]]) -> Credential {
    Credential {
        summary: CredentialSummary { id: CredentialId::random(), method, aal: Aal::Aal2 },
        data: vec![0, 255, b'\'', 0],
        secrets: secrets.iter().map(|&hash| StoredSecret { hash, used_at: None }).collect(),
        last_step: 0,
        created_at: NOW,
    }
}

fn totp() -> Credential {
    credential(Method::Totp, &[])
}

async fn change<S: SubjectStore>(store: &S, subject: &Subject, changes: impl IntoIterator<Item = CredentialChange>) {
    let mut completion = Completion::new(subject.clone(), NOW);
    completion.credentials = changes.into_iter().collect();
    done(store, &completion).await;
}

async fn enrolled<S: SubjectStore>(store: &S, subject: &Subject, credential: Credential) -> Credential {
    change(store, subject, [CredentialChange::Add(credential.clone())]).await;
    credential
}

fn step(credential: &Credential, step: u64) -> Consumption {
    Consumption::Step { credential: credential.summary.id, step }
}

fn secret(credential: &Credential, hash: [u8; 32]) -> Consumption {
    Consumption::Secret { credential: credential.summary.id, hash }
}

fn consuming(subject: &Subject, consume: Consumption) -> Completion {
    Completion { consume: Some(consume), ..Completion::new(subject.clone(), NOW) }
}

async fn complete<S: SubjectStore>(store: &S, completion: &Completion) -> Completed {
    store.complete(completion).await.expect("a completion")
}

async fn done<S: SubjectStore>(store: &S, completion: &Completion) {
    assert_eq!(complete(store, completion).await, Completed::Done);
}

async fn consume<S: SubjectStore>(store: &S, subject: &Subject, consumption: Consumption) -> Completed {
    complete(store, &consuming(subject, consumption)).await
}

async fn credentials_of<S: SubjectStore>(store: &S, subject: &Subject) -> Vec<Credential> {
    store.credentials(subject).await.expect("credentials")
}

/// A flow in a session of its own, if it is somebody's.
fn new_flow(subject: Option<&Subject>) -> StoredFlow {
    StoredFlow {
        id: FlowId::random(),
        subject: subject.cloned(),
        binding: subject.map(|_| BindingKey::random()),
        expires_at: NOW + HOUR,
        version: 0,
        completed: false,
        body: "{}".to_owned(),
    }
}

async fn begun<S: FlowStore>(store: &S, subject: Option<&Subject>) -> StoredFlow {
    let flow = new_flow(subject);
    store.create_flow(&flow, 100, NOW).await.expect("a new flow");
    flow
}

async fn flow_of<S: FlowStore>(store: &S, id: FlowId) -> Option<StoredFlow> {
    store.flow(id).await.expect("a flow or none")
}

fn key(subject: &Subject, method: Method) -> AttemptKey {
    AttemptKey { subject: subject.clone(), method }
}

async fn attempt<S: FlowStore>(store: &S, key: &AttemptKey, policy: &AttemptPolicy, now: Timestamp) -> Attempt {
    store.begin_attempt(key, policy, now).await.expect("an attempt")
}

/// Makes so many calls at once, and returns what each gave.
///
/// Several tasks run side by side, and each polls a few of the calls in turn. So a store that reads, awaits and then writes is
/// caught on a machine with one processor too: all calls of a task have read before the first of them writes.
async fn at_once<T, Fut>(calls: usize, call: impl Fn(usize) -> Fut) -> Vec<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    const TOGETHER: usize = 4;
    let start = Arc::new(tokio::sync::Barrier::new(calls.div_ceil(TOGETHER)));
    let mut calls: Vec<_> = (0..calls).map(|number| Box::pin(call(number))).collect();
    let mut tasks = Vec::new();
    while !calls.is_empty() {
        let start = Arc::clone(&start);
        let together: Vec<_> = calls.drain(..TOGETHER.min(calls.len())).collect();
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            in_turn(together).await
        }));
    }
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.extend(task.await.expect("a task that does not panic"));
    }
    outcomes
}

async fn in_turn<Fut: Future + Unpin>(mut calls: Vec<Fut>) -> Vec<Fut::Output> {
    let mut outcomes: Vec<_> = calls.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (call, outcome) in calls.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(ready) = Pin::new(call).poll(context)
            {
                *outcome = Some(ready);
            }
        }
        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}
