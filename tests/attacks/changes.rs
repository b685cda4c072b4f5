//! Sessions that ended on another node, while this one believes the store's log of changes: whatever becomes of the log, nothing that ended is
//! served beyond `standing_max_age`. The clocks stand still unless a test moves them.

use std::time::Duration;

use tower_step_up::{
    Method, StepUpBuilder,
    clock::Clock as _,
    directory::Address,
    factor::Code,
    store::{Revocation, SubjectStore as _},
};

use crate::{
    common::store::Log,
    postbox::Postbox,
    site::{Client, Site},
    stores::{self, Choice},
    world::{World, subject},
};

const SECOND: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_millis(50);

/// Node B reads the log and A does not, so every reading is B's. None where the store keeps no log.
fn worlds() -> Vec<World> {
    worlds_with(|builder| builder)
}

fn worlds_with(configure: impl Fn(StepUpBuilder) -> StepUpBuilder) -> Vec<World> {
    if stores::asked() == Some(Choice::Naive) {
        return Vec::new();
    }
    let every = World::on_every_store(|builder: StepUpBuilder| configure(builder).changes_interval(Duration::ZERO));
    let follow = |world: World| {
        let in_time = Duration::from_secs(2);
        let site = Site::with(|builder| {
            let builder = configure(world.store.give_to(builder).directory(world.a.users.clone()));
            builder.store_timeout(in_time).changes_interval(OFTEN)
        });
        let b = Site { users: world.a.users.clone(), ..site };
        World { b, ..world }
    };
    every.into_iter().map(follow).collect()
}

