//! The same servers over sockets, loaded by `wrk` in turn. Each server is this program once more, with one thread; `wrk` has the other.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
};

use axum::Router;
use tokio::net::TcpListener;

use crate::{
    cases::{
        bare_router,
        limits::{Limit, NoOp},
        ours::guarded,
        peers,
    },
    requests::cookies,
    world::World,
};

const NAMES: [&str; 8] =
    ["bare", "no-op", "limit", "limit, same headers", "ours", "tower-sessions", "axum-login", "by-hand"];
const ROUNDS: usize = 8;
const SECONDS: &str = "2s";

/// A server of this program. It ends when its input does.
pub struct Served {
    child: Child,
    input: Option<ChildStdin>,
    pub address: String,
    /// What else it said: the cookies that it knows.
    pub said: String,
}

impl Served {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || lines.next().unwrap().unwrap();
        Self { address: line(), said: line(), input: child.stdin.take(), child }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.input.take());
        let _status = self.child.wait();
    }
}

/// Serves the router until the input ends.
pub fn until_input_ends(runtime: &tokio::runtime::Runtime, router: Router, say: &str) {
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}\n{say}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().lines().count());
        let _lines = ended.await;
    });
}

pub fn serve(name: &str) {
    let world = World::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let own = cookies(&world.session_cookie());
    let limit = || Limit::cached([world.kim.token().as_str()].into_iter());
    let peer = |peer: peers::Peer| (peer.router, peer.cookies);
    let (router, cookies) = match name {
        "bare" => (bare_router(), own),
        "no-op" => (bare_router().layer(NoOp), own),
        "limit" => (bare_router().layer(limit()), own),
        "limit, same headers" => {
            let private = [
                (http::header::CACHE_CONTROL, "private, no-cache, no-store, must-revalidate"),
                (
                    http::header::VARY,
                    "Cookie, Authorization, X-Session-Token, Accept, HX-Request, X-Requested-With, Sec-Fetch-Mode, Sec-Fetch-Dest, Sec-Fetch-Site",
                ),
            ];
            let router = Router::new().route("/", axum::routing::get(async move || (private, "all payments")));
            (router.layer(limit()), own)
        }
        "ours" => (guarded(&world.step_up), own),
        "tower-sessions" => peer(runtime.block_on(peers::tower_sessions())),
        "axum-login" => peer(runtime.block_on(peers::axum_login())),
        "by-hand" => peer(peers::by_hand(&world)),
        _ => panic!("one of {NAMES:?}"),
    };
    until_input_ends(&runtime, router, &cookies);
}

/// Requests a second.
pub fn wrk(url: &str, cookies: &str, seconds: &str) -> f64 {
    let cookie = format!("Cookie: {cookies}");
    let output = Command::new("wrk")
        .args(["-t1", "-c16", "-d", seconds, "-H", &cookie, "-H", "Accept: text/html,*/*;q=0.8", url])
        .output()
        .expect("wrk is not installed");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("Non-2xx"), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    line.and_then(|rate| rate.trim().parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

pub fn table() {
    let servers: Vec<_> = NAMES.iter().map(|name| Served::start(&["serve", name])).collect();
    let mut rates = vec![Vec::new(); servers.len()];
    for round in 0..=ROUNDS {
        for place in 0..servers.len() {
            // Another order each time.
            let index = (place + round) % servers.len();
            let server = &servers[index];
            let rate = wrk(&format!("http://{}/", server.address), &server.said, SECONDS);
            // The first round warms up.
            if round > 0 {
                rates[index].push(rate);
            }
        }
    }
    println!("| server | requests/s | of bare | lowest and highest of {ROUNDS} rounds |");
    println!("|---|---|---|---|");
    for (name, own) in NAMES.iter().zip(&rates) {
        let mut ratios: Vec<_> = own.iter().zip(&rates[0]).map(|(own, bare)| own / bare).collect();
        let mut own = own.clone();
        ratios.sort_by(f64::total_cmp);
        own.sort_by(f64::total_cmp);
        let middle = ratios.len() / 2;
        println!(
            "| {name} | {:.0} | {:.3} | {:.3}-{:.3} |",
            own[middle],
            ratios[middle],
            ratios[0],
            ratios[ratios.len() - 1]
        );
    }
}
