//! What the log of changes spares: sessions that send requests at two processes on one store, with the log and without, and axum-login on
//! the same database. Each process is this program once more, and makes its own requests.

use std::{
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::Router;
use tokio::{runtime::Runtime, task::JoinSet};
use tower::ServiceExt as _;
use tower_step_up::{
    Method, StepUp, Subject,
    store::{Revocation, SqlStore},
};

use crate::{
    cases::ours::guarded,
    change_costs,
    logged_in::LoggedIn,
    requests::{Template, cookies},
    servers::{self, postgres::Postgres},
    store::TestStore,
    world::{Directory, builder, cookie, stepped_up},
};

/// Of every so many users, one signs in elsewhere and out again in a second.
const ENDS: usize = 1000;
/// What a process remembers if nobody says how much.
const BY_DEFAULT: usize = 10_000;

const PEER: &str = "axum-login 0.18";
const ON_POSTGRES: [&str; 4] = ["log not read", "log read", "log read, 10,000 remembered", PEER];
const ON_SQLITE: [&str; 2] = ["log not read", "log read"];

fn step_up(store: &TestStore, sessions: usize, interval: Duration) -> StepUp {
    builder().store(store.clone()).cached_sessions(sessions).changes_interval(interval).build().unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// So many sessions, each with a request each `each` seconds at one of the two processes.
pub fn table(sessions: usize, seconds: u64, each: f64, only: &str) {
    let server = Postgres::shared().expect("PostgreSQL");
    let directory = Directory(servers::directory("changes", None));
    println!("{sessions} sessions, a request each {each} s, for {seconds} s\n");
    println!("| store | what | requests/s | reads/s | readings/s | p50 us | p99 us | processor | MB a process |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for (store, cases) in [("PostgreSQL", &ON_POSTGRES[..]), ("SQLite", &ON_SQLITE[..])] {
        if !store.contains(only) {
            continue;
        }
        let url = match store {
            "PostgreSQL" => server.url(),
            _ => format!("sqlite://{}/sessions.db", directory.0.display()),
        };
        let (ours, theirs) = (directory.0.join("ours"), directory.0.join("theirs"));
        runtime().block_on(async {
            sign_in(&url, sessions, &ours).await;
            if cases.contains(&PEER) {
                LoggedIn::create_users(&url, sessions).await;
                log_in(&url, sessions, &theirs).await;
            }
        });
        for what in cases {
            let tokens = if *what == PEER { &theirs } else { &ours };
            let node = |number: usize| node(what, &url, number, seconds, each, tokens);
            let lines = [node(0), node(1)].map(|child| {
                let output = child.wait_with_output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                text.split_whitespace().map(|number| number.parse::<f64>().unwrap()).collect::<Vec<_>>()
            });
            let sum = |column: usize| lines.iter().map(|line| line[column]).sum::<f64>();
            println!(
                "| {store} | {what} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} | {:.3} | {:.0} |",
                sum(0),
                sum(1),
                sum(2),
                sum(3) / 2.0,
                sum(4) / 2.0,
                sum(5),
                sum(6) / 2.0,
            );
        }
    }
    runtime().block_on(change_costs::table(&server.url(), &format!("sqlite://{}/costs.db", directory.0.display())));
}

async fn sign_in(url: &str, sessions: usize, tokens: &Path) {
    let store = TestStore::over(SqlStore::connect(url).await.unwrap());
    let step_up = step_up(&store, 100, Duration::ZERO);
    let one = async |number: usize| cookie(&stepped_up(&step_up, &format!("user-{number}")).await);
    write(sessions, tokens, one).await;
}

async fn log_in(url: &str, sessions: usize, tokens: &Path) {
    let peer = LoggedIn::over(url).await;
    write(sessions, tokens, async |number: usize| peer.log_in(number).await).await;
}

/// A cookie in each line, a few made at a time.
async fn write(sessions: usize, tokens: &Path, one: impl AsyncFn(usize) -> String) {
    let mut text = String::new();
    for first in (0..sessions).step_by(8) {
        let some = (first..sessions.min(first + 8)).map(|number| one(number));
        for cookie in futures_util::future::join_all(some).await {
            text.push_str(&cookie);
            text.push('\n');
        }
    }
    fs::write(tokens, text).unwrap();
}

fn node(what: &str, url: &str, number: usize, seconds: u64, each: f64, tokens: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["serve-changes", what, url, &number.to_string(), &seconds.to_string(), &each.to_string()]);
    command.arg(tokens).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What a process serves.
#[derive(Clone)]
enum Node {
    Ours(StepUp, TestStore),
    Theirs(LoggedIn),
}

impl Node {
    async fn new(what: &str, url: &str, sessions: usize) -> Self {
        if what == PEER {
            return Self::Theirs(LoggedIn::over(url).await);
        }
        let store = TestStore::over(SqlStore::connect(url).await.unwrap());
        let interval = Duration::from_millis(if what == "log not read" { 0 } else { 200 });
        let remembered = if what.ends_with("remembered") { BY_DEFAULT } else { 2 * sessions };
        Self::Ours(step_up(&store, remembered, interval), store)
    }

    fn router(&self) -> Router {
        match self {
            Self::Ours(step_up, _) => guarded(step_up),
            Self::Theirs(peer) => peer.router.clone(),
        }
    }

    fn take_reads(&self) -> usize {
        match self {
            Self::Ours(_, store) => {
                store.take_calls();
                store.take_reads()
            }
            Self::Theirs(peer) => peer.take_reads(),
        }
    }

    fn readings(&self) -> usize {
        match self {
            Self::Ours(_, store) => store.readings(),
            Self::Theirs(_) => 0,
        }
    }

    /// What changes beside the requests: somebody signs in elsewhere, and out again.
    async fn end_one(&self, user: usize) {
        match self {
            Self::Ours(step_up, _) => {
                let subject = Subject::new(format!("user-{user}")).unwrap();
                let signed_in = step_up.sign_in(subject.clone(), Method::Password).await.unwrap();
                step_up.revoke(&subject, Revocation::One(signed_in.session().id())).await.unwrap();
            }
            Self::Theirs(peer) => peer.log_out(&peer.log_in(user).await).await,
        }
    }
}

/// One of the two processes.
pub fn serve(what: &str, url: &str, number: usize, seconds: u64, each: f64, tokens: &str) {
    let tokens = fs::read_to_string(tokens).unwrap();
    let templates: Vec<Template> = tokens.lines().map(|cookie| Template::new(Some(&cookies(cookie)))).collect();
    runtime().block_on(async {
        let node = Node::new(what, url, templates.len()).await;
        let router = node.router();
        let empty = memory();
        // Every session has been here before.
        ask(&router, &templates[0]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        for template in &templates {
            ask(&router, template).await;
        }
        let full = memory();
        let (mut times, mut reads, readings) = (Vec::new(), 0, node.readings());
        assert!(node.take_reads() > 0);
        let ending = tokio::spawn(end_some(node.clone(), templates.len(), number));
        let (begun, before) = (Instant::now(), processor());
        let rate = templates.len() as f64 / each / 2.0;
        let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ number as u64;
        while begun.elapsed() < Duration::from_secs(seconds) {
            let due = (begun.elapsed().as_secs_f64() * rate) as usize;
            // A process that cannot keep up does what it can.
            while times.len() < due && begun.elapsed() < Duration::from_secs(seconds) {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let template = &templates[(random >> 33) as usize % templates.len()];
                let asked = Instant::now();
                ask(&router, template).await;
                times.push(asked.elapsed());
            }
            reads += node.take_reads();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ending.abort();
        let (took, used) = (begun.elapsed().as_secs_f64(), processor() - before);
        times.sort_unstable();
        let at = |part: f64| times[(times.len() as f64 * part) as usize].as_secs_f64() * 1e6;
        println!(
            "{} {} {} {} {} {} {}",
            times.len() as f64 / took,
            reads as f64 / took,
            (node.readings() - readings) as f64 / took,
            at(0.5),
            at(0.99),
            used / took,
            full - empty,
        );
    });
}

async fn ask(router: &Router, template: &Template) {
    let answer = router.clone().oneshot(template.request()).await.unwrap();
    assert_eq!(answer.status(), http::StatusCode::OK);
}

async fn end_some(node: Node, sessions: usize, number: usize) {
    let mut every = tokio::time::interval(Duration::from_secs_f64(2.0 * ENDS as f64 / sessions as f64));
    let mut tasks = JoinSet::new();
    for user in (number..sessions).step_by(2) {
        every.tick().await;
        let node = node.clone();
        tasks.spawn(async move { node.end_one(user).await });
    }
}

/// Seconds of processor time that this process has used.
fn processor() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: f64 = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

/// Megabytes of memory that this process has now.
fn memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1024.0
}
