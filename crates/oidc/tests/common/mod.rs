//! An issuer on a socket of its own, which behaves or misbehaves as told, and an API that its tokens open.
#![allow(dead_code, reason = "each test uses some of it")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
    },
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{any, get},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use tower::ServiceExt as _;
use tower_step_up::{
    Aal, Aal2, CurrentSession, RequireAal, RequireAal2, Requirement, RouterExt as _, StepUp,
    clock::{Clock, Timestamp},
};
use tower_step_up_oidc::AccessTokens;

pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(NOW)
    }
}

/// A key of the issuer, or of somebody who would like to be it.
pub(crate) struct Signer {
    pub(crate) kid: String,
    pair: Pair,
}

enum Pair {
    Rs256(RsaKeyPair),
    Ps256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    Es384(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    pub(crate) fn new(algorithm: &str, kid: &str) -> Self {
        let pair = match algorithm {
            "RS256" => Pair::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
            "PS256" => Pair::Ps256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
            "ES256" => Pair::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            "ES384" => Pair::Es384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            _ => Pair::EdDsa(Ed25519KeyPair::generate().unwrap()),
        };
        Self { kid: kid.to_owned(), pair }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rs256(_) => "RS256",
            Pair::Ps256(_) => "PS256",
            Pair::Es256(_) => "ES256",
            Pair::Es384(_) => "ES384",
            Pair::EdDsa(_) => "EdDSA",
        }
    }

    /// The modulus of an RSA key: the "secret" of whoever confuses algorithms.
    pub(crate) fn modulus(&self) -> Vec<u8> {
        let (Pair::Rs256(pair) | Pair::Ps256(pair)) = &self.pair else { return Vec::new() };
        pair.public_key().modulus().big_endian_without_leading_zero().to_vec()
    }

    pub(crate) fn jwk(&self) -> Value {
        let ec = |curve: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y)})
        };
        let mut jwk = match &self.pair {
            Pair::Rs256(pair) | Pair::Ps256(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let bytes = |integer: aws_lc_rs::io::Positive<'_>| text(integer.big_endian_without_leading_zero());
                json!({"kty": "RSA", "n": bytes(n), "e": bytes(e)})
            }
            Pair::Es256(pair) => ec("P-256", pair.public_key().as_ref()),
            Pair::Es384(pair) => ec("P-384", pair.public_key().as_ref()),
            Pair::EdDsa(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key())}),
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        let rsa = |pair: &RsaKeyPair, encoding| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &rng, message, &mut signature).unwrap();
            signature
        };
        match &self.pair {
            Pair::Rs256(pair) => rsa(pair, &RSA_PKCS1_SHA256),
            Pair::Ps256(pair) => rsa(pair, &RSA_PSS_SHA256),
            Pair::Es256(pair) | Pair::Es384(pair) => pair.sign(&rng, message).unwrap().as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "typ": "at+jwt", "kid": self.kid})
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        format!("{message}.{}", text(self.sign(message.as_bytes())))
    }
}

/// Header and claims without a signature.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", text(header.to_string()), text(claims.to_string()))
}

/// How the issuer answers.
#[derive(Clone)]
pub(crate) enum Behaviour {
    Good,
    Status(u16),
    /// Sends the reader away, to itself.
    Redirect,
    Html,
    /// JSON of the wrong shape.
    WrongShape,
    /// More than anybody should read.
    Huge,
    /// Never answers.
    Silent,
    /// Answers when it is notified.
    Held(Arc<Notify>),
    /// Names another issuer.
    OtherIssuer,
    /// Has its keys at this address.
    KeysAt(String),
}

pub(crate) struct Issuer {
    pub(crate) url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    url: String,
    behaviour: Mutex<Behaviour>,
    keys: Mutex<Vec<Value>>,
    metadata_reads: AtomicUsize,
    key_reads: AtomicUsize,
    elsewhere_reads: AtomicUsize,
}

impl Issuer {
    pub(crate) async fn start(keys: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let shared = Arc::new(Shared {
            url: url.clone(),
            behaviour: Mutex::new(Behaviour::Good),
            keys: Mutex::default(),
            metadata_reads: AtomicUsize::new(0),
            key_reads: AtomicUsize::new(0),
            elsewhere_reads: AtomicUsize::new(0),
        });
        let issuer = Self { url, address, server: serve(listener, Arc::clone(&shared)), shared };
        issuer.publish(keys);
        issuer
    }

    pub(crate) fn publish(&self, keys: &[&Signer]) {
        *self.shared.keys.lock().unwrap() = keys.iter().map(|key| key.jwk()).collect();
    }

