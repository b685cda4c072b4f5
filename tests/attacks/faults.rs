//! Section 8 of the list of attacks: what fails, is slow, goes back, is lost, or comes in floods.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use tokio::task::JoinSet;
use tower_step_up::{
    Method,
    clock::{Clock, Timestamp},
    factor::Password,
    session::SessionId,
    store::{AttemptKey, FlowId, FlowStore, Revocation, SubjectStore},
};

use crate::{
    common::{log::Log, store::ADDRESS},
    site::{Answer, Client, KINDS, Kind, OpenFlow, Site, code_of},
    tokens_and_transport::{guards_fail_closed_when_the_store_is_down, guards_time_out_when_the_store_is_slow},
    world::{WRONG, World, assert_error, assert_locked, assert_says, client, secret_of, subject},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn worlds() -> Vec<World> {
    World::on_every_store(|builder| builder)
}

fn assert_down(answer: &Answer) {
    assert_error(answer, 503, "");
    assert!(!answer.text.contains("store") && !format!("{answer:?}").contains(ADDRESS), "{answer:?}");
}

#[tokio::test]
async fn store_down_fails_closed() {
    guards_fail_closed_when_the_store_is_down().await;
    for world in worlds() {
        let site = &world.a;
        let (log, _guard) = Log::begin();
        // Each call that a route makes fails in turn, until a request gets through.
        for route in ["begin", "read", "submit", "whoami", "list", "revoke", "logout", "settings", "enrol"] {
            for failing in 0.. {
                let name = format!("kim-{route}-{failing}");
                if route != "enrol" {
                    site.enrol(&name).await;
                }
                let mut kim = site.spa(&name).await;
                if !matches!(route, "begin" | "read" | "submit" | "enrol") {
                    assert_eq!(kim.step_up(&site.code()).await.status, 200);
                }
                let form = if route == "enrol" { "settings" } else { "login" };
                let flow = kim.begin(form, if route == "enrol" { "" } else { "?aal=aal2&refresh=true" }).await;
                let logout = kim.get("/self-service/logout/browser").await.json();
                let before = world.known(&name).await;
                site.step_up.forget(&subject(&name));
                world.store.take_calls();
                world.store.fails_after(failing);
                let answer = match route {
                    "begin" => kim.get("/self-service/login/browser?aal=aal2").await,
                    "read" => kim.read("login", flow.id()).await,
                    "submit" => kim.totp(&flow, &site.code()).await,
                    "whoami" => kim.whoami().await,
                    "list" => kim.get("/sessions").await,
                    "revoke" => kim.delete("/sessions", "").await,
                    "logout" => kim.get(logout["logout_url"].as_str().unwrap()).await,
                    "settings" => kim.get("/self-service/settings/browser").await,
                    _ => {
                        let code = code_of(&secret_of(&flow.view), site.seconds());
                        kim.totp(&flow, &code).await
                    }
                };
                if !world.store.has_failed() {
                    assert!(answer.status.is_success(), "{route}: {answer:?}");
                    assert!(failing > 0, "{route} asks nothing");
                    break;
                }
                // Where flows are kept elsewhere, what is tidied up there after a success does not undo it.
                let call = world.store.take_calls()[failing];
                if world.store.is_split() && matches!(call, "complete_flow" | "reset_attempts") {
                    assert!(answer.status.is_success(), "{route}: {answer:?}");
                    continue;
                }
                let after = world.known(&name).await;
                // A change that is done is done, and its answer is given, even if what follows it fails; else all is as it was.
                if after != before {
                    assert!(matches!(route, "enrol") && answer.status.is_success(), "{route} {failing}: {answer:?}");
                    assert_eq!(after.sessions.len(), 1);
                    assert!(kim.pays(site).await, "{answer:?}");
                    continue;
                }
                assert_down(&answer);
                if route != "logout" {
                    assert_eq!(kim.get("/account").await.status, 200);
                }
            }
        }
        let lines = log.take();
        assert!(lines.iter().all(|line| !line.contains(ADDRESS) && !line.contains("hunter2")), "{lines:?}");
        // A code is never looked at without being counted.
        site.enrol("kim").await;
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let gate = world.store.hold("begin_attempt");
        let store = &world.store;
        let (answer, ()) = tokio::join!(kim.totp(&flow, WRONG), async {
            gate.reached().await;
            store.is_down();
            gate.open();
        });
        assert_down(&answer);
        world.store.works();
        kim.assert_aal1(site).await;
        assert_eq!(kim.totp(&flow, &site.code()).await.status, 200, "the honest twin");
    }
}

/// Polls the submission so many times, then drops it as a server does when the client hangs up. Whether it came to its end.
async fn dropped_after(polls: usize, kim: &Client, flow: &OpenFlow, code: &str) -> bool {
    let mut kim = kim.clone();
    let mut submission = pin!(kim.totp(flow, code));
    for _ in 0..polls {
        let ended = poll_fn(|cx| Poll::Ready(submission.as_mut().poll(cx).is_ready())).await;
        if ended {
            return true;
        }
        // Lets the database's thread get on.
        tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err();
    }
    false
}

#[tokio::test]
async fn crash_or_disconnect_leaves_no_half_upgrade() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        world.store.yields();
        let (mut ended, mut polls, mut upgraded, mut kept) = (false, 1, 0, 0);
        while !ended {
            site.step_up.revoke(&subject("kim"), Revocation::All(site.clock.now())).await.unwrap();
            let mut kim = site.spa("kim").await;
            let flow = kim.begin("login", "?aal=aal2").await;
            let code = world.next_code();
            let before = world.known("kim").await;
            ended = dropped_after(polls, &kim, &flow, &code).await;
            polls += 1;
            // A transaction that nobody waits for any more has ended, one way or the other, when the next one is through.
            world.store.revoke(&subject("kim"), Revocation::One(SessionId::random())).await.unwrap();
            let after = world.known("kim").await;
            site.step_up.forget(&subject("kim"));
            assert_eq!(after.sessions.len(), 1);
            if after.sessions == before.sessions {
                assert_eq!(after.steps, before.steps, "a code was used up and nothing came of it");
                kim.assert_aal1(site).await;
                kept += 1;
            } else {
                assert!(after.steps > before.steps && after.sessions[0].proofs().len() == 2);
                kim.assert_dead(site).await;
                upgraded += 1;
            }
            let mut next = site.spa("kim").await;
            assert_eq!(next.step_up(&world.next_code()).await.status, 200, "the next code works");
        }
        assert!(upgraded >= 1 && kept >= 3, "{kept} {upgraded}");
    }
}

