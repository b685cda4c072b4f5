//! A submitted login flow, with the checks that need only the flow and the session.

use axum::{body::Bytes, http::Uri};

use super::{
    body,
    checks::{self, Origin},
    failure::Failure,
    query::Query,
    repeat::{Sent, Successor},
    scope::Scope,
    stored_flow::stored_flow,
};
use crate::{
    aal::Aal,
    engine::Engine,
    flow::{
        login::{self, Asked},
        owner::Owner,
        record::Flow,
    },
    source::Evidence,
};

/// A submitted flow that exists.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) flow: Flow,
    pub(crate) asked: Asked,
}

impl Named {
    /// Checks 2 and 3.
    pub(crate) async fn read(scope: &Scope, uri: &Uri) -> Result<Self, Failure> {
        let id = Query::of(uri).flow_id("flow")?.ok_or(Failure::BadFlowQuery)?;
        let flow = stored_flow(scope, id).await?;
        let asked = login::asked(&flow).ok_or(Failure::UnknownFlow)?;
        Ok(Self { flow, asked })
    }
}

/// A submitted flow that exists. If it is bound to a session, it is the client's.
pub(crate) struct Submission<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) found: Option<&'a Evidence>,
    pub(crate) flow: Flow,
    pub(crate) asked: Asked,
    /// Whether to answer in JSON. Browsers that show pages get redirects.
    pub(crate) json: bool,
    /// The flow's owner, if it was read already and the answer may use it.
    pub(crate) owner: Option<Owner>,
    /// The form, once it was read, if it may be answered again.
    pub(crate) sent: Option<Sent>,
    /// Whether the user does not want to be asked on this device any more.
    pub(crate) trusts_device: bool,
}

impl<'a> Submission<'a> {
    /// Checks 4 and 5.
    pub(crate) async fn of(scope: &'a Scope, named: Named) -> Result<Self, Failure> {
        let found = scope.evidence().await?;
        let submission = Self { found, ..Self::without_session(scope, named) };
        let flow = &submission.flow;
        match found {
            None if submission.asked.aal2 => Err(Failure::FirstFactorRequired),
            None if flow.is_bound() => Err(Failure::NoSession),
            Some(found) if flow.is_bound() && !flow.belongs_to(&found.session) => Err(Failure::IdentityMismatch),
            _ => Ok(submission),
        }
    }

    /// The same for a client whose session may have been replaced by this very form.
    pub(crate) fn without_session(scope: &'a Scope, Named { flow, asked }: Named) -> Self {
        let json = checks::answers_in_json(scope, &flow);
        Self { scope, found: None, flow, asked, json, owner: None, sent: None, trusts_device: false }
    }

    /// The session that this form has begun, before it came once more.
    pub(crate) async fn answered(&mut self, bytes: Bytes) -> Result<Option<Successor>, Failure> {
        let Some(sent) = Sent::of(self.scope, &self.flow, &bytes) else { return Ok(None) };
        let successor = sent.successor(self.scope, &self.flow).await?;
        let Ok(form) = body::form(&self.scope.headers, bytes).await else { return Ok(None) };
        Ok(successor.filter(|_| checks::origin(self.scope, &self.flow, &form) == Origin::Trusted))
    }

    pub(crate) fn engine(&self) -> &'a Engine {
        self.scope.engine()
    }

    /// The level of the client's session.
    pub(crate) fn level(&self) -> Aal {
        self.found.map(|found| found.standing.level(&found.session, self.scope.now())).unwrap_or_default()
    }

    /// Where the browser goes at the end.
    pub(crate) fn return_url(&self) -> url::Url {
        self.flow.return_to.as_ref().unwrap_or(&self.engine().urls.after_login).clone()
    }
}
