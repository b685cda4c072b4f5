//! Which clients want JSON and which want a page, by the two tests of the wire contract. Pure functions of the request's headers.

use http::{HeaderMap, HeaderName, header};

/// htmx sets it to `true` on every request.
pub(crate) const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

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
}

/// The ranges of all `Accept` headers. Unreadable ones are ignored.
fn ranges(headers: &HeaderMap) -> impl Iterator<Item = Range<'_>> {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let (kind, subtype) = parts.next()?.split_once('/')?;
            let weight = parts
                .find_map(|parameter| {
                    let (name, value) = parameter.split_once('=')?;
                    name.trim().eq_ignore_ascii_case("q").then(|| weight(value.trim()))
                })
                .unwrap_or(Some(1000))?;
            Some(Range { kind: kind.trim(), subtype: subtype.trim(), weight })
        })
}

/// RFC 9110 section 12.4.2: `0`, `1`, or one of these with up to three decimals.
fn weight(text: &str) -> Option<u32> {
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
const JSON: Offer = ("application", "json");

/// The index of the offer that suits best: highest weight, then the most specific range, then the earlier offer.
fn best(headers: &HeaderMap, offers: &[Offer]) -> Option<usize> {
    let mut winner: Option<(u32, u8, usize)> = None;
    for (index, (kind, subtype)) in offers.iter().enumerate() {
        // The most specific range that matches decides the weight of an offer (RFC 9110 section 12.5.1).
        let matching = ranges(headers)
            .filter_map(|range| range.specificity(kind, subtype).map(|specificity| (specificity, range.weight)))
            .max();
        if let Some((specificity, weight)) = matching
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

/// N1, for a flow that begins: whether `Accept` alone prefers JSON to HTML.
pub(crate) fn init_wants_json(headers: &HeaderMap) -> bool {
    best(headers, &[HTML, JSON]) == Some(1)
}

/// N2, for everything else: `Accept` prefers JSON, or the body is JSON, or problem details are asked for.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    // The offers text/* and */* mean "any page": a client that asks for them gets HTML.
    best(headers, &[HTML, ("text", "*"), ("*", "*"), JSON]) == Some(3)
        || has_media_type(headers, "application/json")
        || names_problem_json(headers)
}

/// Whether the request's body has this media type, whatever its parameters.
pub(crate) fn has_media_type(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(media_type))
}

/// Whether `Accept` names RFC 9457 problem details.
pub(crate) fn names_problem_json(headers: &HeaderMap) -> bool {
    ranges(headers).any(|range| range.weight > 0 && range.specificity("application", "problem+json") == Some(2))
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
            ("text/plain", "", false, false),
            ("application/problem+json", "", false, true),
            ("nonsense", "", false, false),
            ("application/json;q=1.5", "", false, false),
            ("APPLICATION/JSON", "", true, true),
        ] {
            let headers = headers(accept, content_type);
            assert_eq!((init_wants_json(&headers), wants_json(&headers)), (n1, n2), "{accept} | {content_type}");
        }
    }

    proptest! {
        #[test]
        fn any_accept_is_read_without_a_panic(accept in "[ -~]{0,60}") {
            let headers = headers(&accept, &accept);
            let _ = (init_wants_json(&headers), wants_json(&headers), names_problem_json(&headers));
        }
    }
}
