//! Requests to every method and path with less than it requires.

use std::{collections::BTreeSet, fmt::Debug, time::Duration};

use http::{Method as HttpMethod, Request, Response, StatusCode, header, response::Parts};
use tower_service::Service;

use super::{
    Attacks,
    attacks::report,
    request::{Route, Sent, TRANSPORTS, name_of, refusal, seen},
    sessions::{exchange_credentials, without_secret},
};
use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    clock::Timestamp,
    error::Error,
    requirement::Requirement,
    session::{Session, StoredSession, cookie::Transport},
    standing::CredentialSummary,
};

/// A method that no application has.
const UNKNOWN: &str = "UNKNOWN";

/// An attacker, and what they have proven.
struct Cast {
    who: &'static str,
    proofs: Vec<Proof>,
}

impl<S> Attacks<S> {
    /// Tries these routes, `(method, path)`, with sessions that do not meet the requirement, by cookie and by token. Panics if any is let
    /// in:
    ///
    /// - no session, a forged one, and an expired one;
    /// - if two factors are required: one factor, with and without a second enrolled, and a second factor that was removed since;
    /// - if [methods](Requirement::any_of) are named: a second factor by another one, also beside one of these that is too old;
    /// - if there is a [`max_age`](Requirement::max_age): older proofs, and if it is the second factor's age, an old second factor with a
    ///   fresh password.
    ///
    /// Only an answer of this crate's guards counts as a refusal. A route that does not exist fails, since the test misspells it. So does
    /// a handler that answers 403 itself, since it was reached. Then a user who meets the requirement must reach the handler: any answer
    /// but a refusal, 404, 405 or a server error will do. So give the path of something that exists.
    ///
    /// Give all methods of each path. It also tries `OPTIONS`, an unknown method and, with `GET`, `HEAD`. The router may not know these,
    /// and a CORS layer outside may answer `OPTIONS`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use axum::{Router, body::Body, routing::get};
    /// # use tower_step_up::{SigningKey, StepUp, Subject, factor::Totp, store::MemoryStore, test_util::Attacks};
    /// use tower_step_up::{Requirement, RouterExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// let recent = Requirement::aal2().max_age(Duration::from_secs(300));
    /// let app = Router::new()
    ///     .route_requiring("/transfer/{id}", recent, get(async || "form").post(async || "sent"))
    ///     .layer(step_up.layer())
    ///     .into_service::<Body>();
    /// let attacks = Attacks::new(&step_up, app, Subject::new("alice")?);
    /// attacks.assert_denied_below(recent, &[("GET", "/transfer/7"), ("POST", "/transfer/7")]).await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// A route lets an attacker in, or refuses the honest user; the service or the store fails; or there are no routes.
    #[allow(clippy::expect_used, reason = "it is an assertion")]
    pub async fn assert_denied_below<ReqBody, ResBody>(&self, requirement: Requirement, routes: &[(&str, &str)])
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        assert!(!routes.is_empty(), "there are no routes to walk");
        let found = self.walk(requirement, routes).await.expect("the store failed");
        report(&format!("not guarded as {requirement:?} asks"), &found);
    }

    async fn walk<ReqBody, ResBody>(&self, requirement: Requirement, routes: &[Route<'_>]) -> Result<Vec<String>, Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        let engine = self.step_up.engine();
        let now = engine.now();
        let mut found = self.open_to(routes, None, "no session").await;

        // First without an enrolled second factor, then with one.
        let before = exchange_credentials(&self.step_up, &self.subject, Vec::new()).await?;
        let lost = CredentialId::random();
        let (method, other) = methods(requirement);
        let second = |at, id| proof(method, at, id);
        for cast in [
            Cast { who: "one factor and no second enrolled", proofs: vec![password(now)] },
            Cast { who: "a second factor that was removed", proofs: vec![password(now), second(now, lost)] },
        ] {
            found.extend(self.try_below(requirement, routes, cast).await?);
        }

        let (id, other_id) = (CredentialId::random(), CredentialId::random());
        let of_other = other.map(|other| (other_id, other));
        let known = [(id, method)].into_iter().chain(of_other);
        let known = known.map(|(id, method)| without_secret(CredentialSummary { id, method, aal: Aal::Aal2 }, now));
        exchange_credentials(&self.step_up, &self.subject, known.collect()).await?;
        let ended = before_now(now, engine.limits.first_lifespan());
        let mut casts = vec![
            Cast { who: "one factor", proofs: vec![password(now)] },
            Cast { who: "a second factor that was replaced", proofs: vec![password(now), second(now, lost)] },
            Cast { who: "a session that has expired", proofs: vec![password(ended), second(ended, id)] },
        ];
        if let Some(other) = other {
            let proofs = vec![password(now), proof(other, now, other_id)];
            casts.push(Cast { who: "a second factor by another method", proofs });
        }
        if let Some(max_age) = requirement.longest_age() {
            let old = before_now(now, max_age);
            casts.push(Cast { who: "proofs that are too old", proofs: vec![password(old), second(old, id)] });
            let renewed = vec![password(old), second(old, id), password(now)];
            casts.push(Cast { who: "a fresh password and a second factor that is too old", proofs: renewed });
            if let Some(other) = other {
                let proofs = vec![password(old), second(old, id), proof(other, now, other_id)];
                casts.push(Cast { who: "a fresh proof by another method beside one that is too old", proofs });
            }
        }
        for cast in casts {
            found.extend(self.try_below(requirement, routes, cast).await?);
        }

        let honest = self.begin_with([password(now), second(now, id)], ReqBody::default).await?;
        if !self.meets_by_login(requirement, None).await? {
            let forged = forged(honest.signed_in.token().as_str());
            let forged = honest.with(Transport::Cookie, Some(&forged));
            found.extend(self.open_to(routes, Some(forged), "a forged session").await);
        }
        found.extend(self.closed_to(routes, honest.by(Transport::Cookie), "two factors, proven just now").await);
        exchange_credentials(&self.step_up, &self.subject, before).await?;
        Ok(found)
    }

    /// Which routes let in a session with these proofs, unless it meets the requirement.
    async fn try_below<ReqBody, ResBody>(
        &self,
        requirement: Requirement,
        routes: &[Route<'_>],
        cast: Cast,
    ) -> Result<Vec<String>, Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        // With sessions of its own, the application has seen a first factor just now, and its own session has not expired.
        let begun = self.begin_with(cast.proofs, ReqBody::default).await?;
        let session = begun.signed_in.session();
        let is_enough =
            self.meets(requirement, session).await? || self.meets_by_login(requirement, Some(session)).await?;
        Ok(if is_enough { Vec::new() } else { self.open_to(routes, Some(begun.by(Transport::Cookie)), cast.who).await })
    }

    async fn meets(&self, requirement: Requirement, session: impl AsRef<Session>) -> Result<bool, Error> {
        let engine = self.step_up.engine();
        let standing = engine.standing_of(&self.subject, session.as_ref().proofs()).await?;
        Ok(requirement.check(session.as_ref(), &standing, engine.now()).is_ok())
    }

    /// Whether the application's own login of now is enough, alone or with what is in this session of ours.
    async fn meets_by_login(&self, requirement: Requirement, session: Option<&StoredSession>) -> Result<bool, Error> {
        let now = self.step_up.engine().now();
        if !self.step_up.engine().is_hosted() {
            return Ok(false);
        }
        let live = session.map(AsRef::<Session>::as_ref).filter(|session| !session.has_ended(now));
        let alone = Session::external(self.subject.clone(), vec![password(now)]);
        let both = live.map(|session| session.clone().proven(password(now)));
        Ok(self.meets(requirement, alone).await? || matches!(both, Some(both) if self.meets(requirement, &both).await?))
    }

    /// Which of these routes, and other methods of their paths, do not refuse.
    async fn open_to<ReqBody, ResBody>(&self, routes: &[Route<'_>], session: Option<Sent<'_>>, who: &str) -> Vec<String>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default,
    {
        let ways: Vec<_> = match session {
            None => vec![None],
            Some(session) => TRANSPORTS.into_iter().map(|transport| Some(session.by(transport))).collect(),
        };
        let mut open = Vec::new();
        for (route, named) in with_siblings(routes) {
            for &way in &ways {
                let answer = self.ask(route, way).await;
                if refusal(&answer).is_none() && (named || !is_absent(route, &answer)) {
                    let way = way.map_or(String::new(), |sent| format!(", {}", name_of(sent.transport)));
                    open.push(format!("{} {} with {who}{way}: {}, should refuse", route.0, route.1, seen(&answer)));
                }
            }
        }
        open
    }
}

fn password(at: Timestamp) -> Proof {
    Proof::new(Method::Password, Aal::Aal1, at)
}

fn proof(method: Method, at: Timestamp, id: CredentialId) -> Proof {
    match method {
        // Another provider vouches for both factors.
        Method::Oidc | Method::Saml => Proof::new(method, Aal::Aal2, at),
        Method::Password | Method::LinkRecovery | Method::CodeRecovery => Proof::new(method, Aal::Aal1, at),
        _ => Proof::new(method, Aal::Aal2, at).with_credential(id),
    }
}

/// A method that meets the requirement, and a second factor that does not, if it names methods.
fn methods(requirement: Requirement) -> (Method, Option<Method>) {
    let Some(named) = requirement.methods() else { return (Method::Totp, None) };
    let seconds = [Method::Totp, Method::LookupSecret, Method::WebAuthn, Method::Code];
    let usual = seconds.into_iter().chain(named.iter()).find(|method| named.contains(*method));
    (usual.unwrap_or(Method::Totp), seconds.into_iter().find(|method| !named.contains(*method)))
}

/// The time that is `age` and one second ago.
#[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
fn before_now(now: Timestamp, age: Duration) -> Timestamp {
    now - age.saturating_add(Duration::from_secs(1))
}

/// The token with another signature.
fn forged(token: &str) -> String {
    let (claims, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let turned: String = signature.chars().rev().collect();
    format!("{claims}.{turned}")
}

/// The routes and the other methods of their paths, each with whether the test named it.
fn with_siblings<'a>(routes: &[Route<'a>]) -> Vec<(Route<'a>, bool)> {
    let named: BTreeSet<_> = routes.iter().copied().collect();
    let siblings = named.iter().flat_map(|&(method, path)| {
        let head = (method == HttpMethod::GET).then_some(("HEAD", path));
        head.into_iter().chain([("OPTIONS", path), (UNKNOWN, path)])
    });
    let siblings: BTreeSet<_> = siblings.filter(|route| !named.contains(route)).collect();
    routes.iter().map(|&route| (route, true)).chain(siblings.into_iter().map(|route| (route, false))).collect()
}

/// Whether the router does not know the route, or a CORS layer answered.
fn is_absent((method, _): Route<'_>, answer: &Parts) -> bool {
    let preflight = [header::ACCESS_CONTROL_ALLOW_METHODS, header::ACCESS_CONTROL_ALLOW_HEADERS, header::ALLOW];
    matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
        || method == HttpMethod::OPTIONS && preflight.iter().any(|name| answer.headers.contains_key(name))
}
