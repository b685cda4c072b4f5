//! Factors at work: how long a step may take, and what of it counts as an attempt.

use std::{collections::BTreeSet, fmt, time::Duration};

use super::Engine;
use crate::{
    aal::{Aal, Method},
    clock::Timestamp,
    error::StoreError,
    factor::{Factor, FactorError, FactorFuture},
    session::Subject,
    standing::CredentialSummary,
    store::{Attempt, AttemptKey, Counted},
};

/// A form that a factor is asked about, and what was counted for it.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) key: AttemptKey,
    /// `None` if it was not counted, or by a store that gives nothing back.
    counted: Option<Counted>,
}

impl Tried {
    /// Nothing was counted.
    pub(crate) const fn uncounted(key: AttemptKey) -> Self {
        Self { key, counted: None }
    }

    /// It was counted in this way.
    pub(crate) const fn counted(key: AttemptKey, attempt: Attempt) -> Self {
        let counted = match attempt {
            Attempt::Counted(counted) => Some(counted),
            Attempt::Allowed | Attempt::LockedUntil(_) | Attempt::Stopped => None,
        };
        Self { key, counted }
    }
}

/// A step of a factor took longer than it may.
#[derive(Debug)]
struct TooSlow {
    method: Method,
    after: Duration,
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the factor {} took longer than {:?}", self.method, self.after)
    }
}

impl std::error::Error for TooSlow {}

impl Engine {
    /// How long one step of the factor may take: it may ask the directory.
    pub(crate) fn patience(&self, factor: &dyn Factor) -> Duration {
        factor.timeout().unwrap_or(self.limits.directory_timeout)
    }

    /// A step of this factor, within its time limit. What took too long may have compared or sent something, so it stays counted.
    pub(crate) async fn in_time<T>(&self, factor: &dyn Factor, step: FactorFuture<'_, T>) -> Result<T, FactorError> {
        let after = self.patience(factor);
        let done = tokio::time::timeout(after, step).await;
        done.map_err(|_| FactorError::Unavailable(TooSlow { method: factor.method(), after }.into()))?
    }

    /// Counts an attempt before anything is compared.
    pub(crate) async fn begin_attempt(&self, key: &AttemptKey, now: Timestamp) -> Result<Attempt, StoreError> {
        self.stores.begin_attempt(key, &self.limits.attempts, now).await
    }

    /// Nothing was compared with this form, so it does not count. If this fails, it stays counted: the owner may have to wait longer, and
    /// nothing else is wrong.
    pub(crate) async fn give_back(&self, tried: Tried, now: Timestamp) {
        let Tried { key, counted: Some(counted) } = tried else { return };
        let given_back = self.stores.give_back_attempt(&key, &counted, &self.limits.attempts, now).await;
        if let Err(error) = given_back {
            let method = key.method;
            tracing::warn!(target: "tower_step_up::factor", %error, %method, "an attempt that compared nothing stays counted");
        }
    }

    /// The methods of all second factors, bound or not. A user who has proven one is the owner, and may try the others again. An attacker who
    /// knows the password could have locked them, even for good (NIST SP 800-63B-4 section 3.2.2), and before they are bound.
    pub(crate) fn second_factors(&self, known: impl Iterator<Item = CredentialSummary>) -> BTreeSet<Method> {
        let bound = known.filter(|summary| summary.aal == Aal::Aal2).map(|summary| summary.method);
        let offered = self.factors.iter().filter(|factor| factor.aal() == Aal::Aal2).map(|factor| factor.method());
        bound.chain(offered).collect()
    }

    /// The factor was proven, so earlier failures no longer count. If this fails, the owner may have to wait longer, and nothing
    /// else is wrong.
    pub(crate) async fn lift_lock(&self, subject: &Subject, method: Method) {
        let key = AttemptKey { subject: subject.clone(), method };
        if let Err(error) = self.stores.reset_attempts(&key).await {
            tracing::warn!(target: "tower_step_up::factor", %error, %method, "could not unlock a factor that was proven");
        }
    }
}
