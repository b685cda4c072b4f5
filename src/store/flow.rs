//! A flow as a store keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    session::{BindingKey, Subject},
};

/// Names one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlowId(Uuid);

impl FlowId {
    /// A new random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl From<Uuid> for FlowId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<FlowId> for Uuid {
    fn from(id: FlowId) -> Self {
        id.0
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A flow as a store keeps it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredFlow {
    /// The id.
    pub id: FlowId,
    /// Whose flow it is; `None` if it was begun without a session.
    pub subject: Option<Subject>,
    /// The binding of the session that it was begun in, which survives rotations; `None` if it was begun without a session.
    pub binding: Option<BindingKey>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How often it was written: 0 when created.
    pub version: u64,
    /// Whether it was completed. A completed flow stays readable until it expires, but is never written again.
    pub completed: bool,
    /// Whether it is the flow of its session that [`FlowStore::touch_flow`](super::FlowStore::touch_flow) was called for last. No other call
    /// sets it: a flow is created with `false`, whatever this says. A store that does not know it always says `false`.
    pub in_use: bool,
    /// Everything else, as JSON text that only the crate reads.
    pub body: String,
}

impl StoredFlow {
    /// A new flow without a subject. A store that reads a flow sets the other fields.
    ///
    /// ```
    /// use tower_step_up::{Subject, clock::Timestamp, session::BindingKey, store::{FlowId, StoredFlow}};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (expires_at, binding) = (Timestamp::from_unix_seconds(1_800_000_000), BindingKey::random());
    /// let mut flow = StoredFlow::new(FlowId::random(), expires_at, "{}");
    /// (flow.subject, flow.binding, flow.version) = (Some(Subject::new("kim")?), Some(binding), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(id: FlowId, expires_at: Timestamp, body: impl Into<String>) -> Self {
        Self {
            id,
            subject: None,
            binding: None,
            expires_at,
            version: 0,
            completed: false,
            in_use: false,
            body: body.into(),
        }
    }
}

impl fmt::Debug for StoredFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredFlow")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .field("version", &self.version)
            .field("completed", &self.completed)
            .field("in_use", &self.in_use)
            .finish_non_exhaustive()
    }
}
