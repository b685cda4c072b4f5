//! Credentials that the application keeps, and that this crate never stores: an address in the directory, for example.

use std::{fmt, sync::Arc};

use super::Factor;
use crate::{
    aal::{CredentialId, Proof, is_apart},
    clock::Timestamp,
    directory::{Directory, Users},
    error::Error,
    seal::Sealer,
    session::Subject,
    standing::CredentialSummary,
    store::Credential,
};

/// A credential that the application keeps. It exists for as long as [`Factor::elsewhere`] tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Elsewhere {
    /// The credential, under the same id each time: [`Sealer::credential_ids`] makes one.
    pub credential: Credential,
    /// Its ids under earlier keys. A proof that names one of them goes on counting.
    pub earlier: Vec<CredentialId>,
}

impl Elsewhere {
    /// A credential with the first of these ids; the others are its ids under earlier keys. `None` without any id.
    ///
    /// `credential` gets the id in place of the one that it has.
    pub fn new(ids: Vec<CredentialId>, mut credential: Credential) -> Option<Self> {
        let mut ids = ids.into_iter();
        credential.summary.id = ids.next()?;
        Some(Self { credential, earlier: ids.collect() })
    }

    /// What decides which proofs count.
    pub(crate) fn summaries(&self) -> impl Iterator<Item = CredentialSummary> + '_ {
        let summary = self.credential.summary;
        self.ids().map(move |id| CredentialSummary { id, ..summary })
    }

    fn ids(&self) -> impl Iterator<Item = CredentialId> + '_ {
        [self.credential.summary.id].into_iter().chain(self.earlier.iter().copied())
    }
}

/// What a factor knows when it is asked for credentials that the application keeps.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ElsewhereContext<'a> {
    /// Whose credentials.
    pub subject: &'a Subject,
    /// The application's users.
    pub directory: &'a dyn Directory,
    /// Makes the ids.
    pub sealer: &'a Sealer,
    /// The current time.
    pub now: Timestamp,
}

impl fmt::Debug for ElsewhereContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElsewhereContext").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// All factors, for whoever asks what credentials the application keeps.
#[derive(Clone)]
pub(crate) struct KeptElsewhere {
    factors: Arc<[Box<dyn Factor>]>,
    users: Users,
    sealer: Sealer,
    any: bool,
}

impl KeptElsewhere {
    pub(crate) fn new(factors: Arc<[Box<dyn Factor>]>, users: Users, sealer: Sealer) -> Self {
        let any = factors.iter().any(|factor| factor.keeps_elsewhere());
        Self { factors, users, sealer, any }
    }

    /// Whether there is a factor that must be asked at all.
    pub(crate) const fn any(&self) -> bool {
        self.any
    }

    /// What the application keeps for this subject now, apart from what proved the first factor of a session with these proofs.
    pub(crate) async fn of(
        &self,
        subject: &Subject,
        proofs: &[Proof],
        now: Timestamp,
    ) -> Result<Vec<Elsewhere>, Error> {
        let mut known = Vec::new();
        if !self.any {
            return Ok(known);
        }
        let context = ElsewhereContext { subject, directory: self.users.directory(), sealer: &self.sealer, now };
        for factor in self.factors.iter().filter(|factor| factor.keeps_elsewhere()) {
            let (method, aal) = (factor.method(), factor.aal());
            let own = self.users.within(factor.elsewhere(context)).await?;
            // Another method would let it count for another factor.
            known.extend(own.into_iter().filter(|one| {
                let summary = one.credential.summary;
                (summary.method, summary.aal) == (method, aal) && is_apart(&one.ids().collect::<Vec<_>>(), proofs)
            }));
        }
        Ok(known)
    }
}
