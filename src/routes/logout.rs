//! Logout: with URL and token for browsers, with the session token for native clients.

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use constant_time_eq::constant_time_eq;
use serde::Deserialize;
use serde_json::json;

use super::{
    answer, background,
    body::{self, Received},
    failure::Failure,
    query::Query,
    return_to::return_to,
    scope::{Scope, Site},
};
use crate::{
    audit::AuditEventKind,
    engine::Engine,
    flow::csrf::CsrfToken,
    headers::negotiation,
    session::{Session, SessionId},
    source::Evidence,
};

/// `GET /self-service/logout/browser`: the URL that ends this session. Always in JSON.
pub(crate) async fn begin(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    let json = negotiation::wants_json(&scope.headers);
    let begun = begin_logout(&scope, &Query::of(&uri)).await;
    begun.unwrap_or_else(|failure| failure.respond(&scope, json))
}

async fn begin_logout(scope: &Scope, query: &Query) -> Result<Response, Failure> {
    let engine = scope.engine();
    let return_to = return_to(scope, query).await?;
    let found = scope.evidence().await?.ok_or(Failure::NoSession)?;
    let token = logout_token(engine, &found.session).ok_or(Failure::Unavailable)?;
    let parameters = [("token", Some(token.as_str())), ("return_to", return_to.as_ref().map(url::Url::as_str))];
    let url = engine.urls.route("self-service/logout", &parameters);
    Ok(answer::json(StatusCode::OK, &json!({ "logout_url": url, "logout_token": token })))
}

/// `GET /self-service/logout?token=..`: only with the token, so no link or image of another site can log a user out.
pub(crate) async fn finish(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    // A browser that guesses where the user goes next logs nobody out.
    if let Some(answer) = background::prefetched(&scope) {
        return answer;
    }
    let json = negotiation::wants_json(&scope.headers);
    let finished = log_out(&scope, &Query::of(&uri), json).await;
    finished.unwrap_or_else(|failure| failure.respond(&scope, json))
}

async fn log_out(scope: &Scope, query: &Query, json: bool) -> Result<Response, Failure> {
    let engine = scope.engine();
    let return_to = return_to(scope, query).await?;
    let token = query.one("token")?.ok_or(Failure::MissingLogoutToken)?;
    let Some(found) = scope.evidence().await? else {
        // Nothing of the application's session is left that the token could be compared with. Nobody is signed in, and nothing changes.
        if engine.is_hosted() {
            return Ok(logged_out(scope, return_to.as_ref(), json));
        }
        if !logged_out_already(scope, token).await? {
            return Err(Failure::NoSession);
        }
        // Clicked twice, or the first answer was lost.
        scope.context.report_refusal(AuditEventKind::Repeated);
        return Ok(logged_out(scope, return_to.as_ref(), json));
    };
    let expected = logout_token(engine, &found.session).ok_or(Failure::Unavailable)?;
    if !constant_time_eq(expected.as_bytes(), token.as_bytes()) {
        return Err(Failure::WrongLogoutToken);
    }
    sign_out(scope, &found.session).await?;
    Ok(logged_out(scope, return_to.as_ref(), json))
}

/// Ends the session of the client, and that of the application first, if it has one.
pub(super) async fn sign_out(scope: &Scope, session: &Session) -> Result<(), Failure> {
    let engine = scope.engine();
    if let (Some(hosted), Some(clue)) = (&engine.hosted, scope.context.clue()) {
        hosted.log_out(clue, scope.now()).await?;
        return Ok(());
    }
    Ok(engine.sign_out(session, &scope.context.origin()).await?)
}

/// Whether this token's session has ended, and no other has replaced it.
async fn logged_out_already(scope: &Scope, token: &str) -> Result<bool, Failure> {
    let engine = scope.engine();
    let Some(presented) = scope.presented() else { return Ok(false) };
    let expected = engine.sessions.keys.logout_token(presented.id).ok_or(Failure::Unavailable)?;
    if !constant_time_eq(expected.as_bytes(), token.as_bytes()) {
        return Ok(false);
    }
    Ok(engine.stores.session_of(&presented.subject, presented.binding, scope.now()).await?.is_none())
}

fn logged_out(scope: &Scope, return_to: Option<&url::Url>, json: bool) -> Response {
    let engine = scope.engine();
    let mut response = if json {
        answer::empty(StatusCode::NO_CONTENT)
    } else {
        answer::see_other(return_to.unwrap_or(&engine.urls.after_logout))
    };
    forget_user(&mut response, engine);
    response
}

/// Takes the session's cookie away from the browser.
pub(super) fn forget_user(response: &mut Response, engine: &Engine) {
    answer::set_cookie(response, engine.sessions.cookies.session_removal());
    // The next user of this browser gets a CSRF token of their own.
    if let Some(csrf) = CsrfToken::random() {
        answer::set_cookie(response, engine.sessions.cookies.csrf(&csrf.cookie_value()));
    }
}

fn logout_token(engine: &Engine, session: &Session) -> Option<String> {
    engine.sessions.keys.logout_token(session.id()?)
}

#[derive(Deserialize)]
struct NativeLogout {
    session_token: Option<String>,
}

/// `DELETE /self-service/logout/api`
pub(crate) async fn native(State(_): State<Site>, scope: Scope, body: Body) -> Response {
    match body::receive(&scope, body, body::SMALL).await {
        Ok(Received { bytes, scope, .. }) => {
            native_logout(&scope, &bytes).await.unwrap_or_else(|failure| failure.respond(&scope, true))
        }
        Err(failure) => failure.respond(&scope, true),
    }
}

/// Ends the session of the token in the body. If it has ended already, that is a success too. A token that a rotation replaced is
/// refused.
async fn native_logout(scope: &Scope, body: &Bytes) -> Result<Response, Failure> {
    let engine = scope.engine();
    let now = scope.now();
    let body: NativeLogout = serde_json::from_slice(body).map_err(|_| Failure::BadBody)?;
    let token = body.session_token.ok_or(Failure::WrongSessionToken)?;
    let verified = engine.sessions.keys.verify(&token, now).map_err(|_| Failure::WrongSessionToken)?;
    if engine.is_hosted()
        && let Some(Evidence { session, .. }) = scope.evidence().await?
        && (session.subject(), session.binding()) == (&verified.subject, Some(verified.binding))
    {
        sign_out(scope, session).await?;
        return Ok(answer::empty(StatusCode::NO_CONTENT));
    }
    let id: SessionId = verified.id;
    let sessions = engine.stores.sessions(&verified.subject, now).await?;
    if let Some(session) = sessions.iter().find(|session| session.id() == id) {
        scope.engine().sign_out(session.as_ref(), &scope.context.origin()).await?;
    } else if sessions.iter().any(|session| session.binding() == verified.binding) {
        return Err(Failure::WrongSessionToken);
    }
    Ok(answer::empty(StatusCode::NO_CONTENT))
}
