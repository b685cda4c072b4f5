//! Section 3 of the list of attacks: one-time codes and recovery codes.

use std::time::Duration;

use axum::body::Body;
use tower_step_up::{
    Method, SigningKey, StepUp,
    clock::{Clock, Timestamp},
    factor::Totp,
    seal::EncryptionKey,
    store::{AttemptPolicy, MemoryStore},
};

use crate::{
    site::{Answer, KINDS, Kind, SECRET, code_of},
    world::{
        WRONG, World, as_program, assert_error, assert_locked, assert_one_passed, assert_says, client, codes_of,
        secret_of, subject,
    },
};

const LOCK: Duration = Duration::from_secs(30);

fn worlds() -> Vec<World> {
    World::on_every_store(|builder| builder)
}

#[tokio::test]
async fn totp_code_is_accepted_once() {
    for world in worlds() {
        let site = &world.a;
        // The code that confirmed the enrolment is burnt with it.
        let mut kim = site.spa("kim").await;
        let secret = kim.enrol_totp(site).await;
        let confirming = code_of(&secret, site.seconds());
        assert!(kim.pays(site).await);
        let before = world.known("kim").await;
        let mut second = site.spa("kim").await;
        assert_says(&second.step_up(&confirming).await, 4_000_008);
        second.assert_aal1(site).await;
        world.advance(LOCK);

        // The honest use, then every door for the same code.
        let code = code_of(&secret, site.seconds());
        assert_eq!(second.step_up(&code).await.status, 200);
        assert!(second.pays(site).await);
        let used = world.known("kim").await;
        assert!(used.steps[0] > before.steps[0]);
        let flow = second.begin("login", "?aal=aal2&refresh=true").await;
        assert_says(&second.totp(&flow, &code).await, 4_000_008);
        for kind in KINDS {
            let mut third = client(site, kind, "kim").await;
            let flow = third.begin("login", "?aal=aal2").await;
            let answer = third.totp(&flow, &code).await;
            if kind == Kind::Browser {
                assert!(answer.location().contains("/self-service/ui/login?flow="), "{answer:?}");
                assert_eq!(third.read("login", flow.id()).await.messages(), [4_000_008]);
            } else {
                assert_says(&answer, 4_000_008);
            }
            as_program(&third).assert_aal1(site).await;
        }
        let settings = second.begin("settings", "").await;
        assert_says(&second.totp(&settings, &code).await, 4_000_001);
        assert_eq!(world.known("kim").await.steps, used.steps);
        world.a.next_code();

        // Two sessions at once: it is one of theirs.
        let (mut one, mut other) = (site.spa("kim").await, site.spa("kim").await);
        let code = code_of(&secret, site.seconds());
        let answers = tokio::join!(one.step_up(&code), other.step_up(&code));
        assert_one_passed(&answers.0, &answers.1);
        world.a.next_code();

        // Somebody else with the same digits is not refused for it.
        site.enrol("lee").await;
        site.enrol("ann").await;
        let same = site.code();
        for name in ["lee", "ann"] {
            assert_eq!(site.spa(name).await.step_up(&same).await.status, 200, "{name}");
        }
    }
}

#[tokio::test]
async fn totp_code_is_accepted_once_across_nodes() {
    for world in worlds() {
        world.a.enrol("kim").await;
        let code = world.a.code();
        let mut other = world.a.spa("kim").await.at(&world.b);
        assert_eq!(world.a.spa("kim").await.step_up(&code).await.status, 200);
        let used = world.known("kim").await.steps;
        for behind in [-30, 0, 30] {
            world.b.clock.set(Timestamp::from_unix_seconds(world.a.clock.now().unix_seconds() + behind));
            let mut late = world.b.spa("kim").await;
            assert_says(&late.step_up(&code).await, 4_000_008);
            late.assert_aal1(&world.b).await;
        }
        world.b.clock.set(world.a.clock.now());
        assert_says(&other.step_up(&code).await, 4_000_008);
        assert_eq!(world.known("kim").await.steps, used);
        let next = world.next_code();
        assert_eq!(other.step_up(&next).await.status, 200, "the next one is good there");
        // At once on both.
        let (mut one, mut other) = (world.a.spa("kim").await, world.b.spa("kim").await);
        let code = world.next_code();
        let answers = tokio::join!(one.step_up(&code), other.step_up(&code));
        assert_one_passed(&answers.0, &answers.1);
    }
}

