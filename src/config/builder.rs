//! Configuration, and every mistake in it that can be told before the first request.

use std::{panic, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};

use super::{
    Inner, Limits, RequiredAal, StepUp, Switch, hex,
    urls::{GivenUrls, Urls},
};
use crate::{
    aal::{Aal, Method, Proof},
    audit::{Audit, AuditSink},
    clock::{Clock, SystemClock},
    directory::{Directory, NoDirectory},
    error::{BuildError, BuildErrorKind},
    factor::Factor,
    seal::{EncryptionKey, Sealer},
    session::{Session, SigningKey, Subject, cookie::CookieJar, token::KeyRing},
    standing::{Standing, StandingCache},
    store::{AttemptPolicy, FlowStore, SubjectStore, access::Stores},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Browsers keep no cookie for longer.
const LONGEST_COOKIE: Duration = Duration::from_secs(400 * 86_400);

/// Long enough for a database that is busy, short enough for somebody who waits.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest body that a flow ever needs to take (Ory's cap).
const MAX_BODY_BYTES: usize = 5_000_000;

/// Configures a [`StepUp`]. Only the public URL, a signing key, a store and a factor have no default.
///
/// ```
/// use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
///
/// let step_up = StepUp::builder("https://bank.example")
///     .signing_key(SigningKey::hs256("2026-11", [7; 32])?)
///     .store(MemoryStore::default())
///     .factor(Totp::new("Example Bank"))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct StepUpBuilder {
    public_url: String,
    application_name: Option<String>,
    loopback_http: bool,
    signing_keys: Vec<SigningKey>,
    encryption_keys: Vec<EncryptionKey>,
    stores: Option<(Arc<dyn SubjectStore>, Arc<dyn FlowStore>)>,
    flow_store: Option<Arc<dyn FlowStore>>,
    factors: Vec<Box<dyn Factor>>,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    audit: Audit,
    cookie_name: Option<String>,
    urls: GivenUrls,
    whoami: RequiredAal,
    settings: RequiredAal,
    standing_max_age: Duration,
    cached_sessions: usize,
    store_timeout: Duration,
    limits: Limits,
}

impl std::fmt::Debug for StepUpBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepUpBuilder").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

impl StepUpBuilder {
    pub(super) fn new(public_url: String) -> Self {
        Self {
            public_url,
            application_name: None,
            loopback_http: false,
            signing_keys: Vec::new(),
            encryption_keys: Vec::new(),
            stores: None,
            flow_store: None,
            factors: Vec::new(),
            directory: Arc::new(NoDirectory),
            clock: Arc::new(SystemClock),
            audit: Audit::default(),
            cookie_name: None,
            urls: GivenUrls::default(),
            whoami: RequiredAal::default(),
            settings: RequiredAal::default(),
            standing_max_age: Duration::from_secs(1),
            cached_sessions: 10_000,
            store_timeout: DEFAULT_TIMEOUT,
            limits: Limits {
                session_lifespan: DAY,
                session_absolute_lifespan: None,
                second_factor_lifespan: None,
                clock_leeway: Standing::DEFAULT_LEEWAY,
                login_flow_lifespan: HOUR,
                settings_flow_lifespan: HOUR,
                privileged_session_max_age: HOUR,
                flows_per_subject: 50,
                body_bytes: 64 * 1024,
                directory_timeout: DEFAULT_TIMEOUT,
                attempts: AttemptPolicy::default(),
            },
        }
    }

