//! Submitting a login flow: the checks of the wire contract, section 6, in its order. The first that fails answers.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use serde_json::{Value, json};

use super::{
    answer,
    body::{self, BodyError},
    failure::Failure,
    login::{expired_envelope, page_of},
    query::Query,
    scope::Scope,
};
use crate::{
    aal::{Aal, Method, Proof},
    challenge::{Envelope, negotiation},
    config::{AUDIT, Inner, SignedIn, StepUp},
    factor::{Factor, FactorContext, Form, Refusal, Verdict},
    flow::{
        csrf::{self, CsrfToken},
        login::{self, Asked, Begin, credentials_of, opening_messages, usable_factors},
        record::{Flow, FlowType},
    },
    session::Subject,
    standing::Authenticated,
    store::{Attempt, AttemptKey, Completed, Completion, Consumption, Credential, Rotation},
    ui::{Text, message},
};

/// `POST /self-service/login`
pub(crate) async fn submit(State(_): State<StepUp>, scope: Scope, uri: Uri, body: Body) -> Response {
    match Submission::read(&scope, &uri).await {
        Ok(submission) => {
            let json = submission.json;
            submission.run(body).await.unwrap_or_else(|failure| failure.respond(scope.inner(), &scope.headers, json))
        }
        Err(failure) => failure.respond(scope.inner(), &scope.headers, negotiation::wants_json(&scope.headers)),
    }
}

/// A submitted flow that exists and belongs to the client's session.
struct Submission<'a> {
    scope: &'a Scope,
    found: &'a Authenticated,
    flow: Flow,
    asked: Asked,
    /// Whether the client is a program; browsers that show pages get redirects.
    json: bool,
}

/// What the checks before the secret leave.
struct Answered<'a> {
    factor: &'a dyn Factor,
    form: Form,
}

impl<'a> Submission<'a> {
    /// Checks 2 to 5.
    async fn read(scope: &'a Scope, uri: &Uri) -> Result<Self, Failure> {
        let inner = scope.inner();
        let id = Query::of(uri).flow_id("flow")?.ok_or(Failure::BadFlowQuery)?;
        let stored = inner.stores.flow(id).await?.ok_or(Failure::UnknownFlow)?;
        let flow = Flow::from_stored(stored)?;
        let asked = login::asked(&flow).ok_or(Failure::UnknownFlow)?;
        let missing = if asked.aal2 { Failure::FirstFactorRequired } else { Failure::NoSession };
        let found = scope.context.authenticated()?.ok_or(missing)?.as_ref();
        if !flow.belongs_to(&found.session) {
            return Err(Failure::IdentityMismatch);
        }
        let json = flow.flow_type == FlowType::Api || negotiation::wants_json(&scope.headers);
        Ok(Self { scope, found, flow, asked, json })
    }