/// The first step from the tests' own time on whose code of [`SECRET`] is that of the next step too.
const TWIN_STEP: u64 = 60_779_457;

#[tokio::test]
async fn older_step_is_refused_after_a_newer_one() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut kim = site.spa("kim").await;
        let (older, newer) = (code_of(SECRET, site.seconds() - 30), site.code());
        let mut twin = site.spa("kim").await;
        assert_eq!(kim.step_up(&newer).await.status, 200);
        assert_says(&twin.step_up(&older).await, 4_000_008);
        twin.assert_aal1(site).await;

        // Both at once: whichever is written last, the newer one stays used.
        for newer_first in [true, false] {
            let (older, newer) = (world.next_code(), world.next_code());
            let (mut one, mut other) = (site.spa("kim").await, site.spa("kim").await);
            let (first, second) = if newer_first { (&newer, &older) } else { (&older, &newer) };
            tokio::join!(one.step_up(first), other.step_up(second));
            let mut late = site.spa("kim").await;
            for code in [&newer, &older] {
                assert_says(&late.step_up(code).await, 4_000_008);
            }
            site.step_up.unlock(&subject("kim"), Method::Totp).await.unwrap();
        }

        // A code that is good for two steps is burnt for both.
        site.clock.set(Timestamp::from_unix_seconds(i64::try_from(TWIN_STEP * 30).unwrap()));
        assert_eq!(code_of(SECRET, site.seconds()), code_of(SECRET, site.seconds() + 30));
        let (mut kim, mut twin) = (site.spa("kim").await, site.spa("kim").await);
        assert_eq!(kim.step_up(&site.code()).await.status, 200);
        assert_says(&twin.step_up(&site.next_code()).await, 4_000_008);

        // Whoever has seen a code while a recovery code was typed gains nothing by it.
        site.clock.advance(2 * LOCK);
        let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
        assert_eq!(kim.totp(&flow, &site.code()).await.status, 200);
        let codes = kim.enrol_lookup().await;
        site.clock.advance(2 * LOCK);
        let seen = [site.code(), code_of(SECRET, site.seconds() + 30)];
        let flow = twin.begin("login", "?aal=aal2").await;
        assert_eq!(twin.lookup(&flow, &codes[0]).await.status, 200);
        let mut thief = site.spa("kim").await;
        for code in &seen {
            assert_says(&thief.step_up(code).await, 4_000_008);
        }
        thief.assert_aal1(site).await;
    }
}

#[tokio::test]
async fn used_step_stays_used_for_the_whole_window() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        // At the first second of a step its code has the most time left.
        let code = site.code();
        assert_eq!(site.spa("kim").await.step_up(&code).await.status, 200);
        for wait in [0, 31, 28] {
            site.clock.advance(Duration::from_secs(wait));
            let mut kim = site.spa("kim").await;
            assert_says(&kim.step_up(&code).await, 4_000_008);
            kim.assert_aal1(site).await;
        }
        site.step_up.unlock(&subject("kim"), Method::Totp).await.unwrap();
        site.clock.advance(Duration::from_secs(3600));
        for off in [-60, -61, 60, 90] {
            let mut kim = site.spa("kim").await;
            let far = code_of(SECRET, site.seconds().checked_add_signed(off).unwrap());
            let flow = kim.begin("login", "?aal=aal2").await;
            assert_says(&kim.totp(&flow, &far).await, 4_000_008);
            // Nobody but the server says what time it is.
            let date = "Fri, 15 Jan 2027 09:00:00 GMT";
            let csrf = flow.csrf();
            let fields = [("method", "totp"), ("totp_code", &far), ("csrf_token", &csrf), ("time", "1800000000")];
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            let request = kim.request(axum::http::Method::POST, &flow.action()).header("date", date);
            let request = request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(body));
            assert_says(&kim.send(request.unwrap()).await, 4_000_008);
            kim.assert_aal1(site).await;
            site.step_up.unlock(&subject("kim"), Method::Totp).await.unwrap();
            site.clock.advance(Duration::from_secs(3600));
        }
        assert_eq!(site.spa("kim").await.step_up(&site.code()).await.status, 200);
    }
    let built = |skew| {
        StepUp::builder("https://bank.example")
            .signing_key(SigningKey::generate("a").unwrap())
            .store(MemoryStore::default())
            .factor(Totp::new("Example Bank").skew(skew))
            .build()
    };
    assert!(built(2).is_ok() && built(3).is_err() && built(u16::MAX).is_err());
}

