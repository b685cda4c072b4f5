//! Step-up authentication for tower and axum: a signed-in user proves more before a sensitive request goes through, and comes back
//! to exactly what they were doing.
//!
//! Some requests are sensitive: payments, personal data, a change of one's own second factor. For these a session must have a higher
//! [authenticator assurance level](Aal), or have proven it a short time ago. A [layer](StepUp::layer) finds the session, a
//! [guard](RequireAal2) on a route compares it with what the route [requires](Requirement), and a companion [router](StepUp::router)
//! serves the flows in which the user proves more. Who the user is and the first factor stay the application's own.
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
//! # let secret = [7; 32];
//! let step_up = StepUp::builder("https://bank.example") // cookies, redirects and CSRF protection follow from it
//!     .signing_key(SigningKey::hs256("2026-11", secret)?)
//!     .store(MemoryStore::default())
//!     .factor(Totp::new("Example Bank"))
//!     .build()?; // every misconfiguration is an error here, not later
//!
//! let five_minutes = Requirement::aal2().max_age(Duration::from_secs(300));
//! let app: Router = Router::new()
//!     .route("/payments", get(|| async { "payments" }).layer(RequireAal2)) // 1. a layer
//!     .route_requiring("/transfer", five_minutes, get(|| async { "transfer" })) // 2. an annotation
//!     .route("/limits", get(|user: Aal2| async move { user.subject().to_string() })) // 3. a proof in the signature
//!     .merge(step_up.router()) // /self-service/..., /sessions/whoami and the built-in pages
//!     .layer(step_up.layer()); // finds the session, renders every refusal
//!
//! // At the end of the application's own login: the cookie goes into the response.
//! let signed_in = step_up.sign_in(Subject::new("kim")?, Method::Password).await?;
//! assert!(signed_in.cookie().to_str()?.starts_with("__Host-step_up_session="));
//! # Ok(())
//! # }
//! ```
//!
//! # What a client sees
//!
//! Browsers are redirected to the step-up and back; JSON clients get the errors of Ory's self-service API, so that its SDKs drive the
//! endpoints unmodified; API clients that authenticate by `Authorization: Bearer` get the challenge of RFC 9470; htmx pages get
//! `HX-Redirect`. See [`layer`] for the layer, [`guard`] for the guards, [`factor`] for the ways to prove something, [`store`] for what is
//! kept and what must be atomic.
//!
//! # Testing
//!
//! With the feature `test-util`, `test_util::Attacks` runs this crate's own attacks against an application's router: every route below what
//! it requires, old sessions after they have ended, and the step-up itself. The example `tested` is an application with such tests.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `axum` | yes | the companion router with its pages, extractors, `RouterExt` |
//! | `aws_lc_rs` | yes | signatures by AWS-LC |
//! | `rust_crypto` | | signatures in pure Rust |
//! | `config` | | `Config`, the configuration with serde under Ory's key names |
//! | `sqlite` | | `store::SqlStore` on SQLite |
//! | `postgres` | | `store::SqlStore` on PostgreSQL |
//! | `redis` | | `store::RedisStore` for flows and counters of attempts |
//! | `tls` | | encrypted connections to PostgreSQL and Redis |
//! | `test-util` | | `test_util` (attacks on an application's own router, a fixed clock) and `store::contract`, for tests |
//!
//! Without `axum`, the layer and the guards work under plain tower and hyper.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Flows and what they need are served by the router. Without it they are there, tested, and unused.
#![cfg_attr(not(feature = "axum"), allow(dead_code, rustdoc::broken_intra_doc_links))]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, clippy::similar_names, reason = "a test that overflows fails")
)]

// From the ground up: a module uses only what stands above it here. ARCHITECTURE.md says why, tests/architecture.rs holds it.
pub mod clock;
pub mod error;
mod headers;
mod urls;

pub mod aal;
pub mod requirement;
pub mod session;
pub mod standing;

pub mod audit;
pub mod directory;
pub mod seal;
pub mod wire;

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
    context::SessionContext,
    error::{BuildError, Error},
    guard::{RequireAal, RequireAal2},
    requirement::{RequiredAal, Requirement, Shortfall},
    session::{SigningKey, Subject},
    step_up::{SignedIn, StepUp, StepUpGuard},
};
#[cfg(feature = "axum")]
pub use self::{
    extract::{Aal2, CurrentSession, Proven, Required},
    router_ext::RouterExt,
};

/// The examples of the readme.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
