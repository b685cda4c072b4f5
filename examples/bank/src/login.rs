//! The first factor, which belongs to the bank and not to the crate: a form for browsers, JSON for other clients, and logout.

use askama::Template;
use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use tower_step_up::{CurrentSession, Method, SessionContext};

use crate::{
    Bank,
    pages::{Failure, page, root},
};

pub(crate) fn routes() -> Router<Bank> {
    Router::new()
        .route("/login", get(form).post(login))
        .route("/api/login", post(api_login))
        .route("/logout", post(logout))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    return_to: Option<String>,
    wrong: bool,
}

#[derive(Deserialize)]
struct ReturnTo {
    return_to: Option<String>,
}

// No `Debug`, so that no password gets into a log.
#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
    return_to: Option<String>,
}

async fn form(State(bank): State<Bank>, Query(query): Query<ReturnTo>) -> Result<Response, Failure> {
    let return_to = query.return_to.and_then(|text| bank.step_up.return_url(&text));
    Ok(page(&LoginPage { return_to, wrong: false })?.into_response())
}

async fn login(
    State(bank): State<Bank>,
    old: Option<CurrentSession>,
    context: SessionContext,
    Form(credentials): Form<Credentials>,
) -> Result<Response, Failure> {
    // Check it here too, since the client can change a field of the form. The result is a page of this bank or `None`, so nobody
    // is sent to another site.
    let return_to = credentials.return_to.and_then(|text| bank.step_up.return_url(&text));
    let Some(subject) = bank.users.verify(&credentials.username, &credentials.password).await? else {
        let page = page(&LoginPage { return_to, wrong: true })?;
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    };
    // So the list of sessions says which browser it was.
    let step_up = bank.step_up.for_request(&context);
    let signed_in = match old {
        // The same user: keep the session and the second factor that was proven in it.
        Some(old) if *old.subject() == subject => step_up.reauthenticate(old.session(), Method::Password).await?,
        // Another user: end the old session, since the browser loses its cookie.
        Some(old) => {
            step_up.sign_out(old.session()).await?;
            step_up.sign_in(subject, Method::Password).await?
        }
        None => step_up.sign_in(subject, Method::Password).await?,
    };
    Ok((signed_in, Redirect::to(return_to.as_deref().unwrap_or(&home()))).into_response())
}

async fn api_login(
    State(bank): State<Bank>,
    context: SessionContext,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Failure> {
    let Some(subject) = bank.users.verify(&credentials.username, &credentials.password).await? else {
        let body = Json(json!({ "error": "the username or password is wrong" }));
        return Ok((StatusCode::UNAUTHORIZED, body).into_response());
    };
    let signed_in = bank.step_up.for_request(&context).sign_in(subject, Method::Password).await?;
    let session = bank.step_up.describe(signed_in.session()).await?;
    // The client keeps the token, so it gets no cookie.
    Ok(Json(json!({ "session_token": signed_in.token().as_str(), "session": session })).into_response())
}

/// Where browsers go without a page to return to.
fn home() -> String {
    format!("{}/", root())
}

async fn logout(
    State(bank): State<Bank>,
    session: Option<CurrentSession>,
    context: SessionContext,
) -> Result<Response, Failure> {
    if let Some(session) = session {
        bank.step_up.for_request(&context).sign_out(session.session()).await?;
    }
    let mut response = Redirect::to(&home()).into_response();
    if let Some(cookie) = bank.step_up.removal_cookie() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
