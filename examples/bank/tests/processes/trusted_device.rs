//! The bank that offers "do not ask on this device".

use crate::{
    bank::ALICE,
    behind_nginx::{Browser, between},
    program::{Program, code},
};

#[tokio::test]
async fn who_ticks_the_box_is_not_asked_again_for_what_is_open_for_hours() {
    let mut bank = Program::bank(&[("BANK_STORE", "memory"), ("BANK_TRUSTED_DEVICE_DAYS", "30")]);
    let url = bank.url();
    let payments = format!("{url}/payments");
    let mut alice = Browser::new(&url);
    let page = alice.sign_in("alice", "/payments").await;
    assert!(page.text.contains("Do not ask on this device for 30 days"), "{}", page.text);
    let (csrf, now) = (page.field("csrf_token"), code(ALICE));
    let fields = [("csrf_token", csrf.as_str()), ("method", "totp"), ("totp_code", &now), ("trust_device", "true")];
    let page = alice.post(&page, &fields).await;
    assert_eq!((page.url.as_str(), page.status), (payments.as_str(), 200), "{}", page.text);
    for _day in 0..2 {
        let begun = alice.get(&format!("{url}/self-service/logout/browser")).await;
        alice.get(between(&begun.text, "\"logout_url\":\"", "\"").unwrap()).await;
        let page = alice.sign_in("alice", "/payments").await;
        assert_eq!((page.url.as_str(), page.status), (payments.as_str(), 200), "{}", page.text);
        assert!(page.text.contains("payments of alice"), "{}", page.text);
    }
    for asking in ["/transfer", "/self-service/settings/browser"] {
        let page = alice.get(&format!("{url}{asking}")).await;
        assert!(page.url.starts_with(&format!("{url}/self-service/ui/login?flow=")), "{asking}: {}", page.url);
    }
    bank.terminate();
}

#[tokio::test]
async fn by_default_there_is_no_box() {
    let mut bank = Program::bank(&[("BANK_STORE", "memory")]);
    let page = Browser::new(&bank.url()).sign_in("alice", "/payments").await;
    assert!(page.text.contains("totp_code") && !page.text.contains("this device"), "{}", page.text);
    bank.terminate();
}
