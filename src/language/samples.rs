//! Every text of a flow, made with some values: what the catalogues must have.

use crate::{
    clock::Timestamp,
    wire::ui::{Text, message, reason},
};

pub(super) fn all() -> Vec<Text> {
    let at = Timestamp::from_unix_seconds(1_764_500_000);
    let texts = vec![
        message::confirm_it_is_you(),
        message::second_step(),
        message::totp_field(),
        message::totp_button(),
        message::lookup_field(),
        message::lookup_button(),
        message::password_field(),
        message::identifier_field(),
        message::password_button(),
        message::password_again_button(),
        message::totp_verify_field(),
        message::save(),
        message::saved(),
        message::totp_unlink(),
        message::totp_qr(),
        message::totp_secret("ABCD"),
        message::totp_secret_label(),
        message::lookup_reveal(),
        message::lookup_regenerate(),
        message::lookup_code("Code 3: not used"),
        message::lookup_codes(["a", "b"].into_iter()),
        message::lookup_codes_label(),
        message::lookup_code_used(3, at),
        message::lookup_uses([None, Some(at)].into_iter()),
        message::lookup_uses_label(),
        message::lookup_left(3, 12),
        message::lookup_removed_too(),
        message::lookup_confirm(),
        message::lookup_disable(),
        message::missing("totp_code"),
        message::totp_too_short(6, 3),
        message::totp_wrong(),
        message::totp_no_code(),
        message::totp_used(),
        message::totp_too_old(),
        message::wrong_credentials(),
        message::lookup_used(),
        message::no_lookup_secrets(),
        message::lookup_wrong(),
        message::no_totp(),
        message::login_expired(at),
        message::settings_expired(at),
        message::no_settings_method(),
        message::no_login_method(),
        message::completed_already(),
        message::disabled(),
        message::nothing_enrolled("https://bank.example/settings"),
        message::nothing_usable(),
        message::too_many_attempts(30),
        message::flow_is_used_up(30),
        message::begin_again(),
        message::code_address("kim@app.example", "email"),
        message::code_address_untold(),
        message::code_sent(),
        message::code_field(),
        message::code_button(),
        message::code_resend(),
        message::no_code_address(),
        message::code_wrong(),
        message::code_used_up(),
        message::code_not_sent(),
        message::code_perhaps_sent(),
    ];
    texts.into_iter().chain(reason::ALL.iter().map(|reason| message::generic(reason))).collect()
}

#[test]
fn none_is_missing() {
    let texts = include_str!("../wire/ui/messages.rs").lines().filter(|line| line.ends_with("-> Text {"));
    let names = texts.filter_map(|line| line.strip_prefix("pub(crate) fn ")?.split(['(', '<']).next());
    // The last takes any reason, and all of them are there.
    let made = |name: &str| name == "generic" || include_str!("samples.rs").contains(&format!("message::{name}("));
    let missing: Vec<_> = names.filter(|name| !made(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
