//! Reads the issuer's keys: its metadata (OpenID Connect Discovery 1.0 section 4), and the key set that they name.

use std::{error::Error, fmt, net::IpAddr, time::Duration};

use reqwest::{Client, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::{Host, Url};

use crate::jwk::KeySet;

/// The largest answer that is read. The key sets of large issuers have about 20 KB.
const LARGEST: usize = 524_288;

pub(crate) struct Fetcher {
    client: Client,
    /// As it is written in tokens.
    issuer: String,
    metadata: Url,
    loopback_http: bool,
    time_limit: Duration,
}

/// Why the keys could not be read. It names addresses of the issuer, and nothing that it sent.
#[derive(Debug)]
pub(crate) enum FetchError {
    TooSlow(Duration),
    Http(reqwest::Error),
    Status(Url, u16),
    TooLarge(Url),
    NotJson(Url),
    OtherIssuer(Url),
    KeysAddress(&'static str),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSlow(limit) => write!(f, "the issuer did not answer within {limit:?}"),
            Self::Http(error) => {
                write!(f, "{error}")?;
                let mut cause = error.source();
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
            Self::Status(url, status) if (300..400).contains(status) => {
                write!(f, "{url} answered {status}, and redirects are not followed: configure the issuer's own address")
            }
            Self::Status(url, status) => write!(f, "{url} answered {status}"),
            Self::TooLarge(url) => write!(f, "{url} answered with more than {LARGEST} bytes"),
            Self::NotJson(url) => write!(f, "{url} did not answer with the JSON that belongs there"),
            Self::OtherIssuer(url) => {
                write!(
                    f,
                    "the issuer in {url} is not the configured one; they must be equal, with or without the last slash"
                )
            }
            Self::KeysAddress(why) => write!(f, "the jwks_uri of the issuer cannot be used: {why}"),
        }
    }
}

impl Error for FetchError {}

/// RFC 8414 section 2.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

impl Fetcher {
    /// # Errors
    ///
    /// What to change.
    pub(crate) fn new(issuer: &str, loopback_http: bool, time_limit: Duration) -> Result<Self, String> {
        let mut metadata =
            address(issuer, loopback_http).map_err(|why| format!("the issuer {issuer:?} cannot be used: {why}"))?;
        if metadata.query().is_some() {
            return Err(format!("the issuer {issuer:?} cannot be used: it must have no query"));
        }
        // Section 4: a slash at the end is removed first.
        let path = format!("{}/.well-known/openid-configuration", metadata.path().trim_end_matches('/'));
        metadata.set_path(&path);
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(time_limit)
            .timeout(time_limit)
            // Once in minutes, so no connection is worth keeping.
            .pool_max_idle_per_host(0)
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));
        // The environment's proxy is for what is far away.
        let client = if loopback_http { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| format!("no HTTPS client: {}", FetchError::Http(error)))?;
        Ok(Self { client, issuer: issuer.to_owned(), metadata, loopback_http, time_limit })
    }

    pub(crate) async fn keys(&self) -> Result<KeySet, FetchError> {
        let read = async {
            let metadata: Metadata = self.get(&self.metadata).await?;
            // Section 4.3: exactly.
            if metadata.issuer != self.issuer {
                return Err(FetchError::OtherIssuer(self.metadata.clone()));
            }
            let keys = address(&metadata.jwks_uri, self.loopback_http).map_err(FetchError::KeysAddress)?;
            let jwks: Jwks = self.get(&keys).await?;
            Ok(KeySet::from_jwks(jwks.keys))
        };
        tokio::time::timeout(self.time_limit, read).await.unwrap_or(Err(FetchError::TooSlow(self.time_limit)))
    }

    async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<T, FetchError> {
        let request = self.client.get(url.clone()).header(http::header::ACCEPT, "application/json");
        let mut response = request.send().await.map_err(FetchError::Http)?;
        if response.status() != http::StatusCode::OK {
            return Err(FetchError::Status(url.clone(), response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(FetchError::Http)? {
            if body.len().saturating_add(chunk.len()) > LARGEST {
                return Err(FetchError::TooLarge(url.clone()));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| FetchError::NotJson(url.clone()))
    }
}

/// An address that can be trusted to answer for itself.
fn address(text: &str, loopback_http: bool) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is not an absolute URL")?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("it must have no user, password or fragment");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if !loopback_http => {
            Err("it must be https; for an issuer on this machine, call insecure_http_on_loopback()")
        }
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("plain http is allowed only on a loopback address"),
        _ => Err("it must be https"),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_or_loopback_on_purpose() {
        for (text, strict, loopback) in [
            ("https://issuer.example", true, true),
            ("https://issuer.example:8443/realms/a", true, true),
            ("http://issuer.example", false, false),
            ("http://127.0.0.1.issuer.example", false, false),
            ("http://localhost.issuer.example", false, false),
            ("http://127.0.0.1:9", false, true),
            ("http://127.9.9.9", false, true),
            ("http://[::1]:9/a", false, true),
            ("http://localhost", false, true),
            ("http://issuer.localhost", false, true),
            ("https://kim@issuer.example", false, false),
            ("https://:secret@issuer.example", false, false),
            ("https://issuer.example#a", false, false),
            ("file:///etc/passwd", false, false),
            ("ftp://127.0.0.1", false, false),
            ("issuer.example", false, false),
            ("/keys", false, false),
            ("", false, false),
        ] {
            assert_eq!((address(text, false).is_ok(), address(text, true).is_ok()), (strict, loopback), "{text}");
        }
    }

    #[test]
    fn the_metadata_are_where_discovery_says() {
        for (issuer, metadata) in [
            ("https://issuer.example", "https://issuer.example/.well-known/openid-configuration"),
            ("https://issuer.example/", "https://issuer.example/.well-known/openid-configuration"),
            ("https://sso.example/realms/a", "https://sso.example/realms/a/.well-known/openid-configuration"),
            ("https://sso.example/realms/a/", "https://sso.example/realms/a/.well-known/openid-configuration"),
        ] {
            assert_eq!(Fetcher::new(issuer, false, Duration::from_secs(1)).unwrap().metadata.as_str(), metadata);
        }
        assert!(Fetcher::new("https://issuer.example?a=b", false, Duration::from_secs(1)).is_err());
    }
}
