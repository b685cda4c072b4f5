//! An application whose users get codes by mail, and a program of one of them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_step_up::{
    Method, SigningKey, StepUp, Subject,
    directory::{Address, Directory, DirectoryFuture, Identity},
    factor::{Code, Totp},
    store::MemoryStore,
    test_util::FixedClock,
};
use tower_step_up_mail::Smtp;

struct Users {
    addresses: Vec<&'static str>,
    locale: Option<&'static str>,
}

impl Directory for Users {
    fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async { Ok(Some(Identity::new(json!({})))) })
    }

    fn addresses<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Vec<Address>> {
        Box::pin(async { Ok(self.addresses.iter().map(|text| Address::email(*text).verified(true)).collect()) })
    }

    fn locale<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<String>> {
        Box::pin(async { Ok(self.locale.map(str::to_owned)) })
    }
}

pub struct Bank {
    router: Router,
    pub clock: FixedClock,
    token: String,
    cookie: String,
}

pub const FROM: &str = "Example Bank <no-reply@bank.example>";

impl Bank {
    pub async fn with(smtp: Smtp) -> Self {
        Self::of(smtp, vec!["kim@app.example"], None, "Example Bank").await
    }

    pub async fn of(
        smtp: Smtp,
        addresses: Vec<&'static str>,
        locale: Option<&'static str>,
        name: &'static str,
    ) -> Self {
        let clock = FixedClock::default();
        let step_up = StepUp::builder("https://bank.example/app")
            .application_name(name)
            .signing_key(SigningKey::generate("2026-11").unwrap())
            .store(MemoryStore::default())
            .clock(clock.clone())
            .directory(Users { addresses, locale })
            .factor(Totp::new("Example Bank"))
            .factor(Code::new(Arc::new(smtp)).send_timeout(Duration::from_secs(20)).users_add_addresses())
            .build()
            .unwrap();
        let signed_in = step_up.sign_in(Subject::new("kim").unwrap(), Method::Password).await.unwrap();
        let token = signed_in.token().as_str().to_owned();
        let cookie = pair(signed_in.cookie().to_str().unwrap());
        let router = Router::new().merge(step_up.router()).layer(step_up.layer());
        Self { router, clock, token, cookie }
    }

    /// Adds an address on the settings page, up to the code that is sent to it.
    pub async fn adds(&self, address: &str) {
        let get = async |path: &str, cookies: &str| {
            let request = Request::get(path).header("accept", "text/html").header("cookie", cookies);
            self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
        };
        let begun = get("/self-service/settings/browser", &self.cookie).await;
        let cookies = format!("{}; {}", self.cookie, pair(begun.headers()["set-cookie"].to_str().unwrap()));
        let page = begun.headers()["location"].to_str().unwrap().strip_prefix("https://bank.example/app").unwrap();
        let page = get(page, &cookies).await.into_body().collect().await.unwrap().to_bytes();
        let page = String::from_utf8(page.to_vec()).unwrap();
        let (_, section) = page.split_once("aria-labelledby=\"addresses\"").unwrap();
        let value = |before: &str| section.split_once(before).unwrap().1.split_once('"').unwrap().0;
        let fields = json!({ "user_address": address, "csrf_token": value("name=\"csrf_token\" value=\"") });
        let request = Request::post(value("action=\"https://bank.example/app"))
            .header("content-type", "application/json")
            .header("cookie", cookies)
            .body(Body::from(fields.to_string()));
        let answer = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    }

    async fn send(&self, request: axum::http::request::Builder, body: String) -> (StatusCode, Value) {
        let request = request.header("x-session-token", &self.token).header("content-type", "application/json");
        let answer = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    /// Begins a flow. The only address gets a code at once.
    pub async fn begin(&self) -> Value {
        let (status, flow) = self.send(Request::get("/self-service/login/api?aal=aal2"), String::new()).await;
        assert_eq!(status, StatusCode::OK, "{flow}");
        flow
    }

    pub async fn submit(&self, flow: &Value, fields: Value) -> (StatusCode, Value) {
        let path = format!("/self-service/login?flow={}", flow["id"].as_str().unwrap());
        self.send(Request::post(path), fields.to_string()).await
    }

    pub async fn asks_again(&self, flow: &Value) -> Value {
        self.clock.advance(Duration::from_secs(30));
        self.submit(flow, json!({"method": "code", "resend": "code", "address": "kim@app.example"})).await.1
    }

    /// Types the code, which must be right.
    pub async fn enters(&self, flow: &Value, code: &str) {
        let (status, answer) = self.submit(flow, json!({"method": "code", "code": code})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["session"]["authenticator_assurance_level"], "aal2");
    }
}

/// The name and value of a cookie that is set.
fn pair(cookie: &str) -> String {
    cookie.split(';').next().unwrap().to_owned()
}

/// The ids of a flow's messages.
pub fn told(flow: &Value) -> Vec<u64> {
    let messages = flow["ui"]["messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| message["id"].as_u64().unwrap()).collect()
}
