//! What a request brings for Kratos: one cookie, or one token in `X-Session-Token`. Nothing else of a request ever reaches Kratos.

use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::Sha256;
use tower_step_up::source::{Clue, Look, Transport};

pub(crate) static X_SESSION_TOKEN: HeaderName = HeaderName::from_static("x-session-token");

/// Browsers keep no longer cookie (RFC 6265bis section 5.7), and Kratos' tokens are far shorter.
const LONGEST: usize = 4096;

/// Picks up the credential. Kratos would take the token where there are both. But nobody can tell without asking whether both are of one
/// session, so here it is neither, as with two cookies of the name.
pub(crate) fn look(headers: &HeaderMap, cookie_name: &str) -> Look {
    let mut tokens = headers.get_all(&X_SESSION_TOKEN).iter();
    let mut cookies = headers.get_all(header::COOKIE).iter().flat_map(|header| cookies_of(header, cookie_name));
    match (tokens.next(), tokens.next(), cookies.next(), cookies.next()) {
        (None, _, None, _) => Look::Nothing,
        (Some(token), None, None, _) if is_plain(token.as_bytes()) => {
            Look::Clue(Clue::from_header(token, Transport::Header))
        }
        (Some(_), ..) => Look::Ambiguous(Transport::Header),
        (None, _, Some((header, part)), None) if header.as_bytes().get(part.clone()).is_some_and(is_cookie) => {
            Look::Clue(Clue::from_part_of_header(header, part, Transport::Cookie))
        }
        (None, _, Some(_), _) => Look::Ambiguous(Transport::Cookie),
    }
}

/// Where a header has the values of the cookies of exactly this name.
fn cookies_of<'a>(header: &'a HeaderValue, name: &'a str) -> impl Iterator<Item = (&'a HeaderValue, Range<usize>)> {
    let bytes = header.as_bytes();
    let mut start = 0_usize;
    memchr::memchr_iter(b';', bytes).chain([bytes.len()]).filter_map(move |end| {
        let pair = bytes.get(start..end)?;
        start = end.saturating_add(1);
        let value = pair.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        let from = end.saturating_sub(value.len());
        Some((header, from..from.saturating_add(value.trim_ascii_end().len())))
    })
}

fn is_plain(text: &[u8]) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.iter().all(u8::is_ascii_graphic)
}

/// RFC 6265 section 4.1.1.
fn is_cookie(value: &[u8]) -> bool {
    is_plain(value) && !value.iter().any(|byte| matches!(byte, b'"' | b',' | b';' | b'\\'))
}

