//! `/self-service/errors`: an error that a browser met, for the error page.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use serde_json::json;
use uuid::Uuid;

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

/// The id of the sample.
const SAMPLE: Uuid = Uuid::from_u128(0x0c0f_fee0_5a3b_4f6e_9d21_7e1d_0000_0500);

fn show(scope: &Scope, query: &Query) -> Result<Response, Failure> {
    let name = if query.one("id")?.is_some() { "id" } else { "error" };
    let asked = query.one(name)?;
    let (id, error) = if asked == Some("stub:500") || query.id(name)? == Some(SAMPLE) {
        let reason = "This is a sample error.";
        let error = json!({ "code": 500, "status": "Internal Server Error", "message": "sample", "reason": reason });
        (SAMPLE, error)
    } else {
        let id = query.id(name)?.ok_or(Failure::UnknownError)?;
        let failure = Failure::of_page(id).ok_or(Failure::UnknownError)?;
        (id, failure.envelope().error(None))
    };
    let now = scope.now();
    Ok(answer::json(StatusCode::OK, &json!({ "id": id, "error": error, "created_at": now, "updated_at": now })))
}
