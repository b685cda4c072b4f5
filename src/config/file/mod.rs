//! The configuration from a file, in any serde format. Keys have Ory's names where Ory has them.
//!
//! Two tables list all keys: those that mean something, with their kinds and what they set, and those of Kratos that mean nothing here,
//! with what to do instead. So errors about unknown keys and bad values always give the full name of the key, whatever the format's
//! library would say.

mod ignored;
mod keys;
mod values;

use std::fmt;

use serde::{Deserialize, de::Error as _};
use serde_json::Value;

pub(in crate::config) use self::ignored::Ignored;
use self::keys::{Applied, KEYS, Kind, applied};
use super::StepUpBuilder;
use crate::{
    error::{BuildError, BuildErrorKind},
    factor::Totp,
    session::CookiePrefix,
};

/// The settings of a [`StepUpBuilder`] as data, deserialized with serde.
///
/// Durations are strings such as `"1h"`, `"15m"` or `"1h 30m"`. Stores, directories, clocks and factors of your own are code: give them
/// to the builder.
///
/// ```
/// use tower_step_up::{Config, StepUp, store::MemoryStore};
///
/// let config: Config = serde_json::from_str(
///     r#"{
///         "serve": { "public": { "base_url": "https://bank.example" } },
///         "session": { "lifespan": "12h", "whoami": { "required_aal": "highest_available" } },
///         "selfservice": {
///             "flows": { "settings": { "privileged_session_max_age": "15m" } },
///             "methods": { "totp": { "enabled": true, "config": { "issuer": "Example Bank" } } }
///         },
///         "secrets": { "cookie": ["a secret of 32 or more random bytes"] }
///     }"#,
/// )?;
/// let step_up = StepUp::builder(config.public_url().unwrap_or_default())
///     .configure(&config)
///     .store(MemoryStore::default())
///     .build()?;
///
/// let mistake = serde_json::from_str::<Config>(r#"{ "session": { "lifespan": "soon" } }"#).unwrap_err();
/// assert!(mistake.to_string().contains("session.lifespan"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A configuration file of Ory Kratos can stay as it is. Its keys that mean nothing here are named in one warning each, with what to do
/// instead, and with [`strict_config`](StepUpBuilder::strict_config) in an error that lists them all. Cookies are always `SameSite=Lax`,
/// `Path=/` and, on HTTPS, `Secure`: other values in `cookies` and `session.cookie` are named too. Any other key is a mistake, and an
/// error that names it.
///
/// | key | sets |
/// |---|---|
/// | `serve.public.base_url` | [`public_url`](Self::public_url), for [`StepUp::builder`](crate::StepUp::builder) |
/// | `session.lifespan` | [`StepUpBuilder::session_lifespan`] |
/// | `serve.public.cors.enabled`, `.allowed_origins` | [`StepUpBuilder::allowed_origin`], each, which must be exact; `StepUp::cors_layer` adds the headers |
/// | `session.cookie.name` | [`StepUpBuilder::cookie_name`] |
/// | `session.cookie.persistent` | [`StepUpBuilder::cookie_persistent`] |
/// | `cookies.domain`, `session.cookie.domain` | [`StepUpBuilder::cookie_domain`], if `step_up.cookie_prefix` is `secure` or `none` too |
/// | `session.whoami.required_aal` | [`StepUpBuilder::whoami_required_aal`] |
/// | `session.absolute_lifespan` (ours), `.._beyond_nist` | [`StepUpBuilder::session_absolute_lifespan`], [`.._beyond_nist`](StepUpBuilder::session_absolute_lifespan_beyond_nist) |
/// | `session.inactivity_timeout` (ours) | [`StepUpBuilder::session_inactivity_timeout`] |
/// | `session.second_factor_lifespan` (ours), `.._beyond_nist` | [`StepUpBuilder::second_factor_lifespan`], [`.._beyond_nist`](StepUpBuilder::second_factor_lifespan_beyond_nist) |
/// | `selfservice.default_browser_return_url` | [`StepUpBuilder::default_return_url`] |
/// | `selfservice.allowed_return_urls` | [`StepUpBuilder::allowed_return_url`], each |
/// | `selfservice.flows.login.ui_url` | [`StepUpBuilder::login_ui_url`] |
/// | `selfservice.flows.login.lifespan` | [`StepUpBuilder::login_flow_lifespan`] |
/// | `selfservice.flows.login.after.default_browser_return_url` | [`StepUpBuilder::after_login_url`] |
/// | `selfservice.flows.logout.after.default_browser_return_url` | [`StepUpBuilder::after_logout_url`] |
/// | `selfservice.flows.settings.after.default_browser_return_url` | [`StepUpBuilder::after_settings_url`] |
/// | `selfservice.flows.settings.ui_url` | [`StepUpBuilder::settings_ui_url`] |
/// | `selfservice.flows.settings.lifespan` | [`StepUpBuilder::settings_flow_lifespan`] |
/// | `selfservice.flows.settings.privileged_session_max_age` | [`StepUpBuilder::privileged_session_max_age`] |
/// | `selfservice.flows.settings.required_aal` | [`StepUpBuilder::settings_required_aal`] |
/// | `selfservice.flows.error.ui_url` | [`StepUpBuilder::error_ui_url`] |
/// | `selfservice.methods.totp.enabled`, `.config.issuer` | the factor [`Totp`]; without an issuer, the host of `base_url` |
/// | `selfservice.methods.lookup_secret.enabled` | the factor [`LookupSecrets`](crate::factor::LookupSecrets) |
/// | `selfservice.methods.password.enabled` | the factor [`Password`](crate::factor::Password), which needs a `Directory` that checks passwords |
/// | `secrets.cookie` | [`StepUpBuilder::signing_key`], each; the key's id is part of its hash |
/// | `secrets.default` | the same, if `secrets.cookie` is not there |
/// | `secrets.cipher` | [`StepUpBuilder::encryption_key`], each, likewise |
/// | `step_up.application_name` (ours, as all below) | [`StepUpBuilder::application_name`] |
/// | `step_up.login_url` | [`StepUpBuilder::login_url`] |
/// | `step_up.after_unsafe_url` | [`StepUpBuilder::after_unsafe_url`] |
/// | `step_up.acr_values.aal1`, `.aal2`, `.phishing_resistant` | [`StepUpBuilder::acr_values`], [`StepUpBuilder::phishing_resistant_acr_values`] |
/// | `step_up.insecure_http_on_loopback` | [`StepUpBuilder::insecure_http_on_loopback`] |
/// | `step_up.cookie_prefix`: `host`, `secure` or `none` | [`StepUpBuilder::cookie_prefix`] |
/// | `step_up.strict_config` | [`StepUpBuilder::strict_config`] |
/// | `step_up.clock_leeway` | [`StepUpBuilder::clock_leeway`] |
/// | `step_up.trusted_devices` | [`StepUpBuilder::trusted_devices`] |
/// | `step_up.standing_max_age` | [`StepUpBuilder::standing_max_age`] |
/// | `step_up.changes_interval` | [`StepUpBuilder::changes_interval`] |
/// | `step_up.cached_sessions` | [`StepUpBuilder::cached_sessions`] |
/// | `step_up.store_timeout` | [`StepUpBuilder::store_timeout`] |
/// | `step_up.directory_timeout` | [`StepUpBuilder::directory_timeout`] |
/// | `step_up.body_timeout` | [`StepUpBuilder::body_timeout`] |
/// | `step_up.body_limit` | [`StepUpBuilder::body_limit`] |
/// | `step_up.attempts.free`, `.first_delay`, `.longest_delay`, `.hard_stop` | [`StepUpBuilder::attempts`] |
#[derive(Clone, Default)]
pub struct Config {
    public_url: Option<String>,
    totp: Option<Totp>,
    set: Vec<Applied>,
    ignored: Vec<Ignored>,
}

