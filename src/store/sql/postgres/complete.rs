//! A completion: one transaction of conditional statements, behind the lock of the subject's row.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Postgres,
    attempts::reset_attempts,
    failed,
    flows::complete_flow,
    lock_subject,
    subjects::{insert_session, sweep_sessions},
};
use crate::{
    aal::{CredentialId, Method},
    clock::Timestamp,
    session::Subject,
    store::{
        Completed, Completion, Consumption, Credential, CredentialChange, Rotation, StoreError, StoreErrorKind,
        sql::rows::{signed, unavailable},
    },
};

impl Postgres {
    pub(in crate::store::sql) async fn complete(&self, completion: &Completion) -> Result<Completed, StoreError> {
        let mut transaction = self.begin().await?;
        let completed = apply(&mut transaction, completion).await?;
        match completed {
            Completed::Done => transaction.commit().await.map_err(failed)?,
            _ => transaction.rollback().await.map_err(failed)?,
        }
        Ok(completed)
    }
}

/// Whoever calls this commits only what is `Done`.
async fn apply(connection: &mut PgConnection, completion: &Completion) -> Result<Completed, StoreError> {
    let Completion { subject, now, expect_credentials, consume, raise_steps, credentials, rotate, begin, flow, reset } =
        completion;
    let not_before = lock_subject(connection, subject).await?;
    if let Some(flow) = flow
        && !complete_flow(connection, flow, *now).await?
    {
        return Ok(Completed::FlowGone);
    }
    if let Some(rotation) = rotate
        && !end_old_session(connection, rotation, not_before, completion).await?
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
        sqlx::query("UPDATE step_up_credentials SET last_step = $1 WHERE id = $2 AND subject = $3 AND last_step < $1")
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
    connection: &mut PgConnection,
    rotation: &Rotation,
    not_before: Option<Timestamp>,
    completion: &Completion,
) -> Result<bool, StoreError> {
    if *rotation.new.subject() != completion.subject {
        return Ok(false);
    }
    let ended = sqlx::query(
        "DELETE FROM step_up_sessions \
         WHERE id = $1 AND subject = $2 AND expires_at > $3 AND ($4::bigint IS NULL OR issued_at >= $4)",
    )
    .bind(Uuid::from(rotation.old))
    .bind(completion.subject.as_str())
    .bind(completion.now.unix_milliseconds())
    .bind(not_before.map(Timestamp::unix_milliseconds))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(ended.rows_affected() == 1)
}

/// Read behind the subject's lock, which all take who change its credentials: they stay so until the transaction ends.
async fn has_exactly(
    connection: &mut PgConnection,
    subject: &Subject,
    expected: &[CredentialId],
) -> Result<bool, StoreError> {
    let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM step_up_credentials WHERE subject = $1")
        .bind(subject.as_str())
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let expected: HashSet<_> = expected.iter().map(|&id| Uuid::from(id)).collect();
    Ok(ids.into_iter().collect::<HashSet<_>>() == expected)
}

async fn use_up(
    connection: &mut PgConnection,
    subject: &Subject,
    consumption: &Consumption,
    now: Timestamp,
) -> Result<Completed, StoreError> {
    let used = match consumption {
        Consumption::Step { credential, step } => {
            let raised = sqlx::query(
                "UPDATE step_up_credentials SET last_step = $1 WHERE id = $2 AND subject = $3 AND last_step < $1",
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
                "UPDATE step_up_secrets SET used_at = $1 WHERE credential = $2 AND hash = $3 AND used_at IS NULL AND EXISTS \
                 (SELECT 1 FROM step_up_credentials c WHERE c.id = $2 AND c.subject = $4)",
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
    connection: &mut PgConnection,
    subject: &Subject,
    credential: CredentialId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM step_up_credentials WHERE id = $1 AND subject = $2)")
        .bind(Uuid::from(credential))
        .bind(subject.as_str())
        .fetch_one(connection)
        .await
        .map_err(failed)
}

async fn secret_exists(
    connection: &mut PgConnection,
    subject: &Subject,
    credential: CredentialId,
    hash: &[u8; 32],
) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM step_up_secrets s JOIN step_up_credentials c ON c.id = s.credential \
         WHERE c.id = $1 AND c.subject = $2 AND s.hash = $3)",
    )
    .bind(Uuid::from(credential))
    .bind(subject.as_str())
    .bind(&hash[..])
    .fetch_one(connection)
    .await
    .map_err(failed)
}

/// The secrets go with them.
async fn remove_credentials(
    connection: &mut PgConnection,
    subject: &Subject,
    method: Method,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM step_up_credentials WHERE subject = $1 AND method = $2")
        .bind(subject.as_str())
        .bind(method.as_str())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

async fn reseal(
    connection: &mut PgConnection,
    subject: &Subject,
    credential: CredentialId,
    data: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("UPDATE step_up_credentials SET data = $1 WHERE id = $2 AND subject = $3")
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
    connection: &mut PgConnection,
    subject: &Subject,
    credential: &Credential,
) -> Result<(), StoreError> {
    let Credential { summary, data, secrets, last_step, created_at } = credential;
    sqlx::query(
        "INSERT INTO step_up_credentials (id, subject, method, aal, data, last_step, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
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
    if secrets.is_empty() {
        return Ok(());
    }
    let positions = (0..secrets.len()).map(i32::try_from).collect::<Result<Vec<_>, _>>().map_err(unavailable)?;
    let hashes: Vec<&[u8]> = secrets.iter().map(|secret| &secret.hash[..]).collect();
    let used: Vec<Option<i64>> =
        secrets.iter().map(|secret| secret.used_at.map(Timestamp::unix_milliseconds)).collect();
    sqlx::query(
        "INSERT INTO step_up_secrets (credential, position, hash, used_at) \
         SELECT $1, secret.* FROM unnest($2::integer[], $3::bytea[], $4::bigint[]) AS secret",
    )
    .bind(Uuid::from(summary.id))
    .bind(positions)
    .bind(hashes)
    .bind(used)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}
