//! What the application hears of its users and does to them: the audit, locks, sessions, keys.

use std::{sync::mpsc, time::Duration};

use axum::http::StatusCode;
use tower_step_up::{
    Method, StepUpBuilder, Subject,
    audit::{AuditEvent, AuditEventKind, ChallengeReason, FailureReason, RefusalReason},
    error::ErrorKind,
    factor::Password,
    seal::EncryptionKey,
    store::{AttemptPolicy, Revocation, SubjectStore},
    test_util,
};

use crate::{
    site::{Client, SECRET, Site},
    store::TestStore,
    witness,
};

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

/// A site, and what its application is told.
fn audited() -> (Site, mpsc::Receiver<AuditEvent>) {
    let (sender, receiver) = mpsc::channel();
    let site = Site::with(|builder| {
        let sink = move |event: &AuditEvent| {
            witness::hear(event);
            drop(sender.send(event.clone()));
        };
        builder.audit(sink).attempts(AttemptPolicy { free: 2, hard_stop: 4, ..AttemptPolicy::default() })
    });
    (site, receiver)
}

async fn wrong(client: &mut Client, method: &str) -> StatusCode {
    let flow = client.begin("login", "?aal=aal2").await;
    let field = if method == "totp" { "totp_code" } else { "lookup_secret" };
    client.submit(&flow, &[("method", method), (field, "000000")]).await.status
}

