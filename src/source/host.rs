use std::fmt;

use super::{Head, SourceError, SourceFuture};
use crate::{aal::Method, clock::Timestamp, session::Subject};

/// The sessions that the application has already, such as those of axum-login. Give it to
/// [`StepUpBuilder::sessions`](crate::StepUpBuilder::sessions): then who is signed in is what the application says, and this crate only adds
/// to it. `tower-step-up-sessions` implements it for tower-sessions and axum-login.
///
/// In the application's session this crate keeps a *note*, a short text: a random handle, who was signed in when it was written, and when that
/// began. What is proven in a step-up is in this crate's store, under user and handle, and in a token of its own beside the application's
/// cookie. A level of `aal2` needs both. So a step-up changes nothing in the application's session, and a copy of its cookie from before the
/// step-up gains nothing by it.
///
/// ```
/// use std::{collections::HashMap, sync::{Arc, Mutex}};
/// use tower_step_up::{Subject, source::{Head, HostLook, HostSession, HostSessions, HostState, HostUser, SourceFuture}};
///
/// /// A session of the application. A layer outside of ours puts it into the extensions of each request.
/// #[derive(Clone, Default)]
/// struct Session(Arc<Mutex<HashMap<&'static str, String>>>);
///
/// struct Sessions;
///
/// impl HostSessions for Sessions {
///     fn look(&self, head: Head<'_>) -> HostLook {
///         match head.extensions.get::<Session>() {
///             Some(session) => HostLook::session(session.clone()),
///             None => HostLook::Miswired("put the layer of the sessions around the layer of the step-up"),
///         }
///     }
/// }
///
/// impl HostSession for Session {
///     fn state(&self) -> SourceFuture<'_, HostState> {
///         Box::pin(async {
///             let values = self.0.lock().unwrap();
///             let user = values.get("user").map(|user| Subject::new(user.as_str())).transpose()?;
///             Ok(HostState::new(user.map(HostUser::new), values.get("step-up").cloned()))
///         })
///     }
///
///     fn is_modified(&self) -> bool {
///         true // it does not know; then `state` is read when each response goes out
///     }
///
///     fn keep_note(&self, note: String) -> SourceFuture<'_, ()> {
///         Box::pin(async move {
///             self.0.lock().unwrap().insert("step-up", note);
///             Ok(())
///         })
///     }
///
///     fn end(&self) -> SourceFuture<'_, ()> {
///         Box::pin(async {
///             self.0.lock().unwrap().clear();
///             Ok(())
///         })
///     }
/// }
/// ```
pub trait HostSessions: Send + Sync + 'static {
    /// Picks up the application's session from the head of a request. It runs for every request, so it must not wait, and must not look up
    /// anything.
    fn look(&self, head: Head<'_>) -> HostLook;

    /// Whether it is configured as it must be. [`build`](crate::StepUpBuilder::build) asks it once. By default, it is.
    ///
    /// # Errors
    ///
    /// What to change.
    fn check(&self) -> Result<(), SourceError> {
        Ok(())
    }
}

/// What a first look at a request finds.
#[non_exhaustive]
pub enum HostLook {
    /// The application's session, whether or not somebody is signed in.
    Session(Box<dyn HostSession>),
    /// The layers of the application are wrong. The text says how to fix them. Guards and the router answer 500, and the text is logged once for each
    /// route.
    Miswired(&'static str),
}

impl HostLook {
    /// A session.
    pub fn session(session: impl HostSession) -> Self {
        Self::Session(Box::new(session))
    }
}

impl fmt::Debug for HostLook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(_) => f.write_str("Session(..)"),
            Self::Miswired(help) => f.debug_tuple("Miswired").field(help).finish(),
        }
    }
}

/// The application's session in one request.
pub trait HostSession: Send + Sync + 'static {
    /// How it was when the request came, if that is known without waiting. It is asked at most once, at the first [look](HostSessions::look).
    /// By default, it is not known.
    ///
    /// With it, a session whose step-up is remembered is judged without waiting, and a logout is noticed that leaves nothing in the session.
    fn recall(&self) -> Option<HostState> {
        None
    }

    /// How it is now, with all that the application has changed in this request.
    ///
    /// # Errors
    ///
    /// It could not be read. The request is refused with 503.
    fn state(&self) -> SourceFuture<'_, HostState>;

    /// The id by which the application finds it, as it is now. It is a secret, and is only used with a key. `None` if there is none, or if it is
    /// not known. By default, it is not known: then a step-up in a session from before this crate was there needs two attempts if two begin at
    /// once.
    fn id(&self) -> Option<String> {
        None
    }

    /// Whether the application may have changed it in this request. It must not wait. What it says decides whether [`state`](Self::state) is
    /// read when the response goes out.
    fn is_modified(&self) -> bool;

    /// Keeps this text in the session, in place of an earlier one. It is written with all else that the application has changed, when the
    /// response goes out.
    ///
    /// # Errors
    ///
    /// It cannot be kept.
    fn keep_note(&self, note: String) -> SourceFuture<'_, ()>;

    /// Ends the session, as a logout of the application does: nobody is signed in any more, and nothing of it is left.
    ///
    /// # Errors
    ///
    /// It may not have ended.
    fn end(&self) -> SourceFuture<'_, ()>;
}

/// How the application's session is at some instant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostState {
    /// Who is signed in.
    pub user: Option<HostUser>,
    /// The text that [`HostSession::keep_note`] kept.
    pub note: Option<String>,
    /// Whether there is a session to keep a note in. If nobody is signed in, and this is `false`, no note is kept: it would make a session
    /// where the application has none.
    pub exists: bool,
}

impl HostState {
    /// A session that exists.
    pub const fn new(user: Option<HostUser>, note: Option<String>) -> Self {
        Self { user, note, exists: true }
    }

    /// No session: nobody is signed in, and nothing is kept.
    pub const fn none() -> Self {
        Self { user: None, note: None, exists: false }
    }
}

/// A user who is signed in to the application.
#[derive(Clone)]
#[non_exhaustive]
pub struct HostUser {
    /// Who it is.
    pub subject: Subject,
    /// How the user has signed in. By default, with a password.
    pub method: Method,
    /// When the user has signed in, if the application knows. By default it does not. Then the time counts at which this crate has seen it.
    pub proven_at: Option<Timestamp>,
    /// When the session ends, if the application knows.
    pub expires_at: Option<Timestamp>,
    /// What a step-up depends on, in any form: it ends when this changes. For example the hash of the user's password. Empty by default.
    pub stamp: Vec<u8>,
}

impl HostUser {
    /// A user of whom no more is known.
    pub const fn new(subject: Subject) -> Self {
        Self { subject, method: Method::Password, proven_at: None, expires_at: None, stamp: Vec::new() }
    }

    /// The same user, who has signed in with this method.
    #[must_use]
    pub const fn with_method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The same user, who has signed in at this instant.
    #[must_use]
    pub const fn proven_at(mut self, at: Timestamp) -> Self {
        self.proven_at = Some(at);
        self
    }

    /// The same user in a session that ends at this instant.
    #[must_use]
    pub const fn expires_at(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// The same user, whose step-ups end when this changes.
    #[must_use]
    pub fn with_stamp(mut self, stamp: impl Into<Vec<u8>>) -> Self {
        self.stamp = stamp.into();
        self
    }
}

/// Hides the stamp.
impl fmt::Debug for HostUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostUser")
            .field("subject", &self.subject)
            .field("method", &self.method)
            .field("proven_at", &self.proven_at)
            .finish_non_exhaustive()
    }
}
