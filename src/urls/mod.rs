//! Every URL that the crate writes, made once from the configuration and never from a request.

mod host;
mod prefix;
pub(crate) mod return_to;

use url::{Origin, Url};

use self::{
    host::{OwnHost, is_loopback},
    prefix::{Prefix, below},
    return_to::{ReturnPolicy, with_query},
};
use crate::error::{BuildError, BuildErrorKind};

#[derive(Clone, Debug)]
pub(crate) struct Urls {
    /// Where browsers reach the companion router, path prefix included; ends in `/`.
    pub(crate) public: Url,
    pub(crate) prefix: Prefix,
    pub(crate) host: OwnHost,
    pub(crate) app_login: Url,
    pub(crate) login_ui: Url,
    pub(crate) settings_ui: Url,
    pub(crate) error_ui: Url,
    pub(crate) default_return: Url,
    /// Where a browser goes after a step-up, if it gave no `return_to`.
    pub(crate) after_login: Url,
    /// Likewise after a change in the settings; `None` to stay there.
    pub(crate) after_settings: Option<Url>,
    /// Likewise after a logout.
    pub(crate) after_logout: Url,
    /// Where a browser returns after a refused request that cannot be repeated, such as a POST.
    pub(crate) after_unsafe: Option<Url>,
    /// What the built-in pages load: a logo and a stylesheet.
    pub(crate) logo: Option<Url>,
    pub(crate) stylesheet: Option<Url>,
    pub(crate) return_policy: ReturnPolicy,
    /// Origins whose pages may submit flows: the public URL's, then those of other pages that render them.
    pub(crate) page_origins: Vec<Origin>,
}

/// URLs as the application gave them.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenUrls {
    pub(crate) app_login: Option<String>,
    pub(crate) login_ui: Option<String>,
    pub(crate) settings_ui: Option<String>,
    pub(crate) error_ui: Option<String>,
    pub(crate) default_return: Option<String>,
    pub(crate) after_login: Option<String>,
    pub(crate) after_settings: Option<String>,
    pub(crate) after_logout: Option<String>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) after_unsafe: Option<String>,
    pub(crate) allowed_return: Vec<String>,
    pub(crate) logo: Option<String>,
    pub(crate) stylesheet: Option<String>,
    /// Whether a proxy takes the public URL's path away from requests.
    pub(crate) prefix_stripped: Option<bool>,
}

