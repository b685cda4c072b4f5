//! What the application does.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, Query, Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use axum_login::AuthSession;
use serde::Deserialize;
use tokio::sync::Notify;
use tower_step_up::{
    CurrentSession, Method, Requirement, RouterExt, StepUp, Subject,
    source::{HostUser, SourceError},
};
use tower_step_up_sessions::Proved;

use crate::host::Backend;

/// What the handlers and the tests share.
#[derive(Default)]
pub struct Shared {
    pub calls: AtomicUsize,
    /// Whether the login page sends users away who are signed in.
    pub eager: AtomicBool,
    pub enrolled: Mutex<BTreeSet<String>>,
    pub reached: Notify,
    pub go_on: Notify,
}

#[derive(Clone)]
pub struct App {
    pub step_up: StepUp,
    pub backend: Backend,
    pub shared: Arc<Shared>,
}

#[derive(Deserialize)]
struct ReturnTo {
    return_to: Option<String>,
}

/// What does not depend on sessions.
pub fn common(shared: &Arc<Shared>) -> Router<App> {
    let page = || {
        let shared = Arc::clone(shared);
        get(async move |user: CurrentSession| {
            shared.calls.fetch_add(1, Ordering::SeqCst);
            user.subject().to_string()
        })
    };
    let five_minutes = Duration::from_secs(300);
    Router::new()
        .route("/open", get(async || "open"))
        .route("/", get(async || "home"))
        .route_requiring("/aal1", Requirement::aal1(), page())
        .route_requiring("/aal2", Requirement::aal2(), page())
        .route_requiring("/recent", Requirement::aal2().max_age(five_minutes), page())
        .route_requiring("/fresh", Requirement::aal1().max_age(five_minutes), page())
        .route(
            "/login",
            get(
                async |State(app): State<App>, Query(query): Query<ReturnTo>, user: Option<CurrentSession>| match query
                    .return_to
                {
                    Some(page) if user.is_some() && app.shared.eager.load(Ordering::SeqCst) => {
                        Redirect::to(&page).into_response()
                    }
                    _ => "sign in here".into_response(),
                },
            ),
        )
        .route(
            "/sign-in",
            post(async |State(app): State<App>| {
                let error = app.step_up.sign_in(Subject::new("kim").unwrap(), Method::Password).await.unwrap_err();
                format!("{:?}: {}", error.kind(), std::error::Error::source(&error).unwrap())
            }),
        )
}

fn failed<E>(_: E) -> Response {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Logins and logouts as every application with axum-login has them.
pub fn axum_login() -> Router<App> {
    type Auth = AuthSession<Backend>;

    async fn log_in(mut auth: Auth, Path(name): Path<String>) -> Result<(), Response> {
        let user = auth.backend.user(&name).ok_or(StatusCode::UNAUTHORIZED.into_response())?;
        auth.login(&user).await.map_err(failed)
    }

    Router::new()
        .route("/login/{name}", post(log_in))
        .route(
            "/login-that-proves/{name}",
            post(async |State(app): State<App>, auth: Auth, name: Path<String>| {
                app.step_up.proved(&auth.session, Method::Password).await.map_err(failed)?;
                log_in(auth, name).await
            }),
        )
        .route("/logout", post(async |mut auth: Auth| auth.logout().await.map_err(failed).map(drop)))
        .route(
            "/password/{new}",
            post(async |mut auth: Auth, Path(new): Path<String>| {
                let name = auth.user.take().ok_or(StatusCode::UNAUTHORIZED.into_response())?.name;
                auth.backend.set_password(&name, &new);
                let user = auth.backend.user(&name).unwrap();
                auth.login(&user).await.map_err(failed)
            }),
        )
        .route(
            "/crash-after-login/{name}",
            post(async |mut auth: Auth, Path(name): Path<String>| {
                let user = auth.backend.user(&name).unwrap();
                auth.login(&user).await.unwrap();
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
}

/// What is the same with each version of tower-sessions.
macro_rules! tower_sessions {
    ($module:ident, $tower_sessions:ident) => {
        pub mod $module {
            use super::*;
            use $tower_sessions::Session;

            pub async fn user_of(session: Session) -> Result<Option<HostUser>, SourceError> {
                let Some(user) = session.get::<String>("user").await? else { return Ok(None) };
                let stamp = session.get::<String>("stamp").await?.unwrap_or_default();
                Ok(Some(HostUser::new(Subject::new(user)?).with_stamp(stamp)))
            }

            /// What is there whoever signs users in.
            pub fn any_login() -> Router<App> {
                Router::new()
                    .route(
                        "/basket",
                        post(async |session: Session| {
                            let basket: u32 = session.get("basket").await.unwrap().unwrap_or(0);
                            session.insert("basket", basket + 1).await.unwrap();
                        }),
                    )
                    .route(
                        "/slow",
                        post(async |State(app): State<App>, session: Session| {
                            let basket: u32 = session.get("basket").await.unwrap().unwrap_or(0);
                            app.shared.reached.notify_one();
                            app.shared.go_on.notified().await;
                            session.insert("basket", basket + 1).await.unwrap();
                        }),
                    )
                    .route("/flush", post(async |session: Session| session.flush().await.unwrap()))
                    .route("/clear", post(async |session: Session| session.clear().await))
            }

            /// A layer that writes the session in each request, such as one that counts or remembers when somebody was last seen.
            pub async fn counts(session: Session, request: Request, next: Next) -> Response {
                let seen: u32 = session.get("seen").await.unwrap().unwrap_or(0);
                session.insert("seen", seen + 1).await.unwrap();
                next.run(request).await
            }

            /// Logins and logouts by hand.
            pub fn own_login() -> Router<App> {
                async fn log_in(
                    State(app): State<App>,
                    session: Session,
                    Path(name): Path<String>,
                ) -> Result<(), Response> {
                    let user = app.backend.user(&name).ok_or(StatusCode::UNAUTHORIZED.into_response())?;
                    if session.get::<String>("user").await.map_err(failed)? != Some(user.name.clone()) {
                        session.cycle_id().await.map_err(failed)?;
                    }
                    session.insert("user", user.name).await.map_err(failed)?;
                    session.insert("stamp", user.password).await.map_err(failed)
                }

                Router::new()
                    .route("/login/{name}", post(log_in))
                    .route(
                        "/login-that-proves/{name}",
                        post(async |app: State<App>, session: Session, name: Path<String>| {
                            app.step_up.proved(&session, Method::Password).await.map_err(failed)?;
                            log_in(app, session, name).await
                        }),
                    )
                    .route("/logout", post(async |session: Session| session.flush().await.map_err(failed)))
                    .route(
                        "/logout-that-asks",
                        post(async |_: Option<CurrentSession>, session: Session| session.flush().await.map_err(failed)),
                    )
                    .route(
                        "/password/{new}",
                        post(async |session: Session, Path(new): Path<String>| {
                            session.insert("stamp", new).await.map_err(failed)
                        }),
                    )
                    .route(
                        "/crash-after-login/{name}",
                        post(async |session: Session, Path(name): Path<String>| {
                            session.cycle_id().await.unwrap();
                            session.insert("user", name).await.unwrap();
                            StatusCode::INTERNAL_SERVER_ERROR
                        }),
                    )
            }
        }
    };
}

tower_sessions!(version_0_14, tower_sessions_0_14);
tower_sessions!(version_0_15, tower_sessions_0_15);
