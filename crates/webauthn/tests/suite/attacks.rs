//! Answers that must not count. Each has its honest twin: the same key with the answer as it should be.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::StatusCode;
use serde_json::json;
use tower_step_up::{
    Method, Subject,
    audit::{AuditEvent, AuditEventKind, FailureReason},
    clock::Clock,
    store::{Completed, Completion, CredentialChange, SubjectStore},
};
use tower_step_up_webauthn::{CloneWarning, UserVerification, WebAuthn};

use crate::{
    bank::{
        add, bank, bank_on, bank_with, credentials, level, login_options, register, registration_options, send, step_up,
    },
    key::{BACKED_UP, BACKUP_ELIGIBLE, Forgery, PRESENT, SecurityKey, VERIFIED},
    site::{Client, KINDS, Kind, Site},
    store::TestStore,
    witness,
};

const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What is wrong in both ceremonies.
fn forgeries() -> Vec<(&'static str, Forgery)> {
    let forged = Forgery::default;
    vec![
        ("another origin", Forgery { origin: "https://evil.example", ..forged() }),
        ("a look-alike", Forgery { origin: "https://bank.example.evil.example", ..forged() }),
        ("another port", Forgery { origin: "https://bank.example:444", ..forged() }),
        ("without TLS", Forgery { origin: "http://bank.example", ..forged() }),
        ("a host below", Forgery { origin: "https://evil.bank.example", ..forged() }),
        ("within a page of another origin", Forgery { cross_origin: Some(json!(true)), ..forged() }),
        ("within who knows what", Forgery { cross_origin: Some(json!("no")), ..forged() }),
        ("another relying party", Forgery { rp_id: "evil.example", ..forged() }),
        ("the other ceremony", Forgery { kind: Some("webauthn.nothing"), ..forged() }),
        ("another challenge", Forgery { challenge: Some(ZEROS.to_owned()), ..forged() }),
        ("no challenge", Forgery { challenge: Some(String::new()), ..forged() }),
        ("nobody present", Forgery { flags: 0, ..forged() }),
        ("only verified", Forgery { flags: VERIFIED, ..forged() }),
        ("backed up, though it cannot be", Forgery { flags: PRESENT | BACKED_UP, ..forged() }),
        ("another type", Forgery { type_: "password", ..forged() }),
    ]
}

async fn with_key(site: &Site, name: &str) -> SecurityKey {
    let mut key = SecurityKey::new();
    let added = add(&mut site.spa(name).await, &mut key, "blue").await;
    assert_eq!(added.status, StatusCode::OK, "{added:?}");
    key
}

/// The answer is refused and audited, nobody is raised, and the flow goes on with another challenge.
async fn assert_refused(client: &mut Client, key: &mut SecurityKey, what: &str, forgery: Forgery) {
    let flow = client.begin("login", "?aal=aal2").await;
    let options = login_options(&flow);
    let before = client.session_cookie().map(str::to_owned);
    let answer = key.get(&options, &forgery);
    let refused = send(client, &flow, &answer).await;
    assert_eq!((refused.status, refused.messages()), (StatusCode::BAD_REQUEST, vec![4_000_043]), "{what}: {refused:?}");
    assert_ne!(
        refused.node("webauthn_login_trigger")["attributes"]["value"],
        options.as_str(),
        "{what}: a new challenge"
    );
    assert_eq!(client.session_cookie().map(str::to_owned), before, "{what}");
    assert_eq!(level(client).await, "session_aal2_required", "{what}");
}

