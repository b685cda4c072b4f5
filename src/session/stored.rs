//! Sessions as this crate keeps them.

use std::{fmt, time::Duration};

use super::{BindingKey, Session, SessionId, Subject};
use crate::{aal::Proof, client::Client, clock::Timestamp};

/// The form whose success began a session, so that the same form gets the same answer once more.
///
/// A store keeps it beside the session, in the same transaction, and never looks into it. A store that drops it is safe: a form that is sent
/// twice is then refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// A keyed digest of the form and of what it was sent with. Nobody without the key can test a guess with it.
    pub digest: [u8; 32],
    /// When it was answered.
    pub at: Timestamp,
}

/// Shows no digest.
impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered").field("at", &self.at).finish_non_exhaustive()
    }
}

/// A session as a store keeps it, with an id, a binding, a time of issue and an end.
///
/// It never changes. A step-up replaces it with a new session that has a new id ([`renewed`](Self::renewed)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    id: SessionId,
    binding: BindingKey,
    issued_at: Timestamp,
    expires_at: Timestamp,
    session: Session,
    answered: Option<Answered>,
    seen_at: Option<Timestamp>,
    revocations: Option<u64>,
}

impl StoredSession {
    /// A new session of the subject, valid for `lifespan` from `now` on.
    pub fn new(subject: Subject, proof: Proof, now: Timestamp, lifespan: Duration) -> Self {
        // Whole seconds, as in the token's `exp`.
        let expires_at = now.whole_seconds() + lifespan;
        Self::from_parts(SessionId::random(), subject, BindingKey::random(), vec![proof], now, expires_at)
    }

    /// A new session with several proofs, the first factor first. It is valid for `lifespan` from `now` on.
    pub(crate) fn of_proofs(subject: Subject, mut proofs: Vec<Proof>, now: Timestamp, lifespan: Duration) -> Self {
        proofs.sort_by_key(|proof| (proof.aal(), proof.completed_at()));
        let expires_at = now.whole_seconds() + lifespan;
        Self::from_parts(SessionId::random(), subject, BindingKey::random(), proofs, now, expires_at)
    }

    /// A session as a store has read it, apart from [`with_answered`](Self::with_answered), [`with_device`](Self::with_device) and
    /// [`with_seen_at`](Self::with_seen_at).
    pub fn from_parts(
        id: SessionId,
        subject: Subject,
        binding: BindingKey,
        proofs: Vec<Proof>,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        let session = Session {
            id: Some(id),
            subject,
            binding: Some(binding),
            proofs: proofs.into_boxed_slice(),
            issued_at: Some(issued_at),
            expires_at: Some(expires_at),
            device: None,
        };
        Self { id, binding, issued_at, expires_at, session, answered: None, seen_at: None, revocations: None }
    }

    /// The same session with the form that it is the answer to.
    #[must_use]
    pub const fn with_answered(mut self, answered: Answered) -> Self {
        self.answered = Some(answered);
        self
    }

    /// The same session with the client that the user signed in with. Of it, software and address are kept, and not the request's id.
    ///
    /// Sessions that replace this one inherit it. A store keeps it beside the session: `Client` is read from what it is written as.
    #[must_use]
    pub fn with_device(mut self, client: &Client) -> Self {
        self.session.device = client.device().map(Box::new);
        self
    }

    /// The same session, seen in use at this instant. A store keeps it beside the session.
    #[must_use]
    pub fn with_seen_at(mut self, at: Timestamp) -> Self {
        self.see(at);
        self
    }

    /// The same session, for which something was proven after so many [`revocations`](crate::store::SubjectStore::revocations), and perhaps
    /// before a later one.
    #[must_use]
    pub const fn with_revocations(mut self, revocations: u64) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// How many [`revocations`](crate::store::SubjectStore::revocations) there had been before anything was proven for this session. `None` if
    /// that is not known: then it is as many as when it is created. A store that reads a session does not say it again.
    pub const fn revocations(&self) -> Option<u64> {
        self.revocations
    }

    /// The same, if the store counts revocations.
    pub(crate) const fn begun_after(mut self, revocations: Option<u64>) -> Self {
        self.revocations = revocations;
        self
    }

    /// What a store tells of a session that it keeps.
    pub(crate) fn as_read(&self) -> Self {
        Self { revocations: None, ..self.clone() }
    }

    /// Moves [`seen_at`](Self::seen_at) forward.
    pub(crate) fn see(&mut self, at: Timestamp) {
        self.seen_at = self.seen_at.max(Some(at));
    }

    /// When the session was last seen in use, as far as it was noted: only with an
    /// [inactivity timeout](crate::StepUpBuilder::session_inactivity_timeout), and not at each request. `None`: not since its newest proof.
    pub const fn seen_at(&self) -> Option<Timestamp> {
        self.seen_at
    }

