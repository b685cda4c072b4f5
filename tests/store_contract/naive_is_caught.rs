//! Every race that the kit knows must catch the naive store.

use std::future::Future;

use tower_step_up::store::contract;

use crate::naive::Naive;

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
        one_task_takes_data,
        one_task_sets_data,
        one_task_rotates_a_session,
        one_task_creates_a_session,
        one_task_begins_a_session,
        one_of_rotation_and_revocation_ends_a_session,
        revocation_of_others_keeps_what_replaces_one,
        revocation_of_all_leaves_no_session,
        revocation_of_all_leaves_no_session_that_begins,
        parallel_guesses_stay_within_the_limit,
        one_task_updates_a_flow,
        one_task_completes_a_flow,
        wrong_answers_do_not_stop_the_right_one,
        one_completion_ends_a_flow,
        one_session_begins_by_a_flow,
        flows_created_at_once_stay_within_the_limit,
        one_flow_is_in_use_and_stays
    );
    assert_caught("giving back", async { contract::giving_back::at_once_loses_no_guess(Naive::default()).await }).await;
}

/// So that what the kit catches above is the race and not some other fault of the naive store.
#[tokio::test]
async fn the_naive_store_is_right_as_long_as_nobody_races() {
    contract::sessions::come_back_as_they_were(Naive::default()).await;
    contract::sessions::existing_ids_are_refused(Naive::default()).await;
    contract::completions::steps_only_rise(Naive::default()).await;
    contract::credentials::data_is_set_in_place(Naive::default()).await;
    contract::completions::data_is_compared_and_set(Naive::default()).await;
    contract::completions::uses_are_dated(Naive::default()).await;
    contract::completions::rotation_replaces_the_session(Naive::default()).await;
    contract::completions::a_session_begins(Naive::default()).await;
    contract::flows::are_updated_by_version(Naive::default()).await;
    contract::flows::are_completed_once(Naive::default()).await;
    contract::flows::the_one_in_use_stays(Naive::default()).await;
    contract::flows::touches_keep_no_more(Naive::default()).await;
    contract::attempts::delays_grow_as_the_policy_says(Naive::default()).await;
    contract::attempts::start_anew_after_a_reset(Naive::default()).await;
    contract::giving_back::takes_back_one(Naive::default()).await;
    contract::giving_back::lifts_only_its_own_lock(Naive::default()).await;
}
