//! What a person sees: the bank in a real browser, from the first click to the guarded page.
//!
//! These tests need Chromium and its driver (Debian: `chromium chromium-driver`). Without them they do nothing, unless
//! `STEP_UP_TEST_ALL=1` says that they must run, as `scripts/test` does. Pictures of the pages are in `target/tmp/browser/`.

// Clippy takes helpers for no part of a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]

mod bank;
mod browser;
mod honest;
mod keys;

use std::{
    fs,
    path::{Path, PathBuf},
};

use thirtyfour::Key;
use tokio::sync::Semaphore;

use self::{
    bank::{ALICE_SECRET, Bank, code, wrong_code},
    browser::{Browser, Options},
};

const CODE_FIELD: &str = "input[name='totp_code']";
const CONFIRM: &str = "[name='method'][value='totp']";

/// Browsers are large. More at once than there are cores only make each other slow.
static BROWSERS: Semaphore = Semaphore::const_new(2);

/// Runs a scenario with a bank and a browser of its own, if there is a browser at all.
async fn scenario(name: &str, options: Options, story: impl AsyncFnOnce(&Bank, &Browser)) {
    scenario_at(name, options, Bank::start, story).await;
}

/// The same at this bank.
async fn scenario_at(name: &str, options: Options, bank: fn(&Path) -> Bank, story: impl AsyncFnOnce(&Bank, &Browser)) {
    if !Browser::is_installed() {
        eprintln!("{name}: not run, since there is no chromedriver");
        return;
    }
    let _permit = BROWSERS.acquire().await.unwrap();
    let directory = empty_directory(name);
    let bank = bank(&directory);
    let browser = Browser::start(&directory, options).await;
    story(&bank, &browser).await;
    browser.quit().await;
}

fn empty_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser").join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Opens the payments without a session and signs in, which leads to the question for the second factor.
async fn sign_in_on_the_way_to_payments(bank: &Bank, browser: &Browser) {
    browser.open(&bank.url("/payments")).await;
    sign_in(browser, "alice").await;
    browser.find(CODE_FIELD).await;
}

async fn sign_in(browser: &Browser, username: &str) {
    browser.arrives_at("/login").await;
    browser.fill("input[name='username']", username).await;
    browser.fill("input[name='password']", &format!("{username}-password")).await;
    browser.click("form button").await;
}

