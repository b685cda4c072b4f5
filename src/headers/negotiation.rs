//! Which clients want JSON, which want a page, and which can show neither. Pure functions of the request's head.
//!
//! Browsers say what they ask for in Fetch Metadata, which no script can set: only a navigation to a document wants a page. Without it,
//! the other headers and the method decide.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// htmx sets it to `true` on every request.
pub(crate) const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// What announces a prefetch: the standard's header, and those that browsers sent before it.
const PREFETCH: [(HeaderName, &str); 4] = [
    (HeaderName::from_static("sec-purpose"), "prefetch"),
    (HeaderName::from_static("purpose"), "prefetch"),
    (HeaderName::from_static("x-moz"), "prefetch"),
    (HeaderName::from_static("x-purpose"), "preview"),
];

/// The destinations that show a page.
const DOCUMENTS: [&str; 5] = ["document", "iframe", "frame", "embed", "object"];

/// What a browser says that it asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fetch {
    /// A page to show.
    Document,
    /// Something for a script.
    Script,
    /// An image, a stylesheet, a WebSocket and the like.
    Other,
}

impl Fetch {
    /// `None` without Fetch Metadata: an old browser, or a program.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let (mode, dest) = (headers.get(SEC_FETCH_MODE), headers.get(SEC_FETCH_DEST));
        let navigates = mode.is_none_or(|mode| mode == "navigate");
        let mut documents = DOCUMENTS.iter();
        Some(match (mode, dest) {
            (None, None) => return None,
            (_, None) if navigates => Self::Document,
            (_, Some(dest)) if navigates && documents.any(|document| dest == document) => Self::Document,
            (_, None) => Self::Script,
            (_, Some(dest)) if dest == "empty" => Self::Script,
            _ => Self::Other,
        })
    }
}

/// A media range of `Accept` with its weight in thousandths.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    weight: u32,
}

impl Range<'_> {
    /// How exactly the range names this type: 2 exactly, 1 by `type/*`, 0 by `*/*`; `None` not at all.
    fn specificity(&self, kind: &str, subtype: &str) -> Option<u8> {
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(1),
            (own, own_subtype) if own.eq_ignore_ascii_case(kind) && own_subtype.eq_ignore_ascii_case(subtype) => {
                Some(2)
            }
            _ => None,
        }
    }

    /// How exactly the range names an offer. Every media type that is written in JSON names that offer exactly.
    fn names(&self, offer: Offer) -> Option<u8> {
        if offer == JSON && is_json(self.kind, self.subtype) { Some(2) } else { self.specificity(offer.0, offer.1) }
    }
}

/// Whether the media type is JSON, by its name or by its suffix (RFC 6839 section 3.1).
fn is_json(kind: &str, subtype: &str) -> bool {
    let suffix = subtype.len().checked_sub("+json".len()).and_then(|at| subtype.get(at..));
    kind.eq_ignore_ascii_case("application")
        && (subtype.eq_ignore_ascii_case("json") || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json")))
}

/// The ranges of all `Accept` headers. Unreadable ones are ignored. Each question about them is asked of all, so they are read once.
fn ranges(headers: &HeaderMap) -> Vec<Range<'_>> {
    let ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let (kind, subtype) = parts.next()?.split_once('/')?;
            let weight = weight(parts)?;
            Some(Range { kind: kind.trim(), subtype: subtype.trim(), weight })
        });
    ranges.collect()
}

/// The weight that these parameters say, in thousandths: all of it if they say none; `None` if it cannot be read.
pub(crate) fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> Option<u32> {
    let said = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()))
    });
    said.unwrap_or(Some(1000))
}

/// RFC 9110 section 12.4.2: `0`, `1`, or one of these with up to three decimals.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" if digits && decimals.bytes().all(|byte| byte == b'0') => Some(1000),
        "0" if digits => format!("{decimals:0<3}").parse().ok(),
        _ => None,
    }
}

/// An offer the server makes: a type to answer with.
type Offer = (&'static str, &'static str);

const HTML: Offer = ("text", "html");
const XHTML: Offer = ("application", "xhtml+xml");
const JSON: Offer = ("application", "json");

