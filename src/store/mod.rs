//! What must survive a request, behind two traits, and what of it must be atomic.
//!
//! [`SubjectStore`] keeps what is durable: sessions and credentials. [`FlowStore`] keeps what is short-lived: flows and counters
//! of attempts. A store knows nothing of HTTP, of levels or of cryptography: secrets reach it sealed or hashed.
//!
//! Wherever two requests could race, the trait has *one* operation that checks and writes, and a store must carry it out as one
//! conditional statement or one transaction, never as a read and a later write.

pub(crate) mod access;
mod completion;
#[cfg(feature = "test-util")]
pub mod contract;
mod credential;
mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) mod sql;

use std::{fmt, future::Future, pin::Pin, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::sql::{SqlPool, SqlStore};
pub use self::{
    completion::{Completed, Completion, Consumption, CredentialChange, Rotation},
    credential::{Credential, CredentialName, InvalidName, StoredSecret},
    memory::MemoryStore,
};
pub use crate::error::{StoreError, StoreErrorKind};
use crate::{
    aal::Method,
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession, Subject},
    standing::CredentialSummary,
};

/// What the methods of the store traits return.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What one read tells of a session and its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredStanding {
    /// The session as it was created. What the token says beyond its id does not count.
    pub session: StoredSession,
    /// The subject's credentials, in any order.
    pub credentials: Vec<CredentialSummary>,
    /// Sessions that were first issued before this instant are dead.
    pub not_before: Option<Timestamp>,
}

impl StoredStanding {
    /// The standing of a subject that has this session, and neither credentials nor a not-before.
    pub const fn new(session: StoredSession) -> Self {
        Self { session, credentials: Vec::new(), not_before: None }
    }
}

/// Which sessions of a subject to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// This one.
    One(SessionId),
    /// All but this one.
    Others(SessionId),
    /// All, and those first issued before this instant, even if they are being created right now.
    All(Timestamp),
}

/// Keeps sessions and credentials.
///
/// `tower_step_up::store::contract` (feature `test-util`) checks an implementation.
pub trait SubjectStore: Send + Sync + 'static {
    /// Creates a session and forgets expired ones of the subject.
    ///
    /// # Errors
    ///
    /// `Conflict` if the id exists; nothing is changed then.
    fn create_session<'a>(&'a self, session: &'a StoredSession) -> StoreFuture<'a, ()>;

    /// The session of that subject and id with the subject's standing, in one read; `None` if it is not there (never was, was
    /// revoked or replaced). Expired sessions may or may not be there.
    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>>;

    /// The subject's newest session with that binding that is alive, with the subject's standing, in one read; `None` if there is none.
    fn session_of<'a>(
        &'a self,
        subject: &'a Subject,
        binding: BindingKey,
        now: Timestamp,
    ) -> StoreFuture<'a, Option<StoredStanding>>;

    /// The subject's sessions that are alive (not expired, not issued before the subject's not-before), newest first.
    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<StoredSession>>;

    /// Ends sessions of the subject and returns how many. A not-before only ever moves forward.
    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64>;

    /// The subject's credentials, oldest first.
    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>>;

    /// Applies a completion as a whole or not at all.
    ///
    /// Checks in this order: flow, old session, session that begins, expected credentials, consumption. Then it applies the consumption, the
    /// raised steps, and the changes of credentials in their order. Where a session begins, expired ones of the subject are forgotten.
    ///
    /// # Errors
    ///
    /// `Conflict` if the id of a new session or of an added credential exists, `Unsupported` if the completion has a consumption or a
    /// change that this store does not know; nothing is changed then.
    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed>;
}

/// Names one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlowId(Uuid);

impl FlowId {
    /// A new random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl From<Uuid> for FlowId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<FlowId> for Uuid {
    fn from(id: FlowId) -> Self {
        id.0
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A flow as a store keeps it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredFlow {
    /// The id.
    pub id: FlowId,
    /// Whose flow it is; `None` if it was begun without a session.
    pub subject: Option<Subject>,
    /// The session that it was begun in, by what survives the session's rotations; `None` if it was begun without one.
    pub binding: Option<BindingKey>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How often it was written: 0 when created.
    pub version: u64,
    /// Whether it was completed. A completed flow stays readable until it expires, but is never written again.
    pub completed: bool,
    /// All else, as JSON text that only the crate reads.
    pub body: String,
}

impl StoredFlow {
    /// A new flow of nobody's. A store that reads one sets the other fields.
    ///
    /// ```
    /// use tower_step_up::{Subject, clock::Timestamp, session::BindingKey, store::{FlowId, StoredFlow}};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (expires_at, binding) = (Timestamp::from_unix_seconds(1_800_000_000), BindingKey::random());
    /// let mut flow = StoredFlow::new(FlowId::random(), expires_at, "{}");
    /// (flow.subject, flow.binding, flow.version) = (Some(Subject::new("kim")?), Some(binding), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(id: FlowId, expires_at: Timestamp, body: impl Into<String>) -> Self {
        Self { id, subject: None, binding: None, expires_at, version: 0, completed: false, body: body.into() }
    }
}

impl fmt::Debug for StoredFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredFlow")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .field("version", &self.version)
            .field("completed", &self.completed)
            .finish_non_exhaustive()
    }
}

/// Whose attempts at what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttemptKey {
    /// The subject.
    pub subject: Subject,
    /// The method.
    pub method: Method,
}

