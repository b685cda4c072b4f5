//! The log of changes, of a store that keeps one. A store without one passes.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Completion, HOUR, MINUTE, NOW, at_once, beginning, change, created, done, enrolled, kim, remove, rotation,
    signed_in_at, subject, totp,
};
use crate::{
    session::Subject,
    store::{Changes, CredentialChange, LogPlace, Revocation, SubjectStore},
};

async fn told<S: SubjectStore>(store: &S, since: Option<&LogPlace>) -> Changes {
    store.changes(since).await.expect("the log")
}

/// Where the log is now; `None` if there is none.
async fn here<S: SubjectStore>(store: &S) -> Option<LogPlace> {
    match told(store, None).await {
        Changes::NoLog => None,
        Changes::Cut(place) => Some(place),
        other => panic!("{other:?} where no place was named"),
    }
}

/// The subjects that have changed since, and the place after them. The log is young, so it reaches back to any place in it.
async fn since<S: SubjectStore>(store: &S, place: &LogPlace) -> (HashSet<Subject>, LogPlace) {
    match told(store, Some(place)).await {
        Changes::Of(subjects, place) => (subjects.into_iter().collect(), place),
        other => panic!("{other:?} where a few subjects have changed"),
    }
}

/// Reads on, and asserts that the subject is named and nobody else.
async fn names<S: SubjectStore>(store: &S, place: &mut LogPlace, changed: &Subject, what: &str) {
    let (subjects, next) = since(store, place).await;
    assert_eq!(subjects, HashSet::from([changed.clone()]), "{what}");
    *place = next;
}

/// Whatever makes a standing untrue is told, once it is done, with the name of its subject.
pub async fn each_is_told<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let lees = created(&store, &lee, NOW).await;
    let Some(mut place) = here(&store).await else { return };

    for (which, what) in [("one", "a session ended"), ("others", "other sessions ended"), ("all", "all sessions ended")]
    {
        let session = created(&store, &kim, NOW).await;
        (_, place) = since(&store, &place).await;
        let which = match which {
            "one" => Revocation::One(session.id()),
            "others" => Revocation::Others(lees.binding()),
            _ => Revocation::All(NOW),
        };
        assert_eq!(store.revoke(&kim, which).await.unwrap(), 1);
        names(&store, &mut place, &kim, what).await;
    }
    store.revoke(&kim, Revocation::All(NOW + MINUTE)).await.unwrap();
    names(&store, &mut place, &kim, "all sessions were ended, of which there were none").await;

    let session = created(&store, &kim, NOW + MINUTE).await;
    (_, place) = since(&store, &place).await;
    let rotate = rotation(&session, NOW + MINUTE);
    let replaced = Completion { rotate: Some(rotate), ..Completion::new(kim.clone(), NOW + MINUTE) };
    done(&store, &replaced).await;
    names(&store, &mut place, &kim, "a session was replaced").await;

    let app = enrolled(&store, &kim, totp()).await;
    names(&store, &mut place, &kim, "a credential came").await;
    let next = totp();
    change(&store, &kim, [CredentialChange::Replace(next.clone())]).await;
    names(&store, &mut place, &kim, "a credential was replaced").await;
    assert_ne!(app.summary.id, next.summary.id);
    change(&store, &kim, [remove(&next)]).await;
    names(&store, &mut place, &kim, "a credential went").await;

    store.delete_subject(&kim).await.unwrap();
    names(&store, &mut place, &kim, "a subject was deleted").await;
    let (subjects, _) = since(&store, &place).await;
    assert!(subjects.is_empty(), "{subjects:?}: nothing more has changed");
}

/// What ends the sessions of everybody is told, and that alone is: not each of them.
pub async fn everybody_is_told<S: SubjectStore>(store: S) {
    let Some(place) = here(&store).await else { return };
    for owner in [kim(), subject("lee")] {
        created(&store, &owner, NOW - HOUR).await;
    }
    let (_, place) = since(&store, &place).await;
    store.revoke_everyone(NOW).await.unwrap();
    let Changes::OfEverybody(place) = told(&store, Some(&place)).await else { panic!("everybody has changed") };
    let (subjects, _) = since(&store, &place).await;
    assert!(subjects.is_empty());
}

/// What was refused has changed nothing. A place can be read from more than once, and each answer goes on where the place is.
pub async fn places_stay_readable<S: SubjectStore>(store: S) {
    let Some(first) = here(&store).await else { return };
    let owners = [kim(), subject("kim2"), subject("Kim"), subject("kim ")];
    let mut places = vec![first];
    for owner in &owners {
        let session = created(&store, owner, NOW).await;
        assert_eq!(store.revoke(owner, Revocation::One(session.id())).await.unwrap(), 1);
        let (subjects, next) = since(&store, places.last().unwrap()).await;
        assert_eq!(subjects, HashSet::from([owner.clone()]));
        places.push(next);
    }
    for _again in 0..2 {
        for (number, place) in places.iter().enumerate() {
            let (subjects, _) = since(&store, place).await;
            assert_eq!(subjects, owners[number..].iter().cloned().collect(), "since place {number}");
        }
    }
    let refused = Completion { rotate: None, ..beginning(&signed_in_at(&subject("other"), NOW), NOW) };
    let refused = Completion { subject: kim(), ..refused };
    let last = places.last().unwrap();
    assert_eq!(store.complete(&refused).await.unwrap(), super::super::Completed::SessionGone);
    assert!(since(&store, last).await.0.is_empty(), "what was refused has changed nothing");
}

/// Who reads after a write has returned is told of it, however many others write at that moment. One who reads on and on misses none.
pub async fn none_is_missed_among_many<S: SubjectStore>(store: S) {
    const WRITERS: usize = 12;
    const ROUNDS: usize = 8;
    let store = Arc::new(store);
    let Some(begin) = here(&*store).await else { return };
    let over = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, over, mut place) = (Arc::clone(&store), Arc::clone(&over), begin);
        async move {
            let mut all = HashSet::new();
            loop {
                let last = over.load(Ordering::SeqCst);
                let (subjects, next) = since(&*store, &place).await;
                all.extend(subjects);
                place = next;
                if last {
                    return all;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let owner = |writer, round| subject(&format!("writer {writer} round {round}"));
    at_once(WRITERS, |writer| {
        let store = Arc::clone(&store);
        async move {
            for round in 0..ROUNDS {
                let owner = owner(writer, round);
                let session = created(&*store, &owner, NOW).await;
                let place = here(&*store).await.expect("a log");
                if writer % 2 == 0 {
                    assert_eq!(store.revoke(&owner, Revocation::All(NOW)).await.unwrap(), 1);
                } else {
                    let rotate = Some(rotation(&session, NOW));
                    done(&*store, &Completion { rotate, ..Completion::new(owner.clone(), NOW) }).await;
                }
                let (subjects, _) = since(&*store, &place).await;
                assert!(subjects.contains(&owner), "a write that has returned is not told");
            }
        }
    })
    .await;
    over.store(true, Ordering::SeqCst);
    let all = reader.await.expect("a reader that does not panic");
    for writer in 0..WRITERS {
        for round in 0..ROUNDS {
            assert!(all.contains(&owner(writer, round)), "writer {writer}, round {round}: it was missed");
        }
    }
}