impl fmt::Debug for Config {
    /// Shows no values, since some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Value::deserialize(deserializer)?;
        Self::from_tree(&tree).map_err(D::Error::custom)
    }
}

impl Config {
    /// `serve.public.base_url`, if it is set.
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// The keys of Kratos in the file that set nothing here. For each, `build()` logs what to do instead.
    ///
    /// ```
    /// use tower_step_up::Config;
    ///
    /// let config: Config = serde_json::from_str(r#"{ "version": "v26.2.0", "courier": { "smtp": {} } }"#)?;
    /// assert!(config.ignored_keys().any(|key| key == "courier"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ignored_keys(&self) -> impl Iterator<Item = &str> {
        self.ignored.iter().map(|ignored| ignored.key.as_str())
    }

    fn from_tree(tree: &Value) -> Result<Self, String> {
        let mut found = Found::default();
        found.collect("", tree)?;
        let mut config = Self { ignored: std::mem::take(&mut found.ignored), ..Self::default() };
        let base_url = "serve.public.base_url";
        config.public_url = found.leaf(base_url).map(|value| values::text(base_url, value)).transpose()?;
        for (key, value) in &found.leaves {
            let Some((key, kind)) = KEYS.iter().find(|(known, _)| known == key) else { continue };
            config.set.extend(kind.read(key, value)?);
            if let Some(instead) = kind.ignores(value) {
                config.ignore(key, instead);
            }
        }
        config.read_totp(&found)?;
        config.read_secrets(&found)?;
        config.read_domain(&found)?;
        config.read_cors(&found)?;
        Ok(config)
    }

    fn ignore(&mut self, key: &str, instead: &'static str) {
        self.ignored.push(Ignored { key: key.to_owned(), instead });
    }

    fn read_totp(&mut self, found: &Found<'_>) -> Result<(), String> {
        if !found.is_on("selfservice.methods.totp.enabled")? {
            return Ok(());
        }
        let key = "selfservice.methods.totp.config.issuer";
        let host = || url::Url::parse(self.public_url()?).ok()?.host_str().map(str::to_owned);
        let issuer = match found.leaf(key) {
            Some(value) => values::text(key, value)?,
            // As Kratos does.
            None => host()
                .ok_or_else(|| format!("{key}: required when totp is enabled and serve.public.base_url is not set"))?,
        };
        self.totp = Some(Totp::new(issuer));
        Ok(())
    }

    /// In Kratos, `secrets.default` stands for each list of secrets that is not there.
    fn read_secrets(&mut self, found: &Found<'_>) -> Result<(), String> {
        let key = "secrets.default";
        let Some(value) = found.leaf(key) else { return Ok(()) };
        if found.leaf("secrets.cookie").is_some() {
            self.ignore(key, "secrets.cookie is there and signs; what is sealed at rest takes secrets.cipher");
            return Ok(());
        }
        self.set.extend(Kind::SigningKeys.read(key, value)?);
        Ok(())
    }

    /// A file that Kratos reads may have a domain without anybody having thought of what it opens here, so it takes a second key.
    fn read_domain(&mut self, found: &Found<'_>) -> Result<(), String> {
        let key = "step_up.cookie_prefix";
        let prefix = found.leaf(key).map(|value| values::prefix(key, value)).transpose()?;
        for key in ["cookies.domain", "session.cookie.domain"] {
            let Some(value) = found.leaf(key) else { continue };
            let domain = values::text(key, value)?;
            if prefix.is_some_and(|prefix| prefix != CookiePrefix::Host) {
                self.set.push(applied(StepUpBuilder::cookie_domain, domain));
            } else {
                self.ignore(
                    key,
                    "only the host of serve.public.base_url gets the cookies; if you trust every host of the domain with them, \
                     also set step_up.cookie_prefix to secure",
                );
            }
        }
        Ok(())
    }

    fn read_cors(&mut self, found: &Found<'_>) -> Result<(), String> {
        let key = "serve.public.cors.enabled";
        if !found.is_on(key)? {
            return Ok(());
        }
        if cfg!(not(feature = "cors")) {
            self.ignore(key, "enable the feature cors, and put StepUp::cors_layer around the application");
        }
        let key = "serve.public.cors.allowed_origins";
        let Some(value) = found.leaf(key) else { return Ok(()) };
        for origin in values::texts(key, value)? {
            if origin.contains('*') {
                return Err(format!(
                    "{key}: {origin:?}: name each origin, since every one of them can act for your users"
                ));
            }
            self.set.push(applied(StepUpBuilder::allowed_origin, origin));
        }
        Ok(())
    }
}

