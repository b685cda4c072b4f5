//! Lifespans, and how often users may try.

use std::time::Duration;

use super::StepUpBuilder;
use crate::{engine::Overall, store::AttemptPolicy};

impl StepUpBuilder {
    /// How long a session lasts after its last proof, though never beyond
    /// [`session_absolute_lifespan`](Self::session_absolute_lifespan). 24 hours by default.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.session_lifespan(Duration::from_secs(8 * 3600));
    /// # drop(builder);
    /// ```
    pub fn session_lifespan(mut self, lifespan: Duration) -> Self {
        self.limits.session_lifespan = lifespan;
        self
    }

    /// How long a session lasts after its first login, however often and by whatever it is renewed. 30 days by default and at most: NIST
    /// SP 800-63B-4 section 2.1.3 advises no more. A session that exists keeps its end until it is renewed.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.session_absolute_lifespan(Duration::from_secs(7 * 86_400));
    /// # drop(builder);
    /// ```
    pub fn session_absolute_lifespan(mut self, lifespan: Duration) -> Self {
        self.limits.session_absolute_lifespan = Overall::Advised(lifespan);
        self
    }

    /// [`session_absolute_lifespan`](Self::session_absolute_lifespan) of any length, also beyond the 30 days of NIST SP 800-63B-4. With
    /// `Duration::MAX`, a session that is renewed in time never ends.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.session_absolute_lifespan_beyond_nist(Duration::from_secs(90 * 86_400));
    /// # drop(builder);
    /// ```
    pub fn session_absolute_lifespan_beyond_nist(mut self, lifespan: Duration) -> Self {
        self.limits.session_absolute_lifespan = Overall::BeyondNist(lifespan);
        self
    }

    /// How long a second factor counts after its proof, whatever else is proven meanwhile. The session then falls back to `aal1`. 24 hours by
    /// default and at most: NIST SP 800-63B-4 section 2.2.3 advises no more.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.second_factor_lifespan(Duration::from_secs(12 * 3600));
    /// # drop(builder);
    /// ```
    pub fn second_factor_lifespan(mut self, lifespan: Duration) -> Self {
        self.limits.second_factor_lifespan = Overall::Advised(lifespan);
        self
    }

    /// [`second_factor_lifespan`](Self::second_factor_lifespan) of any length, also beyond the 24 hours of NIST SP 800-63B-4. With
    /// `Duration::MAX`, a second factor counts as long as its session lasts: whoever steals the session has it that long, too.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.second_factor_lifespan_beyond_nist(Duration::from_secs(7 * 86_400));
    /// # drop(builder);
    /// ```
    pub fn second_factor_lifespan_beyond_nist(mut self, lifespan: Duration) -> Self {
        self.limits.second_factor_lifespan = Overall::BeyondNist(lifespan);
        self
    }

    /// Ends sessions that nobody used for so long. Not by default: NIST SP 800-63B-4 section 2.2.3 advises at most one hour at `aal2`, and
    /// section 2.1.3 asks for none at `aal1`. From 5 minutes on.
    ///
    /// Each request for which the session is read counts as a use, also one that a page makes in the background. The store notes it at most
    /// once for each tenth of the timeout (and not within a minute), so a session may end that much earlier, never later. `build()`
    /// refuses it with a store that [keeps no uses](crate::store::SubjectStore::notes_use).
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.session_inactivity_timeout(Duration::from_secs(3600));
    /// # drop(builder);
    /// ```
    pub fn session_inactivity_timeout(mut self, timeout: Duration) -> Self {
        self.limits.session_inactivity_timeout = Some(timeout);
        self
    }

