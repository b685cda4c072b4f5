//! The `WWW-Authenticate` challenges: RFC 6750 for who is not signed in, RFC 9470 for who must prove more.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Envelope;
use crate::{
    context::{Denied, SessionContext},
    requirement::Shortfall,
    session::cookie::Transport,
};

fn is_bearer(context: &SessionContext) -> bool {
    context.transport() == Some(Transport::Bearer)
}

/// RFC 9470 has 401 where Ory has 403.
pub(super) fn adapt(envelope: Envelope, context: &SessionContext, denied: Denied) -> Envelope {
    match denied {
        Denied::Shortfall(_) if is_bearer(context) => envelope.with_status(StatusCode::UNAUTHORIZED),
        _ => envelope,
    }
}

/// Sets `WWW-Authenticate`, which every 401 must have (RFC 9110 section 15.5.2).
pub(super) fn challenge(headers: &mut HeaderMap, context: &SessionContext, denied: Denied) {
    let challenge = match denied {
        Denied::Unavailable => return,
        Denied::Shortfall(Shortfall::NoSession) if is_bearer(context) => {
            HeaderValue::from_static("Bearer error=\"invalid_token\"")
        }
        Denied::Shortfall(Shortfall::NoSession) => HeaderValue::from_static("Bearer"),
        Denied::Shortfall(_) if !is_bearer(context) => return,
        Denied::Shortfall(shortfall) => match HeaderValue::try_from(insufficient(shortfall)) {
            Ok(challenge) => challenge,
            Err(_) => return,
        },
    };
    headers.insert(header::WWW_AUTHENTICATE, challenge);
}

/// RFC 9470 section 3. The values are ours, so nothing needs to be escaped.
fn insufficient(shortfall: Shortfall) -> String {
    let (acr, max_age) = match shortfall {
        Shortfall::TooOld { max_age, second_factor } => (if second_factor { "aal2" } else { "aal1" }, Some(max_age)),
        _ => ("aal2", None),
    };
    let mut challenge = format!(
        "Bearer error=\"insufficient_user_authentication\", error_description=\"{shortfall}\", acr_values=\"{acr}\""
    );
    if let Some(max_age) = max_age {
        challenge.push_str(&format!(", max_age=\"{}\"", max_age.as_secs()));
    }
    challenge
}
