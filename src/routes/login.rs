//! Login flows: beginning one, in a browser or by API, and reading one.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use serde_json::json;
use url::Url;

use super::{
    answer, background,
    failure::Failure,
    onward::{enrolment, lead_to, page_of},
    query::Query,
    return_to::return_to,
    scope::{Scope, Site},
    stored_flow::{self, carry_along, comes_into_use, stored_flow},
    trusted_device::{self, Recognised},
};
use crate::{
    aal::{Aal, BuiltIn, Proof},
    audit::RefusalReason,
    flow::{
        csrf::CsrfToken,
        login::{self, Asked, Begin, Known, Prospects, begin, begin_path, opening_messages},
        owner::Owner,
        record::{Flow, FlowType, Opening},
    },
    headers::negotiation,
    source::Evidence,
    wire::Envelope,
    wire::ui::Node,
};

/// `GET /self-service/login/browser`
pub(crate) async fn begin_in_browser(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    if let Some(answer) = background::shows_no_form(&scope) {
        return answer;
    }
    let json_error = negotiation::wants_json(&scope.headers);
    let begun = match Request::read(&scope, FlowType::Browser, &Query::of(&uri)).await {
        Ok(request) => request.begin_in_browser(&scope).await,
        Err(failure) => Err(failure),
    };
    begun.unwrap_or_else(|failure| failure.respond(&scope, json_error))
}

/// `GET /self-service/login/api`
pub(crate) async fn begin_by_api(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    if let Some(answer) = background::prefetched(&scope) {
        return answer;
    }
    let begun = match Request::read(&scope, FlowType::Api, &Query::of(&uri)).await {
        Ok(request) => request.begin_by_api(&scope).await,
        Err(failure) => Err(failure),
    };
    begun.unwrap_or_else(|failure| failure.respond(&scope, true))
}

/// `GET /self-service/login/flows`, always in JSON.
pub(crate) async fn get_flow(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    match find_flow(&scope, &Query::of(&uri), "id").await {
        Ok(Shown { flow, asked, nodes: Some(nodes), .. }) => {
            answer::json(StatusCode::OK, &login::view(&flow, asked, scope.engine(), &nodes))
        }
        Ok(Shown { flow, asked, nodes: None, .. }) => {
            scope.context.report_refusal(RefusalReason::ExpiredFlow);
            answer::from_bytes(gone(&flow, asked, &scope).respond(&scope.headers))
        }
        Err(failure) => failure.respond(&scope, true),
    }
}

/// A flow with what its page shows.
pub(crate) struct Shown {
    pub(crate) flow: Flow,
    pub(crate) asked: Asked,
    pub(crate) owner: Option<Owner>,
    /// `None` if the flow has expired.
    pub(crate) nodes: Option<Vec<Node>>,
}

/// The flow of this id, if this client may see it. A browser flow needs the CSRF cookie that it began with. If the request has a session,
/// it must be the flow's own.
pub(crate) async fn find_flow(scope: &Scope, query: &Query, parameter: &str) -> Result<Shown, Failure> {
    let engine = scope.engine();
    let id = query.flow_id(parameter)?.ok_or(Failure::UnknownFlow)?;
    let flow = stored_flow(scope, id).await?;
    let asked = login::asked(&flow).ok_or(Failure::UnknownFlow)?;
    let csrf = CsrfToken::from_cookie(&scope.headers, &engine.sessions.cookies.csrf);
    if flow.flow_type == FlowType::Browser && !flow.was_begun_with(csrf.as_ref()) {
        return Err(Failure::Csrf);
    }
    let found = scope.evidence().await?;
    if let Some(found) = found
        && flow.is_bound()
        && !flow.belongs_to(&found.session)
    {
        return Err(Failure::IdentityMismatch);
    }
    if scope.now() >= flow.expires_at {
        return Ok(Shown { flow, asked, owner: None, nodes: None });
    }
    // Who only has the id of an API flow need not be its user.
    if found.is_some() {
        comes_into_use(scope, &flow).await?;
    }
    let owner = match flow.subject() {
        Some(subject) => Some(match found {
            Some(found) if flow.is_bound() => Owner::read(engine, &found.session).await?,
            _ => Owner::of(engine, subject, &[]).await?,
        }),
        None => None,
    };
    let mut nodes = login::nodes(&flow, asked, engine, owner.as_ref(), csrf.as_ref(), scope.now())?;
    // An API flow is read by its id alone. Who it is for is told only to them.
    if flow.flow_type == FlowType::Api && (found.is_none() || !flow.is_bound()) {
        login::forget_identifier(&mut nodes);
    }
    Ok(Shown { flow, asked, owner, nodes: Some(nodes) })
}

/// The URL that begins a flow of this kind.
pub(crate) fn begin_url(flow_type: FlowType, asked: Asked, return_to: Option<&Url>, scope: &Scope) -> Url {
    let methods = asked.methods.map(BuiltIn::names);
    let parameters = [
        ("aal", asked.aal2.then_some("aal2")),
        ("methods", methods.as_deref()),
        ("refresh", asked.refresh.then_some("true")),
        ("return_to", return_to.map(Url::as_str)),
    ];
    scope.engine().urls.route(begin_path(flow_type), &parameters)
}