#[tokio::test]
async fn slow_store_times_out() {
    guards_time_out_when_the_store_is_slow().await;
    let limit = Duration::from_secs(3);
    let world = World::with(|builder| builder.store_timeout(limit));
    let site = &world.a;
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    kim.assert_aal1(site).await;
    tokio::time::pause();
    world.store.hangs();
    let begun = tokio::time::Instant::now();
    assert_down(&kim.totp(&flow, &site.code()).await);
    assert_down(&kim.read("login", flow.id()).await);
    assert_down(&kim.get("/self-service/login/browser?aal=aal2").await);
    let waited = begun.elapsed();
    assert!(waited >= 3 * limit && waited < 4 * limit, "{waited:?}");
    assert_eq!(site.stranger(Kind::Spa).get("/sessions/whoami").await.status, 401);
    world.store.works();
    tokio::time::resume();
    kim.assert_aal1(site).await;
    assert_eq!(kim.totp(&flow, &site.code()).await.status, 200);
}

/// A directory that never says whether a password is right holds up nothing for longer than it may, and opens nothing.
#[tokio::test]
async fn slow_password_check_times_out() {
    let limit = Duration::from_secs(3);
    // In memory: while a database is waited for, paused time would run on.
    let site = &Site::with(|builder| builder.directory_timeout(limit).factor(Password::default()));
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?refresh=true").await;
    let form = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
    let mut nobody = site.stranger(Kind::Spa);
    let anonymous = nobody.begin("login", "").await;
    tokio::time::pause();
    site.users.hang(true);
    let begun = tokio::time::Instant::now();
    assert_down(&kim.submit(&flow, &form).await);
    assert_down(&nobody.submit(&anonymous, &form).await);
    let waited = begun.elapsed();
    assert!(waited >= 2 * limit && waited < 3 * limit, "{waited:?}");
    site.users.hang(false);
    tokio::time::resume();
    assert_eq!(nobody.whoami().await.status, 401);
    assert_eq!(kim.submit(&flow, &form).await.status, 200, "the honest twin");
    assert_eq!(nobody.submit(&anonymous, &form).await.status, 200, "the honest twin");
}

