//! Settings flows: beginning one, in a browser or by API, and reading one.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use serde_json::Value;
use url::Url;

use super::{
    answer, background,
    failure::Failure,
    login::expired_with_restart,
    query::Query,
    return_to::return_to,
    scope::{Scope, Site},
    stored_flow::{self, comes_into_use, stored_flow},
};
use crate::{
    audit::RefusalReason,
    challenge,
    flow::{
        csrf::CsrfToken,
        owner::Owner,
        record::{Flow, FlowType, Opening, Purpose},
        settings,
    },
    headers::negotiation,
    requirement::{Requirement, Shortfall},
    source::Evidence,
    urls::return_to::is_long,
    wire::Envelope,
    wire::ui::Node,
};

/// Why a settings endpoint does not serve a request.
pub(crate) enum Refused {
    /// A failure.
    Failure(Failure),
    /// There is no session. Browsers go to this URL.
    NoSession(Url),
    /// The session does not meet the gate. Browsers go to this URL.
    Gate(Shortfall, Box<Envelope>, Url),
}

impl<F: Into<Failure>> From<F> for Refused {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

impl Refused {
    pub(crate) fn respond(self, scope: &Scope, json: bool) -> Response {
        match self {
            Self::Failure(failure) => failure.respond(scope, json),
            Self::NoSession(_) if json => Failure::NoSession.respond(scope, true),
            Self::NoSession(url) => {
                scope.context.report_refusal(Shortfall::NoSession);
                answer::because(answer::see_other(&url), Shortfall::NoSession)
            }
            Self::Gate(shortfall, envelope, url) => {
                scope.context.report_refusal(shortfall);
                let answered =
                    if json { answer::from_bytes(envelope.respond(&scope.headers)) } else { answer::see_other(&url) };
                answer::because(answered, shortfall)
            }
        }
    }
}

/// The session, if there is one.
pub(crate) async fn session(scope: &Scope, without: Url) -> Result<&Evidence, Refused> {
    scope.evidence().await?.ok_or(Refused::NoSession(without))
}

/// Whether the session meets what the settings require. Users without a second factor pass, to bind one. `without`: where browsers go if
/// the session has ended.
pub(crate) async fn gate(scope: &Scope, return_to: Option<&Url>, without: &Url) -> Result<(), Refused> {
    let required = Requirement::from(scope.engine().settings_required_aal()).without_trusted_devices();
    meets(scope, required, return_to, without).await
}

/// The same for another requirement.
pub(crate) async fn meets(
    scope: &Scope,
    required: Requirement,
    return_to: Option<&Url>,
    without: &Url,
) -> Result<(), Refused> {
    let engine = scope.engine();
    match scope.context.decide(&required).await {
        Ok(_) | Err(Shortfall::NothingEnrolled) => Ok(()),
        Err(Shortfall::Unavailable) => Err(Failure::Unavailable.into()),
        Err(Shortfall::NoSession) => Err(Refused::NoSession(without.clone())),
        Err(shortfall) => {
            let envelope = challenge::gate(shortfall, required, &scope.context, return_to);
            Err(Refused::Gate(shortfall, Box::new(envelope), engine.urls.login(true, false, return_to)))
        }
    }
}

/// `GET /self-service/settings/browser`
pub(crate) async fn begin_in_browser(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    if let Some(answer) = background::shows_no_form(&scope) {
        return answer;
    }
    let json = negotiation::wants_json(&scope.headers);
    in_browser(&scope, &Query::of(&uri)).await.unwrap_or_else(|refused| refused.respond(&scope, json))
}

async fn in_browser(scope: &Scope, query: &Query) -> Result<Response, Refused> {
    let engine = scope.engine();
    let return_to = return_to(scope, query).await?;
    let without = engine.urls.login(false, false, return_to.as_ref());
    let found = session(scope, without.clone()).await?;
    // A user who must step up first returns to this request, if it has a `return_to`.
    let request_url = query.asked_url(engine, "self-service/settings/browser");
    let back = return_to.as_ref().map(|return_to| {
        // One that is too long to return to is cut down to what counts.
        let asked = engine.urls.return_policy.parse(request_url.as_str()).ok().filter(|asked| !is_long(asked));
        asked.unwrap_or_else(|| engine.urls.enrolment(Some(return_to)))
    });
    gate(scope, back.as_ref(), &without).await?;
    let known = CsrfToken::from_cookie(&scope.headers, &engine.sessions.cookies.csrf);
    let csrf = known.clone().or_else(CsrfToken::random).ok_or(Failure::Unavailable)?;
    let session = stored_flow::session_of(scope, found).await?;
    let opening = Opening {
        purpose: Purpose::Settings { success: false },
        flow_type: FlowType::Browser,
        session: Some(&session),
        return_to,
        request_url,
        csrf: Some(csrf.hash()),
        messages: Vec::new(),
        expires_at: scope.now() + engine.limits.settings_flow_lifespan,
    };
    let (flow, owner) = open(scope, opening, found).await?;
    let mut response = if negotiation::init_wants_json(&scope.headers) {
        show(scope, StatusCode::OK, &flow, &owner, Some(&csrf), None).await?
    } else {
        answer::see_other(&settings::page(&flow, engine))
    };
    if known.is_none() {
        answer::set_cookie(&mut response, engine.sessions.cookies.csrf(&csrf.cookie_value()));
    }
    Ok(response)
}

/// `GET /self-service/settings/api`
pub(crate) async fn begin_by_api(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    if let Some(answer) = background::prefetched(&scope) {
        return answer;
    }
    by_api(&scope, &Query::of(&uri)).await.unwrap_or_else(|refused| refused.respond(&scope, true))
}

async fn by_api(scope: &Scope, query: &Query) -> Result<Response, Refused> {
    let engine = scope.engine();
    let return_to = return_to(scope, query).await?;
    let found = session(scope, engine.urls.settings_ui.clone()).await?;
    gate(scope, None, &engine.urls.settings_ui).await?;
    let session = stored_flow::session_of(scope, found).await?;
    let opening = Opening {
        purpose: Purpose::Settings { success: false },
        flow_type: FlowType::Api,
        session: Some(&session),
        request_url: query.asked_url(engine, "self-service/settings/api"),
        return_to,
        csrf: None,
        messages: Vec::new(),
        expires_at: scope.now() + engine.limits.settings_flow_lifespan,
    };
    let (flow, owner) = open(scope, opening, found).await?;
    Ok(show(scope, StatusCode::OK, &flow, &owner, None, None).await?)
}

async fn open(scope: &Scope, opening: Opening<'_>, found: &Evidence) -> Result<(Flow, Owner), Failure> {
    let engine = scope.engine();
    let now = scope.now();
    let owner = Owner::read(engine, &found.session).await?;
    let mut flow = Flow::open(opening, now);
    settings::begin(&mut flow, engine, &owner, None, now).await?;
    Ok((stored_flow::begin(scope, flow).await?, owner))
}

/// `GET /self-service/settings/flows`
pub(crate) async fn get_flow(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    let answer = match find(&scope, &Query::of(&uri), "id").await {
        Ok((flow, owner)) if scope.now() < flow.expires_at => {
            let csrf = CsrfToken::from_cookie(&scope.headers, &scope.engine().sessions.cookies.csrf);
            show(&scope, StatusCode::OK, &flow, &owner, csrf.as_ref(), None).await.map_err(Refused::Failure)
        }
        Ok((flow, _)) => {
            let restart = restart_url(&flow, &scope);
            scope.context.report_refusal(RefusalReason::ExpiredFlow);
            Ok(answer::from_bytes(expired_with_restart(&flow, &restart, &scope).respond(&scope.headers)))
        }
        Err(refused) => Err(refused),
    };
    answer.unwrap_or_else(|refused| {
        // Without `Accept`, the answer is JSON. Only without a session does the header decide.
        let json = !matches!(refused, Refused::NoSession(_)) || negotiation::wants_json(&scope.headers);
        refused.respond(&scope, json)
    })
}

/// The URL that begins a settings flow like this one.
pub(crate) fn restart_url(flow: &Flow, scope: &Scope) -> Url {
    let path = match flow.flow_type {
        FlowType::Browser => "self-service/settings/browser",
        FlowType::Api => "self-service/settings/api",
    };
    scope.engine().urls.route(path, &[("return_to", flow.return_to.as_ref().map(Url::as_str))])
}

/// The flow of this id, if it is the session's own and the session meets the gate: the checks in the order of the wire contract.
pub(crate) async fn find(scope: &Scope, query: &Query, parameter: &str) -> Result<(Flow, Owner), Refused> {
    let found = session(scope, scope.engine().urls.login_ui.clone()).await?;
    let id = query.flow_id(parameter)?.ok_or(Failure::UnknownFlow)?;
    let flow = stored_flow(scope, id).await?;
    judge(scope, found, &flow).await?;
    comes_into_use(scope, &flow).await?;
    let owner = Owner::read(scope.engine(), &found.session).await?;
    Ok((flow, owner))
}

/// Whether the flow is the session's own, and the session meets the gate.
pub(crate) async fn judge(scope: &Scope, found: &Evidence, flow: &Flow) -> Result<(), Refused> {
    let engine = scope.engine();
    if !settings::is_settings(flow) {
        return Err(Failure::UnknownFlow.into());
    }
    if !flow.belongs_to(&found.session) {
        return Err(Failure::IdentityMismatch.into());
    }
    let page = settings::page(flow, engine);
    gate(scope, Some(&page), &engine.urls.login_ui).await
}

/// The flow object.
pub(crate) async fn show(
    scope: &Scope,
    status: StatusCode,
    flow: &Flow,
    owner: &Owner,
    csrf: Option<&CsrfToken>,
    continue_with: Option<Value>,
) -> Result<Response, Failure> {
    let nodes = nodes(scope, flow, owner, csrf)?;
    let identity = scope.engine().identity(&owner.subject).await?;
    Ok(answer::json(status, &settings::view(flow, scope.engine(), identity, &nodes, continue_with)))
}

pub(crate) fn nodes(scope: &Scope, flow: &Flow, owner: &Owner, csrf: Option<&CsrfToken>) -> Result<Vec<Node>, Failure> {
    Ok(settings::nodes(flow, scope.engine(), owner, csrf, scope.now())?)
}
