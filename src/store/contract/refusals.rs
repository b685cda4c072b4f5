//! A refused completion changes nothing, whatever the reason.

use super::{
    Attempt, AttemptPolicy, Completed, Completion, Consumption, CredentialChange, HOUR, NOW, attempt, begun, complete,
    created, credential, credentials_of, data, done, enrolled, flow_of, is_completed, is_there, key, kim, new_flow,
    remove, rotation, secret, set_data, set_name, signed_in_at, step, subject, totp,
};
use crate::{
    aal::{CredentialId, Method},
    session::{StoredSession, Subject},
    store::{Credential, FlowStore, StoreErrorKind, StoredFlow, SubjectStore},
};

/// A subject with a session, an app whose step 10 is used, and two codes of which the first is used.
struct Scene {
    kim: Subject,
    session: StoredSession,
    app: Credential,
    codes: Credential,
}

impl Scene {
    async fn set<S: SubjectStore>(store: &S) -> Self {
        let kim = kim();
        let session = created(store, &kim, NOW).await;
        let app = enrolled(store, &kim, totp()).await;
        let codes = enrolled(store, &kim, credential(Method::LookupSecret, &[[1; 32], [2; 32]])).await;
        done(store, &super::consuming(&kim, step(&app, 10))).await;
        done(store, &super::consuming(&kim, secret(&codes, [1; 32]))).await;
        Self { kim, session, app, codes }
    }

    /// Changes everything that a completion can change, and would be accepted.
    fn completion(&self) -> Completion {
        Completion {
            consume: Some(step(&self.app, 11)),
            raise_steps: vec![(self.app.summary.id, 99)],
            credentials: vec![
                set_name(&self.app, "old app"),
                set_data(&self.codes, b"new"),
                remove(&self.codes),
                CredentialChange::Replace(totp()),
                CredentialChange::Add(credential(Method::Code, &[[7; 32]])),
            ],
            rotate: Some(rotation(&self.session, NOW)),
            begin: Some(signed_in_at(&self.kim, NOW)),
            ..Completion::new(self.kim.clone(), NOW)
        }
    }

    fn expecting(&self, credentials: Vec<CredentialId>) -> Completion {
        Completion { expect_credentials: Some(credentials), ..self.completion() }
    }

    /// The last of them expects data that is not there.
    fn changes_of_other_data(&self) -> Vec<CredentialChange> {
        let other = Credential { data: vec![1], ..self.app.clone() };
        vec![set_name(&self.app, "new app"), remove(&self.codes), set_data(&other, b"new")]
    }

    async fn seen<S: SubjectStore>(&self, store: &S) -> (Vec<StoredSession>, Vec<Credential>) {
        (store.sessions(&self.kim, NOW).await.unwrap(), credentials_of(store, &self.kim).await)
    }

    /// The ways to refuse that need no flow.
    fn refused(&self) -> Vec<(Completion, Completed)> {
        let with = |consume| Completion { consume: Some(consume), ..self.completion() };
        let gone = rotation(&signed_in_at(&self.kim, NOW), NOW);
        vec![
            (with(step(&self.app, 10)), Completed::Used),
            (with(step(&self.app, 9)), Completed::Used),
            (with(step(&totp(), 11)), Completed::Unknown),
            (with(secret(&self.codes, [1; 32])), Completed::Used),
            (with(secret(&self.codes, [9; 32])), Completed::Unknown),
            (with(data(&Credential { data: vec![1], ..self.app.clone() }, &[2])), Completed::Used),
            (with(data(&totp(), &[2])), Completed::Unknown),
            (with(Consumption::Present { credential: totp().summary.id }), Completed::Unknown),
            (Completion { rotate: Some(gone), ..self.completion() }, Completed::SessionGone),
            (
                Completion { begin: Some(signed_in_at(&subject("lee"), NOW)), ..self.completion() },
                Completed::SessionGone,
            ),
            (
                Completion { credentials: self.changes_of_other_data(), ..self.completion() },
                Completed::CredentialsChanged,
            ),
            (self.expecting(vec![]), Completed::CredentialsChanged),
            (self.expecting(vec![self.app.summary.id]), Completed::CredentialsChanged),
            (self.expecting(vec![self.app.summary.id, totp().summary.id]), Completed::CredentialsChanged),
        ]
    }
}

