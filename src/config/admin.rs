//! What the application does for a subject who cannot do it: help desks need it.

use super::{AUDIT, Inner, StepUp};
use crate::{
    aal::{Aal, Method},
    error::Error,
    factor::Factor,
    session::Subject,
    store::{AttemptKey, Completion, Credential, CredentialChange},
};

impl StepUp {
    /// Removes a second factor of the subject, for a help desk that has made sure who is asking. What was proven by it ends in every
    /// session, open flows end, and its counter of attempts starts anew. Codes that only stand in for other factors go
    /// with the last of those.
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// use tower_step_up::{Method, Subject};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::hs256("2026-11", [7; 32])?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// step_up.remove_factor(&Subject::new("kim")?, Method::Totp).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The store did not answer; whether the factor was removed is not known.
    pub async fn remove_factor(&self, subject: &Subject, method: Method) -> Result<(), Error> {
        let inner = self.inner();
        let credentials = inner.stores.credentials(subject).await?;
        let gone = inner.removed_with(&credentials, method);
        let mut completion = Completion::new(subject.clone(), inner.now());
        completion.credentials = gone.into_iter().map(CredentialChange::Remove).collect();
        completion.reset = Some(AttemptKey { subject: subject.clone(), method });
        inner.complete(completion).await?;
        inner.stores.remove_flows(subject, None).await?;
        tracing::info!(target: AUDIT, event = "removed", %method, "the application removed a factor");
        Ok(())
    }

    /// Lets the subject try this factor again at once, whatever was tried before: also after the
    /// [hard stop](crate::store::AttemptPolicy::hard_stop), which no waiting ends.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn unlock(&self, subject: &Subject, method: Method) -> Result<(), Error> {
        let key = AttemptKey { subject: subject.clone(), method };
        self.inner().stores.reset_attempts(&key).await?;
        tracing::info!(target: AUDIT, event = "unlocked", %method, "the application lifted the lock of a factor");
        Ok(())
    }
}

impl Inner {
    /// The methods whose credentials go when those of `removed` do: its own, and those of factors that only stand in for others, if no
    /// other is left.
    pub(crate) fn removed_with(&self, credentials: &[Credential], removed: Method) -> Vec<Method> {
        let is_backup = |method| self.factor(method).is_some_and(Factor::is_backup);
        let left: Vec<_> = credentials
            .iter()
            .map(|credential| credential.summary)
            .filter(|summary| summary.aal == Aal::Aal2 && summary.method != removed)
            .map(|summary| summary.method)
            .collect();
        let mut gone = vec![removed];
        if !is_backup(removed) && left.iter().all(|method| is_backup(*method)) {
            gone.extend(left);
        }
        gone.sort_unstable();
        gone.dedup();
        gone
    }
}
