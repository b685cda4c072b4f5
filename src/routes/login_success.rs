//! What a proven factor changes, and what the client gets.

use axum::{body::Bytes, http::StatusCode, response::Response};
use serde_json::{Value, json};

use super::{
    answer,
    failure::Failure,
    onward::leave_for,
    repeat::{Sent, Successor},
    saving,
    scope::Scope,
    submission::{Named, Submission},
    trusted_device::NewDevice,
};
use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    audit::AuditEventKind,
    clock::Timestamp,
    engine::Engine,
    factor::Factor,
    flow::{csrf::CsrfToken, login, owner::Owner, record::FlowType},
    requirement::{Requirement, Shortfall},
    session::{StoredSession, Subject},
    source::Evidence,
    store::{AttemptKey, Completed, Completion, Consumption, CredentialChange},
};

/// A proof that the store has yet to accept.
pub(crate) struct Proven<'a> {
    pub(crate) factor: &'a dyn Factor,
    pub(crate) consumption: Option<Consumption>,
}

/// Writes everything that the success changes, in one transaction: the code, the flow, the old session and the new one.
pub(crate) async fn grant(
    submission: &Submission<'_>,
    found: &Evidence,
    proven: Proven<'_>,
    owner: &Owner,
    device: Option<&NewDevice>,
) -> Result<(Completed, StoredSession), Failure> {
    let engine = submission.engine();
    let now = submission.scope.now();
    let method = proven.factor.method();
    let mut proof = Proof::new(method, proven.factor.aal(), now);
    if let Some(consumption) = &proven.consumption {
        proof = proof.with_credential(consumption.credential());
    }
    let session = engine.renew(&found.session, proof, now);
    let session = Sent::answered_by(submission.sent.as_ref(), submission.scope, session);
    let mut completion = Completion::new(owner.subject.clone(), now);
    // What the application keeps, no store can use up.
    completion.consume = proven.consumption.filter(|consumed| !owner.is_elsewhere(consumed.credential()));
    completion.credentials =
        device.map(|device| CredentialChange::Add(device.credential.clone())).into_iter().collect();
    // Not after a password: a user who proves both in turn needs the current code.
    if proven.factor.aal() == Aal::Aal2 {
        completion.raise_steps = open_steps(engine, owner, method, now);
    }
    completion.put_in_place(found.session.id(), session.clone());
    completion.flow = Some(submission.flow.to_stored()?);
    let mut counters = vec![method];
    if proven.factor.aal() == Aal::Aal2 {
        counters.extend(engine.second_factors(owner.credentials.iter().map(|one| one.summary)));
    }
    completion.reset = AttemptKey::all_of(&owner.subject, counters);
    Ok((engine.commit(completion).await?, session))
}

/// Begins a session and completes the flow, in one transaction; `None` if another request completed the flow in the meantime.
pub(crate) async fn begin(
    submission: &mut Submission<'_>,
    factor: &dyn Factor,
    subject: Subject,
    revocations: Option<u64>,
) -> Result<Option<StoredSession>, Failure> {
    let engine = submission.engine();
    let now = submission.scope.now();
    let method = factor.method();
    let proof = Proof::new(method, factor.aal(), now);
    let session = StoredSession::new(subject.clone(), proof, now, engine.limits.first_lifespan())
        .with_device(&submission.scope.context.client());
    let session = Sent::answered_by(submission.sent.as_ref(), submission.scope, session);
    submission.flow.began = Some((session.subject().clone(), session.binding()));
    let mut completion = Completion::new(subject.clone(), now);
    completion.begin = Some(session.clone().begun_after(revocations));
    completion.flow = Some(submission.flow.to_stored()?);
    completion.reset = vec![AttemptKey { subject, method }];
    match engine.commit(completion).await? {
        Completed::Done => {}
        Completed::FlowGone => return Ok(None),
        // All sessions of the subject were ended while the password was compared. The next try begins after that.
        Completed::SessionGone | Completed::Used | Completed::Unknown | Completed::CredentialsChanged => {
            return Err(Failure::Unavailable);
        }
    }
    submission.scope.context.record(&session, AuditEventKind::SignedIn { method });
    Ok(Some(session))
}

impl Submission<'_> {
    /// The answer of another request with this very form, if that was quicker. `counted`: the attempt that this one has counted.
    pub(crate) async fn answered_meanwhile(&mut self, counted: Option<Method>) -> Result<Option<Response>, Failure> {
        // A flow without a session says only afterwards which one it began.
        if self.sent.is_none() || !self.flow.is_bound() && !saving::read_anew(self.scope, &mut self.flow).await? {
            return Ok(None);
        }
        let Some(sent) = &self.sent else { return Ok(None) };
        let Some(successor) = sent.successor(self.scope, &self.flow).await? else { return Ok(None) };
        let answer = answer_again(self, successor).await?;
        if let (Some(_), Some(method), Some(subject)) = (&answer, counted, self.flow.subject()) {
            self.engine().lift_lock(subject, method).await;
        }
        Ok(answer)
    }
}

