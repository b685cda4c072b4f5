//! This crate.

use std::time::Duration;

use axum::{Router, routing::get};
use http::StatusCode;
use tower::{Layer as _, ServiceBuilder};
use tower_step_up::{Aal2, Method, RequireAal2, Requirement, RouterExt as _, StepUp, Subject, store::MemoryStore};

use super::{bare_router, handler, requests};
use crate::{
    measure::{Case, Function},
    requests::{Template, cookies},
    world::{COOKIE, Place, World, builder, cookie, stepped_up, variation},
};

/// As the documentation shows it first.
pub fn guarded(step_up: &StepUp) -> Router {
    Router::new().route("/", get(handler).layer(RequireAal2)).layer(step_up.layer())
}

pub fn all(world: &World, filter: &str) -> Vec<Case> {
    let runtime = &world.runtime;
    let step_up = &world.step_up;
    let warm = || Template::new(Some(&cookies(&world.session_cookie())));
    let below = || Template::new(Some(&cookies(&cookie(&world.below))));
    let case = |name: &str, router: Router, status: StatusCode, template: Template| {
        requests(name, runtime, router, status, move || template.request())
    };
    let json = "application/json";
    let annotated = Router::new().route_requiring("/", Requirement::aal2(), get(handler)).layer(step_up.layer());
    let together = bare_router().layer(ServiceBuilder::new().layer(step_up.layer()).layer(RequireAal2).into_inner());
    let proof = Router::new().route("/", get(async |_: Aal2| "all payments")).layer(step_up.layer());
    let recent = RequireAal2.max_age(Duration::from_secs(86_400));
    let recent = Router::new().route("/", get(handler).layer(recent)).layer(step_up.layer());
    let mut cases = vec![
        case("ours: outer layer, no guard, warm token", bare_router().layer(step_up.layer()), StatusCode::OK, warm()),
        case("ours: outer layer + RequireAal2, warm token", guarded(step_up), StatusCode::OK, warm()),
        case("ours: the same with a max age", recent, StatusCode::OK, warm()),
        case("ours: the same by route_requiring", annotated, StatusCode::OK, warm()),
        case("ours: the same, both in one ServiceBuilder", together, StatusCode::OK, warm()),
        case("ours: outer layer + Aal2 in the handler, warm token", proof, StatusCode::OK, warm()),
        case("ours: outer layer, no guard, no cookie", bare_router().layer(step_up.layer()), StatusCode::OK, {
            Template::new(Some(&cookies("session=none")))
        }),
        case("ours: both, no cookie, 303", guarded(step_up), StatusCode::SEE_OTHER, {
            Template::new(Some(&cookies("session=none")))
        }),
        case("ours: both, refused, 303", guarded(step_up), StatusCode::SEE_OTHER, below()),
        case("ours: both, refused, 403", guarded(step_up), StatusCode::FORBIDDEN, below().with("accept", json)),
    ];
    let guard = Router::new().route("/", get(handler).layer(RequireAal2));
    let around = step_up.layer().layer(guard);
    let name = "ours: the same, the outer layer around the router, as hyper takes it";
    cases.insert(
        5,
        requests(name, runtime, around, StatusCode::OK, {
            let template = warm();
            move || template.request()
        }),
    );
    cases.push(cold_token(world));
    cases.push(garbage(world));
    cases.push(cold_session(world));
    cases.push(sign_in(world));
    cases.extend(Place::ALL.into_iter().filter_map(|place| always_read(world, place, filter)));
    cases
}

/// How many texts a cold case goes through, and how many of them the cache could hold.
const TEXTS: i64 = 512;
const CACHED: usize = 16;

/// Every request has a token that the cache does not know, of a session that it knows.
fn cold_token(world: &World) -> Case {
    let step_up = builder().store(MemoryStore::default()).cached_sessions(CACHED).build().unwrap();
    let kim = world.runtime.block_on(stepped_up(&step_up, "kim"));
    let templates: Vec<_> = (1..=TEXTS)
        .map(|number| format!("{COOKIE}={}", variation(kim.token().as_str(), number)))
        .map(|session| Template::new(Some(&cookies(&session))))
        .collect();
    cycle(world, "ours: both, cold token of a known session", guarded(&step_up), templates, StatusCode::OK)
}

/// Every request has a token that looks right and was signed by somebody else.
fn garbage(world: &World) -> Case {
    let (message, _) = world.kim.token().as_str().rsplit_once('.').unwrap();
    let signature = |number: i64| format!("{number:043}");
    let templates: Vec<_> = (0..TEXTS)
        .map(|number| Template::new(Some(&cookies(&format!("{COOKIE}={message}.{}", signature(number))))))
        .collect();
    cycle(world, "ours: both, forged token, 303", guarded(&world.step_up), templates, StatusCode::SEE_OTHER)
}

/// Every request is of a session that the caches do not know.
fn cold_session(world: &World) -> Case {
    let step_up = builder().store(MemoryStore::default()).cached_sessions(CACHED).build().unwrap();
    let templates: Vec<_> = (0..TEXTS)
        .map(|number| world.runtime.block_on(stepped_up(&step_up, &format!("user-{number}"))))
        .map(|signed_in| Template::new(Some(&cookies(&cookie(&signed_in)))))
        .collect();
    cycle(world, "ours: both, cold token and session, memory store", guarded(&step_up), templates, StatusCode::OK)
}

fn cycle(world: &World, name: &str, router: Router, templates: Vec<Template>, status: StatusCode) -> Case {
    let mut next = 0;
    requests(name, &world.runtime, router, status, move || {
        next = (next + 1) % templates.len();
        templates[next].request()
    })
}

/// A new session with its token and cookie: what signing is a part of.
fn sign_in(world: &World) -> Case {
    let step_up = builder().store(MemoryStore::with_capacity(10_000_000)).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut number = 0_u64;
    let _ = world;
    let sign_in = move || {
        number += 1;
        let subject = Subject::new(format!("user-{number}")).unwrap();
        let _kept_in_the_store = runtime.block_on(step_up.sign_in(subject, Method::Password)).unwrap();
    };
    Case::new("ours: sign_in: session, token and cookie, memory store", Function(sign_in, 0)).slow(4, 10)
}

/// Every request reads the store.
fn always_read(world: &World, place: Place, filter: &str) -> Option<Case> {
    let name = format!("ours: both, standing_max_age 0, {}", place.name());
    if !name.contains(filter) {
        return None;
    }
    let step_up = world.runtime.block_on(async {
        let builder = builder().standing_max_age(Duration::ZERO);
        Some(place.open(builder, &world.directory, "standing").await?.build().unwrap())
    })?;
    let kim = world.runtime.block_on(stepped_up(&step_up, "kim"));
    let template = Template::new(Some(&cookies(&cookie(&kim))));
    let case = requests(&name, &world.runtime, guarded(&step_up), StatusCode::OK, move || template.request());
    Some(if place == Place::Memory { case } else { case.slow(8, 5) })
}