#[tokio::test]
async fn every_decision_is_told_once_and_without_secrets() {
    let (site, receiver) = audited();
    let (told, mut all) = (|| receiver.try_iter().collect::<Vec<_>>(), Vec::new());
    let mut expect = |kinds: &[AuditEventKind]| {
        let events = told();
        assert!(events.iter().map(|event| &event.kind).eq(kinds), "{events:#?} instead of {kinds:#?}");
        all.extend(events);
    };
    let (totp, lookup) = (Method::Totp, Method::LookupSecret);

    let credential = site.step_up.import_totp(&subject("kim"), SECRET).await.unwrap();
    let mut kim = site.native("kim").await;
    kim.get("/payments").await;
    expect(&[
        AuditEventKind::Enrolled { method: totp, credential },
        AuditEventKind::SignedIn { method: Method::Password },
        AuditEventKind::Challenged { reason: ChallengeReason::LevelTooLow },
    ]);
    Client { token: None, ..kim.clone() }.get("/payments").await;
    expect(&[AuditEventKind::Challenged { reason: ChallengeReason::NoSession }]);

    wrong(&mut kim, "totp").await;
    let old = kim.whoami().await.json()["id"].as_str().unwrap_or_default().to_owned();
    let code = site.code();
    assert_eq!(kim.step_up(&code).await.status, StatusCode::OK);
    let events = told();
    let [failed, strict, passed, rotated] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(strict.kind, AuditEventKind::Challenged { reason: ChallengeReason::LevelTooLow });
    assert_eq!(failed.kind, AuditEventKind::Failed { method: totp, reason: FailureReason::Wrong });
    assert_eq!(passed.kind, AuditEventKind::Passed { method: totp });
    assert!(old.is_empty(), "whoami is strict here, so the id comes from the event");
    assert_eq!(rotated.kind, AuditEventKind::Rotated { replaced: failed.session });
    let new = kim.whoami().await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(rotated.session.unwrap().to_string(), new);
    assert_eq!(rotated.subject, Some(subject("kim")));

    let mut other = site.native("kim").await;
    assert_eq!(other.step_up(&code).await.status, StatusCode::BAD_REQUEST);
    expect(&[
        AuditEventKind::SignedIn { method: Method::Password },
        AuditEventKind::Failed { method: totp, reason: FailureReason::Used },
    ]);
    wrong(&mut other, "totp").await;
    assert_eq!(wrong(&mut other, "totp").await, StatusCode::TOO_MANY_REQUESTS);
    expect(&[
        AuditEventKind::Failed { method: totp, reason: FailureReason::Wrong },
        AuditEventKind::Locked { method: totp, retry_after: 30 },
    ]);

    let codes = kim.enrol_lookup().await;
    let events = told();
    assert!(matches!(events[0].kind, AuditEventKind::Enrolled { method, .. } if method == lookup), "{events:?}");
    assert!(matches!(events[1].kind, AuditEventKind::Rotated { .. }));
    site.step_up.unlock(&subject("kim"), totp).await.unwrap();
    let kept = events[1].session;
    let sessions = site.step_up.sessions(&subject("kim")).await.unwrap();
    let own = sessions.iter().find(|session| Some(session.id()) == kept).unwrap().binding();
    site.step_up.revoke(&subject("kim"), Revocation::Others(own)).await.unwrap();
    expect(&[AuditEventKind::Unlocked { method: totp }, AuditEventKind::Revoked { sessions: 1, ended: None, kept }]);
    site.step_up.revoke(&subject("kim"), Revocation::Others(own)).await.unwrap();
    site.step_up.unbind(&subject("ann"), totp).await.unwrap();
    expect(&[]);

    // What the companion router refuses for other reasons is told too.
    let refused = |reason| AuditEventKind::Refused { reason };
    let lee = &mut site.spa("lee").await;
    let theirs = kim.begin("login", "?aal=aal2&refresh=true").await;
    told();
    lee.get("/self-service/login/browser?aal=aal2&return_to=https://evil.example").await;
    lee.read("login", "nothing").await;
    lee.submit(&theirs, &[("method", "totp")]).await;
    lee.get("/self-service/login").await;
    expect(&[
        refused(RefusalReason::ForbiddenReturnTo),
        refused(RefusalReason::UnknownFlow),
        refused(RefusalReason::AnotherSession),
        refused(RefusalReason::Invalid),
    ]);
    site.enrol("lee").await;
    let flow = lee.begin("login", "?aal=aal2").await;
    told();
    let form = [("method", "totp"), ("totp_code", "000000")];
    lee.post(&flow.action(), &form).await;
    site.clock.advance(Duration::from_secs(3600));
    lee.submit(&flow, &form).await;
    expect(&[refused(RefusalReason::CrossSite), refused(RefusalReason::ExpiredFlow)]);

    let token = kim.token.clone().unwrap();
    kim.delete("/self-service/logout/api", &format!("{{\"session_token\":\"{token}\"}}")).await;
    expect(&[AuditEventKind::Revoked { sessions: 1, ended: kept, kept: None }, AuditEventKind::SignedOut]);

    let text = format!("{all:?} {events:?}");
    for secret in [&code, &token, &codes[0], SECRET] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// A factor that is stopped for good is let go by another second factor, or by the application; not by time, not by the password.
#[tokio::test]
async fn a_stopped_factor_is_lifted_by_another_factor_or_the_application() {
    let (site, _receiver) = audited();
    site.enrol("kim").await;
    let mut kim = site.native("kim").await;
    kim.step_up(&site.code()).await;
    let codes = kim.enrol_lookup().await;
    for lift in ["another factor", "the application"] {
        let mut stopped = site.native("kim").await;
        for _ in 0..4 {
            assert_eq!(wrong(&mut stopped, "totp").await, StatusCode::BAD_REQUEST);
            site.clock.advance(Duration::from_secs(7200));
        }
        site.clock.advance(Duration::from_secs(86_400));
        let mut stopped = site.native("kim").await;
        assert_eq!(stopped.step_up(&site.code()).await.status, StatusCode::TOO_MANY_REQUESTS);
        if lift == "another factor" {
            let flow = stopped.begin("login", "?aal=aal2").await;
            let code = [("method", "lookup_secret"), ("lookup_secret", codes[0].as_str())];
            assert_eq!(stopped.submit(&flow, &code).await.status, StatusCode::OK);
        } else {
            site.step_up.unlock(&subject("kim"), Method::Totp).await.unwrap();
        }
        let mut again = site.native("kim").await;
        site.clock.advance(Duration::from_secs(60));
        assert_eq!(again.step_up(&site.code()).await.status, StatusCode::OK, "{lift}");
    }
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let site = Site::new();
    let kim = subject("kim");
    let mut first = site.native("kim").await;
    site.clock.advance(Duration::from_secs(1));
    let mut second = site.native("kim").await;
    let mut lee = site.native("lee").await;
    let sessions = site.step_up.sessions(&kim).await.unwrap();
    assert_eq!(sessions.len(), 2);
    assert!(sessions[0].issued_at() > sessions[1].issued_at());
    assert_eq!(site.step_up.revoke(&kim, Revocation::Others(sessions[0].binding())).await.unwrap(), 1);
    assert_eq!(first.get("/account").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(second.get("/account").await.status, StatusCode::OK);
    assert_eq!(site.step_up.revoke_all(&kim).await.unwrap(), 1);
    assert_eq!(second.get("/account").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.step_up.sessions(&kim).await.unwrap(), []);
    assert_eq!(site.native("kim").await.get("/account").await.status, StatusCode::OK, "she may sign in anew");
    assert_eq!(lee.get("/account").await.status, StatusCode::OK);
}

/// A key can be replaced while users step up: the old one opens until everything is sealed under the new one, then it can go.
#[tokio::test]
async fn keys_at_rest_can_be_replaced() {
    let store = TestStore::default();
    let key = |id: &str, byte: u8| EncryptionKey::new(id, format!("a secret with the number {byte:08}")).unwrap();
    let site = |keys: Vec<EncryptionKey>| {
        Site::on(store.clone(), |builder| keys.into_iter().fold(builder, StepUpBuilder::encryption_key))
    };
    // Without a key of its own, what is at rest is sealed under one that follows from the signing key, here under the same name.
    let before = site(vec![]);
    before.enrol("kim").await;
    let used = before.code();
    assert_eq!(before.native("kim").await.step_up(&used).await.status, StatusCode::OK);
    let (old, new) = (key("2026-11", 1), key("2026-12", 2));
    let owned = site(vec![old.clone()]);
    assert_eq!(owned.step_up.reseal(&subject("kim")).await.unwrap(), 1);
    assert_eq!(owned.step_up.reseal(&subject("kim")).await.unwrap(), 0);

    let both = site(vec![new.clone(), old.clone()]);
    assert_eq!(both.step_up.reseal(&subject("kim")).await.unwrap(), 1);
    assert_eq!(both.step_up.reseal(&subject("kim")).await.unwrap(), 0);
    assert_eq!(both.native("kim").await.step_up(&used).await.status, StatusCode::BAD_REQUEST, "a used code stays used");

    let after = site(vec![new]);
    let code = after.next_code();
    assert_eq!(after.native("kim").await.step_up(&code).await.status, StatusCode::OK);
    let lost = site(vec![old]);
    assert_eq!(lost.step_up.reseal(&subject("kim")).await.unwrap_err().kind(), ErrorKind::Cryptography);
}

/// A thief of a session who guesses at the password locks its confirmation. Whoever signs in with it knows it.
#[tokio::test]
async fn a_sign_in_lifts_the_lock_of_the_factor_that_it_proves() {
    let policy = AttemptPolicy { free: 2, hard_stop: 3, ..AttemptPolicy::default() };
    let site = Site::with(|builder| builder.factor(Password::default()).attempts(policy));
    let fields = |password: &'static str| [("method", "password"), ("identifier", "kim"), ("password", password)];
    let mut thief = site.native("kim").await;
    let flow = thief.begin("login", "?refresh=true").await;
    for expected in [StatusCode::BAD_REQUEST, StatusCode::BAD_REQUEST, StatusCode::TOO_MANY_REQUESTS] {
        assert_eq!(thief.submit(&flow, &fields("wrong")).await.status, expected);
    }
    let mut kim = site.native("kim").await;
    let flow = kim.begin("login", "?refresh=true").await;
    assert_eq!(kim.submit(&flow, &fields("kim-password")).await.status, StatusCode::OK);
}

/// A sign-in that was under way when all sessions were ended is one of them, however close the two were.
#[tokio::test]
async fn revocation_of_all_sessions_counts_in_milliseconds() {
    let store = TestStore::default();
    let site = Site::on(store.clone(), |builder| builder);
    site.clock.advance(Duration::from_millis(100));
    let gate = store.hold("create_session");
    let sign_in = {
        let step_up = site.step_up.clone();
        tokio::spawn(async move { step_up.sign_in(subject("kim"), Method::Password).await })
    };
    gate.reached().await;
    site.clock.advance(Duration::from_millis(1));
    site.step_up.revoke_all(&subject("kim")).await.unwrap();
    gate.open();
    let late = sign_in.await.unwrap().unwrap();
    let stale = Client { token: Some(late.token().as_str().to_owned()), ..site.native("lee").await };
    assert_eq!(stale.clone().get("/account").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.native("kim").await.get("/account").await.status, StatusCode::OK, "a sign-in afterwards lives");
}

/// What is wrong with a call, its error says: what was given, or that others were quicker.
#[tokio::test]
async fn errors_say_what_happened_and_what_is_expected() {
    let store = TestStore::default();
    let site = Site::on(store.clone(), |builder| builder);
    let (step_up, kim) = (&site.step_up, subject("kim"));
    let codes = "give at least one recovery code; each needs 13 to 64 characters, and all must differ";
    let secret = "a TOTP secret must be base32 text of at least 128 bits";
    let good = "ABCD-EFGH-IJKL-M";
    for weak in [&[][..], &["1234-5678"], &[good, good]] {
        let error = step_up.import_lookup_secrets(&kim, weak).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::LookupSecrets, codes), "{weak:?}");
    }
    for bad in ["", "JBSWY3DP", "not base32 at all!"] {
        let error = step_up.import_totp(&kim, bad).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TotpSecret, secret), "{bad:?}");
    }
    let error = test_util::mint(step_up, kim.clone(), []).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Proof, "these proofs cannot begin a session"));
    assert_eq!(step_up.bind(&kim, Method::WebAuthn, Vec::new()).await.unwrap_err().kind(), ErrorKind::Credential);

    // Others change the credentials each time that they were read.
    site.enrol("kim").await;
    store.edits(|completion| completion.expect_credentials = Some(Vec::new()));
    let conflict = "another request changed it at the same moment, so nothing was done; try again";
    let errors = [
        step_up.unbind(&kim, Method::Totp).await.unwrap_err(),
        step_up.import_totp(&kim, SECRET).await.unwrap_err(),
        step_up.import_lookup_secrets(&kim, &[good]).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Conflict, conflict));
    }
    assert_eq!(store.credentials(&kim).await.unwrap().len(), 1, "nothing was done");
    store.edits(|_| ());
    step_up.import_lookup_secrets(&kim, &[good]).await.unwrap();
    step_up.unbind(&kim, Method::Totp).await.unwrap();
    assert_eq!(store.credentials(&kim).await.unwrap(), []);
}
