//! Settings: read from the environment once and parsed into types. No other file reads the environment.

use std::{fmt, net::SocketAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tower_step_up::{
    RequiredAal,
    error::{BuildError, BuildErrorKind},
};
#[cfg(feature = "mail")]
use tower_step_up_mail::Smtp;

/// The settings.
pub(crate) struct Config {
    /// Where to listen.
    pub(crate) address: SocketAddr,
    /// How browsers reach the bank; `None` if that is the address itself.
    pub(crate) public_url: Option<String>,
    /// Whether a proxy takes the path of the public URL away.
    pub(crate) strips_prefix: bool,
    pub(crate) store: StoreSetting,
    /// The Redis for flows and counters of attempts; `None` if they are in the store.
    #[cfg(feature = "redis")]
    pub(crate) flows: Option<String>,
    /// The secret that all keys are derived from; `None` if the store keeps one.
    pub(crate) secret: Option<Vec<u8>>,
    /// The level that whoami and the settings require.
    pub(crate) model: RequiredAal,
    /// How old the second factor may be for a transfer.
    pub(crate) transfer_max_age: Duration,
    /// The second factors, in the order in which they were named.
    pub(crate) factors: Vec<FactorSetting>,
    pub(crate) codes: Codes,
    pub(crate) pages: Pages,
    /// How long a step-up may take, and a session may last; `None`: as the crate has it.
    pub(crate) login_lifespan: Option<Duration>,
    pub(crate) session_lifespan: Option<Duration>,
    /// How long a user need not be asked on a trusted device; `None`: never.
    /// The language of the crate's pages for whom none is known.
    pub(crate) language: Option<String>,
    /// The colour of buttons and links on them.
    pub(crate) brand_color: Option<String>,
    pub(crate) trusted_devices: Option<Duration>,
}

/// Pages of a front end of one's own, as absolute addresses or paths. `None`: the bank's and the crate's.
pub(crate) struct Pages {
    pub(crate) login: Option<String>,
    pub(crate) login_ui: Option<String>,
    pub(crate) settings_ui: Option<String>,
    pub(crate) error_ui: Option<String>,
    /// Where else browsers may be sent back to; empty: to the bank alone.
    pub(crate) allowed_return: Vec<String>,
}

/// Where the bank keeps its data.
pub(crate) enum StoreSetting {
    /// In this process, until it ends.
    Memory,
    /// In the database file of this URL.
    #[cfg(feature = "sqlite")]
    Sqlite(String),
    /// In the database of this URL.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

/// A second factor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FactorSetting {
    Totp,
    LookupSecret,
    Code,
    #[cfg(feature = "webauthn")]
    WebAuthn,
}

/// How codes are sent.
pub(crate) struct Codes {
    /// The mail server; `None` if codes are only written to standard error.
    #[cfg(feature = "mail")]
    pub(crate) smtp: Option<Smtp>,
    /// Between two codes to one address; zero for no limit.
    pub(crate) cool_down: Duration,
    /// Whether users add addresses of their own.
    pub(crate) user_addresses: bool,
}

/// A bad setting. The text names the setting and says what to write instead. It never repeats a value that may contain a
/// password.
#[derive(Debug)]
pub(crate) struct BadSetting(String);

impl BadSetting {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What the crate refuses, with the setting that it comes from. The crate names its own functions.
    pub(crate) fn refused(error: &BuildError) -> Self {
        let text = error.to_string();
        let named = SET_BY.iter().find(|(function, _)| text.starts_with(function)).map(|(_, setting)| *setting);
        let setting = named.or(match error.kind() {
            BuildErrorKind::PublicUrl => Some("BANK_PUBLIC_URL"),
            BuildErrorKind::Factor => Some("BANK_FACTORS"),
            _ => None,
        });
        Self(setting.map_or(text.clone(), |setting| format!("{setting}: {text}")))
    }
}

/// Functions of the builder, and what sets them.
const SET_BY: [(&str, &str); 7] = [
    ("allowed_return_url", "BANK_ALLOWED_RETURN_URLS"),
    ("error_ui_url", "BANK_ERROR_UI_URL"),
    ("login_flow_lifespan", "BANK_LOGIN_LIFESPAN"),
    ("login_ui_url", "BANK_LOGIN_UI_URL"),
    ("login_url", "BANK_LOGIN_URL"),
    ("session_lifespan", "BANK_SESSION_LIFESPAN"),
    ("settings_ui_url", "BANK_SETTINGS_UI_URL"),
];

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadSetting {}

impl Config {
    /// Reads the settings through `get`, the environment. An empty value counts as none.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let flows = get("BANK_FLOWS").map(flows).transpose()?;
        #[cfg(not(feature = "redis"))]
        if flows.is_some() {
            return Err(BadSetting::new("BANK_FLOWS: build the bank with the feature redis, or leave it unset"));
        }
        #[cfg(not(feature = "mail"))]
        if get("BANK_SMTP").is_some() {
            return Err(BadSetting::new("BANK_SMTP: build the bank with the feature mail, or leave it unset"));
        }
        let lifespan = |name| get(name).map(|text| seconds(name, &text)).transpose();
        Ok(Self {
            address: address(get("BANK_ADDR").as_deref().unwrap_or("127.0.0.1:3000"))?,
            public_url: get("BANK_PUBLIC_URL"),
            strips_prefix: truth("BANK_STRIPS_PREFIX", get("BANK_STRIPS_PREFIX").as_deref().unwrap_or("false"))?,
            #[cfg(feature = "redis")]
            flows,
            store: store(get("BANK_STORE").as_deref().unwrap_or("sqlite://bank.db"))?,
            secret: get("BANK_SECRET").as_deref().map(secret).transpose()?,
            model: model(get("BANK_MODEL").as_deref().unwrap_or("strict"))?,
            transfer_max_age: seconds(
                "BANK_TRANSFER_MAX_AGE",
                get("BANK_TRANSFER_MAX_AGE").as_deref().unwrap_or("300"),
            )?,
            factors: factors(get("BANK_FACTORS").as_deref().unwrap_or("totp,lookup_secret"))?,
            codes: Codes {
                #[cfg(feature = "mail")]
                smtp: get("BANK_SMTP").as_deref().map(smtp).transpose()?,
                cool_down: cool_down(get("BANK_CODE_COOL_DOWN").as_deref().unwrap_or("30"))?,
                user_addresses: switch("BANK_USER_ADDRESSES", get("BANK_USER_ADDRESSES").as_deref().unwrap_or("0"))?,
            },
            pages: Pages {
                login: get("BANK_LOGIN_URL"),
                login_ui: get("BANK_LOGIN_UI_URL"),
                settings_ui: get("BANK_SETTINGS_UI_URL"),
                error_ui: get("BANK_ERROR_UI_URL"),
                allowed_return: list(get("BANK_ALLOWED_RETURN_URLS").as_deref()),
            },
            login_lifespan: lifespan("BANK_LOGIN_LIFESPAN")?,
            session_lifespan: lifespan("BANK_SESSION_LIFESPAN")?,
            language: get("BANK_LANGUAGE").as_deref().map(language).transpose()?,
            brand_color: get("BANK_BRAND_COLOR").as_deref().map(color).transpose()?,
            trusted_devices: days(get("BANK_TRUSTED_DEVICE_DAYS").as_deref().unwrap_or("0"))?,
        })
    }
}