    /// The name that the built-in pages show. By default the public URL's host.
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = Some(name.into());
        self
    }

    /// Adds a signing key. The first signs, all verify.
    pub fn signing_key(mut self, key: SigningKey) -> Self {
        self.signing_keys.push(key);
        self
    }

    /// Adds a key under which secrets are sealed at rest. The first seals, all open.
    ///
    /// Without one, keys that follow from the signing keys are used. Then a signing key must stay in the ring for as long as a
    /// secret that was sealed under it is in the store; so durable deployments should give one.
    pub fn encryption_key(mut self, key: EncryptionKey) -> Self {
        self.encryption_keys.push(key);
        self
    }

    /// Keeps everything in this store.
    pub fn store<S: SubjectStore + FlowStore>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.stores = Some((Arc::<S>::clone(&store), store));
        self
    }

    /// Keeps flows and counters of attempts here, and only the rest in [`store`](Self::store).
    pub fn flow_store(mut self, store: impl FlowStore) -> Self {
        self.flow_store = Some(Arc::new(store));
        self
    }

    /// Adds a factor.
    pub fn factor(mut self, factor: impl Factor) -> Self {
        self.factors.push(Box::new(factor));
        self
    }

    /// Tells who users are. By default, every subject is active and has no traits.
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.directory = Arc::new(directory);
        self
    }

    /// Where "now" comes from. By default, the operating system.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Allows a public URL of plain HTTP on a loopback address, for development and tests. Cookies are then neither `Secure` nor
    /// `__Host-`: any other program on this machine can set and read them.
    pub fn insecure_http_on_loopback(mut self) -> Self {
        self.loopback_http = true;
        self
    }

    /// The session cookie's name. By default `__Host-step_up_session`, on plain HTTP `step_up_session`.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie_name = Some(name.into());
        self
    }

    /// The application's own first login page, which takes `return_to` in its query. By default `/login`.
    pub fn login_url(mut self, url: impl Into<String>) -> Self {
        self.urls.app_login = Some(url.into());
        self
    }

    /// The page that renders a login flow. By default the built-in one.
    pub fn login_ui_url(mut self, url: impl Into<String>) -> Self {
        self.urls.login_ui = Some(url.into());
        self
    }

    /// The page that renders a settings flow.
    pub fn settings_ui_url(mut self, url: impl Into<String>) -> Self {
        self.urls.settings_ui = Some(url.into());
        self
    }

    /// The page that renders an error. By default the built-in one.
    pub fn error_ui_url(mut self, url: impl Into<String>) -> Self {
        self.urls.error_ui = Some(url.into());
        self
    }

    /// Where a browser goes that did not say where it wants to return to. By default `/`.
    pub fn default_return_url(mut self, url: impl Into<String>) -> Self {
        self.urls.default_return = Some(url.into());
        self
    }

    /// Adds a URL under which browsers may return to. A host may begin with `*.`, which stands for any labels. Without any, every
    /// page of the public URL's origin is allowed.
    pub fn allowed_return_url(mut self, url: impl Into<String>) -> Self {
        self.urls.allowed_return.push(url.into());
        self
    }

    /// Where a browser returns to when the refused request was not GET, since such a request cannot be repeated. By default the
    /// page that it came from if that is allowed, else the default return URL.
    pub fn after_unsafe_url(mut self, url: impl Into<String>) -> Self {
        self.urls.after_unsafe = Some(url.into());
        self
    }

    /// What whoami asks of a session: Ory's `session.whoami.required_aal`.
    pub fn whoami_required_aal(mut self, required: RequiredAal) -> Self {
        self.whoami = required;
        self
    }

    /// What the settings ask of a session: Ory's `selfservice.flows.settings.required_aal`.
    pub fn settings_required_aal(mut self, required: RequiredAal) -> Self {
        self.settings = required;
        self
    }

    /// How long a session is good after its last proof. 24 hours by default.
    pub fn session_lifespan(mut self, lifespan: Duration) -> Self {
        self.limits.session_lifespan = lifespan;
        self
    }

    /// How long a session is good after its first login, however often it is renewed. By default there is no such end.
    pub fn session_absolute_lifespan(mut self, lifespan: Duration) -> Self {
        self.limits.session_absolute_lifespan = Some(lifespan);
        self
    }

    /// How long a second factor counts. The session then falls back to `aal1`. By default as long as the session.
    pub fn second_factor_lifespan(mut self, lifespan: Duration) -> Self {
        self.limits.second_factor_lifespan = Some(lifespan);
        self
    }

    /// How far the clocks of several machines may differ. 5 seconds by default, 60 at most.
    pub fn clock_leeway(mut self, leeway: Duration) -> Self {
        self.limits.clock_leeway = leeway;
        self
    }

    /// How long a login flow can be submitted. One hour by default.
    pub fn login_flow_lifespan(mut self, lifespan: Duration) -> Self {
        self.limits.login_flow_lifespan = lifespan;
        self
    }

    /// How long a settings flow can be submitted. One hour by default.
    pub fn settings_flow_lifespan(mut self, lifespan: Duration) -> Self {
        self.limits.settings_flow_lifespan = lifespan;
        self
    }

    /// How long after a proof factors may be changed: the second factor's, if the subject has one. One hour by default; zero
    /// waives the age, but never the second factor.
    pub fn privileged_session_max_age(mut self, max_age: Duration) -> Self {
        self.limits.privileged_session_max_age = max_age;
        self
    }

    /// How many wrong attempts in a row are allowed.
    pub fn attempts(mut self, policy: AttemptPolicy) -> Self {
        self.limits.attempts = policy;
        self
    }

    #[cfg(feature = "config")]
    pub(super) fn edit_attempts(mut self, edit: impl FnOnce(&mut AttemptPolicy)) -> Self {
        edit(&mut self.limits.attempts);
        self
    }

    /// For how long a process may use what it read of a session. One second by default; with zero every request reads the store.
    ///
    /// Within this time, a session that was revoked on *another* process is still good here. At most 60 seconds.
    pub fn standing_max_age(mut self, max_age: Duration) -> Self {
        self.standing_max_age = max_age;
        self
    }

    /// Gives the events of the audit to the application, beside those of the `tracing` target `tower_step_up::audit`. See
    /// [`AuditEvent`](crate::AuditEvent).
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Audit::to(sink);
        self
    }

    /// How many sessions and verified tokens a process remembers. 10,000 by default.
    pub fn cached_sessions(mut self, count: usize) -> Self {
        self.cached_sessions = count;
        self
    }

    /// How long the store may take for one call before the request is refused. 5 seconds by default.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// How long the directory may take for one answer before the request is refused. 5 seconds by default.
    pub fn directory_timeout(mut self, timeout: Duration) -> Self {
        self.limits.directory_timeout = timeout;
        self
    }

    /// The longest body of a submitted flow, in bytes. 64 KiB by default, 5 MB at most.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.limits.body_bytes = bytes;
        self
    }

    /// Checks everything and builds.
    ///
    /// # Errors
    ///
    /// Something is missing, unsafe or contradictory. The text says what to change.
    pub fn build(mut self) -> Result<StepUp, BuildError> {
        let urls = Urls::new(&self.public_url, self.loopback_http, &self.urls)?;
        self.check_limits()?;
        self.check_factors()?;
        let cookies = self.cookies(&urls)?;
        let keys = self.key_ring(&urls)?;
        let sealer = self.sealer()?;
        let help = "no store: call store(MemoryStore::default()) or store() with a durable one";
        let (subjects, flows) = self.stores.take().ok_or_else(|| BuildError::new(BuildErrorKind::Store, help))?;
        let one = self.flow_store.is_none();
        let stores = Stores::new(subjects, self.flow_store.take().unwrap_or(flows), one, self.store_timeout);
        let host = urls.public.host_str().unwrap_or_default();
        let inner = Inner {
            application_name: self.application_name.take().unwrap_or_else(|| host.to_owned()),
            urls,
            cookies,
            keys,
            stores,
            factors: self.factors,
            sealer,
            directory: self.directory,
            clock: self.clock,
            audit: self.audit,
            standing: StandingCache::new(self.cached_sessions, self.standing_max_age),
            limits: self.limits,
            whoami: Switch::new(self.whoami),
            settings: Switch::new(self.settings),
        };
        Ok(StepUp { inner: Arc::new(inner) })
    }

    fn check_limits(&self) -> Result<(), BuildError> {
        let fail = |help: &str| Err(BuildError::new(BuildErrorKind::Limit, help));
        let limits = &self.limits;
        let minute = Duration::from_secs(60);
        if limits.session_lifespan < minute || limits.session_lifespan > LONGEST_COOKIE {
            return fail("session_lifespan must be from one minute to 400 days");
        }
        if limits.session_absolute_lifespan.is_some_and(|lifespan| lifespan < minute) {
            return fail("session_absolute_lifespan must be at least one minute");
        }
        if limits.second_factor_lifespan.is_some_and(|lifespan| lifespan.is_zero()) {
            return fail("second_factor_lifespan must be more than zero");
        }
        if limits.clock_leeway > minute {
            return fail("clock_leeway must be at most 60 seconds; set the clocks of your machines by NTP");
        }
        if limits.login_flow_lifespan < minute || limits.login_flow_lifespan > DAY {
            return fail("login_flow_lifespan must be from one minute to one day");
        }
        if limits.settings_flow_lifespan < minute || limits.settings_flow_lifespan > DAY {
            return fail("settings_flow_lifespan must be from one minute to one day");
        }
        if self.standing_max_age > minute {
            return fail("standing_max_age must be at most 60 seconds: so long a revoked session stays good elsewhere");
        }
        if self.store_timeout.is_zero() || self.store_timeout > minute {
            return fail("store_timeout must be more than zero and at most 60 seconds");
        }
        if limits.directory_timeout.is_zero() || limits.directory_timeout > minute {
            return fail("directory_timeout must be more than zero and at most 60 seconds");
        }
        if self.cached_sessions == 0 {
            return fail("cached_sessions must be at least 1");
        }
        if limits.body_bytes < 1024 || limits.body_bytes > MAX_BODY_BYTES {
            return fail("body_limit must be from 1,024 to 5,000,000 bytes");
        }
        let attempts = limits.attempts;
        if attempts.free == 0 || attempts.hard_stop <= attempts.free || attempts.hard_stop > 100 {
            return fail(
                "attempts: free must be at least 1 and hard_stop above it, at most 100 (NIST SP 800-63B-4, 3.2.2)",
            );
        }
        if attempts.first_delay.as_millis() == 0 || attempts.longest_delay < attempts.first_delay {
            return fail("attempts: first_delay must be more than zero, and longest_delay not shorter");
        }
        Ok(())
    }

    fn check_factors(&self) -> Result<(), BuildError> {
        let fail = |help: String| Err(BuildError::new(BuildErrorKind::Factor, help));
        if !self.factors.iter().any(|factor| factor.aal() == Aal::Aal2) {
            return fail("no second factor: call factor(Totp::new(\"Your name\"))".to_owned());
        }
        for (position, factor) in self.factors.iter().enumerate() {
            factor.check_configuration()?;
            let method = factor.method();
            if self.factors.iter().take(position).any(|earlier| earlier.method() == method) {
                return fail(format!("two factors have the method {method}; only one can"));
            }
        }
        Ok(())
    }

    fn cookies(&self, urls: &Urls) -> Result<CookieJar, BuildError> {
        let fail = |help: &str| Err(BuildError::new(BuildErrorKind::Cookie, help));
        let secure = urls.public.scheme() == "https";
        let prefix = if secure { "__Host-" } else { "" };
        let session = self.cookie_name.clone().unwrap_or_else(|| format!("{prefix}step_up_session"));
        // RFC 6265 section 4.1.1: a cookie's name is a token.
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if session.is_empty() || session.len() > 128 || !session.bytes().all(token) {
            return fail("cookie_name must be 1 to 128 letters, digits, - or _");
        }
        if secure && !session.starts_with("__Host-") {
            return fail("cookie_name must begin with __Host-, so that no other host and no plain HTTP can set it");
        }
        if !secure && session.starts_with("__") {
            return fail("cookie_name must not begin with __ on plain HTTP: browsers refuse such a cookie");
        }
        let digest = Sha256::digest(urls.public.as_str().trim_end_matches('/'));
        Ok(CookieJar { session, csrf: format!("{prefix}csrf_token_{}", hex(&digest)), secure })
    }

    fn key_ring(&self, urls: &Urls) -> Result<KeyRing, BuildError> {
        let fail = |help: &str| BuildError::new(BuildErrorKind::Key, help);
        if self.signing_keys.is_empty() {
            return Err(fail("no signing key: call signing_key(SigningKey::hs256(\"2026-11\", secret)?)"));
        }
        for (position, key) in self.signing_keys.iter().enumerate() {
            if self.signing_keys.iter().take(position).any(|earlier| earlier.id() == key.id()) {
                return Err(fail("two signing keys have the same id: give each a name of its own"));
            }
        }
        let ring =
            KeyRing::new(&self.signing_keys, urls.public.as_str(), self.limits.clock_leeway, self.cached_sessions);
        let ring = ring.map_err(|error| fail(&error.to_string()))?;
        // The cryptography behind jsonwebtoken is chosen at run time and panics at first use when there is none.
        match panic::catch_unwind(panic::AssertUnwindSafe(|| self.probe(&ring))) {
            Ok(true) => Ok(ring),
            _ => Err(fail("signing does not work: enable exactly one of the features aws_lc_rs and rust_crypto")),
        }
    }

    /// Whether what the ring signs can be verified.
    fn probe(&self, ring: &KeyRing) -> bool {
        let now = self.clock.now();
        let Ok(subject) = Subject::new("probe") else { return false };
        let session = Session::new(subject, Proof::new(Method::Password, Aal::Aal1, now), HOUR);
        ring.mint(&session, Aal::Aal1).is_ok_and(|token| ring.verify(token.as_str(), now).is_ok())
    }

    fn sealer(&mut self) -> Result<Sealer, BuildError> {
        let fail = |help: &str| BuildError::new(BuildErrorKind::Key, help);
        let mut keys = std::mem::take(&mut self.encryption_keys);
        for (position, key) in keys.iter().enumerate() {
            if keys.iter().take(position).any(|earlier| earlier.id() == key.id()) {
                return Err(fail("two encryption keys have the same id: give each a name of its own"));
            }
        }
        // Behind the keys that were given, so that what was sealed before there was one still opens.
        for key in &self.signing_keys {
            keys.push(EncryptionKey::derived_from(key).map_err(|error| fail(&error.to_string()))?);
        }
        Ok(Sealer::new(keys))
    }
}
