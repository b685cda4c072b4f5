use url::Url;

use crate::urls::return_to::ReturnPolicy;

/// Base and allowed URLs: a whole site; one path of it; a wildcard and another port.
const POLICIES: [(&str, &[&str]); 4] = [
    ("https://bank.example/", &["https://bank.example/"]),
    ("https://bank.example/app/", &["https://bank.example/app", "https://bank.example/self-service/ui/"]),
    ("https://bank.example/home", &["https://*.shop.example/to/pay", "https://bank.example:8443/"]),
    ("http://127.0.0.1:3000/", &["http://127.0.0.1:3000/", "http://[::1]:3000/x/y"]),
];

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// Scheme, host, port and path of an absolute URL, split by hand, not by the parser under test.
fn parts(url: &str) -> (&str, &str, &str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let path = path.split(['?', '#']).next().unwrap();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (authority, ""),
    };
    (scheme, host, port, path)
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

fn lies_under(found: &str, allowed: &str) -> bool {
    let (found, allowed) = (parts(found), parts(allowed));
    let host = match allowed.1.strip_prefix("*") {
        Some(parent) => found.1.len() > parent.len() && found.1.ends_with(parent) && !found.1.starts_with('.'),
        None => found.1 == allowed.1,
    };
    let path = if segments(allowed.3).is_empty() {
        true
    } else {
        // By whole segments from the start: an empty first segment makes another path.
        found.3.starts_with(&format!("/{}", segments(allowed.3)[0]))
            && segments(found.3).starts_with(&segments(allowed.3))
    };
    host && path && found.0 == allowed.0 && found.2 == allowed.2
}

/// `return_to` in a query or a configuration: the first byte picks what is allowed, the rest is the URL.
///
/// An accepted URL is under an allowed one by whole labels and segments, is plain ASCII that any header can carry, and is accepted again
/// unchanged. A URL in a query is judged after decoding.
pub fn return_to(data: &[u8]) {
    let Some((&which, rest)) = data.split_first() else { return };
    let (base, allowed) = POLICIES[usize::from(which) % POLICIES.len()];
    let policy = ReturnPolicy::new(url(base), allowed.iter().map(|text| url(text)).collect());
    let text = String::from_utf8_lossy(rest);
    if let Ok(accepted) = policy.parse(&text) {
        let accepted = accepted.as_str();
        assert!(accepted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{accepted:?}");
        assert!(allowed.iter().any(|allowed| lies_under(accepted, allowed)), "{accepted:?} of {text:?}");
        let (_, host, _, path) = parts(accepted);
        assert!(!host.contains('@') && !path.split('/').any(|segment| matches!(segment, "." | "..")), "{accepted:?}");
        assert_eq!(policy.parse(accepted).as_ref().map(Url::as_str), Ok(accepted), "of {text:?}");
        // Nothing is lost: a relative URL keeps its path, an absolute one its host.
        assert_eq!(text.contains('#'), accepted.contains('#'), "{accepted:?} of {text:?}");
    }
    #[cfg(feature = "axum")]
    in_a_query(rest);
}

#[cfg(feature = "axum")]
fn in_a_query(text: &[u8]) {
    use std::cell::OnceCell;

    use crate::{routes::query::Query, step_up::StepUp};

    thread_local!(static STEP_UP: OnceCell<StepUp> = const { OnceCell::new() });
    STEP_UP.with(|step_up| {
        let step_up = step_up.get_or_init(|| super::world::builder().build().unwrap());
        let engine = step_up.engine();
        let encoded: String = url::form_urlencoded::byte_serialize(text).collect();
        let read = |query: &str| {
            let uri = format!("/?return_to={query}").parse().ok()?;
            Some(Query::of(&uri).return_to(engine).ok().flatten())
        };
        let direct = std::str::from_utf8(text).ok().filter(|text| !text.contains('\u{fffd}'));
        let direct = direct.and_then(|text| engine.urls.return_policy.parse(text).ok());
        // A URI cannot be longer than 64 KiB.
        if let Some(read) = read(&encoded) {
            assert_eq!(read, direct, "the query says something else");
        }
        // Unencoded, it may still be a query. Then an accepted URL is just as safe.
        if let Some(Some(accepted)) = std::str::from_utf8(text).ok().and_then(read) {
            assert!(accepted.as_str().starts_with("https://bank.example/"), "{accepted}");
        }
    });
}

#[cfg(test)]
pub(super) const FRAGMENTS: &[&[u8]] = &[
    b"0",
    b"1",
    b"2",
    b"3",
    b"https://",
    b"http://",
    b"HTTPS://",
    b"bank.example",
    b"a.shop.example",
    b"127.0.0.1",
    b"[::1]",
    b":8443",
    b":443",
    b":3000",
    b"/",
    b"//",
    b"/app",
    b"/to/pay",
    b"/x/y",
    b"/..",
    b"/%2e%2e",
    b"/.",
    b"%2f",
    b"%5c",
    b"\\",
    b"@",
    b"?",
    b"#",
    b"&",
    b"=",
    b"evil.example",
    b"evil",
    b".",
    b" ",
    b"\t",
    b"\n",
    b"\0",
    b"%00",
    b"%0d%0a",
    b"\xc3\xa9",
    b"\xe3\x80\x82",
    b"\xef\xbc\x8f",
    b"xn--",
    b"x",
];
