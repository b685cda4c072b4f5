//! Configuration: everything that can be set, and what it is if it is not set. What can be wrong with it is in `build`.

use std::{sync::Arc, time::Duration};

use crate::{
    audit::{Audit, AuditSink},
    clock::{Clock, SystemClock},
    context::{Refusal, RefusalHook},
    directory::{Directory, NoDirectory},
    engine::Limits,
    factor::Factor,
    requirement::RequiredAal,
    seal::EncryptionKey,
    session::SigningKey,
    standing::Standing,
    store::{AttemptPolicy, FlowStore, SubjectStore},
    urls::GivenUrls,
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Long enough for a database that is busy, short enough for somebody who waits.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Configures a [`StepUp`](crate::StepUp). Only the public URL, a signing key, a store and a factor have no default.
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
    pub(super) public_url: String,
    pub(super) application_name: Option<String>,
    pub(super) loopback_http: bool,
    pub(super) signing_keys: Vec<SigningKey>,
    pub(super) encryption_keys: Vec<EncryptionKey>,
    pub(super) stores: Option<(Arc<dyn SubjectStore>, Arc<dyn FlowStore>)>,
    pub(super) flow_store: Option<Arc<dyn FlowStore>>,
    pub(super) factors: Vec<Box<dyn Factor>>,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) audit: Audit,
    pub(super) on_refusal: Option<Arc<dyn RefusalHook>>,
    pub(super) cookie_name: Option<String>,
    pub(super) urls: GivenUrls,
    pub(super) whoami: RequiredAal,
    pub(super) settings: RequiredAal,
    pub(super) standing_max_age: Duration,
    pub(super) cached_sessions: usize,
    pub(super) store_timeout: Duration,
    pub(super) limits: Limits,
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
            on_refusal: None,
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
                flows_per_session: 50,
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
    /// [`AuditEvent`](crate::audit::AuditEvent).
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Audit::to(sink);
        self
    }

    /// Answers refusals by the application's own function: a page in its own style, problem details, an error of GraphQL or gRPC. If the
    /// function declines (`None`), the client gets the crate's own answer.
    ///
    /// It must not wait. Whatever it answers, nobody may keep the answer, and the audit hears of the refusal. It is asked for what guards,
    /// extractors and handlers refuse; the companion router speaks Ory's format alone.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Response, StatusCode};
    /// use tower_step_up::{Shortfall, context::Refusal};
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    ///
    /// let step_up = StepUp::builder("https://bank.example")
    /// #   .signing_key(SigningKey::hs256("2026-11", [7; 32])?)
    /// #   .store(MemoryStore::default())
    /// #   .factor(Totp::new("Example Bank"))
    ///     .on_refusal(|refusal: &Refusal<'_>| {
    ///         if refusal.shortfall != Shortfall::Unavailable {
    ///             return None;
    ///         }
    ///         let mut response = Response::new(Bytes::from_static(b"We will be back in a moment."));
    ///         *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    ///         Some(response)
    ///     })
    ///     .build()?;
    /// # drop(step_up);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_refusal<F>(mut self, answer: F) -> Self
    where
        F: Fn(&Refusal<'_>) -> Option<http::Response<bytes::Bytes>> + Send + Sync + 'static,
    {
        self.on_refusal = Some(Arc::new(answer));
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
}
