//! The session as a signed JWT: claims, minting and verifying.
//!
//! The first segment of a token must equal, byte for byte, one that this key ring mints. This pins `alg`, `typ` and `kid` before
//! anything is decoded, and no header from outside is ever parsed.

use std::{borrow::Cow, fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use jsonwebtoken::{Algorithm, Header};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{BindingKey, InvalidKey, SessionId, SigningKey, StoredSession, Subject, hs256::Hs256};
use crate::{
    aal::{Aal, Method},
    clock::Timestamp,
};

/// The type of a token (RFC 8725 section 3.11): no other JWT of the application passes for a session.
const TOKEN_TYPE: &str = "session+jwt";

/// Longer tokens are ignored. A cookie with all its attributes must stay within 4,096 bytes (RFC 6265 section 6.1).
const MAX_TOKEN_BYTES: usize = 3_800;

/// A session token. Anybody who holds it is signed in, so `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(Zeroizing<String>);

impl SessionToken {
    /// The token's text, for a native client that sends it as `X-Session-Token` or `Authorization: Bearer`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(..)")
    }
}

/// Borrowed, so that fields that are only compared or skipped are not copied.
#[derive(Serialize, Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    sub: Subject,
    sid: SessionId,
    iat: i64,
    exp: i64,
    /// We never mint it, but a token signed with our key may have it (RFC 7519 section 4.1.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    auth_time: i64,
    acr: Aal,
    #[serde(borrow)]
    amr: Vec<Cow<'a, str>>,
    bnd: BindingKey,
    proofs: Vec<ClaimedProof>,
}

/// Method, level, milliseconds since the Unix epoch if the time is known.
#[derive(Serialize, Deserialize)]
struct ClaimedProof(Method, Aal, Option<i64>);

/// The claims of a verified token. Its proofs are for other readers: in this crate the session in the store counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) id: SessionId,
    pub(crate) subject: Subject,
    pub(crate) binding: BindingKey,
    pub(crate) expires_at: Timestamp,
}

/// The token is not valid, or no longer valid. It says no more, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidToken;

struct RingKey {
    /// The first segment of every token under this key.
    header_segment: String,
    hs256: Hs256,
    secret: Zeroizing<Vec<u8>>,
}

/// The keys, newest first.
pub(crate) struct KeyRing {
    keys: Vec<RingKey>,
    issuer: String,
    leeway: Duration,
    /// How many signatures were verified.
    #[cfg(test)]
    pub(crate) verifications: std::sync::atomic::AtomicUsize,
}

impl KeyRing {
    pub(crate) fn new(keys: &[SigningKey], issuer: &str, leeway: Duration) -> Result<Self, InvalidKey> {
        let keys = keys.iter().map(RingKey::new).collect::<Result<_, _>>()?;
        Ok(Self {
            keys,
            issuer: issuer.to_owned(),
            leeway,
            #[cfg(test)]
            verifications: 0.into(),
        })
    }

    /// Mints the token of a session at this level.
    pub(crate) fn mint(&self, session: &StoredSession, level: Aal) -> Result<SessionToken, InvalidKey> {
        let key = self.keys.first().ok_or(InvalidKey::unusable())?;
        let mut amr: Vec<Cow<'_, str>> = Vec::new();
        let proofs = || session.proofs().iter().filter(|proof| !proof.is_device_note());
        let own = proofs().map(|proof| proof.method().reference());
        for reference in own.chain((level == Aal::Aal2).then(|| "mfa".into())) {
            // Two methods may have one reference: TOTP and codes by message are both `otp`.
            if !amr.contains(&reference) {
                amr.push(reference);
            }
        }
        let claims = Claims {
            iss: self.issuer.as_str().into(),
            aud: self.issuer.as_str().into(),
            sub: session.subject().clone(),
            sid: session.id(),
            iat: session.issued_at().unix_seconds(),
            exp: session.expires_at().unix_seconds(),
            nbf: None,
            auth_time: session.authenticated_at().unix_seconds(),
            acr: level,
            amr,
            bnd: session.binding(),
            proofs: proofs()
                .map(|proof| {
                    ClaimedProof(proof.method(), proof.aal(), proof.completed_at().map(Timestamp::unix_milliseconds))
                })
                .collect(),
        };
        let claims = serde_json::to_vec(&claims).map_err(|_| InvalidKey::unusable())?;
        Ok(SessionToken(Zeroizing::new(key.sign(&claims))))
    }