    pub(crate) fn publish_raw(&self, keys: Vec<Value>) {
        *self.shared.keys.lock().unwrap() = keys;
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// Nobody listens any more.
    pub(crate) async fn stop(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    pub(crate) async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.server = serve(listener, Arc::clone(&self.shared));
    }

    /// How often somebody asked for metadata since the last time.
    pub(crate) fn take_reads(&self) -> usize {
        self.shared.key_reads.store(0, SeqCst);
        self.shared.metadata_reads.swap(0, SeqCst)
    }

    pub(crate) fn reads(&self) -> usize {
        self.shared.metadata_reads.load(SeqCst)
    }

    pub(crate) fn elsewhere_reads(&self) -> usize {
        self.shared.elsewhere_reads.load(SeqCst)
    }

    /// What a valid token of two factors has.
    pub(crate) fn claims(&self) -> Value {
        json!({
            "iss": self.url, "aud": "api", "sub": "kim", "client_id": "app", "jti": "1", "scope": "payments read",
            "iat": NOW - 100, "exp": NOW + 200, "acr": "urn:example:2fa", "amr": ["pwd", "otp"], "auth_time": NOW - 100,
        })
    }

    /// The same with these in their place; `null` takes one away.
    pub(crate) fn claims_with(&self, more: &Value) -> Value {
        with(self.claims(), more)
    }

    pub(crate) fn tokens(&self) -> AccessTokens {
        AccessTokens::discover(&self.url).insecure_http_on_loopback().audience("api")
    }
}

pub(crate) fn with(mut claims: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn serve(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/keys", get(keys))
        .route("/elsewhere", get(elsewhere))
        .with_state(shared);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() })
}

async fn metadata(State(shared): State<Arc<Shared>>) -> Response {
    shared.metadata_reads.fetch_add(1, SeqCst);
    let behaviour = shared.behaviour.lock().unwrap().clone();
    let metadata = |issuer: &str, keys: &str| Json(json!({"issuer": issuer, "jwks_uri": keys})).into_response();
    let own_keys = format!("{}/keys", shared.url);
    match behaviour {
        Behaviour::Good => metadata(&shared.url, &own_keys),
        Behaviour::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Behaviour::Redirect => Redirect::temporary("/elsewhere").into_response(),
        Behaviour::Html => "<!doctype html><title>Maintenance</title>".into_response(),
        Behaviour::WrongShape => Json(json!({"issuer": [shared.url.clone()]})).into_response(),
        Behaviour::Huge => {
            Json(json!({"issuer": shared.url, "jwks_uri": own_keys, "x": "x".repeat(600_000)})).into_response()
        }
        Behaviour::Silent => std::future::pending().await,
        Behaviour::Held(notify) => {
            notify.notified().await;
            metadata(&shared.url, &own_keys)
        }
        Behaviour::OtherIssuer => metadata("https://issuer.example", &own_keys),
        Behaviour::KeysAt(keys) => metadata(&shared.url, &keys),
    }
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.key_reads.fetch_add(1, SeqCst);
    Json(json!({"keys": *shared.keys.lock().unwrap()}))
}

/// Good metadata, where a redirect leads.
async fn elsewhere(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.elsewhere_reads.fetch_add(1, SeqCst);
    Json(json!({"issuer": shared.url, "jwks_uri": format!("{}/keys", shared.url)}))
}

/// An API whose routes require this and that.
pub(crate) fn api(tokens: AccessTokens) -> Router {
    let guard = StepUp::guard("https://api.example").source(tokens).clock(Still).build().unwrap();
    let page = || any(async |user: CurrentSession| user.subject().to_string());
    let recent = Duration::from_secs(300);
    Router::new()
        .route("/aal1", page().layer(RequireAal::new(Requirement::aal1())))
        .route("/aal2", page().layer(RequireAal2))
        .route("/proof", any(async |user: Aal2| user.subject().to_string()))
        .route("/highest", page().layer(RequireAal::new(Requirement::highest_available())))
        .route_requiring("/aal1-recent", Requirement::aal1().max_age(recent), page())
        .route_requiring("/key", Requirement::aal2().phishing_resistant(), page())
        .route_requiring("/recent", Requirement::aal2().max_age(recent), page())
        .route("/open", any(async || "open"))
        .layer(guard.layer())
}

/// The usual API: `urn:example:2fa` is two factors, `urn:example:password` one.
pub(crate) fn usual_api(issuer: &Issuer) -> Router {
    api(issuer.tokens().acr("phr", Aal::Aal2).acr("urn:example:2fa", Aal::Aal2).acr("urn:example:password", Aal::Aal1))
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: u16,
    /// `WWW-Authenticate`.
    pub challenge: Option<String>,
}

pub(crate) async fn ask_with(api: &Router, path: &str, authorization: &[&str]) -> Answer {
    let mut request = Request::get(path);
    for value in authorization {
        request = request.header("authorization", *value);
    }
    let response = api.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let headers: HashMap<_, _> =
        response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap().to_owned())).collect();
    Answer { status: response.status().as_u16(), challenge: headers.get("www-authenticate").cloned() }
}

pub(crate) async fn ask(api: &Router, path: &str, token: &str) -> Answer {
    ask_with(api, path, &[&format!("Bearer {token}")]).await
}

pub(crate) async fn status(api: &Router, path: &str, token: &str) -> u16 {
    ask(api, path, token).await.status
}

/// Lets so much time pass for whoever asks tokio's clock. Nothing may be under way.
pub(crate) async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}
