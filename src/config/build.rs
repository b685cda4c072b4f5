//! The builder's last step: finds every misconfiguration and says how to fix it.

use std::{sync::Arc, time::Duration};

use url::Url;

use super::StepUpBuilder;
#[cfg(feature = "axum")]
use crate::language::{Language, Languages};
use crate::{
    aal::Aal,
    context::{AcrValues, Edge, KeepAddress},
    directory::Users,
    engine::{Engine, LONGEST_AT_AAL1, LONGEST_AT_AAL2, Switch},
    error::{BuildError, BuildErrorKind},
    factor::{Factor, KeptElsewhere},
    seal::{EncryptionKey, Sealer},
    session::token::KeyRing,
    source::{
        SessionSource,
        hosted::{HostedSessions, Remembered},
        own::{OwnSessions, followed},
    },
    step_up::StepUp,
    store::{SubjectStore, access::Stores},
    urls::Urls,
    wire::ui::Group,
};

const DAY: Duration = Duration::from_secs(86_400);

/// The longest time that browsers keep a cookie.
const LONGEST_COOKIE: Duration = Duration::from_secs(400 * 86_400);

/// The highest body limit that makes sense for a flow (Ory's cap).
const MAX_BODY_BYTES: usize = 5_000_000;

/// What the layer needs to keep a long address. If that fails, the browser returns to a shorter one.
fn keep_address(sessions: &Arc<OwnSessions>) -> KeepAddress {
    let sessions = Arc::clone(sessions);
    Arc::new(move |address, binding, now| {
        let sessions = Arc::clone(&sessions);
        Box::pin(async move {
            let kept = sessions.keep_address(address, binding, now).await;
            kept.inspect_err(
                |error| tracing::warn!(target: "tower_step_up::urls", %error, "a long address could not be kept"),
            )
            .ok()
        })
    })
}

/// What is shipped, what the factors bring, and what the application says.
#[cfg(feature = "axum")]
fn languages(factors: &[Box<dyn Factor>], own: &[Language], default: Option<&str>) -> Result<Languages, BuildError> {
    let of_factors: Vec<_> = factors.iter().flat_map(|factor| factor.languages()).collect();
    Languages::new(&of_factors, own, default)
}

impl StepUpBuilder {
    /// Checks everything and builds.
    ///
    /// # Errors
    ///
    /// Something is missing, unsafe or contradictory. The error says what to change.
    pub fn build(mut self) -> Result<StepUp, BuildError> {
        #[cfg(feature = "config")]
        self.check_ignored()?;
        self.urls.logo = self.theme.logo.take();
        self.urls.stylesheet = self.theme.stylesheet.take();
        let urls = Urls::new(&self.public_url, self.loopback_http, &self.urls)?;
        self.check_limits()?;
        self.check_factors(&urls.public)?;
        let acr_values = self.acr_values.over(AcrValues {
            aal1: Some("aal1".to_owned()),
            aal2: Some("aal2".to_owned()),
            phishing_resistant: Some("phr phrh".to_owned()),
        })?;
        let cookies = self.cookie_jar(&urls.public)?;
        let keys = self.key_ring(&urls)?;
        let sealer = self.sealer()?;
        let stores = self.kept_in()?;
        let host = urls.public.host_str().unwrap_or_default();
        let application_name = self.application_name.take().unwrap_or_else(|| host.to_owned());
        if let Some(host) = &self.host_sessions {
            host.check().map_err(|error| BuildError::new(BuildErrorKind::Source, error.to_string()))?;
        }
        let (urls, users) = (Arc::new(urls), Users::new(self.directory, self.limits.directory_timeout));
        let factors: Arc<[Box<dyn Factor>]> = std::mem::take(&mut self.factors).into();
        let elsewhere = KeptElsewhere::new(Arc::clone(&factors), users.clone(), sealer.clone());
        let (cache, log_reader) = followed(
            stores.clone(),
            Arc::clone(&self.clock),
            self.cached_sessions,
            self.standing_max_age,
            self.changes_interval,
            users.must_be_asked() || elsewhere.any(),
        );
        let second_factors = factors.iter().filter(|factor| factor.aal() == Aal::Aal2);
        let second_factors: Box<[_]> = second_factors.map(|factor| factor.method()).collect();
        let custom = factors.iter().filter(|factor| factor.method().custom_name().is_some());
        let sessions = Arc::new(OwnSessions {
            shown: custom.map(|factor| (factor.method(), factor.shown_as())).collect(),
            second_factors: second_factors.clone(),
            privileged_session_max_age: self.limits.privileged_session_max_age,
            trusts_devices: self.limits.trusted_devices.is_some(),
            keys,
            cookies,
            stores: stores.clone(),
            users: users.clone(),
            elsewhere,
            cache,
            log_reader,
            urls: Arc::clone(&urls),
            clock_leeway: self.limits.clock_leeway,
            second_factor_lifespan: self.limits.second_factor_lifespan.lifespan(),
            inactivity_timeout: self.limits.session_inactivity_timeout,
            sealer: sealer.clone(),
            kept_addresses: self.limits.flows_per_session,
        });
        let hosted = self.host_sessions.take().map(|host| {
            Arc::new(HostedSessions {
                host,
                own: Arc::clone(&sessions),
                remembered: Remembered::new(self.cached_sessions),
                clock: Arc::clone(&self.clock),
                audit: self.audit.clone(),
            })
        });
        let source: Arc<dyn SessionSource> = match &hosted {
            Some(hosted) => Arc::<HostedSessions>::clone(hosted),
            None => Arc::<OwnSessions>::clone(&sessions),
        };
        let edge = Edge {
            source,
            urls: Arc::clone(&urls),
            clock: Arc::clone(&self.clock),
            audit: self.audit.clone(),
            on_refusal: self.on_refusal,
            client_address: self.client_address,
            keep_address: Some(keep_address(&sessions)),
            acr_values,
            second_factors: Some(second_factors),
        };
        let engine = Engine {
            application_name,
            theme_css: self.theme.css()?,
            #[cfg(feature = "axum")]
            languages: languages(&factors, &self.languages, self.default_language.as_deref())?,
            language_of: self.language_of,
            render_pages: self.render_pages,
            strict_transport_security: self.strict_transport_security,
            urls,
            sessions,
            hosted,
            stores,
            factors,
            sealer,
            users,
            clock: self.clock,
            audit: self.audit,
            limits: self.limits,
            whoami: Switch::new(self.whoami),
            settings: Switch::new(self.settings),
        };
        Ok(StepUp::new(Arc::new(engine), Arc::new(edge)))
    }

