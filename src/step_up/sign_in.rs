//! The end of the application's own first factor: a session begins.

use std::collections::BTreeSet;

use http::HeaderValue;

use super::StepUp;
use crate::{
    aal::{Aal, Method, Proof},
    audit::{Actor, AuditEventKind},
    engine::is_vouched_for,
    error::{Error, ErrorKind},
    session::{Session, StoredSession, Subject, token::SessionToken},
    source::{Carried, HostSession},
    standing::Standing,
    store::{AttemptKey, Completed, Completion, Rotation},
};

/// A new session, with its cookie and token.
///
/// For a browser, send [`cookie`](Self::cookie) as `Set-Cookie`. Under axum, return this value as part of the response. For a native
/// client, send [`token`](Self::token) in the body. A session whose cookie or token is not sent helps nobody:
///
#[cfg_attr(feature = "axum", doc = "```compile_fail")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// #![deny(unused_must_use)]
/// # use tower_step_up::{Error, Method, StepUp, Subject};
/// async fn log_in(step_up: &StepUp, user: Subject) -> Result<(), Error> {
///     step_up.sign_in(user, Method::Password).await?; // unused `SignedIn` that must be used
///     Ok(())
/// }
/// ```
///
/// Under axum it is a part of a response, before the response itself, or an empty response of its own:
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::response::Redirect;
/// use tower_step_up::{Error, Method, SignedIn, StepUp, Subject};
///
/// async fn log_in(step_up: &StepUp, user: Subject) -> Result<(SignedIn, Redirect), Error> {
///     Ok((step_up.sign_in(user, Method::Password).await?, Redirect::to("/payments")))
/// }
///
/// async fn log_in_by_fetch(step_up: &StepUp, user: Subject) -> Result<SignedIn, Error> {
///     step_up.sign_in(user, Method::Password).await
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "the session is lost if its cookie or token is not sent to the client"]
pub struct SignedIn {
    session: StoredSession,
    token: SessionToken,
    cookie: HeaderValue,
}

impl SignedIn {
    /// The session.
    pub const fn session(&self) -> &StoredSession {
        &self.session
    }

    /// The token for clients without cookies.
    pub const fn token(&self) -> &SessionToken {
        &self.token
    }

    /// The value of the `Set-Cookie` header for browsers.
    pub const fn cookie(&self) -> &HeaderValue {
        &self.cookie
    }
}

impl StepUp {
    /// Begins a session for a subject who has just proven a first factor to the application.
    ///
    /// The session is always new. It takes over no id or cookie from the request. It knows its [device](Session::device) if you say which
    /// request it comes from, by [`for_request`](Self::for_request).
    ///
    /// # Errors
    ///
    /// The method is only a second factor (`Method`), built in or of your own; the subject is not active (`Inactive`); the sessions are the
    /// application's ([`StepUpBuilder::sessions`](crate::StepUpBuilder::sessions)), whose own login begins them (`Sessions`); or the store or
    /// directory did not answer.
    pub async fn sign_in(&self, subject: Subject, method: Method) -> Result<SignedIn, Error> {
        let engine = self.engine();
        engine.begins_sessions()?;
        let level = engine.first_factor_level(method).ok_or(Error::new(ErrorKind::Method))?;
        let revocations = engine.stores.revocations().await?;
        if !engine.users.is_active(&subject).await? {
            return Err(Error::new(ErrorKind::Inactive));
        }
        let now = engine.now();
        let session = StoredSession::new(subject, Proof::new(method, level, now), now, engine.limits.first_lifespan())
            .with_device(&self.client())
            .begun_after(revocations);
        engine.stores.create_session(&session).await?;
        engine.lift_lock(session.subject(), method).await;
        let origin = self.origin(Actor::User);
        engine.audit.record_in_session(now, &origin, &session, AuditEventKind::SignedIn { method });
        // At sign-in only the first factor counts, whatever is enrolled.
        self.hand_out(session, &engine.judge(Vec::new()))
    }

    /// Begins a session with proofs that the application has checked itself: a login with a passkey, a provider that has seen two factors,
    /// a second factor of your own.
    ///
    /// The session has the level that these proofs reach: `aal2` takes a first and a second factor by different methods, or `oidc` or
    /// `saml` at `aal2`, where the provider vouches for both. A second factor must name its credential, which the subject must have here:
    /// it stops counting when that credential is removed. What a provider vouches for, with its name in the proof, names none. A proof of [unknown time](Proof::at_unknown_time) never counts for an age.
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// use tower_step_up::{Aal, Method, Subject, aal::Proof, clock::{Clock, SystemClock}};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// // The provider has seen two factors just now.
    /// let at = SystemClock.now();
    /// let proof = Proof::new(Method::Oidc, Aal::Aal2, at).with_provider("https://id.example");
    /// let signed_in = step_up.sign_in_with(Subject::new("kim")?, vec![proof]).await?;
    /// # drop(signed_in);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`UpstreamAssurance`](crate::aal::UpstreamAssurance) makes the proofs of a login at an OpenID provider, from the claims of its ID token.
    ///
    /// # Errors
    ///
    /// The proofs make no sense (`Proof`; the error's source says why): there are none or two of one kind, one is in the future, there are
    /// only second factors, a level does not fit its method, a second factor names no credential or one that the subject does not have.
    /// Otherwise as [`sign_in`](Self::sign_in).
    pub async fn sign_in_with(&self, subject: Subject, proofs: Vec<Proof>) -> Result<SignedIn, Error> {
        let engine = self.engine();
        engine.begins_sessions()?;
        let now = engine.now();
        let revocations = engine.stores.revocations().await?;
        let known = engine.known_to(&subject, &proofs).await?;
        engine.check_proofs(&proofs, &known, now).map_err(|why| Error::with_source(ErrorKind::Proof, why))?;
        if !engine.users.is_active(&subject).await? {
            return Err(Error::new(ErrorKind::Inactive));
        }
        let session =
            StoredSession::of_proofs(subject, proofs, now, engine.limits.first_lifespan()).with_device(&self.client());
        let session = session.begun_after(revocations);
        engine.stores.create_session(&session).await?;
        // Another provider has counters of its own.
        let own = session.proofs().iter().filter(|proof| !is_vouched_for(proof, session.proofs()));
        let mut counters: BTreeSet<_> = own.map(Proof::method).collect();
        if session.proofs().iter().any(|proof| proof.aal() == Aal::Aal2) {
            counters.extend(engine.second_factors(known.iter().copied()));
        }
        for method in counters {
            engine.lift_lock(session.subject(), method).await;
        }
        let origin = self.origin(Actor::User);
        for (position, proof) in session.proofs().iter().enumerate() {
            let method = proof.method();
            let kind =
                if position == 0 { AuditEventKind::SignedIn { method } } else { AuditEventKind::Passed { method } };
            engine.audit.record_in_session(now, &origin, &session, kind);
        }
        self.hand_out(session, &engine.judge(known))
    }

