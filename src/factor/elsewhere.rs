//! Credentials that the application keeps, and that this crate never stores: an address in the directory, for example.

use std::{fmt, sync::Arc};

use super::{Factor, StoredCredentials};
use crate::{
    aal::{Aal, CredentialId, Method, Proof, is_apart},
    clock::Timestamp,
    directory::{Destination, Directory, Users},
    error::{Error, ErrorKind},
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

/// What the ids of one of the subject's addresses are made of.
pub(crate) fn address_name(subject: &Subject, address: &Destination) -> Vec<u8> {
    format!("address\0{subject}\0{}", address.write()).into_bytes()
}

/// All factors, for whoever asks which credentials count: those that the application keeps, and stored ones.
#[derive(Clone)]
pub(crate) struct KeptElsewhere {
    factors: Arc<[Box<dyn Factor>]>,
    users: Users,
    sealer: Sealer,
    any: bool,
    /// The methods whose stored credentials do not simply count.
    special: Box<[(Method, StoredCredentials)]>,
}

impl KeptElsewhere {
    pub(crate) fn new(factors: Arc<[Box<dyn Factor>]>, users: Users, sealer: Sealer) -> Self {
        let any = factors.iter().any(|factor| factor.keeps_elsewhere());
        let special = factors.iter().map(|factor| (factor.method(), factor.stored_credentials()));
        let special = special.filter(|(_, stored)| *stored != StoredCredentials::Count).collect();
        Self { factors, users, sealer, any, special }
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

/// Stored credentials.
impl KeptElsewhere {
    fn stored(&self, method: Method) -> StoredCredentials {
        let special = self.special.iter().find(|(special, _)| *special == method);
        special.map_or(StoredCredentials::Count, |(_, stored)| *stored)
    }

    /// Whether this credential counts in a session with these proofs; `None` if only its data tells.
    pub(crate) fn counts_by_summary(&self, stored: &CredentialSummary, proofs: &[Proof]) -> Option<bool> {
        match self.stored(stored.method) {
            StoredCredentials::Count => Some(true),
            StoredCredentials::Ignored => Some(false),
            StoredCredentials::Addresses => {
                let is_named = proofs.iter().any(|proof| proof.aal() == Aal::Aal1 && proof.address().is_some());
                (!is_named).then(|| is_apart(&[], proofs))
            }
        }
    }

    /// Whether this credential counts in a session with these proofs.
    pub(crate) fn counts(&self, subject: &Subject, stored: &Credential, proofs: &[Proof]) -> Result<bool, Error> {
        if let Some(counts) = self.counts_by_summary(&stored.summary, proofs) {
            return Ok(counts);
        }
        let factor = self.factors.iter().find(|factor| factor.method() == stored.summary.method);
        let address = factor.map(|factor| factor.stored_address(subject, stored, &self.sealer)).transpose();
        let address = address.map_err(|error| Error::with_source(ErrorKind::Cryptography, error))?.flatten();
        // Under every key: the proof may have been made before the newest came, or after.
        let ids = address.map(|address| self.sealer.credential_ids(&address_name(subject, &address)));
        Ok(is_apart(&ids.unwrap_or_default(), proofs))
    }
}
