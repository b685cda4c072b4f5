//! `SqlStore` on `PostgreSQL`: the kit, and what only a server can show.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Executor as _, PgPool, postgres::PgPoolOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tower_step_up::{
    Aal, Method, Subject,
    aal::{CredentialId, Proof},
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession},
    standing::CredentialSummary,
    store::{
        AttemptKey, AttemptPolicy, Completed, Completion, Credential, CredentialChange, FlowId, FlowStore, Revocation,
        Rotation, SqlStore, StoreErrorKind, StoredFlow, StoredSecret, SubjectStore, contract,
    },
};

use crate::{
    servers::postgres::Postgres,
    sql::{
        HOUR, NOW, assert_counters_stay, assert_credentials_stay, assert_flow_stays, assert_sessions_stay, flow, kim,
        kind, migrations, step,
    },
    turns::Turns,
};

async fn turns(server: &Postgres, stores: usize) -> Turns<SqlStore> {
    let url = server.url();
    let mut opened = Vec::new();
    for _ in 0..stores {
        opened.push(SqlStore::connect(&url).await.unwrap());
    }
    Turns::new(opened)
}

/// A pool as an application might have it.
async fn pool(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(3).acquire_timeout(Duration::from_secs(1)).connect(url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_keeps_the_contract() {
    let Some(server) = Postgres::shared() else { return };
    contract::run(|| turns(server, 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_stores_on_one_database_keep_the_contract() {
    let Some(server) = Postgres::shared() else { return };
    contract::run(|| turns(server, 2)).await;
}

fn session() -> StoredSession {
    StoredSession::new(kim(), Proof::new(Method::Password, Aal::Aal1, NOW), NOW, 24 * HOUR)
}

fn stepped_up(old: &StoredSession) -> StoredSession {
    old.renewed(Proof::new(Method::Totp, Aal::Aal2, NOW), NOW, 24 * HOUR, None)
}

fn key() -> AttemptKey {
    AttemptKey { subject: kim(), method: Method::Totp }
}

async fn enrolled(store: &SqlStore) -> Credential {
    let summary = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
    let credential = Credential::new(summary, NOW)
        .with_data(vec![1, 2, 3])
        .with_secrets(vec![StoredSecret { hash: [4; 32], used_at: None }]);
    let mut completion = Completion::new(kim(), NOW);
    completion.credentials = vec![CredentialChange::Replace(credential.clone())];
    assert_eq!(store.complete(&completion).await.unwrap(), Completed::Done);
    credential
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_that_start_together_make_the_tables_once() {
    let Some(server) = Postgres::shared() else { return };
    for _ in 0..3 {
        let url = server.url();
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { SqlStore::connect(&url).await })
            })
            .collect();
        for (number, store) in opening.into_iter().enumerate() {
            let store = store.await.unwrap().unwrap();
            store.create_session(&session()).await.unwrap();
            assert_eq!(store.sessions(&kim(), NOW).await.unwrap().len(), number + 1);
        }
        let applied = sqlx::query_scalar("SELECT count(*) FROM step_up_migrations");
        let applied: i64 = applied.fetch_one(&pool(&url).await).await.unwrap();
        assert_eq!(applied, migrations("postgres"));
    }
}

#[tokio::test]
async fn it_lives_beside_an_applications_tables_and_migrations() {
    let Some(server) = Postgres::shared() else { return };
    let pool = pool(&server.url()).await;
    pool.execute(
        "CREATE TABLE sessions (id TEXT); CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY); \
         INSERT INTO _sqlx_migrations VALUES (1)",
    )
    .await
    .unwrap();
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    let app = enrolled(&store).await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    assert_eq!(store.credentials(&kim()).await.unwrap().len(), 1, "nothing was dropped");
    let foreign: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
         AND relkind IN ('r', 'i', 'S') AND relname NOT LIKE 'step\\_up\\_%' ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(foreign, ["_sqlx_migrations", "_sqlx_migrations_pkey", "sessions"]);
    let mut removal = Completion::new(kim(), NOW);
    removal.credentials = vec![CredentialChange::Remove(app.summary.id)];
    assert_eq!(store.complete(&removal).await.unwrap(), Completed::Done);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM step_up_secrets").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 0);
}

/// A write that is given up at any moment leaves no transaction open: what comes next over its connection counts at once and for good.
#[tokio::test]
async fn a_write_that_is_given_up_leaves_no_transaction_open() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.url();
    let counted = "SELECT coalesce(sum(failures), 0)::bigint FROM step_up_attempts";
    let other = pool(&url).await;
    for (number, command) in (1..).zip(["BEGIN", "COMMIT"]) {
        let detour = Detour::to(server.port(), command).await;
        let one = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(5));
        let url = url.replace(&format!(":{}/", server.port()), &format!(":{}/", detour.port));
        let store = SqlStore::from_pool(one.connect(&url).await.unwrap()).await.unwrap();
        // With a change of credentials it takes more than one statement.
        let mut completion = Completion::new(kim(), NOW);
        completion.credentials = vec![CredentialChange::Remove(CredentialId::random())];
        assert_eq!(store.complete(&completion).await.unwrap(), Completed::Done, "the honest twin");
        detour.hold.store(true, Ordering::SeqCst);
        tokio::select! {
            done = store.complete(&completion) => panic!("{command} was not held: {done:?}"),
            () = detour.reached.notified() => {}
        }
        detour.go.notify_one();
        let attempt = store.begin_attempt(&key(), &AttemptPolicy::default(), NOW).await.unwrap();
        assert!(attempt.is_allowed());
        let counted: i64 = sqlx::query_scalar(counted).fetch_one(&other).await.unwrap();
        assert_eq!(counted, number, "an attempt after a {command} that was given up is not counted for good");
    }
}

/// A way to the server on which the answer to a command waits until it is let go.
struct Detour {
    port: u16,
    /// Whether the next answer to the command waits.
    hold: Arc<AtomicBool>,
    /// The server has got the command.
    reached: Arc<Notify>,
    go: Arc<Notify>,
}

impl Detour {
    async fn to(port: u16, command: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (hold, reached, go) = (Arc::<AtomicBool>::default(), Arc::<Notify>::default(), Arc::<Notify>::default());
        let detour = Self { port: listener.local_addr().unwrap().port(), hold, reached, go };
        let (hold, reached, go) = (Arc::clone(&detour.hold), Arc::clone(&detour.reached), Arc::clone(&detour.go));
        tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut from_server, mut to_server) = server.into_split();
            let waits = Arc::new(AtomicBool::new(false));
            let answers = Arc::clone(&waits);
            let there = async move {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
                    let told = bytes[..length].windows(command.len()).any(|window| window == command.as_bytes());
                    let waits_now = told && hold.swap(false, Ordering::SeqCst);
                    waits.fetch_or(waits_now, Ordering::SeqCst);
                    to_server.write_all(&bytes[..length]).await.unwrap();
                    if waits_now {
                        reached.notify_one();
                    }
                }
            };
            let back = async move {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
                    if answers.swap(false, Ordering::SeqCst) {
                        go.notified().await;
                    }
                    to_client.write_all(&bytes[..length]).await.unwrap();
                }
            };
            tokio::join!(there, back);
        });
        detour
    }
}