#[tokio::test]
async fn clock_going_backwards_extends_nothing() {
    for world in World::on_every_store(|builder| builder.session_lifespan(2 * HOUR)) {
        let site = &world.a;
        let start = site.clock.now();
        let to = |offset: i64| Timestamp::from_unix_seconds(start.unix_seconds() + offset);
        site.enrol("kim").await;
        let mut used = site.spa("kim").await;
        let code = site.code();
        assert_eq!(used.step_up(&code).await.status, 200);
        let codes = used.enrol_lookup().await;
        let mut locked = site.spa("lee").await;
        site.enrol("lee").await;
        let lock = locked.begin("login", "?aal=aal2").await;
        for _ in 0..5 {
            assert_says(&locked.totp(&lock, WRONG).await, 4_000_008);
        }
        let ends = world.known("kim").await.sessions[0].expires_at();

        // An hour back: the used step stays used, the lock stays, and no session lasts longer. What was proven "later" counts for nothing.
        site.clock.set(to(-3600));
        let mut again = site.spa("kim").await;
        for code in [&code, &site.code()] {
            assert_says(&again.step_up(code).await, 4_000_008);
        }
        assert_error(&locked.totp(&lock, &site.code()).await, 401, "session_aal1_required");
        assert_locked(&site.spa("lee").await.step_up(&site.code()).await);
        used.assert_dead(site).await;
        assert!(!again.pays(site).await);
        let flow = again.begin("login", "?aal=aal2").await;
        assert_eq!(again.lookup(&flow, &codes[0]).await.status, 200, "the owner gets in");

        // A day forward and back: sessions of the time between are not good for longer, and a code that was used there is no trap.
        site.clock.set(to(0));
        assert!(used.pays(site).await, "as if nothing had been");
        assert!(world.known("kim").await.sessions.iter().any(|session| session.expires_at() == ends));
        site.clock.set(to(86_400));
        used.assert_dead(site).await;
        assert_error(&locked.totp(&lock, &site.code()).await, 401, "session_aal1_required");
        let mut ahead = site.spa("kim").await;
        assert_eq!(ahead.step_up(&site.code()).await.status, 200);
        site.clock.set(to(60));
        ahead.assert_dead(site).await;
        let mut kim = site.spa("kim").await;
        assert_says(&kim.step_up(&site.code()).await, 4_000_008);
        kim.assert_aal1(site).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        assert_eq!(kim.lookup(&flow, &codes[1]).await.status, 200, "a recovery code still lets the owner in");
        assert!(kim.pays(site).await);
        let early = world.known("kim").await.sessions;
        assert!(early.iter().all(|session| session.expires_at() <= to(86_400) + 2 * HOUR));
    }
}

#[tokio::test]
async fn lost_or_immortal_keys_open_nothing() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let code = site.code();
        assert_eq!(kim.step_up(&code).await.status, 200);
        assert!(kim.pays(site).await);
        // All flows and all counters gone: the replay mark is part of the factor, and stays.
        world.store.remove_flows(&subject("kim"), None).await.unwrap();
        world.store.reset_attempts(&AttemptKey { subject: subject("kim"), method: Method::Totp }).await.unwrap();
        assert_eq!(kim.totp(&flow, &code).await.status, 404);
        let mut other = site.spa("kim").await;
        assert_says(&other.step_up(&code).await, 4_000_008);
        other.assert_aal1(site).await;
        // All sessions gone.
        world.store.revoke(&subject("kim"), Revocation::All(site.clock.now())).await.unwrap();
        site.step_up.forget(&subject("kim"));
        kim.assert_dead(site).await;
        other.assert_dead(site).await;
        let mut other = site.spa("kim").await;
        assert_says(&other.step_up(&code).await, 4_000_008);
        // Only with the factor does its mark go, and with it all that it has proven.
        let next = world.next_code();
        assert_eq!(other.step_up(&next).await.status, 200);
        site.step_up.unbind(&subject("kim"), Method::Totp).await.unwrap();
        other.assert_aal1(site).await;

        // A counter is one write with its own end: there is no moment at which it has none.
        let mut lee = site.spa("lee").await;
        site.enrol("lee").await;
        let flow = lee.begin("login", "?aal=aal2").await;
        for _ in 0..5 {
            assert_says(&lee.totp(&flow, WRONG).await, 4_000_008);
        }
        assert_locked(&lee.totp(&flow, &site.code()).await);
        world.advance(31 * DAY);
        assert_eq!(site.spa("lee").await.step_up(&site.code()).await.status, 200);
    }
}

