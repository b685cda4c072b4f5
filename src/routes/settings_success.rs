//! What a change of factors does: the change itself, a new session, and the answer with it.

use axum::{http::StatusCode, response::Response};
use serde_json::json;
use url::Url;

use super::{
    answer, checks,
    failure::Failure,
    repeat::{Sent, Successor},
    saving::{self, Kept},
    scope::Scope,
    settings_submit::Change,
    stored_flow::stored_flow,
};
use crate::{
    aal::{CredentialId, Method, Proof},
    audit::{AuditEventKind, RefusalReason},
    engine::Tried,
    factor::Factor,
    flow::{
        owner::Owner,
        record::{Flow, FlowType, Purpose},
        settings,
    },
    requirement::{Requirement, Shortfall},
    session::StoredSession,
    source::Carried,
    standing::{CredentialSummary, Enrolled},
    store::{Completed, Completion, Credential, CredentialChange},
    wire::ui::message,
};

impl Change<'_> {
    /// The session after binding a credential. The first second factor counts as proven now. A further one adds no proof, since the
    /// client has just seen its secret: it takes the time of the last second-factor proof and does not prolong the session.
    pub(super) fn with_enrolled(&self, factor: &dyn Factor, credential: CredentialId) -> StoredSession {
        let (engine, now) = (self.engine(), self.scope.now());
        let proof = |at| Proof::new(factor.method(), factor.aal(), at).with_credential(credential);
        let standing = self.owner.standing(engine);
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
        credential: CredentialId,
        own: &[Credential],
    ) -> StoredSession {
        if own.is_empty() {
            return self.with_enrolled(factor, credential);
        }
        self.engine().rotate(&self.found.session, None, self.scope.now())
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
        completion.reset = resets.then(|| tried.key.clone());
        match engine.commit(completion).await? {
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
                self.owner = Owner::read(engine, &self.owner.subject).await?;
                settings::begin(&mut self.flow, engine, &self.owner, None, now).await?;
                let text = "Your settings were changed elsewhere in the meantime. Please check them and try again.";
                return self.refuse(RefusalReason::UsedFlow, None, message::generic(text)).await;
            }
        }
        for kind in events {
            self.scope.context.record(&session, kind);
        }
        self.scope.context.record(&session, AuditEventKind::Rotated { replaced: self.found.session.id() });
        after.keep(method, removes).await;
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
        let gate = Requirement::from(engine.settings_required_aal());
        match gate.check(&evidence.session, &evidence.standing, now) {
            Ok(()) | Err(Shortfall::NothingEnrolled) => {}
            Err(_) => return Ok(None),
        }
        let json = checks::answers_in_json(scope, &flow);
        let owner = Owner::read(engine, session.subject()).await?;
        let written = session.answered().is_none_or(|answered| flow.updated_at >= answered.at);
        let mut after = Change { scope, found: &evidence, owner, flow, json, sent: None };
        if !written {
            // The process ended between the change and this.
            after = after.saved(method, &[]).await?;
            after.keep(method, false).await;
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
        after.keep(method, false).await;
        Ok(response)
    }

    /// The flow and its owner as they will be once the changes are written.
    async fn saved(&self, method: Method, changes: &[CredentialChange]) -> Result<Self, Failure> {
        let now = self.scope.now();
        let owner = self.owner.after(changes);
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
    /// The method's state for binding is used up and must not be shown again, whatever others have written in the meantime.
    async fn keep(&mut self, method: Method, removes: bool) {
        let (scope, now, ours) = (self.scope, self.scope.now(), self.flow.clone());
        let succeed = |flow: &mut Flow, again: bool| {
            if again {
                flow.copy_state(&ours, method);
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
