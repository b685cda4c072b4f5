//! The table of attacks that holds wherever sessions come from, with access tokens.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;
#[path = "../../../tests/ways/table.rs"]
mod table;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    routing::get,
};
use http::Request;
use serde_json::json;
use tower::ServiceExt as _;
use tower_step_up::{Aal, CurrentSession, Requirement, RouterExt as _, StepUp};

use self::{
    common::{Issuer, NOW, Signer, Still},
    table::{Credential, Headers, Outcome, Route, Way},
};

struct Tokens {
    issuer: Issuer,
    signer: Signer,
    app: Router,
    calls: Arc<AtomicUsize>,
}

impl Tokens {
    async fn new() -> Self {
        let signer = Signer::new("ES256", "a");
        let issuer = Issuer::start(&[&signer]).await;
        let tokens = issuer.tokens().acr("urn:example:2fa", Aal::Aal2).acr("urn:example:password", Aal::Aal1);
        let guard = StepUp::guard("https://api.example").source(tokens).clock(Still).build().unwrap();
        let calls = Arc::<AtomicUsize>::default();
        let page = || {
            let calls = Arc::clone(&calls);
            get(async move |user: CurrentSession| {
                calls.fetch_add(1, Ordering::SeqCst);
                user.subject().to_string()
            })
        };
        let recent = Requirement::aal2().max_age(Duration::from_secs(300));
        let app = Router::new()
            .route_requiring("/aal1", Requirement::aal1(), page())
            .route_requiring("/aal2", Requirement::aal2(), page())
            .route_requiring("/recent", recent, page())
            .layer(guard.layer());
        Self { issuer, signer, app, calls }
    }
}

impl Way for Tokens {
    async fn credential(&self, which: Credential) -> Result<Headers, &'static str> {
        let more = match which {
            Credential::Nothing => return Ok(Vec::new()),
            Credential::Revoked => return Err("an access token counts until it ends"),
            Credential::FactorRemoved => {
                return Err("an access token says what was proven, and not what is enrolled now");
            }
            Credential::OtherUsers => json!({ "sub": "lee" }),
            Credential::Expired => json!({ "exp": NOW - 60 }),
            Credential::LevelTooLow => json!({ "acr": "urn:example:password" }),
            Credential::TooOld => json!({ "auth_time": NOW - 600 }),
            Credential::Good | Credential::Forged => json!({}),
        };
        let signer = Signer::new("ES256", "a");
        let signer = if which == Credential::Forged { &signer } else { &self.signer };
        Ok(vec![("authorization", format!("Bearer {}", signer.token(&self.issuer.claims_with(&more))))])
    }

    async fn happens(&self, which: Credential) {
        panic!("{which:?}");
    }

    async fn ask(&self, route: Route, headers: &Headers) -> Outcome {
        let request =
            headers.iter().fold(Request::get(route.path()), |request, (name, value)| request.header(*name, value));
        let response = self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        match (response.status().as_u16(), challenge) {
            (200, None) => {
                let body = to_bytes(response.into_body(), 1000).await.unwrap();
                Outcome::Passed(String::from_utf8(body.to_vec()).unwrap())
            }
            (401, Some(challenge)) if challenge.contains("insufficient_user_authentication") => Outcome::StepUp,
            (401, Some(_)) => Outcome::NoSession,
            other => panic!("{route:?}: {other:?}"),
        }
    }

    fn take_calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test]
async fn the_table_of_attacks_holds_with_access_tokens() {
    table::holds(&Tokens::new().await).await;
}
