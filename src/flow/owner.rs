//! The subject of a flow with everything that factors need, read once per request.

use super::record::{Flow, FlowType};
use crate::{
    aal::{Aal, CredentialId, Method},
    clock::Timestamp,
    engine::Engine,
    error::Error,
    factor::{Factor, FactorContext},
    session::Subject,
    standing::Standing,
    store::{Credential, CredentialChange},
};

/// A subject, its user name, and its current credentials.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) subject: Subject,
    pub(crate) identifier: String,
    pub(crate) credentials: Vec<Credential>,
}

impl Owner {
    pub(crate) async fn read(engine: &Engine, subject: &Subject) -> Result<Self, Error> {
        let credentials = engine.stores.credentials(subject).await?;
        let identifier = engine.users.identifier(subject).await?;
        Ok(Self { subject: subject.clone(), identifier, credentials })
    }

    /// The subject as it will be once these changes are written.
    pub(crate) fn after(&self, changes: &[CredentialChange]) -> Self {
        let mut credentials = self.credentials.clone();
        for change in changes {
            // Only a preview: the store may still refuse the change.
            let _expected = change.apply(&mut credentials);
        }
        Self { subject: self.subject.clone(), identifier: self.identifier.clone(), credentials }
    }

    /// The standing of the subject's sessions under the current credentials.
    pub(crate) fn standing(&self, engine: &Engine) -> Standing {
        engine.judge(self.credentials.iter().map(|credential| credential.summary).collect())
    }

    /// The credentials of one method.
    pub(crate) fn credentials_of(&self, method: Method) -> Vec<Credential> {
        self.credentials.iter().filter(|credential| credential.summary.method == method).cloned().collect()
    }

    /// The method of this credential.
    pub(crate) fn method_of(&self, id: CredentialId) -> Option<Method> {
        self.credentials.iter().map(|one| one.summary).find(|summary| summary.id == id).map(|summary| summary.method)
    }

    /// Whether any second factor is enrolled, even one that is used up.
    pub(crate) fn has_second_factor(&self) -> bool {
        self.credentials.iter().any(|credential| credential.summary.aal == Aal::Aal2)
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
            now,
            sealer: &engine.sealer,
            state,
            browser: flow.is_of_browser(),
        }
    }
}
