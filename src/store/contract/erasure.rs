//! What ends everything of one subject, or all sessions of everybody.

use std::sync::Arc;

use super::{
    Attempt, AttemptPolicy, Completion, DAY, HOUR, MINUTE, NOW, at_once, attempt, beginning, begun, change, complete,
    created, credential, credentials_of, done, enrolled, flow_of, is_there, key, kim, rotation, signed_in_at,
    stepped_up, subject, totp,
};
use crate::{
    aal::Method,
    session::StoredSession,
    store::{CredentialChange, FlowStore, Revocation, Rotation, SubjectStore},
};

/// Whether the session passes for alive.
async fn is_alive<S: SubjectStore>(store: &S, session: &StoredSession) -> bool {
    let standing = store.standing(session.subject(), session.id()).await.expect("a standing or none");
    let alive = standing.is_some();
    let listed = store.sessions(session.subject(), NOW).await.expect("sessions");
    assert_eq!(listed.iter().any(|one| one.id() == session.id()), alive, "the list and the standing disagree");
    alive
}

/// Sessions and credentials of a deleted subject are gone, those of others are not, and ids are free again.
pub async fn a_subject_is_deleted<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("kim2"));
    let codes = credential(Method::LookupSecret, &[[1; 32], [2; 32]]).with_fingerprint([9; 32]);
    let codes = enrolled(&store, &kim, codes).await;
    enrolled(&store, &kim, totp()).await;
    store.revoke(&kim, Revocation::All(NOW)).await.unwrap();
    let (mine, lees) = (created(&store, &kim, NOW).await, created(&store, &lee, NOW).await);
    let lees_app = enrolled(&store, &lee, totp()).await;
    for _again in 0..2 {
        store.delete_subject(&kim).await.expect("a deletion");
        assert!(!is_there(&store, &mine).await);
        assert_eq!(store.sessions(&kim, NOW).await.unwrap(), []);
        assert_eq!(credentials_of(&store, &kim).await, []);
    }
    let late = Completion { rotate: Some(rotation(&mine, NOW)), ..Completion::new(kim.clone(), NOW) };
    assert_ne!(complete(&store, &late).await, super::Completed::Done, "a deleted session goes on");
    assert!(is_there(&store, &lees).await);
    assert_eq!(credentials_of(&store, &lee).await, [lees_app]);

    // As if the subject had never been here.
    let anew = created(&store, &kim, NOW - HOUR).await;
    let standing = store.standing(&kim, anew.id()).await.unwrap().expect("the new session");
    assert_eq!(standing.credentials, []);
    change(&store, &kim, [CredentialChange::Add(codes.clone())]).await;
    assert_eq!(credentials_of(&store, &kim).await, [codes]);
}

/// A store that keeps flows and counters too removes those of a deleted subject.
pub async fn flows_and_counters_go_with_the_subject<S: SubjectStore + FlowStore>(store: S) {
    let (kim, lee) = (kim(), subject("kim2"));
    let policy = AttemptPolicy { free: 1, ..AttemptPolicy::default() };
    created(&store, &kim, NOW).await;
    let flows = [begun(&store, Some(&kim)).await, begun(&store, Some(&lee)).await, begun(&store, None).await];
    for owner in [&kim, &lee] {
        assert!(attempt(&store, &key(owner, Method::Totp), &policy, NOW).await.is_allowed());
    }
    store.delete_subject(&kim).await.expect("a deletion");
    assert_eq!(flow_of(&store, flows[0].id).await, None);
    assert!(flow_of(&store, flows[1].id).await.is_some() && flow_of(&store, flows[2].id).await.is_some());
    assert!(attempt(&store, &key(&kim, Method::Totp), &policy, NOW).await.is_allowed(), "counted anew");
    assert!(matches!(attempt(&store, &key(&lee, Method::Totp), &policy, NOW).await, Attempt::LockedUntil(_)));
}

