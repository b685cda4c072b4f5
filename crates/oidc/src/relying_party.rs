//! Logins by OpenID Connect as a source of sessions.

use std::sync::Arc;

use tower_step_up::{
    Aal, Method, Shortfall, Subject,
    clock::Timestamp,
    session::Session,
    source::{
        Clue, Evidence, Head, Look, Recalled, Remedy, SessionSource, SourceError, SourceFuture, Transport, Unmet,
    },
    standing::{Enrolled, Standing},
};
use url::Url;

use crate::assurance::Assurance;

/// Sessions are the application's own, begun by a login at an OpenID provider: the application is a relying party.
///
/// Who is signed in, the application says: it puts an `Option<`[`Login`]`>` into the extensions of every request, in a layer outside of the
/// guard's. Without it, guards answer 500 and the log says what is missing.
///
/// Refusals lead browsers to the application's own login route, with what it has to ask the provider for:
///
/// | parameter | |
/// |---|---|
/// | `acr_values` | the names of the level, the most wanted first, separated by spaces; not there if nobody is signed in |
/// | `max_age` | in seconds, if the route requires an age |
/// | `return_to` | where the browser wanted to go. Check it with [`StepUpGuard::return_url`](tower_step_up::StepUpGuard::return_url) |
///
/// The login route hands on `acr_values` and `max_age` to the provider, and **compares the ID token with them** when the user is back: a provider
/// may ignore them (OpenID Connect Core section 3.1.2.1), and the browser would be sent back and forth for ever. The example `relying_party` does
/// all this with the crate `openidconnect`.
///
/// ```
/// use axum::{Router, extract::Request, middleware::{Next, from_fn}, routing::get};
/// use tower_step_up::{Aal, RequireAal2, StepUp, Subject};
/// use tower_step_up_oidc::{Login, RelyingParty};
///
/// let relying_party = RelyingParty::login_at("https://bank.example/login").acr("urn:example:2fa", Aal::Aal2);
/// let guard = StepUp::guard("https://bank.example").source(relying_party).build()?;
///
/// let app: Router = Router::new()
///     .route("/payments", get(|| async { "payments" }).layer(RequireAal2))
///     .layer(guard.layer())
///     .layer(from_fn(|mut request: Request, next: Next| async move {
///         let login: Option<Login> = None; // what your session of this request keeps of the ID token
///         request.extensions_mut().insert(login);
///         next.run(request).await
///     }));
/// # drop(app);
/// # Ok::<(), tower_step_up::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is the source of a guard"]
pub struct RelyingParty {
    login: String,
    assurance: Assurance,
}