/// The values of the file, by the full names of their keys.
#[derive(Default)]
struct Found<'a> {
    leaves: Vec<(String, &'a Value)>,
    ignored: Vec<Ignored>,
}

impl<'a> Found<'a> {
    fn leaf(&self, key: &str) -> Option<&'a Value> {
        self.leaves.iter().find(|(own, _)| own == key).map(|(_, value)| *value)
    }

    fn is_on(&self, key: &str) -> Result<bool, String> {
        Ok(self.leaf(key).map(|value| values::flag(key, value)).transpose()?.unwrap_or_default())
    }

    /// Collects what the tables know. A value that is null is not there.
    fn collect(&mut self, path: &str, tree: &'a Value) -> Result<(), String> {
        if KEYS.iter().any(|(key, _)| *key == path) {
            if !tree.is_null() {
                self.leaves.push((path.to_owned(), tree));
            }
            return Ok(());
        }
        if let Some(ignored) = ignored::ignored(path) {
            if !tree.is_null() && !ignored::is_off(tree) {
                self.ignored.push(ignored);
            }
            return Ok(());
        }
        let inside = |key: &str| path.is_empty() || key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        if !KEYS.iter().any(|(key, _)| inside(key)) && !ignored::is_above_ignored(path) {
            return Err(format!("{path}: unknown key"));
        }
        let members = match tree {
            Value::Object(members) => members,
            Value::Null if !path.is_empty() => return Ok(()),
            _ => {
                let name = if path.is_empty() { "the configuration" } else { path };
                return Err(format!("{name}: must be a map of keys"));
            }
        };
        for (name, value) in members {
            let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.collect(&inner, value)?;
        }
        Ok(())
    }
}

