//! The table of attacks that holds wherever sessions come from, with those of the application.

use std::{cell::RefCell, time::Duration};

use crate::{
    browser::Browser,
    site::{ID, KINDS, Kind, Site, TOKEN},
    table::{self, Credential, Headers, Outcome, Route, Way},
};

struct Host {
    site: Site,
    /// Whose cookies were last asked for.
    last: RefCell<Option<Browser>>,
}

impl Host {
    fn new(kind: Kind) -> Self {
        Self { site: Site::new(kind), last: RefCell::default() }
    }
}

impl Way for Host {
    async fn credential(&self, which: Credential) -> Result<Headers, &'static str> {
        let site = &self.site;
        let mut browser = match which {
            Credential::Nothing => return Ok(Vec::new()),
            Credential::OtherUsers => site.stepped_up("lee").await,
            Credential::LevelTooLow => {
                site.enrol("kim").await;
                site.signed_in("kim").await
            }
            _ => site.stepped_up("kim").await,
        };
        match which {
            Credential::TooOld => site.clock.advance(Duration::from_secs(600)),
            Credential::Expired => {
                let mut record = site.host.record(&browser.cookies[ID]).await.unwrap();
                record.expiry_date = time::OffsetDateTime::now_utc() - time::Duration::seconds(1);
                site.host.bring_back(&record).await;
            }
            Credential::Forged => {
                for name in [ID, TOKEN] {
                    let value = browser.cookies.get_mut(name).unwrap();
                    value.truncate(value.len() - 8);
                    value.push_str("AAAAAAAA");
                }
            }
            _ => {}
        }
        let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        *self.last.borrow_mut() = Some(browser);
        Ok(vec![("cookie", cookies.join("; "))])
    }

    async fn happens(&self, which: Credential) {
        let mut browser = self.last.borrow_mut().take().unwrap();
        if which == Credential::Revoked {
            browser.post("/logout").await;
        } else {
            self.site.unenrol("kim").await;
        }
    }

    async fn ask(&self, route: Route, headers: &Headers) -> Outcome {
        let mut browser = self.site.browser();
        for (_, cookies) in headers {
            for cookie in cookies.split("; ") {
                let (name, value) = cookie.split_once('=').unwrap();
                browser.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let answer = browser.fetch(route.path()).await;
        match answer.status.as_u16() {
            200 => Outcome::Passed(answer.text),
            401 => Outcome::NoSession,
            403 => Outcome::StepUp,
            other => panic!("{route:?}: {other}"),
        }
    }

    fn take_calls(&self) -> usize {
        self.site.take_calls()
    }
}

#[tokio::test]
async fn the_table_of_attacks_holds_with_sessions_of_the_application() {
    for kind in KINDS {
        table::holds(&Host::new(kind)).await;
    }
}
