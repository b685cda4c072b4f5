//! All keys that mean something, with their kinds and what they set.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::{super::StepUpBuilder, values};
use crate::{
    aal::Aal,
    factor::{LookupSecrets, Password},
    requirement::RequiredAal,
    seal::EncryptionKey,
    session::{CookiePrefix, SigningKey},
};

/// Applies a value from the file to the builder.
pub(super) type Applied = Arc<dyn Fn(StepUpBuilder) -> StepUpBuilder + Send + Sync>;

pub(super) fn applied<T: Clone + Send + Sync + 'static>(
    set: fn(StepUpBuilder, T) -> StepUpBuilder,
    value: T,
) -> Applied {
    Arc::new(move |builder| set(builder, value.clone()))
}

/// The kind of a key's value, and what it sets.
pub(super) enum Kind {
    Text(fn(StepUpBuilder, String) -> StepUpBuilder),
    Texts(fn(StepUpBuilder, String) -> StepUpBuilder),
    List(fn(StepUpBuilder, Vec<String>) -> StepUpBuilder),
    Time(fn(StepUpBuilder, Duration) -> StepUpBuilder),
    Level(fn(StepUpBuilder, RequiredAal) -> StepUpBuilder),
    Count(fn(StepUpBuilder, u32) -> StepUpBuilder),
    Flag(fn(StepUpBuilder) -> StepUpBuilder),
    Switch(fn(StepUpBuilder, bool) -> StepUpBuilder),
    Prefix(fn(StepUpBuilder, CookiePrefix) -> StepUpBuilder),
    SigningKeys,
    EncryptionKeys,
    /// It always has this value. Any other is ignored, for this reason.
    Fixed(&'static str, &'static str),
    /// Read elsewhere, together with other keys.
    Elsewhere,
}

const LAX: &str = "cookies are always SameSite=Lax, so that a link from another site finds its user signed in and a form from there does not";
const ROOT: &str = "cookies are for the whole host: a path protects nothing";
const SECURE: &str = "cookies are always Secure, except on plain HTTP, which step_up.insecure_http_on_loopback allows";

