//! Recovery codes and what becomes of them: made, confirmed once, spent for ever.

use std::time::Duration;

use tokio::task::JoinSet;
use tower_step_up::{
    Aal, Method,
    aal::Proof,
    clock::Clock,
    session::StoredSession,
    store::{AttemptKey, AttemptPolicy, FlowStore},
};

use crate::{
    site::{Answer, Client, Kind, OpenFlow, Site, code_of},
    world::{WRONG, World, assert_locked, assert_says, client, codes_of, secret_of, subject},
};

const REGENERATE: [(&str, &str); 1] = [("lookup_secret_regenerate", "true")];
const CONFIRM: [(&str, &str); 1] = [("lookup_secret_confirm", "true")];
const DISABLE: [(&str, &str); 1] = [("lookup_secret_disable", "true")];

/// Answers of both are JSON: one with cookies, one with a token.
const PROGRAMS: [Kind; 2] = [Kind::Spa, Kind::Native];

fn worlds() -> Vec<World> {
    World::on_every_store(|builder| builder)
}

/// A user with an app, at aal2, whose settings show new codes.
async fn with_new_codes(world: &World, kind: Kind, name: &str) -> (Client, OpenFlow, Vec<String>) {
    world.a.enrol(name).await;
    let mut user = client(&world.a, kind, name).await;
    assert_eq!(user.step_up(&world.next_code()).await.status, 200);
    let flow = user.begin("settings", "").await;
    let made = user.submit(&flow, &REGENERATE).await;
    assert_eq!(made.status, 200, "{made:?}");
    (user, flow, codes_of(&made.json()))
}

async fn has_codes(world: &World, name: &str) -> bool {
    world.known(name).await.credentials.iter().any(|one| one.summary.method == Method::LookupSecret)
}

async fn types(site: &Site, kind: Kind, name: &str, code: &str) -> Answer {
    let mut user = client(site, kind, name).await;
    let flow = user.begin("login", "?aal=aal2").await;
    user.lookup(&flow, code).await
}

async fn shows_codes(user: &mut Client, flow: &OpenFlow) -> bool {
    let shown = user.read("settings", flow.id()).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    shown.nodes().contains(&"lookup_secret: lookup_secret_codes".to_owned())
}

/// The codes of the flow are stored. From here on they count down.
async fn assert_spent_for_good(world: &World, user: &mut Client, flow: &OpenFlow, name: &str, codes: &[String]) {
    let (site, kind) = (&world.a, user.kind);
    assert!(!shows_codes(user, flow).await, "codes that were confirmed are shown again");
    assert_eq!(types(site, kind, name, &codes[0]).await.status, 200, "they work");
    assert_says(&user.submit(flow, &CONFIRM).await, 4_000_001);
    assert_says(&types(site, kind, name, &codes[0]).await, 4_000_012);
    // Nor once there is no set any more that they could replace.
    let gone = user.submit(flow, &DISABLE).await;
    assert_eq!(gone.status, 200, "{gone:?}");
    user.keep_token_if_any(&gone);
    assert_says(&user.submit(flow, &CONFIRM).await, 4_000_001);
    assert!(!has_codes(world, name).await, "codes that were confirmed are stored again");
}

