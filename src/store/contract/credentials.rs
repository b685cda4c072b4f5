//! Credentials: changes show at once, in the list and in the standing.

use super::{
    Completed, Completion, MINUTE, NOW, change, complete, consuming, created, credential, credentials_of, done,
    enrolled, kim, remove, secret, set_data, set_name, step, subject, totp,
};
use crate::{
    aal::{Aal, CredentialId, Method},
    standing::CredentialSummary,
    store::{Credential, CredentialChange, StoreErrorKind, StoredSecret, SubjectStore},
};

fn summaries(credentials: &[Credential]) -> Vec<CredentialSummary> {
    let mut summaries: Vec<_> = credentials.iter().map(|credential| credential.summary).collect();
    summaries.sort_by_key(|summary| summary.id);
    summaries
}

/// Credentials are read as they were written, oldest first, with their names and dates and with their secrets in order.
pub async fn come_back_as_they_were<S: SubjectStore>(store: S) {
    let kim = kim();
    let hashes: Vec<[u8; 32]> = (0..12).rev().map(|byte| [byte; 32]).collect();
    let mut codes = credential(Method::LookupSecret, &hashes);
    codes.secrets[3] = StoredSecret { hash: [200; 32], used_at: Some(NOW) };
    codes.created_at = NOW + MINUTE;
    codes.last_used_at = Some(NOW + MINUTE * 7);
    codes.fingerprint = Some([0; 32]);
    let mut app = totp();
    app.last_step = u64::try_from(i64::MAX).unwrap();
    app.name = Some("K\u{fc}che \u{1f511} <b>'\"\\%_".parse().expect("a name"));
    let mut empty = credential(Method::Code, &[]);
    empty.data.clear();
    empty.summary.aal = Aal::Aal1;
    empty.created_at = NOW + MINUTE * 2;
    for new in [&empty, &codes, &app] {
        enrolled(&store, &kim, new.clone()).await;
    }
    assert_eq!(credentials_of(&store, &kim).await, [app, codes, empty]);
    assert_eq!(credentials_of(&store, &subject("lee")).await, []);
}

/// After each kind of change, the standing has exactly the credentials that exist.
pub async fn change_and_show_in_the_standing<S: SubjectStore>(store: S) {
    let kim = kim();
    let session = created(&store, &kim, NOW).await;
    let (first, second, codes, new) = (totp(), totp(), credential(Method::LookupSecret, &[[1; 32]]), totp());
    let steps = [
        (CredentialChange::Add(first.clone()), vec![first.clone()]),
        (CredentialChange::Add(second.clone()), vec![first.clone(), second.clone()]),
        (CredentialChange::Add(codes.clone()), vec![first.clone(), second.clone(), codes.clone()]),
        (remove(&first), vec![second, codes.clone()]),
        (CredentialChange::Replace(new.clone()), vec![codes.clone(), new.clone()]),
        (remove(&first), vec![codes.clone(), new.clone()]),
        (remove(&codes), vec![new.clone()]),
        (CredentialChange::Replace(codes.clone()), vec![new.clone(), codes.clone()]),
        (remove(&new), vec![codes.clone()]),
        (remove(&codes), vec![]),
    ];
    for (next, expected) in steps {
        change(&store, &kim, [next.clone()]).await;
        let standing = store.standing(&kim, session.id()).await.unwrap().expect("the session");
        assert_eq!(summaries(&credentials_of(&store, &kim).await), summaries(&expected), "{next:?}");
        let mut told = standing.credentials;
        told.sort_by_key(|summary| summary.id);
        assert_eq!(told, summaries(&expected), "the standing after {next:?}");
    }
}

/// Several changes of one completion are applied in their order.
pub async fn are_applied_in_order<S: SubjectStore>(store: S) {
    let kim = kim();
    let (old, new, added) = (totp(), totp(), totp());
    change(
        &store,
        &kim,
        [
            CredentialChange::Add(old.clone()),
            remove(&old),
            CredentialChange::Replace(new.clone()),
            CredentialChange::Add(added.clone()),
        ],
    )
    .await;
    assert_eq!(credentials_of(&store, &kim).await, [new.clone(), added]);
    // In place of itself.
    change(&store, &kim, [CredentialChange::Replace(new.clone())]).await;
    assert_eq!(credentials_of(&store, &kim).await, [new]);
}

