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

pub(crate) mod bearer;
mod htmx;
mod json;
mod redirect;
mod rejection;

use url::Url;

pub(crate) use self::rejection::Rejection;
use crate::{
    context::{Denied, SessionContext},
    requirement::Shortfall,
    wire::Envelope,
};

/// The answer of a gate of our own router, which has 403 for all clients, as Ory's has. A browser that goes on from there comes back
/// to `return_to`.
pub(crate) fn gate(shortfall: &Shortfall, context: &SessionContext, return_to: Option<&Url>) -> Envelope {
    let denied = Denied::Shortfall(*shortfall);
    let destination = redirect::destination(context, denied, return_to);
    challenged(json::envelope(denied, destination.as_ref()), context, *shortfall)
}

/// An envelope of our own router with what an API client must do about the shortfall.
pub(crate) fn challenged(envelope: Envelope, context: &SessionContext, shortfall: Shortfall) -> Envelope {
    bearer::challenge(envelope, context, Denied::Shortfall(shortfall))
}