/// How many wrong attempts in a row are allowed, and what follows.
///
/// After `free` failures in a row each further attempt has to wait: `first_delay` at first, twice as long each time, at most
/// `longest_delay`. After `hard_stop` failures in a row nothing is evaluated any more (NIST SP 800-63B-4 section 3.2.2 asks for at
/// most 100), until the factor is bound again or the application lifts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptPolicy {
    /// Failures in a row that cost nothing.
    pub free: u32,
    /// The wait after the last free failure.
    pub first_delay: Duration,
    /// The longest wait.
    pub longest_delay: Duration,
    /// Failures in a row after which there is no further attempt.
    pub hard_stop: u32,
}

impl Default for AttemptPolicy {
    fn default() -> Self {
        Self { free: 5, first_delay: Duration::from_secs(30), longest_delay: Duration::from_secs(3600), hard_stop: 100 }
    }
}

/// How often the flows without a session are counted: at each creation whose number is a multiple of this.
const PRUNE_EVERY: i64 = 32;

/// For how long expired flows stay readable.
const EXPIRED_FLOWS_KEPT: Duration = Duration::from_secs(86_400);

/// Whether an attempt may be evaluated. It has been counted as failed already if it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "an attempt that is not `Allowed` must not be evaluated"]
pub enum Attempt {
    /// It may.
    Allowed,
    /// Not before this instant.
    LockedUntil(Timestamp),
    /// Not at all: the hard stop was reached.
    Stopped,
}

/// Whether a flow was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "a superseded flow was not written: do not show what it says"]
pub enum Written {
    /// The store has it as it was given.
    Done,
    /// Nothing was written. Somebody else was quicker and has written, completed or removed the flow; or it has expired, and was to be
    /// completed. What is true now, only a new read tells.
    Superseded,
}

impl Written {
    /// Whether the store has it as it was given.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Done)
    }
}

impl From<bool> for Written {
    /// Of what a store knows: whether a row was changed.
    fn from(changed: bool) -> Self {
        if changed { Self::Done } else { Self::Superseded }
    }
}

/// Keeps flows and counters of attempts.
///
/// `tower_step_up::store::contract` (feature `test-util`) checks an implementation.
pub trait FlowStore: Send + Sync + 'static {
    /// Creates a flow. At most `keep` flows of one session stay, that is of one binding: those created first give way. They are not
    /// counted by subject, so that whoever else is signed in as the subject cannot push out its flows; a subject's flows are
    /// bounded by `keep` for each of its sessions. The flows without a session are counted all together; but of these a hundred
    /// more may stay, so that a store need not count them each time.
    ///
    /// Flows that expired a day ago may be removed: until then they stay, so that a late user learns that the flow has expired and
    /// what it was for.
    ///
    /// # Errors
    ///
    /// `Conflict` if the id exists.
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()>;

    /// The flow, also when it has expired, as long as it has not been removed.
    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>>;

    /// Replaces the flow's body and raises its version by one, if the stored version still is `flow.version` and the flow
    /// was not completed. Says whether it was so.
    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written>;

    /// Marks the flow completed, replaces its body and raises its version by one, if by what is stored it has not expired and was
    /// not completed. Says whether it was so.
    ///
    /// Versions are not compared: a wrong answer that was written meanwhile does not spoil the right one.
    fn complete_flow<'a>(&'a self, flow: &'a StoredFlow, now: Timestamp) -> StoreFuture<'a, Written>;

    /// Removes all flows of the subject, whatever their sessions, except the named one.
    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()>;

    /// Counts an attempt as failed *before* it is evaluated, unless it is locked; a success resets the count afterwards.
    ///
    /// With `n` failures counted including this one, the next attempt is locked until `now` + [`AttemptPolicy::delay_after`] of `n`.
    /// A delay of zero is no lock, not even for a machine whose clock is behind. An attempt that is refused changes nothing.
    ///
    /// A counter may be forgotten [`AttemptPolicy::REMEMBERED_FOR`] after its last attempt, but not sooner, and never when it
    /// has reached the hard stop.
    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt>;

    /// The count starts anew.
    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()>;
}

impl AttemptPolicy {
    /// For how long a store remembers failures at least: 30 days after the last attempt.
    ///
    /// Long, because whoever waits for a counter to be forgotten starts anew and never meets the hard stop: this way at about
    /// three guesses a day.
    pub const REMEMBERED_FOR: Duration = Duration::from_secs(30 * 86_400);

    /// Until when the next attempt is locked after `failures` in a row, the last of them at `now`; `None` if it is not.
    #[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
    fn locked_until(&self, failures: u32, now: Timestamp) -> Option<Timestamp> {
        let delay = self.delay_after(failures);
        (!delay.is_zero()).then(|| now + delay)
    }

    /// When a counter with so many failures may be forgotten, if ever.
    #[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
    fn forgotten_at(&self, failures: u32, now: Timestamp) -> Option<Timestamp> {
        (failures < self.hard_stop).then(|| now + Self::REMEMBERED_FOR)
    }

    /// How long the next attempt has to wait after `failures` in a row.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_step_up::store::AttemptPolicy;
    ///
    /// let policy = AttemptPolicy::default();
    /// assert_eq!(policy.delay_after(4), Duration::ZERO);
    /// assert_eq!(policy.delay_after(5), Duration::from_secs(30));
    /// assert_eq!(policy.delay_after(6), Duration::from_secs(60));
    /// assert_eq!(policy.delay_after(99), Duration::from_secs(3600));
    /// ```
    pub fn delay_after(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => {
                self.first_delay.saturating_mul(2u32.saturating_pow(beyond.min(31))).min(self.longest_delay)
            }
        }
    }
}
