//! What takes a recent proof, beyond the session and its level.

use axum::http::StatusCode;
use url::Url;

use super::{scope::Scope, settings::Refused};
use crate::{
    aal::Aal,
    challenge,
    flow::owner::Owner,
    requirement::{Requirement, Shortfall},
    session::Session,
    standing::Recency,
    wire::Envelope,
};

/// What a user wants to do that takes a recent proof.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sensitive {
    ChangeFactors,
    EndOtherSessions,
    ForgetDevices,
}

impl Sensitive {
    const fn text(self) -> &'static str {
        match self {
            Self::ChangeFactors => "Please confirm that it is you before you change your second factors.",
            Self::EndOtherSessions => "Please confirm that it is you before you end other sessions.",
            Self::ForgetDevices => "Please confirm that it is you before you change where you are not asked.",
        }
    }
}

/// Refuses what takes a recent proof: 403 `session_refresh_required`, and a browser goes to the login. The form is not kept: the user
/// submits it again on `page`. `level`: the session's.
pub(super) fn refuse(scope: &Scope, what: Sensitive, level: Aal, second_factor: bool, page: Option<&Url>) -> Refused {
    let engine = scope.engine();
    let max_age = engine.limits.privileged_session_max_age;
    let url = engine.urls.login(second_factor, true, page);
    let shortfall = if second_factor && level < Aal::Aal2 {
        Shortfall::LevelTooLow
    } else {
        Shortfall::TooOld { max_age, second_factor }
    };
    let envelope =
        Envelope::new(StatusCode::FORBIDDEN, Some("session_refresh_required"), "recent proof required", what.text())
            .redirect_browser_to(&url);
    let mut required = Requirement::from(engine.settings_required_aal()).without_trusted_devices();
    if !max_age.is_zero() {
        required = required.max_age(max_age);
    }
    let remedy = scope.context.remedy(shortfall, required, page);
    let envelope = challenge::challenged(envelope, &scope.context, shortfall, &remedy);
    Refused::Gate(shortfall, Box::new(envelope), url)
}

/// Whether the session may end other sessions of its subject. Where a second factor is enrolled, that takes the proof that a change of
/// factors takes (wire contract, 9 x): who has only the password must not sign the owner out. By the stored credentials, not by those in
/// the cache.
pub(super) async fn may_end_others(scope: &Scope, session: &Session, page: Option<&Url>) -> Result<(), Refused> {
    may(scope, Sensitive::EndOtherSessions, session, page).await
}

/// Whether the session may end the trust in devices of its subject: it takes the same.
pub(super) async fn may_forget_devices(scope: &Scope, session: &Session, page: Option<&Url>) -> Result<(), Refused> {
    may(scope, Sensitive::ForgetDevices, session, page).await
}

async fn may(scope: &Scope, what: Sensitive, session: &Session, page: Option<&Url>) -> Result<(), Refused> {
    let engine = scope.engine();
    let owner = Owner::read(engine, session).await?;
    if !owner.has_second_factor() {
        return Ok(());
    }
    let standing = owner.standing(engine);
    match standing.recency(session, engine.limits.privileged_session_max_age, scope.now()) {
        Recency::Recent => Ok(()),
        Recency::ProveAnew { second_factor } => {
            let level = standing.level(session, scope.now());
            Err(refuse(scope, what, level, second_factor, page))
        }
    }
}