/// A set is confirmed once, whatever is written to its flow at the same moment, and whichever call of the store fails.
#[tokio::test]
async fn spent_recovery_codes_do_not_come_back() {
    for world in worlds() {
        for kind in PROGRAMS {
            let (mut kim, flow, codes) = with_new_codes(&world, kind, "kim").await;
            world.store.yields();
            let mut flood = JoinSet::new();
            for _ in 0..30 {
                let (mut tab, action) = (kim.clone(), flow.action());
                flood.spawn(async move { tab.post(&action, &[("x", "1")]).await });
            }
            let mut confirmed = kim.submit(&flow, &CONFIRM).await;
            flood.join_all().await;
            world.store.works();
            if confirmed.status != 200 {
                assert!(!has_codes(&world, "kim").await, "{confirmed:?}");
                confirmed = kim.submit(&flow, &CONFIRM).await;
            }
            assert_eq!(confirmed.status, 200, "{confirmed:?}");
            kim.keep_token_if_any(&confirmed);
            assert_spent_for_good(&world, &mut kim, &flow, "kim", &codes).await;

            for calls in 0.. {
                let name = format!("{kind:?}-{calls}");
                let (mut lee, flow, codes) = with_new_codes(&world, kind, &name).await;
                world.store.fails_after(calls);
                let mut confirmed = lee.submit(&flow, &CONFIRM).await;
                let failed = world.store.has_failed();
                if !has_codes(&world, &name).await {
                    assert_eq!(confirmed.status, 503, "call {calls}: {confirmed:?}");
                    confirmed = lee.submit(&flow, &CONFIRM).await;
                }
                assert_eq!(confirmed.status, 200, "call {calls}: {confirmed:?}");
                lee.keep_token_if_any(&confirmed);
                assert_spent_for_good(&world, &mut lee, &flow, &name, &codes).await;
                if !failed {
                    break;
                }
            }
        }
    }
}

/// Who had the session before the codes were confirmed cannot have them stored again, though another node still knows that session.
#[tokio::test]
async fn confirmed_codes_are_not_taken_up_again_with_the_session_before() {
    for world in worlds() {
        for kind in PROGRAMS {
            let (mut kim, flow, codes) = with_new_codes(&world, kind, "kim").await;
            let mut before = kim.at(&world.b);
            assert!(shows_codes(&mut before, &flow).await);
            let gate = world.store.hold("complete");
            let confirm = async {
                let answer = kim.submit(&flow, &CONFIRM).await;
                (kim, answer)
            };
            // While the set is being stored, and just afterwards.
            let ((mut kim, confirmed), regenerated) = tokio::join!(confirm, async {
                gate.reached().await;
                let regenerated = before.submit(&flow, &REGENERATE).await;
                gate.open();
                regenerated
            });
            assert_eq!(confirmed.status, 200, "{confirmed:?}");
            kim.keep_token_if_any(&confirmed);
            let late = before.submit(&flow, &REGENERATE).await;
            for answer in [regenerated, late] {
                if answer.status == 200 {
                    let made = codes_of(&answer.json());
                    assert!(made.iter().all(|code| !codes.contains(code)), "confirmed codes are shown again");
                }
            }
            assert_eq!(types(&world.a, kind, "kim", &codes[0]).await.status, 200, "they work");
            let again = kim.submit(&flow, &CONFIRM).await;
            kim.keep_token_if_any(&again);
            assert_ne!(types(&world.a, kind, "kim", &codes[0]).await.status, 200, "a used code is good again");
        }
    }
}

/// While a set waits to be confirmed, its flow makes no other, so what is confirmed is what was shown.
#[tokio::test]
async fn a_flow_shows_one_set_of_new_codes() {
    for world in worlds() {
        for kind in PROGRAMS {
            for calls in ["flow", "credentials", "update_flow"] {
                world.a.enrol("kim").await;
                let mut kim = client(&world.a, kind, "kim").await;
                assert_eq!(kim.step_up(&world.next_code()).await.status, 200);
                let flow = kim.begin("settings", "").await;
                let (mut one, mut other) = (kim.clone(), kim.at(&world.b));
                let gate = world.store.hold(calls);
                let (late, early) = tokio::join!(one.submit(&flow, &REGENERATE), async {
                    gate.reached().await;
                    let early = other.submit(&flow, &REGENERATE).await;
                    gate.open();
                    early
                });
                let shown = codes_of(&early.json());
                for answer in
                    [late, kim.submit(&flow, &REGENERATE).await, kim.at(&world.b).submit(&flow, &REGENERATE).await]
                {
                    assert_eq!(codes_of(&answer.json()), shown, "held at {calls}: {answer:?}");
                }
                let confirmed = kim.submit(&flow, &CONFIRM).await;
                assert_eq!(confirmed.status, 200, "{confirmed:?}");
                for code in [&shown[0], &shown[11]] {
                    assert_eq!(types(&world.a, kind, "kim", code).await.status, 200, "a code that was shown is dead");
                }
                // The next ones are others.
                kim.keep_token_if_any(&confirmed);
                let next = kim.submit(&flow, &REGENERATE).await;
                assert!(codes_of(&next.json()).iter().all(|code| !shown.contains(code)));
            }
        }
    }
}

