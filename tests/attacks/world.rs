//! Two nodes over one store: two routers built from one configuration, each with its own caches and its own clock.

use std::{future::poll_fn, pin::pin, sync::atomic::Ordering, task::Poll, time::Duration};

use axum::http::StatusCode;
use serde_json::Value;
use tower_step_up::{
    StepUpBuilder, Subject,
    clock::Clock,
    session::StoredSession,
    store::{Credential, SubjectStore},
};

use crate::{
    common::store::TestStore,
    site::{Answer, Client, Kind, ORIGIN, OpenFlow, Site, Users, code_of},
    stores, witness,
};

pub const WRONG: &str = "000000";

pub struct World {
    pub store: TestStore,
    pub a: Site,
    pub b: Site,
}

/// What the store knows of a subject.
#[derive(Debug, PartialEq)]
pub struct Known {
    pub sessions: Vec<StoredSession>,
    pub credentials: Vec<Credential>,
    /// `Debug` of a credential hides them.
    pub steps: Vec<u64>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub fn with(configure: impl Fn(StepUpBuilder) -> StepUpBuilder) -> Self {
        Self::on(stores::one(), configure)
    }

    /// One on each store that needs nothing installed.
    pub fn on_every_store(configure: impl Fn(StepUpBuilder) -> StepUpBuilder) -> Vec<Self> {
        stores::every().into_iter().map(|store| Self::on(store, &configure)).collect()
    }

    fn on(store: TestStore, configure: impl Fn(StepUpBuilder) -> StepUpBuilder) -> Self {
        let (a, b) = nodes(&store, configure);
        Self { store, a, b }
    }

    pub fn advance(&self, duration: Duration) {
        self.a.clock.advance(duration);
        self.b.clock.advance(duration);
    }

    /// Lets the time of one code pass, everywhere.
    pub fn next_code(&self) -> String {
        self.advance(Duration::from_secs(30));
        self.a.code()
    }

    pub async fn known(&self, name: &str) -> Known {
        let subject = Subject::new(name).unwrap();
        let sessions = self.store.sessions(&subject, self.a.clock.now()).await.unwrap();
        let credentials = self.store.credentials(&subject).await.unwrap();
        let steps = credentials.iter().map(|credential| credential.last_step).collect();
        Known { sessions, credentials, steps }
    }
}

fn nodes(store: &TestStore, configure: impl Fn(StepUpBuilder) -> StepUpBuilder) -> (Site, Site) {
    crate::common::log::listen();
    let users = Users::default();
    let node = || {
        let site = Site::with(|builder| configure(store.give_to(builder).directory(users.clone())));
        Site { users: users.clone(), ..site }
    };
    (node(), node())
}

pub fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

pub async fn client(site: &Site, kind: Kind, name: &str) -> Client {
    match kind {
        Kind::Browser => site.browser(name).await,
        Kind::Spa => site.spa(name).await,
        Kind::Native => site.native(name).await,
    }
}

pub fn secret_of(flow: &Value) -> String {
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["attributes"]["id"] == "totp_secret_key").expect("a secret");
    node["attributes"]["text"]["context"]["secret"].as_str().unwrap().to_owned()
}

/// The token in the form of a page.
pub fn csrf_of(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"csrf_token\" value=\"").expect("a form");
    rest.split_once('"').unwrap().0.to_owned()
}

pub fn codes_of(flow: &Value) -> Vec<String> {
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["attributes"]["id"] == "lookup_secret_codes").expect("codes");
    let secrets = node["attributes"]["text"]["context"]["secrets"].as_array().unwrap();
    secrets.iter().map(|text| text["context"]["secret"].as_str().unwrap().to_owned()).collect()
}

/// A kind of client whose answers are JSON, but which is the same otherwise.
pub fn as_program(client: &Client) -> Client {
    let kind = if client.kind == Kind::Browser { Kind::Spa } else { client.kind };
    Client { kind, ..client.clone() }
}

impl Client {
    /// The same client, talking to this node.
    pub fn at(&self, site: &Site) -> Self {
        Self { router: site.router.clone(), ..self.clone() }
    }

    pub async fn totp(&mut self, flow: &OpenFlow, code: &str) -> Answer {
        self.submit(flow, &[("method", "totp"), ("totp_code", code)]).await
    }

    pub async fn lookup(&mut self, flow: &OpenFlow, code: &str) -> Answer {
        self.submit(flow, &[("method", "lookup_secret"), ("lookup_secret", code)]).await
    }

