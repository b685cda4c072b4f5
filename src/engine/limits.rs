//! Configured durations, counts and sizes, and what can change while requests are served.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use crate::{requirement::RequiredAal, store::AttemptPolicy};

/// The longest time that NIST SP 800-63B-4 advises for a session at `aal1` (section 2.1.3): 30 days.
pub(crate) const LONGEST_AT_AAL1: Duration = Duration::from_secs(30 * 86_400);

/// The longest time that NIST SP 800-63B-4 advises for `aal2` without a new proof (section 2.2.3): 24 hours.
pub(crate) const LONGEST_AT_AAL2: Duration = Duration::from_secs(86_400);

/// How long something lasts whatever happens. Whoever wants more than NIST advises says so by name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Overall {
    Advised(Duration),
    BeyondNist(Duration),
}

impl Overall {
    pub(crate) const fn lifespan(self) -> Duration {
        match self {
            Self::Advised(lifespan) | Self::BeyondNist(lifespan) => lifespan,
        }
    }

    /// Whether it is longer than NIST advises and nobody has said so.
    pub(crate) fn is_beyond_unsaid(self, advised: Duration) -> bool {
        matches!(self, Self::Advised(lifespan) if lifespan > advised)
    }
}

/// Durations, counts and sizes.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) session_lifespan: Duration,
    pub(crate) session_absolute_lifespan: Overall,
    pub(crate) second_factor_lifespan: Overall,
    pub(crate) session_inactivity_timeout: Option<Duration>,
    /// How long a device may be trusted; `None` if none is.
    pub(crate) trusted_devices: Option<Duration>,
    pub(crate) clock_leeway: Duration,
    pub(crate) login_flow_lifespan: Duration,
    pub(crate) settings_flow_lifespan: Duration,
    pub(crate) privileged_session_max_age: Duration,
    pub(crate) flows_per_session: u32,
    pub(crate) body_bytes: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) directory_timeout: Duration,
    pub(crate) attempts: AttemptPolicy,
}

impl Limits {
    /// How long a session lasts that begins now, until something renews it.
    pub(crate) fn first_lifespan(&self) -> Duration {
        self.session_lifespan.min(self.session_absolute_lifespan.lifespan())
    }
}

/// A [`RequiredAal`] that can change while requests are served.
#[derive(Debug)]
pub(crate) struct Switch(AtomicU8);

impl Switch {
    pub(crate) fn new(required: RequiredAal) -> Self {
        let switch = Self(AtomicU8::new(0));
        switch.set(required);
        switch
    }

    pub(crate) fn set(&self, required: RequiredAal) {
        let code = match required {
            RequiredAal::Aal1 => 1,
            RequiredAal::HighestAvailable => 2,
            RequiredAal::Aal2 => 3,
        };
        self.0.store(code, Ordering::Release);
    }

    pub(crate) fn get(&self) -> RequiredAal {
        match self.0.load(Ordering::Acquire) {
            1 => RequiredAal::Aal1,
            2 => RequiredAal::HighestAvailable,
            // The strictest, if this should ever be anything else.
            _ => RequiredAal::Aal2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_says_what_was_set_last() {
        let switch = Switch::new(RequiredAal::Aal1);
        for required in [RequiredAal::HighestAvailable, RequiredAal::Aal2, RequiredAal::Aal1] {
            switch.set(required);
            assert_eq!(switch.get(), required);
        }
    }
}
