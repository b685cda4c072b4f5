//! `SqlStore` on `SQLite`: the kit, and what only a file can show.

use std::{
    path::PathBuf,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tower_step_up::{
    Aal, Method, Subject,
    aal::{CredentialId, Proof},
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession},
    standing::CredentialSummary,
    store::{
        Attempt, AttemptKey, AttemptPolicy, Changes, Completed, Completion, Counted, Credential, CredentialChange,
        FlowId, FlowStore, LogPlace, Revocation, Rotation, SqlStore, StoreErrorKind, StoreFuture, StoredFlow,
        StoredSecret, StoredStanding, SubjectStore, Written, contract,
    },
};

use crate::sql::{
    HOUR, NOW, assert_counters_stay, assert_credentials_stay, assert_flow_stays, assert_sessions_stay, flow, kim, kind,
    migrations, step,
};

const DAY: Duration = Duration::from_secs(86_400);

/// A directory of its own for the database and what `SQLite` puts beside it, removed at the end.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("store-contract-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("bank.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }

    pub(crate) async fn store(&self) -> SqlStore {
        SqlStore::connect(&self.url()).await.unwrap()
    }

    /// A pool as an application might have it.
    pub(crate) async fn pool(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.file())
            .create_if_missing(true)
            .foreign_keys(false)
            .busy_timeout(Duration::from_millis(100))
            .synchronous(SqliteSynchronous::Off);
        SqlitePoolOptions::new().max_connections(3).connect_with(options).await.unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// One or two stores on one file. Two take turns call by call, as two processes behind a balancer would.
struct OnFile {
    stores: Vec<SqlStore>,
    calls: AtomicUsize,
    _directory: Directory,
}

impl OnFile {
    async fn new(stores: usize) -> Self {
        let directory = Directory::new();
        let mut opened = Vec::new();
        for _ in 0..stores {
            opened.push(directory.store().await);
        }
        Self { stores: opened, calls: AtomicUsize::new(0), _directory: directory }
    }

    fn next(&self) -> &SqlStore {
        &self.stores[self.calls.fetch_add(1, Ordering::Relaxed) % self.stores.len()]
    }
}

impl SubjectStore for OnFile {
    fn create_session<'a>(&'a self, session: &'a StoredSession) -> StoreFuture<'a, ()> {
        self.next().create_session(session)
    }

    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>> {
        self.next().standing(subject, session)
    }

    fn session_of<'a>(
        &'a self,
        subject: &'a Subject,
        binding: BindingKey,
        now: Timestamp,
    ) -> StoreFuture<'a, Option<StoredStanding>> {
        self.next().session_of(subject, binding, now)
    }

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<StoredSession>> {
        self.next().sessions(subject, now)
    }

    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64> {
        self.next().revoke(subject, which)
    }

    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>> {
        self.next().credentials(subject)
    }

    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed> {
        self.next().complete(completion)
    }

    fn delete_subject<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, ()> {
        self.next().delete_subject(subject)
    }

    fn revocations(&self) -> StoreFuture<'_, u64> {
        self.next().revocations()
    }

    fn revoke_everyone(&self, at: Timestamp) -> StoreFuture<'_, u64> {
        self.next().revoke_everyone(at)
    }

    fn note_use<'a>(&'a self, subject: &'a Subject, session: SessionId, at: Timestamp) -> StoreFuture<'a, Written> {
        self.next().note_use(subject, session, at)
    }

    fn notes_use(&self) -> bool {
        self.next().notes_use()
    }

    fn changes<'a>(&'a self, since: Option<&'a LogPlace>) -> StoreFuture<'a, Changes> {
        self.next().changes(since)
    }
}

impl FlowStore for OnFile {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()> {
        self.next().create_flow(flow, keep, now)
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        self.next().flow(id)
    }

