//! Codes to the addresses of the bank's users, as it writes them to standard error.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    behind_nginx::{Browser, Page},
    client::{Answer, Client, messages},
    program::Program,
};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The last code for this address, once there are so many.
fn code(said: &Path, address: &str, count: usize) -> String {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(said).unwrap();
        let codes: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix(&format!("code for {address}: "))).collect();
        if codes.len() == count {
            return codes[count - 1].to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn submit(client: &Client, bank: &str, flow: &Value, fields: Value) -> Answer {
    let url = format!("{bank}/self-service/login?flow={}", flow["id"].as_str().unwrap());
    client.send(Method::POST, &url, Some(fields)).await
}

#[tokio::test]
async fn the_bank_sends_codes_to_its_users() {
    let said = file("codes");
    let settings = [("BANK_STORE", "memory"), ("BANK_FACTORS", "code,totp"), ("BANK_CODE_COOL_DOWN", "0")];
    let mut bank = Program::bank_with(&settings, File::create(&said).unwrap());
    let url = bank.url();

    let mut alice = Client::log_in(&url, "alice").await;
    let (_, flow) = alice.get(&format!("{url}/self-service/login/api?aal=aal2")).await;
    let (status, next) = submit(&alice, &url, &flow, json!({"address": "alice@bank.example"})).await;
    assert_eq!((status, messages(&next)), (400, vec![1_010_025]), "{next}");
    // Without a cool-down, another one at once.
    submit(&alice, &url, &flow, json!({"method": "code", "resend": "code"})).await;
    let fields = json!({"method": "code", "code": code(&said, "alice@bank.example", 2)});
    let (status, body) = submit(&alice, &url, &flow, fields).await;
    assert_eq!(status, 200, "{body}");
    alice.take_token(&body);
    assert_eq!(alice.get(&format!("{url}/api/payments")).await.0, 200);

    // Of her two addresses one is verified.
    let carol = Client::log_in(&url, "carol").await;
    let (_, flow) = carol.get(&format!("{url}/self-service/login/api?aal=aal2")).await;
    let (_, refused) = submit(&carol, &url, &flow, json!({"address": "carol@bank.example"})).await;
    assert_eq!(messages(&refused), [4_000_035]);
    submit(&carol, &url, &flow, json!({"address": "+4915112345678"})).await;
    code(&said, "+4915112345678", 1);
    let bob = Client::log_in(&url, "bob").await;
    let (_, flow) = bob.get(&format!("{url}/self-service/login/api?aal=aal2")).await;
    assert_eq!(messages(&flow), [1_010_004, 1_990_001], "he has none");
}

/// Bob has no address. Where the bank lets him, he adds one, and it is a second factor.
#[tokio::test]
async fn users_add_addresses_where_the_bank_lets_them() {
    for (switch, adds) in [("0", false), ("1", true)] {
        let said = file(&format!("codes-to-add-{switch}"));
        let settings = [("BANK_STORE", "memory"), ("BANK_FACTORS", "code,totp"), ("BANK_USER_ADDRESSES", switch)];
        let mut bank = Program::bank_with(&settings, File::create(&said).unwrap());
        let url = bank.url();
        let mut bob = Browser::new(&url);
        bob.sign_in("bob", "/account").await;
        let page = bob.get(&format!("{url}/self-service/settings/browser")).await;
        assert_eq!(page.text.contains("name=\"user_address\""), adds, "{}", page.text);
        if !adds {
            continue;
        }
        let section = |page: &Page| {
            let (_, text) = page.text.split_once("<section aria-labelledby=\"addresses\">").unwrap();
            let text = text.split_once("</section>").unwrap().0.to_owned();
            Page { url: page.url.clone(), status: page.status, text }
        };
        let form = section(&page);
        let csrf = form.field("csrf_token");
        let sent = bob.post(&form, &[("user_address", "bob@bank.example"), ("csrf_token", &csrf)]).await;
        assert!(sent.text.contains("sent to <strong>bob@bank.example</strong>"), "{}", sent.text);
        let typed = to_add(&said, "bob@bank.example");
        let form = section(&sent);
        let fields = [("user_address_code", typed.as_str()), ("csrf_token", &form.field("csrf_token"))];
        let added = bob.post(&form, &fields).await;
        assert!(
            added.text.contains("Your change was saved.") && added.text.contains("Remove this address"),
            "{}",
            added.text
        );
        assert_eq!(bob.get(&format!("{url}/payments")).await.status, 200);
    }
}

fn to_add(said: &Path, address: &str) -> String {
    let text = fs::read_to_string(said).unwrap();
    let code = text.lines().find_map(|line| line.strip_prefix(&format!("code to add {address}: ")));
    code.unwrap_or_else(|| panic!("no code: {text}")).to_owned()
}

/// Mail goes to the server, and what is no mail to standard error as before. By default an address gets no second code at once.
#[cfg(feature = "mail")]
#[tokio::test]
async fn the_bank_sends_mail_through_a_server() {
    use crate::mail_server::{Mood, Server};

    let server = Server::start(Mood::Takes).await;
    let said = file("codes-beside-mail");
    let smtp = server.url();
    let settings = [("BANK_STORE", "memory"), ("BANK_FACTORS", "code,totp"), ("BANK_SMTP", &smtp)];
    let mut bank = Program::bank_with(&settings, File::create(&said).unwrap());
    let url = bank.url();
    let mut alice = Client::log_in(&url, "alice").await;
    let (_, flow) = alice.get(&format!("{url}/self-service/login/api?aal=aal2")).await;
    let (_, next) = submit(&alice, &url, &flow, json!({"address": "alice@bank.example"})).await;
    assert_eq!(messages(&next), [1_010_025], "{next}");
    let (_, told) = submit(&alice, &url, &flow, json!({"method": "code", "resend": "code"})).await;
    assert_ne!(messages(&told), [1_010_025], "{told}");
    let mails = server.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert!(mails[0].contains("alice@bank.example") && mails[0].contains("Example Bank"), "{}", mails[0]);
    let is_code = |word: &&str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    let code_sent = mails[0].split_whitespace().find(is_code).unwrap_or_else(|| panic!("no code: {}", mails[0]));
    let (status, body) = submit(&alice, &url, &flow, json!({"method": "code", "code": code_sent})).await;
    assert_eq!(status, 200, "{body}");
    alice.take_token(&body);
    assert_eq!(alice.get(&format!("{url}/api/payments")).await.0, 200);

    let carol = Client::log_in(&url, "carol").await;
    let (_, flow) = carol.get(&format!("{url}/self-service/login/api?aal=aal2")).await;
    submit(&carol, &url, &flow, json!({"address": "+4915112345678"})).await;
    code(&said, "+4915112345678", 1);
    assert!(!fs::read_to_string(&said).unwrap().contains("code for alice"), "it went by mail");
    assert_eq!(server.mails().len(), 1);
}
