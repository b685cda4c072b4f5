//! A submitted login flow, with the checks that need only the flow and the session.

use axum::{body::Body, http::Uri};

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
}

impl<'a> Submission<'a> {
    /// Checks 2 to 5.
    pub(crate) async fn read(scope: &'a Scope, uri: &Uri) -> Result<Self, Failure> {
        let id = Query::of(uri).flow_id("flow")?.ok_or(Failure::BadFlowQuery)?;
        let flow = stored_flow(scope, id).await?;
        let asked = login::asked(&flow).ok_or(Failure::UnknownFlow)?;
        let found = scope.evidence().await?;
        match found {
            None if asked.aal2 => return Err(Failure::FirstFactorRequired),
            None if flow.is_bound() => return Err(Failure::NoSession),
            Some(found) if flow.is_bound() && !flow.belongs_to(&found.session) => {
                return Err(Failure::IdentityMismatch);
            }
            _ => {}
        }
        let json = checks::answers_in_json(scope, &flow);
        Ok(Self { scope, found, flow, asked, json, owner: None, sent: None })
    }

    /// The same for a client whose session was replaced, if this form is what replaced it.
    pub(crate) async fn read_again(
        scope: &'a Scope,
        uri: &Uri,
        body: Body,
    ) -> Result<Option<(Self, Successor)>, Failure> {
        let Some(id) = Query::of(uri).flow_id("flow")?.filter(|_| scope.presented().is_some()) else { return Ok(None) };
        let flow = stored_flow(scope, id).await?;
        let Some(asked) = login::asked(&flow).filter(|_| flow.is_bound()) else { return Ok(None) };
        let json = checks::answers_in_json(scope, &flow);
        let mut again = Self { scope, found: None, flow, asked, json, owner: None, sent: None };
        let successor = again.answered(body).await?;
        Ok(successor.map(|successor| (again, successor)))
    }

    /// The session that this form has begun, before its body was read.
    pub(crate) async fn answered(&mut self, body: Body) -> Result<Option<Successor>, Failure> {
        let Ok(bytes) = body::read(body, self.engine().limits.body_bytes).await else { return Ok(None) };
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
