//! Guards over sessions of others, with a stand-in for their server on a socket of its own. What was asked for is remembered, so it is asked once
//! in a second at most.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::{Json, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};
use tower_step_up::{Aal, RequireAal2, StepUp, StepUpGuard, source::SessionSource};
use tower_step_up_kratos::Kratos;
use tower_step_up_oidc::{AccessTokens, SigningAlgorithm};

use super::{handler, requests};
use crate::{
    measure::Case,
    requests::{Template, cookies},
    world::{World, now},
};

pub fn all(world: &World) -> Vec<Case> {
    let case = |name: &str, guard: StepUpGuard, template: Template| {
        let router = Router::new().route("/", get(handler).layer(RequireAal2)).layer(guard.layer());
        requests(name, &world.runtime, router, StatusCode::OK, move || template.request())
    };
    let (tokens, token) = issuer(&world.runtime);
    let bearer = Template::new(None).with("authorization", &format!("Bearer {token}"));
    let browser = Template::new(Some(&cookies("ory_kratos_session=MTcyMzQ1Njc4OXxkVGhMZ1B4bVpRdz09")));
    vec![
        case("tower-step-up-oidc: both, warm access token", guard(tokens), bearer),
        case("tower-step-up-kratos: both, cached", guard(kratos(&world.runtime)), browser),
    ]
}

fn guard(source: impl SessionSource) -> StepUpGuard {
    StepUp::guard("https://bank.example").source(source).build().unwrap()
}

/// The address of a server with these answers. It runs whenever the case's requests do.
fn serve(runtime: &Runtime, router: impl FnOnce(&str) -> Router) -> String {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = router(&url);
    runtime.spawn(async { axum::serve(listener, router).await.unwrap() });
    url
}

fn answering(answer: Value) -> axum::routing::MethodRouter {
    get(async move || Json(answer))
}

fn issuer(runtime: &Runtime) -> (AccessTokens, String) {
    let key = Ed25519KeyPair::generate().unwrap();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk =
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "one", "use": "sig", "x": text(key.public_key().as_ref()) });
    let url = serve(runtime, |url| {
        let document = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        Router::new()
            .route("/.well-known/openid-configuration", answering(document))
            .route("/keys", answering(json!({ "keys": [jwk] })))
    });
    let at = now().unix_seconds();
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "one" });
    let claims = json!({
        "iss": url, "aud": "api", "sub": "kim", "client_id": "app", "jti": "1", "iat": at, "exp": at + 86_400,
        "auth_time": at, "acr": "urn:example:2fa",
    });
    let message = format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
    let token = format!("{message}.{}", text(key.sign(message.as_bytes()).as_ref()));
    let tokens = AccessTokens::discover(url)
        .insecure_http_on_loopback()
        .audience("api")
        .acr("urn:example:2fa", Aal::Aal2)
        .algorithms([SigningAlgorithm::EdDsa]);
    (tokens, token)
}

fn kratos(runtime: &Runtime) -> Kratos {
    let time = "2026-11-30T09:00:00Z";
    let method = |method: &str, aal: &str| json!({ "method": method, "aal": aal, "completed_at": time });
    let session = json!({
        "id": "5d1b8f1e-6f0c-4c0b-8f6b-0a4a3f6f3b0e", "active": true, "authenticator_assurance_level": "aal2",
        "authenticated_at": time, "issued_at": time, "expires_at": "2036-11-30T09:00:00Z",
        "authentication_methods": [method("password", "aal1"), method("totp", "aal2")],
        "identity": { "id": "9f425a8d-7efc-4768-8f23-7647a74fdf13", "state": "active", "schema_id": "default", "traits": {} },
    });
    Kratos::new(serve(runtime, |_| Router::new().route("/sessions/whoami", answering(session))))
        .insecure_http_on_loopback()
}
