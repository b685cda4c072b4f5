//! The settings of the bank: what each is for, and what a wrong value is answered with.

use std::process::{Command, Output};

use crate::{behind_nginx::Browser, program::Program, servers::free_port};

/// Runs a bank that must not start.
fn refused(settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bank"));
    let always = [("BANK_ADDR", "127.0.0.1:0"), ("BANK_STORE", "memory")];
    command.env_clear().envs(always).envs(settings.iter().copied()).output().unwrap()
}

const PUBLIC: (&str, &str) = ("BANK_PUBLIC_URL", "https://bank.example");

/// One line that names the setting and repeats no value that may have a password. The same exit code for all.
#[test]
fn a_wrong_setting_is_named_and_ends_the_bank() {
    let wrong: &[(&str, &[(&str, &str)])] = &[
        ("BANK_ADDR", &[("BANK_ADDR", "localhost")]),
        ("BANK_PUBLIC_URL", &[("BANK_PUBLIC_URL", "bank.example")]),
        ("BANK_PUBLIC_URL", &[("BANK_PUBLIC_URL", "http://bank.example")]),
        ("BANK_STORE", &[("BANK_STORE", "mysql://not-to-be-told@db")]),
        ("BANK_FLOWS", &[("BANK_FLOWS", "http://not-to-be-told@redis")]),
        ("BANK_SECRET", &[("BANK_SECRET", "not-to-be-told")]),
        ("BANK_MODEL", &[("BANK_MODEL", "relaxed")]),
        ("BANK_TRANSFER_MAX_AGE", &[("BANK_TRANSFER_MAX_AGE", "5m")]),
        ("BANK_FACTORS", &[("BANK_FACTORS", "totp,push")]),
        ("BANK_FACTORS", &[("BANK_FACTORS", ",")]),
        // Keys are for domains.
        #[cfg(feature = "webauthn")]
        ("BANK_FACTORS", &[("BANK_FACTORS", "webauthn"), ("BANK_PUBLIC_URL", "http://127.0.0.1:3000")]),
        #[cfg(feature = "mail")]
        ("BANK_SMTP", &[("BANK_FACTORS", "code"), ("BANK_SMTP", "mail.example/not-to-be-told")]),
        // Where others read standard error.
        ("BANK_SMTP", &[("BANK_FACTORS", "code"), PUBLIC]),
        ("BANK_CODE_COOL_DOWN", &[("BANK_CODE_COOL_DOWN", "x")]),
        ("BANK_CODE_COOL_DOWN", &[("BANK_CODE_COOL_DOWN", "3601")]),
        // Where nothing else limits what is sent to others.
        #[cfg(feature = "mail")]
        (
            "BANK_CODE_COOL_DOWN",
            &[("BANK_FACTORS", "code"), ("BANK_SMTP", "smtps://mail.example"), PUBLIC, ("BANK_CODE_COOL_DOWN", "0")],
        ),
        ("BANK_USER_ADDRESSES", &[("BANK_USER_ADDRESSES", "yes")]),
        ("BANK_STRIPS_PREFIX", &[("BANK_STRIPS_PREFIX", "1")]),
        ("BANK_LOGIN_URL", &[("BANK_LOGIN_URL", "login")]),
        ("BANK_LOGIN_UI_URL", &[("BANK_LOGIN_UI_URL", "ftp://bank.example")]),
        ("BANK_SETTINGS_UI_URL", &[("BANK_SETTINGS_UI_URL", "javascript:1")]),
        ("BANK_ERROR_UI_URL", &[("BANK_ERROR_UI_URL", "::")]),
        ("BANK_ALLOWED_RETURN_URLS", &[("BANK_ALLOWED_RETURN_URLS", "https://app.example,nowhere")]),
        ("BANK_LOGIN_LIFESPAN", &[("BANK_LOGIN_LIFESPAN", "1")]),
        ("BANK_LOGIN_LIFESPAN", &[("BANK_LOGIN_LIFESPAN", "1h")]),
        ("BANK_SESSION_LIFESPAN", &[("BANK_SESSION_LIFESPAN", "1")]),
        ("BANK_TRUSTED_DEVICE_DAYS", &[("BANK_TRUSTED_DEVICE_DAYS", "91")]),
        ("BANK_TRUSTED_DEVICE_DAYS", &[("BANK_TRUSTED_DEVICE_DAYS", "-1")]),
    ];
    for (setting, settings) in wrong {
        let output = refused(settings);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{settings:?}: {said}");
        assert!(said.starts_with("bank: ") && said.lines().count() == 1, "{settings:?}: {said}");
        assert!(said.contains(setting) && !said.contains("not-to-be-told"), "{settings:?}: {said}");
        assert!(output.stdout.is_empty(), "it listened: {settings:?}");
    }
}

/// What the settings of a user without a second factor offer.
async fn offered(factors: &str) -> String {
    let port = free_port();
    let (address, url) = (format!("127.0.0.1:{port}"), format!("http://localhost:{port}"));
    let settings =
        [("BANK_STORE", "memory"), ("BANK_ADDR", &address), ("BANK_PUBLIC_URL", &url), ("BANK_FACTORS", factors)];
    let mut bank = Program::bank(&settings);
    bank.url();
    let mut bob = Browser::new(&url);
    bob.sign_in("bob", "/account").await;
    let page = bob.get(&format!("{url}/self-service/settings/browser")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    page.text
}

#[cfg(feature = "webauthn")]
#[tokio::test]
async fn each_factor_is_offered_where_it_is_named_and_nowhere_else() {
    let all = [("totp", "totp_code"), ("lookup_secret", "lookup_secret_regenerate"), ("webauthn", "webauthn_register")];
    for named in ["totp", "webauthn,code", " lookup_secret , totp,lookup_secret,"] {
        let page = offered(named).await;
        for (factor, node) in all {
            assert_eq!(page.contains(node), named.contains(factor), "{named}, {factor}: {page}");
        }
    }
}
