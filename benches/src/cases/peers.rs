//! What a user would take instead, each as its own documentation shows it.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{FromRef, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use axum_extra::extract::CookieJar;
use axum_jwt_auth::{CookieTokenExtractor, Decoder, LocalDecoder, define_cookie_extractor};
use axum_login::{AuthManagerLayerBuilder, AuthUser, AuthnBackend, login_required};
use axum_session::{SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use tower::ServiceExt as _;
use tower_oauth2_resource_server::{
    claims::DefaultClaims, server::OAuth2ResourceServer, tenant::TenantConfiguration, validation::ClaimsValidationSpec,
};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use super::{
    handler,
    limits::{Claims, decoding},
    requests,
};
use crate::{
    measure::Case,
    requests::{Template, cookies},
    world::{SECRET, World},
};

pub const ISSUER: &str = "https://bank.example/";

/// A server with one peer, and the cookies that it knows.
pub struct Peer {
    pub name: &'static str,
    pub router: Router,
    pub cookies: String,
    pub bearer: Option<String>,
}

/// What the server sets at `POST /login`, as a browser sends it back.
async fn log_in(router: &Router) -> String {
    let request = Request::post("/login").body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    let set = response.headers().get_all(header::SET_COOKIE).iter();
    let pairs: Vec<_> = set.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned()).collect();
    assert!(!pairs.is_empty(), "no cookie");
    pairs.join("; ")
}

async fn peer(name: &'static str, router: Router) -> Peer {
    let session = log_in(&router).await;
    Peer { name, router, cookies: cookies(&session), bearer: None }
}

pub async fn tower_sessions() -> Peer {
    let router = Router::new()
        .route(
            "/",
            get(async |session: Session| {
                let user: Option<String> = session.get("user").await.unwrap();
                user.map_or(StatusCode::UNAUTHORIZED.into_response(), |_| "all payments".into_response())
            }),
        )
        .route("/login", post(async |session: Session| session.insert("user", "kim").await.unwrap()))
        .layer(SessionManagerLayer::new(MemoryStore::default()));
    peer("tower-sessions 0.14, memory store, one get", router).await
}

/// A user of axum-login.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) password_hash: Vec<u8>,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        &self.password_hash
    }
}

#[derive(Clone)]
pub(crate) struct Backend {
    users: Arc<HashMap<i64, User>>,
}

impl Backend {
    pub(crate) fn of_one_user() -> Self {
        let user = User { id: 1, password_hash: vec![7; 32] };
        Self { users: Arc::new(HashMap::from([(1, user)])) }
    }
}

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = i64;
    type Error = Infallible;

    async fn authenticate(&self, id: i64) -> Result<Option<User>, Infallible> {
        Ok(self.users.get(&id).cloned())
    }

    async fn get_user(&self, id: &i64) -> Result<Option<User>, Infallible> {
        Ok(self.users.get(id).cloned())
    }
}

pub(crate) type AuthSession = axum_login::AuthSession<Backend>;

pub async fn axum_login() -> Peer {
    let sessions = SessionManagerLayer::new(axum_login::tower_sessions::MemoryStore::default());
    let router = Router::new()
        .route("/", get(handler))
        .route_layer(login_required!(Backend, login_url = "/login"))
        .route(
            "/login",
            post(async |mut session: AuthSession| {
                let user = session.authenticate(1).await.unwrap().unwrap();
                session.login(&user).await.unwrap();
            }),
        )
        .layer(AuthManagerLayerBuilder::new(Backend::of_one_user(), sessions).build());
    peer("axum-login 0.18 over tower-sessions, memory store", router).await
}

pub async fn axum_session() -> Peer {
    let store = SessionStore::<SessionNullPool>::new(None, SessionConfig::default()).await.unwrap();
    let router = Router::new()
        .route(
            "/",
            get(async |session: axum_session::Session<SessionNullPool>| {
                let user: Option<String> = session.get("user");
                user.map_or(StatusCode::UNAUTHORIZED.into_response(), |_| "all payments".into_response())
            }),
        )
        .route(
            "/login",
            post(async |session: axum_session::Session<SessionNullPool>| {
                session.set("user", "kim");
            }),
        )
        .layer(SessionLayer::new(store));
    peer("axum_session 0.22, in memory", router).await
}

