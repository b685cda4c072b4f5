//! The table of attacks on an application with sessions of this crate.

#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used, reason = "a test that fails panics")]

#[path = "../common/mod.rs"]
mod common;
mod table;

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use common::{Bank, User, request, send};
use http::StatusCode;
use tower_step_up::{Aal, CurrentSession, Method, Requirement, RouterExt, Subject, aal::Proof, clock::Clock};

use self::table::{Credential, Headers, Outcome, Route, Way};

struct Own {
    bank: Bank,
    app: Router,
}

impl Own {
    fn new() -> Self {
        let bank = Bank::new();
        let calls = bank.calls.clone();
        let page = || {
            let calls = calls.clone();
            get(async move |user: CurrentSession| {
                calls.one();
                user.subject().to_string()
            })
        };
        let recent = Requirement::aal2().max_age(Duration::from_secs(300));
        let app = Router::new()
            .route_requiring("/aal1", Requirement::aal1(), page())
            .route_requiring("/aal2", Requirement::aal2(), page())
            .route_requiring("/recent", recent, page())
            .layer(bank.step_up.layer());
        Self { bank, app }
    }

    async fn user(&self, which: Credential) -> User {
        let bank = &self.bank;
        match which {
            Credential::OtherUsers => bank.aal2("lee").await,
            Credential::LevelTooLow => bank.aal1("bob").await,
            Credential::TooOld => {
                let user = bank.without_factor("sam").await;
                let credential = bank.enrol(&user).await;
                let ago = bank.clock.now() - Duration::from_secs(600);
                bank.prove(&user, Proof::new(Method::Totp, Aal::Aal2, ago).with_credential(credential)).await;
                user
            }
            _ => bank.aal2("kim").await,
        }
    }
}

impl Way for Own {
    async fn credential(&self, which: Credential) -> Result<Headers, &'static str> {
        let user = self.user(which).await;
        Ok(match which {
            Credential::Nothing => Vec::new(),
            Credential::Forged => {
                let cookie = user.cookie();
                let (head, _) = cookie.split_at(cookie.len() - 8);
                vec![("cookie", format!("{head}AAAAAAAA"))]
            }
            Credential::Expired => {
                self.bank.clock.advance(Duration::from_secs(400 * 86_400));
                vec![("cookie", user.cookie())]
            }
            _ => vec![("cookie", user.cookie())],
        })
    }

    async fn happens(&self, which: Credential) {
        let kim = Subject::new("kim").unwrap();
        if which == Credential::Revoked {
            self.bank.step_up.revoke_all(&kim).await.unwrap();
        } else {
            self.bank.step_up.unbind(&kim, Method::Totp).await.unwrap();
        }
    }

    async fn ask(&self, route: Route, headers: &Headers) -> Outcome {
        let mut all = vec![("accept", "application/json")];
        all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
        let answer = send(&self.app, request("GET", route.path(), &all).map(Body::new)).await;
        match answer.status {
            StatusCode::OK => Outcome::Passed(String::from_utf8(answer.body.to_vec()).unwrap()),
            StatusCode::UNAUTHORIZED => Outcome::NoSession,
            StatusCode::FORBIDDEN => Outcome::StepUp,
            other => panic!("{route:?}: {other}"),
        }
    }

    fn take_calls(&self) -> usize {
        self.bank.calls.take()
    }
}

#[tokio::test]
async fn the_table_of_attacks_holds_with_sessions_of_this_crate() {
    table::holds(&Own::new()).await;
}
