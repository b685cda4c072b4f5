//! Flows.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{SWEPT_AT_ONCE, Sqlite, failed};
use crate::{
    clock::Timestamp,
    session::Subject,
    store::{
        EXPIRED_FLOWS_KEPT, FlowId, PRUNE_EVERY, StoreError, StoredFlow, Written,
        sql::rows::{self, FlowRow, signed},
    },
};

/// Creates a flow, and removes others: first those of its session that are too many, then expired ones. The new one stays before all others, then
/// the one in use, then the newest. All statements go to the connection's thread at once; each takes the next parameters.
const CREATE_IN_SESSION: &str = "INSERT INTO step_up_flows (id, subject, binding, expires_at, version, completed, body) VALUES (?, ?, ?, ?, ?, ?, ?); \
     DELETE FROM step_up_flows WHERE binding = ? AND seq NOT IN (SELECT seq FROM step_up_flows \
         WHERE binding = ? ORDER BY id = ? DESC, in_use DESC, seq DESC LIMIT ?); \
     DELETE FROM step_up_flows WHERE seq IN (SELECT seq FROM step_up_flows WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)";

/// The same without a session. Those that were completed stay, and are not counted.
const CREATE_WITHOUT_SESSION: &str = "INSERT INTO step_up_flows (id, subject, binding, expires_at, version, completed, body) VALUES (?, ?, ?, ?, ?, ?, ?); \
     DELETE FROM step_up_flows WHERE last_insert_rowid() % ? = 0 AND binding IS NULL AND NOT completed AND seq <= \
         (SELECT seq FROM step_up_flows WHERE binding IS NULL AND NOT completed ORDER BY seq DESC LIMIT 1 OFFSET ?); \
     DELETE FROM step_up_flows WHERE seq IN (SELECT seq FROM step_up_flows WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)";

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
        let create = sqlx::query(if flow.binding.is_some() { CREATE_IN_SESSION } else { CREATE_WITHOUT_SESSION })
            .bind(Uuid::from(flow.id))
            .bind(flow.subject.as_ref().map(Subject::as_str))
            .bind(flow.binding.map(Uuid::from))
            .bind(flow.expires_at.unix_milliseconds())
            .bind(signed(flow.version)?)
            .bind(flow.completed)
            .bind(flow.body.as_str());
        let create = match flow.binding {
            Some(binding) => create.bind(Uuid::from(binding)).bind(Uuid::from(binding)).bind(Uuid::from(flow.id)),
            None => create.bind(PRUNE_EVERY),
        };
        // Fails if the id exists.
        create
            .bind(i64::from(keep))
            .bind(removable.unix_milliseconds())
            .bind(SWEPT_AT_ONCE)
            .execute(&mut *write)
            .await
            .map_err(failed)?;
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
        let touched: Option<i64> = sqlx::query_scalar(
            "UPDATE step_up_flows SET in_use = FALSE WHERE binding = ? AND in_use AND id <> ?; \
             UPDATE step_up_flows SET in_use = TRUE WHERE id = ? RETURNING seq",
        )
        .bind(Uuid::from(binding))
        .bind(Uuid::from(flow.id))
        .bind(Uuid::from(flow.id))
        .fetch_optional(&mut *write)
        .await
        .map_err(failed)?;
        if touched.is_none() {
            write.roll_back().await?;
            return Ok(Written::Superseded);
        }
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
        .execute(&mut *write)
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
        let completed = complete_flow(&mut write, flow, now).await?;
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
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        write.commit().await
    }
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
