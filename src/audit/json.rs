//! Events in JSON. The names of the fields are stable: see [`AuditEvent`].

use serde::{Serialize, Serializer};

use super::{Actor, AuditEvent, AuditRequest};
use crate::{
    aal::{CredentialId, Method},
    clock::Timestamp,
    session::{SessionId, Subject},
};

#[derive(Serialize)]
struct Row<'a> {
    at: Timestamp,
    event: &'static str,
    actor: Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a Subject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<CredentialId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a AuditRequest>,
}

impl Serialize for AuditEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { at, subject, session, kind, actor, request } = self;
        let row = Row {
            at: *at,
            event: kind.name(),
            actor: *actor,
            subject: subject.as_ref(),
            session: *session,
            method: kind.method(),
            credential: kind.credential(),
            reason: kind.reason(),
            replaced: kind.replaced(),
            ended: kind.ended(),
            kept: kind.kept(),
            count: kind.count(),
            retry_after: kind.retry_after(),
            request: request.as_ref(),
        };
        row.serialize(serializer)
    }
}
