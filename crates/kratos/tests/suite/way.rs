//! The table of attacks that holds wherever sessions come from, with those of Kratos.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use crate::{
    application::Application,
    client::{Client, Kind},
    server::{Server, User},
    table::{self, Credential, Headers, Outcome, Route, Way},
};

/// In the lax model, which shows sessions of every level.
struct Kratos {
    server: Server,
    application: Application,
    kind: Kind,
    /// Who was last asked for, and what that session has.
    last: RefCell<Option<Last>>,
}

struct Last {
    user: User,
    token: Option<String>,
    cookies: BTreeMap<String, String>,
}

impl Kratos {
    async fn new(kind: Kind) -> Self {
        let server = Server::stand_in(false, &[]).await;
        let application = Application::start(server.source().cache(Duration::ZERO), server.clock(Duration::ZERO)).await;
        Self { server, application, kind, last: RefCell::default() }
    }

    fn later(&self, time: Duration) {
        self.server.clock.as_ref().unwrap().advance(time);
    }
}

impl Way for Kratos {
    async fn credential(&self, which: Credential) -> Result<Headers, &'static str> {
        if which == Credential::Nothing {
            return Ok(Vec::new());
        }
        let mut user = self.server.new_user().await;
        let mut client = Client::signed_in(&self.server, self.kind, &user).await;
        client.enrol(&mut user).await;
        match which {
            Credential::LevelTooLow => client = Client::signed_in(&self.server, self.kind, &user).await,
            Credential::TooOld => self.later(Duration::from_secs(600)),
            Credential::Expired => self.later(Duration::from_secs(400 * 86_400)),
            _ => {}
        }
        let (name, value) = client.credential();
        let (token, cookies) = (client.token.clone(), client.cookies.clone());
        *self.last.borrow_mut() = Some(Last { user, token, cookies });
        if which == Credential::Forged {
            let secret = client.secret();
            return Ok(vec![(name, value.replace(secret, &format!("{}AAAAAAAA", &secret[..secret.len() - 8])))]);
        }
        Ok(vec![(name, value)])
    }

    async fn happens(&self, which: Credential) {
        let Last { user, token, cookies } = self.last.borrow_mut().take().unwrap();
        if which == Credential::Revoked {
            let mut client = Client::new(&self.server, self.kind);
            (client.token, client.cookies) = (token, cookies);
            client.log_out().await;
        } else {
            Client::stepped_up(&self.server, self.kind, &user).await.remove_factor().await;
        }
    }

    async fn ask(&self, route: Route, headers: &Headers) -> Outcome {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = self.application.get(route.path(), &headers).await;
        match answer.status {
            200 => Outcome::Passed(answer.text()),
            401 => Outcome::NoSession,
            403 => Outcome::StepUp,
            other => panic!("{route:?}: {other}"),
        }
    }

    fn take_calls(&self) -> usize {
        self.application.take_calls()
    }
}

#[tokio::test]
async fn the_table_of_attacks_holds_with_sessions_of_kratos() {
    for kind in [Kind::Native, Kind::Browser] {
        table::holds(&Kratos::new(kind).await).await;
    }
}
