//! What the claims of a token or a login prove: `acr`, `amr` and `auth_time` become a level, methods and a time. Pure: no I/O, no clock.

use std::time::Duration;

use serde_json::{Map, Value};
use tower_step_up::{
    Aal, Method, Requirement,
    aal::{Proof, UpstreamAssurance},
    clock::Timestamp,
};

use crate::token::{Claims, numeric_date};

/// Which claims the application believes, and what they mean to it.
///
/// An issuer's names for levels mean nothing by themselves (OpenID Connect Core section 2: parties agree on them). So only names that are listed
/// here count, compared exactly. Everything else is unknown, and unknown never passes:
///
/// | claim | listed | missing or not listed |
/// |---|---|---|
/// | `acr` | the level of its name; of several, the highest; and the method of the second factor by [`second_factor_acr`](Self::second_factor_acr) | no more than [`Aal::Aal1`] |
/// | `amr` | its method is among the session's proofs, as the second factor by [`second_factor_amr`](Self::second_factor_amr); a level only by [`amr_level`](Self::amr_level) | nothing |
/// | `auth_time` | when everything was proven | no maximum age is met |
///
/// ```
/// use tower_step_up::{Aal, Method};
/// use tower_step_up_oidc::Assurance;
///
/// let assurance = Assurance::new()
///     .second_factor_acr("phr", Method::WebAuthn) // two factors, the second a key; asked for first
///     .acr("urn:example:2fa", Aal::Aal2)
///     .acr("urn:example:password", Aal::Aal1)
///     .amr("otp", Method::Totp);
/// # drop(assurance);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until a source of sessions reads by it"]
pub struct Assurance {
    upstream: UpstreamAssurance,
    acr_claim: String,
    amr_claim: String,
    auth_time_claim: String,
}

impl Default for Assurance {
    fn default() -> Self {
        Self {
            // Whoever reads tokens names their issuer.
            upstream: UpstreamAssurance::of(""),
            acr_claim: "acr".to_owned(),
            amr_claim: "amr".to_owned(),
            auth_time_claim: "auth_time".to_owned(),
        }
    }
}

impl Assurance {
    /// An empty table: nobody reaches more than one factor.
    pub fn new() -> Self {
        Self::default()
    }

    /// Users whose `acr` is exactly this have this level. Refusals ask for these names, in the order in which they were listed.
    ///
    /// A number is read as its digits, as `"2"` for Keycloak's `2`.
    pub fn acr(mut self, name: impl Into<String>, level: Aal) -> Self {
        self.upstream = self.upstream.acr(name, level);
        self
    }

    /// Users whose `acr` is exactly this have two factors, and the second was proven by this method: see
    /// [`UpstreamAssurance::second_factor_acr`]. Refusals of routes that require such a method, as
    /// [`phishing_resistant`](tower_step_up::Requirement::phishing_resistant), ask for these names.
    pub fn second_factor_acr(mut self, name: impl Into<String>, method: Method) -> Self {
        self.upstream = self.upstream.second_factor_acr(name, method);
        self
    }

    /// Users whose `amr` (RFC 8176) has exactly this have used this method. It says how, not how well: see [`amr_level`](Self::amr_level).
    pub fn amr(mut self, name: impl Into<String>, method: Method) -> Self {
        self.upstream = self.upstream.amr(name, method);
        self
    }

    /// Users whose `amr` has exactly this have proven their second factor by this method, if they have two: see
    /// [`UpstreamAssurance::second_factor_amr`]. Refusals cannot ask for it.
    pub fn second_factor_amr(mut self, name: impl Into<String>, method: Method) -> Self {
        self.upstream = self.upstream.second_factor_amr(name, method);
        self
    }

    /// Users whose `amr` has exactly this have this level, for issuers that say `mfa` there and nothing in `acr`. It is enough alone, whatever
    /// the `acr` is. Refusals cannot ask for it.
    pub fn amr_level(mut self, name: impl Into<String>, level: Aal) -> Self {
        self.upstream = self.upstream.amr_level(name, level);
        self
    }

    /// The claim that has the `acr`: a string, a number, or an array of these such as Entra's `acrs`. By default `acr`.
    pub fn acr_claim(mut self, name: impl Into<String>) -> Self {
        self.acr_claim = name.into();
        self
    }

    /// The claim that has the `amr`. By default `amr`.
    pub fn amr_claim(mut self, name: impl Into<String>) -> Self {
        self.amr_claim = name.into();
        self
    }

