//! Sessions, tokens and stores for the cases.

use std::{sync::Arc, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;
use tokio::runtime::Runtime;
use tower_step_up::{
    Aal, Method, SignedIn, SigningKey, StepUp, StepUpBuilder, Subject,
    aal::{CredentialId, Proof},
    clock::Timestamp,
    factor::Totp,
    store::{MemoryStore, RedisStore, SqlStore},
    test_util::mint,
};

use crate::servers::{self, postgres::Postgres, redis::Redis};

pub const SECRET: [u8; 32] = *b"signs in tests and nowhere else.";
pub const COOKIE: &str = "__Host-step_up_session";

pub struct World {
    pub runtime: Runtime,
    pub step_up: StepUp,
    pub kim: SignedIn,
    /// Of somebody who has a second factor and has not proven it.
    pub below: SignedIn,
    pub directory: Arc<Directory>,
}

/// Goes with everything in it.
pub struct Directory(pub std::path::PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

pub fn builder() -> StepUpBuilder {
    StepUp::builder("https://bank.example")
        .signing_key(SigningKey::hs256("2026-11", SECRET).unwrap())
        .factor(Totp::new("Example Bank"))
}

/// A session in which both factors are proven.
pub async fn stepped_up(step_up: &StepUp, name: &str) -> SignedIn {
    let password = Proof::new(Method::Password, Aal::Aal1, now());
    let totp = Proof::new(Method::Totp, Aal::Aal2, now()).with_credential(CredentialId::random());
    mint(step_up, Subject::new(name).unwrap(), [password, totp]).await.unwrap()
}

pub fn cookie(signed_in: &SignedIn) -> String {
    format!("{COOKIE}={}", signed_in.token().as_str())
}

/// The token once more as another text: what it says of the session is the same.
pub fn variation(token: &str, number: i64) -> String {
    altered(token, |claims| claims["auth_time"] = (claims["auth_time"].as_i64().unwrap() - number).into())
}

/// The token with other claims. The key is the server's own.
pub fn altered(token: &str, alter: impl FnOnce(&mut Value)) -> String {
    let mut segments = token.split('.');
    let header = segments.next().unwrap();
    let payload = URL_SAFE_NO_PAD.decode(segments.next().unwrap()).unwrap();
    let mut claims: Value = serde_json::from_slice(&payload).unwrap();
    alter(&mut claims);
    // In the order in which tokens are made.
    let order = ["iss", "aud", "sub", "sid", "iat", "exp", "auth_time", "acr", "amr", "bnd", "proofs"];
    let members: Vec<_> = order.iter().map(|name| format!("\"{name}\":{}", claims[*name])).collect();
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(format!("{{{}}}", members.join(","))));
    let key = EncodingKey::from_secret(&SECRET).unwrap();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

impl World {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let step_up = builder().store(MemoryStore::default()).build().unwrap();
        let (kim, below) = runtime.block_on(async {
            let kim = stepped_up(&step_up, "kim").await;
            let lee = Subject::new("lee").unwrap();
            step_up.import_totp(&lee, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").await.unwrap();
            (kim, step_up.sign_in(lee, Method::Password).await.unwrap())
        });
        let directory = Arc::new(Directory(servers::directory("bench", None)));
        Self { runtime, step_up, kim, below, directory }
    }

    pub fn session_cookie(&self) -> String {
        cookie(&self.kim)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a case keeps its subjects and flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Memory,
    Sqlite,
    Postgres,
    SqliteAndRedis,
}

impl Place {
    pub const ALL: [Self; 4] = [Self::Memory, Self::Sqlite, Self::Postgres, Self::SqliteAndRedis];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "SQLite file",
            Self::Postgres => "PostgreSQL",
            Self::SqliteAndRedis => "SQLite file, flows in Redis",
        }
    }

    /// The builder with the stores; `None` if the server is not installed.
    pub async fn open(self, builder: StepUpBuilder, directory: &Directory, name: &str) -> Option<StepUpBuilder> {
        let file = format!("sqlite://{}", directory.0.join(format!("{name}-{self:?}.db")).display());
        Some(match self {
            Self::Memory => builder.store(MemoryStore::with_capacity(1_000_000)),
            Self::Sqlite => builder.store(SqlStore::connect(&file).await.unwrap()),
            Self::Postgres => builder.store(SqlStore::connect(&Postgres::shared()?.url()).await.unwrap()),
            Self::SqliteAndRedis => {
                let flows = RedisStore::connect(&Redis::shared()?.url()).await.unwrap();
                builder.store(SqlStore::connect(&file).await.unwrap()).flow_store(flows)
            }
        })
    }
}