    /// The token of the logout URL: a secret that only this key ring can derive from the session's id. It needs no storage,
    /// differs for every session, and is useless once the session is gone or rotated.
    pub(crate) fn logout_token(&self, session: SessionId) -> Option<String> {
        let key = self.keys.first()?;
        let mut token = [0; 32];
        Hkdf::<Sha256>::new(None, &key.secret)
            .expand(format!("tower-step-up logout v1\0{session}").as_bytes(), &mut token)
            .ok()?;
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// Whether this could be a token of this ring, without any cryptography.
    pub(crate) fn recognises(&self, token: &[u8]) -> bool {
        self.key_of(token).is_some()
    }

    fn key_of(&self, token: &[u8]) -> Option<&RingKey> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        self.keys
            .iter()
            .find(|key| token.strip_prefix(key.header_segment.as_bytes()).is_some_and(|rest| rest.starts_with(b".")))
    }

    /// Checks the signature first, and then the claims. The header needs no parsing: it equals one of ours, byte for byte.
    pub(crate) fn verify(&self, token: impl AsRef<[u8]>, now: Timestamp) -> Result<Verified, InvalidToken> {
        let token = token.as_ref();
        let key = self.key_of(token).ok_or(InvalidToken)?;
        let token = std::str::from_utf8(token).map_err(|_| InvalidToken)?;
        let (message, signature) = token.rsplit_once('.').ok_or(InvalidToken)?;
        let (_header, payload) = message.split_once('.').ok_or(InvalidToken)?;
        #[cfg(test)]
        self.verifications.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if !key.hs256.has_signed(message.as_bytes(), signature) {
            return Err(InvalidToken);
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| InvalidToken)?;
        let claims: Claims<'_> = serde_json::from_slice(&payload).map_err(|_| InvalidToken)?;
        if claims.iss != self.issuer || claims.aud != self.issuer {
            return Err(InvalidToken);
        }
        let expires_at = Timestamp::from_unix_seconds(claims.exp);
        let begun = |at: i64| Timestamp::from_unix_seconds(at) <= now + self.leeway;
        if !begun(claims.iat) || !claims.nbf.is_none_or(begun) || now >= expires_at {
            return Err(InvalidToken);
        }
        Ok(Verified { id: claims.sid, subject: claims.sub, binding: claims.bnd, expires_at })
    }
}

impl RingKey {
    fn new(key: &SigningKey) -> Result<Self, InvalidKey> {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(key.id().to_owned());
        let json = serde_json::to_vec(&header).map_err(|_| InvalidKey::unusable())?;
        Ok(Self {
            header_segment: URL_SAFE_NO_PAD.encode(json),
            hs256: Hs256::new(key.secret())?,
            secret: key.secret().to_vec().into(),
        })
    }

