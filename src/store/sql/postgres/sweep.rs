//! How rows go that have expired: beside other calls, a part at a time.
//!
//! A row that was removed stays in the index until the table is vacuumed. Of a large table that is long, and while any old transaction is
//! open, for ever. Each removal that began with the oldest would walk over all of them. So it begins where the one before has ended.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sqlx::{PgConnection, PgPool};
use tokio::sync::Mutex;

use super::failed;
use crate::{clock::Timestamp, store::StoreError};

/// At each call whose number is a multiple of this, rows are removed. Each call adds one, so there are never more to remove for long.
const EVERY: u32 = 8;

/// As many as one statement removes. It is written into them: a statement whose limit is a parameter is planned anew each time.
const AT_ONCE: usize = 64;

/// After how long to begin with the oldest again. What was locked, or came late from a node with another clock, goes then.
const ANEW: Duration = Duration::from_secs(86_400);

/// A clock that has gone back further is another one. Calls that overtake each other differ by less.
const OVERTAKEN: Duration = Duration::from_secs(3600);

/// They take the end from which and the end until which they remove, and return the ends of what they have removed.
const FLOWS: &str = "DELETE FROM step_up_flows WHERE seq IN (SELECT seq FROM step_up_flows \
     WHERE expires_at >= $1 AND expires_at <= $2 ORDER BY expires_at LIMIT 64 FOR UPDATE SKIP LOCKED) RETURNING expires_at";
const SESSIONS: &str = "DELETE FROM step_up_sessions WHERE seq IN (SELECT seq FROM step_up_sessions \
     WHERE expires_at >= $1 AND expires_at <= $2 ORDER BY expires_at LIMIT 64 FOR UPDATE SKIP LOCKED) RETURNING expires_at";

/// The removals from one table.
#[derive(Default)]
pub(super) struct Sweeps {
    calls: AtomicU32,
    /// Whoever holds it removes.
    place: Mutex<Place>,
}

/// How far removals have come, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    from: i64,
    /// Until when the last one removed that began with the oldest.
    begun: i64,
}

impl Default for Place {
    fn default() -> Self {
        Self { from: i64::MIN, begun: i64::MIN }
    }
}

impl Place {
    /// Where the next removal begins. If the clock was far ahead before, the place means nothing.
    fn next(self, until: i64) -> Self {
        let passed = |since: i64, duration: Duration, now: i64| {
            now.saturating_sub(since) >= i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
        };
        if passed(until, OVERTAKEN, self.from) || passed(self.begun, ANEW, until) {
            Self { from: i64::MIN, begun: until }
        } else {
            self
        }
    }

    /// Where it has ended.
    fn after(self, until: i64, removed: &[i64]) -> Self {
        let last = removed.iter().max().copied().filter(|_| removed.len() >= AT_ONCE);
        Self { from: last.unwrap_or(until).max(self.from), ..self }
    }
}

impl Sweeps {
    pub(super) async fn flows(&self, pool: &PgPool, until: Timestamp) {
        self.now_and_then(pool, FLOWS, until).await;
    }

    pub(super) async fn sessions(&self, pool: &PgPool, until: Timestamp) {
        self.now_and_then(pool, SESSIONS, until).await;
    }

    /// Before a call's own work, so that one that is cut off here has done nothing. What fails here fails nothing else.
    async fn now_and_then(&self, pool: &PgPool, statement: &'static str, until: Timestamp) {
        if !self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(EVERY) {
            return;
        }
        let Ok(mut place) = self.place.try_lock() else { return };
        let Ok(mut connection) = pool.acquire().await else { return };
        let until = until.unix_milliseconds();
        let next = place.next(until);
        match remove(&mut connection, statement, next.from, until).await {
            Ok(removed) => *place = next.after(until, &removed),
            Err(error) => {
                tracing::debug!(target: "tower_step_up::store", %error, "what has expired could not be removed");
            }
        }
    }
}

async fn remove(
    connection: &mut PgConnection,
    statement: &'static str,
    from: i64,
    until: i64,
) -> Result<Vec<i64>, StoreError> {
    sqlx::query_scalar(statement).bind(from).bind(until).fetch_all(connection).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_removal_begins_where_the_last_one_ended() {
        let first = Place::default().next(1000);
        assert_eq!(first, Place { from: i64::MIN, begun: 1000 });
        let full: Vec<i64> = (0..64).rev().collect();
        let second = first.after(1000, &full).next(1001);
        assert_eq!(second, Place { from: 63, begun: 1000 });
        // Nothing is left.
        assert_eq!(second.after(1001, &[70, 64]).next(1002), Place { from: 1001, begun: 1000 });
    }

    #[test]
    fn what_was_left_out_goes_a_day_later() {
        let place = Place { from: 500, begun: 1000 };
        assert_eq!(place.next(1000 + DAY - 1), place);
        assert_eq!(place.next(1000 + DAY), Place { from: i64::MIN, begun: 1000 + DAY });
    }

    #[test]
    fn calls_that_overtake_each_other_begin_nothing_anew() {
        let caught_up = Place { from: 2000, begun: 1000 };
        assert_eq!(caught_up.next(1990).after(1990, &[]), caught_up);
    }

    #[test]
    fn a_clock_that_was_ahead_stops_no_removal() {
        let ahead = Place::default().next(400 * DAY).after(400 * DAY, &[]);
        assert_eq!(ahead.next(1000), Place { from: i64::MIN, begun: 1000 });
    }
}
