//! Where a browser may be sent when a flow is done. Pure parsing: text goes in, a URL that is safe to redirect to comes out.

use url::Url;

/// Longer texts are refused before they are parsed, and longer URLs after. Browsers and proxies ask for 8 kB of path and query.
const MAX_BYTES: usize = 9 * 1024;

/// Longer URLs are kept, and a short one stands for them. Bytes as a parameter of another URL: there it may be encoded once more, and
/// nginx takes 4 kB for all headers of an answer.
const LONGEST_HANDED_ON: usize = 1024;

/// Where nothing is kept, longer URLs are cut down.
const LONGEST_UNKEPT: usize = 2048;

fn bytes_as_parameter(url: &Url) -> usize {
    url::form_urlencoded::byte_serialize(url.as_str().as_bytes()).map(str::len).sum()
}

/// Whether a URL is too long to be handed from page to page.
pub(crate) fn is_long(url: &Url) -> bool {
    bytes_as_parameter(url) > LONGEST_HANDED_ON
}

/// The URL, or its path alone, or `None`: a browser that returns near the page is better than a proxy's error.
pub(crate) fn cut_down(mut url: Url) -> Option<Url> {
    if bytes_as_parameter(&url) > LONGEST_UNKEPT {
        url.set_query(None);
        url.set_fragment(None);
    }
    (bytes_as_parameter(&url) <= LONGEST_UNKEPT).then_some(url)
}

/// The URL may not be returned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forbidden;

/// The URLs that a browser may return to.
#[derive(Clone, Debug)]
pub(crate) struct ReturnPolicy {
    /// Gives scheme and host to relative URLs.
    base: Url,
    allowed: Vec<Url>,
}

impl ReturnPolicy {
    pub(crate) const fn new(base: Url, allowed: Vec<Url>) -> Self {
        Self { base, allowed }
    }

    /// The normalised absolute URL, if it is an allowed one.
    ///
    /// Refuses, before parsing, whatever browsers and parsers are known to read differently: control characters, blanks,
    /// backslashes, user info, hosts that are not plain ASCII, `//host`. So both see the same host.
    pub(crate) fn parse(&self, text: &str) -> Result<Url, Forbidden> {
        let suspicious = |character: char| character.is_control() || character.is_whitespace() || character == '\\';
        if text.len() > MAX_BYTES || text.chars().any(suspicious) {
            return Err(Forbidden);
        }
        let url = if text.starts_with('/') {
            if text.starts_with("//") {
                return Err(Forbidden);
            }
            self.base.join(text).map_err(|_| Forbidden)?
        } else {
            let (scheme, rest) = text.split_once("://").ok_or(Forbidden)?;
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
            if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) || !authority.bytes().all(plain) {
                return Err(Forbidden);
            }
            Url::parse(text).map_err(|_| Forbidden)?
        };
        // Encoding can triple its length, and every later step checks it again.
        if url.as_str().len() > MAX_BYTES {
            return Err(Forbidden);
        }
        self.check(url)
    }

    /// The same check for a parsed URL, when it is used: the list may have shrunk meanwhile.
    pub(crate) fn check(&self, url: Url) -> Result<Url, Forbidden> {
        let web = matches!(url.scheme(), "https" | "http");
        let anonymous = url.username().is_empty() && url.password().is_none();
        if web && anonymous && self.allowed.iter().any(|allowed| lies_under(&url, allowed)) {
            Ok(url)
        } else {
            Err(Forbidden)
        }
    }

    /// The origins of all allowed URLs, as a content security policy writes them.
    pub(crate) fn origins(&self) -> Vec<String> {
        let mut origins: Vec<_> = self.allowed.iter().map(|url| url.origin().ascii_serialization()).collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }
}

fn lies_under(url: &Url, allowed: &Url) -> bool {
    url.scheme() == allowed.scheme()
        && url.port_or_known_default() == allowed.port_or_known_default()
        && host_matches(url.host_str().unwrap_or_default(), allowed.host_str().unwrap_or_default())
        && path_lies_under(url.path(), allowed.path())
}

fn host_matches(host: &str, allowed: &str) -> bool {
    match allowed.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|label| label.len() > 1 && label.ends_with('.')),
        None => host == allowed,
    }
}

