//! Credentials: what changes shows at once, in the list and in the standing.

use super::{
    Completion, MINUTE, NOW, change, consuming, created, credential, credentials_of, done, enrolled, kim, secret, step,
    subject, totp,
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

/// Credentials are read as they were written, oldest first, with their secrets in order.
pub async fn come_back_as_they_were<S: SubjectStore>(store: S) {
    let kim = kim();
    let hashes: Vec<[u8; 32]> = (0..12).rev().map(|byte| [byte; 32]).collect();
    let mut codes = credential(Method::LookupSecret, &hashes);
    codes.secrets[3] = StoredSecret { hash: [200; 32], used_at: Some(NOW) };
    codes.created_at = NOW + MINUTE;
    let mut app = totp();
    app.last_step = u64::try_from(i64::MAX).unwrap();
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

/// After each kind of change the standing has just the credentials that there are.
pub async fn change_and_show_in_the_standing<S: SubjectStore>(store: S) {
    let kim = kim();
    let session = created(&store, &kim, NOW).await;
    let (first, second, codes, new) = (totp(), totp(), credential(Method::LookupSecret, &[[1; 32]]), totp());
    let steps = [
        (CredentialChange::Add(first.clone()), vec![first.clone()]),
        (CredentialChange::Add(second.clone()), vec![first.clone(), second.clone()]),
        (CredentialChange::Add(codes.clone()), vec![first, second, codes.clone()]),
        (CredentialChange::Replace(new.clone()), vec![codes.clone(), new.clone()]),
        (CredentialChange::Remove(Method::WebAuthn), vec![codes.clone(), new.clone()]),
        (CredentialChange::Remove(Method::LookupSecret), vec![new.clone()]),
        (CredentialChange::Replace(codes.clone()), vec![new, codes.clone()]),
        (CredentialChange::Remove(Method::Totp), vec![codes]),
        (CredentialChange::Remove(Method::LookupSecret), vec![]),
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
            CredentialChange::Add(old),
            CredentialChange::Remove(Method::Totp),
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

/// New sealed data changes nothing else: not the last step, not which secrets were used, not the order.
pub async fn are_resealed_in_place<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let first = credential(Method::Totp, &[[1; 32]]);
    change(&store, &kim, [CredentialChange::Add(first.clone()), CredentialChange::Add(totp())]).await;
    done(&store, &consuming(&kim, step(&first, 7))).await;
    done(&store, &consuming(&kim, secret(&first, [1; 32]))).await;
    let before = credentials_of(&store, &kim).await;
    let data = vec![9; 300];
    let reseal = CredentialChange::Reseal { credential: first.summary.id, data: data.clone() };
    change(&store, &lee, [reseal.clone()]).await;
    assert_eq!(credentials_of(&store, &kim).await, before, "in another's name");
    change(&store, &kim, [reseal, CredentialChange::Reseal { credential: CredentialId::random(), data: vec![] }]).await;
    assert_eq!(credentials_of(&store, &kim).await, [Credential { data, ..before[0].clone() }, before[1].clone()]);
    assert_eq!(credentials_of(&store, &lee).await, []);
}

/// An id that exists is a conflict, whoever's it is; nothing of that completion is applied.
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

/// Ten thousand credentials of one subject and its neighbours are read whole, and go as they came.
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
    change(&store, &kim, [CredentialChange::Remove(Method::Totp)]).await;
    assert_eq!(credentials_of(&store, &kim).await, []);
    assert_eq!(credentials_of(&store, &lee).await.len(), 1000);
}
