//! "Do not ask on this device": a browser that is led to the step-up is recognised by its cookie, and led on.
//!
//! Nothing is proven by it. The session is replaced by one that notes the device, and guards that take trusted devices let it pass.

use axum::{
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use url::Url;

use super::{answer, failure::Failure, repeat, scope::Scope, submission::Submission};
use crate::{
    aal::{Aal, CredentialId},
    audit::AuditEventKind,
    engine::{Device, DeviceCookie, Engine, FORGOTTEN, Presented},
    factor::{Factor, Form},
    flow::{login::Asked, owner::Owner},
    session::{BindingKey, SessionId, StoredSession, Subject, cookie::values},
    source::{Evidence, Transport},
    standing::Standing,
    store::{Completed, Completion, Credential, Rotation, StoredStanding},
};

/// The field of the box on our login page.
pub(super) const FIELD: &str = "trust_device";

/// What came of a browser that asks for a step-up.
pub(super) enum Recognised {
    /// It is on a trusted device, and is led on.
    Trusted(Response),
    /// The user is asked. The cookie of a device that is trusted no more goes.
    Not(Option<HeaderValue>),
}

/// Whether a device may stand for what is asked: a second factor, proven by whatever and at any time.
pub(super) const fn may_stand_for(asked: Asked) -> bool {
    asked.aal2 && !asked.refresh && asked.methods.is_none()
}

/// The request's cookie of a device. Of two, none counts: another host may have set one.
pub(super) fn cookie_of(headers: &HeaderMap, engine: &Engine) -> Option<DeviceCookie> {
    let mut values = values(headers, &engine.sessions.cookies.device);
    match (values.next(), values.next()) {
        (Some(value), None) => DeviceCookie::read(value),
        _ => None,
    }
}

/// The cookie of a device, where devices are trusted and the browser brings its session by a cookie too.
fn brought(scope: &Scope) -> Option<DeviceCookie> {
    let engine = scope.engine();
    let by_cookie = scope.context.transport() == Some(Transport::Cookie);
    engine.limits.trusted_devices.filter(|_| by_cookie)?;
    cookie_of(&scope.headers, engine)
}

/// Leads a browser on that is on a trusted device of this user. `found`: its session, whose level is too low.
pub(super) async fn recognise(
    scope: &Scope,
    found: &Evidence,
    owner: &Owner,
    return_to: Option<&Url>,
) -> Result<Recognised, Failure> {
    let (engine, now, subject) = (scope.engine(), scope.now(), &owner.subject);
    let Some(cookie) = brought(scope) else { return Ok(Recognised::Not(None)) };
    let standing = owner.standing(engine);
    // It was led here all the same: where it comes from, the second factor must be proven.
    if standing.is_on_trusted_device(&found.session, now) {
        return Ok(Recognised::Not(None));
    }
    // Another user of this browser may trust it.
    let Some(device) = Device::find(&owner.credentials, cookie.id()) else { return Ok(Recognised::Not(None)) };
    let presented = device.presented(&cookie, subject, now);
    if presented == Presented::Replayed {
        return end(scope, subject, device.id(), |device| AuditEventKind::DeviceReplayed { device }).await;
    }
    let Some(note) = engine.note_of(&device, &standing, now) else {
        return end(scope, subject, device.id(), FORGOTTEN).await;
    };
    let new = match presented {
        Presented::Current => Some(DeviceCookie::random(device.id()).ok_or(Failure::Unavailable)?),
        Presented::Replaced(_) | Presented::Replayed => None,
    };
    let until = note.until;
    let session = engine.rotate(&found.session, Some(note.to_proof()), now);
    // Made before anything is written: then the client must get its new session.
    let mut response = lead_on(scope, &session, &standing, return_to)?;
    if let Some(new) = &new {
        answer::set_cookie(&mut response, engine.sessions.cookies.device(&new.value(), until, now));
    }
    let old = found.session.id().ok_or(Failure::NoSession)?;
    let mut completion = Completion::new(subject.clone(), now);
    completion.rotate = Some(Rotation { old, new: session.clone() });
    completion.begin = Some(device.witness(subject, now));
    completion.expect_credentials = Some(owner.credentials.iter().map(|one| one.summary.id).collect());
    completion.consume = Some(device.used(subject, new.as_ref(), now).ok_or(Failure::Unavailable)?);
    match engine.commit(completion).await? {
        Completed::Done => {
            scope.context.record(&session, AuditEventKind::DeviceUsed { device: device.id() });
            scope.context.record(&session, AuditEventKind::Rotated { replaced: Some(old) });
            Ok(Recognised::Trusted(response))
        }
        Completed::SessionGone if still_lives(scope, found.session.binding(), subject, old).await? => {
            end(scope, subject, device.id(), FORGOTTEN).await
        }
        Completed::SessionGone | Completed::Used => match found.session.binding() {
            Some(binding) => follow(scope, subject, binding, &cookie, return_to).await,
            None => Ok(Recognised::Not(None)),
        },
        Completed::Unknown | Completed::CredentialsChanged | Completed::FlowGone => Ok(Recognised::Not(None)),
    }
}

/// The same for a browser whose session was replaced a moment ago by another of its tabs, because of this very device.
pub(super) async fn recognise_again(scope: &Scope, return_to: Option<&Url>) -> Result<Option<Response>, Failure> {
    let Some((cookie, presented)) = brought(scope).zip(scope.presented()) else { return Ok(None) };
    match follow(scope, &presented.subject, presented.binding, &cookie, return_to).await? {
        Recognised::Trusted(response) => Ok(Some(response)),
        Recognised::Not(_) => Ok(None),
    }
}

/// Leads a browser on with the session that is in the place of its own, if the device was used for that a moment ago, and the browser has the
/// cookie from before. Nothing is changed. Whoever has only the replaced session gets nothing.
async fn follow(
    scope: &Scope,
    subject: &Subject,
    binding: BindingKey,
    cookie: &DeviceCookie,
    return_to: Option<&Url>,
) -> Result<Recognised, Failure> {
    let (engine, now) = (scope.engine(), scope.now());
    let Some(stored) = engine.stores.session_of(subject, binding, now).await? else {
        return Ok(Recognised::Not(None));
    };
    let session = stored.session.clone();
    let known = engine.stores.credentials(subject).await?;
    let presented = Device::find(&known, cookie.id()).map(|device| device.presented(cookie, subject, now));
    let just_now = matches!(presented, Some(Presented::Replaced(at)) if repeat::is_recent(Some(at), now));
    let on_device = |evidence: &Evidence| evidence.standing.trusted_device(&evidence.session, now) == Some(cookie.id());
    match engine.sessions.admit(stored, now).await?.filter(on_device) {
        Some(evidence) if just_now && engine.users.is_active(subject).await? => {
            let response = lead_on(scope, &session, &evidence.standing, return_to)?;
            scope.context.record(&session, AuditEventKind::Repeated);
            Ok(Recognised::Trusted(response))
        }
        _ => Ok(Recognised::Not(None)),
    }
}

/// Whether the session has not been replaced: then it is the device that all sessions were ended for.
async fn still_lives(
    scope: &Scope,
    binding: Option<BindingKey>,
    subject: &Subject,
    id: SessionId,
) -> Result<bool, Failure> {
    let Some(binding) = binding else { return Ok(false) };
    let stored: Option<StoredStanding> = scope.engine().stores.session_of(subject, binding, scope.now()).await?;
    Ok(stored.is_some_and(|stored| stored.session.id() == id))
}

/// Where the browser goes, with its session.
fn lead_on(
    scope: &Scope,
    session: &StoredSession,
    standing: &Standing,
    return_to: Option<&Url>,
) -> Result<Response, Failure> {
    let carried = scope.carry(session, standing)?;
    let mut response = answer::see_other(return_to.unwrap_or(&scope.engine().urls.default_return));
    answer::set_cookie(&mut response, Some(carried.cookie));
    Ok(response)
}

async fn end(
    scope: &Scope,
    subject: &Subject,
    device: CredentialId,
    event: fn(CredentialId) -> AuditEventKind,
) -> Result<Recognised, Failure> {
    let engine = scope.engine();
    engine.end_devices(subject, vec![device], event, &scope.context.origin()).await?;
    Ok(Recognised::Not(engine.sessions.cookies.device_removal()))
}

/// Whether our own login page has the box for what is asked. A page of the application's has none.
pub(super) fn is_offered(engine: &Engine, asked: Asked) -> bool {
    let own_page = engine.urls.login_ui == engine.urls.route("self-service/ui/login", &[]);
    engine.limits.trusted_devices.is_some() && own_page && may_stand_for(asked)
}

/// Whether this form, of our own page, asks for the device to be trusted.
pub(super) fn is_asked_for(submission: &Submission<'_>, factor: &dyn Factor, form: &Form) -> bool {
    let of_page = submission.flow.is_of_browser() && !submission.json;
    let by_cookie = submission.scope.context.transport() == Some(Transport::Cookie);
    of_page
        && by_cookie
        && factor.aal() == Aal::Aal2
        && is_offered(submission.engine(), submission.asked)
        && form.get(FIELD) == Some("true")
}

/// A device that is trusted from the moment on at which it is stored.
pub(super) struct NewDevice {
    pub(super) credential: Credential,
    cookie: Option<HeaderValue>,
}

/// Makes a device of this browser. `None` if none can be trusted here.
pub(super) async fn make(scope: &Scope, owner: &Owner) -> Result<Option<NewDevice>, Failure> {
    let (engine, now) = (scope.engine(), scope.now());
    // Read before the session is replaced. It must live until then, so nothing is ended in between.
    let revocations = engine.stores.revocations().await?;
    let client = scope.context.client();
    let made = engine.new_device(&owner.subject, &owner.standing(engine), client.user_agent(), revocations, now);
    let Some((credential, cookie, until)) = made else { return Ok(None) };
    let cookie = engine.sessions.cookies.device(&cookie.value(), until, now);
    Ok(Some(NewDevice { credential, cookie }))
}

/// The device was stored. The one that this browser had before gives way.
pub(super) async fn made(
    scope: &Scope,
    session: &StoredSession,
    owner: &Owner,
    device: NewDevice,
    response: &mut Response,
) {
    let (engine, now, subject) = (scope.engine(), scope.now(), &owner.subject);
    scope.context.record(session, AuditEventKind::DeviceTrusted { device: device.credential.summary.id });
    let is_own = |cookie: &DeviceCookie| {
        let device = Device::find(&owner.credentials, cookie.id());
        device.is_some_and(|device| device.presented(cookie, subject, now) == Presented::Current)
    };
    let before = cookie_of(&scope.headers, engine).filter(is_own).map(|cookie| cookie.id());
    let standing = owner.standing(engine);
    engine.make_room(subject, &owner.credentials, &standing, before, &scope.context.origin(), now).await;
    answer::set_cookie(response, device.cookie);
}
