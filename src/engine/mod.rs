//! Decisions and writes for the application, the flows and the router: a session is read, judged, renewed, handed out.
//!
//! It knows no HTTP requests, no router and no pages.

mod devices;
mod factors;
mod hosted;
mod limits;
mod proofs;
mod sessions;
mod shown;

use std::sync::Arc;

#[cfg(feature = "axum")]
pub(crate) use self::devices::{Device, DeviceCookie, FORGOTTEN, Presented, ShownDevice};
#[cfg(feature = "axum")]
pub(crate) use self::factors::Tried;
pub(crate) use self::limits::{LONGEST_AT_AAL1, LONGEST_AT_AAL2, Limits, Overall, Switch};
pub(crate) use self::proofs::is_vouched_for;
#[cfg(feature = "axum")]
use crate::language::Languages;
use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    audit::{Actor, Audit, Origin},
    clock::{Clock, Timestamp},
    directory::Users,
    error::{Error, StoreError},
    factor::{Elsewhere, Factor, memory_keepers},
    requirement::RequiredAal,
    seal::Sealer,
    session::Subject,
    source::{Head, hosted::HostedSessions, own::OwnSessions},
    standing::{CredentialSummary, Standing},
    store::{Completed, Completion, Credential, CredentialChange, access::Stores},
    theme::PageHook,
    urls::Urls,
};

