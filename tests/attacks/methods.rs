//! Routes that take a key and no code, and who has only a code.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{Router, routing::get as route_get};
use tower_step_up::{Method, RequireAal, Requirement, RouterExt};

use crate::{
    key::{Key, TOUCHED, bind},
    site::{Client, KINDS, Kind, ORIGIN, Site},
    witness,
    world::{World, assert_error, assert_says, client, subject},
};

const KEY: Requirement = Requirement::aal2().phishing_resistant();
const RECENT: Requirement = KEY.max_age(Duration::from_secs(300));

/// Two nodes whose administration takes a key.
fn worlds() -> Vec<World> {
    let worlds = World::on_every_store(|builder| builder.factor(Key));
    worlds.into_iter().map(|world| World { a: with_routes(&world.a), b: with_routes(&world.b), ..world }).collect()
}

fn with_routes(site: &Site) -> Site {
    let counted = || {
        let calls = Arc::clone(&site.calls);
        move || async move {
            calls.fetch_add(1, Ordering::SeqCst);
            witness::handler_runs();
            "open"
        }
    };
    let router = Router::new()
        .route_requiring("/admin", KEY, route_get(counted()))
        .route_requiring("/recent", RECENT, route_get(counted()))
        // The weak rule is asked first.
        .route_requiring("/nested", Requirement::aal2(), route_get(counted()).layer(RequireAal::new(KEY)))
        .layer(site.step_up.layer());
    let router = router.merge(site.router.clone());
    Site { router, ..site.clone() }
}

/// A user with an app and a key, who has proven neither.
async fn with_both(world: &World, kind: Kind) -> Client {
    world.a.enrol("kim").await;
    bind(&world.a.step_up, "kim").await;
    world.b.step_up.forget(&subject("kim"));
    client(&world.a, kind, "kim").await
}

async fn touches(user: &mut Client) {
    let flow = user.begin("login", "?aal=aal2&methods=webauthn").await;
    let answer = user.submit(&flow, &TOUCHED).await;
    assert!(answer.status.is_success() || answer.status.is_redirection(), "{answer:?}");
    user.keep_token_if_any(&answer);
}

/// A minute later, since the key burns the codes of this one.
async fn proves_code(world: &World, user: &mut Client) {
    world.advance(Duration::from_secs(60));
    let flow = user.begin("login", "?aal=aal2&refresh=true").await;
    let answer = user.totp(&flow, &world.next_code()).await;
    assert!(answer.status.is_success() || answer.status.is_redirection(), "{answer:?}");
    user.keep_token_if_any(&answer);
}

#[tokio::test]
async fn a_code_does_not_open_what_takes_a_key() {
    for world in worlds() {
        for kind in KINDS {
            let mut honest = with_both(&world, kind).await;
            touches(&mut honest).await;
            let mut thief = client(&world.a, kind, "kim").await;
            proves_code(&world, &mut thief).await;
            for site in [&world.a, &world.b] {
                for path in ["/admin", "/recent", "/nested"] {
                    assert!(honest.opens(site, path).await, "{kind:?} {path}");
                    assert!(!thief.opens(site, path).await, "{kind:?} {path}");
                }
                assert!(thief.pays(site).await, "a code is good for the rest");
            }
            if kind != Kind::Browser {
                let refused = thief.get("/admin").await;
                assert_error(&refused, 403, "session_refresh_required");
                assert_eq!(refused.json()["error"]["details"]["methods"], serde_json::json!(["passkey", "webauthn"]));
            }
        }
    }
}

/// The code is neither taken nor spent, and the attempt is not counted.
#[tokio::test]
async fn a_code_is_not_taken_where_a_key_was_asked_for() {
    for world in worlds() {
        for kind in [Kind::Spa, Kind::Native] {
            let mut thief = with_both(&world, kind).await;
            let flow = thief.begin("login", "?aal=aal2&methods=webauthn").await;
            let code = world.next_code();
            let before = world.known("kim").await;
            for _ in 0..20 {
                assert_says(&thief.totp(&flow, &code).await, 4_010_002);
                assert_says(&thief.submit(&flow, &[("totp_code", &code)]).await, 4_010_002);
            }
            assert_eq!(world.known("kim").await, before, "{kind:?}");
            thief.assert_aal1(&world.a).await;
            // Its twin: in a flow that takes codes, this one is as good as new.
            let flow = thief.begin("login", "?aal=aal2").await;
            let passed = thief.totp(&flow, &code).await;
            assert_eq!(passed.status, 200, "{passed:?}");
            // And no form of one flow is good in another.
            thief.keep_token_if_any(&passed);
            assert!(!thief.opens(&world.a, "/admin").await);
        }
    }
}

