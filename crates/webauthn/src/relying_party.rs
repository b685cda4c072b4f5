//! For which site keys sign, and who may ask for them.

use tower_step_up::error::BuildError;
use url::{Host, Url};
use webauthn_rs_core::{WebauthnCore, proto::AttestationCaList};

use crate::settings::WebAuthn;

/// The scheme of the origins of Android apps.
const ANDROID: &str = "android";

const LONGEST_NAME: usize = 64;

const END_OF_CERTIFICATE: &str = "-----END CERTIFICATE-----";
const NO_AUTHORITY: &str = "WebAuthn::attested_by needs the certificates of authorities, in PEM";

fn fail<T>(help: impl Into<String>) -> Result<T, BuildError> {
    Err(BuildError::factor(help))
}

impl WebAuthn {
    /// What checks the answers.
    pub(crate) fn relying_party(&self, public_url: &Url) -> Result<WebauthnCore, BuildError> {
        let id = self.domain(public_url)?;
        let origins = self.allowed_origins(public_url, &id)?;
        Ok(WebauthnCore::new_unsafe_experts_only(&self.name, &id, origins, self.patience(), None, None))
    }

    /// The authorities that attest keys, if they have to be attested.
    pub(crate) fn authorities(&self) -> Result<Option<AttestationCaList>, BuildError> {
        let Some(pem) = &self.attested_by else { return Ok(None) };
        let mut authorities = AttestationCaList::default();
        let text = String::from_utf8_lossy(pem);
        for certificate in text.split_inclusive(END_OF_CERTIFICATE).filter(|part| part.contains(END_OF_CERTIFICATE)) {
            match AttestationCaList::try_from(certificate.trim_start().as_bytes()) {
                Ok(authority) => authorities.union(&authority),
                Err(_) => return fail(NO_AUTHORITY),
            }
        }
        if authorities.is_empty() { fail(NO_AUTHORITY) } else { Ok(Some(authorities)) }
    }

    pub(crate) fn check(&self, public_url: &Url) -> Result<(), BuildError> {
        if !(1..=LONGEST_NAME).contains(&self.name.len()) || self.name.chars().any(char::is_control) {
            return fail(
                "WebAuthn::new needs the name that browsers show, of 1 to 64 bytes: for example \"Example Bank\"",
            );
        }
        if !(10..=600).contains(&self.patience().as_secs()) {
            return fail("WebAuthn::timeout must be from 10 seconds to 10 minutes");
        }
        self.authorities()?;
        self.relying_party(public_url).map(drop)
    }

    fn domain(&self, public_url: &Url) -> Result<String, BuildError> {
        let Some(id) = &self.rp_id else {
            return match public_url.host() {
                Some(Host::Domain(domain)) => Ok(domain.to_owned()),
                _ => fail(
                    "browsers use security keys for domains and not for IP addresses: use localhost instead of 127.0.0.1 in the public URL",
                ),
            };
        };
        // Parsed as a browser does it: lower case, and IDNA.
        match Host::parse(id) {
            Ok(Host::Domain(domain)) if !domain.is_empty() => Ok(domain),
            _ => fail("WebAuthn::rp_id must be a domain such as bank.example, without a scheme and a port"),
        }
    }

    fn allowed_origins(&self, public_url: &Url, id: &str) -> Result<Vec<Url>, BuildError> {
        let Some(origins) = &self.origins else {
            return match origin(public_url.as_str(), id) {
                Some(origin) => Ok(vec![origin]),
                None => fail(format!(
                    "the public URL is not below the relying party id {id}: set WebAuthn::rp_id to its host or a domain above it"
                )),
            };
        };
        if origins.is_empty() {
            return fail("WebAuthn::origins needs at least one origin; leave it out for that of the public URL");
        }
        let parsed = origins.iter().map(|given| {
            origin(given, id).filter(|origin| origin.path() == "/" || origin.scheme() == ANDROID).map_or_else(
                || {
                    fail(format!(
                        "WebAuthn::origins: each must be like https://login.{id}, below the relying party id, with https unless \
                         it is localhost, and without a path; or android:apk-key-hash:.. for an Android app"
                    ))
                },
                Ok,
            )
        });
        parsed.collect()
    }
}

/// The origin of this URL, if browsers let it use keys of the relying party.
fn origin(text: &str, id: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    if url.scheme() == ANDROID {
        return Some(url);
    }
    let Some(Host::Domain(host)) = url.host() else { return None };
    let is_below = host == id || host.strip_suffix(id).is_some_and(|prefix| prefix.ends_with('.'));
    let is_local = host == "localhost" || host.ends_with(".localhost");
    let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_local;
    (is_below && is_safe).then_some(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn at(keys: &WebAuthn, url: &str) -> Result<WebauthnCore, String> {
        let url = Url::parse(url).unwrap();
        keys.check(&url).and_then(|()| keys.relying_party(&url)).map_err(|error| error.to_string())
    }

    #[test]
    fn it_follows_from_the_public_url() {
        let keys = WebAuthn::new("Bank");
        for (url, origin) in [
            ("https://bank.example/app/", "https://bank.example/app/"),
            ("https://bank.example:8443", "https://bank.example:8443/"),
            ("http://localhost:3000", "http://localhost:3000/"),
            ("http://app.localhost:3000", "http://app.localhost:3000/"),
        ] {
            assert_eq!(at(&keys, url).unwrap().get_allowed_origins(), [Url::parse(origin).unwrap()], "{url}");
        }
    }

    #[test]
    fn an_ip_address_has_no_keys() {
        for url in ["http://127.0.0.1:3000", "http://[::1]:3000", "https://192.0.2.1"] {
            let error = at(&WebAuthn::new("Bank"), url).unwrap_err();
            assert!(error.contains("use localhost"), "{error}");
        }
    }

    #[test]
    fn a_domain_above_takes_its_hosts_in() {
        let keys = WebAuthn::new("Bank").rp_id("Bank.example");
        assert!(at(&keys, "https://login.bank.example").is_ok());
        let shared =
            keys.clone().origins(["https://a.bank.example", "https://bank.example:444", "android:apk-key-hash:x"]);
        assert_eq!(at(&shared, "https://login.bank.example").unwrap().get_allowed_origins().len(), 3);
        for url in [
            "https://evilbank.example",
            "https://example",
            "https://bank.example.evil.test",
            "http://login.bank.example",
        ] {
            assert!(at(&keys, url).is_err(), "{url}");
            assert!(at(&keys.clone().origins([url]), "https://login.bank.example").is_err(), "{url}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let bank = || WebAuthn::new("Bank");
        for bad in [
            WebAuthn::new(""),
            WebAuthn::new("x".repeat(65)),
            WebAuthn::new("a\nb"),
            bank().rp_id("https://bank.example"),
            bank().rp_id("bank.example:443"),
            bank().rp_id("127.0.0.1"),
            bank().rp_id(""),
            bank().rp_id("other.example"),
            bank().origins(Vec::<String>::new()),
            bank().origins(["https://bank.example/path"]),
            bank().origins(["bank.example"]),
            bank().timeout(std::time::Duration::from_secs(9)),
            bank().timeout(std::time::Duration::from_secs(601)),
            bank().attested_by("no certificate"),
            bank().attested_by("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ] {
            assert!(at(&bad, "https://bank.example").is_err(), "{bad:?}");
        }
    }
}