/// The application's way to know the language of a request.
pub(crate) type LanguageHook = Arc<dyn Fn(Head<'_>) -> Option<String> + Send + Sync>;

/// Everything that is configured, apart from how requests reach it.
pub(crate) struct Engine {
    pub(crate) application_name: String,
    /// The colours of our pages, as rules of CSS.
    pub(crate) theme_css: String,
    /// What our pages say.
    #[cfg(feature = "axum")]
    pub(crate) languages: Languages,
    /// Which language the application says for a request.
    pub(crate) language_of: Option<LanguageHook>,
    /// How the application shows our pages.
    pub(crate) render_pages: Option<PageHook>,
    /// Whether our pages tell browsers to use HTTPS alone, where the public URL is HTTPS.
    pub(crate) strict_transport_security: bool,
    pub(crate) urls: Arc<Urls>,
    pub(crate) sessions: Arc<OwnSessions>,
    /// If it is the application that signs users in and out.
    pub(crate) hosted: Option<Arc<HostedSessions>>,
    pub(crate) stores: Stores,
    pub(crate) factors: Arc<[Box<dyn Factor>]>,
    pub(crate) sealer: Sealer,
    pub(crate) users: Users,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: Audit,
    pub(crate) limits: Limits,
    pub(crate) whoami: Switch,
    pub(crate) settings: Switch,
}

impl Engine {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn whoami_required_aal(&self) -> RequiredAal {
        self.whoami.get()
    }

    pub(crate) fn settings_required_aal(&self) -> RequiredAal {
        self.settings.get()
    }

    pub(crate) fn factor(&self, method: Method) -> Option<&dyn Factor> {
        self.factors.iter().find(|factor| factor.method() == method).map(AsRef::as_ref)
    }

    /// The factors that are offered in flows of browsers, or of other clients.
    pub(crate) fn offered(&self, browser: bool) -> impl Iterator<Item = &dyn Factor> {
        self.factors.iter().map(AsRef::as_ref).filter(move |factor: &&dyn Factor| factor.is_offered(browser))
    }

    /// The standing of a subject with these credentials, under the configured limits.
    pub(crate) fn judge(&self, credentials: Vec<CredentialSummary>) -> Standing {
        self.sessions.judge(credentials)
    }

    /// The same for a session with these proofs, with the credentials that the store has, and those that the application keeps.
    pub(crate) async fn standing_of(&self, subject: &Subject, proofs: &[Proof]) -> Result<Standing, Error> {
        Ok(self.judge(self.known_to(subject, proofs).await?))
    }

    /// What the subject has, here and elsewhere, that can count in a session with these proofs.
    pub(crate) async fn known_to(&self, subject: &Subject, proofs: &[Proof]) -> Result<Vec<CredentialSummary>, Error> {
        let stored = self.stores.credentials(subject).await?;
        self.joined(&stored, subject, proofs).await
    }

    /// The same standing, with stored credentials that were read already.
    pub(crate) async fn standing_with(
        &self,
        stored: &[Credential],
        subject: &Subject,
        proofs: &[Proof],
    ) -> Result<Standing, Error> {
        Ok(self.judge(self.joined(stored, subject, proofs).await?))
    }

    async fn joined(
        &self,
        stored: &[Credential],
        subject: &Subject,
        proofs: &[Proof],
    ) -> Result<Vec<CredentialSummary>, Error> {
        let elsewhere = self.sessions.elsewhere.of(subject, proofs, self.now()).await?;
        let mut known = Vec::with_capacity(stored.len().saturating_add(elsewhere.len()));
        for one in stored {
            if self.sessions.elsewhere.counts(subject, one, proofs)? {
                known.push(one.summary);
            }
        }
        known.extend(elsewhere.iter().flat_map(Elsewhere::summaries));
        Ok(known)
    }

    /// Applies a completed ceremony, and drops the cache entries of its subject. A change of factors also ends the devices that were trusted with
    /// the old ones: they are worth nothing from then on, and go so that they stay so.
    pub(crate) async fn commit(&self, completion: Completion) -> Result<Completed, StoreError> {
        let changes_factors = completion.credentials.iter().any(|change| match change {
            CredentialChange::Add(new) | CredentialChange::Replace(new) => !new.summary.method.is_trusted_device(),
            CredentialChange::Remove(_) => true,
            CredentialChange::SetData { .. } | CredentialChange::SetName { .. } => false,
        });
        let subject = changes_factors.then(|| completion.subject.clone());
        let completed = self.write(completion).await?;
        if let (Completed::Done, Some(subject)) = (completed, subject) {
            // Rarely needed, and larger than the rest.
            Box::pin(self.sweep_devices(&subject, &Origin { actor: Actor::System, request: None })).await;
        }
        Ok(completed)
    }

    async fn write(&self, completion: Completion) -> Result<Completed, StoreError> {
        let subject = completion.subject.clone();
        let _forget = self.sessions.cache.forget_afterwards(&subject);
        self.stores.apply(completion).await
    }

    /// Removes everything of a subject, and drops its cache entries.
    pub(crate) async fn delete_subject(&self, subject: &Subject) -> Result<(), StoreError> {
        let own = self.factors.iter().map(|factor| factor.method()).filter(|method| method.custom_name().is_some());
        let methods: Vec<_> = Method::BUILT_IN.into_iter().chain(own).collect();
        let _forget = self.sessions.cache.forget_afterwards(subject);
        self.stores.delete_subject(subject, &methods).await?;
        for keeper in memory_keepers(&self.sealer, subject) {
            self.stores.remove_flows(&keeper, None).await?;
        }
        Ok(())
    }

    /// The stored credentials that go when these are removed: these, and with the last second factor also the backup factors. What the application
    /// keeps stays, and so is no factor less.
    pub(crate) fn removed_with(
        &self,
        credentials: &[Credential],
        is_elsewhere: impl Fn(CredentialId) -> bool,
        is_removed: impl Fn(&CredentialSummary) -> bool,
    ) -> Vec<CredentialSummary> {
        let stands_alone = |known: &CredentialSummary| {
            known.aal == Aal::Aal2 && !self.factor(known.method).is_some_and(Factor::is_backup)
        };
        let known = credentials.iter().map(|credential| credential.summary);
        let (mut gone, left): (Vec<_>, Vec<_>) = known.partition(|one| is_removed(one) && !is_elsewhere(one.id));
        if gone.iter().any(stands_alone) && !left.iter().any(stands_alone) {
            gone.extend(left.into_iter().filter(|known| known.aal == Aal::Aal2 && !is_elsewhere(known.id)));
        }
        gone
    }
}
