//! Reads the store's log of changes in the background, so that sessions need not be read again and again.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, task::JoinHandle};

use super::{epochs::Epochs, session_cache::SessionCache};
use crate::{
    audit::count_reading,
    clock::Clock,
    store::{Changes, access::Stores},
};

/// Starts when something was read that it can vouch for. Ends when nobody has used that for some minutes, and when this is dropped.
pub(crate) struct LogReader {
    reading: Reading,
    /// `None`: the log is not read.
    pause: Option<Duration>,
    /// The store has said that it keeps no log.
    no_log: Arc<AtomicBool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone)]
struct Reading {
    stores: Stores,
    clock: Arc<dyn Clock>,
    epochs: Arc<Epochs>,
    max_age: Duration,
}

impl LogReader {
    fn new(reading: Reading, interval: Duration) -> Self {
        // Several readings fit into the time for which one is believed.
        let pause = interval.min(reading.max_age.checked_div(2).unwrap_or_default());
        let pause = (!pause.is_zero()).then_some(pause);
        Self { reading, pause, no_log: Arc::default(), task: Mutex::default() }
    }

    /// Starts reading, unless that goes on already.
    pub(crate) fn go_on(&self) {
        let Some(pause) = self.pause else { return };
        if self.no_log.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut task) = self.task.lock() else { return };
        // Also the end of its runtime has ended it.
        if task.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            *task = Some(runtime.spawn(read_on(self.reading.clone(), pause, Arc::clone(&self.no_log))));
        }
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        if let Ok(task) = self.task.get_mut()
            && let Some(task) = task.take()
        {
            task.abort();
        }
    }
}

/// A cache of sessions, and what keeps it up to date.
pub(crate) fn followed(
    stores: Stores,
    clock: Arc<dyn Clock>,
    capacity: usize,
    max_age: Duration,
    interval: Duration,
    asks_directory: bool,
) -> (SessionCache, LogReader) {
    let epochs = Arc::new(Epochs::new(capacity));
    let cache = SessionCache::new(capacity, max_age, asks_directory, Arc::clone(&epochs));
    (cache, LogReader::new(Reading { stores, clock, epochs, max_age }, interval))
}

async fn read_on(reading: Reading, pause: Duration, no_log: Arc<AtomicBool>) {
    let Reading { stores, clock, epochs, max_age } = reading;
    let mut place = None;
    let (mut confirmed_at, mut used_at) = (Instant::now(), Instant::now());
    let mut in_time = true;
    loop {
        // What is read is as new as the beginning of the reading, however long it takes.
        let (began, by_clock) = (Instant::now(), clock.now());
        let outcome = match stores.changes(place.as_ref()).await {
            Ok(Changes::NoLog) => {
                no_log.store(true, Ordering::Relaxed);
                return;
            }
            Ok(Changes::Of(subjects, next)) => {
                for subject in &subjects {
                    epochs.raise(subject);
                }
                Ok(("read", next))
            }
            Ok(Changes::OfEverybody(next)) => {
                epochs.raise_all();
                Ok(("read", next))
            }
            Ok(Changes::Cut(next)) => {
                epochs.begin_turn();
                Ok(("cut", next))
            }
            Err(error) => Err(error),
        };
        let failure = match outcome {
            Ok((outcome, next)) => {
                // The first reading continues nothing, whatever the store calls it.
                if place.replace(next).is_none() {
                    epochs.begin_turn();
                }
                epochs.confirm(began, by_clock);
                confirmed_at = began;
                count_reading(if began.elapsed() < max_age { outcome } else { "late" });
                None
            }
            Err(error) => {
                count_reading("failed");
                Some(error)
            }
        };
        let was_in_time = std::mem::replace(&mut in_time, confirmed_at.elapsed() < max_age);
        if was_in_time && !in_time {
            let error = failure.map_or_else(|| "it came too late".to_owned(), |error| error.to_string());
            tracing::warn!(
                target: "tower_step_up::sessions", error,
                "the store's log of changes cannot be read: until it can, what was read of a session counts for standing_max_age only"
            );
        } else if in_time && !was_in_time {
            tracing::info!(target: "tower_step_up::sessions", "the store's log of changes is read again");
        }
        if epochs.take_use() {
            used_at = Instant::now();
        } else if used_at.elapsed() > SessionCache::LONGEST {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}
