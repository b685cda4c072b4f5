//! Where a request carries its session token, and the cookie that carries it to a browser.

use cookie::{Cookie, SameSite};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, ValueIter},
};

use super::token::SessionToken;
use crate::clock::Timestamp;

/// The header that native clients of Ory send their token in.
pub(crate) static X_SESSION_TOKEN: HeaderName = HeaderName::from_static("x-session-token");

/// How a token came. The order of the variants is the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    SessionTokenHeader,
    Cookie,
    Bearer,
}

/// What a request carries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// No token at all.
    Nothing,
    /// One token.
    Token(&'a [u8], Transport),
    /// Several, or one that cannot be read: which one is meant cannot be told, so none is used.
    Unusable(Transport),
}

/// Finds the token: `X-Session-Token`, which is final when present, then the cookie, then `Authorization: Bearer`.
///
/// A cookie that is no token of ours (`recognised`) is passed over, since another program may have set it. Two cookies of the
/// name, or a cookie and a bearer token of ours that differ, are refused: no order may decide who somebody is.
pub(crate) fn presented<'a>(
    headers: &'a HeaderMap,
    cookie_name: &'a str,
    recognised: impl Fn(&[u8]) -> bool,
) -> Presented<'a> {
    let mut direct = headers.get_all(&X_SESSION_TOKEN).iter();
    if let Some(value) = direct.next() {
        return match (value.to_str(), direct.next()) {
            (Ok(token), None) => Presented::Token(token.as_bytes(), Transport::SessionTokenHeader),
            _ => Presented::Unusable(Transport::SessionTokenHeader),
        };
    }
    let bearer = bearer(headers);
    let mut cookies = values(headers, cookie_name);
    match (cookies.next(), cookies.next()) {
        (Some(_), Some(_)) => Presented::Unusable(Transport::Cookie),
        (Some(cookie), None) if recognised(cookie) => match bearer {
            Bearer::Token(other) if other != cookie && recognised(other) => Presented::Unusable(Transport::Cookie),
            _ => Presented::Token(cookie, Transport::Cookie),
        },
        (Some(_), None) | (None, _) => match bearer {
            Bearer::Token(token) => Presented::Token(token, Transport::Bearer),
            Bearer::Unusable => Presented::Unusable(Transport::Bearer),
            Bearer::Nothing => Presented::Nothing,
        },
    }
}

enum Bearer<'a> {
    Nothing,
    Token(&'a [u8]),
    Unusable,
}

fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Bearer::Nothing };
    if values.next().is_some() {
        return Bearer::Unusable;
    }
    // RFC 9110 section 11.1: the scheme is case-insensitive.
    match value.to_str().ok().and_then(|text| text.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Bearer::Token(token.trim().as_bytes()),
        _ => Bearer::Nothing,
    }
}

/// The values of all cookies of exactly this name.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    Values { headers: headers.get_all(header::COOKIE).iter(), rest: &[], name: name.as_bytes() }
}

/// Looks for semicolons, many bytes at a time: one by one, that would be the dearest part of a request whose session is known.
struct Values<'a> {
    headers: ValueIter<'a, HeaderValue>,
    /// What is left of a header.
    rest: &'a [u8],
    name: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                self.rest = self.headers.next()?.as_bytes();
            }
            let end = memchr::memchr(b';', self.rest).unwrap_or(self.rest.len());
            let (pair, rest) = self.rest.split_at_checked(end)?;
            self.rest = rest.get(1..).unwrap_or_default();
            let value = pair.trim_ascii_start().strip_prefix(self.name).and_then(|value| value.strip_prefix(b"="));
            if let Some(value) = value {
                return Some(value.trim_ascii_end());
            }
        }
    }
}

/// How cookies of this application look; fixed by its public URL.
#[derive(Clone, Debug)]
pub(crate) struct CookieJar {
    pub(crate) session: String,
    pub(crate) csrf: String,
    pub(crate) secure: bool,
}

/// One year: the CSRF cookie outlives sessions.
const CSRF_SECONDS: i64 = 31_536_000;

