//! Flows. Where one takes its subject's turn, it is one statement, which is a function of the database
//! (`migrations/postgres/0015_less_planning.sql`).

use uuid::Uuid;

use super::{Postgres, failed, lock_subject};
use crate::{
    clock::Timestamp,
    session::Subject,
    store::{
        EXPIRED_FLOWS_KEPT, FlowId, PRUNE_EVERY, StoreError, StoreErrorKind, StoredFlow, Written,
        sql::rows::{self, FlowRow, signed},
    },
};

impl Postgres {
    #[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
    pub(in crate::store::sql) async fn create_flow(
        &self,
        flow: &StoredFlow,
        keep: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.expired_flows.flows(&self.pool, now - EXPIRED_FLOWS_KEPT).await;
        let created: bool = sqlx::query_scalar("SELECT step_up_add_flow($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(Uuid::from(flow.id))
            .bind(flow.subject.as_ref().map(Subject::as_str))
            .bind(flow.binding.map(Uuid::from))
            .bind(flow.expires_at.unix_milliseconds())
            .bind(signed(flow.version)?)
            .bind(flow.completed)
            .bind(flow.body.as_str())
            .bind(i64::from(keep))
            .bind(PRUNE_EVERY)
            .fetch_one(&self.pool)
            .await
            .map_err(failed)?;
        if created { Ok(()) } else { Err(StoreError::new(StoreErrorKind::Conflict)) }
    }

    pub(in crate::store::sql) async fn flow(&self, id: FlowId) -> Result<Option<StoredFlow>, StoreError> {
        let row: Option<FlowRow> = sqlx::query_as(
            "SELECT subject, binding, expires_at, version, completed, in_use, body FROM step_up_flows WHERE id = $1",
        )
        .bind(Uuid::from(id))
        .fetch_optional(&self.pool)
        .await
        .map_err(failed)?;
        row.map(|row| rows::flow(id, row)).transpose()
    }

    pub(in crate::store::sql) async fn touch_flow(&self, flow: &StoredFlow) -> Result<Written, StoreError> {
        let Some(binding) = flow.binding else { return Ok(Written::Superseded) };
        let touched: bool = sqlx::query_scalar("SELECT step_up_touch_flow($1, $2, $3)")
            .bind(Uuid::from(flow.id))
            .bind(flow.subject.as_ref().map(Subject::as_str))
            .bind(Uuid::from(binding))
            .fetch_one(&self.pool)
            .await
            .map_err(failed)?;
        Ok(Written::from(touched))
    }

    pub(in crate::store::sql) async fn update_flow(&self, flow: &StoredFlow) -> Result<Written, StoreError> {
        let updated = sqlx::query(
            "UPDATE step_up_flows SET body = $1, version = version + 1 WHERE id = $2 AND version = $3 AND NOT completed",
        )
        .bind(flow.body.as_str())
        .bind(Uuid::from(flow.id))
        .bind(signed(flow.version)?)
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(Written::from(updated.rows_affected() == 1))
    }

    /// Done if the flow was open: it exists, has not expired and was not completed.
    pub(in crate::store::sql) async fn complete_flow(
        &self,
        flow: &StoredFlow,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let completed = sqlx::query(
            "UPDATE step_up_flows SET completed = TRUE, body = $1, version = version + 1 \
             WHERE id = $2 AND NOT completed AND expires_at > $3",
        )
        .bind(flow.body.as_str())
        .bind(Uuid::from(flow.id))
        .bind(now.unix_milliseconds())
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(Written::from(completed.rows_affected() == 1))
    }

    pub(in crate::store::sql) async fn remove_flows(
        &self,
        subject: &Subject,
        except: Option<FlowId>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        lock_subject(&mut transaction, subject).await?;
        sqlx::query("DELETE FROM step_up_flows WHERE subject = $1 AND ($2::uuid IS NULL OR id <> $2)")
            .bind(subject.as_str())
            .bind(except.map(Uuid::from))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}
