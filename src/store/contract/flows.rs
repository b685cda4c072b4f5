//! Flows: written by version, completed once, few for each session.

use super::{DAY, HOUR, NOW, begun, flow_of, is_completed, is_touched, is_updated, kim, new_flow, subject};
use crate::{
    clock::Timestamp,
    session::BindingKey,
    store::{FlowId, FlowStore, StoreErrorKind, StoredFlow},
};

/// A flow is read as it was written, with or without a session, and for some time after it has expired.
pub async fn come_back_as_they_were<S: FlowStore>(store: S) {
    let odd = Timestamp::from_unix_milliseconds(NOW.unix_milliseconds() + 7);
    for subject in [None, Some(kim())] {
        let body = "{\"text\":\"\u{fc}ber 'quoted' \\u0000 \u{1f511}\"}".repeat(200);
        let flow = StoredFlow { expires_at: odd, body, ..new_flow(subject.as_ref()) };
        store.create_flow(&flow, 10, NOW).await.unwrap();
        assert_eq!(flow_of(&store, flow.id).await, Some(flow.clone()));
        begun(&store, None).await;
        store.create_flow(&new_flow(None), 10, NOW + HOUR).await.unwrap();
        assert_eq!(flow_of(&store, flow.id).await, Some(flow), "expired for less than a day");
    }
    assert_eq!(flow_of(&store, FlowId::random()).await, None);
}

/// An existing id is a conflict, and the flow that has it stays.
pub async fn existing_ids_are_refused<S: FlowStore>(store: S) {
    let flow = begun(&store, Some(&kim())).await;
    for owner in [Some(kim()), Some(subject("lee")), None] {
        let other = StoredFlow { id: flow.id, body: "other".to_owned(), ..new_flow(owner.as_ref()) };
        let error = store.create_flow(&other, 1, NOW).await.expect_err("the id exists");
        assert_eq!(error.kind(), StoreErrorKind::Conflict);
    }
    assert_eq!(flow_of(&store, flow.id).await, Some(flow));
}

/// Only a writer that knows the current version may write. The version then rises by one, and only the body changes.
pub async fn are_updated_by_version<S: FlowStore>(store: S) {
    let kim = kim();
    let flow = begun(&store, Some(&kim)).await;
    let first = StoredFlow { body: "first".to_owned(), ..flow.clone() };
    assert!(is_updated(&store, &first).await);
    assert!(!is_updated(&store, &StoredFlow { body: "late".to_owned(), ..flow.clone() }).await);
    assert_eq!(flow_of(&store, flow.id).await, Some(StoredFlow { version: 1, ..first }));

    let widened = StoredFlow {
        subject: Some(subject("lee")),
        binding: Some(BindingKey::random()),
        expires_at: NOW + DAY,
        version: 1,
        completed: true,
        body: "second".to_owned(),
        ..flow.clone()
    };
    assert!(is_updated(&store, &widened).await);
    assert_eq!(
        flow_of(&store, flow.id).await,
        Some(StoredFlow { version: 2, body: "second".to_owned(), ..flow.clone() })
    );
    for version in [0, 1, 3] {
        assert!(!is_updated(&store, &StoredFlow { version, ..flow.clone() }).await, "version {version}");
    }
    assert!(!is_updated(&store, &new_flow(Some(&kim))).await, "it does not exist");
}

/// A flow is completed once, with its last body. It stays readable, and is never written again.
pub async fn are_completed_once<S: FlowStore>(store: S) {
    let flow = begun(&store, Some(&kim())).await;
    let last = StoredFlow { body: "last".to_owned(), expires_at: NOW + DAY, binding: None, ..flow.clone() };
    assert!(is_completed(&store, &last, NOW).await);
    assert!(!is_completed(&store, &flow, NOW).await);
    let completed = flow_of(&store, flow.id).await.expect("a completed flow stays");
    assert_eq!(completed, StoredFlow { version: 1, completed: true, body: last.body, ..flow.clone() });
    for version in [flow.version, completed.version] {
        let late = StoredFlow { version, body: "late".to_owned(), completed: false, ..flow.clone() };
        assert!(!is_updated(&store, &late).await);
    }
    assert_eq!(flow_of(&store, flow.id).await, Some(completed));
    assert!(!is_completed(&store, &new_flow(Some(&kim())), NOW).await, "it does not exist");
}