impl StepUpBuilder {
    /// Applies everything that the configuration sets. For each key that sets nothing here, `build()` logs a warning.
    pub fn configure(mut self, config: &Config) -> Self {
        for set in &config.set {
            self = set(self);
        }
        self.ignored.extend(config.ignored.iter().cloned());
        match &config.totp {
            Some(totp) => self.factor(totp.clone()),
            None => self,
        }
    }

    /// Makes `build()` fail if the [configuration](Self::configure) has keys that set nothing here, and lists them all. By default they
    /// are logged as warnings, so that a file that Kratos reads can stay as it is.
    ///
    /// ```
    /// # use tower_step_up::{Config, SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// let config: Config = serde_json::from_str(r#"{ "version": "v26.2.0" }"#)?;
    /// let builder = StepUp::builder("https://bank.example").configure(&config).strict_config();
    /// let error = builder.build().unwrap_err();
    /// assert!(error.to_string().contains("version"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn strict_config(mut self) -> Self {
        self.strict_config = true;
        self
    }

    /// Tells what of the configuration sets nothing.
    pub(super) fn check_ignored(&self) -> Result<(), BuildError> {
        let lines = || self.ignored.iter().map(|ignored| format!("{}: {}", ignored.key, ignored.instead));
        if self.strict_config && !self.ignored.is_empty() {
            let help =
                format!("keys of the configuration set nothing here: {}", lines().collect::<Vec<_>>().join("; "));
            return Err(BuildError::new(BuildErrorKind::Config, help));
        }
        for Ignored { key, instead } in &self.ignored {
            tracing::warn!(target: "tower_step_up::config", key, "a key of the configuration sets nothing here: {instead}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
