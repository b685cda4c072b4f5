//! A program that steps up: it signs in at the bank, is refused, proves its second factor and goes on.
//!
//! Start `cargo run -p bank`, then in a second terminal:
//!
//! ```sh
//! cargo run -p bank --example native_client -- http://127.0.0.1:3000 alice alice-password
//! ```
//!
//! It asks for the code of the authenticator app, whose secret the bank's README section names. Everything that it knows of the wire
//! are the types of `tower_step_up::wire`.

use std::{error::Error, io::Write};

use reqwest::{Client, Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tower_step_up::wire::{ErrorEnvelope, LoginFlow, LoginSuccess};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A native app: it has no cookies, and sends its token in a header.
struct App {
    http: Client,
    url: String,
    token: String,
}

/// What the bank's own login answers.
#[derive(Deserialize)]
struct SignedIn {
    session_token: String,
}

impl App {
    async fn sign_in(url: &str, username: &str, password: &str) -> Outcome<Self> {
        let mut app = Self { http: Client::new(), url: url.trim_end_matches('/').to_owned(), token: String::new() };
        let credentials = json!({ "username": username, "password": password });
        let (status, body) = app.send(Method::POST, "/api/login", Some(credentials)).await?;
        if status != StatusCode::OK {
            return Err(format!("the bank did not sign {username} in: {status}").into());
        }
        app.token = read::<SignedIn>(&body)?.session_token;
        Ok(app)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Outcome<(StatusCode, Vec<u8>)> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).header("accept", "application/json");
        if !self.token.is_empty() {
            request = request.header("x-session-token", &self.token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        Ok((response.status(), response.bytes().await?.to_vec()))
    }

    /// Opens a page, and steps up where that is asked for.
    async fn open(&mut self, path: &str) -> Outcome<String> {
        loop {
            let (status, body) = self.send(Method::GET, path, None).await?;
            if status == StatusCode::OK {
                return Ok(String::from_utf8(body)?);
            }
            let refused: ErrorEnvelope = read(&body)?;
            println!("{path}: {} ({})", refused.error.reason, refused.error.code);
            match refused.error.id.as_deref() {
                Some("session_aal2_required") if refused.error.details.contains_key("second_factor") => {
                    return Err("no second factor is enrolled: set one up in the settings first".into());
                }
                Some("session_aal2_required") => self.step_up("aal=aal2").await?,
                Some("session_refresh_required") => self.step_up("aal=aal2&refresh=true").await?,
                _ => return Err(refused.error.message.into()),
            }
        }
    }

    /// Begins a flow, and sends codes until one is right. The token of the success replaces the one that has ended.
    async fn step_up(&mut self, query: &str) -> Outcome<()> {
        let (_, body) = self.send(Method::GET, &format!("/self-service/login/api?{query}"), None).await?;
        let mut flow: LoginFlow = read(&body)?;
        loop {
            let nodes = || flow.ui.nodes.iter();
            for text in flow.ui.messages.iter().chain(nodes().flat_map(|node| &node.messages)) {
                println!("{}", text.text);
            }
            if !nodes().any(|node| node.name() == "totp_code") {
                return Err("this flow takes no code of an authenticator app".into());
            }
            let answer = json!({ "method": "totp", "totp_code": ask("Code: ")? });
            let path = format!("/self-service/login?flow={}", flow.id);
            match self.send(Method::POST, &path, Some(answer)).await? {
                (StatusCode::OK, body) => {
                    let success: LoginSuccess = read(&body)?;
                    println!("the session is {} now", success.session.authenticator_assurance_level);
                    self.token = success.session_token.ok_or("no token for a program")?;
                    return Ok(());
                }
                // Either the flow again, with what is wrong, or an error.
                (StatusCode::BAD_REQUEST, body) if read::<LoginFlow>(&body).is_ok() => flow = read(&body)?,
                (_, body) => return Err(read::<ErrorEnvelope>(&body)?.error.reason.into()),
            }
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Outcome<T> {
    Ok(serde_json::from_slice(body)?)
}

fn ask(question: &str) -> Outcome<String> {
    print!("{question}");
    std::io::stdout().flush()?;
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line)? == 0 {
        return Err("no answer".into());
    }
    Ok(line.trim().to_owned())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, username, password] = arguments.as_slice() else {
        return Err("usage: native_client URL USERNAME PASSWORD".into());
    };
    let mut app = App::sign_in(url, username, password).await?;
    println!("{}", app.open("/api/payments").await?);
    Ok(())
}
