//! `/sessions/whoami`: who the client is, for gateways and front ends.

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, Uri},
    response::Response,
};

use super::{
    answer,
    failure::Failure,
    query::Query,
    scope::{Scope, Site},
};
use crate::{
    challenge,
    directory::identity_id,
    requirement::{Requirement, Shortfall},
    source::Evidence,
};

const IDENTITY_ID: HeaderName = HeaderName::from_static("x-kratos-authenticated-identity-id");

/// Accepts any method, since gateways forward the original one. Always JSON.
pub(crate) async fn whoami(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    show(&scope, &Query::of(&uri)).await.unwrap_or_else(|failure| failure.respond(&scope, true))
}

/// The session, if it meets what whoami requires; otherwise the answer.
pub(crate) async fn gate(scope: &Scope) -> Result<Result<&Evidence, Response>, Failure> {
    let required = Requirement::from(scope.engine().whoami_required_aal()).without_trusted_devices();
    match scope.context.decide(&required).await {
        Ok(found) => Ok(Ok(found)),
        Err(Shortfall::Unavailable) => Err(Failure::Unavailable),
        Err(Shortfall::NoSession) => Err(Failure::NoSession),
        Err(shortfall) => {
            scope.context.report_refusal(shortfall);
            let envelope = challenge::gate(shortfall, required, &scope.context, None);
            Ok(Err(answer::because(answer::from_bytes(envelope.respond(&scope.headers)), shortfall)))
        }
    }
}

async fn show(scope: &Scope, query: &Query) -> Result<Response, Failure> {
    if query.one("tokenize_as")?.is_some() {
        return Err(Failure::TokenizeAs);
    }
    let found = match gate(scope).await? {
        Ok(found) => found,
        Err(response) => return Ok(response),
    };
    let view = scope.engine().describe(found, scope.now()).await?;
    let mut response = answer::json(StatusCode::OK, &view);
    let id = identity_id(found.session.subject()).to_string();
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(IDENTITY_ID, id);
    }
    Ok(response)
}
