//! Where a request's session comes from.
//!
//! A [`SessionSource`] finds the session of a request: this crate's own token and store, the session of the application, another
//! service, an access token. This crate's own sessions come through the same trait, and have no other way in.
//!
//! The crate asks a source in up to three steps. It takes a step only if the one before did not settle the question:
//!
//! | step | when | may wait |
//! |---|---|---|
//! | [`look`](SessionSource::look) | for every request, by the outer layer | no, and decodes nothing |
//! | [`recall`](SessionSource::recall) | when a guard, an extractor or your code wants to know | no |
//! | [`ask`](SessionSource::ask) | when that is not enough; once per request | yes |
//!
//! ```
//! use std::sync::Arc;
//!
//! use http::header;
//! use tower_step_up::{Aal, Method, RequireAal2, StepUp, Subject, aal::Proof, clock::Timestamp, session::Session, source::{Clue, Evidence, Head, Look, SessionSource, SourceFuture, Transport}, standing::{Enrolled, Standing}};
//!
//! /// Believes a gateway that has authenticated the caller.
//! struct Gateway;
//!
//! impl SessionSource for Gateway {
//!     fn look(&self, head: Head<'_>) -> Look {
//!         match head.headers.get("x-authenticated-user") {
//!             Some(user) => Look::Clue(Clue::from_header(user, Transport::Header)),
//!             None => Look::Nothing,
//!         }
//!     }
//!
//!     fn ask<'a>(&'a self, clue: &'a Clue, _: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
//!         Box::pin(async move {
//!             let user = std::str::from_utf8(clue.bytes().unwrap_or_default())?;
//!             // The gateway says who the caller is, not when that was proven or whether there is a second factor.
//!             let password = Proof::at_unknown_time(Method::Password, Aal::Aal1);
//!             let session = Session::external(Subject::new(user)?, vec![password]);
//!             Ok(Some(Arc::new(Evidence::new(session, Standing::external(Enrolled::Unknown)))))
//!         })
//!     }
//! }
//!
//! let guard = StepUp::guard("https://api.example").source(Gateway).build()?;
//! let layer = guard.layer(); // around routes with `RequireAal2` and its like
//! # drop(layer);
//! # Ok::<(), tower_step_up::BuildError>(())
//! ```

mod clue;
mod host;
pub(crate) mod hosted;
pub(crate) mod own;
mod remedy;
mod second_factor_required;

use std::{error::Error, future::Future, pin::Pin, sync::Arc};

use http::{Extensions, HeaderMap, HeaderValue, Method, Request, request::Parts};

pub use self::{
    clue::{Clue, Transport},
    host::{HostLook, HostSession, HostSessions, HostState, HostUser},
    remedy::{Remedy, Unmet},
    second_factor_required::SecondFactorRequired,
};
use crate::{
    clock::Timestamp,
    session::{Session, SessionToken, StoredSession},
    standing::Standing,
};

/// A request's session as its source reports it, and what counts of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The session.
    pub session: Session,
    /// Decides which proofs of the session count.
    pub standing: Standing,
}

impl Evidence {
    /// A session and its standing.
    pub const fn new(session: Session, standing: Standing) -> Self {
        Self { session, standing }
    }
}

/// The head of a request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Head<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What outer layers have put there, such as the session of the application.
    pub extensions: &'a Extensions,
}

impl<'a, B> From<&'a Request<B>> for Head<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self { method: request.method(), headers: request.headers(), extensions: request.extensions() }
    }
}

impl<'a> From<&'a Parts> for Head<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self { method: &parts.method, headers: &parts.headers, extensions: &parts.extensions }
    }
}

/// What a first look at a request finds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Look {
    /// The request brings nothing for this source.
    Nothing,
    /// It brings something that may lead to a session.
    Clue(Clue),
    /// It brings several credentials, or an unreadable one. It is not clear which one is meant, so none is used.
    Ambiguous(Transport),
    /// The layers of the application are wrong. The text says how to fix them. Guards answer 500, and the text is logged once for each route.
    Miswired(&'static str),
}

