//! A bank that asks for a second factor where it matters: most of `tower-step-up` in one program.
//!
//! ```text
//! cargo run -p bank
//! ```
//!
//! Then sign in as `alice` with `alice-password` and open the payments.
//! `oathtool --totp -b JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP` prints the code of her authenticator app.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `BANK_ADDR` | `127.0.0.1:3000` | where to listen; port 0 picks a free one |
//! | `BANK_PUBLIC_URL` | `http://<address>` | how browsers reach the bank |
//! | `BANK_STORE` | `sqlite://bank.db` | `memory`, `sqlite://FILE` with the feature `sqlite`, which is on by default, or `postgres://…` with the feature `postgres` |
//! | `BANK_FLOWS` | the same store | `redis://…` keeps flows and counters of attempts there, with the feature `redis` |
//! | `BANK_SECRET` | created once, kept in the store | 32 or more random bytes in base64; all keys are derived from it |
//! | `BANK_MODEL` | `strict` | `strict` or `lax`: the level that whoami and the settings require |
//! | `BANK_TRANSFER_MAX_AGE` | `300` | how many seconds old the second factor may be for a transfer |
//! | `BANK_FACTORS` | `totp,lookup_secret` | the second factors; also `webauthn`, with the feature `webauthn` and a public URL like `http://localhost:3000` |
//! | | | also `code`: codes to the users' addresses |
//! | `BANK_SMTP` | none | `smtp://HOST:PORT`, with the feature `mail`: the server for codes by mail; all others, and without it all, go to standard error, on loopback only |
//! | `BANK_CODE_COOL_DOWN` | `30` | seconds between two codes to one address, at most `3600`; `0`, on loopback only, also lifts the limit of codes |
//! | `BANK_USER_ADDRESSES` | `0` | `1`: users add addresses of their own for codes, on the settings page |
//! | `BANK_STRIPS_PREFIX` | `false` | `true`: a proxy takes the path of `BANK_PUBLIC_URL` away; `false`: the bank serves below that path |
//! | `BANK_LOGIN_URL`, `BANK_LOGIN_UI_URL`, `BANK_SETTINGS_UI_URL`, `BANK_ERROR_UI_URL` | the bank's | pages of a front end of one's own |
//! | `BANK_ALLOWED_RETURN_URLS` | none | where else browsers may return to, with commas in between |
//! | `BANK_LOGIN_LIFESPAN`, `BANK_SESSION_LIFESPAN` | the crate's | seconds |
//! | `BANK_LANGUAGE` | `en` | the language of the pages of the step-up for whom none is known: `en` or `de` |
//! | `BANK_BRAND_COLOR` | the crate's | the colour of buttons and links on these pages, such as `#7a1f3d` |
//! | `BANK_TRUSTED_DEVICE_DAYS` | `0` | more than 0 offers "do not ask on this device" for so many days, at most `90` |
//!
//! A bad setting ends the program with one line and exit code 2.

mod codes;
mod config;
mod database;
mod login;
mod pages;
mod security;
mod server;
mod transfers;
mod users;

use std::{
    env,
    error::Error,
    future::Future,
    io,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use axum::{Router, extract::DefaultBodyLimit, middleware};
use tokio::{net::TcpListener, signal};
#[cfg(feature = "redis")]
use tower_step_up::store::RedisStore;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use tower_step_up::store::SqlStore;
use tower_step_up::{
    Requirement, RouterExt, SigningKey, StepUp, StepUpBuilder,
    factor::{LookupSecrets, Password, Totp},
    seal::EncryptionKey,
    store::MemoryStore,
    theme::{Theme, ThemeColor},
};
#[cfg(feature = "webauthn")]
use tower_step_up_webauthn::WebAuthn;
use url::Url;

use self::{
    config::{BadSetting, Config, FactorSetting, Pages, StoreSetting},
    database::Database,
    security::OwnOrigin,
    transfers::Transfers,
    users::Users,
};

/// The state that the handlers share.
#[derive(Clone)]
struct Bank {
    step_up: StepUp,
    users: Users,
    transfers: Transfers,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let (listener, app) = match start().await {
        Ok(started) => started,
        Err(error) => {
            eprintln!("bank: {error}");
            return ExitCode::from(2);
        }
    };
    match serve(listener, app).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bank: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listener: TcpListener, app: Router) -> io::Result<()> {
    let stop = stop_signal()?;
    println!("bank listening on http://{}", listener.local_addr()?);
    server::serve(listener, app, stop).await
}

/// Everything that can go wrong before the first request.
async fn start() -> Result<(TcpListener, Router), Box<dyn Error + Send + Sync>> {
    let config = Config::read(|name| env::var(name).ok())?;
    let listener = bind(config.address)
        .await
        .map_err(|error| BadSetting::new(format!("BANK_ADDR {}: {error}", config.address)))?;
    let public_url = match &config.public_url {
        Some(url) => url.clone(),
        None => format!("http://{}", listener.local_addr()?),
    };
    let app = bank(&config, &public_url).await?;
    Ok((listener, app))
}

/// Tries for a while: the operating system may not have freed the address of a bank that was killed a moment ago.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let begun = Instant::now();
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < Duration::from_secs(2) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            result => return result,
        }
    }
}

