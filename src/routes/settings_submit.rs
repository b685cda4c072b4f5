//! Submitting a settings flow: the checks of the wire contract, section 8, in its order. The first failing check answers.

use std::ops::ControlFlow;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use serde_json::Value;
use tracing::{Instrument, field::Empty};

use super::{
    answer,
    body::{self, Received, Unreadable},
    change::{Change, named},
    checks::{self, Origin},
    failure::Failure,
    login::expired_envelope,
    query::Query,
    recent_proof::{self, Sensitive},
    repeat::Sent,
    said::Said,
    saving::{self, Kept},
    scope::{Scope, Site},
    settings::{Refused, judge, session, show},
    stored_flow,
};
use crate::{
    aal::Method,
    audit::{AuditEventKind, FailureReason, RefusalReason},
    engine::Tried,
    factor::{Enrolment, EnrolmentOutcome, Factor, FactorError, Form},
    flow::{
        csrf::CsrfToken,
        record::{Flow, Purpose},
        settings,
    },
    headers::negotiation,
    standing::{CredentialSummary, Recency},
    store::{AttemptKey, Credential, CredentialChange},
    wire::ui::{Text, message, reason},
};

/// `POST /self-service/settings`
pub(crate) async fn submit(State(_): State<Site>, scope: Scope, uri: Uri, body: Body) -> Response {
    let (scope, span) =
        scope.submits(|route| tracing::info_span!(target: "tower_step_up::flow", "settings", route, outcome = Empty));
    submitted(&scope, &uri, body).instrument(span).await
}

async fn submitted(scope: &Scope, uri: &Uri, body: Body) -> Response {
    let query = &Query::of(uri);
    // What the head refuses is refused before the body.
    let known = match at_the_head(scope, query).await {
        Ok(ControlFlow::Continue(known)) => known,
        Ok(ControlFlow::Break(response)) => return response,
        Err(refused) => return refused.respond(scope, negotiation::wants_json(&scope.headers)),
    };
    match body::receive(scope, body, scope.engine().limits.body_bytes).await {
        // Boxed, so that a request that waits for its body is small.
        Ok(received) => Box::pin(judge_again(received, query, known)).await,
        Err(failure) => failure.respond(scope, answers_in_json(scope, known.as_ref())),
    }
}

fn answers_in_json(scope: &Scope, flow: Option<&Flow>) -> bool {
    flow.map_or_else(|| negotiation::wants_json(&scope.headers), |flow| checks::answers_in_json(scope, flow))
}

/// The submitted flow, if the session may change it. `None`: there is no session, but this very form may have replaced it, and only its
/// body tells.
async fn at_the_head(scope: &Scope, query: &Query) -> Result<ControlFlow<Response, Option<Flow>>, Refused> {
    let found = match session(scope, scope.engine().urls.login_ui.clone()).await {
        Err(Refused::NoSession(_)) if scope.presented().is_some() && query.flow_id("flow")?.is_some() => {
            return Ok(ControlFlow::Continue(None));
        }
        found => found?,
    };
    let flow = named(scope, query).await?;
    judge(scope, found, &flow).await?;
    if scope.now() < flow.expires_at {
        return Ok(ControlFlow::Continue(Some(flow)));
    }
    let json = checks::answers_in_json(scope, &flow);
    let expired = Change::of(scope, found, flow).await?.replace_expired().await;
    Ok(ControlFlow::Break(expired.unwrap_or_else(|failure| failure.respond(scope, json))))
}

/// Everything once more, now that the body is there.
async fn judge_again(Received { bytes, scope, took_long }: Received, query: &Query, known: Option<Flow>) -> Response {
    let scope = &scope;
    let json = answers_in_json(scope, known.as_ref());
    match Change::read(scope, query, known.filter(|_| !took_long)).await {
        Ok(change) => Box::pin(change.check(bytes)).await.unwrap_or_else(|failure| failure.respond(scope, json)),
        Err(Refused::NoSession(url)) => match Change::read_again(scope, query, bytes).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Refused::NoSession(url).respond(scope, json),
            Err(failure) => failure.respond(scope, json),
        },
        Err(refused) => refused.respond(scope, json),
    }
}

