//! What callers try, and what they get. Each refusal has its honest twin: the same token without the one thing that is wrong.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use tower_step_up::{Aal, Method};
use tower_step_up_oidc::SigningAlgorithm;

use crate::common::{Issuer, NOW, Signer, api, ask, ask_with, status, unsigned, usual_api};

const INVALID: &str = "Bearer error=\"invalid_token\"";

fn invalid(why: &str) -> String {
    format!("{INVALID}, error_description=\"access token: {why}\"")
}

#[tokio::test]
async fn every_asymmetric_algorithm_opens_and_a_key_only_with_its_own() {
    let signers = ["RS256", "PS256", "ES256", "ES384", "EdDSA"].map(|algorithm| Signer::new(algorithm, algorithm));
    let issuer = Issuer::start(&signers.each_ref()).await;
    let api = usual_api(&issuer);
    for signer in &signers {
        let token = signer.token(&issuer.claims());
        for path in ["/aal1", "/aal2", "/proof", "/highest", "/aal1-recent", "/recent"] {
            assert_eq!(status(&api, path, &token).await, 200, "{} {path}", signer.algorithm());
        }
        for other in &signers {
            if other.algorithm() != signer.algorithm() {
                let header = json!({"alg": signer.algorithm(), "typ": "at+jwt", "kid": other.kid});
                let confused = signer.token_with(&header, &issuer.claims());
                assert_eq!(status(&api, "/aal1", &confused).await, 401, "{header} signed by {}", signer.algorithm());
            }
        }
    }
}