async fn bank(config: &Config, public_url: &str) -> Result<Router, Box<dyn Error + Send + Sync>> {
    let unusable = |error| BadSetting::new(format!("BANK_STORE cannot be used: {error}"));
    let public: Url = public_url
        .parse()
        .map_err(|error| BadSetting::new(format!("BANK_PUBLIC_URL must be like https://bank.example: {error}")))?;
    let database = database::open(&config.store).await.map_err(unusable)?;
    let (users, step_up) = {
        let _others_wait = database.prepare().await.map_err(unusable)?;
        let users = Users::new(database.clone()).await?;
        let step_up = step_up(config, public_url, &public, &users, &database).await?;
        users.seed(&step_up, config.factors.contains(&FactorSetting::Totp)).await?;
        (users, step_up)
    };
    let bank = Bank { step_up: step_up.clone(), users, transfers: Transfers::new(database) };

    let recent = Requirement::aal2().max_age(config.transfer_max_age);
    let own_origin = OwnOrigin::of(&public);
    pages::lie_below(&public);
    let pages = Router::new()
        .merge(pages::routes())
        .merge(login::routes())
        .merge(transfers::routes(recent))
        .fallback(pages::not_found)
        .layer(DefaultBodyLimit::max(16 * 1024))
        .layer(middleware::from_fn_with_state(own_origin, security::same_origin))
        .layer(middleware::from_fn(server::in_time))
        .layer(middleware::from_fn(security::page_headers))
        .with_state(bank);
    // The crate's router sets its own headers and protects its own forms. The layer comes last, so that it is around everything
    // that asks for a session.
    let app = pages.with_step_up(&step_up);
    // A proxy that does not take the path of the public URL away expects the bank there.
    Ok(match pages::root() {
        root if root.is_empty() || config.strips_prefix => app,
        root => Router::new().nest_service(root, app),
    })
}

async fn step_up(
    config: &Config,
    public_url: &str,
    parsed: &Url,
    users: &Users,
    database: &Database,
) -> Result<StepUp, Box<dyn Error + Send + Sync>> {
    let secret = match &config.secret {
        Some(secret) => secret.clone(),
        None => database.secret().await?,
    };
    let mut builder = StepUp::builder(public_url)
        .proxy_strips_prefix(config.strips_prefix)
        .application_name("Example Bank")
        .signing_key(SigningKey::hs256("bank-1", &secret)?)
        .encryption_key(EncryptionKey::new("bank-1", &secret)?)
        // Signed-in users confirm with the password what needs no second factor.
        .factor(Password::default())
        .directory(users.clone())
        .whoami_required_aal(config.model)
        .settings_required_aal(config.model);
    for factor in &config.factors {
        builder = match factor {
            FactorSetting::Totp => builder.factor(Totp::new("Example Bank")),
            FactorSetting::LookupSecret => builder.factor(LookupSecrets::default()),
            FactorSetting::Code => builder.factor(codes::factor(&config.codes, parsed)?),
            #[cfg(feature = "webauthn")]
            FactorSetting::WebAuthn => builder.factor(WebAuthn::new("Example Bank")),
        };
    }
    builder = pages(builder, &config.pages);
    if let Some(lifespan) = config.login_lifespan {
        builder = builder.login_flow_lifespan(lifespan);
    }
    if let Some(language) = &config.language {
        builder = builder.default_language(language);
    }
    if let Some(color) = &config.brand_color {
        builder = builder.theme(Theme::default().color(ThemeColor::Brand, color, color));
    }
    if let Some(lifespan) = config.trusted_devices {
        builder = builder.trusted_devices(lifespan);
    }
    if let Some(lifespan) = config.session_lifespan {
        builder = builder.session_lifespan(lifespan);
    }
    if public_url.starts_with("http://") {
        builder = builder.insecure_http_on_loopback();
    }
    let builder = match &config.store {
        StoreSetting::Memory => builder.store(MemoryStore::default()),
        #[cfg(feature = "sqlite")]
        StoreSetting::Sqlite(url) => builder.store(SqlStore::connect(url).await?),
        #[cfg(feature = "postgres")]
        StoreSetting::Postgres(url) => builder.store(SqlStore::connect(url).await?),
    };
    #[cfg(feature = "redis")]
    let builder = match &config.flows {
        Some(url) => builder.flow_store(flow_store(url).await?),
        None => builder,
    };
    Ok(builder.build().map_err(|error| BadSetting::refused(&error))?)
}

/// Leads browsers to a front end of one's own, where the settings name one.
fn pages(mut builder: StepUpBuilder, pages: &Pages) -> StepUpBuilder {
    if let Some(url) = &pages.login {
        builder = builder.login_url(url);
    }
    if let Some(url) = &pages.login_ui {
        builder = builder.login_ui_url(url);
    }
    if let Some(url) = &pages.settings_ui {
        builder = builder.settings_ui_url(url);
    }
    if let Some(url) = &pages.error_ui {
        builder = builder.error_ui_url(url);
    }
    // The crate's default is the bank itself, and a list replaces it.
    if !pages.allowed_return.is_empty() {
        builder = builder.allowed_return_url("/");
    }
    pages.allowed_return.iter().fold(builder, StepUpBuilder::allowed_return_url)
}

#[cfg(feature = "redis")]
async fn flow_store(url: &str) -> Result<RedisStore, BadSetting> {
    RedisStore::connect(url).await.map_err(|error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        BadSetting::new(format!("BANK_FLOWS cannot be used: {error}: {cause}"))
    })
}

/// Ends at Ctrl-C, and on Unix at SIGTERM. The bank still answers the requests that run then.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ended = signal::ctrl_c().await;
    })
}
