//! What users read, with the ids that Ory's clients know.

use serde_json::json;
use tower_step_up::{clock::Timestamp, wire::ui::Text};

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
