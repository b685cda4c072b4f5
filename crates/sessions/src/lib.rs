//! Step-up authentication for applications that have sessions already, with [axum-login](https://docs.rs/axum-login) or
//! [tower-sessions](https://docs.rs/tower-sessions).
//!
//! Who is signed in stays what the application says. Its login and logout do not change. [`tower_step_up`] asks for a second factor on
//! sensitive routes, and what is proven there ends with the application's session.
//!
//! | your sessions | give the builder | needs the feature |
//! |---|---|---|
//! | axum-login 0.18 | [`AxumLogin`] | `axum-login`, which is on by default |
//! | tower-sessions 0.14 | [`TowerSessions`] | `tower-sessions-0_14`, which `axum-login` brings |
//! | tower-sessions 0.15 | [`TowerSessions`] | `tower-sessions-0_15` |
//!
//! The guide "From axum-login to step-up in ten minutes", and what happens when something fails, are in the
//! [README](https://github.com/tower-step-up/tower-step-up/tree/main/crates/sessions).

#[cfg(feature = "axum-login")]
mod axum_login;
mod proved;
mod session;
mod tower_sessions;

#[cfg(feature = "axum-login")]
pub use self::axum_login::AxumLogin;
pub use self::{proved::Proved, session::AnySession, tower_sessions::TowerSessions};

/// The examples in README.md.
#[cfg(all(doctest, feature = "axum-login"))]
#[doc = include_str!("../README.md")]
struct Readme;
