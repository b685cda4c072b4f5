//! Login flows: beginning one, in a browser or by API, and reading one.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use serde_json::json;
use url::Url;

use super::{answer, failure::Failure, query::Query, scope::Scope};
use crate::{
    challenge::{Envelope, negotiation},
    config::StepUp,
    flow::{
        csrf::CsrfToken,
        login::{self, Asked, Begin, Known, begin, opening_messages, usable_factors},
        record::{Flow, FlowType, Opening},
    },
    standing::Authenticated,
    store::Credential,
    ui::Node,
};

/// `GET /self-service/login/browser`
pub(crate) async fn begin_in_browser(State(_): State<StepUp>, scope: Scope, uri: Uri) -> Response {
    let inner = scope.inner();
    let json_error = negotiation::wants_json(&scope.headers);
    let begun = match Request::read(&scope, &Query::of(&uri)) {
        Ok(request) => request.begin_in_browser(&scope).await,
        Err(failure) => Err(failure),
    };
    begun.unwrap_or_else(|failure| failure.respond(inner, &scope.headers, json_error))
}

/// `GET /self-service/login/api`
pub(crate) async fn begin_by_api(State(_): State<StepUp>, scope: Scope, uri: Uri) -> Response {
    let inner = scope.inner();
    let begun = match Request::read(&scope, &Query::of(&uri)) {
        Ok(request) => request.begin_by_api(&scope).await,
        Err(failure) => Err(failure),
    };
    begun.unwrap_or_else(|failure| failure.respond(inner, &scope.headers, true))
}

/// `GET /self-service/login/flows`, always in JSON.
pub(crate) async fn get_flow(State(_): State<StepUp>, scope: Scope, uri: Uri) -> Response {
    match find_flow(&scope, &Query::of(&uri), "id").await {
        Ok(Shown::Flow { flow, asked, nodes }) => {
            answer::json(StatusCode::OK, &login::view(&flow, asked, scope.inner(), &nodes))
        }
        Ok(Shown::Expired(flow, asked)) => {
            let gone = gone(&flow, asked, &scope);
            answer::from_bytes(gone.respond(&scope.headers))
        }
        Err(failure) => failure.respond(scope.inner(), &scope.headers, true),
    }
}

/// What there is to show of a flow.
pub(crate) enum Shown {
    Flow { flow: Flow, asked: Asked, nodes: Vec<Node> },
    Expired(Flow, Asked),
}

/// The flow of this id, if this client may see it: a browser flow needs the CSRF cookie that it was begun with, and a session that comes
/// along must be the flow's own.
pub(crate) async fn find_flow(scope: &Scope, query: &Query, parameter: &str) -> Result<Shown, Failure> {
    let inner = scope.inner();
    let id = query.flow_id(parameter)?.ok_or(Failure::UnknownFlow)?;
    let stored = inner.stores.flow(id).await?.ok_or(Failure::UnknownFlow)?;
    let flow = Flow::from_stored(stored)?;
    let asked = login::asked(&flow).ok_or(Failure::UnknownFlow)?;
    let csrf = CsrfToken::from_cookie(&scope.headers, &inner.cookies.csrf);
    if flow.flow_type == FlowType::Browser && !flow.was_begun_with(csrf.as_ref()) {
        return Err(Failure::Csrf);
    }
    if let Some(found) = scope.context.authenticated()?
        && flow.is_bound()
        && !flow.belongs_to(&found.session)
    {
        return Err(Failure::IdentityMismatch);
    }
    if scope.now() >= flow.expires_at {
        return Ok(Shown::Expired(flow, asked));
    }
    let credentials = match flow.subject() {
        Some(subject) => inner.stores.credentials(subject).await?,
        None => Vec::new(),
    };
    let nodes = login::nodes(&flow, inner, &credentials, csrf.as_ref(), scope.now())?;
    Ok(Shown::Flow { flow, asked, nodes })
}

/// Where a flow of this kind is begun.
pub(crate) fn begin_url(flow_type: FlowType, asked: Asked, return_to: Option<&Url>, scope: &Scope) -> Url {
    let path = match flow_type {
        FlowType::Browser => "self-service/login/browser",
        FlowType::Api => "self-service/login/api",
    };
    let parameters = [
        ("aal", asked.aal2.then_some("aal2")),
        ("refresh", asked.refresh.then_some("true")),
        ("return_to", return_to.map(Url::as_str)),
    ];
    scope.inner().urls.route(path, &parameters)
}

/// 410: the flow has expired.
fn gone(flow: &Flow, asked: Asked, scope: &Scope) -> Envelope {
    let restart = begin_url(flow.flow_type, asked, flow.return_to.as_ref(), scope);
    let envelope = expired_envelope(flow, scope);
    match flow.flow_type {
        FlowType::Browser => {
            let envelope = envelope.detail("redirect_to", restart.as_str());
            match &flow.return_to {
                Some(return_to) => envelope.detail("return_to", return_to.as_str()),
                None => envelope,
            }
        }
        FlowType::Api => envelope.detail("api", restart.as_str()),
    }
}

/// The error of an expired flow, without what to do about it.
pub(crate) fn expired_envelope(flow: &Flow, scope: &Scope) -> Envelope {
    let since = scope.now().since(flow.expires_at).as_nanos();
    Envelope::new(
        StatusCode::GONE,
        Some("self_service_flow_expired"),
        "flow expired",
        "This form was open for too long; please begin again.",
    )
    .top_level("expired_at", json!(flow.expires_at))
    .top_level("since", u64::try_from(since).unwrap_or(u64::MAX))
}

/// A request to begin a flow, checked in the order of the wire contract.
struct Request {
    asked: Asked,
    return_to: Option<Url>,
}

