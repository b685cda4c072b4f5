//! Many tasks at once: if they want the same thing, one gets it.
//!
//! To race two stores on one database, give a store that sends every second call to the other.

use std::sync::Arc;

use super::{
    Attempt, AttemptPolicy, Completed, Completion, HOUR, NOW, Rotation, at_once, attempt, beginning, begun, complete,
    created, credential, credentials_of, data, enrolled, flow_of, is_completed, is_there, is_touched, is_updated, key,
    kim, new_flow, rotation, secret, set_data, set_name, step, stepped_up, totp,
};
use crate::{
    aal::Method,
    session::StoredSession,
    store::{FlowId, FlowStore, Revocation, StoreErrorKind, StoredFlow, SubjectStore},
};

const TASKS: usize = 100;

/// Runs the completions at once, and checks that one was applied and all others were refused in this way. Returns the winner.
async fn one_wins<S: SubjectStore>(store: &Arc<S>, completions: Vec<Completion>, refused: Completed) -> usize {
    let outcomes = at_once(completions.len(), |number| {
        let (store, completion) = (Arc::clone(store), completions[number].clone());
        async move { complete(&*store, &completion).await }
    })
    .await;
    let winners: Vec<_> = (0..outcomes.len()).filter(|&number| outcomes[number] == Completed::Done).collect();
    assert_eq!(winners.len(), 1, "exactly one wins");
    for outcome in outcomes {
        assert!(outcome == Completed::Done || outcome == refused, "{outcome:?} instead of {refused:?}");
    }
    winners[0]
}

/// One task takes a step, and only its session begins.
pub async fn one_task_takes_a_step<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    let app = enrolled(&*store, &kim, totp()).await;
    let mut completions = Vec::new();
    // Each in a session of its own, so that only the step decides.
    for _ in 0..TASKS {
        let old = created(&*store, &kim, NOW).await;
        completions.push(Completion { rotate: Some(rotation(&old, NOW)), ..super::consuming(&kim, step(&app, 5)) });
    }
    let winner = one_wins(&store, completions.clone(), Completed::Used).await;
    for (number, completion) in completions.iter().enumerate() {
        let new = &completion.rotate.as_ref().expect("a rotation").new;
        assert_eq!(is_there(&*store, new).await, number == winner);
    }
    assert_eq!(store.sessions(&kim, NOW).await.unwrap().len(), TASKS);
    assert_eq!(credentials_of(&*store, &kim).await[0].last_step, 5);
}

/// One task takes a secret.
pub async fn one_task_takes_a_secret<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    let codes = enrolled(&*store, &kim, credential(Method::LookupSecret, &[[1; 32], [2; 32]])).await;
    let completion = super::consuming(&kim, secret(&codes, [1; 32]));
    one_wins(&store, vec![completion; TASKS], Completed::Used).await;
    let used: Vec<_> = credentials_of(&*store, &kim).await[0].secrets.iter().map(|secret| secret.used_at).collect();
    assert_eq!(used, [Some(NOW), None]);
}

/// One task changes a credential's data, and only its session begins.
pub async fn one_task_takes_data<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    let key = enrolled(&*store, &kim, credential(Method::WebAuthn, &[])).await;
    let completions: Vec<_> = (0..TASKS)
        .map(|number| Completion {
            begin: Some(super::signed_in_at(&kim, NOW)),
            ..super::consuming(&kim, data(&key, number.to_string().as_bytes()))
        })
        .collect();
    let winner = one_wins(&store, completions.clone(), Completed::Used).await;
    assert_eq!(credentials_of(&*store, &kim).await[0].data, winner.to_string().as_bytes());
    let begun = completions[winner].begin.clone();
    assert_eq!(store.sessions(&kim, NOW).await.unwrap(), Vec::from_iter(begun));
}

/// One task sets a credential's data. The others learn that it is not what they have read.
pub async fn one_task_sets_data<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    let key = enrolled(&*store, &kim, credential(Method::WebAuthn, &[])).await;
    let completions = (0..TASKS)
        .map(|number| Completion {
            credentials: vec![set_data(&key, number.to_string().as_bytes())],
            ..Completion::new(kim.clone(), NOW)
        })
        .collect();
    let winner = one_wins(&store, completions, Completed::CredentialsChanged).await;
    assert_eq!(credentials_of(&*store, &kim).await[0].data, winner.to_string().as_bytes());
}

