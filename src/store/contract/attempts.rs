//! Attempts: counted before they are evaluated, delayed as the policy says, stopped for good.

use std::time::Duration;

use super::{Attempt, AttemptPolicy, DAY, HOUR, MINUTE, NOW, attempt, key, kim, subject};
use crate::{aal::Method, clock::Timestamp, store::FlowStore};

fn just_before(instant: Timestamp) -> Timestamp {
    Timestamp::from_unix_milliseconds(instant.unix_milliseconds() - 1)
}

/// After each failure the next attempt waits exactly [`AttemptPolicy::delay_after`], whatever the policy; then comes the stop.
pub async fn delays_grow_as_the_policy_says<S: FlowStore>(store: S) {
    let default = AttemptPolicy { hard_stop: 20, ..AttemptPolicy::default() };
    let policies = [
        default,
        AttemptPolicy { free: 0, first_delay: Duration::from_millis(1), longest_delay: DAY * 3650, ..default },
        AttemptPolicy { free: 0, first_delay: Duration::from_micros(1500), hard_stop: 40, ..default },
        AttemptPolicy { free: 1, first_delay: DAY, longest_delay: HOUR, ..default },
        AttemptPolicy { free: 3, first_delay: Duration::ZERO, ..default },
        AttemptPolicy { free: 30, ..default },
        AttemptPolicy { free: 1, hard_stop: 1, ..default },
        AttemptPolicy { free: u32::MAX, hard_stop: 3, ..default },
        AttemptPolicy { free: 0, longest_delay: Duration::ZERO, hard_stop: 3, ..default },
    ];
    for (number, policy) in policies.iter().enumerate() {
        let key = key(&subject(&format!("kim-{number}")), Method::Totp);
        let mut now = NOW;
        for failures in 1..=policy.hard_stop {
            assert!(attempt(&store, &key, policy, now).await.is_allowed(), "{failures} of {policy:?}");
            let delay = policy.delay_after(failures);
            if !delay.is_zero() && failures < policy.hard_stop {
                let until = now + delay;
                for early in [now, just_before(until)] {
                    let locked = attempt(&store, &key, policy, early).await;
                    assert_eq!(locked, Attempt::LockedUntil(until), "after {failures} of {policy:?}");
                }
                now = until;
            }
        }
        assert_eq!(attempt(&store, &key, policy, now + DAY * 7).await, Attempt::Stopped, "{policy:?}");
    }
    let never = AttemptPolicy { hard_stop: 0, ..default };
    assert_eq!(attempt(&store, &key(&kim(), Method::Totp), &never, NOW).await, Attempt::Stopped);

    // Delays that end after the last instant end at the last instant.
    let forever = AttemptPolicy { free: 0, first_delay: Duration::MAX, longest_delay: Duration::MAX, ..default };
    assert!(attempt(&store, &key(&kim(), Method::Totp), &forever, NOW).await.is_allowed());
    let locked = attempt(&store, &key(&kim(), Method::Totp), &forever, NOW).await;
    assert_eq!(locked, Attempt::LockedUntil(NOW + Duration::MAX));
}

/// Refused attempts neither count nor move the lock.
pub async fn locked_ones_change_nothing<S: FlowStore>(store: S) {
    let key = key(&kim(), Method::Totp);
    let policy = AttemptPolicy { free: 1, first_delay: MINUTE, ..AttemptPolicy::default() };
    assert!(attempt(&store, &key, &policy, NOW).await.is_allowed());
    let until = NOW + MINUTE;
    for second in 0..50 {
        let now = NOW + Duration::from_secs(second);
        assert_eq!(attempt(&store, &key, &policy, now).await, Attempt::LockedUntil(until));
    }
    let earlier = NOW - DAY;
    assert_eq!(attempt(&store, &key, &policy, earlier).await, Attempt::LockedUntil(until), "a clock that went back");
    assert!(attempt(&store, &key, &policy, until).await.is_allowed());
    assert_eq!(attempt(&store, &key, &policy, until).await, Attempt::LockedUntil(until + MINUTE * 2));
}

