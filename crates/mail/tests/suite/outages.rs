//! Servers that do not take a mail: nothing is lost, and nobody is told that a code is on its way when it is not.

use std::time::{Duration, Instant};

use tower_step_up_mail::Smtp;

use crate::{
    bank::{Bank, FROM, told},
    mail::code_of,
    server::{Mood, Server},
};

const NOT_SENT: &str = "could not be sent";

async fn bank(server: &Server) -> Bank {
    Bank::with(Smtp::new(&server.url(), FROM).unwrap().timeout(Duration::from_secs(1))).await
}

#[tokio::test]
async fn a_mail_that_was_not_taken_is_tried_once_more() {
    let server = Server::start(Mood::LaterFor(1)).await;
    let bank = bank(&server).await;
    let flow = bank.begin().await;
    assert_eq!((told(&flow), server.connections(), server.mails().len()), (vec![1_010_025], 2, 1));
    bank.enters(&flow, &code_of(&server.mails()[0])).await;
}

#[tokio::test]
async fn what_surely_was_not_sent_costs_nothing() {
    for (mood, connections) in [
        (Mood::LaterFor(9), 2),
        (Mood::HangsUp, 2),
        (Mood::Silent, 2),
        // For good, so once.
        (Mood::Refuses, 1),
        (Mood::RefusesText, 1),
    ] {
        let server = Server::start(mood).await;
        let bank = bank(&server).await;
        let begun = Instant::now();
        let flow = bank.begin().await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{mood:?}");
        assert_eq!((told(&flow), &flow["state"]), (vec![1_010_004, 4_000_001], &"choose_method".into()), "{mood:?}");
        assert!(flow.to_string().contains(NOT_SENT));
        assert_eq!((server.connections(), server.mails().len()), (connections, 0), "{mood:?}");
        // As soon as it works, it works: there is no cool-down, and no attempt was counted.
        server.is(Mood::Takes);
        let (_, next) = bank.submit(&flow, serde_json::json!({"address": "kim@app.example"})).await;
        assert_eq!(told(&next), [1_010_025], "{mood:?}");
        let [mail] = server.mails().try_into().unwrap();
        // The second code cannot be sent, and the first one stays good.
        server.is(mood);
        assert!(bank.asks_again(&flow).await.to_string().contains(NOT_SENT));
        bank.enters(&flow, &code_of(&mail)).await;
    }
}

#[tokio::test]
async fn nobody_listens() {
    let server = Server::start(Mood::Takes).await;
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let bank = Bank::with(Smtp::new(&format!("smtp://127.0.0.1:{port}"), FROM).unwrap()).await;
    let flow = bank.begin().await;
    assert!(flow.to_string().contains(NOT_SENT), "{flow}");
    assert_eq!(server.connections(), 0);
}

/// It counts as sent, since it may have been; and the user learns that.
#[tokio::test]
async fn what_may_have_been_sent_is_not_sent_again() {
    let server = Server::start(Mood::BreaksAfterText).await;
    let bank = bank(&server).await;
    let flow = bank.begin().await;
    assert_eq!((told(&flow), &flow["state"]), (vec![4_000_001], &"sent_email".into()));
    assert!(flow.to_string().contains("may not have been sent"));
    let [mail] = server.mails().try_into().unwrap();
    assert_eq!(server.connections(), 1);
    bank.enters(&flow, &code_of(&mail)).await;
}

/// `STARTTLS` is not offered here, so nothing is said in the clear.
#[tokio::test]
async fn no_code_goes_out_in_the_clear() {
    let server = Server::start(Mood::Takes).await;
    // Not written as loopback, so it must be encrypted.
    let url = format!("smtp://127.0.0.1.nip.test:{}", server.port);
    assert!(format!("{:?}", Smtp::new(&url, FROM).unwrap()).contains("StartTls"));
    let bank = Bank::with(Smtp::new(&format!("smtps://localhost:{}", server.port), FROM).unwrap()).await;
    let flow = bank.begin().await;
    assert!(flow.to_string().contains(NOT_SENT), "{flow}");
    assert!(server.mails().is_empty());
}
