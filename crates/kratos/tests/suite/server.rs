//! The Kratos behind the application: the companion router on a loopback port, or a real one.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Method as HttpMethod;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_step_up::{
    RequiredAal, RouterExt, SigningKey, StepUp, Subject,
    clock::{Clock, SystemClock, Timestamp},
    directory::{Directory, DirectoryFuture, Identity},
    factor::{Password, Totp},
    store::MemoryStore,
    test_util::{FixedClock, totp_code},
};
use tower_step_up_kratos::Kratos;

use crate::client::send;

/// The time of the Kratos, perhaps some time later.
#[derive(Clone)]
pub struct ServerClock {
    fixed: Option<FixedClock>,
    later: Duration,
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        self.fixed.as_ref().map_or_else(|| SystemClock.now(), FixedClock::now) + self.later
    }
}

#[derive(Clone)]
pub struct User {
    pub identifier: String,
    pub password: String,
    pub secret: Option<String>,
}

impl User {
    pub fn first_factor(&self) -> Value {
        json!({ "method": "password", "identifier": self.identifier, "password": self.password })
    }
}

pub struct Server {
    pub url: String,
    pub cookie_name: String,
    /// Whether whoami shows no session below the level that its user can reach.
    pub strict: bool,
    /// Whether a session falls when its factor is removed. Kratos' own sessions keep the level that they once had.
    pub forgets_removed_factors: bool,
    /// The stand-in's time, which stands still.
    pub clock: Option<FixedClock>,
    users: AtomicUsize,
}

/// Users whose password is their name and `-password`.
struct Users;

impl Directory for Users {
    fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async move { Ok(Some(Identity::new(json!({ "username": subject.as_str() })))) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }

    fn check_password<'a>(&'a self, identifier: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        Box::pin(async move {
            let right = password == format!("{identifier}-password");
            Ok(right.then(|| Subject::new(identifier).unwrap()))
        })
    }
}

impl Server {
    /// Users may return to these URLs.
    pub async fn stand_in(strict: bool, return_urls: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let clock = FixedClock::default();
        let cookie_name = "ory_kratos_session".to_owned();
        let mut builder = StepUp::builder(&url)
            .insecure_http_on_loopback()
            .signing_key(SigningKey::generate("test").unwrap())
            .store(MemoryStore::default())
            .directory(Users)
            .clock(clock.clone())
            .cookie_name(&cookie_name)
            .whoami_required_aal(if strict { RequiredAal::HighestAvailable } else { RequiredAal::Aal1 })
            .factor(Password::default())
            .factor(Totp::new("Stand-in"))
            .allowed_return_url(&url);
        for url in return_urls {
            builder = builder.allowed_return_url(*url);
        }
        let router = axum::Router::new().with_step_up(&builder.build().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        let (clock, users) = (Some(clock), AtomicUsize::new(0));
        Self { url, cookie_name, strict, forgets_removed_factors: true, clock, users }
    }

    /// The one that the environment names.
    pub fn real() -> Self {
        let var = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        let url = var("KRATOS_PUBLIC_URL", "").trim_end_matches('/').to_owned();
        assert!(!url.is_empty(), "KRATOS_PUBLIC_URL is not set: run scripts/against-kratos");
        let strict = match var("KRATOS_WHOAMI_REQUIRED_AAL", "aal1").as_str() {
            "highest_available" => true,
            "aal1" => false,
            other => panic!("KRATOS_WHOAMI_REQUIRED_AAL={other}: it is aal1 or highest_available"),
        };
        let cookie_name = var("KRATOS_COOKIE_NAME", "ory_kratos_session");
        Self { url, cookie_name, strict, forgets_removed_factors: false, clock: None, users: AtomicUsize::new(0) }
    }

    /// The source as an application would configure it for this server.
    pub fn source(&self) -> Kratos {
        let required = if self.strict { RequiredAal::HighestAvailable } else { RequiredAal::Aal1 };
        let source = Kratos::new(&self.url).cookie_name(&self.cookie_name).whoami_required_aal(required);
        if self.url.starts_with("http:") { source.insecure_http_on_loopback() } else { source }
    }

    pub fn clock(&self, later: Duration) -> ServerClock {
        ServerClock { fixed: self.clock.clone(), later }
    }

    /// Somebody with a password and nothing else.
    pub async fn new_user(&self) -> User {
        let number = self.users.fetch_add(1, Ordering::SeqCst);
        let user = |identifier: String, password| User { identifier, password, secret: None };
        if self.clock.is_some() {
            let name = format!("user-{number}");
            return user(name.clone(), format!("{name}-password"));
        }
        let unique = format!("{}-{number}", SystemClock.now().unix_milliseconds());
        let user = user(format!("step-up-{unique}@example.com"), format!("correct horse {unique} battery"));
        let begin = format!("{}/self-service/registration/api", self.url);
        let flow = send(HttpMethod::GET, &begin, &[("accept", "application/json")], None).await;
        assert_eq!(flow.status, 200, "{}", flow.text());
        let trait_name = env::var("KRATOS_TRAIT").unwrap_or_else(|_| "email".to_owned());
        let body =
            json!({ "method": "password", "password": user.password, "traits": { trait_name: user.identifier } });
        let action = flow.json()["ui"]["action"].as_str().unwrap().to_owned();
        let headers = [("accept", "application/json")];
        let done = send(HttpMethod::POST, &action, &headers, Some(("application/json", body.to_string()))).await;
        assert_eq!(done.status, 200, "{}", done.text());
        user
    }

    /// A code that was not used before. The stand-in takes each once, so its time goes on.
    pub fn code(&self, user: &User) -> String {
        let now = match &self.clock {
            Some(clock) => {
                clock.advance(Duration::from_secs(30));
                clock.now()
            }
            None => SystemClock.now(),
        };
        totp_code(user.secret.as_deref().unwrap(), now).unwrap()
    }
}

/// How often something happened.
pub type Count = Arc<AtomicUsize>;