fn public_url(text: &str, loopback_http: bool) -> Result<Url, BuildError> {
    let fail = |help: &str| Err(BuildError::new(BuildErrorKind::PublicUrl, format!("public URL {text:?}: {help}")));
    let Ok(mut url) = Url::parse(text) else {
        return fail("not an absolute URL; write for example \"https://bank.example\"");
    };
    let Some(host) = url.host() else { return fail("has no host; write for example \"https://bank.example\"") };
    let loopback = is_loopback(&host);
    match url.scheme() {
        "https" => {}
        "http" if loopback && loopback_http => {}
        "http" if loopback => {
            return fail("cookies need HTTPS; for development on this machine call insecure_http_on_loopback()");
        }
        "http" => return fail("plain HTTP works only on loopback addresses; use https://"),
        _ => return fail("the scheme must be https"),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return fail("must have no user, query or fragment");
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// Whether a configured text is an address, and not something that only becomes one when it is resolved: `login`, `bank.example/login`, a
/// text with blanks. Browsers read a backslash as a slash, so `/\\evil.example` is another host.
fn is_address(text: &str) -> bool {
    let absolute = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let path = text.starts_with('/') && !text.starts_with("//");
    let url = || {
        (absolute("https://") || absolute("http://"))
            && Url::parse(text).is_ok_and(|url| url.has_host() && url.username().is_empty() && url.password().is_none())
    };
    !text.contains(|char: char| char.is_whitespace() || char.is_control() || char == '\\') && (path || url())
}

/// A single origin, which is as safe as the public URL.
fn exact_origin(text: &str, public: &Url) -> Result<Origin, BuildError> {
    let fail = |help: &str| BuildError::new(BuildErrorKind::Url, format!("allowed_origin {text:?} {help}"));
    if text.contains('*') {
        return Err(fail("has a wildcard: name each origin, since every one of them can act for your users"));
    }
    let url = Url::parse(text).ok().filter(|_| is_address(text));
    let url = url.filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none());
    let url = url.ok_or_else(|| fail("is no origin; write for example \"https://app.bank.example\""))?;
    if public.scheme() == "https" && url.scheme() != "https" {
        return Err(fail("has no HTTPS, so anybody in the network could act for your users"));
    }
    Ok(url.origin())
}

impl Urls {
    pub(crate) fn new(public: &str, loopback_http: bool, given: &GivenUrls) -> Result<Self, BuildError> {
        let public = public_url(public, loopback_http)?;
        let resolve = |name: &str, given: Option<&str>, default: &str| {
            let text = given.unwrap_or(default);
            if given.is_some_and(|text| !is_address(text)) {
                let help = format!(
                    "{name} {text:?} is no address: write a path from the public URL, such as \"/login\", or an http(s) URL"
                );
                return Err(BuildError::new(BuildErrorKind::Url, help));
            }
            let url = if text.starts_with('/') { below(&public, text) } else { public.join(text) };
            url.ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host()).ok_or_else(|| {
                let help = format!("{name} {text:?} is neither a path nor an http(s) URL");
                BuildError::new(BuildErrorKind::Url, help)
            })
        };
        let app_login = resolve("login_url", given.app_login.as_deref(), "/login")?;
        let login_ui = resolve("login_ui_url", given.login_ui.as_deref(), "self-service/ui/login")?;
        let settings_ui = resolve("settings_ui_url", given.settings_ui.as_deref(), "self-service/ui/settings")?;
        let error_ui = resolve("error_ui_url", given.error_ui.as_deref(), "self-service/ui/error")?;
        let default_return = resolve("default_return_url", given.default_return.as_deref(), "/")?;
        let after =
            |name: &str, given: &Option<String>| given.as_deref().map(|text| resolve(name, Some(text), "")).transpose();
        let after_login = after("after_login_url", &given.after_login)?.unwrap_or_else(|| default_return.clone());
        let after_settings = after("after_settings_url", &given.after_settings)?;
        let after_logout = after("after_logout_url", &given.after_logout)?.unwrap_or_else(|| default_return.clone());
        let logo = after("Theme::logo", &given.logo)?;
        let stylesheet = after("Theme::stylesheet", &given.stylesheet)?;
        let mut allowed = if given.allowed_return.is_empty() {
            let mut origin = public.clone();
            origin.set_path("/");
            vec![origin]
        } else {
            given
                .allowed_return
                .iter()
                .map(|text| resolve("allowed_return_urls", Some(text), ""))
                .collect::<Result<_, _>>()?
        };
        allowed.push(resolve("default", None, "self-service")?);
        allowed.extend([login_ui.clone(), settings_ui.clone(), error_ui.clone()]);
        let return_policy = ReturnPolicy::new(default_return.clone(), allowed);
        let after_unsafe =
            given.after_unsafe.as_deref().map(|text| resolve("after_unsafe_url", Some(text), "")).transpose()?;
        for (name, url) in [("default_return_url", Some(&default_return)), ("after_unsafe_url", after_unsafe.as_ref())]
        {
            if let Some(url) = url
                && return_policy.check(url.clone()).is_err()
            {
                let help = format!("{name} {url} is not under any of allowed_return_urls");
                return Err(BuildError::new(BuildErrorKind::Url, help));
            }
        }
        let mut page_origins = vec![public.origin()];
        for page in [&login_ui, &settings_ui] {
            if !page_origins.contains(&page.origin()) {
                page_origins.push(page.origin());
            }
        }
        for text in &given.allowed_origins {
            let origin = exact_origin(text, &public)?;
            if !page_origins.contains(&origin) {
                page_origins.push(origin);
            }
        }
        Ok(Self {
            prefix: Prefix::new(&public, given.prefix_stripped),
            host: OwnHost::new(&public),
            public,
            app_login,
            login_ui,
            settings_ui,
            error_ui,
            default_return,
            after_login,
            after_settings,
            after_logout,
            after_unsafe,
            logo,
            stylesheet,
            return_policy,
            page_origins,
        })
    }

    /// The origins to which a form of ours may lead in the end.
    #[cfg(feature = "axum")]
    pub(crate) fn form_targets(&self) -> Vec<String> {
        let mut targets = self.return_policy.origins();
        for url in [Some(&self.after_login), self.after_settings.as_ref()].into_iter().flatten() {
            let origin = url.origin().ascii_serialization();
            if !targets.contains(&origin) {
                targets.push(origin);
            }
        }
        targets
    }

    /// The origins of front ends on other hosts.
    #[cfg(feature = "cors")]
    pub(crate) fn foreign_origins(&self) -> Vec<String> {
        let pages = self.page_origins.iter().cloned().chain([self.error_ui.origin()]);
        let mut foreign: Vec<_> = pages.filter(|origin| *origin != self.public.origin()).collect();
        foreign.dedup();
        foreign.iter().map(Origin::ascii_serialization).collect()
    }

    /// A URL of the companion router. `path` has no leading slash.
    pub(crate) fn route(&self, path: &str, parameters: &[(&str, Option<&str>)]) -> Url {
        let mut url = self.public.clone();
        url.set_path(&format!("{}{path}", self.public.path()));
        with_query(url, parameters)
    }

    /// Where a login flow is started in a browser. `U2` and `UR` of the wire contract are this with `aal=aal2`.
    pub(crate) fn login(&self, aal2: bool, refresh: bool, return_to: Option<&Url>) -> Url {
        self.login_by(aal2, refresh, None, return_to)
    }

    /// The same for these methods alone: their names on the wire, with commas between them.
    pub(crate) fn login_by(&self, aal2: bool, refresh: bool, methods: Option<&str>, return_to: Option<&Url>) -> Url {
        self.route(
            "self-service/login/browser",
            &[
                ("aal", aal2.then_some("aal2")),
                ("methods", methods),
                ("refresh", refresh.then_some("true")),
                ("return_to", return_to.map(Url::as_str)),
            ],
        )
    }

    /// Where a second factor is enrolled in a browser: `UE` of the wire contract.
    pub(crate) fn enrolment(&self, return_to: Option<&Url>) -> Url {
        self.route("self-service/settings/browser", &[("return_to", return_to.map(Url::as_str))])
    }

    /// The application's own login page, which brings the browser back to `return_to`.
    pub(crate) fn first_login(&self, return_to: Option<&Url>) -> Url {
        let mut url = self.app_login.clone();
        if let Some(return_to) = return_to {
            url.query_pairs_mut().append_pair("return_to", return_to.as_str());
        }
        url
    }
}
