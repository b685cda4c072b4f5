//! Sessions: created once, listed while alive, revoked at once.

use http::{HeaderValue, header};

use super::{
    Completion, DAY, HOUR, MINUTE, NOW, beginning, created, done, enrolled, is_there, kim, rotation, signed_in_at,
    stepped_up, subject, totp,
};
use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    client::Client,
    clock::Timestamp,
    session::{Answered, BindingKey, SessionId, StoredSession},
    store::{Revocation, StoreErrorKind, SubjectStore},
};

/// A session is read as it was written, to the millisecond, and only under its own subject.
pub async fn come_back_as_they_were<S: SubjectStore>(store: S) {
    let odd = Timestamp::from_unix_milliseconds(NOW.unix_milliseconds() + 7);
    let proofs = vec![
        Proof::new(Method::Oidc, Aal::Aal1, odd).with_provider("\u{fc}ber \"quoted\" 'provider' \\"),
        Proof::new(Method::Totp, Aal::Aal2, odd + MINUTE).with_credential(CredentialId::random()),
    ];
    let kim = kim();
    let session =
        StoredSession::from_parts(SessionId::random(), kim.clone(), BindingKey::random(), proofs, odd, odd + HOUR);
    store.create_session(&session).await.unwrap();
    let standing = store.standing(&kim, session.id()).await.unwrap().expect("the session");
    assert_eq!(standing.session, session);
    assert_eq!(standing.credentials, []);
    assert_eq!(store.standing(&kim, SessionId::random()).await.unwrap(), None);
    assert_eq!(store.standing(&subject("lee"), session.id()).await.unwrap(), None);
    assert_eq!(store.sessions(&kim, odd).await.unwrap(), [session]);
}

/// The form that began a session is read as it was written, however the session began. A session that replaces it has its own or none. A
/// store that loses it is safe, but its users are signed out by a second click.
pub async fn answered_forms_stay_with_their_session<S: SubjectStore>(store: S) {
    let (kim, at) = (kim(), Timestamp::from_unix_milliseconds(NOW.unix_milliseconds() + 7));
    let answered = |byte| Answered { digest: [byte; 32], at };
    let kept = async |session: &StoredSession| {
        let standing = store.standing(&kim, session.id()).await.unwrap().expect("the session");
        let by_binding = store.session_of(&kim, session.binding(), NOW).await.unwrap().expect("the session");
        assert_eq!((&standing.session, &by_binding.session), (session, session), "the form of a session is lost");
        assert!(store.sessions(&kim, NOW).await.unwrap().contains(session));
    };
    let begun = signed_in_at(&kim, NOW).with_answered(answered(1));
    done(&store, &Completion { begin: Some(begun.clone()), ..Completion::new(kim.clone(), NOW) }).await;
    kept(&begun).await;
    let mut rotate = rotation(&begun, NOW);
    rotate.new = rotate.new.with_answered(answered(255));
    let second = rotate.new.clone();
    done(&store, &Completion { rotate: Some(rotate), ..Completion::new(kim.clone(), NOW) }).await;
    kept(&second).await;
    let rotate = rotation(&second, NOW);
    let third = rotate.new.clone();
    done(&store, &Completion { rotate: Some(rotate), ..Completion::new(kim.clone(), NOW) }).await;
    assert_eq!(third.answered(), None);
    kept(&third).await;
}