/// A used step or secret, an unknown credential, a session that is gone, an id that exists: nothing is changed.
pub async fn change_nothing<S: SubjectStore>(store: S) {
    let scene = Scene::set(&store).await;
    let before = scene.seen(&store).await;
    for (completion, expected) in scene.refused() {
        assert_eq!(complete(&store, &completion).await, expected);
        assert_eq!(scene.seen(&store).await, before, "changed although {expected:?}");
        assert!(!is_there(&store, &completion.rotate.expect("a rotation").new).await);
        assert!(!is_there(&store, &completion.begin.expect("a session that begins")).await);
    }
    let taken = Completion { begin: Some(scene.session.clone()), rotate: None, ..scene.completion() };
    let error = store.complete(&taken).await.expect_err("the session's id exists");
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    assert_eq!(scene.seen(&store).await, before, "changed although in conflict");
    let mut conflict = scene.completion();
    conflict.credentials = vec![CredentialChange::Add(totp()), CredentialChange::Add(scene.codes.clone())];
    let error = store.complete(&conflict).await.expect_err("the credential's id exists");
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    assert_eq!(scene.seen(&store).await, before, "changed although in conflict");

    // The same completion without a reason to refuse it goes through.
    done(&store, &scene.expecting(vec![scene.codes.summary.id, scene.app.summary.id])).await;
    assert!(!is_there(&store, &scene.session).await);
}

/// A flow that is unknown, has expired or was completed refuses the completion before anything else is checked. Any other refusal
/// leaves the flow open.
pub async fn of_a_flow_change_nothing<S: SubjectStore + FlowStore>(store: S) {
    let scene = Scene::set(&store).await;
    let before = scene.seen(&store).await;
    let completed = begun(&store, Some(&scene.kim)).await;
    assert!(is_completed(&store, &completed, NOW).await);
    let open = begun(&store, Some(&scene.kim)).await;
    let unknown = new_flow(Some(&scene.kim));
    for (flow, now) in [(&unknown, NOW), (&completed, NOW), (&open, NOW + HOUR)] {
        let gone = rotation(&signed_in_at(&scene.kim, NOW), NOW);
        let other_reasons = Completion { rotate: Some(gone), consume: Some(step(&totp(), 1)), ..scene.completion() };
        for completion in [scene.completion(), other_reasons] {
            let completion = Completion { flow: Some(flow.clone()), now, ..completion };
            assert_eq!(complete(&store, &completion).await, Completed::FlowGone);
            assert_eq!(scene.seen(&store).await, before);
        }
    }
    for (completion, expected) in scene.refused() {
        let passed = StoredFlow { body: "passed".to_owned(), ..open.clone() };
        let completion = Completion { flow: Some(passed), ..completion };
        assert_eq!(complete(&store, &completion).await, expected);
        assert_eq!(flow_of(&store, open.id).await.as_ref(), Some(&open), "completed although {expected:?}");
    }
    done(&store, &Completion { flow: Some(open.clone()), ..scene.completion() }).await;
    assert!(flow_of(&store, open.id).await.expect("the flow").completed);
}

/// A refused completion leaves the count of attempts as it is.
pub async fn leave_the_counter_alone<S: SubjectStore + FlowStore>(store: S) {
    let scene = Scene::set(&store).await;
    let policy = AttemptPolicy { free: 1, ..AttemptPolicy::default() };
    let key = key(&scene.kim, Method::Totp);
    assert!(attempt(&store, &key, &policy, NOW).await.is_allowed());
    let locked = attempt(&store, &key, &policy, NOW).await;
    assert!(matches!(locked, Attempt::LockedUntil(_)), "{locked:?}");
    let unknown_flow = Completion { flow: Some(new_flow(None)), ..scene.completion() };
    for (completion, expected) in scene.refused().into_iter().chain([(unknown_flow, Completed::FlowGone)]) {
        let completion = Completion { reset: vec![key.clone()], ..completion };
        assert_eq!(complete(&store, &completion).await, expected);
        assert_eq!(attempt(&store, &key, &policy, NOW).await, locked, "reset although {expected:?}");
    }
}