    /// The claim that has the time of the authentication, in seconds since 1970. By default `auth_time`.
    pub fn auth_time_claim(mut self, name: impl Into<String>) -> Self {
        self.auth_time_claim = name.into();
        self
    }

    /// What is wrong with the table.
    pub(crate) fn check(&self) -> Result<(), String> {
        // In a quoted string, separated by spaces: the characters of RFC 6749 appendix A.4.
        let token = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        for (name, level) in self.upstream.names() {
            match level {
                None if name.is_empty() => return Err("a name of amr is empty".to_owned()),
                Some(_) if name.is_empty() || !name.bytes().all(token) => {
                    return Err(format!(
                        "{name:?} cannot be a name of acr or amr: it must be ASCII without spaces, quotes and backslashes"
                    ));
                }
                Some(Aal::Aal0) => {
                    return Err(format!("{name}: no route requires Aal0; list Aal1 or Aal2, or leave it out"));
                }
                None | Some(_) => {}
            }
        }
        Ok(())
    }

    /// The names to ask for, to meet this requirement at this level: the most wanted first, separated by spaces. If it names methods, those names
    /// that say that the second factor was by one of them; `None` if none does: the names of the level would not be enough.
    pub(crate) fn acr_values(&self, level: Aal, requirement: &Requirement) -> Option<String> {
        let names: Vec<_> = match requirement.methods() {
            Some(methods) => self.upstream.acr_values_by(methods).collect(),
            None => self.upstream.acr_values(level).collect(),
        };
        (!names.is_empty()).then(|| names.join(" "))
    }

    /// The same for claims of this issuer.
    pub(crate) fn issued_by(self, issuer: &str) -> Self {
        Self { upstream: self.upstream.for_provider(issuer), ..self }
    }

    /// What these claims prove: the issuer vouches for all of it.
    ///
    /// `None` if the user is said to have authenticated in the future.
    pub(crate) fn proofs(&self, claims: &Claims, now: Timestamp, leeway: Duration) -> Option<Vec<Proof>> {
        let time = claims.get(&self.auth_time_claim).and_then(numeric_date);
        if time.is_some_and(|time| time > now + leeway) {
            return None;
        }
        let (acr, amr) = (names(claims, &self.acr_claim), names(claims, &self.amr_claim));
        Some(self.proofs_of(&acr, &amr, time))
    }

    /// The same for claims that were read already.
    pub(crate) fn proofs_of(&self, acr: &[String], amr: &[String], time: Option<Timestamp>) -> Vec<Proof> {
        self.upstream.proofs(acr.iter().map(String::as_str), amr.iter().map(String::as_str), time)
    }
}

