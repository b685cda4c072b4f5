//! Completions: what a proof uses up, and the session that replaces another.

use super::{
    Attempt, AttemptPolicy, Completed, Completion, Consumption, DAY, HOUR, MINUTE, NOW, Rotation, attempt, beginning,
    begun, complete, consume, created, credential, credentials_of, data, done, enrolled, flow_of, is_there, is_updated,
    key, kim, rotation, secret, signed_in_at, step, stepped_up, subject, totp,
};
use crate::{
    aal::{CredentialId, Method},
    session::{BindingKey, SessionId, StoredSession},
    store::{Credential, FlowStore, Revocation, StoreErrorKind, StoredFlow, SubjectStore},
};

/// A step is accepted only if it is greater than the last.
pub async fn steps_only_rise<S: SubjectStore>(store: S) {
    let kim = kim();
    let app = enrolled(&store, &kim, totp()).await;
    let steps = [
        (0, Completed::Used),
        (1, Completed::Done),
        (1, Completed::Used),
        (60_000_000, Completed::Done),
        (59_999_999, Completed::Used),
        (60_000_000, Completed::Used),
        (60_000_001, Completed::Done),
        (0, Completed::Used),
    ];
    for (number, expected) in steps {
        assert_eq!(consume(&store, &kim, step(&app, number)).await, expected, "step {number}");
    }
    assert_eq!(credentials_of(&store, &kim).await[0].last_step, 60_000_001);
    assert_eq!(consume(&store, &kim, step(&totp(), 5)).await, Completed::Unknown);
}

/// Raised steps end at this value or higher. Unknown credentials are skipped.
pub async fn raised_steps_never_fall<S: SubjectStore>(store: S) {
    let kim = kim();
    let (app, other) = (enrolled(&store, &kim, totp()).await, enrolled(&store, &kim, totp()).await);
    for (raised, expected) in [(10, 10), (9, 10), (10, 10), (11, 11), (0, 11)] {
        let mut completion = Completion::new(kim.clone(), NOW);
        completion.raise_steps = vec![(CredentialId::random(), 1000), (app.summary.id, raised)];
        done(&store, &completion).await;
        assert_eq!(credentials_of(&store, &kim).await[0].last_step, expected, "raised to {raised}");
    }
    let mut completion = consuming_with_raise(&kim, step(&app, 12), app.summary.id, 20);
    done(&store, &completion).await;
    completion.consume = Some(step(&app, 20));
    assert_eq!(complete(&store, &completion).await, Completed::Used, "a raised step is a used one");
    let credentials = credentials_of(&store, &kim).await;
    assert_eq!((credentials[0].last_step, credentials[1].last_step), (20, other.last_step));
}

fn consuming_with_raise(
    subject: &crate::session::Subject,
    consumption: Consumption,
    credential: CredentialId,
    step: u64,
) -> Completion {
    let mut completion = super::consuming(subject, consumption);
    completion.raise_steps = vec![(credential, step)];
    completion
}

/// A secret is accepted once; the others stay good.
pub async fn secrets_are_single_use<S: SubjectStore>(store: S) {
    let kim = kim();
    let codes = enrolled(&store, &kim, credential(Method::LookupSecret, &[[1; 32], [2; 32]])).await;
    let others = enrolled(&store, &kim, credential(Method::LookupSecret, &[[3; 32]])).await;
    assert_eq!(consume(&store, &kim, secret(&codes, [1; 32])).await, Completed::Done);
    assert_eq!(consume(&store, &kim, secret(&codes, [1; 32])).await, Completed::Used);
    assert_eq!(consume(&store, &kim, secret(&codes, [3; 32])).await, Completed::Unknown, "of another credential");
    assert_eq!(consume(&store, &kim, secret(&codes, [9; 32])).await, Completed::Unknown);
    assert_eq!(consume(&store, &kim, secret(&totp(), [1; 32])).await, Completed::Unknown);
    assert_eq!(consume(&store, &kim, secret(&codes, [2; 32])).await, Completed::Done);
    let read = credentials_of(&store, &kim).await;
    assert!(read[0].secrets.iter().all(|secret| secret.used_at == Some(NOW)));
    assert_eq!(read[1], others);
}

