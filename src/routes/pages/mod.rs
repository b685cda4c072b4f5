//! The built-in pages. They work without JavaScript but for factors that need it, load nothing from other hosts, and cannot be framed.

mod addresses;
mod devices;
mod error;
mod form;
mod frame;
mod own_form;
mod script;
mod sessions;
mod view;

use askama::Template;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Uri, header},
    response::Response,
};
use serde::Serialize;
use url::Url;

use self::{
    addresses::Addresses,
    devices::Devices,
    frame::{Frame, Shown, show},
    script::Scripts,
    view::{Message, Section},
};
use super::{
    answer,
    failure::Failure,
    login::{Shown as Found, begin_url, find_flow},
    query::Query,
    scope::{Scope, Site},
    settings::{Refused, find as find_settings, nodes as settings_nodes, restart_url as settings_restart_url},
    stored_flow::stored_flow,
    trusted_device,
};
use crate::{
    aal::Method,
    engine::Engine,
    factor::lookup_secret,
    flow::{
        csrf::CsrfToken,
        login::{self as login_flow, Asked},
        owner::Owner,
        record::Flow,
        settings as settings_flow,
    },
    headers::{forbid_storing, never_sniff},
    wire::ui::Node,
};

pub(crate) use self::{
    addresses::{are_added as addresses_are_added, change as change_addresses},
    devices::forget as forget_devices,
    error::error,
    script::serve as serve_script,
    sessions::{end as end_session, list as sessions},
};

#[derive(Template, Serialize)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame<'a>,
    account: &'a str,
    action: String,
    messages: Vec<Message>,
    sections: Vec<Section>,
    trust: Option<Trust>,
    cancel: &'a str,
    /// A new form, if this one shows one factor and there are others.
    other_ways: Option<String>,
    scripts: Scripts,
}

/// The box that makes this device a trusted one.
#[derive(Serialize)]
struct Trust {
    name: &'static str,
    label: String,
}

impl Shown for LoginPage<'_> {
    const NAME: &'static str = "login";

    fn frame(&self) -> &Frame<'_> {
        &self.frame
    }

    fn scripts(&self) -> Option<&Scripts> {
        Some(&self.scripts)
    }
}

#[derive(Template, Serialize)]
#[template(path = "settings.html")]
struct SettingsPage<'a> {
    frame: Frame<'a>,
    account: &'a str,
    action: String,
    messages: Vec<Message>,
    sections: Vec<Section>,
    sessions: String,
    addresses: Option<Addresses>,
    devices: Option<Devices>,
    home: &'a str,
    scripts: Scripts,
}

impl Shown for SettingsPage<'_> {
    const NAME: &'static str = "settings";

    fn frame(&self) -> &Frame<'_> {
        &self.frame
    }

    fn scripts(&self) -> Option<&Scripts> {
        Some(&self.scripts)
    }
}

#[derive(Template, Serialize)]
#[template(path = "continue.html")]
struct ContinuePage<'a> {
    frame: Frame<'a>,
    target: &'a str,
}

impl Shown for ContinuePage<'_> {
    const NAME: &'static str = "continue";

    fn frame(&self) -> &Frame<'_> {
        &self.frame
    }
}

/// `GET /self-service/ui/login?flow=<id>`
pub(crate) async fn login(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    let engine = scope.engine();
    let query = Query::of(&uri);
    if matches!(query.one("flow"), Ok(None)) {
        return answer::see_other(&engine.urls.login(false, false, None));
    }
    let shown = match find_flow(&scope, &query, "flow").await {
        // An expired form is replaced by a new one, without an error.
        Ok(Found { flow, asked, nodes: None, .. }) => {
            Ok(answer::see_other(&begin_url(flow.flow_type, asked, flow.return_to.as_ref(), &scope)))
        }
        Ok(Found { flow, asked, owner, nodes: Some(nodes) }) => {
            login_page(&scope, &flow, asked, owner.as_ref(), &nodes).await
        }
        Err(failure @ Failure::Csrf) if has_signed_in(&scope, &query).await => {
            scope.context.report_refusal(failure.audited());
            Ok(answer::see_other(&engine.urls.login(false, false, None)))
        }
        Err(failure) => Err(failure),
    };
    shown.unwrap_or_else(|failure| failure.respond(&scope, false))
}

/// Whether somebody signed in with this flow and is still signed in: who goes back then has another CSRF cookie, and is led on. Without a
/// session this could go round for ever.
async fn has_signed_in(scope: &Scope, query: &Query) -> bool {
    let Ok(Some(id)) = query.flow_id("flow") else { return false };
    let used = stored_flow(scope, id).await.is_ok_and(|flow| flow.completed && !flow.is_bound());
    used && matches!(scope.evidence().await, Ok(Some(_)))
}

