//! Two processes on one store, of which one ends sessions while all that can go wrong between the other and the store goes wrong: whatever
//! request begins later than `standing_max_age` after the end of its session is not served.

mod proxy;
mod server;

use std::{
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reqwest::Method;
use sqlx::PgPool;
use tokio::{task::JoinSet, time::sleep};

use self::{
    proxy::Proxy,
    server::{STANDING, start},
};
use crate::{
    client::Client,
    program::Program,
    servers::{self, postgres::Postgres},
};

/// When a request began, and the status of its answer; zero if there was none.
type Seen = (Instant, u16);

struct Nodes {
    one: String,
    other: String,
    other_process: Program,
    _one_process: Program,
}

impl Nodes {
    fn start(one: &str, other: &str) -> Self {
        let (mut one_process, mut other_process) = (start(one), start(other));
        let (one, other) = (one_process.url(), other_process.url());
        Self { one, other, other_process, _one_process: one_process }
    }

    async fn enter(&self, user: &str) -> Client {
        let mut client = Client::new();
        let (status, body) = client.send(Method::POST, &format!("{}/enter/{user}", self.one), None).await;
        assert_eq!(status, 200, "{body}");
        client.take_token(&body);
        client
    }

    /// Ends the user's sessions at the one node, asked as often as it takes.
    async fn end(&self, user: &str) {
        let url = format!("{}/end/{user}", self.one);
        while !matches!(Client::new().try_send(Method::POST, &url, None).await, Some((200, _))) {
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn sees(&self, client: &Client) -> u16 {
        client.try_send(Method::GET, &format!("{}/see", self.other), None).await.map_or(0, |(status, _)| status)
    }

    /// Until the other node serves the session from what the log vouches for: it was read, and longer ago than is believed without one.
    async fn is_believed(&self, client: &Client) {
        let begun = Instant::now();
        while begun.elapsed() < STANDING * 2 {
            assert_eq!(self.sees(client).await, 200);
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn recovers(&self, alive: &Client, dead: &Client) {
        let begun = Instant::now();
        while self.sees(alive).await != 200 {
            assert!(begun.elapsed() < Duration::from_secs(60), "the node does not recover");
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(self.sees(dead).await, 401);
    }

    /// Sends requests at the other node, a new one every few milliseconds, whatever became of those before.
    async fn watch(&self, client: &Client, during: Duration) -> Vec<Seen> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (start, mut requests) = (Instant::now(), JoinSet::new());
        while start.elapsed() < during {
            let (client, url, seen) = (client.clone(), format!("{}/see", self.other), Arc::clone(&seen));
            requests.spawn(async move {
                let began = Instant::now();
                let status = client.try_send(Method::GET, &url, None).await.map_or(0, |(status, _)| status);
                seen.lock().unwrap().push((began, status));
            });
            sleep(Duration::from_millis(10)).await;
        }
        requests.join_all().await;
        std::mem::take(&mut *seen.lock().unwrap())
    }
}

/// One user's session ends at the one node while something happens to the other, and the promise holds.
async fn ends_while(nodes: &Nodes, what: &str, happens: impl AsyncFnOnce(), then: impl AsyncFnOnce()) {
    let keeper = nodes.enter("keeper").await;
    let gone = nodes.enter(&format!("gone {what}").replace(' ', "-")).await;
    tokio::join!(nodes.is_believed(&gone), nodes.is_believed(&keeper));
    let watching = nodes.watch(&gone, STANDING * 3);
    let ending = async {
        happens().await;
        nodes.end(&format!("gone {what}").replace(' ', "-")).await;
        Instant::now()
    };
    let (seen, ended) = tokio::join!(watching, ending);
    let served = seen.iter().filter(|(_, status)| *status == 200).map(|(began, _)| *began).max();
    let longest = served.map_or(Duration::ZERO, |began| began.saturating_duration_since(ended));
    assert!(longest <= STANDING, "{what}: the session was served {longest:?} after its end");
    assert!(seen.iter().any(|(began, _)| *began > ended + STANDING), "{what}: nobody asked late enough");
    println!("{what}: the last request that was served began {longest:?} after the session's end");
    then().await;
    nodes.recovers(&keeper, &gone).await;
}

fn signal(name: &str, pids: &[i32]) {
    for pid in pids {
        // One that has ended meanwhile is none.
        let _gone = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_ended_is_not_served_on_postgres() {
    let Some(server) = Postgres::start() else { return };
    let url = server.url();
    let watcher = PgPool::connect(&url).await.unwrap();
    sqlx::query("CREATE ROLE other SUPERUSER LOGIN").execute(&watcher).await.unwrap();
    let proxy = Proxy::to(server.port()).await;
    let other = url.replace("step_up@", "other@").replace(&server.port().to_string(), &proxy.port.to_string());
    let nodes = Nodes::start(&url, &other);
    let backends = async || -> Vec<i32> {
        let backends = "SELECT pid FROM pg_stat_activity WHERE usename = 'other'";
        sqlx::query_scalar(backends).fetch_all(&watcher).await.unwrap()
    };

    ends_while(&nodes, "nothing", async || (), async || ()).await;
    ends_while(&nodes, "a network that swallows", async || proxy.swallows(true), async || proxy.swallows(false)).await;
    ends_while(&nodes, "connections that are cut", async || proxy.cuts(), async || ()).await;
    let stopped = backends().await;
    ends_while(&nodes, "stopped backends", async || signal("STOP", &stopped), async || signal("CONT", &stopped)).await;
    let process = nodes.other_process.id();
    let stop = async || {
        signal("STOP", &[process]);
        sleep(STANDING / 4).await;
    };
    let go_on = async || ();
    let resume = tokio::spawn(async move {
        sleep(STANDING * 7).await;
        signal("CONT", &[process]);
    });
    ends_while(&nodes, "a stopped process", stop, go_on).await;
    resume.await.unwrap();
    let killed = backends().await;
    ends_while(&nodes, "a killed backend", async || signal("KILL", &killed[..1]), async || ()).await;
}

/// The whole server stops right after it has ended the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_ended_is_not_served_while_the_server_is_stopped() {
    let Some(server) = Postgres::start() else { return };
    let url = server.url();
    let watcher = PgPool::connect(&url).await.unwrap();
    let nodes = Nodes::start(&url, &url);
    let (keeper, gone) = (nodes.enter("keeper").await, nodes.enter("gone").await);
    tokio::join!(nodes.is_believed(&gone), nodes.is_believed(&keeper));
    let backends: Vec<i32> = sqlx::query_scalar("SELECT pid FROM pg_stat_activity").fetch_all(&watcher).await.unwrap();
    nodes.end("gone").await;
    let ended = Instant::now();
    signal("STOP", &backends);
    let seen = nodes.watch(&gone, STANDING * 3).await;
    let late = seen.iter().filter(|(began, status)| *began > ended + STANDING && *status == 200).count();
    assert_eq!(late, 0, "the session was served though it could not be known");
    signal("CONT", &backends);
    nodes.recovers(&keeper, &gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_ended_is_not_served_on_sqlite() {
    let directory = servers::directory("changes", None);
    let url = format!("sqlite://{}/nodes.db", directory.display());
    let nodes = Nodes::start(&url, &url);
    ends_while(&nodes, "nothing", async || (), async || ()).await;
    let process = nodes.other_process.id();
    let resume = tokio::spawn(async move {
        sleep(STANDING * 7).await;
        signal("CONT", &[process]);
    });
    ends_while(&nodes, "a stopped process", async || signal("STOP", &[process]), async || ()).await;
    resume.await.unwrap();
    drop(nodes);
    std::fs::remove_dir_all(directory).unwrap();
}
