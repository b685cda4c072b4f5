//! Counters of attempts.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{SWEPT_AT_ONCE, Sqlite, failed};
use crate::{
    clock::Timestamp,
    store::{
        Attempt, AttemptKey, AttemptPolicy, Counted, StoreError,
        sql::rows::{self, unavailable, unsigned},
    },
};

impl Sqlite {
    pub(in crate::store::sql) async fn begin_attempt(
        &self,
        key: &AttemptKey,
        policy: &AttemptPolicy,
        now: Timestamp,
    ) -> Result<Attempt, StoreError> {
        if policy.hard_stop == 0 {
            return Ok(Attempt::Stopped);
        }
        let mut write = self.write().await?;
        // Counters that are to be forgotten: its own, and some of the others'.
        sqlx::query(
            "DELETE FROM step_up_attempts WHERE subject = ? AND method = ? AND forgotten_at <= ?; \
             DELETE FROM step_up_attempts WHERE rowid IN \
                 (SELECT rowid FROM step_up_attempts WHERE forgotten_at <= ? ORDER BY forgotten_at LIMIT ?)",
        )
        .bind(key.subject.as_str())
        .bind(key.method.as_str())
        .bind(now.unix_milliseconds())
        .bind(now.unix_milliseconds())
        .bind(SWEPT_AT_ONCE)
        .execute(&mut *write)
        .await
        .map_err(failed)?;
        if let Some(counted) = count_attempt(&mut write, key, policy, now).await? {
            write.commit().await?;
            return Ok(Attempt::Counted(counted));
        }
        let (failures, locked_until): (i64, Option<i64>) =
            sqlx::query_as("SELECT failures, locked_until FROM step_up_attempts WHERE subject = ?1 AND method = ?2")
                .bind(key.subject.as_str())
                .bind(key.method.as_str())
                .fetch_one(&mut *write)
                .await
                .map_err(failed)?;
        write.roll_back().await?;
        match locked_until {
            Some(until) if unsigned::<u32>(failures)? < policy.hard_stop => {
                Ok(Attempt::LockedUntil(Timestamp::from_unix_milliseconds(until)))
            }
            _ => Ok(Attempt::Stopped),
        }
    }

    pub(in crate::store::sql) async fn give_back_attempt(
        &self,
        key: &AttemptKey,
        attempt: &Counted,
        policy: &AttemptPolicy,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let given_back = sqlx::query(
            "UPDATE step_up_attempts SET failures = failures - 1, \
                 locked_until = NULLIF(locked_until, ?4), \
                 forgotten_at = CASE WHEN failures - 1 < ?5 THEN coalesce(forgotten_at, ?6) ELSE forgotten_at END \
             WHERE subject = ?1 AND method = ?2 AND generation = ?3 AND failures > 0",
        )
        .bind(key.subject.as_str())
        .bind(key.method.as_str())
        .bind(attempt.generation)
        .bind(attempt.locked_until.map(Timestamp::unix_milliseconds))
        .bind(i64::from(policy.hard_stop))
        .bind(policy.forgotten_at(0, now).map(Timestamp::unix_milliseconds))
        .execute(&mut *write)
        .await
        .map_err(failed)?;
        write.commit().await?;
        Ok(given_back.rows_affected() == 1)
    }

    pub(in crate::store::sql) async fn reset_attempts(&self, key: &AttemptKey) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        reset_attempts(&mut write, key).await?;
        write.commit().await
    }
}

/// Counts the attempt if it is neither locked nor stopped; `None` if it is. One statement.
///
/// Only the statement knows how many failures there will be. It gets a list of the locks that could follow, one for each failure
/// from the last free one until they no longer change, and picks the right one. So the delays are those of
/// [`AttemptPolicy::delay_after`] and are computed only there.
async fn count_attempt(
    connection: &mut SqliteConnection,
    key: &AttemptKey,
    policy: &AttemptPolicy,
    now: Timestamp,
) -> Result<Option<Counted>, StoreError> {
    const DOUBLINGS: u32 = 31;
    let forgotten_after = |failures| policy.forgotten_at(failures, now).map(Timestamp::unix_milliseconds);
    let lock_after = |failures| policy.locked_until(failures, now).map(Timestamp::unix_milliseconds);
    let locks: Vec<_> = (0..=DOUBLINGS).map(|beyond| lock_after(policy.free.saturating_add(beyond))).collect();
    let counted: Option<(Uuid, Option<i64>)> = sqlx::query_as(
        "INSERT INTO step_up_attempts AS kept (subject, method, failures, locked_until, forgotten_at, generation) \
         VALUES (?1, ?2, 1, ?3, ?4, ?11) \
         ON CONFLICT (subject, method) DO UPDATE SET \
             generation = coalesce(kept.generation, ?11), \
             failures = kept.failures + 1, \
             locked_until = CASE WHEN kept.failures + 1 >= ?5 \
                 THEN json_extract(?6, '$[' || min(kept.failures + 1 - ?5, ?7) || ']') END, \
             forgotten_at = CASE WHEN kept.failures + 1 < ?8 THEN ?9 END \
         WHERE kept.failures < ?8 AND (kept.locked_until IS NULL OR kept.locked_until <= ?10) \
         RETURNING generation, locked_until",
    )
    .bind(key.subject.as_str())
    .bind(key.method.as_str())
    .bind(lock_after(1))
    .bind(forgotten_after(1))
    .bind(i64::from(policy.free))
    .bind(serde_json::to_string(&locks).map_err(unavailable)?)
    .bind(i64::from(DOUBLINGS))
    .bind(i64::from(policy.hard_stop))
    .bind(forgotten_after(0))
    .bind(now.unix_milliseconds())
    .bind(Uuid::new_v4())
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    Ok(counted.map(rows::counted))
}

pub(super) async fn reset_attempts(connection: &mut SqliteConnection, key: &AttemptKey) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM step_up_attempts WHERE subject = ?1 AND method = ?2")
        .bind(key.subject.as_str())
        .bind(key.method.as_str())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}
