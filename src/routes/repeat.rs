//! A form that comes once more, because it was clicked twice or because its answer was lost: it gets the same answer.
//!
//! A success replaces the client's credential. So the same form comes with the replaced one, and would be refused. Beside the new session,
//! in the same transaction, is a keyed digest of the form that began it. Only a form that equals it in everything is answered again.

use std::time::Duration;

use axum::http::header;
use zeroize::Zeroizing;

use super::{failure::Failure, scope::Scope};
use crate::{
    clock::Timestamp,
    flow::{
        csrf::CsrfToken,
        record::{Flow, FlowType},
    },
    session::{Answered, StoredSession, token::Verified},
    source::{Evidence, Transport},
};

/// For how long the same form gets the same answer.
const ANSWERED_AGAIN_FOR: Duration = Duration::from_secs(10);

/// Whether this was so little ago that a form may still be answered again.
pub(crate) fn is_recent(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| now.since(at) < ANSWERED_AGAIN_FOR)
}

/// A submitted form, with everything that must be the same when it comes again.
pub(crate) struct Sent {
    parts: Zeroizing<Vec<u8>>,
    presented: Option<Verified>,
}

/// A session that this form has begun a moment ago.
pub(crate) struct Successor {
    pub(crate) session: StoredSession,
    pub(crate) evidence: Evidence,
}

impl Sent {
    /// `None` if such a form is never answered again: nothing ties it to its sender.
    pub(crate) fn of(scope: &Scope, flow: &Flow, body: &[u8]) -> Option<Self> {
        let presented = scope.presented();
        let cookie = CsrfToken::from_cookie(&scope.headers, &scope.engine().sessions.cookies.csrf);
        let csrf = match flow.flow_type {
            FlowType::Browser => cookie?.cookie_value(),
            FlowType::Api if !flow.is_bound() => return None,
            FlowType::Api => String::new(),
        };
        if flow.is_bound() && presented.is_none() {
            return None;
        }
        let session = presented.as_ref().map(|presented| presented.id.to_string()).unwrap_or_default();
        let transport = match scope.context.transport() {
            None => "none",
            Some(Transport::Cookie) => "cookie",
            Some(Transport::Header) => "header",
            Some(Transport::Bearer) => "bearer",
        };
        let media_type = scope.headers.get(header::CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
        let flow = flow.id().to_string();
        let mut parts = Zeroizing::new(Vec::with_capacity(body.len().saturating_add(512)));
        for part in [flow.as_bytes(), session.as_bytes(), transport.as_bytes(), csrf.as_bytes(), media_type, body] {
            // Each with its length, so that no two lists of parts are the same bytes.
            parts.extend_from_slice(&u64::try_from(part.len()).ok()?.to_be_bytes());
            parts.extend_from_slice(part);
        }
        Some(Self { parts, presented })
    }

    /// The session, with what tells that it is the answer to this form.
    pub(crate) fn answered_by(sent: Option<&Self>, scope: &Scope, session: StoredSession) -> StoredSession {
        match sent.and_then(|sent| scope.engine().sealer.digest(&sent.parts)) {
            Some(digest) => session.with_answered(Answered { digest, at: scope.now() }),
            None => session,
        }
    }

    /// The session that this very form has begun, if that was a moment ago and the session still is the newest of its line.
    pub(crate) async fn successor(&self, scope: &Scope, flow: &Flow) -> Result<Option<Successor>, Failure> {
        let (engine, now) = (scope.engine(), scope.engine().now());
        let line = match &self.presented {
            Some(presented) if flow.is_bound() => Some((&presented.subject, presented.binding)),
            _ if flow.is_bound() => None,
            _ => flow.began.as_ref().map(|(subject, binding)| (subject, *binding)),
        };
        let Some((subject, binding)) = line else { return Ok(None) };
        let Some(stored) = engine.stores.session_of(subject, binding, now).await? else { return Ok(None) };
        let session = stored.session.clone();
        let Some(&Answered { digest, at }) = session.answered() else { return Ok(None) };
        // A clock that went back makes the age unknown.
        let in_time = now >= at && is_recent(Some(at), now);
        if !in_time || !engine.sealer.is_digest(&self.parts, &digest) || !engine.users.is_active(subject).await? {
            return Ok(None);
        }
        let admitted = engine.sessions.admit(stored, now).await?;
        let own = admitted.filter(|evidence| !flow.is_bound() || flow.belongs_to(&evidence.session));
        Ok(own.map(|evidence| Successor { session, evidence }))
    }
}
