//! For tests of applications and of this crate (feature `test-util`): a clock that stands still, sessions of any level without a login,
//! codes of an authenticator app, and [`Attacks`] on your own router. Never enable it in production: it signs in anybody without a proof.
//!
//! In your `Cargo.toml`:
//!
//! ```toml
//! [dev-dependencies]
//! tower-step-up = { version = "0.1", features = ["test-util"] }
//! ```
//!
//! The example `tested` has a test of each kind.

#[cfg(feature = "axum")]
mod answer;
mod attacks;
mod clock;
mod code;
mod held;
mod replay;
mod request;
mod sessions;
#[cfg(feature = "axum")]
mod step_up;
mod walk;

pub use self::{attacks::Attacks, clock::FixedClock, code::totp_code, held::HeldBody, sessions::mint};
