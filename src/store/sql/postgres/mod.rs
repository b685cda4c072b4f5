//! `PostgreSQL`: how it is opened, and how changes to one subject take turns.
//!
//! Everything is correct at `READ COMMITTED`, the default isolation level. A conditional statement is evaluated on the row's last
//! version, after the holder of the row has committed. Where several statements belong together, the first locks the subject's
//! row, and each later one sees everything that was committed until then. Those of a step-up are in functions of the database, where
//! this is just the same, but takes one round trip: each statement of a `VOLATILE` function has its own snapshot.
//!
//! Locks are taken in one order: subject, flow, session, credentials, secrets, attempts. Statements that remove rows of several
//! subjects skip locked rows. So there are no deadlocks.

mod attempts;
mod changes;
mod complete;
mod erase;
mod flows;
mod log;
mod pooler;
mod subjects;
mod sweep;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sqlx::{
    Connection as _, PgConnection, PgPool, Postgres as Database, Transaction,
    migrate::Migrate as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use self::sweep::Sweeps;
use super::{
    migrations::{self, Script},
    rows::{self, TRIM_EVERY},
};
use crate::{
    session::Subject,
    store::{StoreError, StoreFuture},
};

const MIGRATIONS: [Script; 15] = [
    (1, "start", include_str!("../../../../migrations/postgres/0001_start.sql")),
    (2, "binding of flows", include_str!("../../../../migrations/postgres/0002_binding_of_flows.sql")),
    (3, "names of credentials", include_str!("../../../../migrations/postgres/0003_names_of_credentials.sql")),
    (4, "repeats", include_str!("../../../../migrations/postgres/0004_repeats.sql")),
    (5, "flow in use", include_str!("../../../../migrations/postgres/0005_flow_in_use.sql")),
    (6, "devices", include_str!("../../../../migrations/postgres/0006_devices.sql")),
    (7, "generations of counters", include_str!("../../../../migrations/postgres/0007_generations_of_counters.sql")),
    (9, "last use", include_str!("../../../../migrations/postgres/0009_last_use.sql")),
    (10, "open anonymous flows", include_str!("../../../../migrations/postgres/0010_open_anonymous_flows.sql")),
    (11, "revocations", include_str!("../../../../migrations/postgres/0011_revocations.sql")),
    (12, "changes", include_str!("../../../../migrations/postgres/0012_changes.sql")),
    (13, "one statement", include_str!("../../../../migrations/postgres/0013_one_statement.sql")),
    (14, "removal apart", include_str!("../../../../migrations/postgres/0014_removal_apart.sql")),
    (15, "less planning", include_str!("../../../../migrations/postgres/0015_less_planning.sql")),
    (16, "fingerprints", include_str!("../../../../migrations/postgres/0016_fingerprints.sql")),
];

/// The key of the advisory lock for creating tables. Any number will do that nothing else uses.
const MIGRATION_LOCK: i64 = 0x7374_6570_5f75_7000;

/// How long to wait for a connection of the pool.
const ACQUIRE: Duration = Duration::from_secs(5);

/// A connection that nobody has used for so long is tested before it is used again. It costs a round trip, so not each time.
const TESTED_AFTER: Duration = Duration::from_secs(1);

/// Session settings of our own pool. A cancelled request must not leave a statement that waits for a lock, or a transaction that
/// holds one, for longer than anybody waits for an answer.
const SETTINGS: [(&str, &str); 3] =
    [("statement_timeout", "10s"), ("lock_timeout", "5s"), ("idle_in_transaction_session_timeout", "10s")];

pub(super) struct Postgres {
    pool: PgPool,
    /// How many transactions there were.
    writes: AtomicU32,
    expired_flows: Sweeps,
    expired_sessions: Sweeps,
}

impl Postgres {
    /// Boxed, like the next: the compiler cannot see that sqlx's futures are `Send` inside another function's future.
    pub(super) fn connect(url: &str) -> StoreFuture<'_, Self> {
        Box::pin(async move {
            let options: PgConnectOptions = url.parse().map_err(failed)?;
            let options = options.application_name("tower-step-up").options(SETTINGS);
            let pool = PgPoolOptions::new().max_connections(10).acquire_timeout(ACQUIRE);
            let pool = pool.test_before_acquire(false).before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for >= TESTED_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            });
            Self::from_pool(pool.connect_with(options).await.map_err(failed)?).await
        })
    }

    pub(super) fn from_pool(pool: PgPool) -> StoreFuture<'static, Self> {
        Box::pin(async move {
            pooler::check(&pool).await?;
            migrate(&pool).await?;
            Ok(Self {
                pool,
                writes: AtomicU32::new(0),
                expired_flows: Sweeps::default(),
                expired_sessions: Sweeps::default(),
            })
        })
    }

    async fn begin(&self) -> Result<Transaction<'static, Database>, StoreError> {
        self.trim_now_and_then().await;
        begin(&self.pool).await
    }

    /// Call it before what may write to the log of changes.
    async fn trim_now_and_then(&self) {
        if self.writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRIM_EVERY)
            && let Err(error) = self.trim().await
        {
            tracing::debug!(target: "tower_step_up::store", %error, "old changes could not be removed");
        }
    }
}

