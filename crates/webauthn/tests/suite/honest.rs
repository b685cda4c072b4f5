//! What users do with their keys. The key and the browser around it are passkey-rs.

use std::time::Duration;

use axum::http::StatusCode;
use passkey_authenticator::{Authenticator, MemoryStore, UiHint, UserCheck, UserValidationMethod};
use passkey_client::{Client as Platform, DefaultClientData};
use passkey_crypto::AvailableBackend;
use passkey_types::{
    Passkey,
    ctap2::{Aaguid, Ctap2Error},
    encoding::base64url,
    webauthn::{AuthenticatedPublicKeyCredential, CreatedPublicKeyCredential},
};
use serde_json::json;
use tower_step_up_webauthn::{ResidentKey, UserVerification, WebAuthn};

use crate::{
    bank::{add, bank, bank_with, level, login_options, register, registration_options, send, step_up},
    key::SecurityKey,
    site::{Kind, ORIGIN, Site},
};

/// Somebody who touches the key, and may show a finger that it knows.
struct Touch {
    verifies: bool,
}

#[async_trait::async_trait]
impl UserValidationMethod for Touch {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence, verification: verification && self.verifies })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        self.verifies.then_some(true)
    }
}

/// What Ory's script makes of it.
fn created_answer(created: &CreatedPublicKeyCredential) -> String {
    let response = &created.response;
    json!({
        "id": created.id, "rawId": base64url(&created.raw_id), "type": "public-key",
        "response": {
            "attestationObject": base64url(&response.attestation_object),
            "clientDataJSON": base64url(&response.client_data_json),
            "transports": ["internal", "a-new-one"],
        },
    })
    .to_string()
}

fn signed_answer(signed: &AuthenticatedPublicKeyCredential) -> String {
    let response = &signed.response;
    let handle = response.user_handle.as_ref().map(|handle| base64url(handle));
    json!({
        "id": signed.id, "rawId": base64url(&signed.raw_id), "type": "public-key",
        "response": {
            "authenticatorData": base64url(&response.authenticator_data),
            "clientDataJSON": base64url(&response.client_data_json),
            "signature": base64url(&response.signature),
            "userHandle": handle.unwrap_or_default(),
        },
    })
    .to_string()
}

async fn passkeys_work(site: &Site, counts: bool, verifies: bool) {
    let mut authenticator =
        Authenticator::new(Aaguid::new_empty(), MemoryStore::new(), Touch { verifies }, AvailableBackend);
    authenticator.set_make_credentials_with_signature_counter(counts);
    let mut platform = Platform::new(authenticator);
    let origin = url::Url::parse(ORIGIN).unwrap();
    let mut kim = site.spa("kim").await;

    let settings = kim.begin("settings", "").await;
    let options = serde_json::from_str(&registration_options(&settings)).unwrap();
    let created = platform.register(&origin, options, DefaultClientData).await.unwrap();
    let added = register(&mut kim, &settings, "laptop", &created_answer(&created)).await;
    assert_eq!(added.status, StatusCode::OK, "{added:?}");
    assert_eq!(level(&mut kim).await, "aal2", "the key has just signed");

    let mut again = site.spa("kim").await;
    for query in ["?aal=aal2", "?aal=aal2&refresh=true", "?aal=aal2&refresh=true"] {
        site.clock.advance(Duration::from_secs(60));
        let flow = again.begin("login", query).await;
        let options = serde_json::from_str(&login_options(&flow)).unwrap();
        let signed = platform.authenticate(&origin, options, DefaultClientData).await.unwrap();
        let passed = send(&mut again, &flow, &signed_answer(&signed)).await;
        assert_eq!(passed.status, StatusCode::OK, "{query}: {passed:?}");
        let whoami = again.whoami().await.json();
        assert_eq!(whoami["authenticator_assurance_level"], "aal2");
        let methods = whoami["authentication_methods"].as_array().unwrap();
        assert!(methods.iter().any(|method| method["method"] == "webauthn" && method["aal"] == "aal2"), "{whoami}");
    }
    assert_eq!(again.get("/payments").await.text, "payments");
}

#[tokio::test]
async fn keys_of_every_kind_step_up() {
    for counts in [true, false] {
        passkeys_work(&bank(), counts, false).await;
        for resident in [ResidentKey::Preferred, ResidentKey::Required] {
            passkeys_work(&bank_with(WebAuthn::new("Bank").resident_key(resident)), counts, true).await;
        }
    }
}

#[tokio::test]
async fn a_key_verifies_its_user_where_that_is_asked() {
    for policy in [UserVerification::Preferred, UserVerification::Required] {
        passkeys_work(&bank_with(WebAuthn::new("Bank").user_verification(policy)), true, true).await;
    }
}

