//! Access tokens in the shapes of well-known providers, as the table of the README configures them.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use serde_json::{Value, json};
use tower_step_up::Aal;
use tower_step_up_oidc::{AccessTokens, Assurance};

use crate::common::{Issuer, NOW, Signer, api, status};

/// The statuses of `/aal1`, `/aal2` and `/recent`.
async fn statuses(tokens: AccessTokens, token: &str) -> [u16; 3] {
    let api = api(tokens);
    [status(&api, "/aal1", token).await, status(&api, "/aal2", token).await, status(&api, "/recent", token).await]
}

struct Provider {
    issuer: Issuer,
    signer: Signer,
    typ: Option<&'static str>,
    claims: Value,
}

impl Provider {
    async fn new(typ: Option<&'static str>, claims: Value) -> Self {
        let signer = Signer::new("RS256", "a");
        let issuer = Issuer::start(&[&signer]).await;
        let common = json!({"iss": issuer.url, "sub": "f:kim", "iat": NOW - 60, "exp": NOW + 240});
        Self { signer, typ, claims: common::with(common, &claims), issuer }
    }

    fn token(&self, more: &Value) -> String {
        let mut header = json!({"alg": "RS256", "kid": "a"});
        if let Some(typ) = self.typ {
            header["typ"] = json!(typ);
        }
        self.signer.token_with(&header, &common::with(self.claims.clone(), more))
    }

    fn tokens(&self) -> AccessTokens {
        AccessTokens::discover(&self.issuer.url).insecure_http_on_loopback()
    }
}

#[tokio::test]
async fn keycloak() {
    let claims = json!({"typ": "Bearer", "azp": "app", "aud": ["api", "account"], "acr": "2", "auth_time": NOW - 60, "scope": "openid"});
    let keycloak = Provider::new(Some("JWT"), claims).await;
    let tokens = || keycloak.tokens().audience("api").accept_plain_jwt().acr("2", Aal::Aal2).acr("1", Aal::Aal1);
    assert_eq!(statuses(tokens(), &keycloak.token(&json!({}))).await, [200; 3]);
    assert_eq!(statuses(tokens(), &keycloak.token(&json!({"acr": 2}))).await, [200; 3]);
    // A login that was remembered.
    assert_eq!(statuses(tokens(), &keycloak.token(&json!({"acr": "0"}))).await, [200, 401, 401]);
    assert_eq!(statuses(tokens(), &keycloak.token(&json!({"acr": "1"}))).await, [200, 401, 401]);
    assert_eq!(statuses(tokens(), &keycloak.token(&json!({"auth_time": NOW - 900}))).await, [200, 200, 401]);
    assert_eq!(statuses(tokens(), &keycloak.token(&json!({"typ": "ID"}))).await, [401; 3]);
    assert_eq!(statuses(tokens(), &keycloak.token(&json!({"typ": "Refresh"}))).await, [401; 3]);
    assert_eq!(statuses(tokens(), &keycloak.token(&json!({"typ": "DPoP", "cnf": {"jkt": "x"}}))).await, [401; 3]);
    assert_eq!(statuses(keycloak.tokens().audience("api"), &keycloak.token(&json!({}))).await, [401; 3], "no at+jwt");
}

#[tokio::test]
async fn entra() {
    let claims =
        json!({"aud": "api", "ver": "2.0", "azp": "app", "tid": "t", "oid": "kim", "scp": "pay", "acrs": ["c1", "p1"]});
    let entra = Provider::new(Some("JWT"), claims).await;
    let table = || Assurance::new().acr_claim("acrs").acr("c1", Aal::Aal2);
    let tokens = || entra.tokens().audience("api").accept_plain_jwt().assurance(table());
    assert_eq!(
        statuses(tokens(), &entra.token(&json!({}))).await,
        [200, 200, 401],
        "auth_time is not there by default"
    );
    assert_eq!(statuses(tokens(), &entra.token(&json!({"auth_time": NOW - 60}))).await, [200; 3]);
    assert_eq!(statuses(tokens(), &entra.token(&json!({"acrs": ["p1"]}))).await, [200, 401, 401]);
    assert_eq!(statuses(tokens(), &entra.token(&json!({"acrs": null, "acr": "c1"}))).await, [200, 401, 401]);
    let by_method = || entra.tokens().audience("api").accept_plain_jwt().amr_level("mfa", Aal::Aal2);
    assert_eq!(statuses(by_method(), &entra.token(&json!({"amr": ["pwd", "mfa"]}))).await, [200, 200, 401]);
    assert_eq!(statuses(by_method(), &entra.token(&json!({"amr": ["pwd"]}))).await, [200, 401, 401]);
}

#[tokio::test]
async fn cognito() {
    let claims = json!({"token_use": "access", "client_id": "web", "auth_time": NOW - 60, "scope": "api/pay", "username": "kim"});
    let cognito = Provider::new(None, claims).await;
    let tokens = || cognito.tokens().client_without_audience("web").accept_plain_jwt();
    assert_eq!(statuses(tokens(), &cognito.token(&json!({}))).await, [200, 401, 401], "it says nothing of levels");
    let named = || tokens().assurance(Assurance::new().acr_claim("mfa_level").acr("2fa", Aal::Aal2));
    assert_eq!(statuses(named(), &cognito.token(&json!({"mfa_level": "2fa"}))).await, [200; 3]);
    assert_eq!(statuses(tokens(), &cognito.token(&json!({"client_id": "other"}))).await, [401; 3]);
    assert_eq!(statuses(tokens(), &cognito.token(&json!({"token_use": "id", "aud": "web"}))).await, [401; 3]);
}

#[tokio::test]
async fn auth0() {
    let claims = json!({"aud": ["https://api.example", "https://kim.auth0.example/userinfo"], "client_id": "app", "scope": "pay"});
    let auth0 = Provider::new(Some("at+jwt"), claims).await;
    let table = || {
        Assurance::new()
            .acr_claim("https://api.example/acr")
            .auth_time_claim("https://api.example/auth_time")
            .acr("2fa", Aal::Aal2)
    };
    let tokens = || auth0.tokens().audience("https://api.example").assurance(table());
    assert_eq!(
        statuses(tokens(), &auth0.token(&json!({}))).await,
        [200, 401, 401],
        "without an action it says nothing of levels"
    );
    let added = json!({"https://api.example/acr": "2fa", "https://api.example/auth_time": NOW - 60});
    assert_eq!(statuses(tokens(), &auth0.token(&added)).await, [200; 3]);
    assert_eq!(statuses(tokens(), &auth0.token(&json!({"acr": "2fa"}))).await, [200, 401, 401]);
}