/// The client that a user signed in with is read as it was written, however the session began, and a session that replaces it inherits it. A
/// store that loses it is safe, but its users do not know their sessions in the list.
pub async fn devices_stay_with_their_session<S: SubjectStore>(store: S) {
    let kim = kim();
    let kept = async |session: &StoredSession| {
        let standing = store.standing(&kim, session.id()).await.unwrap().expect("the session");
        let by_binding = store.session_of(&kim, session.binding(), NOW).await.unwrap().expect("the session");
        assert_eq!((&standing.session, &by_binding.session), (session, session), "the device of a session is lost");
        assert!(store.sessions(&kim, NOW).await.unwrap().contains(session));
    };
    let headers = [(header::USER_AGENT, HeaderValue::from_static("Bank/1 \"app\" 'beta' \\ <3 %s $1"))];
    let agent = Client::of(&headers.into_iter().collect());
    let address = Client::default().with_address("2001:db8::7".parse().expect("an address"));
    let both = agent.clone().with_address([192, 0, 2, 7].into());
    for device in [agent, address, both] {
        let begun = signed_in_at(&kim, NOW).with_device(&device);
        assert_eq!(begun.device(), Some(&device));
        done(&store, &beginning(&begun, NOW)).await;
        kept(&begun).await;
        let rotate = rotation(&begun, NOW);
        let second = rotate.new.clone();
        assert_eq!(second.device(), Some(&device));
        done(&store, &Completion { rotate: Some(rotate), ..Completion::new(kim.clone(), NOW) }).await;
        kept(&second).await;
        let created = signed_in_at(&kim, NOW).with_device(&device);
        store.create_session(&created).await.unwrap();
        kept(&created).await;
    }
    let unknown = created(&store, &kim, NOW).await;
    assert_eq!(unknown.device(), None);
    kept(&unknown).await;
}

/// An existing id is a conflict, even if it is another subject's, and the session that has it stays.
pub async fn existing_ids_are_refused<S: SubjectStore>(store: S) {
    let first = created(&store, &kim(), NOW).await;
    for owner in [kim(), subject("lee")] {
        let second = StoredSession::from_parts(
            first.id(),
            owner.clone(),
            BindingKey::random(),
            vec![Proof::new(Method::Password, Aal::Aal1, NOW)],
            NOW,
            NOW + HOUR,
        );
        let error = store.create_session(&second).await.expect_err("the id exists");
        assert_eq!(error.kind(), StoreErrorKind::Conflict);
    }
    assert_eq!(store.standing(&kim(), first.id()).await.unwrap().unwrap().session, first);
    assert_eq!(store.sessions(&subject("lee"), NOW).await.unwrap(), []);
}

/// The list has the newest first and leaves out what has expired.
pub async fn are_listed_newest_first_while_alive<S: SubjectStore>(store: S) {
    let kim = kim();
    let middle = created(&store, &kim, NOW + MINUTE).await;
    let oldest = created(&store, &kim, NOW).await;
    let newest = created(&store, &kim, NOW + HOUR).await;
    let now = NOW + HOUR;
    assert_eq!(store.sessions(&kim, now).await.unwrap(), [newest.clone(), middle.clone(), oldest.clone()]);
    assert_eq!(store.sessions(&kim, oldest.expires_at()).await.unwrap(), [newest.clone(), middle]);
    assert_eq!(store.sessions(&kim, newest.expires_at()).await.unwrap(), []);
}

/// A binding finds the newest live session that has it, with the subject's standing, through every rotation.
pub async fn are_found_by_binding<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let found =
        async |subject, binding, now| store.session_of(subject, binding, now).await.expect("a standing or none");
    let first = created(&store, &kim, NOW).await;
    let other = created(&store, &kim, NOW + MINUTE).await;
    let apps = [enrolled(&store, &kim, totp()).await, enrolled(&store, &kim, totp()).await];
    let standing = found(&kim, first.binding(), NOW).await.expect("the session");
    let mut told: Vec<_> = standing.credentials.iter().map(|summary| summary.id).collect();
    let mut expected = apps.map(|app| app.summary.id);
    told.sort();
    expected.sort();
    assert_eq!((&standing.session, told), (&first, expected.to_vec()));
    assert_eq!(found(&kim, other.binding(), NOW).await.expect("the other").session, other);
    assert_eq!(found(&lee, first.binding(), NOW).await, None, "not lee's");
    assert_eq!(found(&kim, BindingKey::random(), NOW).await, None);

    let rotate = rotation(&first, NOW + MINUTE);
    let second = rotate.new.clone();
    done(&store, &Completion { rotate: Some(rotate), ..Completion::new(kim.clone(), NOW + MINUTE) }).await;
    assert_eq!(found(&kim, first.binding(), NOW + MINUTE).await.expect("the successor").session, second);
    assert_eq!(found(&kim, first.binding(), second.expires_at()).await, None, "expired");

    // Of several with one binding, it finds the newest; of two that are equally old, the later one.
    for issued_at in [NOW + HOUR, NOW + MINUTE, NOW + HOUR] {
        let proofs = second.proofs().to_vec();
        let id = SessionId::random();
        let newer = StoredSession::from_parts(id, kim.clone(), first.binding(), proofs, issued_at, NOW + DAY * 2);
        store.create_session(&newer).await.unwrap();
        if issued_at == NOW + HOUR {
            assert_eq!(found(&kim, first.binding(), NOW + HOUR).await.expect("the newest").session, newer);
        }
    }
    let before = revocations(&store).await;
    store.revoke(&kim, Revocation::All(NOW)).await.unwrap();
    assert_eq!(found(&kim, first.binding(), NOW + HOUR).await, None, "revoked");
    drop(store.create_session(&first.clone().with_revocations(before)).await);
    assert_eq!(found(&kim, first.binding(), NOW).await, None, "begun before the revocation");
    let last = created(&store, &kim, NOW).await;
    assert_eq!(found(&kim, last.binding(), NOW).await.expect("the last").session, last);
}

