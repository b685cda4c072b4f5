//! The `WWW-Authenticate` challenges: RFC 6750 for who is not signed in, RFC 9470 for who must prove more.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    context::{Denied, SessionContext},
    requirement::Shortfall,
    session::cookie::{Transport, X_SESSION_TOKEN},
    wire::Envelope,
};

const INVALID_TOKEN: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

fn is_bearer(context: &SessionContext) -> bool {
    context.transport() == Some(Transport::Bearer)
}

/// RFC 9470 has 401 where Ory has 403.
pub(super) fn unauthorized(envelope: Envelope, context: &SessionContext, denied: Denied) -> Envelope {
    match denied {
        Denied::Shortfall(_) if is_bearer(context) => envelope.with_status(StatusCode::UNAUTHORIZED),
        _ => envelope,
    }
}

/// Adds `WWW-Authenticate`, which every 401 must have (RFC 9110 section 15.5.2). Only a valid token learns what is required.
pub(super) fn challenge(envelope: Envelope, context: &SessionContext, denied: Denied) -> Envelope {
    let challenge = match denied {
        Denied::Shortfall(Shortfall::NoSession) if is_bearer(context) => Ok(INVALID_TOKEN),
        Denied::Shortfall(Shortfall::NoSession) => Ok(HeaderValue::from_static("Bearer")),
        Denied::Shortfall(shortfall) if is_bearer(context) => HeaderValue::try_from(insufficient(shortfall)),
        Denied::Shortfall(_) | Denied::Unavailable => return envelope,
    };
    match challenge {
        Ok(challenge) => envelope.with_challenge(challenge),
        Err(_) => envelope,
    }
}

/// The challenge of our own endpoints to a request that has no session there.
pub(crate) fn unauthenticated(headers: &HeaderMap) -> HeaderValue {
    let is_bearer =
        |value: &HeaderValue| value.as_bytes().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    if !headers.contains_key(&X_SESSION_TOKEN) && headers.get(header::AUTHORIZATION).is_some_and(is_bearer) {
        INVALID_TOKEN
    } else {
        HeaderValue::from_static("Bearer")
    }
}

/// RFC 9470 section 3. The values are ours, so nothing needs to be escaped.
fn insufficient(shortfall: Shortfall) -> String {
    let (acr, max_age) = match shortfall {
        Shortfall::TooOld { max_age, second_factor } => (if second_factor { "aal2" } else { "aal1" }, Some(max_age)),
        _ => ("aal2", None),
    };
    let max_age = max_age.map_or_else(String::new, |max_age| format!(", max_age=\"{}\"", max_age.as_secs()));
    format!(
        "Bearer error=\"insufficient_user_authentication\", error_description=\"{shortfall}\", acr_values=\"{acr}\"{max_age}"
    )
}
