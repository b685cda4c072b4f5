//! Everything that must survive a request, behind two traits.
//!
//! [`SubjectStore`] keeps what is durable: sessions and credentials. [`FlowStore`] keeps what is short-lived: flows and counters
//! of attempts. A store knows no HTTP, no levels and no cryptography: it receives secrets sealed or hashed.
//!
//! Wherever two requests could race, the trait has *one* operation that checks and writes. A store must carry it out as one
//! conditional statement or one transaction, never as a read and a later write.

pub(crate) mod access;
mod attempts;
mod changes;
mod completion;
#[cfg(feature = "test-util")]
pub mod contract;
mod credential;
mod flow;
mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) mod sql;

use std::{future::Future, pin::Pin, time::Duration};

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::sql::{SqlPool, SqlStore};
pub use self::{
    attempts::{Attempt, AttemptKey, AttemptPolicy, Counted},
    changes::{Changes, LogPlace},
    completion::{Completed, Completion, Consumption, CredentialChange, Rotation},
    credential::{Credential, CredentialName, InvalidName, StoredSecret},
    flow::{FlowId, StoredFlow},
    memory::MemoryStore,
};
pub use crate::error::{StoreError, StoreErrorKind};
use crate::{
    aal::Method,
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession, Subject},
    standing::CredentialSummary,
};

/// The return type of the methods of the store traits.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A session and its subject's credentials, from one read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredStanding {
    /// The session as it was created. Of the token, only the id counts.
    pub session: StoredSession,
    /// The subject's credentials, in any order.
    pub credentials: Vec<CredentialSummary>,
}

impl StoredStanding {
    /// The standing of a subject that has this session, and no credentials.
    pub const fn new(session: StoredSession) -> Self {
        Self { session, credentials: Vec::new() }
    }
}

/// Which sessions of a subject to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// This one.
    One(SessionId),
    /// All but the one with this binding, whatever its id is by now: a step-up may be replacing it at this moment.
    Others(BindingKey),
    /// All that exist, and any for which something was proven before, even if it is being created right now. The store itself knows what was
    /// before, by [`revocations`](SubjectStore::revocations): clocks differ. The instant is for processes of a version that compares it.
    All(Timestamp),
}

