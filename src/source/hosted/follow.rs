//! The way out: what the application did to its session while it handled the request.

use http::{HeaderMap, header};

use super::{
    HostedSessions,
    note::{FirstFactor, Line, Note},
    request::Brought,
};
use crate::{
    audit::{Actor, AuditEventKind, Origin},
    clock::Timestamp,
    error::StoreError,
    session::{BindingKey, Subject},
    source::{HostUser, SourceError},
    store::Revocation,
};

/// How often a session is ended that is replaced at the same moment.
const ROUNDS: u32 = 8;

impl HostedSessions {
    /// Follows a login, a logout, another user, a changed password. Returns the headers of the response.
    pub(super) async fn follow(&self, brought: &Brought) -> Result<HeaderMap, SourceError> {
        let now = self.clock.now();
        let state = brought.session.state().await?;
        let noted = Note::read(&state);
        let before = brought.came().and_then(Note::read).and_then(|note| note.line);
        let last = before.or_else(|| noted.as_ref()?.line.clone());
        let Some(user) = &state.user else {
            let headers = self.end(brought, last, None, now).await;
            if state.exists && noted.is_none_or(|note| !note.nobody) {
                brought.session.keep_note(Note::nobody().text()?).await?;
            }
            return Ok(headers);
        };
        let sealer = &self.own.sealer;
        let said = noted.as_ref().and_then(|note| note.said);
        let has_signed_in = has_signed_in(brought, user, noted.as_ref());
        if let Some(line) = noted.clone().and_then(|note| note.line_of(user, sealer)).filter(|_| !has_signed_in) {
            let headers = self.end(brought, last, Some(line.clone()), now).await;
            if let Some(said) = said {
                brought.session.keep_note(Note::of(line.proven(said)).text()?).await?;
            }
            return Ok(headers);
        }
        let proven = if has_signed_in {
            let method = said.map_or(user.method, |said| said.method);
            Some(FirstFactor { method, at: now })
        } else {
            // The same user, whose password has changed, say.
            let kept = last.as_ref().filter(|line| line.subject == user.subject).and_then(|line| line.proven);
            if kept.is_none() && said.is_none() && noted.as_ref().is_none_or(|note| note.line.is_none()) {
                // A session from before this crate was there. It gets a handle when its first flow begins.
                return Ok(HeaderMap::new());
            }
            said.or(kept)
        };
        let line = Line::new(user, proven, sealer)?;
        // What is over ends also if the note cannot be kept.
        let headers = self.end(brought, last, Some(line.clone()), now).await;
        brought.session.keep_note(Note::of(line).text()?).await?;
        Ok(headers)
    }

    /// Ends the step-ups that the session had and has no more, and takes our cookie away from the browser.
    async fn end(&self, brought: &Brought, last: Option<Line>, goes_on: Option<Line>, now: Timestamp) -> HeaderMap {
        let goes_on = goes_on.map(|line| (line.subject, line.handle));
        let last = last.map(|line| (line.subject, line.handle));
        let token = brought.token.as_ref().and_then(|token| self.own.verified(token, now));
        let token = token.map(|verified| (verified.subject, verified.binding));
        let mut ended: Vec<_> =
            last.into_iter().chain(token.clone()).filter(|one| Some(one) != goes_on.as_ref()).collect();
        ended.dedup();
        for (subject, handle) in ended {
            self.end_or_tell(&subject, handle, now).await;
        }
        let mut headers = HeaderMap::new();
        if token.is_some_and(|token| Some(token) != goes_on)
            && let Some(removal) = self.own.cookies.session_removal()
        {
            headers.insert(header::SET_COOKIE, removal);
        }
        headers
    }

    /// The same as [`end_line`](Self::end_line). An error is only logged: what is left cannot be used without the application's session.
    pub(super) async fn end_or_tell(&self, subject: &Subject, handle: BindingKey, now: Timestamp) {
        if let Err(error) = self.end_line(subject, handle, now).await {
            tracing::error!(target: "tower_step_up::sessions", %error, "a step-up could not be ended with the application's session");
        }
    }

    /// Ends the step-ups of this user under this handle. One that is being written at this moment is written before, and ended too, or
    /// after, and then it is refused.
    async fn end_line(&self, subject: &Subject, handle: BindingKey, now: Timestamp) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let Some(found) = self.own.stores.session_of(subject, handle, now).await? else { break };
            let revoked = {
                let _forget = self.own.cache.forget_afterwards(subject);
                self.own.stores.revoke(subject, Revocation::One(found.session.id())).await?
            };
            if revoked > 0 {
                let origin = Origin { actor: Actor::User, request: None };
                self.audit.record_in_session(now, &origin, &found.session, AuditEventKind::SignedOut);
            }
        }
        Ok(())
    }
}

/// Whether it was in this request that the session went from nobody, or from somebody else, to this user.
fn has_signed_in(brought: &Brought, user: &HostUser, noted: Option<&Note>) -> bool {
    if let Some(came) = brought.came() {
        return came.user.as_ref().is_none_or(|before| before.subject != user.subject);
    }
    // A login gives its session a new id, or anybody could have planted the old one.
    let was_other =
        noted.is_some_and(|note| note.nobody || note.line.as_ref().is_some_and(|line| line.subject != user.subject));
    was_other && brought.has_new_id()
}
