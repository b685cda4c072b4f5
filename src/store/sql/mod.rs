//! A durable store in an SQL database.
//!
//! This file has the type that applications use. `rows` converts columns, `migrations` updates the tables, and `sqlite` and
//! `postgres` have the statements. All tables are named `step_up_…`, the record of migrations too.

mod migrations;
#[cfg(feature = "postgres")]
mod postgres;
pub(crate) mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;

#[cfg(feature = "postgres")]
use self::postgres::Postgres;
#[cfg(feature = "sqlite")]
use self::sqlite::Sqlite;
use super::{
    Attempt, AttemptKey, AttemptPolicy, Changes, Completed, Completion, Counted, Credential, FlowId, FlowStore,
    LogPlace, Revocation, StoreError, StoreFuture, StoredFlow, StoredStanding, SubjectStore, Written,
};
use crate::{
    aal::Method,
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession, Subject},
};

/// Keeps everything in an SQL database: `SQLite` (feature `sqlite`) or `PostgreSQL` (feature `postgres`).
///
/// Sessions, credentials, used codes, flows and locks survive a restart. Several processes on one machine may share a file. Any
/// number of processes on any number of machines may share a `PostgreSQL` database. Expired rows are removed little by little as
/// the store is used; there is no job to run.
///
/// Opening the store creates the tables and brings them up to date, in one transaction that only one process at a time can be in.
/// Their names begin with `step_up_`, so they do not clash with an application's own tables and migrations in the same database.
/// A migration only adds, so processes of the previous version go on working.
///
/// # Durability
///
/// [`connect`](Self::connect) opens `SQLite` with a write-ahead log and `synchronous=FULL`: once a call has returned, its data is
/// on disk, even after a power cut. The faster `synchronous=NORMAL` survives `kill -9` but may lose the last moments before a
/// power cut, and with them the record of used codes. With [`from_pool`](Self::from_pool) this choice is the application's.
/// Calls that write at the same time share a commit.
///
/// `PostgreSQL` is as durable as its `synchronous_commit`, which is on by default. If a standby that lags behind replaces a lost
/// primary, the last moments are lost, used codes included, unless the replication is synchronous.
///
/// # `PostgreSQL`
///
/// The tables are created in the first schema of the `search_path`, and a few functions in PL/pgSQL, so that what takes several statements
/// needs one round trip. If nothing is missing, opening the store writes nothing. So one process may create them under a role that owns the
/// schema, and all others may run under a role that may only `SELECT`, `INSERT`, `UPDATE` and `DELETE`, and `EXECUTE` these functions, as
/// everybody may unless the database says otherwise. Every statement is correct at `READ COMMITTED`.
///
/// # Behind `PgBouncer`
///
/// Nothing that the store does belongs to a connection, but the statements that sqlx prepares do. So with `pool_mode=transaction`, `PgBouncer`
/// must know them: version 1.21 or later, with `max_prepared_statements` above zero, as it is by default since 1.24. Behind a pooler that does not
/// know them the store does not open, since statements of one client would be run for another. `pool_mode=session` works with any version.
///
/// `PgBouncer` refuses settings of a connection that it cannot keep: let it ignore them, and give the time limits to the role, and a `search_path` if
/// you need one.
///
/// ```text
/// ignore_startup_parameters = extra_float_digits, options
///
/// ALTER ROLE bank SET statement_timeout = '10s';
/// ALTER ROLE bank SET lock_timeout = '5s';
/// ALTER ROLE bank SET idle_in_transaction_session_timeout = '10s';
/// ```
///
/// # Encryption and lost connections
///
/// The URL's `sslmode` decides whether the connection is encrypted, and needs the feature `tls`. Write `sslmode=verify-full`
/// wherever the database is on another machine. The pool replaces a lost connection: calls that meet it fail, the next ones do
/// not.
pub struct SqlStore {
    backend: Backend,
}

enum Backend {
    #[cfg(feature = "sqlite")]
    Sqlite(Sqlite),
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

/// A pool of connections to one of the databases of [`SqlStore`], made from an `sqlx::SqlitePool` or an `sqlx::PgPool`.
pub struct SqlPool(Pool);

enum Pool {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

impl fmt::Debug for SqlPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlPool").finish_non_exhaustive()
    }
}

#[cfg(feature = "sqlite")]
impl From<sqlx::SqlitePool> for SqlPool {
    fn from(pool: sqlx::SqlitePool) -> Self {
        Self(Pool::Sqlite(pool))
    }
}

#[cfg(feature = "postgres")]
impl From<sqlx::PgPool> for SqlPool {
    fn from(pool: sqlx::PgPool) -> Self {
        Self(Pool::Postgres(pool))
    }
}

