//! Section 2 of the list of attacks: how sessions change and end.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method as HttpMethod, header},
};
use tower_step_up::{
    Method, SigningKey, StepUp, StepUpBuilder,
    clock::Clock,
    factor::Totp,
    session::{SessionId, StoredSession},
    store::{Revocation, SubjectStore},
};

use crate::{
    site::{Client, KINDS, Kind, Site},
    world::{World, assert_error, assert_says, client, subject},
};

const SESSION: &str = "__Host-step_up_session";

fn worlds() -> Vec<World> {
    World::on_every_store(|builder| builder)
}

/// Reads the store on every request.
fn strict_worlds() -> Vec<World> {
    World::on_every_store(|builder| builder.standing_max_age(Duration::ZERO))
}

async fn stepped_up(site: &Site, kind: Kind, name: &str) -> Client {
    let mut client = client(site, kind, name).await;
    let answer = client.step_up(&site.next_code()).await;
    assert!(matches!(answer.status.as_u16(), 200 | 303), "{answer:?}");
    client
}

fn credential(client: &Client) -> String {
    client.token.clone().or_else(|| client.session_cookie().map(str::to_owned)).unwrap()
}

#[tokio::test]
async fn session_token_is_new_after_every_upgrade() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        for kind in KINDS {
            let planted = client(site, kind, "kim").await;
            let mut kim = planted.clone();
            let mut seen = vec![credential(&kim)];
            let mut steps = vec!["?aal=aal2", "?aal=aal2&refresh=true"];
            while let Some(query) = steps.pop() {
                let flow = kim.begin("login", query).await;
                let answer = kim.totp(&flow, &site.next_code()).await;
                if kind == Kind::Native {
                    assert_eq!(answer.headers.get(header::SET_COOKIE), None);
                    kim.keep_token(&answer);
                } else {
                    let cookie = answer
                        .headers
                        .get_all(header::SET_COOKIE)
                        .iter()
                        .find(|one| one.to_str().unwrap().starts_with(SESSION));
                    let cookie = cookie.unwrap().to_str().unwrap();
                    for part in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/", "; Max-Age="] {
                        assert!(cookie.contains(part), "{cookie}");
                    }
                    assert!(!cookie.contains("Domain") && cookie.len() <= 4096, "{cookie}");
                }
                let token = credential(&kim);
                assert!(!seen.contains(&token), "{kind:?}");
                seen.push(token);
                assert!(kim.pays(site).await);
                // Only the first of them raises the level.
                steps.retain(|query| query.contains("refresh"));
            }
            planted.clone().assert_dead(site).await;
        }
        // A generator that repeats itself is found out.
        let known = world.known("kim").await;
        assert!(world.store.create_session(&known.sessions[0]).await.is_err());
        assert_eq!(world.known("kim").await, known);
        let (old, id) = (&known.sessions[0], SessionId::random());
        let new = StoredSession::from_parts(
            id,
            old.subject().clone(),
            old.binding(),
            old.proofs().to_vec(),
            old.issued_at(),
            old.expires_at(),
        );
        let created = tokio::join!(world.store.create_session(&new), world.store.create_session(&new));
        assert_ne!(created.0.is_ok(), created.1.is_ok(), "two sessions of one id");
    }
}

#[tokio::test]
async fn old_cookie_is_dead_after_rotation() {
    for world in strict_worlds() {
        world.a.enrol("kim").await;
        for kind in KINDS {
            let mut kim = client(&world.a, kind, "kim").await;
            for _step_up_then_refresh in 0..2 {
                let old = kim.clone();
                assert_eq!(old.at(&world.b).get("/account").await.status, 200, "it is known there");
                let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
                let answer = kim.totp(&flow, &world.next_code()).await;
                kim.keep_token_if_any(&answer);
                for site in [&world.a, &world.b] {
                    assert!(kim.pays(site).await);
                    old.clone().assert_dead(site).await;
                }
            }
        }
    }
    // By default another node may not know of it for a second, and no longer.
    let world = World::new();
    world.a.enrol("kim").await;
    let mut kim = world.a.spa("kim").await;
    let old = kim.clone();
    old.clone().assert_aal1(&world.b).await;
    assert_eq!(kim.step_up(&world.a.code()).await.status, 200);
    old.clone().assert_dead(&world.a).await;
    world.b.clock.advance(Duration::from_secs(1));
    old.clone().assert_dead(&world.b).await;
}