/// Keeps sessions and credentials.
///
/// `tower_step_up::store::contract` (feature `test-util`) checks an implementation.
pub trait SubjectStore: Send + Sync + 'static {
    /// Creates a session, and removes expired ones of the subject.
    ///
    /// # Errors
    ///
    /// `Conflict` if the id exists. Then nothing is changed.
    fn create_session<'a>(&'a self, session: &'a StoredSession) -> StoreFuture<'a, ()>;

    /// How many times all sessions of one subject or of everybody were ended in this store. Each [`Revocation::All`] and each
    /// [`revoke_everyone`](Self::revoke_everyone) adds one, in the transaction that ends them.
    ///
    /// It is read before anything is proven for a session that begins. The session is then created
    /// [with it](StoredSession::with_revocations), and is dead if all sessions of its subject were ended since. A session that replaces another
    /// takes over its number. So no clock decides: neither one that is ahead or behind on another node nor one that was set back.
    ///
    /// # Errors
    ///
    /// By default `Unsupported`: a store that does not know it may take a session for one that began after a revocation.
    fn revocations(&self) -> StoreFuture<'_, u64> {
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) })
    }

    /// The subject's session with this id, and the subject's standing, in one read. `None` if it never existed, was revoked, was replaced, or
    /// began before all were [revoked](Self::revocations). Expired sessions may or may not be there.
    fn standing<'a>(&'a self, subject: &'a Subject, session: SessionId) -> StoreFuture<'a, Option<StoredStanding>>;

    /// The subject's newest live session with this binding, and the subject's standing, in one read; `None` if there is none.
    fn session_of<'a>(
        &'a self,
        subject: &'a Subject,
        binding: BindingKey,
        now: Timestamp,
    ) -> StoreFuture<'a, Option<StoredStanding>>;

    /// The subject's live sessions (not expired, not begun before all were [revoked](Self::revocations)), newest first.
    fn sessions<'a>(&'a self, subject: &'a Subject, now: Timestamp) -> StoreFuture<'a, Vec<StoredSession>>;

    /// Ends sessions of the subject, and returns how many.
    ///
    /// A step-up in flight is carried out before or after it: of [`Revocation::Others`], no other session is left that replaces one that
    /// was ended, and the one with the binding stays.
    fn revoke<'a>(&'a self, subject: &'a Subject, which: Revocation) -> StoreFuture<'a, u64>;

    /// The subject's credentials, oldest first.
    fn credentials<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<Credential>>;

    /// Applies the whole completion or nothing.
    ///
    /// Checks in this order: flow, old session, session that begins, expected credentials, consumption. Then it applies the
    /// consumption, the raised steps, and the changes of credentials in their order. If a session begins, expired ones of the
    /// subject are removed.
    ///
    /// # Errors
    ///
    /// `Conflict` if the id of a new session, or the id or fingerprint of an added credential, exists. `Unsupported` if the completion has a consumption
    /// or a change that this store does not know. In both cases nothing is changed.
    fn complete<'a>(&'a self, completion: &'a Completion) -> StoreFuture<'a, Completed>;

    /// Removes everything of the subject: sessions, credentials and what else is known of it, such as when all its sessions were ended. A store that is the
    /// [`FlowStore`] too removes its flows and counters in the same transaction. It is no error if there is nothing.
    ///
    /// # Errors
    ///
    /// By default `Unsupported`: a store that does not know it removes nothing, and says so.
    fn delete_subject<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, ()> {
        let _ = subject;
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) })
    }

    /// Ends every session of every subject, and any for which something was proven before, even if it is being created right now, and returns
    /// how many it found. As with [`Revocation::All`], the store itself knows what was before, and the instant is for processes of a version
    /// that compares it.
    ///
    /// # Errors
    ///
    /// By default `Unsupported`: a store that does not know it ends nothing, and says so.
    fn revoke_everyone(&self, at: Timestamp) -> StoreFuture<'_, u64> {
        let _ = at;
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) })
    }

    /// Notes that the session was in use at this instant, as its [`seen_at`](StoredSession::seen_at), which only moves forward. Returns
    /// `Superseded` if there is no such session of the subject any more: one that was ended or replaced stays so.
    ///
    /// It is called only where an [inactivity timeout](crate::StepUpBuilder::session_inactivity_timeout) is set, and at most once for each
    /// tenth of it in each session and process.
    ///
    /// # Errors
    ///
    /// By default `Unsupported`.
    fn note_use<'a>(&'a self, subject: &'a Subject, session: SessionId, at: Timestamp) -> StoreFuture<'a, Written> {
        let _ = (subject, session, at);
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) })
    }

    /// Whether the store keeps what [`note_use`](Self::note_use) says. By default it does not, and `build()` refuses an inactivity timeout
    /// with it: sessions in use would end.
    fn notes_use(&self) -> bool {
        false
    }

    /// Which subjects have changed since this place in the store's log of changes, which an earlier answer named. Without a place, the answer
    /// is [`Changes::Cut`].
    ///
    /// A subject changes when an answer of [`standing`](Self::standing) is no longer true: a session ended or was replaced, a credential came,
    /// went or changed its level, all sessions were ended. So a new session, a code that was used and [`note_use`](Self::note_use) need not be
    /// told, but may be. The change is in the log from the same moment on in which it is in the store, whoever has made it: an answer that is
    /// asked for *after* a write has returned names its subject. Nothing is left out between the place that one answer names and the next
    /// answer since that place, also if several processes write at once. If the log has been cut down meanwhile, or the store cannot be sure,
    /// the answer is [`Changes::Cut`].
    ///
    /// Where there is a log, each process reads it every [`changes_interval`](crate::StepUpBuilder::changes_interval), and believes what it read
    /// of a subject for some minutes instead of [`standing_max_age`](crate::StepUpBuilder::standing_max_age). So it must be cheap.
    ///
    /// By default there is none, and everything is read again when it is older than that.
    fn changes<'a>(&'a self, since: Option<&'a LogPlace>) -> StoreFuture<'a, Changes> {
        let _ = since;
        Box::pin(async { Ok(Changes::NoLog) })
    }
}

/// Flows without a session are counted at each creation whose number is a multiple of this.
const PRUNE_EVERY: i64 = 32;

/// How long expired flows stay readable.
pub(crate) const EXPIRED_FLOWS_KEPT: Duration = Duration::from_secs(86_400);

/// Whether a flow was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "a superseded flow was not written: do not show what it says"]
pub enum Written {
    /// It was written as given.
    Done,
    /// Nothing was written. Another request has written, completed or removed the flow; or the flow to complete has expired. Read
    /// it again to see how it is now.
    Superseded,
}

impl Written {
    /// Whether it was written.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Done)
    }
}

impl From<bool> for Written {
    /// `Done` if a row was changed.
    fn from(changed: bool) -> Self {
        if changed { Self::Done } else { Self::Superseded }
    }
}

