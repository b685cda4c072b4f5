//! A session as the wire shows it.

use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    directory::{Identity, identity_id},
    session::{Session, Subject},
    standing::Standing,
};

/// The identity object of the wire contract.
pub(crate) fn identity(subject: &Subject, identity: &Identity, public_url: &Url) -> Value {
    let mut view = Map::new();
    for (name, value) in [
        ("id", json!(identity_id(subject))),
        ("schema_id", json!("default")),
        ("schema_url", json!(format!("{public_url}schemas/default"))),
        ("state", json!(if identity.active { "active" } else { "inactive" })),
        ("traits", identity.traits.clone()),
        ("metadata_public", identity.metadata_public.clone()),
        ("organization_id", Value::Null),
    ] {
        view.insert(name.to_owned(), value);
    }
    if Uuid::try_parse(subject.as_str()).map(|id| id.to_string()).as_deref() != Ok(subject.as_str()) {
        view.insert("external_id".to_owned(), json!(subject));
    }
    for (name, time) in [("created_at", identity.created_at), ("updated_at", identity.updated_at)] {
        if let Some(time) = time {
            view.insert(name.to_owned(), json!(time));
        }
    }
    Value::Object(view)
}

/// The session object of the wire contract, with only the proofs that count.
pub(crate) fn session(
    session: &Session,
    standing: &Standing,
    identity: Value,
    now: Timestamp,
    second_factor_lifespan: Option<std::time::Duration>,
) -> Value {
    let methods: Vec<_> = standing
        .counting_proofs(session, now)
        .map(|proof| {
            let mut entry =
                json!({ "method": proof.method(), "aal": proof.aal(), "completed_at": proof.completed_at() });
            if let Some(provider) = proof.provider() {
                entry["provider"] = provider.into();
            }
            entry
        })
        .collect();
    let mut view = json!({
        "id": session.id(),
        "active": now < session.expires_at(),
        "authenticator_assurance_level": standing.level(session, now),
        "expires_at": session.expires_at(),
        "authenticated_at": standing.authenticated_at(session, now).unwrap_or(session.issued_at()),
        "issued_at": session.issued_at(),
        "authentication_methods": methods,
        "identity": identity,
        "devices": [],
    });
    if let Some(proven_at) = standing.second_factor_at(session, now) {
        view["aal2_authenticated_at"] = json!(proven_at);
        if let Some(lifespan) = second_factor_lifespan {
            view["aal2_expires_at"] = json!(proven_at + lifespan);
        }
    }
    view
}