impl SqlStore {
    /// Opens the database at this URL and brings the tables up to date: `sqlite://…` or `postgres://…`.
    ///
    /// The store has its own pool, with at most five connections to `SQLite` and ten to `PostgreSQL`. A missing file is created.
    /// `sqlite::memory:` gives a database that ends with the store, with a single connection. On `PostgreSQL` no statement takes
    /// longer than ten seconds, and none waits longer than five for a lock. [Behind `PgBouncer`](Self#behind-pgbouncer) these settings are the
    /// role's.
    ///
    #[cfg_attr(feature = "sqlite", doc = "```")]
    #[cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("step-up-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let url = format!("sqlite://{}/bank.db", directory.display());
    /// use tower_step_up::store::SqlStore;
    ///
    /// // let url = "sqlite://bank.db";
    /// // let url = "postgres://bank:secret@db.example/bank?sslmode=verify-full";
    /// let store = SqlStore::connect(&url).await?;
    /// # drop(store);
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `Unavailable` if the crate was built without the URL's database, if the file cannot be opened or written or stays locked for
    /// five seconds, or if the server cannot be reached. `Corrupt` if it is not a database, or if its tables are not those of this
    /// crate. `Unavailable` also behind a pooler that mixes up [prepared statements](Self#behind-pgbouncer).
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let backend = match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            #[cfg(feature = "sqlite")]
            "sqlite" => Backend::Sqlite(Sqlite::connect(url).await?),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Backend::Postgres(Postgres::connect(url).await?),
            _ => return Err(rows::unavailable("the database's URL is of none that was built in")),
        };
        Ok(Self { backend })
    }

    /// Uses a pool that the application owns and configures, and brings the tables up to date.
    ///
    /// For `SQLite`, use a write-ahead log (`journal_mode=WAL`), a busy timeout, and `synchronous=FULL` unless losing the last moments
    /// before a power cut is acceptable. Do not hold a write transaction of your own while you wait for this crate.
    ///
    /// For `PostgreSQL`, set `statement_timeout`, `lock_timeout` and `idle_in_transaction_session_timeout`, so that a cancelled
    /// request leaves no locks that others wait for. Keep the default isolation. With sqlx 0.9.0, use a pool that nothing else
    /// begins transactions on: a transaction whose beginning is cancelled stays open (transact-rs/sqlx#4393), and later writes
    /// over the same connection are undone. This crate itself never leaves one open.
    ///
    /// By default, sqlx tests each connection before each use, which is one more round trip for each call. The pool of
    /// [`connect`](Self::connect) tests only those that nobody has used for a second: see `PoolOptions::before_acquire`.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn from_pool(pool: impl Into<SqlPool>) -> Result<Self, StoreError> {
        let backend = match pool.into().0 {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(pool) => Backend::Sqlite(Sqlite::from_pool(pool).await?),
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => Backend::Postgres(Postgres::from_pool(pool).await?),
        };
        Ok(Self { backend })
    }
}

/// Calls the database's method of the same name.
macro_rules! forward {
    ($store:ident.$method:ident($($argument:expr),*)) => {
        match &$store.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(sqlite) => Box::pin(sqlite.$method($($argument),*)),
            #[cfg(feature = "postgres")]
            Backend::Postgres(postgres) => Box::pin(postgres.$method($($argument),*)),
        }
    };
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").finish_non_exhaustive()
    }
}

impl SubjectStore for SqlStore {
    fn create_session<'a>(&'a self, session: &'a StoredSession) -> StoreFuture<'a, ()> {
        forward!(self.create_session(session))
    }

    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>> {
        forward!(self.standing(subject, session))
    }

    fn session_of<'a>(
        &'a self,
        subject: &'a Subject,
        binding: BindingKey,
        now: Timestamp,
    ) -> StoreFuture<'a, Option<StoredStanding>> {
        forward!(self.session_of(subject, binding, now))
    }

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<StoredSession>> {
        forward!(self.sessions(subject, now))
    }

    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64> {
        forward!(self.revoke(subject, which))
    }

    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>> {
        forward!(self.credentials(subject))
    }

    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed> {
        forward!(self.complete(completion))
    }

    fn delete_subject<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, ()> {
        forward!(self.delete_subject(subject))
    }

    fn revoke_everyone(&self, at: Timestamp) -> StoreFuture<'_, u64> {
        forward!(self.revoke_everyone(at))
    }

    fn revocations(&self) -> StoreFuture<'_, u64> {
        forward!(self.revocations())
    }

    fn note_use<'a>(&'a self, subject: &'a Subject, session: SessionId, at: Timestamp) -> StoreFuture<'a, Written> {
        forward!(self.note_use(subject, session, at))
    }

    fn notes_use(&self) -> bool {
        true
    }

    fn changes<'a>(&'a self, since: Option<&'a LogPlace>) -> StoreFuture<'a, Changes> {
        forward!(self.changes(since))
    }
}

impl FlowStore for SqlStore {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()> {
        forward!(self.create_flow(flow, keep, now))
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        forward!(self.flow(id))
    }

    fn touch_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        forward!(self.touch_flow(flow))
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        forward!(self.update_flow(flow))
    }

    fn complete_flow<'a>(&'a self, flow: &'a StoredFlow, now: Timestamp) -> StoreFuture<'a, Written> {
        forward!(self.complete_flow(flow, now))
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        forward!(self.remove_flows(subject, except))
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        forward!(self.begin_attempt(key, policy, now))
    }

    fn give_back_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        attempt: &'a Counted,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, bool> {
        forward!(self.give_back_attempt(key, attempt, policy, now))
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        forward!(self.reset_attempts(key))
    }

    fn forget_subject<'a>(&'a self, subject: &'a Subject, _: &'a [Method]) -> StoreFuture<'a, ()> {
        forward!(self.forget_subject(subject))
    }
}