    fn kept_in(&mut self) -> Result<Stores, BuildError> {
        let help = "no store: call store(..), for example with SqlStore, or with MemoryStore::default() for tests";
        let (subjects, flows) = self.stores.take().ok_or_else(|| BuildError::new(BuildErrorKind::Store, help))?;
        self.check_uses(subjects.as_ref())?;
        let one = self.flow_store.is_none();
        Ok(Stores::new(subjects, self.flow_store.take().unwrap_or(flows), one, self.store_timeout))
    }

    fn check_limits(&self) -> Result<(), BuildError> {
        let fail = |help: &str| Err(BuildError::new(BuildErrorKind::Limit, help));
        let limits = &self.limits;
        let minute = Duration::from_secs(60);
        if limits.session_lifespan < minute || limits.session_lifespan > LONGEST_COOKIE {
            return fail("session_lifespan must be from one minute to 400 days");
        }
        self.check_overall()?;
        self.check_devices()?;
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
            return fail(
                "standing_max_age must be at most 60 seconds: other processes may accept a revoked session for this long",
            );
        }
        let possible = Duration::from_millis(50)..=Duration::from_secs(1);
        if !self.changes_interval.is_zero() && !possible.contains(&self.changes_interval) {
            return fail(
                "changes_interval must be from 50 ms to one second, or zero: then the log of changes is not read",
            );
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
        if limits.body_timeout.is_zero() || limits.body_timeout > minute {
            return fail("body_timeout must be more than zero and at most 60 seconds");
        }
        if limits.body_bytes < 1024 || limits.body_bytes > MAX_BODY_BYTES {
            return fail("body_limit must be from 1,024 to 5,000,000 bytes");
        }
        let attempts = limits.attempts;
        if attempts.free == 0 || attempts.hard_stop <= attempts.free || attempts.hard_stop > 100 {
            return fail(
                "attempts: free must be at least 1, and hard_stop more than free and at most 100 (NIST SP 800-63B-4, 3.2.2)",
            );
        }
        if attempts.first_delay.as_millis() == 0 || attempts.longest_delay < attempts.first_delay {
            return fail("attempts: first_delay must be at least 1 ms, and longest_delay at least first_delay");
        }
        Ok(())
    }

    fn check_uses(&self, subjects: &dyn SubjectStore) -> Result<(), BuildError> {
        if self.limits.session_inactivity_timeout.is_some() && !subjects.notes_use() {
            let help = "session_inactivity_timeout needs a store that notes when a session is used: SqlStore, MemoryStore, or one of yours \
                        whose SubjectStore has note_use and notes_use";
            return Err(BuildError::new(BuildErrorKind::Store, help));
        }
        Ok(())
    }

    fn check_devices(&self) -> Result<(), BuildError> {
        let possible = Duration::from_secs(3600)..=Duration::from_secs(90 * 86_400);
        let Some(lifespan) = self.limits.trusted_devices else { return Ok(()) };
        if self.host_sessions.is_some() {
            let help = "trusted_devices needs this crate's own sessions: leave it out, or sessions(..)";
            return Err(BuildError::new(BuildErrorKind::Source, help));
        }
        if !possible.contains(&lifespan) {
            let help = "trusted_devices must be from one hour to 90 days, or be left out: then no device is trusted";
            return Err(BuildError::new(BuildErrorKind::Limit, help));
        }
        Ok(())
    }

