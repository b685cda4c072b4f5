//! What a refused client gets.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use tonic::{Code, Status, body::Body};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower_step_up::{Shortfall, context::Refusal};

use crate::required::{ACR_VALUES, DOMAIN, MAX_AGE, METHODS, SECOND_FACTOR, reason};

/// Answers refused calls of gRPC; all other requests get the crate's own answer. Give it to
/// [`StepUpBuilder::on_refusal`](tower_step_up::StepUpBuilder::on_refusal), or to that of a guard.
///
/// The response is HTTP 200 with trailers only, as gRPC over HTTP/2 asks for: it has the [`status`] in its headers and no message.
///
/// ```
/// # use tower_step_up::StepUp;
/// let guard = StepUp::guard("https://api.example").on_refusal(tower_step_up_tonic::answer);
/// # drop(guard);
/// ```
pub fn answer(refusal: &Refusal<'_>) -> Option<Response<Bytes>> {
    let kind = grpc(refusal.headers)?;
    let mut response = status(refusal).into_http::<()>().map(|()| Bytes::new());
    response.headers_mut().insert(CONTENT_TYPE, kind.clone());
    Some(response)
}

/// The type of a gRPC request: that, or the one of gRPC-Web.
fn grpc(headers: &HeaderMap) -> Option<&HeaderValue> {
    let kind = headers.get(CONTENT_TYPE)?;
    let rest = kind.as_bytes().strip_prefix(b"application/grpc")?;
    matches!(rest, [] | [b'+' | b'-' | b';', ..]).then_some(kind)
}

/// The status of a refusal, for applications that add to [`answer`] something of their own.
///
/// Its details are `google.rpc.ErrorInfo` with the domain `tower-step-up`, and `google.rpc.Help` with a link to the page where a user can prove
/// more, if there is one. [`StepUpRequired`](crate::StepUpRequired) reads them.
///
/// Its message is what the source of sessions says about the refusal, such as why an access token is no good, or else a few words about the shortfall.
///
/// | of the `ErrorInfo` | |
/// |---|---|
/// | `reason` | `NO_SESSION`, `LEVEL_TOO_LOW`, `NOTHING_ENROLLED`, `CANNOT_TELL`, `TOO_OLD`, `METHOD_MISSING`, `METHOD_NOT_ENROLLED`, `NO_METHOD_POSSIBLE` or `UNAVAILABLE` |
/// | `requirement` | what was required, as [`Requirement`](tower_step_up::Requirement) says it: `aal2, max_age=5m` |
/// | `max_age` | the greatest age of the proof in seconds, if that matters ([RFC 9470 section 3](https://www.rfc-editor.org/rfc/rfc9470#section-3)) |
/// | `second_factor` | `true` if it is the second factor that must be proven again |
/// | `methods` | the methods that would do, separated by blanks, if the call requires some |
/// | `acr_values` | what to ask the authorization server for, separated by blanks, if that is known (RFC 9470 section 3) |
pub fn status(refusal: &Refusal<'_>) -> Status {
    let mut facts = HashMap::from([("requirement".to_owned(), refusal.requirement.to_string())]);
    let mut max_age = refusal.remedy.max_age;
    if let Shortfall::TooOld { max_age: required, second_factor } = refusal.shortfall {
        max_age = max_age.or(Some(required));
        facts.insert(SECOND_FACTOR.to_owned(), second_factor.to_string());
    }
    if let Shortfall::MethodMissing { second_factor } = refusal.shortfall {
        facts.insert(SECOND_FACTOR.to_owned(), second_factor.to_string());
    }
    if !refusal.remedy.methods.is_empty() {
        facts.insert(METHODS.to_owned(), refusal.remedy.methods.join(" "));
    }
    if let Some(max_age) = max_age {
        facts.insert(MAX_AGE.to_owned(), max_age.as_secs().to_string());
    }
    if let Some(values) = &refusal.remedy.acr_values {
        facts.insert(ACR_VALUES.to_owned(), values.clone());
    }
    let mut details = ErrorDetails::new();
    details.set_error_info(reason(refusal.shortfall), DOMAIN, facts);
    if let Some(page) = &refusal.remedy.page {
        details.add_help_link("Prove more in a browser", page.as_str());
    }
    let text = refusal.remedy.error_description.as_deref().map_or_else(|| refusal.shortfall.to_string(), str::to_owned);
    Status::with_error_details(code(refusal.shortfall), text, details)
}

pub(crate) const fn code(shortfall: Shortfall) -> Code {
    match shortfall {
        Shortfall::NoSession => Code::Unauthenticated,
        Shortfall::Unavailable => Code::Unavailable,
        _ => Code::PermissionDenied,
    }
}

/// Makes the body of a refusal: for `step_up.layer().body_with(tower_step_up_tonic::body)`.
pub fn body(bytes: Bytes) -> Body {
    Body::new(Full::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_of_grpc_are_answered() {
        for (kind, is_grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;foo=bar", true),
            ("application/grpc-web+proto", true),
            ("application/grpc-web-text", true),
            ("application/grpcx", false),
            ("application/json", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(grpc(&headers).is_some(), is_grpc, "{kind}");
        }
        assert_eq!(grpc(&HeaderMap::new()), None);
    }
}