#[tokio::test]
async fn guessing_inside_one_flow_is_stopped() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        for _ in 0..5 {
            assert_says(&kim.totp(&flow, WRONG).await, 4_000_008);
        }
        let before = world.known("kim").await;
        let code = site.code();
        let (wrong, right) = (kim.totp(&flow, WRONG).await, kim.totp(&flow, &code).await);
        for answer in [&wrong, &right] {
            assert_locked(answer);
        }
        // The CSRF value is masked anew in each answer.
        let told = |answer: Answer| {
            let mut flow = answer.json();
            flow["ui"]["nodes"][0]["attributes"]["value"] = "".into();
            (flow, answer.headers)
        };
        assert_eq!(told(wrong), told(right), "the answers tell them apart");
        assert_eq!(world.known("kim").await, before);
        kim.assert_aal1(site).await;
        world.advance(LOCK);
        assert_eq!(kim.totp(&flow, &code).await.status, 200, "the code was not used up");
    }
}

#[tokio::test]
async fn guessing_across_flows_is_stopped() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut kim = site.spa("kim").await;
        for _ in 0..5 {
            assert_says(&kim.step_up(WRONG).await, 4_000_008);
        }
        assert_locked(&kim.step_up(&site.code()).await);
        kim.assert_aal1(site).await;
        let code = world.next_code();
        assert_eq!(kim.step_up(&code).await.status, 200);
    }
}

#[tokio::test]
async fn guessing_across_sessions_and_nodes_is_stopped() {
    for world in World::on_every_store(|builder| builder.factor(tower_step_up::factor::Password::default())) {
        world.a.enrol("kim").await;
        let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
        let guess = async |number: usize, code: &str| {
            let site = if number.is_multiple_of(2) { &world.a } else { &world.b };
            let mut thief = site.stranger(Kind::Native);
            let flow = thief.begin("login", "").await;
            let answer = thief.submit(&flow, &fields).await;
            thief.keep_token(&answer);
            let flow = thief.begin("login", "?aal=aal2").await;
            let body = format!(r#"{{"method":"totp","totp_code":"{code}"}}"#);
            let request = thief.request(axum::http::Method::POST, &flow.action());
            let request = request.header("x-forwarded-for", format!("203.0.113.{number}"));
            let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
            (thief.send(request).await, thief)
        };
        for number in 0..5 {
            assert_says(&guess(number, WRONG).await.0, 4_000_008);
        }
        for number in 5..8 {
            let (answer, mut thief) = guess(number, &world.a.code()).await;
            assert_locked(&answer);
            thief.assert_aal1(&world.a).await;
        }
        let code = world.next_code();
        assert_eq!(guess(8, &code).await.0.status, 200, "the honest user, when the lock has gone");
    }
}

#[tokio::test]
async fn every_door_shares_the_lock() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut kim = site.spa("kim").await;
        assert_eq!(kim.step_up(&site.code()).await.status, 200);
        let settings = kim.begin("settings", "").await;
        let refresh = kim.begin("login", "?aal=aal2&refresh=true").await;
        let (mut native, mut spa) = (site.native("kim").await, site.spa("kim").await);
        let (by_api, in_browser) = (native.begin("login", "?aal=aal2").await, spa.begin("login", "?aal=aal2").await);
        for _ in 0..5 {
            assert_says(&native.totp(&by_api, WRONG).await, 4_000_008);
        }
        let code = world.next_code();
        native.totp(&by_api, WRONG).await;
        let before = world.known("kim").await;
        for answer in
            [native.totp(&by_api, &code).await, spa.totp(&in_browser, &code).await, kim.totp(&refresh, &code).await]
        {
            assert_locked(&answer);
        }
        assert_eq!(world.known("kim").await, before);

        // Confirming an enrolment is no place to guess either.
        let mut ann = site.spa("ann").await;
        let flow = ann.begin("settings", "").await;
        let secret = secret_of(&flow.view);
        for _ in 0..5 {
            assert_eq!(ann.totp(&flow, WRONG).await.node_messages("totp_code"), [4_000_008]);
        }
        assert_locked(&ann.totp(&flow, &code_of(&secret, site.seconds())).await);
        assert!(world.known("ann").await.credentials.is_empty());
        world.advance(2 * LOCK);
        assert_eq!(ann.totp(&flow, &code_of(&secret, site.seconds())).await.status, 200);
        assert_eq!(kim.submit(&settings, &[("totp_unlink", "true")]).await.status, 200);
    }
}

