//! For tests of applications and of this crate (feature `test-util`): a clock that stands still, and sessions at any level without
//! going through a login. Never enable it in a deployment: it signs in whomever it is told to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::{
    aal::Proof,
    clock::{Clock, Timestamp},
    config::{SignedIn, StepUp},
    error::{Error, ErrorKind},
    session::{Session, Subject},
    standing::CredentialSummary,
    store::{Completion, Credential, CredentialChange},
};

/// A clock that stands still until it is moved. Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use tower_step_up::{Clock, Timestamp, test_util::FixedClock};
///
/// let clock = FixedClock::new(Timestamp::from_unix_seconds(1_800_000_000));
/// clock.advance(Duration::from_secs(30));
/// assert_eq!(clock.now(), Timestamp::from_unix_seconds(1_800_000_030));
/// ```
#[derive(Clone, Debug)]
pub struct FixedClock(Arc<AtomicI64>);

impl FixedClock {
    /// A clock that stands at this instant.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.unix_milliseconds())))
    }

    /// Moves it to this instant, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.unix_milliseconds(), Ordering::SeqCst);
    }

    /// Moves it forwards.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Default for FixedClock {
    /// 2027-01-15T08:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::from_unix_seconds(1_800_000_000))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_milliseconds(self.0.load(Ordering::SeqCst))
    }
}

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
    let level = inner.judge(credentials).level(&session, inner.now());
    step_up.hand_out(session, level)
}
