//! The attacks on a store that reads and then writes: those rows fail whose protection is that a store does both at once, and no other.
//!
//! A row that passes there tests no race. A row that fails there though it has none would mean that the naive store is wrong in some
//! other way, and that the failures show nothing.

use std::{collections::BTreeSet, env, process::Command};

use crate::stores::VARIABLE;

/// What only holds where the store checks and writes in one.
const FAILING: [&str; 20] = [
    "codes::older_step_is_refused_after_a_newer_one",
    "codes::recovery_code_is_accepted_once",
    "codes::totp_code_is_accepted_once",
    "codes::totp_code_is_accepted_once_across_nodes",
    "devices::tabs_at_once_use_a_device_once",
    "enrolment::enrolment_trusts_only_its_own_flow",
    "faults::crash_or_disconnect_leaves_no_half_upgrade",
    "faults::floods_stay_bounded",
    "flows::flow_is_spent_after_success",
    "messages::code_is_accepted_once",
    "messages::floods_of_codes_are_bounded",
    "messages::one_code_takes_five_tries",
    "outages::outages_at_once_gain_no_guesses",
    "own_addresses::addresses_stay_few_though_many_are_confirmed_at_once",
    "races::fifty_parallel_submissions_give_one_upgrade",
    "races::logout_wins_over_a_step_up_in_flight",
    "races::parallel_guesses_cannot_beat_the_limit",
    "races::two_tabs_do_not_mix",
    "sessions::session_token_is_new_after_every_upgrade",
    "strangers::copies_of_a_form_at_once_count_as_one_form",
];

/// Properties over many cases, one request at a time; and this module.
const LEFT_OUT: [&str; 4] = [
    "input::no_header_or_body_is_more_than_refused",
    "model::every_walk_is_as_the_model_says",
    "state_and_policy::no_path_reaches_the_handler_below_the_level",
    "naive_is_caught::",
];

#[test]
fn the_rows_that_need_an_atomic_store_fail_without_one_and_no_others() {
    let mut all = Command::new(env::current_exe().unwrap());
    for name in LEFT_OUT {
        all.args(["--skip", name]);
    }
    let output = all.env(VARIABLE, "naive").env("RUST_BACKTRACE", "0").output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout);
    let ran: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... ")).collect();
    assert!(ran.len() > 80, "{output}");
    let failed: BTreeSet<_> = ran.iter().filter(|(_, how)| *how != "ok").map(|(name, _)| *name).collect();
    assert_eq!(failed, BTreeSet::from(FAILING), "{output}");
    // By what the row asserts, not in the preparation for it.
    for name in failed {
        let said = output.split_once(&format!("---- {name} stdout ----")).unwrap().1;
        let said =
            said.split_once("panicked at tests/attacks/").unwrap_or_else(|| panic!("{name} fails elsewhere: {said}")).1;
        let assertion = said.lines().nth(1).unwrap_or_default();
        assert!(assertion.starts_with("assertion "), "{name}: {assertion}");
    }
}
