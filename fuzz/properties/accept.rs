use http::{HeaderMap, HeaderValue, header};

use crate::headers::negotiation::{init_wants_json, names_problem_json, wants_json};

/// The outcome of all three checks for these `Accept` headers.
fn decide(values: &[HeaderValue], content_type: Option<&HeaderValue>) -> (bool, bool, bool) {
    let mut headers: HeaderMap = values.iter().map(|value| (header::ACCEPT, value.clone())).collect();
    if let Some(value) = content_type {
        headers.insert(header::CONTENT_TYPE, value.clone());
    }
    (init_wants_json(&headers), wants_json(&headers), names_problem_json(&headers))
}

fn each(values: &[HeaderValue], change: impl Fn(&str) -> String) -> Vec<HeaderValue> {
    values
        .iter()
        .map(|value| value.to_str().map_or_else(|_| value.clone(), |text| change(text).parse().unwrap()))
        .collect()
}

/// Negotiation by `Accept`. Each line is one header; a line that begins with `:` is the `Content-Type`.
///
/// The outcome depends neither on the order of the ranges, nor on their distribution over headers, nor on case or blanks. A client that
/// names HTML gets it at equal weight. A client that names a page and no JSON gets no JSON.
pub fn accept(data: &[u8]) {
    let lines = data.split(|&byte| byte == b'\n');
    let (types, ranges): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with(b":"));
    let content_type = types.first().and_then(|line| HeaderValue::from_bytes(&line[1..]).ok());
    let content_type = content_type.as_ref();
    let values: Vec<_> = ranges.into_iter().filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let outcome = decide(&values, content_type);

    let mut backwards = each(&values, |text| text.rsplit(',').collect::<Vec<_>>().join(","));
    backwards.reverse();
    assert_eq!(decide(&backwards, content_type), outcome, "the order matters");

    // RFC 9110 section 5.3: several headers of a name are one list. Headers that are not text do not count.
    let texts: Vec<_> = values.iter().filter_map(|value| value.to_str().ok()).collect();
    let joined: HeaderValue = texts.join(", ").parse().unwrap();
    assert_eq!(decide(&[joined], content_type), outcome, "it matters how the list is spread");

    for changed in [
        each(&values, str::to_ascii_uppercase),
        each(&values, str::to_ascii_lowercase),
        each(&values, |text| text.replace(',', " , ").replace(';', "\t;  ")),
    ] {
        assert_eq!(decide(&changed, content_type), outcome, "case or blanks matter");
    }

    let (begins_as_json, wants, problem) = outcome;
    let all = texts.join(",").to_ascii_lowercase();
    // A weight may forbid HTML. Then any other type will do.
    if !all.contains(';') {
        let of_json = |range: &str| range.split_once('/').is_some_and(|(kind, _)| kind.trim() == "application");
        let of_page = |range: &str| matches!(range.trim(), "text/html" | "text/*" | "*/*");
        assert!(!begins_as_json || all.split(',').any(of_json) || !all.split(',').any(of_page), "JSON for {all:?}");
    }
    assert!(!problem || all.contains("problem+json"), "problem details for {all:?}");
    assert!(!problem || wants, "problem details are JSON");
    let mut with_html = values;
    with_html.push(HeaderValue::from_static("text/html"));
    assert!(!decide(&with_html, content_type).0, "a page was named and not given");
}

#[cfg(test)]
pub(super) const FRAGMENTS: &[&[u8]] = &[
    b"application/json",
    b"text/html",
    b"*/*",
    b"text/*",
    b"application/*",
    b"application/problem+json",
    b",",
    b", ",
    b";",
    b";q=",
    b"; Q = ",
    b"0",
    b"0.5",
    b"1.000",
    b"0.001",
    b"\n",
    b":application/json\n",
    b"application",
    b"/",
    b" ",
    b"=",
    b"\"",
    b"\xe9",
];
