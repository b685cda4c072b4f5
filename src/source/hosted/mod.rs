//! Sessions that the application has already: who is signed in is what it says. A second factor counts only with a token of ours, whose
//! session in our store belongs to the application's.
//!
//! It implements [`SessionSource`] over [`HostSessions`]. The application's session has a [note](note) with a handle. The handle is the
//! binding of our sessions: there is one for each user and handle, from the first flow on, and a step-up replaces it.

mod follow;
mod line;
mod note;
#[cfg(feature = "test-util")]
mod probe;
mod remembered;
mod request;

use std::sync::Arc;

use http::HeaderMap;

#[cfg(feature = "test-util")]
pub(crate) use self::probe::Probe;
use self::{
    line::base_id,
    note::{Note, first_factor, handle_of},
    request::Brought,
};
pub(crate) use self::{note::note_that_says, remembered::Remembered};
use super::{
    Carried, Clue, Evidence, Head, HostLook, HostSessions, HostState, HostUser, Look, Recalled, Remedy, SessionSource,
    SourceError, SourceFuture, Transport, Unmet,
    own::{Found, OwnSessions, Read, SessionCache},
};
use crate::{
    aal::{Aal, Proof},
    audit::Audit,
    clock::{Clock, Timestamp},
    requirement::Shortfall,
    session::{
        BindingKey, Session, StoredSession,
        cookie::{Presented, presented},
        token::of_one_session,
    },
    standing::{Enrolled, Standing},
};

/// See the [module](self).
pub(crate) struct HostedSessions {
    pub(crate) host: Arc<dyn HostSessions>,
    pub(crate) own: Arc<OwnSessions>,
    pub(crate) remembered: Remembered,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: Audit,
}

/// Who is signed in to the application, and the step-ups of that session.
struct SignedIn {
    user: HostUser,
    /// Whether something was noted for this user.
    noted: bool,
    /// The noted handle, or the one that will be noted; `None` if that is not known yet.
    handle: Option<BindingKey>,
    first_factor: Proof,
}

impl HostedSessions {
    /// Whoever is signed in.
    fn signed_in(&self, brought: &Brought, state: &HostState, now: Timestamp) -> Result<Option<SignedIn>, SourceError> {
        let Some(user) = state.user.clone() else { return Ok(None) };
        let sealer = &self.own.sealer;
        let line = Note::read(state).and_then(|note| note.line_of(&user, sealer));
        let derived = || handle_of(&brought.session.id()?, &user, sealer);
        let handle = line.as_ref().map(|line| line.handle).or_else(derived);
        let proven = line.as_ref().and_then(|line| line.proven);
        let first_factor = first_factor(&user, proven, now + self.own.clock_leeway)?;
        Ok(Some(SignedIn { user, noted: line.is_some(), handle, first_factor }))
    }

    /// Whoever is signed in now.
    async fn signed_in_now(&self, brought: &Brought, now: Timestamp) -> Result<Option<SignedIn>, SourceError> {
        self.signed_in(brought, &brought.state().await?, now)
    }

    /// The token of ours, if it belongs to this session of the application.
    fn token(&self, brought: &Brought, signed_in: &SignedIn, now: Timestamp) -> Option<Found> {
        let found = self.own.find(brought.token.as_ref()?, now)?;
        let (_, subject) = found.names()?;
        let belongs =
            *subject == signed_in.user.subject && signed_in.handle.is_some() && found.binding() == signed_in.handle;
        belongs.then_some(found)
    }

    async fn find(&self, brought: &Brought, now: Timestamp) -> Result<Option<Arc<Evidence>>, SourceError> {
        let Some(signed_in) = self.signed_in_now(brought, now).await? else { return Ok(None) };
        if let Some(found) = self.token(brought, &signed_in, now) {
            let remembered = self.own.believed(&found, now).filter(|known| known.standing.enrolled() == Enrolled::Yes);
            let stepped_up = match remembered {
                Some(known) => Some(known),
                None => self.own.ask_for(found, now).await?,
            };
            if let Some(stepped_up) = stepped_up {
                return Ok(Some(with_first_factor(stepped_up, &signed_in.first_factor)));
            }
        }
        match self.remembered(&signed_in, now).filter(|known| known.standing.enrolled() == Enrolled::Yes) {
            Some(known) => Ok(Some(known)),
            None => self.without_token(signed_in, now).await,
        }
    }

    /// What was read a moment ago for a session without a token.
    fn remembered(&self, signed_in: &SignedIn, now: Timestamp) -> Option<Arc<Evidence>> {
        let user = (&signed_in.user.subject, &signed_in.first_factor);
        self.remembered.find(signed_in.handle?, user, &self.own, now)
    }

