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
    /// Those that the store keeps, whether or not they count in this session.
    pub(crate) credentials: Vec<Credential>,
    /// Those of them that do not count.
    left_out: Vec<CredentialId>,
    /// Those that the application keeps.
    elsewhere: Vec<Elsewhere>,
    /// The session, with what may already be proven in it. It has no id before it begins.
    session: Session,
}

impl Owner {
    /// With what can be proven in this session: an address that has proven its first factor cannot.
    pub(crate) async fn read(engine: &Engine, session: &Session) -> Result<Self, Error> {
        Self::in_session(engine, session.clone()).await
    }

    /// The same before a session begins that will have these proofs.
    pub(crate) async fn of(engine: &Engine, subject: &Subject, proofs: &[Proof]) -> Result<Self, Error> {
        Self::in_session(engine, Session::external(subject.clone(), proofs.to_vec())).await
    }

    async fn in_session(engine: &Engine, session: Session) -> Result<Self, Error> {
        let subject = session.subject().clone();
        let credentials = engine.stores.credentials(&subject).await?;
        let left_out = left_out(engine, &credentials, &session)?;
        let elsewhere = engine.sessions.elsewhere.of(&subject, session.proofs(), engine.now()).await?;
        let identifier = engine.users.identifier(&subject).await?;
        Ok(Self { subject, identifier, credentials, left_out, elsewhere, session })
    }

    /// The same owner, read again.
    pub(crate) async fn anew(&self, engine: &Engine) -> Result<Self, Error> {
        Self::read(engine, &self.session).await
    }

    /// The subject as it will be once these changes are written.
    pub(crate) fn after(&self, engine: &Engine, changes: &[CredentialChange]) -> Result<Self, Error> {
        let mut credentials = self.credentials.clone();
        for change in changes {
            // Only a preview: the store may still refuse the change.
            let _expected = change.apply(&mut credentials);
        }
        Ok(Self {
            subject: self.subject.clone(),
            identifier: self.identifier.clone(),
            left_out: left_out(engine, &credentials, &self.session)?,
            credentials,
            elsewhere: self.elsewhere.clone(),
            session: self.session.clone(),
        })
    }

    /// The stored credentials that count.
    fn counting(&self) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().filter(|one| !self.left_out.contains(&one.summary.id))
    }

    /// All credentials that count, wherever they are kept.
    fn all(&self) -> impl Iterator<Item = &Credential> {
        self.counting().chain(self.elsewhere.iter().map(|one| &one.credential))
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
        let stored = self.counting().map(|credential| credential.summary);
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
            stored: credentials.iter().filter(|one| !self.is_elsewhere(one.summary.id)).count(),
            session: &self.session,
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

/// Which of these stored credentials do not count in this session.
fn left_out(engine: &Engine, credentials: &[Credential], session: &Session) -> Result<Vec<CredentialId>, Error> {
    let mut left_out = Vec::new();
    for one in credentials {
        if !engine.sessions.elsewhere.counts(session.subject(), one, session.proofs())? {
            left_out.push(one.summary.id);
        }
    }
    Ok(left_out)
}
