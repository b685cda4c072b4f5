//! Step-up authentication for applications whose users sign in at [Ory Kratos](https://www.ory.com/kratos): guards for tower and axum.
//!
//! Kratos keeps the sessions, the factors and the pages. [`Kratos`] reads whose session a request has by `GET /sessions/whoami`, and
//! [`tower_step_up`] guards routes by it. A refused user is led to Kratos' own login, step-up or settings, and comes back.
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use tower_step_up::{Aal2, RequireAal2, Requirement, RouterExt, StepUp};
//! use tower_step_up_kratos::Kratos;
//!
//! let guard = StepUp::guard("https://bank.example.com")          // the application's own public URL: users return to it
//!     .source(Kratos::new("https://auth.example.com"))           // Kratos' public API
//!     .build()?;                                                 // every misconfiguration is an error here
//!
//! let five_minutes = Requirement::aal2().max_age(Duration::from_secs(300));
//! let app: Router = Router::new()
//!     .route("/payments", get(|| async { "payments" }).layer(RequireAal2))
//!     .route_requiring("/transfer", five_minutes, get(|| async { "transfer" }))
//!     .route("/limits", get(|user: Aal2| async move { user.subject().to_string() })) // the id of Kratos' identity
//!     .layer(guard.layer());                                     // last: finds the session and renders refusals
//! # let _ = app;
//! # Ok::<(), tower_step_up::BuildError>(())
//! ```
//!
//! # What goes to Kratos and what comes back
//!
//! Kratos gets the session cookie alone, or `X-Session-Token`, and nothing else of the request. A request with both is refused, as is one with
//! two such cookies. An answer is good for [one second](Kratos::cache); a refusal is never remembered.
//!
//! | Kratos | the request |
//! |---|---|
//! | 200 with a session | is judged by the levels and times of `authentication_methods`; `authenticator_assurance_level` must agree, or the lower one counts |
//! | 401, or a session that is not active | has no session |
//! | 403 `session_aal2_required` | needs the second factor first, on every guarded route: Kratos shows no session before |
//! | anything else: no answer in time, a redirect, another status, something that is no session | 503 |
//!
//! Refusals lead to Kratos:
//!
//! | | browser | client that sends `X-Session-Token`: `details.api` of the error |
//! |---|---|---|
//! | no session | `/self-service/login/browser?return_to=..` | `/self-service/login/api` |
//! | second factor missing | `/self-service/login/browser?aal=aal2&return_to=..` | `/self-service/login/api?aal=aal2` |
//! | proven too long ago | the same with `refresh=true` | the same with `refresh=true` |
//! | no second factor enrolled | `/self-service/settings/browser?return_to=..` | `/self-service/settings/api` |

mod address;
mod cache;
mod connected;
mod credential;
mod failure;
mod flights;
mod kratos;
mod session;
mod whoami;

pub use self::kratos::Kratos;

/// The examples in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
