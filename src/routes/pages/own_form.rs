//! Forms of our own pages that no flow has: received, and checked for whether the session of this browser was shown them.

use axum::body::{Body, Bytes};
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
    session::{BindingKey, Session},
};

/// A form that is there, and its request at that instant: judge it by that.
pub(super) struct OwnForm {
    pub(super) scope: Scope,
    pub(super) bytes: Bytes,
    pub(super) form: Form,
}

/// The token of such forms in a page for this session, made of the browser's own token.
pub(super) fn token_for(token: &CsrfToken, scope: &Scope, session: &Session) -> Option<String> {
    token.of_session(&scope.engine().sealer, session.binding()?)?.mask()
}

/// The form of a session that is there. Without one, browsers come back to `page` after the login.
pub(super) async fn receive(scope: &Scope, body: Body, page: &Url) -> Result<(Scope, Form), Refused> {
    let login = scope.engine().urls.login(false, false, Some(page));
    // What the head refuses is refused before the body.
    check_origin(scope)?;
    session(scope, login.clone()).await?;
    let OwnForm { scope, form, .. } = read(scope, body).await?;
    check_token(&scope, &form, session(&scope, login).await?.session.binding())?;
    Ok((scope, form))
}

/// Whether the head says that another site sent the form.
pub(super) fn check_origin(scope: &Scope) -> Result<(), Failure> {
    let ours = csrf::origin_is_ours(&scope.headers, &scope.engine().urls.page_origins);
    if ours { Ok(()) } else { Err(Failure::Csrf) }
}

/// Waits for the form.
pub(super) async fn read(scope: &Scope, body: Body) -> Result<OwnForm, Failure> {
    let Received { bytes, scope, .. } = body::receive(scope, body, body::SMALL).await?;
    let form = body::form(&scope.headers, bytes.clone()).await.map_err(|_| Failure::BadBody)?;
    Ok(OwnForm { scope, bytes, form })
}

/// Whether the form has the token of this browser and this session. The head has shown already that no other site sent it, where the browser
/// says so.
pub(super) fn check_token(scope: &Scope, form: &Form, own: Option<BindingKey>) -> Result<(), Failure> {
    let engine = scope.engine();
    let token = CsrfToken::from_cookie(&scope.headers, &engine.sessions.cookies.csrf);
    let own = own.ok_or(Failure::NoSession)?;
    match token.zip(form.get("csrf_token")) {
        Some((token, value)) if token.fits_session(value, &engine.sealer, own) => Ok(()),
        _ => Err(Failure::Csrf),
    }
}