/// What is known about a session without waiting.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Recalled {
    /// It was read a short time ago and is still believed.
    Evidence(Arc<Evidence>),
    /// There is none: the clue is invalid, so nobody needs to be asked.
    NoSession,
    /// Nothing is remembered.
    Unknown,
}

/// Why a source did not answer. The crate refuses with 503, and logs the cause but does not send it.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// The return type of the methods of [`SessionSource`] that wait.
pub type SourceFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// A new session as its client receives it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Carried {
    /// For a client without cookies.
    pub token: SessionToken,
    /// The value of the `Set-Cookie` header for a browser.
    pub cookie: HeaderValue,
}

impl Carried {
    /// The same session as a token and as a cookie.
    pub const fn new(token: SessionToken, cookie: HeaderValue) -> Self {
        Self { token, cookie }
    }
}

/// Finds the session of a request. The [module](self) has an example.
///
/// A source must say what it does not know: the time of a proof ([`Proof::at_unknown_time`](crate::aal::Proof::at_unknown_time)),
/// and whether there is a second factor ([`Enrolled::Unknown`](crate::standing::Enrolled::Unknown)). Unknown never passes where
/// it decides.
pub trait SessionSource: Send + Sync + 'static {
    /// Whether the source is configured as it must be. [`GuardBuilder::build`](crate::config::GuardBuilder::build) asks it once, and gives
    /// the text to the developer. By default, it is.
    ///
    /// # Errors
    ///
    /// What to change.
    fn check(&self) -> Result<(), SourceError> {
        Ok(())
    }

    /// Picks up what the request brings. It runs for every request, also on routes that need no session. So it must not decode,
    /// verify or look up anything.
    fn look(&self, head: Head<'_>) -> Look;

    /// What is known without waiting: from a signature, or from a cache. By default, nothing.
    ///
    /// If it says that there is *no* second factor, the crate does not believe it, and calls [`ask`](Self::ask) as well.
    fn recall(&self, clue: &Clue, now: Timestamp) -> Recalled {
        let _ = (clue, now);
        Recalled::Unknown
    }

    /// The session that the clue leads to, as it is now; `None` if there is none. It is called at most once per request.
    ///
    /// # Errors
    ///
    /// The source did not answer. The request is refused with 503. Of a session that it does not show before a second factor is proven, it
    /// says so by [`SecondFactorRequired`]; then the user is led to the step-up.
    fn ask<'a>(&'a self, clue: &'a Clue, now: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>>;

    /// Whether the users of this source prove more to another service, and the source does not hear of it. Then what
    /// [`recall`](Self::recall) returns can let a request pass, but before a refusal [`ask`](Self::ask) is called as well: a user who comes
    /// back from the step-up is not refused by what was known before it. By default, `false`.
    fn rises_unseen(&self) -> bool {
        false
    }

    /// What a client can do about a requirement that its session does not meet. By default, nothing.
    fn remedy(&self, unmet: &Unmet<'_>) -> Remedy {
        let _ = unmet;
        Remedy::default()
    }

    /// Makes the token and the cookie of a session after a step-up. By default an error: a source without step-ups of this crate
    /// never needs it.
    ///
    /// # Errors
    ///
    /// The token cannot be made.
    fn carry(&self, session: &StoredSession, standing: &Standing, now: Timestamp) -> Result<Carried, SourceError> {
        let _ = (session, standing, now);
        Err("this source of sessions cannot carry a session of this crate".into())
    }

    /// Whether [`settle`](Self::settle) has something to do when the response goes out, for example because the application has
    /// signed the user in or out meanwhile. It must not wait. By default, `false`.
    fn is_unsettled(&self, clue: &Clue) -> bool {
        let _ = clue;
        false
    }

    /// Follows what the application did while it handled the request. The crate adds the headers to the response. By default, it
    /// does nothing.
    ///
    /// # Errors
    ///
    /// The crate logs it, and sends the response as it is.
    fn settle<'a>(&'a self, clue: &'a Clue) -> SourceFuture<'a, HeaderMap> {
        let _ = clue;
        Box::pin(async { Ok(HeaderMap::new()) })
    }
}
