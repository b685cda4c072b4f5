//! Replays of cookies and tokens after their session has ended.

use std::fmt::Debug;

use http::{Request, Response};
use tower_service::Service;

use super::{
    Attacks,
    attacks::report,
    request::Route,
    sessions::{Begun, exchange_credentials, without_secret},
};
use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    error::Error,
    session::cookie::Transport,
    standing::CredentialSummary,
    step_up::SignedIn,
    store::{Credential, Revocation},
};

/// The ways an application ends a session.
const ENDINGS: [Ending; 5] =
    [Ending::Renewed, Ending::SignedOut, Ending::Revoked, Ending::OthersRevoked, Ending::AllRevoked];

#[derive(Clone, Copy)]
enum Ending {
    Renewed,
    SignedOut,
    Revoked,
    OthersRevoked,
    AllRevoked,
}

impl Ending {
    const fn who(self) -> &'static str {
        match self {
            Self::Renewed => "a session from before the password was renewed",
            Self::SignedOut => "a session that was signed out",
            Self::Revoked => "a session that was revoked",
            Self::OthersRevoked => "a session that was revoked from another",
            Self::AllRevoked => "a session whose user had all sessions revoked",
        }
    }
}

impl<S> Attacks<S> {
    /// Replays the cookie and the token of sessions that have ended, and panics if any of these routes, `(method, path)`, still accepts
    /// them. Each session has two factors and is let in at first. Then it is renewed with
    /// [`reauthenticate`](crate::StepUp::reauthenticate) (and the new session must be let in), signed out with
    /// [`sign_out`](crate::StepUp::sign_out), or revoked with [`revoke`](crate::StepUp::revoke) or
    /// [`revoke_all`](crate::StepUp::revoke_all).
    ///
    /// It finds applications with a session cache of their own. See [`Attacks`] for an example.
    ///
    /// # Panics
    ///
    /// A route lets in an ended session or refuses a live one, the service or the store fails, or there are no routes.
    #[allow(clippy::expect_used, reason = "it is an assertion")]
    pub async fn assert_replay_refused<ReqBody, ResBody>(&self, routes: &[(&str, &str)])
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        assert!(!routes.is_empty(), "there are no routes to try");
        let mut found = Vec::new();
        for ending in ENDINGS {
            // The application's own login renews its sessions.
            if matches!(ending, Ending::Renewed) && self.step_up.engine().is_hosted() {
                continue;
            }
            let session = self.begin_trial(ReqBody::default).await.expect("the store failed");
            found.extend(self.replay(routes, session, ending).await.expect("the session could not be ended"));
        }
        report("sessions do not end as they should", &found);
    }

    /// Begins a session with two factors, checks that it is let in, and ends it in your application's own way, for example with its
    /// logout. Panics if any of these routes, `(method, path)`, still accepts its cookie or token.
    ///
    /// ```
    /// # use axum::{Router, body::Body, extract::State, http::{HeaderName, HeaderValue, Request, StatusCode, header}};
    /// # use tower::ServiceExt;
    /// # use tower_step_up::{SigningKey, StepUp, Subject, factor::Totp, store::MemoryStore};
    /// use axum::routing::{get, post};
    /// use tower_step_up::{CurrentSession, RequireAal2, test_util::Attacks};
    ///
    /// // It is not enough to remove the cookie: somebody may have a copy.
    /// async fn log_out(State(step_up): State<StepUp>, session: CurrentSession) -> StatusCode {
    ///     match step_up.sign_out(session.session()).await {
    ///         Ok(()) => StatusCode::NO_CONTENT,
    ///         Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// let app = Router::new()
    ///     .route("/payments", get(async || "payments").layer(RequireAal2))
    ///     .route("/logout", post(log_out))
    ///     .with_state(step_up.clone())
    ///     .layer(step_up.layer())
    ///     .into_service::<Body>();
    /// let attacks = Attacks::new(&step_up, app.clone(), Subject::new("alice")?);
    /// attacks
    ///     .assert_dead_after(&[("GET", "/payments")], async |alice| {
    ///         let request = Request::post("/logout").header("x-session-token", alice.token().as_str());
    ///         let answer = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    ///         assert_eq!(answer.status(), 204);
    ///     })
    ///     .await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// A route lets the session in afterwards, or refuses it before, the service or the store fails, or there are no routes.
    #[allow(clippy::expect_used, reason = "it is an assertion")]
    pub async fn assert_dead_after<ReqBody, ResBody>(
        &self,
        routes: &[(&str, &str)],
        ending: impl AsyncFnOnce(&SignedIn),
    ) where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        assert!(!routes.is_empty(), "there are no routes to try");
        let (session, before) = self.begin_trial(ReqBody::default).await.expect("the store failed");
        let sent = session.by(Transport::Cookie);
        let mut found = self.closed_to(routes, sent, "two factors").await;
        ending(&session.signed_in).await;
        found.extend(self.alive_at(routes, sent, "a session that was ended").await);
        exchange_credentials(&self.step_up, &self.subject, before).await.expect("the store failed");
        report("sessions do not end as they should", &found);
    }

    async fn replay<ReqBody, ResBody>(
        &self,
        routes: &[Route<'_>],
        (begun, before): (Begun, Vec<Credential>),
        ending: Ending,
    ) -> Result<Vec<String>, Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        let step_up = &self.step_up;
        let sent = begun.by(Transport::Cookie);
        let mut found = self.closed_to(routes, sent, "two factors").await;
        let mut successor = None;
        let session = begun.signed_in.session();
        match ending {
            Ending::Renewed => {
                let signed_in = step_up.reauthenticate(session, Method::Password).await?;
                successor = Some(Begun { signed_in, host: None });
            }
            Ending::SignedOut => step_up.sign_out(session).await?,
            Ending::Revoked => drop(step_up.revoke(&self.subject, Revocation::One(session.id())).await?),
            Ending::OthersRevoked => {
                let keeper = self.begin_with(session.proofs().iter().cloned(), ReqBody::default).await?;
                step_up.revoke(&self.subject, Revocation::Others(keeper.signed_in.session().binding())).await?;
                successor = Some(keeper);
            }
            Ending::AllRevoked => drop(step_up.revoke_all(&self.subject).await?),
        }
        found.extend(self.alive_at(routes, sent, ending.who()).await);
        if let Some(successor) = successor {
            let goes_on = successor.by(Transport::Cookie);
            found.extend(self.closed_to(routes, goes_on, "the session that continues").await);
        }
        exchange_credentials(step_up, &self.subject, before).await?;
        Ok(found)
    }

    /// A session with two fresh factors, and the credentials that the subject had before.
    pub(super) async fn begin_trial<ReqBody, ResBody>(
        &self,
        body: impl FnOnce() -> ReqBody,
    ) -> Result<(Begun, Vec<Credential>), Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
    {
        let now = self.step_up.engine().now();
        let summary = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
        let credentials = vec![without_secret(summary, now)];
        let before = exchange_credentials(&self.step_up, &self.subject, credentials).await?;
        let proofs = [
            Proof::new(Method::Password, Aal::Aal1, now),
            Proof::new(Method::Totp, Aal::Aal2, now).with_credential(summary.id),
        ];
        Ok((self.begin_with(proofs, body).await?, before))
    }
}
