//! `/schemas/{id}`: the JSON schema that `schema_url` of an identity names.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use serde_json::json;

use super::{
    answer,
    failure::Failure,
    scope::{Scope, Site},
};

/// `GET /schemas/default`. The application says what the traits are, so the schema only says that they are an object.
pub(crate) async fn schema(State(_): State<Site>, path: Result<Path<String>, PathRejection>, scope: Scope) -> Response {
    if !path.is_ok_and(|Path(id)| id == "default") {
        return Failure::UnknownSchema.respond(&scope, true);
    }
    let url = scope.engine().urls.route("schemas/default", &[]);
    let schema = json!({
        "$id": url,
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "User",
        "type": "object",
        "properties": { "traits": { "type": "object", "additionalProperties": true } },
        "required": ["traits"],
        "additionalProperties": true,
    });
    answer::json(StatusCode::OK, &schema)
}