/// Whoever takes the methods out of the address gets a form for codes, proves one, and is where they were: refused, with a form and not with
/// another redirect.
#[tokio::test]
async fn methods_that_are_cut_from_the_address_open_nothing() {
    for world in worlds() {
        let mut kim = with_both(&world, Kind::Browser).await;
        for _ in 0..3 {
            let refused = kim.get("/admin").await.location().to_owned();
            assert!(
                refused
                    .starts_with(&format!("{ORIGIN}/self-service/login/browser?aal=aal2&methods=passkey%2Cwebauthn&"))
            );
            let cut = refused.replace("&methods=passkey%2Cwebauthn", "").replace("&refresh=true", "") + "&refresh=true";
            let flow = kim.begin("login", &format!("?{}", cut.split_once('?').unwrap().1)).await;
            assert!(flow.nodes().contains(&"totp: totp_code".to_owned()));
            let back = kim.totp(&flow, &world.next_code()).await;
            assert_eq!(back.location(), format!("{ORIGIN}/admin"));
            assert!(!kim.opens(&world.a, "/admin").await);
            // The address of the refusal leads to a form.
            let form = kim.get(kim.clone().get("/admin").await.location()).await;
            assert!(form.location().starts_with(&format!("{ORIGIN}/self-service/ui/login?flow=")), "{form:?}");
        }
        touches(&mut kim).await;
        assert!(kim.opens(&world.a, "/admin").await);
    }
}

#[tokio::test]
async fn a_removed_key_takes_its_proof_along() {
    for world in worlds() {
        let mut kim = with_both(&world, Kind::Spa).await;
        proves_code(&world, &mut kim).await;
        touches(&mut kim).await;
        assert!(kim.opens(&world.a, "/admin").await && kim.opens(&world.b, "/admin").await);
        world.a.step_up.unbind(&subject("kim"), Method::WebAuthn).await.unwrap();
        // The other node learns of it from the store.
        world.b.step_up.forget(&subject("kim"));
        for site in [&world.a, &world.b] {
            assert!(!kim.opens(site, "/admin").await);
            assert!(kim.pays(site).await, "the code still counts");
        }
        // Another key proves nothing that was not proven with it.
        bind(&world.a.step_up, "kim").await;
        assert!(!kim.opens(&world.a, "/admin").await);
        touches(&mut kim).await;
        assert!(kim.opens(&world.a, "/admin").await);
    }
}

#[tokio::test]
async fn a_fresh_code_does_not_renew_the_key() {
    for world in worlds() {
        let mut kim = with_both(&world, Kind::Spa).await;
        touches(&mut kim).await;
        assert!(kim.opens(&world.a, "/recent").await);
        world.advance(Duration::from_secs(301));
        proves_code(&world, &mut kim).await;
        assert!(kim.opens(&world.a, "/transfer").await, "the code is fresh");
        assert!(kim.opens(&world.a, "/admin").await, "the key is there");
        let refused = kim.get("/recent").await;
        assert_error(&refused, 403, "session_refresh_required");
        assert_eq!(refused.json()["error"]["message"], "proven too long ago");
        touches(&mut kim).await;
        assert!(kim.opens(&world.a, "/recent").await);
    }
}

/// What is remembered of a session is judged anew by each rule, and a key that was bound on another node is known where it decides.
#[tokio::test]
async fn a_weak_verdict_is_not_used_for_a_strong_rule() {
    for world in worlds() {
        world.a.enrol("kim").await;
        let mut kim = client(&world.a, Kind::Spa, "kim").await;
        proves_code(&world, &mut kim).await;
        for site in [&world.a, &world.b] {
            // Remembered from here on.
            assert!(kim.pays(site).await);
            assert!(!kim.opens(site, "/nested").await);
            assert!(!kim.opens(site, "/admin").await);
            assert!(kim.pays(site).await);
            let refused = kim.at(site).get("/admin").await.json();
            assert_eq!(refused["error"]["details"]["second_factor"], "missing");
        }
        bind(&world.a.step_up, "kim").await;
        let refused = kim.at(&world.b).get("/admin").await.json();
        assert_eq!(
            refused["error"]["details"].get("second_factor"),
            None,
            "it is remembered that there is none: {refused}"
        );
        assert!(refused["redirect_browser_to"].as_str().unwrap().contains("&methods=passkey%2Cwebauthn&"));
    }
}