    /// The token of these claims.
    fn sign(&self, claims: &[u8]) -> String {
        let mut token = format!("{}.{}", self.header_segment, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.hs256.signature(token.as_bytes());
        token.push('.');
        token.push_str(&signature);
        token
    }
}

/// Whether both tokens say that they are of one session, of which one was replaced meanwhile. Nothing is verified here: whoever forges the
/// one that is not used gains nothing.
pub(crate) fn of_one_session(one: &[u8], other: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Bound {
        sub: String,
        bnd: String,
    }
    let read = |token: &[u8]| -> Option<Bound> {
        let payload = token.split(|byte| *byte == b'.').nth(1).filter(|payload| payload.len() <= MAX_TOKEN_BYTES)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    };
    read(one).zip(read(other)).is_some_and(|(one, other)| (one.sub, one.bnd) == (other.sub, other.bnd))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;
    use sha2::Digest as _;

    use super::*;
    use crate::aal::Proof;

    const HOUR: Duration = Duration::from_secs(3600);
    const ISSUER: &str = "https://bank.example/";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn only_what_looks_like_a_token_of_the_ring_is_recognised() {
        let ring = ring(&["a"]);
        let header = &ring.keys[0].header_segment;
        let of_length = |length: usize| format!("{header}.{}", "x".repeat(length - header.len() - 1));
        for recognised in [format!("{header}."), of_length(MAX_TOKEN_BYTES)] {
            assert!(ring.recognises(recognised.as_bytes()));
        }
        for foreign in
            ["", "x", header, &format!("{header}x."), &format!("x{header}."), &of_length(MAX_TOKEN_BYTES + 1)]
        {
            assert!(!ring.recognises(foreign.as_bytes()), "{foreign}");
        }
    }

    fn key(id: &str) -> SigningKey {
        SigningKey::hs256(id, Sha256::digest(id)).unwrap()
    }

    fn ring(ids: &[&str]) -> KeyRing {
        let keys: Vec<_> = ids.iter().map(|id| key(id)).collect();
        KeyRing::new(&keys, ISSUER, Duration::from_secs(5)).unwrap()
    }

    fn session() -> StoredSession {
        StoredSession::new(
            Subject::new("kim").unwrap(),
            Proof::new(Method::Password, Aal::Aal1, at(1000)),
            at(1000),
            HOUR,
        )
    }

    /// A token with any header and claims, signed with the ring's own key. Only a bug or a stolen key could make it.
    fn forge(header: &str, claims: &serde_json::Value) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &EncodingKey::from_secret(key("a").secret()).unwrap(),
            Algorithm::HS256,
        );
        format!("{message}.{}", signature.unwrap())
    }

    fn claims() -> serde_json::Value {
        let token = ring(&["a"]).mint(&session(), Aal::Aal1).unwrap();
        let payload = token.as_str().split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }

    const HEADER: &str = r#"{"typ":"session+jwt","alg":"HS256","kid":"a"}"#;

    #[test]
    fn a_minted_token_verifies_until_it_expires() {
        let ring = ring(&["a"]);
        let session = session();
        let token = ring.mint(&session, Aal::Aal1).unwrap();
        let verified = ring.verify(token.as_str(), at(1000)).unwrap();
        assert_eq!((verified.id, &verified.subject), (session.id(), session.subject()));
        assert!(ring.verify(token.as_str(), at(4599)).is_ok());
        assert!(ring.verify(token.as_str(), at(4600)).is_err());
    }

    #[test]
    fn the_newest_key_signs_and_all_verify() {
        let old = ring(&["a"]).mint(&session(), Aal::Aal1).unwrap();
        let both = ring(&["b", "a"]);
        assert!(both.verify(old.as_str(), at(1000)).is_ok());
        let new = both.mint(&session(), Aal::Aal1).unwrap();
        assert!(ring(&["b"]).verify(new.as_str(), at(1000)).is_ok());
        assert!(ring(&["b"]).verify(old.as_str(), at(1000)).is_err(), "a retired key");
    }

    /// TOTP and codes by message are both `otp` in RFC 8176.
    #[test]
    fn amr_says_each_value_once() {
        let proof = |method, aal| Proof::new(method, aal, at(1000));
        let proofs =
            vec![proof(Method::Password, Aal::Aal1), proof(Method::Totp, Aal::Aal2), proof(Method::Code, Aal::Aal2)];
        let session = StoredSession::of_proofs(Subject::new("kim").unwrap(), proofs, at(1000), HOUR);
        let token = ring(&["a"]).mint(&session, Aal::Aal2).unwrap();
        let payload = token.as_str().split('.').nth(1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        assert_eq!(claims["amr"], serde_json::json!(["pwd", "otp", "mfa"]));
    }

    #[test]
    fn claims_carry_the_standard_names() {
        let claims = claims();
        for (name, value) in [("iss", ISSUER), ("aud", ISSUER), ("sub", "kim"), ("acr", "aal1")] {
            assert_eq!(claims[name], value, "{name}");
        }
        assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
        assert_eq!((&claims["iat"], &claims["exp"], &claims["auth_time"]), (&1000.into(), &4600.into(), &1000.into()));
    }

    #[test]
    fn headers_other_than_our_own_are_refused() {
        let ring = ring(&["a"]);
        assert!(ring.verify(forge(HEADER, &claims()), at(1000)).is_ok(), "the honest twin");
        for header in [
            r#"{"typ":"session+jwt","alg":"none","kid":"a"}"#,
            r#"{"typ":"session+jwt","alg":"nOnE","kid":"a"}"#,
            r#"{"typ":"session+jwt","alg":"HS512","kid":"a"}"#,
            r#"{"typ":"session+jwt","kid":"a"}"#,
            r#"{"typ":"JWT","alg":"HS256","kid":"a"}"#,
            r#"{"alg":"HS256","kid":"a"}"#,
            r#"{"typ":"session+jwt","alg":"HS256"}"#,
            r#"{"typ":"session+jwt","alg":"HS256","kid":"b"}"#,
            r#"{"typ":"session+jwt","alg":"HS256","kid":"../../a"}"#,
            r#"{"typ":"session+jwt","alg":"HS256","kid":"a","jku":"https://evil.example"}"#,
            r#"{"typ":"session+jwt","alg":"HS256","kid":"a","crit":["exp"]}"#,
            r#"{"kid":"a","typ":"session+jwt","alg":"HS256"}"#,
        ] {
            assert!(ring.verify(forge(header, &claims()), at(1000)).is_err(), "{header}");
        }
    }

    #[test]
    fn claims_of_the_wrong_shape_are_refused() {
        let ring = ring(&["a"]);
        assert!(ring.verify(forge(HEADER, &claims()), at(1000)).is_ok(), "the honest twin");
        for (name, value) in [
            ("iss", serde_json::json!("https://evil.example/")),
            ("aud", serde_json::json!([ISSUER])),
            ("aud", serde_json::json!("other")),
            ("aud", serde_json::Value::Null),
            ("exp", serde_json::json!("9999999999")),
            ("exp", serde_json::json!(1e30)),
            ("exp", serde_json::json!(u64::MAX)),
            ("exp", serde_json::json!(-1)),
            ("exp", serde_json::json!(4600.5)),
            ("exp", serde_json::Value::Null),
            ("iat", serde_json::json!(1006)),
            ("acr", serde_json::json!("aal3")),
            ("acr", serde_json::json!("aal10")),
            ("sub", serde_json::json!("")),
            ("proofs", serde_json::json!([["magic", "aal2", 1]])),
        ] {
            let mut claims = claims();
            claims[name] = value;
            assert!(ring.verify(forge(HEADER, &claims), at(1000)).is_err(), "{name}: {}", claims[name]);
        }
    }

    #[test]
    fn garbage_is_refused() {
        let ring = ring(&["a"]);
        let token = ring.mint(&session(), Aal::Aal1).unwrap();
        let (message, signature) = token.as_str().rsplit_once('.').unwrap();
        let padded = format!("{}=", token.as_str());
        let unsigned = format!("{message}.");
        let longer = format!("{message}.{signature}{}", "A".repeat(4000));
        // A fourth segment, signed too, is not a part of any token.
        let (header, payload) = message.split_once('.').unwrap();
        let key = EncodingKey::from_secret(key("a").secret()).unwrap();
        let sign = |message: &str| jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        let more = format!("{message}.{payload}");
        let more = format!("{more}.{}", sign(&more));
        let less = format!("{header}.{}", sign(header));
        let bare = format!("{header}..{}", sign(&format!("{header}.")));
        for bad in
            ["", ".", "..", message, unsigned.as_str(), &padded, &longer, &".".repeat(10_000), &more, &less, &bare]
        {
            assert!(ring.verify(bad, at(1000)).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_that_are_too_weak_or_misnamed_are_refused() {
        assert!(SigningKey::hs256("a", [0; 31]).is_err());
        for id in ["", "a b", "../x", &"x".repeat(65)] {
            assert!(SigningKey::generate(id).is_err(), "{id}");
        }
        let shown = format!("{:?} {:?}", key("abcd"), ring(&["a"]).mint(&session(), Aal::Aal1).unwrap());
        assert_eq!(shown, "SigningKey { id: \"abcd\", .. } SessionToken(..)");
    }
}