/// The same token in other letters: the last character's spare bits flipped, and padded.
fn re_encoded(token: &str) -> Vec<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = token.split_at(token.len() - 1);
    let place = ALPHABET.iter().position(|one| *one == last.as_bytes()[0]).unwrap();
    let mut others: Vec<_> = (1..4).map(|bits| format!("{rest}{}", char::from(ALPHABET[place ^ bits]))).collect();
    others.extend([format!("{token}="), format!("{token}=="), format!(" {token}"), token.replace('.', "=.")]);
    others
}

#[tokio::test]
async fn old_cookie_is_dead_after_logout_and_revocation() {
    for world in strict_worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        for ending in ["browser", "api", "one", "others", "all"] {
            let ancestor = site.native("kim").await;
            let mut kim = ancestor.clone();
            assert_eq!(kim.step_up(&world.next_code()).await.status, 200);
            assert!(kim.pays(site).await && kim.pays(&world.b).await);
            let token = kim.token.clone().unwrap();
            let mut by_cookie = Client { token: None, kind: Kind::Spa, ..kim.clone() };
            by_cookie.cookies.insert(SESSION.to_owned(), token.clone());
            for other in re_encoded(&token) {
                let request = site.stranger(Kind::Native).request(HttpMethod::GET, "/payments");
                let request = request.header("authorization", format!("Bearer {other}")).body(Body::empty()).unwrap();
                let answer = site.stranger(Kind::Native).send(request).await;
                // Blanks around a header's value are not part of it.
                assert_eq!(answer.status.as_u16(), if other.starts_with(' ') { 200 } else { 401 }, "{other}");
            }
            let mut keeper = site.spa("kim").await;
            assert_eq!(keeper.step_up(&world.next_code()).await.status, 200);
            let id = world
                .known("kim")
                .await
                .sessions
                .iter()
                .map(tower_step_up::session::StoredSession::id)
                .collect::<Vec<_>>();
            match ending {
                "browser" => {
                    let begun = by_cookie.get("/self-service/logout/browser").await.json();
                    let answer = by_cookie.get(begun["logout_url"].as_str().unwrap()).await;
                    assert_eq!(answer.status, 204);
                    assert_eq!(by_cookie.session_cookie(), None, "the cookie is taken away");
                }
                "api" => {
                    let body = format!(r#"{{"session_token":"{token}"}}"#);
                    let answer = site.stranger(Kind::Native).delete("/self-service/logout/api", &body).await;
                    assert_eq!(answer.status, 204);
                }
                "one" => {
                    site.step_up.set_whoami_required_aal(tower_step_up::RequiredAal::Aal1);
                    let others = keeper.get("/sessions").await.json();
                    site.step_up.set_whoami_required_aal(tower_step_up::RequiredAal::HighestAvailable);
                    for other in others.as_array().unwrap() {
                        let path = format!("/sessions/{}", other["id"].as_str().unwrap());
                        assert_eq!(keeper.delete(&path, "").await.status, 204);
                    }
                }
                "others" => assert_eq!(keeper.delete("/sessions", "").await.status, 200),
                _ => {
                    let now = site.clock.now();
                    let ended = site.step_up.revoke(&subject("kim"), Revocation::All(now)).await.unwrap();
                    assert!(ended >= 1 && !id.is_empty());
                }
            }
            for site in [&world.a, &world.b] {
                kim.clone().assert_dead(site).await;
                ancestor.clone().assert_dead(site).await;
                for other in re_encoded(&token) {
                    Client { token: Some(other), ..kim.clone() }.assert_dead(site).await;
                }
                let mut again = site.stranger(Kind::Spa);
                again.cookies.insert(SESSION.to_owned(), token.clone());
                again.assert_dead(site).await;
            }
            if ending != "all" {
                assert!(keeper.pays(site).await);
            }
        }
    }
}

