//! Step-up authentication for applications whose users sign in at an OpenID provider.
//!
//! - [`AccessTokens`]: an API whose callers bring access tokens (RFC 9068). Refusals are those of RFC 9470.
//! - [`RelyingParty`]: an application for browsers that signs its users in by OpenID Connect. Refusals lead to its own login route.
//!
//! Both are [sources of sessions](tower_step_up::source) for [`StepUp::guard`](tower_step_up::StepUp::guard). The routes are guarded as in
//! every application of `tower-step-up`.
//!
//! ```
//! use tower_step_up::{Aal, StepUp};
//! use tower_step_up_oidc::AccessTokens;
//!
//! let tokens = AccessTokens::discover("https://issuer.example").audience("api").acr("urn:example:2fa", Aal::Aal2);
//! let guard = StepUp::guard("https://api.example").source(tokens).build()?; // needs no network
//! let layer = guard.layer(); // around routes with `RequireAal2` and its like
//! # drop(layer);
//! # Ok::<(), tower_step_up::BuildError>(())
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails"))]

mod access_tokens;
mod algorithm;
mod assurance;
mod jwk;
mod keys;
mod relying_party;
mod source;
mod token;

pub use self::{
    access_tokens::AccessTokens,
    algorithm::SigningAlgorithm,
    assurance::Assurance,
    relying_party::{Login, RelyingParty},
};

/// The examples in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
