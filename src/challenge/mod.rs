//! What a client sees of a refusal. One place knows every kind of client: browsers, SPAs, htmx pages, API clients.
//!
//! | client | told by | gets |
//! |---|---|---|
//! | browser | none of the below | 303 to the page where it can do something about it |
//! | SPA, native client | `Accept`, `Content-Type`, or a token in `X-Session-Token` | 401, 403 or 503 with Ory's envelope |
//! | API client | a token in `Authorization: Bearer` | the envelope, and the challenge of RFC 9470 |
//! | htmx | `HX-Request: true` | the envelope, and `HX-Redirect` |
//!
//! It decides nothing: what is refused, and why, comes from `requirement`.

mod answer;
pub(crate) mod bearer;
mod denied;
mod htmx;
mod json;
mod rejection;
mod return_to;

use url::Url;

pub use self::denied::AccessDenied;
pub(crate) use self::rejection::Rejection;
use crate::{
    context::SessionContext,
    requirement::{Requirement, Shortfall},
    source::Remedy,
    wire::Envelope,
};

/// The answer of a gate of our own router, which has 403 for all clients, as Ory's has. A browser that goes on from there comes back
/// to `return_to`.
pub(crate) fn gate(
    shortfall: Shortfall,
    requirement: Requirement,
    context: &SessionContext,
    return_to: Option<&Url>,
) -> Envelope {
    let remedy = context.remedy(shortfall, requirement, return_to);
    challenged(json::envelope(shortfall, remedy.page.as_ref()), context, shortfall, &remedy)
}

/// An envelope of our own router with what an API client must do about the shortfall.
pub(crate) fn challenged(
    envelope: Envelope,
    context: &SessionContext,
    shortfall: Shortfall,
    remedy: &Remedy,
) -> Envelope {
    bearer::challenge(envelope, context.transport(), shortfall, remedy)
}
