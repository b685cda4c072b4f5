//! Submitting a login flow: the checks of the wire contract, section 6, in its order, up to the secret. The first failing check answers.
//! `login_verdict` has the rest.

use std::ops::ControlFlow;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::Uri,
    response::Response,
};
use tracing::{Instrument, field::Empty};

use super::{
    answer, background,
    body::{self, Received, Unreadable},
    checks::{self, Origin},
    failure::Failure,
    login::expired_envelope,
    login_success,
    onward::{enrolment, lead_to, page_of},
    repeat::Sent,
    said::Said,
    scope::{Scope, Site},
    stored_flow::{self, carry_along},
    submission::{Named, Submission},
};
use crate::{
    audit::RefusalReason,
    factor::{Form, Refusal, identifier_of},
    flow::{
        login::{self, Begin, Prospects, opening_messages},
        owner::Owner,
    },
    headers::negotiation,
    wire::ui::{message, reason},
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

impl Submission<'_> {
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
            Err(Unreadable(why)) => this.refuse(RefusalReason::Invalid, None, message::generic(why)).await,
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
                    .refuse(RefusalReason::CrossSite, None, message::generic(reason::BROWSER_IN_API_FLOW))
                    .await;
            }
        }
        match (self.found, factor.first_factor()) {
            (Some(found), _) if self.flow.is_bound() => self.evaluate(found, factor, &form).await,
            (None, Some(_)) if self.engine().is_hosted() => Err(Failure::NoSession),
            (None, Some(first)) => self.sign_in(factor, first, &form).await,
            // A session began in another tab in the meantime.
            _ => self.refuse(RefusalReason::NothingToDo, None, message::generic(reason::SIGNED_IN_ALREADY)).await,
        }
    }

    /// Check 6: nothing more is needed.
    async fn already_satisfied(mut self) -> Result<Response, Failure> {
        if !self.json {
            return Ok(answer::see_other(&self.return_url()));
        }
        self.refuse(RefusalReason::NothingToDo, None, message::generic(reason::CONFIRMED_ALREADY)).await
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
}
