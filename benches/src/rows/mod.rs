//! What calls cost when a database has many sessions and many expired flows, and what each of them takes on disk.
//!
//! The rows are copies of some that the store has written, with ids, subjects and times of their own. Everything is measured on rows picked
//! at random. The clock is turned on for what has expired: no row is touched for it.

mod base;

use std::time::{Duration, Instant};

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_step_up::{
    Method, RequiredAal, StepUp, Subject,
    clock::Clock as _,
    session::BindingKey,
    store::{Changes, FlowId, FlowStore as _, SqlStore, StoredFlow, SubjectStore as _},
    test_util::FixedClock,
};

use self::base::Base;
use crate::{
    cases::flows::{TOTP_SECRET, code},
    requests::Template,
    servers::{self, postgres::Postgres},
    store::TestStore,
    world::{Directory, altered, builder, now},
};

const DAY: Duration = Duration::from_secs(86_400);
/// How many calls of each kind are measured.
const CALLS: usize = 1000;
/// What is removed before it is measured again how long a removal takes.
const REMOVED: usize = 300_000;

/// Prints a line for each kind of call, for each number of sessions. `flows` is how many expired flows there are for each session.
pub fn table(sessions: &[u64], flows: u64, filter: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    println!("| store | sessions | flows | call | p50 us | p99 us | longest us |");
    println!("|---|---|---|---|---|---|---|");
    for name in ["PostgreSQL", "SQLite"] {
        for &sessions in sessions {
            let (name, flows) = (name.to_owned(), flows * sessions);
            if name.contains(filter) {
                // In a task, as in a server.
                let all = runtime.spawn(async move { measure(&name, sessions, flows).await });
                runtime.block_on(all).unwrap();
            }
        }
    }
}

