//! Changes of credentials, within a completion's transaction. A change that names another subject's credential changes nothing.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::failed;
use crate::{
    aal::{CredentialId, Method},
    clock::Timestamp,
    session::Subject,
    store::{Credential, CredentialChange, CredentialName, StoreError, sql::rows::signed},
};

/// Makes the change, unless it expects other data. Returns whether it did.
pub(super) async fn make(
    connection: &mut SqliteConnection,
    subject: &Subject,
    change: &CredentialChange,
) -> Result<bool, StoreError> {
    match change {
        CredentialChange::Add(new) => insert_credential(connection, subject, new).await?,
        CredentialChange::Replace(new) => {
            remove_method(connection, subject, new.summary.method).await?;
            insert_credential(connection, subject, new).await?;
        }
        CredentialChange::Remove(credential) => remove_credential(connection, subject, *credential).await?,
        CredentialChange::SetData { credential, expected, data } => {
            let set = set_data(connection, subject, *credential, expected, data).await?;
            return Ok(set || !credential_exists(connection, subject, *credential).await?);
        }
        CredentialChange::SetName { credential, name } => {
            set_name(connection, subject, *credential, name.as_ref()).await?;
        }
    }
    Ok(true)
}

pub(super) async fn credential_exists(
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

/// Deletes the secrets first and explicitly, as below: an application's pool may have foreign keys off.
async fn remove_method(connection: &mut SqliteConnection, subject: &Subject, method: Method) -> Result<(), StoreError> {
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

async fn remove_credential(
    connection: &mut SqliteConnection,
    subject: &Subject,
    credential: CredentialId,
) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM step_up_secrets WHERE credential IN (SELECT id FROM step_up_credentials WHERE id = ?1 AND subject = ?2)",
        "DELETE FROM step_up_credentials WHERE id = ?1 AND subject = ?2",
    ] {
        sqlx::query(statement)
            .bind(Uuid::from(credential))
            .bind(subject.as_str())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

async fn set_data(
    connection: &mut SqliteConnection,
    subject: &Subject,
    credential: CredentialId,
    expected: &[u8],
    data: &[u8],
) -> Result<bool, StoreError> {
    let set = sqlx::query("UPDATE step_up_credentials SET data = ?1 WHERE id = ?2 AND subject = ?3 AND data = ?4")
        .bind(data)
        .bind(Uuid::from(credential))
        .bind(subject.as_str())
        .bind(expected)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(set.rows_affected() == 1)
}

async fn set_name(
    connection: &mut SqliteConnection,
    subject: &Subject,
    credential: CredentialId,
    name: Option<&CredentialName>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE step_up_credentials SET name = ?1 WHERE id = ?2 AND subject = ?3")
        .bind(name.map(CredentialName::as_str))
        .bind(Uuid::from(credential))
        .bind(subject.as_str())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Fails with a conflict if the id or the fingerprint exists, even at another subject.
async fn insert_credential(
    connection: &mut SqliteConnection,
    subject: &Subject,
    credential: &Credential,
) -> Result<(), StoreError> {
    let Credential { summary, name, data, fingerprint, secrets, last_step, created_at, last_used_at } = credential;
    sqlx::query(
        "INSERT INTO step_up_credentials (id, subject, method, aal, name, data, last_step, created_at, last_used_at, \
         fingerprint) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .bind(Uuid::from(summary.id))
    .bind(subject.as_str())
    .bind(summary.method.as_str())
    .bind(summary.aal.as_str())
    .bind(name.as_ref().map(CredentialName::as_str))
    .bind(&data[..])
    .bind(signed(*last_step)?)
    .bind(created_at.unix_milliseconds())
    .bind(last_used_at.map(Timestamp::unix_milliseconds))
    .bind(fingerprint.as_ref().map(<[u8; 32]>::as_slice))
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
