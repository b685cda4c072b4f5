use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const STRICT: Reading = Reading { strict: true, clock_leeway: Duration::from_secs(5) };
const LAX: Reading = Reading { strict: false, ..STRICT };
const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn method(name: &str, aal: &str) -> Value {
    json!({ "method": name, "aal": aal, "completed_at": "2027-01-15T07:59:00.123456789Z" })
}

fn session(level: &str, methods: &[Value]) -> Value {
    json!({
        "id": "7d0c9e1a-52f0-4c58-9c0b-6a1f3b6f2a11", "active": true, "authenticator_assurance_level": level,
        "authenticated_at": "2027-01-15T07:59:00Z", "issued_at": "2027-01-15T07:00:00Z", "expires_at": "2027-01-16T07:00:00Z",
        "authentication_methods": methods, "devices": [],
        "identity": { "id": "0b8f6f0e-4f0a-4a0c-8a51-2f6f7f1f9c01", "schema_id": "default", "state": "active", "traits": { "email": "kim@app.example" } }
    })
}

fn with(mut session: Value, key: &str, value: Value) -> Value {
    session[key] = value;
    session
}

fn reading(session: &Value, reading: Reading) -> Result<Option<Evidence>, Failure> {
    read(session.to_string().as_bytes(), reading)
}

fn level(evidence: &Evidence) -> Aal {
    evidence.standing.level(&evidence.session, NOW)
}

/// What the claimed level and the methods come to: the level, and what is known of a second factor in the strict and in the lax model.
#[test]
fn the_lower_of_both_levels_counts() {
    use Aal::{Aal1, Aal2};
    use Enrolled::{No, Unknown, Yes};
    let (password, totp) = (method("password", "aal1"), method("totp", "aal2"));
    let upstream = method("oidc", "aal2");
    let old = json!({ "method": "password", "completed_at": "2027-01-15T07:59:00Z" });
    for (claimed, methods, expected, strict, lax) in [
        ("aal1", vec![password.clone()], Aal1, No, Unknown),
        ("aal2", vec![password.clone(), totp.clone()], Aal2, Yes, Yes),
        ("aal2", vec![password.clone(), totp.clone(), totp.clone(), method("lookup_secret", "aal2")], Aal2, Yes, Yes),
        ("aal2", vec![method("code", "aal1"), method("webauthn", "aal2")], Aal2, Yes, Yes),
        ("aal2", vec![password.clone(), method("code", "aal2")], Aal2, Yes, Yes),
        ("aal2", vec![upstream.clone()], Aal2, Unknown, Unknown),
        ("aal1", vec![method("oidc", "aal1")], Aal1, No, Unknown),
        ("aal1", vec![method("code_recovery", "aal1")], Aal1, No, Unknown),
        ("aal1", vec![totp.clone()], Aal1, Yes, Yes),
        ("aal1", vec![old.clone()], Aal1, No, Unknown),
        // A factor of a later version counts as Kratos says, and one without a level is none of the second.
        ("aal2", vec![password.clone(), method("deviceauthn", "aal2")], Aal2, Yes, Yes),
        ("aal2", vec![password.clone(), method("v0.6_legacy_session", "aal2")], Aal2, Yes, Yes),
        // They disagree.
        ("aal2", vec![password.clone()], Aal1, Unknown, Unknown),
        ("aal2", vec![totp.clone()], Aal1, Yes, Yes),
        ("aal2", vec![password.clone(), old], Aal1, Unknown, Unknown),
        ("aal1", vec![password.clone(), totp.clone()], Aal1, Unknown, Unknown),
        ("aal1", vec![upstream], Aal1, Unknown, Unknown),
        ("aal2", vec![password.clone(), method("totp", "aal3")], Aal1, Unknown, Unknown),
    ] {
        let shown = session(claimed, &methods);
        for (model, enrolled) in [(STRICT, strict), (LAX, lax)] {
            let evidence = reading(&shown, model).unwrap().unwrap();
            assert_eq!((level(&evidence), evidence.standing.enrolled()), (expected, enrolled), "{claimed} {methods:?}");
        }
    }
}

#[test]
fn what_is_read_is_the_subject_the_methods_and_their_times() {
    let mut upstream = method("oidc", "aal1");
    upstream["provider"] = json!("google");
    let later = json!({ "method": "totp", "aal": "aal2", "completed_at": "2027-01-15T07:59:30Z" });
    let evidence = reading(&session("aal2", &[later, upstream]), LAX).unwrap().unwrap();
    let session = &evidence.session;
    assert_eq!(session.subject().as_str(), "0b8f6f0e-4f0a-4a0c-8a51-2f6f7f1f9c01");
    assert_eq!(session.issued_at(), Some(NOW - Duration::from_secs(3600)));
    assert_eq!(session.expires_at(), Some(NOW + Duration::from_secs(23 * 3600)));
    let [oidc, totp] = session.proofs() else { panic!("two proofs") };
    assert_eq!((oidc.method(), oidc.provider(), oidc.aal()), (Method::Oidc, Some("google"), Aal::Aal1));
    assert_eq!(oidc.completed_at(), Some(NOW - Duration::from_millis(59_877)), "oldest first");
    assert_eq!((totp.method(), totp.provider()), (Method::Totp, None));
    assert_eq!(evidence.standing.second_factor_at(session, NOW), Some(NOW - Duration::from_secs(30)));
    let mut timeless = method("totp", "aal2");
    timeless["completed_at"] = Value::Null;
    let evidence = reading(&self::session("aal2", &[method("password", "aal1"), timeless]), LAX).unwrap().unwrap();
    assert_eq!(evidence.standing.second_factor_at(&evidence.session, NOW), None, "an unknown time meets no age");
}

