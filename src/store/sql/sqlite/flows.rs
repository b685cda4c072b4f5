//! Flows.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{Sqlite, failed, sweep};
use crate::{
    clock::Timestamp,
    session::{BindingKey, Subject},
    store::{
        EXPIRED_FLOWS_KEPT, FlowId, PRUNE_EVERY, StoreError, StoreErrorKind, StoredFlow, Written,
        sql::rows::{self, FlowRow, signed},
    },
};

impl Sqlite {
    #[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
    pub(in crate::store::sql) async fn create_flow(
        &self,
        flow: &StoredFlow,
        keep: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let removable = now - EXPIRED_FLOWS_KEPT;
        let mut write = self.write().await?;
        let inserted = sqlx::query(
            "INSERT INTO step_up_flows (id, subject, binding, expires_at, version, completed, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
        )
        .bind(Uuid::from(flow.id))
        .bind(flow.subject.as_ref().map(Subject::as_str))
        .bind(flow.binding.map(Uuid::from))
        .bind(flow.expires_at.unix_milliseconds())
        .bind(signed(flow.version)?)
        .bind(flow.completed)
        .bind(flow.body.as_str())
        .execute(&mut *write.transaction)
        .await
        .map_err(failed)?;
        if inserted.rows_affected() != 1 {
            write.roll_back().await?;
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        let seq = inserted.last_insert_rowid();
        match flow.binding {
            Some(binding) => prune_flows(&mut write.transaction, binding, seq, keep).await?,
            None if seq.checked_rem(PRUNE_EVERY) == Some(0) => {
                prune_anonymous_flows(&mut write.transaction, keep).await?;
            }
            None => {}
        }
        let expired = "DELETE FROM step_up_flows WHERE seq IN \
             (SELECT seq FROM step_up_flows WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
        sweep(&mut write.transaction, expired, removable).await?;
        write.commit().await
    }

    pub(in crate::store::sql) async fn flow(&self, id: FlowId) -> Result<Option<StoredFlow>, StoreError> {
        let row: Option<FlowRow> = sqlx::query_as(
            "SELECT subject, binding, expires_at, version, completed, in_use, body FROM step_up_flows WHERE id = ?1",
        )
        .bind(Uuid::from(id))
        .fetch_optional(&self.pool)
        .await
        .map_err(failed)?;
        row.map(|row| rows::flow(id, row)).transpose()
    }

    pub(in crate::store::sql) async fn touch_flow(&self, flow: &StoredFlow) -> Result<Written, StoreError> {
        let Some(binding) = flow.binding else { return Ok(Written::Superseded) };
        let mut write = self.write().await?;
        let touched = sqlx::query("UPDATE step_up_flows SET in_use = TRUE WHERE id = ?1")
            .bind(Uuid::from(flow.id))
            .execute(&mut *write.transaction)
            .await
            .map_err(failed)?;
        if touched.rows_affected() != 1 {
            write.roll_back().await?;
            return Ok(Written::Superseded);
        }
        sqlx::query("UPDATE step_up_flows SET in_use = FALSE WHERE binding = ?1 AND in_use AND id <> ?2")
            .bind(Uuid::from(binding))
            .bind(Uuid::from(flow.id))
            .execute(&mut *write.transaction)
            .await
            .map_err(failed)?;
        write.commit().await?;
        Ok(Written::Done)
    }

    pub(in crate::store::sql) async fn update_flow(&self, flow: &StoredFlow) -> Result<Written, StoreError> {
        let mut write = self.write().await?;
        let updated = sqlx::query(
            "UPDATE step_up_flows SET body = ?1, version = version + 1 WHERE id = ?2 AND version = ?3 AND NOT completed",
        )
        .bind(flow.body.as_str())
        .bind(Uuid::from(flow.id))
        .bind(signed(flow.version)?)
        .execute(&mut *write.transaction)
        .await
        .map_err(failed)?;
        write.commit().await?;
        Ok(Written::from(updated.rows_affected() == 1))
    }

    pub(in crate::store::sql) async fn complete_flow(
        &self,
        flow: &StoredFlow,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let mut write = self.write().await?;
        let completed = complete_flow(&mut write.transaction, flow, now).await?;
        write.commit().await?;
        Ok(completed)
    }

    pub(in crate::store::sql) async fn remove_flows(
        &self,
        subject: &Subject,
        except: Option<FlowId>,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM step_up_flows WHERE subject = ?1 AND (?2 IS NULL OR id <> ?2)")
            .bind(subject.as_str())
            .bind(except.map(Uuid::from))
            .execute(&mut *write.transaction)
            .await
            .map_err(failed)?;
        write.commit().await
    }
}

/// The new one stays before all others, then the one in use, then the newest.
async fn prune_flows(
    connection: &mut SqliteConnection,
    binding: BindingKey,
    new: i64,
    keep: u32,
) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM step_up_flows WHERE binding = ?1 AND seq NOT IN (SELECT seq FROM step_up_flows \
         WHERE binding = ?1 ORDER BY seq = ?2 DESC, in_use DESC, seq DESC LIMIT ?3)",
    )
    .bind(Uuid::from(binding))
    .bind(new)
    .bind(i64::from(keep))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Those that were completed stay, and are not counted.
async fn prune_anonymous_flows(connection: &mut SqliteConnection, keep: u32) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM step_up_flows WHERE binding IS NULL AND NOT completed AND seq <= \
         (SELECT seq FROM step_up_flows WHERE binding IS NULL AND NOT completed ORDER BY seq DESC LIMIT 1 OFFSET ?1)",
    )
    .bind(i64::from(keep))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Done if the flow was open: it exists, has not expired and was not completed.
pub(super) async fn complete_flow(
    connection: &mut SqliteConnection,
    flow: &StoredFlow,
    now: Timestamp,
) -> Result<Written, StoreError> {
    let completed = sqlx::query(
        "UPDATE step_up_flows SET completed = TRUE, body = ?1, version = version + 1 \
         WHERE id = ?2 AND NOT completed AND expires_at > ?3",
    )
    .bind(flow.body.as_str())
    .bind(Uuid::from(flow.id))
    .bind(now.unix_milliseconds())
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(Written::from(completed.rows_affected() == 1))
}
