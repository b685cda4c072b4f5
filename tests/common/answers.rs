//! Every answer of the endpoints is read with the types that this crate gives to clients.

use http::HeaderMap;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tower_step_up::wire::{ErrorEnvelope, LoginFlow, LoginSuccess, Session, SettingsFlow};

/// Asserts that clients can read the answer and miss nothing of it that the contract names, whatever it is.
#[track_caller]
pub fn assert_readable(headers: &HeaderMap, body: &[u8]) {
    // Only the crate's own answers have this header, or forbid to keep them.
    if !headers.contains_key("cache-control") {
        return;
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return };
    let body = Value::Object(body);
    if body["error"]["code"].is_u64() && body["id"].is_null() {
        read::<ErrorEnvelope>(&body, &["since", "expired_at", "type", "title", "status", "detail"]);
    } else if !body["requested_aal"].is_null() {
        read::<LoginFlow>(&body, &["organization_id", "created_at", "updated_at"]);
    } else if body["identity"].is_object() && body["ui"].is_object() {
        read::<SettingsFlow>(&body, &["organization_id"]);
    } else if body["session"]["authentication_methods"].is_array() && !body["continue_with"].is_boolean() {
        read::<LoginSuccess>(&body, &[]);
    } else if body["authentication_methods"].is_array() {
        read::<Session>(&body, &[]);
    }
}

/// Reads the body, and writes it again: nothing but these names may be lost on the way.
#[track_caller]
fn read<T: DeserializeOwned + Serialize>(body: &Value, left_out: &[&str]) {
    let read: T = serde_json::from_value(body.clone()).unwrap_or_else(|error| panic!("{error}: {body:#}"));
    let again = serde_json::to_value(&read).unwrap();
    for (name, value) in body.as_object().unwrap() {
        let found = again.get(name);
        let nested = ["identity", "session", "authentication_methods"].contains(&name.as_str());
        let lost = !nested && !left_out.contains(&name.as_str()) && !value.is_null() && found != Some(value);
        assert!(!lost, "a client loses {name}: {value} became {found:?}");
    }
}
