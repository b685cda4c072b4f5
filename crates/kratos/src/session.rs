//! Reads Kratos' session. Pure: what an answer means depends on nothing but the answer and what is known of Kratos' configuration.

use serde::Deserialize;
use tower_step_up::{
    Aal, Method, Subject,
    aal::Proof,
    clock::Timestamp,
    session::Session,
    source::Evidence,
    standing::{Enrolled, Standing},
};

use crate::failure::Failure;

/// What the application says about its Kratos.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Whether whoami shows no session below the level that its user can reach.
    pub(crate) strict: bool,
    pub(crate) clock_leeway: std::time::Duration,
}

/// The part of the session that counts. Everything else of it, such as the traits, is dropped at once.
#[derive(Deserialize)]
struct Shown {
    active: bool,
    authenticator_assurance_level: String,
    /// `null` if there are none.
    authentication_methods: Option<Vec<Factor>>,
    expires_at: Option<Timestamp>,
    issued_at: Option<Timestamp>,
    identity: Option<Identity>,
}

#[derive(Deserialize)]
struct Factor {
    method: String,
    #[serde(default)]
    aal: String,
    completed_at: Option<Timestamp>,
    provider: Option<String>,
}

#[derive(Deserialize)]
struct Identity {
    id: String,
    state: Option<String>,
}

/// The error envelope.
#[derive(Deserialize)]
struct Envelope {
    error: EnvelopeError,
}

#[derive(Deserialize)]
struct EnvelopeError {
    id: Option<String>,
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    // The error's own text may quote the answer.
    serde_json::from_slice(body).map_err(|error| Failure::NotJson { line: error.line(), column: error.column() })
}

/// Whether a 403 says that there is a second factor and that it is missing.
pub(crate) fn wants_second_factor(body: &[u8]) -> bool {
    parse::<Envelope>(body).is_ok_and(|envelope| envelope.error.id.as_deref() == Some("session_aal2_required"))
}

/// The session of an answer to whoami; `None` if it is not active.
pub(crate) fn read(body: &[u8], reading: Reading) -> Result<Option<Evidence>, Failure> {
    let shown: Shown = parse(body)?;
    let identity = shown.identity.ok_or(Failure::NotASession("the session has no identity"))?;
    let subject = Subject::new(identity.id).map_err(|_| Failure::NotASession("the id of the identity is not one"))?;
    if !shown.active || identity.state.is_some_and(|state| state != "active") {
        return Ok(None);
    }
    let claimed = match shown.authenticator_assurance_level.as_str() {
        "aal0" => return Ok(None),
        "aal1" => Aal::Aal1,
        "aal2" => Aal::Aal2,
        _ => return Err(Failure::NotASession("the session has a level that is not known")),
    };
    let mut proofs: Vec<_> = shown.authentication_methods.unwrap_or_default().into_iter().map(Proof::from).collect();
    proofs.sort_by_key(Proof::completed_at);
    let computed = level_of(&subject, &proofs);
    if claimed != computed {
        tracing::warn!(
            target: "tower_step_up_kratos",
            %claimed,
            %computed,
            "a session's level is not that of its authentication methods: the lower one counts"
        );
    }
    if claimed < computed {
        proofs = proofs.iter().map(of_the_first_level).collect();
    }
    let enrolled = enrolled(&proofs, claimed, computed, reading);
    let mut session = Session::external(subject, proofs);
    if let Some(issued_at) = shown.issued_at {
        session = session.with_issued_at(issued_at);
    }
    if let Some(expires_at) = shown.expires_at {
        session = session.with_expires_at(expires_at);
    }
    Ok(Some(Evidence::new(session, Standing::external(enrolled).leeway(reading.clock_leeway))))
}

impl From<Factor> for Proof {
    fn from(factor: Factor) -> Self {
        let aal = match factor.aal.as_str() {
            "aal1" => Aal::Aal1,
            "aal2" => Aal::Aal2,
            // Kratos before 0.9 wrote none. It was some first factor.
            _ => Aal::Aal0,
        };
        let method = method_of(&factor.method);
        let proof = match factor.completed_at {
            Some(at) => Self::new(method, aal, at),
            None => Self::at_unknown_time(method, aal),
        };
        match factor.provider {
            Some(provider) if !provider.is_empty() => proof.with_provider(provider),
            _ => proof,
        }
    }
}

/// A method that a later Kratos adds counts with the level that Kratos gives it.
fn method_of(name: &str) -> Method {
    const OTHER: &str = "other";
    name.parse().or_else(|_| Method::custom(name)).or_else(|_| Method::custom(OTHER)).unwrap_or(Method::Profile)
}

/// The level of all these proofs, however they age.
fn level_of(subject: &Subject, proofs: &[Proof]) -> Aal {
    let end_of_time = Timestamp::from_unix_milliseconds(i64::MAX);
    Standing::external(Enrolled::Unknown).level(&Session::external(subject.clone(), proofs.to_vec()), end_of_time)
}

/// The same proof, but not of a second factor.
fn of_the_first_level(proof: &Proof) -> Proof {
    let (method, aal) = (proof.method(), proof.aal().min(Aal::Aal1));
    let lowered = match proof.completed_at() {
        Some(at) => Proof::new(method, aal, at),
        None => Proof::at_unknown_time(method, aal),
    };
    match proof.provider() {
        Some(provider) => lowered.with_provider(provider),
        None => lowered,
    }
}

/// Whether a proof is one of Kratos' own second factors. Another provider may have vouched for both factors, which says nothing about them.
pub(crate) fn is_own_second_factor(proof: &Proof) -> bool {
    proof.aal() == Aal::Aal2 && !matches!(proof.method(), Method::Oidc | Method::Saml)
}

/// Whoami does not say whether there is a second factor. It follows only from its use, or where whoami would not show the session.
fn enrolled(proofs: &[Proof], claimed: Aal, computed: Aal, reading: Reading) -> Enrolled {
    if proofs.iter().any(is_own_second_factor) {
        Enrolled::Yes
    } else if reading.strict && claimed == Aal::Aal1 && computed == Aal::Aal1 {
        Enrolled::No
    } else {
        Enrolled::Unknown
    }
}

#[cfg(test)]
mod tests;
