//! Where a request carries its session token, and the cookie that carries it to a browser.

use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use uuid::Uuid;

use super::token::SessionToken;
use crate::clock::Timestamp;

/// The header that native clients of Ory send their token in.
pub(crate) static X_SESSION_TOKEN: HeaderName = HeaderName::from_static("x-session-token");

/// How a credential travels. Browsers send cookies by themselves, so cookies need protection against cross-site requests. Only a
/// client that sends no other credential than a cookie can be redirected to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// In a cookie, which browsers send by themselves.
    Cookie,
    /// In a header that the client sets on purpose, such as `X-Session-Token`.
    Header,
    /// As `Authorization: Bearer` (RFC 6750). Refusals are those of RFC 9470.
    Bearer,
}

/// A token, and the header that it came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) header: &'a HeaderValue,
    pub(crate) text: &'a [u8],
}

impl Token<'_> {
    /// Its position in the header.
    pub(crate) fn range(&self) -> Range<usize> {
        let start = self.text.as_ptr().addr().saturating_sub(self.header.as_bytes().as_ptr().addr());
        start..start.saturating_add(self.text.len())
    }
}

/// The token of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// No token at all.
    Nothing,
    /// One token.
    Token(Token<'a>, Transport),
    /// Several tokens, or an unreadable one. It is not clear which one is meant, so none is used.
    Unusable(Transport),
}

/// Finds the token. If there is an `X-Session-Token`, it is final, even when it is invalid. Otherwise it looks at the cookie, then at
/// `Authorization: Bearer`.
///
/// A cookie that is not a token of ours (`recognised`) is skipped: another program may have set it. Two cookies of the name are
/// refused, and so are a cookie and a bearer token of ours that differ, and an `X-Session-Token` beside a token of another session
/// (`of_one_session`): their order must not decide who the user is.
pub(crate) fn presented<'a>(
    headers: &'a HeaderMap,
    cookie_name: &'a str,
    recognised: impl Fn(&[u8]) -> bool,
    of_one_session: impl Fn(&[u8], &[u8]) -> bool,
) -> Presented<'a> {
    let mut cookies = AtMostOne::Nothing;
    let mut direct = AtMostOne::Nothing;
    let mut authorization = AtMostOne::Nothing;
    // One pass over all headers costs less than three look-ups.
    for (name, header) in headers {
        if name == header::COOKIE {
            tokens_of(header, cookie_name).for_each(|token| cookies.add(token));
        } else if name == header::AUTHORIZATION {
            authorization.add(header);
        } else if name == X_SESSION_TOKEN {
            direct.add(header);
        }
    }
    let bearer = Bearer::from(authorization);
    match direct {
        AtMostOne::Nothing => {}
        AtMostOne::Several => return Presented::Unusable(Transport::Header),
        AtMostOne::One(header) => {
            let Ok(token) = header.to_str() else { return Presented::Unusable(Transport::Header) };
            let token = token.as_bytes();
            let other = match &bearer {
                Bearer::Token(other) => Some(other.text),
                Bearer::Nothing | Bearer::Unusable => None,
            };
            let differs = |other: &[u8]| other != token && recognised(other) && !of_one_session(other, token);
            if recognised(token) && values(headers, cookie_name).chain(other).any(differs) {
                return Presented::Unusable(Transport::Header);
            }
            return Presented::Token(Token { header, text: token }, Transport::Header);
        }
    }
    match cookies {
        AtMostOne::Several => Presented::Unusable(Transport::Cookie),
        AtMostOne::One(cookie) if recognised(cookie.text) => match bearer {
            Bearer::Token(other) if other.text != cookie.text && recognised(other.text) => {
                Presented::Unusable(Transport::Cookie)
            }
            _ => Presented::Token(cookie, Transport::Cookie),
        },
        AtMostOne::One(_) | AtMostOne::Nothing => match bearer {
            Bearer::Token(token) => Presented::Token(token, Transport::Bearer),
            Bearer::Unusable => Presented::Unusable(Transport::Bearer),
            Bearer::Nothing => Presented::Nothing,
        },
    }
}

/// What a request should bring once.
enum AtMostOne<T> {
    Nothing,
    One(T),
    Several,
}

impl<T> AtMostOne<T> {
    fn add(&mut self, one: T) {
        *self = match self {
            Self::Nothing => Self::One(one),
            Self::One(_) | Self::Several => Self::Several,
        };
    }
}

enum Bearer<'a> {
    Nothing,
    Token(Token<'a>),
    Unusable,
}

