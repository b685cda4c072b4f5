//! Section 2 of the list of attacks: what a token says, and who signed it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tower_step_up::{
    SigningKey,
    clock::{Clock, Timestamp},
    store::SubjectStore,
};

use crate::{
    site::{Client, Kind, Site},
    world::{World, assert_error, subject},
};

const HEADER: &str = r#"{"typ":"session+jwt","alg":"HS256","kid":"2026-11"}"#;
const KEY: [u8; 32] = *b"signs in tests and nowhere else.";

/// Claims as a text, so that they can be broken in every way.
fn signed(header: &str, claims: &str, key: &[u8], algorithm: Algorithm) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    // An empty key is a zero to HMAC. jsonwebtoken takes only the latter.
    let key = EncodingKey::from_secret(if key.is_empty() { &[0] } else { key }).unwrap();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// What only a bug, or a thief of the key, could make.
fn forged(claims: &Value) -> String {
    signed(HEADER, &claims.to_string(), &KEY, Algorithm::HS256)
}

pub fn claims_of(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// A native client that has stepped up, and what its token says.
async fn stepped_up(site: &Site) -> (Client, Value) {
    site.enrol("kim").await;
    let mut kim = site.native("kim").await;
    assert_eq!(kim.step_up(&site.code()).await.status, 200);
    let claims = claims_of(kim.token.as_ref().unwrap());
    assert!(with(site, &forged(&claims)).pays(site).await, "a token made this way is good if nothing is wrong with it");
    (kim, claims)
}

fn with(site: &Site, token: &str) -> Client {
    Client { token: Some(token.to_owned()), ..site.stranger(Kind::Native) }
}

/// By each transport.
async fn assert_refused(world: &World, token: &str) {
    let site = &world.a;
    let before = world.known("kim").await;
    with(site, token).assert_dead(site).await;
    let mut by_cookie = site.stranger(Kind::Spa);
    by_cookie.cookies.insert("__Host-step_up_session".to_owned(), token.to_owned());
    by_cookie.assert_dead(site).await;
    let request = site.stranger(Kind::Native).request(axum::http::Method::GET, "/payments");
    let request = request.header("authorization", format!("Bearer {token}")).body(axum::body::Body::empty());
    assert_error(&site.stranger(Kind::Native).send(request.unwrap()).await, 401, "session_inactive");
    assert_eq!(world.known("kim").await, before);
}

#[tokio::test]
async fn jwt_alg_none_is_refused() {
    let world = World::new();
    let (kim, claims) = stepped_up(&world.a).await;
    let own = kim.token.unwrap();
    let (message, signature) = own.rsplit_once('.').unwrap();
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    for algorithm in [r#""alg":"none","#, r#""alg":"None","#, r#""alg":"nOnE","#, r#""alg":"","#, r#""alg":null,"#, ""]
    {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"session+jwt",{algorithm}"kid":"2026-11"}}"#));
        for token in [
            format!("{header}.{payload}."),
            format!("{header}.{payload}"),
            format!("{header}.{payload}.{signature}"),
            signed(
                &String::from_utf8(URL_SAFE_NO_PAD.decode(&header).unwrap()).unwrap(),
                &claims.to_string(),
                &KEY,
                Algorithm::HS256,
            ),
        ] {
            assert_refused(&world, &token).await;
        }
    }
    for token in [message.to_owned(), format!("{message}."), format!("{message}.."), format!("{own}.{signature}")] {
        assert_refused(&world, &token).await;
    }
}

