//! A session as the wire shows it.

use std::time::Duration;

use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use super::Device;
use crate::{
    aal::{Method, Proof},
    clock::Timestamp,
    directory::{Identity, identity_id},
    ids,
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

/// The session object of the wire contract, with only the proofs that count. `shown` gives the built-in name of a method.
pub(crate) fn session(
    session: impl AsRef<Session>,
    standing: &Standing,
    identity: &Value,
    now: Timestamp,
    second_factor_lifespan: Duration,
    shown: impl Fn(Method) -> Method,
) -> Value {
    let session = session.as_ref();
    let method = |proof: &Proof| {
        let mut entry = Map::new();
        let method = proof.method();
        entry.insert("method".to_owned(), json!(shown(method)));
        if let Some(name) = method.custom_name() {
            entry.insert("custom_method".to_owned(), json!(name));
        }
        entry.insert("aal".to_owned(), json!(proof.aal()));
        entry.insert("completed_at".to_owned(), json!(proof.completed_at()));
        if let Some(provider) = proof.provider() {
            entry.insert("provider".to_owned(), json!(provider));
        }
        Value::Object(entry)
    };
    let second_factor_at = standing.second_factor_at(session, now);
    let lapses_at = second_factor_at.map(|proven_at| proven_at + second_factor_lifespan);
    let optional = [("aal2_authenticated_at", second_factor_at), ("aal2_expires_at", lapses_at)];
    let always = [
        ("id", json!(session.id())),
        ("active", json!(!session.has_ended(now))),
        ("authenticator_assurance_level", json!(standing.level(session, now))),
        ("expires_at", json!(session.expires_at())),
        ("authenticated_at", json!(standing.authenticated_at(session, now).or(session.issued_at()))),
        ("issued_at", json!(session.issued_at())),
        ("authentication_methods", standing.counting_proofs(session, now).map(method).collect()),
        ("identity", identity.clone()),
        ("devices", json!(Vec::from_iter(device(session)))),
    ];
    let optional = optional.into_iter().filter_map(|(name, time)| Some((name, json!(time?))));
    Value::Object(always.into_iter().chain(optional).map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Where the user signed in. Its id stays through rotations, and nobody can tell the session's binding from it.
fn device(session: &Session) -> Option<Device> {
    let (client, binding) = session.device().zip(session.binding())?;
    Some(Device {
        id: ids::of_name(binding.into(), b"device"),
        ip_address: client.address().map(|address| address.to_string()).unwrap_or_default(),
        user_agent: client.user_agent().unwrap_or_default().to_owned(),
        location: String::new(),
    })
}