fn address(text: &str) -> Result<SocketAddr, BadSetting> {
    text.parse().map_err(|_| BadSetting::new("BANK_ADDR must be an address and a port, for example 127.0.0.1:3000"))
}

fn language(text: &str) -> Result<String, BadSetting> {
    let known = ["en", "de"].contains(&text);
    known.then(|| text.to_owned()).ok_or_else(|| BadSetting::new("BANK_LANGUAGE must be en or de"))
}

fn color(text: &str) -> Result<String, BadSetting> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
    let is_color = digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let bad = || BadSetting::new("BANK_BRAND_COLOR must be a colour such as #7a1f3d");
    is_color.then(|| text.to_owned()).ok_or_else(bad)
}

fn store(text: &str) -> Result<StoreSetting, BadSetting> {
    match text.split_once("://").map_or(text, |(scheme, _)| scheme) {
        "memory" => Ok(StoreSetting::Memory),
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(StoreSetting::Sqlite(text.to_owned())),
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => Err(BadSetting::new("BANK_STORE: build the bank with the feature sqlite, or use memory")),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(StoreSetting::Postgres(text.to_owned())),
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => {
            Err(BadSetting::new("BANK_STORE: build the bank with the feature postgres, or use memory or sqlite://FILE"))
        }
        _ => Err(BadSetting::new("BANK_STORE must be memory, sqlite://FILE or postgres://HOST/DATABASE")),
    }
}