    /// Offers "Do not ask on this device" on this crate's own login page, for so long: from one hour to 90 days. Off by default.
    ///
    /// Nothing is proven on a trusted device: the session stays at `aal1`, and whoami shows nothing of it. The device satisfies requirements of
    /// `aal2` or `highest_available` alone, without a [greatest age](crate::Requirement::max_age) or
    /// [methods](crate::Requirement::any_of), and not those
    /// [`without_trusted_devices`](crate::Requirement::without_trusted_devices). It never opens whoami, the settings, or the list of sessions. It ends
    /// when the user forgets it or changes a second factor, when all sessions of the user are ended, when somebody else uses a copy of its
    /// cookie, and with [`StepUp::forget_devices`](crate::StepUp::forget_devices), which you call when the password changes.
    ///
    /// Leave it off where NIST SP 800-63B-4 must be met. Its section 5.1 says: "Cookies and similar 'remember my browser' features SHALL NOT be used
    /// instead of authentication", with an exception for inactivity within 24 hours that this is not. So the default is off, and no session is
    /// ever said to be at `aal2` for it.
    ///
    /// `build()` refuses it where the application has [its own sessions](Self::sessions). With a store that does not know how many
    /// [`revocations`](crate::store::SubjectStore::revocations) there were, the box has no effect: devices could not end with all sessions.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.trusted_devices(Duration::from_secs(30 * 86_400));
    /// # drop(builder);
    /// ```
    pub fn trusted_devices(mut self, lifespan: Duration) -> Self {
        self.limits.trusted_devices = Some(lifespan);
        self
    }

    /// How often a process reads the store's [log of changes](crate::store::SubjectStore::changes), so that it need not read each session
    /// again and again. Every 200 milliseconds by default, from 50 to one second, and at least twice in each
    /// [`standing_max_age`](Self::standing_max_age). With zero it does not.
    ///
    /// While the log is read in time, what was read of a session is used for up to five minutes, unless the log names its user. Only the
    /// directory is still asked once in each `standing_max_age`, unless [`Directory::ends_sessions`](crate::directory::Directory::ends_sessions).
    /// As soon as a reading is late or fails, everything is read again as if there was no log: a revoked session is never accepted for longer
    /// than `standing_max_age`.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.changes_interval(Duration::from_millis(100)); // hears of a logout elsewhere within a tenth of a second
    /// # drop(builder);
    /// ```
    pub fn changes_interval(mut self, interval: Duration) -> Self {
        self.changes_interval = interval;
        self
    }

    /// How far the clocks of several machines may differ. 5 seconds by default, 60 at most.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.clock_leeway(Duration::from_secs(2));
    /// # drop(builder);
    /// ```
    pub fn clock_leeway(mut self, leeway: Duration) -> Self {
        self.limits.clock_leeway = leeway;
        self
    }

    /// How long a login flow can be submitted after it began. One hour by default, from one minute to one day.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.login_flow_lifespan(Duration::from_secs(600));
    /// # drop(builder);
    /// ```
    pub fn login_flow_lifespan(mut self, lifespan: Duration) -> Self {
        self.limits.login_flow_lifespan = lifespan;
        self
    }

    /// How long a settings flow can be submitted after it began. One hour by default, from one minute to one day.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.settings_flow_lifespan(Duration::from_secs(1800));
    /// # drop(builder);
    /// ```
    pub fn settings_flow_lifespan(mut self, lifespan: Duration) -> Self {
        self.limits.settings_flow_lifespan = lifespan;
        self
    }

    /// How long after a proof users may change their factors. If they have a second factor, its proof counts. One hour by default. Zero
    /// waives the age, but never the second factor.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// # use std::time::Duration;
    /// let builder = builder.privileged_session_max_age(Duration::from_secs(900));
    /// # drop(builder);
    /// ```
    pub fn privileged_session_max_age(mut self, max_age: Duration) -> Self {
        self.limits.privileged_session_max_age = max_age;
        self
    }

    /// How many wrong attempts in a row are allowed. What a factor sends counts like a wrong attempt until something is proven. What it
    /// could not even begin does not count ([`FactorError::NotCompared`](crate::factor::FactorError::NotCompared)).
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::store::AttemptPolicy;
    ///
    /// let builder = builder.attempts(AttemptPolicy { free: 3, ..AttemptPolicy::default() });
    /// # drop(builder);
    /// ```
    pub fn attempts(mut self, policy: AttemptPolicy) -> Self {
        self.limits.attempts = policy;
        self
    }

    #[cfg(feature = "config")]
    pub(in crate::config) fn edit_attempts(mut self, edit: impl FnOnce(&mut AttemptPolicy)) -> Self {
        edit(&mut self.limits.attempts);
        self
    }
}