/// How exactly `Accept` names the offer, and with which weight. The most specific range decides (RFC 9110 section 12.5.1).
fn weight_of(ranges: &[Range<'_>], offer: Offer) -> Option<(u8, u32)> {
    ranges.iter().filter_map(|range| Some((range.names(offer)?, range.weight))).max()
}

/// Whether `Accept` has ranges, and none of the offers is among them.
fn accepts_none_of(ranges: &[Range<'_>], offers: &[Offer]) -> bool {
    ranges.iter().any(|range| range.weight > 0)
        && !offers.iter().any(|&offer| weight_of(ranges, offer).is_some_and(|(_, weight)| weight > 0))
}

/// The index of the offer that suits best: highest weight, then the most specific range, then the earlier offer.
fn best(ranges: &[Range<'_>], offers: &[Offer]) -> Option<usize> {
    let mut winner: Option<(u32, u8, usize)> = None;
    for (index, &offer) in offers.iter().enumerate() {
        if let Some((specificity, weight)) = weight_of(ranges, offer)
            && weight > 0
            && winner.is_none_or(|(best_weight, best_specificity, _)| {
                (weight, specificity) > (best_weight, best_specificity)
            })
        {
            winner = Some((weight, specificity, index));
        }
    }
    winner.map(|(_, _, index)| index)
}

/// N1, for a flow that begins: whether the client wants it in JSON. Without Fetch Metadata, `Accept` alone decides.
pub(crate) fn init_wants_json(headers: &HeaderMap) -> bool {
    let ranges = ranges(headers);
    says_what_it_is(headers, &ranges).unwrap_or_else(|| best(&ranges, &[HTML, JSON]) == Some(1))
}

/// N2, for everything else. Without Fetch Metadata: `Accept` prefers JSON, or the body is JSON, or problem details are asked for.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    let ranges = ranges(headers);
    says_what_it_is(headers, &ranges).unwrap_or_else(|| {
        // The offers text/* and */* mean "any page": a client that asks for them gets HTML.
        best(&ranges, &[HTML, ("text", "*"), ("*", "*"), JSON]) == Some(3)
            || has_json_body(headers)
            || any_is_problem_json(&ranges)
    })
}

/// Whether a client cannot show a page, where it says so; `Some(false)`: a browser that navigates.
fn says_what_it_is(headers: &HeaderMap, ranges: &[Range<'_>]) -> Option<bool> {
    match Fetch::of(headers) {
        Some(fetch) => Some(fetch != Fetch::Document),
        None if is_script(headers) || is_websocket(headers) || accepts_none_of(ranges, &[HTML, XHTML]) => Some(true),
        None => None,
    }
}

/// Whether a browser navigates to a page, and can be redirected. Links and forms know two methods; programs also ask with `HEAD`.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::POST) && !is_htmx(headers) && !wants_json(headers)
}

/// Whether a browser asks for something in the background of a page, and says so. Programs with a `fetch` of their own have no page: they
/// send `Sec-Fetch-Mode`, but no destination.
pub(crate) fn is_in_the_background(headers: &HeaderMap) -> bool {
    match Fetch::of(headers) {
        Some(fetch) => fetch != Fetch::Document && headers.contains_key(SEC_FETCH_DEST),
        None => is_script(headers),
    }
}

/// Whether the client can show a form: as a page, or as JSON that a script draws. An image or a stream of events cannot.
pub(crate) fn can_show_a_form(headers: &HeaderMap) -> bool {
    match Fetch::of(headers) {
        Some(Fetch::Document) => true,
        Some(Fetch::Other) => false,
        Some(Fetch::Script) | None => {
            !is_websocket(headers) && !accepts_none_of(&ranges(headers), &[HTML, XHTML, JSON])
        }
    }
}

/// Whether a browser asks before the user does. Perhaps nobody ever sees the answer.
pub(crate) fn is_prefetch(headers: &HeaderMap) -> bool {
    // `Sec-Purpose` may have parameters, such as `prefetch;prerender`.
    let begins = |value: &HeaderValue, text: &str| {
        let value = value.as_bytes().split(|byte| matches!(byte, b';' | b',')).next().unwrap_or_default();
        value.trim_ascii().eq_ignore_ascii_case(text.as_bytes())
    };
    PREFETCH.iter().any(|(name, text)| headers.get_all(name).iter().any(|value| begins(value, text)))
}

/// Whether a script says that it made the request. Other values are no sign: web views of Android send the name of their application.
fn is_script(headers: &HeaderMap) -> bool {
    headers.get(X_REQUESTED_WITH).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"XMLHttpRequest"))
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let upgrades = headers.get_all(header::UPGRADE).iter().filter_map(|value| value.to_str().ok());
    upgrades.flat_map(|value| value.split(',')).any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// Whether the request's body is written in JSON.
fn has_json_body(headers: &HeaderMap) -> bool {
    media_type(headers).and_then(|media_type| media_type.split_once('/')).is_some_and(|(kind, sub)| is_json(kind, sub))
}

/// The media type of the request's body, without its parameters.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    Some(headers.get(header::CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim())
}

