//! Everything that a completed ceremony changes, all at once.

use std::fmt;

use super::{AttemptKey, Credential, CredentialName, StoredFlow};
use crate::{
    aal::CredentialId,
    clock::Timestamp,
    session::{SessionId, StoredSession, Subject},
};

/// What a proof uses up. A consumption that succeeds also sets the credential's [`last_used_at`](Credential::last_used_at).
///
/// A store answers a variant that it does not know with [`StoreErrorKind::Unsupported`](super::StoreErrorKind::Unsupported), and
/// changes nothing. Otherwise a proof could be used twice.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consumption {
    /// The credential's step rises to this one. Refused unless it is greater than the last.
    Step {
        /// The credential.
        credential: CredentialId,
        /// The new step.
        step: u64,
    },
    /// The secret with this hash is marked used. Refused if it is unknown or was used.
    Secret {
        /// The credential.
        credential: CredentialId,
        /// The hash that the credential keeps of the secret.
        hash: [u8; 32],
    },
    /// The credential's data changes from the value that the proof was checked against to the next one: a signature counter, for
    /// example. Refused as [`Used`](Completed::Used) if the data is not as expected: then another proof was quicker.
    Data {
        /// The credential.
        credential: CredentialId,
        /// The data as it was read, compared byte by byte.
        expected: Vec<u8>,
        /// The new data.
        data: Vec<u8>,
    },
    /// Nothing, but the credential must still exist.
    Present {
        /// The credential.
        credential: CredentialId,
    },
}

impl Consumption {
    /// The credential that was used.
    pub const fn credential(&self) -> CredentialId {
        match self {
            Self::Step { credential, .. }
            | Self::Secret { credential, .. }
            | Self::Data { credential, .. }
            | Self::Present { credential } => *credential,
        }
    }
}

/// Shows neither hashes nor data: a factor's data may be a secret.
impl fmt::Debug for Consumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Step { .. } => "Step",
            Self::Secret { .. } => "Secret",
            Self::Data { .. } => "Data",
            Self::Present { .. } => "Present",
        };
        f.debug_struct(name).field("credential", &self.credential()).finish_non_exhaustive()
    }
}

/// A change of a subject's credentials. If it names a credential that the subject does not have, it changes nothing.
///
/// A store answers a variant that it does not know with [`StoreErrorKind::Unsupported`](super::StoreErrorKind::Unsupported), and changes
/// nothing at all.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialChange {
    /// Add this one beside those of the same method.
    Add(Credential),
    /// Add this one in place of all credentials of the same method.
    Replace(Credential),
    /// Remove this one. To remove all of a method, name those that were read, and set [`Completion::expect_credentials`].
    Remove(CredentialId),
    /// Replace a credential's data and nothing else: its last step stays. If the data is not as expected, the whole completion is
    /// refused as [`CredentialsChanged`](Completed::CredentialsChanged): a proof may have changed it since it was read.
    SetData {
        /// The credential.
        credential: CredentialId,
        /// The data as it was read, compared byte by byte.
        expected: Vec<u8>,
        /// The new data.
        data: Vec<u8>,
    },
    /// Give a credential a name, or take its name away.
    SetName {
        /// The credential.
        credential: CredentialId,
        /// The new name; `None` takes it away.
        name: Option<CredentialName>,
    },
}

impl CredentialChange {
    /// Makes the change, unless it expects other data. Returns whether it did.
    #[must_use]
    pub(crate) fn apply(&self, credentials: &mut Vec<Credential>) -> bool {
        let place = |credentials: &[Credential], id| credentials.iter().position(|known| known.summary.id == id);
        match self {
            Self::Add(new) => credentials.push(new.clone()),
            Self::Replace(new) => {
                credentials.retain(|known| known.summary.method != new.summary.method);
                credentials.push(new.clone());
            }
            Self::Remove(id) => {
                if let Some(place) = place(credentials, *id) {
                    credentials.remove(place);
                }
            }
            Self::SetData { credential, expected, data } => {
                if let Some(known) = place(credentials, *credential).and_then(|place| credentials.get_mut(place)) {
                    if known.data != *expected {
                        return false;
                    }
                    known.data.clone_from(data);
                }
            }
            Self::SetName { credential, name } => {
                if let Some(known) = place(credentials, *credential).and_then(|place| credentials.get_mut(place)) {
                    known.name.clone_from(name);
                }
            }
        }
        true
    }
}