/// One is removed with its secrets, and the others of its method stay. An unknown id changes nothing.
pub async fn are_removed_by_id<S: SubjectStore>(store: S) {
    let kim = kim();
    let sets = [[1; 32], [2; 32], [3; 32]].map(|hash| credential(Method::LookupSecret, &[hash]));
    for set in &sets {
        enrolled(&store, &kim, set.clone()).await;
    }
    let [first, middle, last] = sets;
    change(&store, &kim, [remove(&middle), CredentialChange::Remove(CredentialId::random())]).await;
    assert_eq!(credentials_of(&store, &kim).await, [first.clone(), last.clone()]);
    change(&store, &kim, [remove(&middle)]).await;
    assert_eq!(complete(&store, &consuming(&kim, secret(&middle, [2; 32]))).await, Completed::Unknown);
    // The same id comes back only with what is added, and with nothing of what it had.
    let again = Credential { secrets: Vec::new(), ..middle };
    change(&store, &kim, [CredentialChange::Add(again.clone())]).await;
    let read = credentials_of(&store, &kim).await;
    assert_eq!(read.iter().find(|one| one.summary.id == again.summary.id), Some(&again));
    change(&store, &kim, [remove(&last), remove(&first), remove(&again)]).await;
    assert_eq!(credentials_of(&store, &kim).await, []);
}

/// A credential that has secrets, a used step and a used secret, and another of the same method.
async fn two_in_use<S: SubjectStore>(store: &S) -> [Credential; 2] {
    let kim = kim();
    let first = credential(Method::Totp, &[[1; 32]]);
    change(store, &kim, [CredentialChange::Add(first.clone()), CredentialChange::Add(totp())]).await;
    done(store, &consuming(&kim, step(&first, 7))).await;
    done(store, &consuming(&kim, secret(&first, [1; 32]))).await;
    credentials_of(store, &kim).await.try_into().expect("two")
}

/// A new name changes nothing else, and can be removed.
pub async fn are_named_in_place<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let [first, second] = two_in_use(&store).await;
    let unknown = CredentialChange::SetName { credential: CredentialId::random(), name: None };
    for name in ["blue key", "\u{fc}ber 'quoted' \"\\", &"n".repeat(255)] {
        let named = set_name(&first, name);
        change(&store, &lee, [named.clone()]).await;
        change(&store, &kim, [named, unknown.clone()]).await;
        let expected = Credential { name: Some(name.parse().expect("a name")), ..first.clone() };
        assert_eq!(credentials_of(&store, &kim).await, [expected, second.clone()], "{name}");
    }
    // Two may have the same name.
    change(&store, &kim, [set_name(&first, "key"), set_name(&second, "key")]).await;
    assert!(credentials_of(&store, &kim).await.iter().all(|one| one.name == Some("key".parse().expect("a name"))));
    for credential in [first.summary.id, second.summary.id] {
        change(&store, &kim, [CredentialChange::SetName { credential, name: None }]).await;
    }
    assert_eq!(credentials_of(&store, &kim).await, [first, second]);
    assert_eq!(credentials_of(&store, &lee).await, []);
}

/// New data changes nothing else: not the last step, not which secrets were used, not the order.
pub async fn data_is_set_in_place<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let [first, second] = two_in_use(&store).await;
    let data = vec![9; 300];
    let set = set_data(&first, &data);
    change(&store, &lee, [set.clone()]).await;
    assert_eq!(credentials_of(&store, &kim).await, [first.clone(), second.clone()], "in another's name");
    change(&store, &kim, [set, set_data(&totp(), &[])]).await;
    assert_eq!(credentials_of(&store, &kim).await, [Credential { data, ..first }, second]);
    assert_eq!(credentials_of(&store, &lee).await, []);
}

