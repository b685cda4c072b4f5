//! What the log of changes spares and costs: sessions with a request each ten seconds at two processes on one store, with the log and
//! without; a reading; and a write with the log's triggers and without them. Each process is this program once more, and makes its own
//! requests.

use std::{
    env, fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::Router;
use sqlx::{Executor as _, PgPool, SqlitePool};
use tokio::{runtime::Runtime, task::JoinSet};
use tower::ServiceExt as _;
use tower_step_up::{
    Aal, Method, StepUp, Subject,
    aal::Proof,
    session::StoredSession,
    store::{Changes, Revocation, SqlStore, SubjectStore as _},
};

use crate::{
    cases::ours::guarded,
    requests::{Template, cookies},
    servers::{self, postgres::Postgres},
    store::TestStore,
    world::{Directory, builder, cookie, now, stepped_up},
};

/// Each session sends a request so often, at one of the two processes.
const EACH: Duration = Duration::from_secs(10);
/// Of every so many users, one signs in elsewhere and out again in a second.
const ENDS: usize = 1000;
const WRITES: usize = 3000;

fn step_up(store: &TestStore, sessions: usize, interval: Duration) -> StepUp {
    builder().store(store.clone()).cached_sessions(sessions).changes_interval(interval).build().unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

pub fn table(sessions: usize, seconds: u64) {
    let server = Postgres::shared().expect("PostgreSQL");
    let directory = Directory(servers::directory("changes", None));
    println!("| store | log | sessions | requests/s | reads/s | readings/s | p50 us | p99 us | processor |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for name in ["PostgreSQL", "SQLite"] {
        for log in [false, true] {
            let url = match name {
                "PostgreSQL" => server.url(),
                _ => format!("sqlite://{}/{log}.db", directory.0.display()),
            };
            let tokens = directory.0.join("tokens");
            runtime().block_on(sign_in(&url, sessions, &tokens));
            let node = |number: usize| node(&url, log, number, seconds, &tokens);
            let lines = [node(0), node(1)].map(|child| {
                let output = child.wait_with_output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                text.split_whitespace().map(|number| number.parse::<f64>().unwrap()).collect::<Vec<_>>()
            });
            let sum = |column: usize| lines.iter().map(|line| line[column]).sum::<f64>();
            let (requests, reads, readings, processor) = (sum(0), sum(1), sum(2), sum(5));
            let (p50, p99) = (sum(3) / 2.0, sum(4) / 2.0);
            println!(
                "| {name} | {} | {sessions} | {requests:.0} | {reads:.0} | {readings:.1} | {p50:.1} | {p99:.0} | {processor:.3} |",
                if log { "read" } else { "not read" },
            );
        }
    }
    runtime().block_on(costs(&server.url(), &format!("sqlite://{}/costs.db", directory.0.display())));
}

async fn sign_in(url: &str, sessions: usize, tokens: &std::path::Path) {
    let store = TestStore::over(SqlStore::connect(url).await.unwrap());
    let step_up = step_up(&store, 100, Duration::ZERO);
    let mut text = String::new();
    for first in (0..sessions).step_by(8) {
        let mut set = JoinSet::new();
        for number in first..sessions.min(first + 8) {
            let step_up = step_up.clone();
            set.spawn(async move { cookie(&stepped_up(&step_up, &format!("user-{number}")).await) });
        }
        for cookie in set.join_all().await {
            text.push_str(&cookie);
            text.push('\n');
        }
    }
    fs::write(tokens, text).unwrap();
}

fn node(url: &str, log: bool, number: usize, seconds: u64, tokens: &std::path::Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["serve-changes", url, if log { "200" } else { "0" }, &number.to_string(), &seconds.to_string()]);
    command.arg(tokens).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

/// One of the two processes.
pub fn serve(url: &str, interval: &str, number: usize, seconds: u64, tokens: &str) {
    let interval = Duration::from_millis(interval.parse().unwrap());
    let tokens = fs::read_to_string(tokens).unwrap();
    let templates: Vec<Template> = tokens.lines().map(|cookie| Template::new(Some(&cookies(cookie)))).collect();
    runtime().block_on(async {
        let store = TestStore::over(SqlStore::connect(url).await.unwrap());
        let step_up = step_up(&store, 2 * templates.len(), interval);
        let router = guarded(&step_up);
        // Every session has been here before.
        ask(&router, &templates[0]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        for template in &templates {
            ask(&router, template).await;
        }
        store.take_calls();
        let (mut times, reads, readings) = (Vec::new(), store.take_reads(), store.readings());
        assert!(reads > 0);
        let ending = tokio::spawn(end_some(step_up.clone(), templates.len(), number));
        let (begun, before) = (Instant::now(), processor());
        let rate = templates.len() as f64 / EACH.as_secs_f64() / 2.0;
        let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ number as u64;
        while begun.elapsed() < Duration::from_secs(seconds) {
            let due = (begun.elapsed().as_secs_f64() * rate) as usize;
            while times.len() < due {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let template = &templates[(random >> 33) as usize % templates.len()];
                let asked = Instant::now();
                ask(&router, template).await;
                times.push(asked.elapsed());
            }
            store.take_calls();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ending.abort();
        let (took, used) = (begun.elapsed().as_secs_f64(), processor() - before);
        times.sort_unstable();
        let at = |part: f64| times[(times.len() as f64 * part) as usize].as_secs_f64() * 1e6;
        println!(
            "{} {} {} {} {} {}",
            times.len() as f64 / took,
            store.take_reads() as f64 / took,
            (store.readings() - readings) as f64 / took,
            at(0.5),
            at(0.99),
            used / took,
        );
    });
}

async fn ask(router: &Router, template: &Template) {
    let answer = router.clone().oneshot(template.request()).await.unwrap();
    assert_eq!(answer.status(), http::StatusCode::OK);
}

/// What changes beside the requests: somebody signs in elsewhere, and out again.
async fn end_some(step_up: StepUp, sessions: usize, number: usize) {
    let pause = Duration::from_secs_f64(2.0 * ENDS as f64 / sessions as f64);
    for user in (number..sessions).step_by(2) {
        let subject = Subject::new(format!("user-{user}")).unwrap();
        let signed_in = step_up.sign_in(subject.clone(), Method::Password).await.unwrap();
        step_up.revoke(&subject, Revocation::One(signed_in.session().id())).await.unwrap();
        tokio::time::sleep(pause).await;
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

const TRIGGERS: [(&str, &str); 7] = [
    ("step_up_sessions_deleted", "step_up_sessions"),
    ("step_up_sessions_updated", "step_up_sessions"),
    ("step_up_credentials_changed", "step_up_credentials"),
    ("step_up_credentials_inserted", "step_up_credentials"),
    ("step_up_credentials_deleted", "step_up_credentials"),
    ("step_up_subjects_inserted", "step_up_subjects"),
    ("step_up_subjects_updated", "step_up_subjects"),
];

/// A write with triggers and without, in turns, and a reading.
async fn costs(postgres: &str, sqlite: &str) {
    println!("\n| store | a logout, us | without the triggers | a reading, us | of 1000 changes | bytes a change |");
    println!("|---|---|---|---|---|---|");
    for (name, url) in [("PostgreSQL", postgres), ("SQLite", sqlite)] {
        let with = SqlStore::connect(url).await.unwrap();
        let bare_url = if name == "SQLite" { url.replace("costs", "bare") } else { Postgres::shared().unwrap().url() };
        let bare = SqlStore::connect(&bare_url).await.unwrap();
        for (trigger, table) in TRIGGERS {
            if name == "SQLite" {
                let pool = SqlitePool::connect(&bare_url).await.unwrap();
                pool.execute(sqlx::AssertSqlSafe(format!("DROP TRIGGER IF EXISTS {trigger}"))).await.unwrap();
            } else {
                let pool = PgPool::connect(&bare_url).await.unwrap();
                let drop = format!("DROP TRIGGER IF EXISTS {trigger} ON {table}");
                pool.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
            }
        }
        let mut took = [Vec::new(), Vec::new()];
        for number in 0..WRITES {
            for (store, took) in [&with, &bare].into_iter().zip(&mut took) {
                took.push(log_out(store, number).await);
            }
        }
        let [with_log, without] = took.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64() * 1e6
        });
        let Changes::Cut(place) = with.changes(None).await.unwrap() else { panic!("a place") };
        let nothing = reading(&with, &place).await;
        for number in 0..1000 {
            log_out(&with, number).await;
        }
        let thousand = reading(&with, &place).await;
        let bytes = if name == "SQLite" {
            "?".to_owned()
        } else {
            let pool = PgPool::connect(url).await.unwrap();
            let size =
                "SELECT pg_total_relation_size('step_up_changes')::float8 / count(*)::float8 FROM step_up_changes";
            let bytes: f64 = sqlx::query_scalar(size).fetch_one(&pool).await.unwrap();
            format!("{bytes:.0}")
        };
        println!("| {name} | {with_log:.0} | {without:.0} | {nothing:.0} | {thousand:.0} | {bytes} |");
    }
}

async fn log_out(store: &SqlStore, number: usize) -> Duration {
    let password = Proof::new(Method::Password, Aal::Aal1, now());
    let subject = Subject::new(format!("user-{number}")).unwrap();
    let session = StoredSession::new(subject.clone(), password, now(), Duration::from_secs(3600));
    store.create_session(&session).await.unwrap();
    let begun = Instant::now();
    assert_eq!(store.revoke(&subject, Revocation::One(session.id())).await.unwrap(), 1);
    begun.elapsed()
}

async fn reading(store: &SqlStore, place: &tower_step_up::store::LogPlace) -> f64 {
    let mut times = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        let _changes = store.changes(Some(place)).await.unwrap();
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
