//! The trusted devices on the settings page, which ends them.

use axum::{body::Body, extract::State, response::Response};
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use super::own_form;
use crate::{
    aal::CredentialId,
    engine::{Engine, ShownDevice},
    factor::Form,
    flow::{csrf::CsrfToken, owner::Owner},
    routes::{
        answer,
        failure::Failure,
        recent_proof::may_forget_devices,
        scope::{Scope, Site},
        settings::{Refused, session},
        trusted_device::cookie_of,
    },
    session::Session,
    wire::ui::message::minute,
};

/// What the page shows.
#[derive(Serialize)]
pub(super) struct Devices {
    pub(super) action: String,
    pub(super) csrf: String,
    pub(super) entries: Vec<Entry>,
}

/// One device.
#[derive(Serialize)]
pub(super) struct Entry {
    pub(super) id: CredentialId,
    /// Whether it is the one that asks.
    pub(super) here: bool,
    pub(super) name: String,
    pub(super) since: String,
    pub(super) used: String,
    pub(super) until: String,
}

impl Devices {
    /// The owner's devices; `None` if there are none.
    pub(super) fn of(scope: &Scope, session: &Session, owner: &Owner) -> Option<Self> {
        let engine = scope.engine();
        let here = cookie_of(&scope.headers, engine).map(|cookie| cookie.id());
        let shown = |device: ShownDevice| Entry {
            id: device.id,
            here: here == Some(device.id),
            name: device.name,
            since: minute(device.since),
            used: device.last_used_at.map(minute).unwrap_or_default(),
            until: minute(device.until),
        };
        let devices = engine.trusted_devices(&owner.credentials, &owner.standing(engine), scope.now());
        let entries: Vec<_> = devices.into_iter().map(shown).collect();
        if entries.is_empty() {
            return None;
        }
        let token = CsrfToken::from_cookie(&scope.headers, &engine.sessions.cookies.csrf)?;
        let csrf = own_form::token_for(&token, scope, session)?;
        Some(Self { action: url(engine).into(), csrf, entries })
    }
}

fn url(engine: &Engine) -> Url {
    engine.urls.route("self-service/ui/devices", &[])
}

/// `POST /self-service/ui/devices` with `device`: an id, or `all`.
pub(crate) async fn forget(State(_): State<Site>, scope: Scope, body: Body) -> Response {
    match own_form::receive(&scope, body, &scope.engine().urls.enrolment(None)).await {
        Ok((scope, form)) => forgotten(&scope, &form).await.unwrap_or_else(|refused| refused.respond(&scope, false)),
        Err(refused) => refused.respond(&scope, false),
    }
}

async fn forgotten(scope: &Scope, form: &Form) -> Result<Response, Refused> {
    let engine = scope.engine();
    let page = engine.urls.enrolment(None);
    let found = session(scope, engine.urls.login(false, false, Some(&page))).await?;
    let named = match form.get("device").ok_or(Failure::BadBody)? {
        "all" => None,
        id => Some(CredentialId::from(Uuid::try_parse(id).map_err(|_| Failure::BadBody)?)),
    };
    may_forget_devices(scope, &found.session, Some(&page)).await?;
    let (subject, origin) = (found.session.subject(), scope.context.origin());
    let own = cookie_of(&scope.headers, engine).map(|cookie| cookie.id());
    let gone = engine.forget_devices(subject, named, &origin).await.map_err(Failure::from)?;
    let mut response = answer::see_other(&page);
    if own.is_some_and(|own| gone.contains(&own)) {
        answer::set_cookie(&mut response, engine.sessions.cookies.device_removal());
    }
    Ok(response)
}
