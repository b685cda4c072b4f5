//! Sessions and credentials, apart from completions.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{Sqlite, failed, sweep};
use crate::{
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession, Subject},
    store::{
        Credential, Revocation, StoreError, StoreErrorKind, StoredStanding, Written,
        sql::rows::{self, CredentialRow, SessionRow, StandingRow},
    },
};

/// Whether all sessions of the subject of `s`, or of everybody, which has the row of the empty subject, were not ended since `s` began. Of a
/// session that a version before has written, its date tells.
macro_rules! lives {
    () => {
        "CASE WHEN s.revocations IS NULL THEN s.issued_at >= coalesce(\
             (SELECT max(u.not_before) FROM step_up_subjects u WHERE u.subject IN (s.subject, '')), s.issued_at) \
         ELSE s.revocations >= coalesce(\
             (SELECT max(u.revoked) FROM step_up_subjects u WHERE u.subject IN (s.subject, '')), 0) END"
    };
}
pub(super) use lives;

impl Sqlite {
    pub(in crate::store::sql) async fn create_session(&self, session: &StoredSession) -> Result<(), StoreError> {
        let now = session.authenticated_at();
        let mut write = self.write().await?;
        forget_expired(&mut write, session.subject(), now).await?;
        sweep_sessions(&mut write, now).await?;
        let revocations = revocations_of(&mut write, session).await?;
        if insert_session(&mut write, session, Some(revocations)).await? {
            write.commit().await
        } else {
            write.roll_back().await?;
            Err(StoreError::new(StoreErrorKind::Conflict))
        }
    }

    pub(in crate::store::sql) async fn revocations(&self) -> Result<u64, StoreError> {
        let number = sqlx::query_scalar("SELECT number FROM step_up_revocations").fetch_one(&self.pool).await;
        rows::unsigned(number.map_err(failed)?)
    }

    pub(in crate::store::sql) async fn standing(
        &self,
        subject: &Subject,
        session: SessionId,
    ) -> Result<Option<StoredStanding>, StoreError> {
        let rows: Vec<StandingRow> = sqlx::query_as(concat!(
            "SELECT s.id, s.binding, s.proofs, s.issued_at, s.expires_at, s.answered_digest, s.answered_at, s.device, s.seen_at, \
             c.id, c.method, c.aal FROM step_up_sessions s \
             LEFT JOIN step_up_credentials c ON c.subject = s.subject \
             WHERE s.id = ?1 AND s.subject = ?2 AND ",
            lives!()
        ))
        .bind(Uuid::from(session))
        .bind(subject.as_str())
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        rows::standing(subject, rows)
    }

    pub(in crate::store::sql) async fn session_of(
        &self,
        subject: &Subject,
        binding: BindingKey,
        now: Timestamp,
    ) -> Result<Option<StoredStanding>, StoreError> {
        let rows: Vec<StandingRow> = sqlx::query_as(concat!(
            "SELECT s.id, s.binding, s.proofs, s.issued_at, s.expires_at, s.answered_digest, s.answered_at, s.device, s.seen_at, c.id, c.method, c.aal \
                 FROM (SELECT s.id, s.subject, s.binding, s.proofs, s.issued_at, s.expires_at, s.answered_digest, s.answered_at, s.device, s.seen_at \
                 FROM step_up_sessions s \
                 WHERE s.subject = ?1 AND s.binding = ?2 AND s.expires_at > ?3 AND ",
            lives!(),
            " ORDER BY s.issued_at DESC, s.seq DESC LIMIT 1) s \
                 LEFT JOIN step_up_credentials c ON c.subject = s.subject"
        ))
        .bind(subject.as_str())
        .bind(Uuid::from(binding))
        .bind(now.unix_milliseconds())
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        rows::standing(subject, rows)
    }

