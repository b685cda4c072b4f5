//! The issuer's keys: when they are read, how long they hold, and what happens when the issuer does not behave.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::{sync::Arc, time::Duration};

use axum::Router;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower_step_up::{Aal, clock::Timestamp};

use crate::common::{Behaviour, Issuer, NOW, Signer, api, ask_with, pass, status, usual_api};

/// Asks until the answer is this one; the issuer is read beside the requests.
async fn until(api: &Router, token: &str, expected: u16) {
    for _ in 0..1000 {
        if status(api, "/aal2", token).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{expected} never came");
}

async fn until_read(issuer: &Issuer, times: usize) {
    for _ in 0..1000 {
        if issuer.reads() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the issuer was read {} times", issuer.reads());
}

#[tokio::test]
async fn keys_are_read_when_first_asked_for_and_then_kept() {
    let signer = Signer::new("EdDSA", "a");
    let issuer = Issuer::start(&[&signer]).await;
    let api = usual_api(&issuer);
    assert_eq!(ask_with(&api, "/aal2", &[]).await.status, 401);
    assert_eq!(status(&api, "/open", "x").await, 200);
    assert_eq!(status(&api, "/aal2", "garbage").await, 401);
    assert_eq!(issuer.take_reads(), 0, "nobody needed a key");
    for index in 0..20 {
        let token = signer.token(&issuer.claims_with(&json!({"jti": index.to_string()})));
        assert_eq!(status(&api, "/aal2", &token).await, 200);
        assert_eq!(status(&api, "/aal2", &token).await, 200);
    }
    assert_eq!(issuer.take_reads(), 1);
    pass(299).await;
    assert_eq!(status(&api, "/aal2", &signer.token(&issuer.claims())).await, 200);
    assert_eq!(issuer.take_reads(), 0);
    pass(1).await;
    assert_eq!(status(&api, "/aal2", &signer.token(&issuer.claims())).await, 200);
    until_read(&issuer, 1).await;
}

#[tokio::test]
async fn a_flood_of_unknown_keys_makes_one_question_a_minute() {
    let signer = Signer::new("EdDSA", "a");
    let issuer = Issuer::start(&[&signer]).await;
    let api = usual_api(&issuer);
    let good = signer.token(&issuer.claims());
    let flood = async || {
        let attack = |index: usize| {
            let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": format!("made-up-{index}")});
            (api.clone(), signer.token_with(&header, &issuer.claims()))
        };
        let tasks: Vec<_> = (0..100)
            .map(attack)
            .map(|(api, token)| tokio::spawn(async move { status(&api, "/aal2", &token).await }))
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 401);
        }
    };
    flood().await;
    flood().await;
    assert_eq!(issuer.take_reads(), 1);
    assert_eq!(status(&api, "/aal2", &good).await, 200, "others do not suffer");
    pass(59).await;
    flood().await;
    assert_eq!(issuer.take_reads(), 0);
    pass(1).await;
    flood().await;
    flood().await;
    assert_eq!(issuer.take_reads(), 1);
    // The issuer is away, and the flood goes on: unknown stays unknown, and the known stay in.
    issuer.behave(Behaviour::Status(500));
    pass(60).await;
    flood().await;
    flood().await;
    assert_eq!(issuer.take_reads(), 1);
    assert_eq!(status(&api, "/aal2", &good).await, 200);
}

/// Tokens that could not be ours anyway make nobody ask.
#[tokio::test]
async fn tokens_of_others_are_refused_without_a_question() {
    let signer = Signer::new("EdDSA", "a");
    let issuer = Issuer::start(&[&signer]).await;
    let api = usual_api(&issuer);
    for more in
        [json!({"iss": "https://other.example"}), json!({"aud": "x"}), json!({"exp": NOW - 60}), json!({"sub": null})]
    {
        assert_eq!(status(&api, "/aal2", &signer.token(&issuer.claims_with(&more))).await, 401);
    }
    assert_eq!(issuer.take_reads(), 0);
}

