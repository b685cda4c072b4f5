//! Addresses that are too long to be handed from page to page: the store keeps them, and a short one stands for each.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::OwnSessions;
use crate::{
    clock::Timestamp,
    error::{StoreError, StoreErrorKind},
    ids,
    session::BindingKey,
    store::{FlowId, StoredFlow},
};

/// Longer than any flow by [`ONE_ROW_FOR`], so that a flow begun anew still finds it.
const KEPT_FOR: Duration = Duration::from_secs(86_400 + 3600);

/// For how long the same address gets the same row. Then it gets a new one, long before the old one ends.
const ONE_ROW_FOR: Duration = Duration::from_secs(3600);

/// The path of the short addresses, below the public URL.
pub(crate) const PATH: &str = "self-service/continue";

/// The body of the row. No flow has this field, and no row of a kept address has a flow's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptAddress {
    kept_address: Url,
}

/// Without a session, anybody can have any number kept. They are counted in this many parts.
const PARTS: u128 = 64;

/// How many each part keeps, of up to 9 kB.
const KEPT_IN_A_PART: u32 = 32;

/// Rows of a session are counted apart from its flows, so neither push the others out. Other sessions push out none of them.
fn apart(binding: Option<BindingKey>, id: FlowId) -> BindingKey {
    if let Some(binding) = binding {
        return ids::of_name(binding.into(), b"kept addresses").into();
    }
    let part = Uuid::from(id).as_u128().checked_rem(PARTS).unwrap_or_default();
    ids::of_name(Uuid::nil(), format!("kept addresses of strangers, {part}").as_bytes()).into()
}

impl OwnSessions {
    /// Keeps an address and returns the short one that leads to it: its id cannot be guessed. The oldest give way, counted for each
    /// session, and over all requests without one. So a flood of strangers can push out the address of somebody who has not signed in yet, who
    /// is then led to the default page.
    ///
    /// The same address of the same session is kept once, so that a page that asks again and again in the background pushes out no other.
    /// Without a session it is kept once for everybody: whoever has the short one learns what they asked with.
    pub(crate) async fn keep_address(
        &self,
        address: Url,
        binding: Option<BindingKey>,
        now: Timestamp,
    ) -> Result<Url, StoreError> {
        let id = self.short_id(&address, binding, now);
        let body = serde_json::to_string(&KeptAddress { kept_address: address })
            .map_err(|error| StoreError::with_source(StoreErrorKind::Corrupt, error))?;
        let mut row = StoredFlow::new(id, now + KEPT_FOR, body);
        row.binding = Some(apart(binding, id));
        let keep = if binding.is_some() { self.kept_addresses } else { KEPT_IN_A_PART };
        if !self.is_kept(&row, binding.is_some()).await? {
            match self.stores.create_flow(&row, keep, now).await {
                // Another request for it was quicker.
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                created => created?,
            }
        }
        Ok(self.urls.route(PATH, &[("id", Some(&row.id.to_string()))]))
    }

    /// Whether the row is there. In a session, it stays as the one that was asked for last.
    async fn is_kept(&self, row: &StoredFlow, of_session: bool) -> Result<bool, StoreError> {
        match self.stores.flow(row.id).await? {
            Some(kept) if kept.in_use || !of_session => Ok(true),
            Some(kept) => Ok(self.stores.touch_flow(&kept).await?.is_done()),
            None => Ok(false),
        }
    }

    /// The same for the same address of the same session, for some time. Only a holder of the key can tell which.
    fn short_id(&self, address: &Url, binding: Option<BindingKey>, now: Timestamp) -> FlowId {
        let binding = binding.map(Uuid::from).unwrap_or_default();
        let since = Timestamp::from_unix_seconds(0);
        let time = now.since(since).as_secs().checked_div(ONE_ROW_FOR.as_secs()).unwrap_or_default();
        // No message about a form begins like this: those begin with zeros.
        let digest = self.sealer.digest(format!("kept address\0{binding}\0{time}\0{address}").as_bytes());
        let bytes = digest.as_ref().and_then(|digest| digest.first_chunk::<16>());
        bytes.map_or_else(FlowId::random, |bytes| uuid::Builder::from_random_bytes(*bytes).into_uuid().into())
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