    fn inner(&self) -> &'a Inner {
        self.scope.inner()
    }

    fn headers(&self) -> &'a HeaderMap {
        &self.scope.headers
    }

    fn subject(&self) -> &'a Subject {
        self.found.session.subject()
    }

    /// Checks 6 and on.
    async fn run(mut self, body: Body) -> Result<Response, Failure> {
        let level = self.found.standing.level(&self.found.session, self.scope.now());
        if !self.asked.refresh && self.asked.level() <= level {
            return self.already_satisfied().await;
        }
        if self.scope.now() >= self.flow.expires_at {
            return self.replace_expired(level).await;
        }
        if self.flow.completed {
            return self.refuse(None, message::completed_already()).await;
        }
        let form = match body::read(self.headers(), body, self.inner().limits.body_bytes).await {
            Ok(form) => form,
            Err(BodyError::TooLarge) => return Err(Failure::BodyTooLarge),
            Err(BodyError::Unreadable(reason)) => return self.refuse(None, message::generic(reason)).await,
        };
        let Some(factor) = self.factor_of(&form)? else {
            return self.refuse(None, message::no_login_method()).await;
        };
        if let Err(error) = factor.check_fields(&form) {
            return self.refuse(Some(error.field), error.text).await;
        }
        match self.flow.flow_type {
            FlowType::Browser if !self.csrf_fits(&form) => return Err(Failure::Csrf),
            FlowType::Api if csrf::comes_from_a_browser(self.headers()) => {
                let reason = "This form was begun by a program and cannot be sent from a browser.";
                return self.refuse(None, message::generic(reason)).await;
            }
            FlowType::Browser | FlowType::Api => {}
        }
        self.evaluate(Answered { factor, form }).await
    }

    /// Check 6: nothing more is needed.
    async fn already_satisfied(mut self) -> Result<Response, Failure> {
        if !self.json {
            return Ok(self.back());
        }
        if self.flow.completed {
            return self.refuse(None, message::generic("You have confirmed this already.")).await;
        }
        self.refuse(None, message::generic("You have proven this level already.")).await
    }

    /// Check 7: a new flow with the same purpose.
    async fn replace_expired(self, level: Aal) -> Result<Response, Failure> {
        let inner = self.inner();
        let now = self.scope.now();
        let credentials = inner.stores.credentials(self.subject()).await?;
        let outcome = if usable_factors(inner, &credentials).next().is_some() {
            Begin::Flow
        } else if self.found.standing.has_second_factor() {
            Begin::NothingUsable
        } else {
            Begin::EnrolFirst
        };
        let enrolment = inner.urls.enrolment(self.flow.return_to.as_ref());
        let mut messages = opening_messages(self.asked, level, outcome, &enrolment);
        messages.push(message::login_expired(self.flow.expires_at));
        let mut successor = self.flow.reopen(messages, now + inner.limits.login_flow_lifespan, now);
        login::challenge(&mut successor, inner, &credentials, now).await?;
        inner.stores.create_flow(&successor.to_stored()?, inner.limits.flows_per_subject, now).await?;
        if !self.json {
            return Ok(answer::see_other(&page_of(&successor, self.scope)));
        }
        let envelope = expired_envelope(&self.flow, self.scope).top_level("use_flow_id", successor.id().to_string());
        Ok(answer::from_bytes(envelope.respond(self.headers())))
    }

    /// Check 10: the factor that the form names, if it fits the flow.
    fn factor_of(&self, form: &Form) -> Result<Option<&'a dyn Factor>, Failure> {
        let Some(method) = form.get("method").and_then(|name| name.parse::<Method>().ok()) else { return Ok(None) };
        match self.inner().factor(method) {
            Some(factor) if factor.aal() == self.asked.level() => Ok(Some(factor)),
            Some(_) => Ok(None),
            // A method that could be a second factor, but is not offered here.
            None if matches!(method, Method::Totp | Method::LookupSecret | Method::WebAuthn | Method::Code) => {
                Err(Failure::MethodOff)
            }
            None => Ok(None),
        }
    }

    /// Check 12 for browsers.
    fn csrf_fits(&self, form: &Form) -> bool {
        let token = CsrfToken::from_cookie(self.headers(), &self.inner().cookies.csrf);
        let pair = match (token, form.get("csrf_token"), &self.flow.csrf) {
            (Some(token), Some(value), Some(hash)) => token.fits(value, hash),
            _ => false,
        };
        pair && csrf::origin_is_ours(self.headers(), &self.inner().urls.page_origins)
    }

    /// Checks 13 to 16: the secret itself.
    async fn evaluate(mut self, answered: Answered<'a>) -> Result<Response, Failure> {
        let inner = self.inner();
        let now = self.scope.now();
        let Answered { factor, form } = answered;
        let method = factor.method();
        let credentials = inner.stores.credentials(self.subject()).await?;
        let own = credentials_of(&credentials, method);
        if own.is_empty() {
            return self.refuse(None, factor.refusal(Refusal::NotEnrolled)).await;
        }
        // Counted before anything is compared, so that no failure of a later step makes a guess free.
        let key = AttemptKey { subject: self.subject().clone(), method };
        match inner.stores.begin_attempt(&key, &inner.limits.attempts, now).await? {
            Attempt::Allowed => {}
            Attempt::LockedUntil(until) => return self.locked(method, retry_after(now, until)).await,
            Attempt::Stopped => return self.locked(method, STOPPED_RETRY_SECONDS).await,
        }
        let state = self.flow.state(inner, method)?;
        let context = FactorContext {
            subject: self.subject(),
            credentials: &own,
            now,
            sealer: &inner.sealer,
            state: state.as_deref(),
        };
        let consumption = match factor.answer(context, &form).await? {
            Verdict::Proven(consumption) => consumption,
            Verdict::Wrong => return self.wrong(factor, Refusal::Wrong).await,
            Verdict::Continue(state) => {
                self.flow.keep_state(inner, method, &state)?;
                self.flow.clear_messages(now);
                inner.stores.update_flow(&self.flow.to_stored()?).await?;
                return self.show(StatusCode::OK).await;
            }
        };
        // Asked once more at the last moment: an account that was disabled meanwhile gets nothing.
        if !inner.is_active(self.subject()).await? {
            return self.refuse(None, message::disabled()).await;
        }
        self.complete(factor, consumption, key, &credentials).await
    }

    /// Everything that the success changes, in one transaction.
    async fn complete(
        mut self,
        factor: &dyn Factor,
        consumption: Consumption,
        key: AttemptKey,
        credentials: &[Credential],
    ) -> Result<Response, Failure> {
        let inner = self.inner();
        let now = self.scope.now();
        let credential = consumption.credential();
        let proof = Proof::new(factor.method(), factor.aal(), now).with_credential(credential);
        let session = inner.renew(&self.found.session, proof);
        let mut completion = Completion::new(self.subject().clone(), now);
        completion.consume = Some(consumption);
        completion.raise_steps = open_steps(inner, credentials, factor.method(), now);
        completion.rotate = Some(Rotation { old: self.found.session.id(), new: session.clone() });
        completion.flow = Some(self.flow.id());
        completion.reset = Some(key);
        match inner.complete(completion).await? {
            Completed::Done => {}
            Completed::Used => return self.wrong(factor, Refusal::Used).await,
            Completed::Unknown => return self.wrong(factor, Refusal::Wrong).await,
            Completed::SessionGone => return Err(Failure::FirstFactorRequired),
            Completed::FlowGone => return self.refuse(None, message::completed_already()).await,
        }
        tracing::info!(target: AUDIT, event = "passed", method = %factor.method(), "a second factor was proven");
        let signed_in = self.scope.step_up().hand_out(session, self.asked.level())?;
        self.succeed(signed_in).await
    }

    async fn succeed(self, signed_in: SignedIn) -> Result<Response, Failure> {
        let mut response = if self.json {
            let session = self.scope.step_up().describe(signed_in.session()).await?;
            let body = match self.flow.flow_type {
                FlowType::Api => json!({
                    "session_token": signed_in.token().as_str(),
                    "session": session,
                    "continue_with": Value::Null,
                }),
                FlowType::Browser => json!({
                    "session": session,
                    "continue_with": [{
                        "action": "redirect_browser_to",
                        "redirect_browser_to": self.return_url(),
                    }],
                }),
            };
            answer::json(StatusCode::OK, &body)
        } else {
            self.back()
        };
        if self.flow.flow_type == FlowType::Browser {
            answer::set_cookie(&mut response, Some(signed_in.cookie().clone()));
        }
        Ok(response)
    }

    /// Where the browser goes when nothing is left to do. The list is looked at again, since it may have shrunk.
    fn return_url(&self) -> url::Url {
        let urls = &self.inner().urls;
        let wanted = self.flow.return_to.clone().and_then(|url| urls.return_policy.check(url).ok());
        wanted.unwrap_or_else(|| urls.default_return.clone())
    }

    fn back(&self) -> Response {
        answer::see_other(&self.return_url())
    }

    /// A wrong answer: it stays counted.
    async fn wrong(mut self, factor: &dyn Factor, why: Refusal) -> Result<Response, Failure> {
        tracing::info!(target: AUDIT, event = "failed", method = %factor.method(), "a second factor was not proven");
        self.refuse(None, factor.refusal(why)).await
    }

    /// Check 13: too many attempts.
    async fn locked(mut self, method: Method, retry_after: u64) -> Result<Response, Failure> {
        tracing::warn!(target: AUDIT, event = "locked", %method, "too many attempts");
        if self.json {
            let envelope = Envelope::new(
                StatusCode::TOO_MANY_REQUESTS,
                Some("security_too_many_attempts"),
                "too many attempts",
                "Too many attempts in a row. Please wait before you try again.",
            )
            .detail("retry_after", retry_after);
            let mut response = answer::from_bytes(envelope.respond(self.headers()));
            response.headers_mut().insert(axum::http::header::RETRY_AFTER, retry_after.into());
            return Ok(response);
        }
        self.refuse(None, message::too_many_attempts(retry_after)).await
    }

    /// The same flow with a new message: what it says is kept, so that the page shows it after the redirect.
    async fn refuse(&mut self, field: Option<&str>, text: Text) -> Result<Response, Failure> {
        self.flow.say(field, text, self.scope.now());
        if !self.flow.completed {
            // Another tab may have written meanwhile; then its message stands, and this answer still carries ours.
            self.inner().stores.update_flow(&self.flow.to_stored()?).await?;
        }
        self.show(StatusCode::BAD_REQUEST).await
    }

    async fn show(&self, status: StatusCode) -> Result<Response, Failure> {
        if !self.json {
            return Ok(answer::see_other(&page_of(&self.flow, self.scope)));
        }
        let inner = self.inner();
        let credentials = inner.stores.credentials(self.subject()).await?;
        let csrf = CsrfToken::from_cookie(self.headers(), &inner.cookies.csrf);
        let nodes = login::nodes(&self.flow, inner, &credentials, csrf.as_ref(), self.scope.now())?;
        Ok(answer::json(status, &login::view(&self.flow, self.asked, inner, &nodes)))
    }
}

/// What `Retry-After` says when no waiting helps: look again in a day.
const STOPPED_RETRY_SECONDS: u64 = 86_400;

/// Whole seconds, rounded up, so that nobody comes back too early.
fn retry_after(now: crate::clock::Timestamp, until: crate::clock::Timestamp) -> u64 {
    let wait = until.since(now);
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// When one factor is proven, codes of the others that are open at that moment are burnt: whoever looked over the user's shoulder
/// must not use them.
fn open_steps(
    inner: &Inner,
    credentials: &[Credential],
    proven: Method,
    now: crate::clock::Timestamp,
) -> Vec<(crate::aal::CredentialId, u64)> {
    credentials
        .iter()
        .filter(|credential| credential.summary.method != proven)
        .filter_map(|credential| {
            let step = inner.factor(credential.summary.method)?.open_step(now)?;
            Some((credential.summary.id, step))
        })
        .collect()
}