impl<'a> From<AtMostOne<&'a HeaderValue>> for Bearer<'a> {
    fn from(authorization: AtMostOne<&'a HeaderValue>) -> Self {
        let header = match authorization {
            AtMostOne::Nothing => return Self::Nothing,
            AtMostOne::Several => return Self::Unusable,
            AtMostOne::One(header) => header,
        };
        // RFC 9110 section 11.1: the scheme is case-insensitive.
        match header.to_str().ok().and_then(|text| text.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Self::Token(Token { header, text: token.trim().as_bytes() })
            }
            _ => Self::Nothing,
        }
    }
}

/// The values of all cookies of exactly this name.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(header::COOKIE).iter().flat_map(move |header| tokens_of(header, name)).map(|token| token.text)
}

/// The cookies of a header that have exactly this name.
///
/// It searches for semicolons many bytes at a time. Byte by byte, this would be the most expensive part of a request with a cached session.
fn tokens_of<'a>(header: &'a HeaderValue, name: &'a str) -> impl Iterator<Item = Token<'a>> {
    let (bytes, name) = (header.as_bytes(), name.as_bytes());
    let mut start = 0;
    memchr::memchr_iter(b';', bytes).chain([bytes.len()]).filter_map(move |end| {
        let pair = bytes.get(start..end)?;
        start = end.saturating_add(1);
        let value = pair.trim_ascii_start().strip_prefix(name)?.strip_prefix(b"=")?;
        Some(Token { header, text: value.trim_ascii_end() })
    })
}

/// A promise that browsers keep for a cookie by its name (RFC 6265bis section 4.1.3). Every cookie is also `HttpOnly` and `SameSite=Lax`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CookiePrefix {
    /// `__Host-`: only the host of the public URL can set the cookie, only over HTTPS, and only it gets the cookie. The default.
    #[default]
    Host,
    /// `__Secure-`: any host of the site can set it, over HTTPS. An attacker who controls one of them can sign users out or into an account
    /// of their own.
    Secure,
    /// No prefix: any host of the site can set it, even over plain HTTP. So can anybody in the user's network, who can answer for
    /// `http://anything.bank.example`. The cookie is still sent only over HTTPS.
    None,
}

impl CookiePrefix {
    /// The beginning of the cookie's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "__Host-",
            Self::Secure => "__Secure-",
            Self::None => "",
        }
    }
}

/// The names and attributes of our cookies. The public URL decides them.
#[derive(Clone, Debug)]
pub(crate) struct CookieJar {
    pub(crate) session: String,
    pub(crate) csrf: String,
    /// How the names of cookies begin that have a flow.
    pub(crate) flow: String,
    /// The name of the cookie of a trusted device.
    pub(crate) device: String,
    pub(crate) secure: bool,
    /// The hosts that get the cookies: this one and all below it. Without it, only the host that sets them.
    pub(crate) domain: Option<String>,
    /// Whether the session cookie outlives the browser.
    pub(crate) persistent: bool,
}

/// One year: the CSRF cookie outlives sessions.
const CSRF_SECONDS: i64 = 31_536_000;

impl CookieJar {
    /// `seconds` until the browser forgets it; `None` until it is closed.
    fn build(&self, name: &str, value: &str, seconds: Option<i64>) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let mut cookie = format!("{name}={value}; HttpOnly; SameSite=Lax{secure}; Path=/");
        if let Some(domain) = &self.domain {
            cookie = format!("{cookie}; Domain={domain}");
        }
        if let Some(seconds) = seconds {
            cookie = format!("{cookie}; Max-Age={seconds}");
        }
        let mut value = HeaderValue::try_from(cookie).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The `Set-Cookie` that carries the token until the session ends.
    pub(crate) fn session(&self, token: &SessionToken, expires_at: Timestamp, now: Timestamp) -> Option<HeaderValue> {
        let seconds = expires_at.unix_seconds().saturating_sub(now.unix_seconds()).max(0);
        self.build(&self.session, token.as_str(), self.persistent.then_some(seconds))
    }

    /// The `Set-Cookie` that deletes the session cookie.
    pub(crate) fn session_removal(&self) -> Option<HeaderValue> {
        self.build(&self.session, "", Some(0))
    }

    /// The `Set-Cookie` of the CSRF token.
    pub(crate) fn csrf(&self, token: &str) -> Option<HeaderValue> {
        self.build(&self.csrf, token, Some(CSRF_SECONDS))
    }

    /// The `Set-Cookie` of a trusted device. The browser keeps it that long, also past a logout.
    pub(crate) fn device(&self, value: &str, until: Timestamp, now: Timestamp) -> Option<HeaderValue> {
        let seconds = until.unix_seconds().saturating_sub(now.unix_seconds()).max(0);
        self.build(&self.device, value, Some(seconds))
    }

    /// The `Set-Cookie` that deletes it.
    pub(crate) fn device_removal(&self) -> Option<HeaderValue> {
        self.build(&self.device, "", Some(0))
    }