#[tokio::test]
async fn jwt_keys_named_by_the_token_are_ignored() {
    let world = World::new();
    let (_, claims) = stepped_up(&world.a).await;
    let claims = claims.to_string();
    let own = [1; 32];
    let jwk = format!(r#""jwk":{{"kty":"oct","k":"{}"}}"#, URL_SAFE_NO_PAD.encode(own));
    let long = "k".repeat(10_000);
    world.store.take_calls();
    for kid in ["2026-12", "", "../../k", "' OR 1=1", "2026-11 ", "2026-11\\u0000", &long] {
        let header = format!(r#"{{"typ":"session+jwt","alg":"HS256","kid":"{kid}"}}"#);
        for key in [&KEY[..], &own, b"", kid.as_bytes()] {
            let token = signed(&header, &claims, key, Algorithm::HS256);
            with(&world.a, &token).assert_dead(&world.a).await;
        }
    }
    for extra in [
        jwk.as_str(),
        r#""jku":"https://evil.example/keys""#,
        r#""x5u":"https://evil.example/x5u""#,
        r#""x5c":["MIIB"]"#,
        r#""crit":["exp"]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""kid":"2026-11""#,
    ] {
        for (head, key) in [(r#""kid":"2026-11","#, &own), (r#""kid":"2026-11","#, &KEY), ("", &own)] {
            let header = format!(r#"{{"typ":"session+jwt","alg":"HS256",{head}{extra}}}"#);
            with(&world.a, &signed(&header, &claims, key, Algorithm::HS256)).assert_dead(&world.a).await;
        }
    }
    with(&world.a, &signed(r#"{"typ":"session+jwt","alg":"HS256"}"#, &claims, &KEY, Algorithm::HS256))
        .assert_dead(&world.a)
        .await;
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let header = format!(r#"{{"typ":"session+jwt","alg":"{algorithm:?}","kid":"2026-11"}}"#);
        with(&world.a, &signed(&header, &claims, &KEY, algorithm)).assert_dead(&world.a).await;
        with(&world.a, &signed(HEADER, &claims, &KEY, algorithm)).assert_dead(&world.a).await;
    }
    assert_eq!(world.store.take_calls(), Vec::<&str>::new(), "nothing of it reached the store");
}

#[tokio::test]
async fn jwt_wrong_iss_aud_or_type_is_refused() {
    let world = World::new();
    let site = &world.a;
    let (mut kim, claims) = stepped_up(site).await;
    for (name, value) in [
        ("iss", json!("https://evil.example/")),
        ("iss", json!("https://bank.example")),
        ("iss", json!(["https://bank.example/"])),
        ("iss", Value::Null),
        ("aud", json!("https://evil.example/")),
        ("aud", json!(["https://bank.example/"])),
        ("aud", json!(["https://bank.example/", "https://evil.example/"])),
        ("aud", Value::Null),
        ("aud", json!("")),
        ("sub", Value::Null),
        ("sid", json!("")),
    ] {
        let mut changed = claims.clone();
        changed[name] = value;
        assert_refused(&world, &forged(&changed)).await;
        changed.as_object_mut().unwrap().remove(name);
        assert_refused(&world, &forged(&changed)).await;
    }
    for typ in ["JWT", "at+jwt", "session", "SESSION+JWT", "logout+jwt", ""] {
        let header = HEADER.replace("session+jwt", typ);
        assert_refused(&world, &signed(&header, &claims.to_string(), &KEY, Algorithm::HS256)).await;
    }
    // The other secrets that clients hold are not sessions.
    let logout = kim.get("/self-service/logout/browser").await.json()["logout_token"].as_str().unwrap().to_owned();
    let mut spa = site.spa("kim").await;
    let flow = spa.begin("login", "?aal=aal2").await;
    let csrf = spa.cookies.iter().find(|(name, _)| name.contains("csrf")).unwrap().1.clone();
    for text in [logout, csrf, flow.csrf(), flow.id().to_owned(), claims["sid"].as_str().unwrap().to_owned()] {
        with(site, &text).assert_dead(site).await;
    }
}

#[tokio::test]
async fn jwt_dates_must_be_numbers() {
    let world = World::new();
    let (_, claims) = stepped_up(&world.a).await;
    for name in ["exp", "iat"] {
        for value in
            ["\"9999999999\"", "null", "-1", "1800000001.5", "1e30", "18446744073709551615", "[1]", "true", "1e400"]
        {
            // That is a time, if a strange one.
            if name == "iat" && value == "-1" {
                continue;
            }
            let old = format!("\"{name}\":{}", claims[name]);
            let text = claims.to_string().replace(&old, &format!("\"{name}\":{value}"));
            assert_ne!(text, claims.to_string());
            assert_refused(&world, &signed(HEADER, &text, &KEY, Algorithm::HS256)).await;
        }
    }
    let text = claims.to_string();
    for twice in [r#""exp":9999999999"#, r#""acr":"aal2""#, r#""sub":"lee""#, r#""iat":1"#] {
        for doubled in [format!("{{{twice},{}", &text[1..]), format!("{},{twice}}}", &text[..text.len() - 1])] {
            assert_refused(&world, &signed(HEADER, &doubled, &KEY, Algorithm::HS256)).await;
        }
    }
    let mut without = claims.clone();
    without.as_object_mut().unwrap().remove("exp");
    assert_refused(&world, &forged(&without)).await;
}

#[tokio::test]
async fn jwt_clock_skew_is_small_and_one_sided() {
    let world = World::with(|builder| builder.session_lifespan(Duration::from_secs(3600)));
    let site = &world.a;
    let (kim, claims) = stepped_up(site).await;
    let now = site.clock.now().unix_seconds();
    for name in ["iat", "nbf"] {
        for (ahead, good) in [(0, true), (5, true), (6, false), (3600, false), (i64::MAX - now, false)] {
            let mut changed = claims.clone();
            changed[name] = json!(now + ahead);
            let token = forged(&changed);
            if good {
                assert!(with(site, &token).pays(site).await, "{name} {ahead}");
            } else {
                assert_refused(&world, &token).await;
            }
        }
    }
    // No leeway at the end, neither of the token nor of the session.
    site.clock.set(Timestamp::from_unix_seconds(claims["exp"].as_i64().unwrap() - 1));
    assert!(with(site, kim.token.as_ref().unwrap()).pays(site).await);
    site.clock.advance(Duration::from_secs(1));
    kim.clone().assert_dead(site).await;
    let mut longer = claims.clone();
    longer["exp"] = json!(now + 999_999);
    with(site, &forged(&longer)).assert_dead(site).await;

    // A proof from the future is no proof: it would look fresh for ever.
    let world = World::new();
    world.a.enrol("kim").await;
    let mut kim = world.a.native("kim").await;
    world.b.clock.advance(Duration::from_secs(60));
    let mut there = kim.at(&world.b);
    assert_eq!(there.step_up(&world.b.code()).await.status, 200);
    assert!(there.pays(&world.b).await);
    kim.token = there.token;
    kim.assert_aal1(&world.a).await;
    world.a.clock.advance(Duration::from_secs(60));
    assert!(kim.pays(&world.a).await);
}

#[tokio::test]
async fn jwt_of_a_retired_key_is_refused() {
    let users = crate::site::Users::default();
    let store = crate::stores::one();
    let old = || SigningKey::hs256("2026-11", KEY).unwrap();
    let new = || SigningKey::hs256("2027-01", b"signs from the next year onwards.").unwrap();
    let sealing = || tower_step_up::seal::EncryptionKey::new("seal", b"seals in tests and nowhere else.").unwrap();
    // The site signs with a key of its own first, so the configuration is written out.
    let site = |keys: Vec<SigningKey>| {
        let builder = tower_step_up::StepUp::builder(crate::site::ORIGIN).audit(crate::witness::hear);
        let clock = tower_step_up::test_util::FixedClock::default();
        let builder = keys.into_iter().fold(builder, tower_step_up::StepUpBuilder::signing_key);
        let step_up = store
            .give_to(builder)
            .encryption_key(sealing())
            .directory(users.clone())
            .clock(clock.clone())
            .factor(tower_step_up::factor::Totp::new("Example Bank"))
            .build()
            .unwrap();
        Site::of(step_up, clock, users.clone())
    };
    let before = site(vec![old()]);
    before.enrol("kim").await;
    let mut kim = before.native("kim").await;
    assert_eq!(kim.step_up(&before.code()).await.status, 200);
    let within = site(vec![new(), old()]);
    assert!(kim.pays(&within).await, "in the grace time");
    let mut renewed = kim.at(&within);
    within.clock.advance(Duration::from_secs(30));
    let flow = renewed.begin("login", "?aal=aal2&refresh=true").await;
    let answer = renewed.totp(&flow, &within.code()).await;
    renewed.keep_token(&answer);
    let header = renewed.token.as_ref().unwrap().split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(header["kid"], "2027-01");

    let mut late = before.native("kim").await;
    let after = site(vec![new()]);
    late.assert_dead(&after).await;
    after.clock.advance(Duration::from_secs(30));
    assert!(renewed.pays(&after).await);
    // A new key under the old name does not bring old tokens back.
    late.assert_dead(&site(vec![SigningKey::generate("2026-11").unwrap()])).await;
}

#[tokio::test]
async fn jwt_tampered_methods_are_refused() {
    for world in World::on_every_store(|builder| builder) {
        let site = &world.a;
        let (kim, claims) = stepped_up(site).await;
        let token = kim.token.unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let mut aal1 = site.native("kim").await;
        let own = aal1.token.clone().unwrap();
        let own_parts: Vec<_> = own.split('.').collect();
        let mut lifted = claims_of(&own);
        for name in ["acr", "amr", "proofs"] {
            lifted[name] = claims[name].clone();
        }
        let payload = URL_SAFE_NO_PAD.encode(lifted.to_string());
        for tampered in [
            format!("{}.{payload}.{}", own_parts[0], own_parts[2]),
            format!("{}.{payload}.{}", own_parts[0], parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], own_parts[2]),
        ] {
            assert_refused(&world, &tampered).await;
        }
        // Even with a good signature the store's record counts, not the claim.
        with(site, &forged(&lifted)).assert_aal1(site).await;
        let mut lowered = claims.clone();
        lowered["sid"] = claims_of(&own)["sid"].clone();
        with(site, &forged(&lowered)).assert_aal1(site).await;
        // A session of one subject is not there for another.
        let mut other = claims.clone();
        other["sub"] = json!("lee");
        with(site, &forged(&other)).assert_dead(site).await;
        aal1.assert_aal1(site).await;
        assert_eq!(world.store.credentials(&subject("lee")).await.unwrap(), []);
    }
}