/// Data that a proof has changed since it was read is not overwritten, and the whole completion is refused.
pub async fn data_is_set_only_as_expected<S: SubjectStore>(store: S) {
    let kim = kim();
    let [first, second] = two_in_use(&store).await;
    change(&store, &kim, [set_data(&first, b"1")]).await;
    let before = credentials_of(&store, &kim).await;
    let mut stale = Completion::new(kim.clone(), NOW);
    stale.credentials = vec![set_name(&second, "key"), set_data(&first, b"stale"), CredentialChange::Add(totp())];
    assert_eq!(complete(&store, &stale).await, Completed::CredentialsChanged);
    assert_eq!(credentials_of(&store, &kim).await, before);
    let next = Credential { data: b"2".to_vec(), ..first };
    change(&store, &kim, [set_data(&before[0], b"2"), set_data(&next, b"3")]).await;
    assert_eq!(credentials_of(&store, &kim).await[0].data, b"3", "each sees what the one before has set");
}

/// An existing id is a conflict, even if it is another subject's. Nothing of that completion is applied.
pub async fn existing_ids_are_refused<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let existing = enrolled(&store, &kim, totp()).await;
    for owner in [&kim, &lee] {
        let before = credentials_of(&store, owner).await;
        let mut completion = Completion::new(owner.clone(), NOW);
        completion.credentials = vec![CredentialChange::Add(credential(Method::Code, &[]))];
        completion.credentials.push(CredentialChange::Add(existing.clone()));
        let error = store.complete(&completion).await.expect_err("the id exists");
        assert_eq!(error.kind(), StoreErrorKind::Conflict);
        assert_eq!(credentials_of(&store, owner).await, before);
    }
}

/// A fingerprint exists once among all subjects, until its credential is gone. Nothing of a completion that brings a second one is applied.
pub async fn a_fingerprint_is_of_one_alone<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let key = |print: u8| credential(Method::WebAuthn, &[]).with_fingerprint([print; 32]);
    let (first, other) = (key(1), key(2));
    enrolled(&store, &kim, first.clone()).await;
    enrolled(&store, &kim, other.clone()).await;
    for owner in [&kim, &lee] {
        let before = credentials_of(&store, owner).await;
        for taken in [CredentialChange::Add(key(1)), CredentialChange::Replace(key(2))] {
            let mut completion = Completion::new(owner.clone(), NOW);
            completion.credentials = vec![CredentialChange::Add(totp()), taken.clone()];
            let replaces_its_own = *owner == kim && matches!(taken, CredentialChange::Replace(_));
            if replaces_its_own {
                continue;
            }
            let error = store.complete(&completion).await.expect_err("the fingerprint exists");
            assert_eq!(error.kind(), StoreErrorKind::Conflict, "{taken:?}");
            assert_eq!(credentials_of(&store, owner).await, before);
        }
    }
    let mut twice = Completion::new(lee.clone(), NOW);
    twice.credentials = vec![CredentialChange::Add(key(3)), CredentialChange::Add(key(3))];
    let error = store.complete(&twice).await.expect_err("the same twice");
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    change(&store, &kim, [remove(&first)]).await;
    change(&store, &kim, [CredentialChange::Replace(key(2))]).await;
    let moved = enrolled(&store, &lee, key(1)).await;
    assert_eq!(credentials_of(&store, &lee).await, [moved]);
}

/// Ten thousand credentials of one subject and its neighbour are read completely, and can be removed.
pub async fn ten_thousand_are_no_trouble<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let mut ids: Vec<CredentialId> = Vec::new();
    for _ in 0..10 {
        let batch: Vec<_> = (0..900).map(|_| totp()).collect();
        ids.extend(batch.iter().map(|credential| credential.summary.id));
        change(&store, &kim, batch.into_iter().map(CredentialChange::Add)).await;
    }
    change(&store, &lee, (0..1000).map(|_| CredentialChange::Add(totp()))).await;
    let session = created(&store, &kim, NOW).await;
    assert_eq!(store.standing(&kim, session.id()).await.unwrap().unwrap().credentials.len(), ids.len());
    let read = credentials_of(&store, &kim).await;
    assert!(read.iter().map(|credential| credential.summary.id).eq(ids), "the order of creation");
    for batch in read.chunks(900) {
        change(&store, &kim, batch.iter().map(remove)).await;
    }
    assert_eq!(credentials_of(&store, &kim).await, []);
    assert_eq!(credentials_of(&store, &lee).await.len(), 1000);
}
