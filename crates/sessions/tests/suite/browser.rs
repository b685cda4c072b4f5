//! A browser without a network.

use std::collections::BTreeMap;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header, request::Builder},
};
use serde_json::Value;
use tower::ServiceExt;

use crate::site::{ORIGIN, Site};

const NAVIGATION: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn is(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Where it redirects to, without the origin.
    #[track_caller]
    pub fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{self:?}");
        let place = self.headers[header::LOCATION].to_str().unwrap();
        place.strip_prefix(ORIGIN).unwrap_or(place)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn error_id(&self) -> String {
        self.json()["error"]["id"].as_str().unwrap_or_default().to_owned()
    }

    /// The names of the cookies that it sets or removes.
    pub fn cookies(&self) -> Vec<String> {
        let set = self.headers.get_all(header::SET_COOKIE).iter();
        set.map(|cookie| cookie.to_str().unwrap().split('=').next().unwrap().to_owned()).collect()
    }
}

/// A browser with its cookies. It does not follow redirects by itself.
#[derive(Clone)]
pub struct Browser {
    pub site: Site,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    fn request(&self, method: &str, path: &str, accept: &str) -> Builder {
        let path = path.strip_prefix(ORIGIN).unwrap_or(path);
        let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        if method != "GET" {
            request = request.header(header::ORIGIN, ORIGIN).header("sec-fetch-site", "same-origin");
        }
        request
    }

    async fn send(&mut self, request: Builder, body: String) -> Answer {
        let response = self.site.app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let mut attributes = cookie.to_str().unwrap().split("; ");
            let (name, value) = attributes.next().unwrap().split_once('=').unwrap();
            if attributes.any(|attribute| attribute == "Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// Goes to a page.
    pub async fn get(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path, NAVIGATION);
        self.send(request, String::new()).await
    }

    /// Reads something, as a script of a page does.
    pub async fn fetch(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path, "application/json");
        self.send(request, String::new()).await
    }

    pub async fn post(&mut self, path: &str) -> Answer {
        self.post_form(path, &[]).await
    }

    pub async fn post_form(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.request("POST", path, NAVIGATION);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(request, body).await
    }

    /// Follows redirects, to a page that answers otherwise.
    pub async fn follow(&mut self, path: &str) -> (String, Answer) {
        let mut path = path.to_owned();
        for _ in 0..10 {
            let answer = self.get(&path).await;
            if answer.status != StatusCode::SEE_OTHER {
                return (path, answer);
            }
            answer.location().clone_into(&mut path);
        }
        panic!("it redirects for ever: {path}");
    }

    /// The flow of a page of ours, `login` or `settings`.
    pub async fn flow(&mut self, page: &str) -> Flow {
        self.try_flow(page).await.unwrap_or_else(|| panic!("no flow: {page}"))
    }

    /// `None` if the page has none, or it cannot be read.
    pub async fn try_flow(&mut self, page: &str) -> Option<Flow> {
        let (head, id) = page.split_once("flow=")?;
        let kind = if head.contains("settings") { "settings" } else { "login" };
        let flow = self.fetch(&format!("/self-service/{kind}/flows?id={id}")).await;
        (flow.status == StatusCode::OK).then(|| Flow(flow.json()))
    }

    /// Begins a flow, `login?aal=aal2` for example.
    pub async fn begin(&mut self, kind: &str, query: &str) -> Flow {
        let begun = self.get(&format!("/self-service/{kind}/browser{query}")).await;
        let page = begun.location().to_owned();
        self.flow(&page).await
    }

    pub async fn submit(&mut self, flow: &Flow, fields: &[(&str, &str)]) -> Answer {
        let csrf = flow.node("csrf_token")["attributes"]["value"].as_str().unwrap().to_owned();
        let mut fields = fields.to_vec();
        fields.push(("csrf_token", &csrf));
        self.post_form(flow.0["ui"]["action"].as_str().unwrap(), &fields).await
    }

    /// Proves the second factor in a flow.
    pub async fn confirm(&mut self, flow: &Flow) -> Answer {
        let code = self.site.next_code();
        self.submit(flow, &[("method", "totp"), ("totp_code", &code)]).await
    }

    /// Proves the second factor.
    pub async fn steps_up(&mut self) {
        let flow = self.begin("login", "?aal=aal2&refresh=true").await;
        let answer = self.confirm(&flow).await;
        if answer.location() != "/" {
            let place = answer.location().to_owned();
            panic!("{}", self.get(&place).await.text);
        }
    }

    /// Whether it may see what takes two factors. Whom the session belongs to, or else the error.
    pub async fn aal2(&mut self) -> String {
        self.whose("/aal2").await
    }

    pub async fn whose(&mut self, path: &str) -> String {
        let answer = self.fetch(path).await;
        match answer.status {
            StatusCode::OK => answer.text,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => answer.error_id(),
            _ => panic!("{path}: {answer:?}"),
        }
    }

    pub fn has(&self, cookie: &str) -> bool {
        self.cookies.contains_key(cookie)
    }
}

/// A flow as scripts see it.
pub struct Flow(pub Value);

impl Flow {
    pub fn node(&self, name: &str) -> &Value {
        let nodes = self.0["ui"]["nodes"].as_array().unwrap();
        let own = |node: &&Value| node["attributes"]["name"] == name || node["attributes"]["id"] == name;
        nodes.iter().find(own).unwrap_or_else(|| panic!("no node {name}: {}", self.0))
    }
}