/// A credential as it goes to Kratos.
pub(crate) struct Credential {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

impl Credential {
    /// `None` if it cannot be a header, which [`look`] has ruled out.
    pub(crate) fn of(clue: &Clue, cookie_name: &str) -> Option<Self> {
        let bytes = clue.bytes()?;
        let (name, value) = match clue.transport() {
            Transport::Cookie => {
                (header::COOKIE, HeaderValue::from_bytes(&[cookie_name.as_bytes(), b"=", bytes].concat()))
            }
            Transport::Header => (X_SESSION_TOKEN.clone(), HeaderValue::from_bytes(bytes)),
            _ => return None,
        };
        let mut value = value.ok()?;
        value.set_sensitive(true);
        Some(Self { name, value })
    }
}

/// Stands for a credential: a hash that nobody can compute without this process' key. So the cache holds no credential, and no request can
/// be made to meet the entry of another.
pub(crate) type Key = [u8; 32];

pub(crate) struct Keys(Hmac<Sha256>);

impl Keys {
    pub(crate) fn random() -> Result<Self, String> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| format!("the operating system gives no random bytes: {error}"))?;
        Hmac::new_from_slice(&secret).map(Self).map_err(|error| error.to_string())
    }

    /// `None` if the clue is no credential.
    pub(crate) fn of(&self, clue: &Clue) -> Option<Key> {
        let kind = match clue.transport() {
            Transport::Cookie => b"cookie ".as_slice(),
            Transport::Header => b"token  ",
            _ => return None,
        };
        let mut mac = self.0.clone();
        mac.update(kind);
        mac.update(clue.bytes()?);
        Some(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn found(pairs: &[(&'static str, &str)]) -> Result<Option<(Transport, String)>, Transport> {
        match look(&headers(pairs), "kratos") {
            Look::Nothing => Ok(None),
            Look::Clue(clue) => {
                Ok(Some((clue.transport(), String::from_utf8(clue.bytes().unwrap().to_vec()).unwrap())))
            }
            Look::Ambiguous(transport) => Err(transport),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_credential_is_found_and_several_are_none() {
        let cookie = |text: &str| Ok(Some((Transport::Cookie, text.to_owned())));
        let (token, several) = (Ok(Some((Transport::Header, "t1".to_owned()))), Err(Transport::Cookie));
        let long = "x".repeat(LONGEST + 1);
        for (pairs, expected) in [
            (&[][..], Ok(None)),
            (&[("cookie", "a=b; kratos2=x; xkratos=y"), ("authorization", "Bearer t")], Ok(None)),
            (&[("cookie", "kratos=v1")], cookie("v1")),
            (&[("cookie", "a=b;kratos=v1; c=d")], cookie("v1")),
            (&[("cookie", "a=b; kratos=v=1== ")], cookie("v=1==")),
            (&[("cookie", "a=kratos=x; kratos=v1")], cookie("v1")),
            (&[("cookie", "a=b"), ("cookie", "kratos=v1")], cookie("v1")),
            (&[("cookie", "kratos=v1; kratos=v1")], several.clone()),
            (&[("cookie", "kratos=v1"), ("cookie", "kratos=v2")], several.clone()),
            (&[("cookie", "kratos=")], several.clone()),
            (&[("cookie", "kratos=a b")], several.clone()),
            (&[("cookie", "kratos=a,b")], several.clone()),
            (&[("cookie", &format!("kratos={long}"))], several),
            (&[("x-session-token", "t1"), ("cookie", "a=b")], token),
            (&[("x-session-token", "t1"), ("x-session-token", "t1")], Err(Transport::Header)),
            (&[("x-session-token", "t1"), ("cookie", "kratos=v1")], Err(Transport::Header)),
            (&[("x-session-token", "")], Err(Transport::Header)),
            (&[("x-session-token", "a b")], Err(Transport::Header)),
            (&[("x-session-token", &long)], Err(Transport::Header)),
        ] {
            assert_eq!(found(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn only_the_credential_goes_to_kratos_and_debug_hides_it() {
        let headers = headers(&[("cookie", "theme=dark; kratos=v1; other=secret")]);
        let Look::Clue(clue) = look(&headers, "kratos") else { panic!("a clue") };
        let credential = Credential::of(&clue, "kratos").unwrap();
        assert_eq!((credential.name.as_str(), credential.value.as_bytes()), ("cookie", &b"kratos=v1"[..]));
        assert_eq!(format!("{:?}", credential.value), "Sensitive");
        let bearer = Clue::from_header(&HeaderValue::from_static("t1"), Transport::Bearer);
        assert!(Credential::of(&bearer, "kratos").is_none());
    }

    #[test]
    fn a_key_tells_credentials_their_kinds_and_processes_apart() {
        let clue = |text: &str, transport| Clue::from_header(&HeaderValue::from_str(text).unwrap(), transport);
        let keys = Keys::random().unwrap();
        let key = keys.of(&clue("v1", Transport::Cookie)).unwrap();
        assert_eq!(keys.of(&clue("v1", Transport::Cookie)), Some(key));
        assert_ne!(keys.of(&clue("v2", Transport::Cookie)), Some(key));
        assert_ne!(keys.of(&clue("v1", Transport::Header)), Some(key));
        assert_eq!(keys.of(&clue("v1", Transport::Bearer)), None);
        assert_ne!(Keys::random().unwrap().of(&clue("v1", Transport::Cookie)), Some(key));
    }

    proptest! {
        /// Whatever else a browser sends, the part that is forwarded is the value of that cookie and nothing more.
        #[test]
        fn a_clue_never_has_more_than_its_cookie(before in "[ -~]{0,30}", value in "[!-~]{1,30}", after in "[ -~]{0,30}") {
            let text = format!("{before};kratos={value};{after}");
            let map = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&text).unwrap())]);
            if let Look::Clue(clue) = look(&map, "kratos") {
                let bytes = clue.bytes().unwrap();
                prop_assert!(is_cookie(bytes));
                let pair = format!("kratos={}", std::str::from_utf8(bytes).unwrap());
                prop_assert!(text.contains(&pair));
            }
        }
    }
}
