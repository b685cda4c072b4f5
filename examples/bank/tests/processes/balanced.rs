//! The same behind nginx, which gives each request to the next bank in turn.

use reqwest::Method;
use serde_json::json;

use crate::{
    bank::ALICE,
    client::{Client, messages},
    program::code,
    servers::{free_port, nginx::Nginx},
    two_banks::Two,
};

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_balancer_nobody_notices() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let Some(mut two) = Two::start(&url) else { return };
    let hosts = two.urls.each_ref().map(|url| url.trim_start_matches("http://"));
    let Some(nginx) = Nginx::start(port, &hosts) else { return };

    let mut alice = Client::log_in(&url, "alice").await;
    let replaced = alice.clone();
    assert_eq!(alice.get(&format!("{url}/api/payments")).await.0, 403);
    let flow = alice.begin(&url).await;
    let shown = code(ALICE);
    let (status, body) = alice.submit(&url, &flow, &shown).await;
    assert_eq!(status, 200, "{body}");
    alice.take_token(&body);
    for _ in 0..4 {
        assert_eq!(alice.get(&format!("{url}/api/payments")).await.0, 200);
    }
    let again = Client::log_in(&url, "alice").await;
    for _ in 0..2 {
        let flow = again.begin(&url).await;
        let (status, body) = again.submit(&url, &flow, &shown).await;
        assert_eq!((status, messages(&body)), (400, vec![4_000_008]), "{body}");
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for _ in 0..2 {
        assert_eq!(replaced.get(&format!("{url}/account")).await.0, 401);
    }

    // A rolling restart: sessions, levels and open flows go on, whichever bank is away.
    let bob = Client::log_in(&url, "bob").await;
    for number in 0..2 {
        two.banks[number].terminate();
        for _ in 0..4 {
            assert_eq!(alice.get(&format!("{url}/api/payments")).await.0, 200);
            assert_eq!(bob.get(&format!("{url}/account")).await.0, 200);
        }
        two.restart(number);
    }
    let (status, body) = alice.get(&format!("{url}/api/payments")).await;
    assert_eq!((status, &body["subject"]), (200, &json!("alice")));
    let (status, _) = alice.send(Method::DELETE, &format!("{url}/sessions"), None).await;
    assert_eq!(status, 200, "her other sessions end");

    let served = nginx.served();
    for host in &two.urls {
        let host = host.trim_start_matches("http://");
        let count = served.lines().filter(|line| line.contains(host)).count();
        assert!(count > 5, "{host} served {count} requests only:\n{served}");
    }
}
