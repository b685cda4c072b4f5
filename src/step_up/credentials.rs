//! Credentials that the application binds and removes itself, in addition to the settings.

use super::{ROUNDS, StepUp};
use crate::{
    aal::{CredentialId, Method},
    audit::{Actor, AuditEventKind},
    clock::Timestamp,
    directory::Destination,
    error::{Error, ErrorKind},
    factor::{self, FactorError, LookupSecrets, Totp},
    seal::Sealer,
    session::Subject,
    standing::CredentialSummary,
    store::{AttemptKey, Completed, Completion, Credential, CredentialChange, CredentialName},
};

/// What [`StepUp::import_credential`] gives to whoever makes the credential.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Importing<'a> {
    /// Who has enrolled it.
    pub subject: &'a Subject,
    /// The id of the new credential, its method, and the level of its factor.
    pub summary: CredentialSummary,
    /// Seals what is secret.
    pub sealer: &'a Sealer,
    /// The current time.
    pub now: Timestamp,
}

impl StepUp {
    /// Stores a TOTP secret that the subject enrolled elsewhere. It replaces the subject's present one, and its codes work from now on.
    ///
    /// Use it to migrate users or to seed a database. Users themselves enrol in the settings.
    ///
    /// # Errors
    ///
    /// The secret is not base32 or is shorter than 128 bits (`TotpSecret`), no [`Totp`] factor is configured (`Credential`), or the store
    /// did not answer.
    pub async fn import_totp(&self, subject: &Subject, base32_secret: &str) -> Result<CredentialId, Error> {
        let engine = self.engine();
        engine.factor(Method::Totp).ok_or(Error::new(ErrorKind::Credential))?;
        let secret = factor::decode_totp_secret(base32_secret)?;
        let credential = Totp::credential(subject, &secret, 0, &engine.sealer, engine.now())
            .map_err(|error| Error::with_source(ErrorKind::Cryptography, error))?;
        self.import(subject, credential, Actor::System).await
    }

    /// Stores look-up secrets that the subject got elsewhere. They replace the present ones. Each works once.
    ///
    /// They may be shorter than new ones, so the store keeps a keyed hash of each, whose key is sealed: a stolen store alone does not help
    /// to find them. [`reseal`](Self::reseal) seals it under a new encryption key.
    ///
    /// # Errors
    ///
    /// There are no codes, a code has fewer than 13 characters (64 bits in base32) or more than 64, or two are equal (`LookupSecrets`);
    /// no [`LookupSecrets`] factor is configured (`Credential`); a key could not be made or sealed (`Cryptography`); or the store did not
    /// answer.
    pub async fn import_lookup_secrets(&self, subject: &Subject, codes: &[&str]) -> Result<CredentialId, Error> {
        let engine = self.engine();
        engine.factor(Method::LookupSecret).ok_or(Error::new(ErrorKind::Credential))?;
        let credential = LookupSecrets::imported(subject, codes, &engine.sealer, engine.now())
            .map_err(|error| Error::with_source(ErrorKind::Cryptography, error))?
            .ok_or(Error::new(ErrorKind::LookupSecrets))?;
        self.import(subject, credential, Actor::System).await
    }

    async fn import(&self, subject: &Subject, credential: Credential, actor: Actor) -> Result<CredentialId, Error> {
        let summary = credential.summary;
        self.store(subject, summary, CredentialChange::Replace(credential), actor).await
    }

    async fn store(
        &self,
        subject: &Subject,
        summary: CredentialSummary,
        change: CredentialChange,
        actor: Actor,
    ) -> Result<CredentialId, Error> {
        let engine = self.engine();
        let CredentialSummary { id, method, .. } = summary;
        let at = engine.now();
        let mut completion = Completion::new(subject.clone(), at);
        completion.credentials.push(change);
        // Failures with the old secret do not count against the new one.
        completion.reset = vec![AttemptKey { subject: subject.clone(), method }];
        if engine.commit(completion).await? != Completed::Done {
            return Err(Error::new(ErrorKind::Conflict));
        }
        let origin = self.origin(actor);
        engine.audit.record_for_subject(at, &origin, subject, AuditEventKind::Enrolled { method, credential: id });
        Ok(id)
    }

