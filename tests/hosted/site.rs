//! An application with its own sessions: its login and logout know nothing of a step-up.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::Path,
    http::StatusCode,
    middleware,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use tokio::sync::Notify;
use tower_step_up::{
    CurrentSession, Method, RequireAal2, Requirement, RouterExt, StepUpBuilder, Subject, clock::Clock,
    test_util::totp_code,
};

use crate::{
    client::{Browser, STEP_UP, totp},
    common::{Answer, Bank, store::TestStore},
    host::{Hosts, Layer, Records, Session, layer},
};

pub const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// Holds slow requests back.
#[derive(Clone, Default)]
pub struct Gate {
    pub entered: Arc<Notify>,
    pub go_on: Arc<Notify>,
}

pub struct Site {
    pub bank: Bank,
    pub app: Router,
    pub records: Records,
    pub gate: Gate,
}

async fn log_in(Path(user): Path<String>, session: Extension<Session>) -> Result<(), (StatusCode, &'static str)> {
    session.cycle_id().map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error))?;
    session.edit(|record| {
        record.user = Some(user);
        record.password = String::from("old");
    });
    Ok(())
}

/// As some login pages do: who is signed in is sent on at once.
async fn login_page(session: Extension<Session>, uri: axum::http::Uri) -> Response {
    match session.user() {
        Some(_) => {
            let url = url::Url::parse(&format!("https://bank.example{uri}")).unwrap();
            let next = url.query_pairs().find(|(name, _)| name == "return_to").map(|(_, value)| value.into_owned());
            Redirect::to(&next.unwrap_or_else(|| "/".to_owned())).into_response()
        }
        None => "sign in".into_response(),
    }
}

async fn slow(session: Extension<Session>, gate: Extension<Gate>) {
    gate.entered.notify_one();
    gate.go_on.notified().await;
    session.edit(|record| *record.values.entry("slow".to_owned()).or_default() += 1);
}

impl Site {
    pub fn new() -> Self {
        Self::with(true, |builder| builder)
    }

    pub fn with(tells: bool, configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> Self {
        Self::on(TestStore::default(), tells, configure)
    }

    pub fn on(store: TestStore, tells: bool, configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> Self {
        let bank = Bank::on(store, |builder| configure(builder.sessions(Hosts).login_url("/login")));
        let (step_up, gate, records) = (bank.step_up.clone(), Gate::default(), Records::default());
        let (again, describes) = (step_up.clone(), step_up.clone());
        let recent = |level: Requirement| level.max_age(Duration::from_secs(300));
        let me = || get(async |user: CurrentSession| user.subject().to_string());
        let calls = bank.calls.clone();
        let app = Router::new()
            .route("/login/{user}", post(log_in))
            .route("/login", get(login_page))
            .route(
                "/login-again",
                post(async move |session: Extension<Session>| {
                    again.proved_in(&session.0, Method::Password).await.unwrap();
                }),
            )
            .route(
                "/become/{user}",
                post(async |user: Path<String>, session: Extension<Session>| {
                    session.edit(|record| record.user = Some(user.0));
                }),
            )
            .route(
                "/password",
                post(async |session: Extension<Session>| {
                    session.edit(|record| record.password = String::from("new"));
                }),
            )
            .route("/logout", post(async |session: Extension<Session>| session.flush().unwrap()))
            .route("/forget", post(async |session: Extension<Session>| session.edit(|record| record.user = None)))
            .route(
                "/cart",
                post(async |session: Extension<Session>| {
                    session.edit(|record| *record.values.entry("cart".to_owned()).or_default() += 1);
                }),
            )
            .route("/slow", post(slow))
            .route(
                "/described",
                get(async move |user: CurrentSession| describes.describe(user.session()).await.unwrap().to_string()),
            )
            .route("/public", get(async || "public"))
            .route_requiring("/me", Requirement::aal1(), me())
            .route_requiring("/fresh", recent(Requirement::aal1()), me())
            .route_requiring("/recent", recent(Requirement::aal2()), me())
            .route_requiring("/highest", Requirement::highest_available(), me())
            .route("/pay", post(async move || calls.one()).get(async || "pay").layer(RequireAal2))
            .layer(Extension(gate.clone()))
            .merge(step_up.router())
            .layer(step_up.layer())
            .layer(middleware::from_fn_with_state(Layer { records: records.clone(), tells }, layer));
        Self { bank, app, records, gate }
    }

    pub async fn signed_in(&self, user: &str) -> Browser {
        let mut browser = Browser::default();
        let answer = browser.post(&self.app, &format!("/login/{user}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    pub async fn enrol(&self, user: &str) {
        self.bank.step_up.import_totp(&Subject::new(user).unwrap(), SECRET).await.unwrap();
    }

    /// The code of now. The clock goes on first, so that it is a new one.
    pub fn code(&self) -> String {
        self.bank.clock.advance(Duration::from_secs(31));
        totp_code(SECRET, self.bank.clock.now()).unwrap()
    }

    /// Somebody who has proven a second factor.
    pub async fn stepped_up(&self, user: &str) -> Browser {
        let mut browser = self.signed_in(user).await;
        self.enrol(user).await;
        let answer = self.step_up(&mut browser).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(browser.get(&self.app, "/pay").await.status, 200);
        browser
    }

    pub async fn step_up(&self, browser: &mut Browser) -> Answer {
        let (action, csrf) = browser.begin(&self.app, STEP_UP).await;
        let code = self.code();
        browser.submit(&self.app, &action, &totp(&csrf, &code)).await
    }

    pub async fn level(&self, browser: &mut Browser) -> String {
        let whoami = browser.get(&self.app, "/sessions/whoami").await;
        match whoami.status.as_u16() {
            200 => whoami.json()["authenticator_assurance_level"].as_str().unwrap().to_owned(),
            // With a second factor, whoami asks for it.
            403 => "aal1".to_owned(),
            401 => "none".to_owned(),
            _ => panic!("{whoami:?}"),
        }
    }
}
