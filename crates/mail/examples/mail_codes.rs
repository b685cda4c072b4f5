//! A page behind a code by mail.
//!
//! ```text
//! cargo run -p tower-step-up-mail --example mail_codes
//! ```
//!
//! It sends to a mail server for development, such as mailpit, on `127.0.0.1:1025`; `SMTP` names another one.

use std::{env, error::Error};

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect},
    routing::get,
};
use tower_step_up::{
    Method, RequireAal2, RouterExt, SigningKey, StepUp, Subject,
    directory::{Address, Directory, DirectoryFuture, Identity},
    factor::Code,
    store::MemoryStore,
};
use tower_step_up_mail::Smtp;

/// Everybody is alice, who reads German.
struct Users;

impl Directory for Users {
    fn identity<'a>(&'a self, user: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async move { Ok(Some(Identity::new(serde_json::json!({ "username": user.as_str() })))) })
    }

    fn addresses<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Vec<Address>> {
        Box::pin(async { Ok(vec![Address::email("alice@app.example").verified(true)]) })
    }

    fn locale<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<String>> {
        Box::pin(async { Ok(Some("de".to_owned())) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = env::var("SMTP").unwrap_or_else(|_| "smtp://127.0.0.1:1025".to_owned());
    let step_up = StepUp::builder("http://127.0.0.1:3000")
        .insecure_http_on_loopback()
        .application_name("Example Bank")
        .signing_key(SigningKey::generate("demo")?)
        .store(MemoryStore::default())
        .directory(Users)
        .factor(Code::new(Smtp::new(&server, "Example Bank <no-reply@bank.example>")?))
        .build()?;
    let app = Router::new()
        .route("/", get(async || "Welcome. You got here with a code.").layer(RequireAal2))
        .route("/login", get(async || Html("<form method=post><button>I am alice</button></form>")).post(login))
        .with_state(step_up.clone())
        .with_step_up(&step_up);
    println!("Open http://127.0.0.1:3000/");
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await?;
    Ok(())
}

#[derive(serde::Deserialize)]
struct ReturnTo {
    return_to: Option<String>,
}

/// Your application has its own login. This one believes everybody.
async fn login(State(step_up): State<StepUp>, Query(query): Query<ReturnTo>) -> Result<impl IntoResponse, StatusCode> {
    let alice = Subject::new("alice").map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let signed_in = step_up.sign_in(alice, Method::Password).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let return_to = query.return_to.and_then(|text| step_up.return_url(&text));
    Ok((signed_in, Redirect::to(return_to.as_deref().unwrap_or("/"))))
}