/// Names and steps that change at once do not undo each other: all changes are made, and the last of each stays.
pub async fn names_and_steps_at_once_are_both_kept<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    let (app, other) = (enrolled(&*store, &kim, totp()).await, enrolled(&*store, &kim, totp()).await);
    let outcomes = at_once(TASKS, |number| {
        let (store, mut completion) = (Arc::clone(&store), Completion::new(kim.clone(), NOW));
        match number % 2 {
            0 => completion.credentials = vec![set_name(&app, &format!("key {number}")), set_name(&other, "other")],
            _ => completion.raise_steps = vec![(app.summary.id, u64::try_from(number).expect("a step"))],
        }
        async move { complete(&*store, &completion).await }
    })
    .await;
    assert!(outcomes.iter().all(|outcome| *outcome == Completed::Done), "{outcomes:?}");
    let read = credentials_of(&*store, &kim).await;
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].last_step, u64::try_from(TASKS - 1).expect("a step"), "a name undid a step");
    let names: Vec<_> = read.iter().map(|one| one.name.as_ref().map_or("", |name| name.as_str())).collect();
    assert!(names[0].starts_with("key ") && names[1] == "other", "a step undid a name: {names:?}");
}

/// One task begins a session under an id that several want.
pub async fn one_task_begins_a_session<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let session = super::signed_in_at(&kim(), NOW);
    let outcomes = at_once(TASKS, |_| {
        let (store, completion) = (Arc::clone(&store), beginning(&session, NOW));
        async move { store.complete(&completion).await.map_err(|error| error.kind()) }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(Completed::Done)).count(), 1, "exactly one wins");
    for outcome in outcomes {
        assert!(matches!(outcome, Ok(Completed::Done) | Err(StoreErrorKind::Conflict)), "{outcome:?}");
    }
}

/// One task replaces a session: it never becomes two live ones.
pub async fn one_task_rotates_a_session<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    let old = created(&*store, &kim, NOW).await;
    let news: Vec<StoredSession> = (0..TASKS).map(|_| stepped_up(&old, NOW)).collect();
    let rotate = |new: &StoredSession| Some(Rotation { old: old.id(), new: new.clone() });
    let completions =
        news.iter().map(|new| Completion { rotate: rotate(new), ..Completion::new(kim.clone(), NOW) }).collect();
    let winner = one_wins(&store, completions, Completed::SessionGone).await;
    assert_eq!(store.sessions(&kim, NOW).await.unwrap(), [news[winner].clone()]);
}

/// One task creates a session with an id that several want.
pub async fn one_task_creates_a_session<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let session = super::signed_in_at(&kim(), NOW);
    let outcomes = at_once(TASKS, |_| {
        let (store, session) = (Arc::clone(&store), session.clone());
        async move { store.create_session(&session).await.is_ok() }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|created| **created).count(), 1);
}

/// Either the revocation ends the session, or one of the step-ups in flight does. A user who signs out stays signed out.
pub async fn one_of_rotation_and_revocation_ends_a_session<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    for _ in 0..10 {
        let old = created(&*store, &kim, NOW).await;
        let ended = at_once(8, |number| {
            let (store, kim, old) = (Arc::clone(&store), kim.clone(), old.clone());
            async move {
                if number % 4 == 1 {
                    return store.revoke(&kim, Revocation::One(old.id())).await.expect("a revocation");
                }
                let rotate = Some(rotation(&old, NOW));
                let completed = complete(&*store, &Completion { rotate, ..Completion::new(kim, NOW) }).await;
                u64::from(completed == Completed::Done)
            }
        })
        .await;
        assert_eq!(ended.iter().sum::<u64>(), 1, "a session ended more or less than once");
        assert!(!is_there(&*store, &old).await);
    }
}

/// A revocation of the others and step-ups in flight, whichever comes first: the session that is kept goes on, and no other does.
pub async fn revocation_of_others_keeps_what_replaces_one<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    for round in 0..10 {
        let begun = NOW + HOUR * round;
        let (kept, other) = (created(&*store, &kim, begun).await, created(&*store, &kim, begun).await);
        at_once(9, |number| {
            let (store, kim) = (Arc::clone(&store), kim.clone());
            let (binding, old) = (kept.binding(), if number % 3 == 0 { kept.clone() } else { other.clone() });
            async move {
                if number % 3 == 1 {
                    store.revoke(&kim, Revocation::Others(binding)).await.expect("a revocation");
                } else {
                    let rotate = Some(rotation(&old, begun));
                    let _either = complete(&*store, &Completion { rotate, ..Completion::new(kim, begun) }).await;
                }
            }
        })
        .await;
        let left: Vec<_> = store.sessions(&kim, begun).await.unwrap().iter().map(StoredSession::binding).collect();
        assert_eq!(left, [kept.binding()], "another session is left, or the own one is gone");
        store.revoke(&kim, Revocation::Others(other.binding())).await.unwrap();
    }
}

