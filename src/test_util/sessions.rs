use crate::{
    aal::Proof,
    config::{SignedIn, StepUp},
    error::{Error, ErrorKind},
    session::{Session, Subject},
    standing::CredentialSummary,
    store::{Completion, Credential, CredentialChange},
};

/// Begins a session that has these proofs, oldest first. A credential that a proof names is stored for the subject, without a
/// secret, if it is not there; so the proof counts, and the subject has that factor.
///
/// ```
/// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
/// use tower_step_up::{Aal, CredentialId, Method, Proof, Subject, Timestamp, test_util};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let step_up = StepUp::builder("https://bank.example")
/// #     .signing_key(SigningKey::hs256("2026-11", [7; 32])?)
/// #     .store(MemoryStore::default())
/// #     .factor(Totp::new("Example Bank"))
/// #     .build()?;
/// let now = Timestamp::from(std::time::SystemTime::now());
/// let password = Proof::new(Method::Password, Aal::Aal1, now);
/// let totp = Proof::new(Method::Totp, Aal::Aal2, now).with_credential(CredentialId::random());
/// let kim = test_util::mint(&step_up, Subject::new("kim")?, [password, totp]).await?;
/// let cookie = kim.cookie(); // goes into a request of the test
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// There is no proof, or the store did not answer.
pub async fn mint(
    step_up: &StepUp,
    subject: Subject,
    proofs: impl IntoIterator<Item = Proof>,
) -> Result<SignedIn, Error> {
    let inner = step_up.inner();
    let mut proofs = proofs.into_iter();
    let first = proofs.next().ok_or(Error::new(ErrorKind::Method))?;
    let mut all = vec![first.clone()];
    let mut session = Session::new(subject.clone(), first, inner.limits.session_lifespan);
    for proof in proofs {
        session = inner.renew(&session, proof.clone());
        all.push(proof);
    }
    let mut credentials: Vec<_> =
        inner.stores.credentials(&subject).await?.into_iter().map(|credential| credential.summary).collect();
    let mut completion = Completion::new(subject, inner.now());
    for proof in all {
        let Some(id) = proof.credential() else { continue };
        if credentials.iter().any(|known| known.id == id) {
            continue;
        }
        let summary = CredentialSummary { id, method: proof.method(), aal: proof.aal() };
        credentials.push(summary);
        completion.credentials.push(CredentialChange::Add(Credential {
            summary,
            data: Vec::new(),
            secrets: Vec::new(),
            last_step: 0,
            created_at: proof.completed_at(),
        }));
    }
    inner.complete(completion).await?;
    inner.stores.create_session(&session).await?;
    step_up.hand_out(session, &inner.judge(credentials))
}
