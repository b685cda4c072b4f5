//! Whether the warm path grows with the number of sessions, and what one of them takes in memory.

use std::{fs, time::Duration};

use http::StatusCode;
use tower_step_up::{Method, Subject, store::MemoryStore};

use crate::{
    cases::{bare, bare_router, limits::Limit, ours::guarded, requests},
    measure::{Case, Line, alternate},
    requests::{Template, cookies},
    world::{World, builder, cookie, stepped_up},
};

/// Resident memory of this process, in bytes.
fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096.0
}

/// How many of the sessions send requests.
const ACTIVE: usize = 1000;

pub fn table() {
    let world = World::new();
    let mut cases = vec![bare(&world)];
    let mut memory = Vec::new();
    for count in [10, 1_000, 1_000_000] {
        let before = resident();
        let store = MemoryStore::with_capacity(2 * count + 1000);
        // A minute, so that the warm path is what is measured and not the one read a second of each session.
        let step_up = builder().store(store).standing_max_age(Duration::from_secs(60)).build().unwrap();
        let (mut templates, mut tokens) = (Vec::new(), Vec::new());
        world.runtime.block_on(async {
            for number in 0..count {
                let name = format!("user-{number}");
                if number % count.div_ceil(ACTIVE) == 0 {
                    let session = stepped_up(&step_up, &name).await;
                    templates.push(Template::new(Some(&cookies(&cookie(&session)))));
                    tokens.push(session.token().as_str().to_owned());
                } else {
                    let _kept_in_the_store =
                        step_up.sign_in(Subject::new(name).unwrap(), Method::Password).await.unwrap();
                }
            }
        });
        if count >= 1000 {
            memory.push(format!(
                "{:.0} bytes a session of {count} in the memory store",
                (resident() - before) / count as f64
            ));
        }
        let router = guarded(&step_up);
        let name = format!("ours: outer layer + RequireAal2, warm, {count} subjects and sessions");
        cases.push(in_turns(&world, &format!("{name}, one of them active"), router.clone(), templates[..1].to_vec()));
        if count == 1_000 {
            let limit = bare_router().layer(Limit::cached(tokens.iter().map(String::as_str)));
            let name = format!("limit: {ACTIVE} verified tokens found in a cache");
            cases.push(in_turns(&world, &name, limit, templates.clone()));
        }
        if count > 10 {
            cases.push(in_turns(&world, &format!("{name}, {ACTIVE} of them active"), router, templates));
        }
    }
    println!("| case | x bare | us over bare |");
    println!("|---|---|---|");
    for Line { name, ratio, over_bare, .. } in alternate(&mut cases, &world.runtime, 400) {
        println!("| {name} | {ratio:.2} | {:.2} |", over_bare / 1e3);
    }
    drop(cases);
    memory.push(caches(&world));
    for line in memory {
        println!("{line}");
    }
}

/// Requests of all of these sessions, one after the other.
fn in_turns(world: &World, name: &str, router: axum::Router, templates: Vec<Template>) -> Case {
    let mut next = 0;
    let length = templates.len();
    let mut case = requests(name, &world.runtime, router, StatusCode::OK, move || {
        next = (next + 1) % templates.len();
        templates[next].request()
    });
    case.work.prepare(length, &world.runtime);
    case.work.run(&world.runtime);
    case
}

/// What the caches take for each session when they are full.
fn caches(world: &World) -> String {
    const COUNT: usize = 100_000;
    let store = MemoryStore::with_capacity(2 * COUNT);
    let minute = Duration::from_secs(60);
    let step_up = builder().store(store).standing_max_age(minute).cached_sessions(COUNT).build().unwrap();
    let mut service = guarded(&step_up);
    let before = resident();
    let one = |service: &mut axum::Router, token: &str| {
        let request = Template::new(Some(&cookies(&format!("{}={token}", crate::world::COOKIE)))).request();
        let response = world.runtime.block_on(tower::ServiceExt::oneshot(service.clone(), request)).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    };
    let tokens: Vec<_> = (0..2 * COUNT)
        .map(|number| {
            world.runtime.block_on(stepped_up(&step_up, &format!("user-{number}"))).token().as_str().to_owned()
        })
        .collect();
    let stored = resident();
    for token in tokens.iter().take(COUNT) {
        one(&mut service, token);
    }
    let full = resident();
    for token in tokens.iter().skip(COUNT) {
        one(&mut service, token);
    }
    format!(
        "caches of {COUNT}: {:.0} bytes for each session when they are full, {:.0} after as many more ({:.0} a session in the store and the list of tokens)",
        (full - stored) / COUNT as f64,
        (resident() - stored) / COUNT as f64,
        (stored - before) / (2 * COUNT) as f64,
    )
}