/// A flow that was begun by a version that knew no column for its session is read, used and removed as before; it expires soon.
#[tokio::test]
async fn flows_of_the_version_before_stay() {
    let Some(server) = Postgres::shared() else { return };
    let pool = pool(&server.url()).await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    pool.execute(
        "ALTER TABLE step_up_flows DROP COLUMN binding; DELETE FROM step_up_migrations WHERE version IN (2, 10)",
    )
    .await
    .unwrap();
    let old = flow(None);
    sqlx::query("INSERT INTO step_up_flows (id, subject, expires_at, version, completed, body) VALUES ($1, 'kim', $2, 0, FALSE, '{}')")
        .bind(uuid::Uuid::from(old.id))
        .bind(old.expires_at.unix_milliseconds())
        .execute(&pool)
        .await
        .unwrap();
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    assert_flow_stays(&store, &old).await;
}

/// A credential that a version wrote which knew neither names nor uses is read, named and used; and that version's statements go on.
#[tokio::test]
async fn credentials_of_the_version_before_stay() {
    let Some(server) = Postgres::shared() else { return };
    let pool = pool(&server.url()).await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    pool.execute(
        "ALTER TABLE step_up_credentials DROP COLUMN name, DROP COLUMN last_used_at; \
         DELETE FROM step_up_migrations WHERE version = 3",
    )
    .await
    .unwrap();
    let insert = async |created_at: Timestamp| {
        let id = CredentialId::random();
        let insert = "INSERT INTO step_up_credentials (id, subject, method, aal, data, last_step, created_at) \
                      VALUES ($1, 'kim', 'totp', 'aal2', '\\x07', 5, $2)";
        let row = sqlx::query(insert).bind(uuid::Uuid::from(id)).bind(created_at.unix_milliseconds());
        row.execute(&pool).await.unwrap();
        id
    };
    let before = insert(NOW).await;
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    let beside = insert(NOW + HOUR).await;
    assert_credentials_stay(&store, (before, NOW), (beside, NOW + HOUR)).await;
}

