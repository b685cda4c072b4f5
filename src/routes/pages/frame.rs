//! What every page has: the frame around it, its language, and the headers that keep it from others.

use std::fmt::Display;

use askama::Template;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::script::Scripts;
use crate::{
    engine::Engine,
    headers::{forbid_storing, never_sniff},
    language::{Spoken, accepted},
    routes::{failure::Failure, scope::Scope},
    session::Subject,
    theme::Page,
};

/// The parts of every page.
#[derive(Serialize)]
pub(super) struct Frame<'a> {
    pub(super) application: &'a str,
    pub(super) style: String,
    pub(super) own_style: Option<&'a str>,
    pub(super) logo: Option<&'a str>,
    #[serde(skip)]
    pub(super) spoken: Spoken<'a>,
}

impl<'a> Frame<'a> {
    /// The frame of a page for this subject, in the language that the application says for the request, or for the subject, or that the browser
    /// asks for.
    pub(super) async fn of(scope: &'a Scope, subject: Option<&Subject>) -> Self {
        let engine = scope.engine();
        let told = match subject {
            Some(subject) if scope.language.is_none() => engine.users.locale(subject).await.unwrap_or_else(|error| {
                tracing::warn!(target: "tower_step_up::language", %error, "the directory does not say in which language a user reads");
                None
            }),
            _ => None,
        };
        let said = scope.language.as_deref().into_iter().chain(told.as_deref());
        Self {
            application: &engine.application_name,
            style: engine.urls.route("self-service/ui/style.css", &[]).into(),
            own_style: engine.urls.stylesheet.as_ref().map(Url::as_str),
            logo: engine.urls.logo.as_ref().map(Url::as_str),
            spoken: engine.languages.choose(said.chain(accepted(&scope.headers))),
        }
    }

    /// The text with this id.
    pub(super) fn say(&self, id: &str) -> String {
        self.spoken.say(id, &[])
    }

    /// The text with this id and one value.
    pub(super) fn say_with(&self, id: &str, name: &'static str, value: impl Display) -> String {
        self.spoken.say(id, &[(name, value.to_string().into())])
    }

    /// The text with this id, before and after a value that the page shows in its own way.
    pub(super) fn say_around(&self, id: &str, name: &'static str) -> (String, String) {
        // No text has it: it is no character.
        const MARK: &str = "\u{FFFF}";
        let text = self.say_with(id, name, MARK);
        let (before, after) = text.split_once(MARK).unwrap_or((&text, ""));
        (before.to_owned(), after.to_owned())
    }
}

/// A page that can be shown.
pub(super) trait Shown: Template + Serialize {
    /// What templates of the application know it by.
    const NAME: &'static str;

    fn frame(&self) -> &Frame<'_>;

    fn scripts(&self) -> Option<&Scripts> {
        None
    }
}

/// The page, as the application or its own template shows it.
pub(super) fn show(engine: &Engine, page: &impl Shown) -> Result<Response, Failure> {
    let body = match shown_by_application(engine, page) {
        Some(body) => body,
        None => page.render().map_err(|error| {
            tracing::error!(%error, "a page could not be rendered");
            Failure::Unavailable
        })?,
    };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    harden(headers, engine, page.scripts());
    if let Ok(language) = HeaderValue::from_str(&page.frame().spoken.tag()) {
        headers.insert(header::CONTENT_LANGUAGE, language);
    }
    headers.append(header::VARY, HeaderValue::from_static("Accept-Language"));
    Ok(response)
}

/// A template that fails shows the built-in page instead: nobody is kept from confirming.
fn shown_by_application<S: Shown>(engine: &Engine, page: &S) -> Option<String> {
    let hook = engine.render_pages.as_ref()?;
    let shown = || {
        let mut content = serde_json::to_value(page)?;
        let spoken = page.frame().spoken;
        if let Value::Object(content) = &mut content {
            content.insert("texts".to_owned(), serde_json::to_value(spoken.all())?);
        }
        hook(&Page::new(S::NAME, spoken.tag(), spoken.direction(), content))
    };
    shown().unwrap_or_else(|error| {
        tracing::error!(target: "tower_step_up::theme", page = S::NAME, %error, "a page of the application could not be shown");
        None
    })
}

/// No other site keeps a handle of a window that shows our pages.
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// For this host alone: what other hosts of the domain do is not ours to say (RFC 6797 section 6.1; ASVS 5.0 clause 3.4.1).
const ONE_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// `form-action` also restricts redirects after a submit, so it lists all origins to which one may lead. Scripts are named by their hashes, and
/// a logo and a stylesheet of the application by their addresses.
fn harden(headers: &mut HeaderMap, engine: &Engine, scripts: Option<&Scripts>) {
    forbid_storing(headers);
    never_sniff(headers);
    let address = |url: &Option<Url>| url.as_ref().map(|url| format!(" {}", source_of(url))).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; {}style-src 'self'{}; img-src data:{}; base-uri 'none'; frame-ancestors 'none'; form-action 'self' {}",
        scripts.map(Scripts::directive).unwrap_or_default(),
        address(&engine.urls.stylesheet),
        address(&engine.urls.logo),
        engine.urls.form_targets().join(" ")
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if engine.strict_transport_security && engine.urls.public.scheme() == "https" {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, ONE_YEAR);
    }
}

/// A URL as a content security policy names it: without query and fragment, and with what would end the directive escaped.
fn source_of(url: &Url) -> String {
    let mut source = url.clone();
    source.set_query(None);
    source.set_fragment(None);
    source.as_str().replace(';', "%3B").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use crate::{language::Languages, routes::failure::Failure};

    /// Templates and code of the pages.
    fn sources() -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = ["templates", "src/routes/pages"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
        files.into_iter().flatten().map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn every_id_of_a_page_has_a_text_and_every_text_a_page() {
        let (languages, sources) = (Languages::new(&[], &[], None).unwrap(), sources());
        let known: BTreeSet<_> = languages.ids().collect();
        let said =
            [".say(\"", ".say_with(\"", ".say_around(\""].into_iter().flat_map(|call| sources.split(call).skip(1));
        let said: BTreeSet<_> = said.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect();
        assert!(said.len() > 30, "the templates were read");
        let missing: Vec<_> = said.difference(&known).collect();
        assert!(missing.is_empty(), "{missing:?} have no text");
        let of_pages = known.iter().filter(|id| {
            let (kind, _) = id.split_once('-').unwrap_or((id, ""));
            !["text", "reason", "failure", "advice"].contains(&kind)
        });
        let unused: Vec<_> = of_pages.filter(|id| !sources.contains(&format!("\"{id}\""))).collect();
        assert!(unused.is_empty(), "no page says {unused:?}");
    }

    #[test]
    fn every_failure_has_a_text() {
        let languages = Languages::new(&[], &[], None).unwrap();
        let german = languages.choose(["de"]);
        for failure in Failure::ALL {
            let envelope = failure.envelope();
            assert_ne!(german.sentence(envelope.reason()), envelope.reason(), "{failure:?}");
        }
    }
}
