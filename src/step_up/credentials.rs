//! Credentials that the application itself gives to its users and takes away, beside what they do in the settings.

use super::{ROUNDS, StepUp};
use crate::{
    aal::{CredentialId, Method},
    audit::AuditEventKind,
    engine::methods_of,
    error::{Error, ErrorKind},
    factor::{self, LookupSecrets, Totp},
    session::Subject,
    standing::CredentialSummary,
    store::{AttemptKey, Completed, Completion, Credential, CredentialChange},
};

impl StepUp {
    /// Stores a TOTP secret that the subject enrolled elsewhere, in place of one it has. Codes of it work from now on.
    ///
    /// For moving users from another system and for seeding; users enrol through the settings flow.
    ///
    /// # Errors
    ///
    /// The secret is not base32 or shorter than 128 bits (`TotpSecret`), no [`Totp`] factor is configured (`Credential`), or the store did
    /// not answer.
    pub async fn import_totp(&self, subject: &Subject, base32_secret: &str) -> Result<CredentialId, Error> {
        let engine = self.engine();
        engine.factor(Method::Totp).ok_or(Error::new(ErrorKind::Credential))?;
        let secret = factor::decode_totp_secret(base32_secret)?;
        let credential = Totp::credential(subject, &secret, 0, &engine.sealer, engine.now())
            .map_err(|error| Error::with_source(ErrorKind::Cryptography, error))?;
        self.import(subject, credential).await
    }

    /// Stores look-up secrets that the subject has from elsewhere, in place of those it has. Each works once.
    ///
    /// # Errors
    ///
    /// There is no code, one is shorter than 13 characters (64 bits need as many in base32) or longer than 64, or stands there twice
    /// (`LookupSecrets`); no [`LookupSecrets`] factor is configured (`Credential`), or the store did not answer.
    pub async fn import_lookup_secrets(&self, subject: &Subject, codes: &[&str]) -> Result<CredentialId, Error> {
        let engine = self.engine();
        engine.factor(Method::LookupSecret).ok_or(Error::new(ErrorKind::Credential))?;
        let credential = LookupSecrets::imported(codes, engine.now()).ok_or(Error::new(ErrorKind::LookupSecrets))?;
        self.import(subject, credential).await
    }

    async fn import(&self, subject: &Subject, credential: Credential) -> Result<CredentialId, Error> {
        let engine = self.engine();
        let CredentialSummary { id, method, .. } = credential.summary;
        let at = credential.created_at;
        let mut completion = Completion::new(subject.clone(), at);
        completion.credentials.push(CredentialChange::Replace(credential));
        // Failures with the old secret say nothing of the new one.
        completion.reset = Some(AttemptKey { subject: subject.clone(), method });
        if engine.complete(completion).await? != Completed::Done {
            return Err(Error::new(ErrorKind::Conflict));
        }
        engine.audit.record_for_subject(at, subject, AuditEventKind::Enrolled { method });
        Ok(id)
    }

    /// Gives the subject a credential of a factor of the application's own, in place of those of its method: an address that codes
    /// are sent to, for example. From now on the subject has this factor, and requirements for the highest available level ask for it.
    ///
    /// `data` is for the factor alone, which finds it in [`FactorContext::credentials`](crate::factor::FactorContext::credentials). It
    /// is stored as it is: seal what is secret.
    ///
    /// # Errors
    ///
    /// No factor of this method is configured (`Credential`), or the store did not answer.
    pub async fn bind(&self, subject: &Subject, method: Method, data: Vec<u8>) -> Result<CredentialId, Error> {
        let engine = self.engine();
        let factor = engine.factor(method).ok_or(Error::new(ErrorKind::Credential))?;
        let summary = CredentialSummary { id: CredentialId::random(), method, aal: factor.aal() };
        self.import(subject, Credential::new(summary, engine.now()).with_data(data)).await
    }

    /// Takes the subject's credentials of a method away, for a support desk that has made sure of who asks. Every session is lowered
    /// at once, open flows end, its counter of attempts starts anew, and codes that only stood in for the lost factor go too, as when
    /// users remove it themselves.
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
    /// step_up.unbind(&Subject::new("kim")?, Method::Totp).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The credentials are being changed all the time (`Conflict`), or the store did not answer.
    pub async fn unbind(&self, subject: &Subject, method: Method) -> Result<(), Error> {
        let engine = self.engine();
        for _ in 0..ROUNDS {
            let credentials = engine.stores.credentials(subject).await?;
            let gone = engine.removed_with(&credentials, method);
            let mut completion = Completion::new(subject.clone(), engine.now());
            completion.expect_credentials = Some(credentials.iter().map(|one| one.summary.id).collect());
            completion.credentials = gone.iter().map(|one| CredentialChange::Remove(one.id)).collect();
            completion.reset = Some(AttemptKey { subject: subject.clone(), method });
            let at = completion.now;
            if engine.complete(completion).await? == Completed::Done {
                engine.stores.remove_flows(subject, None).await?;
                for method in methods_of(&gone) {
                    engine.audit.record_for_subject(at, subject, AuditEventKind::Removed { method });
                }
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict))
    }
}
