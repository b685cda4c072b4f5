//! The log of changes, which triggers write.
//!
//! A place is the snapshot of the statement that read, and the server process that made it. What a later snapshot sees and that one did not
//! is new: whoever has committed first or last, and however long it took. There is nothing to listen to and no state of a connection, so it
//! works behind `PgBouncer`.
//!
//! After a crash, or when a standby takes over, a server may give numbers of transactions once more that were seen already. No server
//! process outlives either. So as long as the one that made the last snapshot is alive, numbers only rise; otherwise the reader begins anew.
//! A number that lies ahead of the server comes from a backup of another one, and means nothing.

use super::{Postgres, failed};
use crate::store::{
    Changes, LogPlace, StoreError,
    changes::TOLD_AT_ONCE,
    sql::rows::{self, LOG_KEPT_SECONDS},
};

/// Snapshot, id of the server process, and when it began in microseconds.
fn place(snapshot: &str, process: i32, begun: i64) -> LogPlace {
    LogPlace::new(format!("{snapshot} {process} {begun}"))
}

fn parts(place: &LogPlace) -> Option<(&str, i32, i64)> {
    let mut parts = place.as_str().split(' ');
    Some((parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

impl Postgres {
    /// One statement, and so one snapshot. Rows below the place's snapshot were all visible in it, unless they were removed since.
    pub(in crate::store::sql) async fn changes(&self, since: Option<&LogPlace>) -> Result<Changes, StoreError> {
        let (snapshot, process, begun) = match since.and_then(parts) {
            Some((snapshot, process, begun)) => (Some(snapshot), Some(process), Some(begun)),
            None => (None, None, None),
        };
        let (snapshot, process, begun, goes_on, subjects): (String, i32, i64, bool, Vec<String>) = sqlx::query_as(
            "WITH processes AS MATERIALIZED \
                 (SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint AS begun FROM pg_stat_activity \
                  WHERE pid IN (pg_backend_pid(), $2)) \
             SELECT pg_current_snapshot()::text, pg_backend_pid(), \
                 coalesce((SELECT begun FROM processes WHERE pid = pg_backend_pid()), 0), \
                 EXISTS (SELECT 1 FROM processes WHERE pid = $2 AND begun = $3) \
                 AND NOT EXISTS (SELECT 1 FROM step_up_changes_removed \
                                 WHERE xid >= pg_snapshot_xmin($1::pg_snapshot) AND xid < pg_snapshot_xmax(pg_current_snapshot())), \
                 ARRAY(SELECT DISTINCT subject FROM step_up_changes \
                       WHERE xid >= pg_snapshot_xmin($1::pg_snapshot) AND xid < pg_snapshot_xmax(pg_current_snapshot()) \
                           AND NOT pg_visible_in_snapshot(xid, $1::pg_snapshot) \
                       LIMIT $4)",
        )
        .bind(snapshot)
        .bind(process)
        .bind(begun)
        .bind(i64::try_from(TOLD_AT_ONCE.saturating_add(1)).unwrap_or(i64::MAX))
        .fetch_one(&self.pool)
        .await
        .map_err(failed)?;
        let now = place(&snapshot, process, begun);
        if goes_on { rows::changes(subjects, now) } else { Ok(Changes::Cut(now)) }
    }

    /// Removes the oldest changes. Only of transactions before any that is still open, so that none that commits later is removed unread.
    pub(super) async fn trim(&self) -> Result<(), StoreError> {
        const AT_ONCE: i64 = 1000;
        sqlx::query(
            "WITH old AS ( \
                 DELETE FROM step_up_changes WHERE (xid, subject) IN ( \
                     SELECT xid, subject FROM (SELECT * FROM step_up_changes ORDER BY xid LIMIT $1) first \
                     WHERE at < now() - make_interval(secs => $2) AND xid < pg_snapshot_xmin(pg_current_snapshot())) \
                 RETURNING xid), \
             foreign_ones AS ( \
                 DELETE FROM step_up_changes WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()) RETURNING 1) \
             INSERT INTO step_up_changes_removed AS removed (xid) SELECT xid FROM old ORDER BY xid DESC LIMIT 1 \
             ON CONFLICT (one) DO UPDATE SET xid = CASE \
                 WHEN removed.xid < pg_snapshot_xmax(pg_current_snapshot()) THEN greatest(removed.xid, excluded.xid) \
                 ELSE excluded.xid END",
        )
        .bind(AT_ONCE)
        .bind(f64::from(LOG_KEPT_SECONDS))
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let written = place("10:20:11,14", 77, 1_800_000_000_000_000);
        assert_eq!(parts(&written), Some(("10:20:11,14", 77, 1_800_000_000_000_000)));
        for foreign in ["", "10:20:", "10:20: 77", "10:20: x 1"] {
            assert_eq!(parts(&LogPlace::new(foreign)), None, "{foreign}");
        }
    }
}