#[tokio::test]
async fn a_new_key_counts_at_once_and_a_withdrawn_one_no_longer_after_the_refresh() {
    let (old, new) = (Signer::new("ES256", "old"), Signer::new("ES256", "new"));
    let issuer = Issuer::start(&[&old]).await;
    let api = usual_api(&issuer);
    let (by_old, by_new) = (old.token(&issuer.claims()), new.token(&issuer.claims()));
    assert_eq!(status(&api, "/aal2", &by_old).await, 200);
    issuer.publish(&[&old, &new]);
    assert_eq!(status(&api, "/aal2", &by_new).await, 200, "right after the first reading");
    issuer.publish(&[&new]);
    assert_eq!(status(&api, "/aal2", &by_old).await, 200, "nobody knows yet");
    issuer.take_reads();
    pass(300).await;
    assert_eq!(status(&api, "/aal2", &by_new).await, 200, "no request waits for a refresh");
    until(&api, &by_old, 401).await;
    assert_eq!(status(&api, "/aal2", &by_new).await, 200);
    // The second question is that of the key that is gone.
    assert!(issuer.take_reads() <= 2);
}

/// The same id for another key: the forgotten signature does not open any more, though its token was remembered.
#[tokio::test]
async fn a_replaced_key_ends_what_it_signed() {
    let (old, new) = (Signer::new("ES256", "same"), Signer::new("ES256", "same"));
    let issuer = Issuer::start(&[&old]).await;
    let api = usual_api(&issuer);
    let by_old = old.token(&issuer.claims());
    assert_eq!(status(&api, "/aal2", &by_old).await, 200);
    issuer.publish(&[&new]);
    pass(300).await;
    until(&api, &by_old, 401).await;
    assert_eq!(status(&api, "/aal2", &new.token(&issuer.claims())).await, 200);
}

#[tokio::test]
async fn an_issuer_that_is_away_at_the_start_is_503_until_it_comes() {
    let signer = Signer::new("EdDSA", "a");
    let mut issuer = Issuer::start(&[&signer]).await;
    issuer.stop().await;
    let api = usual_api(&issuer);
    let good = signer.token(&issuer.claims());
    for path in ["/aal1", "/aal2", "/proof", "/highest", "/recent"] {
        let answer = ask_with(&api, path, &[&format!("Bearer {good}")]).await;
        assert_eq!((answer.status, answer.challenge), (503, None), "{path}");
    }
    assert_eq!(ask_with(&api, "/aal2", &[]).await.status, 401);
    assert_eq!(status(&api, "/aal2", &signer.token(&issuer.claims_with(&json!({"exp": NOW - 60})))).await, 401);
    assert_eq!(status(&api, "/open", &good).await, 200);
    issuer.start_again().await;
    assert_eq!(status(&api, "/aal2", &good).await, 503, "it was asked a moment ago");
    assert_eq!(issuer.reads(), 0);
    pass(5).await;
    assert_eq!(status(&api, "/aal2", &good).await, 200);
}