    /// Renews the first factor of a session whose user has just proven it to the application again.
    ///
    /// The session continues under a new id. Second factors keep counting and keep their age, and open flows stay valid. It keeps
    /// the device of the sign-in. The old cookie and token stop working. Use it when a user who is already signed in logs in again on your login page.
    ///
    /// # Errors
    ///
    /// As [`sign_in`](Self::sign_in), or the session has ended (`Inactive`).
    pub async fn reauthenticate(&self, session: impl AsRef<Session>, method: Method) -> Result<SignedIn, Error> {
        let engine = self.engine();
        engine.begins_sessions()?;
        let level = engine.first_factor_level(method).ok_or(Error::new(ErrorKind::Method))?;
        let now = engine.now();
        let session = session.as_ref();
        let id = session.id().ok_or(Error::new(ErrorKind::Inactive))?;
        let found = engine.sessions.read(id, session.subject(), now).await?;
        let found = found.ok_or(Error::new(ErrorKind::Inactive))?;
        let renewed = engine.renew(&found.evidence.session, Proof::new(method, level, now), now);
        let mut completion = Completion::new(session.subject().clone(), now);
        completion.rotate = Some(Rotation { old: id, new: renewed.clone() });
        completion.reset = vec![AttemptKey { subject: session.subject().clone(), method }];
        if engine.commit(completion).await? != Completed::Done {
            return Err(Error::new(ErrorKind::Inactive));
        }
        let origin = self.origin(Actor::User);
        engine.audit.record_in_session(now, &origin, &renewed, AuditEventKind::Passed { method });
        engine.audit.record_in_session(now, &origin, &renewed, AuditEventKind::Rotated { replaced: Some(id) });
        self.hand_out(renewed, &found.evidence.standing)
    }

    /// Says that the user of the application's session has just proven this first factor to the application: for a login of a user who is signed
    /// in already, where the application [has its own sessions](crate::StepUpBuilder::sessions) and does not say itself when that was. Other
    /// logins are seen when the response goes out. It may be called before or after the application signs the user in.
    ///
    /// ```
    /// # use tower_step_up::{Error, Method, StepUp, source::HostSession};
    /// async fn log_in_again(step_up: &StepUp, session: &dyn HostSession) -> Result<(), Error> {
    ///     // The application has compared the password.
    ///     step_up.proved_in(session, Method::Password).await
    /// }
    /// # let _ = log_in_again;
    /// ```
    ///
    /// # Errors
    ///
    /// The method is only a second factor (`Method`), or the sessions are not the application's, or its session could not be written
    /// (`Sessions`).
    pub async fn proved_in(&self, session: &dyn HostSession, method: Method) -> Result<(), Error> {
        self.engine().note_proof(session, method).await
    }

    /// The value of the `Set-Cookie` header that removes the session cookie from a browser, for your own logout. It does not end the
    /// session: call [`sign_out`](Self::sign_out) too.
    #[must_use = "the cookie stays if this is not sent as Set-Cookie"]
    pub fn removal_cookie(&self) -> Option<HeaderValue> {
        self.engine().sessions.cookies.session_removal()
    }

    /// A stored session, with its cookie and token.
    pub(crate) fn hand_out(&self, session: StoredSession, standing: &Standing) -> Result<SignedIn, Error> {
        let Carried { token, cookie } = self.engine().hand_out(&session, standing)?;
        Ok(SignedIn { session, token, cookie })
    }

    /// The session in JSON as `whoami` shows it, for your own login endpoint.
    ///
    /// # Errors
    ///
    /// The store or directory did not answer, or the session has ended (`Inactive`).
    pub async fn describe(&self, session: impl AsRef<Session>) -> Result<serde_json::Value, Error> {
        let engine = self.engine();
        let now = engine.now();
        let session = session.as_ref();
        if engine.is_hosted() {
            return engine.describe_hosted(session, now).await;
        }
        let id = session.id().ok_or(Error::new(ErrorKind::Inactive))?;
        let read = engine.sessions.read(id, session.subject(), now).await?;
        let read = read.ok_or(Error::new(ErrorKind::Inactive))?;
        engine.describe(&read.evidence, now).await
    }

    /// The normalised URL to return to; `None` if it is not allowed. For login pages that take `return_to` from their query.
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// assert_eq!(step_up.return_url("/payments").as_deref(), Some("https://bank.example/payments"));
    /// assert_eq!(step_up.return_url("https://evil.example/"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn return_url(&self, return_to: &str) -> Option<String> {
        self.engine().urls.return_policy.parse(return_to).ok().map(String::from)
    }
}
