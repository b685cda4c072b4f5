use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;
use tower_step_up::{Method, StepUp};
use tower_step_up_sessions::Proved;

use crate::users::{AuthSession, Credentials};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginTemplate {
    message: Option<&'static str>,
    next: Option<String>,
}

/// Where to go after the login.
#[derive(Deserialize)]
struct NextUrl {
    #[serde(alias = "return_to")]
    next: Option<String>,
}

pub fn router() -> Router<StepUp> {
    Router::new()
        .route("/login", get(self::get::login).post(self::post::login))
        .route("/logout", get(self::get::logout))
}

fn page(message: Option<&'static str>, next: Option<String>) -> Response {
    match (LoginTemplate { message, next }).render() {
        Ok(page) => Html(page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

mod post {
    use super::*;

    pub async fn login(
        State(step_up): State<StepUp>,
        mut auth_session: AuthSession,
        Form(creds): Form<Credentials>,
    ) -> Response {
        let user = match auth_session.authenticate(creds.clone()).await {
            Ok(Some(user)) => user,
            Ok(None) => return page(Some("Invalid credentials."), creds.next),
            Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };

        if auth_session.login(&user).await.is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        // So that a login of a user who is signed in already counts as well.
        if step_up.proved(&auth_session.session, Method::Password).await.is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }

        // Only to a page of this site.
        let next = creds.next.and_then(|next| step_up.return_url(&next));
        Redirect::to(next.as_deref().unwrap_or("/")).into_response()
    }
}

mod get {
    use super::*;

    pub async fn login(Query(NextUrl { next }): Query<NextUrl>) -> Response {
        page(None, next)
    }

    pub async fn logout(mut auth_session: AuthSession) -> Response {
        match auth_session.logout().await {
            Ok(_) => Redirect::to("/login").into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}
