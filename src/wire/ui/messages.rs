//! Every text that a flow shows, with the id that clients look it up by.

use serde_json::json;

use super::{Text, reason};
use crate::clock::Timestamp;

/// 1010003: the user must confirm again.
pub(crate) fn confirm_it_is_you() -> Text {
    Text::info(1_010_003, "For your security, please confirm again before you continue.")
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
    Text::info(1_070_004, "Username or email address")
}

/// 1010022: label of the button that signs in with a password.
pub(crate) fn password_button() -> Text {
    Text::info(1_010_022, "Sign in")
}

/// 1010001: label of the same button where a signed-in user confirms the password.
pub(crate) fn password_again_button() -> Text {
    Text::info(1_010_001, "Confirm")
}

/// 1070006: label of the field for the first code of a new TOTP secret.
pub(crate) fn totp_verify_field() -> Text {
    Text::info(1_070_006, "Current code from the app")
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
    Text::info(1_050_017, "Or enter this key in the app")
}

/// 1050007: label of the button that lists the look-up codes.
pub(crate) fn lookup_reveal() -> Text {
    Text::info(1_050_007, "Show which recovery codes are used")
}

/// 1050008: label of the button that makes new look-up codes.
pub(crate) fn lookup_regenerate() -> Text {
    Text::info(1_050_008, "Create new recovery codes")
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
        "Your recovery codes. Save them somewhere safe now. You will not see them again, and each works once.",
    )
}

/// 1050014: a look-up code that was used.
pub(crate) fn lookup_code_used(number: usize, at: Timestamp) -> Text {
    let text = format!("Code {number}: used on {}", minute(at));
    Text::info(1_050_014, text).with_context(json!({ "used_at": at, "used_at_unix": at.unix_seconds() }))
}

/// A time as users read it, to the minute.
pub(crate) fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    let until_minute = text.get(..16).unwrap_or(&text);
    format!("{} UTC", until_minute.replace('T', " "))
}

/// 1050015: the same list for codes that are kept hashed. Each says when it was used, or that it was not.
///
/// Each has a number, since Ory Elements takes the texts for the names of its lines: of equal ones, some would stay on the page
/// beside the next list.
pub(crate) fn lookup_uses(codes: impl Iterator<Item = Option<Timestamp>>) -> Text {
    let one = |(number, used_at): (usize, Option<Timestamp>)| match used_at {
        Some(at) => lookup_code_used(number, at),
        None => lookup_code(&format!("Code {number}: not used")),
    };
    let secrets: Vec<_> = (1..).zip(codes).map(one).collect();
    let text: Vec<_> = secrets.iter().map(|secret| secret.text.as_ref()).collect();
    Text::info(1_050_015, text.join(", ")).with_context(json!({ "secrets": secrets }))
}

/// 1050010: label of that list.
pub(crate) fn lookup_uses_label() -> Text {
    Text::info(1_050_010, "Your recovery codes. The codes themselves cannot be shown again.")
}

/// 1990005 (ours): what can be said of look-up codes that are kept hashed.
pub(crate) fn lookup_left(left: usize, of: usize) -> Text {
    let text = format!(
        "{left} of your {of} recovery codes are left. They cannot be shown again, because only you have them. If you \
         have lost them, create new ones."
    );
    Text::info(1_990_005, text).with_context(json!({ "left": left, "of": of }))
}

/// 1990003 (ours): the look-up codes went with the last other factor.
pub(crate) fn lookup_removed_too() -> Text {
    Text::info(1_990_003, "Your recovery codes were removed too: they work only beside another second factor.")
}

/// 1050011: label of the button that confirms new look-up codes.
pub(crate) fn lookup_confirm() -> Text {
    Text::info(1_050_011, "I have saved these codes")
}

/// 1050016: label of the button that turns off look-up codes.
pub(crate) fn lookup_disable() -> Text {
    Text::info(1_050_016, "Turn off recovery codes")
}

/// 4000001: anything that has no id of its own.
pub(crate) fn generic(reason: &'static str) -> Text {
    Text::error(4_000_001, reason).with_context(json!({ "reason": reason }))
}

/// 4000002: a field is missing.
pub(crate) fn missing(property: &str) -> Text {
    Text::error(4_000_002, "Please fill in this field.").with_context(json!({ "property": property }))
}

/// 4000003: the TOTP code is too short.
pub(crate) fn totp_too_short(min_length: usize, actual_length: usize) -> Text {
    Text::error(4_000_003, format!("A code has {min_length} digits. Please type all of them."))
        .with_context(json!({ "min_length": min_length, "actual_length": actual_length }))
}

/// 4000008: the TOTP code is wrong.
pub(crate) fn totp_wrong() -> Text {
    Text::error(4_000_008, "This code is wrong. Please type the code that your app shows now.")
}

/// 4000008: the text cannot be a TOTP code.
pub(crate) fn totp_no_code() -> Text {
    Text::error(4_000_008, "This cannot be a code. Please type the six digits that your app shows, and nothing else.")
}

/// 4000008: the TOTP code was right, but is used up.
pub(crate) fn totp_used() -> Text {
    Text::error(4_000_008, "This code cannot be used any more. Please wait for the next one.")
}

