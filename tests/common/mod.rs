//! What the tests share: a bank with a clock that stands still, a store that can fail, users at any level, requests, and a log that
//! can be read.

#![allow(dead_code, reason = "each test uses its own part")]
#![allow(unreachable_pub, missing_docs, reason = "not a library")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

pub mod log;
pub mod store;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Service, ServiceExt};
use tower_step_up::{
    Aal, Method, SignedIn, SigningKey, StepUp, StepUpBuilder, Subject,
    aal::{CredentialId, Proof},
    clock::{Clock, Timestamp},
    factor::Totp,
    session::StoredSession,
    standing::CredentialSummary,
    store::{Completed, Completion, Credential, CredentialChange, Revocation, SubjectStore},
};

use self::store::TestStore;

pub const COOKIE: &str = "__Host-step_up_session";
pub const NO_STORE: &str = "private, no-cache, no-store, must-revalidate";
pub const VARY: &str = "Cookie, Authorization, X-Session-Token, Accept, HX-Request, X-Requested-With, Sec-Fetch-Mode, \
                        Sec-Fetch-Dest, Sec-Fetch-Site";
/// A browser's `Accept`.
pub const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_milliseconds(self.0.load(Ordering::SeqCst))
    }
}

/// An application with its step-up.
pub struct Bank {
    pub step_up: StepUp,
    pub clock: TestClock,
    pub store: TestStore,
    /// How often a handler ran.
    pub calls: Calls,
}

impl Bank {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub fn with(configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> Self {
        Self::on(TestStore::default(), configure)
    }

    pub fn on(store: TestStore, configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> Self {
        let clock = TestClock(Arc::new(AtomicI64::new(1_800_000_000_000)));
        let builder = StepUp::builder("https://bank.example")
            .signing_key(SigningKey::hs256("2026-11", b"signs in tests and nowhere else.").unwrap())
            .clock(clock.clone())
            .factor(Totp::new("Example Bank"));
        let builder = store.give_to(builder);
        Self { step_up: configure(builder).build().unwrap(), clock, store, calls: Calls::default() }
    }

    /// Who has proven a password, and has no second factor.
    pub async fn without_factor(&self, name: &str) -> User {
        User(self.step_up.sign_in(Subject::new(name).unwrap(), Method::Password).await.unwrap())
    }

    /// Who has proven a password, and has a second factor.
    pub async fn aal1(&self, name: &str) -> User {
        let user = self.without_factor(name).await;
        self.enrol(&user).await;
        user
    }

    /// Who has proven both just now.
    pub async fn aal2(&self, name: &str) -> User {
        let user = self.without_factor(name).await;
        let credential = self.enrol(&user).await;
        self.prove(&user, Proof::new(Method::Totp, Aal::Aal2, self.clock.now()).with_credential(credential)).await;
        user
    }

    pub async fn enrol(&self, user: &User) -> CredentialId {
        let id = self.enrol_elsewhere(user).await;
        self.step_up.forget(&user.subject());
        id
    }

    /// On another process, so that this one goes on remembering what it read.
    pub async fn enrol_elsewhere(&self, user: &User) -> CredentialId {
        let summary = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
        let credential = Credential::new(summary, self.clock.now());
        let mut completion = Completion::new(user.subject(), self.clock.now());
        completion.credentials.push(CredentialChange::Replace(credential));
        assert_eq!(self.store.complete(&completion).await.unwrap(), Completed::Done);
        summary.id
    }

    /// Adds a proof to the stored session, under the same id: what a session has proven is what the store says, not the token.
    pub async fn prove(&self, user: &User, proof: Proof) {
        let subject = user.subject();
        let old = self.store.standing(&subject, user.0.session().id()).await.unwrap().unwrap().session;
        let new = old.renewed(proof, self.clock.now(), Duration::from_secs(86_400), None);
        let new = StoredSession::from_parts(
            old.id(),
            subject.clone(),
            old.binding(),
            new.proofs().to_vec(),
            old.issued_at(),
            new.expires_at(),
        );
        self.store.revoke(&subject, Revocation::One(old.id())).await.unwrap();
        self.store.create_session(&new).await.unwrap();
        self.step_up.forget(&subject);
    }
}

/// Somebody who is signed in.
pub struct User(pub SignedIn);

impl User {
    pub fn subject(&self) -> Subject {
        self.0.session().subject().clone()
    }

    pub fn token(&self) -> &str {
        self.0.token().as_str()
    }

    /// The `Cookie` header.
    pub fn cookie(&self) -> String {
        format!("{COOKIE}={}", self.token())
    }

    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token())
    }
}

/// Counts the calls of handlers.
#[derive(Clone, Default)]
pub struct Calls(Arc<AtomicUsize>);

impl Calls {
    pub fn one(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// How many since the last time it was asked.
    pub fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The header's values, joined.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn error_id(&self) -> String {
        self.json()["error"]["id"].as_str().unwrap_or_default().to_owned()
    }

    /// `Location`, with the parts of its query.
    pub fn location(&self) -> (String, Vec<(String, String)>) {
        split(&self.header("location").unwrap_or_else(|| panic!("no Location: {self:?}")))
    }

    /// No one may keep it, and it says what it depends on.
    #[track_caller]
    pub fn assert_private(&self) {
        assert_eq!(self.header("cache-control").as_deref(), Some(NO_STORE), "{self:?}");
        assert_eq!(self.header("vary").as_deref(), Some(VARY), "{self:?}");
    }
}

/// A URL without its query, and the parts of that.
pub fn split(url: &str) -> (String, Vec<(String, String)>) {
    let mut url = url::Url::parse(url).unwrap();
    let query = url.query_pairs().into_owned().collect();
    url.set_query(None);
    (url.into(), query)
}

pub fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A body that may not be read.
#[derive(Default)]
pub struct Untouchable;

impl Body for Untouchable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read");
    }
}

/// A request with an empty body.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for &(name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Full::default()).unwrap()
}

/// The answer to a request.
pub async fn send<S, R, B>(service: &S, request: Request<R>) -> Answer
where
    S: Service<Request<R>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let Ok(response) = service.clone().oneshot(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}
