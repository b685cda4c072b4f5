//! The addresses of the user's own on the settings page: shown, added, confirmed and removed by forms that are in no flow's nodes.
//!
//! What a form changes goes the way of every change in the settings.

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::Uri,
    response::Response,
};
use serde::Serialize;
use tracing::{Instrument, field::Empty};

use super::own_form::{self, OwnForm};
use crate::{
    aal::{CredentialId, Method},
    engine::Engine,
    factor::{ADDRESS_FIELD, AddressesOfUser, CODE_FIELD, Code, Factor, Form},
    flow::{csrf::CsrfToken, owner::Owner, record::Flow},
    language::Spoken,
    routes::{
        change::{Change, named},
        failure::Failure,
        query::Query,
        repeat::Sent,
        scope::{Scope, Site},
        settings::{Refused, session},
    },
    session::Session,
};

/// What the page shows.
#[derive(Serialize)]
pub(super) struct Addresses {
    pub(super) action: String,
    pub(super) csrf: String,
    pub(super) own: Vec<Entry>,
    /// Those that the application keeps.
    pub(super) others: Vec<String>,
    /// The address that waits for its code.
    pub(super) waiting: Option<String>,
    pub(super) has_room: bool,
    /// What one may type.
    pub(super) label: String,
    pub(super) inputmode: &'static str,
    pub(super) autocomplete: &'static str,
    /// What is wrong with it, and with the code.
    pub(super) errors: Vec<String>,
    pub(super) code_errors: Vec<String>,
    /// What is wrong with a field that is not shown now, since it came from an older page.
    pub(super) errors_of_other_step: Vec<String>,
}

/// One address.
#[derive(Serialize)]
pub(super) struct Entry {
    pub(super) id: CredentialId,
    /// Empty if it cannot be read.
    pub(super) shown: String,
}

/// The factor, if users add addresses.
fn factor(engine: &Engine) -> Option<(&dyn Factor, &Code)> {
    engine.factors.iter().find_map(|factor| Some((factor.as_ref(), factor.with_addresses_of_users()?)))
}

/// Whether users add addresses at all.
pub(crate) fn are_added(engine: &Engine) -> bool {
    factor(engine).is_some()
}

impl Addresses {
    /// The owner's addresses; `None` if users add none.
    pub(super) async fn of(
        scope: &Scope,
        flow: &Flow,
        owner: &Owner,
        session: &Session,
        spoken: Spoken<'_>,
    ) -> Result<Option<Self>, Failure> {
        let engine = scope.engine();
        let Some((factor, code)) = factor(engine) else { return Ok(None) };
        let Some(token) = CsrfToken::from_cookie(&scope.headers, &engine.sessions.cookies.csrf) else {
            return Ok(None);
        };
        let Some(csrf) = own_form::token_for(&token, scope, session) else { return Ok(None) };
        let known = owner.credentials_of(factor.method());
        let context = owner.context(engine, flow, factor.method(), &known, None, scope.now());
        let read = Box::pin(code.addresses_of_user(context));
        let AddressesOfUser { own, others, waiting, has_room, takes } = engine.in_time(factor, read).await?;
        let entry = |(id, shown): (CredentialId, Option<String>)| Entry { id, shown: shown.unwrap_or_default() };
        let said = |field: &str, shows: bool| -> (Vec<String>, Vec<String>) {
            flow.said_of(field).map(|text| spoken.text(text)).partition(|_| shows)
        };
        let (errors, mut errors_of_other_step) = said(ADDRESS_FIELD, waiting.is_none() && has_room);
        let (code_errors, others_too) = said(CODE_FIELD, waiting.is_some());
        errors_of_other_step.extend(others_too);
        let (label, inputmode, autocomplete) = match (takes.mail, takes.sms) {
            (_, false) => ("addresses-mail", "email", "email"),
            (false, true) => ("addresses-number", "tel", "tel"),
            (true, true) => ("addresses-mail-or-number", "email", "email"),
        };
        Ok(Some(Self {
            action: engine.urls.route("self-service/ui/addresses", &[("flow", Some(&flow.id().to_string()))]).into(),
            csrf,
            own: own.into_iter().map(entry).collect(),
            others,
            waiting,
            has_room,
            label: spoken.say(label, &[]),
            inputmode,
            autocomplete,
            errors,
            code_errors,
            errors_of_other_step,
        }))
    }
}

/// `POST /self-service/ui/addresses?flow=<id>`
pub(crate) async fn change(State(_): State<Site>, scope: Scope, uri: Uri, body: Body) -> Response {
    let (scope, span) =
        scope.submits(|route| tracing::info_span!(target: "tower_step_up::flow", "settings", route, outcome = Empty));
    let changed = changed(&scope, &Query::of(&uri), body).instrument(span).await;
    changed.unwrap_or_else(|refused| refused.respond(&scope, false))
}

async fn changed(scope: &Scope, query: &Query, body: Body) -> Result<Response, Refused> {
    let urls = &scope.engine().urls;
    let login = urls.login(false, false, Some(&urls.enrolment(None)));
    own_form::check_origin(scope)?;
    match session(scope, login.clone()).await {
        // This very form may have replaced it, and only its body tells.
        Err(Refused::NoSession(_)) if scope.presented().is_some() => {}
        found => drop(found?),
    }
    let OwnForm { scope, bytes, form } = own_form::read(scope, body).await?;
    // Boxed, so that a request that waits for its body is small.
    match Box::pin(Change::read(&scope, query, None)).await {
        Ok(change) => Box::pin(judged(change, &bytes, &form)).await,
        Err(Refused::NoSession(_)) => {
            let again = Box::pin(answered_again(&scope, query, &bytes, &form)).await?;
            again.ok_or(Refused::NoSession(login))
        }
        Err(refused) => Err(refused),
    }
}

async fn judged(mut change: Change<'_>, bytes: &Bytes, form: &Form) -> Result<Response, Refused> {
    let scope = change.scope;
    own_form::check_token(scope, form, change.found.session.binding())?;
    let (factor, code) = factor(scope.engine()).filter(|_| change.flow.is_of_browser()).ok_or(Failure::UnknownFlow)?;
    // It answers pages alone.
    change.json = false;
    if scope.now() >= change.flow.expires_at {
        return Ok(change.replace_expired().await?);
    }
    change.sent = Sent::of(scope, &change.flow, bytes);
    // The session may be only remembered, and replaced already.
    if let Some(answer) = change.answered_meanwhile(Method::Code).await? {
        return Ok(answer);
    }
    match change.must_prove_anew() {
        Some(refused) => Err(refused),
        None => Ok(change.apply(factor, &code.address_forms(), form).await?),
    }
}

/// For a browser whose session was replaced, if this form is what replaced it.
async fn answered_again(scope: &Scope, query: &Query, bytes: &Bytes, form: &Form) -> Result<Option<Response>, Failure> {
    let flow = named(scope, query).await?;
    own_form::check_token(scope, form, flow.binding)?;
    match Sent::of(scope, &flow, bytes) {
        Some(sent) => Change::answer_again(scope, flow, &sent, Method::Code).await,
        None => Ok(None),
    }
}
