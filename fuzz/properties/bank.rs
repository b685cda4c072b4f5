//! The companion router with its own store: three users, requests of every kind of client, and what every answer must fulfil.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderValue, Request, StatusCode},
};
use serde_json::Value;
use tower_service::Service;

use super::world::{
    COOKIE, LOOKUP_CODES, NOW, PASSWORD, block_on, builder, credential_id, credentials, password, session, subject,
    totp,
};
use crate::{
    aal::Aal,
    session::StoredSession,
    step_up::StepUp,
    store::{Completed, Completion, Credential, CredentialChange},
};

/// The first has both second factors and has proven none, the second has proven one, the third has none.
pub(super) const NAMES: [&str; 3] = ["kim", "lee", "mia"];

/// The CSRF token, 32 times 5, and the form's value: 32 times 1, then both combined. It has no character that is special in a form.
const CSRF_COOKIE: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
pub(super) const CSRF_FIELD: &str =
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBA==";

pub(super) struct Bank {
    pub(super) step_up: StepUp,
    router: Router,
    /// What each user's client holds.
    pub(super) tokens: [String; 3],
}

/// What the store knows of a user, and the level of each session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) sessions: Vec<(StoredSession, Aal)>,
    pub(super) credentials: Vec<Credential>,
}

impl Known {
    /// How many single-use secrets are used up.
    pub(super) fn spent(&self) -> usize {
        self.credentials.iter().flat_map(|credential| &credential.secrets).filter(|one| one.used_at.is_some()).count()
    }

    pub(super) fn level(&self) -> Aal {
        self.sessions.iter().map(|(_, level)| *level).max().unwrap_or_default()
    }
}

/// The client and its user.
#[derive(Clone, Copy, Debug)]
pub(super) enum Client {
    Browser(Option<usize>),
    Native(Option<usize>),
}

impl Client {
    pub(super) const fn user(self) -> Option<usize> {
        match self {
            Self::Browser(user) | Self::Native(user) => user,
        }
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Bank {
    pub(super) fn new() -> Self {
        thread_local!(static CREDENTIALS: [[Credential; 2]; 2] = [credentials("kim", 20), credentials("lee", 10)]);
        let step_up = builder().build().unwrap();
        let sessions = [
            session("kim", 1, vec![password()]),
            session("lee", 2, vec![password(), totp(credential_id(10))]),
            session("mia", 3, vec![password()]),
        ];
        let stores = &step_up.engine().stores;
        block_on(async {
            for session in &sessions {
                stores.create_session(session).await.unwrap();
            }
            for (name, credentials) in NAMES.into_iter().zip(CREDENTIALS.with(Clone::clone)) {
                let mut completion = Completion::new(subject(name), NOW);
                completion.credentials = credentials.map(CredentialChange::Add).to_vec();
                assert_eq!(stores.apply(completion).await.unwrap(), Completed::Done);
            }
        });
        let tokens = sessions
            .map(|session| step_up.engine().sessions.keys.mint(&session, Aal::Aal1).unwrap().as_str().to_owned());
        let router = Router::new().merge(step_up.router()).layer(step_up.layer());
        Self { step_up, router, tokens }
    }

    pub(super) fn known(&self) -> [Known; 3] {
        let engine = self.step_up.engine();
        NAMES.map(|name| {
            let subject = subject(name);
            let credentials = block_on(engine.stores.credentials(&subject)).unwrap();
            let standing = engine.judge(credentials.iter().map(|credential| credential.summary).collect());
            let sessions = block_on(engine.stores.sessions(&subject, NOW)).unwrap();
            let sessions = sessions.into_iter().map(|session| {
                let level = standing.level(session.as_ref(), NOW);
                (session, level)
            });
            Known { sessions: sessions.collect(), credentials }
        })
    }

    /// Sends the request as this client, and checks what every answer must fulfil.
    pub(super) fn send(&mut self, client: Client, json: bool, mut request: Request<Body>) -> Answer {
        let headers = request.headers_mut();
        let csrf = format!("{}={CSRF_COOKIE}", self.step_up.engine().sessions.cookies.csrf);
        let mut set = |name: &'static str, value: &str| headers.insert(name, HeaderValue::from_str(value).unwrap());
        match client {
            Client::Browser(Some(user)) => {
                set("cookie", &format!("{COOKIE}={}; {csrf}", self.tokens[user]));
            }
            Client::Browser(None) => {
                set("cookie", &csrf);
            }
            Client::Native(Some(user)) => {
                set("x-session-token", &self.tokens[user]);
            }
            Client::Native(None) => {}
        }
        set("accept", if json { "application/json" } else { "text/html" });
        let answer = block_on(async {
            let (parts, body) = self.router.call(request).await.unwrap().into_parts();
            Answer { status: parts.status, headers: parts.headers, body: to_bytes(body, usize::MAX).await.unwrap() }
        });
        answer.check(&self.step_up);
        answer
    }

    pub(super) fn get(&mut self, client: Client, json: bool, path: &str) -> Answer {
        self.send(client, json, Request::get(path).body(Body::empty()).unwrap())
    }
}

/// The elements of the built-in pages. None of them can run a script.
const ELEMENTS: [&str; 26] = [
    "!doctype",
    "a",
    "body",
    "button",
    "code",
    "figcaption",
    "figure",
    "form",
    "h1",
    "h2",
    "head",
    "header",
    "html",
    "img",
    "input",
    "label",
    "li",
    "link",
    "main",
    "meta",
    "ol",
    "p",
    "section",
    "span",
    "strong",
    "title",
];

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn check(&self, step_up: &StepUp) {
        assert!(self.header("cache-control").contains("no-store"), "{self:?}");
        let text = std::str::from_utf8(&self.body).unwrap();
        for secret in LOOKUP_CODES.into_iter().chain([PASSWORD]) {
            assert!(!text.contains(secret), "what was sent comes back: {self:?}");
        }
        if self.header("content-type").starts_with("text/html") {
            for element in text.split('<').skip(1) {
                let name = element.trim_start_matches('/');
                let end = name.find(|character: char| !character.is_ascii_alphanumeric() && character != '!');
                assert!(ELEMENTS.contains(&&name[..end.unwrap_or(name.len())]), "<{element}");
            }
        } else if !text.is_empty() {
            assert!(self.header("content-type").starts_with("application/json"), "{self:?}");
            let json: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(json["error"].is_object(), json["error"]["code"] == self.status.as_u16(), "{self:?}");
            for url in [&json["return_to"], &json["error"]["details"]["return_to"]] {
                assert!(url.as_str().is_none_or(|url| step_up.return_url(url).is_some()), "{url}");
            }
        }
        if let Some(url) = self.headers.get("location") {
            assert!(url.as_bytes().starts_with(b"https://bank.example/"), "{url:?}");
        }
    }

    /// The cookies that it sets, as the next request brings them.
    pub(super) fn cookies(&self) -> HeaderMap {
        let set = self.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()?.split(';').next());
        set.map(|pair| (axum::http::header::COOKIE, HeaderValue::from_str(pair).unwrap())).collect()
    }

    /// The session that the answer hands out.
    pub(super) fn token(&self) -> Option<String> {
        let cookies = self.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
        let in_cookie = cookies.filter_map(|cookie| cookie.strip_prefix(COOKIE)?.strip_prefix('=')?.split(';').next());
        let json = self.json();
        let in_body = [&json["session_token"], &json["continue_with"][0]["ory_session_token"]];
        in_cookie.chain(in_body.into_iter().filter_map(Value::as_str)).next().map(str::to_owned)
    }
}
