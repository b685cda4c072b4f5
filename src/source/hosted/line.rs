//! The step-ups of a session of the application: where they begin, and what a client has of them.

use std::time::Duration;

use super::{
    HostedSessions, SignedIn, brought,
    note::{Line, Note},
    seen_by_host,
};
use crate::{
    client::Client,
    clock::Timestamp,
    error::{Error, ErrorKind, StoreErrorKind},
    ids,
    session::{BindingKey, Session, SessionId, StoredSession, token::Verified},
    source::{Clue, SourceError},
};

impl HostedSessions {
    /// Makes sure that our store has a session for the application's, so that a step-up replaces it, unless a logout was quicker. Returns the
    /// session that a flow belongs to; `None` if nobody is signed in any more.
    pub(crate) async fn begin(
        &self,
        clue: &Clue,
        client: &Client,
        lifespan: Duration,
        now: Timestamp,
    ) -> Result<Option<Session>, Error> {
        let brought = brought(clue).map_err(of_host)?;
        let Some(signed_in) = self.signed_in_now(brought, now).await.map_err(of_host)? else { return Ok(None) };
        let handle = signed_in.handle.unwrap_or_else(BindingKey::random);
        let stored = self.stored(&signed_in, handle, client, lifespan, now).await?;
        let SignedIn { user, noted, first_factor, .. } = signed_in;
        if !noted {
            let note = Line::under(handle, &user, None, &self.own.sealer).and_then(|line| Note::of(line).text());
            brought.session.keep_note(note.map_err(of_host)?).await.map_err(of_host)?;
        }
        Ok(Some(seen_by_host(&user, Some(handle), first_factor, Some(&stored))))
    }

    async fn stored(
        &self,
        signed_in: &SignedIn,
        handle: BindingKey,
        client: &Client,
        lifespan: Duration,
        now: Timestamp,
    ) -> Result<StoredSession, Error> {
        let stores = &self.own.stores;
        let subject = &signed_in.user.subject;
        let mut id = base_id(handle);
        loop {
            if let Some(found) = stores.session_of(subject, handle, now).await? {
                return Ok(found.session);
            }
            let revocations = stores.revocations().await?;
            let proofs = vec![signed_in.first_factor.clone()];
            let ends = now.whole_seconds() + lifespan;
            let session = StoredSession::from_parts(id, subject.clone(), handle, proofs, now, ends)
                .with_device(client)
                .begun_after(revocations);
            match stores.create_session(&session).await {
                // Another request was quicker, or an old one is still there that has ended.
                Err(error) if error.kind() == StoreErrorKind::Conflict && id == base_id(handle) => {
                    id = SessionId::random();
                }
                created => {
                    created?;
                    // What was read before does not know it.
                    self.own.cache.forget(subject);
                    return Ok(session.as_read());
                }
            }
        }
    }

    /// What a client presents of our sessions: a token, or else that of the application, whatever our store says of it.
    pub(crate) fn presented(&self, clue: &Clue, now: Timestamp) -> Option<Verified> {
        let brought = brought(clue).ok()?;
        let state = brought.known()?;
        let signed_in = self.signed_in(brought, state, now).ok()??;
        if let Some(found) = self.token(brought, &signed_in, now) {
            return found.verified();
        }
        let binding = signed_in.handle?;
        Some(Verified { id: base_id(binding), subject: signed_in.user.subject, binding, expires_at: now })
    }

    /// Ends the application's session, and the step-ups that belong to it. What is left of those if our store does not answer cannot be used
    /// without it.
    pub(crate) async fn log_out(&self, clue: &Clue, now: Timestamp) -> Result<(), Error> {
        let brought = brought(clue).map_err(of_host)?;
        let signed_in = self.signed_in_now(brought, now).await.map_err(of_host)?;
        brought.session.end().await.map_err(of_host)?;
        if let Some(SignedIn { user, handle: Some(handle), .. }) = signed_in {
            self.end_or_tell(&user.subject, handle, now).await;
        }
        Ok(())
    }
}

/// The application's session could not be read or written.
fn of_host(error: SourceError) -> Error {
    Error::with_source(ErrorKind::Sessions, error)
}

/// The id of the first of our sessions under this handle.
pub(super) fn base_id(handle: BindingKey) -> SessionId {
    ids::of_name(handle.into(), b"session").into()
}
