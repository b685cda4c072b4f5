//! An application that had its login, its logout and its sessions before.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{Router, http::StatusCode, middleware::from_fn};
use axum_login::AuthManagerLayerBuilder;
use tower_step_up::{
    Method, RouterExt, SigningKey, StepUp, StepUpBuilder, Subject,
    clock::Clock,
    factor::Totp,
    test_util::{FixedClock, totp_code},
};
use tower_step_up_sessions::{AxumLogin, TowerSessions};

use crate::{
    browser::{Answer, Browser},
    handlers::{self, App, Shared, version_0_14, version_0_15},
    host::{Backend, HostStore},
    store::TestStore,
};

pub const ORIGIN: &str = "https://bank.example";
pub const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
/// Our cookie.
pub const TOKEN: &str = "__Host-step_up_session";
/// The application's.
pub const ID: &str = "id";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    AxumLogin,
    /// tower-sessions alone, 0.14.
    TowerSessions,
    /// And 0.15.
    Newer,
}

pub const KINDS: [Kind; 3] = [Kind::AxumLogin, Kind::TowerSessions, Kind::Newer];

/// The application.
#[derive(Clone)]
pub struct Site {
    pub kind: Kind,
    pub step_up: StepUp,
    pub clock: FixedClock,
    /// What the application's sessions are in.
    pub host: HostStore,
    /// What ours are in.
    pub store: TestStore,
    pub backend: Backend,
    pub app: Router,
    shared: Arc<Shared>,
}

impl Site {
    pub fn new(kind: Kind) -> Self {
        Self::with(kind, |builder| builder)
    }

    pub fn with(kind: Kind, configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> Self {
        Self::between(kind, configure, |app| app)
    }

    /// With a layer between ours and that of the sessions, which writes each session in each request.
    pub fn restless(kind: Kind) -> Self {
        let newer = kind == Kind::Newer;
        Self::between(
            kind,
            |builder| builder,
            |app| {
                if newer { app.layer(from_fn(version_0_15::counts)) } else { app.layer(from_fn(version_0_14::counts)) }
            },
        )
    }

    fn between(
        kind: Kind,
        configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder,
        layer: impl FnOnce(Router) -> Router,
    ) -> Self {
        let clock = FixedClock::default();
        let (host, store, backend) = (HostStore::default(), TestStore::default(), Backend::default());
        let builder = StepUp::builder(ORIGIN)
            .signing_key(SigningKey::hs256("2026-11", b"signs in tests and nowhere else.").unwrap())
            .clock(clock.clone())
            .factor(Totp::new("Example Bank"));
        let builder = match kind {
            Kind::AxumLogin => builder.sessions(AxumLogin::<Backend>::new()),
            Kind::TowerSessions => builder.sessions(TowerSessions::new(version_0_14::user_of)),
            Kind::Newer => builder.sessions(TowerSessions::new(version_0_15::user_of)),
        };
        let step_up = configure(store.give_to(builder)).build().unwrap();
        let shared = Arc::<Shared>::default();
        let state = App { step_up: step_up.clone(), backend: backend.clone(), shared: Arc::clone(&shared) };
        let routes = handlers::common(&shared).merge(match kind {
            Kind::AxumLogin => version_0_14::any_login().merge(handlers::axum_login()),
            Kind::TowerSessions => version_0_14::any_login().merge(version_0_14::own_login()),
            Kind::Newer => version_0_15::any_login().merge(version_0_15::own_login()),
        });
        let app = layer(routes.with_state(state).with_step_up(&step_up));
        let sessions = tower_sessions_0_14::SessionManagerLayer::new(host.clone());
        let app = match kind {
            Kind::AxumLogin => app.layer(AuthManagerLayerBuilder::new(backend.clone(), sessions).build()),
            Kind::TowerSessions => app.layer(sessions),
            Kind::Newer => app.layer(tower_sessions_0_15::SessionManagerLayer::new(host.clone())),
        };
        Self { kind, step_up, clock, host, store, backend, app, shared }
    }

    /// Whoever is at a browser for the first time.
    pub fn browser(&self) -> Browser {
        Browser { site: self.clone(), cookies: BTreeMap::new() }
    }

    /// Somebody who has signed in.
    pub async fn signed_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        browser.post(&format!("/login/{name}")).await.is(StatusCode::OK);
        browser
    }

    /// Somebody who has signed in and proven the second factor, which is enrolled first.
    pub async fn stepped_up(&self, name: &str) -> Browser {
        self.enrol(name).await;
        let mut browser = self.signed_in(name).await;
        browser.steps_up().await;
        browser
    }

    /// Somebody who has signed in before the application took up this crate.
    pub async fn signed_in_before(&self, name: &str) -> Browser {
        let browser = self.signed_in(name).await;
        self.forget_note(&browser).await;
        browser
    }

    /// Takes our note out of the session.
    pub async fn forget_note(&self, browser: &Browser) {
        let mut record = self.host.record(&browser.cookies[ID]).await.unwrap();
        record.data.remove("tower-step-up").unwrap();
        self.host.bring_back(&record).await;
    }

    pub async fn enrol(&self, name: &str) {
        if self.shared.enrolled.lock().unwrap().insert(name.to_owned()) {
            self.step_up.import_totp(&Subject::new(name).unwrap(), SECRET).await.unwrap();
        }
    }

    /// Removes the second factor.
    pub async fn unenrol(&self, name: &str) {
        self.shared.enrolled.lock().unwrap().remove(name);
        self.step_up.unbind(&Subject::new(name).unwrap(), Method::Totp).await.unwrap();
    }

    /// The code that the authenticator app shows after the present one.
    pub fn next_code(&self) -> String {
        self.clock.advance(Duration::from_secs(30));
        totp_code(SECRET, self.clock.now()).unwrap()
    }

    /// How often a handler of a guarded route ran since this was last asked.
    pub fn take_calls(&self) -> usize {
        self.shared.calls.swap(0, Ordering::SeqCst)
    }

    /// From now on the login page sends users away who are signed in.
    pub fn login_is_eager(&self) {
        self.shared.eager.store(true, Ordering::SeqCst);
    }

    /// What happens while a request of this browser is in flight that has read the session, and writes it when all is over.
    pub async fn meanwhile(&self, slow: &Browser, happens: impl Future<Output = ()>) -> Answer {
        let mut slow = slow.clone();
        let (answer, ()) = tokio::join!(slow.post("/slow"), async {
            self.shared.reached.notified().await;
            happens.await;
            self.shared.go_on.notify_one();
        });
        answer
    }
}