#[tokio::test]
async fn an_issuer_that_goes_away_later_is_missed_after_an_hour() {
    let signer = Signer::new("EdDSA", "a");
    let mut issuer = Issuer::start(&[&signer]).await;
    let api = usual_api(&issuer);
    let good = signer.token(&issuer.claims());
    assert_eq!(status(&api, "/aal2", &good).await, 200);
    issuer.stop().await;
    for minutes in 1..60 {
        pass(60).await;
        assert_eq!(status(&api, "/aal2", &good).await, 200, "after {minutes} minutes");
        // The refresh fails beside it.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    pass(60).await;
    assert_eq!(status(&api, "/aal2", &good).await, 503, "also what was remembered");
    issuer.start_again().await;
    pass(5).await;
    assert_eq!(status(&api, "/aal2", &good).await, 200);
}

#[tokio::test]
async fn an_issuer_that_misbehaves_lets_nobody_in() {
    let signer = Signer::new("EdDSA", "a");
    let issuer = Issuer::start(&[&signer]).await;
    let other = Issuer::start(&[&signer]).await;
    let good = signer.token(&issuer.claims());
    let keys_at = |url: &str| Behaviour::KeysAt(url.to_owned());
    for (what, behaviour) in [
        ("an error", Behaviour::Status(500)),
        ("nothing", Behaviour::Status(204)),
        ("a redirect", Behaviour::Redirect),
        ("HTML", Behaviour::Html),
        ("another shape", Behaviour::WrongShape),
        ("too much", Behaviour::Huge),
        ("silence", Behaviour::Silent),
        ("another issuer", Behaviour::OtherIssuer),
        ("keys without HTTPS", keys_at("http://issuer.example/keys")),
        ("keys in a file", keys_at("file:///etc/passwd")),
        ("keys at no address", keys_at("/keys")),
        ("keys that are not there", keys_at(&format!("{}/nowhere", issuer.url))),
    ] {
        issuer.behave(behaviour);
        let tokens = issuer.tokens().acr("urn:example:2fa", Aal::Aal2);
        // Long enough for every honest answer, and no longer than a test should take.
        let api = api(if what == "silence" { tokens.time_limit(Duration::from_millis(200)) } else { tokens });
        assert_eq!(status(&api, "/aal2", &good).await, 503, "{what}");
        issuer.behave(Behaviour::Good);
        pass(5).await;
        assert_eq!(status(&api, "/aal2", &good).await, 200, "{what}, and then it behaves");
    }
    assert_eq!(issuer.elsewhere_reads(), 0, "a redirect is not followed");
    // A key set at another address is as good as the metadata that name it.
    issuer.behave(keys_at(&format!("{}/keys", other.url)));
    assert_eq!(status(&usual_api(&issuer), "/aal2", &good).await, 200);
}

#[tokio::test]
async fn one_question_is_in_flight_and_outlives_those_who_asked() {
    let signer = Signer::new("EdDSA", "a");
    let issuer = Issuer::start(&[&signer]).await;
    let release = Arc::new(Notify::new());
    issuer.behave(Behaviour::Held(Arc::clone(&release)));
    let api = usual_api(&issuer);
    let asked = |index: usize| {
        let (api, token) = (api.clone(), signer.token(&issuer.claims_with(&json!({"jti": index.to_string()}))));
        tokio::spawn(async move { status(&api, "/aal2", &token).await })
    };
    let first = asked(0);
    until_read(&issuer, 1).await;
    let others: Vec<_> = (1..50).map(asked).collect();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    release.notify_one();
    for other in others {
        assert_eq!(other.await.unwrap(), 200);
    }
    assert_eq!(issuer.take_reads(), 1);
}

/// A guard outlives the runtime that asked the issuer first, as in tests and in programs that restart theirs.
#[test]
fn a_question_that_dies_with_its_runtime_is_asked_again() {
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let signer = Signer::new("EdDSA", "a");
    let issuer = serving.block_on(Issuer::start(&[&signer]));
    let api = usual_api(&issuer);
    let good = signer.token(&issuer.claims());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    issuer.behave(Behaviour::Silent);
    let first = runtime();
    let (asking, token) = (api.clone(), good.clone());
    first.spawn(async move { status(&asking, "/aal2", &token).await });
    first.block_on(until_read(&issuer, 1));
    drop(first);
    issuer.behave(Behaviour::Good);
    runtime().block_on(async {
        assert_eq!(status(&api, "/aal2", &good).await, 503, "it was asked a moment ago");
        pass(5).await;
        assert_eq!(status(&api, "/aal2", &good).await, 200);
    });
}

#[tokio::test]
async fn the_application_reads_the_claims_of_a_valid_token_only() {
    let signer = Signer::new("EdDSA", "a");
    let issuer = Issuer::start(&[&signer]).await;
    let tokens = issuer.tokens();
    let now = Timestamp::from_unix_seconds(NOW);
    let claims = async |token: String, now| {
        let headers =
            http::HeaderMap::from_iter([(http::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
        tokens.claims::<Value>(&headers, now).await.unwrap()
    };
    let good = signer.token(&issuer.claims());
    assert_eq!(claims(good.clone(), now).await.unwrap()["scope"], "payments read");
    assert_eq!(claims(good, now + Duration::from_secs(205)).await, None, "it has expired, though it was remembered");
    assert_eq!(claims(Signer::new("EdDSA", "a").token(&issuer.claims()), now).await, None);
    assert_eq!(tokens.claims::<Value>(&http::HeaderMap::new(), now).await.unwrap(), None);
}
