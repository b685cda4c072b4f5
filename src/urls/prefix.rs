//! The path of the public URL, which a proxy in front may take away from requests.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use url::{ParseError, Url};

use super::return_to::path_lies_under;

/// The path below which browsers see the application.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    /// Without a slash at its end, so empty if the application is at the root.
    path: String,
    /// Whether a proxy takes it away; `None` if the application has not said so.
    stripped: Option<bool>,
    guessed: Arc<AtomicBool>,
}

impl Prefix {
    pub(super) fn new(public: &Url, stripped: Option<bool>) -> Self {
        let path = public.path().trim_end_matches('/').to_owned();
        Self { path, stripped, guessed: Arc::default() }
    }

    /// The path and query as the browser sees them.
    ///
    /// `nested` says that the application itself took a prefix from the request, and that this path still has it: a path below the
    /// prefix is then complete. If nobody said what the proxy does, a path outside of the prefix tells that it takes it away.
    pub(crate) fn put_back<'a>(&self, path_and_query: &'a str, nested: bool) -> Cow<'a, str> {
        let path = path_and_query.split(['?', '#']).next().unwrap_or_default();
        let complete = path_lies_under(path, &self.path);
        let put_back = match self.stripped {
            _ if self.path.is_empty() => false,
            Some(stripped) => stripped && !(nested && complete),
            None => !complete,
        };
        if !put_back {
            return path_and_query.into();
        }
        if self.stripped.is_none() && !self.guessed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "tower_step_up::urls",
                prefix = self.path,
                "a request's path is not below the path of the public URL: a proxy seems to take it away, so browsers are sent back to \
                 addresses below it. Say so with .proxy_strips_prefix(true). If browsers really see pages outside of it, write \
                 .proxy_strips_prefix(false)"
            );
        }
        format!("{}{path_and_query}", self.path).into()
    }
}

/// A configured path, which is relative to the public URL. One that names the public URL's path already stays.
pub(super) fn below(public: &Url, path: &str) -> Result<Url, ParseError> {
    let own = path.split(['?', '#']).next().unwrap_or_default();
    if path_lies_under(own, public.path()) { public.join(path) } else { public.join(&format!(".{path}")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(public: &str, stripped: Option<bool>) -> Prefix {
        Prefix::new(&Url::parse(public).unwrap(), stripped)
    }

    #[test]
    fn what_a_proxy_takes_away_is_put_back() {
        for (path, nested, stripped, seen) in [
            ("/pay?x=/app", false, None, "/app/pay?x=/app"),
            ("/pay", false, Some(true), "/app/pay"),
            ("/pay", false, Some(false), "/pay"),
            ("/app/pay", false, None, "/app/pay"),
            ("/app?x", false, None, "/app?x"),
            ("/apple", false, None, "/app/apple"),
            ("/app/pay", false, Some(false), "/app/pay"),
            // The application has a page of that name itself.
            ("/app/pay", false, Some(true), "/app/app/pay"),
            // axum took the prefix away, not the proxy.
            ("/app/pay", true, Some(true), "/app/pay"),
            ("/admin/pay", true, Some(true), "/app/admin/pay"),
            ("/admin/pay", true, None, "/app/admin/pay"),
        ] {
            let prefix = prefix("https://bank.example/app/", stripped);
            assert_eq!(prefix.put_back(path, nested), seen, "{path} {nested} {stripped:?}");
        }
        for stripped in [None, Some(true), Some(false)] {
            assert_eq!(prefix("https://bank.example", stripped).put_back("/pay", false), "/pay");
        }
    }

    #[test]
    fn a_configured_path_is_below_the_public_url() {
        for (public, path, url) in [
            ("https://bank.example/app/", "/pay?x=1#top", "https://bank.example/app/pay?x=1#top"),
            ("https://bank.example/app/", "/", "https://bank.example/app/"),
            ("https://bank.example/app/", "/app/pay", "https://bank.example/app/pay"),
            ("https://bank.example/app/", "/app", "https://bank.example/app"),
            ("https://bank.example/app/", "/apple", "https://bank.example/app/apple"),
            ("https://bank.example/app/", "/x:y", "https://bank.example/app/x:y"),
            ("https://bank.example/", "/pay", "https://bank.example/pay"),
        ] {
            assert_eq!(below(&Url::parse(public).unwrap(), path).unwrap().as_str(), url, "{path}");
        }
    }

    proptest! {
        /// Whatever the proxy does, the browser ends below the prefix, and no path gets it twice.
        #[test]
        fn nothing_is_prefixed_twice(path in "/([a-z]{1,5}/){0,3}[a-z]{0,5}(\\?[a-z=/]{0,10})?", nested in any::<bool>()) {
            let seen_by_the_browser = format!("/app{path}");
            let strips = prefix("https://bank.example/app", Some(true));
            prop_assert_eq!(strips.put_back(&path, false), seen_by_the_browser.as_str());
            for stripped in [None, Some(false)] {
                let keeps = prefix("https://bank.example/app", stripped);
                prop_assert_eq!(keeps.put_back(&seen_by_the_browser, nested), seen_by_the_browser.as_str());
            }
            let guesses = prefix("https://bank.example/app", None);
            let once = guesses.put_back(&path, nested).into_owned();
            prop_assert_eq!(guesses.put_back(&once, nested), once.as_str());

            let public = Url::parse("https://bank.example/app/").unwrap();
            let configured = below(&public, &path).unwrap();
            prop_assert!(path_lies_under(configured.path(), "/app/"), "{}", configured);
            prop_assert_eq!(below(&public, configured.as_str().trim_start_matches("https://bank.example")), Ok(configured));
        }
    }
}