#[tokio::test]
async fn token_cache_serves_no_stale_session() {
    for standing in [Duration::from_secs(1), Duration::ZERO] {
        for world in World::on_every_store(|builder: StepUpBuilder| builder.standing_max_age(standing)) {
            world.a.enrol("kim").await;
            let within = |world: &World| world.b.clock.advance(standing);
            // Stepped up on A while B remembers the old session.
            let mut kim = world.a.spa("kim").await;
            kim.assert_aal1(&world.b).await;
            let old = kim.clone();
            assert_eq!(kim.step_up(&world.a.code()).await.status, 200);
            assert!(kim.pays(&world.a).await && kim.pays(&world.b).await, "what B remembers is not the new session");
            within(&world);
            old.clone().assert_dead(&world.b).await;
            // The factor is removed.
            world.a.step_up.unbind(&subject("kim"), Method::Totp).await.unwrap();
            kim.assert_aal1(&world.a).await;
            within(&world);
            kim.assert_aal1(&world.b).await;
            // Revoked.
            world.a.step_up.revoke(&subject("kim"), Revocation::All(world.a.clock.now())).await.unwrap();
            kim.assert_dead(&world.a).await;
            within(&world);
            kim.assert_dead(&world.b).await;
        }
    }
}

/// Number 36: two nodes whose clocks differ by an hour, either way, and one that is set back. What was signed in before a revocation is dead on both
/// nodes, and what is signed in after it lives.
#[tokio::test]
async fn clocks_do_not_decide_what_a_revocation_ends() {
    for everybody in [false, true] {
        for world in World::on_every_store(|builder| builder.standing_max_age(Duration::ZERO)) {
            let ahead = &world.b;
            ahead.clock.advance(Duration::from_secs(3600));
            for (revokes, signs_in) in [(&world.a, &world.b), (&world.b, &world.a), (&world.a, &world.a)] {
                let mut before = [signs_in.spa("kim").await, revokes.spa("kim").await];
                before[0].assert_aal1(signs_in).await;
                before[1].assert_aal1(revokes).await;
                if everybody {
                    revokes.step_up.revoke_everyone().await.unwrap();
                } else {
                    revokes.step_up.revoke_all(&subject("kim")).await.unwrap();
                }
                for one in &mut before {
                    one.assert_dead(revokes).await;
                    one.assert_dead(signs_in).await;
                }
                signs_in.spa("kim").await.assert_aal1(signs_in).await;
                assert_eq!(world.known("kim").await.sessions.len(), 1);
            }
            world.a.clock.set(world.a.clock.now() - Duration::from_secs(3600));
            world.a.spa("kim").await.assert_aal1(&world.a).await;
        }
    }
}

#[tokio::test]
async fn disabled_user_is_out_at_the_next_request() {
    for world in strict_worlds() {
        let site = &world.a;
        for name in ["kim", "lee", "ann"] {
            site.enrol(name).await;
        }
        // In mid-session.
        let mut kim = stepped_up(site, Kind::Spa, "kim").await;
        let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
        assert!(kim.pays(site).await);
        site.users.disable("kim");
        kim.assert_dead(site).await;
        kim.assert_dead(&world.b).await;
        let code = site.next_code();
        assert_error(&kim.totp(&flow, &code).await, 401, "session_aal1_required");
        assert!(site.step_up.sign_in(subject("kim"), Method::Password).await.is_err());

        // Between the look at the session and its renewal: the code is right, but nothing comes of it.
        for name in ["lee", "ann"] {
            let mut client = site.spa(name).await;
            let flow = client.begin("login", "?aal=aal2").await;
            let before = world.known(name).await;
            let gate = world.store.hold("begin_attempt");
            let (store, users) = (&world.store, &site.users);
            let code = site.code();
            let (answer, ()) = tokio::join!(client.totp(&flow, &code), async {
                gate.reached().await;
                if name == "lee" {
                    users.disable(name);
                }
                gate.open();
            });
            if name == "lee" {
                assert_says(&answer, 4_010_011);
                assert_eq!(world.known(name).await, before);
                client.assert_dead(site).await;
            } else {
                assert_eq!(answer.status, 200, "the honest twin");
            }
            store.take_calls();
        }
    }
}