/// Flows are counted for each session: whoever knows the password signs in beside the owner, and spoils no form of theirs.
#[tokio::test]
async fn flood_of_a_second_session_leaves_the_owners_flow() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        for kind in KINDS {
            let code = world.next_code();
            let mut kim = client(site, kind, "kim").await;
            let mut thief = client(&world.b, kind, "kim").await;
            let own = kim.begin("login", "?aal=aal2").await;
            let first = thief.begin("login", "?aal=aal2").await;
            for _ in 0..60 {
                thief.begin("login", "?aal=aal2").await;
            }
            assert_eq!(thief.read("login", first.id()).await.status, 404, "the thief's own are bounded");
            let answer = kim.totp(&own, &code).await;
            kim.keep_token_if_any(&answer);
            assert!(kim.pays(site).await, "the owner's form was gone: {answer:?}");
            thief.assert_aal1(&world.b).await;
        }
    }
}

#[tokio::test]
async fn floods_stay_bounded() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        site.enrol("eve").await;
        let mut kim = site.spa("kim").await;
        let own = kim.begin("login", "?aal=aal2").await;
        // Without a session nothing is stored.
        world.store.take_calls();
        for kind in KINDS {
            for path in [
                "/self-service/login/browser?aal=aal2",
                "/self-service/login/browser?aal=aal2&refresh=true",
                "/self-service/login/browser",
                "/self-service/login/api?aal=aal2",
                "/self-service/login/api",
                "/self-service/settings/browser",
                "/self-service/settings/api",
                "/self-service/logout/browser",
                "/self-service/logout?token=x",
                "/self-service/errors?id=x",
                "/self-service/ui/login?flow=x",
                "/sessions/whoami",
                "/sessions",
            ] {
                site.stranger(kind).get(path).await;
            }
        }
        let calls = world.store.take_calls();
        assert!(calls.iter().all(|call| *call == "flow"), "{calls:?}");

        // With one there is a cap, and the oldest of one's own give way.
        let mut eve = site.spa("eve").await;
        let mut flows = vec![];
        for _ in 0..200 {
            flows.push(eve.begin("login", "?aal=aal2").await);
        }
        let mut alive = 0;
        for flow in &flows {
            let id = FlowId::from(uuid::Uuid::parse_str(flow.id()).unwrap());
            alive += usize::from(world.store.flow(id).await.unwrap().is_some());
        }
        assert!((1..=50).contains(&alive), "{alive}");
        // So there is when they come all at once.
        let lee = site.spa("lee").await;
        site.enrol("lee").await;
        let mut begun = JoinSet::new();
        for _ in 0..60 {
            let mut lee = lee.clone();
            begun.spawn(async move { lee.begin("login", "?aal=aal2").await });
        }
        let mut alive_at_once = 0;
        for flow in begun.join_all().await {
            let id = FlowId::from(uuid::Uuid::parse_str(flow.id()).unwrap());
            alive_at_once += usize::from(world.store.flow(id).await.unwrap().is_some());
        }
        assert_eq!(alive_at_once, alive, "of one that had none before");
        assert_eq!(eve.read("login", flows[0].id()).await.status, 404);
        assert_eq!(eve.totp(flows.last().unwrap(), &site.code()).await.status, 200);
        assert_eq!(kim.totp(&own, &site.code()).await.status, 200, "others are not affected");

        // The picture is drawn for the owner of a valid flow only.
        let mut ann = site.spa("ann").await;
        let flow = ann.begin("settings", "").await;
        assert!(flow.view.to_string().contains("data:image/png"));
        for answer in [
            eve.read("settings", flow.id()).await,
            site.stranger(Kind::Spa).read("settings", flow.id()).await,
            ann.read("settings", "x").await,
        ] {
            assert!(!answer.text.contains("data:image"), "{answer:?}");
        }
        world.advance(HOUR);
        assert!(!ann.read("settings", flow.id()).await.text.contains("data:image"));
    }
}

