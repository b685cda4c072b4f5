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

/// 1010007: label of the look-up field.
pub(crate) fn lookup_field() -> Text {
    Text::info(1_010_007, "One of your recovery codes")
}

/// 1010010: label of the look-up button.
pub(crate) fn lookup_button() -> Text {
    Text::info(1_010_010, "Confirm with a recovery code")
}

/// 1070001: label of the password field.
pub(crate) fn password_field() -> Text {
    Text::info(1_070_001, "Password")
}

/// 1070004: label of the identifier field.
pub(crate) fn identifier_field() -> Text {
    Text::info(1_070_004, "Name or address")
}

/// 1010001: label of the password button.
pub(crate) fn password_button() -> Text {
    Text::info(1_010_001, "Sign in")
}

/// 1070006: label of the field for the first code of a new TOTP secret.
pub(crate) fn totp_verify_field() -> Text {
    Text::info(1_070_006, "Code that the app shows now")
}

/// 1070003: label of the button that saves.
pub(crate) fn save() -> Text {
    Text::info(1_070_003, "Save")
}

/// 1050001: the change was saved.
pub(crate) fn saved() -> Text {
    Text::success(1_050_001, "Your change was saved.")
}

/// 1050004: label of the button that removes TOTP.
pub(crate) fn totp_unlink() -> Text {
    Text::info(1_050_004, "Remove the authenticator app")
}

/// 1050005: label of the QR image.
pub(crate) fn totp_qr() -> Text {
    Text::info(1_050_005, "Scan this with your authenticator app")
}

/// 1050006: the TOTP secret itself.
pub(crate) fn totp_secret(base32: &str) -> Text {
    Text::info(1_050_006, base32.to_owned()).with_context(json!({ "secret": base32 }))
}

/// 1050017: label of the TOTP secret.
pub(crate) fn totp_secret_label() -> Text {
    Text::info(1_050_017, "Or type this key into the app")
}

/// 1050008: label of the button that makes new look-up codes.
pub(crate) fn lookup_regenerate() -> Text {
    Text::info(1_050_008, "Make new recovery codes")
}

/// 1050009: one look-up code.
pub(crate) fn lookup_code(code: &str) -> Text {
    Text::info(1_050_009, code.to_owned()).with_context(json!({ "secret": code }))
}

/// 1050015: the list of look-up codes.
pub(crate) fn lookup_codes<'a>(codes: impl Iterator<Item = &'a str>) -> Text {
    let codes: Vec<_> = codes.collect();
    let secrets: Vec<_> = codes.iter().map(|code| lookup_code(code)).collect();
    Text::info(1_050_015, codes.join(", ")).with_context(json!({ "secrets": secrets }))
}

/// 1050010: label of the list of look-up codes.
pub(crate) fn lookup_codes_label() -> Text {
    Text::info(
        1_050_010,
        "Your recovery codes. Keep them somewhere safe: they are shown only now, and each works once.",
    )
}

/// 1050011: label of the button that confirms new look-up codes.
pub(crate) fn lookup_confirm() -> Text {
    Text::info(1_050_011, "I have kept these codes")
}

/// 1050016: label of the button that switches look-up codes off.
pub(crate) fn lookup_disable() -> Text {
    Text::info(1_050_016, "Switch recovery codes off")
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

/// 4000006: the first factor is wrong.
pub(crate) fn wrong_credentials() -> Text {
    Text::error(4_000_006, "This is not right. Please check what you typed.")
}

/// 4000012: the look-up code was used already.
pub(crate) fn lookup_used() -> Text {
    Text::error(4_000_012, "This recovery code was used already. Please take another one.")
}

/// 4000014: no look-up secrets are enrolled.
pub(crate) fn no_lookup_secrets() -> Text {
    Text::error(4_000_014, "You have no recovery codes.")
}

/// 4000016: no such look-up code.
pub(crate) fn lookup_wrong() -> Text {
    Text::error(4_000_016, "This is not one of your recovery codes.")
}

/// 4000011: no TOTP is enrolled.
pub(crate) fn no_totp() -> Text {
    Text::error(4_000_011, "You have no authenticator app set up.")
}

/// 4010001: the login flow that this one replaces had expired.
pub(crate) fn login_expired(expired_at: Timestamp) -> Text {
    expired(4_010_001, expired_at)
}

/// 4050001: the settings flow that this one replaces had expired.
pub(crate) fn settings_expired(expired_at: Timestamp) -> Text {
    expired(4_050_001, expired_at)
}

/// 4010004: no usable method in a settings submit.
pub(crate) fn no_settings_method() -> Text {
    Text::error(4_010_004, "Please choose one of the changes that are offered.")
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
