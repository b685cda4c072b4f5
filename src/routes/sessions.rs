//! `/sessions`: the subject's other sessions, and ending them.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    response::Response,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    answer,
    failure::Failure,
    query::Query,
    recent_proof::may_end_others,
    scope::{Scope, Site},
    settings::Refused,
    whoami,
};
use crate::{
    session::{Session, SessionId, Subject},
    store::Revocation,
};

const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");
const DEFAULT_PAGE_SIZE: usize = 250;
const MAX_PAGE_SIZE: usize = 1000;

/// `GET /sessions`: all sessions but the client's own, behind the same gate as whoami. Always JSON.
pub(crate) async fn list(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    let listed = match whoami::gate(&scope).await {
        Ok(Ok(found)) => list_others(&scope, &found.session, &Query::of(&uri)).await,
        Ok(Err(response)) => Ok(response),
        Err(failure) => Err(failure),
    };
    listed.unwrap_or_else(|failure| failure.respond(&scope, true))
}

/// Which part of the list: `page` counts from 1, `page_token` is the number of entries to skip.
struct Page {
    skip: usize,
    size: usize,
}

impl Page {
    fn read(query: &Query) -> Result<Self, Failure> {
        let number = |name: &str| match query.one(name)? {
            None => Ok(None),
            // Digits alone: the parser would take a sign too.
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse::<usize>().map(Some).map_err(|_| Failure::BadPage)
            }
            Some(_) => Err(Failure::BadPage),
        };
        let size = match number("page_size")? {
            Some(size) => Some(size),
            None => number("per_page")?,
        };
        let size = size.unwrap_or(DEFAULT_PAGE_SIZE).clamp(1, MAX_PAGE_SIZE);
        let skip = match (number("page_token")?, number("page")?) {
            (Some(skip), _) => skip,
            (None, Some(page)) => page.saturating_sub(1).saturating_mul(size),
            (None, None) => 0,
        };
        Ok(Self { skip, size })
    }
}

async fn list_others(scope: &Scope, own: &Session, query: &Query) -> Result<Response, Failure> {
    let engine = scope.engine();
    let now = scope.now();
    let page = Page::read(query)?;
    let identity = engine.identity(own.subject()).await?;
    let mut others = engine.sessions_of(own.subject(), now).await?;
    others.retain(|session| Some(session.id()) != own.id());
    let total = others.len();
    let mut shown = Vec::new();
    // Each has a standing of its own: an address that has proven its first factor is no second one.
    let credentials = engine.stores.credentials(own.subject()).await?;
    for session in others.iter().skip(page.skip).take(page.size) {
        let standing = engine.standing_with(&credentials, session.subject(), session.proofs()).await?;
        shown.push(engine.session_view(session, &standing, &identity, now));
    }
    let mut response = answer::json(StatusCode::OK, &Value::Array(shown));
    let headers = response.headers_mut();
    headers.insert(TOTAL_COUNT, total.into());
    if let Ok(links) = HeaderValue::from_str(&links(scope, &page, total)) {
        headers.insert(header::LINK, links);
    }
    Ok(response)
}

/// RFC 8288 links to the first page, and to the next if there is one.
fn links(scope: &Scope, page: &Page, total: usize) -> String {
    let link = |skip: usize, relation: &str| {
        let (size, skip) = (page.size.to_string(), skip.to_string());
        let url = scope.engine().urls.route("sessions", &[("page_size", Some(&size)), ("page_token", Some(&skip))]);
        format!("<{url}>; rel=\"{relation}\"")
    };
    let next = page.skip.saturating_add(page.size);
    let mut links = vec![link(0, "first")];
    if next < total {
        links.push(link(next, "next"));
    }
    links.join(", ")
}

/// `DELETE /sessions`: ends all sessions but the client's own. No gate of a level, but the proof of `recent_proof`.
pub(crate) async fn revoke_others(State(_): State<Site>, scope: Scope) -> Response {
    let revoked = async {
        let found = scope.evidence().await?.ok_or(Failure::NoSession)?;
        let which = Revocation::Others(found.session.binding().ok_or(Failure::NoSession)?);
        may_end_others(&scope, &found.session, None).await?;
        let count = scope.engine().revoke(found.session.subject(), which, &scope.context.origin()).await?;
        Ok::<_, Refused>(answer::json(StatusCode::OK, &json!({ "count": count })))
    };
    revoked.await.unwrap_or_else(|refused| refused.respond(&scope, true))
}

/// `DELETE /sessions/{id}`: ends another of the subject's sessions. An unknown id counts as ended. It takes the same proof.
pub(crate) async fn revoke_one(
    State(_): State<Site>,
    path: Result<Path<String>, PathRejection>,
    scope: Scope,
) -> Response {
    let revoked = async {
        let found = scope.evidence().await?.ok_or(Failure::NoSession)?;
        let Path(id) = path.map_err(|_| Failure::BadSessionId)?;
        let id = Uuid::try_parse(&id).ok().filter(|parsed| parsed.to_string() == id).map(SessionId::from);
        let id = id.ok_or(Failure::BadSessionId)?;
        if found.session.id().is_some_and(|own| own.is_of_same_session(id)) {
            return Err(Failure::OwnSession.into());
        }
        may_end_others(&scope, &found.session, None).await?;
        end_one(&scope, found.session.subject(), id).await?;
        Ok::<_, Refused>(answer::empty(StatusCode::NO_CONTENT))
    };
    revoked.await.unwrap_or_else(|refused| refused.respond(&scope, true))
}

/// Ends this session of the subject, if it is there, or the one that has replaced it.
pub(super) async fn end_one(scope: &Scope, subject: &Subject, id: SessionId) -> Result<(), Failure> {
    let sessions = scope.engine().sessions_of(subject, scope.now()).await?;
    if let Some(session) = sessions.iter().find(|session| session.id().is_of_same_session(id)) {
        scope.engine().sign_out(session.as_ref(), &scope.context.origin()).await?;
    }
    Ok(())
}
