//! A Kratos that can be asked: what the settings become.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tower_step_up::{
    clock::Timestamp,
    source::{Clue, Evidence},
};
use url::Url;

use crate::{
    address,
    cache::Cache,
    credential::{Credential, Keys},
    failure::Failure,
    flights::Flights,
    session::{self, Reading},
    whoami::{Answer, Whoami},
};

/// What the settings become.
pub(crate) struct Connected {
    pub(crate) public: Url,
    keys: Keys,
    flights: Flights<Found>,
    asker: Arc<Asker>,
}

/// What a question needs, wherever it goes on.
struct Asker {
    whoami: Whoami,
    cache: Cache,
    reading: Reading,
}

/// What came of a question, for all who wait for it.
type Found = Result<Session, Failure>;

#[derive(Clone)]
pub(crate) enum Session {
    Shown(Arc<Evidence>),
    None,
    SecondFactorRequired,
}

impl Connected {
    /// `public` is for browsers; the application itself asks at `base`.
    pub(crate) fn new(
        public: Url,
        base: &Url,
        timeout: Duration,
        max_age: Duration,
        reading: Reading,
    ) -> Result<Self, String> {
        let whoami = Whoami::new(address::endpoint(base, "sessions/whoami"), timeout)?;
        let asker = Arc::new(Asker { whoami, cache: Cache::new(max_age), reading });
        Ok(Self { public, keys: Keys::random()?, flights: Flights::new(), asker })
    }

    /// What is remembered of the session.
    pub(crate) fn recall(&self, clue: &Clue, now: Timestamp) -> Option<Arc<Evidence>> {
        self.asker.cache.get(&self.keys.of(clue)?, now)
    }

    pub(crate) async fn ask(&self, clue: &Clue, cookie_name: &str, now: Timestamp) -> Result<Session, Failure> {
        let not_a_credential = || Failure::NotAsked("the clue is not from this source".to_owned());
        let key = self.keys.of(clue).ok_or_else(not_a_credential)?;
        let ask = || {
            let (asker, credential) = (Arc::clone(&self.asker), Credential::of(clue, cookie_name));
            async move {
                let at = Instant::now();
                let answer = asker.whoami.ask(credential.ok_or_else(not_a_credential)?).await?;
                let found = asker.read(answer)?;
                match &found {
                    Session::Shown(evidence) => asker.cache.keep(key, Arc::clone(evidence), at, now),
                    Session::None | Session::SecondFactorRequired => asker.cache.forget(&key),
                }
                Ok(found)
            }
        };
        self.flights.join(key, self.asker.cache.max_age(), ask).await
    }
}

impl Asker {
    fn read(&self, answer: Answer) -> Found {
        Ok(match answer {
            Answer::Session(body) => {
                session::read(&body, self.reading)?.map_or(Session::None, |evidence| Session::Shown(Arc::new(evidence)))
            }
            Answer::NoSession => Session::None,
            Answer::SecondFactorRequired => Session::SecondFactorRequired,
        })
    }
}