impl Change<'_> {
    async fn check(mut self, bytes: Bytes) -> Result<Response, Failure> {
        if self.scope.now() >= self.flow.expires_at {
            return self.replace_expired().await;
        }
        self.sent = Sent::of(self.scope, &self.flow, &bytes);
        let form = match body::form(&self.scope.headers, bytes).await {
            Ok(form) => form,
            Err(Unreadable(why)) => {
                return self.refuse(RefusalReason::Invalid, None, message::generic(why)).await;
            }
        };
        let Some((factor, enrolment)) = settings::factor_of(self.engine(), self.flow.is_of_browser(), &form) else {
            return self.refuse(RefusalReason::Invalid, None, message::no_settings_method()).await;
        };
        match checks::origin(self.scope, &self.flow, &form) {
            Origin::Trusted => {}
            Origin::Forged => return Err(Failure::Csrf),
            Origin::BrowserInApiFlow => {
                return self
                    .refuse(RefusalReason::CrossSite, None, message::generic(reason::BROWSER_IN_API_FLOW))
                    .await;
            }
        }
        // The session may be only remembered, and replaced already.
        if let Some(answer) = self.answered_meanwhile(factor.method()).await? {
            return Ok(answer);
        }
        match self.must_prove_anew() {
            Some(refused) => Ok(refused.respond(self.scope, self.json)),
            None => self.apply(factor, enrolment, &form).await,
        }
    }

    /// Why the session may not change factors now, if it may not. By the current credentials, not by those in the cache.
    pub(super) fn must_prove_anew(&self) -> Option<Refused> {
        let standing = self.owner.standing(self.engine());
        let max_age = self.engine().limits.privileged_session_max_age;
        match standing.recency(&self.found.session, max_age, self.scope.now()) {
            Recency::Recent => None,
            Recency::ProveAnew { second_factor } => {
                let page = settings::page(&self.flow, self.engine());
                let level = standing.level(&self.found.session, self.scope.now());
                let what = Sensitive::ChangeFactors;
                Some(recent_proof::refuse(self.scope, what, level, second_factor, Some(&page)))
            }
        }
    }

    /// What the form of this factor does, once everything is checked that needs no factor.
    pub(super) async fn apply(
        mut self,
        factor: &dyn Factor,
        enrolment: &dyn Enrolment,
        form: &Form,
    ) -> Result<Response, Failure> {
        let engine = self.engine();
        let now = self.scope.now();
        let method = factor.method();
        let own = self.owner.credentials_of(method);
        let state = self.flow.state(engine, method)?;
        let context = self.owner.context(engine, &self.flow, method, &own, state.as_deref(), now);
        let errors = enrolment.field_errors(context, form);
        if !errors.is_empty() {
            self.scope.context.report_refusal(RefusalReason::Invalid);
            return self.tell(Said::fields(errors), false, None).await;
        }
        let mut tried = Tried::uncounted(AttemptKey { subject: self.owner.subject.clone(), method });
        // A form that guesses and sends nothing needs no limit, and no lock keeps the owner from it.
        if !enrolment.guesses_nothing(form) || factor.sends(form) {
            // The same counter as at the login: an attacker gets no extra attempts here.
            let attempt = engine.begin_attempt(&tried.key, now).await?;
            if let Some(retry_after) = checks::locked_for(attempt, now) {
                return self.locked(method, retry_after).await;
            }
            tried = Tried::counted(tried.key, attempt);
        }
        if factor.sends(form) && !saving::claim(self.scope, &mut self.flow, factor).await? {
            engine.give_back(tried, now).await;
            return self.refuse_second().await;
        }
        let proves = enrolment.proves(form);
        let outcome = match self.outcome(factor, enrolment, context, form).await {
            Ok(outcome) => outcome,
            Err(error) => return Err(saving::failed(self.scope, &mut self.flow, tried, error).await),
        };
        match outcome {
            EnrolmentOutcome::Wrong(error) => {
                let kind = AuditEventKind::Failed { method, reason: FailureReason::NotConfirmed };
                self.scope.context.report_refusal(kind);
                self.tell(Said::wrong(error.field, error.text, factor.advice()), false, None).await
            }
            // It stays counted. Otherwise it would reset the count of a step that sends codes.
            EnrolmentOutcome::Refused(text) => {
                // The factor may have been removed elsewhere in the meantime. Then it can be bound again.
                let begun = state.is_none().then_some(method);
                if begun.is_some() {
                    settings::begin(&mut self.flow, engine, &self.owner, begun, now).await?;
                }
                self.scope.context.report_refusal(RefusalReason::Invalid);
                self.tell(Said::one(None, text), false, begun).await
            }
            EnrolmentOutcome::Pending { state, message } => {
                self.go_on(method, &state, &own, message.map(|text| (None, text))).await
            }
            EnrolmentOutcome::Retry { state, field, text } => {
                self.go_on(method, &state, &own, Some((field, text))).await
            }
            EnrolmentOutcome::Sent { credential, message } => {
                self.scope.context.report_refusal(AuditEventKind::CodeSent { method, credential });
                self.note(Some(message)).await
            }
            EnrolmentOutcome::NotSent(text) => self.refuse(AuditEventKind::Unavailable, None, text).await,
            EnrolmentOutcome::Wait { seconds } => self.locked(method, seconds).await,
            EnrolmentOutcome::Dropped => self.note(None).await,
            EnrolmentOutcome::Enrolled(new) | EnrolmentOutcome::Added(new)
                if (new.summary.method, new.summary.aal) != (method, factor.aal()) =>
            {
                // It would count for another factor.
                Err(FactorError::Unavailable("the credential's method or level is not its factor's".into()).into())
            }
            EnrolmentOutcome::Enrolled(credential) => {
                let session = self.with_enrolled(factor, proves, credential.summary.id);
                self.store(tried, CredentialChange::Replace(credential), session).await
            }
            EnrolmentOutcome::Added(credential) => {
                let session = self.with_added(factor, proves, credential.summary.id, &own);
                self.store(tried, CredentialChange::Add(credential), session).await
            }
            EnrolmentOutcome::Removed => self.remove(tried, |known| known.method == method).await,
            // A factor may take the id from the form, so check that it is one of its own credentials.
            EnrolmentOutcome::RemovedOne(id) | EnrolmentOutcome::Renamed { credential: id, .. }
                if own.iter().all(|known| known.summary.id != id) =>
            {
                let text = message::generic(reason::REMOVED_ALREADY);
                self.refuse(RefusalReason::Invalid, None, text).await
            }
            EnrolmentOutcome::RemovedOne(id) => self.remove(tried, |known| known.id == id).await,
            EnrolmentOutcome::Renamed { credential, name }
                if own.iter().any(|known| known.summary.id == credential && known.name == name) =>
            {
                self.unchanged(tried).await
            }
            EnrolmentOutcome::Renamed { credential, name } => {
                let session = engine.rotate(&self.found.session, None, now);
                self.save(tried, vec![CredentialChange::SetName { credential, name }], session).await
            }
        }
    }

    /// Nothing is saved yet: keeps the factor's state and shows the flow again.
    async fn go_on(
        mut self,
        method: Method,
        state: &[u8],
        own: &[Credential],
        message: Option<(Option<&'static str>, Text)>,
    ) -> Result<Response, Failure> {
        if !saving::keep_step(self.scope, &mut self.flow, method, state, own, message.as_ref()).await?.is_done() {
            return self.refuse_second().await;
        }
        if message.is_some_and(|(field, text)| field.is_some() || text.is_error()) {
            self.scope.context.report_refusal(AuditEventKind::Failed { method, reason: FailureReason::NotConfirmed });
            return self.show(StatusCode::BAD_REQUEST, None).await;
        }
        self.show(StatusCode::OK, None).await
    }

    /// Nothing is saved, and the factor itself remembers what it needs: shows the flow again, with what the user reads.
    async fn note(mut self, message: Option<Text>) -> Result<Response, Failure> {
        let now = self.scope.now();
        let say = |flow: &mut Flow, _: bool| {
            flow.clear_messages(now);
            if let Some(text) = &message {
                flow.say_too(None, text.clone(), now);
            }
            flow.purpose = Purpose::Settings { success: false };
            flow.release();
            Ok(())
        };
        match saving::write(self.scope, &mut self.flow, say).await? {
            Kept::Gone => Err(Failure::UnknownFlow),
            Kept::Stored | Kept::LeftAsItIs => self.show(StatusCode::OK, None).await,
        }
    }

    /// Removes these credentials. Backup credentials go with the last second factor.
    async fn remove(self, tried: Tried, is_removed: impl Fn(&CredentialSummary) -> bool) -> Result<Response, Failure> {
        let engine = self.engine();
        let gone = engine.removed_with(&self.owner.everything(), |id| self.owner.is_elsewhere(id), is_removed);
        if gone.is_empty() {
            return self.unchanged(tried).await;
        }
        let session = engine.rotate(&self.found.session, None, self.scope.now());
        self.save(tried, gone.iter().map(|one| CredentialChange::Remove(one.id)).collect(), session).await
    }

    pub(super) async fn replace_expired(self) -> Result<Response, Failure> {
        self.scope.context.report_refusal(RefusalReason::ExpiredFlow);
        let engine = self.engine();
        let now = self.scope.now();
        let messages = vec![message::settings_expired(self.flow.expires_at)];
        let mut successor = self.flow.reopen(messages, now + engine.limits.settings_flow_lifespan, now);
        successor.purpose = Purpose::Settings { success: false };
        settings::begin(&mut successor, engine, &self.owner, None, now).await?;
        let successor = stored_flow::begin(self.scope, successor).await?;
        if !self.json {
            return Ok(answer::see_other(&settings::page(&successor, engine)));
        }
        let envelope = expired_envelope(&self.flow, self.scope).top_level("use_flow_id", successor.id().to_string());
        Ok(answer::from_bytes(envelope.respond(&self.scope.headers)))
    }

    async fn locked(mut self, method: Method, retry_after: u64) -> Result<Response, Failure> {
        let kind = AuditEventKind::Locked { method, retry_after };
        // Ory's UI kit shows nothing of a 429, so a browser gets the flow.
        if self.flow.is_of_browser() {
            let response = self.refuse(kind, None, message::too_many_attempts(retry_after)).await?;
            return Ok(checks::retry_later(response, retry_after));
        }
        self.scope.context.report_refusal(kind);
        Ok(checks::too_many_attempts(&self.scope.headers, retry_after))
    }

    pub(super) async fn refuse(
        &mut self,
        why: impl Into<AuditEventKind>,
        field: Option<&'static str>,
        text: Text,
    ) -> Result<Response, Failure> {
        self.scope.context.report_refusal(why);
        self.tell(Said::one(field, text), false, None).await
    }

    /// A form was sent twice at once, and the other one counts: shows the flow as the other left it, with a message.
    pub(super) async fn refuse_second(&mut self) -> Result<Response, Failure> {
        if !saving::read_anew(self.scope, &mut self.flow).await? {
            return Err(Failure::UnknownFlow);
        }
        self.scope.context.report_refusal(RefusalReason::UsedFlow);
        self.tell(Said::one(None, saving::sent_twice()), true, None).await
    }

    /// `beside`: keeps the flow's messages, since a concurrent request wrote them. `begun`: the method that was begun again, since the
    /// flow had no state for it.
    pub(super) async fn tell(&mut self, said: Said, beside: bool, begun: Option<Method>) -> Result<Response, Failure> {
        let now = self.scope.now();
        let ours = self.flow.clone();
        let say = |flow: &mut Flow, again: bool| {
            said.put_into(flow, beside || again, now);
            if let Some(method) = begun.filter(|&method| !flow.states().has(method)) {
                flow.states_mut().copy(ours.states(), method);
            }
            flow.purpose = Purpose::Settings { success: false };
            flow.release();
            Ok(())
        };
        match saving::write(self.scope, &mut self.flow, say).await? {
            Kept::Gone => Ok(Failure::UnknownFlow.answer(self.scope, self.json)),
            Kept::Stored | Kept::LeftAsItIs => self.show(StatusCode::BAD_REQUEST, None).await,
        }
    }

    pub(super) async fn show(&self, status: StatusCode, continue_with: Option<Value>) -> Result<Response, Failure> {
        if !self.json {
            return Ok(answer::see_other(&settings::page(&self.flow, self.engine())));
        }
        let csrf = CsrfToken::from_cookie(&self.scope.headers, &self.engine().sessions.cookies.csrf);
        show(self.scope, status, &self.flow, &self.owner, csrf.as_ref(), continue_with).await
    }
}
