//! Our own sessions: renewed, ended, handed out, described.

use serde_json::Value;

use super::{Engine, Limits};
use crate::{
    aal::Proof,
    audit::{AuditEventKind, Origin},
    clock::Timestamp,
    error::{Error, ErrorKind, StoreError},
    session::{BindingKey, Session, SessionId, StoredSession, Subject, renewed_end},
    source::{Carried, Evidence, SessionSource},
    standing::Standing,
    store::Revocation,
    wire,
};

impl Engine {
    /// The session that replaces the old one after a proof made now. The proof prolongs it.
    pub(crate) fn renew(&self, old: &Session, proof: Proof, now: Timestamp) -> StoredSession {
        let issued_at = old.issued_at().unwrap_or(now);
        old.successor(Some(proof), issued_at, self.renewed_end(issued_at, now))
    }

    /// The session that replaces the old one when its rights change: with one more proof or none, and not prolonged.
    pub(crate) fn rotate(&self, old: &Session, proof: Option<Proof>, now: Timestamp) -> StoredSession {
        let issued_at = old.issued_at().unwrap_or(now);
        let end = old.expires_at().unwrap_or_else(|| self.renewed_end(issued_at, now));
        old.successor(proof, issued_at, end).with_seen_at(now)
    }

    /// The subject's sessions that have not ended, newest first.
    pub(crate) async fn sessions_of(
        &self,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Vec<StoredSession>, StoreError> {
        let mut sessions = self.stores.sessions(subject, now).await?;
        sessions.retain(|session| !self.sessions.is_idle(session, now));
        Ok(sessions)
    }

    fn renewed_end(&self, issued_at: Timestamp, now: Timestamp) -> Timestamp {
        let Limits { session_lifespan, session_absolute_lifespan, .. } = self.limits;
        renewed_end(issued_at, now, session_lifespan, Some(session_absolute_lifespan.lifespan()))
    }

    /// The token and cookie of a session that the store has already.
    pub(crate) fn hand_out(&self, session: &StoredSession, standing: &Standing) -> Result<Carried, Error> {
        let source: &dyn SessionSource = self.sessions.as_ref();
        source.carry(session, standing, self.now()).map_err(|error| Error::with_source(ErrorKind::Cryptography, error))
    }

    /// Ends sessions, and drops their cache entries. If a step-up has replaced the one to end meanwhile, the new one ends.
    pub(crate) async fn revoke(
        &self,
        subject: &Subject,
        mut which: Revocation,
        origin: &Origin,
    ) -> Result<u64, StoreError> {
        let revoked = loop {
            let revoked = {
                let _forget = self.sessions.cache.forget_afterwards(subject);
                self.stores.revoke(subject, which).await?
            };
            let Revocation::One(id) = which else { break revoked };
            if revoked > 0 {
                break revoked;
            }
            let sessions = self.stores.sessions(subject, self.now()).await?;
            let Some(next) = sessions.iter().find(|one| one.id().is_of_same_session(id)) else { break 0 };
            which = Revocation::One(next.id());
        };
        let (ended, kept) = match which {
            Revocation::One(id) => (Some(id), None),
            Revocation::Others(binding) if revoked > 0 => (None, self.id_of(subject, binding).await),
            Revocation::Others(_) | Revocation::All(_) => (None, None),
        };
        // Where nothing was ended, nothing happened. All sessions are different: the ones that are just being created end too.
        if revoked > 0 || matches!(which, Revocation::All(_)) {
            let kind = AuditEventKind::Revoked { sessions: revoked, ended, kept };
            self.audit.record_for_subject(self.now(), origin, subject, kind);
        }
        if matches!(which, Revocation::All(_)) {
            self.sweep_devices(subject, origin).await;
        }
        Ok(revoked)
    }

    /// The id that the session with this binding has now; `None` if it is gone, or the store did not answer.
    async fn id_of(&self, subject: &Subject, binding: BindingKey) -> Option<SessionId> {
        let found = self.stores.session_of(subject, binding, self.now()).await;
        found.ok().flatten().map(|found| found.session.id())
    }

    /// Ends all sessions of all subjects, and drops all cache entries, even if the store does not answer in time.
    pub(crate) async fn revoke_everyone(&self, origin: &Origin) -> Result<u64, StoreError> {
        let now = self.now();
        let revoked = self.stores.revoke_everyone(now).await;
        self.sessions.cache.forget_everyone();
        let sessions = revoked?;
        self.audit.record_anonymous(now, origin, AuditEventKind::RevokedEveryone { sessions });
        Ok(sessions)
    }

    /// Ends the session. If a step-up has replaced it meanwhile, the new one ends.
    pub(crate) async fn sign_out(&self, session: &Session, origin: &Origin) -> Result<(), Error> {
        let subject = session.subject();
        let mut id = session.id().ok_or(Error::new(ErrorKind::Inactive))?;
        while self.revoke(subject, Revocation::One(id), origin).await? == 0 {
            let Some(binding) = session.binding() else { break };
            let Some(successor) = self.stores.session_of(subject, binding, self.now()).await? else { break };
            id = successor.session.id();
        }
        self.audit.record_in_session(self.now(), origin, session, AuditEventKind::SignedOut);
        Ok(())
    }

    /// The identity object of the wire contract; `null` if the application does not know the subject.
    pub(crate) async fn identity(&self, subject: &Subject) -> Result<Value, Error> {
        let identity = self.users.identity(subject).await?;
        Ok(identity.map_or(Value::Null, |identity| wire::session::identity(subject, &identity, &self.urls.public)))
    }

    /// The session object of the wire contract.
    pub(crate) async fn describe(&self, evidence: &Evidence, now: Timestamp) -> Result<Value, Error> {
        let identity = self.identity(evidence.session.subject()).await?;
        Ok(self.session_view(&evidence.session, &evidence.standing, &identity, now))
    }
}
