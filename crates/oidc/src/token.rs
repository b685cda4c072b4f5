//! An access token, and whether its claims are those that this API takes (RFC 9068 section 4). Pure: no I/O, no clock, no cryptography.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};
use tower_step_up::{Subject, clock::Timestamp};

use crate::{algorithm::SigningAlgorithm, jwk::Wanted};

pub(crate) type Claims = Map<String, Value>;

/// Far above what any issuer makes, and above what most servers take in a header.
const LONGEST: usize = 32_768;

/// The parts of the header that matter. `jwk`, `jku`, `x5c` and `x5u` do not: keys come from the issuer's address and from nowhere else.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

/// A token whose signature nobody has looked at.
pub(crate) struct Token<'a> {
    header: Header,
    claims: Claims,
    /// What was signed.
    pub(crate) message: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

/// Why a token is refused. The text goes to the client's developer and into the log; it has nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Malformed,
    Algorithm,
    Critical,
    Type,
    NoAccessToken,
    Issuer,
    Audience,
    Subject,
    NoEnd,
    Expired,
    NotYet,
    AuthTime,
    DPoPScheme,
    DPoPBound,
    MutualTlsBound,
    OtherwiseBound,
    UnknownKey,
    Signature,
}

impl Refused {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "not a signed JWT",
            Self::Algorithm => "signed with an algorithm that is not allowed here",
            Self::Critical => "critical header parameters are not supported",
            Self::Type => "not an access token: the header typ must be at+jwt",
            Self::NoAccessToken => "not an access token, but another kind of token of the same issuer",
            Self::Issuer => "of another issuer",
            Self::Audience => "for another audience",
            Self::Subject => "no usable sub",
            Self::NoEnd => "no usable exp",
            Self::Expired => "expired",
            Self::NotYet => "not valid yet",
            Self::AuthTime => "auth_time is in the future",
            Self::DPoPScheme => "the DPoP scheme is not supported: send a bearer token",
            Self::DPoPBound => "bound to a key (DPoP), which is not supported: ask for a bearer token",
            Self::MutualTlsBound => {
                "bound to a client certificate (mTLS), which is not supported: ask for a bearer token"
            }
            Self::OtherwiseBound => "bound to its sender (cnf), which is not supported: ask for a bearer token",
            Self::UnknownKey => "signed with a key that the issuer does not publish",
            Self::Signature => "the signature is wrong",
        }
    }

    /// For the client's developer; `None` where it would tell a forger how far he got.
    pub(crate) fn told(self) -> Option<String> {
        (!matches!(self, Self::UnknownKey | Self::Signature)).then(|| format!("access token: {self}"))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'a> Token<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Refused> {
        if bytes.len() > LONGEST {
            return Err(Refused::Malformed);
        }
        let mut dots = bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'.').map(|(at, _)| at);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(Refused::Malformed);
        };
        let part = |from: usize, to: usize| {
            bytes.get(from..to).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).ok_or(Refused::Malformed)
        };
        let header = part(0, first)?;
        let claims = part(first.saturating_add(1), second)?;
        let signature = part(second.saturating_add(1), bytes.len())?;
        Ok(Self {
            header: serde_json::from_slice(&header).map_err(|_| Refused::Malformed)?,
            claims: serde_json::from_slice(&claims).map_err(|_| Refused::Malformed)?,
            message: bytes.get(..second).unwrap_or_default(),
            signature,
        })
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(crate) fn wanted(&self) -> Result<Wanted<'_>, Refused> {
        let algorithm = SigningAlgorithm::from_name(&self.header.alg).ok_or(Refused::Algorithm)?;
        Ok(Wanted { id: self.header.kid.as_deref(), algorithm })
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }
}

/// What this API takes.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<String>,
    /// Clients whose tokens need no audience.
    pub(crate) clients: Vec<String>,
    pub(crate) algorithms: Vec<SigningAlgorithm>,
    /// Whether a token need not call itself an access token.
    pub(crate) plain_jwt: bool,
    pub(crate) leeway: Duration,
}

/// What the claims say of the session, if the signature is good.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) subject: Subject,
    /// With the leeway.
    pub(crate) ends_at: Timestamp,
}