/// Whoever has the password makes no second factor of it by confirming codes: a code that is typed does.
#[tokio::test]
async fn confirming_codes_proves_nothing() {
    for world in worlds() {
        let site = &world.a;
        for kind in PROGRAMS {
            // The only second factor, and codes of somebody who has another.
            let name = format!("{kind:?}");
            let mut kim = client(site, kind, &name).await;
            let flow = kim.begin("settings", "").await;
            let codes = codes_of(&kim.submit(&flow, &REGENERATE).await.json());
            let confirmed = kim.submit(&flow, &CONFIRM).await;
            assert_eq!(confirmed.status, 200, "{confirmed:?}");
            kim.keep_token_if_any(&confirmed);
            assert!(has_codes(&world, &name).await);
            kim.assert_aal1(site).await;
            let known = world.known(&name).await;
            assert!(known.sessions.iter().flat_map(StoredSession::proofs).all(|one| one.method() == Method::Password));
            // Nothing changes without a proof from now on.
            for change in [&REGENERATE, &CONFIRM, &DISABLE] {
                let refused = kim.submit(&flow, change).await;
                assert_eq!(refused.status, 403, "{refused:?}");
            }
            let login = kim.begin("login", "?aal=aal2").await;
            let proven = kim.lookup(&login, &codes[0]).await;
            assert_eq!(proven.status, 200, "{proven:?}");
            kim.keep_token_if_any(&proven);
            assert!(kim.pays(site).await, "typing one is the proof");
        }
        let (mut lee, flow, _) = with_new_codes(&world, Kind::Spa, "lee").await;
        let before = lee.whoami().await.json();
        assert_eq!(lee.submit(&flow, &CONFIRM).await.status, 200);
        let after = lee.whoami().await.json();
        assert_eq!(before["authentication_methods"], after["authentication_methods"]);
        assert!(lee.pays(site).await, "and nothing is lost");
    }
}

/// Codes that users bring along may be short. Without the key, the store is no help in finding them.
#[tokio::test]
async fn imported_codes_cannot_be_found_in_the_store() {
    use sha2::{Digest, Sha256};
    let code = "ABCD-EFGH-IJKL-M";
    for world in worlds() {
        world.a.step_up.import_lookup_secrets(&subject("kim"), &[code]).await.unwrap();
        let known = world.known("kim").await;
        let set = &known.credentials[0];
        // As new codes are kept, whose length is their protection.
        let plain = code.replace('-', "");
        let fast =
            Sha256::new_with_prefix(format!("lookup_secret\0{}\0", set.summary.id)).chain_update(&plain).finalize();
        for guess in [fast, Sha256::digest(&plain), Sha256::digest(code)] {
            assert_ne!(set.secrets[0].hash[..], guess[..], "whoever has the store finds the code");
        }
        assert_eq!(types(&world.a, Kind::Spa, "kim", code).await.status, 200, "it works");
        assert_says(&types(&world.b, Kind::Spa, "kim", code).await, 4_000_012);
    }
}

const STOP: u32 = 8;

fn stops_early() -> AttemptPolicy {
    AttemptPolicy { free: STOP - 1, first_delay: Duration::from_secs(1), hard_stop: STOP, ..AttemptPolicy::default() }
}

async fn stop(world: &World, name: &str, method: Method) {
    let (name_of_field, field) = match method {
        Method::Totp => ("totp", "totp_code"),
        _ => ("lookup_secret", "lookup_secret"),
    };
    let mut attacker = client(&world.a, Kind::Spa, name).await;
    for _ in 0..STOP {
        let flow = attacker.begin("login", "?aal=aal2").await;
        attacker.submit(&flow, &[("method", name_of_field), (field, WRONG)]).await;
        world.advance(Duration::from_secs(1));
    }
    let flow = attacker.begin("login", "?aal=aal2").await;
    assert_locked(&attacker.submit(&flow, &[("method", name_of_field), (field, WRONG)]).await);
}

