//! Submitting a login flow: the checks of the wire contract, section 6, in its order. The first failing check answers.

use std::ops::ControlFlow;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::Uri,
    response::Response,
};
use serde_json::Value;
use tracing::{Instrument, field::Empty};

use super::{
    answer, background,
    body::{self, Received, Unreadable},
    checks::{self, Origin},
    failure::Failure,
    login::expired_envelope,
    login_success::{self, Proven},
    onward::{enrolment, lead_to, page_of},
    repeat::{self, Sent},
    said::Said,
    saving,
    scope::{Scope, Site},
    stored_flow::{self, carry_along},
    submission::{Named, Submission},
    trusted_device,
};
use crate::{
    aal::{Aal, Proof},
    audit::{AuditEventKind, FailureReason, RefusalReason},
    engine::Tried,
    factor::{Factor, FieldError, FirstFactor, Form, Refusal, Verdict, identifier_of},
    flow::{
        login::{self, Begin, Prospects, opening_messages},
        owner::Owner,
    },
    headers::negotiation,
    source::Evidence,
    store::{AttemptKey, Completed, Consumption},
    wire::ui::message,
};

/// `POST /self-service/login`
pub(crate) async fn submit(State(_): State<Site>, scope: Scope, uri: Uri, body: Body) -> Response {
    let (scope, span) = scope.submits(|route| {
        tracing::info_span!(target: "tower_step_up::flow", "step_up", route, requirement = Empty, outcome = Empty)
    });
    submitted(&scope, &uri, body).instrument(span).await
}

async fn submitted(scope: &Scope, uri: &Uri, body: Body) -> Response {
    let wants_json = negotiation::wants_json(&scope.headers);
    let named = match Named::read(scope, uri).await {
        Ok(named) => named,
        Err(failure) => return failure.respond(scope, wants_json),
    };
    // What the head refuses is refused before the body.
    match Submission::of(scope, named.clone()).await {
        Ok(submission) => {
            scope.context.tell("requirement", submission.asked.name());
            let json = submission.json;
            match submission.admit().await {
                Ok(ControlFlow::Continue(_)) => {}
                Ok(ControlFlow::Break(response)) => return response,
                Err(failure) => return failure.respond(scope, json),
            }
        }
        Err(failure) if login_success::may_be_a_repeat(failure, scope, &named) => {}
        Err(failure) => return failure.respond(scope, wants_json),
    }
    match body::receive(scope, body, scope.engine().limits.body_bytes).await {
        // Boxed, so that a request that waits for its body is small.
        Ok(received) => Box::pin(judge_again(received, uri, named)).await,
        Err(failure) => failure.respond(scope, checks::answers_in_json(scope, &named.flow)),
    }
}

/// Everything once more, now that the body is there.
async fn judge_again(Received { bytes, scope, took_long }: Received, uri: &Uri, named: Named) -> Response {
    let scope = &scope;
    let wants_json = negotiation::wants_json(&scope.headers);
    let named = if took_long { Named::read(scope, uri).await } else { Ok(named) };
    let named = match named {
        Ok(named) => named,
        Err(failure) => return failure.respond(scope, wants_json),
    };
    match Submission::of(scope, named.clone()).await {
        Ok(submission) => {
            let json = submission.json;
            submission.check(bytes).await.unwrap_or_else(|failure| failure.respond(scope, json))
        }
        Err(failure) => {
            let again = login_success::replaced_by(failure, scope, named, bytes).await;
            again.unwrap_or_else(|failure| failure.respond(scope, wants_json))
        }
    }
}

impl<'a> Submission<'a> {
    /// Checks 6 and 7.
    async fn admit(self) -> Result<ControlFlow<Response, Self>, Failure> {
        if !self.asked.refresh && self.asked.level() <= self.level() {
            return self.already_satisfied().await.map(ControlFlow::Break);
        }
        if self.scope.now() >= self.flow.expires_at {
            return self.replace_expired().await.map(ControlFlow::Break);
        }
        Ok(ControlFlow::Continue(self))
    }

