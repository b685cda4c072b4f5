//! What operators and administrators do: ask whether the stores answer, look at one subject, remove it, end all sessions of everybody.

use super::StepUp;
use crate::{
    aal::{Aal, CredentialId, Method},
    audit::{Actor, AuditEventKind},
    clock::Timestamp,
    error::Error,
    session::Subject,
    store::{Credential, CredentialName},
};

/// What may be shown of a stored credential. It has no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialDetails {
    /// The credential's id.
    pub id: CredentialId,
    /// The method it belongs to.
    pub method: Method,
    /// The level of a proof made with it.
    pub aal: Aal,
    /// The owner's name for it: untrusted text.
    pub name: Option<CredentialName>,
    /// When it was bound.
    pub created_at: Timestamp,
    /// When it was last used; `None` if never.
    pub last_used_at: Option<Timestamp>,
    /// How many single-use secrets are left, of recovery codes; `None` if it has none of that kind.
    pub unused_secrets: Option<usize>,
}

impl From<Credential> for CredentialDetails {
    fn from(credential: Credential) -> Self {
        let Credential { summary, name, created_at, last_used_at, secrets, .. } = credential;
        let unused = secrets.iter().filter(|secret| secret.used_at.is_none()).count();
        Self {
            id: summary.id,
            method: summary.method,
            aal: summary.aal,
            name,
            created_at,
            last_used_at,
            unused_secrets: (!secrets.is_empty()).then_some(unused),
        }
    }
}

impl StepUp {
    /// Whether the stores answer, for a readiness probe. It reads what nobody has, within the time limit of the store, and writes nothing.
    ///
    /// Do not restart a process because it is not ready: that mends no store.
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// step_up.ready().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A store did not answer.
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(self.engine().stores.ready().await?)
    }

    /// The subject's credentials, oldest first, without their secrets: for a page of the application or a support desk. Addresses and other
    /// credentials that the application keeps itself ([`Factor::elsewhere`](crate::factor::Factor::elsewhere)) are not among them.
    ///
    /// ```
    /// # use tower_step_up::{Error, StepUp, Subject};
    /// async fn list(step_up: &StepUp, user: &Subject) -> Result<(), Error> {
    ///     for credential in step_up.credentials(user).await? {
    ///         println!("{} since {}", credential.method.as_str(), credential.created_at);
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = list;
    /// ```
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn credentials(&self, subject: &Subject) -> Result<Vec<CredentialDetails>, Error> {
        let known = self.engine().stores.credentials(subject).await?;
        Ok(known
            .into_iter()
            .filter(|one| !one.summary.method.is_trusted_device())
            .map(CredentialDetails::from)
            .collect())
    }

    /// Removes everything of the subject: sessions, credentials, open flows and counters of attempts. Audit events that were sent stay
    /// where the application keeps them.
    ///
    /// First disable the user in the [`Directory`](crate::directory::Directory), so that a sign-in at this moment begins no new session.
    /// In one store it happens in one transaction, but for what factors remember of the subject for up to two days, which goes after it. If flows are in another store, sessions and credentials go first. After an error, call
    /// it again: it is no error if something is gone already.
    ///
    /// # Errors
    ///
    /// A store did not answer, or does not know this call (`Unsupported`). What was removed before the error is not known.
    pub async fn delete(&self, subject: &Subject) -> Result<(), Error> {
        let engine = self.engine();
        engine.delete_subject(subject).await?;
        let origin = self.origin(Actor::Administrator);
        engine.audit.record_for_subject(engine.now(), &origin, subject, AuditEventKind::Deleted);
        Ok(())
    }

    /// Ends every session of everybody that began before now, also those being created at this moment, and returns how many it found.
    /// Call it after restoring the store from a backup: sessions that were ended since then are alive again in it.
    ///
    /// This process refuses them at once, others as soon as they read the store again
    /// ([`StepUpBuilder::standing_max_age`](crate::StepUpBuilder::standing_max_age)).
    ///
    /// A backup also takes back other things: recovery codes that were used since work again, and removed credentials are back. Sessions
    /// of others ([`StepUp::guard`]) are not touched.
    ///
    /// # Errors
    ///
    /// The store did not answer: call it again. Or it does not know this call (`Unsupported`): then nothing was ended, and changing the
    /// signing key is the way.
    pub async fn revoke_everyone(&self) -> Result<u64, Error> {
        Ok(self.engine().revoke_everyone(&self.origin(Actor::Administrator)).await?)
    }
}
