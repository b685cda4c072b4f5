//! A browser, with what it does of cookies.

use std::collections::BTreeMap;

use axum::{Router, body::Body};
use http::Request;
use serde_json::{Value, json};

use crate::common::{Answer, BROWSER, COOKIE, send};

#[derive(Clone, Default)]
pub struct Browser {
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    /// The application's cookie alone, as a thief has it.
    pub fn only_of_host(&self) -> Self {
        let cookies = self.cookies.iter().filter(|(name, _)| *name == crate::host::COOKIE);
        Self { cookies: cookies.map(|(name, value)| (name.clone(), value.clone())).collect() }
    }

    pub fn has_token(&self) -> bool {
        self.cookies.contains_key(COOKIE)
    }

    pub fn host_id(&self) -> String {
        self.cookies[crate::host::COOKIE].clone()
    }

    fn request(&self, method: &str, path: &str, accept: &str, body: Option<&Value>) -> Request<Body> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder().method(method).uri(path).header("accept", accept);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).unwrap()
    }

    /// Takes over what the answer sets.
    pub fn take(&mut self, answer: Answer) -> Answer {
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub async fn ask(&mut self, app: &Router, method: &str, path: &str, accept: &str) -> Answer {
        let answer = send(app, self.request(method, path, accept, None)).await;
        self.take(answer)
    }

    pub async fn get(&mut self, app: &Router, path: &str) -> Answer {
        self.ask(app, "GET", path, "application/json").await
    }

    pub async fn open(&mut self, app: &Router, path: &str) -> Answer {
        self.ask(app, "GET", path, BROWSER).await
    }

    pub async fn post(&mut self, app: &Router, path: &str) -> Answer {
        self.ask(app, "POST", path, "application/json").await
    }

    pub async fn submit(&mut self, app: &Router, path: &str, body: &Value) -> Answer {
        let answer = send(app, self.request("POST", path, "application/json", Some(body))).await;
        self.take(answer)
    }

    /// Begins a flow, and returns where it is submitted and its CSRF token.
    pub async fn begin(&mut self, app: &Router, path: &str) -> (String, String) {
        let flow = self.get(app, path).await;
        assert_eq!(flow.status, 200, "{flow:?}");
        let flow = flow.json();
        let nodes = flow["ui"]["nodes"].as_array().unwrap();
        let csrf = nodes.iter().find(|node| node["attributes"]["name"] == "csrf_token").unwrap();
        let action = flow["ui"]["action"].as_str().unwrap().strip_prefix("https://bank.example").unwrap();
        (action.to_owned(), csrf["attributes"]["value"].as_str().unwrap().to_owned())
    }
}

pub const STEP_UP: &str = "/self-service/login/browser?aal=aal2";

pub fn totp(csrf: &str, code: &str) -> Value {
    json!({ "method": "totp", "totp_code": code, "csrf_token": csrf })
}