/// The names in a claim: a string, a whole number, or an array of these. Anything else is none.
fn names(claims: &Map<String, Value>, claim: &str) -> Vec<String> {
    let name = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    };
    match claims.get(claim) {
        Some(Value::Array(values)) => values.iter().filter_map(name).collect(),
        Some(value) => name(value).into_iter().collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use tower_step_up::{
        Subject,
        session::Session,
        standing::{Enrolled, Standing},
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const LEEWAY: Duration = Duration::from_secs(5);

    fn table() -> Assurance {
        Assurance::new()
            .acr("phr", Aal::Aal2)
            .acr("2", Aal::Aal2)
            .acr("1", Aal::Aal1)
            .amr("pwd", Method::Password)
            .amr("otp", Method::Totp)
            .amr("sms", Method::Code)
            .amr_level("mfa", Aal::Aal2)
    }

    fn claims(value: Value) -> Claims {
        match value {
            Value::Object(claims) => claims,
            other => panic!("{other}"),
        }
    }

    /// The level as the core computes it, and the time of the second factor.
    fn judged(assurance: &Assurance, of: Value) -> (Aal, Option<i64>) {
        let proofs = assurance.proofs(&claims(of), NOW, LEEWAY).unwrap();
        let session = Session::external(Subject::new("kim").unwrap(), proofs);
        let standing = Standing::external(Enrolled::Unknown);
        (standing.level(&session, NOW), standing.second_factor_at(&session, NOW).map(Timestamp::unix_seconds))
    }

    fn asks(assurance: &Assurance, requirement: Requirement) -> Option<String> {
        let level = if requirement == Requirement::aal1() { Aal::Aal1 } else { Aal::Aal2 };
        assurance.acr_values(level, &requirement)
    }

    #[test]
    fn a_key_is_asked_for_and_believed_by_the_names_that_say_so() {
        const KEY: Requirement = Requirement::aal2().phishing_resistant();
        let keys = table().second_factor_acr("phrh", Method::WebAuthn).second_factor_amr("hwk", Method::WebAuthn);
        assert_eq!(asks(&keys, KEY).as_deref(), Some("phrh"));
        assert_eq!(asks(&keys, Requirement::aal2()).as_deref(), Some("phr 2 phrh"));
        assert_eq!(asks(&keys, Requirement::aal2().any_of([Method::Totp])), None);
        assert_eq!(asks(&table(), KEY), None, "no name says that it was a key");
        for (of, resists) in [
            (json!({"acr": "phrh"}), true),
            (json!({"acr": "2", "amr": ["hwk"]}), true),
            (json!({"acr": "phr"}), false),
            (json!({"acr": "1", "amr": ["hwk"]}), false),
            (json!({"amr": ["hwk"]}), false),
            (json!({"amr": ["hwk", "phrh"]}), false),
        ] {
            let proofs = keys.proofs(&claims(of.clone()), NOW, LEEWAY).unwrap();
            let is_key = |proof: &Proof| (proof.method(), proof.aal()) == (Method::WebAuthn, Aal::Aal2);
            assert_eq!(proofs.iter().any(is_key), resists, "{of}");
        }
    }

    #[test]
    fn only_listed_names_make_a_level() {
        for (of, expected) in [
            (json!({}), Aal::Aal1),
            (json!({"acr": "phr"}), Aal::Aal2),
            (json!({"acr": "2"}), Aal::Aal2),
            (json!({"acr": 2}), Aal::Aal2),
            (json!({"acr": ["1", "phr"]}), Aal::Aal2),
            (json!({"acr": "1"}), Aal::Aal1),
            (json!({"acr": 1}), Aal::Aal1),
            (json!({"acr": 3}), Aal::Aal1),
            (json!({"acr": 2.0}), Aal::Aal1),
            (json!({"acr": -2}), Aal::Aal1),
            (json!({"acr": "0"}), Aal::Aal1),
            (json!({"acr": "PHR"}), Aal::Aal1),
            (json!({"acr": "phr "}), Aal::Aal1),
            (json!({"acr": "1 phr"}), Aal::Aal1),
            (json!({"acr": "phrh"}), Aal::Aal1),
            (json!({"acr": true}), Aal::Aal1),
            (json!({"acr": null}), Aal::Aal1),
            (json!({"acr": {"phr": true}}), Aal::Aal1),
            (json!({"acr": [["phr"]]}), Aal::Aal1),
            (json!({"acrs": ["phr"]}), Aal::Aal1),
            (json!({"ACR": "phr"}), Aal::Aal1),
            // Methods never add up to a level, whatever their names promise.
            (json!({"amr": ["pwd", "otp", "sms"]}), Aal::Aal1),
            (json!({"amr": ["pwd", "mfa"]}), Aal::Aal2),
            (json!({"amr": "mfa"}), Aal::Aal2),
            (json!({"amr": ["phr"]}), Aal::Aal1),
            (json!({"acr": "mfa"}), Aal::Aal1),
        ] {
            assert_eq!(judged(&table(), of.clone()).0, expected, "{of}");
        }
        assert_eq!(judged(&Assurance::new(), json!({"acr": "phr", "amr": ["mfa"]})).0, Aal::Aal1);
    }

    #[test]
    fn methods_are_by_allow_list_and_the_time_is_that_of_the_authentication() {
        let of = json!({"acr": "phr", "amr": ["otp", "pwd", "face", "pwd"], "auth_time": 1_799_999_000});
        let proofs = table().issued_by("https://issuer.example").proofs(&claims(of), NOW, LEEWAY).unwrap();
        let time = Timestamp::from_unix_seconds(1_799_999_000);
        assert_eq!(
            proofs,
            [
                Proof::new(Method::Oidc, Aal::Aal1, time),
                Proof::new(Method::Oidc, Aal::Aal2, time),
                Proof::new(Method::Password, Aal::Aal1, time),
                Proof::new(Method::Totp, Aal::Aal1, time),
            ]
            .map(|proof| proof.with_provider("https://issuer.example"))
        );
    }

    #[test]
    fn a_time_that_is_no_time_is_unknown_and_the_future_is_refused() {
        for (time, expected) in [
            (json!(1_799_999_000), Some(1_799_999_000)),
            (json!(1_799_999_000.75), Some(1_799_999_000)),
            (json!("1799999000"), None),
            (json!(null), None),
            (json!([1_799_999_000]), None),
        ] {
            assert_eq!(judged(&table(), json!({"acr": "phr", "auth_time": time})), (Aal::Aal2, expected), "{time}");
        }
        let at = |seconds: i64| table().proofs(&claims(json!({"auth_time": seconds})), NOW, LEEWAY).is_some();
        assert!(at(NOW.unix_seconds() + 5) && !at(NOW.unix_seconds() + 6) && !at(i64::MAX));
    }

    #[test]
    fn claims_of_other_names_and_the_order_of_preference() {
        let entra = Assurance::new().acr_claim("acrs").acr("c2", Aal::Aal2).acr("c1", Aal::Aal2).acr("c0", Aal::Aal1);
        assert_eq!(judged(&entra, json!({"acr": "c1", "acrs": ["c9"]})).0, Aal::Aal1);
        assert_eq!(judged(&entra, json!({"acrs": ["c9", "c1"]})).0, Aal::Aal2);
        assert_eq!(asks(&entra, Requirement::aal2()).as_deref(), Some("c2 c1"));
        assert_eq!(asks(&entra, Requirement::aal1()).as_deref(), Some("c0"));
        assert_eq!(asks(&Assurance::new(), Requirement::aal2()), None);
        let replaced = entra.acr("c1", Aal::Aal1);
        assert_eq!(judged(&replaced, json!({"acrs": ["c1"]})).0, Aal::Aal1, "the last word counts");
        let named = Assurance::new().amr_claim("a").auth_time_claim("t").amr_level("mfa", Aal::Aal2);
        assert_eq!(judged(&named, json!({"a": ["mfa"], "t": 5})), (Aal::Aal2, Some(5)));
        assert_eq!(judged(&named, json!({"amr": ["mfa"], "auth_time": 5})), (Aal::Aal1, None));
    }

    #[test]
    fn names_that_no_challenge_can_carry_are_refused() {
        for bad in ["", "a b", "a\"b", "a\\b", "\u{fc}"] {
            assert!(Assurance::new().acr(bad, Aal::Aal2).check().is_err(), "{bad}");
        }
        assert!(Assurance::new().acr("0", Aal::Aal0).check().is_err());
        assert!(Assurance::new().amr("", Method::Totp).check().is_err());
        assert!(table().check().is_ok());
    }

    fn any_names() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(prop_oneof!["phr|1|2|mfa|otp|pwd|0|3", "[a-z0-9:]{0,6}"], 0..5)
    }

    proptest! {
        /// Two factors only where a listed name says so; the time only where `auth_time` says so.
        #[test]
        fn a_level_needs_a_listed_name(acr in any_names(), amr in any_names(), time in prop::option::of(0..1_800_000_000i64)) {
            let (level, at) = judged(&table(), json!({"acr": acr, "amr": amr, "auth_time": time}));
            let vouched = acr.iter().any(|acr| acr == "phr" || acr == "2") || amr.iter().any(|amr| amr == "mfa");
            prop_assert_eq!(level, if vouched { Aal::Aal2 } else { Aal::Aal1 });
            prop_assert_eq!(at, time.filter(|_| vouched));
        }

        /// Whatever else is in a token changes nothing.
        #[test]
        fn other_claims_do_not_matter(acr in any_names(), name in "[a-z_]{1,8}", value in "[a-z0-9]{0,8}") {
            prop_assume!(!["acr", "amr", "auth_time"].contains(&name.as_str()));
            let plain = json!({"acr": acr});
            let more = json!({"acr": acr, name: value});
            prop_assert_eq!(judged(&table(), plain), judged(&table(), more));
        }

        /// No claims make it panic, and none are believed that are not there.
        #[test]
        fn any_json_is_read(text in r#"\{("(acr|amr|auth_time)":(null|-?[0-9]{1,25}(\.[0-9]{1,3})?(e[0-9]{1,3})?|"[a-z]{0,4}"|\[\]|\{\}),?){0,3}"x":0\}"#) {
            let Ok(Value::Object(claims)) = serde_json::from_str(&text) else { return Ok(()) };
            if let Some(proofs) = table().proofs(&claims, NOW, LEEWAY) {
                prop_assert!(!proofs.is_empty());
            }
        }
    }
}
