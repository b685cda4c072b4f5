//! What an attacker tries, and beside it what an honest user does in the same setting.

use std::time::Duration;

use http::Method;

use crate::{
    application::Application,
    client::{Client, Kind},
    server::Server,
};

const DAY: Duration = Duration::from_secs(86_400);

/// What is let through, on the routes of [`crate::application::PATHS`]. A name for each, since they say what the test is about.
const ALL: [u16; 5] = [200; 5];
const NO_SESSION: [u16; 5] = [401; 5];
const OLD: [u16; 5] = [200, 200, 200, 200, 403];

struct Table<'a> {
    server: &'a Server,
    /// It remembers nothing.
    now: Application,
    in_ten_minutes: Application,
    in_a_year: Application,
}

pub async fn all(server: &Server) {
    let start = async |later| Application::start(server.source().cache(Duration::ZERO), server.clock(later)).await;
    let table = Table {
        server,
        now: start(Duration::ZERO).await,
        in_ten_minutes: start(Duration::from_secs(600)).await,
        in_a_year: start(366 * DAY).await,
    };
    for kind in [Kind::Native, Kind::Browser] {
        table.run(kind).await;
    }
}

impl Table<'_> {
    /// One factor, and there is a second.
    fn low(&self) -> [u16; 5] {
        if self.server.strict { [403; 5] } else { [200, 403, 403, 403, 403] }
    }

    /// One factor, and there is no second. In the lax model nobody can tell.
    fn one_factor(&self) -> [u16; 5] {
        if self.server.strict { [200, 200, 403, 403, 403] } else { [200, 403, 403, 403, 403] }
    }

    async fn expect(&self, attack: &str, client: &Client<'_>, expected: [u16; 5]) -> Option<String> {
        self.expect_at(&self.now, attack, client, expected).await
    }

    async fn expect_at(
        &self,
        application: &Application,
        attack: &str,
        client: &Client<'_>,
        expected: [u16; 5],
    ) -> Option<String> {
        let (name, value) = client.credential();
        let (found, subject) = application.statuses(&[(name, &value)]).await;
        assert_eq!(found, expected, "{attack}, {:?}, strict: {}", client.kind, self.server.strict);
        subject
    }

    async fn run(&self, kind: Kind) {
        let server = self.server;
        let (mut alice, mut bob, carol) = (server.new_user().await, server.new_user().await, server.new_user().await);
        let mut alices = Client::signed_in(server, kind, &alice).await;
        self.expect("before a second factor is enrolled", &alices, self.one_factor()).await;
        alices.enrol(&mut alice).await;
        let mut bobs = Client::signed_in(server, kind, &bob).await;
        bobs.enrol(&mut bob).await;
        let carols = Client::signed_in(server, kind, &carol).await;

        self.honest_users_are_themselves(&alices, &bobs, &carols).await;
        self.forged(&alices, &bobs).await;
        self.low_and_old(kind, &alice, &alices).await;
        self.revoked(kind, &alice, &mut alices).await;

        // Last: what is proven by a factor that is removed.
        let other = Client::stepped_up(server, kind, &alice).await;
        self.expect("before the factor is removed", &other, ALL).await;
        alices.step_up(&alice, "aal=aal2&refresh=true").await;
        alices.remove_factor().await;
        let left = if server.forgets_removed_factors { self.one_factor() } else { ALL };
        self.expect("the factor is removed", &other, left).await;
    }

    async fn honest_users_are_themselves(&self, alices: &Client<'_>, bobs: &Client<'_>, carols: &Client<'_>) {
        let alice = self.expect("both factors", alices, ALL).await.unwrap();
        let bob = self.expect("both factors", bobs, ALL).await.unwrap();
        let carol = self.expect("no second factor enrolled", carols, self.one_factor()).await.unwrap();
        assert!(alice != bob && bob != carol && alice != carol, "other user's: {alice} {bob} {carol}");
        assert_eq!(self.now.get_as("/optional", alices).await.text(), alice);
        assert_eq!(self.now.get("/optional", &[]).await.text(), "nobody");
    }

    async fn forged(&self, alices: &Client<'_>, bobs: &Client<'_>) {
        let (statuses, _) = self.now.statuses(&[]).await;
        assert_eq!(statuses, NO_SESSION, "no session");
        let good = alices.secret();
        let middle = good.len() / 2;
        let swap = |byte: &str| if byte == "A" { "B" } else { "A" };
        let changed = format!("{}{}{}", &good[..middle], swap(&good[middle..=middle]), &good[middle + 1..]);
        let name = &self.server.cookie_name;
        for forged in
            [&changed, &good[..good.len() - 1], &good[1..], "nonsense", "ory_st_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            let header = match alices.kind {
                Kind::Native => ("x-session-token", forged.to_owned()),
                Kind::Browser => ("cookie", format!("{name}={forged}")),
            };
            let (statuses, _) = self.now.statuses(&[(header.0, &header.1)]).await;
            assert_eq!(statuses, NO_SESSION, "forged: {}", header.0);
        }
        // Two credentials, each of them good: whose session is it?
        let (one, other) = (alices.secret(), bobs.secret());
        let both: [Vec<(&str, String)>; 4] = [
            vec![("x-session-token", one.to_owned()), ("cookie", format!("{name}={other}"))],
            vec![("x-session-token", one.to_owned()), ("x-session-token", other.to_owned())],
            vec![("cookie", format!("{name}={one}; {name}={other}"))],
            vec![("cookie", format!("{name}={one}")), ("cookie", format!("{name}={one}"))],
        ];
        for headers in both {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(self.now.statuses(&headers).await.0, NO_SESSION, "two credentials");
        }
        // A credential counts only where it belongs.
        let misplaced = match alices.kind {
            Kind::Native => ("cookie", format!("{name}={one}")),
            Kind::Browser => ("x-session-token", one.to_owned()),
        };
        // The stand-in has one token for both.
        if self.server.clock.is_none() {
            assert_eq!(self.now.statuses(&[(misplaced.0, &misplaced.1)]).await.0, NO_SESSION, "misplaced");
        }
        let bearer = format!("Bearer {one}");
        assert_eq!(self.now.statuses(&[("authorization", &bearer)]).await.0, NO_SESSION, "not asked for");
        let lookalike = format!("x{name}={one}; {name}2={one}");
        assert_eq!(self.now.statuses(&[("cookie", &lookalike)]).await.0, NO_SESSION, "another cookie");
        self.expect("unharmed", alices, ALL).await;
    }

    async fn low_and_old(&self, kind: Kind, alice: &crate::server::User, alices: &Client<'_>) {
        let mut low = Client::signed_in(self.server, kind, alice).await;
        self.expect("low", &low, self.low()).await;
        low.step_up(alice, "aal=aal2").await;
        self.expect("low no more", &low, ALL).await;
        self.expect_at(&self.in_ten_minutes, "old", alices, OLD).await;
        self.expect_at(&self.in_a_year, "expired", alices, NO_SESSION).await;
        self.expect("neither old nor expired", alices, ALL).await;
    }

    async fn revoked(&self, kind: Kind, alice: &crate::server::User, alices: &mut Client<'_>) {
        let mut leaving = Client::stepped_up(self.server, kind, alice).await;
        let stolen = Client::stepped_up(self.server, kind, alice).await;
        self.expect("before it is revoked", &leaving, ALL).await;
        leaving.log_out().await;
        self.expect("logged out", &leaving, NO_SESSION).await;

        let whoami = format!("{}/sessions/whoami", self.server.url);
        let id = stolen.clone().call(Method::GET, &whoami, None).await.json()["id"].as_str().unwrap().to_owned();
        self.expect("before it is revoked elsewhere", &stolen, ALL).await;
        let url = format!("{}/sessions/{id}", self.server.url);
        let done = alices.call(Method::DELETE, &url, None).await;
        assert_eq!(done.status, 204, "{}", done.text());
        self.expect("revoked elsewhere", &stolen, NO_SESSION).await;
        self.expect("the others go on", alices, ALL).await;
    }
}
