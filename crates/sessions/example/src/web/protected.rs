use std::time::Duration;

use askama::Template;
use axum::{
    Router,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tower_step_up::{RequireAal2, Requirement, RouterExt, StepUp};

use crate::users::AuthSession;

#[derive(Template)]
#[template(path = "protected.html")]
struct ProtectedTemplate {
    title: &'static str,
    username: String,
}

pub fn router() -> Router<StepUp> {
    Router::new()
        .route("/", get(|user| self::get::protected("Home", user)))
        .route("/payments", get(|user| self::get::protected("Payments", user)).layer(RequireAal2))
        .route_requiring(
            "/transfer",
            Requirement::aal2().max_age(Duration::from_secs(300)),
            get(|user| self::get::protected("Transfer", user)),
        )
}

mod get {
    use super::*;

    pub async fn protected(title: &'static str, auth_session: AuthSession) -> Response {
        let Some(user) = auth_session.user else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        match (ProtectedTemplate { title, username: user.username }).render() {
            Ok(page) => Html(page).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}
