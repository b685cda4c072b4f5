use std::{
    fmt,
    marker::PhantomData,
    sync::atomic::{AtomicBool, Ordering},
};

use axum_login::{AuthSession, AuthUser, AuthnBackend, UserId};
use serde::Deserialize;
use serde_json::Value;
use tower_sessions_0_14::Session;
use tower_step_up::{
    Method, Subject,
    source::{Head, HostLook, HostSession, HostSessions, HostState, HostUser, SourceError, SourceFuture},
};

use crate::session::{self, Sealed as _};

const OUTSIDE: &str = "no session of axum-login reaches the layer of the step-up: write `.layer(auth_layer)` after `.layer(step_up.layer())`, so \
                       that it is around it";
const OTHER_BACKEND: &str = "there is a session, but none of axum-login with the backend of `AxumLogin`: name the backend that \
                             `AuthManagerLayerBuilder::new` got, in `AxumLogin::<Backend>::new()`, and write `.layer(auth_layer)` after \
                             `.layer(step_up.layer())`";
const OTHER_KEY: &str = "axum-login has a user whom this crate does not find in the session: give `AxumLogin::data_key` the key that \
                         `AuthManagerLayerBuilder::with_data_key` got";

/// Sessions of axum-login 0.18, whose users come from this backend.
///
/// ```
/// # use std::convert::Infallible;
/// use axum::{Router, routing::get};
/// # use axum_login::{AuthUser, AuthnBackend};
/// use axum_login::{AuthManagerLayerBuilder, tower_sessions::{MemoryStore, SessionManagerLayer}};
/// use tower_step_up::{RequireAal2, SigningKey, StepUp, factor::Totp};
/// use tower_step_up_sessions::AxumLogin;
/// # #[derive(Clone, Debug)]
/// # struct User;
/// # impl AuthUser for User {
/// #     type Id = i64;
/// #     fn id(&self) -> i64 { 1 }
/// #     fn session_auth_hash(&self) -> &[u8] { b"" }
/// # }
/// # #[derive(Clone)]
/// # struct Backend;
/// # impl AuthnBackend for Backend {
/// #     type User = User;
/// #     type Credentials = ();
/// #     type Error = Infallible;
/// #     async fn authenticate(&self, _: ()) -> Result<Option<User>, Infallible> { Ok(None) }
/// #     async fn get_user(&self, _: &i64) -> Result<Option<User>, Infallible> { Ok(None) }
/// # }
///
/// let step_up = StepUp::builder("https://bank.example")
///     .sessions(AxumLogin::<Backend>::new())
///     .signing_key(SigningKey::generate("2026")?)
///     .store(tower_step_up::store::MemoryStore::default())
///     .factor(Totp::new("Bank"))
///     .build()?;
/// let auth_layer = AuthManagerLayerBuilder::new(Backend, SessionManagerLayer::new(MemoryStore::default())).build();
///
/// let app: Router = Router::new()
///     .route("/payments", get(|| async { "payments" }).layer(RequireAal2))
///     // login and logout are here too
///     .merge(step_up.router())
///     .layer(step_up.layer())
///     .layer(auth_layer); // last, so that it is around all of them
/// # let _ = app;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The [`Subject`] is what `Display` writes of the user's id. A step-up ends when
/// [`session_auth_hash`](axum_login::AuthUser::session_auth_hash) changes.
///
/// A layer of your own that signs users in or out belongs inside the layer of the step-up, as login and logout do.
pub struct AxumLogin<Backend> {
    data_key: &'static str,
    method: Method,
    /// Whether a user of axum-login was found under the key.
    key_is_right: AtomicBool,
    backend: PhantomData<fn(Backend)>,
}

impl<Backend: AuthnBackend + 'static> AxumLogin<Backend> {
    /// Sessions of axum-login as it makes them if nothing is configured.
    pub const fn new() -> Self {
        Self {
            data_key: "axum-login.data",
            method: Method::Password,
            key_is_right: AtomicBool::new(false),
            backend: PhantomData,
        }
    }

    /// Where axum-login keeps the user in the session, if you gave
    /// [`with_data_key`](axum_login::AuthManagerLayerBuilder::with_data_key) another key than its default. If the two differ, guards answer 500
    /// and the log says so.
    #[must_use]
    pub const fn data_key(self, data_key: &'static str) -> Self {
        Self { data_key, ..self }
    }

    /// What your login proves. By default, a password. If one application has several ways to sign in, the login says which it was, by
    /// `step_up.proved`.
    #[must_use]
    pub const fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }
}