    /// Checks 6 to 12.
    async fn check(self, bytes: Bytes) -> Result<Response, Failure> {
        let mut this = match self.admit().await? {
            ControlFlow::Continue(admitted) => admitted,
            ControlFlow::Break(response) => return Ok(response),
        };
        if this.flow.completed {
            if let Some(successor) = this.answered(bytes).await?
                && let Some(answer) = login_success::answer_again(&this, successor).await?
            {
                return Ok(answer);
            }
            return this.refuse(RefusalReason::UsedFlow, None, message::completed_already()).await;
        }
        this.sent = Sent::of(this.scope, &this.flow, &bytes);
        match body::form(&this.scope.headers, bytes).await {
            Ok(form) => this.check_form(form).await,
            Err(Unreadable(reason)) => this.refuse(RefusalReason::Invalid, None, message::generic(reason)).await,
        }
    }

    /// Checks 10 to 12.
    async fn check_form(mut self, form: Form) -> Result<Response, Failure> {
        let Some(factor) = login::factor_of(self.engine(), &self.flow, self.asked, &form) else {
            return self.refuse(RefusalReason::Invalid, None, message::no_login_method()).await;
        };
        if !self.flow.is_bound() {
            self.flow.keep_typed(identifier_of(&form));
        }
        let errors = factor.field_errors(&form);
        if !errors.is_empty() {
            self.scope.context.report_refusal(RefusalReason::Invalid);
            return self.tell(Said::fields_of_login(errors, &factor.refusal(Refusal::Wrong)), false).await;
        }
        match checks::origin(self.scope, &self.flow, &form) {
            Origin::Trusted => {}
            Origin::Forged => return Err(Failure::Csrf),
            Origin::BrowserInApiFlow => {
                return self
                    .refuse(RefusalReason::CrossSite, None, message::generic(checks::BROWSER_IN_API_FLOW))
                    .await;
            }
        }
        match (self.found, factor.first_factor()) {
            (Some(found), _) if self.flow.is_bound() => self.evaluate(found, factor, &form).await,
            (None, Some(_)) if self.engine().is_hosted() => Err(Failure::NoSession),
            (None, Some(first)) => self.sign_in(factor, first, &form).await,
            // A session began in another tab in the meantime.
            _ => {
                self.refuse(
                    RefusalReason::NothingToDo,
                    None,
                    message::generic("You are already signed in. Please begin again."),
                )
                .await
            }
        }
    }

    /// Check 6: nothing more is needed.
    async fn already_satisfied(mut self) -> Result<Response, Failure> {
        if !self.json {
            return Ok(answer::see_other(&self.return_url()));
        }
        self.refuse(
            RefusalReason::NothingToDo,
            None,
            message::generic("You have already confirmed this. Please go on."),
        )
        .await
    }

    /// Check 7: a new flow with the same purpose.
    async fn replace_expired(self) -> Result<Response, Failure> {
        self.scope.context.report_refusal(RefusalReason::ExpiredFlow);
        let engine = self.engine();
        let now = self.scope.now();
        let owner = match self.found {
            Some(found) => Some(Owner::read(engine, &found.session).await?),
            None => None,
        };
        let outcome = match &owner {
            Some(owner) if self.asked.aal2 => Prospects::of(owner, self.flow.flow_type, self.asked, engine).begin(),
            _ => Begin::Flow,
        };
        let enrolment = enrolment(self.scope, self.flow.return_to.as_ref(), self.found, owner.as_ref());
        // As at the beginning: a new form would have nothing to fill in.
        if outcome == Begin::EnrolFirst && self.flow.is_of_browser() {
            return Ok(lead_to(&enrolment, self.json, self.scope));
        }
        let mut messages = opening_messages(self.asked, self.level(), outcome, &enrolment);
        messages.push(message::login_expired(self.flow.expires_at));
        let mut successor = self.flow.reopen(messages, now + engine.limits.login_flow_lifespan, now);
        if let Some(owner) = &owner {
            let asked_for = !background::comes_from_another_site(self.scope);
            let sent = login::challenge(&mut successor, engine, owner, self.asked, asked_for, now).await?;
            if let Some(sent) = sent {
                self.scope.context.report_refusal(sent);
            }
        }
        let successor = stored_flow::begin(self.scope, successor).await?;
        let mut response = if self.json {
            let envelope =
                expired_envelope(&self.flow, self.scope).top_level("use_flow_id", successor.id().to_string());
            answer::from_bytes(envelope.respond(&self.scope.headers))
        } else {
            answer::see_other(&page_of(&successor, self.scope))
        };
        carry_along(self.scope, &successor, &mut response)?;
        Ok(response)
    }

