//! Addresses that are too long to be handed from page to page: the store keeps them, and a short one stands for each.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::OwnSessions;
use crate::{
    clock::Timestamp,
    error::{StoreError, StoreErrorKind},
    session::BindingKey,
    store::{FlowId, StoredFlow},
};

/// Longer than any flow, so that a flow begun anew still finds it.
const KEPT_FOR: Duration = Duration::from_secs(86_400);

/// The path of the short addresses, below the public URL.
pub(crate) const PATH: &str = "self-service/continue";

/// The body of the row. No flow has this field, and no row of a kept address has a flow's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptAddress {
    kept_address: Url,
}

/// Rows of a session are counted apart from its flows, so neither push the others out. Other sessions push out none of them.
fn apart(binding: BindingKey) -> BindingKey {
    Uuid::new_v5(&binding.into(), b"kept addresses").into()
}

impl OwnSessions {
    /// Keeps an address and returns the short one that leads to it: its id cannot be guessed. The oldest give way, counted for each
    /// session, and over all requests without one.
    pub(crate) async fn keep_address(
        &self,
        address: Url,
        binding: Option<BindingKey>,
        now: Timestamp,
    ) -> Result<Url, StoreError> {
        let body = serde_json::to_string(&KeptAddress { kept_address: address })
            .map_err(|error| StoreError::with_source(StoreErrorKind::Corrupt, error))?;
        let mut row = StoredFlow::new(FlowId::random(), now + KEPT_FOR, body);
        row.binding = binding.map(apart);
        self.stores.create_flow(&row, self.kept_addresses, now).await?;
        Ok(self.urls.route(PATH, &[("id", Some(&row.id.to_string()))]))
    }

    /// The address that was kept under this id; `None` if it is not known any more, or not allowed any more.
    #[cfg(feature = "axum")]
    pub(crate) async fn kept_address(&self, id: FlowId, now: Timestamp) -> Result<Option<Url>, StoreError> {
        let row = self.stores.flow(id).await?.filter(|row| now < row.expires_at);
        let kept = row.and_then(|row| serde_json::from_str::<KeptAddress>(&row.body).ok());
        Ok(kept.and_then(|kept| self.urls.return_policy.check(kept.kept_address).ok()))
    }
}

/// Whether a row is that of a kept address, and so of no flow.
#[cfg(feature = "axum")]
pub(crate) fn is_kept_address(row: &StoredFlow) -> bool {
    serde_json::from_str::<KeptAddress>(&row.body).is_ok()
}