/// Whether the request's body has this media type, whatever its parameters.
pub(crate) fn has_media_type(headers: &HeaderMap, media_type: &str) -> bool {
    self::media_type(headers).is_some_and(|own| own.eq_ignore_ascii_case(media_type))
}

/// Whether `Accept` names RFC 9457 problem details.
pub(crate) fn names_problem_json(headers: &HeaderMap) -> bool {
    any_is_problem_json(&ranges(headers))
}

fn any_is_problem_json(ranges: &[Range<'_>]) -> bool {
    ranges.iter().any(|range| range.weight > 0 && range.specificity("application", "problem+json") == Some(2))
}

/// Whether htmx made the request.
pub(crate) fn is_htmx(headers: &HeaderMap) -> bool {
    headers.get(HX_REQUEST).is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(accept: &str, content_type: &str) -> HeaderMap {
        let pairs = [(header::ACCEPT, accept), (header::CONTENT_TYPE, content_type)];
        pairs
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_two_tests_of_the_wire_contract() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (accept, content_type, n1, n2) in [
            ("", "", false, false),
            ("*/*", "", false, false),
            (browser, "", false, false),
            ("text/html, application/json", "", false, false),
            ("application/json, text/html", "", false, false),
            ("application/json", "", true, true),
            ("application/json, text/plain, */*", "", true, true),
            ("*/*", "application/json", false, true),
            ("*/*", "application/json; charset=utf-8", false, true),
            ("*/*", "application/x-www-form-urlencoded", false, false),
            ("text/html;q=0.5, application/json", "", true, true),
            ("text/html, application/json;q=0.9", "", false, false),
            ("application/json;q=0", "", false, false),
            ("application/json;q=0, */*", "", false, false),
            ("text/html;q=0, */*", "", true, false),
            ("application/*", "", true, true),
            ("text/plain", "", true, true),
            ("text/event-stream", "", true, true),
            ("image/webp,image/*", "", true, true),
            ("image/webp,*/*;q=0.8", "", false, false),
            ("application/problem+json", "", true, true),
            ("application/vnd.api+json", "", true, true),
            ("application/vnd.api+JSON;ext=\"x\", */*;q=0.1", "", true, true),
            ("text/html, application/vnd.api+json", "", false, false),
            ("application/xhtml+xml", "", false, false),
            ("*/*", "application/vnd.api+json", false, true),
            ("nonsense", "", false, false),
            ("application/json;q=1.5", "", false, false),
            ("APPLICATION/JSON", "", true, true),
        ] {
            let headers = headers(accept, content_type);
            assert_eq!((init_wants_json(&headers), wants_json(&headers)), (n1, n2), "{accept} | {content_type}");
        }
    }

    fn of(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    const ANY: (&str, &str) = ("accept", "*/*");

    /// What each request is: does a browser navigate, and can it show a form?
    #[test]
    fn a_browser_says_what_it_asks_for() {
        let (mode, dest) = (|mode| ("sec-fetch-mode", mode), |dest| ("sec-fetch-dest", dest));
        for (given, navigates, shows) in [
            (vec![mode("navigate"), dest("document"), PAGE], true, true),
            // Whatever it accepts.
            (vec![mode("navigate"), dest("document"), ("accept", "application/json")], true, true),
            (vec![mode("navigate"), dest("iframe")], true, true),
            (vec![mode("navigate")], true, true),
            (vec![dest("document")], true, true),
            (vec![mode("cors"), dest("empty"), ANY], false, true),
            (vec![mode("same-origin"), dest("empty"), PAGE], false, true),
            (vec![mode("navigate"), dest("empty"), PAGE], false, true),
            (vec![dest("empty"), ANY], false, true),
            // Some programs send only this.
            (vec![mode("cors")], false, true),
            (vec![mode("cors"), dest("empty"), ("accept", "text/event-stream")], false, false),
            (vec![mode("no-cors"), dest("image"), ("accept", "image/avif,image/webp,*/*;q=0.8")], false, false),
            (vec![mode("no-cors"), dest("script"), ANY], false, false),
            (vec![mode("cors"), dest("document"), PAGE], false, false),
            (vec![mode("websocket"), dest("websocket"), ("upgrade", "websocket")], false, false),
            (vec![mode("something-new"), dest("something-new"), PAGE], false, false),
        ] {
            let headers = of(&given);
            assert_eq!(is_navigation(&Method::GET, &headers), navigates, "{given:?}");
            assert_eq!((init_wants_json(&headers), wants_json(&headers)), (!navigates, !navigates), "{given:?}");
            let of_a_page = !navigates && given.iter().any(|(name, _)| *name == "sec-fetch-dest");
            assert_eq!(is_in_the_background(&headers), of_a_page, "{given:?}");
            assert_eq!(can_show_a_form(&headers), shows, "{given:?}");
        }
    }

    #[test]
    fn without_fetch_metadata_the_other_headers_and_the_method_tell() {
        for (method, given, navigates, shows) in [
            (Method::GET, vec![], true, true),
            (Method::GET, vec![ANY], true, true),
            (Method::HEAD, vec![PAGE], true, true),
            (Method::POST, vec![PAGE, ("content-type", "application/x-www-form-urlencoded")], true, true),
            (Method::PUT, vec![PAGE], false, true),
            (Method::DELETE, vec![], false, true),
            (Method::OPTIONS, vec![ANY], false, true),
            (Method::CONNECT, vec![], false, true),
            (Method::GET, vec![ANY, ("x-requested-with", "XMLHttpRequest")], false, true),
            (Method::GET, vec![PAGE, ("x-requested-with", "xmlhttprequest")], false, true),
            (Method::GET, vec![PAGE, ("x-requested-with", "com.example.browser")], true, true),
            (Method::GET, vec![("upgrade", "websocket")], false, false),
            (Method::GET, vec![ANY, ("upgrade", "h2c, WebSocket")], false, false),
            (Method::GET, vec![PAGE, ("upgrade", "h2c")], true, true),
            (Method::GET, vec![("accept", "text/event-stream")], false, false),
            (Method::GET, vec![("accept", "application/vnd.api+json")], false, true),
            (Method::GET, vec![PAGE, ("hx-request", "true")], false, true),
        ] {
            let headers = of(&given);
            assert_eq!(is_navigation(&method, &headers), navigates, "{method} {given:?}");
            assert_eq!(can_show_a_form(&headers), shows, "{method} {given:?}");
        }
    }

    #[test]
    fn prefetches_are_told_by_the_headers_of_all_browsers() {
        for (name, value, prefetch) in [
            ("sec-purpose", "prefetch", true),
            ("sec-purpose", "prefetch;prerender", true),
            ("sec-purpose", "prefetch;anonymous-client-ip", true),
            ("purpose", "prefetch", true),
            ("x-moz", "prefetch", true),
            ("x-purpose", "preview", true),
            ("sec-purpose", "prefetched", false),
            ("sec-purpose", "", false),
            ("purpose", "preview", false),
        ] {
            assert_eq!(is_prefetch(&of(&[(name, value)])), prefetch, "{name}: {value}");
        }
        assert!(!is_prefetch(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn any_accept_is_read_without_a_panic(accept in "[ -~]{0,60}") {
            let headers = headers(&accept, &accept);
            let _ = (init_wants_json(&headers), wants_json(&headers), names_problem_json(&headers));
            let _ = (can_show_a_form(&headers), is_prefetch(&headers), is_in_the_background(&headers));
        }
    }
}
