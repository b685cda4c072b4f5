//! A storm of step-ups on a server that is killed at random moments, again and again: whatever happened, it happened once and whole.

mod server;

use std::{
    collections::{HashMap, HashSet},
    env,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::Method as Verb;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use self::server::{CODES, Pool, TOTP_SECRET, lookup_code};
use crate::{
    client::{Client, messages},
    program::{self, Program},
    servers::{self, free_port, postgres::Postgres, redis::Redis},
};

const USERS: usize = 60;
const WORKERS: usize = 12;
const KILLS: usize = 8;

/// What the clients know.
#[derive(Default)]
struct Seen {
    step_ups: usize,
    /// Submissions of which nobody knows what became of them, since the server was killed.
    cut: usize,
    /// Those of them whose code turned out to be used up.
    cut_but_applied: usize,
    /// Those of them that were answered when they were sent once more.
    answered_after_a_kill: usize,
    accepted: HashSet<(usize, usize)>,
    next_code: HashMap<usize, usize>,
    transfers: Vec<String>,
}

struct Storm {
    url: String,
    seen: Mutex<Seen>,
    over: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_sqlite() {
    let directory = servers::directory("storm", None);
    blow("SQLite", &format!("sqlite://{}/storm.db", directory.display()), None).await;
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_postgres() {
    let Some(server) = Postgres::shared() else { return };
    blow("PostgreSQL", &server.url(), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_postgres_with_flows_in_redis() {
    let (Some(server), Some(flows)) = (Postgres::shared(), Redis::start(free_port())) else { return };
    blow("PostgreSQL with flows in Redis", &server.url(), Some(&flows.url())).await;
}

async fn blow(name: &str, store: &str, flows: Option<&str>) {
    server::seed(store, USERS).await;
    let address = format!("127.0.0.1:{}", free_port());
    let mut server = start(store, flows, &address);
    let url = server.url();
    let shared = Arc::new(Storm { url, seen: Mutex::default(), over: AtomicBool::new(false) });
    let workers: Vec<_> = (0..WORKERS).map(|worker| tokio::spawn(work(Arc::clone(&shared), worker))).collect();
    for _ in 0..KILLS {
        sleep(Duration::from_millis(150 + u64::try_from(Uuid::new_v4().as_u128() % 500).unwrap())).await;
        server.kill();
        server = start(store, flows, &address);
        server.url();
    }
    sleep(Duration::from_millis(300)).await;
    shared.over.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
    check(name, &shared, &Pool::open(store).await).await;
}

/// This very test executable, as the server.
fn start(store: &str, flows: Option<&str>, address: &str) -> Program {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "storm::server::serve", "--nocapture", "--test-threads=1"]);
    Program::start(
        command.env("STORM_STORE", store).env("STORM_ADDR", address).envs(flows.map(|url| ("STORM_FLOWS", url))),
    )
}

/// Users of its own, one code after the other.
async fn work(storm: Arc<Storm>, worker: usize) {
    for number in 0..CODES - 1 {
        for user in (worker..USERS).step_by(WORKERS) {
            if storm.over.load(Ordering::SeqCst) {
                return;
            }
            storm.seen.lock().unwrap().next_code.insert(user, number + 1);
            storm.step_up(user, number).await;
        }
    }
}

impl Storm {
    /// Proves a code, begun anew as often as it takes until it is known what became of it. Then a transfer.
    async fn step_up(&self, user: usize, number: usize) {
        // The same code each time, also when the app shows another by then.
        let code = code(user, number);
        let mut cut = false;
        loop {
            let mut client = self.enter(user).await;
            match self.prove(&client, code.clone()).await {
                Some((200, body)) => {
                    client.take_token(&body);
                    self.accept(user, number);
                    return self.transfer(&client).await;
                }
                Some((400, body)) => {
                    let why = messages(&body);
                    assert!(why == [4_000_008] || why == [4_000_012], "{body}");
                    assert!(cut, "a code that nobody used is refused: user {user}, code {number}");
                    self.seen.lock().unwrap().cut_but_applied += 1;
                    return;
                }
                Some((status, body)) => panic!("user {user}, code {number}: {status} {body}"),
                None => cut = true,
            }
        }
    }

    fn accept(&self, user: usize, number: usize) {
        let mut seen = self.seen.lock().unwrap();
        seen.step_ups += 1;
        assert!(seen.accepted.insert((user, number)), "a code was accepted twice");
    }

    /// Asks until there is an answer.
    async fn ask(&self, client: &Client, verb: Verb, path: &str) -> (u16, Value) {
        loop {
            if let Some(answer) = client.try_send(verb.clone(), &format!("{}{path}", self.url), None).await {
                return answer;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn enter(&self, user: usize) -> Client {
        let mut client = Client::new();
        let (status, body) = self.ask(&client, Verb::POST, &format!("/enter/{user}")).await;
        assert_eq!(status, 200, "{body}");
        client.take_token(&body);
        client
    }

    async fn prove(&self, client: &Client, code: Value) -> Option<(u16, Value)> {
        let (status, body) = self.ask(client, Verb::GET, "/self-service/login/api?aal=aal2").await;
        assert_eq!(status, 200, "{body}");
        let url = format!("{}/self-service/login?flow={}", self.url, body["id"].as_str().unwrap());
        if let Some(answer) = client.try_send(Verb::POST, &url, Some(code.clone())).await {
            return Some(answer);
        }
        // No answer: the very same form again, with the same token, as a client does that knows no better.
        self.seen.lock().unwrap().cut += 1;
        loop {
            match client.try_send(Verb::POST, &url, Some(code.clone())).await {
                Some((200, body)) => {
                    self.seen.lock().unwrap().answered_after_a_kill += 1;
                    return Some((200, body));
                }
                // The server was away for too long.
                Some((401 | 403, _)) => return None,
                Some(answer) => return Some(answer),
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// The session outlives the server, so it is sent until it is answered.
    async fn transfer(&self, client: &Client) {
        let key = Uuid::new_v4().to_string();
        let (status, body) = self.ask(client, Verb::POST, &format!("/transfer/{key}")).await;
        assert_eq!(status, 200, "{body}");
        self.seen.lock().unwrap().transfers.push(key);
    }
}

/// What the user submits: the first from an app, the others from paper.
fn code(user: usize, number: usize) -> Value {
    match number {
        0 => json!({ "method": "totp", "totp_code": program::code(TOTP_SECRET) }),
        _ => json!({ "method": "lookup_secret", "lookup_secret": lookup_code(user, number) }),
    }
}

async fn check(name: &str, storm: &Storm, pool: &Pool) {
    let seen = std::mem::take(&mut *storm.seen.lock().unwrap());
    assert!(seen.step_ups >= 2 * KILLS, "only {} step-ups: this was no storm", seen.step_ups);

    // Every session at aal2 has used up a code, and every code that was used up has made a session.
    let mut sessions: HashMap<String, usize> = HashMap::new();
    let mut by_totp: HashMap<String, usize> = HashMap::new();
    for (subject, proofs) in pool.pairs("SELECT subject, proofs FROM step_up_sessions").await {
        for (method, count) in [("lookup_secret", &mut sessions), ("totp", &mut by_totp)] {
            if proofs.contains(&format!("\"{method}\"")) {
                *count.entry(subject.clone()).or_default() += 1;
            }
        }
    }
    let used = "SELECT c.subject, CAST(count(*) AS TEXT) FROM step_up_secrets s \
                JOIN step_up_credentials c ON c.id = s.credential WHERE s.used_at IS NOT NULL GROUP BY c.subject";
    let used: HashMap<_, _> =
        pool.pairs(used).await.into_iter().map(|(subject, count)| (subject, count.parse::<usize>().unwrap())).collect();
    assert_eq!(sessions, used, "sessions at aal2 and codes used up differ");
    assert!(by_totp.values().all(|&count| count == 1), "a TOTP code made two sessions: {by_totp:?}");
    let total = used.values().sum::<usize>() + by_totp.len();
    assert_eq!(total, seen.step_ups + seen.cut_but_applied, "what was used up and what the clients saw differ");

    let stored: HashSet<_> =
        pool.pairs("SELECT key, subject FROM storm_transfers").await.into_iter().map(|(key, _)| key).collect();
    for key in &seen.transfers {
        assert!(stored.contains(key), "a transfer was lost");
    }
    assert_eq!(stored.len(), seen.transfers.len(), "a transfer was made that nobody knows of");

    // What was accepted is refused from now on, and nobody is locked out.
    let mut replayed = 0;
    for user in 0..USERS {
        let client = storm.enter(user).await;
        let numbers = (1..CODES).filter(|&number| seen.accepted.contains(&(user, number)));
        for number in numbers.take(2) {
            let (status, body) = storm.prove(&client, code(user, number)).await.unwrap();
            assert_eq!((status, messages(&body)), (400, vec![4_000_012]), "{body}");
            replayed += 1;
        }
        let next = seen.next_code.get(&user).copied().unwrap_or_default().max(1);
        let (status, body) = storm.prove(&client, code(user, next)).await.unwrap();
        assert_eq!(status, 200, "user {user} is locked out: {body}");
    }
    println!(
        "storm on {name}: {KILLS} kills, {} step-ups, {} submissions cut off of which {} were answered when sent again and {} had \
         been applied unseen, {} transfers; \
         {total} sessions at aal2 for {total} codes used up, {replayed} replays refused, {USERS} users not locked out",
        seen.step_ups,
        seen.cut,
        seen.answered_after_a_kill,
        seen.cut_but_applied,
        seen.transfers.len(),
    );
}
