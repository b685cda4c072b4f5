//! Reads single values. Every error begins with the full name of the key, and none shows a secret.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::hex;
use crate::session::{CookiePrefix, InvalidKey};

pub(super) fn text(key: &str, value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{key}: must be a string"))
}

pub(super) fn flag(key: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{key}: must be true or false"))
}

pub(super) fn texts(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let list = value.as_array().ok_or_else(|| format!("{key}: must be a list of strings"))?;
    list.iter().map(|item| text(key, item)).collect()
}

pub(super) fn time(key: &str, value: &Value) -> Result<Duration, String> {
    let text = text(key, value)?;
    // In Ory, an age of zero or less means "no limit".
    if text.starts_with('-') || text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(&text)
        .map_err(|_| format!("{key}: {text:?} is not a duration; write, for example, \"15m\""))
}

pub(super) fn prefix(key: &str, value: &Value) -> Result<CookiePrefix, String> {
    match text(key, value)?.as_str() {
        "host" => Ok(CookiePrefix::Host),
        "secure" => Ok(CookiePrefix::Secure),
        "none" => Ok(CookiePrefix::None),
        other => Err(format!("{key}: {other:?} is none of host, secure and none")),
    }
}

/// Keys have no ids in Ory's configuration, so take a part of the secret's hash.
fn key_id(secret: &str) -> String {
    hex(&Sha256::digest(secret)).chars().take(16).collect()
}

pub(super) fn keys<K>(
    key: &str,
    value: &Value,
    make: impl Fn(String, String) -> Result<K, InvalidKey>,
) -> Result<Vec<K>, String> {
    let secrets = texts(key, value)?;
    secrets.into_iter().map(|secret| make(key_id(&secret), secret).map_err(|error| format!("{key}: {error}"))).collect()
}
