//! Checks what the application says about cookies.

use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::{StepUpBuilder, hex};
use crate::{
    error::{BuildError, BuildErrorKind},
    session::{CookiePrefix, cookie::CookieJar},
};

fn error(help: impl Into<String>) -> BuildError {
    BuildError::new(BuildErrorKind::Cookie, help)
}

impl StepUpBuilder {
    pub(super) fn cookie_jar(&self, public: &Url) -> Result<CookieJar, BuildError> {
        let secure = public.scheme() == "https";
        let prefix = match self.cookies.prefix {
            _ if secure => self.cookies.prefix.unwrap_or(CookiePrefix::Host),
            None | Some(CookiePrefix::None) => CookiePrefix::None,
            Some(_) => {
                return Err(error(
                    "cookie_prefix: browsers refuse a cookie with a prefix on plain HTTP; leave it out there",
                ));
            }
        };
        let domain = self.cookies.domain.as_deref().map(|domain| cookie_domain(domain, public, prefix)).transpose()?;
        if secure && (prefix != CookiePrefix::Host || domain.is_some()) {
            tracing::warn!(
                target: "tower_step_up::config",
                prefix = ?prefix,
                domain = domain.as_deref().unwrap_or_default(),
                "other hosts of this site can set the session cookie (cookie tossing), and with a domain they receive it: \
                 CookiePrefix::Host without a domain prevents both"
            );
        }
        let session = cookie_name(self.cookies.name.as_deref().unwrap_or("step_up_session"), prefix, secure)?;
        let mut digest = Sha256::new_with_prefix(public.as_str().trim_end_matches('/'));
        if let Some(domain) = &domain {
            // Another name, or browsers that have the cookie of the host alone would send both.
            digest.update(format!(" {domain}"));
        }
        let csrf = format!("{}csrf_token_{}", prefix.as_str(), hex(&digest.finalize()));
        let flow = format!("{}login_flow_", prefix.as_str());
        let device = format!("{}trusted_device", prefix.as_str());
        Ok(CookieJar { session, csrf, flow, device, secure, domain, persistent: self.cookies.persistent })
    }
}

/// The name with its prefix.
fn cookie_name(given: &str, prefix: CookiePrefix, secure: bool) -> Result<String, BuildError> {
    // RFC 6265 section 4.1.1: a cookie's name is a token.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let bare = given.strip_prefix(prefix.as_str()).unwrap_or(given);
    if bare.is_empty() || bare.len() > 120 || !bare.bytes().all(token) {
        return Err(error("cookie_name must be 1 to 120 characters: letters, digits, - or _"));
    }
    if bare.starts_with("__") {
        return Err(error(if secure {
            format!(
                "cookie_name must not begin with __: cookie_prefix(..) decides the prefix, which is {:?} now",
                prefix.as_str()
            )
        } else {
            "cookie_name must not begin with __ on plain HTTP: browsers would refuse the cookie".to_owned()
        }));
    }
    Ok(format!("{}{bare}", prefix.as_str()))
}

/// The domain, if it can be one for this host.
fn cookie_domain(given: &str, public: &Url, prefix: CookiePrefix) -> Result<String, BuildError> {
    if public.scheme() != "https" {
        return Err(error("cookie_domain needs HTTPS: leave it out on plain HTTP"));
    }
    if prefix == CookiePrefix::Host {
        return Err(error(format!(
            "cookie_domain: browsers refuse a __Host- cookie with a domain. With one, every host under {given:?} receives the session cookie \
             and can set it. If you trust all of them, also call cookie_prefix(CookiePrefix::Secure)"
        )));
    }
    // A leading dot means nothing to browsers (RFC 6265 section 5.2.3).
    let Ok(Host::Domain(domain)) = Host::parse(given.strip_prefix('.').unwrap_or(given)) else {
        return Err(error(format!("cookie_domain {given:?} is no name of a host, such as \"bank.example\"")));
    };
    if !domain.contains('.') || domain.ends_with('.') {
        return Err(error(format!(
            "cookie_domain {given:?} is too wide: it needs at least two labels, such as \"bank.example\""
        )));
    }
    let host = public.host_str().unwrap_or_default();
    if host != domain && !host.strip_suffix(&domain).is_some_and(|below| below.ends_with('.')) {
        return Err(error(format!(
            "cookie_domain {given:?} must be the host of the public URL, {host:?}, or a parent of it: browsers would refuse the cookie"
        )));
    }
    Ok(domain)
}
