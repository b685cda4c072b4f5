//! What the browser's script sends: JSON in a form's field.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An answer's JSON, read in the way of Ory's script: padding is cut off, an empty user handle is none, and what extensions say does not
/// count, since none were asked for.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Option<T> {
    let mut answer: Value = serde_json::from_str(text).ok()?;
    let fields = answer.as_object_mut()?;
    fields.remove("clientExtensionResults");
    fields.remove("extensions");
    fields.values_mut().for_each(cut_padding);
    let response = fields.get_mut("response")?.as_object_mut()?;
    response.values_mut().for_each(cut_padding);
    let handle = response.entry("userHandle").or_insert(Value::Null);
    if handle.as_str() == Some("") {
        *handle = Value::Null;
    }
    serde_json::from_value(answer).ok()
}

fn cut_padding(value: &mut Value) {
    if let Value::String(text) = value {
        text.truncate(text.trim_end_matches('=').len());
    }
}

/// Whether the type is the only one there is, and both ids are the same.
pub(crate) fn is_well_formed(type_: &str, id: &str, raw_id: &[u8]) -> bool {
    type_ == "public-key" && !raw_id.is_empty() && id == URL_SAFE_NO_PAD.encode(raw_id)
}

/// Whether the browser says that a page of another origin contained the page that asked.
pub(crate) fn is_cross_origin(client_data_json: &[u8]) -> bool {
    let data: Option<Value> = serde_json::from_slice(client_data_json).ok();
    data.is_none_or(|data| data.get("crossOrigin").is_some_and(|value| *value != Value::Bool(false)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use webauthn_rs_core::proto::PublicKeyCredential;

    use super::*;

    fn assertion(id: &str, handle: &str) -> Option<PublicKeyCredential> {
        parse(&format!(
            r#"{{"id": "{id}", "rawId": "{id}", "type": "public-key", "clientExtensionResults": {{"appid": true, "x": []}},
            "response": {{"authenticatorData": "AAAA", "clientDataJSON": "e30=", "signature": "AA=="{handle}}}}}"#
        ))
    }

    #[test]
    fn it_is_read_as_scripts_send_it() {
        for (handle, expected) in [
            ("", None),
            (r#", "userHandle": null"#, None),
            (r#", "userHandle": """#, None),
            (r#", "userHandle": "AQ==""#, Some(vec![1])),
        ] {
            let answer = assertion("AQI=", handle).unwrap();
            assert_eq!(answer.response.user_handle, expected, "{handle}");
            assert_eq!((answer.raw_id.as_slice(), answer.extensions.appid), ([1, 2].as_slice(), None));
            assert!(is_well_formed(&answer.type_, &answer.id, &answer.raw_id));
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for text in [
            "",
            "{",
            "[]",
            "null",
            "{}",
            r#"{"response": 1}"#,
            r#"{"id": "AQ", "rawId": "AQ", "type": "x", "response": {}}"#,
        ] {
            assert!(parse::<PublicKeyCredential>(text).is_none(), "{text}");
        }
        assert!(assertion("!", "").is_none());
        assert!(!is_well_formed("password", "AQI", &[1, 2]));
        assert!(!is_well_formed("public-key", "AQE", &[1, 2]));
        assert!(!is_well_formed("public-key", "", &[]));
    }

    #[test]
    fn a_page_within_another_is_told() {
        for (data, told) in [
            (r#"{"type": "webauthn.get"}"#, false),
            (r#"{"crossOrigin": false}"#, false),
            (r#"{"crossOrigin": true}"#, true),
            (r#"{"crossOrigin": "true"}"#, true),
            ("no JSON", true),
        ] {
            assert_eq!(is_cross_origin(data.as_bytes()), told, "{data}");
        }
    }
}