#[tokio::test]
async fn an_answer_that_is_not_ours_is_refused() {
    let site = bank();
    let mut key = with_key(&site, "kim").await;
    let lee = with_key(&site, "lee").await;
    let mut forged = forgeries();
    forged.extend([
        ("a broken signature", Forgery { broken_signature: true, ..Forgery::default() }),
        ("a registration", Forgery { kind: Some("webauthn.create"), ..Forgery::default() }),
        ("another user's handle", Forgery { user_handle: lee.user_handle.clone(), ..Forgery::default() }),
        ("an unknown key", Forgery { id: Some(vec![7; 32]), ..Forgery::default() }),
        ("another user's key", Forgery { id: Some(lee.id.clone()), ..Forgery::default() }),
        ("a key that can be backed up now", Forgery { flags: PRESENT | BACKUP_ELIGIBLE, ..Forgery::default() }),
    ]);
    for (what, forgery) in forged {
        let mut session = site.spa("kim").await;
        assert_refused(&mut session, &mut key, what, forgery).await;
        let handle = key.user_handle.clone();
        let flow = session.begin("login", "?aal=aal2").await;
        let honest = key.get(&login_options(&flow), &Forgery { user_handle: handle, ..Forgery::default() });
        assert_eq!(send(&mut session, &flow, &honest).await.status, StatusCode::OK, "the twin of {what}");
    }
}

