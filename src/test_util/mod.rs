//! For tests of applications and of this crate (feature `test-util`): a clock that stands still, sessions at any level without going
//! through a login, codes of an authenticator app, and [`Attacks`], which an application runs against its own router. Never enable it in
//! a deployment: it signs in whomever it is told to.
//!
//! In the application's `Cargo.toml`:
//!
//! ```toml
//! [dev-dependencies]
//! tower-step-up = { version = "0.1", features = ["test-util"] }
//! ```
//!
//! The example `tested` is an application with a test of each kind.

#[cfg(feature = "axum")]
mod answer;
mod attacks;
mod clock;
mod code;
mod replay;
mod request;
mod sessions;
#[cfg(feature = "axum")]
mod step_up;
mod walk;

pub use self::{attacks::Attacks, clock::FixedClock, code::totp_code, sessions::mint};