/// What the application keeps of an ID token that it has verified.
///
/// ```
/// use tower_step_up::{Subject, clock::Timestamp};
/// use tower_step_up_oidc::Login;
///
/// let login = Login::of(Subject::new("user-4711")?)
///     .acr("urn:example:2fa")
///     .amr("pwd")
///     .amr("otp")
///     .auth_time(Timestamp::from_unix_seconds(1_800_000_000));
/// # drop(login);
/// # Ok::<(), tower_step_up::session::InvalidSubject>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a login counts only in the extensions of a request"]
pub struct Login(Arc<Facts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    subject: Subject,
    acr: Vec<String>,
    amr: Vec<String>,
    auth_time: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl Login {
    /// A login of this user. The provider's `sub` is unique only together with its `iss`: if you have several providers, use an id of your own.
    pub fn of(subject: Subject) -> Self {
        Self(Arc::new(Facts { subject, acr: Vec::new(), amr: Vec::new(), auth_time: None, expires_at: None }))
    }

    fn with(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The `acr` of the ID token. If it has several, as Entra's `acrs`, call it for each.
    pub fn acr(self, acr: impl Into<String>) -> Self {
        self.with(|facts| facts.acr.push(acr.into()))
    }

    /// One of the `amr` of the ID token.
    pub fn amr(self, amr: impl Into<String>) -> Self {
        self.with(|facts| facts.amr.push(amr.into()))
    }

    /// The `auth_time` of the ID token: not the time of the login here, which may have been without any proof (single sign-on). A provider must
    /// tell it when it is asked for a `max_age`. Without it, no maximum age is met.
    pub fn auth_time(self, auth_time: Timestamp) -> Self {
        self.with(|facts| facts.auth_time = Some(auth_time))
    }

    /// When the application's session ends. By default, it is valid as long as it is in the extensions.
    pub fn expires_at(self, expires_at: Timestamp) -> Self {
        self.with(|facts| facts.expires_at = Some(expires_at))
    }

    /// The user.
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }
}

impl RelyingParty {
    /// Refusals lead to this address, with more parameters in its query: the application's own login route.
    pub fn login_at(url: impl Into<String>) -> Self {
        Self { login: url.into(), assurance: Assurance::new() }
    }

    /// Users whose `acr` is exactly this have this level: see [`Assurance::acr`].
    pub fn acr(self, name: impl Into<String>, level: Aal) -> Self {
        Self { assurance: self.assurance.acr(name, level), ..self }
    }

    /// Users whose `acr` is exactly this have two factors, the second by this method: see [`Assurance::second_factor_acr`].
    pub fn second_factor_acr(self, name: impl Into<String>, method: Method) -> Self {
        Self { assurance: self.assurance.second_factor_acr(name, method), ..self }
    }

    /// Users whose `amr` has exactly this have proven their second factor by this method, if they have two: see
    /// [`Assurance::second_factor_amr`].
    pub fn second_factor_amr(self, name: impl Into<String>, method: Method) -> Self {
        Self { assurance: self.assurance.second_factor_amr(name, method), ..self }
    }

    /// Users whose `amr` has exactly this have used this method: see [`Assurance::amr`].
    pub fn amr(self, name: impl Into<String>, method: Method) -> Self {
        Self { assurance: self.assurance.amr(name, method), ..self }
    }

    /// Users whose `amr` has exactly this have this level: see [`Assurance::amr_level`].
    pub fn amr_level(self, name: impl Into<String>, level: Aal) -> Self {
        Self { assurance: self.assurance.amr_level(name, level), ..self }
    }

    /// # Errors
    ///
    /// What to change.
    fn login(&self) -> Result<Url, String> {
        match Url::parse(&self.login) {
            Ok(url) if matches!(url.scheme(), "https" | "http") && url.fragment().is_none() => Ok(url),
            _ => {
                Err(format!("login_at: {:?} must be an absolute URL of http or https, without a fragment", self.login))
            }
        }
    }

    fn evidence(&self, login: &Login, now: Timestamp) -> Arc<Evidence> {
        let Facts { subject, acr, amr, auth_time, expires_at } = &*login.0;
        let standing = Standing::external(Enrolled::Unknown);
        let session_of = |time| {
            let session = Session::external(subject.clone(), self.assurance.proofs_of(acr, amr, time));
            expires_at.map_or(session.clone(), |end| session.with_expires_at(end))
        };
        let session = session_of(*auth_time);
        // A proof of the future counts for nothing. The user is signed in all the same, if nobody knows since when.
        let is_of_the_future = auth_time.is_some() && standing.level(&session, now) == Aal::Aal0;
        let session = if is_of_the_future { session_of(None) } else { session };
        Arc::new(Evidence::new(session, standing))
    }
}

impl SessionSource for RelyingParty {
    fn check(&self) -> Result<(), SourceError> {
        self.login()?;
        Ok(self.assurance.check()?)
    }

    fn look(&self, head: Head<'_>) -> Look {
        match head.extensions.get::<Option<Login>>() {
            Some(Some(login)) => Look::Clue(Clue::from_value(login.clone(), Transport::Cookie)),
            Some(None) => Look::Nothing,
            None => Look::Miswired(
                "put a layer outside of the step-up layer that inserts an Option<Login> into the extensions of every request",
            ),
        }
    }

    fn recall(&self, clue: &Clue, now: Timestamp) -> Recalled {
        clue.downcast_ref().map_or(Recalled::NoSession, |login| Recalled::Evidence(self.evidence(login, now)))
    }

    fn ask<'a>(&'a self, clue: &'a Clue, now: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        Box::pin(async move { Ok(clue.downcast_ref().map(|login| self.evidence(login, now))) })
    }

    fn remedy(&self, unmet: &Unmet<'_>) -> Remedy {
        let Ok(mut page) = self.login() else { return Remedy::default() };
        let asked = |level| self.assurance.acr_values(level, &unmet.requirement);
        let (acr_values, max_age) = match unmet.shortfall {
            Shortfall::NoSession => (None, None),
            // Nothing helps.
            Shortfall::NoMethodPossible => return Remedy::default(),
            Shortfall::TooOld { max_age, second_factor: false } => (asked(Aal::Aal1), Some(max_age)),
            Shortfall::TooOld { max_age, .. } => (asked(Aal::Aal2), Some(max_age)),
            // One login is enough for both.
            Shortfall::MethodMissing { second_factor: false } => (asked(Aal::Aal1), unmet.requirement.longest_age()),
            _ => (asked(Aal::Aal2), unmet.requirement.longest_age()),
        };
        {
            let mut query = page.query_pairs_mut();
            if let Some(acr_values) = &acr_values {
                query.append_pair("acr_values", acr_values);
            }
            if let Some(max_age) = max_age {
                query.append_pair("max_age", &max_age.as_secs().to_string());
            }
            if let Some(return_to) = unmet.return_to {
                query.append_pair("return_to", return_to.as_str());
            }
        }
        let remedy = Remedy::page(page);
        acr_values.map_or(remedy.clone(), |acr_values| remedy.with_acr_values(acr_values))
    }
}
