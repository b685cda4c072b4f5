//! An application with its companion router, and clients of every kind that talk to it without a network.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Request, StatusCode, header},
    middleware::map_request,
    routing::get,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_step_up::{
    CurrentSession, Method, RequireAal2, Requirement, RouterExt, SigningKey, StepUp, StepUpBuilder, Subject,
    clock::Clock,
    directory::{Address, Directory, DirectoryFuture, Identity},
    factor::{LookupSecrets, Password, Totp},
    store::{FlowStore, MemoryStore, SubjectStore},
    test_util::FixedClock,
};

use crate::{answers, held, witness};

pub const ORIGIN: &str = "https://bank.example";
pub const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
/// A browser's `Accept`.
pub const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Users whose password is their name and `-password`; those whose name begins with `gone` are disabled once that is set.
#[derive(Clone, Default)]
pub struct Users {
    disabled: Arc<std::sync::Mutex<Vec<String>>>,
    /// How often a password was compared.
    pub password_checks: Arc<std::sync::atomic::AtomicUsize>,
    hangs: Arc<AtomicBool>,
    /// Where codes go.
    addresses: Arc<std::sync::Mutex<BTreeMap<String, Vec<Address>>>>,
    /// Whether nobody can say where codes go.
    addresses_fail: Arc<AtomicBool>,
    /// Who reads which language.
    locales: Arc<std::sync::Mutex<BTreeMap<String, String>>>,
    /// How often that was asked.
    pub address_questions: Arc<AtomicUsize>,
}

impl Users {
    pub fn reach(&self, name: &str, addresses: impl Into<Vec<Address>>) {
        self.addresses.lock().unwrap().insert(name.to_owned(), addresses.into());
    }

    pub fn read_in(&self, name: &str, locale: &str) {
        self.locales.lock().unwrap().insert(name.to_owned(), locale.to_owned());
    }

    pub fn fail_for_addresses(&self, fail: bool) {
        self.addresses_fail.store(fail, Ordering::SeqCst);
    }

    pub fn disable(&self, name: &str) {
        self.disabled.lock().unwrap().push(name.to_owned());
    }

    /// Whether no password is ever compared to the end.
    pub fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }
}

impl Directory for Users {
    fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async move {
            let active = !self.disabled.lock().unwrap().iter().any(|name| name == subject.as_str());
            Ok(Some(Identity::new(json!({ "username": subject.as_str() })).active(active)))
        })
    }

    fn addresses<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Vec<Address>> {
        Box::pin(async move {
            self.address_questions.fetch_add(1, Ordering::SeqCst);
            if self.addresses_fail.load(Ordering::SeqCst) {
                return Err("the directory is down".into());
            }
            Ok(self.addresses.lock().unwrap().get(subject.as_str()).cloned().unwrap_or_default())
        })
    }

    fn locale<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<String>> {
        Box::pin(async move { Ok(self.locales.lock().unwrap().get(subject.as_str()).cloned()) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }

    fn check_password<'a>(&'a self, identifier: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        Box::pin(async move {
            self.password_checks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let right = password == format!("{identifier}-password");
            Ok(right.then(|| Subject::new(identifier).unwrap()))
        })
    }
}

/// The application.
#[derive(Clone)]
pub struct Site {
    pub step_up: StepUp,
    pub clock: FixedClock,
    pub users: Users,
    /// How often a handler of the application ran.
    pub calls: Arc<AtomicUsize>,
    pub router: Router,
}

impl Site {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// With a password factor, so that first factors can be proven by a flow too.
    pub fn with_password() -> Self {
        Self::with(|builder| builder.factor(Password::default()))
    }