#[tokio::test]
async fn lockout_survives_rollback() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let code = site.code();
        // Each call of a right submission fails in turn, until one is through: those after the count leave it counted.
        world.store.take_calls();
        let mut twin = site.spa("lee").await;
        site.enrol("lee").await;
        let honest = twin.begin("login", "?aal=aal2").await;
        world.store.take_calls();
        site.step_up.forget(&subject("lee"));
        assert_eq!(twin.totp(&honest, &code).await.status, 200);
        let calls = world.store.take_calls();
        let counted = calls.iter().position(|call| *call == "begin_attempt").unwrap();
        let completed = calls.iter().position(|call| *call == "complete").unwrap();
        assert!(counted < completed, "{calls:?}");
        let before = world.known("kim").await;
        for _ in 0..5 {
            site.step_up.forget(&subject("kim"));
            world.store.fails_after(completed);
            let answer = kim.totp(&flow, &code).await;
            assert!(world.store.has_failed());
            assert_error(&answer, 503, "");
        }
        assert_eq!(world.known("kim").await, before);
        for site in [&world.a, &world.b] {
            assert_locked(&kim.at(site).totp(&flow, &code).await);
        }
        world.advance(LOCK);
        assert_eq!(kim.totp(&flow, &code).await.status, 200, "nothing but the count was left of it");
    }
}

#[tokio::test]
async fn stranger_cannot_lock_the_victim() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        site.enrol("eve").await;
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let api = site.native("kim").await.begin("login", "?aal=aal2").await;
        let mut eve = site.spa("eve").await;
        let own = eve.begin("login", "?aal=aal2").await;
        let mut thief = site.native("eve").await;
        for _ in 0..30 {
            assert_error(&site.stranger(Kind::Spa).totp(&flow, WRONG).await, 401, "session_aal1_required");
            assert_error(&site.stranger(Kind::Native).totp(&api, WRONG).await, 401, "session_aal1_required");
            assert_error(&eve.totp(&flow, WRONG).await, 403, "security_identity_mismatch");
            assert_error(&thief.totp(&api, WRONG).await, 403, "security_identity_mismatch");
            let named = [("subject", "kim"), ("identifier", "kim"), ("user_id", "kim")];
            let fields = [&[("method", "totp"), ("totp_code", WRONG)][..], &named].concat();
            let answer = eve.submit(&own, &fields).await;
            assert!(matches!(answer.status.as_u16(), 400 | 429), "{answer:?}");
        }
        assert_eq!(kim.totp(&flow, &site.code()).await.status, 200, "never locked");
    }
}

