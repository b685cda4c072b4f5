//! Subjects are told apart byte by byte.

use super::{
    Attempt, AttemptPolicy, Completed, Consumption, CredentialChange, NOW, attempt, begun, change, consume, created,
    credential, credentials_of, data, enrolled, flow_of, is_there, key, kim, remove, secret, set_data, set_name, step,
    subject, totp,
};
use crate::{
    aal::Method,
    session::Subject,
    store::{Credential, FlowStore, Revocation, SubjectStore},
};

/// Subjects that a careless store confuses.
fn lookalikes() -> Vec<Subject> {
    let long = "x".repeat(254);
    [
        "kim",
        "Kim",
        "KIM",
        "kim ",
        " kim",
        "kim\u{a0}",
        "kim%",
        "k%",
        "k_m",
        "k?m",
        "k*",
        "*",
        "k[i]m",
        "kim:totp",
        "kim\\",
        "kim' OR '1'='1",
        "kim'; DROP TABLE step_up_sessions; --",
        "\"kim\"",
        "{kim}",
        "k\u{131}m",
        "K\u{130}M",
        "\u{43a}im",
        "J\u{fc}rgen",
        "Ju\u{308}rgen",
        "stra\u{df}e",
        "STRASSE",
        "\u{1f511}",
        "42",
        "42.0",
        "042",
        "null",
        &format!("{long}x"),
        &format!("{long}y"),
        &long,
    ]
    .into_iter()
    .map(subject)
    .collect()
}

/// A change to one subject's sessions and credentials does not touch the others'.
pub async fn sessions_and_credentials_of_lookalikes<S: SubjectStore>(store: S) {
    let mut all = Vec::new();
    for subject in lookalikes() {
        let session = created(&store, &subject, NOW).await;
        let app = enrolled(&store, &subject, totp()).await;
        all.push((subject, session, app));
    }
    for (subject, session, app) in &all {
        assert_eq!(store.sessions(subject, NOW).await.unwrap(), std::slice::from_ref(session), "{subject}");
        assert_eq!(credentials_of(&store, subject).await, std::slice::from_ref(app), "{subject}");
        let standing = store.standing(subject, session.id()).await.unwrap().expect("the session");
        assert_eq!(standing.credentials, [app.summary], "{subject}");
    }
    while let Some((subject, session, app)) = all.pop() {
        assert_eq!(store.revoke(&subject, Revocation::All(NOW)).await.unwrap(), 1, "{subject}");
        assert_eq!(consume(&store, &subject, step(&app, 1)).await, Completed::Done);
        change(&store, &subject, [CredentialChange::Replace(totp()), remove(&app)]).await;
        assert!(!is_there(&store, &session).await);
        for (other, session, app) in &all {
            let standing = store.standing(other, session.id()).await.unwrap().expect("the other's session");
            assert_eq!(standing.credentials, [app.summary], "{subject} / {other}");
        }
    }
}

/// A credential is consumed only for its own subject. For another subject, nothing changes.
pub async fn others_credentials_are_unknown<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let app = enrolled(&store, &kim, totp()).await;
    let codes = enrolled(&store, &kim, credential(Method::LookupSecret, &[[1; 32]])).await;
    let present = Consumption::Present { credential: app.summary.id };
    for consumption in [step(&app, 5), secret(&codes, [1; 32]), data(&app, b"1"), present] {
        assert_eq!(consume(&store, &lee, consumption).await, Completed::Unknown);
    }
    let mut raise = super::Completion::new(lee.clone(), NOW);
    raise.raise_steps = vec![(app.summary.id, 1000)];
    super::done(&store, &raise).await;
    change(&store, &lee, [CredentialChange::Replace(totp())]).await;
    assert_eq!(credentials_of(&store, &kim).await, [app, codes]);
}

/// A change that names another subject's credential does not touch it, and the rest is applied.
pub async fn others_credentials_are_not_changed<S: SubjectStore>(store: S) {
    let (kim, lee) = (kim(), subject("lee"));
    let codes = enrolled(&store, &kim, credential(Method::LookupSecret, &[[1; 32]])).await;
    let other_data = Credential { data: vec![1], ..codes.clone() };
    let own = totp();
    let changes = [
        set_name(&codes, "mine"),
        set_data(&codes, b"mine"),
        set_data(&other_data, b"mine"),
        remove(&codes),
        CredentialChange::Add(own.clone()),
    ];
    change(&store, &lee, changes).await;
    assert_eq!(credentials_of(&store, &kim).await, [codes]);
    assert_eq!(credentials_of(&store, &lee).await, [own]);
}

/// A change to one subject's flows and counters does not touch the others'.
pub async fn flows_and_counters_of_lookalikes<S: SubjectStore + FlowStore>(store: S) {
    let policy = AttemptPolicy { free: 1, ..AttemptPolicy::default() };
    let mut flows = Vec::new();
    for subject in lookalikes() {
        let flow = begun(&store, Some(&subject)).await;
        let key = key(&subject, Method::Totp);
        assert!(attempt(&store, &key, &policy, NOW).await.is_allowed(), "{subject}");
        assert!(matches!(attempt(&store, &key, &policy, NOW).await, Attempt::LockedUntil(_)), "{subject}");
        flows.push((subject, flow));
    }
    while let Some((subject, flow)) = flows.pop() {
        store.create_flow(&super::new_flow(Some(&subject)), 1, NOW).await.unwrap();
        store.remove_flows(&subject, None).await.unwrap();
        assert_eq!(flow_of(&store, flow.id).await, None, "{subject}");
        store.reset_attempts(&key(&subject, Method::Totp)).await.unwrap();
        for (other, flow) in &flows {
            assert_eq!(flow_of(&store, flow.id).await.as_ref(), Some(flow), "{subject} / {other}");
        }
        if let Some((other, _)) = flows.last() {
            let locked = attempt(&store, &key(other, Method::Totp), &policy, NOW).await;
            assert!(matches!(locked, Attempt::LockedUntil(_)), "{subject} / {other}");
        }
    }
}
