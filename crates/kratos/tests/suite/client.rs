//! Clients of Kratos and of the application: a native one with a token, and a browser with cookies.

use std::{collections::BTreeMap, sync::OnceLock};

use http::{HeaderMap, Method};
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::server::{Server, User};

pub const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn location(&self) -> &str {
        self.headers.get("location").map_or("", |value| value.to_str().unwrap())
    }

    fn want(self, status: &[u16]) -> Self {
        assert!(status.contains(&self.status), "{status:?}: {} {}", self.status, self.text());
        self
    }
}

/// Follows nothing and keeps nothing.
pub async fn send(method: Method, url: &str, headers: &[(&str, &str)], body: Option<(&str, String)>) -> Answer {
    static HTTP: OnceLock<reqwest::Client> = OnceLock::new();
    // Each test has a runtime of its own, so no connection may outlive it.
    let http = HTTP.get_or_init(|| {
        let builder = reqwest::Client::builder().redirect(Policy::none()).no_proxy().pool_max_idle_per_host(0);
        builder.build().unwrap()
    });
    let mut request = http.request(method, url);
    for &(name, value) in headers {
        request = request.header(name, value);
    }
    if let Some((kind, body)) = body {
        request = request.header("content-type", kind).body(body);
    }
    let response = request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Native,
    Browser,
}

#[derive(Clone)]
pub struct Client<'a> {
    pub server: &'a Server,
    pub kind: Kind,
    pub token: Option<String>,
    pub cookies: BTreeMap<String, String>,
}

impl<'a> Client<'a> {
    pub fn new(server: &'a Server, kind: Kind) -> Self {
        Self { server, kind, token: None, cookies: BTreeMap::new() }
    }

    pub async fn signed_in(server: &'a Server, kind: Kind, user: &User) -> Self {
        let mut client = Self::new(server, kind);
        let done = client.flow("login", "", |_| user.first_factor()).await;
        client.adopt(&done.want(&[200, 422]));
        client
    }

    /// Both factors.
    pub async fn stepped_up(server: &'a Server, kind: Kind, user: &User) -> Self {
        let mut client = Self::signed_in(server, kind, user).await;
        client.step_up(user, "aal=aal2").await;
        client
    }

    pub async fn step_up(&mut self, user: &User, query: &str) {
        let code = self.server.code(user);
        let done = self.flow("login", query, |_| json!({ "method": "totp", "totp_code": code })).await;
        self.adopt(&done.want(&[200]));
    }

    /// Enrols an authenticator app, which lifts this session.
    pub async fn enrol(&mut self, user: &mut User) {
        let server = self.server;
        let done = self.flow("settings", "", |flow| {
            user.secret = Some(secret_of(flow));
            json!({ "method": "totp", "totp_code": server.code(user) })
        });
        let done = done.await.want(&[200]);
        self.adopt(&done);
    }

    pub async fn remove_factor(&mut self) {
        let done = self.flow("settings", "", |_| json!({ "method": "totp", "totp_unlink": true })).await;
        self.adopt(&done.want(&[200]));
    }

    pub async fn log_out(&mut self) {
        let url = &self.server.url;
        if let Some(token) = &self.token {
            let body = json!({ "session_token": token }).to_string();
            let url = format!("{url}/self-service/logout/api");
            send(Method::DELETE, &url, &[], Some(("application/json", body))).await.want(&[204]);
            return;
        }
        let made = self.call(Method::GET, &format!("{url}/self-service/logout/browser"), None).await.want(&[200]);
        let token = made.json()["logout_token"].as_str().unwrap().to_owned();
        let url = format!("{url}/self-service/logout?token={token}");
        // The cookie stays here: a thief would keep it.
        let kept = self.cookies.clone();
        self.call(Method::GET, &url, None).await.want(&[204]);
        self.cookies = kept;
    }

    /// A flow from its beginning to its submit.
    pub async fn flow(&mut self, name: &str, query: &str, answer: impl FnOnce(&Value) -> Value) -> Answer {
        let client = if self.kind == Kind::Native { "api" } else { "browser" };
        let begin = format!("{}/self-service/{name}/{client}?{query}", self.server.url);
        self.flow_at(&begin, answer).await
    }

    pub async fn flow_at(&mut self, begin: &str, answer: impl FnOnce(&Value) -> Value) -> Answer {
        let flow = self.call(Method::GET, begin, None).await.want(&[200]).json();
        let mut answer = answer(&flow);
        if self.kind == Kind::Browser {
            answer["csrf_token"] = csrf_of(&flow);
        }
        let body = Some(("application/json", answer.to_string()));
        self.call(Method::POST, flow["ui"]["action"].as_str().unwrap(), body).await
    }

    /// A call of Kratos by a program: a native client, or a page's script.
    pub async fn call(&mut self, method: Method, url: &str, body: Option<(&str, String)>) -> Answer {
        let script = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-origin")];
        let origin = self.server.url.clone();
        let mut headers = vec![("accept", "application/json")];
        if self.kind == Kind::Browser {
            headers.extend(script);
            if method != Method::GET {
                headers.push(("origin", &origin));
            }
        }
        self.send(method, url, headers, body).await
    }

    pub async fn send(
        &mut self,
        method: Method,
        url: &str,
        mut headers: Vec<(&str, &str)>,
        body: Option<(&str, String)>,
    ) -> Answer {
        let cookies = self.cookie_header();
        if let Some(token) = &self.token {
            headers.push(("x-session-token", token));
        } else if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let answer = send(method, url, &headers, body).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            if self.kind == Kind::Browser {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        self.cookies.retain(|_, value| !value.is_empty());
        answer
    }

    fn cookie_header(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Takes the token of a success, as native clients must.
    pub fn adopt(&mut self, done: &Answer) {
        if self.kind == Kind::Native && !done.body.is_empty() {
            let body = done.json();
            let mut rotated = body["continue_with"].as_array().into_iter().flatten();
            let rotated = rotated.find_map(|next| next["ory_session_token"].as_str());
            self.token = body["session_token"].as_str().or(rotated).map(str::to_owned).or(self.token.take());
        }
    }

    /// What the client sends to the application: all its cookies, or its token.
    pub fn credential(&self) -> (&'static str, String) {
        match &self.token {
            Some(token) => ("x-session-token", token.clone()),
            None => ("cookie", self.cookie_header()),
        }
    }

    /// The session cookie or token alone.
    pub fn secret(&self) -> &str {
        self.token.as_deref().unwrap_or_else(|| &self.cookies[&self.server.cookie_name])
    }
}

pub fn csrf_of(flow: &Value) -> Value {
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let csrf = nodes.iter().find(|node| node["attributes"]["name"] == "csrf_token");
    csrf.map_or(Value::Null, |node| node["attributes"]["value"].clone())
}

/// The secret of an authenticator app, as the settings show it.
fn secret_of(flow: &Value) -> String {
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let texts = nodes.iter().map(|node| &node["attributes"]["text"]);
    let text = texts.into_iter().find(|text| text["id"] == 1_050_006).unwrap();
    text["context"]["secret"].as_str().unwrap_or_else(|| text["text"].as_str().unwrap()).to_owned()
}