    pub fn with(configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> Self {
        Self::on(MemoryStore::default(), configure)
    }

    pub fn on<S>(store: S, configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> Self
    where
        S: SubjectStore + FlowStore,
    {
        let clock = FixedClock::default();
        let users = Users::default();
        let builder = StepUp::builder(ORIGIN)
            .signing_key(SigningKey::hs256("2026-11", b"signs in tests and nowhere else.").unwrap())
            .store(store)
            .clock(clock.clone())
            .directory(users.clone())
            .audit(witness::hear)
            .factor(Totp::new("Example Bank"))
            .factor(LookupSecrets::default());
        Self::of(configure(builder).build().unwrap(), clock, users)
    }

    /// The application around this step-up.
    pub fn of(step_up: StepUp, clock: FixedClock, users: Users) -> Self {
        let five_minutes = Requirement::aal2().max_age(Duration::from_secs(300));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = |text: &'static str| {
            let calls = Arc::clone(&calls);
            move || async move {
                calls.fetch_add(1, Ordering::SeqCst);
                witness::handler_runs();
                text
            }
        };
        let router = Router::new()
            .route("/account", get(|user: CurrentSession| async move { user.subject().to_string() }))
            .route("/payments", get(counted("payments")).layer(RequireAal2))
            .route_requiring("/transfer", five_minutes, get(counted("form")).post(counted("sent")))
            .route_requiring("/limits", Requirement::highest_available(), get(counted("limits")))
            .merge(step_up.router())
            .layer(step_up.layer());
        Self { step_up, clock, users, calls, router }
    }

    /// The code that the authenticator app shows now.
    pub fn code(&self) -> String {
        code_of(SECRET, self.seconds())
    }

    pub fn seconds(&self) -> u64 {
        u64::try_from(self.clock.now().unix_seconds()).unwrap()
    }

    /// Lets the time of one code pass.
    pub fn next_code(&self) -> String {
        self.clock.advance(Duration::from_secs(30));
        self.code()
    }

    pub async fn enrol(&self, name: &str) {
        self.step_up.import_totp(&Subject::new(name).unwrap(), SECRET).await.unwrap();
    }

    /// Somebody at a browser who has proven a password.
    pub async fn browser(&self, name: &str) -> Client {
        let signed_in = self.step_up.sign_in(Subject::new(name).unwrap(), Method::Password).await.unwrap();
        let mut client = Client::new(self, Kind::Browser);
        client.keep_cookie(signed_in.cookie().to_str().unwrap());
        client
    }

    /// The same person in a single-page application.
    pub async fn spa(&self, name: &str) -> Client {
        Client { kind: Kind::Spa, ..self.browser(name).await }
    }

    /// The same person with a native application.
    pub async fn native(&self, name: &str) -> Client {
        let signed_in = self.step_up.sign_in(Subject::new(name).unwrap(), Method::Password).await.unwrap();
        Client { token: Some(signed_in.token().as_str().to_owned()), ..Client::new(self, Kind::Native) }
    }

    pub fn stranger(&self, kind: Kind) -> Client {
        Client::new(self, kind)
    }
}

/// The code of a base32 secret at a time.
pub fn code_of(secret: &str, seconds: u64) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    totp_rs::Builder::new().with_secret(secret).build().unwrap().generate(seconds).to_string()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Shows pages, keeps cookies, does not follow redirects by itself here.
    Browser,
    /// A program in a browser: JSON and cookies.
    Spa,
    /// A program of its own: JSON and a session token.
    Native,
}

pub const KINDS: [Kind; 3] = [Kind::Browser, Kind::Spa, Kind::Native];

/// A client with its cookies or token.
#[derive(Clone)]
pub struct Client {
    pub router: Router,
    pub kind: Kind,
    pub cookies: BTreeMap<String, String>,
    pub token: Option<String>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{self:?}");
        self.headers[header::LOCATION].to_str().unwrap()
    }

    pub fn error_id(&self) -> String {
        self.json()["error"]["id"].as_str().unwrap_or_default().to_owned()
    }

    /// The ids of the global messages of a flow.
    pub fn messages(&self) -> Vec<u64> {
        ids(&self.json()["ui"]["messages"])
    }

    /// Whether too many attempts were made: the flow says so to browsers, an error to programs.
    pub fn is_locked(&self) -> bool {
        let told = match self.status.as_u16() {
            429 => self.error_id() == "security_too_many_attempts",
            // Others who write the flow at the same moment may say something too.
            400 => self.messages().contains(&4_990_001),
            _ => false,
        };
        told && self.headers.contains_key("retry-after")
    }

    /// The ids of the messages on a node.
    pub fn node_messages(&self, name: &str) -> Vec<u64> {
        ids(&self.node(name)["messages"])
    }

    pub fn node(&self, name: &str) -> Value {
        let flow = self.json();
        let nodes = flow["ui"]["nodes"].as_array().unwrap();
        let own = |node: &&Value| node["attributes"]["name"] == name || node["attributes"]["id"] == name;
        nodes.iter().find(own).cloned().unwrap_or_else(|| panic!("no node {name}: {flow}"))
    }

    /// `group: name` of every node, in order.
    pub fn nodes(&self) -> Vec<String> {
        let flow = self.json();
        let name = |node: &Value| {
            let attributes = &node["attributes"];
            let name = attributes["name"].as_str().or(attributes["id"].as_str()).unwrap().to_owned();
            format!("{}: {name}", node["group"].as_str().unwrap())
        };
        flow["ui"]["nodes"].as_array().unwrap().iter().map(name).collect()
    }
}