    /// Without our token, the first factor is all that counts.
    async fn without_token(&self, signed_in: SignedIn, now: Timestamp) -> Result<Option<Arc<Evidence>>, SourceError> {
        let SignedIn { user, handle, first_factor, .. } = signed_in;
        let subject = &user.subject;
        let epoch = self.own.cache.before_read(subject);
        if !self.own.users.is_active(subject).await? {
            return Ok(None);
        }
        let stored = match handle {
            Some(handle) => self.own.stores.session_of(subject, handle, now).await?,
            None => None,
        };
        let (stored, credentials) = match stored {
            Some(stored) => (Some(stored.session), stored.credentials),
            None => (None, self.own.stores.credentials(subject).await?.into_iter().map(|one| one.summary).collect()),
        };
        let session = seen_by_host(&user, handle, first_factor, stored.as_ref());
        let (standing, kept) = self.own.standing(credentials, &session, now).await?;
        let evidence = Arc::new(Evidence::new(session, standing));
        if let Some(handle) = handle {
            let read = Read {
                evidence: Arc::clone(&evidence),
                at: now,
                asked_at: now,
                until: now + SessionCache::LONGEST,
                epoch,
                stored: kept,
            };
            self.remembered.keep(handle, read, &self.own);
        }
        Ok(Some(evidence))
    }
}

/// The session as the application alone knows it. What was proven to us is not in it, so no rotation of it takes that over.
fn seen_by_host(
    user: &HostUser,
    handle: Option<BindingKey>,
    first_factor: Proof,
    stored: Option<&StoredSession>,
) -> Session {
    let begun = first_factor.completed_at();
    let mut session = Session::external(user.subject.clone(), vec![first_factor]);
    if let Some(at) = stored.map(StoredSession::issued_at).or(begun) {
        session = session.with_issued_at(at);
    }
    if let Some(at) = stored.map(StoredSession::expires_at).or(user.expires_at) {
        session = session.with_expires_at(at);
    }
    let Some(handle) = handle else { return session };
    let id = stored.map_or_else(|| base_id(handle), StoredSession::id);
    session.with_binding(handle).named(id, stored.and_then(StoredSession::device))
}

/// The same with the first factor as the application knows it, if that is newer.
fn with_first_factor(evidence: Arc<Evidence>, first_factor: &Proof) -> Arc<Evidence> {
    let newer = |proof: &Proof| proof.aal() == Aal::Aal1 && proof.completed_at() >= first_factor.completed_at();
    if first_factor.completed_at().is_none() || evidence.session.proofs().iter().any(newer) {
        return evidence;
    }
    let session = evidence.session.clone().proven(first_factor.clone());
    Arc::new(Evidence::new(session, evidence.standing.clone()))
}

fn brought(clue: &Clue) -> Result<&Brought, SourceError> {
    clue.downcast_ref().ok_or_else(|| "the clue is of another source".into())
}

impl SessionSource for HostedSessions {
    fn look(&self, head: Head<'_>) -> Look {
        let session = match self.host.look(head) {
            HostLook::Session(session) => session,
            HostLook::Miswired(help) => return Look::Miswired(help),
        };
        let recognised = |token: &[u8]| self.own.keys.recognises(token);
        let (token, transport) = match presented(head.headers, &self.own.cookies.session, recognised, of_one_session) {
            Presented::Unusable(transport) => return Look::Ambiguous(transport),
            Presented::Token(token, transport) if recognised(token.text) => {
                (Some(Clue::from_part_of_header(token.header, token.range(), transport)), transport)
            }
            // What is no token of ours is for the application.
            Presented::Token(..) | Presented::Nothing => (None, Transport::Cookie),
        };
        let clue = Clue::from_value(Brought::new(session, token), transport);
        #[cfg(feature = "test-util")]
        if let Some(probe) = head.extensions.get::<Probe>() {
            probe.keep(&clue);
        }
        Look::Clue(clue)
    }

    fn recall(&self, clue: &Clue, now: Timestamp) -> Recalled {
        let Ok(brought) = brought(clue) else { return Recalled::NoSession };
        let Some(state) = brought.known() else { return Recalled::Unknown };
        if state.user.is_none() {
            return Recalled::NoSession;
        }
        let Ok(Some(signed_in)) = self.signed_in(brought, state, now) else { return Recalled::Unknown };
        let remembered = match self.token(brought, &signed_in, now) {
            Some(found) => {
                self.own.believed(&found, now).map(|known| with_first_factor(known, &signed_in.first_factor))
            }
            None => self.remembered(&signed_in, now),
        };
        remembered.map_or(Recalled::Unknown, Recalled::Evidence)
    }

    fn ask<'a>(&'a self, clue: &'a Clue, now: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        Box::pin(async move { self.find(brought(clue)?, now).await })
    }

    fn remedy(&self, unmet: &Unmet<'_>) -> Remedy {
        // Signed in to the application all the same: with two tokens of ours, or not active in the directory. A login page that sends on who
        // is signed in would send them back for ever.
        let is_signed_in = |came: &HostState| came.user.is_some();
        let came = unmet.clue.and_then(|clue| brought(clue).ok()).map(Brought::came);
        if unmet.shortfall == Shortfall::NoSession && came.is_none_or(|came| came.is_some_and(is_signed_in)) {
            return Remedy::default();
        }
        self.own.remedy(unmet)
    }

    fn carry(&self, session: &StoredSession, standing: &Standing, now: Timestamp) -> Result<Carried, SourceError> {
        self.own.carry(session, standing, now)
    }

    fn is_unsettled(&self, clue: &Clue) -> bool {
        brought(clue).is_ok_and(|brought| brought.session.is_modified())
    }

    fn settle<'a>(&'a self, clue: &'a Clue) -> SourceFuture<'a, HeaderMap> {
        Box::pin(async move { self.follow(brought(clue)?).await })
    }
}