/// The last use is noted, only forwards, and never in a session that is gone.
pub async fn uses_are_noted<S: SubjectStore>(store: S) {
    let kim = kim();
    assert!(store.notes_use(), "`notes_use` says no: `build()` refuses an inactivity timeout with this store");
    let session = created(&store, &kim, NOW).await;
    let (id, bound) = (session.id(), session.binding());
    let seen = async || store.standing(&kim, id).await.unwrap().expect("the session").session.seen_at();
    assert_eq!(seen().await, None);
    for (at, after) in [(HOUR, HOUR), (MINUTE, HOUR), (HOUR, HOUR), (HOUR + MINUTE, HOUR + MINUTE)] {
        assert!(store.note_use(&kim, id, NOW + at).await.unwrap().is_done());
        assert_eq!(seen().await, Some(NOW + after));
    }
    let noted = session.clone().with_seen_at(NOW + HOUR + MINUTE);
    assert_eq!(store.sessions(&kim, NOW).await.unwrap(), std::slice::from_ref(&noted));
    assert_eq!(store.session_of(&kim, bound, NOW).await.unwrap().expect("the session").session, noted);
    for (subject, id) in [(subject("lee"), id), (kim.clone(), SessionId::random())] {
        assert!(!store.note_use(&subject, id, NOW + DAY).await.unwrap().is_done());
    }
    assert_eq!(seen().await, Some(NOW + HOUR + MINUTE));

    let mut rotation = rotation(&session, NOW);
    rotation.new = rotation.new.with_seen_at(NOW + HOUR);
    let new = rotation.new.clone();
    done(&store, &Completion { rotate: Some(rotation), ..Completion::new(kim.clone(), NOW) }).await;
    assert!(!store.note_use(&kim, id, NOW + DAY).await.unwrap().is_done(), "it was replaced");
    assert_eq!(store.sessions(&kim, NOW).await.unwrap(), [new]);
}

/// Revoking one session ends it, once.
pub async fn one_is_revoked<S: SubjectStore>(store: S) {
    let kim = kim();
    let (ended, kept) = (created(&store, &kim, NOW).await, created(&store, &kim, NOW).await);
    assert_eq!(store.revoke(&subject("lee"), Revocation::One(ended.id())).await.unwrap(), 0, "not lee's");
    assert_eq!(store.revoke(&kim, Revocation::One(ended.id())).await.unwrap(), 1);
    assert_eq!(store.revoke(&kim, Revocation::One(ended.id())).await.unwrap(), 0);
    assert!(!is_there(&store, &ended).await);
    assert!(is_there(&store, &kept).await);
    assert_eq!(store.sessions(&kim, NOW).await.unwrap(), [kept]);
}

