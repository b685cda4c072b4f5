//! The bank's own tables: users, transfers and one secret. They lie beside the crate's tables in the same database.

use std::{str::FromStr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

use crate::config::StoreSetting;

const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS bank_users (username TEXT PRIMARY KEY, password_hash TEXT NOT NULL) STRICT",
    // A transfer's key is unique for its sender, so that a form which is sent twice pays once.
    "CREATE TABLE IF NOT EXISTS bank_transfers (id INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, \
     recipient TEXT NOT NULL, amount TEXT NOT NULL, key TEXT NOT NULL, sent_at INTEGER NOT NULL, \
     UNIQUE (subject, key)) STRICT",
    "CREATE TABLE IF NOT EXISTS bank_secrets (name TEXT PRIMARY KEY, secret TEXT NOT NULL) STRICT",
];

/// Opens the database and makes the tables that are missing.
pub(crate) async fn open(store: &StoreSetting) -> Result<SqlitePool, sqlx::Error> {
    let pool = match store {
        // A database in memory lives as long as its one connection, so that must never be closed.
        StoreSetting::Memory => {
            let options = SqlitePoolOptions::new().min_connections(1).max_connections(1);
            options.idle_timeout(None).max_lifetime(None).connect("sqlite::memory:").await?
        }
        StoreSetting::Sqlite(url) => {
            let options = SqliteConnectOptions::from_str(url)?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .busy_timeout(Duration::from_secs(5));
            SqlitePoolOptions::new().max_connections(4).connect_with(options).await?
        }
    };
    for table in TABLES {
        sqlx::query(*table).execute(&pool).await?;
    }
    Ok(pool)
}

/// The secret behind all keys. The first process to ask creates it; all that share the database get the same.
///
/// A real bank keeps it in a vault instead: whoever reads this database can sign sessions.
pub(crate) async fn secret(pool: &SqlitePool) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh)?;
    sqlx::query("INSERT INTO bank_secrets (name, secret) VALUES ('keys', ?) ON CONFLICT DO NOTHING")
        .bind(STANDARD.encode(fresh))
        .execute(pool)
        .await?;
    let kept: String =
        sqlx::query_scalar("SELECT secret FROM bank_secrets WHERE name = 'keys'").fetch_one(pool).await?;
    Ok(STANDARD.decode(kept)?)
}
