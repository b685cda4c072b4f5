use std::fmt;

use axum_login::{AuthUser, AuthnBackend, UserId};
use password_auth::{generate_hash, verify_password};
use serde::Deserialize;
use sqlx::{FromRow, SqlitePool};
use tokio::task;

#[derive(Clone, FromRow)]
pub struct User {
    id: i64,
    pub username: String,
    password: String,
}

/// By hand, so that no log shows the hash of a password.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("username", &self.username).finish_non_exhaustive()
    }
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    /// A session ends when its user's password changes, and so does what was stepped up in it.
    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

/// What the login form sends.
#[derive(Clone, Deserialize)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    pub next: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Backend {
    db: SqlitePool,
}

impl Backend {
    /// With one user, `ferris`, whose password is `hunter42`.
    pub async fn new(db: SqlitePool) -> Result<Self, sqlx::Error> {
        sqlx::query(
            "create table users (id integer primary key, username text not null unique, password text not null)",
        )
        .execute(&db)
        .await?;
        sqlx::query("insert into users (username, password) values ('ferris', ?)")
            .bind(generate_hash("hunter42"))
            .execute(&db)
            .await?;
        Ok(Self { db })
    }
}

#[derive(Debug)]
pub enum Error {
    Database(sqlx::Error),
    Task(task::JoinError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::Task(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = Credentials;
    type Error = Error;

    async fn authenticate(&self, creds: Credentials) -> Result<Option<User>, Error> {
        let user: Option<User> = sqlx::query_as("select * from users where username = ?")
            .bind(creds.username)
            .fetch_optional(&self.db)
            .await
            .map_err(Error::Database)?;
        // A hash of a password takes its time, so it is not compared where others wait.
        task::spawn_blocking(|| user.filter(|user| verify_password(creds.password, &user.password).is_ok()))
            .await
            .map_err(Error::Task)
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Error> {
        let user = sqlx::query_as("select * from users where id = ?").bind(id).fetch_optional(&self.db);
        user.await.map_err(Error::Database)
    }
}

pub type AuthSession = axum_login::AuthSession<Backend>;
