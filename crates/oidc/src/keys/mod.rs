//! The issuer's keys: read when first asked for, kept, and read again in the background. One question to the issuer is in flight at a time,
//! however many requests wait for it, and it goes on if they give up.

mod fetch;
mod plan;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{runtime::Handle, sync::watch, time::Instant};

use self::{fetch::FetchError, plan::Ages};
pub(crate) use self::{
    fetch::Fetcher,
    plan::{Limits, Next},
};
use crate::jwk::{KeySet, Wanted};

/// No keys are known, so no token can be judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoKeys;

impl fmt::Display for NoKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the keys of the issuer of access tokens are not known, or too old")
    }
}

impl std::error::Error for NoKeys {}

pub(crate) struct Keys {
    limits: Limits,
    shared: Arc<Shared>,
}

struct Shared {
    fetcher: Fetcher,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Arc<KeySet>,
    read_at: Option<Instant>,
    tried_at: Option<Instant>,
    missed_at: Option<Instant>,
    /// Open while the issuer is asked. It closes also when the task that asks dies with its runtime.
    in_flight: Option<watch::Receiver<()>>,
}

impl State {
    fn ages(&self, now: Instant) -> Ages {
        let age = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        Ages { read: age(self.read_at), tried: age(self.tried_at), missed: age(self.missed_at) }
    }
}

impl Keys {
    pub(crate) fn new(fetcher: Fetcher, limits: Limits) -> Self {
        Self { limits, shared: Arc::new(Shared { fetcher, state: Mutex::default() }) }
    }

    /// The keys as they are, if they are still good.
    pub(crate) fn usable(&self) -> Option<Arc<KeySet>> {
        let mut state = self.shared.state();
        let now = Instant::now();
        let ages = state.ages(now);
        if !self.limits.are_usable(ages) {
            return None;
        }
        if self.limits.next(ages, true) == (Next::Use { refresh: true }) {
            self.shared.begin(&mut state, now);
        }
        Some(Arc::clone(&state.keys))
    }

    /// What can be said of a key without waiting.
    pub(crate) fn next(&self, wanted: Wanted<'_>) -> Next {
        let state = self.shared.state();
        self.limits.next(state.ages(Instant::now()), state.keys.has(wanted))
    }

    /// The keys that have this one; `None` if the issuer has no such key.
    ///
    /// # Errors
    ///
    /// No keys are known.
    pub(crate) async fn ask(&self, wanted: Wanted<'_>) -> Result<Option<Arc<KeySet>>, NoKeys> {
        let (asked_at, mut answered) = {
            let mut state = self.shared.state();
            let now = Instant::now();
            match self.limits.next(state.ages(now), state.keys.has(wanted)) {
                Next::Use { .. } => return Ok(Some(Arc::clone(&state.keys))),
                Next::Absent => return Ok(None),
                Next::Unavailable => match state.under_way() {
                    Some(answered) => (now, answered),
                    None => return Err(NoKeys),
                },
                Next::Ask => (now, self.shared.begin(&mut state, now).ok_or(NoKeys)?),
            }
        };
        // Nothing is ever sent: it closes.
        while answered.changed().await.is_ok() {}
        let mut state = self.shared.state();
        if !self.limits.are_usable(state.ages(Instant::now())) {
            return Err(NoKeys);
        }
        if state.keys.has(wanted) {
            return Ok(Some(Arc::clone(&state.keys)));
        }
        state.missed_at = state.missed_at.max(Some(asked_at));
        Ok(None)
    }
}

impl State {
    fn under_way(&self) -> Option<watch::Receiver<()>> {
        self.in_flight.as_ref().filter(|asking| asking.has_changed().is_ok()).cloned()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it can leave it half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the issuer, unless it is being asked. `None` outside of a tokio runtime.
    fn begin(self: &Arc<Self>, state: &mut State, now: Instant) -> Option<watch::Receiver<()>> {
        if let Some(answered) = state.under_way() {
            return Some(answered);
        }
        let runtime = Handle::try_current().ok()?;
        let (answers, answered) = watch::channel(());
        state.tried_at = Some(now);
        state.in_flight = Some(answered.clone());
        let shared = Arc::clone(self);
        // A task of its own: a request that is given up takes nothing from the others.
        runtime.spawn(async move {
            let keys = shared.fetcher.keys().await;
            shared.conclude(keys, now);
            drop(answers);
        });
        Some(answered)
    }

    fn conclude(&self, keys: Result<KeySet, FetchError>, asked_at: Instant) {
        let mut state = self.state();
        state.in_flight = None;
        match keys {
            Ok(keys) => {
                if keys.len() == 0 {
                    tracing::warn!(target: "tower_step_up_oidc", "the issuer publishes no key that could verify a signature");
                }
                state.read_at = Some(asked_at);
                // Where nothing has changed, what was verified stays verified.
                if *state.keys != keys {
                    tracing::info!(target: "tower_step_up_oidc", keys = keys.len(), "the issuer's keys are new");
                    state.keys = Arc::new(keys);
                }
            }
            Err(error) => {
                tracing::warn!(target: "tower_step_up_oidc", %error, "the issuer's keys could not be read");
            }
        }
    }
}
