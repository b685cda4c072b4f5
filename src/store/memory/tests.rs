use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::*;
use crate::{
    aal::{Aal, Method, Proof},
    standing::CredentialSummary,
    store::CredentialChange,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn subject(number: usize) -> Subject {
    Subject::new(format!("user-{number}")).unwrap()
}

fn session(number: usize, now: Timestamp) -> StoredSession {
    StoredSession::new(subject(number), Proof::new(Method::Password, Aal::Aal1, now), now, HOUR)
}

fn flow(expires_at: Timestamp) -> StoredFlow {
    StoredFlow {
        id: FlowId::random(),
        subject: None,
        binding: None,
        expires_at,
        version: 0,
        completed: false,
        in_use: false,
        body: String::new(),
    }
}

fn key(number: usize) -> AttemptKey {
    AttemptKey { subject: subject(number), method: Method::Totp }
}

fn kind<T: fmt::Debug>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn a_full_store_refuses_new_sessions_until_old_ones_expire() {
    let store = MemoryStore::with_capacity(3);
    let first = session(0, NOW);
    store.create_session(&first).await.unwrap();
    for number in 1..3 {
        store.create_session(&session(number, NOW)).await.unwrap();
    }
    assert_eq!(kind(store.create_session(&session(3, NOW)).await), StoreErrorKind::Unavailable);
    assert!(store.standing(&subject(0), first.id()).await.unwrap().is_some(), "nobody is thrown out");

    let mut completion = Completion::new(subject(0), NOW);
    let new = first.renewed(Proof::new(Method::Totp, Aal::Aal2, NOW), NOW, HOUR, None);
    completion.rotate = Some(super::super::Rotation { old: first.id(), new });
    assert_eq!(store.complete(&completion).await.unwrap(), Completed::Done, "a rotation needs no room");

    store.create_session(&session(3, NOW + HOUR)).await.unwrap();
}

#[tokio::test]
async fn a_full_store_drops_the_oldest_flow() {
    let store = MemoryStore::with_capacity(3);
    let flows: Vec<_> = (0..5).map(|_| flow(NOW + HOUR)).collect();
    for flow in &flows {
        store.create_flow(flow, 10, NOW).await.unwrap();
    }
    let mut kept = Vec::new();
    for flow in &flows {
        kept.push(store.flow(flow.id).await.unwrap().is_some());
    }
    assert_eq!(kept, [false, false, true, true, true]);
}

#[tokio::test]
async fn a_full_store_drops_expired_flows_before_live_ones() {
    let store = MemoryStore::with_capacity(3);
    let live = flow(NOW + 96 * HOUR);
    store.create_flow(&live, 10, NOW).await.unwrap();
    for _ in 0..2 {
        store.create_flow(&flow(NOW + HOUR), 10, NOW).await.unwrap();
    }
    let later = NOW + HOUR + crate::store::EXPIRED_FLOWS_KEPT;
    store.create_flow(&flow(later + HOUR), 10, later).await.unwrap();
    assert!(store.flow(live.id).await.unwrap().is_some(), "the oldest is alive, and those after it were over");
}

#[tokio::test]
async fn a_full_store_takes_no_more_credentials_but_other_ones() {
    let store = MemoryStore::with_capacity(2);
    let credential =
        |method| Credential::new(CredentialSummary { id: CredentialId::random(), method, aal: Aal::Aal2 }, NOW);
    let change = |number, change| {
        let mut completion = Completion::new(subject(number), NOW);
        completion.credentials = vec![change];
        completion
    };
    let new = [(); 2].map(|()| credential(Method::Totp));
    let last = new[1].summary.id;
    let [totp, other] = new.map(CredentialChange::Replace);
    let codes = || CredentialChange::Add(credential(Method::LookupSecret));
    for full in [change(0, totp), change(0, codes())] {
        assert_eq!(store.complete(&full).await.unwrap(), Completed::Done);
    }
    assert_eq!(kind(store.complete(&change(1, codes())).await), StoreErrorKind::Unavailable);
    assert_eq!(kind(store.complete(&change(0, codes())).await), StoreErrorKind::Unavailable);
    assert_eq!(store.complete(&change(0, other)).await.unwrap(), Completed::Done, "one in place of another");
    let removal = change(0, CredentialChange::Remove(last));
    assert_eq!(store.complete(&removal).await.unwrap(), Completed::Done);
    assert_eq!(store.complete(&change(1, codes())).await.unwrap(), Completed::Done, "there is room again");
}

#[tokio::test]
async fn who_is_stopped_is_told_so_at_once() {
    let store = MemoryStore::default();
    let policy = AttemptPolicy { free: 1, hard_stop: 2, ..AttemptPolicy::default() };
    let key = key(0);
    let attempt = |now| store.begin_attempt(&key, &policy, now);
    assert!(attempt(NOW).await.unwrap().is_allowed());
    let until = NOW + policy.delay_after(1);
    assert_eq!(attempt(NOW).await.unwrap(), Attempt::LockedUntil(until));
    assert!(attempt(until).await.unwrap().is_allowed());
    assert_eq!(attempt(until).await.unwrap(), Attempt::Stopped);
}

#[tokio::test]
async fn a_full_store_counts_nobody_uncounted() {
    let store = MemoryStore::with_capacity(2);
    let policy = AttemptPolicy::default();
    for number in 0..2 {
        assert!(store.begin_attempt(&key(number), &policy, NOW).await.unwrap().is_allowed());
    }
    assert_eq!(kind(store.begin_attempt(&key(2), &policy, NOW).await), StoreErrorKind::Unavailable);
    assert!(store.begin_attempt(&key(0), &policy, NOW).await.unwrap().is_allowed());
    let later = NOW + AttemptPolicy::REMEMBERED_FOR;
    assert!(store.begin_attempt(&key(2), &policy, later).await.unwrap().is_allowed());
}

#[tokio::test]
async fn revocations_are_never_refused_and_stay_bounded() {
    let store = MemoryStore::with_capacity(2);
    for number in 0..100 {
        store.revoke(&subject(number), Revocation::All(NOW)).await.unwrap();
    }
    assert!(store.state.lock().unwrap().accounts.len() <= 4);
    let last = session(99, NOW).with_revocations(99);
    store.create_session(&last).await.unwrap();
    assert_eq!(store.standing(&subject(99), last.id()).await.unwrap(), None);
}

#[tokio::test]
async fn what_has_expired_is_dropped_in_use() {
    let store = MemoryStore::default();
    for number in 0..1000 {
        store.create_session(&session(number, NOW)).await.unwrap();
        store.create_flow(&flow(NOW + HOUR), 10, NOW).await.unwrap();
        assert!(store.begin_attempt(&key(number), &AttemptPolicy::default(), NOW).await.unwrap().is_allowed());
    }
    let later = NOW + AttemptPolicy::REMEMBERED_FOR;
    for number in 0..256 {
        store.create_session(&session(number, later)).await.unwrap();
    }
    let state = store.state.lock().unwrap();
    assert_eq!((state.sessions.len(), state.accounts.len(), state.attempts.len()), (256, 256, 0));
    assert_eq!(state.flows.len(), 0);
    check_orders(&state.flows);
}

#[tokio::test]
async fn after_a_panic_it_refuses() {
    let store = MemoryStore::default();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| {
            let _state = store.state.lock().unwrap();
            panic!("while it was being changed");
        });
        assert!(held.join().is_err());
    });
    assert_eq!(kind(store.credentials(&subject(0)).await), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn nothing_happens_before_the_future_is_polled() {
    let store = MemoryStore::default();
    let session = session(0, NOW);
    drop(store.create_session(&session));
    assert!(store.standing(&subject(0), session.id()).await.unwrap().is_none());
}

/// Every order has exactly the flows that belong there.
fn check_orders(flows: &Flows) {
    let all = || flows.all.values().map(|kept| (&kept.flow, kept.place));
    let is_done = |flow: &StoredFlow| flow.binding.is_none() && flow.completed;
    let ends =
        |which: bool| all().filter(move |(flow, _)| is_done(flow) == which).map(|(flow, _)| (flow.expires_at, flow.id));
    assert!(flows.done.iter().copied().eq(ends(true).collect::<BTreeSet<_>>()));
    assert!(flows.by_end.iter().copied().eq(ends(false).collect::<BTreeSet<_>>()));
    let anonymous = all().filter(|(flow, _)| flow.binding.is_none() && !flow.completed);
    assert!(flows.anonymous == anonymous.map(|(flow, place)| (place, flow.id)).collect());
    let (mut of_sessions, mut of_owners) = (HashMap::<_, BTreeMap<_, _>>::new(), HashMap::<_, BTreeMap<_, _>>::new());
    for (flow, place) in all() {
        if let Some(binding) = flow.binding {
            of_sessions.entry(binding).or_default().insert(place, flow.id);
            of_owners.entry(flow.subject.clone()).or_default().insert((flow.in_use, place), flow.id);
        }
    }
    assert!(flows.of_sessions == of_sessions);
    assert!(flows.of_owners == of_owners);
    assert!(flows.most == of_owners.iter().map(|(owner, own)| (flows::rank(own).unwrap(), owner.clone())).collect());
}

/// However flows come, change and go, the orders have what is there.
#[tokio::test]
async fn orders_have_what_is_there() {
    let store = MemoryStore::with_capacity(40);
    let sessions = [(); 3].map(|()| BindingKey::random());
    let (mut flows, mut most) = (Vec::new(), 0);
    for number in 0..400_usize {
        let binding = (number % 4 != 3).then(|| sessions[number % 3]);
        let ends = NOW + HOUR * u32::try_from(number % 7).unwrap();
        let new = StoredFlow { binding, subject: Some(subject(number % 5)), ..flow(ends) };
        store.create_flow(&new, 10, NOW).await.unwrap();
        flows.push(new.clone());
        let another = &flows[number * 7 % flows.len()];
        match number % 6 {
            0 => drop(store.touch_flow(another).await.unwrap()),
            1 => drop(store.complete_flow(another, NOW).await.unwrap()),
            2 => drop(store.update_flow(another).await.unwrap()),
            _ => {}
        }
        if number % 50 == 49 {
            store.remove_flows(&subject(number % 5), Some(new.id)).await.unwrap();
        }
        let state = store.state.lock().unwrap();
        check_orders(&state.flows);
        assert!(state.flows.of_sessions.values().all(|own| own.len() <= 10));
        most = most.max(state.flows.by_end.len());
    }
    assert_eq!(most, 40, "the capacity is reached, and held");
    assert!(store.flow(flows.last().unwrap().id).await.unwrap().is_some(), "the newest is there");
}

/// Of a full store, what has expired goes first, then what is of no session, then what is of whoever has most, their oldest first and those in use
/// last.
#[tokio::test]
async fn flows_give_way_in_this_order() {
    let store = MemoryStore::with_capacity(9);
    let begin = async |owner: Option<usize>, expires_at| {
        let binding = owner.map(|_| BindingKey::random());
        let new = StoredFlow { subject: owner.map(subject), binding, ..flow(expires_at) };
        store.create_flow(&new, 10, NOW).await.unwrap();
        new
    };
    let ends = NOW + HOUR;
    let kims = begin(Some(0), ends).await;
    let done = begin(None, ends).await;
    assert!(store.complete_flow(&done, NOW).await.unwrap().is_done());
    let anonymous = [begin(None, ends).await, begin(None, ends).await];
    let lees = [begin(Some(1), ends).await, begin(Some(1), ends).await];
    let eves = [begin(Some(2), ends).await, begin(Some(2), ends).await, begin(Some(2), ends).await];
    let expired = begin(Some(0), NOW).await;
    assert!(store.touch_flow(&eves[0]).await.unwrap().is_done());
    let expected = [&expired, &anonymous[0], &anonymous[1], &eves[1], &lees[0], &eves[2], &kims];
    for (gone, gives_way) in expected.iter().enumerate() {
        begin(Some(3 + gone), ends).await;
        for (number, flow) in expected.iter().enumerate() {
            assert_eq!(store.flow(flow.id).await.unwrap().is_some(), number > gone, "{number} after {gone}");
        }
        assert!(store.flow(gives_way.id).await.unwrap().is_none());
    }
    for stays in [&lees[1], &eves[0], &done] {
        assert!(store.flow(stays.id).await.unwrap().is_some());
    }
}

/// Who fills the store gives way to nobody but themselves, also where every account has equally much.
#[tokio::test]
async fn who_has_most_gives_way() {
    let store = MemoryStore::with_capacity(100);
    let mut others = Vec::new();
    for number in 1..50 {
        let new =
            StoredFlow { subject: Some(subject(number)), binding: Some(BindingKey::random()), ..flow(NOW + HOUR) };
        store.create_flow(&new, 10, NOW).await.unwrap();
        others.push(new.id);
    }
    for _ in 0..1000 {
        let new = StoredFlow { subject: Some(subject(0)), binding: Some(BindingKey::random()), ..flow(NOW + HOUR) };
        store.create_flow(&new, 10, NOW).await.unwrap();
        assert!(store.touch_flow(&new).await.unwrap().is_done());
    }
    for id in others {
        assert!(store.flow(id).await.unwrap().is_some());
    }
    assert_eq!(store.state.lock().unwrap().flows.len(), 100);
}

/// Completed flows without a session have room of their own: they neither fill that of others nor are pushed out by them.
#[tokio::test]
async fn completed_flows_without_a_session_have_their_own_room() {
    let store = MemoryStore::with_capacity(10);
    let mut done = Vec::new();
    for number in 0..20_u32 {
        let new = flow(NOW + HOUR + HOUR * number);
        store.create_flow(&new, 5, NOW).await.unwrap();
        assert!(store.complete_flow(&new, NOW).await.unwrap().is_done());
        done.push(new.id);
    }
    for _ in 0..100 {
        store.create_flow(&flow(NOW + HOUR), 5, NOW).await.unwrap();
    }
    let mut there = Vec::new();
    for id in done {
        there.push(store.flow(id).await.unwrap().is_some());
    }
    assert_eq!(there, [[false; 10], [true; 10]].concat(), "the last to end stay");
    assert_eq!(store.state.lock().unwrap().flows.by_end.len(), 10);
}

/// One account with very many sessions keeps nobody out of a full store. Nobody else loses one.
#[tokio::test]
async fn who_has_very_many_sessions_gives_way() {
    let store = MemoryStore::with_capacity(100);
    let mut others = Vec::new();
    for number in 1..50 {
        others.push(session(number, NOW));
        store.create_session(others.last().unwrap()).await.unwrap();
    }
    let mut own = Vec::new();
    for _ in 0..200 {
        let new = session(0, NOW);
        store.create_session(&new).await.unwrap();
        own.push(new.id());
    }
    let mut completion = Completion::new(subject(50), NOW);
    completion.begin = Some(session(50, NOW));
    assert_eq!(store.complete(&completion).await.unwrap(), Completed::Done);
    for session in &others {
        assert!(store.standing(session.subject(), session.id()).await.unwrap().is_some());
    }
    let left = store.sessions(&subject(0), NOW).await.unwrap();
    assert!(left.iter().rev().map(StoredSession::id).eq(own[150..].iter().copied()), "the newest are left");
    assert_eq!(store.state.lock().unwrap().sessions.len(), 100);
    assert_eq!(
        kind(store.create_session(&session(51, NOW)).await),
        StoreErrorKind::Unavailable,
        "50 are not very many"
    );
}

#[tokio::test]
async fn a_full_store_refuses_sessions_that_begin_too() {
    let store = MemoryStore::with_capacity(1);
    let beginning = |number, now| {
        let mut completion = Completion::new(subject(number), now);
        completion.begin = Some(session(number, now));
        completion
    };
    assert_eq!(store.complete(&beginning(0, NOW)).await.unwrap(), Completed::Done);
    let flow = flow(NOW + HOUR);
    store.create_flow(&flow, 10, NOW).await.unwrap();
    let mut refused = beginning(1, NOW);
    refused.flow = Some(flow.clone());
    assert_eq!(kind(store.complete(&refused).await), StoreErrorKind::Unavailable);
    assert_eq!(store.flow(flow.id).await.unwrap(), Some(flow), "nothing else was written");
    assert_eq!(store.complete(&beginning(1, NOW + HOUR)).await.unwrap(), Completed::Done, "the first has expired");
}