/// Flows and counters of a subject are forgotten, also of a counter that was stopped for good; those of others are not.
pub async fn a_subject_is_forgotten<S: FlowStore>(store: S) {
    let (kim, lee) = (kim(), subject("kim2"));
    let push = Method::custom("push").expect("a method");
    let methods = [Method::Password, Method::Totp, Method::LookupSecret, push];
    let policy = AttemptPolicy { free: 1, hard_stop: 1, ..AttemptPolicy::default() };
    let flows = [begun(&store, Some(&kim)).await, begun(&store, Some(&lee)).await, begun(&store, None).await];
    for (owner, method) in [(&kim, Method::Totp), (&kim, push), (&lee, Method::Totp)] {
        assert!(attempt(&store, &key(owner, method), &policy, NOW).await.is_allowed());
    }
    for _again in 0..2 {
        store.forget_subject(&kim, &methods).await.expect("a deletion");
        assert_eq!(flow_of(&store, flows[0].id).await, None);
    }
    assert!(flow_of(&store, flows[1].id).await.is_some() && flow_of(&store, flows[2].id).await.is_some());
    for method in [Method::Totp, push] {
        assert!(attempt(&store, &key(&kim, method), &policy, NOW).await.is_allowed(), "counted anew");
    }
    assert_eq!(attempt(&store, &key(&lee, Method::Totp), &policy, NOW).await, Attempt::Stopped);
}

/// Every session of everybody that began before is dead, also one that appears late, whatever clocks say, and no other.
pub async fn everybody_is_revoked<S: SubjectStore>(store: S) {
    let (kim, lee, max) = (kim(), subject("lee"), subject("max"));
    let app = enrolled(&store, &kim, totp()).await;
    for at in [NOW, NOW + HOUR, NOW - DAY] {
        let before = [
            created(&store, &kim, NOW - HOUR).await,
            created(&store, &kim, NOW + MINUTE).await,
            created(&store, &lee, NOW).await,
        ];
        let known = store.revocations().await.expect("how many revocations there were");
        assert_eq!(store.revoke_everyone(at).await.expect("a revocation"), 3);
        assert_eq!(store.revocations().await.expect("how many revocations there were"), known + 1);
        for session in &before {
            assert!(!is_alive(&store, session).await);
            let binding = session.binding();
            assert_eq!(store.session_of(session.subject(), binding, NOW).await.unwrap(), None);
            let rotate = Some(rotation(session, NOW));
            let late = Completion { rotate, ..Completion::new(session.subject().clone(), NOW) };
            assert_eq!(complete(&store, &late).await, super::Completed::SessionGone);
        }
        assert_eq!(credentials_of(&store, &kim).await, std::slice::from_ref(&app), "only sessions end");

        // Of a subject that the store knows, and of one that it does not.
        for owner in [&kim, &max] {
            let late = signed_in_at(owner, NOW + MINUTE).with_revocations(known);
            // A store may refuse it or tell that it is dead.
            drop(store.create_session(&late).await);
            assert!(!is_alive(&store, &late).await);
            let late = signed_in_at(owner, NOW + MINUTE).with_revocations(known);
            assert_eq!(complete(&store, &beginning(&late, NOW)).await, super::Completed::SessionGone);
            assert!(!is_alive(&store, &late).await);
            let new = created(&store, owner, NOW - MINUTE).await;
            assert!(is_alive(&store, &new).await);
            let rotate = rotation(&new, NOW);
            let next = rotate.new.clone();
            done(&store, &Completion { rotate: Some(rotate), ..Completion::new(owner.clone(), NOW) }).await;
            assert!(is_alive(&store, &next).await);
        }
        store.revoke_everyone(NOW).await.unwrap();
    }
}

/// A revocation of everybody, and step-ups and sign-ins in flight, whichever comes first: no session is left that began before.
pub async fn revocation_of_everybody_leaves_no_session<S: SubjectStore>(store: S) {
    let store = Arc::new(store);
    let kim = kim();
    for round in 0..10 {
        let old = created(&*store, &kim, NOW + HOUR * round).await;
        let new: Vec<StoredSession> = (0..8)
            .map(|number| if number % 2 == 0 { stepped_up(&old, NOW) } else { signed_in_at(&kim, NOW + DAY) })
            .collect();
        let known = store.revocations().await.expect("how many revocations there were");
        at_once(8, |number| {
            let (store, kim, new) = (Arc::clone(&store), kim.clone(), new[number].clone());
            let old = old.id();
            async move {
                if number == 5 {
                    store.revoke_everyone(NOW).await.expect("a revocation");
                    return;
                }
                let rotate = (number % 2 == 0).then(|| Rotation { old, new: new.clone() });
                let begin = rotate.is_none().then(|| new.with_revocations(known));
                let late = Completion { rotate, begin, ..Completion::new(kim, NOW) };
                let _either = complete(&*store, &late).await;
            }
        })
        .await;
        for session in new.iter().chain([&old]) {
            assert!(!is_alive(&*store, session).await, "a session outlived the revocation");
        }
    }
}