/// Data changes if it is as expected, byte for byte, and is refused as used otherwise. Everything else stays.
pub async fn data_is_compared_and_set<S: SubjectStore>(store: S) {
    let kim = kim();
    let key = enrolled(&store, &kim, credential(Method::WebAuthn, &[])).await;
    let other = enrolled(&store, &kim, credential(Method::WebAuthn, &[])).await;
    let first = data(&key, b"1");
    assert_eq!(consume(&store, &kim, first.clone()).await, Completed::Done);
    assert_eq!(consume(&store, &kim, first).await, Completed::Used, "another proof was quicker");
    let at_one = Credential { data: b"1".to_vec(), ..key.clone() };
    assert_eq!(consume(&store, &kim, data(&at_one, b"\0\xff1")).await, Completed::Done);
    for near in [&b"\0"[..], b"", b"\0\xff1 ", b"\0\xff"] {
        let at_near = Credential { data: near.to_vec(), ..key.clone() };
        assert_eq!(consume(&store, &kim, data(&at_near, b"2")).await, Completed::Used, "{near:?}");
    }
    let unchanged = Credential { data: b"\0\xff1".to_vec(), ..key.clone() };
    assert_eq!(consume(&store, &kim, data(&unchanged, b"\0\xff1")).await, Completed::Done, "a key without a counter");
    assert_eq!(consume(&store, &kim, data(&unchanged, b"")).await, Completed::Done);
    assert_eq!(consume(&store, &kim, data(&totp(), b"2")).await, Completed::Unknown);
    let expected = Credential { data: Vec::new(), last_used_at: Some(NOW), ..key };
    assert_eq!(credentials_of(&store, &kim).await, [expected, other]);
}

/// Every consumption sets the date of last use. A refused one leaves it, and so do those of other credentials.
pub async fn uses_are_dated<S: SubjectStore>(store: S) {
    let kim = kim();
    let app = enrolled(&store, &kim, credential(Method::Totp, &[[1; 32]])).await;
    let other = enrolled(&store, &kim, totp()).await;
    let present = Consumption::Present { credential: app.summary.id };
    let consumptions = [step(&app, 5), secret(&app, [1; 32]), data(&app, b"1"), present];
    for (consumption, minutes) in consumptions.into_iter().zip(1..) {
        let now = NOW + MINUTE * minutes;
        let used = Completion { now, ..super::consuming(&kim, consumption.clone()) };
        done(&store, &used).await;
        let last = credentials_of(&store, &kim).await;
        assert_eq!((last[0].last_used_at, last[1].last_used_at), (Some(now), None), "after {consumption:?}");
    }
    for refused in [step(&app, 5), secret(&app, [1; 32]), secret(&app, [9; 32]), data(&app, b"1")] {
        let refused = Completion { now: NOW + HOUR, ..super::consuming(&kim, refused) };
        assert_ne!(complete(&store, &refused).await, Completed::Done);
    }
    assert_eq!(credentials_of(&store, &kim).await[0].last_used_at, Some(NOW + MINUTE * 4));
    assert_eq!(credentials_of(&store, &kim).await[1], other);
}

/// A consumption that uses up nothing still needs the credential.
pub async fn present_needs_the_credential<S: SubjectStore>(store: S) {
    let kim = kim();
    let app = enrolled(&store, &kim, totp()).await;
    let present = Consumption::Present { credential: app.summary.id };
    assert_eq!(consume(&store, &kim, present.clone()).await, Completed::Done);
    assert_eq!(consume(&store, &kim, present.clone()).await, Completed::Done);
    super::change(&store, &kim, [super::remove(&app)]).await;
    assert_eq!(consume(&store, &kim, present).await, Completed::Unknown);
}

/// A rotation ends the old session and begins the new one, with the consumption.
pub async fn rotation_replaces_the_session<S: SubjectStore>(store: S) {
    let kim = kim();
    let (old, other) = (created(&store, &kim, NOW).await, created(&store, &kim, NOW + MINUTE).await);
    let app = enrolled(&store, &kim, totp()).await;
    let rotate = rotation(&old, NOW + MINUTE);
    let new = rotate.new.clone();
    done(&store, &Completion { rotate: Some(rotate), ..super::consuming(&kim, step(&app, 7)) }).await;
    assert!(!is_there(&store, &old).await);
    assert_eq!(store.standing(&kim, new.id()).await.unwrap().expect("the new session").session, new);
    assert_eq!(store.sessions(&kim, NOW + MINUTE).await.unwrap(), [other, new]);
    assert_eq!(credentials_of(&store, &kim).await[0].last_step, 7);
}