impl CookieJar {
    fn build(&self, name: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
        let cookie = Cookie::build((name, value))
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Lax)
            .path("/")
            .max_age(cookie::time::Duration::seconds(seconds));
        HeaderValue::try_from(cookie.to_string()).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        })
    }

    /// The `Set-Cookie` that carries the token until the session ends.
    pub(crate) fn session(&self, token: &SessionToken, expires_at: Timestamp, now: Timestamp) -> Option<HeaderValue> {
        let seconds = expires_at.unix_seconds().saturating_sub(now.unix_seconds()).max(0);
        self.build(&self.session, token.as_str(), seconds)
    }

    /// The `Set-Cookie` that deletes the session cookie.
    pub(crate) fn session_removal(&self) -> Option<HeaderValue> {
        self.build(&self.session, "", 0)
    }

    /// The `Set-Cookie` of the CSRF token.
    pub(crate) fn csrf(&self, token: &str) -> Option<HeaderValue> {
        self.build(&self.csrf, token, CSRF_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "__Host-step_up_session";
    const PARTS: &[&str] = &["a", "=", ";", " ", "\t", "b", "a=", "; a="];

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn find(headers: &HeaderMap) -> Presented<'_> {
        presented(headers, NAME, |token| token.starts_with(b"ey"))
    }

    #[test]
    fn the_header_is_final_then_the_cookie_then_bearer() {
        use Transport::{Bearer, Cookie, SessionTokenHeader};
        let cookie = &format!("a=b; {NAME}=eyC; c=d");
        let garbage = &format!("{NAME}=garbage");
        for (given, expected) in [
            (vec![], Presented::Nothing),
            (vec![("cookie", cookie.as_str())], Presented::Token(b"eyC", Cookie)),
            (vec![("authorization", "bearer eyB")], Presented::Token(b"eyB", Bearer)),
            (vec![("authorization", "Basic eyB")], Presented::Nothing),
            (vec![("x-session-token", "bad"), ("cookie", cookie)], Presented::Token(b"bad", SessionTokenHeader)),
            (vec![("cookie", garbage), ("authorization", "Bearer eyB")], Presented::Token(b"eyB", Bearer)),
            (vec![("cookie", garbage)], Presented::Nothing),
            (vec![("cookie", cookie), ("authorization", "Bearer other")], Presented::Token(b"eyC", Cookie)),
            (vec![("cookie", "__Host-step_up_sessio=eyC")], Presented::Nothing),
        ] {
            assert_eq!(find(&headers(&given)), expected, "{given:?}");
        }
    }

    #[test]
    fn no_order_decides_between_two_credentials() {
        let cookie = &format!("{NAME}=eyC");
        let twice = &format!("{NAME}=eyC; {NAME}=eyD");
        for given in [
            vec![("cookie", twice.as_str())],
            vec![("cookie", cookie), ("cookie", cookie)],
            vec![("cookie", cookie), ("authorization", "Bearer eyD")],
            vec![("x-session-token", "eyC"), ("x-session-token", "eyD")],
            vec![("authorization", "Bearer eyC"), ("authorization", "Bearer eyD")],
        ] {
            assert!(matches!(find(&headers(&given)), Presented::Unusable(_)), "{given:?}");
        }
        // A second one counts, whatever it is made of.
        let unreadable =
            HeaderValue::from_bytes(&[cookie.as_bytes(), b"; ", NAME.as_bytes(), b"=\xff"].concat()).unwrap();
        assert!(matches!(find(&HeaderMap::from_iter([(header::COOKIE, unreadable)])), Presented::Unusable(_)));
        let same = headers(&[("cookie", cookie), ("authorization", "Bearer eyC")]);
        assert_eq!(find(&same), Presented::Token(b"eyC", Transport::Cookie));
    }

    #[test]
    fn only_the_exact_name_is_read() {
        for name in
            ["step_up_session", "__host-step_up_session", "%5F%5FHost-step_up_session", "\"__Host-step_up_session\""]
        {
            assert_eq!(find(&headers(&[("cookie", &format!("{name}=eyC"))])), Presented::Nothing, "{name}");
        }
        assert_eq!(find(&headers(&[("cookie", &format!("{NAME} =eyC"))])), Presented::Nothing);
    }

    proptest! {
        #[test]
        fn cookies_are_what_stands_between_semicolons(parts in prop::collection::vec(prop::sample::select(PARTS), 0..12)) {
            let header = parts.concat();
            let headers = headers(&[("cookie", &header)]);
            let found: Vec<_> = values(&headers, "a").collect();
            let pairs = header.split(';').filter_map(|pair| pair.trim_ascii_start().strip_prefix("a="));
            prop_assert_eq!(found, pairs.map(|value| value.trim_ascii_end().as_bytes()).collect::<Vec<_>>());
        }

        #[test]
        fn any_header_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = HeaderMap::from_iter([(header::COOKIE, value.clone()), (header::AUTHORIZATION, value)]);
                let _ = find(&headers);
            }
        }
    }
}
