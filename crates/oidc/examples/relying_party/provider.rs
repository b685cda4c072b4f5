//! A small OpenID provider with one user and one client. It keeps what the bank's login needs of the standards, and nothing else: `acr_values`,
//! `max_age`, the code flow with PKCE, single sign-on, ID tokens with `acr`, `amr` and `auth_time`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{
    digest, rand,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::{
    Form, Json, Router,
    extract::{Query, State},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::bank::cookie;

const TWO_FACTORS: &str = "urn:example:2fa";

#[derive(Clone)]
struct Provider(Arc<Shared>);

struct Shared {
    issuer: String,
    redirect_uri: String,
    key: EcdsaKeyPair,
    deliver: Box<dyn Fn(&str) + Send + Sync>,
    /// Who has signed in here, by cookie.
    sessions: Mutex<HashMap<String, Authentication>>,
    /// Codes that were sent to the user, by form.
    sent: Mutex<HashMap<String, String>>,
    /// Authorization codes.
    granted: Mutex<HashMap<String, (Asked, Authentication)>>,
}

/// What the user has proven, and when.
#[derive(Clone, Copy)]
struct Authentication {
    two_factors: bool,
    time: u64,
}

/// OpenID Connect Core section 3.1.2.1.
#[derive(Clone, Deserialize, Serialize)]
struct Asked {
    client_id: String,
    redirect_uri: String,
    response_type: String,
    state: String,
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
    acr_values: Option<String>,
    max_age: Option<u64>,
}

impl Asked {
    fn wants_two_factors(&self) -> bool {
        self.acr_values.iter().flat_map(|values| values.split(' ')).any(|value| value == TWO_FACTORS)
    }
}

/// `deliver` brings the user the codes of the second factor.
pub(crate) fn router(
    issuer: &str,
    redirect_uri: &str,
    deliver: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Router, Box<dyn std::error::Error>> {
    let provider = Provider(Arc::new(Shared {
        issuer: issuer.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
        deliver: Box::new(deliver),
        sessions: Mutex::default(),
        sent: Mutex::default(),
        granted: Mutex::default(),
    }));
    Ok(Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/keys", get(keys))
        .route("/authorize", get(authorize))
        .route("/sign-in", post(sign_in))
        .route("/token", post(token))
        .with_state(provider))
}

async fn metadata(State(provider): State<Provider>) -> Json<Value> {
    let issuer = &provider.0.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "acr_values_supported": [TWO_FACTORS],
    }))
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let point = provider.0.key.public_key().as_ref();
    let coordinate = |from: usize| text(point.get(from..from.saturating_add(32)).unwrap_or_default());
    let (x, y) = (coordinate(1), coordinate(33));
    Json(json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1", "x": x, "y": y}]}))
}

async fn authorize(State(provider): State<Provider>, headers: HeaderMap, Query(asked): Query<Asked>) -> Response {
    let is_known = asked.client_id == "bank" && asked.redirect_uri == provider.0.redirect_uri;
    if !is_known || asked.response_type != "code" || asked.code_challenge_method != "S256" {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let session = cookie(&headers, "provider").and_then(|id| lock(&provider.0.sessions).get(&id).copied());
    let is_fresh =
        |session: &Authentication| asked.max_age.is_none_or(|max_age| now().saturating_sub(session.time) <= max_age);
    match session.filter(is_fresh) {
        Some(session) if session.two_factors || !asked.wants_two_factors() => grant(&provider, asked, session),
        _ => form(&provider, &asked, ""),
    }
}

fn form(provider: &Provider, asked: &Asked, message: &str) -> Response {
    let (sent, code) = if asked.wants_two_factors() {
        let (id, code) = (random(), digits());
        (provider.0.deliver)(&code);
        lock(&provider.0.sent).insert(id.clone(), code);
        (id, "<p><label>Code <input name=code autocomplete=one-time-code></label></p>")
    } else {
        (String::new(), "")
    };
    let asked = text(serde_json::to_vec(asked).unwrap_or_default());
    Html(format!(
        "<h1>The provider</h1><p>{message}</p><form method=post action=/sign-in>\
         <input type=hidden name=asked value={asked}><input type=hidden name=sent value=\"{sent}\">\
         <p><label>User <input name=user value=kim></label></p>\
         <p><label>Password <input name=password type=password></label></p>{code}<button>Sign in</button></form>"
    ))
    .into_response()
}

#[derive(Deserialize)]
struct SignIn {
    /// What `authorize` was asked, which is checked again.
    asked: String,
    sent: String,
    user: String,
    password: String,
    code: Option<String>,
}

async fn sign_in(State(provider): State<Provider>, Form(form_data): Form<SignIn>) -> Response {
    let asked = URL_SAFE_NO_PAD.decode(form_data.asked).ok().and_then(|asked| serde_json::from_slice(&asked).ok());
    let Some(asked) = asked.filter(|asked: &Asked| asked.redirect_uri == provider.0.redirect_uri) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    // One try for each code.
    let sent = lock(&provider.0.sent).remove(&form_data.sent);
    let two_factors = sent.is_some() && sent == form_data.code;
    if (form_data.user.as_str(), form_data.password.as_str()) != ("kim", "kim")
        || two_factors != asked.wants_two_factors()
    {
        return form(&provider, &asked, "That was wrong.");
    }
    let authentication = Authentication { two_factors, time: now() };
    let id = random();
    lock(&provider.0.sessions).insert(id.clone(), authentication);
    let cookie = format!("provider={id}; HttpOnly; SameSite=Lax; Path=/");
    ([(header::SET_COOKIE, cookie)], grant(&provider, asked, authentication)).into_response()
}

fn grant(provider: &Provider, asked: Asked, authentication: Authentication) -> Response {
    let Ok(mut url) = Url::parse(&asked.redirect_uri) else { return StatusCode::BAD_REQUEST.into_response() };
    let code = random();
    url.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked.state);
    lock(&provider.0.granted).insert(code, (asked, authentication));
    Redirect::to(url.as_str()).into_response()
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    code: String,
    code_verifier: String,
    redirect_uri: String,
}

async fn token(State(provider): State<Provider>, Form(request): Form<TokenRequest>) -> Response {
    let granted = lock(&provider.0.granted).remove(&request.code);
    let challenge = text(digest::digest(&digest::SHA256, request.code_verifier.as_bytes()));
    let Some((asked, Authentication { two_factors, time })) = granted.filter(|(asked, _)| {
        request.grant_type == "authorization_code"
            && asked.code_challenge == challenge
            && asked.redirect_uri == request.redirect_uri
    }) else {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    };
    let (acr, amr) =
        if two_factors { (TWO_FACTORS, json!(["pwd", "otp"])) } else { ("urn:example:password", json!(["pwd"])) };
    let claims = json!({
        "iss": provider.0.issuer, "aud": asked.client_id, "sub": "kim", "iat": now(), "exp": now().saturating_add(300),
        "nonce": asked.nonce, "auth_time": time, "acr": acr, "amr": amr,
    });
    let header = json!({"alg": "ES256", "kid": "1"});
    let message = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
    let Ok(signature) = provider.0.key.sign(&rand::SystemRandom::new(), message.as_bytes()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let id_token = format!("{message}.{}", text(signature));
    Json(json!({"access_token": random(), "token_type": "Bearer", "id_token": id_token})).into_response()
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Without randomness nothing here is safe, so nothing is answered.
fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if rand::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    bytes
}

fn random() -> String {
    text(random_bytes::<16>())
}

fn digits() -> String {
    format!("{:06}", u64::from_le_bytes(random_bytes()).rem_euclid(1_000_000))
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