/// A session that a version wrote which knew no devices is read and replaced; and that version's statements go on.
#[tokio::test]
async fn sessions_of_the_version_before_stay() {
    let Some(server) = Postgres::shared() else { return };
    let pool = pool(&server.url()).await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    pool.execute("ALTER TABLE step_up_sessions DROP COLUMN device, DROP COLUMN seen_at; DELETE FROM step_up_migrations WHERE version IN (6, 9)")
        .await
        .unwrap();
    let insert = async || {
        let id = SessionId::random();
        let insert = "INSERT INTO step_up_sessions (id, subject, binding, proofs, issued_at, expires_at) \
                      VALUES ($1, 'kim', $2, '[]', $3, $4)";
        let row = sqlx::query(insert).bind(uuid::Uuid::from(id)).bind(uuid::Uuid::from(BindingKey::random()));
        let row = row.bind(NOW.unix_milliseconds()).bind((NOW + HOUR).unix_milliseconds());
        row.execute(&pool).await.unwrap();
        id
    };
    let before = insert().await;
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    let beside = insert().await;
    assert_sessions_stay(&store, [before, beside]).await;
}

/// A counter that a version wrote which could give nothing back counts on.
#[tokio::test]
async fn counters_of_the_version_before_stay() {
    let Some(server) = Postgres::shared() else { return };
    let pool = pool(&server.url()).await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    pool.execute(
        "ALTER TABLE step_up_attempts DROP COLUMN generation; DELETE FROM step_up_migrations WHERE version = 7; \
         INSERT INTO step_up_attempts (subject, method, failures, forgotten_at) VALUES ('kim', 'totp', 2, 1802592000000)",
    )
    .await
    .unwrap();
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    assert_counters_stay(&store).await;
}

#[tokio::test]
async fn a_newer_schema_is_no_hindrance_and_a_changed_one_is() {
    let Some(server) = Postgres::shared() else { return };
    let pool = pool(&server.url()).await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    pool.execute("INSERT INTO step_up_migrations VALUES (9999, 'later', now(), TRUE, ''::bytea, 1)").await.unwrap();
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    pool.execute("UPDATE step_up_migrations SET checksum = ''::bytea WHERE version = 1").await.unwrap();
    assert_eq!(kind(SqlStore::from_pool(pool.clone()).await), StoreErrorKind::Corrupt);
}