    /// Stores a credential of a factor of your own that the subject enrolled elsewhere, beside the others of its method. `make` seals what is
    /// secret, and keeps the [`summary`](Importing::summary).
    ///
    /// ```
    /// use tower_step_up::{Method, StepUp, Subject, store::Credential};
    ///
    /// async fn import(step_up: &StepUp, kim: &Subject, push_key: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    ///     let make = |importing: tower_step_up::Importing<'_>| {
    ///         let context = format!("push\0{}\0{}", importing.summary.id, importing.subject.as_str());
    ///         let data = importing.sealer.seal(context.as_bytes(), push_key)?;
    ///         Ok(Credential::new(importing.summary, importing.now).with_data(data))
    ///     };
    ///     step_up.import_credential(kim, Method::custom("push")?, make).await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// No factor of this method is configured, `make` failed or returned another summary (`Credential`), a secret could not be sealed
    /// (`Cryptography`), or the store did not answer, or has the [fingerprint](Credential::fingerprint) already.
    pub async fn import_credential<F>(&self, subject: &Subject, method: Method, make: F) -> Result<CredentialId, Error>
    where
        F: FnOnce(Importing<'_>) -> Result<Credential, FactorError>,
    {
        let Credential { summary, created_at: now, .. } = self.credential(method, Vec::new())?;
        let credential = make(Importing { subject, summary, sealer: &self.engine().sealer, now }).map_err(|error| {
            let kind =
                if matches!(error, FactorError::Seal(_)) { ErrorKind::Cryptography } else { ErrorKind::Credential };
            Error::with_source(kind, error)
        })?;
        if credential.summary != summary {
            return Err(Error::new(ErrorKind::Credential));
        }
        self.store(subject, summary, CredentialChange::Add(credential), Actor::System).await
    }

    /// The name of one of the subject's addresses, for [`Proof::with_address`](crate::aal::Proof::with_address): a digest, from which nobody without
    /// the key learns the address. Use it where the application signs users in with what it sends them.
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// use tower_step_up::{
    ///     Aal, Method, Subject, aal::Proof, clock::{Clock, SystemClock}, directory::{Channel, Destination},
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// // The user has followed the link to recover the account.
    /// let kim = Subject::new("kim")?;
    /// let mailbox = step_up.address_id(&kim, &Destination::parse(Channel::Email, "kim@app.example")?)?;
    /// let proof = Proof::new(Method::LinkRecovery, Aal::Aal1, SystemClock.now()).with_address(mailbox);
    /// let signed_in = step_up.sign_in_with(kim, vec![proof]).await?;
    /// # drop(signed_in);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// No digest could be made (`Cryptography`).
    pub fn address_id(&self, subject: &Subject, address: &Destination) -> Result<CredentialId, Error> {
        let ids = self.engine().sealer.credential_ids(&factor::address_name(subject, address));
        ids.first().copied().ok_or(Error::new(ErrorKind::Cryptography))
    }

    /// Gives the subject a credential of a factor of your own, for example an address that codes are sent to. It replaces all others of
    /// the method. From now on the subject has this factor, and requirements for the highest available level ask for it.
    ///
    /// Only the factor reads `data`, from [`FactorContext::credentials`](crate::factor::FactorContext::credentials). It is stored as it
    /// is: seal secrets first.
    ///
    /// # Errors
    ///
    /// No factor of this method is configured (`Credential`), or the store did not answer.
    pub async fn bind(&self, subject: &Subject, method: Method, data: Vec<u8>) -> Result<CredentialId, Error> {
        let credential = self.credential(method, data)?;
        self.import(subject, credential, Actor::Administrator).await
    }

    /// Gives the subject one more credential of a factor of your own, for example a second phone, and keeps the others of the method. The
    /// name tells them apart. Otherwise as [`bind`](Self::bind).
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// use tower_step_up::{Method, Subject};
    ///
    /// # async fn pair(step_up: StepUp) -> Result<(), Box<dyn std::error::Error>> {
    /// let kim = Subject::new("kim")?;
    /// let key = b"key of the device".to_vec();
    /// let id = step_up.bind_another(&kim, Method::custom("push")?, key, Some("blue phone".parse()?)).await?;
    /// step_up.unbind_one(&kim, id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// No factor of this method is configured (`Credential`), or the store did not answer.
    pub async fn bind_another(
        &self,
        subject: &Subject,
        method: Method,
        data: Vec<u8>,
        name: Option<CredentialName>,
    ) -> Result<CredentialId, Error> {
        let mut credential = self.credential(method, data)?;
        credential.name = name;
        self.store(subject, credential.summary, CredentialChange::Add(credential), Actor::Administrator).await
    }

    /// A new credential of a configured factor.
    fn credential(&self, method: Method, data: Vec<u8>) -> Result<Credential, Error> {
        let engine = self.engine();
        let factor = engine.factor(method).ok_or(Error::new(ErrorKind::Credential))?;
        let summary = CredentialSummary { id: CredentialId::random(), method, aal: factor.aal() };
        Ok(Credential::new(summary, engine.now()).with_data(data))
    }

    /// Removes the subject's credentials of a method, for a support desk that has verified who asks. All sessions lose this factor at
    /// once, open flows end, and the counters of attempts of all that goes are reset. Backup codes go with the last other second factor, as when
    /// users remove it themselves. Where there are none, nothing changes.
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// use tower_step_up::{Method, Subject};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
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
    /// The credentials kept changing at the same moment (`Conflict`), or the store did not answer.
    pub async fn unbind(&self, subject: &Subject, method: Method) -> Result<(), Error> {
        self.take_away(subject, method, |known| known.method == method).await
    }

    /// Removes one credential, for example a lost phone, and keeps the others of its method. Otherwise as [`unbind`](Self::unbind).
    ///
    /// # Errors
    ///
    /// The subject has no such credential (`Credential`), the credentials kept changing at the same moment (`Conflict`), or the store did
    /// not answer.
    pub async fn unbind_one(&self, subject: &Subject, credential: CredentialId) -> Result<(), Error> {
        let known = self.engine().stores.credentials(subject).await?;
        let known = known.iter().map(|one| one.summary).find(|summary| summary.id == credential);
        let method = known.ok_or(Error::new(ErrorKind::Credential))?.method;
        self.take_away(subject, method, |known| known.id == credential).await
    }

    async fn take_away(
        &self,
        subject: &Subject,
        method: Method,
        is_removed: impl Fn(&CredentialSummary) -> bool,
    ) -> Result<(), Error> {
        let engine = self.engine();
        for _ in 0..ROUNDS {
            let credentials = engine.stores.credentials(subject).await?;
            let gone = self.gone_with(subject, &credentials, &is_removed).await?;
            if gone.is_empty() {
                return Ok(());
            }
            let mut completion = Completion::new(subject.clone(), engine.now());
            completion.expect_credentials = Some(credentials.iter().map(|one| one.summary.id).collect());
            completion.credentials = gone.iter().map(|one| CredentialChange::Remove(one.id)).collect();
            completion.reset = AttemptKey::all_of(subject, gone.iter().map(|one| one.method).chain([method]));
            let at = completion.now;
            if engine.commit(completion).await? == Completed::Done {
                engine.stores.remove_flows(subject, None).await?;
                let origin = self.origin(Actor::Administrator);
                for CredentialSummary { id: credential, method, .. } in gone {
                    engine.audit.record_for_subject(
                        at,
                        &origin,
                        subject,
                        AuditEventKind::Removed { method, credential },
                    );
                }
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    /// Which of these stored credentials go when some are removed, beside what the application keeps.
    async fn gone_with(
        &self,
        subject: &Subject,
        stored: &[Credential],
        is_removed: impl Fn(&CredentialSummary) -> bool,
    ) -> Result<Vec<CredentialSummary>, Error> {
        let engine = self.engine();
        let kept = &engine.sessions.elsewhere;
        let elsewhere = kept.of(subject, &[], engine.now()).await?;
        let mut everything = Vec::with_capacity(stored.len().saturating_add(elsewhere.len()));
        // What does not count is no factor, but can be removed.
        let mut uncounted = Vec::new();
        for one in stored {
            if kept.counts(subject, one, &[])? {
                everything.push(one.clone());
            } else if is_removed(&one.summary) {
                uncounted.push(one.summary);
            }
        }
        everything.extend(elsewhere.iter().map(|one| one.credential.clone()));
        let is_elsewhere = |id| elsewhere.iter().any(|one| one.credential.summary.id == id);
        let mut gone = engine.removed_with(&everything, is_elsewhere, is_removed);
        gone.extend(uncounted);
        Ok(gone)
    }
}