/// A flow is completed whatever was written since it was read.
pub async fn are_completed_at_any_version<S: FlowStore>(store: S) {
    let read = begun(&store, Some(&kim())).await;
    for version in 0..3 {
        let wrong = StoredFlow { version, body: "wrong".to_owned(), ..read.clone() };
        assert!(is_updated(&store, &wrong).await);
    }
    let right = StoredFlow { body: "right".to_owned(), ..read };
    assert!(is_completed(&store, &right, NOW).await);
    assert_eq!(flow_of(&store, right.id).await, Some(StoredFlow { version: 4, completed: true, ..right }));
}

/// A flow that has expired is not completed; until then it is.
pub async fn are_not_completed_when_expired<S: FlowStore>(store: S) {
    let flow = begun(&store, Some(&kim())).await;
    let prolonged = StoredFlow { expires_at: NOW + 3 * DAY, body: "prolonged".to_owned(), ..flow.clone() };
    for late in [flow.expires_at, flow.expires_at + DAY] {
        assert!(!is_completed(&store, &prolonged, late).await);
        assert_eq!(flow_of(&store, flow.id).await.as_ref(), Some(&flow));
    }
    let last = Timestamp::from_unix_milliseconds(flow.expires_at.unix_milliseconds() - 1);
    assert!(is_completed(&store, &flow, last).await);
}

/// The newest flows of a session stay, completed or not. Flows of other sessions do not count.
pub async fn the_oldest_give_way<S: FlowStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let lees = begun(&store, Some(&lee)).await;
    let anonymous = begun(&store, None).await;
    let of_one_session = new_flow(Some(&kim));
    let mut flows = Vec::new();
    for number in 0..6 {
        // The one created first expires last: age is the order of creation.
        let expires_at = NOW + HOUR * (10 - number);
        let flow = StoredFlow { id: FlowId::random(), expires_at, ..of_one_session.clone() };
        store.create_flow(&flow, 3, NOW).await.unwrap();
        store.create_flow(&new_flow(None), 100, NOW).await.unwrap();
        if number == 4 {
            assert!(is_completed(&store, &flow, NOW).await);
        }
        flows.push(flow);
    }
    let mut there = Vec::new();
    for flow in flows.iter().chain([&lees, &anonymous]) {
        there.push(flow_of(&store, flow.id).await.is_some());
    }
    assert_eq!(there, [false, false, false, true, true, true, true, true]);

    store.create_flow(&of_one_session, 1, NOW).await.unwrap();
    assert_eq!(flow_of(&store, flows[5].id).await, None);
}

