//! Cross-site request forgery: a token in a cookie, the same token masked in the form, and the origin headers of browsers.
//!
//! The flow keeps the hash of the token that it began with. So a planted pair of cookie and form value matches itself, but not the flow.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use constant_time_eq::constant_time_eq;
use http::{HeaderMap, HeaderName, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Origin;

use crate::{
    seal::Sealer,
    session::{BindingKey, cookie},
};

const TOKEN_BYTES: usize = 32;

/// The secret of a browser, shared by all its flows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CsrfToken([u8; TOKEN_BYTES]);

/// The hash of the token, for the flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CsrfHash(String);

impl CsrfToken {
    /// A new token; `None` if the operating system gives no random numbers.
    pub(crate) fn random() -> Option<Self> {
        let mut token = [0; TOKEN_BYTES];
        getrandom::fill(&mut token).ok()?;
        Some(Self(token))
    }

    /// The token in the request's cookie of this name. Two such cookies count as none, since one may be planted.
    pub(crate) fn from_cookie(headers: &HeaderMap, name: &str) -> Option<Self> {
        let mut found = cookie::values(headers, name);
        match (found.next(), found.next()) {
            (Some(value), None) => STANDARD.decode(value).ok()?.try_into().ok().map(Self),
            _ => None,
        }
    }

    /// The cookie's value.
    pub(crate) fn cookie_value(&self) -> String {
        STANDARD.encode(self.0)
    }

    pub(crate) fn hash(&self) -> CsrfHash {
        CsrfHash(STANDARD.encode(Sha256::digest(self.0)))
    }

    /// The form's value: pad ‖ (token xor pad), new each time, so page compression reveals nothing about the token.
    pub(crate) fn mask(&self) -> Option<String> {
        let mut pad = [0; TOKEN_BYTES];
        getrandom::fill(&mut pad).ok()?;
        let masked: Vec<u8> =
            pad.iter().copied().chain(self.0.iter().zip(&pad).map(|(token, pad)| token ^ pad)).collect();
        Some(STANDARD.encode(masked))
    }

    fn unmask(value: &str) -> Option<Self> {
        let bytes: [u8; 2 * TOKEN_BYTES] = STANDARD.decode(value).ok()?.try_into().ok()?;
        let (pad, masked) = bytes.split_first_chunk::<TOKEN_BYTES>()?;
        let mut token = [0; TOKEN_BYTES];
        for ((token, pad), masked) in token.iter_mut().zip(pad).zip(masked) {
            *token = pad ^ masked;
        }
        Some(Self(token))
    }

    /// Whether the form's value is this token, and the flow began with it.
    pub(crate) fn fits(&self, form_value: &str, flow: &CsrfHash) -> bool {
        let in_form = Self::unmask(form_value).is_some_and(|form| constant_time_eq(&form.0, &self.0));
        in_form && self.began(flow)
    }

    /// The token of a page without a flow: of this browser and of this session, by the key. So a cookie that somebody has planted, with a
    /// form of a session of their own, fits no other session.
    pub(crate) fn of_session(&self, sealer: &Sealer, binding: BindingKey) -> Option<Self> {
        sealer.digest(&self.with(binding)).map(Self)
    }

    /// Whether the form's value is that token.
    pub(crate) fn fits_session(&self, form_value: &str, sealer: &Sealer, binding: BindingKey) -> bool {
        Self::unmask(form_value).is_some_and(|form| sealer.is_digest(&self.with(binding), &form.0))
    }

    fn with(&self, binding: BindingKey) -> Vec<u8> {
        // No other message that is digested begins like this.
        [&b"token of a page\0"[..], uuid::Uuid::from(binding).as_bytes(), &self.0].concat()
    }

    /// Whether the flow began with this token.
    pub(crate) fn began(&self, flow: &CsrfHash) -> bool {
        constant_time_eq(self.hash().0.as_bytes(), flow.0.as_bytes())
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the request's origin headers allow a change. `ours` are the origins of the application's own pages, the public URL's first.
/// Requests without these headers (old browsers, programs) pass: the token decides.
///
/// A page without referrers, such as the built-in ones, sends `Origin: null` with its forms, and so does a foreign page that hides where it
/// is. Where a browser sends `Sec-Fetch-Site`, which no page can set, it must say `same-origin`. Old web views and browsers under strict
/// privacy settings do not send it: then the token decides, as without any of these headers.
pub(crate) fn origin_is_ours(headers: &HeaderMap, ours: &[Origin]) -> bool {
    let site = headers.get(SEC_FETCH_SITE).map(http::HeaderValue::as_bytes);
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => None,
        (Some(origin), None) if origin == "null" => return matches!(site, None | Some(b"same-origin")),
        (Some(origin), None) => {
            let known = |text: &str| ours.iter().position(|ours| ours.ascii_serialization() == text);
            match origin.to_str().ok().and_then(known) {
                Some(position) => Some(position),
                None => return false,
            }
        }
        (Some(_), Some(_)) => return false,
    };
    match site {
        None | Some(b"same-origin" | b"none") => true,
        // Allowed only from the application's pages on another host.
        Some(_) => origin.is_some_and(|position| position > 0),
    }
}

/// Whether a browser sent this request to an API flow; browsers must use browser flows. Cookies of a content delivery network do not
/// count: native clients send them too.
pub(crate) fn comes_from_a_browser(headers: &HeaderMap) -> bool {
    let foreign = |pair: &[u8]| {
        let name = pair.trim_ascii_start();
        !name.is_empty() && ![&b"__cf"[..], b"_cf", b"cf_"].iter().any(|prefix| name.starts_with(prefix))
    };
    headers.contains_key(header::ORIGIN)
        || headers.get_all(header::COOKIE).iter().any(|value| value.as_bytes().split(|&byte| byte == b';').any(foreign))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn cookie_and_form_fit_each_other_and_the_flow() {
        let token = CsrfToken::random().unwrap();
        let request = headers(&[("cookie", &format!("csrf={}", token.cookie_value()))]);
        let read = CsrfToken::from_cookie(&request, "csrf").unwrap();
        let (one, two) = (token.mask().unwrap(), token.mask().unwrap());
        assert_ne!(one, two);
        assert!(read.fits(&one, &token.hash()) && read.fits(&two, &token.hash()));

        let other = CsrfToken::random().unwrap();
        assert!(!read.fits(&other.mask().unwrap(), &token.hash()), "another form");
        assert!(!other.fits(&one, &token.hash()), "another cookie");
        assert!(!other.fits(&other.mask().unwrap(), &token.hash()), "a planted pair");
        for garbage in ["", "AAAA", &token.cookie_value(), "not base64"] {
            assert!(!read.fits(garbage, &token.hash()), "{garbage}");
        }
    }

    #[test]
    fn two_cookies_are_none() {
        let token = CsrfToken::random().unwrap().cookie_value();
        assert!(
            CsrfToken::from_cookie(&headers(&[("cookie", &format!("csrf={token}; csrf={token}"))]), "csrf").is_none()
        );
        assert!(CsrfToken::from_cookie(&headers(&[("cookie", "csrf=short")]), "csrf").is_none());
    }

    #[test]
    fn only_our_own_pages_may_change_anything() {
        let ours =
            [Url::parse("https://bank.example").unwrap().origin(), Url::parse("https://ui.example").unwrap().origin()];
        for (given, allowed) in [
            (vec![], true),
            (vec![("origin", "https://bank.example")], true),
            (vec![("origin", "https://bank.example"), ("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "https://ui.example"), ("sec-fetch-site", "same-site")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![("origin", "https://bank.example"), ("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("origin", "https://evil.example")], false),
            (vec![("origin", "https://bank.example:8443")], false),
            (vec![("origin", "http://bank.example")], false),
            (vec![("origin", "null")], true),
            (vec![("origin", "null"), ("origin", "null")], false),
            (vec![("origin", "NULL")], false),
            (vec![("origin", "null"), ("sec-fetch-site", "none")], false),
            (vec![("origin", "null"), ("sec-fetch-site", "cross-site")], false),
            (vec![("origin", "null"), ("sec-fetch-site", "same-site")], false),
            // From a page without referrers, such as the built-in ones.
            (vec![("origin", "null"), ("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "https://bank.example"), ("origin", "https://bank.example")], false),
        ] {
            assert_eq!(origin_is_ours(&headers(&given), &ours), allowed, "{given:?}");
        }
    }

    #[test]
    fn browsers_are_told_by_origin_and_cookies() {
        for (given, browser) in [
            (vec![], false),
            (vec![("cookie", "__cf_bm=1; _cfuvid=2; cf_clearance=3")], false),
            (vec![("cookie", "__cf_bm=1; session=2")], true),
            (vec![("origin", "https://bank.example")], true),
        ] {
            assert_eq!(comes_from_a_browser(&headers(&given)), browser, "{given:?}");
        }
    }
}
