//! Who caused an event, and with which request.

use std::sync::Arc;

use serde::Serialize;

use crate::client::Client;

/// Who caused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// Whoever sent the request: the user, or somebody who holds the user's session.
    User,
    /// The application, because an administrator or a support desk asked for it.
    Administrator,
    /// The application by itself: an import, a scheduled job, a migration.
    System,
}

impl Actor {
    /// The name in the log and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Administrator => "administrator",
            Self::System => "system",
        }
    }
}

/// The request that an event belongs to. It has no path, query or body: these may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditRequest {
    /// Its HTTP method.
    #[serde(serialize_with = "name")]
    pub method: http::Method,
    /// The pattern of the route that axum matched, such as `/accounts/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Arc<str>>,
    /// Who sent it.
    #[serde(flatten)]
    pub client: Client,
}

fn name<S: serde::Serializer>(method: &http::Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

impl AuditRequest {
    /// The longest name of an HTTP method that is kept. Clients can make up others.
    const MAX_METHOD: usize = 32;

    pub(crate) fn new(method: &http::Method, route: Option<Arc<str>>, client: Client) -> Self {
        let fits = method.as_str().len() <= Self::MAX_METHOD;
        let unknown = || http::Method::from_bytes(b"UNKNOWN").unwrap_or_default();
        Self { method: if fits { method.clone() } else { unknown() }, route, client }
    }
}

/// Who causes the events of a request or a call.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) actor: Actor,
    pub(crate) request: Option<AuditRequest>,
}
