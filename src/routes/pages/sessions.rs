//! The page with the subject's sessions, which ends them. `/sessions` is the same for programs.

use askama::Template;
use axum::{body::Body, extract::State, response::Response};
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use super::{
    frame::{Frame, Shown, show as show_page},
    own_form,
};
use crate::{
    aal::{Method, Proof},
    client::Client,
    clock::Timestamp,
    engine::Engine,
    factor::Form,
    flow::csrf::CsrfToken,
    requirement::Requirement,
    routes::{
        answer,
        failure::Failure,
        logout::{forget_user, sign_out},
        recent_proof::may_end_others,
        scope::{Scope, Site},
        sessions::end_one,
        settings::{Refused, meets, session},
    },
    session::{Session, SessionId, StoredSession},
    source::Evidence,
    store::Revocation,
    wire::ui::message::minute,
};

#[derive(Template, Serialize)]
#[template(path = "sessions.html")]
struct SessionsPage<'a> {
    frame: Frame<'a>,
    account: &'a str,
    action: String,
    csrf: String,
    sessions: Vec<Entry>,
    /// Whether the sign-ins are the application's, and only what was confirmed in them can be ended here.
    hosted: bool,
    home: &'a str,
}

impl Shown for SessionsPage<'_> {
    const NAME: &'static str = "sessions";

    fn frame(&self) -> &Frame<'_> {
        &self.frame
    }
}

/// One session.
#[derive(Serialize)]
struct Entry {
    id: SessionId,
    /// Whether it is the one that asks.
    here: bool,
    since: String,
    confirmed: String,
    ends: String,
    methods: String,
    /// Software and address of the client that the user signed in with, or empty.
    software: String,
    address: String,
}

impl Entry {
    fn of(session: &StoredSession, own: Option<SessionId>, frame: &Frame<'_>) -> Self {
        let proofs = session.proofs().iter().filter(|proof| !proof.is_device_note());
        let mut methods: Vec<_> = proofs.map(Proof::method).map(name).collect();
        methods.dedup();
        let methods: Vec<_> = methods.into_iter().map(|id| frame.say(id)).collect();
        let device = session.device();
        Self {
            id: session.id(),
            here: Some(session.id()) == own,
            since: minute(session.issued_at()),
            confirmed: minute(session.authenticated_at()),
            ends: minute(session.expires_at()),
            methods: methods.join(", "),
            software: device.and_then(Client::user_agent).unwrap_or_default().to_owned(),
            address: device.and_then(Client::address).map(|address| address.to_string()).unwrap_or_default(),
        }
    }
}

impl Entry {
    /// The application's own session, of which nothing is stored.
    fn unconfirmed(session: &Session) -> Option<Self> {
        let minute = |at: Option<Timestamp>| at.map(minute).unwrap_or_default();
        Some(Self {
            id: session.id()?,
            here: true,
            since: minute(session.issued_at()),
            confirmed: String::new(),
            ends: minute(session.expires_at()),
            methods: String::new(),
            software: String::new(),
            address: String::new(),
        })
    }
}

/// The id of the method's name.
fn name(method: Method) -> &'static str {
    match method {
        Method::Password => "method-password",
        Method::Totp => "method-totp",
        Method::LookupSecret => "method-lookup-secret",
        Method::WebAuthn | Method::Passkey => "method-webauthn",
        Method::Code => "method-code",
        Method::Oidc | Method::Saml => "method-oidc",
        _ => "method-other",
    }
}

/// The page's address.
pub(super) fn url(engine: &Engine) -> Url {
    engine.urls.route("self-service/ui/sessions", &[])
}

/// `GET /self-service/ui/sessions`
pub(crate) async fn list(State(_): State<Site>, scope: Scope) -> Response {
    show(&scope).await.unwrap_or_else(|refused| refused.respond(&scope, false))
}

/// The session of the request, if it may see the others: the gate of `GET /sessions`.
async fn found(scope: &Scope) -> Result<&Evidence, Refused> {
    let engine = scope.engine();
    let page = url(engine);
    let without = engine.urls.login(false, false, Some(&page));
    let found = session(scope, without.clone()).await?;
    meets(scope, Requirement::from(engine.whoami_required_aal()).without_trusted_devices(), Some(&page), &without)
        .await?;
    Ok(found)
}

async fn show(scope: &Scope) -> Result<Response, Refused> {
    let engine = scope.engine();
    let found = found(scope).await?;
    let own = found.session.id();
    let mut sessions = engine.sessions_of(found.session.subject(), scope.now()).await?;
    // The own one first, then the newest.
    sessions.sort_by_key(|one| (Some(one.id()) != own, std::cmp::Reverse(one.authenticated_at())));
    let frame = Frame::of(scope, Some(found.session.subject())).await;
    let mut entries: Vec<_> = sessions.iter().map(|session| Entry::of(session, own, &frame)).collect();
    if !entries.iter().any(|entry| entry.here) {
        // Nothing was confirmed in it yet.
        entries.splice(0..0, Entry::unconfirmed(&found.session));
    }
    let account = engine.users.identifier(found.session.subject()).await?;
    let known = CsrfToken::from_cookie(&scope.headers, &engine.sessions.cookies.csrf);
    let token = known.clone().or_else(CsrfToken::random).ok_or(Failure::Unavailable)?;
    let csrf = own_form::token_for(&token, scope, &found.session);
    let page = SessionsPage {
        frame,
        account: &account,
        action: url(engine).into(),
        csrf: csrf.ok_or(Failure::Unavailable)?,
        sessions: entries,
        hosted: engine.is_hosted(),
        home: engine.urls.default_return.as_str(),
    };
    let mut response = show_page(engine, &page)?;
    if known.is_none() {
        answer::set_cookie(&mut response, engine.sessions.cookies.csrf(&token.cookie_value()));
    }
    Ok(response)
}

/// `POST /self-service/ui/sessions` with `session`: an id, or `others`.
pub(crate) async fn end(State(_): State<Site>, scope: Scope, body: Body) -> Response {
    match own_form::receive(&scope, body, &url(scope.engine())).await {
        Ok((scope, form)) => ended(&scope, &form).await.unwrap_or_else(|refused| refused.respond(&scope, false)),
        Err(refused) => refused.respond(&scope, false),
    }
}

async fn ended(scope: &Scope, form: &Form) -> Result<Response, Refused> {
    let engine = scope.engine();
    let page = url(engine);
    let found = session(scope, engine.urls.login(false, false, Some(&page))).await?;
    let own = found.session.binding().ok_or(Failure::NoSession)?;
    let subject = found.session.subject();
    let origin = scope.context.origin();
    let named = form.get("session").ok_or(Failure::BadSessionId)?;
    let id = if named == "others" {
        None
    } else {
        Some(SessionId::from(Uuid::try_parse(named).map_err(|_| Failure::BadSessionId)?))
    };
    // Signing out takes no more than the session.
    if id.zip(found.session.id()).is_some_and(|(id, own)| own.is_of_same_session(id)) {
        sign_out(scope, &found.session).await?;
        let mut response = answer::see_other(&engine.urls.after_logout);
        forget_user(&mut response, engine);
        return Ok(response);
    }
    may_end_others(scope, &found.session, Some(&page)).await?;
    match id {
        None => {
            engine.revoke(subject, Revocation::Others(own), &origin).await?;
        }
        Some(id) => end_one(scope, subject, id).await?,
    }
    Ok(answer::see_other(&page))
}
