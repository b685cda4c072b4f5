//! The subject of a flow with everything that factors need, read once per request.

use super::record::{Flow, FlowType};
use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    clock::Timestamp,
    engine::Engine,
    error::Error,
    factor::{Elsewhere, Factor, FactorContext, FactorMemory},
    session::{Session, Subject},
    standing::Standing,
    store::{Credential, CredentialChange},
};

/// A subject, its user name, and its current credentials.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) subject: Subject,
    pub(crate) identifier: String,
    /// Those that the store keeps.
    pub(crate) credentials: Vec<Credential>,
    /// Those that the application keeps.
    elsewhere: Vec<Elsewhere>,
    /// What may already be proven in the session.
    proofs: Vec<Proof>,
}

impl Owner {
    /// With what can be proven in this session: an address that has proven its first factor cannot.
    pub(crate) async fn read(engine: &Engine, session: &Session) -> Result<Self, Error> {
        Self::of(engine, session.subject(), session.proofs()).await
    }

    /// The same in a session with these proofs.
    pub(crate) async fn of(engine: &Engine, subject: &Subject, proofs: &[Proof]) -> Result<Self, Error> {
        let credentials = engine.stores.credentials(subject).await?;
        let elsewhere = engine.sessions.elsewhere.of(subject, proofs, engine.now()).await?;
        let identifier = engine.users.identifier(subject).await?;
        Ok(Self { subject: subject.clone(), identifier, credentials, elsewhere, proofs: proofs.to_vec() })
    }

    /// The same owner, read again.
    pub(crate) async fn anew(&self, engine: &Engine) -> Result<Self, Error> {
        Self::of(engine, &self.subject, &self.proofs).await
    }

    /// The subject as it will be once these changes are written.
    pub(crate) fn after(&self, changes: &[CredentialChange]) -> Self {
        let mut credentials = self.credentials.clone();
        for change in changes {
            // Only a preview: the store may still refuse the change.
            let _expected = change.apply(&mut credentials);
        }
        Self {
            subject: self.subject.clone(),
            identifier: self.identifier.clone(),
            credentials,
            elsewhere: self.elsewhere.clone(),
            proofs: self.proofs.clone(),
        }
    }

    /// All credentials, wherever they are kept.
    fn all(&self) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().chain(self.elsewhere.iter().map(|one| &one.credential))
    }

    /// All of them, to decide what is left when some go.
    pub(crate) fn everything(&self) -> Vec<Credential> {
        self.all().cloned().collect()
    }

    /// Whether the application keeps this credential: then no store knows it.
    pub(crate) fn is_elsewhere(&self, id: CredentialId) -> bool {
        self.elsewhere.iter().any(|one| one.credential.summary.id == id)
    }

    /// The standing of the subject's sessions under the current credentials.
    pub(crate) fn standing(&self, engine: &Engine) -> Standing {
        let stored = self.credentials.iter().map(|credential| credential.summary);
        engine.judge(stored.chain(self.elsewhere.iter().flat_map(Elsewhere::summaries)).collect())
    }

    /// The credentials of one method.
    pub(crate) fn credentials_of(&self, method: Method) -> Vec<Credential> {
        self.all().filter(|credential| credential.summary.method == method).cloned().collect()
    }

    /// The method of this credential.
    pub(crate) fn method_of(&self, id: CredentialId) -> Option<Method> {
        self.credentials.iter().map(|one| one.summary).find(|summary| summary.id == id).map(|summary| summary.method)
    }

    /// Whether any second factor is enrolled, even one that is used up.
    pub(crate) fn has_second_factor(&self) -> bool {
        self.all().any(|credential| credential.summary.aal == Aal::Aal2)
    }

    /// The factors of this kind that can be used now in flows of this type, with the credentials of each.
    pub(crate) fn usable_factors<'a>(
        &'a self,
        engine: &'a Engine,
        flow_type: FlowType,
        takes: impl Fn(&dyn Factor) -> bool,
    ) -> impl Iterator<Item = (&'a dyn Factor, Vec<Credential>)> {
        engine.offered(flow_type == FlowType::Browser).filter(move |factor| takes(*factor)).filter_map(|factor| {
            let own = self.credentials_of(factor.method());
            factor.is_usable(&own).then_some((factor, own))
        })
    }

    /// The context for a factor in this flow. `credentials` are those of its method, `state` is what it kept in the flow.
    pub(crate) fn context<'a>(
        &'a self,
        engine: &'a Engine,
        flow: &Flow,
        method: Method,
        credentials: &'a [Credential],
        state: Option<&'a [u8]>,
        now: Timestamp,
    ) -> FactorContext<'a> {
        FactorContext {
            subject: &self.subject,
            identifier: &self.identifier,
            directory: engine.users.directory(),
            credentials,
            public_url: &engine.urls.public,
            application_name: &engine.application_name,
            now,
            sealer: &engine.sealer,
            flow: flow.id(),
            memory: FactorMemory {
                stores: &engine.stores,
                sealer: &engine.sealer,
                method,
                subject: &self.subject,
                binding: flow.binding,
                now,
            },
            state,
            browser: flow.is_of_browser(),
        }
    }
}
