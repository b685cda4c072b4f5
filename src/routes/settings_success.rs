//! What a change of factors does: the change itself, a new session, and the answer with it.

use axum::{http::StatusCode, response::Response};
use serde_json::json;
use url::Url;

use super::{
    answer,
    change::Change,
    checks,
    failure::Failure,
    repeat::{Sent, Successor},
    said::Said,
    saving::{self, Kept},
    scope::Scope,
    stored_flow::stored_flow,
};
use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    audit::{AuditEventKind, FailureReason, RefusalReason},
    engine::Tried,
    factor::{Enrolment, EnrolmentOutcome, Factor, FactorContext, FactorError, Form},
    flow::{
        owner::Owner,
        record::{Flow, FlowType, Purpose},
        settings,
        states::FactorStates,
    },
    requirement::{Requirement, Shortfall},
    session::{Session, StoredSession},
    source::Carried,
    standing::{CredentialSummary, Enrolled},
    store::{AttemptKey, Completed, Completion, Credential, CredentialChange, StoreErrorKind},
    wire::ui::{message, reason},
};

impl Change<'_> {
    /// The session after binding a credential. The first second factor counts as proven now. A further one adds no proof, since the
    /// client has just seen its secret: it takes the time of the last second-factor proof and does not prolong the session.
    ///
    /// `proves`: whether the form showed that the user has the credential. If not, the session rises no higher than it was. Only where it was
    /// proven with a credential that this one replaces, that proof goes on counting, from when it was made.
    pub(super) fn with_enrolled(&self, factor: &dyn Factor, proves: bool, credential: CredentialId) -> StoredSession {
        let (engine, now) = (self.engine(), self.scope.now());
        let proof = |at| Proof::new(factor.method(), factor.aal(), at).with_credential(credential);
        let standing = self.owner.standing(engine);
        if !proves {
            let counting = standing.counting_proofs(&self.found.session, now);
            let replaced = counting.filter(|proof| proof.method() == factor.method() && proof.credential().is_some());
            let proven_at = replaced.filter_map(Proof::completed_at).max();
            return engine.rotate(&self.found.session, proven_at.map(proof), now);
        }
        match standing.second_factor_at(&self.found.session, now) {
            Some(proven_at) if standing.enrolled() == Enrolled::Yes => {
                engine.rotate(&self.found.session, Some(proof(proven_at)), now)
            }
            _ => engine.renew(&self.found.session, proof(now), now),
        }
    }

    /// The session after adding a credential to a method. The first is bound like any other. A further one adds no proof and does not
    /// prolong the session.
    pub(super) fn with_added(
        &self,
        factor: &dyn Factor,
        proves: bool,
        credential: CredentialId,
        own: &[Credential],
    ) -> StoredSession {
        if own.is_empty() {
            return self.with_enrolled(factor, proves, credential);
        }
        self.engine().rotate(&self.found.session, None, self.scope.now())
    }

    /// What the form does. If a form like it is storing a credential of the factor's state, or died doing so, then as that one.
    pub(super) async fn outcome(
        &self,
        factor: &dyn Factor,
        enrolment: &dyn Enrolment,
        context: FactorContext<'_>,
        form: &Form,
    ) -> Result<EnrolmentOutcome, FactorError> {
        let engine = self.engine();
        let (id, method, ends) = (self.flow.id(), factor.method(), self.found.session.id());
        let taken = self.flow.states().open_taken(&engine.sealer, id, method, ends)?;
        if let Some(taken) = taken.filter(|_| !factor.sends(form)) {
            let context = FactorContext { state: Some(&taken), ..context };
            let outcome = engine.in_time(factor, enrolment.submit(context, form)).await?;
            if matches!(outcome, EnrolmentOutcome::Enrolled(_) | EnrolmentOutcome::Added(_)) {
                return Ok(outcome);
            }
        }
        engine.in_time(factor, enrolment.submit(context, form)).await
    }

    /// Saves a credential that was made of the factor's state. First ends that state: what was bound once, such as a set of recovery
    /// codes, must not be bound again later, when some of it is used.
    pub(super) async fn store(
        mut self,
        tried: Tried,
        change: CredentialChange,
        session: StoredSession,
    ) -> Result<Response, Failure> {
        let method = tried.key.method;
        if saving::take_state(self.scope, &mut self.flow, method, self.found.session.id()).await?.is_done() {
            return self.save(tried, vec![change], session).await;
        }
        match self.answered_meanwhile(method).await? {
            Some(answer) => {
                self.engine().lift_lock(&self.owner.subject, method).await;
                Ok(answer)
            }
            None => self.refuse_second().await,
        }
    }

    /// Writes the change, the new session and the end of the old one in one transaction, if the credentials are still those that the
    /// decision was based on.
    ///
    /// The answer is made first: once the change is written, the client must get its new session.
    pub(super) async fn save(
        mut self,
        tried: Tried,
        changes: Vec<CredentialChange>,
        session: StoredSession,
    ) -> Result<Response, Failure> {
        let engine = self.engine();
        let now = self.scope.now();
        let method = tried.key.method;
        // A name proves nothing. If it began the count anew, the count would limit nothing.
        let resets = changes.iter().any(|change| !matches!(change, CredentialChange::SetName { .. }));
        let session = Sent::answered_by(self.sent.as_ref(), self.scope, session);
        let mut after = self.saved(method, &changes).await?;
        let carried = self.scope.carry(&session, &after.owner.standing(engine))?;
        let response = after.succeed(Some(carried)).await?;
        let events = self.audited(&changes);
        let removes = changes.iter().any(|change| matches!(change, CredentialChange::Remove(_)));
        let mut completion = Completion::new(self.owner.subject.clone(), now);
        completion.expect_credentials = Some(self.owner.credentials.iter().map(|one| one.summary.id).collect());
        completion.credentials = changes;
        completion.put_in_place(self.found.session.id(), session.clone());
        if resets {
            // Also of what goes with it: a lock must not outlive what it protects.
            let gone = events.iter().filter_map(|event| match event {
                AuditEventKind::Removed { method, .. } => Some(*method),
                _ => None,
            });
            completion.reset = AttemptKey::all_of(&self.owner.subject, gone.chain([method]));
        }
        let committed = match engine.commit(completion).await {
            Err(error) if error.kind() == StoreErrorKind::Conflict => {
                settings::begin(&mut self.flow, engine, &self.owner, Some(method), now).await?;
                self.scope
                    .context
                    .report_refusal(AuditEventKind::Failed { method, reason: FailureReason::NotConfirmed });
                return self
                    .tell(Said::one(None, message::generic(reason::REGISTERED_ALREADY)), false, Some(method))
                    .await;
            }
            committed => committed?,
        };
        match committed {
            Completed::Done if resets => {}
            Completed::Done => engine.give_back(tried, now).await,
            Completed::SessionGone => {
                return match self.answered_meanwhile(method).await? {
                    Some(answer) => {
                        if resets {
                            engine.lift_lock(&self.owner.subject, method).await;
                        } else {
                            engine.give_back(tried, now).await;
                        }
                        Ok(answer)
                    }
                    None => Err(Failure::NoSession),
                };
            }
            _ => {
                self.owner = self.owner.anew(engine).await?;
                settings::begin(&mut self.flow, engine, &self.owner, None, now).await?;
                return self.refuse(RefusalReason::UsedFlow, None, message::generic(reason::CHANGED_ELSEWHERE)).await;
            }
        }
        for kind in events {
            self.scope.context.record(&session, kind);
        }
        self.scope.context.record(&session, AuditEventKind::Rotated { replaced: self.found.session.id() });
        after.keep(method, removes, self.flow.states()).await;
        Ok(response)
    }

    /// The answer of another request with this very form, if that was quicker.
    pub(super) async fn answered_meanwhile(&self, method: Method) -> Result<Option<Response>, Failure> {
        let Some(sent) = &self.sent else { return Ok(None) };
        match stored_flow(self.scope, self.flow.id()).await {
            Ok(flow) => Self::answer_again(self.scope, flow, sent, method).await,
            Err(Failure::UnknownFlow) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The answer that this form got already. Nothing is used up, and no credential changes.
    pub(super) async fn answer_again(
        scope: &Scope,
        flow: Flow,
        sent: &Sent,
        method: Method,
    ) -> Result<Option<Response>, Failure> {
        let (engine, now) = (scope.engine(), scope.now());
        let Some(Successor { session, evidence }) = sent.successor(scope, &flow).await? else { return Ok(None) };
        let owner = Owner::read(engine, &evidence.session).await?;
        let gate = Requirement::from(engine.settings_required_aal()).without_trusted_devices();
        match gate.check(&evidence.session, &evidence.standing, now) {
            Ok(()) | Err(Shortfall::NothingEnrolled) => {}
            Err(Shortfall::LevelTooLow) if asks_for_its_own(method, &owner, &evidence.session) => {}
            Err(_) => return Ok(None),
        }
        let json = checks::answers_in_json(scope, &flow);
        let written = session.answered().is_none_or(|answered| flow.updated_at >= answered.at);
        let mut after = Change { scope, found: &evidence, owner, flow, json, sent: None };
        if !written {
            // The process ended between the change and this.
            let before = after.flow.states().clone();
            after = after.saved(method, &[]).await?;
            after.keep(method, false, &before).await;
        }
        let carried = scope.carry(&session, &after.owner.standing(engine))?;
        let answer = after.succeed(Some(carried)).await?;
        scope.context.record(&session, AuditEventKind::Repeated);
        Ok(Some(answer))
    }

    /// The settings are already as the user wants them: says so. Nothing was stored, so the session keeps its token.
    pub(super) async fn unchanged(self, tried: Tried) -> Result<Response, Failure> {
        let method = tried.key.method;
        let mut after = self.saved(method, &[]).await?;
        let response = after.succeed(None).await?;
        // What was counted before stays: it may have sent codes.
        self.engine().give_back(tried, self.scope.now()).await;
        after.keep(method, false, self.flow.states()).await;
        Ok(response)
    }

    /// The flow and its owner as they will be once the changes are written.
    async fn saved(&self, method: Method, changes: &[CredentialChange]) -> Result<Self, Failure> {
        let now = self.scope.now();
        let owner = self.owner.after(self.engine(), changes)?;
        let mut flow = self.flow.clone();
        settings::begin(&mut flow, self.engine(), &owner, Some(method), now).await?;
        flow.say(None, message::saved(), now);
        // Front ends print the first message in their own words, so what it does not say needs another one.
        let gone = |change: &CredentialChange| match change {
            CredentialChange::Remove(id) => self.owner.method_of(*id),
            _ => None,
        };
        if method != Method::LookupSecret && changes.iter().filter_map(gone).any(|gone| gone == Method::LookupSecret) {
            flow.say_too(None, message::lookup_removed_too(), now);
        }
        flow.active = Some(method);
        flow.purpose = Purpose::Settings { success: true };
        flow.release();
        Ok(Self { scope: self.scope, found: self.found, owner, flow, json: self.json, sent: None })
    }

    /// The audit events of the changes.
    fn audited(&self, changes: &[CredentialChange]) -> Vec<AuditEventKind> {
        let known = |id| self.owner.credentials.iter().map(|one| one.summary).find(|summary| summary.id == id);
        let told = |change: &CredentialChange| match change {
            CredentialChange::Replace(new) | CredentialChange::Add(new) => {
                let CredentialSummary { id: credential, method, .. } = new.summary;
                Some(AuditEventKind::Enrolled { method, credential })
            }
            CredentialChange::Remove(id) => {
                known(*id).map(|gone| AuditEventKind::Removed { method: gone.method, credential: gone.id })
            }
            CredentialChange::SetName { credential, .. } => {
                known(*credential).map(|one| AuditEventKind::Renamed { method: one.method, credential: one.id })
            }
            CredentialChange::SetData { .. } => None,
        };
        changes.iter().filter_map(told).collect()
    }

    /// Stores the flow. If a factor was removed, ends the subject's other flows. The change is already written, so errors are only
    /// logged.
    ///
    /// The method's state for binding is used up, whatever others have written in the meantime. Only what they have begun `since` stays:
    /// its owner was shown it.
    async fn keep(&mut self, method: Method, removes: bool, since: &FactorStates) {
        let (scope, now, ours) = (self.scope, self.scope.now(), self.flow.clone());
        let succeed = |flow: &mut Flow, again: bool| {
            if again {
                if flow.states().agree(since, method) {
                    flow.states_mut().copy(ours.states(), method);
                }
                flow.clear_messages(now);
                flow.messages.clone_from(&ours.messages);
                flow.active = ours.active;
                flow.purpose = ours.purpose;
                flow.release();
            }
            Ok(())
        };
        match saving::write(scope, &mut self.flow, succeed).await {
            Ok(Kept::Stored) => {}
            Ok(kept) => tracing::warn!(?kept, "factors were changed, but the flow does not say so"),
            Err(failure) => tracing::warn!(?failure, "factors were changed, but the flow could not be written"),
        }
        if removes {
            let ended = self.engine().stores.remove_flows(&self.owner.subject, Some(self.flow.id())).await;
            if let Err(error) = ended {
                tracing::warn!(%error, "a factor was removed, but flows that began with it still exist");
            }
        }
    }

    /// `carried`: the new token and cookie, if the session has rotated.
    async fn succeed(&self, carried: Option<Carried>) -> Result<Response, Failure> {
        let next = self.return_url();
        if self.flow.flow_type == FlowType::Api {
            let go_on = carried.map(|carried| {
                let token = carried.token.as_str();
                json!([{ "action": "set_ory_session_token", "ory_session_token": token }])
            });
            return self.show(StatusCode::OK, go_on).await;
        }
        let mut response = if self.json {
            let go_on = json!([{ "action": "redirect_browser_to", "redirect_browser_to": next }]);
            self.show(StatusCode::OK, Some(go_on)).await?
        } else {
            answer::see_other(&next)
        };
        answer::set_cookie(&mut response, carried.map(|carried| carried.cookie));
        Ok(response)
    }

    /// Where the browser goes after a change.
    fn return_url(&self) -> Url {
        let configured = || self.engine().urls.after_settings.clone();
        let stay = || settings::page(&self.flow, self.engine());
        self.flow.return_to.clone().or_else(configured).unwrap_or_else(stay)
    }
}

/// Whether nothing but a proof of this method is missing, and the session never had one. Then a form that bound it and proved nothing has
/// raised what the user must prove.
fn asks_for_its_own(method: Method, owner: &Owner, session: &Session) -> bool {
    let known = owner.everything();
    let mut second = known.iter().map(|one| one.summary).filter(|summary| summary.aal == Aal::Aal2);
    second.all(|summary| summary.method == method) && session.proofs().iter().all(|proof| proof.method() != method)
}