impl World {
    /// Until B has read the log in a reading that began after this call, and has taken it in.
    async fn log_is_read(&self) {
        let before = self.store.readings();
        // The first may have begun before, the second has not; when the third begins, the second is taken in.
        while self.store.readings() < before + 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets the time pass for which B believes what it read, and then B reads the log.
    async fn a_second_passes(&self) {
        self.advance(SECOND);
        self.log_is_read().await;
    }
}

/// A session at AAL2 that B remembers and whose log B follows.
async fn remembered(world: &World, name: &str) -> Client {
    world.a.enrol(name).await;
    let mut client = world.a.spa(name).await;
    world.advance(Duration::from_secs(30));
    assert_eq!(client.step_up(&world.a.code()).await.status, 200);
    assert!(client.pays(&world.b).await);
    // What B read before its first reading of the log is read once more.
    world.a_second_passes().await;
    assert!(client.pays(&world.b).await);
    client.at(&world.b)
}

async fn ends_by(world: &World, name: &str, what: &str) {
    let kim = subject(name);
    match what {
        "all" => drop(world.a.step_up.revoke_all(&kim).await.unwrap()),
        "one" => {
            let sessions = world.a.step_up.sessions(&kim).await.unwrap();
            world.a.step_up.revoke(&kim, Revocation::One(sessions[0].id())).await.unwrap();
        }
        "by hand" => drop(world.store.revoke(&kim, Revocation::All(world.a.clock.now())).await.unwrap()),
        "deleted" => world.a.step_up.delete(&kim).await.unwrap(),
        _ => drop(world.a.step_up.revoke_everyone().await.unwrap()),
    }
}

#[tokio::test]
async fn what_ended_elsewhere_is_dead_once_the_log_is_read() {
    for world in worlds() {
        for what in ["all", "one", "by hand", "deleted", "everyone"] {
            let mut kim = remembered(&world, what).await;
            world.advance(SECOND);
            ends_by(&world, what, what).await;
            world.log_is_read().await;
            kim.assert_dead(&world.b).await;
        }
    }
}

/// The twin of the test above: it is the log that tells. A busy machine or a lost connection can make B read the session after all, so one of
/// a few attempts must show it.
#[tokio::test]
async fn a_log_that_leaves_something_out_is_noticed_by_these_tests() {
    for world in worlds() {
        for what in ["all", "one", "by hand", "deleted"] {
            let mut served = false;
            for attempt in 0..5 {
                let name = format!("{what} {attempt}");
                let mut kim = remembered(&world, &name).await;
                world.store.log_is(Log::Broken);
                // What a reading tells that began before that is read once more.
                world.log_is_read().await;
                kim.pays(&world.b).await;
                world.advance(SECOND);
                ends_by(&world, &name, what).await;
                world.log_is_read().await;
                served = kim.pays(&world.b).await;
                world.store.log_is(Log::AsItIs);
                if served {
                    break;
                }
            }
            assert!(served, "{what}");
        }
    }
}

#[tokio::test]
async fn a_step_up_elsewhere_and_a_removed_factor_are_seen() {
    for world in worlds() {
        let mut kim = remembered(&world, "kim").await;
        let mut old = kim.clone();
        world.advance(Duration::from_secs(30));
        let mut there = kim.at(&world.a);
        let flow = there.begin("login", "?aal=aal2&refresh=true").await;
        let answer = there.totp(&flow, &world.a.code()).await;
        assert_eq!(answer.status, 200);
        there.keep_token_if_any(&answer);
        kim.clone_from(&there);
        world.log_is_read().await;
        old.assert_dead(&world.b).await;
        assert!(kim.at(&world.b).pays(&world.b).await);
        world.a.step_up.unbind(&subject("kim"), Method::Totp).await.unwrap();
        world.log_is_read().await;
        kim.assert_aal1(&world.b).await;
    }
}

/// Nobody is read while the log goes on, for five minutes.
#[tokio::test]
async fn the_log_spares_the_store() {
    for world in worlds() {
        let mut kim = remembered(&world, "kim").await;
        world.store.take_reads();
        for seconds in [1, 8, 50, 100, 139] {
            world.advance(SECOND * seconds);
            world.log_is_read().await;
            assert!(kim.pays(&world.b).await);
        }
        assert_eq!(world.store.take_reads(), 0);
        world.advance(SECOND * 2);
        world.log_is_read().await;
        assert!(kim.pays(&world.b).await);
        assert_eq!(world.store.take_reads(), 1, "five minutes have passed");
    }
}

/// A log that fails, hangs or is cut: everything is as without a log, until it can be read again.
#[tokio::test]
async fn a_log_that_cannot_be_read_vouches_for_nothing() {
    for world in worlds() {
        for (number, log) in [Log::Down, Log::Hangs, Log::Cut].into_iter().enumerate() {
            let name = format!("kim {number}");
            let mut kim = remembered(&world, &name).await;
            let mut lee = remembered(&world, &format!("lee {number}")).await;
            world.store.log_is(log);
            world.advance(SECOND);
            // What a reading says that fails, or has a gap, counts for nothing, however new it is.
            if log != Log::Hangs {
                world.log_is_read().await;
            }
            world.store.take_reads();
            assert!(kim.pays(&world.b).await);
            assert_eq!(world.store.take_reads(), 1, "{log:?}: it is read again");
            ends_by(&world, &name, "all").await;
            world.advance(SECOND);
            kim.assert_dead(&world.b).await;
            assert!(lee.pays(&world.b).await);
            world.store.log_is(Log::AsItIs);
            // A reading that hangs ends with the time that a call may take.
            world.a_second_passes().await;
            assert!(lee.pays(&world.b).await);
            world.a_second_passes().await;
            world.store.take_reads();
            assert!(lee.pays(&world.b).await);
            assert_eq!(world.store.take_reads(), 0, "{log:?}: the log counts again");
        }
    }
}

/// A reading is as new as its beginning. What has changed since is not in it, however late it ends.
#[tokio::test]
async fn a_reading_that_takes_long_vouches_for_nothing_later() {
    for world in worlds() {
        let mut kim = remembered(&world, "kim").await;
        world.store.log_is(Log::Late);
        while world.store.late_readings() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ends_by(&world, "kim", "all").await;
        world.advance(SECOND);
        // The late one ends, and the next does not, which begins once the late one is taken in.
        let before = world.store.readings();
        world.store.log_is(Log::Hangs);
        while world.store.readings() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        kim.assert_dead(&world.b).await;
    }
}

/// What was read before a change is not kept after it, whoever made it.
#[tokio::test]
async fn what_was_read_before_a_change_is_not_kept_after_it() {
    for world in worlds() {
        for (name, elsewhere) in [("kim", false), ("lee", true)] {
            let mut client = remembered(&world, name).await;
            // Five minutes have passed, so it is read again.
            world.advance(Duration::from_secs(301));
            let gate = world.store.hold_after("standing");
            let mut racing = client.clone();
            let change = async {
                gate.reached().await;
                if elsewhere {
                    ends_by(&world, name, "all").await;
                    world.log_is_read().await;
                } else {
                    world.b.step_up.revoke_all(&subject(name)).await.unwrap();
                }
                gate.open();
            };
            tokio::join!(racing.pays(&world.b), change);
            client.assert_dead(&world.b).await;
        }
    }
}

/// The store knows no directory: whoever is disabled there is out after a second, whatever the log says.
#[tokio::test]
async fn the_log_vouches_for_no_directory() {
    for world in worlds() {
        let mut kim = remembered(&world, "kim").await;
        world.a_second_passes().await;
        world.store.take_reads();
        assert!(kim.pays(&world.b).await);
        assert_eq!(world.store.take_reads(), 0, "only the directory was asked");
        world.a.users.disable("kim");
        world.a_second_passes().await;
        kim.assert_dead(&world.b).await;
    }
}

/// "No second factor" from the cache is believed no more than before.
#[tokio::test]
async fn a_factor_that_was_enrolled_elsewhere_is_asked_for_at_once() {
    for world in worlds() {
        let mut kim = world.a.spa("kim").await.at(&world.b);
        assert_eq!(kim.get("/account").await.status, 200);
        world.a_second_passes().await;
        assert_eq!(kim.get("/account").await.status, 200);
        world.store.log_is(Log::Broken);
        world.a.enrol("kim").await;
        world.store.take_reads();
        assert_eq!(kim.get("/sessions/whoami").await.status, 403);
        assert!(world.store.take_reads() > 0);
    }
}

/// Nothing goes on reading a store whose engine is gone.
#[tokio::test]
async fn the_reader_ends_with_its_engine() {
    let Some(World { store, a, b }) = worlds().into_iter().next() else { return };
    a.enrol("kim").await;
    let mut kim = a.spa("kim").await;
    kim.assert_aal1(&b).await;
    while store.readings() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop((a, b, kim));
    while store.holders() > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = store.readings();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(store.readings(), before);
}

/// Devices are kept beside credentials, and an address that the directory has no more is not taken for one of them. The device stays trusted.
#[tokio::test]
async fn an_address_that_is_gone_counts_no_longer_beside_a_device() {
    let postbox = Postbox::default();
    let address = || Address::email("kim@app.example").verified(true);
    for world in worlds_with(|builder| {
        builder.trusted_devices(Duration::from_secs(30 * 86_400)).factor(Code::new(postbox.clone()))
    }) {
        world.a.enrol("kim").await;
        world.a.users.reach("kim", [address()]);
        let mut trusted = world.a.browser("kim").await;
        let flow = trusted.begin("login", "?aal=aal2").await;
        let fields = [("method", "totp"), ("totp_code", &world.a.code()), ("trust_device", "true")];
        assert_eq!(trusted.submit(&flow, &fields).await.status, 303);
        let mut kim = world.a.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        kim.submit(&flow, &[("address", "kim@app.example")]).await;
        assert_eq!(kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await.status, 200);
        assert!(kim.pays(&world.b).await);
        world.a_second_passes().await;
        assert!(kim.pays(&world.b).await);
        world.a_second_passes().await;
        assert!(kim.pays(&world.b).await, "the honest twin");
        world.a.users.reach("kim", []);
        world.a_second_passes().await;
        kim.assert_aal1(&world.b).await;
        world.a.users.reach("kim", [address()]);
        world.a_second_passes().await;
        assert!(kim.pays(&world.b).await);
    }
}

/// What is set to zero is not read.
#[tokio::test]
async fn without_an_interval_nothing_is_read() {
    for off in [
        |builder: StepUpBuilder| builder.changes_interval(Duration::ZERO),
        |builder: StepUpBuilder| builder.standing_max_age(Duration::ZERO),
    ] {
        let world = World::with(off);
        world.a.enrol("kim").await;
        let mut kim = world.a.spa("kim").await;
        kim.assert_aal1(&world.b).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(world.store.readings(), 0);
    }
}