impl<Backend: AuthnBackend + 'static> Default for AxumLogin<Backend> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Backend> fmt::Debug for AxumLogin<Backend> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AxumLogin")
            .field("data_key", &self.data_key)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl<Backend: AuthnBackend + 'static> HostSessions for AxumLogin<Backend> {
    fn look(&self, head: Head<'_>) -> HostLook {
        let Some(auth) = head.extensions.get::<AuthSession<Backend>>() else {
            let session = head.extensions.get::<Session>();
            return HostLook::Miswired(if session.is_some() { OTHER_BACKEND } else { OUTSIDE });
        };
        let mut picked = Picked::<Backend> {
            session: auth.session.clone(),
            data_key: self.data_key,
            method: self.method,
            is_user: auth.user.is_some(),
            came: None,
            backend: PhantomData,
        };
        // axum-login has read the record already, so there is nothing to wait for. An error is found again by whoever asks.
        let came = match &auth.user {
            Some(user) if !auth.session.is_modified() => {
                if !self.key_is_right.load(Ordering::Relaxed)
                    && let Some(Ok(data)) = session::at_once(picked.session.value(self.data_key))
                {
                    if data.is_none() {
                        return HostLook::Miswired(OTHER_KEY);
                    }
                    self.key_is_right.store(true, Ordering::Relaxed);
                }
                session::at_once(picked.known(user))
            }
            _ => session::at_once(picked.unknown()),
        };
        picked.came = came.and_then(Result::ok);
        HostLook::session(picked)
    }
}

/// The session of one request. The application's handlers have clones of the `AuthSession`, so only the record shows what they do.
struct Picked<Backend> {
    session: Session,
    data_key: &'static str,
    method: Method,
    /// Whether the backend knew the user when the request came. A user who was deleted stays in the record.
    is_user: bool,
    /// How the session was then.
    came: Option<Came>,
    backend: PhantomData<fn(Backend)>,
}

struct Came {
    state: HostState,
    /// What axum-login had kept of somebody whom the backend does not know.
    unknown: Option<Value>,
}

/// What axum-login keeps.
#[derive(Deserialize)]
struct Data<Id> {
    user_id: Option<Id>,
    auth_hash: Option<Vec<u8>>,
}

impl<Backend: AuthnBackend + 'static> Picked<Backend> {
    /// How it came, with a user whom axum-login has just compared with the record.
    async fn known(&self, user: &Backend::User) -> Result<Came, SourceError> {
        let user = self.user(&user.id(), user.session_auth_hash())?;
        Ok(Came { state: self.state_of(Some(user)).await?, unknown: None })
    }

    /// How it came otherwise: a layer outside of ours has changed it, or there is no user, or one whom the backend does not know.
    async fn unknown(&self) -> Result<Came, SourceError> {
        let data = self.session.value(self.data_key).await?;
        if self.is_user {
            return Ok(Came { state: self.state_of(self.user_of(data)?).await?, unknown: None });
        }
        Ok(Came { state: self.state_of(None).await?, unknown: data })
    }

    async fn state_of(&self, user: Option<HostUser>) -> Result<HostState, SourceError> {
        let (note, exists) = session::note(&self.session).await?;
        let mut state = HostState::new(user, note);
        state.exists = exists;
        Ok(state)
    }

    fn user_of(&self, data: Option<Value>) -> Result<Option<HostUser>, SourceError> {
        let Some(data) = data else { return Ok(None) };
        let Data { user_id, auth_hash } = serde_json::from_value::<Data<UserId<Backend>>>(data)?;
        user_id.map(|id| self.user(&id, &auth_hash.unwrap_or_default())).transpose()
    }

    fn user(&self, id: &UserId<Backend>, auth_hash: &[u8]) -> Result<HostUser, SourceError> {
        let mut user = HostUser::new(Subject::new(id.to_string())?).with_method(self.method).with_stamp(auth_hash);
        user.expires_at = self.session.ends_at();
        Ok(user)
    }
}

impl<Backend: AuthnBackend + 'static> HostSession for Picked<Backend> {
    fn recall(&self) -> Option<HostState> {
        Some(self.came.as_ref()?.state.clone())
    }

    fn state(&self) -> SourceFuture<'_, HostState> {
        Box::pin(async {
            let data = self.session.value(self.data_key).await?;
            // Whom the backend does not know is nobody until somebody signs in.
            let data = match &self.came {
                _ if self.is_user => data,
                Some(came) => data.filter(|data| came.unknown.as_ref() != Some(data)),
                None if !self.session.is_modified() => None,
                None => return Err("the session of axum-login was in use when the request came".into()),
            };
            self.state_of(self.user_of(data)?).await
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
