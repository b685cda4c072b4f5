//! HTTP headers: who may cache a response, what it depends on, and which kind of response a client wants.

pub(crate) mod negotiation;

use http::{
    HeaderMap, HeaderValue,
    header::{self, Entry},
};

/// For every response that depends on a session: no cache may keep it.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-cache, no-store, must-revalidate");

/// The request headers that a response may depend on.
pub(crate) const VARY: HeaderValue = HeaderValue::from_static(
    "Cookie, Authorization, X-Session-Token, Accept, HX-Request, X-Requested-With, Sec-Fetch-Mode, Sec-Fetch-Dest, \
     Sec-Fetch-Site",
);

/// Forbids a browser to take the body for anything but its `Content-Type` (ASVS 5.0 clause 3.4.4).
pub(crate) fn never_sniff(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Marks a response as depending on a session, unless it is marked already.
pub(crate) fn forbid_storing(headers: &mut HeaderMap) {
    // Few responses set these headers themselves. For the others, each header is looked up once.
    if let Entry::Vacant(none) = headers.entry(header::CACHE_CONTROL) {
        none.insert(NO_STORE);
    } else {
        let directives = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        let unstored =
            directives.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case("no-store"));
        if !unstored {
            headers.insert(header::CACHE_CONTROL, NO_STORE);
        }
    }
    add_vary(headers);
}

/// Adds to `Vary` what is missing.
pub(crate) fn add_vary(headers: &mut HeaderMap) {
    if let Entry::Vacant(none) = headers.entry(header::VARY) {
        none.insert(VARY);
        return;
    }
    let present = |name: &str| {
        let values = headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim() == "*" || one.trim().eq_ignore_ascii_case(name))
    };
    let names = VARY;
    let missing: Vec<_> = names.to_str().unwrap_or_default().split(", ").filter(|name| !present(name)).collect();
    if !missing.is_empty()
        && let Ok(missing) = HeaderValue::try_from(missing.join(", "))
    {
        headers.append(header::VARY, missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn an_answer_is_kept_by_nobody() {
        for (given, kept) in [
            (&[][..], false),
            (&[("cache-control", "public, max-age=60")], false),
            (&[("cache-control", "no-cache")], false),
            (&[("cache-control", "x-no-store")], false),
            (&[("cache-control", "no-store")], true),
            (&[("cache-control", "private"), ("cache-control", "max-age=0, NO-STORE")], true),
        ] {
            let mut marked = headers(given);
            let before = marked.clone();
            forbid_storing(&mut marked);
            if kept {
                assert_eq!(values(&marked, "cache-control"), values(&before, "cache-control"));
            } else {
                assert_eq!(values(&marked, "cache-control"), [NO_STORE]);
            }
        }
    }

    #[test]
    fn vary_is_completed_without_repetition() {
        const ALL: &str = "Cookie, Authorization, X-Session-Token, Accept, HX-Request, X-Requested-With, Sec-Fetch-Mode, \
                           Sec-Fetch-Dest, Sec-Fetch-Site";
        for (given, expected) in [
            (&[][..], &[ALL][..]),
            (&[("vary", "Origin")], &["Origin", ALL]),
            (&[("vary", "*")], &["*"]),
            (&[("vary", ALL)], &[ALL]),
            (
                &[("vary", "origin, COOKIE"), ("vary", "accept")],
                &[
                    "origin, COOKIE",
                    "accept",
                    "Authorization, X-Session-Token, HX-Request, X-Requested-With, Sec-Fetch-Mode, Sec-Fetch-Dest, \
                     Sec-Fetch-Site",
                ],
            ),
        ] {
            let mut headers = headers(given);
            for _again in 0..2 {
                add_vary(&mut headers);
                assert_eq!(values(&headers, "vary"), expected);
            }
        }
    }
}