/// A revocation of all and step-ups in flight, whichever comes first: no session is left.
pub async fn revocation_of_all_leaves_no_session<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    for round in 0..10 {
        let old = created(&*store, &kim, NOW + HOUR * round).await;
        let news: Vec<StoredSession> = (0..8).map(|_| stepped_up(&old, NOW)).collect();
        at_once(8, |number| {
            let (store, kim) = (Arc::clone(&store), kim.clone());
            let rotate = Some(Rotation { old: old.id(), new: news[number].clone() });
            async move {
                if number % 4 == 1 {
                    store.revoke(&kim, Revocation::All(NOW)).await.expect("a revocation");
                } else {
                    let late = Completion { rotate, ..Completion::new(kim.clone(), NOW) };
                    let _either = complete(&*store, &late).await;
                }
            }
        })
        .await;
        assert_eq!(store.sessions(&kim, NOW).await.unwrap(), [], "a session outlived the revocation");
        for new in &news {
            assert!(!is_there(&*store, new).await, "a session outlived the revocation");
        }
    }
}

/// A revocation of all and sign-ins in flight, whichever comes first: no session is left that began before.
pub async fn revocation_of_all_leaves_no_session_that_begins<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    for round in 0..10 {
        let known = store.revocations().await.expect("how many revocations there were");
        let new = || super::signed_in_at(&kim, NOW + HOUR * round).with_revocations(known);
        let news: Vec<StoredSession> = (0..8).map(|_| new()).collect();
        let outcomes = at_once(8, |number| {
            let (store, kim, new) = (Arc::clone(&store), kim.clone(), news[number].clone());
            async move {
                if number % 4 == 1 {
                    store.revoke(&kim, Revocation::All(NOW)).await.expect("a revocation");
                    return Completed::Done;
                }
                complete(&*store, &beginning(&new, NOW + HOUR * round)).await
            }
        })
        .await;
        let expected = [Completed::Done, Completed::SessionGone];
        assert!(outcomes.iter().all(|outcome| expected.contains(outcome)), "{outcomes:?}");
        for new in &news {
            assert!(!is_there(&*store, new).await, "a session outlived the revocation");
        }
    }
}

/// However many guesses come at once, only the free ones are allowed.
pub async fn parallel_guesses_stay_within_the_limit<S: FlowStore>(store: S) {
    let store = Arc::new(store);
    let policy = AttemptPolicy { free: 5, ..AttemptPolicy::default() };
    let key = key(&kim(), Method::Totp);
    let outcomes = at_once(2 * TASKS, |_| {
        let (store, key) = (Arc::clone(&store), key.clone());
        async move { attempt(&*store, &key, &policy, NOW).await }
    })
    .await;
    let allowed = outcomes.iter().filter(|outcome| outcome.is_allowed()).count();
    assert_eq!(allowed, 5, "guesses were allowed");
    let until = NOW + policy.first_delay;
    for outcome in outcomes {
        assert!(outcome.is_allowed() || outcome == Attempt::LockedUntil(until), "{outcome:?}");
    }
}

/// One task writes a version of a flow.
pub async fn one_task_updates_a_flow<S: FlowStore>(store: S) {
    let store = Arc::new(store);
    let flow = begun(&*store, Some(&kim())).await;
    let outcomes = at_once(TASKS, |number| {
        let (store, flow) = (Arc::clone(&store), StoredFlow { body: number.to_string(), ..flow.clone() });
        async move { is_updated(&*store, &flow).await }
    })
    .await;
    let winners: Vec<_> = (0..TASKS).filter(|&number| outcomes[number]).collect();
    assert_eq!(winners.len(), 1, "exactly one wins");
    let written = flow_of(&*store, flow.id).await.expect("the flow");
    assert_eq!((written.version, written.body), (1, winners[0].to_string()));
}

/// One task completes a flow by itself.
pub async fn one_task_completes_a_flow<S: FlowStore>(store: S) {
    let store = Arc::new(store);
    let flow = begun(&*store, Some(&kim())).await;
    let outcomes = at_once(TASKS, |_| {
        let (store, flow) = (Arc::clone(&store), flow.clone());
        async move { is_completed(&*store, &flow, NOW).await }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|completed| **completed).count(), 1);
}