    /// Enrols TOTP and gives its secret.
    pub async fn enrol_totp(&mut self, site: &Site) -> String {
        let flow = self.begin("settings", "").await;
        let secret = secret_of(&flow.view);
        let answer = self.totp(&flow, &code_of(&secret, site.seconds())).await;
        self.keep_token_if_any(&answer);
        secret
    }

    /// Makes look-up codes and confirms them.
    pub async fn enrol_lookup(&mut self) -> Vec<String> {
        let flow = self.begin("settings", "").await;
        self.submit(&flow, &[("lookup_secret_regenerate", "true")]).await;
        let shown = self.read("settings", flow.id()).await.json();
        let answer = self.submit(&flow, &[("lookup_secret_confirm", "true")]).await;
        self.keep_token_if_any(&answer);
        codes_of(&shown)
    }

    pub fn keep_token_if_any(&mut self, answer: &Answer) {
        if self.kind == Kind::Native && answer.status == StatusCode::OK {
            self.keep_token(answer);
        }
    }

    /// Asks for what takes two factors. Whether the handler ran is checked too.
    #[track_caller]
    pub fn pays(&mut self, site: &Site) -> impl Future<Output = bool> {
        self.opens(site, "/payments")
    }

    pub fn opens(&mut self, site: &Site, path: &str) -> impl Future<Output = bool> {
        let path = path.to_owned();
        async move {
            site.calls.store(0, Ordering::SeqCst);
            let answer = self.at(site).get(&path).await;
            let ran = site.calls.swap(0, Ordering::SeqCst);
            assert_eq!(ran, usize::from(answer.status == StatusCode::OK), "{answer:?}");
            ran == 1
        }
    }

    /// Signed in, and no more than that.
    pub async fn assert_aal1(&mut self, site: &Site) {
        assert_eq!(self.at(site).get("/account").await.status, StatusCode::OK, "signed out");
        assert!(!self.pays(site).await, "the level rose");
    }

    pub async fn assert_dead(&mut self, site: &Site) {
        for path in ["/account", "/payments", "/sessions/whoami"] {
            let answer = as_program(self).at(site).get(path).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}: {answer:?}");
            assert_eq!(answer.error_id(), "session_inactive");
        }
    }

    /// Somebody else's view of the flow: the same form, this client's cookies and token.
    pub async fn submit_raw(&mut self, flow: &OpenFlow, fields: &[(&str, &str)]) -> Answer {
        self.post(&flow.action(), fields).await
    }
}

#[track_caller]
pub fn assert_error(answer: &Answer, status: u16, id: &str) {
    assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (status, id), "{answer:?}");
    assert!(!witness::hands_out_a_session(&answer.headers), "a refusal hands out a session: {answer:?}");
}

/// Nothing was evaluated, since too many attempts were made.
#[track_caller]
pub fn assert_locked(answer: &Answer) {
    assert!(answer.is_locked(), "{answer:?}");
    assert!(!witness::hands_out_a_session(&answer.headers), "a refusal hands out a session: {answer:?}");
}

/// 400 with the flow and this message.
#[track_caller]
pub fn assert_says(answer: &Answer, id: u64) {
    assert_eq!((answer.status.as_u16(), answer.messages()), (400, vec![id]), "{answer:?}");
    assert!(answer.headers.get("set-cookie").is_none(), "{answer:?}");
}

/// Of two requests that came at once, exactly one got through.
#[track_caller]
pub fn assert_one_passed(one: &Answer, other: &Answer) {
    let passed = [one, other].into_iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!(passed, 1, "{one:?} {other:?}");
}

/// Lets the first go so many steps before the second begins beside it. With the outcome of the first comes whether it was reached
/// before the second began.
///
/// Tried with ever more steps, the second comes at each moment at which what the first has read could be out of date.
pub async fn staggered<T>(steps: usize, first: impl Future<Output = T>, second: impl Future<Output = ()>) -> (T, bool) {
    let mut first = pin!(first);
    for _ in 0..steps {
        let mut polled = false;
        let step = poll_fn(|context| match (polled, first.as_mut().poll(context)) {
            (_, Poll::Ready(outcome)) => Poll::Ready(Some(outcome)),
            (true, Poll::Pending) => Poll::Ready(None),
            (false, Poll::Pending) => {
                polled = true;
                Poll::Pending
            }
        });
        if let Some(outcome) = step.await {
            second.await;
            return (outcome, true);
        }
    }
    let (outcome, ()) = tokio::join!(first, second);
    (outcome, false)
}

pub fn url_of(path: &str) -> String {
    format!("{ORIGIN}{path}")
}
