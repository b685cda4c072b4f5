//! Sessions of our own: a signed token in a cookie or a header, and the store that says whether it still counts.
//!
//! It implements [`SessionSource`]. Requests have no other way to it.

pub(crate) mod addresses;
mod epochs;
mod known_token;
mod log_reader;
mod remedy;
mod session_cache;

use std::{sync::Arc, time::Duration};

pub(crate) use self::{
    log_reader::{LogReader, followed},
    session_cache::{Found, Read, SessionCache},
};
use super::{Carried, Clue, Evidence, Head, Look, Recalled, Remedy, SessionSource, SourceError, SourceFuture, Unmet};
use crate::{
    aal::{Aal, Method},
    clock::Timestamp,
    directory::Users,
    error::Error,
    factor::{Elsewhere, KeptElsewhere},
    seal::Sealer,
    session::{
        Session, SessionId, StoredSession, Subject,
        cookie::{CookieJar, Presented, presented},
        token::{KeyRing, Verified, of_one_session},
    },
    standing::{CredentialSummary, Standing},
    store::{StoredStanding, access::Stores},
    urls::Urls,
};

/// No session's use is noted more often than this.
const SELDOM: Duration = Duration::from_secs(60);

pub(crate) struct OwnSessions {
    pub(crate) keys: KeyRing,
    pub(crate) cookies: CookieJar,
    pub(crate) stores: Stores,
    pub(crate) users: Users,
    pub(crate) elsewhere: KeptElsewhere,
    pub(crate) cache: SessionCache,
    pub(crate) log_reader: LogReader,
    pub(crate) urls: Arc<Urls>,
    pub(crate) clock_leeway: Duration,
    pub(crate) second_factor_lifespan: Duration,
    /// How long a session lasts that nobody uses.
    pub(crate) inactivity_timeout: Option<Duration>,
    /// Makes the short addresses that long ones are kept under.
    pub(crate) sealer: Sealer,
    /// How many long addresses of a session are kept.
    pub(crate) kept_addresses: u32,
    /// The custom methods, each with the built-in one that clients know it as.
    pub(crate) shown: Box<[(Method, Method)]>,
    /// The methods of the second factors that are configured.
    pub(crate) second_factors: Box<[Method]>,
    /// Whether a device may be trusted.
    pub(crate) trusts_devices: bool,
    /// How recent a proof must be to change factors.
    pub(crate) privileged_session_max_age: Duration,
}

impl OwnSessions {
    /// The session as the store has it now; `None` if it has ended or its subject may not have one.
    pub(crate) async fn read(&self, id: SessionId, subject: &Subject, now: Timestamp) -> Result<Option<Read>, Error> {
        let epoch = self.cache.before_read(subject);
        let Some(stored) = self.stores.standing(subject, id).await? else { return Ok(None) };
        if !self.users.is_active(subject).await? {
            return Ok(None);
        }
        let noted_at = stored.session.last_used_at();
        let Some((evidence, stored)) = self.judged(stored, now).await? else { return Ok(None) };
        let Some(noted_at) = self.note_use(id, subject, noted_at, now).await else { return Ok(None) };
        // A use must be noted when it is due, so the session is read then.
        let due = self.notes_every().map_or(now + SessionCache::LONGEST, |every| noted_at + every);
        let until = due.min(now + SessionCache::LONGEST);
        Ok(Some(Read { evidence: Arc::new(evidence), at: now, asked_at: now, until, epoch, stored }))
    }

    /// What was read then, after the directory was asked again; `None` if the subject may have no session any more.
    async fn asked_again(&self, read: Read, subject: &Subject, now: Timestamp) -> Result<Option<Read>, Error> {
        if self.users.must_be_asked() && !self.users.is_active(subject).await? {
            return Ok(None);
        }
        if !self.elsewhere.any() {
            return Ok(Some(Read { asked_at: now, ..read }));
        }
        let Evidence { session, standing } = read.evidence.as_ref();
        let standing = self.with_elsewhere(standing.first(read.stored), session, now).await?;
        let alive = standing.level(session, now) > Aal::Aal0;
        let evidence = Arc::new(Evidence { session: session.clone(), standing });
        Ok(alive.then_some(Read { asked_at: now, evidence, ..read }))
    }

    /// The standing with those of these stored credentials that count, and with those that the application keeps. Of its credentials, the
    /// stored ones come first: so many.
    pub(crate) async fn standing(
        &self,
        stored: Vec<CredentialSummary>,
        session: &Session,
        now: Timestamp,
    ) -> Result<(Standing, usize), Error> {
        let counting = self.counting(stored, session).await?;
        let count = counting.iter().filter(|one| !one.method.is_trusted_device()).count();
        Ok((self.with_elsewhere(counting, session, now).await?, count))
    }

    /// Those of these stored credentials that count in this session.
    async fn counting(
        &self,
        mut stored: Vec<CredentialSummary>,
        session: &Session,
    ) -> Result<Vec<CredentialSummary>, Error> {
        let (subject, proofs) = (session.subject(), session.proofs());
        let by_summary = |one: &CredentialSummary| self.elsewhere.counts_by_summary(one, proofs);
        if stored.iter().all(|one| by_summary(one).is_some()) {
            stored.retain(|one| by_summary(one) == Some(true));
            return Ok(stored);
        }
        // Rarely: the user has signed in by an address, and has addresses.
        let mut counting = Vec::new();
        for read in self.stores.credentials(subject).await? {
            if self.elsewhere.counts(subject, &read, proofs)? {
                counting.push(read.summary.id);
            }
        }
        // What was added between the two reads is seen with the next.
        stored.retain(|one| counting.contains(&one.id));
        Ok(stored)
    }