async fn whole_way(bank: &Bank, browser: &Browser) {
    sign_in_on_the_way_to_payments(bank, browser).await;
    browser.take_picture("challenge").await;

    let fields = browser.find_all("input:not([type='hidden']):not([type='submit'])").await;
    assert_eq!(fields.len(), 1, "there is one thing to fill in");
    let field = browser.find(CODE_FIELD).await;
    assert_eq!(field.attr("autocomplete").await.unwrap().as_deref(), Some("one-time-code"));
    assert_eq!(field.attr("inputmode").await.unwrap().as_deref(), Some("numeric"));

    browser.fill(CODE_FIELD, &code(ALICE_SECRET)).await;
    browser.click(CONFIRM).await;
    let text = browser.arrives_at("/payments").await;
    browser.take_picture("payments").await;
    assert!(text.contains("payments of alice"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stepping_up_leads_back_to_the_payments() {
    scenario("stepping_up", Options::default(), whole_way).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_needs_no_javascript() {
    scenario("no_javascript", Options { without_javascript: true, ..Options::default() }, whole_way).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_needs_no_mouse() {
    scenario("keyboard", Options::default(), async |bank, browser| {
        browser.open(&bank.url("/payments")).await;
        browser.arrives_at("/login").await;
        browser.tab_to("input[name='username']").await;
        browser.take_picture("focus-on-login").await;
        browser.type_keys("alice").await;
        browser.tab_to("input[name='password']").await;
        browser.type_keys("alice-password").await;
        browser.type_keys(Key::Enter).await;

        browser.find(CODE_FIELD).await;
        browser.tab_to(CODE_FIELD).await;
        browser.take_picture("focus-on-challenge").await;
        browser.type_keys(code(ALICE_SECRET)).await;
        browser.tab_to(CONFIRM).await;
        browser.type_keys(Key::Enter).await;
        let text = browser.arrives_at("/payments").await;
        assert!(text.contains("payments of alice"), "{text}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_phone() {
    scenario("phone", Options { phone: true, ..Options::default() }, async |bank, browser| {
        browser.open(&bank.url("/login")).await;
        assert_eq!(browser.width().await, 360);
        browser.take_picture("login").await;
        assert!(browser.fits_the_width().await, "login");

        sign_in_on_the_way_to_payments(bank, browser).await;
        browser.take_picture("challenge").await;
        assert!(browser.fits_the_width().await, "challenge");

        browser.fill(CODE_FIELD, &code(ALICE_SECRET)).await;
        browser.click(CONFIRM).await;
        browser.arrives_at("/payments").await;
        for page in ["/payments", "/", "/account", "/transfer", "/limits"] {
            browser.open(&bank.url(page)).await;
            browser.take_picture(&format!("page{}", page.replace('/', "-"))).await;
            assert!(browser.fits_the_width().await, "{page}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_is_told_at_its_field() {
    scenario("wrong_code", Options::default(), async |bank, browser| {
        sign_in_on_the_way_to_payments(bank, browser).await;
        browser.fill(CODE_FIELD, &wrong_code(ALICE_SECRET)).await;
        browser.click(CONFIRM).await;

        let field = browser.find(&format!("{CODE_FIELD}[aria-invalid='true']")).await;
        browser.take_picture("challenge").await;
        let description = field.attr("aria-describedby").await.unwrap().expect("the message is tied to the field");
        let mut message = String::new();
        for id in description.split_whitespace() {
            message += &browser.find(&format!("#{id}")).await.text().await.unwrap();
        }
        assert!(message.contains("code"), "{message:?}");
        assert_eq!(field.value().await.unwrap().as_deref(), Some(""), "the wrong code is gone");

        browser.fill(CODE_FIELD, &code(ALICE_SECRET)).await;
        browser.click(CONFIRM).await;
        browser.arrives_at("/payments").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_second_factor_sets_one_up_on_the_way() {
    scenario("enrolment", Options { phone: true, ..Options::default() }, async |bank, browser| {
        browser.open(&bank.url("/payments")).await;
        sign_in(browser, "bob").await;
        browser.find(CODE_FIELD).await;
        browser.take_picture("enrolment").await;
        assert!(browser.fits_the_width().await);
        let secret = browser.find("#totp_secret_key").await.text().await.unwrap();

        browser.fill(CODE_FIELD, &wrong_code(&secret)).await;
        browser.click(CONFIRM).await;
        browser.find(&format!("{CODE_FIELD}[aria-invalid='true']")).await;
        assert_eq!(browser.find("#totp_secret_key").await.text().await.unwrap(), secret, "the app still has it");

        browser.fill(CODE_FIELD, &code(&secret)).await;
        browser.click(CONFIRM).await;
        let text = browser.arrives_at("/payments").await;
        assert!(text.contains("payments of bob"), "{text}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_says_no_more() {
    scenario("wrong_password", Options::default(), async |bank, browser| {
        let mut messages = Vec::new();
        for username in ["alice", "nobody"] {
            browser.open(&bank.url("/login?return_to=/payments")).await;
            browser.fill("input[name='username']", username).await;
            browser.fill("input[name='password']", "not-the-password").await;
            browser.click("form button").await;
            let field = browser.find("input[name='password'][aria-invalid='true']").await;
            let description = field.attr("aria-describedby").await.unwrap().unwrap();
            messages.push(browser.find(&format!("#{description}")).await.text().await.unwrap());
        }
        browser.take_picture("login").await;
        assert_eq!(messages[0], messages[1]);
        assert!(!browser.find_all("input[name='return_to']").await.is_empty(), "where to go on is not lost");
    })
    .await;
}

/// Sets up the app and recovery codes, confirms with one of the codes, and removes the app again.
async fn second_factors(bank: &Bank, browser: &Browser) {
    const SETTINGS: &str = "/self-service/settings/browser";
    browser.open(&bank.url("/login")).await;
    sign_in(browser, "bob").await;
    browser.arrives_at("/").await;

    browser.open(&bank.url(SETTINGS)).await;
    browser.find("#totp_qr").await;
    browser.take_picture("settings").await;
    assert!(browser.fits_the_width().await);
    let secret = browser.find("#totp_secret_key").await.text().await.unwrap();
    browser.fill(CODE_FIELD, &code(&secret)).await;
    browser.click(CONFIRM).await;
    browser.find(".message.success").await;

    browser.click("[name='lookup_secret_regenerate']").await;
    browser.find("#lookup_secret_codes").await;
    browser.take_picture("codes").await;
    assert!(browser.fits_the_width().await);
    let mut codes = Vec::new();
    for item in browser.find_all("#lookup_secret_codes li").await {
        codes.push(item.text().await.unwrap());
    }
    assert_eq!(codes.len(), 12);
    browser.click("[name='lookup_secret_confirm']").await;
    browser.find("[name='lookup_secret_disable']").await;
    browser.take_picture("saved").await;

    browser.open(&bank.url("/self-service/login/browser?aal=aal2&refresh=true&return_to=/payments")).await;
    browser.find("#lookup_secret").await;
    browser.take_picture("two-ways").await;
    assert!(browser.fits_the_width().await);
    browser.fill("#lookup_secret", &codes.remove(0).to_lowercase()).await;
    browser.click("[name='method'][value='lookup_secret']").await;
    assert!(browser.arrives_at("/payments").await.contains("payments of bob"));

    browser.open(&bank.url(SETTINGS)).await;
    browser.click("[name='totp_unlink']").await;
    browser.find(CODE_FIELD).await;
    assert!(browser.find_all("[name='lookup_secret_disable']").await.is_empty(), "the codes went with the app");

    browser.open(&bank.url("/self-service/login/browser?aal=aal9")).await;
    browser.arrives_at("/self-service/ui/error").await;
    browser.take_picture("error").await;
    assert!(browser.fits_the_width().await);
}

#[tokio::test]
async fn second_factors_are_set_up_used_and_removed() {
    scenario("settings", Options::default(), second_factors).await;
}

#[tokio::test]
async fn second_factors_are_set_up_used_and_removed_on_a_phone() {
    scenario("settings-phone", Options { phone: true, ..Options::default() }, second_factors).await;
}
