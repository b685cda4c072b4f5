//! What a client sees of a refusal. One place knows every kind of client: browsers, SPAs, htmx pages, API clients.
//!
//! | client | told by | gets |
//! |---|---|---|
//! | browser | none of the below | 303 to the page where it can do something about it |
//! | SPA, native client | `Accept`, `Content-Type`, or a token in `X-Session-Token` | 401, 403 or 503 with Ory's envelope |
//! | API client | a token in `Authorization: Bearer` | the envelope, and the challenge of RFC 9470 |
//! | htmx | `HX-Request: true` | the envelope, and `HX-Redirect` |
//!
//! It decides nothing: what is refused, and why, comes from `requirement`.

pub(crate) mod bearer;
mod envelope;
mod htmx;
mod json;
pub(crate) mod negotiation;
mod redirect;
mod rejection;

use http::{
    HeaderMap, HeaderValue,
    header::{self, Entry},
};
use url::Url;

pub(crate) use self::{envelope::Envelope, rejection::Rejection};
use crate::{
    context::{Denied, SessionContext},
    requirement::Shortfall,
};

/// For every answer that depends on a session: nobody keeps it.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-cache, no-store, must-revalidate");

/// The request headers that an answer may depend on.
pub(crate) const VARY: HeaderValue =
    HeaderValue::from_static("Cookie, Authorization, X-Session-Token, Accept, HX-Request");

/// The answer of a gate of our own router, which has 403 for all clients, as Ory's has. A browser that goes on from there comes back
/// to `return_to`.
pub(crate) fn gate(shortfall: &Shortfall, context: &SessionContext, return_to: Option<&Url>) -> Envelope {
    let denied = Denied::Shortfall(*shortfall);
    let destination = redirect::destination(context, denied, return_to);
    challenged(json::envelope(denied, destination.as_ref()), context, *shortfall)
}

/// An envelope of our own router with what an API client must do about the shortfall.
pub(crate) fn challenged(envelope: Envelope, context: &SessionContext, shortfall: Shortfall) -> Envelope {
    bearer::challenge(envelope, context, Denied::Shortfall(shortfall))
}

/// Marks an answer that depends on a session, unless it is marked so already.
pub(crate) fn keep_private(headers: &mut HeaderMap) {
    // Hardly any answer says something of its own; for those that do not, each header is looked up once.
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
    vary(headers);
}

/// Adds to `Vary` what is not there yet.
pub(crate) fn vary(headers: &mut HeaderMap) {
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
            keep_private(&mut marked);
            if kept {
                assert_eq!(values(&marked, "cache-control"), values(&before, "cache-control"));
            } else {
                assert_eq!(values(&marked, "cache-control"), [NO_STORE]);
            }
        }
    }

    #[test]
    fn vary_is_completed_without_repetition() {
        const ALL: &str = "Cookie, Authorization, X-Session-Token, Accept, HX-Request";
        for (given, expected) in [
            (&[][..], &[ALL][..]),
            (&[("vary", "Origin")], &["Origin", ALL]),
            (&[("vary", "*")], &["*"]),
            (&[("vary", ALL)], &[ALL]),
            (
                &[("vary", "origin, COOKIE"), ("vary", "accept")],
                &["origin, COOKIE", "accept", "Authorization, X-Session-Token, HX-Request"],
            ),
        ] {
            let mut headers = headers(given);
            for _again in 0..2 {
                vary(&mut headers);
                assert_eq!(values(&headers, "vary"), expected);
            }
        }
    }
}
