//! What a client sees of a refusal. Only this module knows the kinds of clients: browsers, SPAs, htmx pages, API clients.
//!
//! | client | recognised by | gets |
//! |---|---|---|
//! | browser that navigates | `Sec-Fetch-Mode` and `Sec-Fetch-Dest`; without them, none of the below | 303 to the page where the user can meet the requirement |
//! | SPA, native client | Fetch Metadata of anything else; `Accept`, `Content-Type`, `X-Requested-With`, `Upgrade`, the method, or a token in `X-Session-Token` | 401, 403 or 503 with Ory's envelope |
//! | prefetch | `Sec-Purpose: prefetch` | 503 |
//! | API client | a token in `Authorization: Bearer` | the envelope, and the challenge of RFC 9470 |
//! | htmx | `HX-Request: true` | the envelope, and `HX-Redirect` |
//!
//! It decides nothing: `requirement` says what is refused, and why.

mod answer;
pub(crate) mod bearer;
mod denied;
mod htmx;
mod json;
mod rejection;
mod return_to;

use url::Url;

pub use self::denied::AccessDenied;
#[cfg(feature = "axum")]
pub(crate) use self::json::prefetched;
pub(crate) use self::rejection::Rejection;
use crate::{
    context::SessionContext,
    requirement::{Requirement, Shortfall},
    source::Remedy,
    wire::Envelope,
};

/// The answer of a gate of our own router: 403 for all clients, as Ory's. After the step-up, a browser returns to `return_to`.
pub(crate) fn gate(
    shortfall: Shortfall,
    requirement: Requirement,
    context: &SessionContext,
    return_to: Option<&Url>,
) -> Envelope {
    let remedy = context.remedy(shortfall, requirement, return_to);
    challenged(json::envelope(shortfall, &remedy), context, shortfall, &remedy)
}

/// Adds to an envelope of our own router what an API client must do about the shortfall.
pub(crate) fn challenged(
    envelope: Envelope,
    context: &SessionContext,
    shortfall: Shortfall,
    remedy: &Remedy,
) -> Envelope {
    bearer::challenge(envelope, context.transport(), shortfall, remedy)
}