#[tokio::test]
async fn another_users_key_proves_nothing() {
    let site = bank();
    let mut kim = with_key(&site, "kim").await;
    let mut lee = with_key(&site, "lee").await;
    let mut session = site.spa("kim").await;
    assert_refused(&mut session, &mut lee, "the key of lee", Forgery::default()).await;
    assert_eq!(step_up(&mut session, &mut kim, "?aal=aal2").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_challenge_is_good_for_one_answer_in_one_flow() {
    let site = bank();
    let mut key = with_key(&site, "kim").await;
    for kind in [Kind::Spa, Kind::Browser] {
        let mut session = Client { kind, ..site.spa("kim").await };
        let flow = session.begin("login", "?aal=aal2").await;
        let options = login_options(&flow);
        let other = session.begin("login", "?aal=aal2").await;
        assert_ne!(login_options(&other), options);
        // The answer to one flow's challenge, sent to the other.
        let answer = key.get(&options, &Forgery::default());
        send(&mut session, &other, &answer).await;
        assert_eq!(level(&mut session).await, "session_aal2_required");
        // A wrong answer uses the challenge up, also for the right one.
        let wrong = key.get(&options, &Forgery { broken_signature: true, ..Forgery::default() });
        send(&mut session, &flow, &wrong).await;
        let late = key.get(&options, &Forgery::default());
        send(&mut session, &flow, &late).await;
        assert_eq!(level(&mut session).await, "session_aal2_required");
        let passed = step_up(&mut session, &mut key, "?aal=aal2").await;
        assert_eq!(level(&mut session).await, "aal2", "{passed:?}");
    }
}

#[tokio::test]
async fn an_assertion_is_not_replayed() {
    let site = bank();
    let mut key = with_key(&site, "kim").await;
    let mut session = site.spa("kim").await;
    let flow = session.begin("login", "?aal=aal2").await;
    let answer = key.get(&login_options(&flow), &Forgery::default());
    assert_eq!(send(&mut session, &flow, &answer).await.status, StatusCode::OK);
    site.clock.advance(Duration::from_secs(60));
    for query in ["?aal=aal2", "?aal=aal2&refresh=true"] {
        let mut other = site.spa("kim").await;
        let flow = other.begin("login", query).await;
        assert_eq!(send(&mut other, &flow, &answer).await.messages(), [4_000_043], "{query}");
        assert_eq!(level(&mut other).await, "session_aal2_required");
    }
    // In its own flow, which is spent.
    assert_ne!(send(&mut session, &flow, &answer).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_challenge_does_not_wait_for_ever() {
    let site = bank();
    let mut key = with_key(&site, "kim").await;
    for (minutes, passes) in [(11, true), (12, false)] {
        let mut session = site.spa("kim").await;
        let flow = session.begin("login", "?aal=aal2").await;
        site.clock.advance(Duration::from_secs(minutes * 60));
        let answer = key.get(&login_options(&flow), &Forgery::default());
        let answered = send(&mut session, &flow, &answer).await;
        assert_eq!(answered.status == StatusCode::OK, passes, "{minutes} minutes: {answered:?}");
    }
}

#[tokio::test]
async fn a_user_who_must_be_verified_is() {
    let site = bank_with(WebAuthn::new("Bank").user_verification(UserVerification::Required));
    let verified = Forgery { flags: PRESENT | VERIFIED, ..Forgery::default() };
    let mut key = SecurityKey::new();
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("settings", "").await;
    let touched = key.create(&registration_options(&flow), &Forgery::default());
    let refused = register(&mut kim, &flow, "blue", &touched).await;
    assert_eq!(refused.messages(), [4_000_001], "{refused:?}");
    let flow = kim.begin("settings", "").await;
    let answer = key.create(&registration_options(&flow), &verified);
    assert_eq!(register(&mut kim, &flow, "blue", &answer).await.status, StatusCode::OK);
    let mut session = site.spa("kim").await;
    // The page cannot weaken what the server asked for.
    assert_refused(&mut session, &mut key, "not verified", Forgery::default()).await;
    let flow = session.begin("login", "?aal=aal2").await;
    let answer = key.get(&login_options(&flow), &verified);
    assert_eq!(send(&mut session, &flow, &answer).await.status, StatusCode::OK);
}

/// What is required counts when the answer comes, whatever it was when the key was added.
#[tokio::test]
async fn a_stricter_rule_holds_for_old_keys() {
    let store = TestStore::default();
    let lenient = bank_on(store.clone());
    let mut key = with_key(&lenient, "kim").await;
    let strict = WebAuthn::new("Example Bank").user_verification(UserVerification::Required);
    let strict = Site::on(store, |builder| builder.factor(strict));
    let mut session = strict.spa("kim").await;
    assert_refused(&mut session, &mut key, "not verified", Forgery::default()).await;
    let flow = session.begin("login", "?aal=aal2").await;
    let answer = key.get(&login_options(&flow), &Forgery { flags: PRESENT | VERIFIED, ..Forgery::default() });
    assert_eq!(send(&mut session, &flow, &answer).await.status, StatusCode::OK);
    let mut session = lenient.spa("kim").await;
    assert_eq!(step_up(&mut session, &mut key, "?aal=aal2").await.status, StatusCode::OK, "and back");
}

#[tokio::test]
async fn a_copied_key_is_noticed() {
    for (policy, passes) in [(CloneWarning::Refuse, false), (CloneWarning::Accept, true)] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hear = Arc::clone(&heard);
        let listens = move |event: &AuditEvent| {
            witness::hear(event);
            hear.lock().unwrap().push(event.kind.clone());
        };
        let keys = WebAuthn::new("Bank").on_clone_warning(policy);
        let site = Site::with(|builder| builder.factor(keys).audit(listens));
        let mut key = with_key(&site, "kim").await;
        let mut copy = key.clone_key();
        for _ in 0..3 {
            assert_eq!(step_up(&mut site.spa("kim").await, &mut key, "?aal=aal2").await.status, StatusCode::OK);
        }
        let mut session = site.spa("kim").await;
        let flow = session.begin("login", "?aal=aal2").await;
        let answer = copy.get(&login_options(&flow), &Forgery::default());
        let answered = send(&mut session, &flow, &answer).await;
        assert_eq!(answered.status == StatusCode::OK, passes, "{policy:?}: {answered:?}");
        let cloned = AuditEventKind::Failed { method: Method::WebAuthn, reason: FailureReason::ClonedKey };
        assert_eq!(heard.lock().unwrap().contains(&cloned), !passes, "{heard:?}");
        // The counter of the honest key has not moved.
        assert_eq!(step_up(&mut site.spa("kim").await, &mut key, "?aal=aal2").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_key_without_a_counter_is_no_copy() {
    let site = bank();
    let mut key = SecurityKey::new();
    let zero = || Forgery { counter: Some(0), ..Forgery::default() };
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("settings", "").await;
    let answer = key.create(&registration_options(&flow), &zero());
    assert_eq!(register(&mut kim, &flow, "phone", &answer).await.status, StatusCode::OK);
    for _ in 0..2 {
        let mut session = site.spa("kim").await;
        let flow = session.begin("login", "?aal=aal2").await;
        let answer = key.get(&login_options(&flow), &zero());
        assert_eq!(send(&mut session, &flow, &answer).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_registration_that_is_not_ours_is_refused() {
    let store = TestStore::default();
    let site = bank_on(store.clone());
    let lee = with_key(&site, "lee").await;
    let mut forged = forgeries();
    forged.push(("an assertion", Forgery { kind: Some("webauthn.get"), ..Forgery::default() }));
    for (what, forgery) in forged {
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("settings", "").await;
        let options = registration_options(&flow);
        let answer = SecurityKey::new().create(&options, &forgery);
        let refused = register(&mut kim, &flow, "blue", &answer).await;
        assert_eq!(
            (refused.status, refused.messages()),
            (StatusCode::BAD_REQUEST, vec![4_000_001]),
            "{what}: {refused:?}"
        );
        let now = &refused.node("webauthn_register_trigger")["attributes"]["value"];
        assert_ne!(now, options.as_str(), "{what}: a new challenge");
        assert_eq!(credentials(&store, "kim").await.len(), 0, "{what}");
    }
    let mut kim = site.spa("kim").await;
    let taken = Forgery { id: Some(lee.id.clone()), ..Forgery::default() };
    let flow = kim.begin("settings", "").await;
    let answer = SecurityKey::new().create(&registration_options(&flow), &taken);
    let refused = register(&mut kim, &flow, "blue", &answer).await;
    assert_eq!((refused.status, refused.messages()), (StatusCode::BAD_REQUEST, vec![4_000_001]), "the id of lee's key");
    assert_eq!((credentials(&store, "kim").await.len(), credentials(&store, "lee").await.len()), (0, 1));
    assert_eq!(add(&mut kim, &mut SecurityKey::new(), "blue").await.status, StatusCode::OK, "the honest twin");
}

#[tokio::test]
async fn a_key_is_added_once() {
    let store = TestStore::default();
    let site = bank_on(store.clone());
    let mut kim = site.spa("kim").await;
    let mut key = SecurityKey::new();
    add(&mut kim, &mut key, "blue").await;
    let flow = kim.begin("settings", "").await;
    let options = registration_options(&flow);
    assert!(options.contains("excludeCredentials"), "{options}");
    let answer = key.create(&options, &Forgery::default());
    let refused = register(&mut kim, &flow, "blue again", &answer).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.node_messages("webauthn_register"), [4_000_001]);
    assert_eq!(credentials(&store, "kim").await.len(), 1);
}

/// The challenge of one user's settings, answered in another's.
#[tokio::test]
async fn a_registration_of_another_flow_is_refused() {
    let site = bank();
    let (mut kim, mut lee) = (site.spa("kim").await, site.spa("lee").await);
    let (of_kim, of_lee) = (kim.begin("settings", "").await, lee.begin("settings", "").await);
    let answer = SecurityKey::new().create(&registration_options(&of_kim), &Forgery::default());
    assert_eq!(register(&mut lee, &of_lee, "blue", &answer).await.messages(), [4_000_001]);
    // Once an answer came, its challenge makes no second key.
    let mut key = SecurityKey::new();
    let answer = key.create(&registration_options(&of_kim), &Forgery::default());
    assert_eq!(register(&mut kim, &of_kim, "blue", &answer).await.status, StatusCode::OK);
    let second = SecurityKey::new().create(&registration_options(&of_kim), &Forgery::default());
    assert_ne!(register(&mut kim, &of_kim, "red", &second).await.status, StatusCode::OK);
}

/// Somebody who can write to the store puts their own key in the place of another user's.
#[tokio::test]
async fn a_swapped_key_opens_nothing() {
    let store = TestStore::default();
    let site = bank_on(store.clone());
    let mut kim = with_key(&site, "kim").await;
    let mut mallory = with_key(&site, "mallory").await;
    let (of_kim, of_mallory) =
        (credentials(&store, "kim").await.remove(0), credentials(&store, "mallory").await.remove(0));
    let set = |data: Vec<u8>, expected: Vec<u8>| {
        let mut completion = Completion::new(Subject::new("kim").unwrap(), site.clock.now());
        completion.credentials = vec![CredentialChange::SetData { credential: of_kim.summary.id, expected, data }];
        completion
    };
    assert_eq!(step_up(&mut site.spa("kim").await, &mut kim, "?aal=aal2").await.status, StatusCode::OK);
    let current = credentials(&store, "kim").await.remove(0).data;
    let swapped = set(of_mallory.data.clone(), current.clone());
    assert_eq!(store.complete(&swapped).await.unwrap(), Completed::Done);
    let mut session = site.spa("kim").await;
    let begun = session.get("/self-service/login/browser?aal=aal2").await;
    assert_eq!(begun.status, StatusCode::SERVICE_UNAVAILABLE, "{begun:?}");
    assert_eq!(store.complete(&set(current, of_mallory.data)).await.unwrap(), Completed::Done);
    let refused = step_up(&mut session, &mut mallory, "?aal=aal2").await;
    assert_eq!(refused.messages(), [4_000_043]);
    assert_eq!(step_up(&mut session, &mut kim, "?aal=aal2").await.status, StatusCode::OK);
}

/// With the password alone nobody adds a key to an account that has one.
#[tokio::test]
async fn a_password_adds_no_key_beside_another() {
    for kind in KINDS.into_iter().filter(|kind| *kind != Kind::Native) {
        let store = TestStore::default();
        let site = bank_on(store.clone());
        let mut key = with_key(&site, "kim").await;
        // The settings were open before.
        let mut thief = Client { kind, ..site.spa("kim").await };
        let begun = thief.get("/self-service/settings/browser").await;
        let refused = if kind == Kind::Spa { begun.error_id() } else { begun.location().to_owned() };
        assert!(refused.contains("aal2"), "{refused}");
        assert_eq!(credentials(&store, "kim").await.len(), 1);
        step_up(&mut thief, &mut key, "?aal=aal2").await;
        let added = add(&mut thief, &mut SecurityKey::new(), "second").await;
        assert!(added.status.is_success() || added.status.is_redirection(), "{added:?}");
        assert_eq!(credentials(&store, "kim").await.len(), 2, "the honest twin");
    }
}

/// Wrong answers lock nobody out: there is nothing to guess.
#[tokio::test]
async fn many_wrong_answers_lock_nobody() {
    let site = bank();
    let mut key = with_key(&site, "kim").await;
    let mut session = site.spa("kim").await;
    for _ in 0..12 {
        let broken = Forgery { broken_signature: true, ..Forgery::default() };
        assert_refused(&mut session, &mut key, "a broken signature", broken).await;
    }
    assert_eq!(step_up(&mut session, &mut key, "?aal=aal2").await.status, StatusCode::OK);
}

/// Where the application asks who made a key, others are not added.
#[tokio::test]
async fn a_key_of_nobody_knows_whom_is_not_added_where_makers_are_asked_for() {
    let makers = include_str!("attestation/makers.pem");
    let others = include_str!("attestation/others.pem");
    let attested = || Forgery { attested: true, ..Forgery::default() };
    let cases = [
        (makers.to_owned(), attested(), true),
        ([others, makers].concat(), attested(), true),
        (others.to_owned(), attested(), false),
        (makers.to_owned(), Forgery::default(), false),
        (makers.to_owned(), Forgery { broken_signature: true, ..attested() }, false),
    ];
    for (number, (authorities, forgery, passes)) in cases.into_iter().enumerate() {
        let site = bank_with(WebAuthn::new("Bank").attested_by(authorities));
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("settings", "").await;
        let options = registration_options(&flow);
        assert!(options.contains("\"attestation\":\"direct\""), "{options}");
        let mut key = SecurityKey::new();
        let answer = key.create(&options, &forgery);
        let added = register(&mut kim, &flow, "blue", &answer).await;
        assert_eq!(added.status == StatusCode::OK, passes, "{number}: {added:?}");
        if passes {
            let mut session = site.spa("kim").await;
            assert_eq!(step_up(&mut session, &mut key, "?aal=aal2").await.status, StatusCode::OK);
        }
    }
}
