//! What users read, with the ids that Ory's clients know.

use serde_json::json;
use tower_step_up::{clock::Timestamp, language::Language, wire::ui::Text};

/// What the pages say instead.
pub(crate) fn languages() -> Vec<Language> {
    vec![Language::new("en", include_str!("texts/en.ftl")), Language::new("de", include_str!("texts/de.ftl"))]
}

/// 1010008: label of the button that asks for a key.
pub(crate) fn use_key() -> Text {
    Text::info(1_010_008, "Use your security key")
}

/// 1050012: label of the button that adds a key.
pub(crate) fn add_key() -> Text {
    Text::info(1_050_012, "Add this security key")
}

/// 1050013: label of the field for the name of a new key.
pub(crate) fn name_of_key() -> Text {
    Text::info(1_050_013, "Name of the new security key")
}

/// 1050018: label of the button that removes a key.
pub(crate) fn remove_key(name: &str, added_at: Timestamp) -> Text {
    let seconds = added_at.unix_seconds();
    let added_at = Timestamp::from_unix_seconds(seconds);
    Text::info(1_050_018, format!("Remove the security key \u{201c}{name}\u{201d}")).with_context(json!({
        "display_name": name,
        "added_at": added_at,
        "added_at_unix": seconds,
    }))
}

/// 4000001: what is wrong in general.
pub(crate) fn generic(reason: &'static str) -> Text {
    Text::error(4_000_001, reason).with_context(json!({ "reason": reason }))
}

/// 4000002: a field is empty.
pub(crate) fn missing(property: &'static str) -> Text {
    Text::error(4_000_002, "Please give the key a name, so that you know it from others.")
        .with_context(json!({ "property": property }))
}

/// 4000013: there is no key.
pub(crate) fn no_key() -> Text {
    Text::error(4_000_013, "You have no security key set up. Please confirm another way.")
}

/// 4000043: the answer does not count.
pub(crate) fn wrong() -> Text {
    Text::error(4_000_043, "This did not work. Please try again with a security key that you have added here.")
}

/// 4010004: the form says nothing.
pub(crate) fn nothing_to_do() -> Text {
    Text::error(4_010_004, "Please choose what to change.")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    const ENGLISH: &str = include_str!("texts/en.ftl");
    const GERMAN: &str = include_str!("texts/de.ftl");

    /// What this source says in English.
    fn said(source: &str) -> BTreeSet<String> {
        let (source, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
        let calls = [
            "generic(\"",
            "0_008, \"",
            "0_012, \"",
            "0_013, \"",
            "0_002, \"",
            "0_043, \"",
            "0_004, \"",
            "format!(\"Remove",
        ];
        let calls = calls.into_iter().flat_map(|call| {
            let begins = call.strip_prefix("format!(\"").unwrap_or_default();
            source.split(call).skip(1).filter_map(move |rest| Some(format!("{begins}{}", rest.split_once('"')?.0)))
        });
        calls
            .map(|text| text.replace("{name}", "{ $display_name }").replace("\\u{201c}", "“").replace("\\u{201d}", "”"))
            .collect()
    }

    #[test]
    fn every_text_is_there_in_both_languages() {
        let sources = [include_str!("text.rs"), include_str!("assertion.rs"), include_str!("registration.rs")];
        let said: BTreeSet<_> = sources.into_iter().flat_map(said).collect();
        assert_eq!(said.len(), 13, "{said:?}");
        let of = |catalogue: &'static str| -> Vec<(&str, &str)> {
            catalogue.lines().filter_map(|line| line.trim().split_once(" = ")).collect()
        };
        let (english, german) = (of(ENGLISH), of(GERMAN));
        let known: BTreeSet<_> = english.iter().map(|(_, text)| (*text).to_owned()).collect();
        assert_eq!(said, known);
        let names = |texts: &[(&'static str, &str)]| texts.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(&english), names(&german));
    }
}