define_cookie_extractor!(AuthCookie, "__Host-step_up_session");

#[derive(Clone, FromRef)]
struct Keys {
    decoder: Decoder<Claims>,
}

pub fn axum_jwt_auth(world: &World) -> Peer {
    use jsonwebtoken_10::{Algorithm, DecodingKey, Validation};
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ISSUER]);
    let keys = vec![DecodingKey::from_secret(&SECRET)];
    let decoder = LocalDecoder::builder().keys(keys).validation(validation).build().unwrap();
    async fn guarded(_: axum_jwt_auth::Claims<Claims, CookieTokenExtractor<AuthCookie>>) -> &'static str {
        "all payments"
    }
    let router = Router::new().route("/", get(guarded)).with_state(Keys { decoder: Arc::new(decoder) });
    Peer { name: "axum-jwt-auth 0.7", router, cookies: cookies(&world.session_cookie()), bearer: None }
}

pub fn by_hand(world: &World) -> Peer {
    type Keys = Arc<(jsonwebtoken::DecodingKey, jsonwebtoken::Validation)>;
    async fn guard(State(keys): State<Keys>, jar: CookieJar, mut request: Request, next: Next) -> Response {
        let token = jar.get("__Host-step_up_session").map(|cookie| cookie.value().to_owned());
        let Some(Ok(data)) = token.map(|token| jsonwebtoken::decode::<Claims>(token, &keys.0, &keys.1)) else {
            return StatusCode::UNAUTHORIZED.into_response();
        };
        if data.claims.acr != "aal2" {
            return StatusCode::FORBIDDEN.into_response();
        }
        request.extensions_mut().insert(data.claims);
        next.run(request).await
    }
    let keys: Keys = Arc::new(decoding());
    let router = Router::new().route("/", get(handler)).layer(middleware::from_fn_with_state(keys, guard));
    let name = "by hand: axum-extra CookieJar + jsonwebtoken in from_fn";
    Peer { name, router, cookies: cookies(&world.session_cookie()), bearer: None }
}

pub async fn resource_server(world: &World) -> Peer {
    let key = URL_SAFE_NO_PAD.encode(SECRET);
    let jwks = json!({ "keys": [{ "kty": "oct", "kid": "2026-11", "alg": "HS256", "k": key }] });
    let tenant = TenantConfiguration::static_builder(jwks.to_string())
        .identifier("bank")
        .audiences(&[ISSUER])
        .claims_validation(ClaimsValidationSpec::new().iss(ISSUER).exp(true).aud(&vec![ISSUER.to_owned()]))
        .allowed_algorithms(&[jsonwebtoken_11::Algorithm::HS256])
        .build()
        .unwrap();
    let server = OAuth2ResourceServer::<DefaultClaims>::builder().add_tenant(tenant).build().await.unwrap();
    let router = Router::new().route("/", get(handler)).layer(server.into_layer());
    // It reads no cookies.
    let bearer = Some(format!("Bearer {}", world.kim.token().as_str()));
    let cookies = cookies("session=none");
    Peer { name: "tower-oauth2-resource-server 0.12", router, cookies, bearer }
}

impl Peer {
    pub fn template(&self) -> Template {
        let template = Template::new(Some(&self.cookies));
        match &self.bearer {
            Some(bearer) => template.with("authorization", bearer),
            None => template,
        }
    }
}

pub fn all(world: &World) -> Vec<Case> {
    let peers = world.runtime.block_on(async {
        vec![
            tower_sessions().await,
            axum_jwt_auth(world),
            axum_login().await,
            axum_session().await,
            by_hand(world),
            resource_server(world).await,
        ]
    });
    let case = |peer: Peer| {
        let template = peer.template();
        requests(peer.name, &world.runtime, peer.router, StatusCode::OK, move || template.request())
    };
    peers.into_iter().map(case).collect()
}
