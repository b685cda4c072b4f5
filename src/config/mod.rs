//! [`StepUp`]: the configured whole that layers, routes and the application share.

mod build;
mod builder;
mod credentials;
#[cfg(feature = "config")]
mod file;
mod manage;
mod sign_in;
mod urls;

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

#[cfg(feature = "config")]
pub use self::file::Config;
pub(crate) use self::urls::Urls;
pub use self::{builder::StepUpBuilder, sign_in::SignedIn};
use crate::{
    aal::{Aal, Method},
    audit::{Audit, AuditEventKind},
    clock::{Clock, Timestamp},
    directory::{Directory, DirectoryFuture},
    error::{Error, ErrorKind, StoreError},
    factor::{Factor, FactorError, FactorFuture},
    requirement::Requirement,
    seal::Sealer,
    session::{Session, SessionId, Subject, cookie::CookieJar, token::KeyRing, view},
    standing::{Authenticated, CredentialSummary, Standing, StandingCache},
    store::{AttemptKey, AttemptPolicy, Completed, Completion, Revocation, StoredStanding, access::Stores},
};

/// What whoami and the settings ask of a session, under the names of Ory's `required_aal`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequiredAal {
    /// Any valid session ("lax").
    Aal1,
    /// The highest level that the subject can reach ("strict"). The default.
    #[default]
    HighestAvailable,
    /// Two factors; who has no second one is led to enrol it.
    Aal2,
}

impl RequiredAal {
    const ALL: [Self; 3] = [Self::Aal1, Self::HighestAvailable, Self::Aal2];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Aal1 => "aal1",
            Self::HighestAvailable => "highest_available",
            Self::Aal2 => "aal2",
        }
    }
}

impl From<RequiredAal> for Requirement {
    fn from(required: RequiredAal) -> Self {
        match required {
            RequiredAal::Aal1 => Self::aal1(),
            RequiredAal::HighestAvailable => Self::highest_available(),
            RequiredAal::Aal2 => Self::aal2(),
        }
    }
}

/// The text names no [`RequiredAal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRequiredAal(());

impl fmt::Display for UnknownRequiredAal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("required_aal is aal1, highest_available or aal2")
    }
}

impl std::error::Error for UnknownRequiredAal {}

impl FromStr for RequiredAal {
    type Err = UnknownRequiredAal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|required| required.as_str() == text).ok_or(UnknownRequiredAal(()))
    }
}

/// A [`RequiredAal`] that can be switched while requests are served.
#[derive(Debug)]
struct Switch(AtomicU8);

impl Switch {
    fn new(required: RequiredAal) -> Self {
        let switch = Self(AtomicU8::new(0));
        switch.set(required);
        switch
    }

    fn set(&self, required: RequiredAal) {
        let code = match required {
            RequiredAal::Aal1 => 1,
            RequiredAal::HighestAvailable => 2,
            RequiredAal::Aal2 => 3,
        };
        self.0.store(code, Ordering::Release);
    }

    fn get(&self) -> RequiredAal {
        match self.0.load(Ordering::Acquire) {
            1 => RequiredAal::Aal1,
            2 => RequiredAal::HighestAvailable,
            // The strictest, should this ever be anything else.
            _ => RequiredAal::Aal2,
        }
    }
}

/// Durations, counts and sizes.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) session_lifespan: Duration,
    pub(crate) session_absolute_lifespan: Option<Duration>,
    pub(crate) second_factor_lifespan: Option<Duration>,
    pub(crate) clock_leeway: Duration,
    pub(crate) login_flow_lifespan: Duration,
    pub(crate) settings_flow_lifespan: Duration,
    pub(crate) privileged_session_max_age: Duration,
    pub(crate) flows_per_session: u32,
    pub(crate) body_bytes: usize,
    pub(crate) directory_timeout: Duration,
    pub(crate) attempts: AttemptPolicy,
}