/// A session is not replaced if it was revoked or replaced, has expired, is another subject's, or began before all were
/// revoked.
pub async fn rotation_needs_a_live_session<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let gone = |rotate: Rotation, now| Completion { rotate: Some(rotate), ..Completion::new(kim.clone(), now) };

    assert_gone(&store, &gone(rotation(&signed_in_at(&kim, NOW), NOW), NOW), "never was").await;

    let old = created(&store, &kim, NOW).await;
    done(&store, &gone(rotation(&old, NOW), NOW)).await;
    assert_gone(&store, &gone(rotation(&old, NOW), NOW), "replaced").await;

    let lees = created(&store, &lee, NOW).await;
    assert_gone(&store, &gone(rotation(&lees, NOW), NOW), "another subject's").await;
    let own = created(&store, &kim, NOW).await;
    let mixed = Rotation { old: own.id(), new: stepped_up(&lees, NOW) };
    assert_gone(&store, &gone(mixed, NOW), "the new one is another subject's").await;
    assert!(is_there(&store, &lees).await);
    assert!(is_there(&store, &own).await);

    assert_gone(&store, &gone(rotation(&own, NOW + DAY), NOW + DAY), "expired").await;

    let revocations =
        [Revocation::One(own.id()), Revocation::Others(BindingKey::random()), Revocation::All(NOW + MINUTE)];
    for revocation in revocations {
        let session = if let Revocation::One(_) = revocation { own.clone() } else { created(&store, &kim, NOW).await };
        store.revoke(&kim, revocation).await.unwrap();
        assert_gone(&store, &gone(rotation(&session, NOW), NOW), "revoked").await;
    }

    // Begun before the revocation, created after it.
    let known = store.revocations().await.expect("how many revocations there were");
    store.revoke(&kim, Revocation::All(NOW)).await.unwrap();
    let late = signed_in_at(&kim, NOW).with_revocations(known);
    drop(store.create_session(&late).await);
    assert_gone(&store, &gone(rotation(&late, NOW + HOUR), NOW + HOUR), "begun before the revocation").await;
    let live = created(&store, &kim, NOW).await;
    done(&store, &gone(rotation(&live, NOW + MINUTE), NOW + MINUTE)).await;
}

async fn assert_gone<S: SubjectStore>(store: &S, completion: &Completion, why: &str) {
    assert_eq!(complete(store, completion).await, Completed::SessionGone, "{why}");
    let new = &completion.rotate.as_ref().expect("a rotation").new;
    assert!(!is_there(store, new).await, "a session came of one that is gone: {why}");
}

/// A new session whose id exists is a conflict, and nothing is changed.
pub async fn rotation_needs_a_new_id<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let app = enrolled(&store, &kim, totp()).await;
    let old = created(&store, &kim, NOW).await;
    let lees = created(&store, &lee, NOW).await;
    let new = StoredSession::from_parts(
        lees.id(),
        kim.clone(),
        BindingKey::random(),
        old.proofs().to_vec(),
        old.issued_at(),
        old.expires_at(),
    );
    let completion =
        Completion { rotate: Some(Rotation { old: old.id(), new }), ..super::consuming(&kim, step(&app, 1)) };
    let error = store.complete(&completion).await.expect_err("the id exists");
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    assert!(is_there(&store, &old).await);
    assert_eq!(store.standing(&lee, lees.id()).await.unwrap().unwrap().session, lees);
    assert_eq!(credentials_of(&store, &kim).await, [app]);
}

/// A session begins together with everything else that the completion changes, also beside a rotation.
pub async fn a_session_begins<S: SubjectStore>(store: S) {
    let kim = kim();
    let app = enrolled(&store, &kim, totp()).await;
    let new = signed_in_at(&kim, NOW);
    let completion = Completion { begin: Some(new.clone()), ..super::consuming(&kim, step(&app, 7)) };
    done(&store, &completion).await;
    let standing = store.standing(&kim, new.id()).await.unwrap().expect("the new session");
    assert_eq!((&standing.session, standing.credentials), (&new, vec![app.summary]));
    assert_eq!(credentials_of(&store, &kim).await[0].last_step, 7);

    let (rotate, second) = (rotation(&new, NOW), signed_in_at(&kim, NOW + MINUTE));
    let successor = rotate.new.clone();
    done(&store, &Completion { rotate: Some(rotate), ..beginning(&second, NOW + MINUTE) }).await;
    assert_eq!(store.sessions(&kim, NOW + MINUTE).await.unwrap(), [second.clone(), successor]);

    // One after the other, as they expire.
    let mut last = second;
    for day in 1..50 {
        last = signed_in_at(&kim, NOW + DAY * day);
        done(&store, &beginning(&last, last.issued_at())).await;
    }
    assert_eq!(store.sessions(&kim, last.issued_at()).await.unwrap(), [last]);
}

