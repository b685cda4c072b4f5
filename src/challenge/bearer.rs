//! The `WWW-Authenticate` challenges: RFC 6750 for clients without a session, RFC 9470 for those that must step up.

use http::{HeaderMap, HeaderValue, StatusCode, header, header::InvalidHeaderValue};

use crate::{
    requirement::Shortfall,
    session::cookie::X_SESSION_TOKEN,
    source::{Remedy, Transport},
    wire::Envelope,
};

const INVALID_TOKEN: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

/// RFC 9470 has 401 where Ory has 403.
pub(super) fn unauthorized(envelope: Envelope, transport: Option<Transport>, shortfall: Shortfall) -> Envelope {
    let helps = !matches!(shortfall, Shortfall::Unavailable | Shortfall::NoMethodPossible);
    if transport == Some(Transport::Bearer) && helps {
        envelope.with_status(StatusCode::UNAUTHORIZED)
    } else {
        envelope
    }
}

/// Adds `WWW-Authenticate`, which every 401 must have (RFC 9110 section 15.5.2). Only a valid token learns what is required.
pub(super) fn challenge(
    envelope: Envelope,
    transport: Option<Transport>,
    shortfall: Shortfall,
    remedy: &Remedy,
) -> Envelope {
    let is_bearer = transport == Some(Transport::Bearer);
    let challenge = match shortfall {
        Shortfall::Unavailable | Shortfall::NoMethodPossible => return envelope,
        Shortfall::NoSession if is_bearer => invalid_token(remedy),
        Shortfall::NoSession => Ok(HeaderValue::from_static("Bearer")),
        _ if is_bearer => HeaderValue::try_from(insufficient(shortfall, remedy)),
        _ => return envelope,
    };
    match challenge {
        Ok(challenge) => envelope.with_challenge(challenge),
        Err(_) => envelope,
    }
}

/// The challenge of our own endpoints to a request without a session.
pub(crate) fn unauthenticated(headers: &HeaderMap) -> HeaderValue {
    let is_bearer =
        |value: &HeaderValue| value.as_bytes().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    if !headers.contains_key(&X_SESSION_TOKEN) && headers.get(header::AUTHORIZATION).is_some_and(is_bearer) {
        INVALID_TOKEN
    } else {
        HeaderValue::from_static("Bearer")
    }
}

/// RFC 6750 section 3.1.
fn invalid_token(remedy: &Remedy) -> Result<HeaderValue, InvalidHeaderValue> {
    match description(remedy) {
        Some(why) => HeaderValue::try_from(format!("Bearer error=\"invalid_token\", error_description=\"{why}\"")),
        None => Ok(INVALID_TOKEN),
    }
}

/// What a source says about the refusal, in the characters that RFC 6750 section 3 allows there.
fn description(remedy: &Remedy) -> Option<String> {
    let allowed = |&c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    remedy.error_description.as_deref().map(|why| why.chars().filter(allowed).collect())
}

/// RFC 9470 section 3.
fn insufficient(shortfall: Shortfall, remedy: &Remedy) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    let acr = remedy.acr_values.as_deref().map(|acr| format!(", acr_values=\"{}\"", quoted(acr)));
    let max_age = remedy.max_age.map(|max_age| format!(", max_age=\"{}\"", max_age.as_secs()));
    let why = description(remedy).unwrap_or_else(|| shortfall.to_string());
    format!(
        "Bearer error=\"insufficient_user_authentication\", error_description=\"{why}\"{}{}",
        acr.unwrap_or_default(),
        max_age.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_source_asks_for_is_quoted() {
        let mut remedy = Remedy::default().with_acr_values("urn:a \"b\\");
        assert_eq!(
            insufficient(Shortfall::LevelTooLow, &remedy),
            "Bearer error=\"insufficient_user_authentication\", error_description=\"second factor missing\", \
             acr_values=\"urn:a \\\"b\\\\\""
        );
        remedy = Remedy::default().with_max_age(Duration::from_secs(60));
        assert!(insufficient(Shortfall::LevelTooLow, &remedy).ends_with(", max_age=\"60\""));
    }

    #[test]
    fn what_a_source_says_of_a_token_cannot_leave_its_quotes() {
        let told = |why: &'static str| invalid_token(&Remedy::default().with_error_description(why)).unwrap();
        assert_eq!(told("it has expired"), "Bearer error=\"invalid_token\", error_description=\"it has expired\"");
        assert_eq!(told("a\", b=\"c\\\r\n\u{fc}"), "Bearer error=\"invalid_token\", error_description=\"a, b=c\"");
        assert_eq!(invalid_token(&Remedy::default()).unwrap(), INVALID_TOKEN);
        let remedy = Remedy::default().with_error_description("no level known");
        assert_eq!(
            insufficient(Shortfall::LevelTooLow, &remedy),
            "Bearer error=\"insufficient_user_authentication\", error_description=\"no level known\""
        );
    }
}