pub(super) const KEYS: &[(&str, Kind)] = &[
    ("serve.public.base_url", Kind::Elsewhere),
    ("serve.public.cors.enabled", Kind::Elsewhere),
    ("serve.public.cors.allowed_origins", Kind::Elsewhere),
    ("session.lifespan", Kind::Time(StepUpBuilder::session_lifespan)),
    ("session.absolute_lifespan", Kind::Time(StepUpBuilder::session_absolute_lifespan)),
    ("session.absolute_lifespan_beyond_nist", Kind::Time(StepUpBuilder::session_absolute_lifespan_beyond_nist)),
    ("session.inactivity_timeout", Kind::Time(StepUpBuilder::session_inactivity_timeout)),
    ("session.second_factor_lifespan", Kind::Time(StepUpBuilder::second_factor_lifespan)),
    ("session.second_factor_lifespan_beyond_nist", Kind::Time(StepUpBuilder::second_factor_lifespan_beyond_nist)),
    ("session.cookie.name", Kind::Text(StepUpBuilder::cookie_name)),
    ("session.cookie.persistent", Kind::Switch(StepUpBuilder::cookie_persistent)),
    ("session.cookie.domain", Kind::Elsewhere),
    ("session.cookie.path", Kind::Fixed("/", ROOT)),
    ("session.cookie.same_site", Kind::Fixed("Lax", LAX)),
    ("session.cookie.secure", Kind::Fixed("true", SECURE)),
    ("session.whoami.required_aal", Kind::Level(StepUpBuilder::whoami_required_aal)),
    ("cookies.domain", Kind::Elsewhere),
    ("cookies.path", Kind::Fixed("/", ROOT)),
    ("cookies.same_site", Kind::Fixed("Lax", LAX)),
    ("cookies.secure", Kind::Fixed("true", SECURE)),
    ("selfservice.default_browser_return_url", Kind::Text(StepUpBuilder::default_return_url)),
    ("selfservice.allowed_return_urls", Kind::Texts(StepUpBuilder::allowed_return_url)),
    ("selfservice.flows.login.ui_url", Kind::Text(StepUpBuilder::login_ui_url)),
    ("selfservice.flows.login.lifespan", Kind::Time(StepUpBuilder::login_flow_lifespan)),
    ("selfservice.flows.login.after.default_browser_return_url", Kind::Text(StepUpBuilder::after_login_url)),
    ("selfservice.flows.logout.after.default_browser_return_url", Kind::Text(StepUpBuilder::after_logout_url)),
    ("selfservice.flows.settings.ui_url", Kind::Text(StepUpBuilder::settings_ui_url)),
    ("selfservice.flows.settings.lifespan", Kind::Time(StepUpBuilder::settings_flow_lifespan)),
    ("selfservice.flows.settings.privileged_session_max_age", Kind::Time(StepUpBuilder::privileged_session_max_age)),
    ("selfservice.flows.settings.required_aal", Kind::Level(StepUpBuilder::settings_required_aal)),
    ("selfservice.flows.settings.after.default_browser_return_url", Kind::Text(StepUpBuilder::after_settings_url)),
    ("selfservice.flows.error.ui_url", Kind::Text(StepUpBuilder::error_ui_url)),
    ("selfservice.methods.totp.enabled", Kind::Elsewhere),
    ("selfservice.methods.totp.config.issuer", Kind::Elsewhere),
    ("selfservice.methods.lookup_secret.enabled", Kind::Flag(|builder| builder.factor(LookupSecrets::default()))),
    ("selfservice.methods.password.enabled", Kind::Flag(|builder| builder.factor(Password::default()))),
    ("secrets.default", Kind::Elsewhere),
    ("secrets.cookie", Kind::SigningKeys),
    ("secrets.cipher", Kind::EncryptionKeys),
    ("step_up.application_name", Kind::Text(StepUpBuilder::application_name)),
    ("step_up.login_url", Kind::Text(StepUpBuilder::login_url)),
    ("step_up.after_unsafe_url", Kind::Text(StepUpBuilder::after_unsafe_url)),
    ("step_up.acr_values.aal1", Kind::List(|builder, names| builder.acr_values(Aal::Aal1, names))),
    ("step_up.acr_values.aal2", Kind::List(|builder, names| builder.acr_values(Aal::Aal2, names))),
    ("step_up.acr_values.phishing_resistant", Kind::List(StepUpBuilder::phishing_resistant_acr_values)),
    ("step_up.cookie_prefix", Kind::Prefix(StepUpBuilder::cookie_prefix)),
    ("step_up.strict_config", Kind::Flag(StepUpBuilder::strict_config)),
    ("step_up.insecure_http_on_loopback", Kind::Flag(StepUpBuilder::insecure_http_on_loopback)),
    ("step_up.clock_leeway", Kind::Time(StepUpBuilder::clock_leeway)),
    ("step_up.trusted_devices", Kind::Time(StepUpBuilder::trusted_devices)),
    ("step_up.standing_max_age", Kind::Time(StepUpBuilder::standing_max_age)),
    ("step_up.changes_interval", Kind::Time(StepUpBuilder::changes_interval)),
    ("step_up.store_timeout", Kind::Time(StepUpBuilder::store_timeout)),
    ("step_up.directory_timeout", Kind::Time(StepUpBuilder::directory_timeout)),
    ("step_up.cached_sessions", Kind::Count(|builder, count| builder.cached_sessions(whole(count)))),
    ("step_up.body_timeout", Kind::Time(StepUpBuilder::body_timeout)),
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

impl Kind {
    /// What the value sets.
    pub(super) fn read(&self, key: &str, value: &Value) -> Result<Vec<Applied>, String> {
        Ok(match self {
            Self::Text(set) => vec![applied(*set, values::text(key, value)?)],
            Self::Texts(set) => values::texts(key, value)?.into_iter().map(|text| applied(*set, text)).collect(),
            Self::List(set) => vec![applied(*set, values::texts(key, value)?)],
            Self::Time(set) => vec![applied(*set, values::time(key, value)?)],
            Self::Level(set) => {
                let name = values::text(key, value)?;
                let level = name.parse::<RequiredAal>().map_err(|error| format!("{key}: {name:?}: {error}"))?;
                vec![applied(*set, level)]
            }
            Self::Count(set) => {
                let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
                vec![applied(*set, count.ok_or_else(|| format!("{key}: must be a whole number"))?)]
            }
            Self::Flag(set) => {
                let set = *set;
                if values::flag(key, value)? { vec![Arc::new(set)] } else { Vec::new() }
            }
            Self::Switch(set) => vec![applied(*set, values::flag(key, value)?)],
            Self::Prefix(set) => vec![applied(*set, values::prefix(key, value)?)],
            Self::SigningKeys => {
                let keys = values::keys(key, value, SigningKey::hs256)?;
                keys.into_iter().map(|key| applied(StepUpBuilder::signing_key, key)).collect()
            }
            Self::EncryptionKeys => {
                let keys = values::keys(key, value, EncryptionKey::new)?;
                keys.into_iter().map(|key| applied(StepUpBuilder::encryption_key, key)).collect()
            }
            Self::Fixed(..) | Self::Elsewhere => Vec::new(),
        })
    }

    /// Why this value is ignored, if it is.
    pub(super) fn ignores(&self, value: &Value) -> Option<&'static str> {
        let Self::Fixed(only, why) = self else { return None };
        let same = match value {
            Value::String(text) => text.eq_ignore_ascii_case(only),
            other => *other == Value::Bool(true) && *only == "true",
        };
        (!same).then_some(why)
    }
}