/// The counters of all that goes are gone too. The first attempt is allowed, whoever asks.
async fn assert_counts_anew(world: &World, name: &str, method: Method) {
    let key = AttemptKey { subject: subject(name), method };
    let counted = world.store.begin_attempt(&key, &stops_early(), world.a.clock.now()).await;
    assert!(counted.unwrap().is_allowed(), "the count of {method} that is gone");
}

/// A factor that was stopped for good begins anew when it is bound again.
#[tokio::test]
async fn a_hard_stop_ends_with_its_factor() {
    for world in World::on_every_store(|builder| builder.attempts(stops_early())) {
        let site = &world.a;
        for kind in PROGRAMS {
            for by_support in [false, true] {
                let name = format!("{kind:?}-{by_support}");
                site.enrol(&name).await;
                let mut kim = client(site, kind, &name).await;
                assert_eq!(kim.step_up(&world.next_code()).await.status, 200);
                kim.enrol_lookup().await;
                for method in [Method::LookupSecret, Method::Totp] {
                    stop(&world, &name, method).await;
                }
                // The codes go with the app.
                if by_support {
                    site.step_up.unbind(&subject(&name), Method::Totp).await.unwrap();
                } else {
                    let settings = kim.begin("settings", "").await;
                    let gone = kim.submit(&settings, &[("totp_unlink", "true")]).await;
                    assert_eq!(gone.status, 200, "{gone:?}");
                }
                assert!(world.known(&name).await.credentials.is_empty());
                for method in [Method::LookupSecret, Method::Totp] {
                    assert_counts_anew(&world, &name, method).await;
                }
                let mut anew = client(site, kind, &name).await;
                let codes = anew.enrol_lookup().await;
                let answer = types(site, kind, &name, &codes[0]).await;
                assert_eq!(answer.status, 200, "{answer:?}");
            }
        }
    }
}

/// Whoever proves one second factor may try all others again, also those that they have yet to bind.
#[tokio::test]
async fn a_proof_lifts_the_locks_of_what_is_not_enrolled() {
    for world in World::on_every_store(|builder| builder.attempts(stops_early())) {
        let site = &world.a;
        for kind in PROGRAMS {
            let name = format!("{kind:?}");
            let mut kim = client(site, kind, &name).await;
            let flow = kim.begin("settings", "").await;
            for _ in 0..STOP {
                assert_eq!(kim.totp(&flow, WRONG).await.status, 400);
                world.advance(Duration::from_secs(1));
            }
            assert_locked(&kim.totp(&flow, WRONG).await);
            let codes = kim.enrol_lookup().await;
            let login = kim.begin("login", "?aal=aal2").await;
            let proven = kim.lookup(&login, &codes[0]).await;
            assert_eq!(proven.status, 200, "{proven:?}");
            kim.keep_token_if_any(&proven);
            let flow = kim.begin("settings", "").await;
            let code = code_of(&secret_of(&flow.view), site.seconds());
            let bound = kim.totp(&flow, &code).await;
            assert_eq!(bound.status, 200, "the app can never be bound: {bound:?}");
        }
        // The same for a proof that the application has checked.
        let device = site.step_up.import_lookup_secrets(&subject("lee"), &["ABCD-EFGH-IJKL-MNOP"]).await.unwrap();
        let key = AttemptKey { subject: subject("lee"), method: Method::Totp };
        for _ in 0..STOP {
            let _counted = world.store.begin_attempt(&key, &stops_early(), site.clock.now()).await.unwrap();
            world.advance(Duration::from_secs(1));
        }
        let now = site.clock.now();
        let proofs = vec![
            Proof::new(Method::Password, Aal::Aal1, now),
            Proof::new(Method::LookupSecret, Aal::Aal2, now).with_credential(device),
        ];
        let signed_in = site.step_up.sign_in_with(subject("lee"), proofs).await.unwrap();
        assert_eq!(signed_in.session().proofs().len(), 2);
        assert_counts_anew(&world, "lee", Method::Totp).await;
    }
}
