//! The addresses of Kratos' public API.

use tower_step_up::{
    Shortfall,
    source::{Remedy, Unmet},
};
use url::{Host, Url};

use crate::session::is_own_second_factor;

/// Whether plain HTTP is allowed, to which hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    Never,
    OnLoopback,
    Anywhere,
}

/// Reads the base URL of an API; it ends in `/`. `name` is the method that was given the text.
pub(crate) fn parse(name: &str, text: &str, plain_http: PlainHttp) -> Result<Url, String> {
    let fail = |help: &str| Err(format!("{name}({text:?}): {help}"));
    let Ok(mut url) = Url::parse(text) else {
        return fail("not an absolute URL; write for example \"https://auth.example.com\"");
    };
    let Some(host) = url.host() else { return fail("has no host; write for example \"https://auth.example.com\"") };
    match (url.scheme(), plain_http) {
        ("https", _) | ("http", PlainHttp::Anywhere) => {}
        ("http", PlainHttp::OnLoopback) if is_loopback(&host) => {}
        ("http", _) if is_loopback(&host) => {
            return fail("sessions need HTTPS; for development on this machine call insecure_http_on_loopback()");
        }
        ("http", _) if name == "internal_url" => {
            return fail("sessions need HTTPS; if the network itself encrypts, call insecure_http_to_internal_url()");
        }
        ("http", _) => return fail("plain HTTP works only on loopback addresses; use https://"),
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

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// An endpoint below a base URL.
pub(crate) fn endpoint(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path()));
    url
}

/// A kind of flow, and what it begins with.
struct Flow {
    name: &'static str,
    aal2: bool,
    refresh: bool,
}

impl Flow {
    const LOGIN: Self = Self { name: "login", aal2: false, refresh: false };
    const SECOND_FACTOR: Self = Self { aal2: true, ..Self::LOGIN };
    const SETTINGS: Self = Self { name: "settings", ..Self::LOGIN };

    /// Where a flow begins for this kind of client.
    fn at(&self, base: &Url, client: &str, return_to: Option<&Url>) -> Url {
        let mut url = endpoint(base, &format!("self-service/{}/{client}", self.name));
        // In the order of the keys, as Kratos writes them.
        let parameters = [
            ("aal", self.aal2.then_some("aal2")),
            ("refresh", self.refresh.then_some("true")),
            ("return_to", return_to.map(Url::as_str)),
        ];
        for (key, value) in parameters {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(key, value);
            }
        }
        url
    }
}

/// Kratos' own flow in which a user can meet the requirement.
pub(crate) fn remedy(public: &Url, unmet: &Unmet<'_>) -> Remedy {
    let flow = match unmet.shortfall {
        // Names no level: a client without a session learns nothing about what the route requires.
        Shortfall::NoSession => Flow::LOGIN,
        Shortfall::LevelTooLow | Shortfall::CannotTell => Flow::SECOND_FACTOR,
        Shortfall::NothingEnrolled | Shortfall::MethodNotEnrolled => Flow::SETTINGS,
        // Kratos offers all methods that the user has. It knows no parameter that names some.
        Shortfall::TooOld { second_factor, .. } | Shortfall::MethodMissing { second_factor } => {
            // Where another provider vouched for both factors, they can be renewed only there.
            let proofs = unmet.evidence.map_or(&[][..], |evidence| evidence.session.proofs());
            let aal2 = second_factor && (proofs.is_empty() || proofs.iter().any(is_own_second_factor));
            Flow { aal2, refresh: true, ..Flow::LOGIN }
        }
        _ => return Remedy::default(),
    };
    Remedy::page(flow.at(public, "browser", unmet.return_to)).with_api(flow.at(public, "api", None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_must_be_safe() {
        use PlainHttp::{Anywhere, Never, OnLoopback};
        for (text, plain_http, expected) in [
            ("https://auth.example.com", Never, "https://auth.example.com/"),
            ("https://auth.example.com/", Never, "https://auth.example.com/"),
            ("https://example.com/.ory/kratos/public", Never, "https://example.com/.ory/kratos/public/"),
            ("http://127.0.0.1:4433", OnLoopback, "http://127.0.0.1:4433/"),
            ("http://kratos.localhost", OnLoopback, "http://kratos.localhost/"),
            ("http://[::1]:4433", OnLoopback, "http://[::1]:4433/"),
            ("http://kratos:4433", Anywhere, "http://kratos:4433/"),
        ] {
            assert_eq!(parse("Kratos::new", text, plain_http).unwrap().as_str(), expected);
        }
        for (name, text, plain_http, help) in [
            ("Kratos::new", "auth.example.com", Never, "not an absolute URL"),
            ("Kratos::new", "", Never, "not an absolute URL"),
            ("Kratos::new", "data:text/plain,x", Never, "has no host"),
            ("Kratos::new", "ftp://auth.example.com", Never, "must be https"),
            ("Kratos::new", "http://127.0.0.1:4433", Never, "insecure_http_on_loopback"),
            ("Kratos::new", "http://auth.example.com", Never, "plain HTTP works only on loopback"),
            ("Kratos::new", "http://auth.example.com", OnLoopback, "plain HTTP works only on loopback"),
            ("Kratos::new", "http://evillocalhost", OnLoopback, "plain HTTP works only on loopback"),
            ("internal_url", "http://kratos:4433", OnLoopback, "insecure_http_to_internal_url"),
            ("Kratos::new", "https://user@auth.example.com", Never, "no user, query or fragment"),
            ("Kratos::new", "https://:pass@auth.example.com", Never, "no user, query or fragment"),
            ("Kratos::new", "https://auth.example.com/?a=b", Never, "no user, query or fragment"),
            ("Kratos::new", "https://auth.example.com/#a", Never, "no user, query or fragment"),
        ] {
            let error = parse(name, text, plain_http).unwrap_err();
            assert!(error.contains(help) && error.contains(name) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn endpoints_lie_below_the_path_of_the_base() {
        let base = parse("Kratos::new", "https://example.com/.ory", PlainHttp::Never).unwrap();
        assert_eq!(endpoint(&base, "sessions/whoami").as_str(), "https://example.com/.ory/sessions/whoami");
        let back = Url::parse("https://bank.example/pay?to=b&c=d").unwrap();
        let flow = Flow { refresh: true, ..Flow::SECOND_FACTOR };
        assert_eq!(
            flow.at(&base, "browser", Some(&back)).as_str(),
            "https://example.com/.ory/self-service/login/browser?aal=aal2&refresh=true\
             &return_to=https%3A%2F%2Fbank.example%2Fpay%3Fto%3Db%26c%3Dd"
        );
        assert_eq!(
            Flow::SETTINGS.at(&base, "api", None).as_str(),
            "https://example.com/.ory/self-service/settings/api"
        );
    }
}
