//! What is decided and written for the application, the flows and the router alike: a session is read, judged, renewed, handed out.
//!
//! It knows no HTTP requests, no router and no pages.

mod limits;

use std::sync::Arc;

pub(crate) use self::limits::{Limits, Switch};
use crate::{
    aal::{Aal, Method, Proof},
    audit::Audit,
    clock::{Clock, Timestamp},
    directory::{Directory, DirectoryFuture},
    error::{Error, ErrorKind, StoreError},
    factor::{Factor, FactorError, FactorFuture},
    requirement::RequiredAal,
    seal::Sealer,
    session::{Session, SessionId, StoredSession, Subject, cookie::CookieJar, renewed_end, token::KeyRing},
    source::{Evidence, own::StandingCache},
    standing::{CredentialSummary, Standing},
    store::{AttemptKey, Completed, Completion, StoredStanding, access::Stores},
    urls::Urls,
    wire,
};

/// The configured whole, apart from how requests reach it.
pub(crate) struct Engine {
    pub(crate) application_name: String,
    pub(crate) urls: Urls,
    pub(crate) cookies: CookieJar,
    pub(crate) keys: KeyRing,
    pub(crate) stores: Stores,
    pub(crate) factors: Vec<Box<dyn Factor>>,
    pub(crate) sealer: Sealer,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: Audit,
    pub(crate) standing: StandingCache,
    pub(crate) limits: Limits,
    pub(crate) whoami: Switch,
    pub(crate) settings: Switch,
}

impl Engine {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn whoami_required_aal(&self) -> RequiredAal {
        self.whoami.get()
    }

    pub(crate) fn settings_required_aal(&self) -> RequiredAal {
        self.settings.get()
    }

    pub(crate) fn factor(&self, method: Method) -> Option<&dyn Factor> {
        self.factors.iter().find(|factor| factor.method() == method).map(AsRef::as_ref)
    }

    /// The session as the cache has it.
    pub(crate) fn cached_session(&self, id: SessionId, subject: &Subject, now: Timestamp) -> Option<Arc<Evidence>> {
        self.standing.get(id, subject, now)
    }

    /// The session as the store has it now; `None` if it is dead or its subject may not have one.
    pub(crate) async fn read_session(
        &self,
        id: SessionId,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Option<Arc<Evidence>>, Error> {
        let epoch = self.standing.before_read(subject);
        let Some(stored) = self.stores.standing(subject, id).await? else { return Ok(None) };
        if !self.is_active(subject).await? {
            return Ok(None);
        }
        let Some(authenticated) = self.admit(stored, now) else { return Ok(None) };
        let authenticated = Arc::new(authenticated);
        self.standing.insert(Arc::clone(&authenticated), now, epoch);
        Ok(Some(authenticated))
    }

    pub(crate) async fn is_active(&self, subject: &Subject) -> Result<bool, Error> {
        self.ask_directory(self.directory.is_active(subject)).await
    }

    /// The directory's answer, if it comes in time.
    pub(crate) async fn ask_directory<T>(&self, question: DirectoryFuture<'_, T>) -> Result<T, Error> {
        let answer = tokio::time::timeout(self.limits.directory_timeout, question).await;
        answer
            .map_err(|elapsed| Error::with_source(ErrorKind::Directory, elapsed))?
            .map_err(|error| Error::with_source(ErrorKind::Directory, error))
    }

    /// A factor's verdict, if it comes in time: it may ask the directory.
    pub(crate) async fn in_time<T>(&self, work: FactorFuture<'_, T>) -> Result<T, FactorError> {
        let done = tokio::time::timeout(self.limits.directory_timeout, work).await;
        done.map_err(|elapsed| FactorError::Unavailable(elapsed.into()))?
    }

    /// The identity object of the wire contract; `null` if the application does not know the subject.
    pub(crate) async fn identity(&self, subject: &Subject) -> Result<serde_json::Value, Error> {
        let identity = self.ask_directory(self.directory.identity(subject)).await?;
        Ok(identity
            .map_or(serde_json::Value::Null, |identity| wire::session::identity(subject, &identity, &self.urls.public)))
    }

    fn admit(&self, stored: StoredStanding, now: Timestamp) -> Option<Evidence> {
        let StoredStanding { session, credentials, not_before } = stored;
        let session = Session::from(session);
        let begun_in_time = not_before.is_none_or(|not_before| session.issued_at() >= Some(not_before));
        let standing = self.judge(credentials);
        let alive = !session.has_ended(now) && standing.level(&session, now) > Aal::Aal0;
        (begun_in_time && alive).then_some(Evidence { session, standing })
    }

    /// The standing of a subject with these credentials, under the configured limits.
    pub(crate) fn judge(&self, credentials: Vec<CredentialSummary>) -> Standing {
        Standing::new(credentials)
            .leeway(self.limits.clock_leeway)
            .second_factor_lifespan(self.limits.second_factor_lifespan)
    }

    /// Applies a completed ceremony and drops what was remembered of its subject.
    pub(crate) async fn complete(&self, completion: Completion) -> Result<Completed, StoreError> {
        let subject = completion.subject.clone();
        let _forget = self.standing.forget_afterwards(&subject);
        self.stores.complete(completion).await
    }

    /// The factor was proven, so guesses at it that came before count no more. Nothing depends on it but the comfort of its owner.
    pub(crate) async fn lift_lock(&self, subject: &Subject, method: Method) {
        let key = AttemptKey { subject: subject.clone(), method };
        if let Err(error) = self.stores.reset_attempts(&key).await {
            tracing::warn!(target: "tower_step_up::factor", %error, %method, "could not lift the lock of a factor that was proven");
        }
    }

    /// The session that takes the old one's place after a proof that was made now, and that prolongs it.
    pub(crate) fn renew(&self, old: &Session, proof: Proof, now: Timestamp) -> StoredSession {
        let issued_at = old.issued_at().unwrap_or(now);
        let Limits { session_lifespan, session_absolute_lifespan, .. } = self.limits;
        old.successor(Some(proof), issued_at, renewed_end(issued_at, now, session_lifespan, session_absolute_lifespan))
    }

    /// The session that takes the old one's place when what it may do changes: with one more proof or none, and prolonged by nothing.
    pub(crate) fn rotate(&self, old: &Session, proof: Option<Proof>, now: Timestamp) -> StoredSession {
        let issued_at = old.issued_at().unwrap_or(now);
        let lifespan = self.limits.session_lifespan;
        let end = old.expires_at().unwrap_or_else(|| renewed_end(issued_at, now, lifespan, None));
        old.successor(proof, issued_at, end)
    }
}
