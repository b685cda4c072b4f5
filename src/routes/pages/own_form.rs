//! Forms of our own pages that no flow has: received, and checked for whether the session of this browser was shown them.

use axum::body::Body;
use url::Url;

use crate::{
    factor::Form,
    flow::csrf::{self, CsrfToken},
    routes::{
        body::{self, Received},
        failure::Failure,
        scope::Scope,
        settings::{Refused, session},
    },
    session::Session,
};

/// The token of such forms in a page for this session, made of the browser's own token.
pub(super) fn token_for(token: &CsrfToken, scope: &Scope, session: &Session) -> Option<String> {
    token.of_session(&scope.engine().sealer, session.binding()?)?.mask()
}

/// The form, and its request at the instant at which it is there: judge it by that. Without a session, browsers come back to `page` after the
/// login.
pub(super) async fn receive(scope: &Scope, body: Body, page: &Url) -> Result<(Scope, Form), Refused> {
    let engine = scope.engine();
    let login = engine.urls.login(false, false, Some(page));
    // What the head refuses is refused before the body.
    if !csrf::origin_is_ours(&scope.headers, &engine.urls.page_origins) {
        return Err(Failure::Csrf.into());
    }
    session(scope, login.clone()).await?;
    let Received { bytes, scope, .. } = body::receive(scope, body, body::SMALL).await?;
    let form = body::form(&scope.headers, bytes).await.map_err(|_| Failure::BadBody)?;
    check(&scope, &form, login).await?;
    Ok((scope, form))
}

/// Whether the form has the token of this browser and this session. The head has shown already that no other site sent it, where the browser
/// says so.
async fn check(scope: &Scope, form: &Form, login: Url) -> Result<(), Refused> {
    let engine = scope.engine();
    let own = session(scope, login).await?.session.binding().ok_or(Failure::NoSession)?;
    let token = CsrfToken::from_cookie(&scope.headers, &engine.sessions.cookies.csrf);
    match token.zip(form.get("csrf_token")) {
        Some((token, value)) if token.fits_session(value, &engine.sealer, own) => Ok(()),
        _ => Err(Failure::Csrf.into()),
    }
}