/// No session begins that is another subject's, or for which something was proven before all were revoked. One that was proven since begins,
/// whatever the time.
pub async fn a_session_begins_for_its_subject_alone<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let lees = signed_in_at(&lee, NOW);
    let foreign = Completion { begin: Some(lees.clone()), ..Completion::new(kim.clone(), NOW) };
    assert_eq!(complete(&store, &foreign).await, Completed::SessionGone);
    assert!(!is_there(&store, &lees).await);

    let known = store.revocations().await.expect("how many revocations there were");
    store.revoke(&kim, Revocation::All(NOW + MINUTE)).await.unwrap();
    let early = signed_in_at(&kim, NOW + HOUR).with_revocations(known);
    assert_eq!(complete(&store, &beginning(&early, NOW + HOUR)).await, Completed::SessionGone, "before the revocation");
    assert!(!is_there(&store, &early).await);
    for (begun, count) in [(NOW, 1), (NOW + HOUR, 2)] {
        done(&store, &beginning(&signed_in_at(&kim, begun).with_revocations(known + 1), begun)).await;
        assert_eq!(store.sessions(&kim, NOW + HOUR).await.unwrap().len(), count);
    }
    done(&store, &beginning(&lees, NOW)).await;

    // Beside a rotation, it is both or none. A trusted device is used with one that is over at once and has no proof.
    let live = created(&store, &kim, NOW).await;
    let both = |begin: &StoredSession| Completion { rotate: Some(rotation(&live, NOW)), ..beginning(begin, NOW) };
    let over = || StoredSession::from_parts(SessionId::random(), kim.clone(), BindingKey::random(), vec![], NOW, NOW);
    assert_gone(&store, &both(&over().with_revocations(known)), "trusted before the revocation").await;
    assert!(is_there(&store, &live).await);
    let used = both(&over().with_revocations(known + 1));
    done(&store, &used).await;
    assert!(!is_there(&store, &live).await);
    let kept = store.sessions(&kim, NOW).await.unwrap();
    assert!(kept.iter().all(|session| !session.proofs().is_empty()), "one that is over is no session: {kept:?}");
}

/// A session that begins under an existing id is a conflict, even if the id is another subject's. Nothing is changed.
pub async fn a_session_begins_under_a_new_id<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let app = enrolled(&store, &kim, totp()).await;
    for owner in [&kim, &lee] {
        let known = created(&store, owner, NOW).await;
        let proofs = known.proofs().to_vec();
        let same = StoredSession::from_parts(known.id(), kim.clone(), known.binding(), proofs, NOW, NOW + HOUR);
        let completion = Completion { begin: Some(same), ..super::consuming(&kim, step(&app, 1)) };
        let error = store.complete(&completion).await.expect_err("the id exists");
        assert_eq!(error.kind(), StoreErrorKind::Conflict);
        assert_eq!(store.standing(owner, known.id()).await.unwrap().unwrap().session, known);
        assert_eq!(credentials_of(&store, &kim).await.as_slice(), std::slice::from_ref(&app));
    }
}

/// Of several reasons to refuse, the session comes before the consumption.
pub async fn check_session_before_consumption<S: SubjectStore>(store: S) {
    let kim = kim();
    let gone = rotation(&signed_in_at(&kim, NOW), NOW);
    let completion = Completion { rotate: Some(gone), ..super::consuming(&kim, step(&totp(), 1)) };
    assert_eq!(complete(&store, &completion).await, Completed::SessionGone);
}

/// A completion ends its flow and resets the counts that it names.
pub async fn end_the_flow_and_the_count<S: SubjectStore + FlowStore>(store: S) {
    let kim = kim();
    let policy = AttemptPolicy { free: 1, ..AttemptPolicy::default() };
    let [locked, also, other] = [Method::Totp, Method::WebAuthn, Method::LookupSecret].map(|method| key(&kim, method));
    for key in [&locked, &also, &other] {
        assert!(attempt(&store, key, &policy, NOW).await.is_allowed());
    }
    let flow = begun(&store, Some(&kim)).await;
    assert!(is_updated(&store, &flow).await, "versions are not compared");
    let passed = StoredFlow { body: "passed".to_owned(), ..flow };
    let completion = Completion {
        flow: Some(passed.clone()),
        reset: vec![locked.clone(), also.clone()],
        ..Completion::new(kim.clone(), NOW)
    };
    done(&store, &completion).await;
    assert_eq!(flow_of(&store, passed.id).await, Some(StoredFlow { version: 2, completed: true, ..passed }));
    assert_eq!(complete(&store, &completion).await, Completed::FlowGone);
    for key in [&locked, &also] {
        assert!(attempt(&store, key, &policy, NOW).await.is_allowed());
    }
    assert!(matches!(attempt(&store, &other, &policy, NOW).await, Attempt::LockedUntil(_)));
}
