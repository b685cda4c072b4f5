//! The table of attacks that holds on every application, wherever its sessions come from. A way says how its users come by what they send. The
//! crates under `crates/` take this file into their own tests.

#![allow(dead_code, unreachable_pub, reason = "not each way has everything")]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::future::Future;

/// What somebody sends along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Of a user who has just proven two factors.
    Good,
    /// The same of another user.
    OtherUsers,
    Nothing,
    /// A good one that somebody has changed.
    Forged,
    /// A session of two factors that has ended by itself.
    Expired,
    /// A good one, whose session ends afterwards: see [`Way::happens`].
    Revoked,
    /// A good one, whose second factor is removed afterwards.
    FactorRemoved,
    /// One factor, and there is a second.
    LevelTooLow,
    /// Two factors, proven ten minutes ago.
    TooOld,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Any session.
    Aal1,
    /// Two factors.
    Aal2,
    /// Two factors, proven within five minutes.
    Recent,
}

impl Route {
    /// Where an application has it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Aal1 => "/aal1",
            Self::Aal2 => "/aal2",
            Self::Recent => "/recent",
        }
    }
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The handler ran, for this subject.
    Passed(String),
    /// Sign in.
    NoSession,
    /// Prove more, or prove it again.
    StepUp,
}

pub type Headers = Vec<(&'static str, String)>;

/// An application whose sessions come from somewhere.
pub trait Way {
    /// What the attack sends; or why there can be no such thing, which is allowed for [`Credential::Revoked`] and
    /// [`Credential::FactorRemoved`] alone.
    fn credential(&self, which: Credential) -> impl Future<Output = Result<Headers, &'static str>>;

    /// The session of this credential ends, or the factor that it was proven by is removed.
    fn happens(&self, which: Credential) -> impl Future<Output = ()>;

    fn ask(&self, route: Route, headers: &Headers) -> impl Future<Output = Outcome>;

    /// How often a handler ran since this was last asked.
    fn take_calls(&self) -> usize;
}

const ROUTES: [Route; 3] = [Route::Aal1, Route::Aal2, Route::Recent];

/// Whether each route lets it through, and what it answers if not.
fn expected(which: Credential) -> [Option<Outcome>; 3] {
    let (passes, step_up, none) = (|| None, || Some(Outcome::StepUp), || Some(Outcome::NoSession));
    match which {
        Credential::Good | Credential::OtherUsers => [passes(), passes(), passes()],
        Credential::Nothing | Credential::Forged | Credential::Expired | Credential::Revoked => {
            [none(), none(), none()]
        }
        Credential::LevelTooLow | Credential::FactorRemoved => [passes(), step_up(), step_up()],
        Credential::TooOld => [passes(), passes(), step_up()],
    }
}

/// Every attack on every route. What is refused reaches no handler; what is let through is the same user's everywhere.
pub async fn holds(way: &impl Way) {
    let good = ask_all(way, Credential::Good, &way.credential(Credential::Good).await.unwrap()).await;
    let others = ask_all(way, Credential::OtherUsers, &way.credential(Credential::OtherUsers).await.unwrap()).await;
    assert!(good.is_some() && others.is_some() && good != others, "{good:?} {others:?}");
    for which in [
        Credential::Nothing,
        Credential::Forged,
        Credential::Revoked,
        Credential::FactorRemoved,
        Credential::LevelTooLow,
        Credential::TooOld,
        // The clock may go on for it.
        Credential::Expired,
    ] {
        let changes = matches!(which, Credential::Revoked | Credential::FactorRemoved);
        let headers = match way.credential(which).await {
            Ok(headers) => headers,
            Err(reason) => {
                assert!(changes && !reason.is_empty(), "{which:?} must be tried");
                continue;
            }
        };
        if changes {
            ask_all(way, Credential::Good, &headers).await;
            way.happens(which).await;
        }
        ask_all(way, which, &headers).await;
    }
}

/// Asks for each route, and returns whose credential it is, if anything was let through.
async fn ask_all(way: &impl Way, which: Credential, headers: &Headers) -> Option<String> {
    let mut subject = None;
    way.take_calls();
    for (route, expected) in ROUTES.into_iter().zip(expected(which)) {
        let outcome = way.ask(route, headers).await;
        let ran = way.take_calls();
        match (&outcome, expected) {
            (Outcome::Passed(found), None) => {
                assert_eq!(subject.get_or_insert_with(|| found.clone()), found, "{which:?} on {route:?}");
                assert_eq!(ran, 1, "{which:?} on {route:?}");
            }
            (_, expected) => assert_eq!((Some(outcome), ran), (expected, 0), "{which:?} on {route:?}"),
        }
    }
    subject
}