/// A transaction. If it is dropped without a commit, also by a cancelled future, it is rolled back.
///
/// It begins in its own task, which goes on if this future is cancelled. sqlx 0.9.0 forgets a transaction whose beginning is
/// cancelled (<https://github.com/transact-rs/sqlx/issues/4393>): later statements over that connection would be in it, hold its
/// locks and be undone with it, such as the count of an attempt.
async fn begin(pool: &PgPool) -> Result<Transaction<'static, Database>, StoreError> {
    let pool = pool.clone();
    match tokio::spawn(async move { pool.begin().await }).await {
        Ok(begun) => begun.map_err(failed),
        Err(_) => Err(rows::unavailable("the transaction could not begin, since the runtime is ending")),
    }
}

/// Locks the subject until the transaction ends.
async fn lock_subject(connection: &mut PgConnection, subject: &Subject) -> Result<(), StoreError> {
    sqlx::query("SELECT step_up_lock_subject($1)").bind(subject.as_str()).execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Keeps the database's message and code, without the details: those repeat the values of rows.
fn failed(error: sqlx::Error) -> StoreError {
    let told = match &error {
        sqlx::Error::Database(inner) if !inner.is_unique_violation() => {
            let code = inner.code();
            Some(format!("{} (SQLSTATE {})", inner.message(), code.as_deref().unwrap_or("unknown")))
        }
        sqlx::Error::Database(_) => Some("a unique value exists already".to_owned()),
        _ => None,
    };
    match told {
        Some(told) => StoreError::with_source(rows::failed(error).kind(), told),
        None => rows::failed(error),
    }
}

/// One process at a time creates tables, in one transaction. If nothing is missing, nothing is locked or written, so a process
/// may run under a role that can only read and write rows.
async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    let not_migrated = |error| migrations::not_migrated(error, failed);
    let mut transaction = begin(pool).await?;
    if has_record(&mut transaction).await?
        && migrations::missing(&mut *transaction, &MIGRATIONS).await.map_err(not_migrated)?.is_empty()
    {
        return transaction.rollback().await.map_err(failed);
    }
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    if !has_record(&mut transaction).await? {
        transaction.ensure_migrations_table(migrations::TABLE).await.map_err(not_migrated)?;
    }
    migrations::apply_missing(&mut *transaction, &MIGRATIONS).await.map_err(not_migrated)?;
    transaction.commit().await.map_err(failed)
}

async fn has_record(connection: &mut PgConnection) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(migrations::TABLE)
        .fetch_one(connection)
        .await
        .map_err(failed)
}
