//! Codes to the addresses of the bank's users, as it writes them to standard error.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
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

/// Where others read standard error, or nothing limits the codes, it does not start.
#[test]
fn codes_are_not_written_out_or_sent_without_limit_in_public() {
    for settings in [
        &[("BANK_PUBLIC_URL", "https://bank.example")][..],
        &[("BANK_CODE_COOL_DOWN", "x")],
        &[("BANK_CODE_COOL_DOWN", "3601")],
        &[("BANK_SMTP", "mail.example")],
        &[
            ("BANK_SMTP", "smtps://mail.example"),
            ("BANK_PUBLIC_URL", "https://bank.example"),
            ("BANK_CODE_COOL_DOWN", "0"),
        ],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bank"));
        let always = [("BANK_ADDR", "127.0.0.1:0"), ("BANK_STORE", "memory"), ("BANK_FACTORS", "code,totp")];
        let output = command.envs(always).envs(settings.iter().copied()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{settings:?}: {said}");
        assert!(said.starts_with("bank: ") && said.lines().count() == 1, "{said}");
    }
}