impl Rules {
    pub(crate) fn accept(&self, token: &Token<'_>, now: Timestamp) -> Result<Accepted, Refused> {
        if !self.algorithms.contains(&token.wanted()?.algorithm) {
            return Err(Refused::Algorithm);
        }
        // Nothing that could be critical is understood (RFC 7515 section 4.1.11).
        if token.header.crit.is_some() {
            return Err(Refused::Critical);
        }
        self.accept_type(token)?;
        if token.text("iss") != Some(&self.issuer) {
            return Err(Refused::Issuer);
        }
        self.accept_audience(token)?;
        let end = token.claims.get("exp").and_then(numeric_date).ok_or(Refused::NoEnd)?;
        let ends_at = end + self.leeway;
        if now >= ends_at {
            return Err(Refused::Expired);
        }
        if let Some(not_before) = token.claims.get("nbf") {
            let begins = numeric_date(not_before).ok_or(Refused::NotYet)?;
            if begins > now + self.leeway {
                return Err(Refused::NotYet);
            }
        }
        accept_unbound(token)?;
        let subject = token.text("sub").and_then(|sub| Subject::new(sub).ok()).ok_or(Refused::Subject)?;
        Ok(Accepted { subject, ends_at })
    }

    /// RFC 9068 section 4, or what keeps other tokens of the same issuer out where it does not say `at+jwt`.
    fn accept_type(&self, token: &Token<'_>) -> Result<(), Refused> {
        let is = |name: &str| token.header.typ.as_ref().is_some_and(|typ| typ.eq_ignore_ascii_case(name));
        if is("at+jwt") || is("application/at+jwt") {
            return Ok(());
        }
        if !self.plain_jwt || !(token.header.typ.is_none() || is("JWT") || is("application/jwt")) {
            return Err(Refused::Type);
        }
        // Marks of an ID token (OpenID Connect Core section 2) and of a logout token (Back-Channel Logout section 2.4).
        let marks = ["at_hash", "c_hash", "s_hash", "events"];
        // Keycloak and Cognito say in the claims what a token is for.
        let says_otherwise = |claim: &str, access: &str| {
            token
                .claims
                .get(claim)
                .is_some_and(|kind| !kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(access)))
        };
        if marks.iter().any(|mark| token.claims.contains_key(*mark))
            || says_otherwise("typ", "Bearer")
            || says_otherwise("token_use", "access")
        {
            return Err(Refused::NoAccessToken);
        }
        Ok(())
    }

    fn accept_audience(&self, token: &Token<'_>) -> Result<(), Refused> {
        let ours =
            |value: &Value| value.as_str().is_some_and(|audience| self.audiences.iter().any(|our| our == audience));
        let accepted = match token.claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(ours),
            Some(audience) => ours(audience),
            None => token.text("client_id").is_some_and(|client| self.clients.iter().any(|our| our == client)),
        };
        if accepted { Ok(()) } else { Err(Refused::Audience) }
    }
}

/// A token that is bound to its sender (RFC 7800) is no bearer token: whoever takes it as one undoes the binding.
fn accept_unbound(token: &Token<'_>) -> Result<(), Refused> {
    let Some(confirmation) = token.claims.get("cnf") else { return Ok(()) };
    Err(if confirmation.get("jkt").is_some() {
        Refused::DPoPBound
    } else if confirmation.get("x5t#S256").is_some() {
        Refused::MutualTlsBound
    } else {
        Refused::OtherwiseBound
    })
}

