//! Clients that choose each header: a browser without JavaScript, a program in it, and a native application.

use std::collections::BTreeMap;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use url::form_urlencoded;

use super::site::{PUBLIC, Site};

const PAGE: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

/// A cookie that an answer sets or removes.
pub struct SetCookie {
    pub name: String,
    value: String,
    pub removed: bool,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn cookies(&self) -> Vec<SetCookie> {
        let lines = self.headers.get_all(header::SET_COOKIE).into_iter();
        let parse = |line: &header::HeaderValue| {
            let cookie = cookie::Cookie::parse(line.to_str().unwrap().to_owned()).unwrap();
            let removed = cookie.value().is_empty() || cookie.max_age() == Some(cookie::time::Duration::ZERO);
            SetCookie { name: cookie.name().to_owned(), value: cookie.value().to_owned(), removed }
        };
        lines.map(parse).collect()
    }
}

/// A client with its cookies or its token.
#[derive(Clone)]
pub struct Client {
    router: Router,
    kind: Kind,
    cookies: BTreeMap<String, String>,
    pub token: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Spa,
    Native,
}

impl Client {
    fn new(site: &Site, kind: Kind) -> Self {
        Self { router: site.router.clone(), kind, cookies: BTreeMap::new(), token: None }
    }

    pub fn page(site: &Site) -> Self {
        Self::new(site, Kind::Page)
    }

    pub fn spa(site: &Site) -> Self {
        Self::new(site, Kind::Spa)
    }

    pub fn native(site: &Site, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..Self::new(site, Kind::Native) }
    }

    /// The same browser, which shows a page now.
    pub fn as_page(&self) -> Self {
        Self { kind: Kind::Page, ..self.clone() }
    }

    /// The same browser, in which a program asks now.
    pub fn as_spa(&self) -> Self {
        Self { kind: Kind::Spa, ..self.clone() }
    }

    pub async fn request(&mut self, method: &str, path: &str, body: Option<(&str, String)>) -> Answer {
        let path = path.strip_prefix(PUBLIC).unwrap_or(path);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "bank.example");
        let page = self.kind == Kind::Page;
        request = request.header(header::ACCEPT, if page { PAGE } else { "application/json" });
        if self.kind == Kind::Native {
            request = request.header(header::USER_AGENT, "bank-app/1");
        } else {
            let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
            request = request.header(header::USER_AGENT, agent);
            request = request.header("sec-fetch-dest", if page { "document" } else { "empty" });
            request = request.header("sec-fetch-mode", if page { "navigate" } else { "cors" });
            request = request.header("sec-fetch-site", "same-origin");
            if method != "GET" {
                request = request.header(header::ORIGIN, PUBLIC).header(header::REFERER, format!("{PUBLIC}/"));
            }
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        if let Some(token) = &self.token {
            request = request.header("x-session-token", token);
        }
        let body = match body {
            Some((media_type, body)) => {
                request = request.header(header::CONTENT_TYPE, media_type);
                Body::from(body)
            }
            None => Body::empty(),
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, text };
        for cookie in answer.cookies() {
            if cookie.removed {
                self.cookies.remove(&cookie.name);
            } else {
                self.cookies.insert(cookie.name, cookie.value);
            }
        }
        answer
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, None).await
    }

    pub async fn delete(&mut self, path: &str) -> Answer {
        self.request("DELETE", path, None).await
    }

    /// Submits fields to a flow as they are: as a form from a page, as JSON from a program.
    pub async fn send(&mut self, flow: &Value, fields: Value) -> Answer {
        let action = flow["ui"]["action"].as_str().unwrap();
        let body = if self.kind == Kind::Page {
            let fields = fields.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            ("application/x-www-form-urlencoded", form)
        } else {
            ("application/json", fields.to_string())
        };
        self.request("POST", action, Some(body)).await
    }

    /// The same, with the flow's CSRF token.
    pub async fn submit(&mut self, flow: &Value, mut fields: Value) -> Answer {
        if self.kind != Kind::Native {
            fields["csrf_token"] = csrf_of(flow);
        }
        self.send(flow, fields).await
    }

    /// Takes over the token that an answer brings.
    pub fn adopt(&mut self, answer: &Answer) {
        let body = answer.json();
        let given = body["session_token"].as_str().or(body["continue_with"][0]["ory_session_token"].as_str());
        self.token = given.map(str::to_owned).or(self.token.take());
    }
}

fn nodes(flow: &Value) -> impl Iterator<Item = &Value> {
    flow["ui"]["nodes"].as_array().into_iter().flatten().map(|node| &node["attributes"])
}

fn csrf_of(flow: &Value) -> Value {
    nodes(flow).find(|node| node["name"] == "csrf_token").unwrap()["value"].clone()
}

/// The secret that an authenticator app would read.
pub fn secret_of(flow: &Value) -> String {
    nodes(flow).find(|node| node["text"]["id"] == 1_050_006).unwrap()["text"]["context"]["secret"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The first of the recovery codes.
pub fn lookup_code_of(flow: &Value) -> String {
    let list = nodes(flow).find(|node| node["text"]["id"] == 1_050_015).unwrap();
    list["text"]["context"]["secrets"][0]["context"]["secret"].as_str().unwrap().to_owned()
}
