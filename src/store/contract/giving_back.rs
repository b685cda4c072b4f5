//! Attempts that are given back, since the factor failed before it compared anything: as if they had never been made, and nothing more.

use std::sync::Arc;

use uuid::Uuid;

use super::{Attempt, AttemptKey, AttemptPolicy, DAY, MINUTE, NOW, at_once, attempt, counted, key, kim, subject};
use crate::{
    aal::Method,
    clock::Timestamp,
    store::{Counted, FlowStore},
};

const POLICY: AttemptPolicy = AttemptPolicy { free: 3, first_delay: MINUTE, longest_delay: DAY, hard_stop: 50 };

async fn is_given_back<S: FlowStore>(store: &S, key: &AttemptKey, attempt: &Counted, policy: &AttemptPolicy) -> bool {
    store.give_back_attempt(key, attempt, policy, NOW).await.expect("an answer")
}

/// Checks that so many attempts are allowed now, and no more.
async fn assert_left<S: FlowStore>(store: &S, key: &AttemptKey, free: u32, now: Timestamp) {
    for number in 0..free {
        assert!(attempt(store, key, &POLICY, now).await.is_allowed(), "{number} of {free}");
    }
    let next = attempt(store, key, &POLICY, now).await;
    assert!(matches!(next, Attempt::LockedUntil(_)), "{next:?} after {free}");
}

/// However often an attempt is made and given back, all free ones are left afterwards.
pub async fn leaves_the_free_ones<S: FlowStore>(store: S) {
    let key = key(&kim(), Method::Code);
    for _ in 0..60 {
        let attempt = counted(&store, &key, &POLICY, NOW).await;
        assert!(is_given_back(&store, &key, &attempt, &POLICY).await);
    }
    assert_left(&store, &key, POLICY.free, NOW).await;
}

/// Only what was counted is given back: the count of others stays, and never falls below zero.
pub async fn takes_back_one<S: FlowStore>(store: S) {
    let key = key(&kim(), Method::Code);
    let first = counted(&store, &key, &POLICY, NOW).await;
    assert!(is_given_back(&store, &key, &first, &POLICY).await);
    assert!(!is_given_back(&store, &key, &first, &POLICY).await, "there is none left");
    assert!(attempt(&store, &key, &POLICY, NOW).await.is_allowed());
    let second = counted(&store, &key, &POLICY, NOW).await;
    assert!(is_given_back(&store, &key, &second, &POLICY).await);
    assert_left(&store, &key, POLICY.free - 1, NOW).await;
}

/// A counter that was reset, or began anew after that, does not know the attempts of before.
pub async fn a_reset_counter_knows_nothing<S: FlowStore>(store: S) {
    let key = key(&kim(), Method::Code);
    let before = counted(&store, &key, &POLICY, NOW).await;
    store.reset_attempts(&key).await.unwrap();
    assert!(!is_given_back(&store, &key, &before, &POLICY).await, "there is no counter");
    let after = counted(&store, &key, &POLICY, NOW).await;
    assert_ne!(before.generation, after.generation);
    assert!(!is_given_back(&store, &key, &before, &POLICY).await, "a counter that began anew");
    assert_left(&store, &key, POLICY.free - 1, NOW).await;
}

/// An attempt is of one generation of one subject's counter of one method.
pub async fn others_do_not_know_it<S: FlowStore>(store: S) {
    let own = key(&kim(), Method::Code);
    let mine = counted(&store, &own, &POLICY, NOW).await;
    let forged = Counted { generation: Uuid::new_v4(), ..mine };
    assert!(!is_given_back(&store, &own, &forged, &POLICY).await);
    for other in [key(&kim(), Method::Totp), key(&subject("lee"), Method::Code)] {
        let theirs = counted(&store, &other, &POLICY, NOW).await;
        assert_ne!(theirs.generation, mine.generation);
        assert!(!is_given_back(&store, &other, &mine, &POLICY).await);
        assert_left(&store, &other, POLICY.free - 1, NOW).await;
    }
    assert_left(&store, &own, POLICY.free - 1, NOW).await;
}

