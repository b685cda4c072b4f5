//! What a factor knows when it is called.

use url::Url;

use super::FactorMemory;
use crate::{
    clock::Timestamp,
    directory::Directory,
    seal::Sealer,
    session::{Session, Subject},
    store::{Credential, FlowId},
};

/// What a factor knows when it is called.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct FactorContext<'a> {
    /// The subject who is to give a proof.
    pub subject: &'a Subject,
    /// The user name of the subject: [`Directory::identifier`].
    pub identifier: &'a str,
    /// The application's users.
    pub directory: &'a dyn Directory,
    /// The subject's credentials of this factor's method that [count](super::Factor::stored_credentials) in this session. Those that the application
    /// keeps ([`Factor::elsewhere`](super::Factor::elsewhere)) come last: see [`stored`](Self::stored) and [`elsewhere`](Self::elsewhere).
    pub credentials: &'a [Credential],
    /// How many of them the store keeps.
    pub(crate) stored: usize,
    /// The session that a success replaces, with what was proven in it already. Before a session begins, it has no id and no proofs.
    pub session: &'a Session,
    /// The public URL of the application, as [`StepUp::builder`](crate::StepUp::builder) got it.
    pub public_url: &'a Url,
    /// The application's name, as the built-in pages show it.
    pub application_name: &'a str,
    /// The current time.
    pub now: Timestamp,
    /// Seals and opens the factor's data.
    pub sealer: &'a Sealer,
    /// The flow.
    pub flow: FlowId,
    /// What the factor remembers beyond this flow.
    pub memory: FactorMemory<'a>,
    /// The state that the factor's last step left in the flow. In a login, it is `None` once a credential is gone that it was kept for: a code
    /// that was sent to the old address proves nothing of the new one.
    pub state: Option<&'a [u8]>,
    /// Whether the flow is a browser flow. Other clients run no scripts, so a factor that needs a script should give them no nodes.
    pub browser: bool,
}

impl<'a> FactorContext<'a> {
    /// Those of the credentials that the store keeps.
    pub fn stored(&self) -> &'a [Credential] {
        self.credentials.get(..self.stored).unwrap_or(self.credentials)
    }

    /// Those of the credentials that the application keeps.
    pub fn elsewhere(&self) -> &'a [Credential] {
        self.credentials.get(self.stored..).unwrap_or_default()
    }
}

impl std::fmt::Debug for FactorContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactorContext").field("subject", &self.subject).field("now", &self.now).finish_non_exhaustive()
    }
}