    /// The standing with these credentials, and with those that the application keeps.
    async fn with_elsewhere(
        &self,
        mut credentials: Vec<CredentialSummary>,
        session: &Session,
        now: Timestamp,
    ) -> Result<Standing, Error> {
        let elsewhere = self.elsewhere.of(session.subject(), session.proofs(), now).await?;
        credentials.extend(elsewhere.iter().flat_map(Elsewhere::summaries));
        Ok(self.judge(credentials))
    }

    /// The session as it is now, from the store only if its log does not vouch for what was read.
    pub(crate) async fn ask_for(&self, found: Found, now: Timestamp) -> Result<Option<Arc<Evidence>>, Error> {
        let Some((id, subject)) = found.names() else { return Ok(None) };
        let read = match self.cache.unasked(&found, now) {
            Some(read) => self.asked_again(read, subject, now).await?,
            None => self.read(id, subject, now).await?,
        };
        let Some(read) = read else { return Ok(None) };
        let evidence = Arc::clone(&read.evidence);
        self.cache.keep(&found, read);
        self.log_reader.go_on();
        Ok(Some(evidence))
    }

    /// The session that the store has, if it counts.
    pub(crate) async fn admit(&self, stored: StoredStanding, now: Timestamp) -> Result<Option<Evidence>, Error> {
        Ok(self.judged(stored, now).await?.map(|(evidence, _)| evidence))
    }

    /// The same, with how many of the standing's credentials are stored: the first.
    async fn judged(&self, stored: StoredStanding, now: Timestamp) -> Result<Option<(Evidence, usize)>, Error> {
        let StoredStanding { session, credentials } = stored;
        if self.is_idle(&session, now) {
            return Ok(None);
        }
        let session = Session::from(session);
        let (standing, count) = self.standing(credentials, &session, now).await?;
        let alive = !session.has_ended(now) && standing.level(&session, now) > Aal::Aal0;
        Ok(alive.then_some((Evidence { session, standing }, count)))
    }

    /// Whether nobody has used the session for too long.
    pub(crate) fn is_idle(&self, session: &StoredSession, now: Timestamp) -> bool {
        self.inactivity_timeout.is_some_and(|timeout| now.since(session.last_used_at()) >= timeout)
    }

    /// How often the use of a session is noted, if at all.
    fn notes_every(&self) -> Option<Duration> {
        self.inactivity_timeout.map(|timeout| timeout.checked_div(10).unwrap_or(timeout).max(SELDOM))
    }

    /// Notes that the session is in use, if that is due. Returns when its use was last noted; `None` if the session is gone.
    async fn note_use(
        &self,
        id: SessionId,
        subject: &Subject,
        noted_at: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.notes_every().is_none_or(|every| now.since(noted_at) < every) {
            return Some(noted_at);
        }
        match self.stores.note_use(subject, id, now).await {
            Ok(written) => written.is_done().then_some(now),
            // It ends sooner for that, never later.
            Err(error) => {
                tracing::warn!(target: "tower_step_up::sessions", %error, "the use of a session could not be noted");
                Some(noted_at)
            }
        }
    }

    /// The standing of a subject with these credentials, under the configured limits.
    pub(crate) fn judge(&self, mut credentials: Vec<CredentialSummary>) -> Standing {
        // Devices that were trusted before the application changed its mind.
        if !self.trusts_devices {
            credentials.retain(|credential| !credential.method.is_trusted_device());
        }
        Standing::new(credentials).leeway(self.clock_leeway).second_factor_lifespan(Some(self.second_factor_lifespan))
    }

    pub(crate) fn find(&self, clue: &Clue, now: Timestamp) -> Option<Found> {
        self.cache.find(clue.bytes()?, &self.keys, now)
    }

    /// The session as it was read a moment ago, if it may still be used.
    pub(crate) fn believed(&self, found: &Found, now: Timestamp) -> Option<Arc<Evidence>> {
        self.cache.believed(found, now)
    }

    /// What a token of ours says, even one whose session has ended.
    pub(crate) fn verified(&self, clue: &Clue, now: Timestamp) -> Option<Verified> {
        self.find(clue, now)?.verified()
    }
}

impl SessionSource for OwnSessions {
    fn look(&self, head: Head<'_>) -> Look {
        let recognised = |token: &[u8]| self.keys.recognises(token);
        match presented(head.headers, &self.cookies.session, recognised, of_one_session) {
            Presented::Nothing => Look::Nothing,
            Presented::Unusable(transport) => Look::Ambiguous(transport),
            Presented::Token(token, transport) => {
                Look::Clue(Clue::from_part_of_header(token.header, token.range(), transport))
            }
        }
    }

    fn recall(&self, clue: &Clue, now: Timestamp) -> Recalled {
        let Some(found) = self.find(clue, now) else { return Recalled::NoSession };
        self.believed(&found, now).map_or(Recalled::Unknown, Recalled::Evidence)
    }

    fn ask<'a>(&'a self, clue: &'a Clue, now: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        Box::pin(async move {
            let Some(found) = self.find(clue, now) else { return Ok(None) };
            Ok(self.ask_for(found, now).await?)
        })
    }

    fn remedy(&self, unmet: &Unmet<'_>) -> Remedy {
        self.remedy_for(unmet)
    }

    fn carry(&self, session: &StoredSession, standing: &Standing, now: Timestamp) -> Result<Carried, SourceError> {
        let token = self.keys.mint(session, standing.level(session.as_ref(), now))?;
        let cookie = self.cookies.session(&token, session.expires_at(), now).ok_or("the cookie cannot be written")?;
        Ok(Carried::new(token, cookie))
    }
}
