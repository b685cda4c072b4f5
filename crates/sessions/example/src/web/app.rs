use std::{error::Error, time::Duration};

use axum_login::{
    AuthManagerLayerBuilder, login_required,
    tower_sessions::{ExpiredDeletion, Expiry, SessionManagerLayer},
};
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};
use tokio::{net::TcpListener, signal};
use tower_sessions_sqlx_store::SqliteStore;
use tower_step_up::{RouterExt, SigningKey, StepUp, factor::Totp, store::SqlStore};
use tower_step_up_sessions::AxumLogin;

use crate::{
    users::Backend,
    web::{auth, protected},
};

pub struct App {
    db: SqlitePool,
}

impl App {
    /// Users and sessions are in memory, and end with the process. Such a database is that of one connection, which stays.
    pub async fn new() -> Result<Self, Box<dyn Error>> {
        let one = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        Ok(Self { db: one.connect("sqlite::memory:").await? })
    }

    pub async fn serve(self) -> Result<(), Box<dyn Error>> {
        let session_store = SqliteStore::new(self.db.clone());
        session_store.migrate().await?;
        let deletion_task = tokio::spawn(session_store.clone().continuously_delete_expired(Duration::from_secs(60)));
        let session_layer = SessionManagerLayer::new(session_store)
            .with_secure(false)
            .with_expiry(Expiry::OnInactivity(time::Duration::days(1)));

        let backend = Backend::new(self.db).await?;
        let auth_layer = AuthManagerLayerBuilder::new(backend, session_layer).build();

        let step_up = StepUp::builder("http://127.0.0.1:3000")
            .insecure_http_on_loopback()
            .sessions(AxumLogin::<Backend>::new())
            .signing_key(SigningKey::generate("demo")?)
            .store(SqlStore::connect("sqlite::memory:").await?)
            .factor(Totp::new("Example"))
            .build()?;

        let app = protected::router()
            .route_layer(login_required!(Backend, login_url = "/login"))
            .merge(auth::router())
            .with_state(step_up.clone())
            .with_step_up(&step_up)
            .layer(auth_layer);

        let listener = TcpListener::bind("127.0.0.1:3000").await?;
        println!("Open http://127.0.0.1:3000/payments and sign in as ferris with hunter42.");
        axum::serve(listener, app)
            .with_graceful_shutdown(async {
                // Without a signal to wait for, it goes on until it is killed.
                if signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            })
            .await?;
        deletion_task.abort();
        Ok(())
    }
}