/// The flow that was touched last stays however many are begun, among those that are kept. Nothing else of it changes.
pub async fn the_one_in_use_stays<S: FlowStore>(store: S) {
    let kim = kim();
    let of_one_session = new_flow(Some(&kim));
    let another = || StoredFlow { id: FlowId::random(), ..of_one_session.clone() };
    // What a caller says about it does not count.
    let first = StoredFlow { in_use: true, ..another() };
    let (second, in_another_session) = (another(), begun(&store, Some(&kim)).await);
    for flow in [&first, &second] {
        store.create_flow(flow, 3, NOW).await.unwrap();
        assert_eq!(flow_of(&store, flow.id).await, Some(StoredFlow { in_use: false, ..flow.clone() }));
    }
    assert!(is_touched(&store, &in_another_session).await);
    for (used, other) in [(&first, &second), (&second, &first), (&first, &second), (&first, &second)] {
        assert!(is_touched(&store, used).await);
        assert_eq!(flow_of(&store, used.id).await, Some(StoredFlow { in_use: true, ..used.clone() }));
        assert_eq!(flow_of(&store, other.id).await, Some(StoredFlow { in_use: false, ..other.clone() }));
    }
    let read = StoredFlow { in_use: true, ..in_another_session };
    assert_eq!(flow_of(&store, read.id).await.as_ref(), Some(&read), "each session has its own");

    let mut latest = Vec::new();
    for _ in 0..20 {
        let new = another();
        store.create_flow(&new, 3, NOW).await.unwrap();
        latest.push(new);
    }
    assert_eq!(flow_of(&store, second.id).await, None);
    assert!(!is_touched(&store, &second).await, "it is gone");
    let wrong = StoredFlow { body: "wrong".to_owned(), in_use: false, ..first.clone() };
    assert!(is_updated(&store, &wrong).await);
    let first = StoredFlow { version: 1, in_use: true, ..wrong };
    assert_eq!(flow_of(&store, first.id).await.as_ref(), Some(&first), "still in use");
    let there = there(&store, &latest).await;
    assert_eq!(there, latest[18..].iter().map(|flow| flow.id).collect::<Vec<_>>(), "it is one of the three");

    assert!(is_touched(&store, &latest[18]).await);
    for _ in 0..3 {
        store.create_flow(&another(), 3, NOW).await.unwrap();
    }
    assert_eq!(flow_of(&store, first.id).await, None, "no longer in use");
    assert!(flow_of(&store, latest[18].id).await.is_some_and(|flow| flow.in_use));
    assert_eq!(flow_of(&store, read.id).await, Some(read));
}

/// However many flows are touched, no more than `keep` stay, and the newest is one of them.
pub async fn touches_keep_no_more<S: FlowStore>(store: S) {
    let of_one_session = new_flow(Some(&kim()));
    for keep in [1, 2, 5] {
        let mut flows = Vec::new();
        for number in 0..30_usize {
            let new = StoredFlow { id: FlowId::random(), ..of_one_session.clone() };
            store.create_flow(&new, keep, NOW).await.unwrap();
            flows.push(new.clone());
            for flow in flows.iter().rev().take(7).chain(&flows[..number.min(2)]) {
                let _gone = is_touched(&store, flow).await;
            }
            assert!(flow_of(&store, new.id).await.is_some(), "{keep}: the new one");
            let (kept, most) = (there(&store, &flows).await.len(), usize::try_from(keep).unwrap());
            assert_eq!(kept, most.min(number + 1), "{keep}");
        }
        store.remove_flows(&kim(), None).await.unwrap();
    }
}

/// Flows without a session are of many clients. None of them can keep its own.
pub async fn anonymous_ones_are_never_in_use<S: FlowStore>(store: S) {
    let flow = begun(&store, None).await;
    let _nothing = is_touched(&store, &flow).await;
    assert_eq!(flow_of(&store, flow.id).await.as_ref(), Some(&flow));
    for _ in 0..250 {
        store.create_flow(&new_flow(None), 20, NOW).await.unwrap();
    }
    assert_eq!(flow_of(&store, flow.id).await, None);
}

/// Which of these exist.
async fn there<S: FlowStore>(store: &S, flows: &[StoredFlow]) -> Vec<FlowId> {
    let mut there = Vec::new();
    for flow in flows {
        there.extend(flow_of(store, flow.id).await.map(|flow| flow.id));
    }
    there
}

/// However many flows are begun in a session, those of the subject's other sessions stay.
pub async fn of_another_session_stay<S: FlowStore>(store: S) {
    let kim = kim();
    let (first, second) = (begun(&store, Some(&kim)).await, begun(&store, Some(&kim)).await);
    let in_a_third = new_flow(Some(&kim));
    for keep in [1, 2, 1] {
        for _ in 0..20 {
            let flow = StoredFlow { id: FlowId::random(), ..in_a_third.clone() };
            store.create_flow(&flow, keep, NOW).await.unwrap();
        }
    }
    for flow in [first, second] {
        assert_eq!(flow_of(&store, flow.id).await, Some(flow));
    }
}

