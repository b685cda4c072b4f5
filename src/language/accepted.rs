//! The languages that a browser asks for.

use http::{HeaderMap, header};

use crate::headers::negotiation::weight;

/// More than any browser sends.
const MOST: usize = 32;

/// The language tags of `Accept-Language`, those that are liked best first. What cannot be read is left out (RFC 9110 section 12.5.4).
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(|value| value.split(',')).take(MOST);
    let mut liked: Vec<(u32, &str)> = ranges
        .filter_map(|range| {
            let mut parts = range.split(';');
            let tag = parts.next()?.trim();
            let liked = weight(parts)?;
            (liked > 0).then_some((liked, tag))
        })
        .collect();
    // Of those that are liked as much, the first stays first.
    liked.sort_by_key(|(liked, _)| std::cmp::Reverse(*liked));
    liked.into_iter().map(|(_, tag)| tag).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT_LANGUAGE, HeaderValue::from_str(value).unwrap());
        }
        accepted(&headers).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_liked_best_comes_first() {
        for (values, expected) in [
            (&["de-AT,de;q=0.9,en;q=0.8"][..], &["de-AT", "de", "en"][..]),
            (&["en;q=0.5, de"], &["de", "en"]),
            (&["en;q=0.5", "de;q=0.7"], &["de", "en"]),
            (&["fr;q=0, de ; Q=0.3"], &["de"]),
            (&["en;q=2, de;q=x, fr;q=0.1"], &["fr"]),
            (&["*"], &["*"]),
            (&[], &[]),
        ] {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read(value in "[ -~]{0,80}") {
            let tags = of(&[&value]);
            prop_assert!(tags.iter().all(|tag| value.contains(tag.as_str())));
        }
    }
}
