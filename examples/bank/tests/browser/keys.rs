//! Security keys: the browser's own virtual ones, as the developer tools have them.

use thirtyfour::{Key, prelude::ElementWaitable};

use crate::{
    CODE_FIELD, CONFIRM,
    bank::{ALICE_SECRET, Bank, code},
    browser::{Browser, Options},
    scenario_at, sign_in,
};

const SETTINGS: &str = "/self-service/settings/browser";
const REFRESH: &str = "/self-service/login/browser?aal=aal2&refresh=true&return_to=/payments";
const NAME: &str = "[name='webauthn_register_displayname']";
const ADD: &str = "[name='webauthn_register_trigger']";
const USE: &str = "[name='webauthn_login_trigger']";
const REMOVE: &str = "[name='webauthn_remove']";
const FAILED: &str = "[data-trigger-failed]";

async fn with_keys(name: &str, story: impl AsyncFnOnce(&Bank, &Browser)) {
    scenario_at(name, Options::default(), Bank::with_keys, story).await;
}

/// Signs in and opens the settings.
async fn settings_of(username: &str, bank: &Bank, browser: &Browser) {
    browser.open(&bank.url("/login")).await;
    sign_in(browser, username).await;
    browser.arrives_at("/").await;
    browser.find("a").await;
    browser.open(&bank.url(SETTINGS)).await;
    browser.shows(ADD).await;
}

/// Adds the key that is plugged in.
async fn add(browser: &Browser, name: &str) {
    browser.fill(NAME, name).await;
    browser.submit(ADD).await;
    browser.find(".message.success").await;
}

async fn sign_in_to_payments(username: &str, bank: &Bank, browser: &Browser) {
    browser.forget_cookies().await;
    browser.open(&bank.url("/payments")).await;
    sign_in(browser, username).await;
    browser.shows(USE).await;
}

#[tokio::test]
async fn keys_are_added_used_and_removed() {
    with_keys("keys", async |bank, browser| {
        let blue = browser.plug_in().await;
        settings_of("bob", bank, browser).await;
        browser.take_picture("settings").await;
        add(browser, "blue <b>key</b>").await;
        let blue = browser.unplug(blue).await;

        let spare = browser.plug_in().await;
        browser.open(&bank.url(SETTINGS)).await;
        browser.shows(ADD).await;
        // Enter in the name adds the key: it must not press the button that removes one.
        browser.fill(NAME, "spare").await;
        let before = browser.find("html").await;
        browser.type_keys(Key::Enter).await;
        before.wait_until().stale().await.unwrap();
        browser.find(".message.success").await;
        assert_eq!(browser.find_all(REMOVE).await.len(), 2);
        browser.take_picture("two-keys").await;
        assert!(browser.fits_the_width().await);

        sign_in_to_payments("bob", bank, browser).await;
        browser.take_picture("challenge").await;
        browser.click(USE).await;
        assert!(browser.arrives_at("/payments").await.contains("payments of bob"));

        // Proven anew, with the other key.
        browser.unplug(spare).await;
        let blue = browser.plug_in_again(blue).await;
        browser.open(&bank.url(REFRESH)).await;
        browser.shows(USE).await;
        browser.click(USE).await;
        browser.arrives_at("/payments").await;

        browser.open(&bank.url(SETTINGS)).await;
        browser.shows(ADD).await;
        let removals = browser.find_all(REMOVE).await;
        let mut of_spare = None;
        for removal in removals {
            if removal.text().await.unwrap().contains("spare") {
                of_spare = Some(removal);
            }
        }
        browser.follow(of_spare.unwrap()).await;
        browser.find(".message.success").await;
        assert_eq!(browser.find_all(REMOVE).await.len(), 1);
        browser.unplug(blue).await;
    })
    .await;
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_told_and_another_way_works() {
    with_keys("wrong-key", async |bank, browser| {
        let key = browser.plug_in().await;
        browser.open(&bank.url("/payments")).await;
        sign_in(browser, "alice").await;
        browser.fill(CODE_FIELD, &code(ALICE_SECRET)).await;
        browser.click(CONFIRM).await;
        browser.arrives_at("/payments").await;
        browser.open(&bank.url(SETTINGS)).await;
        browser.shows(ADD).await;
        add(browser, "blue").await;
        let held = browser.unplug(key).await;

        let other = browser.plug_in().await;
        sign_in_to_payments("alice", bank, browser).await;
        browser.click(USE).await;
        browser.shows(FAILED).await;
        browser.take_picture("wrong-key").await;
        assert!(browser.fits_the_width().await);
        assert!(browser.is_shown(CODE_FIELD).await, "another way is still there");
        browser.unplug(other).await;

        // The prompt is cancelled.
        browser.cancels(true).await;
        browser.click(USE).await;
        browser.shows(FAILED).await;
        browser.cancels(false).await;

        // A signature that is not the key's: the server says so, and the same page goes on.
        let blue = browser.plug_in_again(held).await;
        browser.forges(&blue, true).await;
        browser.submit(USE).await;
        browser.find(".message.error[role='alert']#message-1").await;
        browser.take_picture("forged").await;
        browser.forges(&blue, false).await;
        browser.shows(USE).await;
        browser.click(USE).await;
        assert!(browser.arrives_at("/payments").await.contains("payments of alice"));
    })
    .await;
}

#[tokio::test]
async fn a_key_is_not_added_twice_and_not_without_a_name() {
    with_keys("same-key", async |bank, browser| {
        browser.plug_in().await;
        settings_of("bob", bank, browser).await;
        // The browser asks for the name first, and for no key.
        browser.click(ADD).await;
        assert!(browser.find_all(REMOVE).await.is_empty());
        add(browser, "blue").await;
        browser.open(&bank.url(SETTINGS)).await;
        browser.shows(ADD).await;
        browser.fill(NAME, "blue again").await;
        browser.click(ADD).await;
        browser.shows(FAILED).await;
        assert_eq!(browser.find_all(REMOVE).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn without_javascript_the_page_says_what_a_key_needs() {
    let options = Options { without_javascript: true, ..Options::default() };
    scenario_at("keys-no-javascript", options, Bank::with_keys, async |bank, browser| {
        browser.open(&bank.url("/login")).await;
        sign_in(browser, "bob").await;
        browser.arrives_at("/").await;
        browser.find("a").await;
        browser.open(&bank.url(SETTINGS)).await;
        let page = browser.arrives_at("/self-service/ui/settings").await;
        assert!(page.contains("needs JavaScript"), "{page}");
        assert!(!browser.is_shown(ADD).await);
        browser.take_picture("settings").await;
    })
    .await;
}
