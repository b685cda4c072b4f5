//! What people type, and what the pages say when something went wrong.

use crate::{
    CODE_FIELD, CONFIRM,
    bank::{ALICE_SECRET, code, wrong_code},
    browser::{Browser, Options},
    scenario, sign_in, sign_in_on_the_way_to_payments,
};

const SETTINGS: &str = "/self-service/settings/browser";

async fn text_of(browser: &Browser, selector: &str) -> String {
    browser.find(selector).await.text().await.unwrap()
}

/// The page's own `pattern` takes what the server takes, and says what else was expected.
#[tokio::test(flavor = "multi_thread")]
async fn codes_are_taken_however_they_are_written() {
    scenario("typing", Options::default(), async |bank, browser| {
        sign_in_on_the_way_to_payments(bank, browser).await;
        for typed in [
            "123456",
            " 123 456 ",
            "123-456",
            "123\u{a0}456",
            "123\u{85}456",
            "123\u{2009}456",
            "123\u{202f}456",
            "123\u{2013}456",
            "\u{feff}123\u{200b}456",
            "12\u{3000}34\u{2212}56",
            "\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}",
        ] {
            assert!(browser.accepts(CODE_FIELD, typed).await, "{typed:?}");
        }
        for typed in ["12345", "1234567", "12345a", "+12345", "123,456", "\u{661}23456", "code 123456"] {
            assert!(!browser.accepts(CODE_FIELD, typed).await, "{typed:?}");
        }
        let right = code(ALICE_SECRET);
        let (one, other) = right.split_at(3);
        browser.fill(CODE_FIELD, &format!(" {one}\u{2009}-\u{a0}{other}")).await;
        browser.submit(CONFIRM).await;
        browser.arrives_at("/payments").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_wrong_code_brings_advice_and_too_many_a_pause() {
    scenario("locked", Options { phone: true, ..Options::default() }, async |bank, browser| {
        sign_in_on_the_way_to_payments(bank, browser).await;
        for attempt in 1..=6 {
            browser.fill(CODE_FIELD, &wrong_code(ALICE_SECRET)).await;
            browser.submit(CONFIRM).await;
            browser.find(&format!("{CODE_FIELD}[aria-invalid='true']")).await;
            let page = text_of(browser, "main").await;
            if attempt == 2 {
                assert!(page.contains("sets its time"), "{page}");
            }
            if page.contains("Too many attempts. Please try again in ") {
                browser.take_picture("locked").await;
                assert!(browser.fits_the_width().await);
                // Who looks again still reads it.
                let here = browser.address().await;
                browser.open(&here).await;
                assert!(text_of(browser, "main").await.contains("Too many attempts"));
                return;
            }
        }
        panic!("six wrong codes lock nothing");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_name_stays_after_a_wrong_password() {
    scenario("identifier", Options::default(), async |bank, browser| {
        browser.open(&bank.url("/self-service/login/browser")).await;
        browser.fill("input[name='identifier']", "alice").await;
        browser.fill("input[name='password']", "not-the-password").await;
        browser.submit("[name='method'][value='password']").await;
        browser.find(".message.error").await;
        browser.take_picture("login").await;
        let field = |name: &'static str| async move {
            browser.find(&format!("input[name='{name}']")).await.value().await.unwrap().unwrap_or_default()
        };
        assert_eq!((field("identifier").await.as_str(), field("password").await.as_str()), ("alice", ""));
        browser.fill("input[name='password']", "alice-password").await;
        let page = browser.address().await;
        browser.submit("[name='method'][value='password']").await;
        browser.find(CODE_FIELD).await;

        // Who goes back sees no old error, and is led on.
        browser.open(&page).await;
        browser.take_picture("completed").await;
        assert!(browser.find_all(".message.error").await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_codes_are_listed_with_the_used_ones_and_replaced() {
    scenario("recovery", Options { phone: true, ..Options::default() }, async |bank, browser| {
        browser.open(&bank.url("/login")).await;
        sign_in(browser, "bob").await;
        browser.arrives_at("/").await;
        browser.open(&bank.url(SETTINGS)).await;
        let secret = text_of(browser, "#totp_secret_key").await;
        browser.fill(CODE_FIELD, &code(&secret)).await;
        browser.submit(CONFIRM).await;
        browser.find("[name='totp_unlink']").await;
        let offer = text_of(browser, "main").await;
        assert!(offer.contains("You have no recovery codes yet. Create some now"), "{offer}");
        browser.take_picture("offer").await;

        browser.submit("[name='lookup_secret_regenerate']").await;
        let first = text_of(browser, "#lookup_secret_codes li").await;
        browser.submit("[name='lookup_secret_confirm']").await;
        browser.find("[name='lookup_secret_disable']").await;
        browser.open(&bank.url("/self-service/login/browser?aal=aal2&refresh=true&return_to=/account")).await;
        browser.fill("#lookup_secret", &first.replace('-', " \u{2013} ")).await;
        browser.submit("[name='method'][value='lookup_secret']").await;
        browser.arrives_at("/account").await;

        browser.open(&bank.url(SETTINGS)).await;
        let page = text_of(browser, "main").await;
        assert!(page.contains("11 of your 12 recovery codes are left."), "{page}");
        browser.submit("[name='lookup_secret_reveal']").await;
        browser.find("#lookup_secret_codes").await;
        browser.take_picture("list").await;
        assert!(browser.fits_the_width().await);
        let list = text_of(browser, "#lookup_secret_codes").await;
        assert!(list.to_lowercase().contains("used") && !list.contains(&first), "{list}");

        browser.submit("[name='lookup_secret_regenerate']").await;
        browser.find("[name='lookup_secret_confirm']").await;
        browser.submit("[name='lookup_secret_confirm']").await;
        browser.find("[name='lookup_secret_disable']").await;
        let page = text_of(browser, "main").await;
        assert!(page.contains("12 of your 12 recovery codes are left."), "{page}");

        // What goes with the app is said.
        browser.submit("[name='totp_unlink']").await;
        browser.find("#totp_secret_key").await;
        browser.take_picture("removed").await;
        let page = text_of(browser, "main").await;
        assert!(page.contains("recovery codes were removed too"), "{page}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sessions_are_seen_and_ended() {
    const SESSIONS: &str = "/self-service/ui/sessions";
    scenario("sessions", Options { phone: true, ..Options::default() }, async |bank, browser| {
        browser.open(&bank.url("/login")).await;
        sign_in(browser, "bob").await;
        browser.arrives_at("/").await;
        browser.forget_cookies().await;
        browser.open(&bank.url("/login")).await;
        sign_in(browser, "bob").await;
        browser.arrives_at("/").await;

        browser.open(&bank.url(SESSIONS)).await;
        browser.take_picture("sessions").await;
        assert!(browser.fits_the_width().await);
        assert_eq!(browser.find_all("h2").await.len(), 2);
        let page = text_of(browser, "main").await;
        assert_eq!(page.matches("Mozilla/5.0").count(), 2, "each says which browser it was: {page}");
        browser.submit("button[value='others']").await;
        browser.arrives_at(SESSIONS).await;
        browser.take_picture("one-left").await;
        assert_eq!(browser.find_all("h2").await.len(), 1);
    })
    .await;
}

/// Each link of an error page leads to a page that works.
#[tokio::test(flavor = "multi_thread")]
async fn no_error_page_is_a_dead_end() {
    scenario("errors", Options { phone: true, ..Options::default() }, async |bank, browser| {
        for signed_in in [false, true] {
            for path in [
                "/self-service/login/browser?aal=aal9",
                "/self-service/login/browser?return_to=https://evil.example",
                "/self-service/logout?token=x",
                "/self-service/ui/login?flow=x",
            ] {
                let mut seen = 0;
                loop {
                    browser.open(&bank.url(path)).await;
                    browser.find("main").await;
                    let links = browser.find_all("main a").await;
                    assert!(!links.is_empty(), "{path}");
                    let Some(link) = links.get(seen).cloned() else { break };
                    let label = link.text().await.unwrap();
                    browser.follow(link).await;
                    let shown = text_of(browser, "body").await;
                    assert!(!browser.address().await.contains("/ui/error"), "{path}: {label}: {shown}");
                    seen += 1;
                }
            }
            if !signed_in {
                browser.open(&bank.url("/login")).await;
                sign_in(browser, "bob").await;
                browser.arrives_at("/").await;
            }
        }
        browser.take_picture("error").await;
    })
    .await;
}