/// Revoking the others keeps one, and what replaces it, and other subjects' sessions.
pub async fn others_are_revoked<S: SubjectStore>(store: S) {
    let kim = kim();
    let kept = created(&store, &kim, NOW).await;
    let lees = created(&store, &subject("lee"), NOW).await;
    for minute in 0..3 {
        created(&store, &kim, NOW + MINUTE * minute).await;
    }
    assert_eq!(store.revoke(&kim, Revocation::Others(kept.binding())).await.unwrap(), 3);
    assert_eq!(store.revoke(&kim, Revocation::Others(kept.binding())).await.unwrap(), 0);
    assert_eq!(store.sessions(&kim, NOW).await.unwrap(), std::slice::from_ref(&kept));
    assert!(is_there(&store, &lees).await);

    let rotation = rotation(&kept, NOW);
    let new = rotation.new.clone();
    let rotate = Some(rotation);
    done(&store, &Completion { rotate, ..Completion::new(kim.clone(), NOW) }).await;
    created(&store, &kim, NOW).await;
    assert_eq!(store.revoke(&kim, Revocation::Others(kept.binding())).await.unwrap(), 1);
    assert_eq!(store.sessions(&kim, NOW).await.unwrap(), [new]);
    assert_eq!(store.revoke(&kim, Revocation::Others(lees.binding())).await.unwrap(), 1, "that binding is lee's");
    assert!(is_there(&store, &lees).await);
}

/// Revoking all ends them all, and also a session that was begun before but is created only now. A later one lives. No clock decides: whatever
/// the session says of its time, and whatever the revocation says.
pub async fn all_are_revoked<S: SubjectStore>(store: S) {
    let kim = kim();
    let lees = created(&store, &subject("lee"), NOW).await;
    for revoked_at in [NOW, NOW + HOUR, NOW - DAY] {
        for issued_at in [NOW, NOW + MINUTE, NOW - HOUR] {
            let first = created(&store, &kim, issued_at).await;
            created(&store, &kim, NOW + HOUR).await;
            let before = revocations(&store).await;
            // A late one of before may be there, dead.
            assert!(store.revoke(&kim, Revocation::All(revoked_at)).await.unwrap() >= 2);
            assert_eq!(revocations(&store).await, before + 1);
            assert!(!is_there(&store, &first).await);
            assert!(is_there(&store, &lees).await);

            let late = signed_in_at(&kim, issued_at).with_revocations(before);
            // A store may refuse it or tell that it is dead.
            drop(store.create_session(&late).await);
            assert!(!is_there(&store, &late).await, "the late session passes for alive");
            assert_eq!(store.sessions(&kim, NOW - DAY).await.unwrap(), []);

            let after = created(&store, &kim, issued_at).await;
            assert_eq!(store.sessions(&kim, NOW).await.unwrap(), std::slice::from_ref(&after));
            assert!(is_there(&store, &after).await);
            store.revoke(&kim, Revocation::One(after.id())).await.unwrap();
        }
    }
}

/// Revocations of single sessions and of others are not counted, and those of one subject end nothing of another that is being created.
pub async fn revocations_of_all_are_counted<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let before = revocations(&store).await;
    let one = created(&store, &kim, NOW).await;
    store.revoke(&kim, Revocation::One(one.id())).await.unwrap();
    store.revoke(&kim, Revocation::Others(BindingKey::random())).await.unwrap();
    assert_eq!(revocations(&store).await, before);
    store.revoke(&kim, Revocation::All(NOW)).await.unwrap();
    assert_eq!(revocations(&store).await, before + 1);
    let lees = signed_in_at(&lee, NOW).with_revocations(before);
    store.create_session(&lees).await.unwrap();
    assert!(is_there(&store, &lees).await, "kim's revocation ended lee's session");
    let kims = signed_in_at(&kim, NOW).with_revocations(before + 1);
    store.create_session(&kims).await.unwrap();
    assert!(is_there(&store, &kims).await);
}

async fn revocations<S: SubjectStore>(store: &S) -> u64 {
    store.revocations().await.expect("how many revocations there were")
}

/// Sessions that expire one after the other leave those alive that have not.
pub async fn expired_ones_make_room<S: SubjectStore>(store: S) {
    let kim = kim();
    let mut last = created(&store, &kim, NOW).await;
    for day in 1..50 {
        last = created(&store, &kim, NOW + DAY * day).await;
    }
    let renewed = stepped_up(&last, last.issued_at());
    assert!(is_there(&store, &last).await);
    assert!(!is_there(&store, &renewed).await);
    assert_eq!(store.sessions(&kim, last.issued_at()).await.unwrap(), [last]);
}
