//! What ends everything of one subject, or all sessions of everybody.

use super::{Sqlite, failed, subjects::next_revocation};
use crate::{clock::Timestamp, session::Subject, store::StoreError};

/// How many sessions one transaction deletes when those of everybody end. All other writes wait for it, and in a large database each session is on
/// pages of its own.
const ENDED_AT_ONCE: u32 = 100;

impl Sqlite {
    pub(in crate::store::sql) async fn delete_subject(&self, subject: &Subject) -> Result<(), StoreError> {
        self.delete(
            subject,
            &[
                "DELETE FROM step_up_sessions WHERE subject = ?1",
                "DELETE FROM step_up_secrets WHERE credential IN \
                 (SELECT id FROM step_up_credentials WHERE subject = ?1)",
                "DELETE FROM step_up_credentials WHERE subject = ?1",
                "DELETE FROM step_up_flows WHERE subject = ?1",
                "DELETE FROM step_up_attempts WHERE subject = ?1",
                "DELETE FROM step_up_subjects WHERE subject = ?1",
            ],
        )
        .await
    }

    pub(in crate::store::sql) async fn forget_subject(&self, subject: &Subject) -> Result<(), StoreError> {
        self.delete(
            subject,
            &["DELETE FROM step_up_flows WHERE subject = ?1", "DELETE FROM step_up_attempts WHERE subject = ?1"],
        )
        .await
    }

    async fn delete(&self, subject: &Subject, statements: &[&'static str]) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        for statement in statements {
            sqlx::query(*statement).bind(subject.as_str()).execute(&mut *write).await.map_err(failed)?;
        }
        write.commit().await
    }

    /// The number ends the sessions. Their rows go afterwards, a part at a time.
    pub(in crate::store::sql) async fn revoke_everyone(&self, at: Timestamp) -> Result<u64, StoreError> {
        let mut write = self.write().await?;
        let number = next_revocation(&mut write).await?;
        sqlx::query(
            "INSERT INTO step_up_subjects (subject, not_before, revoked) VALUES ('', ?1, ?2) ON CONFLICT (subject) \
             DO UPDATE SET not_before = max(not_before, excluded.not_before), revoked = excluded.revoked",
        )
        .bind(at.unix_milliseconds())
        .bind(number)
        .execute(&mut *write)
        .await
        .map_err(failed)?;
        write.commit().await?;
        let (mut ended, mut after) = (0_u64, 0_i64);
        loop {
            let mut write = self.write().await?;
            let part: Vec<i64> = sqlx::query_scalar(
                "DELETE FROM step_up_sessions WHERE seq IN (SELECT seq FROM step_up_sessions \
                 WHERE seq > ?1 AND coalesce(revocations, -1) < ?2 ORDER BY seq LIMIT ?3) RETURNING seq",
            )
            .bind(after)
            .bind(number)
            .bind(ENDED_AT_ONCE)
            .fetch_all(&mut *write)
            .await
            .map_err(failed)?;
            write.commit().await?;
            // Each part begins where the one before ended, and not with what that one has deleted.
            let Some(&last) = part.iter().max() else { return Ok(ended) };
            after = last;
            ended = ended.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        }
    }
}
