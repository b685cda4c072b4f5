//! Every text that a flow shows, by the id that clients key on.

use serde_json::json;

use super::Text;
use crate::clock::Timestamp;

/// 1010003: the user confirms who they are.
pub(crate) fn confirm_it_is_you() -> Text {
    Text::info(1_010_003, "Please confirm that it is still you.")
}

/// 1010004: the flow raises the level.
pub(crate) fn second_step() -> Text {
    Text::info(1_010_004, "One more step: confirm with your second factor.")
}

/// 1010006: label of the TOTP field.
pub(crate) fn totp_field() -> Text {
    Text::info(1_010_006, "Code from your authenticator app")
}

/// 1010009: label of the TOTP button.
pub(crate) fn totp_button() -> Text {
    Text::info(1_010_009, "Confirm")
}

/// 4000001: anything that has no id of its own.
pub(crate) fn generic(reason: &'static str) -> Text {
    Text::error(4_000_001, reason).with_context(json!({ "reason": reason }))
}

/// 4000002: a field is missing.
pub(crate) fn missing(property: &str) -> Text {
    Text::error(4_000_002, "Please fill this in.").with_context(json!({ "property": property }))
}

/// 4000003: a field is too short.
pub(crate) fn too_short(min_length: usize, actual_length: usize) -> Text {
    Text::error(4_000_003, format!("This needs at least {min_length} characters."))
        .with_context(json!({ "min_length": min_length, "actual_length": actual_length }))
}

/// 4000008: the TOTP code is wrong or was used before.
pub(crate) fn totp_wrong() -> Text {
    Text::error(4_000_008, "This code is wrong or was used already. Please wait for the next one and try again.")
}

/// 4000011: no TOTP is enrolled.
pub(crate) fn no_totp() -> Text {
    Text::error(4_000_011, "You have no authenticator app set up.")
}

/// 4010001: the login flow that this one replaces had expired.
pub(crate) fn login_expired(expired_at: Timestamp) -> Text {
    expired(4_010_001, expired_at)
}

fn expired(id: u32, expired_at: Timestamp) -> Text {
    Text::error(id, "The form was open for too long. Please try again.")
        .with_context(json!({ "expired_at": expired_at, "expired_at_unix": expired_at.unix_seconds() }))
}

/// 4010002: no usable method in the submit.
pub(crate) fn no_login_method() -> Text {
    Text::error(4_010_002, "Please choose one of the ways that are offered.")
}

/// 4010007: the flow was completed already.
pub(crate) fn completed_already() -> Text {
    Text::error(4_010_007, "This was confirmed already. Please begin anew.")
}

/// 4010011: the account is disabled.
pub(crate) fn disabled() -> Text {
    Text::error(4_010_011, "This account is disabled.")
}

/// 1990001 (ours): no second factor is enrolled.
pub(crate) fn nothing_enrolled(settings_url: &str) -> Text {
    Text::info(1_990_001, "This needs a second factor, and you have none yet. Please set one up first.")
        .with_context(json!({ "settings_url": settings_url }))
}

/// 1990002 (ours): second factors are enrolled, but none can be used.
pub(crate) fn nothing_usable() -> Text {
    Text::info(1_990_002, "None of your second factors can be used now. Please contact support.")
}

/// 4990001 (ours): too many attempts.
pub(crate) fn too_many_attempts(retry_after: u64) -> Text {
    Text::error(4_990_001, format!("Too many attempts. Please try again in {retry_after} seconds."))
        .with_context(json!({ "retry_after": retry_after }))
}
