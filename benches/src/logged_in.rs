//! axum-login over PostgreSQL as its documentation shows it: each request reads the session, and then its user.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    extract::{Path, Request},
    http::{HeaderMap, header},
    routing::{get, post},
};
use axum_login::{
    AuthManagerLayerBuilder, AuthnBackend, login_required,
    tower_sessions::{
        SessionManagerLayer, SessionStore,
        session::{Id, Record},
        session_store,
    },
};
use tower::ServiceExt as _;
use tower_sessions_sqlx_store::{PostgresStore, sqlx};

use crate::cases::{self, peers::User};

/// Where users and sessions are, and how many statements have asked for them.
#[derive(Clone, Debug)]
struct Database {
    pool: sqlx::PgPool,
    sessions: PostgresStore,
    reads: Arc<AtomicUsize>,
}

impl AuthnBackend for Database {
    type User = User;
    type Credentials = i64;
    type Error = sqlx::Error;

    async fn authenticate(&self, id: i64) -> Result<Option<User>, sqlx::Error> {
        self.get_user(&id).await
    }

    async fn get_user(&self, id: &i64) -> Result<Option<User>, sqlx::Error> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let user = sqlx::query_as("SELECT id, password_hash FROM users WHERE id = $1").bind(id);
        let user: Option<(i64, Vec<u8>)> = user.fetch_optional(&self.pool).await?;
        Ok(user.map(|(id, password_hash)| User { id, password_hash }))
    }
}

#[async_trait]
impl SessionStore for Database {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        self.sessions.create(record).await
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.sessions.save(record).await
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.sessions.load(id).await
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.sessions.delete(id).await
    }
}

type AuthSession = axum_login::AuthSession<Database>;

#[derive(Clone)]
pub struct LoggedIn {
    pub router: Router,
    reads: Arc<AtomicUsize>,
}

impl LoggedIn {
    pub async fn over(url: &str) -> Self {
        let pool = sqlx::PgPool::connect(url).await.unwrap();
        let (sessions, reads) = (PostgresStore::new(pool.clone()), Arc::default());
        sessions.migrate().await.unwrap();
        let database = Database { pool, sessions, reads: Arc::clone(&reads) };
        let router = Router::new()
            .route("/", get(cases::handler))
            .route_layer(login_required!(Database, login_url = "/login"))
            .route(
                "/login/{id}",
                post(async |mut session: AuthSession, Path(id): Path<i64>| {
                    let user = session.authenticate(id).await.unwrap().unwrap();
                    session.login(&user).await.unwrap();
                }),
            )
            .route("/logout", post(async |mut session: AuthSession| drop(session.logout().await.unwrap())))
            .layer(AuthManagerLayerBuilder::new(database.clone(), SessionManagerLayer::new(database)).build());
        Self { router, reads }
    }

    /// So many users, of whom nobody is logged in.
    pub async fn create_users(url: &str, users: usize) {
        let pool = sqlx::PgPool::connect(url).await.unwrap();
        for statement in [
            "CREATE TABLE users (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE, password_hash BYTEA NOT NULL)"
                .to_owned(),
            format!(
                "INSERT INTO users SELECT id, 'user-' || id, '\\x{}' FROM generate_series(0, {users}) id",
                "07".repeat(32)
            ),
        ] {
            sqlx::query(&statement).execute(&pool).await.unwrap();
        }
    }

    pub fn take_reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }

    /// The cookie of a new session.
    pub async fn log_in(&self, user: usize) -> String {
        let headers = self.post(&format!("/login/{user}"), None).await;
        headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    pub async fn log_out(&self, cookie: &str) {
        self.post("/logout", Some(cookie)).await;
    }

    async fn post(&self, path: &str, cookie: Option<&str>) -> HeaderMap {
        let mut request = Request::post(path);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let answer = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.headers().clone()
    }
}