/// One of the completions that end the same flow is applied.
pub async fn one_completion_ends_a_flow<S: SubjectStore + FlowStore>(store: S) {
    let store = Arc::new(store);
    let flow = begun(&*store, Some(&kim())).await;
    let passed = |number: usize| Some(StoredFlow { body: number.to_string(), ..flow.clone() });
    let completions =
        (0..TASKS).map(|number| Completion { flow: passed(number), ..Completion::new(kim(), NOW) }).collect();
    let winner = one_wins(&store, completions, Completed::FlowGone).await;
    assert_eq!(flow_of(&*store, flow.id).await.expect("the flow").body, winner.to_string());
}

/// One of the sign-ins by the same flow begins a session.
pub async fn one_session_begins_by_a_flow<S: SubjectStore + FlowStore>(store: S) {
    let store = Arc::new(store);
    let flow = begun(&*store, None).await;
    let completions: Vec<_> = (0..TASKS)
        .map(|_| Completion { flow: Some(flow.clone()), ..beginning(&super::signed_in_at(&kim(), NOW), NOW) })
        .collect();
    let winner = one_wins(&store, completions.clone(), Completed::FlowGone).await;
    assert_eq!(store.sessions(&kim(), NOW).await.unwrap(), Vec::from_iter(completions[winner].begin.clone()));
}

/// The right answer completes the flow, whatever wrong ones are written at the same moment, and has the last word.
pub async fn wrong_answers_do_not_stop_the_right_one<S: FlowStore>(store: S) {
    let store = Arc::new(store);
    for round in 0..10 {
        let flow = begun(&*store, Some(&kim())).await;
        let outcomes = at_once(8, |number| {
            let (store, right) = (Arc::clone(&store), number == round % 4);
            let flow = StoredFlow { body: if right { "right" } else { "wrong" }.to_owned(), ..flow.clone() };
            async move {
                if right {
                    return is_completed(&*store, &flow, NOW).await;
                }
                is_updated(&*store, &flow).await
            }
        })
        .await;
        assert!(outcomes[round % 4], "a wrong answer stopped the right one");
        let written = flow_of(&*store, flow.id).await.expect("the flow");
        assert_eq!((written.completed, written.body.as_str()), (true, "right"));
    }
}

/// However many flows are begun in a session at once, only `keep` of them stay.
pub async fn flows_created_at_once_stay_within_the_limit<S: FlowStore>(store: S) {
    let store = Arc::new(store);
    let of_one_session = new_flow(Some(&kim()));
    let flows: Vec<_> = (0..TASKS).map(|_| StoredFlow { id: FlowId::random(), ..of_one_session.clone() }).collect();
    at_once(TASKS, |number| {
        let (store, flow) = (Arc::clone(&store), flows[number].clone());
        async move { store.create_flow(&flow, 5, NOW).await.expect("a new flow") }
    })
    .await;
    let mut left = 0;
    for flow in &flows {
        left += usize::from(flow_of(&*store, flow.id).await.is_some());
    }
    assert_eq!(left, 5, "flows stayed");
}

/// Whatever is begun and touched at once, one flow is in use, none that is in use gives way, and only `keep` stay.
pub async fn one_flow_is_in_use_and_stays<S: FlowStore>(store: S) {
    let store = Arc::new(store);
    let of_one_session = new_flow(Some(&kim()));
    let another = || StoredFlow { id: FlowId::random(), ..of_one_session.clone() };
    for _round in 0..3 {
        let flows: Vec<_> = (0..TASKS).map(|_| another()).collect();
        for flow in &flows[..5] {
            store.create_flow(flow, 5, NOW).await.expect("a new flow");
        }
        assert!(is_touched(&*store, &flows[0]).await);
        at_once(TASKS, |number| {
            let (store, flow, old) = (Arc::clone(&store), flows[number].clone(), flows[number / 2 % 2].clone());
            async move {
                if number < 5 || number % 2 == 0 {
                    let _gone = is_touched(&*store, &old).await;
                } else {
                    store.create_flow(&flow, 5, NOW).await.expect("a new flow");
                }
            }
        })
        .await;
        let (mut left, mut in_use) = (0, 0);
        for flow in &flows {
            let read = flow_of(&*store, flow.id).await;
            left += usize::from(read.is_some());
            in_use += usize::from(read.is_some_and(|flow| flow.in_use));
        }
        assert_eq!((left, in_use), (5, 1), "flows stayed, and are in use");
        store.remove_flows(&kim(), None).await.expect("removed");
    }
}
