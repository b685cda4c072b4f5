//! `SQLite`: how it is opened, and what all writes do.

mod attempts;
mod changes;
mod complete;
mod erase;
mod flows;
mod log;
mod subjects;
mod write;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sqlx::{
    SqliteConnection, SqlitePool,
    migrate::Migrate as _,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};

use self::write::{Turns, Write};
use super::{
    migrations::{self, Script},
    rows::{self, TRIM_EVERY},
};
use crate::{
    clock::Timestamp,
    store::{StoreError, StoreErrorKind, StoreFuture},
};

const MIGRATIONS: [Script; 12] = [
    (1, "start", include_str!("../../../../migrations/sqlite/0001_start.sql")),
    (2, "binding of flows", include_str!("../../../../migrations/sqlite/0002_binding_of_flows.sql")),
    (3, "names of credentials", include_str!("../../../../migrations/sqlite/0003_names_of_credentials.sql")),
    (4, "repeats", include_str!("../../../../migrations/sqlite/0004_repeats.sql")),
    (5, "flow in use", include_str!("../../../../migrations/sqlite/0005_flow_in_use.sql")),
    (6, "devices", include_str!("../../../../migrations/sqlite/0006_devices.sql")),
    (7, "generations of counters", include_str!("../../../../migrations/sqlite/0007_generations_of_counters.sql")),
    (9, "last use", include_str!("../../../../migrations/sqlite/0009_last_use.sql")),
    (10, "open anonymous flows", include_str!("../../../../migrations/sqlite/0010_open_anonymous_flows.sql")),
    (11, "revocations", include_str!("../../../../migrations/sqlite/0011_revocations.sql")),
    (12, "changes", include_str!("../../../../migrations/sqlite/0012_changes.sql")),
    (16, "fingerprints", include_str!("../../../../migrations/sqlite/0016_fingerprints.sql")),
];

/// How many expired rows a write removes beside its own work. Each is in several indexes, and others wait meanwhile.
const SWEPT_AT_ONCE: i64 = 8;

/// How long to wait for another process, or another part of this one, that writes.
const BUSY: Duration = Duration::from_secs(5);

pub(super) struct Sqlite {
    pool: SqlitePool,
    turns: Turns,
    /// How many writes there were.
    writes: AtomicU32,
}

impl Sqlite {
    /// Boxed, like the next: the compiler cannot see that sqlx's futures are `Send` inside another function's future.
    pub(super) fn connect(url: &str) -> StoreFuture<'_, Self> {
        Box::pin(Self::connected(url))
    }

    pub(super) fn from_pool(pool: SqlitePool) -> StoreFuture<'static, Self> {
        Box::pin(async move {
            migrate(&pool).await?;
            Ok(Self { pool, turns: Turns::default(), writes: AtomicU32::new(0) })
        })
    }

    async fn connected(url: &str) -> Result<Self, StoreError> {
        let options: SqliteConnectOptions = url.parse().map_err(failed)?;
        let options =
            options.create_if_missing(true).foreign_keys(true).busy_timeout(BUSY).synchronous(SqliteSynchronous::Full);
        let mut pool = SqlitePoolOptions::new().max_connections(5).acquire_timeout(BUSY).test_before_acquire(false);
        if url.contains(":memory:") || url.contains("mode=memory") {
            // The database ends with its last connection.
            pool = pool.max_connections(1).idle_timeout(None).max_lifetime(None);
        }
        let pool = pool.connect_with(options).await.map_err(failed)?;
        use_write_ahead_log(&pool).await?;
        Self::from_pool(pool).await
    }

    async fn write(&self) -> Result<Write<'_>, StoreError> {
        let mut write = self.turns.next(&self.pool).await?;
        if self.writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRIM_EVERY) {
            log::trim(&mut write).await?;
        }
        Ok(write)
    }
}

/// The file keeps this setting, so one connection is enough. `SQLite` does not wait by itself if another connection is busy
/// during the switch, such as that of a process that starts at the same moment.
async fn use_write_ahead_log(pool: &SqlitePool) -> Result<(), StoreError> {
    const PAUSE: Duration = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        match sqlx::query("PRAGMA journal_mode = WAL").execute(pool).await {
            Err(error) if is_busy(&error) && waited < BUSY => {
                tokio::time::sleep(PAUSE).await;
                waited = waited.saturating_add(PAUSE);
            }
            outcome => return outcome.map(drop).map_err(failed),
        }
    }
}

/// The primary code that `SQLite` gave, without the detail in its upper bits.
fn code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

/// `SQLITE_BUSY` and `SQLITE_LOCKED`.
fn is_busy(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(5 | 6))
}

/// Deletes rows that ended before `until`, a few at a time: the statement takes that instant and their number.
async fn sweep(connection: &mut SqliteConnection, statement: &'static str, until: Timestamp) -> Result<(), StoreError> {
    sqlx::query(statement)
        .bind(until.unix_milliseconds())
        .bind(SWEPT_AT_ONCE)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

fn failed(error: sqlx::Error) -> StoreError {
    match code(&error) {
        // SQLITE_CORRUPT and SQLITE_NOTADB.
        Some(11 | 26) => StoreError::with_source(StoreErrorKind::Corrupt, error),
        _ => rows::failed(error),
    }
}

/// All in one transaction, because sqlx takes no lock of its own on `SQLite`: two processes that start together would both find
/// the same migration missing.
async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    let not_migrated = |error| migrations::not_migrated(error, failed);
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    transaction.ensure_migrations_table(migrations::TABLE).await.map_err(not_migrated)?;
    migrations::apply_missing(&mut *transaction, &MIGRATIONS).await.map_err(not_migrated)?;
    transaction.commit().await.map_err(failed)
}
