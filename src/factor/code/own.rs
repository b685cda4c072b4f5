//! Addresses that users have added: sealed in the store, as every secret of a factor.

use crate::{
    aal::{Aal, CredentialId, Method},
    directory::Destination,
    factor::{FactorContext, FactorError, address_name},
    seal::{SealError, Sealer},
    session::Subject,
    standing::CredentialSummary,
    store::Credential,
};

/// The owner of a sealed address, as its sealing context.
fn seal_context(subject: &Subject, id: CredentialId) -> Vec<u8> {
    format!("code\0{id}\0{subject}").into_bytes()
}

/// A new credential of the subject. Its id is new too, so that no proof of before counts for an address that comes back.
pub(super) fn credential(context: &FactorContext<'_>, to: &Destination) -> Result<Credential, SealError> {
    let id = CredentialId::random();
    let summary = CredentialSummary { id, method: Method::Code, aal: Aal::Aal2 };
    let data = context.sealer.seal(&seal_context(context.subject, id), to.write().as_bytes())?;
    Ok(Credential::new(summary, context.now).with_data(data))
}

/// The address of a stored credential.
pub(super) fn open(subject: &Subject, credential: &Credential, sealer: &Sealer) -> Result<Destination, SealError> {
    let opened = sealer.open(&seal_context(subject, credential.summary.id), &credential.data)?;
    Destination::read(&opened).ok_or_else(SealError::unreadable)
}

/// The same; `None` if it does not open, so that the others can still be used.
pub(super) fn opened(context: &FactorContext<'_>, credential: &Credential) -> Option<Destination> {
    let opened = open(context.subject, credential, context.sealer);
    if let Err(error) = &opened {
        tracing::warn!(target: "tower_step_up::code", %error, credential = %credential.summary.id, "an address of a user is left out");
    }
    opened.ok()
}

/// The credential, sealed under the newest key; `None` if it is already.
pub(super) fn reseal(
    subject: &Subject,
    credential: &Credential,
    sealer: &Sealer,
) -> Result<Option<Vec<u8>>, SealError> {
    sealer.reseal(&seal_context(subject, credential.summary.id), &credential.data)
}

/// What an address of this subject is called, whoever keeps it: under the newest key.
pub(super) fn name(context: &FactorContext<'_>, to: &Destination) -> Option<CredentialId> {
    names(context, to).first().copied()
}

/// The same under every key.
pub(super) fn names(context: &FactorContext<'_>, to: &Destination) -> Vec<CredentialId> {
    context.sealer.credential_ids(&address_name(context.subject, to))
}

/// The name, where one is needed.
pub(super) fn must_name(context: &FactorContext<'_>, to: &Destination) -> Result<CredentialId, FactorError> {
    name(context, to).ok_or_else(|| FactorError::Unavailable("no digest could be made".into()))
}
