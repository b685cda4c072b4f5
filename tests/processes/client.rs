//! A native client: it keeps a session token, and speaks JSON. The tests of the bank have it too.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::time::Duration;

use reqwest::{Method, redirect::Policy};
use serde_json::Value;

#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) token: String,
}

/// Status and JSON; `Null` if the body is none.
pub(crate) type Answer = (u16, Value);

impl Client {
    pub(crate) fn new() -> Self {
        // Requests to a server that is killed were seen to wait for ever, without a connection.
        let timeout = Duration::from_secs(10);
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(timeout).build().unwrap();
        Self { http, token: String::new() }
    }

    /// `None` if there was no answer.
    pub(crate) async fn try_send(&self, method: Method, url: &str, body: Option<Value>) -> Option<Answer> {
        let mut request = self.http.request(method, url).header("accept", "application/json");
        if !self.token.is_empty() {
            request = request.header("x-session-token", &self.token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let text = response.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    pub(crate) async fn send(&self, method: Method, url: &str, body: Option<Value>) -> Answer {
        self.try_send(method, url, body).await.unwrap_or_else(|| panic!("no answer from {url}"))
    }

    pub(crate) fn take_token(&mut self, body: &Value) {
        body["session_token"].as_str().unwrap().clone_into(&mut self.token);
    }
}

/// The ids of the messages of a flow, wherever they stand.
pub(crate) fn messages(flow: &Value) -> Vec<u64> {
    let top = flow["ui"]["messages"].as_array().into_iter().flatten();
    let nodes = flow["ui"]["nodes"].as_array().into_iter().flatten();
    let of_nodes = nodes.flat_map(|node| node["messages"].as_array().into_iter().flatten());
    top.chain(of_nodes).filter_map(|message| message["id"].as_u64()).collect()
}