    pub(in crate::store::sql) async fn sessions(
        &self,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Vec<StoredSession>, StoreError> {
        let rows: Vec<SessionRow> = sqlx::query_as(concat!(
            "SELECT s.id, s.binding, s.proofs, s.issued_at, s.expires_at, s.answered_digest, s.answered_at, s.device, s.seen_at \
                 FROM step_up_sessions s \
                 WHERE s.subject = ?1 AND s.expires_at > ?2 AND ",
            lives!(),
            " ORDER BY s.issued_at DESC, s.seq DESC"
        ))
        .bind(subject.as_str())
        .bind(now.unix_milliseconds())
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        rows.iter().map(|row| rows::session(subject, row)).collect()
    }

    pub(in crate::store::sql) async fn revoke(&self, subject: &Subject, which: Revocation) -> Result<u64, StoreError> {
        let mut write = self.write().await?;
        let delete = match which {
            Revocation::One(id) => sqlx::query("DELETE FROM step_up_sessions WHERE subject = ?1 AND id = ?2")
                .bind(subject.as_str())
                .bind(Uuid::from(id)),
            Revocation::Others(binding) => {
                sqlx::query("DELETE FROM step_up_sessions WHERE subject = ?1 AND binding <> ?2")
                    .bind(subject.as_str())
                    .bind(Uuid::from(binding))
            }
            Revocation::All(at) => {
                let number = next_revocation(&mut write).await?;
                sqlx::query(
                    "INSERT INTO step_up_subjects (subject, not_before, revoked) VALUES (?1, ?2, ?3) ON CONFLICT (subject) \
                     DO UPDATE SET not_before = max(not_before, excluded.not_before), revoked = excluded.revoked",
                )
                .bind(subject.as_str())
                .bind(at.unix_milliseconds())
                .bind(number)
                .execute(&mut *write)
                .await
                .map_err(failed)?;
                sqlx::query("DELETE FROM step_up_sessions WHERE subject = ?1").bind(subject.as_str())
            }
        };
        let ended = delete.execute(&mut *write).await.map_err(failed)?.rows_affected();
        write.commit().await?;
        Ok(ended)
    }

    /// One statement: a session that was ended or replaced meanwhile stays so.
    pub(in crate::store::sql) async fn note_use(
        &self,
        subject: &Subject,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Written, StoreError> {
        let mut write = self.write().await?;
        let noted = sqlx::query(
            "UPDATE step_up_sessions SET seen_at = max(coalesce(seen_at, ?3), ?3) WHERE subject = ?1 AND id = ?2",
        )
        .bind(subject.as_str())
        .bind(Uuid::from(session))
        .bind(at.unix_milliseconds())
        .execute(&mut *write)
        .await
        .map_err(failed)?;
        write.commit().await?;
        Ok((noted.rows_affected() == 1).into())
    }

    pub(in crate::store::sql) async fn credentials(&self, subject: &Subject) -> Result<Vec<Credential>, StoreError> {
        let rows: Vec<CredentialRow> = sqlx::query_as(
            "SELECT c.id, c.method, c.aal, c.name, c.data, c.last_step, c.created_at, c.last_used_at, c.fingerprint, \
             s.hash, s.used_at \
             FROM step_up_credentials c LEFT JOIN step_up_secrets s ON s.credential = c.id \
             WHERE c.subject = ?1 ORDER BY c.created_at, c.seq, s.position",
        )
        .bind(subject.as_str())
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        rows::credentials(rows)
    }
}

pub(super) async fn forget_expired(
    connection: &mut SqliteConnection,
    subject: &Subject,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM step_up_sessions WHERE subject = ?1 AND expires_at <= ?2")
        .bind(subject.as_str())
        .bind(now.unix_milliseconds())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Returns whether it was inserted: it is not if the id exists.
pub(super) async fn insert_session(
    connection: &mut SqliteConnection,
    session: &StoredSession,
    revocations: Option<i64>,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO step_up_sessions (id, subject, binding, proofs, issued_at, expires_at, \
         answered_digest, answered_at, device, seen_at, revocations) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (id) DO NOTHING",
    )
    .bind(Uuid::from(session.id()))
    .bind(session.subject().as_str())
    .bind(Uuid::from(session.binding()))
    .bind(rows::proofs(session)?)
    .bind(session.issued_at().unix_milliseconds())
    .bind(session.expires_at().unix_milliseconds())
    .bind(session.answered().map(|answered| answered.digest.as_slice()))
    .bind(session.answered().map(|answered| answered.at.unix_milliseconds()))
    .bind(rows::device(session)?)
    .bind(session.seen_at().map(Timestamp::unix_milliseconds))
    .bind(revocations)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(inserted.rows_affected() == 1)
}

pub(super) async fn sweep_sessions(connection: &mut SqliteConnection, now: Timestamp) -> Result<(), StoreError> {
    let expired = "DELETE FROM step_up_sessions WHERE seq IN \
         (SELECT seq FROM step_up_sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
    sweep(connection, expired, now).await
}

/// The number of this revocation, which ends sessions in the same transaction.
pub(super) async fn next_revocation(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    sqlx::query_scalar("UPDATE step_up_revocations SET number = number + 1 RETURNING number")
        .fetch_one(connection)
        .await
        .map_err(failed)
}

/// After how many revocations the session began. One that commits afterwards ends it.
pub(super) async fn revocations_of(
    connection: &mut SqliteConnection,
    session: &StoredSession,
) -> Result<i64, StoreError> {
    match session.revocations() {
        Some(known) => rows::signed(known),
        None => {
            sqlx::query_scalar("SELECT number FROM step_up_revocations").fetch_one(connection).await.map_err(failed)
        }
    }
}