    fn touch_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        self.next().touch_flow(flow)
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        self.next().update_flow(flow)
    }

    fn complete_flow<'a>(&'a self, flow: &'a StoredFlow, now: Timestamp) -> StoreFuture<'a, Written> {
        self.next().complete_flow(flow, now)
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        self.next().remove_flows(subject, except)
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        self.next().begin_attempt(key, policy, now)
    }

    fn give_back_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        attempt: &'a Counted,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, bool> {
        self.next().give_back_attempt(key, attempt, policy, now)
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        self.next().reset_attempts(key)
    }

    fn forget_subject<'a>(&'a self, subject: &'a Subject, methods: &'a [Method]) -> StoreFuture<'a, ()> {
        self.next().forget_subject(subject, methods)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_keeps_the_contract() {
    contract::run(|| OnFile::new(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_stores_on_one_file_keep_the_contract() {
    contract::run(|| OnFile::new(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_in_memory_keeps_the_contract() {
    contract::run(|| async { SqlStore::connect("sqlite::memory:").await.unwrap() }).await;
}

fn session_at(now: Timestamp) -> StoredSession {
    StoredSession::new(kim(), Proof::new(Method::Password, Aal::Aal1, now), now, DAY)
}

fn rotation(old: &StoredSession) -> Rotation {
    Rotation { old: old.id(), new: old.renewed(Proof::new(Method::Totp, Aal::Aal2, NOW), NOW, DAY, None) }
}

async fn enrolled(store: &SqlStore) -> Credential {
    let summary = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
    let credential = Credential::new(summary, NOW)
        .with_data(vec![1, 2, 3])
        .with_secrets(vec![StoredSecret { hash: [4; 32], used_at: None }]);
    let mut completion = Completion::new(kim(), NOW);
    completion.credentials = vec![CredentialChange::Add(credential.clone())];
    assert_eq!(store.complete(&completion).await.unwrap(), Completed::Done);
    credential
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_a_restart() {
    let directory = Directory::new();
    let key = AttemptKey { subject: kim(), method: Method::Totp };
    let policy = AttemptPolicy { free: 1, ..AttemptPolicy::default() };
    let flow = flow(Some(BindingKey::random()));
    let old = session_at(NOW);

    let store = directory.store().await;
    let app = enrolled(&store).await;
    store.create_session(&old).await.unwrap();
    let rotate = rotation(&old);
    let new = rotate.new.clone();
    let mut completion = step(&app, 9);
    completion.rotate = Some(rotate);
    assert_eq!(store.complete(&completion).await.unwrap(), Completed::Done);
    assert!(store.begin_attempt(&key, &policy, NOW).await.unwrap().is_allowed());
    store.create_flow(&flow, 5, NOW).await.unwrap();
    assert_eq!(store.complete_flow(&flow, NOW).await.unwrap(), Written::Done);
    // Not closed: as little as possible of what an orderly end would do.
    std::mem::forget(store);

    let store = directory.store().await;
    assert_eq!(store.sessions(&kim(), NOW).await.unwrap(), std::slice::from_ref(&new));
    assert_eq!(store.standing(&kim(), new.id()).await.unwrap().unwrap().credentials, [app.summary]);
    assert!(store.standing(&kim(), old.id()).await.unwrap().is_none());
    assert_eq!(store.complete(&step(&app, 9)).await.unwrap(), Completed::Used);
    assert!(matches!(store.begin_attempt(&key, &policy, NOW).await.unwrap(), Attempt::LockedUntil(_)));
    assert_eq!(store.complete_flow(&flow, NOW).await.unwrap(), Written::Superseded);
}

/// A flow that was begun by a version that knew no column for its session is read, used and removed as before; it expires soon.
#[tokio::test]
async fn flows_of_the_version_before_stay() {
    let directory = Directory::new();
    let pool = directory.pool().await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    for statement in [
        "DROP INDEX step_up_flows_binding",
        "DROP INDEX step_up_flows_open_anonymous",
        "ALTER TABLE step_up_flows DROP COLUMN binding",
        "DELETE FROM step_up_migrations WHERE version IN (2, 10)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let old = flow(None);
    sqlx::query("INSERT INTO step_up_flows (id, subject, expires_at, version, completed, body) VALUES (?1, 'kim', ?2, 0, 0, '{}')")
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
    let directory = Directory::new();
    let pool = directory.pool().await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    for statement in [
        "ALTER TABLE step_up_credentials DROP COLUMN name",
        "ALTER TABLE step_up_credentials DROP COLUMN last_used_at",
        "DELETE FROM step_up_migrations WHERE version = 3",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let insert = async |created_at: Timestamp| {
        let id = CredentialId::random();
        let insert = "INSERT INTO step_up_credentials (id, subject, method, aal, data, last_step, created_at) \
                      VALUES (?1, 'kim', 'totp', 'aal2', x'07', 5, ?2)";
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
    let directory = Directory::new();
    let pool = directory.pool().await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    for statement in [
        "ALTER TABLE step_up_sessions DROP COLUMN device",
        "ALTER TABLE step_up_sessions DROP COLUMN seen_at",
        "DELETE FROM step_up_migrations WHERE version IN (6, 9)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let insert = async || {
        let id = SessionId::random();
        let insert = "INSERT INTO step_up_sessions (id, subject, binding, proofs, issued_at, expires_at) \
                      VALUES (?1, 'kim', ?2, '[]', ?3, ?4)";
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
    let directory = Directory::new();
    let pool = directory.pool().await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    for statement in [
        "ALTER TABLE step_up_attempts DROP COLUMN generation",
        "DELETE FROM step_up_migrations WHERE version = 7",
        "INSERT INTO step_up_attempts (subject, method, failures, forgotten_at) VALUES ('kim', 'totp', 2, 1802592000000)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    assert_counters_stay(&store).await;
}

/// Opens many stores at once and checks that they share one set of tables.
async fn assert_start_together(directory: &Directory) {
    let opening: Vec<_> = (0..10)
        .map(|_| {
            let url = directory.url();
            tokio::spawn(async move { SqlStore::connect(&url).await })
        })
        .collect();
    for (number, store) in opening.into_iter().enumerate() {
        let store = store.await.unwrap().unwrap();
        store.create_session(&session_at(NOW)).await.unwrap();
        assert_eq!(store.sessions(&kim(), NOW).await.unwrap().len(), number + 1);
    }
    let applied = sqlx::query_scalar("SELECT count(*) FROM step_up_migrations");
    let applied: i64 = applied.fetch_one(&directory.pool().await).await.unwrap();
    assert_eq!(applied, migrations("sqlite"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_that_start_together_make_the_tables_once() {
    for _ in 0..5 {
        assert_start_together(&Directory::new()).await;
    }
    // As before an upgrade: the record of migrations is there, a migration is missing.
    for _ in 0..5 {
        let directory = Directory::new();
        drop(directory.store().await);
        let pool = directory.pool().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'step_up_%' AND name <> 'step_up_migrations'",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        for table in tables {
            sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {table}"))).execute(&pool).await.unwrap();
        }
        sqlx::query("DELETE FROM step_up_migrations").execute(&pool).await.unwrap();
        pool.close().await;
        assert_start_together(&directory).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_starts_waits_for_whoever_is_writing() {
    let directory = Directory::new();
    let pool = directory.pool().await;
    let blocking = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let url = directory.url();
    let opening = tokio::spawn(async move { SqlStore::connect(&url).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!opening.is_finished());
    blocking.rollback().await.unwrap();
    opening.await.unwrap().unwrap();
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&directory.pool().await).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn it_lives_beside_an_applications_tables_and_migrations() {
    let directory = Directory::new();
    let pool = directory.pool().await;
    for statement in [
        "CREATE TABLE sessions (id TEXT)",
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMP, \
         success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
        "INSERT INTO _sqlx_migrations VALUES (1, 'theirs', NULL, TRUE, x'00', 1), (2, 'theirs', NULL, TRUE, x'00', 1)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    let app = enrolled(&store).await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    assert_eq!(store.credentials(&kim()).await.unwrap().len(), 1, "nothing was dropped");

    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type IN ('table', 'index')")
        .fetch_all(&pool)
        .await
        .unwrap();
    let foreign = |name: &&String| !name.starts_with("step_up_") && !name.starts_with("sqlite_autoindex_");
    assert_eq!(tables.iter().filter(foreign).collect::<Vec<_>>(), ["sessions", "_sqlx_migrations"]);

    // Foreign keys are off in this pool: no secret may be left without its credential all the same.
    let mut removal = Completion::new(kim(), NOW);
    removal.credentials = vec![CredentialChange::Remove(app.summary.id)];
    assert_eq!(store.complete(&removal).await.unwrap(), Completed::Done);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM step_up_secrets").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_newer_schema_is_no_hindrance_and_a_changed_one_is() {
    let directory = Directory::new();
    let pool = directory.pool().await;
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    sqlx::query("INSERT INTO step_up_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 1)")
        .execute(&pool)
        .await
        .unwrap();
    drop(SqlStore::from_pool(pool.clone()).await.unwrap());
    sqlx::query("UPDATE step_up_migrations SET checksum = x'00' WHERE version = 1").execute(&pool).await.unwrap();
    assert_eq!(kind(SqlStore::from_pool(pool.clone()).await), StoreErrorKind::Corrupt);
    // The failed attempt holds nothing.
    sqlx::query("DELETE FROM step_up_migrations").execute(&pool).await.unwrap();
}

/// Polls the future so many times, then drops it. Whether it was ready.
async fn cut<F: Future>(future: F, polls: usize) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        let poll = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if poll.is_ready() {
            return true;
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_leaves_no_transaction_open() {
    let directory = Directory::new();
    let (store, other) = (directory.store().await, directory.store().await);
    let app = enrolled(&store).await;
    let key = AttemptKey { subject: kim(), method: Method::Totp };
    let mut last = 0;
    let mut finished = 0;
    for round in 0..120 {
        let old = session_at(NOW);
        store.create_session(&old).await.unwrap();
        let rotate = rotation(&old);
        let new = rotate.new.id();
        let mut completion = step(&app, last + 1);
        completion.rotate = Some(rotate);
        finished += usize::from(cut(store.complete(&completion), round % 30).await);
        cut(store.begin_attempt(&key, &AttemptPolicy::default(), NOW), round % 7).await;
        cut(store.create_session(&session_at(NOW)), round % 5).await;

        // Another process gets its turn at once, and sees all of it or nothing.
        let begun = Instant::now();
        other.reset_attempts(&key).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "a lock was left");
        let step_now = other.credentials(&kim()).await.unwrap()[0].last_step;
        let rotated = other.standing(&kim(), new).await.unwrap().is_some();
        let ended = other.standing(&kim(), old.id()).await.unwrap().is_none();
        assert_eq!((step_now > last, rotated), (rotated, ended), "round {round}: half of it happened");
        last = step_now;
        store.revoke(&kim(), Revocation::All(NOW)).await.unwrap();
    }
    assert!(finished > 0 && finished < 120, "{finished} of 120: the cuts miss what they are to cut");
    assert_eq!(store.complete(&step(&app, last + 1)).await.unwrap(), Completed::Done);
}

/// Polls each future once, and then all of them to their ends.
async fn together<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut ended = Vec::new();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(output) => {
                ended.push(output);
                false
            }
            Poll::Pending => true,
        });
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    ended
}

/// The disk is waited for once, not once for each.
#[tokio::test]
async fn writes_that_wait_together_share_a_commit() {
    let directory = Directory::new();
    let store = directory.store().await;
    let log = directory.file().with_extension("db-wal");
    let commits = || crate::round_trips::commits(&std::fs::read(&log).unwrap());
    let sessions: Vec<_> = (0..20).map(|_| session_at(NOW)).collect();
    let before = commits();
    let created = together(sessions.iter().map(|session| store.create_session(session))).await;
    assert!(created.iter().all(Result::is_ok));
    assert_eq!(commits() - before, 1);
    assert_eq!(store.sessions(&kim(), NOW).await.unwrap().len(), 20);
    // More than share one, and all the same each has its turn.
    let sessions: Vec<_> = (0..200).map(|_| session_at(NOW)).collect();
    let before = commits();
    let created = together(sessions.iter().map(|session| store.create_session(session))).await;
    assert!(created.iter().all(Result::is_ok));
    assert!(commits() - before < 10);
    assert_eq!(store.sessions(&kim(), NOW).await.unwrap().len(), 220);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_or_is_given_up_is_undone_alone() {
    let directory = Directory::new();
    let (store, other) = (directory.store().await, directory.store().await);
    for round in 0..60 {
        let sessions: [_; 8] = std::array::from_fn(|_| session_at(NOW));
        let [cut_one, first, ..] = &sessions;
        // In front of the others, among them and behind them.
        let (_, written, ended) = tokio::join!(
            cut(store.create_session(cut_one), round % 12),
            together(sessions.iter().skip(1).map(|session| store.create_session(session))),
            async {
                let again = store.create_session(first).await;
                cut(store.create_session(cut_one), round % 7).await;
                again
            }
        );
        assert_eq!(written.len(), 7, "round {round}");
        let failed = written.into_iter().filter(Result::is_err).count() + usize::from(ended.is_err());
        assert_eq!(failed, 1, "round {round}: one of the two that had the same id");
        for session in &sessions[1..] {
            assert!(other.standing(&kim(), session.id()).await.unwrap().is_some(), "round {round}");
        }
        store.revoke(&kim(), Revocation::All(NOW)).await.unwrap();
    }
}

/// After some errors `SQLite` undoes the whole transaction. Then none of those who shared it is told that it was written.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_is_lost_that_was_answered() {
    let directory = Directory::new();
    drop(directory.store().await);
    let options =
        SqliteConnectOptions::new().filename(directory.file()).pragma("max_page_count", "80").pragma("cache_size", "5");
    let pool = SqlitePoolOptions::new().max_connections(3).connect_with(options).await.unwrap();
    let store = SqlStore::from_pool(pool).await.unwrap();
    let mut flows: Vec<_> = (0..200).map(|_| flow(Some(BindingKey::random()))).collect();
    for flow in &mut flows {
        flow.body = "x".repeat(3000);
    }
    let mut refused = 0;
    for some in flows.chunks(20) {
        let created = together(some.iter().map(async |flow| (flow, store.create_flow(flow, 5, NOW).await))).await;
        for (flow, created) in created {
            let there = store.flow(flow.id).await.unwrap().is_some();
            assert_eq!(there, created.is_ok());
            refused += usize::from(created.is_err());
        }
    }
    assert!(refused > 0 && refused < 200, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_someone_else_writes_reads_go_on_and_writes_end_in_an_error() {
    let directory = Directory::new();
    // The store proper makes the file one with a write-ahead log.
    let app = enrolled(&directory.store().await).await;
    let pool = directory.pool().await;
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    let blocking = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(store.credentials(&kim()).await.unwrap(), std::slice::from_ref(&app));
    let key = AttemptKey { subject: kim(), method: Method::Totp };
    assert_eq!(kind(store.complete(&step(&app, 1)).await), StoreErrorKind::Unavailable);
    assert_eq!(kind(store.begin_attempt(&key, &AttemptPolicy::default(), NOW).await), StoreErrorKind::Unavailable);
    blocking.rollback().await.unwrap();
    assert_eq!(store.complete(&step(&app, 1)).await.unwrap(), Completed::Done);
    pool.close().await;
    assert_eq!(kind(store.complete(&step(&app, 2)).await), StoreErrorKind::Unavailable);
    assert_eq!(kind(store.standing(&kim(), session_at(NOW).id()).await), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn errors_tell_the_kind_and_not_the_address() {
    let directory = Directory::new();
    let (missing, garbage) = (directory.0.join("no/such/bank.db"), directory.0.join("garbage.db"));
    std::fs::write(&garbage, "not a database, but long enough to look like one ".repeat(100)).unwrap();
    let cases = [
        (format!("sqlite://{}", missing.display()), StoreErrorKind::Unavailable),
        (format!("sqlite://{}", directory.0.display()), StoreErrorKind::Unavailable),
        (format!("sqlite://{}", garbage.display()), StoreErrorKind::Corrupt),
        ("postgres://store-contract:hunter2@localhost/bank".to_owned(), StoreErrorKind::Unavailable),
        ("sqlite://bank.db?mode=store-contract".to_owned(), StoreErrorKind::Unavailable),
        (String::new(), StoreErrorKind::Unavailable),
    ];
    for (url, expected) in cases {
        let error = SqlStore::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{url}: {error:?}");
        let told = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        for secret in ["store-contract", "hunter2", "bank.db", "garbage.db"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

#[tokio::test]
async fn rows_that_nobody_can_have_written_are_corrupt() {
    let directory = Directory::new();
    let pool = directory.pool().await;
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    let session = session_at(NOW);
    store.create_session(&session).await.unwrap();
    enrolled(&store).await;
    for statement in [
        "UPDATE step_up_credentials SET last_step = -1",
        "UPDATE step_up_credentials SET last_step = 1, aal = 'aal3'",
        "UPDATE step_up_credentials SET aal = 'aal2', method = 'magic'",
        "UPDATE step_up_credentials SET method = 'totp', name = 'two' || char(10) || 'lines'",
        "UPDATE step_up_credentials SET name = NULL; UPDATE step_up_secrets SET hash = x'0102'",
    ] {
        sqlx::raw_sql(statement).execute(&pool).await.unwrap();
        assert_eq!(kind(store.credentials(&kim()).await), StoreErrorKind::Corrupt, "{statement}");
    }
    for statement in [
        "UPDATE step_up_sessions SET proofs = '[{\"method\":\"magic\"}]'",
        "UPDATE step_up_sessions SET proofs = '[]', device = 'curl/8.5'",
        "UPDATE step_up_sessions SET device = '{\"client_address\":\"here\"}'",
        "UPDATE step_up_sessions SET device = NULL, binding = x'00'",
    ] {
        sqlx::raw_sql(statement).execute(&pool).await.unwrap();
        assert_eq!(kind(store.standing(&kim(), session.id()).await), StoreErrorKind::Corrupt, "{statement}");
    }
}

#[tokio::test]
async fn numbers_that_the_database_cannot_keep_are_refused() {
    let directory = Directory::new();
    let store = directory.store().await;
    let app = enrolled(&store).await;
    assert_eq!(kind(store.complete(&step(&app, u64::MAX)).await), StoreErrorKind::Unavailable);
    assert_eq!(store.credentials(&kim()).await.unwrap(), [app]);
}

#[tokio::test]
async fn what_has_expired_is_swept_in_use() {
    let directory = Directory::new();
    let pool = directory.pool().await;
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    let policy = AttemptPolicy { hard_stop: 2, ..AttemptPolicy::default() };
    let key =
        |number: usize| AttemptKey { subject: Subject::new(format!("kim-{number}")).unwrap(), method: Method::Totp };
    let flow = |now: Timestamp| StoredFlow::new(FlowId::random(), now + HOUR, "");
    let session = |number: usize, now| {
        StoredSession::new(key(number).subject, Proof::new(Method::Password, Aal::Aal1, now), now, DAY)
    };
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
    assert_eq!(store.begin_attempt(&key(0), &policy, later).await.unwrap(), Attempt::Stopped);
}
