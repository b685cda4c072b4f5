//! How writes take turns, and share commits.
//!
//! `SQLite` lets one connection write at a time, and a commit waits for the disk, which is most of what a write takes. So those who are waiting
//! for their turn when a transaction begins take it within that transaction, one after the other, and one commit is for all of them. None of
//! them returns before it. A write that fails or is given up is undone alone, by a savepoint.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use sqlx::{SqliteConnection, SqlitePool, Transaction};
use tokio::{
    sync::{MappedMutexGuard, Mutex, MutexGuard, watch},
    task::JoinHandle,
};

use super::failed;
use crate::store::{StoreError, StoreErrorKind, sql::rows::unavailable};

/// How many writes share a commit at most. Each has a savepoint, which costs those after it.
const TOGETHER: usize = 64;

/// Writes of one process take turns here, fairly, and hold no connection while they wait. So reads go on. `SQLite` itself only tries again
/// and again.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<Option<Batch>>>);

/// A transaction during which nothing else can write.
struct Batch {
    transaction: Transaction<'static, sqlx::Sqlite>,
    writes: usize,
    /// Since the last savepoint, a write has begun that has not ended.
    unfinished: bool,
    committed: watch::Sender<Option<Result<(), Arc<StoreError>>>>,
    committer: JoinHandle<()>,
}

/// One write. If it is dropped without a commit, also by a cancelled future, it is undone.
pub(super) struct Write<'a>(MappedMutexGuard<'a, Batch>);

impl Turns {
    pub(super) async fn next(&self, pool: &SqlitePool) -> Result<Write<'_>, StoreError> {
        loop {
            let mut turn = self.0.lock().await;
            if let Some(batch) = &mut *turn {
                if batch.writes >= TOGETHER {
                    // Its committer waits in front of whoever comes now.
                    continue;
                }
                if batch.is_abandoned() || batch.prepare_next().await.is_err() {
                    *turn = None;
                }
            }
            if turn.is_none() {
                let transaction = pool.begin_with("BEGIN IMMEDIATE; SAVEPOINT step_up").await.map_err(failed)?;
                *turn = Some(Batch {
                    transaction,
                    writes: 0,
                    unfinished: false,
                    committed: watch::Sender::default(),
                    // In its own task, since all who wrote wait for it, and each of them may be cancelled.
                    committer: tokio::spawn(self.clone().commit()),
                });
            }
            let mut batch =
                MutexGuard::try_map(turn, Option::as_mut).map_err(|_| unavailable("there is no transaction"))?;
            batch.writes = batch.writes.saturating_add(1);
            batch.unfinished = true;
            return Ok(Write(batch));
        }
    }

    /// Waits until all who were there when the transaction began have had their turn.
    async fn commit(self) {
        let mut turn = self.0.lock().await;
        if let Some(batch) = turn.take() {
            batch.commit().await;
        }
    }
}

impl Batch {
    /// Whether the task that was to commit it has ended with its runtime.
    fn is_abandoned(&self) -> bool {
        self.committer.is_finished()
    }

    /// Undoes the last write if it has not ended. It fails if the whole transaction is gone, as after some errors: then nobody's write is left.
    async fn undo_unfinished(&mut self) -> Result<(), sqlx::Error> {
        if self.unfinished {
            sqlx::raw_sql("ROLLBACK TO step_up").execute(&mut *self.transaction).await?;
            self.unfinished = false;
        }
        Ok(())
    }

    /// From here on a write can be undone alone. If the caller gives up meanwhile, there may be one more savepoint, which does no harm.
    async fn prepare_next(&mut self) -> Result<(), sqlx::Error> {
        if self.unfinished {
            return self.undo_unfinished().await;
        }
        sqlx::raw_sql("SAVEPOINT step_up").execute(&mut *self.transaction).await?;
        Ok(())
    }

    async fn commit(mut self) {
        let outcome = match self.undo_unfinished().await {
            Ok(()) => self.transaction.commit().await,
            Err(error) => Err(error),
        };
        self.committed.send_replace(Some(outcome.map_err(|error| Arc::new(failed(error)))));
    }
}

impl Write<'_> {
    /// Returns when it is on the disk.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.0.unfinished = false;
        self.ended().await
    }

    /// Undoes it. What it has seen is on the disk then.
    pub(super) async fn roll_back(self) -> Result<(), StoreError> {
        self.ended().await
    }

    async fn ended(self) -> Result<(), StoreError> {
        let mut committed = self.0.committed.subscribe();
        drop(self);
        match committed.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(error))) => Err(StoreError::with_source(error.kind(), Arc::clone(error))),
            Ok(None) | Err(_) => Err(StoreError::with_source(StoreErrorKind::Unavailable, "the transaction is gone")),
        }
    }
}

impl Deref for Write<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.0.transaction
    }
}

impl DerefMut for Write<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0.transaction
    }
}
