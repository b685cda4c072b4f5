//! The builder: all settings and their defaults. `build` has the checks.

mod cookies;
mod looks;
mod pages;
mod parts;
mod times;

use std::{sync::Arc, time::Duration};

use self::cookies::GivenCookies;
use super::acr::GivenAcrValues;
use crate::{
    audit::Audit,
    clock::{Clock, SystemClock},
    context::{ClientAddress, RefusalHook},
    directory::{Directory, NoDirectory},
    engine::{LONGEST_AT_AAL1, LONGEST_AT_AAL2, LanguageHook, Limits, Overall},
    factor::Factor,
    language::Language,
    requirement::RequiredAal,
    seal::EncryptionKey,
    session::SigningKey,
    source::HostSessions,
    standing::Standing,
    store::{AttemptPolicy, FlowStore, SubjectStore},
    theme::{PageHook, Theme},
    urls::GivenUrls,
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Long enough for a busy database, short enough for a waiting user.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Configures a [`StepUp`](crate::StepUp). Only the public URL, a signing key, a store and a factor have no default.
///
/// ```
/// use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
///
/// let step_up = StepUp::builder("https://bank.example")
///     .signing_key(SigningKey::generate("2026-11")?)
///     .store(MemoryStore::default())
///     .factor(Totp::new("Example Bank"))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct StepUpBuilder {
    pub(in crate::config) public_url: String,
    pub(in crate::config) application_name: Option<String>,
    pub(in crate::config) theme: Theme,
    pub(in crate::config) languages: Vec<Language>,
    pub(in crate::config) default_language: Option<String>,
    pub(in crate::config) language_of: Option<LanguageHook>,
    pub(in crate::config) render_pages: Option<PageHook>,
    pub(in crate::config) strict_transport_security: bool,
    pub(in crate::config) loopback_http: bool,
    pub(in crate::config) signing_keys: Vec<SigningKey>,
    pub(in crate::config) encryption_keys: Vec<EncryptionKey>,
    pub(in crate::config) stores: Option<(Arc<dyn SubjectStore>, Arc<dyn FlowStore>)>,
    pub(in crate::config) flow_store: Option<Arc<dyn FlowStore>>,
    pub(in crate::config) host_sessions: Option<Arc<dyn HostSessions>>,
    pub(in crate::config) factors: Vec<Box<dyn Factor>>,
    pub(in crate::config) directory: Arc<dyn Directory>,
    pub(in crate::config) clock: Arc<dyn Clock>,
    pub(in crate::config) audit: Audit,
    pub(in crate::config) on_refusal: Option<Arc<dyn RefusalHook>>,
    pub(in crate::config) client_address: Option<ClientAddress>,
    pub(in crate::config) cookies: GivenCookies,
    pub(in crate::config) acr_values: GivenAcrValues,
    pub(in crate::config) urls: GivenUrls,
    pub(in crate::config) whoami: RequiredAal,
    pub(in crate::config) settings: RequiredAal,
    pub(in crate::config) standing_max_age: Duration,
    pub(in crate::config) changes_interval: Duration,
    pub(in crate::config) cached_sessions: usize,
    pub(in crate::config) store_timeout: Duration,
    pub(in crate::config) limits: Limits,
    #[cfg(feature = "config")]
    pub(in crate::config) ignored: Vec<super::file::Ignored>,
    #[cfg(feature = "config")]
    pub(in crate::config) strict_config: bool,
}

impl std::fmt::Debug for StepUpBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepUpBuilder").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

impl StepUpBuilder {
    pub(in crate::config) fn new(public_url: String) -> Self {
        Self {
            public_url,
            application_name: None,
            theme: Theme::default(),
            languages: Vec::new(),
            default_language: None,
            language_of: None,
            render_pages: None,
            strict_transport_security: true,
            loopback_http: false,
            signing_keys: Vec::new(),
            encryption_keys: Vec::new(),
            stores: None,
            flow_store: None,
            host_sessions: None,
            factors: Vec::new(),
            directory: Arc::new(NoDirectory),
            clock: Arc::new(SystemClock),
            audit: Audit::default(),
            on_refusal: None,
            client_address: None,
            cookies: GivenCookies::default(),
            acr_values: GivenAcrValues::default(),
            urls: GivenUrls::default(),
            whoami: RequiredAal::default(),
            settings: RequiredAal::default(),
            standing_max_age: Duration::from_secs(1),
            changes_interval: Duration::from_millis(200),
            cached_sessions: 10_000,
            store_timeout: DEFAULT_TIMEOUT,
            limits: Limits {
                session_lifespan: DAY,
                session_absolute_lifespan: Overall::Advised(LONGEST_AT_AAL1),
                second_factor_lifespan: Overall::Advised(LONGEST_AT_AAL2),
                session_inactivity_timeout: None,
                trusted_devices: None,
                clock_leeway: Standing::DEFAULT_LEEWAY,
                login_flow_lifespan: HOUR,
                settings_flow_lifespan: HOUR,
                privileged_session_max_age: HOUR,
                flows_per_session: 50,
                body_bytes: 64 * 1024,
                body_timeout: Duration::from_secs(10),
                directory_timeout: DEFAULT_TIMEOUT,
                attempts: AttemptPolicy::default(),
            },
            #[cfg(feature = "config")]
            ignored: Vec::new(),
            #[cfg(feature = "config")]
            strict_config: false,
        }
    }