#[tokio::test]
async fn step_up_never_outlives_its_limits() {
    const MINUTE: Duration = Duration::from_secs(60);
    let limits = |builder: StepUpBuilder| {
        builder
            .session_lifespan(60 * MINUTE)
            .session_absolute_lifespan(8 * 60 * MINUTE)
            .second_factor_lifespan(15 * MINUTE)
    };
    for world in World::on_every_store(limits) {
        let site = &world.a;
        site.enrol("kim").await;
        // Renewed every ten minutes, it still ends eight hours after the first sign-in.
        let mut kim = site.spa("kim").await;
        let mut minutes = 0;
        while minutes < 8 * 60 - 10 {
            world.advance(10 * MINUTE);
            minutes += 10;
            let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
            assert_eq!(kim.totp(&flow, &site.code()).await.status, 200);
            assert!(kim.pays(site).await);
        }
        world.advance(10 * MINUTE - Duration::from_secs(1));
        assert!(kim.pays(site).await);
        world.advance(Duration::from_secs(1));
        kim.assert_dead(site).await;

        // The second factor lapses, the session does not.
        let mut kim = stepped_up(site, Kind::Spa, "kim").await;
        world.advance(15 * MINUTE - Duration::from_secs(1));
        assert!(kim.pays(site).await);
        world.advance(Duration::from_secs(1));
        kim.assert_aal1(site).await;
        // And whoever stays away for the session's time is signed out.
        world.advance(45 * MINUTE);
        kim.assert_dead(site).await;
    }
}

/// The store is restored from a backup, in which a session that was ended since is alive again. Whoever has its cookie waits for that.
#[tokio::test]
async fn a_restored_backup_brings_no_session_back() {
    for world in World::on_every_store(|builder| builder.standing_max_age(Duration::from_secs(1))) {
        let site = &world.a;
        site.enrol("kim").await;
        let mut kim = stepped_up(site, Kind::Spa, "kim").await;
        let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
        let backup = world.known("kim").await.sessions;
        site.step_up.revoke_all(&subject("kim")).await.unwrap();
        // A restored store knows nothing of that revocation.
        site.step_up.delete(&subject("kim")).await.unwrap();
        site.enrol("kim").await;
        for session in &backup {
            world.store.create_session(session).await.unwrap();
        }
        for site in [&world.a, &world.b] {
            kim.assert_aal1(site).await;
        }
        world.advance(Duration::from_millis(500));
        site.step_up.revoke_everyone().await.unwrap();
        kim.assert_dead(site).await;
        world.advance(Duration::from_millis(500));
        for site in [&world.a, &world.b] {
            let mut kim = kim.at(site);
            kim.assert_dead(site).await;
            let answer = kim.totp(&flow, &world.next_code()).await;
            assert!(answer.status.is_client_error() && answer.headers.get(header::SET_COOKIE).is_none(), "{answer:?}");
        }
        assert_eq!(world.known("kim").await.sessions, []);
        let mut anew = stepped_up(&world.b, Kind::Native, "kim").await;
        assert!(anew.pays(&world.a).await && anew.pays(&world.b).await, "the honest twin");
    }
}

