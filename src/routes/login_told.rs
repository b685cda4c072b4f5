//! What a submitted login flow that was not passed says: the same flow with a message, which is stored, so that the page shows it too.

use axum::{http::StatusCode, response::Response};

use super::{
    answer, checks,
    failure::Failure,
    onward::page_of,
    said::Said,
    saving::{self, Kept},
    stored_flow::{carry_along, comes_into_use},
    submission::Submission,
};
use crate::{
    aal::Method,
    audit::{AuditEventKind, FailureReason, RefusalReason},
    factor::{Factor, Refusal},
    flow::{csrf::CsrfToken, login, owner::Owner, record::Flow},
    store::Credential,
    wire::ui::{Text, message},
};

impl Submission<'_> {
    /// A wrong answer. It stays counted.
    pub(super) async fn wrong(mut self, factor: &dyn Factor, why: Refusal) -> Result<Response, Failure> {
        let reason = if why == Refusal::Used { FailureReason::Used } else { FailureReason::Wrong };
        self.scope.context.report_refusal(AuditEventKind::Failed { method: factor.method(), reason });
        let text = factor.refusal(why);
        // Without a session, the flow has counted it already.
        let mut said =
            if self.flow.is_bound() { Said::wrong(None, text, factor.advice()) } else { Said::one(None, text) };
        if login::is_used_up(&self.flow) {
            said.add(message::flow_is_used_up(self.seconds_left()));
        }
        self.tell(said, false).await
    }

    /// How long the flow lasts.
    pub(super) fn seconds_left(&self) -> u64 {
        self.flow.expires_at.since(self.scope.now()).as_secs().max(1)
    }

    /// Check 13: too many attempts.
    pub(super) async fn locked(mut self, method: Method, retry_after: u64, text: Text) -> Result<Response, Failure> {
        let kind = AuditEventKind::Locked { method, retry_after };
        // Ory's UI kit shows nothing of a 429, so a browser gets the flow.
        if self.flow.is_of_browser() {
            let response = self.refuse(kind, None, text).await?;
            return Ok(checks::retry_later(response, retry_after));
        }
        self.scope.context.report_refusal(kind);
        Ok(checks::too_many_attempts(&self.scope.headers, retry_after))
    }

    /// Shows the same flow with a new message. The message is stored, so the page shows it after the redirect.
    pub(super) async fn refuse(
        &mut self,
        why: impl Into<AuditEventKind>,
        field: Option<&'static str>,
        text: Text,
    ) -> Result<Response, Failure> {
        self.scope.context.report_refusal(why);
        self.tell(Said::one(field, text), false).await
    }

    /// A form was sent twice at once, and the other one counts: shows the flow as the other left it, with a message.
    pub(super) async fn refuse_second(&mut self) -> Result<Response, Failure> {
        if !saving::read_anew(self.scope, &mut self.flow).await? {
            return Err(Failure::UnknownFlow);
        }
        if let Some(answer) = self.answered_meanwhile(None).await? {
            return Ok(answer);
        }
        self.scope.context.report_refusal(RefusalReason::UsedFlow);
        let text = if self.flow.completed { message::completed_already() } else { saving::sent_twice() };
        self.tell(Said::one(None, text), true).await
    }

    /// `beside`: keeps the flow's messages, since a concurrent request wrote them.
    pub(super) async fn tell(&mut self, said: Said, beside: bool) -> Result<Response, Failure> {
        let now = self.scope.now();
        if self.flow.completed || !self.flow.is_stored() {
            // A completed flow is never written again, and one where nothing was compared is not stored yet. Only this answer has the message.
            said.put_into(&mut self.flow, false, now);
            return self.show(StatusCode::BAD_REQUEST).await;
        }
        let ours = self.flow.clone();
        let say = |flow: &mut Flow, again: bool| {
            said.put_into(flow, beside || again, now);
            flow.copy_typed(&ours);
            // A user at a factor's second step stays there.
            flow.active = flow.active.filter(|method| flow.states().has(*method));
            flow.release();
            Ok(())
        };
        match saving::write(self.scope, &mut self.flow, say).await? {
            Kept::Gone => return Ok(Failure::UnknownFlow.answer(self.scope, self.json)),
            Kept::LeftAsItIs if self.flow.completed => self.flow.say(None, message::completed_already(), now),
            Kept::Stored | Kept::LeftAsItIs => {}
        }
        self.show(StatusCode::BAD_REQUEST).await
    }

    pub(super) async fn show(&self, status: StatusCode) -> Result<Response, Failure> {
        // Only here: a form that was passed needs no keeping.
        comes_into_use(self.scope, &self.flow).await?;
        if !self.json {
            let mut response = answer::see_other(&page_of(&self.flow, self.scope));
            carry_along(self.scope, &self.flow, &mut response)?;
            return Ok(response);
        }
        let engine = self.engine();
        let read = match self.flow.subject() {
            Some(subject) if self.owner.is_none() => {
                let proofs = self.found.map_or(&[][..], |found| found.session.proofs());
                Some(Owner::of(engine, subject, proofs).await?)
            }
            _ => None,
        };
        let owner = self.owner.as_ref().or(read.as_ref());
        let csrf = CsrfToken::from_cookie(&self.scope.headers, &engine.sessions.cookies.csrf);
        let nodes = login::nodes(&self.flow, self.asked, engine, owner, csrf.as_ref(), self.scope.now())?;
        let mut response = answer::json(status, &login::view(&self.flow, self.asked, engine, &nodes));
        carry_along(self.scope, &self.flow, &mut response)?;
        Ok(response)
    }

    /// A code was sent: keeps where it went, and shows the flow, which asks for it.
    pub(super) async fn sent(
        mut self,
        method: Method,
        state: &[u8],
        own: &[Credential],
        message: Text,
    ) -> Result<Response, Failure> {
        let engine = self.engine();
        let now = self.scope.now();
        let keep = |flow: &mut Flow, _: bool| {
            flow.keep_state(engine, method, state, own)?;
            flow.active = Some(method);
            flow.say(None, message.clone(), now);
            flow.release();
            Ok(())
        };
        match saving::write(self.scope, &mut self.flow, keep).await? {
            Kept::Gone => Err(Failure::UnknownFlow),
            Kept::LeftAsItIs if self.flow.completed => self.refuse_second().await,
            Kept::LeftAsItIs => Err(Failure::Unavailable),
            // Ory's clients take 200 for the end of the login.
            Kept::Stored => self.show(StatusCode::BAD_REQUEST).await,
        }
    }

    /// One more step, or the same once more: keeps the factor's state and shows the flow again. `reason`: why the step failed, if it did.
    pub(super) async fn go_on(
        mut self,
        method: Method,
        state: &[u8],
        own: &[Credential],
        message: Option<Text>,
        reason: FailureReason,
    ) -> Result<Response, Failure> {
        let message = message.map(|text| (None, text));
        if !saving::keep_step(self.scope, &mut self.flow, method, state, own, message.as_ref()).await?.is_done() {
            return self.refuse_second().await;
        }
        if message.is_some_and(|(_, text)| text.is_error()) {
            self.scope.context.report_refusal(AuditEventKind::Failed { method, reason });
            return self.show(StatusCode::BAD_REQUEST).await;
        }
        self.show(StatusCode::OK).await
    }
}
