//! The server of the storm: anybody may sign in as anybody, but a transfer needs a second factor. It is this test executable, started
//! once more.

use std::{env, time::SystemTime};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{PgPool, SqlitePool};
use tokio::net::TcpListener;
use tower_step_up::{
    Aal, Aal2, Method, SigningKey, StepUp, Subject,
    aal::CredentialId,
    clock::Timestamp,
    factor::{LookupSecrets, Totp},
    standing::CredentialSummary,
    store::{
        Completed, Completion, Credential, CredentialChange, RedisStore, SqlStore, StoredSecret, SubjectStore as _,
    },
};

pub(crate) const TOTP_SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
/// Codes of each user: the first from an app, the others from paper.
pub(crate) const CODES: usize = 13;

fn subject(user: usize) -> Subject {
    Subject::new(format!("user-{user}")).unwrap()
}

pub(crate) fn lookup_code(user: usize, number: usize) -> String {
    format!("STORM{user:05}CODE{number:02}")
}

fn step_up(store: SqlStore, flows: Option<RedisStore>) -> StepUp {
    let builder = StepUp::builder("http://127.0.0.1:1")
        .insecure_http_on_loopback()
        .signing_key(SigningKey::hs256("storm", b"signs in tests and nowhere else.").unwrap())
        .store(store)
        .factor(Totp::new("Storm"))
        .factor(LookupSecrets::default());
    let builder = match flows {
        Some(flows) => builder.flow_store(flows),
        None => builder,
    };
    builder.build().unwrap()
}

/// Gives every user an app and a set of codes on paper.
pub(crate) async fn seed(url: &str, users: usize) {
    Pool::open(url).await.create().await;
    let store = SqlStore::connect(url).await.unwrap();
    let apps = step_up(SqlStore::connect(url).await.unwrap(), None);
    for user in 0..users {
        let id = CredentialId::random();
        let hash = |number| Sha256::digest(format!("lookup_secret\0{id}\0{}", lookup_code(user, number))).into();
        let mut completion = Completion::new(subject(user), Timestamp::from(SystemTime::now()));
        let summary = CredentialSummary { id, method: Method::LookupSecret, aal: Aal::Aal2 };
        let secrets = (1..CODES).map(|number| StoredSecret { hash: hash(number), used_at: None }).collect();
        let codes = Credential::new(summary, completion.now).with_secrets(secrets);
        completion.credentials.push(CredentialChange::Add(codes));
        assert_eq!(store.complete(&completion).await.unwrap(), Completed::Done);
        apps.import_totp(&subject(user), TOTP_SECRET).await.unwrap();
    }
}

/// Does nothing but where the storm has started it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve() {
    let (Ok(store), Ok(address)) = (env::var("STORM_STORE"), env::var("STORM_ADDR")) else { return };
    let listener = TcpListener::bind(address).await.unwrap();
    let flows = match env::var("STORM_FLOWS") {
        Ok(url) => Some(RedisStore::connect(&url).await.unwrap()),
        Err(_) => None,
    };
    let step_up = step_up(SqlStore::connect(&store).await.unwrap(), flows);
    let pool = Pool::open(&store).await;
    let app = Router::new()
        .route("/enter/{user}", post(enter))
        .route("/transfer/{key}", post(transfer))
        .with_state((step_up.clone(), pool))
        .merge(step_up.router())
        .layer(step_up.layer());
    println!("listening on http://{}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

type Shared = State<(StepUp, Pool)>;

async fn enter(State((step_up, _)): Shared, Path(user): Path<usize>) -> Result<Json<Value>, StatusCode> {
    let signed_in =
        step_up.sign_in(subject(user), Method::Password).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Json(json!({ "session_token": signed_in.token().as_str() })))
}

async fn transfer(State((_, pool)): Shared, user: Aal2, Path(key): Path<String>) -> StatusCode {
    pool.insert(&key, user.subject().as_str()).await;
    StatusCode::OK
}

/// The store's database, to look into and for the transfers.
#[derive(Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

macro_rules! on {
    ($self:ident, $pool:ident => $statement:expr) => {
        match $self {
            Self::Sqlite($pool) => $statement,
            Self::Postgres($pool) => $statement,
        }
    };
}

impl Pool {
    pub(crate) async fn open(url: &str) -> Self {
        if url.starts_with("sqlite") {
            Self::Sqlite(SqlitePool::connect(&format!("{url}?mode=rwc")).await.unwrap())
        } else {
            Self::Postgres(PgPool::connect(url).await.unwrap())
        }
    }

    async fn create(&self) {
        let create = "CREATE TABLE storm_transfers (key TEXT PRIMARY KEY, subject TEXT NOT NULL)";
        on!(self, pool => sqlx::query(create).execute(pool).await.map(drop)).unwrap();
    }

    async fn insert(&self, key: &str, subject: &str) {
        let insert = "INSERT INTO storm_transfers (key, subject) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        on!(self, pool => sqlx::query(insert).bind(key).bind(subject).execute(pool).await.map(drop)).unwrap();
    }

    /// Two columns of text.
    pub(crate) async fn pairs(&self, query: &'static str) -> Vec<(String, String)> {
        on!(self, pool => sqlx::query_as(query).fetch_all(pool).await).unwrap()
    }
}