/// 410: the flow has expired.
fn gone(flow: &Flow, asked: Asked, scope: &Scope) -> Envelope {
    let restart = begin_url(flow.flow_type, asked, flow.return_to.as_ref(), scope);
    expired_with_restart(flow, &restart, scope)
}

/// The error of an expired flow, with the URL that begins a new one.
pub(crate) fn expired_with_restart(flow: &Flow, restart: &Url, scope: &Scope) -> Envelope {
    let envelope = expired_envelope(flow, scope);
    match (flow.flow_type, &flow.return_to) {
        (FlowType::Api, _) => envelope.detail("api", restart.as_str()),
        (FlowType::Browser, None) => envelope.detail("redirect_to", restart.as_str()),
        (FlowType::Browser, Some(return_to)) => {
            envelope.detail("redirect_to", restart.as_str()).detail("return_to", return_to.as_str())
        }
    }
}

/// The error of an expired flow, without a remedy.
pub(crate) fn expired_envelope(flow: &Flow, scope: &Scope) -> Envelope {
    let since = scope.now().since(flow.expires_at).as_nanos();
    Envelope::new(
        StatusCode::GONE,
        Some("self_service_flow_expired"),
        "flow expired",
        "The form was open for too long. Please begin again.",
    )
    .top_level("expired_at", json!(flow.expires_at))
    .top_level("since", u64::try_from(since).unwrap_or(u64::MAX))
}

/// A request to begin a flow, checked in the order of the wire contract.
struct Request {
    asked: Asked,
    asked_url: Url,
    return_to: Option<Url>,
    /// When the client was led to the application's login, in seconds since the Unix epoch.
    since: Option<i64>,
}

/// The parameter that says when a client was led to the application's login. It decides only where its sender goes next.
const SINCE: &str = "since";

/// What is decided before a flow begins.
struct Decision<'a> {
    found: Option<&'a Evidence>,
    owner: Option<Owner>,
    outcome: Begin,
}

impl Request {
    async fn read(scope: &Scope, flow_type: FlowType, query: &Query) -> Result<Self, Failure> {
        let return_to = return_to(scope, query).await?;
        if query.one("login_challenge")?.is_some() {
            return Err(Failure::LoginChallenge);
        }
        let mut asked = query.asked()?;
        // Without a session there is nothing to prove again, by whatever method.
        if scope.evidence().await?.is_none() {
            asked = Asked { refresh: false, methods: None, ..asked };
        }
        let since = query.one(SINCE)?.and_then(|since| since.parse().ok());
        Ok(Self { asked, asked_url: query.asked_url(scope.engine(), begin_path(flow_type)), return_to, since })
    }

    async fn begin_in_browser(self, scope: &Scope) -> Result<Response, Failure> {
        let engine = scope.engine();
        let spa = negotiation::init_wants_json(&scope.headers);
        let decision = self.decide(scope, FlowType::Browser).await?;
        let mut stale_device = None;
        match decision.outcome {
            Begin::FirstFactorRequired => {
                let again =
                    if spa { None } else { trusted_device::recognise_again(scope, self.return_to.as_ref()).await? };
                return again.ok_or(Failure::FirstFactorRequired);
            }
            Begin::FirstLogin => return self.lead_to_first_login(scope, decision.found),
            Begin::AlreadyAvailable if spa => return Err(Failure::AlreadyAvailable),
            Begin::AlreadyAvailable => {
                return Ok(answer::see_other(self.return_to.as_ref().unwrap_or(&engine.urls.default_return)));
            }
            Begin::EnrolFirst => {
                let url = enrolment(scope, self.return_to.as_ref(), decision.found, decision.owner.as_ref());
                return Ok(lead_to(&url, negotiation::wants_json(&scope.headers), scope));
            }
            Begin::NothingUsable | Begin::Flow => {
                if let (Some(found), Some(owner)) = (decision.found, &decision.owner)
                    && !spa
                    && trusted_device::may_stand_for(self.asked)
                {
                    match trusted_device::recognise(scope, found, owner, self.return_to.as_ref()).await? {
                        Recognised::Trusted(response) => return Ok(response),
                        Recognised::Not(removal) => stale_device = removal,
                    }
                }
            }
        }
        let known = CsrfToken::from_cookie(&scope.headers, &engine.sessions.cookies.csrf);
        let csrf = known.clone().or_else(CsrfToken::random).ok_or(Failure::Unavailable)?;
        let flow = self.open(scope, FlowType::Browser, &decision, Some(&csrf)).await?;
        let mut response = if spa {
            let nodes = login::nodes(&flow, self.asked, engine, decision.owner.as_ref(), Some(&csrf), scope.now())?;
            answer::json(StatusCode::OK, &login::view(&flow, self.asked, engine, &nodes))
        } else {
            answer::see_other(&page_of(&flow, scope))
        };
        if known.is_none() {
            answer::set_cookie(&mut response, engine.sessions.cookies.csrf(&csrf.cookie_value()));
        }
        answer::set_cookie(&mut response, stale_device);
        carry_along(scope, &flow, &mut response)?;
        Ok(response)
    }

