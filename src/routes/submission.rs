//! A submitted login flow, with the checks that need only the flow and the session.

use axum::http::Uri;

use super::{failure::Failure, query::Query, scope::Scope, stored_flow::stored_flow};
use crate::{
    aal::Aal,
    engine::Engine,
    flow::{
        login::{self, Asked},
        owner::Owner,
        record::{Flow, FlowType},
    },
    headers::negotiation,
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
        let json = flow.flow_type == FlowType::Api || negotiation::wants_json(&scope.headers);
        Ok(Self { scope, found, flow, asked, json, owner: None })
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
