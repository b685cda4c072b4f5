//! Checks of what every store must do. They panic if a store does not. For tests only: feature `test-util`.
//!
//! [`run`] takes a store that is both a [`SubjectStore`] and a [`FlowStore`]; [`run_subjects`] and [`run_flows`] take one that is
//! only one of them. Each check can also be called by itself, with an empty store. The stores of this crate pass all of them.
//!
//! Call them on a multi-threaded runtime: otherwise a race shows only where the store yields. The checks have their own clock,
//! and none of them sleeps.
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
//! Every function in here panics if the store breaks the contract, or returns an error that the check does not ask for. [`run`]
//! ends with the name of the failed check.
//!
//! # Changes that a store does not know
//!
//! [`Consumption`] and [`CredentialChange`] may have further variants in later versions of this crate, and [`Completion`] further
//! fields. A store that does not know them answers [`Unsupported`](super::StoreErrorKind::Unsupported) and fails their check. So
//! after an upgrade of this crate, the failed checks name what the store has to learn. The same holds for calls that have a default, such as
//! [`SubjectStore::delete_subject`] and [`FlowStore::give_back_attempt`].

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
pub mod changes;
pub mod completions;
pub mod credentials;
pub mod erasure;
pub mod flows;
pub mod giving_back;
pub mod isolation;
pub mod races;
pub mod refusals;
mod running;
pub mod sessions;

use std::{future::Future, time::Duration};

use self::running::{at_once, named};
use super::{
    Attempt, AttemptKey, AttemptPolicy, Completed, Completion, Consumption, Counted, Credential, CredentialChange,
    FlowId, FlowStore, Rotation, StoredFlow, StoredSecret, SubjectStore, Written,
};
use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    clock::Timestamp,
    session::{BindingKey, StoredSession, Subject},
    standing::CredentialSummary,
};

/// Runs checks one after the other, each under its name.
macro_rules! checks {
    ($new_store:ident; $($module:ident::$check:ident),+ $(,)?) => {
        $(
            let check = async { $module::$check($new_store().await).await };
            named(concat!(stringify!($module), "::", stringify!($check)), check).await;
        )+
    };
}

/// Runs all checks, each on a new, empty store.
pub async fn run<S, F, Fut>(new_store: F)
where
    S: SubjectStore + FlowStore,
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
{
    run_subjects(&new_store).await;
    run_flows(&new_store).await;
    checks!(
        new_store;
        refusals::of_a_flow_change_nothing,
        refusals::leave_the_counter_alone,
        completions::end_the_flow_and_the_count,
        races::one_completion_ends_a_flow,
        races::one_session_begins_by_a_flow,
        isolation::flows_and_counters_of_lookalikes,
        erasure::flows_and_counters_go_with_the_subject,
    );
}

/// Runs the checks of a [`SubjectStore`], each on a new, empty store.
pub async fn run_subjects<S, F, Fut>(new_store: F)
where
    S: SubjectStore,
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
{
    checks!(
        new_store;
        sessions::come_back_as_they_were,
        sessions::uses_are_noted,
        sessions::existing_ids_are_refused,
        sessions::are_listed_newest_first_while_alive,
        sessions::are_found_by_binding,
        sessions::one_is_revoked,
        sessions::others_are_revoked,
        sessions::all_are_revoked,
        sessions::revocations_of_all_are_counted,
        sessions::expired_ones_make_room,
        credentials::come_back_as_they_were,
        credentials::are_removed_by_id,
        credentials::change_and_show_in_the_standing,
        credentials::are_applied_in_order,
        credentials::are_named_in_place,
        credentials::data_is_set_in_place,
        credentials::data_is_set_only_as_expected,
        credentials::existing_ids_are_refused,
        credentials::a_fingerprint_is_of_one_alone,
        credentials::ten_thousand_are_no_trouble,
        completions::steps_only_rise,
        completions::raised_steps_never_fall,
        completions::secrets_are_single_use,
        completions::data_is_compared_and_set,
        completions::present_needs_the_credential,
        completions::uses_are_dated,
        completions::rotation_replaces_the_session,
        completions::rotation_needs_a_live_session,
        completions::rotation_needs_a_new_id,
        completions::a_session_begins,
        sessions::answered_forms_stay_with_their_session,
        sessions::devices_stay_with_their_session,
        completions::a_session_begins_for_its_subject_alone,
        completions::a_session_begins_under_a_new_id,
        completions::check_session_before_consumption,
        refusals::change_nothing,
        isolation::sessions_and_credentials_of_lookalikes,
        isolation::others_credentials_are_unknown,
        isolation::others_credentials_are_not_changed,
        races::one_task_takes_a_step,
        races::one_task_takes_a_secret,
        races::one_task_takes_data,
        races::one_task_sets_data,
        races::names_and_steps_at_once_are_both_kept,
        races::one_task_rotates_a_session,
        races::one_task_begins_a_session,
        races::one_task_creates_a_session,
        races::one_of_rotation_and_revocation_ends_a_session,
        races::revocation_of_others_keeps_what_replaces_one,
        races::revocation_of_all_leaves_no_session,
        races::revocation_of_all_leaves_no_session_that_begins,
        erasure::a_subject_is_deleted,
        erasure::everybody_is_revoked,
        erasure::revocation_of_everybody_leaves_no_session,
        changes::each_is_told,
        changes::everybody_is_told,
        changes::places_stay_readable,
        changes::none_is_missed_among_many,
    );
}

