//! Whether two threads do twice as much as one, on one token and on many.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use axum::Router;
use tower::ServiceExt as _;

use crate::{
    cases::{bare_router, ours::guarded, peers},
    requests::{Template, cookies},
    world::{World, cookie, stepped_up},
};

const SLICE: Duration = Duration::from_millis(100);
const ROUNDS: usize = 40;

struct Contender {
    name: &'static str,
    router: Router,
    /// The cookies of all clients.
    cookies: Vec<String>,
}

/// Requests a second of so many threads together.
fn rate(contender: &Contender, threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    let rates: Vec<f64> = thread::scope(|scope| {
        let work = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // Of its own, since copies of a header share a counter.
            let templates: Vec<_> = contender.cookies.iter().map(|one| Template::new(Some(one))).collect();
            let (mut done, mut taken, mut next) = (0, Duration::ZERO, 0);
            let mut ready = Vec::with_capacity(64);
            barrier.wait();
            while taken < SLICE {
                for _ in 0..64 {
                    next = (next + 1) % templates.len();
                    ready.push(templates[next].request());
                }
                let begun = Instant::now();
                runtime.block_on(async {
                    for request in ready.drain(..) {
                        let response = contender.router.clone().oneshot(request).await;
                        std::hint::black_box(response.is_ok());
                        done += 1;
                    }
                });
                taken += begun.elapsed();
            }
            f64::from(done) / taken.as_secs_f64()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    rates.iter().sum()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn table() {
    let world = World::new();
    let hot = vec![cookies(&world.session_cookie())];
    let sessions = |number| world.runtime.block_on(stepped_up(&world.step_up, &format!("user-{number}")));
    let many: Vec<_> = (0..1000).map(|number| cookies(&cookie(&sessions(number)))).collect();
    let login = world.runtime.block_on(peers::axum_login());
    let contenders = [
        Contender { name: "bare axum 0.8", router: bare_router(), cookies: hot.clone() },
        Contender { name: "ours: both, one hot token", router: guarded(&world.step_up), cookies: hot },
        Contender { name: "ours: both, 1000 tokens", router: guarded(&world.step_up), cookies: many },
        Contender { name: "axum-login, one hot session", router: login.router, cookies: vec![login.cookies] },
    ];
    let mut rates = vec![(Vec::new(), Vec::new()); contenders.len()];
    for _ in 0..ROUNDS {
        for (contender, rates) in contenders.iter().zip(&mut rates) {
            rates.0.push(rate(contender, 1));
            rates.1.push(rate(contender, 2));
        }
    }
    println!("| case | requests/s, 1 thread | 2 threads | 2 threads / 1 thread |");
    println!("|---|---|---|---|");
    for (contender, (one, two)) in contenders.iter().zip(rates) {
        let ratio = median(one.iter().zip(&two).map(|(one, two)| two / one).collect());
        println!("| {} | {:.0} | {:.0} | {ratio:.2} |", contender.name, median(one), median(two));
    }
}
