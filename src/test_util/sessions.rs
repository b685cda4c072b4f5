use std::fmt::Debug;

use http::{Request, Response, header};
use tower_service::Service;

use super::{Attacks, request::Sent};
use crate::{
    aal::Proof,
    client::Client,
    clock::Timestamp,
    error::{Error, ErrorKind},
    session::{BindingKey, StoredSession, Subject, cookie::Transport},
    source::hosted::Probe,
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
/// There is no proof (`Proof`), the sessions are the application's (`Sessions`), or the store did not answer.
pub async fn mint(
    step_up: &StepUp,
    subject: Subject,
    proofs: impl IntoIterator<Item = Proof>,
) -> Result<SignedIn, Error> {
    let engine = step_up.engine();
    engine.begins_sessions()?;
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
    begin(step_up, subject, proofs, None).await
}

/// A credential that nobody can prove.
pub(super) fn without_secret(summary: CredentialSummary, created_at: Timestamp) -> Credential {
    Credential::new(summary, created_at)
}

/// A session that an attack has begun.
pub(super) struct Begun {
    pub(super) signed_in: SignedIn,
    /// The `Cookie` header of the application's own session, if it has one.
    pub(super) host: Option<String>,
}

impl Begun {
    /// As a client sends it.
    pub(super) fn by(&self, transport: Transport) -> Sent<'_> {
        self.with(transport, Some(self.signed_in.token().as_str()))
    }

    /// With another token, or with none.
    pub(super) fn with<'a>(&'a self, transport: Transport, token: Option<&'a str>) -> Sent<'a> {
        Sent { transport, token, host: self.host.as_deref() }
    }
}

/// Begins a session with these proofs, whether or not their credentials exist. `handle`: of the application's session, if that is its own.
async fn begin(
    step_up: &StepUp,
    subject: Subject,
    proofs: impl IntoIterator<Item = Proof>,
    handle: Option<BindingKey>,
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
    let session = match handle {
        Some(handle) => StoredSession::from_parts(
            session.id(),
            subject.clone(),
            handle,
            session.proofs().to_vec(),
            session.issued_at(),
            session.expires_at(),
        ),
        None => session,
    };
    engine.stores.create_session(&session).await?;
    let standing = engine.standing_of(&subject, session.proofs()).await?;
    step_up.hand_out(session, &standing)
}

impl<S> Attacks<S> {
    /// Begins a session of the subject with these proofs, whether or not their credentials exist. `body`: of a request that looks at the
    /// application's own session.
    pub(super) async fn begin_with<ReqBody, ResBody>(
        &self,
        proofs: impl IntoIterator<Item = Proof>,
        body: impl FnOnce() -> ReqBody,
    ) -> Result<Begun, Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
    {
        let host = self.sign_in_at_host().await;
        let handle = match &host {
            Some(cookies) => Some(self.handle_of(cookies, body()).await),
            None => None,
        };
        Ok(Begun { signed_in: begin(&self.step_up, self.subject.clone(), proofs, handle).await?, host })
    }

    /// The cookies of a login at the application, if it has sessions of its own.
    #[allow(clippy::expect_used, reason = "it is an assertion")]
    pub(super) async fn sign_in_at_host(&self) -> Option<String> {
        if !self.step_up.engine().is_hosted() {
            return None;
        }
        let sign_in = self.signs_in.as_ref().expect(
            "the application has sessions of its own (StepUpBuilder::sessions): say by Attacks::signing_in how somebody signs in there",
        );
        Some(sign_in(self.subject.clone()).await)
    }

    /// The handle of the application's session.
    #[allow(clippy::expect_used, reason = "it is an assertion")]
    async fn handle_of<ReqBody, ResBody>(&self, cookies: &str, body: ReqBody) -> BindingKey
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
    {
        let engine = self.step_up.engine();
        let (probe, path) = (Probe::default(), engine.urls.route("sessions/whoami", &[]));
        let request = Request::get(path.path()).header(header::COOKIE, cookies).extension(probe.clone());
        drop(self.send(request.body(body).expect("a cookie cannot be sent")).await);
        let clue = probe.take().expect("StepUp::layer must be around the service, inside of the layer of its sessions");
        let hosted = engine.hosted.as_ref().expect("the sessions are the application's");
        let session = hosted.begin(&clue, &Client::default(), engine.limits.first_lifespan(), engine.now()).await;
        let session = session.expect("the application's session cannot be read");
        let session = session.filter(|session| *session.subject() == self.subject);
        session
            .and_then(|session| session.binding())
            .expect("the function of Attacks::signing_in did not sign the subject in")
    }
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