/// A user is deleted and somebody else gets the name: nothing of the first one opens anything, or locks anything.
#[tokio::test]
async fn a_deleted_user_leaves_nothing_to_the_next_of_the_name() {
    for world in strict_worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut first = stepped_up(site, Kind::Spa, "kim").await;
        let flow = first.begin("login", "?aal=aal2&refresh=true").await;
        for _ in 0..5 {
            first.totp(&flow, "000000").await;
        }
        site.step_up.delete(&subject("kim")).await.unwrap();
        let mut next = world.b.native("kim").await;
        for site in [&world.a, &world.b] {
            first.assert_dead(site).await;
        }
        assert!(!next.pays(site).await, "the first one's factor counts for nobody");
        assert_eq!(site.step_up.credentials(&subject("kim")).await.unwrap(), []);
        assert_eq!(next.read("login", flow.id()).await.status, 404);
        site.enrol("kim").await;
        assert_eq!(next.step_up(&world.next_code()).await.status, 200, "the first one's failures lock nobody");
        assert!(next.pays(&world.a).await && next.pays(&world.b).await, "the honest twin");
        first.assert_dead(site).await;
    }
}

/// 27: one code, and then only passwords. The second factor lapses after a day, and the session ends after 30 days whatever renews it.
#[tokio::test]
async fn passwords_keep_neither_a_second_factor_nor_a_session_for_ever() {
    const HOUR: Duration = Duration::from_secs(3600);
    let with_password = |builder: StepUpBuilder| builder.factor(tower_step_up::factor::Password::default());
    for world in World::on_every_store(with_password) {
        let site = &world.a;
        site.enrol("kim").await;
        for kind in [Kind::Spa, Kind::Native] {
            let mut kim = client(site, kind, "kim").await;
            assert_eq!(kim.step_up(&world.next_code()).await.status, 200);
            let mut hours = 0;
            // By password alone, every 20 hours for 12 days.
            while hours < 12 * 24 {
                world.advance(20 * HOUR);
                hours += 20;
                let flow = kim.begin("login", "?refresh=true").await;
                let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
                let answer = kim.submit(&flow, &fields).await;
                // Once the code has lapsed, a front end is led on to the next one.
                assert!(matches!(answer.status.as_u16(), 200 | 422), "{answer:?}");
                kim.keep_token_if_any(&answer);
                assert_eq!(kim.pays(site).await, hours < 24, "one code, {hours} hours ago");
                assert_eq!(kim.pays(&world.b).await, hours < 24, "one code, {hours} hours ago");
            }
            kim.assert_aal1(site).await;
            // By everything that renews or rotates it, until the month is over.
            while hours < 30 * 24 - 20 {
                world.advance(20 * HOUR);
                hours += 20;
                let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
                let answer = kim.totp(&flow, &site.code()).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                kim.keep_token_if_any(&answer);
                kim.enrol_lookup().await;
                assert!(kim.pays(site).await, "the honest twin");
            }
            // The code was half a minute younger than the session.
            world.advance(30 * 24 * HOUR - hours * HOUR - Duration::from_secs(32));
            assert_eq!(kim.get("/account").await.status, 200, "the honest twin");
            let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
            let answer = kim.totp(&flow, &site.code()).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            kim.keep_token_if_any(&answer);
            world.advance(Duration::from_secs(2));
            kim.assert_dead(site).await;
            kim.assert_dead(&world.b).await;
            let mut anew = client(site, kind, "kim").await;
            assert_eq!(anew.step_up(&world.next_code()).await.status, 200);
            assert!(anew.pays(&world.b).await, "the honest twin");
        }
    }
}