/// A `NumericDate` (RFC 7519 section 2): seconds, with or without a fraction.
pub(crate) fn numeric_date(value: &Value) -> Option<Timestamp> {
    if let Some(seconds) = value.as_i64() {
        return Some(Timestamp::from_unix_seconds(seconds));
    }
    let since_epoch = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    i64::try_from(since_epoch.as_millis()).ok().map(Timestamp::from_unix_milliseconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn rules() -> Rules {
        Rules {
            issuer: "https://issuer.example".to_owned(),
            audiences: vec!["api".to_owned(), "other-api".to_owned()],
            clients: Vec::new(),
            algorithms: SigningAlgorithm::ALL.to_vec(),
            plain_jwt: false,
            leeway: Duration::from_secs(5),
        }
    }

    fn claims() -> Value {
        json!({"iss": "https://issuer.example", "aud": "api", "sub": "kim", "exp": 1_800_000_300, "iat": 1_799_999_990})
    }

    fn with(more: &Value) -> Value {
        let mut claims = claims();
        for (name, value) in more.as_object().unwrap() {
            if value == "-" {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    fn encode(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.AAAA", part(header), part(claims))
    }

    fn judge(rules: &Rules, header: &Value, claims: &Value) -> Result<Accepted, Refused> {
        rules.accept(&Token::parse(encode(header, claims).as_bytes())?, NOW)
    }

    fn header() -> Value {
        json!({"alg": "RS256", "typ": "at+jwt", "kid": "a"})
    }

    #[test]
    fn claims_are_checked_one_by_one() {
        let accepted =
            Accepted { subject: Subject::new("kim").unwrap(), ends_at: Timestamp::from_unix_seconds(1_800_000_305) };
        assert_eq!(judge(&rules(), &header(), &claims()), Ok(accepted));
        for (more, expected) in [
            (json!({"aud": ["x", "other-api"]}), None),
            (json!({"aud": "API"}), Some(Refused::Audience)),
            (json!({"aud": ["x"]}), Some(Refused::Audience)),
            (json!({"aud": []}), Some(Refused::Audience)),
            (json!({"aud": {"api": 1}}), Some(Refused::Audience)),
            (json!({"aud": "-"}), Some(Refused::Audience)),
            (json!({"iss": "https://issuer.example/"}), Some(Refused::Issuer)),
            (json!({"iss": ["https://issuer.example"]}), Some(Refused::Issuer)),
            (json!({"iss": "-"}), Some(Refused::Issuer)),
            (json!({"exp": "-"}), Some(Refused::NoEnd)),
            (json!({"exp": "1800000300"}), Some(Refused::NoEnd)),
            (json!({"exp": -1.5}), Some(Refused::NoEnd)),
            (json!({"exp": 1_799_999_996}), None),
            (json!({"exp": 1_799_999_995}), Some(Refused::Expired)),
            (json!({"exp": 1_799_999_995.5}), None),
            (json!({"exp": -5}), Some(Refused::Expired)),
            (json!({"nbf": 1_800_000_005}), None),
            (json!({"nbf": 1_800_000_006}), Some(Refused::NotYet)),
            (json!({"nbf": "soon"}), Some(Refused::NotYet)),
            (json!({"sub": "-"}), Some(Refused::Subject)),
            (json!({"sub": ""}), Some(Refused::Subject)),
            (json!({"sub": 7}), Some(Refused::Subject)),
            (json!({"sub": "a\nb"}), Some(Refused::Subject)),
            (json!({"cnf": {"jkt": "x"}}), Some(Refused::DPoPBound)),
            (json!({"cnf": {"x5t#S256": "x"}}), Some(Refused::MutualTlsBound)),
            (json!({"cnf": {}}), Some(Refused::OtherwiseBound)),
            (json!({"cnf": null}), Some(Refused::OtherwiseBound)),
        ] {
            assert_eq!(judge(&rules(), &header(), &with(&more)).err(), expected, "{more}");
        }
    }

    #[test]
    fn headers_are_checked_one_by_one() {
        for (header, expected) in [
            (json!({"alg": "RS256", "typ": "application/at+jwt"}), None),
            (json!({"alg": "RS256", "typ": "AT+JWT"}), None),
            (json!({"alg": "RS256", "typ": "JWT"}), Some(Refused::Type)),
            (json!({"alg": "RS256", "typ": "dpop+jwt"}), Some(Refused::Type)),
            (json!({"alg": "RS256"}), Some(Refused::Type)),
            (json!({"alg": "none", "typ": "at+jwt"}), Some(Refused::Algorithm)),
            (json!({"alg": "HS256", "typ": "at+jwt"}), Some(Refused::Algorithm)),
            (json!({"alg": "RS256", "typ": "at+jwt", "crit": ["exp"]}), Some(Refused::Critical)),
            (json!({"alg": "RS256", "typ": "at+jwt", "crit": null}), None),
            (json!({"typ": "at+jwt"}), Some(Refused::Malformed)),
            (json!({"alg": ["RS256"], "typ": "at+jwt"}), Some(Refused::Malformed)),
            (json!([]), Some(Refused::Malformed)),
        ] {
            assert_eq!(judge(&rules(), &header, &claims()).err(), expected, "{header}");
        }
        let narrow = Rules { algorithms: vec![SigningAlgorithm::Es256], ..rules() };
        assert_eq!(judge(&narrow, &header(), &claims()).err(), Some(Refused::Algorithm));
    }

    #[test]
    fn where_tokens_do_not_say_what_they_are_other_kinds_stay_out() {
        let rules = Rules { plain_jwt: true, clients: vec!["web".to_owned()], ..rules() };
        let id_token = json!({"at_hash": "x"});
        for (typ, more, expected) in [
            (json!("JWT"), json!({}), None),
            (json!(null), json!({}), None),
            (json!("at+jwt"), id_token.clone(), None),
            (json!("JWT"), id_token, Some(Refused::NoAccessToken)),
            (json!("JWT"), json!({"c_hash": "x"}), Some(Refused::NoAccessToken)),
            (json!("JWT"), json!({"events": {}}), Some(Refused::NoAccessToken)),
            (json!("JWT"), json!({"typ": "Bearer"}), None),
            (json!("JWT"), json!({"typ": "ID"}), Some(Refused::NoAccessToken)),
            (json!("JWT"), json!({"typ": "Refresh"}), Some(Refused::NoAccessToken)),
            (json!("JWT"), json!({"token_use": "access"}), None),
            (json!("JWT"), json!({"token_use": "id"}), Some(Refused::NoAccessToken)),
            (json!("logout+jwt"), json!({}), Some(Refused::Type)),
            (json!("JWT"), json!({"aud": "-", "client_id": "web"}), None),
            (json!("JWT"), json!({"aud": "x", "client_id": "web"}), Some(Refused::Audience)),
            (json!("JWT"), json!({"aud": null, "client_id": "web"}), Some(Refused::Audience)),
            (json!("JWT"), json!({"aud": "-", "client_id": "evil"}), Some(Refused::Audience)),
        ] {
            let header = json!({"alg": "RS256", "typ": typ});
            assert_eq!(judge(&rules, &header, &with(&more)).err(), expected, "{typ} {more}");
        }
    }

    #[test]
    fn what_is_no_token_is_told_as_such() {
        let good = encode(&header(), &claims());
        assert!(Token::parse(good.as_bytes()).is_ok());
        for bad in [
            "",
            ".",
            "..",
            "a.b.c",
            &good.replace('.', ""),
            &format!("{good}.AAAA.AAAA"),
            &format!("{good}="),
            &format!("{good}\n"),
            &format!(" {good}"),
            &good.replacen('.', ".=", 1),
            &format!("{good}{}", "A".repeat(LONGEST)),
        ] {
            assert_eq!(Token::parse(bad.as_bytes()).err(), Some(Refused::Malformed), "{bad:.40}");
        }
    }

    #[test]
    fn a_forger_does_not_hear_how_far_he_got() {
        assert_eq!((Refused::Signature.told(), Refused::UnknownKey.told()), (None, None));
        assert_eq!(Refused::Expired.told().unwrap(), "access token: expired");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(token) = Token::parse(&bytes) {
                let _ = rules().accept(&token, NOW);
            }
        }

        /// A change of any claim that decides is a refusal; the tokens that pass name this issuer, this audience and an end in the future.
        #[test]
        fn what_passes_is_for_us_and_alive(
            iss in "https://issuer.example/?|x", aud in prop::collection::vec("api|API|x", 0..3), exp in 1_799_999_000..1_800_001_000i64,
            nbf in prop::option::of(1_799_999_000..1_800_001_000i64), typ in "at\\+jwt|JWT|x",
        ) {
            let claims = with(&json!({"iss": iss, "aud": aud, "exp": exp, "nbf": nbf.map_or(json!("-"), |nbf| json!(nbf))}));
            let header = json!({"alg": "ES256", "typ": typ});
            let expected = iss == "https://issuer.example" && aud.iter().any(|aud| aud == "api") && exp + 5 > NOW.unix_seconds()
                && nbf.is_none_or(|nbf| nbf <= NOW.unix_seconds() + 5) && typ == "at+jwt";
            prop_assert_eq!(judge(&rules(), &header, &claims).is_ok(), expected);
        }
    }
}
