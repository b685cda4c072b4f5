//! The application: its users sign in at Kratos.

use std::{
    env,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{Router, routing::any};
use http::Method;
use tokio::net::TcpListener;
use tower_step_up::{
    Aal2, CurrentSession, RequireAal, RequireAal2, Requirement, RouterExt, StepUp, clock::Clock, source::SessionSource,
};

use crate::{
    client::{Answer, Client, send},
    server::Count,
};

/// Guarded routes, weakest first.
pub const PATHS: [&str; 5] = ["/aal1", "/highest", "/aal2", "/proof", "/recent"];

/// Where it listens. Kratos may have to know it first.
pub struct Address {
    listener: TcpListener,
    pub url: String,
}

impl Address {
    pub async fn bind() -> Self {
        let address = env::var("APPLICATION_ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
        Self::at(&address).await
    }

    async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }
}

pub struct Application {
    pub url: String,
    /// How often a handler of a guarded route ran.
    calls: Count,
}

impl Application {
    pub async fn start(source: impl SessionSource, clock: impl Clock) -> Self {
        Self::start_at(Address::at("127.0.0.1:0").await, source, clock)
    }

    pub fn start_at(address: Address, source: impl SessionSource, clock: impl Clock) -> Self {
        let Address { listener, url } = address;
        let guard = StepUp::guard(&url).insecure_http_on_loopback().source(source).clock(clock).build().unwrap();
        let calls = Count::default();
        let counted = Arc::clone(&calls);
        let page = || {
            let calls = Arc::clone(&counted);
            any(async move |user: CurrentSession| {
                calls.fetch_add(1, Ordering::SeqCst);
                user.subject().to_string()
            })
        };
        let proven = Arc::clone(&calls);
        let recent = Requirement::aal2().max_age(Duration::from_secs(300));
        let router = Router::new()
            .route("/open", any(async || "open"))
            .route(
                "/optional",
                any(async |user: Option<CurrentSession>| {
                    user.map_or("nobody".to_owned(), |user| user.subject().to_string())
                }),
            )
            .route("/aal1", page().layer(RequireAal::new(Requirement::aal1())))
            .route("/highest", page().layer(RequireAal::new(Requirement::highest_available())))
            .route("/aal2", page().layer(RequireAal2))
            .route(
                "/proof",
                any(async move |user: Aal2| {
                    proven.fetch_add(1, Ordering::SeqCst);
                    user.subject().to_string()
                }),
            )
            .route_requiring("/recent", recent, page())
            .route_requiring("/key", Requirement::aal2().phishing_resistant(), page())
            .layer(guard.layer());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { url, calls }
    }

    /// How often a handler of a guarded route ran since this was last asked.
    pub fn take_calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }

    /// Asks as a program does.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = [&[("accept", "application/json")], headers].concat();
        send(Method::GET, &format!("{}{path}", self.url), &headers, None).await
    }

    /// Asks with the credential of this client.
    pub async fn get_as(&self, path: &str, client: &Client<'_>) -> Answer {
        let (name, value) = client.credential();
        self.get(path, &[(name, &value)]).await
    }

    /// The statuses of all guarded routes. What is refused reaches no handler; what is let through says the same subject everywhere.
    pub async fn statuses(&self, headers: &[(&str, &str)]) -> ([u16; 5], Option<String>) {
        assert_eq!(self.get("/open", headers).await.status, 200, "an open route stays open");
        let mut subject = None;
        let mut statuses = [0; 5];
        for (path, status) in PATHS.into_iter().zip(&mut statuses) {
            let before = self.calls.load(Ordering::SeqCst);
            let answer = self.get(path, headers).await;
            *status = answer.status;
            let ran = self.calls.load(Ordering::SeqCst) - before;
            assert_eq!(ran, usize::from(answer.status == 200), "{path}");
            if answer.status == 200 {
                let found = answer.text();
                assert_eq!(*subject.get_or_insert_with(|| found.clone()), found, "{path}");
            }
        }
        (statuses, subject)
    }
}