/// Once the tables are there, a role that can make none will do.
#[tokio::test]
async fn a_role_that_only_reads_and_writes_rows_will_do() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.url();
    let owner = pool(&url).await;
    drop(SqlStore::from_pool(owner.clone()).await.unwrap());
    let schema: String = sqlx::query_scalar("SELECT current_schema()::text").fetch_one(&owner).await.unwrap();
    let grants = format!(
        "CREATE ROLE clerk_{schema} LOGIN; GRANT USAGE ON SCHEMA {schema} TO clerk_{schema}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO clerk_{schema}"
    );
    owner.execute(sqlx::AssertSqlSafe(grants)).await.unwrap();
    let store = SqlStore::connect(&url.replace("step_up@", &format!("clerk_{schema}@"))).await.unwrap();
    let app = enrolled(&store).await;
    store.create_session(&session()).await.unwrap();
    assert!(store.begin_attempt(&key(), &AttemptPolicy::default(), NOW).await.unwrap().is_allowed());
    assert_eq!(store.complete(&step(&app, 1)).await.unwrap(), Completed::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_replaced() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.url();
    let pool = pool(&url).await;
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    let app = enrolled(&store).await;
    let other = crate::postgres::pool(&url).await;
    for round in 1..10 {
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.unwrap();
        sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&other).await.unwrap();
        assert_eq!(store.complete(&step(&app, round)).await.unwrap(), Completed::Done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_every_call_ends_in_an_error() {
    let Some(server) = Postgres::start() else { return };
    let url = server.url();
    let store = SqlStore::from_pool(pool(&url).await).await.unwrap();
    let app = enrolled(&store).await;
    drop(server);
    let begun = Instant::now();
    assert_eq!(kind(store.standing(&kim(), session().id()).await), StoreErrorKind::Unavailable);
    assert_eq!(kind(store.complete(&step(&app, 1)).await), StoreErrorKind::Unavailable);
    assert_eq!(kind(store.begin_attempt(&key(), &AttemptPolicy::default(), NOW).await), StoreErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let error = SqlStore::connect(&url.replace("step_up@", "step_up:hunter2@")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_lock_without_end() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.url();
    let store = SqlStore::connect(&url).await.unwrap();
    let app = enrolled(&store).await;
    let other = pool(&url).await;
    let mut blocking = other.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM step_up_subjects FOR UPDATE").execute(&mut *blocking).await.unwrap();
    assert_eq!(store.credentials(&kim()).await.unwrap(), std::slice::from_ref(&app), "reads go on");
    let begun = Instant::now();
    assert_eq!(kind(store.complete(&step(&app, 1)).await), StoreErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(9));
    blocking.rollback().await.unwrap();
    assert_eq!(store.complete(&step(&app, 1)).await.unwrap(), Completed::Done);
}

/// Errors say what is wrong without repeating what is in a row.
#[tokio::test]
async fn errors_repeat_no_values() {
    let Some(server) = Postgres::shared() else { return };
    let pool = pool(&server.url()).await;
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    pool.execute("ALTER TABLE step_up_flows ADD CONSTRAINT short CHECK (length(body) < 5)").await.unwrap();
    let flow = StoredFlow::new(FlowId::random(), NOW, "a very secret body");
    let error = store.create_flow(&flow, 5, NOW).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(told.contains("short") && !told.contains("very secret"), "{told}");
}

/// Everything that takes locks, all at once and for one subject: nobody waits in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_deadlocks() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.url();
    let store = std::sync::Arc::new(SqlStore::connect(&url).await.unwrap());
    let app = enrolled(&store).await;
    let policy = AttemptPolicy { free: 1000, hard_stop: 1001, ..AttemptPolicy::default() };
    let binding = Some(BindingKey::random());
    let tasks: Vec<_> = (0..8u64)
        .map(|task| {
            let (store, app) = (std::sync::Arc::clone(&store), app.clone());
            tokio::spawn(async move {
                for round in 0..40u64 {
                    let old = session();
                    store.create_session(&old).await.unwrap();
                    let flow = flow(binding);
                    store.create_flow(&flow, 3, NOW).await.unwrap();
                    assert!(store.begin_attempt(&key(), &policy, NOW).await.unwrap().is_allowed());
                    let mut completion = step(&app, task + 8 * round + 1);
                    completion.rotate = Some(Rotation { old: old.id(), new: stepped_up(&old) });
                    (completion.flow, completion.reset) = (Some(flow.clone()), vec![key()]);
                    let _done_or_not = store.complete(&completion).await.unwrap();
                    match (task + round) % 4 {
                        0 => store.remove_flows(&kim(), Some(flow.id)).await.unwrap(),
                        1 => drop(store.revoke(&kim(), Revocation::Others(old.binding())).await.unwrap()),
                        2 => drop(store.revoke(&kim(), Revocation::All(NOW)).await.unwrap()),
                        _ => {
                            let _open_or_not = store.complete_flow(&flow, NOW).await.unwrap();
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(store.begin_attempt(&key(), &policy, NOW).await.unwrap().is_allowed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_leaves_no_transaction_open() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.url();
    let (store, other) = (SqlStore::connect(&url).await.unwrap(), SqlStore::connect(&url).await.unwrap());
    let app = enrolled(&store).await;
    let mut finished = 0;
    for round in 0..60u64 {
        let old = session();
        store.create_session(&old).await.unwrap();
        let new = stepped_up(&old);
        let mut completion = step(&app, round + 1);
        completion.rotate = Some(Rotation { old: old.id(), new: new.clone() });
        let cut = tokio::time::timeout(Duration::from_micros(200 * round), store.complete(&completion)).await;
        finished += usize::from(cut.is_ok());
        let begun = Instant::now();
        other.revoke(&kim(), Revocation::Others(new.binding())).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "a lock was left");
        // What was sent before the cut may be carried out a moment later, but not by half.
        loop {
            let raised = other.credentials(&kim()).await.unwrap()[0].last_step == round + 1;
            if raised == other.standing(&kim(), new.id()).await.unwrap().is_some() {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(2), "round {round}: half of it happened");
        }
    }
    assert!(finished > 0 && finished < 60, "{finished} of 60: the cuts miss what they are to cut");
}

#[tokio::test]
async fn what_has_expired_is_swept_in_use() {
    let Some(server) = Postgres::shared() else { return };
    let pool = pool(&server.url()).await;
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    let policy = AttemptPolicy { hard_stop: 2, ..AttemptPolicy::default() };
    let subject = |number: usize| Subject::new(format!("kim-{number}")).unwrap();
    let key = |number| AttemptKey { subject: subject(number), method: Method::Totp };
    let flow = |now: Timestamp| StoredFlow::new(FlowId::random(), now + HOUR, "");
    let session =
        |number, now| StoredSession::new(subject(number), Proof::new(Method::Password, Aal::Aal1, now), now, 24 * HOUR);
    for number in 0..100 {
        store.create_session(&session(number, NOW)).await.unwrap();
        store.create_flow(&flow(NOW), 5, NOW).await.unwrap();
        assert!(store.begin_attempt(&key(number), &policy, NOW).await.unwrap().is_allowed());
    }
    assert!(store.begin_attempt(&key(0), &policy, NOW).await.unwrap().is_allowed());
    let later = NOW + AttemptPolicy::REMEMBERED_FOR;
    // Each call adds a row and removes some.
    for number in 1..25 {
        store.create_session(&session(number, later)).await.unwrap();
        store.create_flow(&flow(later), 5, later).await.unwrap();
        assert!(store.begin_attempt(&key(number), &policy, later).await.unwrap().is_allowed());
    }
    for (count, expected) in [
        ("SELECT count(*) FROM step_up_sessions", 24),
        ("SELECT count(*) FROM step_up_flows", 24),
        // Those and the one that was stopped.
        ("SELECT count(*) FROM step_up_attempts", 25),
    ] {
        let left: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
        assert_eq!(left, expected, "{count}");
    }
}
