//! Keys that users have added at Ory Kratos.

use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tower_step_up::{Subject, error::ErrorKind};
use tower_step_up_webauthn::import_from_kratos;

use crate::{
    bank::{add, bank_on, credentials, login_options, send},
    key::{BACKED_UP, BACKUP_ELIGIBLE, Forgery, PRESENT, SecurityKey},
    site::Site,
    store::TestStore,
};

const HANDLE: [u8; 16] = [7; 16];

fn stored(key: &SecurityKey, name: &str, flags: Value) -> Value {
    let mut stored = json!({
        "id": STANDARD.encode(&key.id), "public_key": STANDARD.encode(key.public_key()), "attestation_type": "none",
        "authenticator": {"aaguid": "AAAAAAAAAAAAAAAAAAAAAA==", "sign_count": 3, "clone_warning": false},
        "display_name": name, "added_at": "2024-05-01T10:00:00Z", "is_passwordless": false,
    });
    if !flags.is_null() {
        stored["flags"] = flags;
    }
    stored
}

fn config(keys: &[Value]) -> Value {
    json!({"credentials": keys, "user_handle": STANDARD.encode(HANDLE)})
}

async fn answers(site: &Site, key: &mut SecurityKey, flags: u8) -> bool {
    let mut session = site.spa("kim").await;
    let flow = session.begin("login", "?aal=aal2").await;
    let answer = key.get(&login_options(&flow), &Forgery { flags, ..Forgery::default() });
    send(&mut session, &flow, &answer).await.status == StatusCode::OK
}

#[tokio::test]
async fn keys_of_kratos_go_on_working() {
    let store = TestStore::default();
    let site = bank_on(store.clone());
    let kim = Subject::new("kim").unwrap();
    let (mut bound, mut synced, mut old) = (SecurityKey::new(), SecurityKey::new(), SecurityKey::new());
    for key in [&mut bound, &mut synced, &mut old] {
        key.counter = 3;
    }
    let flags = |eligible: bool| json!({"user_present": true, "user_verified": false, "backup_eligible": eligible, "backup_state": eligible});
    let mut passwordless = stored(&SecurityKey::new(), "first factor", Value::Null);
    passwordless["is_passwordless"] = json!(true);
    let keys = [
        stored(&bound, "bound", flags(false)),
        stored(&synced, "synced", flags(true)),
        stored(&old, "", Value::Null),
        passwordless,
    ];
    let ids = import_from_kratos(&site.step_up, &kim, &config(&keys)).await.unwrap();
    assert_eq!((ids.len(), credentials(&store, "kim").await.len()), (3, 3));

    let synced_flags = PRESENT | BACKUP_ELIGIBLE | BACKED_UP;
    assert!(answers(&site, &mut bound, PRESENT).await && !answers(&site, &mut bound, synced_flags).await);
    assert!(answers(&site, &mut synced, synced_flags).await && !answers(&site, &mut synced, PRESENT).await);
    // Nobody knows what it was, so its first answer tells, and it stays that.
    assert!(answers(&site, &mut old, synced_flags).await && !answers(&site, &mut old, PRESENT).await);
    assert!(answers(&site, &mut old, synced_flags).await);

    // A further key is for the account that the others know.
    let mut session = site.spa("kim").await;
    let flow = session.begin("login", "?aal=aal2").await;
    let answer = bound.get(&login_options(&flow), &Forgery::default());
    assert_eq!(send(&mut session, &flow, &answer).await.status, StatusCode::OK);
    let mut new = SecurityKey::new();
    assert_eq!(add(&mut session, &mut new, "new").await.status, StatusCode::OK);
    assert_eq!(crate::key::bytes(new.user_handle.as_deref().unwrap()), HANDLE);
}

#[tokio::test]
async fn a_copy_of_an_imported_key_is_noticed() {
    let site = bank_on(TestStore::default());
    let mut key = SecurityKey::new();
    let keys = [stored(&key, "blue", Value::Null)];
    import_from_kratos(&site.step_up, &Subject::new("kim").unwrap(), &config(&keys)).await.unwrap();
    key.counter = 2;
    assert!(!answers(&site, &mut key, PRESENT).await, "the counter was 3 already");
    assert!(answers(&site, &mut key, PRESENT).await);
}

#[tokio::test]
async fn what_cannot_be_read_or_is_there_already_is_an_error() {
    let store = TestStore::default();
    let site = bank_on(store.clone());
    let (kim, lee) = (Subject::new("kim").unwrap(), Subject::new("lee").unwrap());
    let key = stored(&SecurityKey::new(), "blue", Value::Null);
    let mut no_key = key.clone();
    no_key["public_key"] = json!("AAAA");
    for bad in [json!({}), json!({"credentials": [{}], "user_handle": "AA=="}), json!(null), config(&[no_key])] {
        let error = import_from_kratos(&site.step_up, &kim, &bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credential, "{bad}");
    }
    assert_eq!(credentials(&store, "kim").await.len(), 0);
    let one = config(&[key]);
    import_from_kratos(&site.step_up, &kim, &one).await.unwrap();
    for subject in [&kim, &lee] {
        let error = import_from_kratos(&site.step_up, subject, &one).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
    }
    let without = Site::new();
    assert_eq!(import_from_kratos(&without.step_up, &kim, &one).await.unwrap_err().kind(), ErrorKind::Credential);
}