/// Keeps flows and counters of attempts.
///
/// `tower_step_up::store::contract` (feature `test-util`) checks an implementation.
pub trait FlowStore: Send + Sync + 'static {
    /// Creates a flow. At most `keep` flows of one session, that is of one binding, stay: the oldest give way, but neither the new one nor
    /// the one [in use](Self::touch_flow), which is among the `keep`. If `keep` is 1, the new one stays alone. They are not counted by
    /// subject, so that another session of the subject cannot push them out. Flows without a session are all counted together. Of these, a
    /// hundred more may stay, so that a store need not count them each time.
    ///
    /// Flows without a session that are [completed](StoredFlow::completed), whether they were created so or completed later, neither count nor
    /// give way: they say that something was proven with them, so that it cannot be once more. They go when they have expired.
    ///
    /// A flow may be removed a day after it has expired. Until then it stays, so that a late user learns that it has expired and
    /// what it was for.
    ///
    /// # Errors
    ///
    /// `Conflict` if the id exists.
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()>;

    /// The flow, even if it has expired; `None` if it does not exist or was removed.
    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>>;

    /// Makes this flow the one in use in its session: the one that was last read or submitted, and so the one that somebody is filling in.
    /// However many flows are begun then, [`create_flow`](Self::create_flow) keeps it. The one that was in use no longer is. So a session has
    /// one at most, and no number of calls makes a store keep more flows. Nothing else of the flow changes, neither body nor version.
    ///
    /// It is called only if the flow was read with [`StoredFlow::in_use`] unset, so whoever reads the same flow again writes nothing.
    ///
    /// Returns `Superseded` if there is no such flow any more. A flow without a session is never in use, since those are counted over all
    /// clients: whatever this returns for one, it changes nothing.
    ///
    /// By default, does nothing: with a store that does not know it, flows that are begun in the background push out the form that the user is
    /// filling in.
    fn touch_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        let _ = flow;
        Box::pin(async { Ok(Written::Done) })
    }

    /// Replaces the flow's body and raises its version by one, if the stored version still is `flow.version` and the flow was not
    /// completed. Returns whether it did.
    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written>;

    /// Marks the flow completed, replaces its body and raises its version by one, if the stored flow has not expired and was not
    /// completed. Returns whether it did.
    ///
    /// Versions are not compared: a wrong answer that was written meanwhile does not spoil the right one.
    fn complete_flow<'a>(&'a self, flow: &'a StoredFlow, now: Timestamp) -> StoreFuture<'a, Written>;

    /// Removes all flows of the subject, whatever their sessions, except the named one.
    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()>;

    /// Counts an attempt as failed *before* it is evaluated, unless it is locked. A success resets the count afterwards.
    ///
    /// With `n` failures counted including this one, the next attempt is locked until `now` + [`AttemptPolicy::delay_after`] of `n`.
    /// A delay of zero is no lock, not even for a machine whose clock is behind. An attempt that is refused changes nothing.
    ///
    /// A counter may be forgotten [`AttemptPolicy::REMEMBERED_FOR`] after its last attempt, but not sooner. A counter that has
    /// reached the hard stop is never forgotten.
    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt>;

    /// Takes back one attempt that [`begin_attempt`](Self::begin_attempt) counted and that was not evaluated, since the factor failed before it
    /// compared anything. Returns whether it did. The caller gives an attempt back at most once.
    ///
    /// Only if the counter still is of the attempt's [generation](Counted::generation), and counts any failure: the count falls by one, and
    /// the lock goes if it is the one that this very attempt has set. A counter that had reached the hard stop and is below it again may be
    /// forgotten [`AttemptPolicy::REMEMBERED_FOR`] after `now`. Otherwise nothing is changed: a counter that was reset or has begun anew does
    /// not know the attempt.
    ///
    /// # Errors
    ///
    /// By default `Unsupported`: a store that does not know it gives nothing back, and answers [`Attempt::Allowed`].
    fn give_back_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        attempt: &'a Counted,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, bool> {
        let _ = (key, attempt, policy, now);
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) })
    }

    /// Resets the count.
    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()>;

    /// Removes all flows of the subject and all its counters. `methods` names every method that may have a counter, for a store that finds
    /// counters only by their keys. It is no error if there is nothing.
    ///
    /// # Errors
    ///
    /// By default `Unsupported`: a store that does not know it removes nothing, and says so.
    fn forget_subject<'a>(&'a self, subject: &'a Subject, methods: &'a [Method]) -> StoreFuture<'a, ()> {
        let _ = (subject, methods);
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Unsupported)) })
    }
}
