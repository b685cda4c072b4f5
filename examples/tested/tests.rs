//! The application's tests: attacks on its guarded routes, and a fixed clock.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode},
    routing::RouterIntoService,
};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_step_up::{
    Aal, Method, Requirement, StepUp, Subject,
    aal::{CredentialId, Proof},
    clock::Clock,
    test_util::{Attacks, FixedClock, mint, totp_code},
};

use super::{SECRET, app, step_up};

/// All routes that need two factors. When you add a route to the application, add it here.
const SENSITIVE: [(&str, &str); 5] =
    [("GET", "/payments"), ("GET", "/transfer"), ("POST", "/transfer"), ("GET", "/limits"), ("PUT", "/limits")];

/// Routes that move money. The requirement is written out, not taken from the application, so that a change there fails here.
const MONEY: [(&str, &str); 2] = [("GET", "/transfer"), ("POST", "/transfer")];
const FIVE_MINUTES: Requirement = Requirement::aal2().max_age(Duration::from_secs(300));

/// The application, and its time.
struct Bank {
    step_up: StepUp,
    clock: FixedClock,
    app: Router,
}

impl Bank {
    fn new() -> Self {
        let clock = FixedClock::default();
        let step_up = step_up(clock.clone()).unwrap();
        let app = app(&step_up);
        Self { step_up, clock, app }
    }

    fn attacks(&self) -> Attacks<RouterIntoService<Body>> {
        Attacks::new(&self.step_up, self.app.clone().into_service(), alice())
    }

    async fn send(&self, method: &str, path: &str, token: &str, body: Value) -> Response<Body> {
        let request = Request::builder().method(method).uri(path).header("x-session-token", token);
        let request = request.header("content-type", "application/json").header("accept", "application/json");
        self.app.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap()
    }

    /// Steps up with the current code of the authenticator app, and returns the new token.
    async fn step_up(&self, token: &str, query: &str) -> String {
        let path = format!("/self-service/login/api?{query}");
        let flow = json(self.send("GET", &path, token, Value::Null).await).await;
        let path = flow["ui"]["action"].as_str().unwrap().strip_prefix(super::PUBLIC_URL).unwrap();
        let code = totp_code(SECRET, self.clock.now()).unwrap();
        let answer = self.send("POST", path, token, json!({ "method": "totp", "totp_code": code })).await;
        json(answer).await["session_token"].as_str().expect("a right code").to_owned()
    }
}

async fn json(response: Response<Body>) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
}

fn alice() -> Subject {
    Subject::new("alice").unwrap()
}

#[tokio::test]
async fn sensitive_routes_are_closed_below_their_level() {
    let attacks = Bank::new().attacks();
    attacks.assert_denied_below(Requirement::aal2(), &SENSITIVE).await;
    attacks.assert_denied_below(FIVE_MINUTES, &MONEY).await;
    attacks.assert_denied_below(Requirement::aal1(), &[("POST", "/logout")]).await;
}

#[tokio::test]
async fn old_sessions_are_dead() {
    Bank::new().attacks().assert_replay_refused(&SENSITIVE).await;
}

#[tokio::test]
async fn a_revoked_session_sets_no_limit_by_a_body_that_comes_late() {
    let attacks = Bank::new().attacks();
    attacks.assert_judged_after_body(&[("PUT", "/limits")], ("application/json", "100"), Body::new).await;
}

#[tokio::test]
async fn a_logout_ends_the_session() {
    let bank = Bank::new();
    let log_out = async |alice: &tower_step_up::SignedIn| {
        let answer = bank.send("POST", "/logout", alice.token().as_str(), Value::Null).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    };
    bank.attacks().assert_dead_after(&SENSITIVE, log_out).await;
}

#[tokio::test]
async fn a_code_opens_what_is_sensitive_and_only_once() {
    Bank::new().attacks().assert_steps_up(&SENSITIVE).await;
}

#[tokio::test]
async fn a_transfer_asks_for_a_code_again_after_five_minutes() {
    let bank = Bank::new();
    bank.step_up.import_totp(&alice(), SECRET).await.unwrap();
    let signed_in = bank.step_up.sign_in(alice(), Method::Password).await.unwrap();
    let token = bank.step_up(signed_in.token().as_str(), "aal=aal2").await;
    bank.clock.advance(Duration::from_secs(300));
    assert_eq!(bank.send("POST", "/transfer", &token, Value::Null).await.status(), StatusCode::SEE_OTHER);
    bank.clock.advance(Duration::from_secs(1));
    let refused = bank.send("POST", "/transfer", &token, Value::Null).await;
    assert_eq!(json(refused).await["error"]["id"], "session_refresh_required");
    assert_eq!(bank.send("GET", "/payments", &token, Value::Null).await.status(), StatusCode::OK);

    let token = bank.step_up(&token, "aal=aal2&refresh=true").await;
    assert_eq!(bank.send("POST", "/transfer", &token, Value::Null).await.status(), StatusCode::SEE_OTHER);
}

/// To test what a handler does with a session, `mint` one. No flow is needed.
#[tokio::test]
async fn limits_are_those_of_the_user() {
    let bank = Bank::new();
    let now = bank.clock.now();
    let password = Proof::new(Method::Password, Aal::Aal1, now);
    let totp = Proof::new(Method::Totp, Aal::Aal2, now).with_credential(CredentialId::random());
    let signed_in = mint(&bank.step_up, alice(), [password, totp]).await.unwrap();
    let answer = bank.send("GET", "/limits", signed_in.token().as_str(), Value::Null).await;
    assert_eq!(to_bytes(answer.into_body(), 100).await.unwrap(), "The limits of alice.");
}