/// 4000008: the TOTP code was right a few minutes ago.
pub(crate) fn totp_too_old() -> Text {
    Text::error(
        4_000_008,
        "This code is too old. Please type the one that your app shows now. If you did, the clock of your phone may be slow.",
    )
}

/// 4000006: the first factor is wrong.
pub(crate) fn wrong_credentials() -> Text {
    Text::error(4_000_006, "These details are wrong. Please check them and try again.")
}

/// 4000012: the look-up code was already used.
pub(crate) fn lookup_used() -> Text {
    Text::error(4_000_012, "This recovery code was already used. Please use another one.")
}

/// 4000014: no look-up secrets are enrolled.
pub(crate) fn no_lookup_secrets() -> Text {
    Text::error(4_000_014, "You have no recovery codes. Please confirm another way.")
}

/// 4000016: no such look-up code.
pub(crate) fn lookup_wrong() -> Text {
    Text::error(
        4_000_016,
        "This is not one of your recovery codes. Please type one as it stands on your list: its letters and digits.",
    )
}

/// 4000011: no TOTP is enrolled.
pub(crate) fn no_totp() -> Text {
    Text::error(4_000_011, "You have no authenticator app set up. Please confirm another way.")
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
    Text::error(4_010_004, "Please choose one of the changes on this page.")
}

fn expired(id: u32, expired_at: Timestamp) -> Text {
    Text::error(id, "This form has expired. Please try again.")
        .with_context(json!({ "expired_at": expired_at, "expired_at_unix": expired_at.unix_seconds() }))
}

/// 4010002: no usable method in the submit.
pub(crate) fn no_login_method() -> Text {
    Text::error(4_010_002, "Please choose one of the options on this page.")
}

/// 4010007: the flow was already completed.
pub(crate) fn completed_already() -> Text {
    Text::error(4_010_007, "This form was already used. Please start again.")
}

/// 4010011: the account is disabled.
pub(crate) fn disabled() -> Text {
    Text::error(4_010_011, "This account is disabled. Please contact support.")
}

/// 1990001 (ours): no second factor is enrolled.
pub(crate) fn nothing_enrolled(settings_url: &str) -> Text {
    Text::info(1_990_001, "You need a second factor to continue. Please set one up first.")
        .with_context(json!({ "settings_url": settings_url }))
}

/// 1990002 (ours): second factors are enrolled, but none can be used.
pub(crate) fn nothing_usable() -> Text {
    Text::info(1_990_002, "You cannot use any of your second factors right now. Please contact support.")
}

/// 4990001 (ours): too many attempts.
pub(crate) fn too_many_attempts(retry_after: u64) -> Text {
    Text::error(4_990_001, format!("Too many attempts. Please try again in {retry_after} seconds."))
        .with_context(json!({ "retry_after": retry_after }))
}

/// 4990001 (ours): too many wrong passwords in this flow. A new one can be begun at once.
pub(crate) fn flow_is_used_up(retry_after: u64) -> Text {
    Text::error(4_990_001, "Too many attempts with this form. Please begin again with a new one.")
        .with_context(json!({ "retry_after": retry_after }))
}

/// 1990006 (ours): label of the link that begins a new flow.
pub(crate) fn begin_again() -> Text {
    Text::info(1_990_006, "Begin again")
}

/// 1010023: label of the button that sends a code to this address.
pub(crate) fn code_address(shown: &str, channel: &str) -> Text {
    Text::info(1_010_023, format!("Send a code to {shown}"))
        .with_context(json!({ "address": shown, "channel": channel }))
}

/// 1010023: the same label for a client that may not learn the address.
pub(crate) fn code_address_untold() -> Text {
    Text::info(1_010_023, "Send a code")
}

/// 1010025: a code is on its way.
pub(crate) fn code_sent() -> Text {
    Text::info(1_010_025, "A code is on its way to you. Please type it here when it arrives.")
}

/// 1070013: label of the field for the code.
pub(crate) fn code_field() -> Text {
    Text::info(1_070_013, "Code from the message")
}

/// 1070009: label of the button that sends the code back.
pub(crate) fn code_button() -> Text {
    Text::info(1_070_009, "Continue")
}

/// 1070008: label of the button that asks for another code.
pub(crate) fn code_resend() -> Text {
    Text::info(1_070_008, "Send a new code")
}

/// 4000035: the subject has no such address.
pub(crate) fn no_code_address() -> Text {
    Text::error(4_000_035, "This is none of your addresses for codes. Please choose another way.")
}

/// 4010008: the code is wrong.
pub(crate) fn code_wrong() -> Text {
    Text::error(4_010_008, "This code is wrong or has expired. Please type the newest one that you got.")
}

/// 4000001: the code was tried too often.
pub(crate) fn code_used_up() -> Text {
    generic(reason::CODE_USED_UP)
}

/// 4000001: nothing was sent.
pub(crate) fn code_not_sent() -> Text {
    generic(reason::CODE_NOT_SENT)
}

/// 4000001: nobody knows whether it was sent.
pub(crate) fn code_perhaps_sent() -> Text {
    generic(reason::CODE_PERHAPS_SENT)
}
