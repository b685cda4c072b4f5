//! The log of changes, which triggers write.

use sqlx::SqliteConnection;

use super::{Sqlite, failed};
use crate::store::{
    Changes, LogPlace, StoreError,
    changes::TOLD_AT_ONCE,
    sql::rows::{self, LOG_KEPT_SECONDS},
};

impl Sqlite {
    /// The place is the number of the last change. Numbers have no holes, and the first ones go first. So if the first that is left follows
    /// the place, none is missing.
    pub(in crate::store::sql) async fn changes(&self, since: Option<&LogPlace>) -> Result<Changes, StoreError> {
        let place: Option<i64> = since.and_then(|place| place.as_str().parse().ok());
        let rows: Vec<(Option<i64>, Option<i64>, Option<String>)> = sqlx::query_as(
            "SELECT here.first, here.last, c.subject \
             FROM (SELECT (SELECT min(seq) FROM step_up_changes) AS first, (SELECT max(seq) FROM step_up_changes) AS last) here \
             LEFT JOIN step_up_changes c ON c.seq > ?1 LIMIT ?2",
        )
        .bind(place)
        .bind(i64::try_from(TOLD_AT_ONCE.saturating_add(1)).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        let (first, last) = rows.first().map_or((None, None), |(first, last, _)| (*first, *last));
        let (first, last) = (first.unwrap_or(1), last.unwrap_or(0));
        let now = LogPlace::new(last.to_string());
        match place {
            Some(place) if (first.saturating_sub(1)..=last).contains(&place) => {
                rows::changes(rows.into_iter().filter_map(|(.., subject)| subject), now)
            }
            _ => Ok(Changes::Cut(now)),
        }
    }
}

/// Removes the oldest changes, within a transaction that writes. The last one stays: its number must not be given again.
pub(super) async fn trim(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    const AT_ONCE: i64 = 1000;
    sqlx::query(
        "DELETE FROM step_up_changes \
         WHERE seq < coalesce((SELECT seq FROM step_up_changes WHERE at >= CAST(strftime('%s', 'now') AS INTEGER) - ?1 \
                               ORDER BY seq LIMIT 1), (SELECT max(seq) FROM step_up_changes)) \
         AND seq < (SELECT min(seq) FROM step_up_changes) + ?2",
    )
    .bind(LOG_KEPT_SECONDS)
    .bind(AT_ONCE)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}
