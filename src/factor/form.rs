//! The fields of a submitted body, in any media type.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use zeroize::Zeroizing;

/// The fields of a submitted form. `Debug` shows only their names, since a value may be a code.
///
/// ```
/// use tower_step_up::factor::Form;
///
/// let body = serde_json::json!({ "code": "123456", "place": { "lat": 47.4 }, "attempt": 2 });
/// let form = Form::from_json(body).ok_or("no object")?;
/// assert_eq!((form.get("code"), form.get("attempt"), form.get("place")), (Some("123456"), Some("2"), None));
/// assert_eq!(form.json("place").and_then(|place| place["lat"].as_f64()), Some(47.4));
/// assert_eq!(form.json("code"), None);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Default)]
pub struct Form {
    fields: BTreeMap<String, Zeroizing<String>>,
    /// The values of a JSON body that are not text.
    values: BTreeMap<String, Value>,
}

/// The form has a field twice with different values, and nobody can tell which one is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RepeatedField;

/// An object whose keys may stand there more than once, as its text has it. `serde_json::Value` would keep the last one.
pub(crate) struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

impl Form {
    /// The field's value, if it is present and not empty. Numbers and booleans of a JSON body are returned as text. Objects and arrays
    /// are not: a code in a list counts as missing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether the field is `true`.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// The field's value, if a JSON body has it as an object, an array, a number or a boolean. The other media types carry only text: for
    /// plain browser forms use [`get`](Self::get).
    pub fn json(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// A form of these fields. Some clients send a field twice: it counts once if its values are equal.
    pub(crate) fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, RepeatedField> {
        Self::from_values(pairs.into_iter().map(|(name, value)| (name, Value::String(value))))
    }

    /// The same for a JSON object, as it was sent.
    pub(crate) fn from_object(Pairs(pairs): Pairs) -> Result<Self, RepeatedField> {
        Self::from_values(pairs)
    }

    fn from_values(pairs: impl IntoIterator<Item = (String, Value)>) -> Result<Self, RepeatedField> {
        let mut first = BTreeMap::new();
        for (name, value) in pairs {
            match first.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(place) if *place.get() == value => {}
                Entry::Occupied(_) => return Err(RepeatedField),
            }
        }
        Ok(Self::of(first))
    }

    /// The fields of a JSON body, for tests of a factor; `None` if it is not an object. A `null` counts as missing.
    pub fn from_json(body: Value) -> Option<Self> {
        let Value::Object(object) = body else { return None };
        Some(Self::of(object))
    }

    fn of(object: impl IntoIterator<Item = (String, Value)>) -> Self {
        let mut form = Self::default();
        for (name, value) in object {
            let text = match value {
                Value::String(text) => text,
                Value::Null => continue,
                Value::Array(_) | Value::Object(_) => {
                    form.values.insert(name, value);
                    continue;
                }
                Value::Bool(_) | Value::Number(_) => {
                    let text = value.to_string();
                    form.values.insert(name.clone(), value);
                    text
                }
            };
            form.fields.insert(name, Zeroizing::new(text));
        }
        form
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = self.values.keys().filter(|name| !self.fields.contains_key(*name));
        f.debug_set().entries(self.fields.keys().chain(lists)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_field_counts_once_if_its_values_are_equal() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert!(Form::from_pairs([pair("totp_code", "1"), pair("totp_code", "2")]).is_err());
        assert!(Form::from_pairs([pair("totp_code", "1"), pair("totp_code", "")]).is_err());
        let form = Form::from_pairs([pair("method", "totp"), pair("a", "1"), pair("method", "totp")]).unwrap();
        assert_eq!((form.get("method"), form.get("a")), (Some("totp"), Some("1")));
        let object = |text: &str| Form::from_object(serde_json::from_str(text).unwrap());
        for refused in [
            r#"{"a": "1", "a": "2"}"#,
            r#"{"a": "1", "a": 1}"#,
            r#"{"a": "1", "a": null}"#,
            r#"{"a": {}, "a": {"b": 1}}"#,
        ] {
            assert!(object(refused).is_err(), "{refused}");
        }
        let form = object(r#"{"method": "totp", "n": {"b": [1]}, "method": "totp", "n": {"b": [1]}}"#).unwrap();
        assert_eq!((form.get("method"), form.json("n").is_some()), (Some("totp"), true));
        assert!(serde_json::from_str::<Pairs>("[]").is_err() && serde_json::from_str::<Pairs>("{").is_err());
        let form = Form::from_pairs([pair("a", "1"), pair("b", "")]).unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), None, None));
        assert_eq!(format!("{form:?}"), r#"{"a", "b"}"#);
    }

    #[test]
    fn json_values_become_text_and_lists_do_not() {
        let object = serde_json::json!({"a": "x", "b": true, "c": 12, "d": ["1"], "e": null, "f": {"g": "secret"}});
        assert!(Form::from_json(serde_json::json!([object])).is_none());
        let form = Form::from_json(object.clone()).unwrap();
        assert_eq!((form.get("a"), form.flag("b"), form.get("c")), (Some("x"), true, Some("12")));
        assert_eq!((form.get("d"), form.get("e"), form.get("f")), (None, None, None));
        for (name, expected) in object.as_object().unwrap() {
            let expected = Some(expected).filter(|value| !value.is_string() && !value.is_null());
            assert_eq!(form.json(name), expected, "{name}");
        }
        assert_eq!(format!("{form:?}"), r#"{"a", "b", "c", "d", "f"}"#);
    }
}
