//! The configuration from a file, in any serde format. Keys have Ory's names where Ory has them.
//!
//! One table lists all keys with their kinds and what they set. So errors about unknown keys and bad values always give the full name of
//! the key, whatever the format's library would say.

use std::{fmt, time::Duration};

use serde::{Deserialize, de::Error as _};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{StepUpBuilder, hex};
use crate::{
    factor::{LookupSecrets, Password, Totp},
    requirement::RequiredAal,
    seal::EncryptionKey,
    session::SigningKey,
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
/// | key | sets |
/// |---|---|
/// | `serve.public.base_url` | [`public_url`](Self::public_url), for [`StepUp::builder`](crate::StepUp::builder) |
/// | `session.lifespan` | [`StepUpBuilder::session_lifespan`] |
/// | `session.cookie.name` | [`StepUpBuilder::cookie_name`] |
/// | `session.whoami.required_aal` | [`StepUpBuilder::whoami_required_aal`] |
/// | `session.absolute_lifespan` (ours) | [`StepUpBuilder::session_absolute_lifespan`] |
/// | `session.second_factor_lifespan` (ours) | [`StepUpBuilder::second_factor_lifespan`] |
/// | `selfservice.default_browser_return_url` | [`StepUpBuilder::default_return_url`] |
/// | `selfservice.allowed_return_urls` | [`StepUpBuilder::allowed_return_url`], each |
/// | `selfservice.flows.login.ui_url` | [`StepUpBuilder::login_ui_url`] |
/// | `selfservice.flows.login.lifespan` | [`StepUpBuilder::login_flow_lifespan`] |
/// | `selfservice.flows.settings.ui_url` | [`StepUpBuilder::settings_ui_url`] |
/// | `selfservice.flows.settings.lifespan` | [`StepUpBuilder::settings_flow_lifespan`] |
/// | `selfservice.flows.settings.privileged_session_max_age` | [`StepUpBuilder::privileged_session_max_age`] |
/// | `selfservice.flows.settings.required_aal` | [`StepUpBuilder::settings_required_aal`] |
/// | `selfservice.flows.error.ui_url` | [`StepUpBuilder::error_ui_url`] |
/// | `selfservice.methods.totp.enabled`, `.config.issuer` | the factor [`Totp`] |
/// | `selfservice.methods.lookup_secret.enabled` | the factor [`LookupSecrets`] |
/// | `selfservice.methods.password.enabled` | the factor [`Password`] |
/// | `secrets.cookie` | [`StepUpBuilder::signing_key`], each; the key's id is part of its hash |
/// | `secrets.cipher` | [`StepUpBuilder::encryption_key`], each, likewise |
/// | `step_up.application_name` (ours, as all below) | [`StepUpBuilder::application_name`] |
/// | `step_up.login_url` | [`StepUpBuilder::login_url`] |
/// | `step_up.after_unsafe_url` | [`StepUpBuilder::after_unsafe_url`] |
/// | `step_up.insecure_http_on_loopback` | [`StepUpBuilder::insecure_http_on_loopback`] |
/// | `step_up.clock_leeway` | [`StepUpBuilder::clock_leeway`] |
/// | `step_up.standing_max_age` | [`StepUpBuilder::standing_max_age`] |
/// | `step_up.cached_sessions` | [`StepUpBuilder::cached_sessions`] |
/// | `step_up.store_timeout` | [`StepUpBuilder::store_timeout`] |
/// | `step_up.directory_timeout` | [`StepUpBuilder::directory_timeout`] |
/// | `step_up.body_limit` | [`StepUpBuilder::body_limit`] |
/// | `step_up.attempts.free`, `.first_delay`, `.longest_delay`, `.hard_stop` | [`StepUpBuilder::attempts`] |
#[derive(Clone, Default)]
pub struct Config {
    public_url: Option<String>,
    totp: Option<Totp>,
    set: Vec<Applied>,
}

/// Applies a value from the file to the builder.
type Applied = std::sync::Arc<dyn Fn(StepUpBuilder) -> StepUpBuilder + Send + Sync>;

impl fmt::Debug for Config {
    /// Shows no values, since some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// The kind of a key's value, and what it sets.
enum Kind {
    Text(fn(StepUpBuilder, String) -> StepUpBuilder),
    Texts(fn(StepUpBuilder, String) -> StepUpBuilder),
    Time(fn(StepUpBuilder, Duration) -> StepUpBuilder),
    Level(fn(StepUpBuilder, RequiredAal) -> StepUpBuilder),
    Count(fn(StepUpBuilder, u32) -> StepUpBuilder),
    Flag(fn(StepUpBuilder) -> StepUpBuilder),
    SigningKeys,
    EncryptionKeys,
    /// Read elsewhere, together with other keys.
    Elsewhere,
}

const KEYS: &[(&str, Kind)] = &[
    ("serve.public.base_url", Kind::Elsewhere),
    ("session.lifespan", Kind::Time(StepUpBuilder::session_lifespan)),
    ("session.absolute_lifespan", Kind::Time(StepUpBuilder::session_absolute_lifespan)),
    ("session.second_factor_lifespan", Kind::Time(StepUpBuilder::second_factor_lifespan)),
    ("session.cookie.name", Kind::Text(StepUpBuilder::cookie_name)),
    ("session.whoami.required_aal", Kind::Level(StepUpBuilder::whoami_required_aal)),
    ("selfservice.default_browser_return_url", Kind::Text(StepUpBuilder::default_return_url)),
    ("selfservice.allowed_return_urls", Kind::Texts(StepUpBuilder::allowed_return_url)),
    ("selfservice.flows.login.ui_url", Kind::Text(StepUpBuilder::login_ui_url)),
    ("selfservice.flows.login.lifespan", Kind::Time(StepUpBuilder::login_flow_lifespan)),
    ("selfservice.flows.settings.ui_url", Kind::Text(StepUpBuilder::settings_ui_url)),
    ("selfservice.flows.settings.lifespan", Kind::Time(StepUpBuilder::settings_flow_lifespan)),
    ("selfservice.flows.settings.privileged_session_max_age", Kind::Time(StepUpBuilder::privileged_session_max_age)),
    ("selfservice.flows.settings.required_aal", Kind::Level(StepUpBuilder::settings_required_aal)),
    ("selfservice.flows.error.ui_url", Kind::Text(StepUpBuilder::error_ui_url)),
    ("selfservice.methods.totp.enabled", Kind::Elsewhere),
    ("selfservice.methods.totp.config.issuer", Kind::Elsewhere),
    ("selfservice.methods.lookup_secret.enabled", Kind::Flag(|builder| builder.factor(LookupSecrets::default()))),
    ("selfservice.methods.password.enabled", Kind::Flag(|builder| builder.factor(Password::default()))),
    ("secrets.cookie", Kind::SigningKeys),
    ("secrets.cipher", Kind::EncryptionKeys),
    ("step_up.application_name", Kind::Text(StepUpBuilder::application_name)),
    ("step_up.login_url", Kind::Text(StepUpBuilder::login_url)),
    ("step_up.after_unsafe_url", Kind::Text(StepUpBuilder::after_unsafe_url)),
    ("step_up.insecure_http_on_loopback", Kind::Flag(StepUpBuilder::insecure_http_on_loopback)),
    ("step_up.clock_leeway", Kind::Time(StepUpBuilder::clock_leeway)),
    ("step_up.standing_max_age", Kind::Time(StepUpBuilder::standing_max_age)),
    ("step_up.store_timeout", Kind::Time(StepUpBuilder::store_timeout)),
    ("step_up.directory_timeout", Kind::Time(StepUpBuilder::directory_timeout)),
    ("step_up.cached_sessions", Kind::Count(|builder, count| builder.cached_sessions(whole(count)))),
    ("step_up.body_limit", Kind::Count(|builder, count| builder.body_limit(whole(count)))),
    ("step_up.attempts.free", Kind::Count(|builder, count| builder.edit_attempts(|policy| policy.free = count))),
    (
        "step_up.attempts.first_delay",
        Kind::Time(|builder, delay| builder.edit_attempts(|policy| policy.first_delay = delay)),
    ),
    (
        "step_up.attempts.longest_delay",
        Kind::Time(|builder, delay| builder.edit_attempts(|policy| policy.longest_delay = delay)),
    ),
    (
        "step_up.attempts.hard_stop",
        Kind::Count(|builder, count| builder.edit_attempts(|policy| policy.hard_stop = count)),
    ),
];

fn whole(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
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

    fn from_tree(tree: &Value) -> Result<Self, String> {
        let mut leaves = Vec::new();
        collect("", tree, &mut leaves)?;
        let leaf = |key: &str| leaves.iter().find(|(own, _)| own == key).map(|(_, value)| *value);
        let mut config = Self::default();
        if let Some(value) = leaf("serve.public.base_url") {
            config.public_url = Some(text("serve.public.base_url", value)?);
        }
        let totp = leaf("selfservice.methods.totp.enabled");
        if totp.map(|value| flag("selfservice.methods.totp.enabled", value)).transpose()? == Some(true) {
            let key = "selfservice.methods.totp.config.issuer";
            let issuer = leaf(key).ok_or_else(|| format!("{key}: required when totp is enabled"))?;
            config.totp = Some(Totp::new(text(key, issuer)?));
        }
        for (key, value) in &leaves {
            let Some((key, kind)) = KEYS.iter().find(|(known, _)| known == key) else { continue };
            config.set.extend(kind.read(key, value)?);
        }
        Ok(config)
    }
}

/// Collects the values of the table's keys.
fn collect<'a>(path: &str, tree: &'a Value, leaves: &mut Vec<(String, &'a Value)>) -> Result<(), String> {
    if KEYS.iter().any(|(key, _)| *key == path) {
        leaves.push((path.to_owned(), tree));
        return Ok(());
    }
    let inside = |key: &str| path.is_empty() || key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    if !KEYS.iter().any(|(key, _)| inside(key)) {
        return Err(format!("{path}: unknown key"));
    }
    let Value::Object(members) = tree else {
        let name = if path.is_empty() { "the configuration" } else { path };
        return Err(format!("{name}: must be a map of keys"));
    };
    for (name, value) in members {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect(&inner, value, leaves)?;
    }
    Ok(())
}

fn text(key: &str, value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{key}: must be a string"))
}

fn flag(key: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{key}: must be true or false"))
}

fn texts(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let list = value.as_array().ok_or_else(|| format!("{key}: must be a list of strings"))?;
    list.iter().map(|item| text(key, item)).collect()
}

fn time(key: &str, value: &Value) -> Result<Duration, String> {
    let text = text(key, value)?;
    // In Ory, an age of zero or less means "no limit".
    if text.starts_with('-') || text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(&text)
        .map_err(|_| format!("{key}: {text:?} is not a duration; write, for example, \"15m\""))
}

/// Keys have no ids in Ory's configuration, so take a part of the secret's hash.
fn key_id(secret: &str) -> String {
    hex(&Sha256::digest(secret)).chars().take(16).collect()
}

fn keys<K>(
    key: &str,
    value: &Value,
    make: impl Fn(String, String) -> Result<K, crate::session::InvalidKey>,
) -> Result<Vec<K>, String> {
    let secrets = texts(key, value)?;
    secrets.into_iter().map(|secret| make(key_id(&secret), secret).map_err(|error| format!("{key}: {error}"))).collect()
}

impl Kind {
    fn read(&self, key: &str, value: &Value) -> Result<Vec<Applied>, String> {
        fn applied<T: Clone + Send + Sync + 'static>(set: fn(StepUpBuilder, T) -> StepUpBuilder, value: T) -> Applied {
            std::sync::Arc::new(move |builder| set(builder, value.clone()))
        }
        Ok(match self {
            Self::Text(set) => vec![applied(*set, text(key, value)?)],
            Self::Texts(set) => texts(key, value)?.into_iter().map(|text| applied(*set, text)).collect(),
            Self::Time(set) => vec![applied(*set, time(key, value)?)],
            Self::Level(set) => {
                let name = text(key, value)?;
                let level = name.parse::<RequiredAal>().map_err(|error| format!("{key}: {name:?}: {error}"))?;
                vec![applied(*set, level)]
            }
            Self::Count(set) => {
                let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
                vec![applied(*set, count.ok_or_else(|| format!("{key}: must be a whole number"))?)]
            }
            Self::Flag(set) => {
                let set = *set;
                if flag(key, value)? { vec![std::sync::Arc::new(set)] } else { Vec::new() }
            }
            Self::SigningKeys => {
                let keys = keys(key, value, SigningKey::hs256)?;
                keys.into_iter().map(|key| applied(StepUpBuilder::signing_key, key)).collect()
            }
            Self::EncryptionKeys => {
                let keys = keys(key, value, EncryptionKey::new)?;
                keys.into_iter().map(|key| applied(StepUpBuilder::encryption_key, key)).collect()
            }
            Self::Elsewhere => Vec::new(),
        })
    }
}

impl StepUpBuilder {
    /// Applies everything that the configuration sets.
    pub fn configure(mut self, config: &Config) -> Self {
        for set in &config.set {
            self = set(self);
        }
        match &config.totp {
            Some(totp) => self.factor(totp.clone()),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{StepUp, store::MemoryStore};

    const SECRET: &str = "signs in tests, and nowhere else.";

    fn read(tree: Value) -> Result<Config, String> {
        serde_json::from_value(tree).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_of_the_table_can_be_set() {
        for (key, kind) in KEYS {
            let value = match kind {
                Kind::Text(_) | Kind::Elsewhere if key.ends_with("enabled") => json!(false),
                Kind::Text(_) | Kind::Elsewhere => json!("/x"),
                Kind::Texts(_) => json!(["/x"]),
                Kind::Time(_) => json!("90s"),
                Kind::Level(_) => json!("aal1"),
                Kind::Count(_) => json!(7),
                Kind::Flag(_) => json!(true),
                Kind::SigningKeys | Kind::EncryptionKeys => json!([SECRET]),
            };
            let tree = key.rsplit('.').fold(value, |inner, name| json!({ name: inner }));
            let config = read(tree).unwrap_or_else(|error| panic!("{key}: {error}"));
            let _ = StepUp::builder("https://bank.example").configure(&config);
        }
    }

    #[test]
    fn mistakes_are_named_by_their_whole_key() {
        for (tree, name) in [
            (json!({"session": {"lifespam": "1h"}}), "session.lifespam"),
            (json!({"sessions": {}}), "sessions"),
            (json!({"session": {"lifespan": {"x": 1}}}), "session.lifespan"),
            (json!({"session": {"lifespan": 5}}), "session.lifespan"),
            (json!({"session": {"lifespan": "soon"}}), "session.lifespan"),
            (json!({"session": "1h"}), "session"),
            (json!({"session": {"whoami": {"required_aal": "aal3"}}}), "session.whoami.required_aal"),
            (json!({"selfservice": {"allowed_return_urls": "x"}}), "selfservice.allowed_return_urls"),
            (
                json!({"selfservice": {"methods": {"totp": {"enabled": true}}}}),
                "selfservice.methods.totp.config.issuer",
            ),
            (json!({"selfservice": {"methods": {"totp": {"enabled": 1}}}}), "selfservice.methods.totp.enabled"),
            (json!({"secrets": {"cookie": ["short"]}}), "secrets.cookie"),
            (json!({"step_up": {"body_limit": -1}}), "step_up.body_limit"),
            (json!(7), "the configuration"),
        ] {
            let error = read(tree).unwrap_err();
            assert!(error.starts_with(&format!("{name}: ")), "{name}: {error}");
            assert!(!error.contains("short"), "no secret in an error");
        }
    }

    #[test]
    fn a_configuration_builds_what_it_says() {
        let config = read(json!({
            "serve": {"public": {"base_url": "http://127.0.0.1:3000"}},
            "session": {"lifespan": "1h 30m", "whoami": {"required_aal": "aal1"}},
            "selfservice": {
                "flows": {"settings": {"required_aal": "aal2", "privileged_session_max_age": "-1s"}},
                "methods": {"totp": {"enabled": true, "config": {"issuer": "Bank"}}, "lookup_secret": {"enabled": true}},
            },
            "secrets": {"cookie": [SECRET, "what was the secret until last May"]},
            "step_up": {"insecure_http_on_loopback": true, "attempts": {"free": 3}},
        }))
        .unwrap();
        let builder = StepUp::builder(config.public_url().unwrap()).configure(&config);
        let step_up = builder.store(MemoryStore::default()).build().unwrap();
        let engine = step_up.engine();
        assert_eq!(engine.limits.session_lifespan, Duration::from_secs(5400));
        assert_eq!(engine.limits.privileged_session_max_age, Duration::ZERO);
        assert_eq!(engine.limits.attempts.free, 3);
        assert_eq!(engine.whoami_required_aal(), RequiredAal::Aal1);
        assert_eq!(engine.settings_required_aal(), RequiredAal::Aal2);
        assert_eq!(engine.factors.len(), 2);
    }
}
