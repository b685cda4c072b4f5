//! What ends everything of one subject, or all sessions of everybody.

use super::{Postgres, failed, lock_subject, subjects::next_revocation};
use crate::{clock::Timestamp, session::Subject, store::StoreError};

/// How many sessions one transaction deletes when those of everybody end: nobody waits for it long.
const ENDED_AT_ONCE: u32 = 1000;

impl Postgres {
    pub(in crate::store::sql) async fn delete_subject(&self, subject: &Subject) -> Result<(), StoreError> {
        self.delete(
            subject,
            &[
                "DELETE FROM step_up_sessions WHERE subject = $1",
                // With their secrets.
                "DELETE FROM step_up_credentials WHERE subject = $1",
                "DELETE FROM step_up_flows WHERE subject = $1",
                "DELETE FROM step_up_attempts WHERE subject = $1",
                "DELETE FROM step_up_subjects WHERE subject = $1",
            ],
        )
        .await
    }

    pub(in crate::store::sql) async fn forget_subject(&self, subject: &Subject) -> Result<(), StoreError> {
        self.delete(
            subject,
            &["DELETE FROM step_up_flows WHERE subject = $1", "DELETE FROM step_up_attempts WHERE subject = $1"],
        )
        .await
    }

    /// Behind the subject's lock, so that a completion in flight comes before or finds nothing.
    async fn delete(&self, subject: &Subject, statements: &[&'static str]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        lock_subject(&mut transaction, subject).await?;
        for statement in statements {
            sqlx::query(*statement).bind(subject.as_str()).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// The number ends the sessions, also those that a completion in flight is about to write. Their rows go afterwards, a part at a time:
    /// no statement takes long, however many there are.
    pub(in crate::store::sql) async fn revoke_everyone(&self, at: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let number = next_revocation(&mut transaction).await?;
        sqlx::query(
            "INSERT INTO step_up_subjects (subject, not_before, revoked) VALUES ('', $1, $2) ON CONFLICT (subject) DO UPDATE \
             SET not_before = greatest(step_up_subjects.not_before, excluded.not_before), revoked = excluded.revoked",
        )
        .bind(at.unix_milliseconds())
        .bind(number)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        let (mut ended, mut after) = (0_u64, 0_i64);
        loop {
            let part: Vec<i64> = sqlx::query_scalar(
                "DELETE FROM step_up_sessions WHERE seq IN (SELECT seq FROM step_up_sessions \
                 WHERE seq > $1 AND coalesce(revocations, -1) < $2 ORDER BY seq LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING seq",
            )
            .bind(after)
            .bind(number)
            .bind(i64::from(ENDED_AT_ONCE))
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
            // Each part begins where the one before ended, and not with what that one has deleted.
            let Some(&last) = part.iter().max() else { return Ok(ended) };
            after = last;
            ended = ended.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        }
    }
}
