//! A submitted settings flow, with the checks that need only the flow and the session.

use axum::{body::Bytes, response::Response};

use super::{
    body,
    checks::{self, Origin},
    failure::Failure,
    query::Query,
    repeat::Sent,
    scope::Scope,
    settings::{Refused, judge, session},
    stored_flow::{comes_into_use, stored_flow},
};
use crate::{
    engine::Engine,
    flow::{owner::Owner, record::Flow, settings},
    source::Evidence,
};

/// The submitted flow, whosever it is.
pub(super) async fn named(scope: &Scope, query: &Query) -> Result<Flow, Failure> {
    let id = query.flow_id("flow")?.ok_or(Failure::BadFlowQuery)?;
    stored_flow(scope, id).await
}

/// A submitted flow of the client's session. The session meets the gate.
pub(super) struct Change<'a> {
    pub(super) scope: &'a Scope,
    pub(super) found: &'a Evidence,
    pub(super) owner: Owner,
    pub(super) flow: Flow,
    pub(super) json: bool,
    /// The form, once it was read, if it may be answered again.
    pub(super) sent: Option<Sent>,
}

impl<'a> Change<'a> {
    /// `known`: the flow, as it was read a moment ago.
    pub(super) async fn read(scope: &'a Scope, query: &Query, known: Option<Flow>) -> Result<Self, Refused> {
        let found = session(scope, scope.engine().urls.login_ui.clone()).await?;
        let flow = match known {
            Some(flow) => flow,
            None => named(scope, query).await?,
        };
        judge(scope, found, &flow).await?;
        comes_into_use(scope, &flow).await?;
        Ok(Self::of(scope, found, flow).await?)
    }

    pub(super) async fn of(scope: &'a Scope, found: &'a Evidence, flow: Flow) -> Result<Self, Failure> {
        let owner = Owner::read(scope.engine(), &found.session).await?;
        let json = checks::answers_in_json(scope, &flow);
        Ok(Self { scope, found, owner, flow, json, sent: None })
    }

    /// For a client whose session was replaced, if this form is what replaced it.
    pub(super) async fn read_again(scope: &Scope, query: &Query, bytes: Bytes) -> Result<Option<Response>, Failure> {
        if scope.presented().is_none() {
            return Ok(None);
        }
        let flow = named(scope, query).await?;
        let Some(sent) = Sent::of(scope, &flow, &bytes) else { return Ok(None) };
        let Ok(form) = body::form(&scope.headers, bytes).await else { return Ok(None) };
        if !settings::is_settings(&flow) || checks::origin(scope, &flow, &form) != Origin::Trusted {
            return Ok(None);
        }
        match settings::factor_of(scope.engine(), flow.is_of_browser(), &form) {
            Some((factor, _)) => Self::answer_again(scope, flow, &sent, factor.method()).await,
            None => Ok(None),
        }
    }

    pub(super) fn engine(&self) -> &'a Engine {
        self.scope.engine()
    }
}
