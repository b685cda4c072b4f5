use crate::{
    aal::Proof,
    clock::Timestamp,
    error::{Error, ErrorKind},
    session::{StoredSession, Subject},
    standing::CredentialSummary,
    step_up::{SignedIn, StepUp},
    store::{Completed, Completion, Credential, CredentialChange},
};

/// Begins a session with these proofs, oldest first. If the subject lacks a credential that a proof names, stores it without a secret. So
/// the proof counts, and the subject has that factor.
///
/// ```
/// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
/// use tower_step_up::{Aal, Method, Subject, test_util, aal::{CredentialId, Proof}, clock::Timestamp};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let step_up = StepUp::builder("https://bank.example")
/// #     .signing_key(SigningKey::generate("2026-11")?)
/// #     .store(MemoryStore::default())
/// #     .factor(Totp::new("Example Bank"))
/// #     .build()?;
/// let now = Timestamp::from(std::time::SystemTime::now());
/// let password = Proof::new(Method::Password, Aal::Aal1, now);
/// let totp = Proof::new(Method::Totp, Aal::Aal2, now).with_credential(CredentialId::random());
/// let kim = test_util::mint(&step_up, Subject::new("kim")?, [password, totp]).await?;
/// let cookie = kim.cookie(); // send it in your test's requests
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// There is no proof (`Proof`), or the store did not answer.
pub async fn mint(
    step_up: &StepUp,
    subject: Subject,
    proofs: impl IntoIterator<Item = Proof>,
) -> Result<SignedIn, Error> {
    let engine = step_up.engine();
    let proofs: Vec<_> = proofs.into_iter().collect();
    if proofs.is_empty() {
        return Err(Error::new(ErrorKind::Proof));
    }
    let mut known: Vec<_> = engine.stores.credentials(&subject).await?.iter().map(|one| one.summary.id).collect();
    let mut completion = Completion::new(subject.clone(), engine.now());
    for proof in &proofs {
        let Some(id) = proof.credential() else { continue };
        if !known.contains(&id) {
            known.push(id);
            let summary = CredentialSummary { id, method: proof.method(), aal: proof.aal() };
            completion
                .credentials
                .push(CredentialChange::Add(without_secret(summary, proof.completed_at().unwrap_or(completion.now))));
        }
    }
    if engine.commit(completion).await? != Completed::Done {
        return Err(Error::new(ErrorKind::Conflict));
    }
    begin(step_up, subject, proofs).await
}

/// A credential that nobody can prove.
pub(super) fn without_secret(summary: CredentialSummary, created_at: Timestamp) -> Credential {
    Credential::new(summary, created_at)
}

/// Begins a session with these proofs, whether or not their credentials exist.
pub(super) async fn begin(
    step_up: &StepUp,
    subject: Subject,
    proofs: impl IntoIterator<Item = Proof>,
) -> Result<SignedIn, Error> {
    let engine = step_up.engine();
    let mut proofs = proofs.into_iter();
    let now = engine.now();
    let first = proofs.next().ok_or(Error::new(ErrorKind::Proof))?;
    let begun_at = first.completed_at().unwrap_or(now);
    let session = StoredSession::new(subject.clone(), first, begun_at, engine.limits.first_lifespan());
    let session = proofs.fold(session, |session, proof| {
        let at = proof.completed_at().unwrap_or(now);
        engine.renew(session.as_ref(), proof, at)
    });
    engine.stores.create_session(&session).await?;
    let credentials = engine.stores.credentials(&subject).await?;
    step_up.hand_out(session, &engine.judge(credentials.into_iter().map(|one| one.summary).collect()))
}

/// Replaces all of the subject's credentials by these, and returns the old ones.
pub(super) async fn exchange_credentials(
    step_up: &StepUp,
    subject: &Subject,
    credentials: Vec<Credential>,
) -> Result<Vec<Credential>, Error> {
    let engine = step_up.engine();
    let before = engine.stores.credentials(subject).await?;
    let mut completion = Completion::new(subject.clone(), engine.now());
    let removed = before.iter().map(|one| CredentialChange::Remove(one.summary.id));
    completion.credentials = removed.chain(credentials.into_iter().map(CredentialChange::Add)).collect();
    if engine.commit(completion).await? != Completed::Done {
        return Err(Error::new(ErrorKind::Conflict));
    }
    Ok(before)
}
