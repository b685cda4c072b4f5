//! Sessions that the application has already: what is different there.

use serde_json::Value;

use super::Engine;
use crate::{
    aal::Method,
    client::Client,
    clock::Timestamp,
    error::{Error, ErrorKind},
    session::{Session, token::Verified},
    source::{Clue, Evidence, HostSession, hosted::note_that_says},
};

const NOT_OURS: &str = "the sessions are the application's (StepUpBuilder::sessions): its own login begins them";

const NO_HOST: &str = "the sessions are this crate's own: call reauthenticate(..)";

impl Engine {
    /// Whether the application signs users in and out.
    pub(crate) const fn is_hosted(&self) -> bool {
        self.hosted.is_some()
    }

    /// Refuses to begin or renew a session that is the application's.
    pub(crate) fn begins_sessions(&self) -> Result<(), Error> {
        if self.is_hosted() { Err(Error::with_source(ErrorKind::Sessions, NOT_OURS)) } else { Ok(()) }
    }

    /// What the request's credential says, even if its session has ended. It proves nothing by itself.
    pub(crate) fn presented(&self, clue: &Clue, now: Timestamp) -> Option<Verified> {
        match &self.hosted {
            Some(hosted) => hosted.presented(clue, now),
            None => self.sessions.verified(clue, now),
        }
    }

    /// The session that a new flow belongs to; `None` if it has ended meanwhile.
    pub(crate) async fn session_of_flow(
        &self,
        clue: &Clue,
        found: &Evidence,
        client: &Client,
        now: Timestamp,
    ) -> Result<Option<Session>, Error> {
        match &self.hosted {
            Some(hosted) => hosted.begin(clue, client, self.limits.first_lifespan(), now).await,
            None => Ok(Some(found.session.clone())),
        }
    }

    /// The session object of the wire contract. What our store has of the session may be more than the client has shown.
    pub(crate) async fn describe_hosted(&self, session: &Session, now: Timestamp) -> Result<Value, Error> {
        if !self.users.is_active(session.subject()).await? {
            return Err(Error::new(ErrorKind::Inactive));
        }
        let standing = self.standing_of(session.subject(), session.proofs()).await?;
        self.describe(&Evidence::new(session.clone(), standing), now).await
    }

    /// Notes in the application's session that its user has just proven this first factor.
    pub(crate) async fn note_proof(&self, session: &dyn HostSession, method: Method) -> Result<(), Error> {
        if !self.is_hosted() {
            return Err(Error::with_source(ErrorKind::Sessions, NO_HOST));
        }
        self.first_factor_level(method).ok_or(Error::new(ErrorKind::Method))?;
        let noted = async {
            let note = note_that_says(&session.state().await?, method, self.now())?;
            session.keep_note(note).await
        };
        noted.await.map_err(|error| Error::with_source(ErrorKind::Sessions, error))
    }
}