/// 27: a browser that was left alone. What nobody uses for the timeout is over, on every node; what is used goes on, however it is used.
#[tokio::test]
async fn session_that_nobody_uses_is_over() {
    const MINUTE: Duration = Duration::from_secs(60);
    let idle = |builder: StepUpBuilder| builder.session_inactivity_timeout(60 * MINUTE);
    for world in World::on_every_store(idle) {
        let site = &world.a;
        site.enrol("kim").await;
        for kind in KINDS {
            let mut kim = client(site, kind, "kim").await;
            let code = world.next_code();
            assert!(matches!(kim.step_up(&code).await.status.as_u16(), 200 | 303));
            for number in 0..12 {
                world.advance(50 * MINUTE);
                let site = if number % 2 == 0 { &world.b } else { site };
                assert!(kim.pays(site).await, "used every 50 minutes");
            }
            let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
            let code = world.next_code();
            world.advance(60 * MINUTE);
            for site in [&world.a, &world.b, &world.a] {
                kim.assert_dead(site).await;
            }
            let answer = kim.totp(&flow, &code).await;
            assert!(
                !matches!(answer.status.as_u16(), 200)
                    && answer
                        .headers
                        .get(header::SET_COOKIE)
                        .is_none_or(|set| set.to_str().unwrap().contains("Max-Age=0")),
                "{answer:?}"
            );
            kim.assert_dead(site).await;
            assert_eq!(site.step_up.sessions(&subject("kim")).await.unwrap(), [], "it is listed no more");
            for session in world.known("kim").await.sessions {
                assert!(site.step_up.reauthenticate(&session, Method::Password).await.is_err());
            }
            site.step_up.revoke_all(&subject("kim")).await.unwrap();
            world.advance(MINUTE);
        }

        // A rotation is a use, with a new proof or without. An old cookie is none.
        let old = site.spa("kim").await;
        let mut kim = old.clone();
        world.advance(50 * MINUTE);
        let code = world.next_code();
        assert_eq!(kim.step_up(&code).await.status, 200);
        world.advance(50 * MINUTE);
        kim.enrol_lookup().await;
        world.advance(50 * MINUTE);
        assert!(kim.pays(&world.b).await);
        world.advance(50 * MINUTE);
        let mut old = old;
        old.assert_dead(site).await;
        world.advance(10 * MINUTE);
        kim.assert_dead(site).await;

        // Uses are noted once for each tenth of the timeout.
        let mut kim = site.spa("kim").await;
        world.store.take_calls();
        for _ in 0..60 {
            world.advance(Duration::from_secs(12));
            assert_eq!(kim.get("/account").await.status, 200);
        }
        let noted = world.store.take_calls().iter().filter(|call| **call == "note_use").count();
        assert_eq!(noted, 2, "in twelve minutes");
    }
}

/// 27: a session is ended while its use is being noted. It stays ended.
#[tokio::test]
async fn noting_a_use_brings_no_session_back() {
    let idle = |builder: StepUpBuilder| {
        builder.session_inactivity_timeout(Duration::from_secs(3600)).standing_max_age(Duration::ZERO)
    };
    for world in World::on_every_store(idle) {
        let site = &world.a;
        let mut kim = site.spa("kim").await;
        world.advance(Duration::from_secs(600));
        let gate = world.store.hold("note_use");
        let mut tab = kim.clone();
        let (answer, ()) = tokio::join!(tab.get("/account"), async {
            gate.reached().await;
            world.b.step_up.revoke_all(&subject("kim")).await.unwrap();
            gate.open();
        });
        assert_eq!(answer.status, 401);
        kim.assert_dead(site).await;
        assert_eq!(world.known("kim").await.sessions, []);
        world.advance(Duration::from_secs(1));
        let mut kim = site.spa("kim").await;
        world.advance(Duration::from_secs(600));
        assert_eq!(kim.get("/account").await.status, 200, "the honest twin");
    }
}

/// With a store that notes no use, sessions would end while they are in use, or never.
#[tokio::test]
async fn a_timeout_that_the_store_cannot_keep_is_no_configuration() {
    let build = |store: &crate::common::store::TestStore| {
        let builder = StepUp::builder("https://bank.example").factor(Totp::new("Bank"));
        let builder = builder.signing_key(SigningKey::generate("2026-11").unwrap());
        store.give_to(builder).session_inactivity_timeout(Duration::from_secs(3600)).build()
    };
    let store = crate::stores::one();
    assert!(build(&store).is_ok(), "the honest twin");
    store.knows_less(true);
    let error = build(&store).unwrap_err();
    assert!(error.to_string().contains("note_use"), "{error}");
}
