//! A thief who can cause outages at will gains no guess by what is given back, and no mail.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Barrier, task::JoinSet};
use tower_step_up::{Method, StepUpBuilder, store::AttemptPolicy};

use crate::{
    post::{Post, Server},
    site::{KINDS, OpenFlow},
    world::{World, assert_locked, client, subject},
};

const SEND: [(&str, &str); 1] = [("method", "code")];
const GUESS: [(&str, &str); 2] = [("method", "code"), ("code", "a guess")];
const STEP: Duration = Duration::from_secs(15);

const POLICY: AttemptPolicy = AttemptPolicy {
    free: 3,
    first_delay: Duration::from_secs(30),
    longest_delay: Duration::from_secs(120),
    hard_stop: 8,
};

/// One on each store that needs nothing installed, with kim's address for codes.
async fn worlds(policy: AttemptPolicy) -> Vec<(World, Post)> {
    let mut worlds = Vec::new();
    for number in 0.. {
        let post = Post::default();
        let configure = |builder: StepUpBuilder| {
            builder.factor(post.clone()).attempts(policy).store_timeout(Duration::from_secs(60))
        };
        let Some(world) = World::on_every_store(configure).into_iter().nth(number) else { break };
        world.a.step_up.bind(&subject("kim"), Method::Code, Vec::new()).await.unwrap();
        worlds.push((world, post));
    }
    worlds
}

/// How many guesses were compared after each step of time, with outages around each or without.
async fn guessed(world: &World, post: &Post, outages: bool) -> Vec<usize> {
    let mut thief = world.a.spa("kim").await;
    let flow = thief.begin("login", "?aal=aal2").await;
    let mut compared = Vec::new();
    for number in 0..40 {
        // From two nodes in turn.
        let node = if number % 2 == 0 { &world.a } else { &world.b };
        let mut thief = thief.at(node);
        for fields in [&SEND[..], &GUESS, &SEND, &SEND] {
            if fields.len() == GUESS.len() || outages {
                post.is(Server::Down);
                thief.submit(&flow, fields).await;
            }
        }
        compared.push(post.compared());
        world.advance(STEP);
    }
    assert_locked(&thief.submit(&flow, &GUESS).await);
    compared
}

#[tokio::test]
async fn outages_gain_no_guesses() {
    for ((honest, post), (attacked, outages)) in worlds(POLICY).await.into_iter().zip(worlds(POLICY).await) {
        let without = guessed(&honest, &post, false).await;
        let with = guessed(&attacked, &outages, true).await;
        assert_eq!(without.last(), Some(&8), "the twin meets the hard stop");
        assert_eq!(with, without, "outages make no difference");
        assert_eq!(outages.sent(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_at_once_gain_no_guesses() {
    for (world, post) in worlds(AttemptPolicy::default()).await {
        let mut thief = world.a.spa("kim").await;
        let mut flows: Vec<Arc<OpenFlow>> = Vec::new();
        for _ in 0..20 {
            flows.push(Arc::new(thief.begin("login", "?aal=aal2").await));
        }
        post.is(Server::Down);
        let mut tasks = JoinSet::new();
        let start = Arc::new(Barrier::new(100));
        for number in 0..100 {
            let (mut thief, flow, start) = (thief.clone(), Arc::clone(&flows[number % 20]), Arc::clone(&start));
            tasks.spawn(async move {
                start.wait().await;
                let fields = if number % 2 == 0 { &SEND[..] } else { &GUESS };
                thief.submit(&flow, fields).await
            });
        }
        tasks.join_all().await;
        assert_eq!(post.compared().max(5), 5, "guesses were compared beyond the limit");
        while post.compared() < 5 {
            let before = post.compared();
            thief.submit(&flows[0], &GUESS).await;
            if post.compared() == before {
                break;
            }
        }
        assert_locked(&thief.submit(&flows[0], &GUESS).await);
    }
}

/// A code that goes to an address that the thief does not read: neither a name nor a removal of nothing makes room for more guesses at it.
#[tokio::test]
async fn settings_that_prove_nothing_gain_no_guesses() {
    for kind in KINDS {
        for (world, post) in worlds(AttemptPolicy::default()).await {
            let mut thief = client(&world.a, kind, "kim").await;
            let flow = thief.begin("login", "?aal=aal2").await;
            thief.submit(&flow, &SEND).await;
            let code = post.code();
            let proven = thief.submit(&flow, &[("method", "code"), ("code", &code)]).await;
            thief.keep_token_if_any(&proven);
            let before = post.compared();
            for number in 0..20 {
                let flow = thief.begin("settings", "").await;
                thief.submit(&flow, &GUESS).await;
                let name = format!("name {number}");
                let named = thief.submit(&flow, &[("method", "code"), ("name", &name)]).await;
                thief.keep_token_if_any(&named);
            }
            assert_eq!(post.compared() - before, 5, "{kind:?}");

            // And without an address.
            let mut lee = client(&world.a, kind, "lee").await;
            let flow = lee.begin("settings", "").await;
            let before = post.compared();
            for _ in 0..20 {
                lee.submit(&flow, &GUESS).await;
                lee.submit(&flow, &[("method", "code"), ("remove", "true")]).await;
            }
            assert_eq!(post.compared() - before, 5, "{kind:?}");
        }
    }
}
