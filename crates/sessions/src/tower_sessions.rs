use std::{error::Error, fmt, future::Future, marker::PhantomData, sync::Arc};

use tower_step_up::source::{Head, HostLook, HostSession, HostSessions, HostState, HostUser, SourceFuture};

use crate::session::{self, AnySession};

/// Sessions of tower-sessions, version 0.14 or 0.15. You say who is signed in.
///
/// ```
/// use axum::{Router, routing::get};
/// # use tower_sessions_0_14 as tower_sessions;
/// use tower_sessions::{MemoryStore, Session, SessionManagerLayer};
/// use tower_step_up::{RequireAal2, SigningKey, StepUp, Subject, factor::Totp, source::{HostUser, SourceError}};
/// use tower_step_up_sessions::TowerSessions;
///
/// let sessions = TowerSessions::new(|session: Session| async move {
///     let Some(user) = session.get::<String>("user").await? else { return Ok(None) };
///     Ok::<_, SourceError>(Some(HostUser::new(Subject::new(user)?)))
/// });
/// let step_up = StepUp::builder("https://bank.example")
///     .sessions(sessions)
///     .signing_key(SigningKey::generate("2026")?)
///     .store(tower_step_up::store::MemoryStore::default())
///     .factor(Totp::new("Bank"))
///     .build()?;
///
/// let app: Router = Router::new()
///     .route("/payments", get(|| async { "payments" }).layer(RequireAal2))
///     // login and logout are here too
///     .merge(step_up.router())
///     .layer(step_up.layer())
///     .layer(SessionManagerLayer::new(MemoryStore::default())); // last, so that it is around all of them
/// # let _ = app;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The closure is called for each request that needs to know, and again when the response goes out of a request that has changed the session. It
/// gets the session as it then is. If it knows when the user has signed in, it says so by [`HostUser::proven_at`]; else the time counts at which
/// this crate saw the user appear in the session. It should say [`HostUser::with_stamp`] if a step-up is to end with something else than the user,
/// such as a password.
///
/// The login must give the session a new id (`cycle_id`), or it is not taken for one. A logout should be told whose it is, by an argument
/// `Option<CurrentSession>` of its handler: it ends a step-up that is being sent at the same moment only then.
pub struct TowerSessions<S, F> {
    user: Arc<F>,
    session: PhantomData<fn(S)>,
}

impl<S, F, U, E> TowerSessions<S, F>
where
    S: AnySession,
    F: Fn(S) -> U + Send + Sync + 'static,
    U: Future<Output = Result<Option<HostUser>, E>> + Send,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    /// Sessions whose user this closure tells; `None` if nobody is signed in. Write the type of its argument: it says which version of
    /// tower-sessions you use. An error refuses the request with 503.
    pub fn new(user: F) -> Self {
        Self { user: Arc::new(user), session: PhantomData }
    }
}

impl<S, F> fmt::Debug for TowerSessions<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerSessions").finish_non_exhaustive()
    }
}

impl<S, F, U, E> HostSessions for TowerSessions<S, F>
where
    S: AnySession,
    F: Fn(S) -> U + Send + Sync + 'static,
    U: Future<Output = Result<Option<HostUser>, E>> + Send,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn look(&self, head: Head<'_>) -> HostLook {
        match head.extensions.get::<S>() {
            Some(session) => HostLook::session(Picked { session: session.clone(), user: Arc::clone(&self.user) }),
            None => HostLook::Miswired(
                "no session of this version of tower-sessions reaches the layer of the step-up: write `.layer(SessionManagerLayer::new(..))` \
                 after `.layer(step_up.layer())`, so that it is around it",
            ),
        }
    }
}

/// The session of one request.
struct Picked<S, F> {
    session: S,
    user: Arc<F>,
}

impl<S, F, U, E> HostSession for Picked<S, F>
where
    S: AnySession,
    F: Fn(S) -> U + Send + Sync + 'static,
    U: Future<Output = Result<Option<HostUser>, E>> + Send,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    /// Of a session that has come, nothing is known: it is read from the store when somebody asks for something in it.
    fn recall(&self) -> Option<HostState> {
        (self.session.text_id().is_none() && !self.session.changed()).then(HostState::none)
    }

    fn state(&self) -> SourceFuture<'_, HostState> {
        Box::pin(async {
            let mut user = (self.user)(self.session.clone()).await.map_err(Into::into)?;
            if let Some(user) = &mut user {
                user.expires_at = user.expires_at.or_else(|| self.session.ends_at());
            }
            let (note, exists) = session::note(&self.session).await?;
            let mut state = HostState::new(user, note);
            state.exists = exists;
            Ok(state)
        })
    }

    fn id(&self) -> Option<String> {
        self.session.text_id()
    }

    fn is_modified(&self) -> bool {
        self.session.changed()
    }

    fn keep_note(&self, note: String) -> SourceFuture<'_, ()> {
        Box::pin(session::keep_note(&self.session, note))
    }

    fn end(&self) -> SourceFuture<'_, ()> {
        Box::pin(self.session.end())
    }
}