impl Request {
    fn read(scope: &Scope, query: &Query) -> Result<Self, Failure> {
        let return_to = query.return_to(scope.inner())?;
        if query.one("login_challenge")?.is_some() {
            return Err(Failure::LoginChallenge);
        }
        Ok(Self { asked: query.asked()?, return_to })
    }

    async fn begin_in_browser(self, scope: &Scope) -> Result<Response, Failure> {
        let inner = scope.inner();
        let spa = negotiation::init_wants_json(&scope.headers);
        let asked = self.asked;
        let (session, credentials, outcome) = self.decide(scope).await?;
        match outcome {
            Begin::FirstFactorRequired => return Err(Failure::FirstFactorRequired),
            Begin::FirstLogin => {
                let url = inner.urls.first_login(self.return_to.as_ref());
                return Ok(if negotiation::wants_json(&scope.headers) {
                    answer::from_bytes(leave_for(&url).respond(&scope.headers))
                } else {
                    answer::see_other(&url)
                });
            }
            Begin::AlreadyAvailable if spa => return Err(Failure::AlreadyAvailable),
            Begin::AlreadyAvailable => {
                return Ok(answer::see_other(self.return_to.as_ref().unwrap_or(&inner.urls.default_return)));
            }
            Begin::EnrolFirst if !spa => return Ok(answer::see_other(&inner.urls.enrolment(self.return_to.as_ref()))),
            Begin::EnrolFirst | Begin::NothingUsable | Begin::Flow => {}
        }
        let known = CsrfToken::from_cookie(&scope.headers, &inner.cookies.csrf);
        let csrf = known.clone().or_else(CsrfToken::random).ok_or(Failure::Unavailable)?;
        let flow = self.open(scope, FlowType::Browser, session, &credentials, outcome, Some(&csrf)).await?;
        let mut response = if spa {
            let nodes = login::nodes(&flow, inner, &credentials, Some(&csrf), scope.now())?;
            answer::json(StatusCode::OK, &login::view(&flow, asked, inner, &nodes))
        } else {
            answer::see_other(&page_of(&flow, scope))
        };
        if known.is_none() {
            answer::set_cookie(&mut response, inner.cookies.csrf(&csrf.cookie_value()));
        }
        Ok(response)
    }

    async fn begin_by_api(self, scope: &Scope) -> Result<Response, Failure> {
        let asked = self.asked;
        let (session, credentials, outcome) = self.decide(scope).await?;
        match outcome {
            Begin::FirstFactorRequired => return Err(Failure::FirstFactorRequired),
            Begin::FirstLogin => return Err(Failure::FlowDisabled),
            Begin::AlreadyAvailable => return Err(Failure::AlreadyAvailable),
            Begin::EnrolFirst | Begin::NothingUsable | Begin::Flow => {}
        }
        let flow = self.open(scope, FlowType::Api, session, &credentials, outcome, None).await?;
        let nodes = login::nodes(&flow, scope.inner(), &credentials, None, scope.now())?;
        Ok(answer::json(StatusCode::OK, &login::view(&flow, asked, scope.inner(), &nodes)))
    }

    /// The session, the credentials of its subject as they are now, and how the request ends.
    async fn decide<'a>(
        &self,
        scope: &'a Scope,
    ) -> Result<(Option<&'a Authenticated>, Vec<Credential>, Begin), Failure> {
        let inner = scope.inner();
        let session = scope.context.authenticated()?.map(AsRef::as_ref);
        let Some(found) = session else { return Ok((None, Vec::new(), begin(self.asked, None))) };
        let credentials = inner.stores.credentials(found.session.subject()).await?;
        let known = Known {
            level: found.standing.level(&found.session, scope.now()),
            enrolled: credentials.iter().any(|credential| credential.summary.aal == crate::aal::Aal::Aal2),
            usable: usable_factors(inner, &credentials).next().is_some(),
        };
        Ok((session, credentials, begin(self.asked, Some(known))))
    }

    async fn open(
        self,
        scope: &Scope,
        flow_type: FlowType,
        found: Option<&Authenticated>,
        credentials: &[Credential],
        outcome: Begin,
        csrf: Option<&CsrfToken>,
    ) -> Result<Flow, Failure> {
        let inner = scope.inner();
        let now = scope.now();
        let level = found.map(|found| found.standing.level(&found.session, now)).unwrap_or_default();
        let enrolment = inner.urls.enrolment(self.return_to.as_ref());
        let messages = opening_messages(self.asked, level, outcome, &enrolment);
        let request_url = begin_url(flow_type, self.asked, self.return_to.as_ref(), scope);
        let opening = Opening {
            purpose: self.asked.purpose(),
            flow_type,
            session: found.map(|found| &found.session),
            return_to: self.return_to,
            request_url,
            csrf: csrf.map(CsrfToken::hash),
            messages,
            expires_at: now + inner.limits.login_flow_lifespan,
        };
        let mut flow = Flow::open(opening, now);
        login::challenge(&mut flow, inner, credentials, now).await?;
        inner.stores.create_flow(&flow.to_stored()?, inner.limits.flows_per_subject, now).await?;
        Ok(flow)
    }
}

/// The page that shows the flow.
pub(crate) fn page_of(flow: &Flow, scope: &Scope) -> Url {
    let mut url = scope.inner().urls.login_ui.clone();
    url.query_pairs_mut().append_pair("flow", &flow.id().to_string());
    url
}

/// 422: a program in a browser must send the browser there.
pub(crate) fn leave_for(url: &Url) -> Envelope {
    Envelope::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        Some("browser_location_change_required"),
        "browser location change required",
        "Please go on at the address in redirect_browser_to.",
    )
    .redirect_browser_to(url)
}
