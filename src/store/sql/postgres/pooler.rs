//! Whether prepared statements stay whose they are.
//!
//! sqlx numbers the statements of each connection. A pooler that gives each transaction another server process must know which statements
//! each client has prepared, as `PgBouncer` does since 1.21. One that does not would run, under the same number, what another client has
//! prepared: if the arguments fit, without an error. So the store is not opened behind such a pooler.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::time::timeout;

use super::{begin, failed};
use crate::store::{StoreError, sql::rows::unavailable};

/// How long to wait for a second connection, and for a second server process. Without them nothing can be said.
const WAIT: Duration = Duration::from_secs(1);

/// Lets a second connection hold the server process that the first has used, so that a pooler gives the first another one. If nothing stands
/// between, or it keeps connections apart, the first just goes on.
pub(super) async fn check(pool: &PgPool) -> Result<(), StoreError> {
    if pool.options().get_max_connections() < 2 {
        return Ok(());
    }
    let mut first = pool.acquire().await.map_err(failed)?;
    server_process(&mut first).await?;
    let Ok(second) = timeout(WAIT, begin(pool)).await else { return Ok(()) };
    let mut second = second?;
    server_process(&mut second).await?;
    if let Ok(again) = timeout(WAIT, server_process(&mut first)).await {
        again?;
    }
    second.rollback().await.map_err(failed)
}

/// A statement that is prepared when a connection first asks it.
async fn server_process(connection: &mut PgConnection) -> Result<i32, StoreError> {
    let asked = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await;
    asked.map_err(|error| {
        if !is_mixed_up(&error) {
            return failed(error);
        }
        unavailable(format!(
            "the pooler before the database mixes up prepared statements (PgBouncer: 1.21 or later, with \
             max_prepared_statements, or pool_mode=session): {error}"
        ))
    })
}

/// The statement does not exist, exists already, takes other arguments, or answers something else.
fn is_mixed_up(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("26000" | "42P05" | "08P01")),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => false,
        _ => true,
    }
}