    /// What ends a session and its second factor whatever renews them (NIST SP 800-63B-4, 2.1.3 and 2.2.3).
    fn check_overall(&self) -> Result<(), BuildError> {
        let fail = |help: &str| Err(BuildError::new(BuildErrorKind::Limit, help));
        let (absolute, second) = (self.limits.session_absolute_lifespan, self.limits.second_factor_lifespan);
        if absolute.lifespan() < Duration::from_secs(60) {
            return fail("session_absolute_lifespan must be at least one minute");
        }
        if absolute.is_beyond_unsaid(LONGEST_AT_AAL1) {
            return fail(
                "session_absolute_lifespan must be at most 30 days (NIST SP 800-63B-4, 2.1.3); \
                 session_absolute_lifespan_beyond_nist(..) allows more",
            );
        }
        // A longer one would end unheard at the absolute end. A lifespan of the usual length just does not reach it.
        if self.limits.session_lifespan > LONGEST_AT_AAL1.max(absolute.lifespan()) {
            return fail(
                "session_lifespan must be at most 30 days, or at most what session_absolute_lifespan_beyond_nist(..) allows: \
                 set that too (NIST SP 800-63B-4, 2.1.3)",
            );
        }
        if self.limits.session_inactivity_timeout.is_some_and(|timeout| timeout < Duration::from_secs(300)) {
            return fail("session_inactivity_timeout must be at least 5 minutes");
        }
        if second.lifespan().is_zero() {
            return fail("second_factor_lifespan must be more than zero");
        }
        if second.is_beyond_unsaid(LONGEST_AT_AAL2) {
            return fail(
                "second_factor_lifespan must be at most 24 hours (NIST SP 800-63B-4, 2.2.3); \
                 second_factor_lifespan_beyond_nist(..) allows more",
            );
        }
        Ok(())
    }

    fn check_factors(&self, public_url: &Url) -> Result<(), BuildError> {
        let fail = |help: String| Err(BuildError::new(BuildErrorKind::Factor, help));
        if !self.factors.iter().any(|factor| factor.aal() == Aal::Aal2) {
            return fail("no second factor: call factor(Totp::new(\"Your name\"))".to_owned());
        }
        for (position, factor) in self.factors.iter().enumerate() {
            factor.check_configuration(public_url)?;
            if let Some(script) = factor.script() {
                script.check()?;
                let earlier = self.factors.iter().take(position).filter_map(|earlier| earlier.script());
                if earlier.into_iter().any(|other| other.path() == script.path()) {
                    return fail(format!("two factors have a script at {}: give one another path", script.path()));
                }
            }
            let method = factor.method();
            if method.is_trusted_device() {
                return fail(format!("no factor can have the method {method}: give it another name"));
            }
            let possible = Duration::from_millis(1)..=Duration::from_secs(60);
            if factor.timeout().is_some_and(|timeout| !possible.contains(&timeout)) {
                return fail(format!("the timeout of the factor {method} must be from 1 ms to 60 seconds"));
            }
            if factor.needs_passwords() && !self.directory.checks_passwords() {
                return fail(format!(
                    "the factor {method} needs a Directory that checks passwords: call directory(..), and implement \
                     check_password and checks_passwords"
                ));
            }
            if self.factors.iter().take(position).any(|earlier| earlier.method() == method) {
                return fail(format!(
                    "two factors have the method {method}: remove one, or give it a method of its own"
                ));
            }
            let shown = factor.shown_as();
            if Group::of(shown).is_none() {
                return fail(format!(
                    "the factor {method} is shown as {shown}: return a built-in method that has a form from Factor::shown_as"
                ));
            }
            if method.custom_name().is_none() && shown != method {
                return fail(format!(
                    "the factor {method} is shown as {shown}: a built-in method must be shown as itself"
                ));
            }
            if self.factors.iter().take(position).any(|earlier| earlier.shown_as() == shown) {
                return fail(format!(
                    "two factors are shown as {shown}: return another method from Factor::shown_as of one of them"
                ));
            }
        }
        Ok(())
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
        let ring = KeyRing::new(&self.signing_keys, urls.public.as_str(), self.limits.clock_leeway);
        ring.map_err(|error| fail(&error.to_string()))
    }

    fn sealer(&mut self) -> Result<Sealer, BuildError> {
        let fail = |help: &str| BuildError::new(BuildErrorKind::Key, help);
        let mut keys = std::mem::take(&mut self.encryption_keys);
        for (position, key) in keys.iter().enumerate() {
            if keys.iter().take(position).any(|earlier| earlier.id() == key.id()) {
                return Err(fail("two encryption keys have the same id: give each a name of its own"));
            }
        }
        // After the given keys: they open what was sealed before the first encryption key was given.
        for key in &self.signing_keys {
            keys.push(EncryptionKey::derived_from(key).map_err(|error| fail(&error.to_string()))?);
        }
        Ok(Sealer::new(keys))
    }
}
