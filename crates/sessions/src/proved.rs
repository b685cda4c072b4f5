use std::future::Future;

use tower_step_up::{
    Error, Method, StepUp,
    source::{HostSession, HostState, SourceFuture},
};

use crate::session::{self, AnySession};

/// For a login of a user who is signed in already: your sessions do not show that anything was proven then.
///
/// ```
/// # use tower_step_up::{Error, Method, StepUp};
/// # use tower_sessions_0_14 as tower_sessions;
/// use tower_sessions::Session;
/// use tower_step_up_sessions::Proved;
///
/// # #[allow(dead_code)]
/// async fn signed_in_again(step_up: &StepUp, session: &Session) -> Result<(), Error> {
///     // Your login has compared the password. With axum-login, the session is `auth_session.session`.
///     step_up.proved(session, Method::Password).await
/// }
/// ```
pub trait Proved {
    /// Says that the user of this session has just proven this first factor to the application. It may be called before or after the
    /// application signs the user in, in the same request. It counts from the next request on, and is saved with the session.
    ///
    /// A login that changes who is signed in needs no such call: it is seen.
    ///
    /// # Errors
    ///
    /// The method is only a second factor ([`Method`](tower_step_up::error::ErrorKind::Method)); the step-up has no sessions of the application, or
    /// the session could not be read ([`Sessions`](tower_step_up::error::ErrorKind::Sessions)).
    fn proved<S: AnySession>(&self, session: &S, method: Method) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Proved for StepUp {
    async fn proved<S: AnySession>(&self, session: &S, method: Method) -> Result<(), Error> {
        self.proved_in(&Noted(session.clone()), method).await
    }
}

/// A session in which nothing counts but the note.
struct Noted<S>(S);

impl<S: AnySession> HostSession for Noted<S> {
    fn state(&self) -> SourceFuture<'_, HostState> {
        Box::pin(async {
            let (note, _) = session::note(&self.0).await?;
            Ok(HostState::new(None, note))
        })
    }

    fn is_modified(&self) -> bool {
        self.0.changed()
    }

    fn keep_note(&self, note: String) -> SourceFuture<'_, ()> {
        Box::pin(session::keep_note(&self.0, note))
    }

    fn end(&self) -> SourceFuture<'_, ()> {
        Box::pin(self.0.end())
    }
}