fn flows(text: String) -> Result<String, BadSetting> {
    let known = text.starts_with("redis://") || text.starts_with("rediss://");
    if known { Ok(text) } else { Err(BadSetting::new("BANK_FLOWS must be redis://HOST or rediss://HOST")) }
}

fn secret(text: &str) -> Result<Vec<u8>, BadSetting> {
    STANDARD.decode(text.trim()).ok().filter(|bytes| bytes.len() >= 32).ok_or_else(|| {
        BadSetting::new(
            "BANK_SECRET must be 32 or more random bytes in base64, for example from `openssl rand -base64 32`",
        )
    })
}

fn model(text: &str) -> Result<RequiredAal, BadSetting> {
    match text {
        "strict" => Ok(RequiredAal::HighestAvailable),
        "lax" => Ok(RequiredAal::Aal1),
        _ => Err(BadSetting::new("BANK_MODEL must be strict or lax")),
    }
}

fn factors(text: &str) -> Result<Vec<FactorSetting>, BadSetting> {
    let mut named = Vec::new();
    for name in list(Some(text)) {
        let factor = match name.as_str() {
            "totp" => FactorSetting::Totp,
            "lookup_secret" => FactorSetting::LookupSecret,
            "code" => FactorSetting::Code,
            #[cfg(feature = "webauthn")]
            "webauthn" => FactorSetting::WebAuthn,
            #[cfg(not(feature = "webauthn"))]
            "webauthn" => {
                return Err(BadSetting::new("BANK_FACTORS: build the bank with the feature webauthn, or leave it out"));
            }
            _ => return Err(BadSetting::new(FACTORS)),
        };
        if !named.contains(&factor) {
            named.push(factor);
        }
    }
    if named.is_empty() { Err(BadSetting::new(FACTORS)) } else { Ok(named) }
}

const FACTORS: &str = "BANK_FACTORS must name totp, lookup_secret, webauthn or code, with commas";

#[cfg(feature = "mail")]
fn smtp(url: &str) -> Result<Smtp, BadSetting> {
    Smtp::new(url, "Example Bank <no-reply@bank.example>")
        .map_err(|error| BadSetting::new(format!("BANK_SMTP: {error}")))
}

fn seconds(name: &str, text: &str) -> Result<Duration, BadSetting> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| BadSetting::new(format!("{name} must be a whole number of seconds, for example 300")))
}

fn cool_down(text: &str) -> Result<Duration, BadSetting> {
    match text.parse() {
        Ok(seconds @ 0..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err(BadSetting::new("BANK_CODE_COOL_DOWN must be a whole number of seconds from 0 to 3600")),
    }
}

/// Zero days are none.
fn days(text: &str) -> Result<Option<Duration>, BadSetting> {
    match text.parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(days @ 1..=90) => Ok(Some(Duration::from_secs(u64::from(days) * 86_400))),
        _ => Err(BadSetting::new("BANK_TRUSTED_DEVICE_DAYS must be a whole number of days from 0 to 90")),
    }
}

/// The parts between commas.
fn list(text: Option<&str>) -> Vec<String> {
    text.iter()
        .flat_map(|text| text.split(','))
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

fn switch(name: &str, text: &str) -> Result<bool, BadSetting> {
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => truth(name, text).map_err(|_| BadSetting::new(format!("{name} must be 1 or 0"))),
    }
}

fn truth(name: &str, text: &str) -> Result<bool, BadSetting> {
    text.parse().map_err(|_| BadSetting::new(format!("{name} must be true or false")))
}
