//! Clients that hold heads and bodies back: the bank waits for none for long.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{client::Client, program::Program};

/// What the bank answers to this before it ends the connection, and after how long.
async fn until_ended(address: &str, sent: &str) -> (String, Duration) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(sent.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let mut answer = Vec::new();
    let ended = timeout(Duration::from_mins(1), connection.read_to_end(&mut answer)).await;
    ended.unwrap_or_else(|_| panic!("the bank waits for more of {sent:?}")).unwrap();
    (String::from_utf8(answer).unwrap(), begun.elapsed())
}

#[tokio::test]
async fn the_bank_waits_for_no_head_and_no_body_for_long() {
    let mut bank = Program::bank(&[("BANK_STORE", "memory")]);
    let url = bank.url();
    let address = url.strip_prefix("http://").unwrap();
    let alice = Client::log_in(&url, "alice").await;
    let flow = alice.begin(&url).await;
    let begun = |head: &str| format!("{head} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n");
    let waits = |head: &str| format!("{}content-length: 50\r\n\r\n{{\"username\":", begun(head));
    let of_alice = format!("x-session-token: {}\r\ncontent-length", alice.token);
    let form = waits(&format!("POST /self-service/login?flow={flow}")).replacen("content-length", &of_alice, 1);
    let (head, own) = (begun("POST /api/login"), waits("POST /api/login"));
    let (nothing, half, own, ours) = tokio::join!(
        until_ended(address, ""),
        until_ended(address, &head),
        until_ended(address, &own),
        until_ended(address, &form),
    );
    for (answer, waited) in [&nothing, &half] {
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!((5..20).contains(&waited.as_secs()), "{waited:?}");
    }
    for (answer, waited) in [&own, &ours] {
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!((5..30).contains(&waited.as_secs()), "{waited:?}");
    }
    // The honest twin, and the end.
    assert_eq!(
        Client::log_in(&url, "alice").await.get(&format!("{url}/sessions/whoami")).await.0 / 100,
        4,
        "asked for a code"
    );
    bank.terminate();
}