    /// The name that the built-in pages show. By default the public URL's host.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.application_name("Example Bank");
    /// # drop(builder);
    /// ```
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = Some(name.into());
        self
    }

    /// Adds a signing key. The first signs, all verify.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::SigningKey;
    ///
    /// # let (new_secret, old_secret) = ("a secret of 32 or more random bytes", "what was the secret until last May");
    /// let builder = builder
    ///     .signing_key(SigningKey::hs256("2026-11", new_secret)?)
    ///     .signing_key(SigningKey::hs256("2026-05", old_secret)?); // until the last session that it signed has ended
    /// # drop(builder);
    /// # Ok::<(), tower_step_up::session::InvalidKey>(())
    /// ```
    pub fn signing_key(mut self, key: SigningKey) -> Self {
        self.signing_keys.push(key);
        self
    }

    /// Adds a key that encrypts secrets at rest. The first seals, all open.
    ///
    /// Without one, the keys are derived from the signing keys. Then a signing key must stay for as long as the store has a secret sealed
    /// under it. So give one in production.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::seal::EncryptionKey;
    ///
    /// # let secret = "a secret of 32 or more random bytes";
    /// let builder = builder.encryption_key(EncryptionKey::new("2026-11", secret)?);
    /// # drop(builder);
    /// # Ok::<(), tower_step_up::session::InvalidKey>(())
    /// ```
    pub fn encryption_key(mut self, key: EncryptionKey) -> Self {
        self.encryption_keys.push(key);
        self
    }

    /// Allows a public URL of plain HTTP on a loopback address, for development and tests. Cookies are then neither `Secure` nor
    /// `__Host-`: any other program on this machine can set and read them.
    ///
    /// ```
    /// # use tower_step_up::StepUp;
    /// let builder = StepUp::builder("http://127.0.0.1:3000").insecure_http_on_loopback();
    /// # drop(builder);
    /// ```
    pub fn insecure_http_on_loopback(mut self) -> Self {
        self.loopback_http = true;
        self
    }

    /// What whoami requires of a session: Ory's `session.whoami.required_aal`.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::RequiredAal;
    ///
    /// let builder = builder.whoami_required_aal(RequiredAal::Aal1); // lax
    /// # drop(builder);
    /// ```
    pub fn whoami_required_aal(mut self, required: RequiredAal) -> Self {
        self.whoami = required;
        self
    }

    /// What the settings require of a session: Ory's `selfservice.flows.settings.required_aal`.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::RequiredAal;
    ///
    /// let builder = builder.settings_required_aal(RequiredAal::HighestAvailable); // strict, the default
    /// # drop(builder);
    /// ```
    pub fn settings_required_aal(mut self, required: RequiredAal) -> Self {
        self.settings = required;
        self
    }

    /// How long a process may still accept a session that *another* process has revoked. One second by default, 60 at most. With zero, every
    /// request reads the store.
    ///
    /// With a store that keeps a [log of changes](crate::store::SubjectStore::changes), processes usually hear of it sooner, within the
    /// [`changes_interval`](Self::changes_interval). Without one, and while the log cannot be read, a session is read again when what was read
    /// of it is older than this.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.standing_max_age(Duration::ZERO); // every request reads the store
    /// # drop(builder);
    /// ```
    pub fn standing_max_age(mut self, max_age: Duration) -> Self {
        self.standing_max_age = max_age;
        self
    }

    /// How many sessions and verified tokens a process caches. 10,000 by default. One takes about half a kilobyte, once it is there.
    ///
    /// Set it to the number of sessions that are in use at one process within five minutes. Requests of sessions beyond that read the store each
    /// time, whatever its log tells.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.cached_sessions(100_000);
    /// # drop(builder);
    /// ```
    pub fn cached_sessions(mut self, count: usize) -> Self {
        self.cached_sessions = count;
        self
    }

    /// How long one call of the store may take before the request is refused with 503. 5 seconds by default.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.store_timeout(Duration::from_secs(2));
    /// # drop(builder);
    /// ```
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// How long one call of the directory, or one step of a factor without a [`timeout`](crate::factor::Factor::timeout) of its own, may
    /// take before the request is refused with 503. 5 seconds by default.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.directory_timeout(Duration::from_secs(2));
    /// # drop(builder);
    /// ```
    pub fn directory_timeout(mut self, timeout: Duration) -> Self {
        self.limits.directory_timeout = timeout;
        self
    }

    /// How long a form may take to arrive after its head, before it is refused with 408. 10 seconds by default, 60 at most. The session, the
    /// flow and the form are judged by what holds when all of it is there.
    ///
    /// It holds for the forms of [`StepUp::router`](crate::StepUp::router). Your own server and handlers need limits of their own.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.body_timeout(Duration::from_secs(5));
    /// # drop(builder);
    /// ```
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.limits.body_timeout = timeout;
        self
    }

    /// The longest accepted form of a login or of the settings, in bytes. 64 KiB by default, 5 MB at most. Other bodies are small, and
    /// limited to 8 KiB.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.body_limit(16 * 1024);
    /// # drop(builder);
    /// ```
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.limits.body_bytes = bytes;
        self
    }
}
