//! `/self-service/errors`: an error that a browser met, for the error page.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use serde_json::json;

use super::{
    answer,
    failure::Failure,
    query::Query,
    scope::{Scope, Site},
};

/// By `id`, or its alias `error`. `stub:500` gives a sample for developing an error page.
pub(crate) async fn get_error(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    show(&scope, &Query::of(&uri)).unwrap_or_else(|failure| failure.respond(&scope, true))
}

fn show(scope: &Scope, query: &Query) -> Result<Response, Failure> {
    let name = if query.one("id")?.is_some() { "id" } else { "error" };
    let (id, error) = if query.one(name)? == Some("stub:500") {
        let reason = "This is a sample error.";
        let error = json!({ "code": 500, "status": "Internal Server Error", "message": "sample", "reason": reason });
        ("stub:500".to_owned(), error)
    } else {
        let id = query.id(name)?.ok_or(Failure::UnknownError)?;
        let failure = Failure::of_page(id).ok_or(Failure::UnknownError)?;
        (id.to_string(), failure.envelope().error(None))
    };
    let now = scope.now();
    Ok(answer::json(StatusCode::OK, &json!({ "id": id, "error": error, "created_at": now, "updated_at": now })))
}
