//! The fields of a submitted body, whatever media type they came in.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;
use zeroize::Zeroizing;

/// The fields of a submitted form. `Debug` shows their names only, since a value may be a code.
#[derive(Clone, Default)]
pub struct Form {
    fields: BTreeMap<String, Zeroizing<String>>,
}

/// A field stands there twice: which one is meant cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RepeatedField;

impl Form {
    /// The field's value, if it is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether the field is there and says yes.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Fields in the order they came.
    pub(crate) fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, RepeatedField> {
        let mut form = Self::default();
        for (name, value) in pairs {
            if form.fields.insert(name, Zeroizing::new(value)).is_some() {
                return Err(RepeatedField);
            }
        }
        Ok(form)
    }

    /// The text, number and truth values of a JSON object. Others are no fields, so a code in a list is a code that is missing.
    pub(crate) fn from_json(object: serde_json::Map<String, Value>) -> Self {
        let fields = object.into_iter().filter_map(|(name, value)| {
            let value = match value {
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            Some((name, Zeroizing::new(value)))
        });
        Self { fields: fields.collect() }
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_field_is_refused() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert!(Form::from_pairs([pair("totp_code", "1"), pair("totp_code", "1")]).is_err());
        let form = Form::from_pairs([pair("a", "1"), pair("b", "")]).unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), None, None));
        assert_eq!(format!("{form:?}"), r#"{"a", "b"}"#);
    }

    #[test]
    fn json_values_become_text_and_lists_do_not() {
        let object = serde_json::json!({"a": "x", "b": true, "c": 12, "d": ["1"], "e": null, "f": {}});
        let form = Form::from_json(object.as_object().unwrap().clone());
        assert_eq!((form.get("a"), form.flag("b"), form.get("c")), (Some("x"), true, Some("12")));
        assert_eq!((form.get("d"), form.get("e"), form.get("f")), (None, None, None));
    }
}