#[tokio::test]
async fn a_user_has_several_keys_with_names_and_removes_them_one_by_one() {
    let site = bank();
    let mut kim = site.spa("kim").await;
    let (mut blue, mut spare) = (SecurityKey::new(), SecurityKey::new());
    assert_eq!(add(&mut kim, &mut blue, " blue ").await.status, StatusCode::OK);
    assert_eq!(add(&mut kim, &mut spare, "spare").await.status, StatusCode::OK);
    assert_eq!(blue.user_handle, spare.user_handle, "one account, whichever key");

    let settings = kim.begin("settings", "").await;
    let nodes = settings.view["ui"]["nodes"].as_array().unwrap().clone();
    let removals: Vec<_> = nodes.iter().filter(|node| node["attributes"]["name"] == "webauthn_remove").collect();
    let mut names: Vec<_> =
        removals.iter().map(|node| node["meta"]["label"]["context"]["display_name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["blue", "spare"]);

    for key in [&mut blue, &mut spare] {
        let mut session = site.spa("kim").await;
        assert_eq!(step_up(&mut session, key, "?aal=aal2").await.status, StatusCode::OK);
        assert_eq!(level(&mut session).await, "aal2");
    }

    let mut with_blue = site.spa("kim").await;
    step_up(&mut with_blue, &mut blue, "?aal=aal2").await;
    let mut with_spare = site.spa("kim").await;
    step_up(&mut with_spare, &mut spare, "?aal=aal2").await;
    let of_blue = removals.iter().find(|node| node["meta"]["label"]["context"]["display_name"] == "blue").unwrap();
    let id = of_blue["attributes"]["value"].as_str().unwrap();
    let settings = with_spare.begin("settings", "").await;
    let removed = with_spare.submit(&settings, &[("webauthn_remove", id), ("method", "webauthn")]).await;
    assert_eq!(removed.status, StatusCode::OK, "{removed:?}");
    assert_eq!(level(&mut with_blue).await, "session_aal2_required", "its proof is gone with the key");
    assert_eq!(level(&mut with_spare).await, "aal2");
    let refused = step_up(&mut site.spa("kim").await, &mut blue, "?aal=aal2").await;
    assert_eq!(refused.messages(), [4_000_043]);
    assert_eq!(step_up(&mut site.spa("kim").await, &mut spare, "?aal=aal2").await.status, StatusCode::OK);

    let again = add(&mut with_spare, &mut blue, "blue again").await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    let mut session = site.spa("kim").await;
    assert_eq!(step_up(&mut session, &mut blue, "?aal=aal2").await.status, StatusCode::OK);
    assert_eq!(level(&mut with_blue).await, "session_aal2_required", "the proof of before does not come back");
}

#[tokio::test]
async fn the_second_of_two_answers_at_once_is_the_same_answer() {
    let site = bank();
    let mut kim = site.browser("kim").await;
    let mut key = SecurityKey::new();
    add(&mut kim, &mut key, "blue").await;
    let mut session = site.browser("kim").await;
    let flow = session.begin("login", "?aal=aal2").await;
    let answer = key.get(&login_options(&flow), &crate::key::Forgery::default());
    let (csrf, action) = (flow.csrf(), flow.action());
    let fields = [("webauthn_login", answer.as_str()), ("csrf_token", csrf.as_str())];
    let (mut one, mut other) = (session.clone(), session.clone());
    let (first, second) = tokio::join!(one.post(&action, &fields), other.post(&action, &fields));
    for (client, answer) in [(&mut one, first), (&mut other, second)] {
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        assert!(!answer.location().contains("flow="), "{answer:?}");
        assert_eq!(level(client).await, "aal2");
    }
}

#[tokio::test]
async fn keys_and_codes_stand_beside_each_other() {
    let site = bank();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    let mut key = SecurityKey::new();
    assert_eq!(add(&mut kim, &mut key, "blue").await.status, StatusCode::OK);
    let mut session = site.spa("kim").await;
    let flow = session.begin("login", "?aal=aal2").await;
    assert_eq!(
        flow.nodes(),
        [
            "default: csrf_token",
            "default: identifier",
            "webauthn: webauthn_login",
            "webauthn: webauthn_script",
            "webauthn: webauthn_login_trigger",
            "totp: totp_code",
            "totp: method",
        ]
    );
    let code = site.next_code();
    let passed = session.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    assert_eq!(passed.status, StatusCode::OK, "{passed:?}");
}

#[tokio::test]
async fn a_native_app_uses_keys_where_the_application_says_so() {
    let site = bank_with(WebAuthn::new("Bank").offer_to_native_clients());
    let mut kim = site.native("kim").await;
    let mut key = SecurityKey::new();
    let added = add(&mut kim, &mut key, "phone").await;
    assert_eq!(added.status, StatusCode::OK, "{added:?}");
    let mut session = site.stranger(Kind::Native);
    session.token = site.native("kim").await.token;
    let flow = session.begin("login", "?aal=aal2").await;
    assert_eq!(
        flow.nodes(),
        ["default: csrf_token", "default: identifier", "webauthn: webauthn_login", "webauthn: webauthn_login_trigger"]
    );
    let passed = step_up(&mut session, &mut key, "?aal=aal2").await;
    assert_eq!(passed.json()["session"]["authenticator_assurance_level"], "aal2", "{passed:?}");
}
