//! What an application does to the sessions and credentials of its users: list and end sessions, lift a lock, seal anew.

use super::{ROUNDS, StepUp};
use crate::{
    aal::Method,
    audit::AuditEventKind,
    engine::Engine,
    error::{Error, ErrorKind},
    session::{Session, StoredSession, Subject},
    store::{AttemptKey, Completed, Completion, CredentialChange, Revocation},
};

impl StepUp {
    /// The subject's sessions that are alive, newest first.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn sessions(&self, subject: &Subject) -> Result<Vec<StoredSession>, Error> {
        Ok(self.engine().stores.sessions(subject, self.engine().now()).await?)
    }

    /// Ends the session, at its holder's wish or another's. If a step-up that was under way has put another in its place meanwhile,
    /// that one ends.
    ///
    /// # Errors
    ///
    /// The store did not answer; whether the session was ended is not known.
    pub async fn sign_out(&self, session: impl AsRef<Session>) -> Result<(), Error> {
        self.engine().sign_out(session.as_ref()).await
    }

    /// Ends sessions of the subject and returns how many. On this process that holds at once, on others as soon as they
    /// read the store again ([`StepUpBuilder::standing_max_age`](crate::StepUpBuilder::standing_max_age)).
    ///
    /// # Errors
    ///
    /// The store did not answer; whether sessions were ended is not known.
    pub async fn revoke(&self, subject: &Subject, which: Revocation) -> Result<u64, Error> {
        Ok(self.engine().revoke(subject, which).await?)
    }

    /// Ends all sessions of the subject, those too that are being created at this moment, and returns how many: when the user is
    /// disabled, or asks for it. To end one, or all but one, use [`revoke`](Self::revoke).
    ///
    /// When a password is changed, end all sessions, or all but the one in which it was changed: whoever knew the old password may
    /// have one.
    ///
    /// # Errors
    ///
    /// The store did not answer; whether sessions were ended is not known.
    pub async fn revoke_all(&self, subject: &Subject) -> Result<u64, Error> {
        self.revoke(subject, Revocation::All(self.engine().now())).await
    }

    /// Lets the subject try again at a factor that is locked after too many wrong answers, even for good.
    ///
    /// The user does the same by proving another second factor.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn unlock(&self, subject: &Subject, method: Method) -> Result<(), Error> {
        let engine = self.engine();
        engine.stores.reset_attempts(&AttemptKey { subject: subject.clone(), method }).await?;
        engine.audit.record_for_subject(engine.now(), subject, AuditEventKind::Unlocked { method });
        Ok(())
    }

    /// Seals the subject's secrets anew, where they are sealed under another key than the first of the builder, and returns how
    /// many. Call it for every user after a key was put first; when it has returned 0 for all of them, the old key can go.
    ///
    /// Users may sign in meanwhile, and a code that is used at this very moment stays used.
    ///
    /// # Errors
    ///
    /// A secret does not open (`Cryptography`), the credentials are being changed all the time (`Conflict`), or the store did not answer.
    pub async fn reseal(&self, subject: &Subject) -> Result<u64, Error> {
        let engine = self.engine();
        for _ in 0..ROUNDS {
            let mut completion = Completion::new(subject.clone(), engine.now());
            completion.credentials = engine.sealed_anew(subject).await?;
            let credentials = u64::try_from(completion.credentials.len()).unwrap_or(u64::MAX);
            if credentials == 0 {
                return Ok(0);
            }
            let at = completion.now;
            if engine.commit(completion).await? == Completed::Done {
                engine.audit.record_for_subject(at, subject, AuditEventKind::Resealed { credentials });
                return Ok(credentials);
            }
        }
        Err(Error::new(ErrorKind::Conflict))
    }
}

impl Engine {
    /// The changes that seal the subject's secrets under the first key, for those that are not.
    async fn sealed_anew(&self, subject: &Subject) -> Result<Vec<CredentialChange>, Error> {
        let mut changes = Vec::new();
        for known in self.stores.credentials(subject).await? {
            let Some(factor) = self.factor(known.summary.method) else { continue };
            let data = factor
                .reseal(subject, &known, &self.sealer)
                .map_err(|error| Error::with_source(ErrorKind::Cryptography, error))?;
            if let Some(data) = data {
                // A proof that changes the data at this moment is not lost.
                let (credential, expected) = (known.summary.id, known.data);
                changes.push(CredentialChange::SetData { credential, expected, data });
            }
        }
        Ok(changes)
    }
}
