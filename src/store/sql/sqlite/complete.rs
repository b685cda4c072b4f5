//! A completion: one transaction of conditional statements.

use std::collections::HashSet;

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    Sqlite,
    attempts::reset_attempts,
    changes, failed,
    flows::complete_flow,
    subjects::{forget_expired, insert_session, lives, revocations_of, sweep_sessions},
};
use crate::{
    aal::CredentialId,
    clock::Timestamp,
    session::{StoredSession, Subject},
    store::{Completed, Completion, Consumption, Rotation, StoreError, StoreErrorKind, sql::rows::signed},
};

impl Sqlite {
    pub(in crate::store::sql) async fn complete(&self, completion: &Completion) -> Result<Completed, StoreError> {
        let mut write = self.write().await?;
        let completed = carry_out(&mut write, completion).await?;
        match completed {
            Completed::Done => write.commit().await?,
            _ => write.roll_back().await?,
        }
        Ok(completed)
    }
}

/// The caller commits only what is `Done`.
async fn carry_out(connection: &mut SqliteConnection, completion: &Completion) -> Result<Completed, StoreError> {
    let Completion { subject, now, expect_credentials, consume, raise_steps, credentials, rotate, begin, flow, reset } =
        completion;
    if let Some(flow) = flow
        && !complete_flow(connection, flow, *now).await?.is_done()
    {
        return Ok(Completed::FlowGone);
    }
    let mut new_sessions = Vec::new();
    if let Some(rotation) = rotate {
        let Some(revocations) = end_old_session(connection, subject, rotation, *now).await? else {
            return Ok(Completed::SessionGone);
        };
        new_sessions.push((&rotation.new, revocations));
    }
    if let Some(new) = begin {
        let revocations = revocations_of(connection, new).await?;
        if !may_begin(connection, subject, new, revocations).await? {
            return Ok(Completed::SessionGone);
        }
        new_sessions.push((new, Some(revocations)));
    }
    if let Some(expected) = expect_credentials
        && !has_exactly(connection, subject, expected).await?
    {
        return Ok(Completed::CredentialsChanged);
    }
    if let Some(consumption) = consume {
        match use_up(connection, subject, consumption, *now).await? {
            Completed::Done => {}
            refused => return Ok(refused),
        }
    }
    for (credential, step) in raise_steps {
        sqlx::query("UPDATE step_up_credentials SET last_step = ?1 WHERE id = ?2 AND subject = ?3 AND last_step < ?1")
            .bind(signed(*step)?)
            .bind(Uuid::from(*credential))
            .bind(subject.as_str())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    for change in credentials {
        if !changes::make(connection, subject, change).await? {
            return Ok(Completed::CredentialsChanged);
        }
    }
    if begin.is_some() {
        forget_expired(connection, subject, *now).await?;
    }
    for (new, revocations) in new_sessions {
        if !insert_session(connection, new, revocations).await? {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        sweep_sessions(connection, *now).await?;
    }
    for key in reset {
        reset_attempts(connection, key).await?;
    }
    Ok(Completed::Done)
}

/// Ends the old session if it lives. Returns after how many revocations it began, which the new one takes over.
async fn end_old_session(
    connection: &mut SqliteConnection,
    subject: &Subject,
    rotation: &Rotation,
    now: Timestamp,
) -> Result<Option<Option<i64>>, StoreError> {
    if rotation.new.subject() != subject {
        return Ok(None);
    }
    sqlx::query_scalar(concat!(
        "DELETE FROM step_up_sessions AS s WHERE s.id = ?1 AND s.subject = ?2 AND s.expires_at > ?3 AND ",
        lives!(),
        " RETURNING revocations"
    ))
    .bind(Uuid::from(rotation.old))
    .bind(subject.as_str())
    .bind(now.unix_milliseconds())
    .fetch_optional(connection)
    .await
    .map_err(failed)
}

/// Whether the session is the subject's, and all of the subject's were not ended since it began.
async fn may_begin(
    connection: &mut SqliteConnection,
    subject: &Subject,
    new: &StoredSession,
    revocations: i64,
) -> Result<bool, StoreError> {
    let passed: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM step_up_subjects WHERE subject IN (?1, '') AND revoked > ?2)")
            .bind(subject.as_str())
            .bind(revocations)
            .fetch_one(connection)
            .await
            .map_err(failed)?;
    Ok(!passed && new.subject() == subject)
}

/// Read within the transaction, which holds the write lock from its start, so nothing changes them before it ends.
async fn has_exactly(
    connection: &mut SqliteConnection,
    subject: &Subject,
    expected: &[CredentialId],
) -> Result<bool, StoreError> {
    let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM step_up_credentials WHERE subject = ?1")
        .bind(subject.as_str())
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let expected: HashSet<_> = expected.iter().map(|&id| Uuid::from(id)).collect();
    Ok(ids.into_iter().collect::<HashSet<_>>() == expected)
}

/// Returns `Used` or `Unknown` if it is refused. Then everything it wrote is rolled back.
async fn use_up(
    connection: &mut SqliteConnection,
    subject: &Subject,
    consumption: &Consumption,
    now: Timestamp,
) -> Result<Completed, StoreError> {
    let credential = consumption.credential();
    let used = match consumption {
        Consumption::Step { step, .. } => {
            let raised = sqlx::query(
                "UPDATE step_up_credentials SET last_step = ?1, last_used_at = ?2 \
                 WHERE id = ?3 AND subject = ?4 AND last_step < ?1",
            )
            .bind(signed(*step)?)
            .bind(now.unix_milliseconds())
            .bind(Uuid::from(credential))
            .bind(subject.as_str())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
            raised.rows_affected() == 1
        }
        Consumption::Data { expected, data, .. } => {
            let changed = sqlx::query(
                "UPDATE step_up_credentials SET data = ?1, last_used_at = ?2 WHERE id = ?3 AND subject = ?4 AND data = ?5",
            )
            .bind(&data[..])
            .bind(now.unix_milliseconds())
            .bind(Uuid::from(credential))
            .bind(subject.as_str())
            .bind(&expected[..])
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
            changed.rows_affected() == 1
        }
        Consumption::Secret { hash, .. } => {
            if !touch(connection, subject, credential, now).await? {
                return Ok(Completed::Unknown);
            }
            let marked = sqlx::query(
                "UPDATE step_up_secrets SET used_at = ?1 WHERE credential = ?2 AND hash = ?3 AND used_at IS NULL",
            )
            .bind(now.unix_milliseconds())
            .bind(Uuid::from(credential))
            .bind(&hash[..])
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
            if marked.rows_affected() == 0 && !secret_exists(connection, credential, hash).await? {
                return Ok(Completed::Unknown);
            }
            marked.rows_affected() > 0
        }
        Consumption::Present { .. } => touch(connection, subject, credential, now).await?,
    };
    if used {
        return Ok(Completed::Done);
    }
    let exists = changes::credential_exists(connection, subject, credential).await?;
    Ok(if exists { Completed::Used } else { Completed::Unknown })
}

/// Marks the credential as used now. Returns whether the subject has it.
async fn touch(
    connection: &mut SqliteConnection,
    subject: &Subject,
    credential: CredentialId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let touched = sqlx::query("UPDATE step_up_credentials SET last_used_at = ?1 WHERE id = ?2 AND subject = ?3")
        .bind(now.unix_milliseconds())
        .bind(Uuid::from(credential))
        .bind(subject.as_str())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(touched.rows_affected() == 1)
}

/// The credential is known to be the subject's.
async fn secret_exists(
    connection: &mut SqliteConnection,
    credential: CredentialId,
    hash: &[u8; 32],
) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM step_up_secrets WHERE credential = ?1 AND hash = ?2)")
        .bind(Uuid::from(credential))
        .bind(&hash[..])
        .fetch_one(connection)
        .await
        .map_err(failed)
}
