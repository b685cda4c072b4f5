//! The built-in pages. They work without JavaScript but for factors that need it, load nothing from other hosts, and cannot be framed.

mod devices;
mod form;
mod own_form;
mod script;
mod sessions;

use askama::Template;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::Response,
};

use url::Url;

use self::{devices::Devices, form::Section, script::Scripts};
use super::{
    answer,
    failure::{Failure, WayOut},
    login::{Shown, begin_url, find_flow},
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
    wire::ui::{Node, Text},
};

pub(crate) use self::{
    devices::forget as forget_devices,
    script::serve as serve_script,
    sessions::{end as end_session, list as sessions},
};

/// The parts of every page.
struct Frame<'a> {
    application: &'a str,
    style: String,
    own_style: Option<&'a str>,
    logo: Option<&'a str>,
}

impl<'a> Frame<'a> {
    fn of(engine: &'a Engine) -> Self {
        Self {
            application: &engine.application_name,
            style: engine.urls.route("self-service/ui/style.css", &[]).into(),
            own_style: engine.urls.stylesheet.as_ref().map(Url::as_str),
            logo: engine.urls.logo.as_ref().map(Url::as_str),
        }
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame<'a>,
    account: &'a str,
    action: String,
    messages: &'a [Text],
    sections: Vec<Section<'a>>,
    /// The field of the box, and for how long the device is trusted.
    trust: Option<(&'static str, String)>,
    cancel: &'a str,
    /// A new form, if this one shows one factor and there are others.
    other_ways: Option<String>,
    scripts: Scripts,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage<'a> {
    frame: Frame<'a>,
    account: &'a str,
    action: String,
    messages: &'a [Text],
    sections: Vec<Section<'a>>,
    sessions: String,
    devices: Option<Devices>,
    home: &'a str,
    scripts: Scripts,
}

#[derive(Template)]
#[template(path = "continue.html")]
struct ContinuePage<'a> {
    frame: Frame<'a>,
    target: &'a str,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame<'a>,
    title: &'static str,
    reason: String,
    next: Option<(String, &'static str)>,
    home: &'a str,
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
        Ok(Shown { flow, asked, nodes: None, .. }) => {
            Ok(answer::see_other(&begin_url(flow.flow_type, asked, flow.return_to.as_ref(), &scope)))
        }
        Ok(Shown { flow, asked, owner, nodes: Some(nodes) }) => {
            login_page(&scope, &flow, asked, owner.as_ref(), &nodes)
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

fn login_page(
    scope: &Scope,
    flow: &Flow,
    asked: Asked,
    owner: Option<&Owner>,
    nodes: &[Node],
) -> Result<Response, Failure> {
    let engine = scope.engine();
    let scripts = Scripts::of(engine, nodes);
    let page = LoginPage {
        frame: Frame::of(engine),
        account: owner.map_or("", |owner| owner.identifier.as_str()),
        action: login_flow::action(flow, engine).into(),
        messages: &flow.messages,
        sections: form::sections(nodes, &flow.messages, |group| scripts.answer(group)),
        trust: trust(engine, flow),
        cancel: engine.urls.default_return.as_str(),
        other_ways: owner.filter(|owner| login_flow::leaves_out(flow, asked, engine, owner, nodes)).map(|_| {
            let begin = begin_url(flow.flow_type, asked, flow.return_to.as_ref(), scope);
            begin.into()
        }),
        scripts,
    };
    with_scripts(engine, &page, &page.scripts)
}

/// The box of a flow for which a trusted device could stand.
fn trust(engine: &Engine, flow: &Flow) -> Option<(&'static str, String)> {
    let asked = login_flow::asked(flow).filter(|_| flow.is_of_browser())?;
    let lifespan = engine.limits.trusted_devices.filter(|_| trusted_device::is_offered(engine, asked))?;
    let hours = lifespan.as_secs().div_euclid(3600);
    let (number, unit) = if hours < 48 { (hours, "hour") } else { (hours.div_euclid(24), "day") };
    Some((trusted_device::FIELD, format!("{number} {unit}{}", if number == 1 { "" } else { "s" })))
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
    let mut sections = form::sections(&nodes, &[], |group| scripts.answer(group));
    let left = lookup_secret::left(&owner.credentials_of(Method::LookupSecret));
    form::complete(&mut sections, left, owner.has_second_factor());
    let found = scope.evidence().await?;
    let page = SettingsPage {
        frame: Frame::of(engine),
        account: &owner.identifier,
        action: settings_flow::action(flow, engine).into(),
        messages: &flow.messages,
        sections,
        sessions: sessions::url(engine).into(),
        devices: found.and_then(|found| Devices::of(scope, &found.session, owner)),
        home: flow.return_to.as_ref().unwrap_or(&engine.urls.default_return).as_str(),
        scripts,
    };
    with_scripts(engine, &page, &page.scripts)
}

/// `GET /self-service/ui/error?id=<id>`
pub(crate) async fn error(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    let engine = scope.engine();
    let id = Query::of(&uri).id("id").ok().flatten();
    let failure = id.and_then(Failure::of_page).unwrap_or(Failure::UnknownError);
    let page = ErrorPage {
        frame: Frame::of(engine),
        title: title(failure.envelope().status()),
        reason: failure.envelope().reason().to_owned(),
        next: next(&scope, failure).await,
        home: engine.urls.default_return.as_str(),
    };
    html(StatusCode::OK, engine, &page).unwrap_or_else(|failure| failure.respond(&scope, true))
}

/// What the user can do about a failure, apart from going back to the application.
async fn next(scope: &Scope, failure: Failure) -> Option<(String, &'static str)> {
    let engine = scope.engine();
    // If nobody can say, signing in is never wrong.
    let signed_in = scope.evidence().await.ok().flatten().is_some();
    let begin = || String::from(engine.urls.login(signed_in, false, None));
    match failure.way_out() {
        WayOut::SignIn if signed_in => None,
        WayOut::BeginAnew if signed_in => Some((begin(), "Begin again")),
        WayOut::SignIn | WayOut::BeginAnew => Some((begin(), "Sign in")),
        WayOut::TryAgain => Some((begin(), "Try again")),
        WayOut::Sessions => Some((sessions::url(engine).into(), "Where you are signed in")),
        WayOut::GoBack => None,
    }
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "Please sign in",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::SERVICE_UNAVAILABLE => "Temporarily unavailable",
        _ => "That did not work",
    }
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
pub(crate) fn lead_on(engine: &Engine, target: &Url) -> Result<Response, Failure> {
    html(StatusCode::OK, engine, &ContinuePage { frame: Frame::of(engine), target: target.as_str() })
}

fn html(status: StatusCode, engine: &Engine, page: &impl Template) -> Result<Response, Failure> {
    rendered(status, engine, page, &Scripts::default())
}

fn with_scripts(engine: &Engine, page: &impl Template, scripts: &Scripts) -> Result<Response, Failure> {
    rendered(StatusCode::OK, engine, page, scripts)
}

fn rendered(status: StatusCode, engine: &Engine, page: &impl Template, scripts: &Scripts) -> Result<Response, Failure> {
    let body = page.render().map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        Failure::Unavailable
    })?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    harden(response.headers_mut(), engine, scripts);
    Ok(response)
}

/// No other site keeps a handle of a window that shows our pages.
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// For this host alone: what other hosts of the domain do is not ours to say (RFC 6797 section 6.1; ASVS 5.0 clause 3.4.1).
const ONE_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// `form-action` also restricts redirects after a submit, so it lists all origins to which one may lead. Scripts are named by their hashes, and
/// a logo and a stylesheet of the application by their addresses.
fn harden(headers: &mut HeaderMap, engine: &Engine, scripts: &Scripts) {
    forbid_storing(headers);
    never_sniff(headers);
    let address = |url: &Option<Url>| url.as_ref().map(|url| format!(" {}", source_of(url))).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; {}style-src 'self'{}; img-src data:{}; base-uri 'none'; frame-ancestors 'none'; form-action 'self' {}",
        scripts.directive(),
        address(&engine.urls.stylesheet),
        address(&engine.urls.logo),
        engine.urls.form_targets().join(" ")
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if engine.strict_transport_security && engine.urls.public.scheme() == "https" {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, ONE_YEAR);
    }
}

/// A URL as a content security policy names it: without query and fragment, and with what would end the directive escaped.
fn source_of(url: &Url) -> String {
    let mut source = url.clone();
    source.set_query(None);
    source.set_fragment(None);
    source.as_str().replace(';', "%3B").replace(',', "%2C")
}