/// A failure that costs nothing does not lock a machine whose clock is behind.
pub async fn free_ones_lock_no_slow_clock<S: FlowStore>(store: S) {
    let key = key(&kim(), Method::Totp);
    let policy = AttemptPolicy { free: 3, ..AttemptPolicy::default() };
    for seconds in [0, 2, 1] {
        let now = NOW - Duration::from_secs(seconds);
        assert!(attempt(&store, &key, &policy, now).await.is_allowed());
    }
    assert!(matches!(attempt(&store, &key, &policy, NOW).await, Attempt::LockedUntil(_)));
}

/// The hard stop does not pass with time, only with a reset. A policy that allows more opens it.
pub async fn stop_for_good<S: FlowStore>(store: S) {
    let (stopped, other) = (key(&kim(), Method::Totp), key(&subject("lee"), Method::Totp));
    let policy = AttemptPolicy { free: 10, hard_stop: 3, ..AttemptPolicy::default() };
    for _ in 0..3 {
        assert!(attempt(&store, &stopped, &policy, NOW).await.is_allowed());
    }
    for later in [Duration::ZERO, HOUR, DAY, AttemptPolicy::REMEMBERED_FOR, DAY * 3650] {
        let now = NOW + later;
        assert_eq!(attempt(&store, &stopped, &policy, now).await, Attempt::Stopped, "{later:?} later");
        assert!(attempt(&store, &other, &AttemptPolicy::default(), now).await.is_allowed());
        store.reset_attempts(&other).await.unwrap();
    }
    let wider = AttemptPolicy { hard_stop: 4, ..policy };
    assert!(attempt(&store, &stopped, &wider, NOW).await.is_allowed());
    assert_eq!(attempt(&store, &stopped, &wider, NOW).await, Attempt::Stopped);
    store.reset_attempts(&stopped).await.unwrap();
    assert!(attempt(&store, &stopped, &policy, NOW).await.is_allowed());
}

/// Failures are remembered for [`AttemptPolicy::REMEMBERED_FOR`] after the last attempt, whatever else happens.
pub async fn are_remembered<S: FlowStore>(store: S) {
    let key = key(&kim(), Method::Totp);
    let policy = AttemptPolicy { free: 3, hard_stop: 3, ..AttemptPolicy::default() };
    let mut now = NOW;
    for _ in 0..3 {
        assert!(attempt(&store, &key, &policy, now).await.is_allowed());
        now = just_before(now + AttemptPolicy::REMEMBERED_FOR);
        for number in 0..3 {
            let other = super::key(&subject(&format!("lee-{number}")), Method::Totp);
            let _allowed_or_not = attempt(&store, &other, &policy, now).await;
        }
    }
    assert_eq!(attempt(&store, &key, &policy, now).await, Attempt::Stopped);
}

/// After a reset the count starts at zero, and the lock is gone.
pub async fn start_anew_after_a_reset<S: FlowStore>(store: S) {
    let key = key(&kim(), Method::Totp);
    let policy = AttemptPolicy::default();
    store.reset_attempts(&key).await.unwrap();
    for _ in 0..3 {
        for _ in 0..policy.free {
            assert!(attempt(&store, &key, &policy, NOW).await.is_allowed());
        }
        let until = NOW + policy.first_delay;
        assert_eq!(attempt(&store, &key, &policy, NOW).await, Attempt::LockedUntil(until));
        store.reset_attempts(&key).await.unwrap();
    }
}

/// Neither another subject's nor another method's attempts count.
pub async fn are_counted_by_subject_and_method<S: FlowStore>(store: S) {
    let policy = AttemptPolicy { free: 1, ..AttemptPolicy::default() };
    let locked = key(&kim(), Method::Totp);
    assert!(attempt(&store, &locked, &policy, NOW).await.is_allowed());
    for free in [key(&kim(), Method::LookupSecret), key(&subject("lee"), Method::Totp)] {
        assert!(attempt(&store, &free, &policy, NOW).await.is_allowed());
        store.reset_attempts(&free).await.unwrap();
    }
    assert!(matches!(attempt(&store, &locked, &policy, NOW).await, Attempt::LockedUntil(_)));
}
