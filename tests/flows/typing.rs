//! What people type: codes as they and their password managers write them, and what they read when a code is refused.

use std::time::Duration;

use axum::http::StatusCode;
use tower_step_up::{Method, Subject};

use crate::site::{Answer, Client, OpenFlow, Site, code_of};

fn full_width(code: &str) -> String {
    code.chars().map(|one| if one == '-' { one } else { char::from_u32(u32::from(one) + 0xfee0).unwrap() }).collect()
}

fn text(answer: &Answer) -> String {
    assert_eq!((answer.status, answer.messages()), (StatusCode::BAD_REQUEST, vec![4_000_008]), "{answer:?}");
    answer.json()["ui"]["messages"][0]["text"].as_str().unwrap().to_owned()
}

async fn totp(client: &mut Client, flow: &OpenFlow, code: &str) -> Answer {
    client.submit(flow, &[("method", "totp"), ("totp_code", code)]).await
}

async fn lookup(client: &mut Client, flow: &OpenFlow, code: &str) -> Answer {
    client.submit(flow, &[("method", "lookup_secret"), ("lookup_secret", code)]).await
}

#[tokio::test]
async fn codes_are_read_however_they_are_written() {
    let site = Site::new();
    site.enrol("kim").await;
    let written: [fn(&str) -> String; 7] = [
        |code| format!("{} {}", &code[..3], &code[3..]),
        |code| format!("{}-{}", &code[..3], &code[3..]),
        |code| format!("{}\u{a0}{}", &code[..3], &code[3..]),
        |code| format!("{}\u{2009}{}", &code[..3], &code[3..]),
        |code| format!("\u{feff}{}\u{2013}{}\n", &code[..3], &code[3..]),
        full_width,
        |code| format!("{}\u{3000}{}", full_width(&code[..3]), full_width(&code[3..])),
    ];
    for write in written {
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let code = write(&site.next_code());
        assert_eq!(totp(&mut kim, &flow, &code).await.status, StatusCode::OK, "{code:?}");
    }

    // The first code of a new app is read alike.
    let mut lee = site.spa("lee").await;
    let settings = lee.begin("settings", "").await;
    let secret = settings.view["ui"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|node| node["attributes"]["id"] == "totp_secret_key");
    let secret = secret.unwrap()["attributes"]["text"]["context"]["secret"].as_str().unwrap();
    let code = full_width(&code_of(secret, site.seconds()));
    assert_eq!(totp(&mut lee, &settings, &code).await.status, StatusCode::OK);

    // Recovery codes too, in any case.
    let mut kim = site.spa("kim").await;
    assert_eq!(kim.step_up(&site.next_code()).await.status, StatusCode::OK);
    let codes = kim.enrol_lookup().await;
    let written: [fn(&str) -> String; 4] = [
        |code| code.to_lowercase().replace('-', " "),
        |code| code.replace('-', "\u{2009}\u{2013}\u{a0}"),
        |code| format!("\u{200b}{}\n", code.replace('-', "")),
        |code| full_width(&code.to_lowercase()),
    ];
    for (write, code) in written.iter().zip(&codes) {
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let code = write(code);
        assert_eq!(lookup(&mut kim, &flow, &code).await.status, StatusCode::OK, "{code:?}");
    }
}

