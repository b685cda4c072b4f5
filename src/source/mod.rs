//! Where a request's session comes from.
//!
//! A [`SessionSource`] finds the session of a request: this crate's own token and store, the session of the application, another
//! service, an access token. This crate's own sessions come through the same trait, and have no other way in.
//!
//! A request passes it in up to three steps, each only if the one before did not settle the question:
//!
//! | step | when | may wait |
//! |---|---|---|
//! | [`look`](SessionSource::look) | for every request, by the outer layer | no, and decodes nothing |
//! | [`recall`](SessionSource::recall) | when somebody wants to know | no |
//! | [`ask`](SessionSource::ask) | when what is remembered does not do; once a request | yes |
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
//!             // It says who the caller is, and neither when that was proven nor whether there is a second factor.
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
pub(crate) mod own;
mod remedy;

use std::{error::Error, future::Future, pin::Pin, sync::Arc};

use http::{Extensions, HeaderMap, HeaderValue, Method, Request, request::Parts};

pub use self::{
    clue::{Clue, Transport},
    remedy::{Remedy, Unmet},
};
use crate::{
    clock::Timestamp,
    session::{Session, SessionToken, StoredSession},
    standing::Standing,
};

/// What a source says of a request's session: what it is, and what counts of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The session.
    pub session: Session,
    /// What counts of it.
    pub standing: Standing,
}

impl Evidence {
    /// A session and what counts of it.
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
    /// What layers outside have put there, such as the session of the application.
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
    /// The request brings nothing of this source's.
    Nothing,
    /// It brings something that may lead to a session.
    Clue(Clue),
    /// It brings several credentials, or one that cannot be read: which one is meant cannot be told, so none is used.
    Ambiguous(Transport),
    /// The application is put together wrongly, and this is how to mend it. Guards answer 500, and the text is logged once.
    Miswired(&'static str),
}

/// What is known of a session without asking anybody.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Recalled {
    /// It was read a short time ago and is still believed.
    Evidence(Arc<Evidence>),
    /// There is none: the clue is worth nothing, whoever is asked.
    NoSession,
    /// Nothing is remembered.
    Unknown,
}

/// Why a source did not answer. The crate refuses with 503, logs the cause and sends none of it.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// What the methods of [`SessionSource`] that wait return.
pub type SourceFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// What carries a new session to its client.
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
/// Whatever a source does not know it must say so: the time of a proof ([`Proof::at_unknown_time`](crate::aal::Proof::at_unknown_time)), and
/// whether there is a second factor ([`Enrolled::Unknown`](crate::standing::Enrolled::Unknown)). What is unknown never passes where it
/// decides.
pub trait SessionSource: Send + Sync + 'static {
    /// Picks up what the request brings. Every request comes here, also those to routes that need no session: so this decodes nothing,
    /// verifies nothing and looks nothing up.
    fn look(&self, head: Head<'_>) -> Look;

    /// What is known without waiting: from a signature, or from a cache. By default, nothing.
    ///
    /// That there is *no* second factor is not believed when it comes from here: then [`ask`](Self::ask) is called as well.
    fn recall(&self, clue: &Clue, now: Timestamp) -> Recalled {
        let _ = (clue, now);
        Recalled::Unknown
    }

    /// The session that the clue leads to, as it is now; `None` if there is none. It is called at most once for a request.
    ///
    /// # Errors
    ///
    /// It cannot be told. The request is refused with 503.
    fn ask<'a>(&'a self, clue: &'a Clue, now: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>>;

    /// What a client can do about a requirement that its session does not meet. By default, nothing.
    fn remedy(&self, unmet: &Unmet<'_>) -> Remedy {
        let _ = unmet;
        Remedy::default()
    }

    /// What carries a session to its client after a step-up. By default an error: a source without step-ups of this crate's never
    /// has to carry one.
    ///
    /// # Errors
    ///
    /// The token cannot be made.
    fn carry(&self, session: &StoredSession, standing: &Standing, now: Timestamp) -> Result<Carried, SourceError> {
        let _ = (session, standing, now);
        Err("this source of sessions cannot carry a session of this crate".into())
    }

    /// Whether [`settle`](Self::settle) has something to do on the way out of this request, such as when the application has signed its
    /// user in or out meanwhile. It must not wait. By default, it has not.
    fn is_unsettled(&self, clue: &Clue) -> bool {
        let _ = clue;
        false
    }

    /// Follows what the application did while it handled the request. The headers are added to the answer. By default, it does
    /// nothing.
    ///
    /// # Errors
    ///
    /// It is logged; the answer goes out as it is.
    fn settle<'a>(&'a self, clue: &'a Clue) -> SourceFuture<'a, HeaderMap> {
        let _ = clue;
        Box::pin(async { Ok(HeaderMap::new()) })
    }
}