    /// Checks 13 to 16 with a session: the secret itself.
    async fn evaluate(mut self, found: &'a Evidence, factor: &'a dyn Factor, form: &Form) -> Result<Response, Failure> {
        let engine = self.engine();
        let now = self.scope.now();
        let method = factor.method();
        let owner = Owner::read(engine, &found.session).await?;
        let own = owner.credentials_of(method);
        if factor.aal() == Aal::Aal2 && own.is_empty() {
            return self.refuse(RefusalReason::Invalid, None, factor.refusal(Refusal::NotEnrolled)).await;
        }
        // Checked before the secret: nobody can test another user's password in this session.
        if factor.first_factor().is_some() && identifier_of(form) != Some(owner.identifier.trim()) {
            return Err(Failure::IdentityMismatch);
        }
        self.trusts_device = trusted_device::is_asked_for(&self, factor, form);
        let state = self.flow.state_of(engine, method, &own)?;
        let mut tried = Tried::uncounted(AttemptKey { subject: owner.subject.clone(), method });
        // Counted before anything is compared: then no later error makes a guess free.
        if !factor.guesses_nothing(form) || factor.sends(form) {
            let attempt = engine.begin_attempt(&tried.key, now).await?;
            if let Some(retry_after) = checks::locked_for(attempt, now) {
                if let Some(answer) = self.answered_meanwhile(None).await? {
                    return Ok(answer);
                }
                return self.locked(method, retry_after, message::too_many_attempts(retry_after)).await;
            }
            tried = Tried::counted(tried.key, attempt);
        }
        if factor.sends(form) && !saving::claim(self.scope, &mut self.flow, factor).await? {
            engine.give_back(tried, now).await;
            return self.refuse_second().await;
        }
        let context = owner.context(engine, &self.flow, method, &own, state.as_deref(), now);
        let answer = factor.answer(context, form);
        let verdict = match engine.in_time(factor, answer).await {
            Ok(verdict) => verdict,
            Err(error) => return Err(saving::failed(self.scope, &mut self.flow, tried, error).await),
        };
        // What this very form has just used up looks wrong here.
        if matches!(verdict, Verdict::Wrong | Verdict::Retry { .. })
            && own.iter().any(|one| repeat::is_recent(one.last_used_at, now))
            && let Some(answer) = self.answered_meanwhile(Some(method)).await?
        {
            return Ok(answer);
        }
        let consumption = match verdict {
            Verdict::Proven(consumption) => Some(consumption),
            // A second factor counts only while its credential exists, wherever it was checked.
            Verdict::ProvenElsewhere => {
                own.first().map(|credential| Consumption::Present { credential: credential.summary.id })
            }
            Verdict::Wrong => {
                self.owner = Some(owner);
                return self.wrong(factor, Refusal::Wrong).await;
            }
            Verdict::TooOld => {
                self.owner = Some(owner);
                return self.wrong(factor, Refusal::TooOld).await;
            }
            Verdict::Refused(FieldError { field, text }) => {
                return self.refuse(RefusalReason::Invalid, field, text).await;
            }
            Verdict::NotSent(text) => return self.refuse(AuditEventKind::Unavailable, None, text).await,
            Verdict::Wait { seconds } => {
                return self.locked(method, seconds, message::too_many_attempts(seconds)).await;
            }
            Verdict::Sent { state, credential, message } => {
                let own: Vec<_> = own.into_iter().filter(|one| one.summary.id == credential).collect();
                self.scope.context.report_refusal(AuditEventKind::CodeSent { method, credential });
                return self.sent(method, &state, &own, message).await;
            }
            Verdict::Continue { state, message } => {
                return self.go_on(method, &state, &own, message, FailureReason::Wrong).await;
            }
            Verdict::Retry { state, reason } => {
                let text = factor.refusal(Refusal::Wrong);
                return self.go_on(method, &state, &own, Some(text), reason).await;
            }
        };
        // Asked again at the last moment: an account that was disabled in the meantime gets nothing.
        if !engine.users.is_active(&owner.subject).await? {
            return self.refuse(RefusalReason::Disabled, None, message::disabled()).await;
        }
        // Read before the success is written. Nothing may fail afterwards, since the old session is then gone.
        let identity = engine.identity(&owner.subject).await?;
        self.conclude(found, Proven { factor, consumption }, &owner, &identity).await
    }