#[tokio::test]
async fn lock_closes_one_factor_not_the_account() {
    let policy = AttemptPolicy { free: 3, longest_delay: LOCK, hard_stop: 10, ..AttemptPolicy::default() };
    for world in World::on_every_store(|builder| builder.attempts(policy)) {
        let site = &world.a;
        site.enrol("kim").await;
        let mut owner = site.spa("kim").await;
        assert_eq!(owner.step_up(&site.code()).await.status, 200);
        let codes = owner.enrol_lookup().await;
        let mut thief = site.spa("kim").await;
        let flow = thief.begin("login", "?aal=aal2").await;
        for _ in 0..3 {
            assert_says(&thief.totp(&flow, WRONG).await, 4_000_008);
        }
        assert_locked(&thief.totp(&flow, WRONG).await);

        // The owner goes on.
        assert!(owner.pays(site).await);
        let mut aal1 = site.spa("kim").await;
        aal1.assert_aal1(site).await;
        let flow = aal1.begin("login", "?aal=aal2").await;
        assert_locked(&aal1.totp(&flow, &site.code()).await);
        assert_eq!(aal1.lookup(&flow, &codes[0]).await.status, 200, "recovery codes have a counter of their own");
        assert!(aal1.pays(site).await);
        let begun = aal1.get("/self-service/logout/browser").await.json();
        assert_eq!(aal1.get(begun["logout_url"].as_str().unwrap()).await.status, 204);

        // The lock lifts with time, and success starts the count anew.
        world.advance(2 * LOCK);
        let code = site.code();
        assert_eq!(site.spa("kim").await.step_up(&code).await.status, 200);

        // After so many failures in a row nothing is evaluated, however long anybody waits.
        for _ in 0..10 {
            world.advance(LOCK);
            assert_says(&site.spa("kim").await.step_up(WRONG).await, 4_000_008);
        }
        world.advance(Duration::from_secs(40 * 86_400));
        let mut owner = site.spa("kim").await;
        assert_locked(&owner.step_up(&site.code()).await);
        let flow = owner.begin("login", "?aal=aal2").await;
        assert_eq!(owner.lookup(&flow, &codes[1]).await.status, 200);

        // The application lifts it, or binds the factor again.
        site.step_up.unlock(&subject("kim"), Method::Totp).await.unwrap();
        world.advance(2 * LOCK);
        assert_eq!(site.spa("kim").await.step_up(&site.code()).await.status, 200);
        for _ in 0..10 {
            world.advance(LOCK);
            site.spa("kim").await.step_up(WRONG).await;
        }
        world.advance(LOCK);
        assert_locked(&site.spa("kim").await.step_up(&site.code()).await);
        site.enrol("kim").await;
        assert_eq!(site.spa("kim").await.step_up(&site.code()).await.status, 200);
    }
}

async fn with_codes(world: &World, name: &str) -> Vec<String> {
    let site = &world.a;
    site.enrol(name).await;
    let mut client = site.spa(name).await;
    assert_eq!(client.step_up(&world.next_code()).await.status, 200);
    client.enrol_lookup().await
}

#[tokio::test]
async fn recovery_code_is_accepted_once() {
    for world in worlds() {
        let site = &world.a;
        let codes = with_codes(&world, "kim").await;
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        assert_eq!(kim.lookup(&flow, &codes[0]).await.status, 200);
        assert!(kim.pays(site).await);
        let before = world.known("kim").await;
        let plain = codes[0].replace('-', "");
        for typed in [&codes[0], &codes[0].to_lowercase(), &plain, &plain.to_lowercase(), &format!(" {} ", codes[0])] {
            for site in [&world.a, &world.b] {
                let mut thief = site.spa("kim").await;
                let flow = thief.begin("login", "?aal=aal2").await;
                let answer = thief.lookup(&flow, typed).await;
                if !answer.is_locked() {
                    assert_says(&answer, 4_000_012);
                }
                thief.assert_aal1(site).await;
            }
            world.advance(Duration::from_secs(3600));
        }
        assert_eq!(world.known("kim").await.credentials, before.credentials);

        // The set before the last regeneration is dead, used or not.
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        assert_eq!(kim.lookup(&flow, &codes[1]).await.status, 200, "honest");
        let new = kim.enrol_lookup().await;
        let mut thief = site.spa("kim").await;
        for code in &codes[..4] {
            let flow = thief.begin("login", "?aal=aal2").await;
            assert_says(&thief.lookup(&flow, code).await, 4_000_016);
        }
        thief.assert_aal1(site).await;
        let flow = thief.begin("login", "?aal=aal2").await;
        assert_eq!(thief.lookup(&flow, &new[2]).await.status, 200);

        // Two sessions at once: it is one of theirs.
        let (mut one, mut other) = (site.spa("kim").await, site.spa("kim").await);
        let (of_one, of_other) = (one.begin("login", "?aal=aal2").await, other.begin("login", "?aal=aal2").await);
        let answers = tokio::join!(one.lookup(&of_one, &new[3]), other.lookup(&of_other, &new[3]));
        assert_one_passed(&answers.0, &answers.1);
    }
}

