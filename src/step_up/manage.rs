//! What an application does with its users' sessions and secrets: list and end sessions, lift a lock, seal again.

use super::{ROUNDS, StepUp};
use crate::{
    aal::Method,
    audit::{Actor, AuditEventKind},
    engine::Engine,
    error::{Error, ErrorKind},
    session::{Session, StoredSession, Subject},
    store::{AttemptKey, Completed, Completion, CredentialChange, Revocation},
};

impl StepUp {
    /// The subject's live sessions, newest first.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn sessions(&self, subject: &Subject) -> Result<Vec<StoredSession>, Error> {
        Ok(self.engine().sessions_of(subject, self.engine().now()).await?)
    }

    /// Ends the session. If a step-up has replaced it in the meantime, ends its successor.
    ///
    /// If the sessions are [the application's](crate::StepUpBuilder::sessions), this ends the step-up alone. The application's own logout ends
    /// both.
    ///
    /// # Errors
    ///
    /// The store did not answer; whether the session was ended is not known.
    pub async fn sign_out(&self, session: impl AsRef<Session>) -> Result<(), Error> {
        self.engine().sign_out(session.as_ref(), &self.origin(Actor::User)).await
    }

    /// Ends sessions of the subject and returns how many. If a step-up has replaced the one to end in the meantime, ends its successor. The
    /// one to keep is named by its [binding](crate::session::StoredSession::binding), which stays. This process refuses them at once, others as soon as they read the store again
    /// ([`StepUpBuilder::standing_max_age`](crate::StepUpBuilder::standing_max_age)).
    ///
    /// # Errors
    ///
    /// The store did not answer; whether sessions were ended is not known.
    pub async fn revoke(&self, subject: &Subject, which: Revocation) -> Result<u64, Error> {
        Ok(self.engine().revoke(subject, which, &self.origin(Actor::Administrator)).await?)
    }

    /// Ends all sessions of the subject, also those being created at this moment, and returns how many. Use it when a user is disabled or
    /// asks for it. To end one, or all but one, use [`revoke`](Self::revoke).
    ///
    /// It also ends the trust in [devices](Self::forget_devices) of the subject.
    ///
    /// If the sessions are [the application's](crate::StepUpBuilder::sessions), this ends step-ups: to end its logins is up to the application.
    ///
    /// When a user changes the password, end all sessions, or all but the current one: an attacker who knew the old password may have
    /// one.
    ///
    /// # Errors
    ///
    /// The store did not answer; whether sessions were ended is not known.
    pub async fn revoke_all(&self, subject: &Subject) -> Result<u64, Error> {
        self.revoke(subject, Revocation::All(self.engine().now())).await
    }

    /// Ends the trust in all [devices](crate::StepUpBuilder::trusted_devices) of the subject, and returns how many there were: their user is asked again
    /// there. Call it when a user changes the password, unless you end all sessions, which ends devices too.
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// use tower_step_up::Subject;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// assert_eq!(step_up.forget_devices(&Subject::new("kim")?).await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The store did not answer; whether devices were forgotten is not known.
    pub async fn forget_devices(&self, subject: &Subject) -> Result<usize, Error> {
        Ok(self.engine().forget_devices(subject, None, &self.origin(Actor::Administrator)).await?.len())
    }

    /// Unlocks a factor that is locked after too many wrong answers, even for good.
    ///
    /// Users can also unlock it by proving another second factor.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn unlock(&self, subject: &Subject, method: Method) -> Result<(), Error> {
        let engine = self.engine();
        engine.stores.reset_attempts(&AttemptKey { subject: subject.clone(), method }).await?;
        let origin = self.origin(Actor::Administrator);
        engine.audit.record_for_subject(engine.now(), &origin, subject, AuditEventKind::Unlocked { method });
        Ok(())
    }

    /// Seals the subject's secrets again under the builder's first key, if they are sealed under another, and returns how many. After
    /// adding a new first key, call it for every user. When it returns 0 for all, you can remove the old key.
    ///
    /// Users may sign in meanwhile. A code that is used at the same moment stays used.
    ///
    /// # Errors
    ///
    /// A secret does not open (`Cryptography`), the credentials kept changing at the same moment (`Conflict`), or the store did not
    /// answer.
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
                let origin = self.origin(Actor::System);
                engine.audit.record_for_subject(at, &origin, subject, AuditEventKind::Resealed { credentials });
                return Ok(credentials);
            }
        }
        Err(Error::new(ErrorKind::Conflict))
    }
}

impl Engine {
    /// The changes that seal the subject's secrets under the first key. Skips those that already are.
    async fn sealed_anew(&self, subject: &Subject) -> Result<Vec<CredentialChange>, Error> {
        let mut changes = Vec::new();
        for known in self.stores.credentials(subject).await? {
            let Some(factor) = self.factor(known.summary.method) else { continue };
            let data = factor
                .reseal(subject, &known, &self.sealer)
                .map_err(|error| Error::with_source(ErrorKind::Cryptography, error))?;
            if let Some(data) = data {
                // Expecting the old data keeps a concurrent change.
                let (credential, expected) = (known.summary.id, known.data);
                changes.push(CredentialChange::SetData { credential, expected, data });
            }
        }
        Ok(changes)
    }
}
