//! What each request of a step-up asks of the store, call by call: a further read or write is a decision, not an accident.

use crate::{
    site::{Answer, Client, KINDS, Kind, OpenFlow, Site},
    store::TestStore,
};

const BEGIN: [&str; 2] = ["credentials", "create_flow"];
/// The first time: then the store knows that somebody is filling in this form.
const FIRST_READ: [&str; 3] = ["flow", "touch_flow", "credentials"];
const READ: [&str; 2] = ["flow", "credentials"];
const WRONG: [&str; 4] = ["flow", "credentials", "begin_attempt", "update_flow"];
const RIGHT: [&str; 4] = ["flow", "credentials", "begin_attempt", "complete"];
/// Where flows are kept apart, so that they are no part of the transaction.
/// The counters are of both second factors.
const RIGHT_APART: [&str; 8] =
    ["flow", "credentials", "begin_attempt", "flow", "complete", "complete_flow", "reset_attempts", "reset_attempts"];

/// A user with an app, at a client of this kind, whose session the process has seen.
async fn signed_in(site: &Site, kind: Kind) -> Client {
    site.enrol("kim").await;
    let mut client = match kind {
        Kind::Browser => site.browser("kim").await,
        Kind::Spa => site.spa("kim").await,
        Kind::Native => site.native("kim").await,
    };
    client.get("/account").await;
    client
}

async fn totp(client: &mut Client, flow: &OpenFlow, code: &str) -> Answer {
    client.submit(flow, &[("method", "totp"), ("totp_code", code)]).await
}

async fn is_aal2(client: &mut Client, answer: &Answer) -> bool {
    client.keep_token(answer);
    client.get("/payments").await.status == 200
}

#[tokio::test]
async fn a_step_up_makes_these_calls() {
    for (kind, apart) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let store = TestStore::default();
        let site = Site::on(store.clone(), |builder| if apart { builder.flow_store(store.clone()) } else { builder });
        let mut client = signed_in(&site, kind).await;
        let context = format!("{kind:?}, flows apart: {apart}");

        store.take_calls();
        let endpoint = if kind == Kind::Native { "api" } else { "browser" };
        client.get(&format!("/self-service/login/{endpoint}?aal=aal2")).await;
        assert_eq!(store.take_calls(), BEGIN, "{context}");

        let before = client.begin("login", "?aal=aal2").await;
        client.read("login", before.id()).await;
        let flow = client.begin("login", "?aal=aal2").await;
        if kind != Kind::Browser {
            store.take_calls();
            client.read("login", flow.id()).await;
        }
        let calls = store.take_calls();
        assert_eq!(calls[calls.len() - FIRST_READ.len()..], FIRST_READ, "{context}");
        for _ in 0..2 {
            assert_eq!(client.read("login", flow.id()).await.status, 200);
            assert_eq!(store.take_calls(), READ, "{context}");
        }

        let wrong = totp(&mut client, &flow, "000000").await;
        assert_eq!(store.take_calls(), WRONG, "{context}");
        assert_eq!(wrong.status, if kind == Kind::Browser { 303 } else { 400 });

        let right = totp(&mut client, &flow, &site.code()).await;
        let expected: &[&str] = if apart { &RIGHT_APART } else { &RIGHT };
        assert_eq!(store.take_calls(), expected, "{context}");
        assert!(is_aal2(&mut client, &right).await);
    }
}

/// The success is written whatever was written to the flow since it was read.
#[tokio::test]
async fn a_wrong_code_at_the_same_moment_does_not_stop_the_right_one() {
    for (kind, apart) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let store = TestStore::default();
        let site = Site::on(store.clone(), |builder| if apart { builder.flow_store(store.clone()) } else { builder });
        let mut client = signed_in(&site, kind).await;
        let flow = client.begin("login", "?aal=aal2").await;
        let mut other_tab = client.clone();
        let gate = store.hold("complete");
        let code = site.code();
        let (right, ()) = tokio::join!(totp(&mut client, &flow, &code), async {
            gate.reached().await;
            totp(&mut other_tab, &flow, "000000").await;
            gate.open();
        });
        assert!(is_aal2(&mut client, &right).await, "{kind:?}, flows apart: {apart}: {right:?}");
        let passed = client.read("login", flow.id()).await.json();
        assert_eq!((&passed["state"], &passed["active"]), (&"passed_challenge".into(), &"totp".into()));
        assert_eq!(store.take_calls().iter().filter(|call| **call == "update_flow").count(), 1, "the wrong one's");
    }
}