    /// The latest time at which the session is known to have been in use: its beginning, its newest proof, or what was noted since.
    pub(crate) fn last_used_at(&self) -> Timestamp {
        let proven_at = self.proofs().iter().filter_map(Proof::completed_at).max();
        self.issued_at.max(proven_at.unwrap_or(self.issued_at)).max(self.seen_at.unwrap_or(self.issued_at))
    }

    /// The form that this session is the answer to; `None` if it is the answer to none, or to one that is never answered again. A session
    /// that replaces this one does not inherit it.
    pub const fn answered(&self) -> Option<&Answered> {
        self.answered.as_ref()
    }

    /// The session that replaces this one after a proof at `now`: new id, same subject, binding, device and time of issue.
    ///
    /// The newest proof per method, level and provider replaces the older one. The session now ends `lifespan` after the proof,
    /// but never later than `absolute_lifespan` after its issue.
    #[must_use]
    pub fn renewed(
        &self,
        proof: Proof,
        now: Timestamp,
        lifespan: Duration,
        absolute_lifespan: Option<Duration>,
    ) -> Self {
        let expires_at = renewed_end(self.issued_at, now, lifespan, absolute_lifespan);
        self.session.successor(Some(proof), self.issued_at, expires_at)
    }

    /// The same session under a new id, for when its rights change without a new proof.
    #[must_use]
    pub fn rotated(&self) -> Self {
        self.session.successor(None, self.issued_at, self.expires_at)
    }

    /// The id.
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// The user whose session it is.
    pub const fn subject(&self) -> &Subject {
        self.session.subject()
    }

    /// The key that ties flows to this session through its rotations.
    pub const fn binding(&self) -> BindingKey {
        self.binding
    }

    /// All proofs, oldest first, whether or not they still count.
    pub fn proofs(&self) -> &[Proof] {
        self.session.proofs()
    }

    /// When the user first signed in.
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// The end of the session. From this instant on it is invalid.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The client with which the user signed in, if it is known: see [`Session::device`].
    pub const fn device(&self) -> Option<&Client> {
        self.session.device()
    }

    /// When the newest proof was completed. If no proof has a known time, the time of issue.
    pub fn authenticated_at(&self) -> Timestamp {
        self.proofs().iter().filter_map(Proof::completed_at).max().unwrap_or(self.issued_at)
    }
}

/// The end of a session that is renewed at `now`.
pub(crate) fn renewed_end(
    issued_at: Timestamp,
    now: Timestamp,
    lifespan: Duration,
    absolute_lifespan: Option<Duration>,
) -> Timestamp {
    let end = now.whole_seconds() + lifespan;
    absolute_lifespan.map_or(end, |absolute| end.min(issued_at.whole_seconds() + absolute))
}

impl AsRef<Session> for StoredSession {
    fn as_ref(&self) -> &Session {
        &self.session
    }
}

impl From<StoredSession> for Session {
    fn from(stored: StoredSession) -> Self {
        stored.session
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aal::{Aal, Method};

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn signed_in() -> StoredSession {
        StoredSession::new(
            Subject::new("kim").unwrap(),
            Proof::new(Method::Password, Aal::Aal1, at(1000)),
            at(1000),
            DAY,
        )
        .with_device(&Client::default().with_address([192, 0, 2, 7].into()))
    }

    #[test]
    fn renewal_keeps_who_and_since_when_but_not_the_id() {
        let old = signed_in();
        let new = old.renewed(Proof::new(Method::Totp, Aal::Aal2, at(1500)), at(1500), DAY, None);
        assert_ne!(new.id(), old.id());
        assert_eq!((new.subject(), new.binding(), new.issued_at()), (old.subject(), old.binding(), old.issued_at()));
        assert_eq!((new.device(), new.device().is_some()), (old.device(), true));
        assert_eq!(new.authenticated_at(), at(1500));
        assert_eq!(new.expires_at(), at(1500) + DAY);
        assert_eq!(new.proofs().len(), 2);
    }

    #[test]
    fn the_newest_proof_of_a_kind_replaces_the_older() {
        let mut session = signed_in();
        for second in 1..50 {
            session =
                session.renewed(Proof::new(Method::Totp, Aal::Aal2, at(1000 + second)), at(1000 + second), DAY, None);
        }
        assert_eq!(session.proofs().len(), 2);
        assert_eq!(session.authenticated_at(), at(1049));
    }

    #[test]
    fn renewal_never_passes_the_absolute_end() {
        let absolute = Some(Duration::from_secs(600));
        let session = signed_in().renewed(Proof::new(Method::Totp, Aal::Aal2, at(1500)), at(1500), DAY, absolute);
        assert_eq!(session.expires_at(), at(1600));
    }

    #[test]
    fn a_rotation_changes_the_id_and_nothing_else() {
        let old = signed_in();
        let new = old.rotated();
        assert_ne!(new.id(), old.id());
        assert_eq!(
            (new.subject(), new.binding(), new.proofs(), new.issued_at(), new.expires_at()),
            (old.subject(), old.binding(), old.proofs(), old.issued_at(), old.expires_at())
        );
        assert_eq!(new.device(), old.device());
    }
}
