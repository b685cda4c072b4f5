//! How little it could be: a layer that does nothing, and layers that do no more than they must.

use std::{
    borrow::Cow,
    sync::Arc,
    task::{Context, Poll},
};

use aws_lc_rs::hmac;
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, StatusCode, header};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tower::{Layer, Service};

use super::{bare_router, requests};
use crate::{
    measure::{Case, Function},
    requests::{Template, cookies},
    world::{SECRET, World},
};

/// Calls what is inside it.
#[derive(Clone, Copy)]
pub struct NoOp;

#[derive(Clone)]
pub struct NoOpService<S>(S);

impl<S> Layer<S> for NoOp {
    type Service = NoOpService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        NoOpService(inner)
    }
}

impl<S: Service<R>, R> Service<R> for NoOpService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}

/// What the limits and the peers that read tokens make of one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: String,
    pub sid: String,
    pub iat: i64,
    pub exp: i64,
    pub auth_time: i64,
    pub acr: String,
    pub amr: Vec<String>,
    pub bnd: String,
    pub proofs: Vec<(String, String, i64)>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read to be there")]
struct Borrowed<'a> {
    #[serde(borrow)]
    sub: Cow<'a, str>,
    sid: &'a str,
    iat: i64,
    exp: i64,
    acr: &'a str,
}

type Verified = quick_cache::sync::Cache<Box<str>, Arc<Claims>>;

/// How a limit finds out whose request it is.
#[derive(Clone)]
pub enum Limit {
    Cached(Arc<Verified>),
    Verified(Arc<hmac::Key>),
    Decoded(Arc<(DecodingKey, Validation)>),
}

impl Limit {
    /// One whose cache has these tokens of the world's.
    pub fn cached<'a>(tokens: impl Iterator<Item = &'a str>) -> Self {
        let (key, validation) = decoding();
        let cache = Verified::new(10_000);
        for token in tokens {
            let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).unwrap().claims;
            cache.insert(token.into(), Arc::new(claims));
        }
        Self::Cached(Arc::new(cache))
    }
}

#[derive(Clone)]
pub struct LimitService<S>(S, Limit);

impl<S> Layer<S> for Limit {
    type Service = LimitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LimitService(inner, self.clone())
    }
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for LimitService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        let token = token_of(&request).expect("a session");
        match &self.1 {
            Limit::Cached(cache) => {
                let claims = cache.get(token).expect("a known token");
                request.extensions_mut().insert(claims);
            }
            Limit::Verified(key) => assert!(verify(token, key)),
            Limit::Decoded(keys) => {
                let claims = jsonwebtoken::decode::<Claims>(token, &keys.0, &keys.1).unwrap().claims;
                std::hint::black_box(claims);
            }
        }
        self.0.call(request)
    }
}

fn token_of(request: &Request<Body>) -> Option<&str> {
    let header = request.headers().get(header::COOKIE)?.as_bytes();
    let begin = memchr::memmem::find(header, b"session=")? + "session=".len();
    let value = &header[begin..];
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).ok()
}

fn verify(token: &str, key: &hmac::Key) -> bool {
    let Some((message, signature)) = token.rsplit_once('.') else { return false };
    let Some((_, payload)) = message.split_once('.') else { return false };
    let (mut tag, mut json) = ([0; 32], [0; 1024]);
    let Ok(32) = URL_SAFE_NO_PAD.decode_slice(signature, &mut tag) else { return false };
    if hmac::verify(key, message.as_bytes(), &tag).is_err() {
        return false;
    }
    let Ok(length) = URL_SAFE_NO_PAD.decode_slice(payload, &mut json) else { return false };
    serde_json::from_slice::<Borrowed<'_>>(&json[..length]).is_ok_and(|claims| claims.exp > claims.iat)
}

pub fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&["https://bank.example/"]);
    validation.set_audience(&["https://bank.example/"]);
    validation
}

pub fn decoding() -> (DecodingKey, Validation) {
    (DecodingKey::from_secret(&SECRET).unwrap(), validation())
}

pub fn all(world: &World) -> Vec<Case> {
    let runtime = &world.runtime;
    let template = || Template::new(Some(&cookies(&world.session_cookie())));
    let token = world.kim.token().as_str();
    let decoding = Arc::new(decoding());
    let claims = jsonwebtoken::decode::<Claims>(token, &decoding.0, &decoding.1).unwrap().claims;
    let key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &SECRET));
    let case = |name: &str, router| {
        let template = template();
        requests(name, runtime, router, StatusCode::OK, move || template.request())
    };
    let mut cases = vec![
        case("a layer that does nothing", bare_router().layer(NoOp)),
        case("two layers that do nothing", bare_router().layer(NoOp).layer(NoOp)),
        case("limit: a verified token found in a cache", bare_router().layer(Limit::cached([token].into_iter()))),
        case("limit: HS256 verified without allocation", bare_router().layer(Limit::Verified(key))),
        case("limit: jsonwebtoken::decode in a layer", bare_router().layer(Limit::Decoded(Arc::clone(&decoding)))),
    ];
    let text = token.to_owned();
    cases.push(Case::new(
        "part: jsonwebtoken::decode alone",
        Function(
            move || {
                let claims = jsonwebtoken::decode::<Claims>(&text, &decoding.0, &decoding.1);
                std::hint::black_box(claims.unwrap());
            },
            0,
        ),
    ));
    let encoding = EncodingKey::from_secret(&SECRET).unwrap();
    cases.push(Case::new(
        "part: jsonwebtoken::encode alone",
        Function(
            move || {
                let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &encoding);
                std::hint::black_box(token.unwrap());
            },
            0,
        ),
    ));
    cases
}