/// Number 36: one account fills a small store, by many sessions with many flows each. Nobody else loses an open form or the way in.
#[tokio::test]
async fn flows_of_one_account_push_out_no_others() {
    let store = crate::common::store::TestStore::over(tower_step_up::store::MemoryStore::with_capacity(300));
    let site = Site::with(|builder| builder.store(store.clone()));
    for name in ["kim", "lee", "eve"] {
        site.enrol(name).await;
    }
    let mut honest = vec![];
    for name in ["kim", "lee"] {
        for kind in KINDS {
            let mut client = client(&site, kind, name).await;
            let flow = client.begin("login", "?aal=aal2").await;
            honest.push((client, flow));
        }
    }
    for _ in 0..12 {
        let mut eve = site.spa("eve").await;
        let mut last = None;
        for _ in 0..50 {
            last = Some(eve.begin("login", "?aal=aal2").await);
        }
        // What is in use goes later. It goes all the same when nothing else is left.
        assert_eq!(eve.read("login", last.unwrap().id()).await.status, 200);
    }
    for (client, flow) in &mut honest {
        let code = site.next_code();
        let answer = client.totp(flow, &code).await;
        client.keep_token_if_any(&answer);
        assert!(client.pays(&site).await, "an honest user's form was gone: {answer:?}");
    }
}

/// Number 36, for sessions: who signs in again and again keeps nobody else from signing in, and ends nobody else's session.
#[tokio::test]
async fn sessions_of_one_account_keep_nobody_out() {
    let store = crate::common::store::TestStore::over(tower_step_up::store::MemoryStore::with_capacity(300));
    let site = Site::with(|builder| builder.store(store.clone()));
    let mut lee = site.spa("lee").await;
    for _ in 0..400 {
        let _refused_or_not = site.step_up.sign_in(subject("eve"), Method::Password).await;
    }
    let signed_in = site.step_up.sign_in(subject("kim"), Method::Password).await;
    assert!(signed_in.is_ok(), "kim was kept out: {signed_in:?}");
    assert_eq!(lee.get("/account").await.status, 200);
}

/// A scanner that is refused a thousand times writes a line a second at INFO, and one that sends two credentials a line at WARN; the sink and
/// the count of the others lose none.
#[tokio::test]
async fn refusals_fill_no_log() {
    let world = World::new();
    let site = &world.a;
    let (log, _guard) = Log::begin();
    let nobody = site.stranger(Kind::Native);
    let [one, other] = [site.native("kim").await, site.native("lee").await].map(|client| client.token.unwrap());
    log.take();
    let both = format!("__Host-step_up_session={one}; __Host-step_up_session={other}");
    let two = nobody.clone().sending(&[("cookie", both.as_bytes())]);
    for (mut scanner, levels) in [(nobody, &["INFO"][..]), (two, &["WARN"])] {
        for second in 0..10 {
            for _ in 0..100 {
                assert_eq!(scanner.get("/payments").await.status, 401);
            }
            let audit = log.take_audit();
            assert_eq!(audit.len(), 100 * levels.len());
            let logged: Vec<_> = audit.iter().filter(|line| !line.starts_with("tower_step_up::audit DEBUG")).collect();
            assert_eq!(logged.len(), levels.len(), "{logged:?}");
            for (line, level) in logged.iter().zip(levels) {
                assert!(line.starts_with(&format!("tower_step_up::audit {level}")), "{line}");
                assert!(second == 0 || line.contains("unlogged=99"), "{line}");
            }
            world.advance(Duration::from_secs(1));
        }
    }
}

/// So do guesses at what is locked. Those of strangers, at a form that takes no more passwords, hide no lock of a user.
#[tokio::test]
async fn locks_fill_no_log() {
    let world = World::with(|builder| builder.factor(Password::default()));
    let site = &world.a;
    site.enrol("kim").await;
    let mut thief = site.native("kim").await;
    let code = thief.begin("login", "?aal=aal2").await;
    let mut stranger = site.stranger(Kind::Native);
    let password = stranger.begin("login", "").await;
    let wrong = [("method", "password"), ("identifier", "kim"), ("password", "wrong")];
    for _ in 0..5 {
        assert_eq!(stranger.submit(&password, &wrong).await.status, 400);
        assert_eq!(thief.totp(&code, WRONG).await.status, 400);
    }
    let (log, _guard) = Log::begin();
    for second in 0..5 {
        for _ in 0..20 {
            assert_locked(&stranger.submit(&password, &wrong).await);
            assert_locked(&thief.totp(&code, WRONG).await);
        }
        let audit = log.take_audit();
        let warned: Vec<_> = audit.iter().filter(|line| line.starts_with("tower_step_up::audit WARN")).collect();
        assert_eq!((audit.len(), warned.len()), (40, 2), "{warned:#?}");
        assert_eq!(warned.iter().filter(|line| line.contains("subject=\"kim\"")).count(), 1, "{warned:#?}");
        assert!(second == 0 || warned.iter().all(|line| line.contains("unlogged=19")), "{warned:#?}");
        world.advance(Duration::from_secs(1));
    }
}
