//! The bank's own tables: users, transfers and one secret. They are in the same database as the crate's tables.

use std::error::Error;
#[cfg(feature = "sqlite")]
use std::str::FromStr;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
#[cfg(feature = "postgres")]
use sqlx::postgres::{PgPool, PgPoolOptions};
#[cfg(feature = "sqlite")]
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};

use crate::config::StoreSetting;

/// A pool of connections. All statements work on both databases.
#[derive(Clone)]
pub(crate) enum Database {
    Sqlite(SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
}

/// Does the same on either pool.
macro_rules! on {
    ($database:expr, $pool:ident => $statement:expr) => {
        match $database {
            $crate::database::Database::Sqlite($pool) => $statement,
            #[cfg(feature = "postgres")]
            $crate::database::Database::Postgres($pool) => $statement,
        }
    };
}
pub(crate) use on;

const SQLITE_TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS bank_users (username TEXT PRIMARY KEY, password_hash TEXT NOT NULL) STRICT",
    // A transfer's key is unique per sender, so a form that is sent twice pays once.
    "CREATE TABLE IF NOT EXISTS bank_transfers (id INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, \
     recipient TEXT NOT NULL, amount TEXT NOT NULL, key TEXT NOT NULL, sent_at INTEGER NOT NULL, \
     UNIQUE (subject, key)) STRICT",
    "CREATE TABLE IF NOT EXISTS bank_secrets (name TEXT PRIMARY KEY, secret TEXT NOT NULL) STRICT",
];

#[cfg(feature = "postgres")]
const POSTGRES_TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS bank_users (username TEXT PRIMARY KEY, password_hash TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS bank_transfers (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subject TEXT NOT NULL, \
     recipient TEXT NOT NULL, amount TEXT NOT NULL, key TEXT NOT NULL, sent_at BIGINT NOT NULL, UNIQUE (subject, key))",
    "CREATE TABLE IF NOT EXISTS bank_secrets (name TEXT PRIMARY KEY, secret TEXT NOT NULL)",
];

/// Opens the database.
pub(crate) async fn open(store: &StoreSetting) -> Result<Database, sqlx::Error> {
    match store {
        // A database in memory ends with its one connection, so the pool must never close it.
        StoreSetting::Memory => {
            let options = SqlitePoolOptions::new().min_connections(1).max_connections(1);
            let options = options.idle_timeout(None).max_lifetime(None);
            options.connect("sqlite::memory:").await.map(Database::Sqlite)
        }
        #[cfg(feature = "sqlite")]
        StoreSetting::Sqlite(url) => {
            let options = SqliteConnectOptions::from_str(url)?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .busy_timeout(Duration::from_secs(5));
            SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map(Database::Sqlite)
        }
        #[cfg(feature = "postgres")]
        StoreSetting::Postgres(url) => {
            let options = PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5));
            options.connect(url).await.map(Database::Postgres)
        }
    }
}

/// Held by one process at a time while it creates tables and users.
pub(crate) enum Preparing {
    /// `SQLite` waits for other writers, and each statement is complete by itself.
    Unlocked,
    /// The lock ends with the connection, even when the process is killed.
    #[cfg(feature = "postgres")]
    Locked(#[expect(dead_code, reason = "it is held, not read")] sqlx::PgConnection),
}

impl Database {
    /// Creates the missing tables. Other processes that start wait until the result is dropped.
    pub(crate) async fn prepare(&self) -> Result<Preparing, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => {
                for table in SQLITE_TABLES {
                    sqlx::query(table).execute(pool).await?;
                }
                Ok(Preparing::Unlocked)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => {
                let mut connection = pool.acquire().await?.detach();
                sqlx::query("SELECT pg_advisory_lock(hashtext('bank'))").execute(&mut connection).await?;
                for table in POSTGRES_TABLES {
                    sqlx::query(table).execute(&mut connection).await?;
                }
                Ok(Preparing::Locked(connection))
            }
        }
    }

    /// The secret that all keys are derived from. The first process creates it, and all processes on this database share it.
    ///
    /// A real bank keeps it in a vault, since anybody who reads this database can sign sessions.
    pub(crate) async fn secret(&self) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh)?;
        let fresh = STANDARD.encode(fresh);
        let create = "INSERT INTO bank_secrets (name, secret) VALUES ('keys', $1) ON CONFLICT DO NOTHING";
        on!(self, pool => sqlx::query(create).bind(fresh).execute(pool).await.map(drop))?;
        let read = "SELECT secret FROM bank_secrets WHERE name = 'keys'";
        let kept: String = on!(self, pool => sqlx::query_scalar(read).fetch_one(pool).await)?;
        Ok(STANDARD.decode(kept)?)
    }
}
