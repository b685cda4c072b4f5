//! Step-up authentication for tower and axum. Before a sensitive request goes through, a signed-in user proves a second factor, and then
//! returns to the page they wanted.
//!
//! Some requests are sensitive: payments, personal data, a change of second factors. They need a higher [authenticator assurance
//! level](Aal), or a recent proof of it. A [layer](StepUp::layer) finds the session. A [guard](RequireAal2) on a route compares it with
//! what the route [requires](Requirement). A companion [router](StepUp::router) serves the flows in which the user steps up. Your
//! application keeps its users and its login.
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use tower_step_up::{Aal2, Method, RequireAal2, Requirement, RouterExt, SigningKey, StepUp, Subject, factor::Totp, store::MemoryStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = "a secret of 32 or more random bytes";
//! let step_up = StepUp::builder("https://bank.example") // cookies, redirects and CSRF protection follow from this
//!     .signing_key(SigningKey::hs256("2026-11", secret)?)
//!     .store(MemoryStore::default())
//!     .factor(Totp::new("Example Bank"))
//!     .build()?; // every misconfiguration is an error here, not later
//!
//! let five_minutes = Requirement::aal2().max_age(Duration::from_secs(300));
//! let app: Router = Router::new()
//!     .route("/payments", get(|| async { "payments" }).layer(RequireAal2)) // 1. a layer
//!     .route_requiring("/transfer", five_minutes, get(|| async { "transfer" })) // 2. a requirement for the whole route
//!     .route("/limits", get(|user: Aal2| async move { user.subject().to_string() })) // 3. a proof in the handler's signature
//!     .with_step_up(&step_up); // last: the companion router and its pages, and the layer that finds sessions and renders refusals
//!
//! // Call this at the end of your own login, and set the cookie in the response.
//! let signed_in = step_up.sign_in(Subject::new("kim")?, Method::Password).await?;
//! assert!(signed_in.cookie().to_str()?.starts_with("__Host-step_up_session="));
//! # Ok(())
//! # }
//! ```
//!
//! # What a client sees
//!
//! Browsers are redirected to the step-up and back. JSON clients get the errors of Ory's self-service API, so Ory's SDKs work unmodified.
//! API clients with `Authorization: Bearer` get the challenge of RFC 9470. htmx pages get `HX-Redirect`. See [`layer`] for the layer,
//! [`guard`] for the guards, [`factor`] for the factors, and [`store`] for what is stored and what must be atomic.
//!
//! # Testing
//!
//! With the feature `test-util`, `test_util::Attacks` runs this crate's own attacks against an application's router: requests below what
//! a route requires, sessions that have ended, and the step-up itself. The example `tested` shows such tests.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `axum` | yes | the companion router with its pages, extractors, `RouterExt` |
//! | `config` | | `Config`, the configuration with serde under Ory's key names |
//! | `cors` | | `StepUp::cors_layer`, for front ends on another host |
//! | `sqlite` | | `store::SqlStore` on SQLite |
//! | `postgres` | | `store::SqlStore` on PostgreSQL |
//! | `redis` | | `store::RedisStore` for flows and counters of attempts |
//! | `tls` | | encrypted connections to PostgreSQL and Redis |
//! | `metrics` | | counters through the `metrics` facade: see [`audit`] |
//! | `test-util` | | for tests: `test_util` (attacks on your own router, a fixed clock) and `store::contract` |
//!
//! Without `axum`, the layer and the guards work under plain tower and hyper.

#![cfg_attr(docsrs, feature(doc_cfg))]
// The router serves the flows. Without it they are compiled and tested, but unused.
#![cfg_attr(not(feature = "axum"), allow(dead_code, rustdoc::broken_intra_doc_links))]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, clippy::similar_names, reason = "a test that overflows fails")
)]

// From the ground up: a module uses only modules listed above it. ARCHITECTURE.md says why, and tests/architecture.rs checks it.
pub mod client;
pub mod clock;
pub mod error;
mod headers;
mod ids;
mod urls;

pub mod aal;
pub mod requirement;
pub mod session;
pub mod standing;

pub mod audit;
pub mod directory;
pub mod seal;
pub mod theme;
pub mod wire;

pub mod language;

pub mod factor;
pub mod source;
pub mod store;

mod engine;

pub mod challenge;
pub mod context;
pub mod guard;
pub mod layer;

mod flow;
#[cfg(feature = "axum")]
mod routes;

pub mod config;
#[cfg(feature = "axum")]
pub mod extract;
#[cfg(feature = "axum")]
mod router_ext;
mod step_up;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "../fuzz/properties/mod.rs"]
pub mod fuzzing;
#[cfg(feature = "test-util")]
pub mod test_util;

#[cfg(feature = "config")]
pub use self::config::Config;
pub use self::{
    aal::{Aal, Method},
    challenge::AccessDenied,
    config::StepUpBuilder,
    context::{Refusals, SessionContext},
    error::{BuildError, Error},
    guard::{RequireAal, RequireAal2},
    requirement::{Freshness, RequiredAal, Requirement, Shortfall},
    session::{SigningKey, Subject},
    step_up::{CredentialDetails, Importing, SignedIn, StepUp, StepUpGuard},
};
#[cfg(feature = "axum")]
pub use self::{
    extract::{Aal2, CurrentSession, Proven, Required},
    router_ext::RouterExt,
};

/// The examples in README.md.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
