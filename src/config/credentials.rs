//! Credentials that the application itself gives to its users and takes away, beside what they do in the settings.

use super::StepUp;
use crate::{
    aal::{CredentialId, Method},
    audit::AuditEventKind,
    error::{Error, ErrorKind},
    flow::{owner::Owner, settings},
    session::Subject,
    standing::CredentialSummary,
    store::{Completed, Completion, Credential, CredentialChange},
};

/// What is removed follows from what there is. If that changes at the same moment, it is looked at again.
const ROUNDS: u32 = 3;

impl StepUp {
    /// Gives the subject a credential of a factor of the application's own, in place of those of its method: an address that codes
    /// are sent to, for example. From now on the subject has this factor, and requirements for the highest available level ask for it.
    ///
    /// `data` is for the factor alone, which finds it in [`FactorContext::credentials`](crate::factor::FactorContext::credentials). It
    /// is stored as it is: seal what is secret.
    ///
    /// # Errors
    ///
    /// No factor of this method is configured, or the store did not answer.
    pub async fn bind(&self, subject: &Subject, method: Method, data: Vec<u8>) -> Result<CredentialId, Error> {
        let inner = self.inner();
        let factor = inner.factor(method).ok_or(Error::new(ErrorKind::Credential))?;
        let now = inner.now();
        let id = CredentialId::random();
        let mut completion = Completion::new(subject.clone(), now);
        completion.credentials.push(CredentialChange::Replace(Credential {
            summary: CredentialSummary { id, method, aal: factor.aal() },
            data,
            secrets: Vec::new(),
            last_step: 0,
            created_at: now,
        }));
        inner.complete(completion).await?;
        inner.audit.of_subject(now, subject, AuditEventKind::Enrolled { method });
        Ok(id)
    }

    /// Takes the subject's credentials of a method away, for a support desk that has made sure of who asks. Every session is lowered
    /// at once, open flows end, and codes that only stood in for the lost factor go too, as when users remove it themselves.
    ///
    /// # Errors
    ///
    /// The credentials are being changed all the time, or the store or directory did not answer.
    pub async fn unbind(&self, subject: &Subject, method: Method) -> Result<(), Error> {
        let inner = self.inner();
        for _ in 0..ROUNDS {
            let owner = Owner::read(inner, subject).await?;
            let now = inner.now();
            let mut completion = Completion::new(subject.clone(), now);
            completion.expect_credentials = Some(owner.credentials.iter().map(|one| one.summary.id).collect());
            let gone = settings::removed_with(inner, &owner, method);
            completion.credentials = gone.iter().copied().map(CredentialChange::Remove).collect();
            if inner.complete(completion).await? == Completed::Done {
                inner.stores.remove_flows(subject, None).await?;
                for method in gone {
                    inner.audit.of_subject(now, subject, AuditEventKind::Removed { method });
                }
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Credential))
    }
}
