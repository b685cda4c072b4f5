//! [`StepUp`]: what the application holds, and the calls that it makes itself.

mod credentials;
mod manage;
mod sign_in;

use std::{fmt, sync::Arc};

pub use self::sign_in::SignedIn;
use crate::{
    audit::AuditEventKind, engine::Engine, error::Error, requirement::RequiredAal, session::Subject, store::Revocation,
};

/// The configured whole: the application builds it once, and takes from it the [layer](Self::layer), the router and sessions.
///
/// Clones are cheap and share everything.
#[derive(Clone)]
pub struct StepUp {
    engine: Arc<Engine>,
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUp").field("public_url", &self.engine.urls.public.as_str()).finish_non_exhaustive()
    }
}

impl StepUp {
    pub(crate) const fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What whoami asks of a session from the next request on: Ory's `session.whoami.required_aal`.
    pub fn set_whoami_required_aal(&self, required: RequiredAal) {
        self.engine.whoami.set(required);
    }

    /// What the settings ask of a session from the next request on: Ory's `selfservice.flows.settings.required_aal`.
    pub fn set_settings_required_aal(&self, required: RequiredAal) {
        self.engine.settings.set(required);
    }

    /// Ends sessions of the subject and returns how many. On this process that holds at once, on others as soon as they
    /// read the store again ([`StepUpBuilder::standing_max_age`]).
    ///
    /// # Errors
    ///
    /// The store did not answer; whether sessions were ended is not known.
    pub async fn revoke(&self, subject: &Subject, which: Revocation) -> Result<u64, Error> {
        let revoked = {
            let _forget = self.engine.standing.forget_afterwards(subject);
            self.engine.stores.revoke(subject, which).await?
        };
        self.engine.audit.record_for_subject(self.engine.now(), subject, AuditEventKind::Revoked { sessions: revoked });
        Ok(revoked)
    }

    /// Drops what this process remembers of the subject, so that the next request asks the store and the directory: call it when the
    /// application has disabled a user.
    pub fn forget(&self, subject: &Subject) {
        self.engine.standing.forget(subject);
    }
}