/// Its own lock goes. A lock that a later attempt has set stays, and so does the one of an earlier attempt.
pub async fn lifts_only_its_own_lock<S: FlowStore>(store: S) {
    let key = key(&kim(), Method::Code);
    let policy = AttemptPolicy { free: 1, ..POLICY };
    let only = counted(&store, &key, &policy, NOW).await;
    assert_eq!(only.locked_until, Some(NOW + MINUTE));
    assert_eq!(attempt(&store, &key, &policy, NOW).await, Attempt::LockedUntil(NOW + MINUTE));
    assert!(is_given_back(&store, &key, &only, &policy).await);

    let first = counted(&store, &key, &policy, NOW).await;
    let later = NOW + MINUTE;
    let second = counted(&store, &key, &policy, later).await;
    let until = later + MINUTE * 2;
    assert_eq!(second.locked_until, Some(until));
    assert!(is_given_back(&store, &key, &first, &policy).await);
    assert_eq!(attempt(&store, &key, &policy, later).await, Attempt::LockedUntil(until), "the second one's");
    // One failure is left.
    let third = counted(&store, &key, &policy, until).await;
    assert_eq!(third.locked_until, Some(until + MINUTE * 2));

    // One that has set no lock lifts none.
    let lee = super::key(&subject("lee"), Method::Code);
    let policy = AttemptPolicy { free: 2, ..POLICY };
    let free = counted(&store, &lee, &policy, NOW).await;
    assert_eq!(free.locked_until, None);
    assert!(attempt(&store, &lee, &policy, NOW).await.is_allowed());
    assert!(is_given_back(&store, &lee, &free, &policy).await);
    assert_eq!(attempt(&store, &lee, &policy, NOW).await, Attempt::LockedUntil(NOW + MINUTE));
}

/// The attempt that reached the hard stop is given back like any other, and then there is one more.
pub async fn leaves_the_hard_stop<S: FlowStore>(store: S) {
    let key = key(&kim(), Method::Code);
    let policy = AttemptPolicy { free: 10, hard_stop: 3, ..POLICY };
    for _ in 0..2 {
        assert!(attempt(&store, &key, &policy, NOW).await.is_allowed());
    }
    for _ in 0..5 {
        let last = counted(&store, &key, &policy, NOW).await;
        assert_eq!(attempt(&store, &key, &policy, NOW + DAY).await, Attempt::Stopped);
        assert!(is_given_back(&store, &key, &last, &policy).await);
    }
    assert!(attempt(&store, &key, &policy, NOW).await.is_allowed());
    assert_eq!(attempt(&store, &key, &policy, NOW + DAY * 3650).await, Attempt::Stopped);
}

/// However many outages and guesses come at once: what is given back takes no guess with it, and gains none.
pub async fn at_once_loses_no_guess<S: FlowStore>(store: S) {
    const EACH: u32 = 60;
    let store = Arc::new(store);
    let key = key(&kim(), Method::Code);
    let policy = AttemptPolicy { free: u32::MAX, hard_stop: u32::MAX, ..POLICY };
    at_once(2 * 60, |number| {
        let (store, key) = (Arc::clone(&store), key.clone());
        async move {
            let attempt = counted(&*store, &key, &policy, NOW).await;
            if number % 2 == 0 {
                assert!(is_given_back(&*store, &key, &attempt, &policy).await);
            }
        }
    })
    .await;
    let one_more = AttemptPolicy { hard_stop: EACH + 1, ..policy };
    assert!(attempt(&*store, &key, &one_more, NOW).await.is_allowed(), "more is counted than was guessed");
    assert_eq!(attempt(&*store, &key, &one_more, NOW).await, Attempt::Stopped, "less is counted than was guessed");
}

/// Outages in between do not let more guesses through than the free ones, however many come at once.
pub async fn at_once_gains_no_guess<S: FlowStore>(store: S) {
    let store = Arc::new(store);
    let key = key(&kim(), Method::Code);
    let outcomes = at_once(200, |number| {
        let (store, key) = (Arc::clone(&store), key.clone());
        async move {
            match attempt(&*store, &key, &POLICY, NOW).await {
                Attempt::Counted(counted) if number % 2 == 0 => {
                    assert!(is_given_back(&*store, &key, &counted, &POLICY).await);
                    0
                }
                attempt => u32::from(attempt.is_allowed()),
            }
        }
    })
    .await;
    let guessed: u32 = outcomes.iter().sum();
    assert!(guessed <= POLICY.free, "{guessed} guesses were allowed");
    for _ in guessed..POLICY.free {
        if !attempt(&*store, &key, &POLICY, NOW).await.is_allowed() {
            return;
        }
    }
    assert!(!attempt(&*store, &key, &POLICY, NOW).await.is_allowed());
}
