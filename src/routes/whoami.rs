//! `/sessions/whoami`: who the client is, for gateways and front ends.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, Uri},
    response::Response,
};

use super::{answer, failure::Failure, query::Query, scope::Scope};
use crate::{
    challenge,
    context::Denied,
    directory::identity_id,
    requirement::{Requirement, Shortfall},
    source::Evidence,
    step_up::StepUp,
};

const IDENTITY_ID: HeaderName = HeaderName::from_static("x-kratos-authenticated-identity-id");

/// Any method, since gateways forward the original one. Always JSON.
pub(crate) async fn whoami(State(_): State<StepUp>, scope: Scope, uri: Uri) -> Response {
    show(&scope, &Query::of(&uri)).await.unwrap_or_else(|failure| failure.respond(&scope, true))
}

/// The session, if it meets what whoami asks; else what to answer.
pub(crate) fn gate(scope: &Scope) -> Result<Result<&Arc<Evidence>, Response>, Failure> {
    let required = Requirement::from(scope.engine().whoami_required_aal());
    match scope.context.check(&required) {
        Ok(found) => Ok(Ok(found)),
        Err(Denied::Unavailable) => Err(Failure::Unavailable),
        Err(Denied::Shortfall(Shortfall::NoSession)) => Err(Failure::NoSession),
        Err(Denied::Shortfall(shortfall)) => {
            scope.context.report_refusal(shortfall);
            let envelope = challenge::gate(&shortfall, &scope.context, None);
            Ok(Err(answer::from_bytes(envelope.respond(&scope.headers))))
        }
    }
}

async fn show(scope: &Scope, query: &Query) -> Result<Response, Failure> {
    if query.one("tokenize_as")?.is_some() {
        return Err(Failure::TokenizeAs);
    }
    let found = match gate(scope)? {
        Ok(found) => found,
        Err(response) => return Ok(response),
    };
    let view = scope.step_up().describe(&found.session).await?;
    let mut response = answer::json(StatusCode::OK, &view);
    let id = identity_id(found.session.subject()).to_string();
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(IDENTITY_ID, id);
    }
    Ok(response)
}