#[tokio::test]
async fn tokens_that_are_not_valid_open_nothing() {
    let rsa = Signer::new("RS256", "rsa");
    let ec = Signer::new("ES256", "ec");
    let issuer = Issuer::start(&[&rsa, &ec]).await;
    let api = usual_api(&issuer);
    let claims = issuer.claims();
    let good = rsa.token(&claims);
    assert_eq!(status(&api, "/aal2", &good).await, 200);

    let (message, signature) = good.rsplit_once('.').unwrap();
    let forger = Signer::new("RS256", "rsa");
    let with_own_key = {
        let mut header = forger.header();
        header["jwk"] = forger.jwk();
        header["jku"] = json!("https://forger.example/keys");
        forger.token_with(&header, &claims)
    };
    let hs256 = |secret: &[u8]| {
        let message = unsigned(&json!({"alg": "HS256", "typ": "at+jwt", "kid": "rsa"}), &claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let other_claims = issuer.claims_with(&json!({"sub": "admin"}));
    let swapped = format!("{}.{signature}", unsigned(&rsa.header(), &other_claims));
    let none = |name: &str| format!("{}.", unsigned(&json!({"alg": name, "typ": "at+jwt"}), &claims));
    let id_token = rsa.token_with(&json!({"alg": "RS256", "typ": "JWT", "kid": "rsa"}), &claims);
    let critical =
        rsa.token_with(&json!({"alg": "RS256", "typ": "at+jwt", "kid": "rsa", "crit": ["b64"], "b64": false}), &claims);
    let changed = |more| rsa.token(&issuer.claims_with(&more));
    for (attack, token, expected) in [
        ("garbage", "garbage".to_owned(), invalid("not a signed JWT")),
        ("nothing", String::new(), invalid("not a signed JWT")),
        ("a part of it", message.to_owned(), invalid("not a signed JWT")),
        ("no signature", format!("{message}."), INVALID.to_owned()),
        ("another's signature", swapped, INVALID.to_owned()),
        ("a signature cut short", good[..good.len() - 2].to_owned(), INVALID.to_owned()),
        ("more behind it", format!("{good}.{signature}"), invalid("not a signed JWT")),
        ("another key of the same id", forger.token(&claims), INVALID.to_owned()),
        ("a key that it brings along", with_own_key, INVALID.to_owned()),
        ("HS256 with the modulus", hs256(&rsa.modulus()), invalid("signed with an algorithm that is not allowed here")),
        (
            "HS256 with the JWK",
            hs256(rsa.jwk().to_string().as_bytes()),
            invalid("signed with an algorithm that is not allowed here"),
        ),
        ("none", none("none"), invalid("signed with an algorithm that is not allowed here")),
        ("None", none("None"), invalid("signed with an algorithm that is not allowed here")),
        ("an ID token", id_token, invalid("not an access token: the header typ must be at+jwt")),
        ("a critical parameter", critical, invalid("critical header parameters are not supported")),
        ("an expired one", changed(json!({"exp": NOW - 5})), invalid("expired")),
        ("one without an end", changed(json!({"exp": null})), invalid("no usable exp")),
        ("one of the future", changed(json!({"nbf": NOW + 6})), invalid("not valid yet")),
        ("a login in the future", changed(json!({"auth_time": NOW + 3600})), invalid("auth_time is in the future")),
        ("another issuer", changed(json!({"iss": "https://issuer.example"})), invalid("of another issuer")),
        ("no issuer", changed(json!({"iss": null})), invalid("of another issuer")),
        ("another audience", changed(json!({"aud": ["shop"]})), invalid("for another audience")),
        ("no audience", changed(json!({"aud": null})), invalid("for another audience")),
        ("nobody", changed(json!({"sub": ""})), invalid("no usable sub")),
        (
            "one that is bound by DPoP",
            changed(json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})),
            invalid("bound to a key (DPoP), which is not supported: ask for a bearer token"),
        ),
        (
            "one that is bound by mTLS",
            changed(json!({"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}})),
            invalid("bound to a client certificate (mTLS), which is not supported: ask for a bearer token"),
        ),
    ] {
        for path in ["/aal1", "/aal2", "/proof", "/highest", "/recent"] {
            let answer = ask(&api, path, &token).await;
            assert_eq!((answer.status, answer.challenge.as_deref()), (401, Some(expected.as_str())), "{attack} {path}");
        }
        assert_eq!(status(&api, "/open", &token).await, 200, "{attack}");
    }
    for (attack, authorization, expected) in [
        ("no token", &[][..], "Bearer"),
        ("another scheme", &["Basic a2ltOmtpbQ=="], "Bearer"),
        ("two tokens", &[&format!("Bearer {good}"), &format!("Bearer {good}")], INVALID),
        ("DPoP", &[&format!("DPoP {good}")], &invalid("the DPoP scheme is not supported: send a bearer token")),
    ] {
        let answer = ask_with(&api, "/aal1", authorization).await;
        assert_eq!((answer.status, answer.challenge.as_deref()), (401, Some(expected)), "{attack}");
    }
    assert_eq!(status(&api, "/aal2", &good).await, 200, "all the while");
}

#[tokio::test]
async fn tokens_that_prove_too_little_learn_what_to_ask_for() {
    let signer = Signer::new("ES256", "a");
    let issuer = Issuer::start(&[&signer]).await;
    let api = usual_api(&issuer);
    let insufficient = |why: &str, rest: &str| {
        Some(format!("Bearer error=\"insufficient_user_authentication\", error_description=\"{why}\"{rest}"))
    };
    let wanted = ", acr_values=\"phr urn:example:2fa\"";
    let (missing, old) = ("second factor missing", "proven too long ago");
    let one_factor = ", acr_values=\"urn:example:password\", max_age=\"300\"";
    let recent = ", acr_values=\"phr urn:example:2fa\", max_age=\"300\"";
    for (what, more, path, expected) in [
        ("a low acr", json!({"acr": "urn:example:password"}), "/aal1", None),
        ("a low acr", json!({"acr": "urn:example:password"}), "/aal2", insufficient(missing, wanted)),
        ("a low acr", json!({"acr": "urn:example:password"}), "/proof", insufficient(missing, wanted)),
        ("a low acr", json!({"acr": "urn:example:password"}), "/recent", insufficient(missing, recent)),
        ("no acr", json!({"acr": null}), "/aal1", None),
        ("no acr", json!({"acr": null}), "/aal2", insufficient(missing, wanted)),
        ("an unlisted acr", json!({"acr": "urn:example:3fa"}), "/aal2", insufficient(missing, wanted)),
        ("an acr in capitals", json!({"acr": "URN:EXAMPLE:2FA"}), "/aal2", insufficient(missing, wanted)),
        ("only amr", json!({"acr": null, "amr": ["pwd", "otp", "mfa"]}), "/aal2", insufficient(missing, wanted)),
        ("no acr", json!({"acr": null}), "/highest", insufficient("unknown whether there is a second factor", wanted)),
        ("an old login", json!({"auth_time": NOW - 300}), "/recent", None),
        ("an old login", json!({"auth_time": NOW - 301}), "/recent", insufficient(old, recent)),
        ("an old login", json!({"auth_time": NOW - 301}), "/aal2", None),
        ("an old login", json!({"auth_time": NOW - 301}), "/aal1-recent", insufficient(old, one_factor)),
        ("no auth_time", json!({"auth_time": null}), "/aal2", None),
        ("no auth_time", json!({"auth_time": null}), "/recent", insufficient(old, recent)),
        ("no auth_time", json!({"auth_time": null}), "/aal1-recent", insufficient(old, one_factor)),
        ("auth_time as text", json!({"auth_time": NOW.to_string()}), "/recent", insufficient(old, recent)),
        (
            "a new token of an old login",
            json!({"auth_time": NOW - 3600, "iat": NOW}),
            "/recent",
            insufficient(old, recent),
        ),
    ] {
        let answer = ask(&api, path, &signer.token(&issuer.claims_with(&more))).await;
        let status = if expected.is_some() { 401 } else { 200 };
        assert_eq!((answer.status, answer.challenge), (status, expected), "{what} {path}");
    }
}

#[tokio::test]
async fn an_application_can_allow_fewer_algorithms() {
    let (rsa, ec) = (Signer::new("RS256", "rsa"), Signer::new("ES256", "ec"));
    let issuer = Issuer::start(&[&rsa, &ec]).await;
    let api = api(issuer.tokens().acr("urn:example:2fa", Aal::Aal2).algorithms([SigningAlgorithm::Es256]));
    assert_eq!(status(&api, "/aal2", &ec.token(&issuer.claims())).await, 200);
    assert_eq!(status(&api, "/aal2", &rsa.token(&issuer.claims())).await, 401);
}

#[tokio::test]
async fn keys_that_are_not_for_signatures_verify_none() {
    let signer = Signer::new("RS256", "a");
    let issuer = Issuer::start(&[]).await;
    let token = signer.token(&issuer.claims());
    for (more, expected) in [
        (json!({}), 200),
        (json!({"use": "enc"}), 401),
        (json!({"alg": "RS256"}), 200),
        (json!({"alg": "PS256"}), 401),
        (json!({"alg": "RSA-OAEP-256"}), 401),
        (json!({"key_ops": ["encrypt"]}), 401),
        (json!({"kty": "oct", "k": "AAAA"}), 401),
        (json!({"kid": "b"}), 401),
    ] {
        issuer.publish_raw(vec![common::with(signer.jwk(), &more)]);
        assert_eq!(status(&usual_api(&issuer), "/aal2", &token).await, expected, "{more}");
    }
}

/// Only what the application has listed for it says that a key was used, and refusals ask for nothing else.
#[tokio::test]
async fn a_key_is_believed_by_listed_names_alone() {
    let signer = Signer::new("ES256", "a");
    let issuer = Issuer::start(&[&signer]).await;
    let tokens = issuer.tokens().acr("urn:example:2fa", Aal::Aal2).second_factor_acr("phr", Method::WebAuthn);
    let api = api(tokens.second_factor_acr("phrh", Method::WebAuthn).second_factor_amr("hwk", Method::WebAuthn));
    for (claims, aal2, key) in [
        (json!({"acr": "phr"}), 200, 200),
        (json!({"acr": "phrh"}), 200, 200),
        (json!({"acr": "urn:example:2fa", "amr": ["hwk"]}), 200, 200),
        (json!({"acr": "urn:example:2fa"}), 200, 401),
        (json!({"acr": "urn:example:2fa", "amr": ["swk", "phr", "webauthn", "user"]}), 200, 401),
        (json!({"acr": "PHR"}), 401, 401),
        (json!({"acr": "phr phrh"}), 401, 401),
        (json!({"acr": "0", "amr": ["hwk"]}), 401, 401),
        (json!({"acr": null, "methods": ["webauthn"]}), 401, 401),
    ] {
        let token = signer.token(&issuer.claims_with(&claims));
        assert_eq!((status(&api, "/aal2", &token).await, status(&api, "/key", &token).await), (aal2, key), "{claims}");
    }
    let challenge = |why: &str, acr: &str| {
        let insufficient = "Bearer error=\"insufficient_user_authentication\"";
        Some(format!("{insufficient}, error_description=\"{why}\"{acr}"))
    };
    let missing = "not proven by a required method";
    let weak = signer.token(&issuer.claims());
    assert_eq!(ask(&api, "/key", &weak).await.challenge, challenge(missing, ", acr_values=\"phr phrh\""));
    // Where no listed name says so, there is nothing to ask for: the names of the level would lead to the same refusal again.
    assert_eq!(ask(&usual_api(&issuer), "/key", &weak).await.challenge, challenge(missing, ""));
}
