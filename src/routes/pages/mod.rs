//! The built-in pages. They work without JavaScript, load nothing from elsewhere, and cannot be framed.

mod form;

use askama::Template;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::Response,
};

use self::form::Section;
use super::{
    answer,
    failure::Failure,
    login::{Shown, begin_url, find_flow},
    query::Query,
    scope::Scope,
};
use crate::{
    config::{Inner, StepUp},
    flow::{login as login_flow, record::Flow},
    ui::{Node, Text},
};

/// What every page has.
struct Frame<'a> {
    application: &'a str,
    style: String,
}

impl<'a> Frame<'a> {
    fn of(inner: &'a Inner) -> Self {
        Self { application: &inner.application_name, style: inner.urls.route("self-service/ui/style.css", &[]).into() }
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame<'a>,
    account: &'a str,
    action: String,
    csrf_token: String,
    messages: &'a [Text],
    sections: Vec<Section<'a>>,
    cancel: &'a str,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame<'a>,
    title: &'static str,
    reason: String,
    home: &'a str,
}

/// `GET /self-service/ui/login?flow=<id>`
pub(crate) async fn login(State(_): State<StepUp>, scope: Scope, uri: Uri) -> Response {
    let inner = scope.inner();
    let shown = match find_flow(&scope, &Query::of(&uri), "flow").await {
        Ok(Shown::Flow { flow, nodes, .. }) => login_page(&scope, &flow, &nodes).await,
        // Nobody reads an error about a form that was only open for too long: a new one appears.
        Ok(Shown::Expired(flow, asked)) => {
            Ok(answer::see_other(&begin_url(flow.flow_type, asked, flow.return_to.as_ref(), &scope)))
        }
        Err(failure) => Err(failure),
    };
    shown.unwrap_or_else(|failure| failure.respond(inner, &scope.headers, false))
}

async fn login_page(scope: &Scope, flow: &Flow, nodes: &[Node]) -> Result<Response, Failure> {
    let inner = scope.inner();
    let account = match flow.subject() {
        Some(subject) => inner.directory.account_name(subject).await.map_err(|error| {
            tracing::error!(%error, "the directory did not answer");
            Failure::Unavailable
        })?,
        None => String::new(),
    };
    let page = LoginPage {
        frame: Frame::of(inner),
        account: &account,
        action: login_flow::action(flow, inner).into(),
        csrf_token: form::csrf_value(nodes),
        messages: &flow.messages,
        sections: form::sections(nodes, &flow.messages),
        cancel: inner.urls.default_return.as_str(),
    };
    html(StatusCode::OK, inner, &page)
}

/// `GET /self-service/ui/error?id=<id>`
pub(crate) async fn error(State(_): State<StepUp>, scope: Scope, uri: Uri) -> Response {
    let inner = scope.inner();
    let id = Query::of(&uri).id("id").ok().flatten();
    let failure = id.and_then(Failure::of_page).unwrap_or(Failure::UnknownError);
    let page = ErrorPage {
        frame: Frame::of(inner),
        title: title(failure.envelope().status()),
        reason: failure.envelope().reason().to_owned(),
        home: inner.urls.default_return.as_str(),
    };
    html(StatusCode::OK, inner, &page).unwrap_or_else(|failure| failure.respond(inner, &scope.headers, true))
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "Please sign in",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::SERVICE_UNAVAILABLE => "Temporarily unavailable",
        _ => "This did not work",
    }
}

/// `GET /self-service/ui/style.css`
pub(crate) async fn style() -> Response {
    let mut response = Response::new(Body::from(include_str!("style.css")));
    let headers = response.headers_mut();
    answer::keep_private(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn html(status: StatusCode, inner: &Inner, page: &impl Template) -> Result<Response, Failure> {
    let body = page.render().map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        Failure::Unavailable
    })?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    harden(response.headers_mut(), &inner.urls.return_policy.origins());
    Ok(response)
}

/// `form-action` also holds for where the answer to the form redirects to, so it lists the hosts that may be returned to.
fn harden(headers: &mut HeaderMap, return_origins: &[String]) {
    answer::keep_private(headers);
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self' {}",
        return_origins.join(" ")
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
