//! A completion: one transaction of conditional statements.

use std::collections::HashSet;

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    Sqlite, failed,
    flows::{complete_flow, reset_attempts},
    subjects::{insert_session, sweep_sessions},
};
use crate::{
    aal::{CredentialId, Method},
    clock::Timestamp,
    session::Subject,
    store::{
        Completed, Completion, Consumption, Credential, CredentialChange, Rotation, StoreError, StoreErrorKind,
        sql::rows::signed,
    },
};

impl Sqlite {
    pub(in crate::store::sql) async fn complete(&self, completion: &Completion) -> Result<Completed, StoreError> {
        let mut write = self.write().await?;
        let completed = apply(&mut write.transaction, completion).await?;
        match completed {
            Completed::Done => write.commit().await?,
            _ => write.roll_back().await?,
        }
        Ok(completed)
    }
}

/// Whoever calls this commits only what is `Done`.
async fn apply(connection: &mut SqliteConnection, completion: &Completion) -> Result<Completed, StoreError> {
    let Completion { subject, now, expect_credentials, consume, raise_steps, credentials, rotate, begin, flow, reset } =
        completion;
    if let Some(flow) = flow
        && !complete_flow(connection, flow, *now).await?
    {
        return Ok(Completed::FlowGone);
    }
    if let Some(rotation) = rotate
        && !end_old_session(connection, subject, rotation, *now).await?
    {
        return Ok(Completed::SessionGone);
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
        match change {
            CredentialChange::Replace(new) => {
                remove_credentials(connection, subject, new.summary.method).await?;
                insert_credential(connection, subject, new).await?;
            }
            CredentialChange::Add(new) => insert_credential(connection, subject, new).await?,
            CredentialChange::Remove(method) => remove_credentials(connection, subject, *method).await?,
            CredentialChange::Reseal { credential, data } => reseal(connection, subject, *credential, data).await?,
        }
    }
    let successor = rotate.as_ref().map(|Rotation { new, .. }| new);
    if let Some(new) = successor.or(begin.as_ref()) {
        if !insert_session(connection, new).await? {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        sweep_sessions(connection, *now).await?;
    }
    if let Some(key) = reset {
        reset_attempts(connection, key).await?;
    }
    Ok(Completed::Done)
}

async fn end_old_session(
    connection: &mut SqliteConnection,
    subject: &Subject,
    rotation: &Rotation,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if rotation.new.subject() != subject {
        return Ok(false);
    }
    let ended = sqlx::query(
        "DELETE FROM step_up_sessions WHERE id = ?1 AND subject = ?2 AND expires_at > ?3 AND NOT EXISTS \
         (SELECT 1 FROM step_up_subjects u WHERE u.subject = ?2 AND u.not_before > step_up_sessions.issued_at)",
    )
    .bind(Uuid::from(rotation.old))
    .bind(subject.as_str())
    .bind(now.unix_milliseconds())
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(ended.rows_affected() == 1)
}

/// Read within the transaction, which holds the write lock from its start: nobody changes them before it ends.
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

async fn use_up(
    connection: &mut SqliteConnection,
    subject: &Subject,
    consumption: &Consumption,
    now: Timestamp,
) -> Result<Completed, StoreError> {
    let used = match consumption {
        Consumption::Step { credential, step } => {
            let raised = sqlx::query(
                "UPDATE step_up_credentials SET last_step = ?1 WHERE id = ?2 AND subject = ?3 AND last_step < ?1",
            )
            .bind(signed(*step)?)
            .bind(Uuid::from(*credential))
            .bind(subject.as_str())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
            if raised.rows_affected() == 1 {
                return Ok(Completed::Done);
            }
            credential_exists(connection, subject, *credential).await?
        }
        Consumption::Secret { credential, hash } => {
            let marked = sqlx::query(
                "UPDATE step_up_secrets SET used_at = ?1 WHERE credential = ?2 AND hash = ?3 AND used_at IS NULL AND EXISTS \
                 (SELECT 1 FROM step_up_credentials c WHERE c.id = ?2 AND c.subject = ?4)",
            )
            .bind(now.unix_milliseconds())
            .bind(Uuid::from(*credential))
            .bind(&hash[..])
            .bind(subject.as_str())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
            if marked.rows_affected() > 0 {
                return Ok(Completed::Done);
            }
            secret_exists(connection, subject, *credential, hash).await?
        }
        Consumption::Present { credential } => {
            let present = credential_exists(connection, subject, *credential).await?;
            return Ok(if present { Completed::Done } else { Completed::Unknown });
        }
    };
    Ok(if used { Completed::Used } else { Completed::Unknown })
}

async fn credential_exists(
    connection: &mut SqliteConnection,
    subject: &Subject,
    credential: CredentialId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM step_up_credentials WHERE id = ?1 AND subject = ?2)")
        .bind(Uuid::from(credential))
        .bind(subject.as_str())
        .fetch_one(connection)
        .await
        .map_err(failed)
}

async fn secret_exists(
    connection: &mut SqliteConnection,
    subject: &Subject,
    credential: CredentialId,
    hash: &[u8; 32],
) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM step_up_secrets s JOIN step_up_credentials c ON c.id = s.credential \
         WHERE c.id = ?1 AND c.subject = ?2 AND s.hash = ?3)",
    )
    .bind(Uuid::from(credential))
    .bind(subject.as_str())
    .bind(&hash[..])
    .fetch_one(connection)
    .await
    .map_err(failed)
}

/// The secrets go first and by hand: an application's pool may have foreign keys off.
async fn remove_credentials(
    connection: &mut SqliteConnection,
    subject: &Subject,
    method: Method,
) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM step_up_secrets WHERE credential IN \
         (SELECT id FROM step_up_credentials WHERE subject = ?1 AND method = ?2)",
        "DELETE FROM step_up_credentials WHERE subject = ?1 AND method = ?2",
    ] {
        sqlx::query(statement)
            .bind(subject.as_str())
            .bind(method.as_str())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

async fn reseal(
    connection: &mut SqliteConnection,
    subject: &Subject,
    credential: CredentialId,
    data: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("UPDATE step_up_credentials SET data = ?1 WHERE id = ?2 AND subject = ?3")
        .bind(data)
        .bind(Uuid::from(credential))
        .bind(subject.as_str())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Fails with a conflict if the id exists, whoever's it is.
async fn insert_credential(
    connection: &mut SqliteConnection,
    subject: &Subject,
    credential: &Credential,
) -> Result<(), StoreError> {
    let Credential { summary, data, secrets, last_step, created_at } = credential;
    sqlx::query(
        "INSERT INTO step_up_credentials (id, subject, method, aal, data, last_step, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(Uuid::from(summary.id))
    .bind(subject.as_str())
    .bind(summary.method.as_str())
    .bind(summary.aal.as_str())
    .bind(&data[..])
    .bind(signed(*last_step)?)
    .bind(created_at.unix_milliseconds())
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    for (position, secret) in secrets.iter().enumerate() {
        sqlx::query("INSERT INTO step_up_secrets (credential, position, hash, used_at) VALUES (?1, ?2, ?3, ?4)")
            .bind(Uuid::from(summary.id))
            .bind(signed(position)?)
            .bind(&secret.hash[..])
            .bind(secret.used_at.map(Timestamp::unix_milliseconds))
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}