/// Flows without a session are limited together: the newest stay, and about a hundred more at most.
pub async fn anonymous_ones_are_bounded<S: FlowStore>(store: S) {
    let kims = begun(&store, Some(&kim())).await;
    let mut flows = Vec::new();
    for _ in 0..250 {
        let flow = new_flow(None);
        store.create_flow(&flow, 20, NOW).await.unwrap();
        flows.push(flow);
    }
    let mut there = 0;
    for (number, flow) in flows.iter().enumerate() {
        let is_there = flow_of(&store, flow.id).await.is_some();
        assert!(is_there || number < 230, "one of the newest is gone: {number}");
        there += usize::from(is_there);
    }
    assert!(there <= 120, "{there} stayed");
    assert!(flow_of(&store, kims.id).await.is_some(), "a session's own flow had to give way");
}

/// Flows without a session that were completed stay, however many others are begun, and are not counted with them. They say that something was
/// proven with them, so that it cannot be once more.
pub async fn completed_anonymous_ones_stay<S: FlowStore>(store: S) {
    let (mut open, mut done) = (Vec::new(), Vec::new());
    for number in 0..250 {
        let flow = StoredFlow { completed: number % 25 == 7, ..new_flow(None) };
        store.create_flow(&flow, 20, NOW).await.unwrap();
        if number % 25 == 3 {
            assert!(is_completed(&store, &flow, NOW).await);
            done.push(flow.id);
        } else if flow.completed {
            done.push(flow.id);
        } else {
            open.push(flow);
        }
    }
    for id in &done {
        let flow = flow_of(&store, *id).await.expect("a completed flow was pushed out");
        assert!(flow.completed && !is_completed(&store, &flow, NOW).await, "it is completed once");
    }
    let left = there(&store, &open).await;
    assert!((20..=120).contains(&left.len()), "{} stayed", left.len());
    let newest = open[open.len() - 20..].iter().map(|flow| flow.id);
    assert!(newest.eq(left[left.len() - 20..].iter().copied()), "completed ones were counted too");
}

/// Removal takes all flows of a subject but the named one, and no other subject's.
pub async fn are_removed_by_subject<S: FlowStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let (first, second, third) =
        (begun(&store, Some(&kim)).await, begun(&store, Some(&kim)).await, begun(&store, Some(&kim)).await);
    let (lees, anonymous) = (begun(&store, Some(&lee)).await, begun(&store, None).await);
    store.remove_flows(&kim, Some(second.id)).await.unwrap();
    for (flow, there) in [(&first, false), (&second, true), (&third, false)] {
        assert_eq!(flow_of(&store, flow.id).await.is_some(), there);
    }
    store.remove_flows(&kim, Some(lees.id)).await.unwrap();
    assert_eq!(flow_of(&store, second.id).await, None);
    store.remove_flows(&kim, None).await.unwrap();
    assert_eq!(flow_of(&store, lees.id).await, Some(lees));
    assert_eq!(flow_of(&store, anonymous.id).await, Some(anonymous));
}

/// Removed flows no longer count, and neither do those that gave way.
pub async fn removed_ones_make_room<S: FlowStore>(store: S) {
    let kim = kim();
    let of_one_session = new_flow(Some(&kim));
    let another = || StoredFlow { id: FlowId::random(), ..of_one_session.clone() };
    let stays = another();
    store.create_flow(&stays, 3, NOW).await.unwrap();
    for _ in 0..5 {
        let mut latest = Vec::new();
        for flow in [another(), another()] {
            store.create_flow(&flow, 3, NOW).await.unwrap();
            latest.push(flow);
        }
        for flow in [&stays, &latest[0], &latest[1]] {
            assert_eq!(flow_of(&store, flow.id).await.as_ref(), Some(flow));
        }
        store.remove_flows(&kim, Some(stays.id)).await.unwrap();
        for flow in latest {
            assert_eq!(flow_of(&store, flow.id).await, None);
        }
    }
    for _ in 0..5 {
        store.create_flow(&another(), 2, NOW).await.unwrap();
    }
    store.remove_flows(&kim, None).await.unwrap();
    let last = another();
    store.create_flow(&last, 2, NOW).await.unwrap();
    store.remove_flows(&kim, None).await.unwrap();
    assert_eq!(flow_of(&store, last.id).await, None);
}
