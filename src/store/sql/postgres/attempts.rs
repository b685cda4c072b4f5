//! Counters of attempts.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Postgres, failed};
use crate::{
    clock::Timestamp,
    store::{
        Attempt, AttemptKey, AttemptPolicy, Counted, StoreError,
        sql::rows::{self, unavailable, unsigned},
    },
};

impl Postgres {
    pub(in crate::store::sql) async fn begin_attempt(
        &self,
        key: &AttemptKey,
        policy: &AttemptPolicy,
        now: Timestamp,
    ) -> Result<Attempt, StoreError> {
        /// Between the refusal and reading its reason, another request may reset the count; hardly ever twice.
        const TRIES: usize = 4;
        if policy.hard_stop == 0 {
            return Ok(Attempt::Stopped);
        }
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        for _ in 0..TRIES {
            if let Some(counted) = count_attempt(&mut connection, key, policy, now).await? {
                return Ok(Attempt::Counted(counted));
            }
            if let Some(reason) = why_refused(&mut connection, key, policy, now).await? {
                return Ok(reason);
            }
        }
        Err(unavailable("the counter of attempts changes too fast to be read"))
    }

    pub(in crate::store::sql) async fn give_back_attempt(
        &self,
        key: &AttemptKey,
        attempt: &Counted,
        policy: &AttemptPolicy,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let given_back = sqlx::query(
            "UPDATE step_up_attempts SET failures = failures - 1, \
                 locked_until = NULLIF(locked_until, $4::bigint), \
                 forgotten_at = CASE WHEN failures - 1 < $5 THEN coalesce(forgotten_at, $6::bigint) ELSE forgotten_at END \
             WHERE subject = $1 AND method = $2 AND generation = $3 AND failures > 0",
        )
        .bind(key.subject.as_str())
        .bind(key.method.as_str())
        .bind(attempt.generation)
        .bind(attempt.locked_until.map(Timestamp::unix_milliseconds))
        .bind(i64::from(policy.hard_stop))
        .bind(policy.forgotten_at(0, now).map(Timestamp::unix_milliseconds))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
        Ok(given_back.rows_affected() == 1)
    }

    pub(in crate::store::sql) async fn reset_attempts(&self, key: &AttemptKey) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM step_up_attempts WHERE subject = $1 AND method = $2")
            .bind(key.subject.as_str())
            .bind(key.method.as_str())
            .execute(&self.pool)
            .await
            .map_err(failed)?;
        Ok(())
    }
}

/// Counts the attempt if it is neither locked nor stopped; `None` if it is. One statement, committed by itself. Once it has
/// counted, it also removes some of the others' counters that are to be forgotten: then it waits for no lock any more.
///
/// Only the statement knows how many failures there will be. It gets a list of the locks that could follow, one for each failure
/// from the last free one until they no longer change, and picks the right one. So the delays are those of
/// [`AttemptPolicy::delay_after`] and are computed only there.
async fn count_attempt(
    connection: &mut PgConnection,
    key: &AttemptKey,
    policy: &AttemptPolicy,
    now: Timestamp,
) -> Result<Option<Counted>, StoreError> {
    const DOUBLINGS: u32 = 31;
    let forgotten_after = |failures| policy.forgotten_at(failures, now).map(Timestamp::unix_milliseconds);
    let lock_after = |failures| policy.locked_until(failures, now).map(Timestamp::unix_milliseconds);
    let locks: Vec<_> = (0..=DOUBLINGS).map(|beyond| lock_after(policy.free.saturating_add(beyond))).collect();
    let counted: Option<(Uuid, Option<i64>)> = sqlx::query_as(
        "WITH counted AS (INSERT INTO step_up_attempts AS kept (subject, method, failures, locked_until, forgotten_at, generation) \
         VALUES ($1, $2, 1, $3, $4, $11) \
         ON CONFLICT (subject, method) DO UPDATE SET (generation, failures, locked_until, forgotten_at) = ( \
             SELECT CASE WHEN kept.forgotten_at <= $10 THEN $11 ELSE coalesce(kept.generation, $11) END, failures, \
                 CASE WHEN failures >= $5 THEN ($6::bigint[])[least(failures - $5, $7)::integer + 1] END, \
                 CASE WHEN failures < $8 THEN $9::bigint END \
             FROM (SELECT CASE WHEN kept.forgotten_at <= $10 THEN 1 ELSE kept.failures + 1 END AS failures) AS next) \
         WHERE kept.forgotten_at <= $10 \
             OR kept.failures < $8 AND (kept.locked_until IS NULL OR kept.locked_until <= $10) \
         RETURNING generation, locked_until), \
         swept AS (DELETE FROM step_up_attempts WHERE (subject, method) IN (SELECT subject, method FROM step_up_attempts \
             WHERE forgotten_at <= $10 AND (subject, method) <> ($1, $2) AND EXISTS (SELECT 1 FROM counted) \
             ORDER BY forgotten_at LIMIT 64 FOR UPDATE SKIP LOCKED)) \
         SELECT generation, locked_until FROM counted",
    )
    .bind(key.subject.as_str())
    .bind(key.method.as_str())
    .bind(lock_after(1))
    .bind(forgotten_after(1))
    .bind(i64::from(policy.free))
    .bind(locks)
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

/// `None` if there is no longer a reason.
async fn why_refused(
    connection: &mut PgConnection,
    key: &AttemptKey,
    policy: &AttemptPolicy,
    now: Timestamp,
) -> Result<Option<Attempt>, StoreError> {
    let counter: Option<(i64, Option<i64>)> =
        sqlx::query_as("SELECT failures, locked_until FROM step_up_attempts WHERE subject = $1 AND method = $2")
            .bind(key.subject.as_str())
            .bind(key.method.as_str())
            .fetch_optional(connection)
            .await
            .map_err(failed)?;
    let Some((failures, locked_until)) = counter else { return Ok(None) };
    if unsigned::<u32>(failures)? >= policy.hard_stop {
        return Ok(Some(Attempt::Stopped));
    }
    let until = locked_until.map(Timestamp::from_unix_milliseconds).filter(|&until| now < until);
    Ok(until.map(Attempt::LockedUntil))
}