/// Runs the checks of a [`FlowStore`], each on a new, empty store.
pub async fn run_flows<S, F, Fut>(new_store: F)
where
    S: FlowStore,
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
{
    checks!(
        new_store;
        flows::come_back_as_they_were,
        flows::existing_ids_are_refused,
        flows::are_updated_by_version,
        flows::are_completed_once,
        flows::are_completed_at_any_version,
        flows::are_not_completed_when_expired,
        flows::the_oldest_give_way,
        flows::the_one_in_use_stays,
        flows::touches_keep_no_more,
        flows::anonymous_ones_are_never_in_use,
        flows::of_another_session_stay,
        flows::anonymous_ones_are_bounded,
        flows::completed_anonymous_ones_stay,
        flows::are_removed_by_subject,
        flows::removed_ones_make_room,
        attempts::delays_grow_as_the_policy_says,
        attempts::locked_ones_change_nothing,
        attempts::free_ones_lock_no_slow_clock,
        attempts::stop_for_good,
        attempts::are_remembered,
        attempts::start_anew_after_a_reset,
        attempts::are_counted_by_subject_and_method,
        giving_back::leaves_the_free_ones,
        giving_back::takes_back_one,
        giving_back::a_reset_counter_knows_nothing,
        giving_back::others_do_not_know_it,
        giving_back::lifts_only_its_own_lock,
        giving_back::leaves_the_hard_stop,
        giving_back::at_once_loses_no_guess,
        giving_back::at_once_gains_no_guess,
        races::parallel_guesses_stay_within_the_limit,
        races::one_task_updates_a_flow,
        races::one_task_completes_a_flow,
        races::wrong_answers_do_not_stop_the_right_one,
        races::flows_created_at_once_stay_within_the_limit,
        races::one_flow_is_in_use_and_stays,
        erasure::a_subject_is_forgotten,
    );
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
    let secrets = secrets.iter().map(|&hash| StoredSecret { hash, used_at: None }).collect();
    Credential::new(CredentialSummary { id: CredentialId::random(), method, aal: Aal::Aal2 }, NOW)
        .with_data(vec![0, 255, b'\'', 0])
        .with_secrets(secrets)
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

/// Changes the credential's data from its first value to this one.
fn data(credential: &Credential, data: &[u8]) -> Consumption {
    Consumption::Data { credential: credential.summary.id, expected: credential.data.clone(), data: data.to_vec() }
}

fn remove(credential: &Credential) -> CredentialChange {
    CredentialChange::Remove(credential.summary.id)
}

fn set_data(credential: &Credential, data: &[u8]) -> CredentialChange {
    CredentialChange::SetData {
        credential: credential.summary.id,
        expected: credential.data.clone(),
        data: data.to_vec(),
    }
}

fn set_name(credential: &Credential, name: &str) -> CredentialChange {
    CredentialChange::SetName { credential: credential.summary.id, name: Some(name.parse().expect("a name")) }
}

fn beginning(session: &StoredSession, now: Timestamp) -> Completion {
    Completion { begin: Some(session.clone()), ..Completion::new(session.subject().clone(), now) }
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

/// A flow in a session of its own, if it has a subject.
fn new_flow(subject: Option<&Subject>) -> StoredFlow {
    StoredFlow {
        id: FlowId::random(),
        subject: subject.cloned(),
        binding: subject.map(|_| BindingKey::random()),
        expires_at: NOW + HOUR,
        version: 0,
        completed: false,
        in_use: false,
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

async fn is_updated<S: FlowStore>(store: &S, flow: &StoredFlow) -> bool {
    store.update_flow(flow).await.expect("an update") == Written::Done
}

async fn is_touched<S: FlowStore>(store: &S, flow: &StoredFlow) -> bool {
    store.touch_flow(flow).await.expect("an answer") == Written::Done
}

async fn is_completed<S: FlowStore>(store: &S, flow: &StoredFlow, now: Timestamp) -> bool {
    store.complete_flow(flow, now).await.expect("an answer") == Written::Done
}

async fn attempt<S: FlowStore>(store: &S, key: &AttemptKey, policy: &AttemptPolicy, now: Timestamp) -> Attempt {
    store.begin_attempt(key, policy, now).await.expect("an attempt")
}

/// An attempt that is allowed and can be given back.
async fn counted<S: FlowStore>(store: &S, key: &AttemptKey, policy: &AttemptPolicy, now: Timestamp) -> Counted {
    match attempt(store, key, policy, now).await {
        Attempt::Counted(counted) => counted,
        other => panic!("{other:?} where an attempt can be given back"),
    }
}