fn ids(messages: &Value) -> Vec<u64> {
    messages.as_array().map(|list| list.iter().map(|text| text["id"].as_u64().unwrap()).collect()).unwrap_or_default()
}

impl Client {
    fn new(site: &Site, kind: Kind) -> Self {
        Self { router: site.router.clone(), kind, cookies: BTreeMap::new(), token: None }
    }

    pub fn keep_cookie(&mut self, set_cookie: &str) {
        let cookie = cookie::Cookie::parse(set_cookie.to_owned()).unwrap();
        if cookie.max_age() == Some(cookie::time::Duration::ZERO) {
            self.cookies.remove(cookie.name());
        } else {
            self.cookies.insert(cookie.name().to_owned(), cookie.value().to_owned());
        }
    }

    /// The same client, whose requests have these headers too.
    pub fn sending(self, headers: &[(&'static str, &[u8])]) -> Self {
        let known = |&(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        let headers: HeaderMap = headers.iter().map(known).collect();
        let add = move |mut request: axum::extract::Request| {
            request.headers_mut().extend(headers.clone());
            std::future::ready(request)
        };
        Self { router: self.router.layer(map_request(add)), ..self }
    }

    pub fn session_cookie(&self) -> Option<&str> {
        self.cookies.get("__Host-step_up_session").map(String::as_str)
    }

    /// A request with what this kind of client always sends.
    pub fn request(&self, method: HttpMethod, path: &str) -> axum::http::request::Builder {
        let path = path.strip_prefix(ORIGIN).unwrap_or(path);
        let mut request = Request::builder().method(method).uri(path);
        let accept = if self.kind == Kind::Browser { BROWSER } else { "application/json" };
        request = request.header(header::ACCEPT, accept);
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        if let Some(token) = &self.token {
            request = request.header("x-session-token", token);
        }
        request
    }

    pub async fn send(&mut self, request: Request<Body>) -> Answer {
        let (response, seen) = witness::watch(self.router.clone().oneshot(request)).await;
        let (parts, body) = response.unwrap().into_parts();
        seen.assert_fits(parts.status, &parts.headers);
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            self.keep_cookie(cookie.to_str().unwrap());
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        answers::assert_readable(&parts.headers, text.as_bytes());
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(HttpMethod::GET, path).body(Body::empty()).unwrap();
        self.send(request).await
    }

    /// Sends fields: as a form from a browser, as JSON from a program.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let (request, body) = self.filled(path, fields);
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// The head and the body of a request that sends fields.
    pub fn filled(&self, path: &str, fields: &[(&str, &str)]) -> (axum::http::request::Builder, String) {
        let mut request = self.request(HttpMethod::POST, path);
        let body = if self.kind == Kind::Browser {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            request = request.header(header::ORIGIN, ORIGIN).header("sec-fetch-site", "same-origin");
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
        } else {
            request = request.header(header::CONTENT_TYPE, "application/json");
            let object: serde_json::Map<_, _> =
                fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            Value::Object(object).to_string()
        };
        (request, body)
    }

    /// The same as [`post`](Self::post), but the body is held back, and sent only after all this.
    pub async fn post_late(&mut self, path: &str, fields: &[(&str, &str)], meanwhile: impl AsyncFnOnce()) -> Answer {
        let (request, body) = self.filled(path, fields);
        let (held, holder) = held::held();
        let request = request.body(Body::new(held)).unwrap();
        let (answer, ()) = tokio::join!(self.send(request), async {
            holder.asked().await;
            meanwhile().await;
            holder.send(body);
        });
        answer
    }

    pub async fn delete(&mut self, path: &str, body: &str) -> Answer {
        let request = self.request(HttpMethod::DELETE, path).header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.send(request).await
    }

    /// Begins a flow of a kind (`login` or `settings`) and reads it as JSON, whatever the client.
    pub async fn begin(&mut self, kind: &str, query: &str) -> OpenFlow {
        let endpoint = if self.kind == Kind::Native { "api" } else { "browser" };
        let begun = self.get(&format!("/self-service/{kind}/{endpoint}{query}")).await;
        let flow = if self.kind == Kind::Browser {
            let id = begun.location().rsplit_once("flow=").unwrap_or_else(|| panic!("no flow: {begun:?}")).1.to_owned();
            self.read(kind, &id).await.json()
        } else {
            assert_eq!(begun.status, StatusCode::OK, "{begun:?}");
            begun.json()
        };
        OpenFlow { kind: kind.to_owned(), view: flow }
    }

    /// Reads a flow.
    pub async fn read(&mut self, kind: &str, id: &str) -> Answer {
        self.get(&format!("/self-service/{kind}/flows?id={id}")).await
    }

    /// Submits fields to a flow, with its CSRF token.
    pub async fn submit(&mut self, flow: &OpenFlow, fields: &[(&str, &str)]) -> Answer {
        let csrf = flow.csrf();
        let mut fields = fields.to_vec();
        if self.kind != Kind::Native {
            fields.push(("csrf_token", &csrf));
        }
        self.post(&flow.action(), &fields).await
    }

    /// Takes over the token that an answer brought.
    pub fn keep_token(&mut self, answer: &Answer) {
        if self.kind == Kind::Native {
            let body = answer.json();
            let given = body["session_token"].as_str().or(body["continue_with"][0]["ory_session_token"].as_str());
            self.token = Some(given.expect("no token").to_owned());
        }
    }

    /// Takes over the token that an answer brought, if this client has one.
    pub fn keep_token_of(&mut self, answer: &Answer) {
        if self.kind == Kind::Native {
            self.keep_token(answer);
        }
    }

    /// Steps up by TOTP and takes over the new token.
    pub async fn step_up(&mut self, code: &str) -> Answer {
        let flow = self.begin("login", "?aal=aal2").await;
        let answer = self.submit(&flow, &[("method", "totp"), ("totp_code", code)]).await;
        if answer.status == StatusCode::OK {
            self.keep_token(&answer);
        }
        answer
    }

    /// The same client with its token in `Authorization`, as others than Ory's send it.
    pub fn bearer(&self, method: HttpMethod, path: &str) -> axum::http::request::Builder {
        let token = self.token.as_deref().unwrap_or("no-token");
        Client { token: None, ..self.clone() }.request(method, path).header("authorization", format!("Bearer {token}"))
    }

    pub async fn whoami(&mut self) -> Answer {
        self.get("/sessions/whoami").await
    }
}

/// A flow as it was read.
pub struct OpenFlow {
    kind: String,
    pub view: Value,
}

impl OpenFlow {
    pub fn id(&self) -> &str {
        self.view["id"].as_str().unwrap()
    }

    pub fn action(&self) -> String {
        let action = format!("{ORIGIN}/self-service/{}?flow={}", self.kind, self.id());
        assert_eq!(self.view["ui"]["action"], action.as_str());
        action
    }

    pub fn csrf(&self) -> String {
        let nodes = self.view["ui"]["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|node| node["attributes"]["name"] == "csrf_token");
        node.and_then(|node| node["attributes"]["value"].as_str()).unwrap_or_default().to_owned()
    }

    /// The ids of the global messages.
    pub fn messages(&self) -> Vec<u64> {
        ids(&self.view["ui"]["messages"])
    }

    pub fn nodes(&self) -> Vec<String> {
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), text: self.view.to_string() }.nodes()
    }
}