#[tokio::test]
async fn other_users_recovery_code_is_refused() {
    for world in worlds() {
        let site = &world.a;
        let (of_kim, of_eve) = (with_codes(&world, "kim").await, with_codes(&world, "eve").await);
        let mut eve = site.spa("eve").await;
        let mut flow = eve.begin("login", "?aal=aal2").await;
        assert_eq!(eve.lookup(&flow, &of_eve[0]).await.status, 200);
        let mut eve = site.spa("eve").await;
        let before = world.known("kim").await;
        for count in 1..=5 {
            flow = eve.begin("login", "?aal=aal2").await;
            let fields = [("identifier", "kim"), ("subject", "kim"), ("user_id", "kim")];
            let code = [("method", "lookup_secret"), ("lookup_secret", of_kim[0].as_str())];
            let answer = eve.submit(&flow, &[&code[..], if count % 2 == 0 { &fields } else { &[] }].concat()).await;
            assert_says(&answer, 4_000_016);
        }
        // Counted against whoever sent them, and nobody else.
        assert_locked(&eve.lookup(&flow, &of_eve[1]).await);
        eve.assert_aal1(site).await;
        assert_eq!(world.known("kim").await, before);
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        assert_eq!(kim.lookup(&flow, &of_kim[0]).await.status, 200);
    }
}

#[tokio::test]
async fn secrets_and_codes_are_strong_and_sealed() {
    for world in worlds() {
        let site = &world.a;
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("settings", "").await;
        let secret = secret_of(&flow.view);
        let bytes = totp_rs::Secret::try_from_base32(&secret).unwrap();
        assert!(bytes.as_bytes().len() * 8 >= 160, "{secret}");
        let other = secret_of(&kim.begin("settings", "").await.view);
        assert_ne!(other, secret);
        kim.totp(&flow, &code_of(&secret, site.seconds())).await;
        assert!(kim.pays(site).await);
        let flow = kim.begin("settings", "").await;
        kim.submit(&flow, &[("lookup_secret_regenerate", "true")]).await;
        let codes = codes_of(&kim.read("settings", flow.id()).await.json());
        assert!(codes.iter().all(|code| code.replace('-', "").len() * 5 >= 112));

        // Pending codes and secrets are sealed in the flow, confirmed ones in the credential.
        let id = tower_step_up::store::FlowId::from(uuid::Uuid::parse_str(flow.id()).unwrap());
        let stored = tower_step_up::store::FlowStore::flow(&world.store, id).await.unwrap().unwrap();
        kim.submit(&flow, &[("lookup_secret_confirm", "true")]).await;
        let known = world.known("kim").await;
        let mut dump = stored.body.into_bytes();
        dump.extend(format!("{known:?}").bytes());
        for credential in &known.credentials {
            dump.extend(&credential.data);
            dump.extend(credential.secrets.iter().flat_map(|secret| secret.hash));
        }
        let plain = codes.iter().map(|code| code.replace('-', "")).chain(codes.clone());
        let tokens = kim.cookies.values().cloned();
        let needles = plain.chain(tokens).map(String::into_bytes).chain([bytes.as_bytes().to_vec(), secret.into()]);
        for needle in needles {
            assert!(!dump.windows(needle.len()).any(|window| window == needle), "a secret in the clear");
        }
        let answer = kim.submit(&flow, &[("lookup_secret_reveal", "true")]).await;
        assert_eq!((answer.status.as_u16(), answer.messages()), (200, vec![1_990_005]), "{answer:?}");
        assert!(!codes.iter().any(|code| answer.text.contains(code.as_str())));
        assert!(site.step_up.import_totp(&subject("kim"), "JBSWY3DPEHPK3PXP").await.is_err(), "80 bits are too few");
        assert_eq!(world.known("kim").await, known);
    }
    assert!(SigningKey::hs256("a", [7; 31]).is_err() && EncryptionKey::new("a", [7; 31]).is_err());
}