/// Whether a form that fails so may have been answered already, with a session that replaced the client's. Only its body tells.
pub(crate) fn may_be_a_repeat(failure: Failure, scope: &Scope, named: &Named) -> bool {
    let lacks_session = matches!(failure, Failure::NoSession | Failure::FirstFactorRequired);
    lacks_session && named.flow.is_bound() && scope.presented().is_some()
}

/// The answer to a form that has itself replaced the client's session, a moment ago. Otherwise it stays a failure.
pub(crate) async fn replaced_by(
    failure: Failure,
    scope: &Scope,
    named: Named,
    bytes: Bytes,
) -> Result<Response, Failure> {
    if !may_be_a_repeat(failure, scope, &named) {
        return Err(failure);
    }
    let mut again = Submission::without_session(scope, named);
    let Some(successor) = again.answered(bytes).await? else { return Err(failure) };
    answer_again(&again, successor).await?.ok_or(failure)
}

/// The answer that this form got already. Nothing is used up, and nothing changes.
pub(crate) async fn answer_again(
    submission: &Submission<'_>,
    Successor { session, evidence }: Successor,
) -> Result<Option<Response>, Failure> {
    let engine = submission.engine();
    // A factor that was removed in the meantime no longer counts.
    let (asked, now) = (submission.asked, submission.scope.now());
    if evidence.standing.level(&evidence.session, now) < asked.level()
        || !login::has_method(asked, &evidence, engine, now)
    {
        return Ok(None);
    }
    let owner = Owner::read(engine, &evidence.session).await?;
    let identity = engine.identity(session.subject()).await?;
    let answer = answer(submission, &session, &owner, &identity)?;
    submission.scope.context.record(&session, AuditEventKind::Repeated);
    Ok(Some(answer))
}

/// What the client gets. It calls neither store nor directory: the success is written, so the client must get its new session.
pub(crate) fn answer(
    submission: &Submission<'_>,
    session: &StoredSession,
    owner: &Owner,
    identity: &Value,
) -> Result<Response, Failure> {
    let engine = submission.engine();
    let now = submission.scope.now();
    let flow = &submission.flow;
    let standing = owner.standing(engine);
    let carried = submission.scope.carry(session, &standing)?;
    let view = || engine.session_view(session, &standing, identity, now);
    // If whoami requires the highest level, a user with a second factor must prove it next.
    let gate = Requirement::from(engine.whoami_required_aal()).without_trusted_devices();
    let return_to = flow.return_to.as_ref();
    let next = match gate.check(session.as_ref(), &standing, now) {
        Err(Shortfall::LevelTooLow) => Some(engine.urls.login(true, false, return_to)),
        Err(Shortfall::NothingEnrolled) => Some(engine.urls.enrolment(return_to)),
        Ok(()) | Err(_) => None,
    };
    let mut response = if flow.flow_type == FlowType::Api {
        let mut view = view();
        if let (Some(_), Some(members)) = (&next, view.as_object_mut()) {
            members.insert("identity".to_owned(), Value::Null);
        }
        let token = carried.token.as_str();
        answer::json(StatusCode::OK, &json!({ "session_token": token, "session": view, "continue_with": Value::Null }))
    } else if submission.json {
        if let Some(next) = &next {
            answer::from_bytes(leave_for(next).respond(&submission.scope.headers))
        } else {
            let go_on = json!({ "action": "redirect_browser_to", "redirect_browser_to": submission.return_url() });
            answer::json(StatusCode::OK, &json!({ "session": view(), "continue_with": [go_on] }))
        }
    } else {
        answer::see_other(&next.unwrap_or_else(|| submission.return_url()))
    };
    if flow.flow_type == FlowType::Browser {
        answer::set_cookie(&mut response, Some(carried.cookie));
        // Another person may have used this browser before.
        if !flow.is_bound()
            && let Some(csrf) = CsrfToken::random()
        {
            answer::set_cookie(&mut response, engine.sessions.cookies.csrf(&csrf.cookie_value()));
            answer::set_cookie(&mut response, engine.sessions.cookies.flow_removal(flow.id().into()));
        }
    }
    Ok(response)
}

/// A proof of one second factor burns the current codes of the others: nobody who has seen them on the user's screen can use them.
fn open_steps(engine: &Engine, owner: &Owner, proven: Method, now: Timestamp) -> Vec<(CredentialId, u64)> {
    owner
        .credentials
        .iter()
        .filter(|credential| credential.summary.method != proven)
        .filter_map(|credential| {
            let step = engine.factor(credential.summary.method)?.open_step(now)?;
            Some((credential.summary.id, step))
        })
        .collect()
}
