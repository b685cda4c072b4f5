//! The page that shows an error.

use askama::Template;
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use serde::Serialize;

use super::{
    frame::{Frame, Shown, show},
    sessions,
};
use crate::routes::{
    failure::{Failure, WayOut},
    query::Query,
    scope::{Scope, Site},
};

#[derive(Template, Serialize)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame<'a>,
    title: String,
    reason: String,
    next: Option<Next>,
    home: &'a str,
}

/// Where the user can go, apart from back to the application.
#[derive(Serialize)]
struct Next {
    href: String,
    label: String,
}

impl Shown for ErrorPage<'_> {
    const NAME: &'static str = "error";

    fn frame(&self) -> &Frame<'_> {
        &self.frame
    }
}

/// `GET /self-service/ui/error?id=<id>`
pub(crate) async fn error(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    let engine = scope.engine();
    let id = Query::of(&uri).id("id").ok().flatten();
    let failure = id.and_then(Failure::of_page).unwrap_or(Failure::UnknownError);
    // If nobody can say, signing in is never wrong.
    let found = scope.evidence().await.ok().flatten();
    let frame = Frame::of(&scope, found.map(|found| found.session.subject())).await;
    let page = ErrorPage {
        title: frame.say(title(failure.envelope().status())),
        reason: frame.spoken.sentence(failure.envelope().reason()),
        next: next(&scope, &frame, failure, found.is_some()),
        home: engine.urls.default_return.as_str(),
        frame,
    };
    show(engine, &page).unwrap_or_else(|failure| failure.respond(&scope, true))
}

/// What the user can do about a failure.
fn next(scope: &Scope, frame: &Frame<'_>, failure: Failure, signed_in: bool) -> Option<Next> {
    let engine = scope.engine();
    let begin = || String::from(engine.urls.login(signed_in, false, None));
    let (href, label) = match failure.way_out() {
        WayOut::SignIn if signed_in => return None,
        WayOut::BeginAnew if signed_in => (begin(), "error-begin-again"),
        WayOut::SignIn | WayOut::BeginAnew => (begin(), "error-sign-in"),
        WayOut::TryAgain => (begin(), "error-try-again"),
        WayOut::Sessions => (sessions::url(engine).into(), "sessions-title"),
        WayOut::GoBack => return None,
    };
    Some(Next { href, label: frame.say(label) })
}

/// The id of the title.
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "error-unauthorized",
        StatusCode::NOT_FOUND => "error-not-found",
        StatusCode::SERVICE_UNAVAILABLE => "error-unavailable",
        _ => "error-title",
    }
}