/// Whether the path is this one or below it, by whole segments.
pub(super) fn path_lies_under(path: &str, allowed: &str) -> bool {
    match path.strip_prefix(allowed.trim_end_matches('/')) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// The URL with these parameters as its whole query, sorted by name. Parameters without a value are left out.
pub(crate) fn with_query(mut url: Url, parameters: &[(&str, Option<&str>)]) -> Url {
    let mut parameters: Vec<_> = parameters.iter().filter_map(|&(name, value)| Some((name, value?))).collect();
    parameters.sort_unstable();
    url.set_query(None);
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    url
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(allowed: &[&str]) -> ReturnPolicy {
        ReturnPolicy::new(
            Url::parse("https://bank.example/home").unwrap(),
            allowed.iter().map(|url| Url::parse(url).unwrap()).collect(),
        )
    }

    fn parse(text: &str) -> Option<String> {
        policy(&["https://bank.example"]).parse(text).ok().map(String::from)
    }

    #[test]
    fn our_own_pages_are_allowed_and_normalised() {
        for (text, url) in [
            ("/pay", "https://bank.example/pay"),
            ("/pay?x=1&y=%2F#top", "https://bank.example/pay?x=1&y=%2F#top"),
            ("/a/../pay", "https://bank.example/pay"),
            ("https://bank.example", "https://bank.example/"),
            ("HTTPS://BANK.example:443/Pay", "https://bank.example/Pay"),
            ("/%5cevil.example", "https://bank.example/%5cevil.example"),
            ("/caf\u{e9}", "https://bank.example/caf%C3%A9"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(url), "{text}");
        }
    }

    #[test]
    fn off_site_and_look_alike_urls_are_refused() {
        for text in [
            "",
            "pay",
            "https://evil.example",
            "//evil.example",
            "///evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:bank.example",
            "javascript:alert(1)",
            "JaVaScript\t:alert(1)",
            "javascript://bank.example/%0aalert(1)",
            "data:text/html,x",
            "/\\evil.example",
            "/./\\evil.example",
            "/ /evil.example",
            "/\t/evil.example",
            "/\u{b}/evil.example",
            "/\n/evil.example",
            " https://bank.example",
            "%2f%2fevil.example",
            "https://bank.example@evil.example",
            "https://user@bank.example/",
            "https://bank.example:8443/",
            "http://bank.example/",
            "https://bank\u{3002}example/",
            "https://bank.example\u{ff0f}evil",
            "https://b\u{e4}nk.example/",
            "https://bank%2eexample/",
            "https://bank.example\0.evil/",
            "https://bank.example.evil.com",
            "https://evilbank.example",
            "ftp://bank.example/",
            "/\r\nSet-Cookie:x=1",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        let of_length = |length: usize| format!("https://bank.example/{}", "x".repeat(length - 21));
        assert!(parse(&of_length(MAX_BYTES)).is_some());
        assert_eq!(parse(&of_length(MAX_BYTES + 1)), None);
    }

    /// A stored URL was parsed before, but by another version, perhaps.
    #[test]
    fn a_url_that_was_kept_is_checked_for_itself() {
        let check = |url: &str| policy(&["https://bank.example", "ftp://bank.example"]).check(Url::parse(url).unwrap());
        assert!(check("https://bank.example/pay").is_ok());
        for url in [
            "ftp://bank.example/pay",
            "https://user@bank.example/pay",
            "https://:password@bank.example/pay",
            "https://evil.example/pay",
        ] {
            assert_eq!(check(url), Err(Forbidden), "{url}");
        }
    }

    #[test]
    fn origins_are_those_of_what_is_allowed() {
        let origins =
            policy(&["https://bank.example/a", "https://*.shop.example:8443", "https://bank.example/b"]).origins();
        assert_eq!(origins, ["https://*.shop.example:8443", "https://bank.example"]);
    }

    /// What is accepted goes into the query of the next request, and must be accepted there as well.
    #[test]
    fn a_url_that_is_too_long_once_encoded_is_refused() {
        let fits = format!("/{}", "\u{e9}".repeat(600));
        assert!(parse(&fits).is_some_and(|url| parse(&url).as_ref() == Some(&url)));
        assert_eq!(parse(&format!("/{}", "\u{e9}".repeat(2000))), None);
    }

    #[test]
    fn paths_end_at_segments_and_wildcards_at_labels() {
        let policy = policy(&["https://bank.example/app", "https://*.shop.example/"]);
        for (text, allowed) in [
            ("https://bank.example/app", true),
            ("https://bank.example/app/", true),
            ("https://bank.example/app/x?y", true),
            ("https://bank.example/apple", false),
            ("https://bank.example/app/../admin", false),
            ("https://bank.example/app/%2e%2e/admin", false),
            ("https://bank.example/", false),
            ("https://a.shop.example/x", true),
            ("https://.shop.example/x", false),
            ("https://a.b.shop.example/x", true),
            ("https://shop.example/x", false),
            ("https://evilshop.example/x", false),
        ] {
            assert_eq!(policy.parse(text).is_ok(), allowed, "{text}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded() {
        let url = Url::parse("https://bank.example/x?old=1").unwrap();
        let url = with_query(url, &[("return_to", Some("/a b&c")), ("aal", Some("aal2")), ("refresh", None)]);
        assert_eq!(url.as_str(), "https://bank.example/x?aal=aal2&return_to=%2Fa+b%26c");
        assert_eq!(with_query(url, &[]).as_str(), "https://bank.example/x");
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_on_the_site(text in "(https?:)?[/\\\\ ]{0,3}[a-z@:.%\\\\/?#]{0,20}(bank|evil)?\\.example.{0,10}") {
            if let Some(url) = parse(&text) {
                prop_assert!(url.starts_with("https://bank.example/"), "{}", url);
                prop_assert!(http::HeaderValue::from_str(&url).is_ok());
            }
        }

        #[test]
        fn parsing_again_changes_nothing(path in "/[a-zA-Z0-9%./?=&_-]{0,60}") {
            if let Some(url) = parse(&path) {
                prop_assert_eq!(parse(&url), Some(url.clone()));
            }
        }
    }
}
