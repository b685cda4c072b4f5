//! What has expired goes beside other calls, a part at a time: so no call takes long, however much there is, and however much there was.

use tower_step_up::{
    clock::Timestamp,
    session::BindingKey,
    store::{FlowId, FlowStore as _, SqlStore, StoredFlow, SubjectStore as _},
};

use crate::sql::{HOUR, NOW};

/// The most rows that one call removes.
const AT_ONCE: i64 = 64;

/// A flow may go a day after it has expired.
const LATER: Timestamp = Timestamp::from_unix_seconds(1_800_000_000 + 3 * 86_400);

async fn begin(store: &SqlStore, now: Timestamp) {
    let mut flow = StoredFlow::new(FlowId::random(), now + HOUR, "{}");
    flow.binding = Some(BindingKey::random());
    store.create_flow(&flow, 5, now).await.unwrap();
}

/// Each call removes a bounded number, and on average more than it adds.
async fn assert_goes_in_parts(store: &SqlStore, count: impl AsyncFn() -> i64) {
    for _ in 0..500 {
        begin(store, NOW).await;
    }
    let mut before = count().await;
    assert_eq!(before, 500);
    for calls in 1..=80 {
        begin(store, LATER).await;
        let after = count().await;
        assert!(before + 1 - after <= AT_ONCE, "call {calls} removed {}", before + 1 - after);
        before = after;
    }
    assert_eq!(before, 80, "80 calls removed 500");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn expired_flows_go_in_parts_on_sqlite() {
    let directory = crate::sqlite::Directory::new();
    let store = directory.store().await;
    let url = format!("sqlite://{}", directory.file().display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    assert_goes_in_parts(&store, async || {
        sqlx::query_scalar("SELECT count(*) FROM step_up_flows").fetch_one(&pool).await.unwrap()
    })
    .await;
}

/// Whoever writes meanwhile gets a turn between two transactions.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_sessions_of_everybody_end_in_parts_on_sqlite() {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

    let directory = crate::sqlite::Directory::new();
    let options = SqliteConnectOptions::new().filename(directory.file()).create_if_missing(true);
    // So that all commits stay in the log.
    let options = options.journal_mode(SqliteJournalMode::Wal).pragma("wal_autocheckpoint", "0");
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000) \
         INSERT INTO step_up_sessions (id, subject, binding, proofs, issued_at, expires_at, revocations) \
         SELECT randomblob(16), n, randomblob(16), '[]', 0, 1, 0 FROM numbers",
    )
    .execute(&pool)
    .await
    .unwrap();
    let log = directory.file().with_extension("db-wal");
    let commits = || crate::round_trips::commits(&std::fs::read(&log).unwrap());
    let before = commits();
    assert_eq!(store.revoke_everyone(NOW).await.unwrap(), 5000);
    assert!(commits() - before > 50, "{} commits for 5000 sessions", commits() - before);
}

#[cfg(all(unix, feature = "postgres"))]
#[tokio::test]
async fn expired_flows_go_in_parts_on_postgres() {
    let Some(server) = crate::servers::postgres::Postgres::shared() else { return };
    let url = server.url();
    let store = SqlStore::connect(&url).await.unwrap();
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    assert_goes_in_parts(&store, async || {
        sqlx::query_scalar("SELECT count(*) FROM step_up_flows").fetch_one(&pool).await.unwrap()
    })
    .await;
}

/// Rows that were removed stay in an index until the table is vacuumed, which for a large one is seldom.
#[cfg(all(unix, feature = "postgres"))]
#[tokio::test]
async fn a_removal_does_not_walk_over_what_went_before() {
    let Some(server) = crate::servers::postgres::Postgres::shared() else { return };
    // The counts of blocks are told by the connection that has read them.
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = options.connect(&server.url()).await.unwrap();
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    for statement in [
        "ALTER TABLE step_up_flows SET (autovacuum_enabled = off)",
        "INSERT INTO step_up_flows (id, expires_at, version, completed, body) \
         SELECT gen_random_uuid(), n, 0, FALSE, '' FROM generate_series(1, 40000) n",
        "DELETE FROM step_up_flows",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let blocks = async || -> i64 {
        let read = "SELECT coalesce(sum(idx_blks_read + idx_blks_hit), 0)::bigint FROM pg_statio_user_indexes \
                    WHERE indexrelid = 'step_up_flows_expires_at'::regclass";
        sqlx::query("SELECT pg_stat_force_next_flush()").execute(&pool).await.unwrap();
        sqlx::query_scalar(read).fetch_one(&pool).await.unwrap()
    };
    // A process that has just begun looks at all of it once.
    for _ in 0..8 {
        begin(&store, LATER).await;
    }
    let before = blocks().await;
    for _ in 0..80 {
        begin(&store, LATER).await;
    }
    let each = (blocks().await - before) / 80;
    assert!((1..10).contains(&each), "a call reads {each} blocks of an index");
}