    /// Writes everything that the success changes, in one transaction.
    async fn conclude(
        mut self,
        found: &'a Evidence,
        proven: Proven<'a>,
        owner: &Owner,
        identity: &Value,
    ) -> Result<Response, Failure> {
        let factor = proven.factor;
        // Written together with the success: a completed flow is never written again.
        self.flow.pass(factor.method(), self.scope.now());
        let device = if self.trusts_device { trusted_device::make(self.scope, owner).await? } else { None };
        let (completed, session) = login_success::grant(&self, found, proven, owner, device.as_ref()).await?;
        if completed != Completed::Done
            && let Some(answer) = self.answered_meanwhile(Some(factor.method())).await?
        {
            return Ok(answer);
        }
        match completed {
            Completed::Done => {
                let context = &self.scope.context;
                context.record(&session, AuditEventKind::Passed { method: factor.method() });
                context.record(&session, AuditEventKind::Rotated { replaced: found.session.id() });
                let mut response = login_success::answer(&self, &session, owner, identity)?;
                if let Some(device) = device {
                    trusted_device::made(self.scope, &session, owner, device, &mut response).await;
                }
                Ok(response)
            }
            Completed::Used => self.wrong(factor, Refusal::Used).await,
            // These occur only where credentials change, not here.
            Completed::Unknown | Completed::CredentialsChanged => self.wrong(factor, Refusal::Wrong).await,
            Completed::SessionGone if self.asked.aal2 => Err(Failure::FirstFactorRequired),
            Completed::SessionGone => Err(Failure::NoSession),
            Completed::FlowGone => self.refuse(RefusalReason::UsedFlow, None, message::completed_already()).await,
        }
    }

    /// The same without a session: signs in with a first factor.
    async fn sign_in(
        mut self,
        factor: &'a dyn Factor,
        first: &dyn FirstFactor,
        form: &Form,
    ) -> Result<Response, Failure> {
        let engine = self.engine();
        // Counted in the flow. If the subject had the count, strangers could lock it. Of a double click, each is counted and checked.
        let typed = identifier_of(form);
        if !saving::count(self.scope, &mut self.flow, login::ANONYMOUS_FAILURES, factor.method(), typed).await? {
            if self.flow.completed || self.flow.failures < login::ANONYMOUS_FAILURES {
                return self.refuse_second().await;
            }
            let left = self.seconds_left();
            return self.locked(factor.method(), left, message::flow_is_used_up(left)).await;
        }
        // What is proven from here on is worth nothing if all sessions of the user end in the meantime.
        let revocations = engine.stores.revocations().await?;
        let identified = engine.in_time(factor, first.identify(engine.users.directory(), form)).await;
        let subject = match identified {
            Ok(Some(subject)) => subject,
            Ok(None) => return self.wrong(factor, Refusal::Wrong).await,
            Err(error) => return Err(saving::failed_anonymously(self.scope, &mut self.flow, error).await),
        };
        if !engine.users.is_active(&subject).await? {
            return self.refuse(RefusalReason::Disabled, None, message::disabled()).await;
        }
        let first = [Proof::new(factor.method(), factor.aal(), self.scope.now())];
        let owner = Owner::of(engine, &subject, &first).await?;
        let identity = engine.identity(&subject).await?;
        self.flow.pass(factor.method(), self.scope.now());
        match login_success::begin(&mut self, factor, subject, revocations).await? {
            Some(session) => login_success::answer(&self, &session, &owner, &identity),
            None => match self.answered_meanwhile(None).await? {
                Some(answer) => Ok(answer),
                None => self.refuse(RefusalReason::UsedFlow, None, message::completed_already()).await,
            },
        }
    }
}
