//! What becomes of the secret in a submitted login form: checks 13 to 16 of the wire contract, section 6. The checks before it are in
//! `login_submit`.

use axum::response::Response;
use serde_json::Value;

use super::{
    checks,
    failure::Failure,
    login_success::{self, Proven},
    repeat, saving,
    submission::Submission,
    trusted_device,
};
use crate::{
    aal::{Aal, Proof},
    audit::{AuditEventKind, FailureReason, RefusalReason},
    engine::Tried,
    factor::{Factor, FieldError, FirstFactor, Form, Refusal, Verdict, identifier_of},
    flow::{login, owner::Owner},
    source::Evidence,
    store::{AttemptKey, Completed, Consumption},
    wire::ui::message,
};

impl<'a> Submission<'a> {
    /// Checks 13 to 16 with a session: the secret itself.
    pub(super) async fn evaluate(
        mut self,
        found: &'a Evidence,
        factor: &'a dyn Factor,
        form: &Form,
    ) -> Result<Response, Failure> {
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
    pub(super) async fn sign_in(
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