#[test]
fn a_proof_of_the_future_counts_only_within_the_leeway() {
    let soon = |seconds: u64| {
        let totp = json!({ "method": "totp", "aal": "aal2", "completed_at": NOW + Duration::from_secs(seconds) });
        level(&reading(&session("aal2", &[method("password", "aal1"), totp]), LAX).unwrap().unwrap())
    };
    assert_eq!((soon(5), soon(6)), (Aal::Aal2, Aal::Aal1));
}

#[test]
fn a_session_that_is_not_active_is_none() {
    let good = session("aal1", &[method("password", "aal1")]);
    let mut disabled = good.clone();
    disabled["identity"]["state"] = json!("inactive");
    for ended in [
        with(good.clone(), "active", json!(false)),
        with(good, "authenticator_assurance_level", json!("aal0")),
        disabled,
    ] {
        assert_eq!(reading(&ended, LAX), Ok(None), "{ended}");
    }
    // Without a proof there is a session that meets nothing.
    for methods in [json!([]), Value::Null] {
        let shown = with(session("aal1", &[]), "authentication_methods", methods);
        assert_eq!(level(&reading(&shown, LAX).unwrap().unwrap()), Aal::Aal0);
    }
}

#[test]
fn what_makes_no_sense_is_no_answer_and_is_not_quoted() {
    let good = session("aal2", &[method("password", "aal1"), method("totp", "aal2")]);
    assert!(reading(&good, LAX).is_ok());
    let mut nameless = good.clone();
    nameless["identity"]["id"] = json!("");
    let mut spoilt = vec![
        nameless,
        json!({}),
        json!([]),
        json!("secret"),
        json!({ "session": good }),
        with(good.clone(), "identity", Value::Null),
        with(good.clone(), "authenticator_assurance_level", json!("aal3")),
        with(good.clone(), "authenticator_assurance_level", json!("secret")),
        with(good.clone(), "expires_at", json!("secret")),
        with(good.clone(), "active", json!("secret")),
        with(good.clone(), "authentication_methods", json!({ "secret": "secret" })),
        with(good.clone(), "authentication_methods", json!(["secret"])),
        with(good.clone(), "authentication_methods", json!([{ "aal": "aal1" }])),
    ];
    for key in ["active", "authenticator_assurance_level", "identity"] {
        let mut lacking = good.clone();
        lacking.as_object_mut().unwrap().remove(key);
        spoilt.push(lacking);
    }
    for body in spoilt {
        let failure = reading(&body, STRICT).expect_err(&body.to_string());
        assert!(!failure.to_string().contains("secret"), "{failure}");
    }
    let text = good.to_string();
    for body in [&b""[..], b"<html>", b"\xff", &text.as_bytes()[..text.len() - 1], format!("{text}{text}").as_bytes()] {
        assert!(read(body, STRICT).is_err());
    }
}

#[test]
fn only_a_missing_second_factor_is_one() {
    let error = |id: Value| json!({ "error": { "id": id, "code": 403 } }).to_string();
    assert!(wants_second_factor(error(json!("session_aal2_required")).as_bytes()));
    for body in [error(json!("security_csrf_violation")), error(Value::Null), "{}".to_owned(), "<html>".to_owned()] {
        assert!(!wants_second_factor(body.as_bytes()), "{body}");
    }
}

fn any_method() -> impl Strategy<Value = Value> {
    const NAMES: &[&str] =
        &["password", "oidc", "saml", "totp", "lookup_secret", "webauthn", "code", "passkey", "new_one", "v0.6", ""];
    const LEVELS: &[&str] = &["aal0", "aal1", "aal2", "aal3", "", "x"];
    (prop::sample::select(NAMES), prop::sample::select(LEVELS)).prop_map(|(name, aal)| method(name, aal))
}

proptest! {
    #[test]
    fn no_level_is_above_what_is_claimed_or_what_the_methods_give(
        claimed in prop::sample::select(&["aal1", "aal2"][..]), methods in prop::collection::vec(any_method(), 0..6),
    ) {
        let evidence = reading(&session(claimed, &methods), STRICT).unwrap().unwrap();
        let found = level(&evidence);
        prop_assert!(found.as_str() <= claimed);
        let second = methods.iter().any(|method| method["aal"] == "aal2");
        prop_assert!(found < Aal::Aal2 || second);
        prop_assert_eq!(found == Aal::Aal0, methods.is_empty());
        // Who proved a second factor is never said to have none.
        prop_assert!(!second || evidence.standing.enrolled() != Enrolled::No);
    }

    #[test]
    fn no_answer_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&body, STRICT);
        let _ = wants_second_factor(&body);
    }
}