#[tokio::test]
async fn what_is_no_code_says_what_was_expected() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    // None of them is a guess, so no number of them locks.
    for _ in 0..4 {
        for bad in ["1234567", "code: 123456", "+123456"] {
            assert!(text(&totp(&mut kim, &flow, bad).await).contains("six digits"), "{bad}");
        }
        let short = totp(&mut kim, &flow, "123 45").await;
        assert_eq!(short.node_messages("totp_code"), [4_000_003]);
        assert!(short.node("totp_code")["messages"][0]["text"].as_str().unwrap().contains("6 digits"));
    }
    assert_eq!(totp(&mut kim, &flow, &site.next_code()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_code_that_is_burnt_or_too_old_says_so_and_one_of_the_future_does_not() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    let used = site.next_code();
    assert_eq!(kim.step_up(&used).await.status, StatusCode::OK);
    let codes = kim.enrol_lookup().await;
    let burnt = "wait for the next one";

    let (mut other, mut third) = (site.spa("kim").await, site.spa("kim").await);
    let flow = other.begin("login", "?aal=aal2").await;
    assert!(text(&totp(&mut other, &flow, &used).await).contains(burnt), "used");
    // A recovery code burns the codes that the app shows now.
    let fresh = site.next_code();
    let login = third.begin("login", "?aal=aal2").await;
    assert_eq!(lookup(&mut third, &login, &codes[0]).await.status, StatusCode::OK);
    let flow = other.begin("login", "?aal=aal2").await;
    assert!(text(&totp(&mut other, &flow, &fresh).await).contains(burnt), "burnt by a recovery code");

    let old = site.code();
    site.step_up.unlock(&Subject::new("kim").unwrap(), Method::Totp).await.unwrap();
    site.clock.advance(Duration::from_secs(300));
    let ahead = code_of(crate::site::SECRET, site.seconds() + 300);
    let flow = other.begin("login", "?aal=aal2").await;
    let late = text(&totp(&mut other, &flow, &old).await);
    assert!(late.contains("too old") && late.contains("clock"), "{late}");

    // A code of the future reads as any wrong one, to the byte.
    let wrong = ["000000", "000001"].into_iter().find(|code| *code != ahead).unwrap();
    let (one, two) = (other.begin("login", "?aal=aal2").await, other.begin("login", "?aal=aal2").await);
    let future = text(&totp(&mut other, &one, &ahead).await);
    assert_eq!(future, text(&totp(&mut other, &two, wrong).await));
    assert!(!future.contains("wait") && !future.contains("old"), "{future}");

    // All of them counted: three since the reset, and two more lock.
    for _ in 0..2 {
        let flow = other.begin("login", "?aal=aal2").await;
        totp(&mut other, &flow, &old).await;
    }
    let flow = other.begin("login", "?aal=aal2").await;
    let locked = totp(&mut other, &flow, &site.code()).await;
    assert_ne!(locked.status, StatusCode::OK);
    assert!(locked.text.contains("oo many attempts"), "{}", locked.text);
}

#[tokio::test]
async fn the_second_wrong_code_brings_advice() {
    let site = Site::new();
    let mut lee = site.spa("lee").await;
    let settings = lee.begin("settings", "").await;
    let said = |answer: &Answer| answer.node("totp_code")["messages"][0]["text"].as_str().unwrap().to_owned();
    let advice = "sets its time by itself";
    assert!(!said(&totp(&mut lee, &settings, "000000").await).contains(advice));
    assert!(said(&totp(&mut lee, &settings, "000000").await).contains(advice), "when the app is added");

    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    assert!(!text(&totp(&mut kim, &flow, "000000").await).contains(advice));
    assert!(text(&totp(&mut kim, &flow, "000000").await).contains(advice));
    assert!(text(&totp(&mut kim, &flow, "000000").await).contains(advice));
}

#[tokio::test]
async fn who_guessed_recovery_codes_does_not_keep_the_owner_from_replacing_them() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    assert_eq!(kim.step_up(&site.next_code()).await.status, StatusCode::OK);
    let old = kim.enrol_lookup().await;
    let mut thief = site.spa("kim").await;
    let flow = thief.begin("login", "?aal=aal2").await;
    for _ in 0..5 {
        assert_eq!(lookup(&mut thief, &flow, "AAAA-AAAA-AAAA-AAAA").await.messages(), [4_000_016]);
    }
    assert!(lookup(&mut thief, &flow, &old[0]).await.text.contains("oo many attempts"), "the codes are locked");
    // Eight times: looking at new codes is no attempt.
    for _ in 0..8 {
        let settings = kim.begin("settings", "").await;
        let shown = kim.submit(&settings, &[("lookup_secret_regenerate", "true")]).await;
        assert_eq!(shown.status, StatusCode::OK, "{shown:?}");
    }
    let locked = lookup(&mut thief, &flow, &old[0]).await;
    assert!(locked.text.contains("oo many attempts"), "and asking for new ones unlocks nothing");
    let new = kim.enrol_lookup().await;
    assert_ne!(new, old);
    let settings = kim.begin("settings", "").await;
    assert_eq!(kim.submit(&settings, &[("lookup_secret_disable", "true")]).await.status, StatusCode::OK);
    let settings = kim.begin("settings", "").await;
    assert_eq!(kim.submit(&settings, &[("totp_unlink", "true")]).await.status, StatusCode::OK);
}
