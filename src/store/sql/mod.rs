//! A durable store in an SQL database.
//!
//! This file is the type that applications hold, `rows` what all databases share of the way to and from columns, and `sqlite` the
//! statements. All tables are named `step_up_…`, the record of migrations too.

mod rows;
mod sqlite;

use std::fmt;

use self::sqlite::Sqlite;
use super::{
    Attempt, AttemptKey, AttemptPolicy, Completed, Completion, Credential, FlowId, FlowStore, Revocation, StoreError,
    StoreFuture, StoredFlow, StoredStanding, SubjectStore,
};
use crate::{
    clock::Timestamp,
    session::{Session, SessionId, Subject},
};

/// Keeps everything in an SQL database: `SQLite` (feature `sqlite`).
///
/// Sessions, credentials, used codes, flows and locks survive a restart. Several processes on one machine may share a file. What
/// has expired is removed little by little as the store is used; there is no job to run.
///
/// The tables are created and brought up to date when the store is opened, in one transaction that only one process at a time can
/// be in. Their names begin with `step_up_`, so that they get along with an application's own tables and migrations in the same
/// database. A migration only ever adds, so that processes of the version before go on working.
///
/// # Durability
///
/// [`connect`](Self::connect) opens `SQLite` with a write-ahead log and `synchronous=FULL`: what was answered is on the disk, also
/// after a power cut. The faster `synchronous=NORMAL` survives `kill -9` but may lose the last moments before a power cut, and
/// with them the note that a code was used. With [`from_pool`](Self::from_pool) this choice is the application's.
pub struct SqlStore {
    backend: Sqlite,
}

impl SqlStore {
    /// Opens the database at this URL, creates the file if it is missing, and brings the tables up to date.
    ///
    /// The store has a pool of its own with at most five connections. `sqlite::memory:` gives a database that ends with the
    /// store; it has a single connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("step-up-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let url = format!("sqlite://{}/bank.db", directory.display());
    /// use tower_step_up::store::SqlStore;
    ///
    /// // let url = "sqlite://bank.db";
    /// let store = SqlStore::connect(&url).await?;
    /// # drop(store);
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `Unavailable` if the URL is not one of `SQLite`'s, if the file cannot be opened or written, or if it stays locked for five
    /// seconds. `Corrupt` if it is not a database, or if its tables are not those of this crate.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Ok(Self { backend: Sqlite::connect(url).await? })
    }

    /// Uses a pool that the application owns and configures, and brings the tables up to date.
    ///
    /// Use a write-ahead log (`journal_mode=WAL`), a busy timeout, and `synchronous=FULL` unless losing the last moments before a
    /// power cut is acceptable. Do not hold a write transaction of your own while you wait for this crate.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn from_pool(pool: sqlx::SqlitePool) -> Result<Self, StoreError> {
        Ok(Self { backend: Sqlite::from_pool(pool).await? })
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").finish_non_exhaustive()
    }
}

impl SubjectStore for SqlStore {
    fn create_session<'a>(&'a self, session: &'a Session) -> StoreFuture<'a, ()> {
        Box::pin(self.backend.create_session(session))
    }

    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>> {
        Box::pin(self.backend.standing(subject, session))
    }

    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<Session>> {
        Box::pin(self.backend.sessions(subject, now))
    }

    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64> {
        Box::pin(self.backend.revoke(subject, which))
    }

    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>> {
        Box::pin(self.backend.credentials(subject))
    }

    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed> {
        Box::pin(self.backend.complete(completion))
    }
}

impl FlowStore for SqlStore {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()> {
        Box::pin(self.backend.create_flow(flow, keep, now))
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        Box::pin(self.backend.flow(id))
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, bool> {
        Box::pin(self.backend.update_flow(flow))
    }

    fn complete_flow(&self, id: FlowId, now: Timestamp) -> StoreFuture<'_, bool> {
        Box::pin(self.backend.complete_flow(id, now))
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        Box::pin(self.backend.remove_flows(subject, except))
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        Box::pin(self.backend.begin_attempt(key, policy, now))
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        Box::pin(self.backend.reset_attempts(key))
    }
}