async fn login_page(
    scope: &Scope,
    flow: &Flow,
    asked: Asked,
    owner: Option<&Owner>,
    nodes: &[Node],
) -> Result<Response, Failure> {
    let engine = scope.engine();
    let frame = Frame::of(scope, owner.map(|owner| &owner.subject)).await;
    let scripts = Scripts::of(engine, nodes);
    let page = LoginPage {
        account: owner.map_or("", |owner| owner.identifier.as_str()),
        action: login_flow::action(flow, engine).into(),
        messages: form::messages(&flow.messages, frame.spoken),
        sections: form::sections(nodes, &flow.messages, frame.spoken, |group| scripts.answer(group)),
        trust: trust(&frame, engine, flow),
        cancel: engine.urls.default_return.as_str(),
        other_ways: owner.filter(|owner| login_flow::leaves_out(flow, asked, engine, owner, nodes)).map(|_| {
            let begin = begin_url(flow.flow_type, asked, flow.return_to.as_ref(), scope);
            begin.into()
        }),
        scripts,
        frame,
    };
    show(engine, &page)
}

/// The box of a flow for which a trusted device could stand.
fn trust(frame: &Frame<'_>, engine: &Engine, flow: &Flow) -> Option<Trust> {
    let asked = login_flow::asked(flow).filter(|_| flow.is_of_browser())?;
    let lifespan = engine.limits.trusted_devices.filter(|_| trusted_device::is_offered(engine, asked))?;
    let hours = lifespan.as_secs().div_euclid(3600);
    let (id, number) = if hours < 48 { ("trust-hours", hours) } else { ("trust-days", hours.div_euclid(24)) };
    Some(Trust { name: trusted_device::FIELD, label: frame.spoken.say(id, &[("number", number.into())]) })
}

/// `GET /self-service/ui/settings?flow=<id>`
pub(crate) async fn settings(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    let engine = scope.engine();
    let query = Query::of(&uri);
    if matches!(query.one("flow"), Ok(None)) {
        return answer::see_other(&engine.urls.enrolment(None));
    }
    let shown = match find_settings(&scope, &query, "flow").await {
        Ok((flow, owner)) if scope.now() < flow.expires_at => settings_page(&scope, &flow, &owner).await,
        Ok((flow, _)) => Ok(answer::see_other(&settings_restart_url(&flow, &scope))),
        // A user who has signed in again in the meantime has a new session, and gets a new form.
        Err(Refused::Failure(failure @ (Failure::IdentityMismatch | Failure::UnknownFlow))) => {
            scope.context.report_refusal(failure.audited());
            Ok(answer::see_other(&engine.urls.enrolment(None)))
        }
        Err(Refused::NoSession(_)) => {
            scope.context.report_refusal(Failure::NoSession.audited());
            Ok(answer::see_other(&engine.urls.login(false, false, None)))
        }
        Err(refused) => return refused.respond(&scope, false),
    };
    shown.unwrap_or_else(|failure| failure.respond(&scope, false))
}

async fn settings_page(scope: &Scope, flow: &Flow, owner: &Owner) -> Result<Response, Failure> {
    let engine = scope.engine();
    let csrf = CsrfToken::from_cookie(&scope.headers, &engine.sessions.cookies.csrf);
    let nodes = settings_nodes(scope, flow, owner, csrf.as_ref())?;
    // Messages about the whole page belong to no field.
    let scripts = Scripts::of(engine, &nodes);
    let frame = Frame::of(scope, Some(&owner.subject)).await;
    let mut sections = form::sections(&nodes, &[], frame.spoken, |group| scripts.answer(group));
    let left = lookup_secret::left(&owner.credentials_of(Method::LookupSecret));
    form::complete(&mut sections, left, owner.has_second_factor(), frame.spoken);
    let found = scope.evidence().await?;
    let addresses = match found {
        Some(found) => Addresses::of(scope, flow, owner, &found.session, frame.spoken).await?,
        None => None,
    };
    let page = SettingsPage {
        account: &owner.identifier,
        action: settings_flow::action(flow, engine).into(),
        messages: form::messages(&flow.messages, frame.spoken),
        sections,
        sessions: sessions::url(engine).into(),
        addresses,
        devices: found.and_then(|found| Devices::of(scope, &found.session, owner)),
        home: flow.return_to.as_ref().unwrap_or(&engine.urls.default_return).as_str(),
        scripts,
        frame,
    };
    show(engine, &page)
}

/// `GET /self-service/ui/style.css`
pub(crate) async fn style(State(site): State<Site>) -> Response {
    let mut response = Response::new(Body::from([include_str!("style.css"), &site.engine().theme_css].concat()));
    let headers = response.headers_mut();
    forbid_storing(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    never_sniff(headers);
    response
}

/// A page that leads on by itself, to a URL that is too long for a header.
pub(crate) async fn lead_on(scope: &Scope, target: &Url) -> Result<Response, Failure> {
    let page = ContinuePage { frame: Frame::of(scope, None).await, target: target.as_str() };
    show(scope.engine(), &page)
}
