//! The host that browsers should ask for, and the one that they do ask for.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderMap, HeaderValue, Uri, header};
use url::{Host, Url};

/// Longer names are cut in the log.
const LOGGED_BYTES: usize = 100;

/// The host of the public URL, with its port.
#[derive(Clone, Debug)]
pub(crate) struct OwnHost {
    /// As browsers write it: without the scheme's default port.
    name: String,
    /// The same with that port, which other clients may write.
    with_port: Option<String>,
    warned: Arc<AtomicBool>,
}

impl OwnHost {
    pub(super) fn new(public: &Url) -> Self {
        let name = public.authority().to_owned();
        let default_port = public.port().is_none().then(|| public.port_or_known_default()).flatten();
        let with_port = default_port.map(|port| format!("{name}:{port}"));
        Self { name, with_port, warned: Arc::default() }
    }

    /// Logs the first request for another host. It is served all the same: health checks and proxies may ask so. But a browser that does
    /// sends no cookie of this host, and gets cookies that it will not send to this one.
    pub(crate) fn compare(&self, uri: &Uri, headers: &HeaderMap) {
        if self.warned.load(Ordering::Relaxed) {
            return;
        }
        // HTTP/2 has the host in the URI.
        let asked = uri.authority().map(|authority| authority.as_str().as_bytes());
        let Some(asked) = asked.or_else(|| headers.get(header::HOST).map(HeaderValue::as_bytes)) else { return };
        let ours = |own: &str| own.as_bytes().eq_ignore_ascii_case(asked);
        // As nearly every client writes it.
        if self.name.as_bytes() == asked {
            return;
        }
        if ours(&self.name) || self.with_port.as_deref().is_some_and(ours) || self.warned.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let shown = asked.get(..LOGGED_BYTES).unwrap_or(asked).escape_ascii();
        tracing::warn!(
            target: "tower_step_up::urls",
            host = %shown,
            public_url_host = self.name,
            "a request asks for a host that is not the public URL's. Browsers keep cookies for each host, so who signs in at one is not \
             signed in at the other: open the public URL (localhost and 127.0.0.1 are two hosts), or let the proxy pass the host on. This \
             is logged once"
        );
    }
}

/// Whether browsers reach this machine itself by the host, and take it for a secure context.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warns(public: &str, uri: &str, host: Option<&'static str>) -> bool {
        let own = OwnHost::new(&Url::parse(public).unwrap());
        let mut headers = HeaderMap::new();
        headers.extend(host.map(|host| (header::HOST, HeaderValue::from_static(host))));
        own.compare(&uri.parse().unwrap(), &headers);
        own.warned.load(Ordering::Relaxed)
    }

    #[test]
    fn another_host_is_noticed() {
        for (public, uri, host, warned) in [
            ("https://bank.example", "/", Some("bank.example"), false),
            ("https://bank.example", "/", Some("BANK.example:443"), false),
            ("https://bank.example", "https://bank.example/", None, false),
            ("https://bank.example", "/", None, false),
            ("https://bank.example", "/", Some("bank.example:8443"), true),
            ("https://bank.example", "https://evil.example/", Some("bank.example"), true),
            ("http://localhost:3000", "/", Some("localhost:3000"), false),
            ("http://localhost:3000", "/", Some("127.0.0.1:3000"), true),
            ("http://127.0.0.1:3000", "/", Some("localhost:3000"), true),
            ("http://[::1]:3000", "/", Some("[::1]:3000"), false),
        ] {
            assert_eq!(warns(public, uri, host), warned, "{public} {uri} {host:?}");
        }
    }

    #[test]
    fn names_below_localhost_are_loopback() {
        for (host, loopback) in [
            ("localhost", true),
            ("bank.localhost", true),
            ("a.b.localhost", true),
            ("evillocalhost", false),
            ("localhost.example", false),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("10.0.0.1", false),
        ] {
            assert_eq!(
                is_loopback(&Url::parse(&format!("http://{host}/")).unwrap().host().unwrap()),
                loopback,
                "{host}"
            );
        }
    }
}