    /// Leads to the application's own login. Whoever is signed in there comes back by this address, which looks whether they have signed in
    /// anew: a login page may send them back at once, and so would we.
    fn lead_to_first_login(&self, scope: &Scope, found: Option<&Evidence>) -> Result<Response, Failure> {
        let engine = scope.engine();
        let return_to = self.return_to.as_ref();
        let json = negotiation::wants_json(&scope.headers);
        let Some(found) = found.filter(|_| engine.is_hosted()) else {
            return Ok(lead_to(&engine.urls.first_login(return_to), json, scope));
        };
        let Some(since) = self.since else {
            let since = scope.now().unix_seconds().to_string();
            let methods = self.asked.methods.map(BuiltIn::names);
            let parameters = [
                ("methods", methods.as_deref()),
                ("refresh", Some("true")),
                (SINCE, Some(since.as_str())),
                ("return_to", return_to.map(Url::as_str)),
            ];
            let back = engine.urls.route(begin_path(FlowType::Browser), &parameters);
            return Ok(lead_to(&engine.urls.first_login(Some(&back)), json, scope));
        };
        let first_factors = found.session.proofs().iter().filter(|proof| proof.aal() == Aal::Aal1);
        match first_factors.filter_map(Proof::completed_at).max() {
            Some(at) if at.unix_seconds() >= since => {
                Ok(lead_to(return_to.unwrap_or(&engine.urls.default_return), json, scope))
            }
            _ => Err(Failure::StillSignedIn),
        }
    }

    async fn begin_by_api(self, scope: &Scope) -> Result<Response, Failure> {
        let decision = self.decide(scope, FlowType::Api).await?;
        match decision.outcome {
            Begin::FirstFactorRequired => return Err(Failure::FirstFactorRequired),
            Begin::FirstLogin => return Err(Failure::FlowDisabled),
            Begin::AlreadyAvailable => return Err(Failure::AlreadyAvailable),
            Begin::EnrolFirst | Begin::NothingUsable | Begin::Flow => {}
        }
        let flow = self.open(scope, FlowType::Api, &decision, None).await?;
        let nodes = login::nodes(&flow, self.asked, scope.engine(), decision.owner.as_ref(), None, scope.now())?;
        Ok(answer::json(StatusCode::OK, &login::view(&flow, self.asked, scope.engine(), &nodes)))
    }

    /// The session, its subject with the current credentials, and the outcome.
    async fn decide<'a>(&self, scope: &'a Scope, flow_type: FlowType) -> Result<Decision<'a>, Failure> {
        let engine = scope.engine();
        let mut taken = engine.factors.iter().filter(|factor| self.asked.aal2 || self.asked.takes(factor.as_ref()));
        let first_factor = taken.any(|factor| factor.first_factor().is_some());
        let Some(found) = scope.evidence().await? else {
            // Where the application has the sessions, nobody else begins one.
            let outcome = begin(self.asked, None, first_factor && !engine.is_hosted());
            return Ok(Decision { found: None, owner: None, outcome });
        };
        let owner = Owner::read(engine, &found.session).await?;
        let known = Known {
            level: found.standing.level(&found.session, scope.now()),
            prospects: Prospects::of(&owner, flow_type, self.asked, engine),
        };
        let outcome = begin(self.asked, Some(known), first_factor);
        Ok(Decision { found: Some(found), owner: Some(owner), outcome })
    }

    async fn open(
        &self,
        scope: &Scope,
        flow_type: FlowType,
        decision: &Decision<'_>,
        csrf: Option<&CsrfToken>,
    ) -> Result<Flow, Failure> {
        let engine = scope.engine();
        let now = scope.now();
        let return_to = self.return_to.as_ref();
        let session = match decision.found {
            Some(found) => Some(stored_flow::session_of(scope, found).await?),
            None => None,
        };
        let level = decision.found.map(|found| found.standing.level(&found.session, now)).unwrap_or_default();
        let opening = Opening {
            purpose: self.asked.purpose(),
            flow_type,
            session: session.as_ref(),
            return_to: self.return_to.clone(),
            request_url: self.asked_url.clone(),
            csrf: csrf.map(CsrfToken::hash),
            messages: opening_messages(self.asked, level, decision.outcome, &engine.urls.enrolment(return_to)),
            expires_at: now + engine.limits.login_flow_lifespan,
        };
        let mut flow = Flow::open(opening, now);
        if let Some(owner) = &decision.owner {
            let asked_for = !background::comes_from_another_site(scope);
            let sent = login::challenge(&mut flow, engine, owner, self.asked, asked_for, now).await?;
            if let Some(sent) = sent {
                scope.context.report_refusal(sent);
            }
        }
        stored_flow::begin(scope, flow).await
    }
}