pub(crate) struct Inner {
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
    whoami: Switch,
    settings: Switch,
}

/// The configured whole: the application builds it once, and takes from it the [layer](Self::layer), the router and sessions.
///
/// Clones are cheap and share everything.
#[derive(Clone)]
pub struct StepUp {
    inner: Arc<Inner>,
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUp").field("public_url", &self.inner.urls.public.as_str()).finish_non_exhaustive()
    }
}

impl StepUp {
    /// Starts to configure a step-up for the application that browsers reach at `public_url`.
    ///
    /// Cookies, redirects and cross-site protection follow from this URL alone; `Host` and `Forwarded` headers are never believed.
    /// If the router is nested under a path, the URL includes that path.
    pub fn builder(public_url: impl Into<String>) -> StepUpBuilder {
        StepUpBuilder::new(public_url.into())
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// What whoami asks of a session from the next request on: Ory's `session.whoami.required_aal`.
    pub fn set_whoami_required_aal(&self, required: RequiredAal) {
        self.inner.whoami.set(required);
    }

    /// What the settings ask of a session from the next request on: Ory's `selfservice.flows.settings.required_aal`.
    pub fn set_settings_required_aal(&self, required: RequiredAal) {
        self.inner.settings.set(required);
    }

    /// Ends sessions of the subject and returns how many. On this process that holds at once, on others as soon as they
    /// read the store again ([`StepUpBuilder::standing_max_age`]).
    ///
    /// # Errors
    ///
    /// The store did not answer; whether sessions were ended is not known.
    pub async fn revoke(&self, subject: &Subject, which: Revocation) -> Result<u64, Error> {
        let revoked = {
            let _forget = self.inner.standing.forget_afterwards(subject);
            self.inner.stores.revoke(subject, which).await?
        };
        self.inner.audit.of_subject(self.inner.now(), subject, AuditEventKind::Revoked { sessions: revoked });
        Ok(revoked)
    }

    /// Drops what this process remembers of the subject, so that the next request asks the store and the directory: call it when the
    /// application has disabled a user.
    pub fn forget(&self, subject: &Subject) {
        self.inner.standing.forget(subject);
    }
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

impl Inner {
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
    pub(crate) fn cached_session(
        &self,
        id: SessionId,
        subject: &Subject,
        now: Timestamp,
    ) -> Option<Arc<Authenticated>> {
        self.standing.get(id, subject, now)
    }

    /// The session as the store has it now; `None` if it is dead or its subject may not have one.
    pub(crate) async fn read_session(
        &self,
        id: SessionId,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Option<Arc<Authenticated>>, Error> {
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
        Ok(identity.map_or(serde_json::Value::Null, |identity| view::identity(subject, &identity, &self.urls.public)))
    }

    fn admit(&self, stored: StoredStanding, now: Timestamp) -> Option<Authenticated> {
        let StoredStanding { session, credentials, not_before } = stored;
        let begun_in_time = not_before.is_none_or(|not_before| session.issued_at() >= not_before);
        let standing = self.judge(credentials);
        let alive = now < session.expires_at() && standing.level(&session, now) > Aal::Aal0;
        (begun_in_time && alive).then_some(Authenticated { session, standing })
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

    /// The session that takes the old one's place after this proof.
    pub(crate) fn renew(&self, old: &Session, proof: crate::aal::Proof) -> Session {
        old.renewed(proof, self.limits.session_lifespan, self.limits.session_absolute_lifespan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_aal_has_orys_names_and_can_be_switched() {
        for required in RequiredAal::ALL {
            assert_eq!(required.as_str().parse(), Ok(required));
            assert_eq!(serde_json::to_value(required).unwrap(), required.as_str());
            let switch = Switch::new(RequiredAal::Aal1);
            switch.set(required);
            assert_eq!(switch.get(), required);
        }
        assert!("strict".parse::<RequiredAal>().is_err());
    }
}