/// Shows no data, which may be a secret.
impl fmt::Debug for CredentialChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(new) => f.debug_tuple("Add").field(new).finish(),
            Self::Replace(new) => f.debug_tuple("Replace").field(new).finish(),
            Self::Remove(credential) => f.debug_tuple("Remove").field(credential).finish(),
            Self::SetData { credential, .. } => {
                f.debug_struct("SetData").field("credential", credential).finish_non_exhaustive()
            }
            Self::SetName { credential, name } => {
                f.debug_struct("SetName").field("credential", credential).field("name", name).finish()
            }
        }
    }
}

/// A session that replaces another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The session that ends.
    pub old: SessionId,
    /// The session that begins.
    pub new: StoredSession,
}

/// Everything that a completed ceremony changes. A store applies all of it in one transaction, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// The subject of the sessions and credentials.
    pub subject: Subject,
    /// When it was completed.
    pub now: Timestamp,
    /// The ids of all credentials that the decision was based on, in any order. Refused if the subject has others by now.
    pub expect_credentials: Option<Vec<CredentialId>>,
    /// What the proof uses up.
    pub consume: Option<Consumption>,
    /// Steps that rise to at least these values. Unknown credentials are skipped.
    pub raise_steps: Vec<(CredentialId, u64)>,
    /// What changes among the credentials.
    pub credentials: Vec<CredentialChange>,
    /// The session that is replaced.
    pub rotate: Option<Rotation>,
    /// A session that begins without replacing one, as with
    /// [`SubjectStore::create_session`](super::SubjectStore::create_session). Refused if it is another subject's, or if all
    /// sessions of the subject were ended after its [`revocations`](StoredSession::revocations).
    pub begin: Option<StoredSession>,
    /// The flow that is completed, if this store keeps it. It ends as with
    /// [`FlowStore::complete_flow`](super::FlowStore::complete_flow).
    pub flow: Option<StoredFlow>,
    /// The counters to reset, if this store keeps them: of what was proven, and of what goes.
    pub reset: Vec<AttemptKey>,
}

impl Completion {
    /// A completion that changes nothing yet.
    pub const fn new(subject: Subject, now: Timestamp) -> Self {
        Self {
            subject,
            now,
            expect_credentials: None,
            consume: None,
            raise_steps: Vec::new(),
            credentials: Vec::new(),
            rotate: None,
            begin: None,
            flow: None,
            reset: Vec::new(),
        }
    }

    /// Replaces the session `old` with `new`, or begins `new` if there is no old one.
    pub(crate) fn put_in_place(&mut self, old: Option<SessionId>, new: StoredSession) {
        match old {
            Some(old) => self.rotate = Some(Rotation { old, new }),
            None => self.begin = Some(new),
        }
    }
}

/// How a completion ended. If it is not `Done`, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "a completion that is not `Done` changed nothing"]
pub enum Completed {
    /// All of it was applied.
    Done,
    /// The step is not greater than the last, the secret was used, or the data is not as expected.
    Used,
    /// The credential or the secret does not exist.
    Unknown,
    /// The subject's credentials, or the data of one of them, are not as expected.
    CredentialsChanged,
    /// The old session is gone or has expired; or all sessions of the subject were ended after it or the new one began; or one of the
    /// sessions is another subject's.
    SessionGone,
    /// The flow does not exist, has expired or was completed.
    FlowGone,
}