async fn measure(name: &str, sessions: u64, flows: u64) {
    let directory = Directory(servers::directory("rows", None));
    // Large tables are filled without a log of what was written, which this program does not need.
    let settings = ["shared_buffers=2GB", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=4GB"];
    let server = (name == "PostgreSQL").then(|| Postgres::start_with(&settings).expect("PostgreSQL"));
    let url = match &server {
        Some(server) => server.url(),
        None => format!("sqlite://{}/rows.db", directory.0.display()),
    };
    Site::open(&url).await.write_one_of_each().await;
    let mut base = Base::open(&url).await;
    eprintln!("filling {name} with {sessions} sessions and {flows} flows");
    let begun = Instant::now();
    base.fill(sessions, flows, now().unix_milliseconds()).await;
    eprintln!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    let site = Site::open(&url).await;
    site.step_ups(&["kim".to_owned()]).await;
    for line in base.sizes(sessions, flows).await {
        println!("{name}, {sessions} sessions, {flows} flows: {line}");
    }
    let print = |call: &str, mut times: Vec<Duration>| {
        times.sort_unstable();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
        println!("| {name} | {sessions} | {flows} | {call} | {:.0} | {:.0} | {:.0} |", at(0.5), at(0.99), at(1.0));
    };
    let some = base.some_sessions(CALLS, sessions).await;
    print("read a session", site.whoami(&some).await);
    let users = base.some_subjects(CALLS, sessions);
    let (sign_ins, begins, submits) = site.step_ups(&users).await;
    print("sign in", sign_ins);
    print("begin", begins);
    print("submit", submits);
    print("read the log of changes", site.read_log().await);

    // Flows may go a day after they have expired.
    site.clock.advance(DAY + DAY / 4);
    let (_, begins, _) = site.step_ups(&base.some_subjects(CALLS, sessions)).await;
    print("begin, removing flows", begins);
    let begun = Instant::now();
    let removed = site.remove(flows).await;
    eprintln!("{removed} flows were begun, to remove others, in {:.1} s", begun.elapsed().as_secs_f64());
    let (_, begins, _) = site.step_ups(&base.some_subjects(CALLS, sessions)).await;
    print("begin, after many were removed", begins);
    if base.hold_snapshot().await {
        site.remove(flows).await;
        let (_, begins, _) = site.step_ups(&base.some_subjects(CALLS, sessions)).await;
        print("begin, the same while a transaction stays open", begins);
    }
    let everybody = (site.store.clone(), site.clock.now());
    let ending = tokio::spawn(async move { everybody.0.revoke_everyone(everybody.1).await });
    // What began before it ends with it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (_, begins, _) = site.step_ups(&base.some_subjects(CALLS / 4, sessions)).await;
    ending.abort();
    print("begin, while the sessions of everybody end", begins);
    // By now all the sessions have expired.
    site.clock.advance(4 * DAY);
    let (sign_ins, ..) = site.step_ups(&base.some_subjects(CALLS, sessions)).await;
    print("sign in, removing sessions", sign_ins);
    base.close().await;
}

/// A server with its own clock.
struct Site {
    store: TestStore,
    step_up: StepUp,
    router: Router,
    clock: FixedClock,
    token: std::sync::Mutex<String>,
}

impl Site {
    async fn open(url: &str) -> Self {
        let store = TestStore::over(SqlStore::connect(url).await.unwrap());
        let clock = FixedClock::new(now());
        // Each request reads the store. The proofs of copied sessions name a credential that others do not have.
        let step_up = builder()
            .whoami_required_aal(RequiredAal::Aal1)
            .clock(clock.clone())
            .standing_max_age(Duration::ZERO)
            .changes_interval(Duration::ZERO)
            .store(store.clone())
            .build()
            .unwrap();
        let router = step_up.router().layer(step_up.layer());
        Self { store, step_up, router, clock, token: std::sync::Mutex::default() }
    }

    /// The rows that are copied: a subject with an app, stepped up, and the flow that it was done with.
    async fn write_one_of_each(&self) {
        self.step_ups(&["kim".to_owned()]).await;
    }

    async fn send(&self, request: Request<Body>) -> (Duration, Value) {
        let begun = Instant::now();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let took = begun.elapsed();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, StatusCode::OK, "{body:?}");
        (took, serde_json::from_slice(&body).unwrap())
    }

    /// How long they take to sign in, to begin a flow and to submit a code.
    async fn step_ups(&self, users: &[String]) -> (Vec<Duration>, Vec<Duration>, Vec<Duration>) {
        let (mut sign_ins, mut begins, mut submits) = (Vec::new(), Vec::new(), Vec::new());
        for user in users {
            let subject = Subject::new(user.as_str()).unwrap();
            let begun = Instant::now();
            let signed_in = self.step_up.sign_in(subject.clone(), Method::Password).await.unwrap();
            sign_ins.push(begun.elapsed());
            self.step_up.import_totp(&subject, TOTP_SECRET).await.unwrap();
            let token = signed_in.token().as_str();
            let client = Template::new(None).with("accept", "application/json").with("x-session-token", token);
            let way = "/self-service/login/api?aal=aal2&return_to=https%3A%2F%2Fbank.example%2Fpayments%3Fid%3D17";
            let (took, flow) = self.send(client.to("GET", way, Body::empty())).await;
            begins.push(took);
            let path = format!("/self-service/login?flow={}", flow["id"].as_str().unwrap());
            let seconds = u64::try_from(self.clock.now().unix_seconds()).unwrap();
            let body = format!(r#"{{"method":"totp","totp_code":"{}"}}"#, code(seconds));
            let client = client.with("content-type", "application/json");
            let (took, answer) = self.send(client.to("POST", &path, body.into())).await;
            submits.push(took);
            *self.token.lock().unwrap() = answer["session_token"].as_str().unwrap().to_owned();
        }
        (sign_ins, begins, submits)
    }

    /// How long a request of each of these sessions takes: subject, id and binding.
    async fn whoami(&self, sessions: &[(String, String, String)]) -> Vec<Duration> {
        let mut times = Vec::new();
        let template = self.token.lock().unwrap().clone();
        for (subject, id, binding) in sessions {
            let token = altered(&template, |claims| {
                claims["sub"] = subject.as_str().into();
                claims["sid"] = id.as_str().into();
                claims["bnd"] = binding.as_str().into();
            });
            let client = Template::new(None).with("accept", "application/json").with("x-session-token", &token);
            times.push(self.send(client.to("GET", "/sessions/whoami", Body::empty())).await.0);
        }
        times
    }

    async fn read_log(&self) -> Vec<Duration> {
        let place = |changes| match changes {
            Changes::Cut(place) | Changes::Of(_, place) | Changes::OfEverybody(place) => place,
            _ => panic!("a place"),
        };
        let mut last = place(self.store.changes(None).await.unwrap());
        let mut times = Vec::new();
        for _ in 0..CALLS {
            let begun = Instant::now();
            let changes = self.store.changes(Some(&last)).await.unwrap();
            times.push(begun.elapsed());
            last = place(changes);
        }
        times
    }

    /// Begins flows until so many others are gone. Returns how many were begun.
    async fn remove(&self, flows: u64) -> usize {
        let now = self.clock.now();
        let goal = REMOVED.min(usize::try_from(flows).unwrap() / 4);
        let each = base::SWEPT_EACH;
        for _ in 0..goal / each {
            let mut flow = StoredFlow::new(FlowId::random(), now + DAY, "{}");
            flow.binding = Some(BindingKey::random());
            self.store.create_flow(&flow, 5, now).await.unwrap();
        }
        goal / each
    }
}