    /// The name of the cookie that has this flow.
    pub(crate) fn flow_name(&self, id: Uuid) -> String {
        format!("{}{id}", self.flow)
    }

    /// The `Set-Cookie` of a flow.
    pub(crate) fn flow(&self, id: Uuid, value: &str, seconds: u64) -> Option<HeaderValue> {
        self.build(&self.flow_name(id), value, Some(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }

    /// The `Set-Cookie` that deletes it.
    pub(crate) fn flow_removal(&self, id: Uuid) -> Option<HeaderValue> {
        self.build(&self.flow_name(id), "", Some(0))
    }

    /// The request's cookies that have flows.
    pub(crate) fn flows<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = (Uuid, &'a [u8])> {
        let pairs =
            headers.get_all(header::COOKIE).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
        pairs.filter_map(|pair| {
            let rest = pair.trim_ascii().strip_prefix(self.flow.as_bytes())?;
            let (id, value) = rest.split_at_checked(36)?;
            Some((Uuid::try_parse_ascii(id).ok()?, value.strip_prefix(b"=")?))
        })
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

    /// A result that tests can write down: the text of the token, cut out of its header.
    #[derive(Debug, PartialEq)]
    enum Found {
        Nothing,
        Token(String, Transport),
        Unusable(Transport),
    }

    fn find(headers: &HeaderMap) -> Found {
        // The tokens of a session begin with the same letter here.
        let of_one_session = |one: &[u8], other: &[u8]| one.get(2) == other.get(2);
        match presented(headers, NAME, |token| token.starts_with(b"ey"), of_one_session) {
            Presented::Nothing => Found::Nothing,
            Presented::Unusable(transport) => Found::Unusable(transport),
            Presented::Token(token, transport) => {
                let cut = &token.header.as_bytes()[token.range()];
                assert_eq!(cut, token.text);
                Found::Token(String::from_utf8_lossy(cut).into_owned(), transport)
            }
        }
    }

    fn token(text: &str, transport: Transport) -> Found {
        Found::Token(text.to_owned(), transport)
    }

    #[test]
    fn the_header_is_final_then_the_cookie_then_bearer() {
        use Transport::{Bearer, Cookie, Header};
        let cookie = &format!("a=b; {NAME}=eyC; c=d");
        let garbage = &format!("{NAME}=garbage");
        for (given, expected) in [
            (vec![], Found::Nothing),
            (vec![("cookie", cookie.as_str())], token("eyC", Cookie)),
            (vec![("authorization", "bearer eyB")], token("eyB", Bearer)),
            (vec![("authorization", "Basic eyB")], Found::Nothing),
            (vec![("x-session-token", "bad"), ("cookie", cookie)], token("bad", Header)),
            (vec![("cookie", garbage), ("authorization", "Bearer eyB")], token("eyB", Bearer)),
            (vec![("cookie", garbage)], Found::Nothing),
            (vec![("cookie", cookie), ("authorization", "Bearer other")], token("eyC", Cookie)),
            (vec![("cookie", "__Host-step_up_sessio=eyC")], Found::Nothing),
            (vec![("x-session-token", "eyC"), ("cookie", cookie)], token("eyC", Header)),
            (vec![("x-session-token", "eyC-anew"), ("cookie", cookie)], token("eyC-anew", Header)),
            (vec![("x-session-token", "eyA"), ("cookie", garbage)], token("eyA", Header)),
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
            vec![("x-session-token", "eyD"), ("cookie", cookie)],
            vec![("x-session-token", "eyD"), ("authorization", "Bearer eyC")],
        ] {
            assert!(matches!(find(&headers(&given)), Found::Unusable(_)), "{given:?}");
        }
        // A second cookie is refused, even if it is unreadable.
        let unreadable =
            HeaderValue::from_bytes(&[cookie.as_bytes(), b"; ", NAME.as_bytes(), b"=\xff"].concat()).unwrap();
        assert!(matches!(find(&HeaderMap::from_iter([(header::COOKIE, unreadable)])), Found::Unusable(_)));
        let same = headers(&[("cookie", cookie), ("authorization", "Bearer eyC")]);
        assert_eq!(find(&same), token("eyC", Transport::Cookie));
    }

    #[test]
    fn only_the_exact_name_is_read() {
        for name in
            ["step_up_session", "__host-step_up_session", "%5F%5FHost-step_up_session", "\"__Host-step_up_session\""]
        {
            assert_eq!(find(&headers(&[("cookie", &format!("{name}=eyC"))])), Found::Nothing, "{name}");
        }
        assert_eq!(find(&headers(&[("cookie", &format!("{NAME} =eyC"))])), Found::Nothing);
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
