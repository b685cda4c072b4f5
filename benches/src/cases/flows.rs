//! A step-up as a native client goes through it: begin a flow, submit a TOTP code. Every session is new at `aal1`, and the clock moves on
//! whenever all users had their turn, so that each code is fresh.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::runtime::Runtime;
use totp_rs::{Builder, Secret};
use tower::ServiceExt as _;
use tower_step_up::{Method, StepUp, Subject, clock::Clock as _, test_util::FixedClock};

use crate::{
    measure::{Case, Work},
    requests::Template,
    world::{Directory, Place, World, builder, now},
};

pub const TOTP_SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const USERS: usize = 200;

/// The code of this moment.
pub fn code(seconds: u64) -> String {
    let secret = Secret::try_from_base32(TOTP_SECRET).unwrap();
    Builder::new().with_secret(secret).build().unwrap().generate(seconds).to_string()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Begin,
    Submit,
}

/// A server with its own clock and users.
struct Site {
    step_up: StepUp,
    router: Router,
    clock: FixedClock,
    next: std::cell::Cell<usize>,
    _directory: Arc<Directory>,
}

struct StepUps {
    site: Site,
    part: Part,
    ready: Vec<Request<Body>>,
    expected: StatusCode,
}

impl Site {
    async fn new(world: &World, place: Place, name: &str) -> Option<Self> {
        let clock = FixedClock::new(now());
        let builder = place.open(builder().clock(clock.clone()), &world.directory, name).await?;
        let step_up = builder.build().unwrap();
        for user in 0..USERS {
            step_up.import_totp(&subject(user), TOTP_SECRET).await.unwrap();
        }
        let router = step_up.router().layer(step_up.layer());
        let directory = Arc::clone(&world.directory);
        Some(Self { step_up, router, clock, next: std::cell::Cell::new(0), _directory: directory })
    }

    /// A client of the next user, signed in at `aal1`.
    async fn sign_in(&self) -> Template {
        let next = self.next.replace(self.next.get() + 1);
        // Batches end where the users do.
        if next > 0 && next.is_multiple_of(USERS) {
            self.clock.advance(Duration::from_secs(30));
        }
        let subject = subject(next % USERS);
        let signed_in = self.step_up.sign_in(subject, Method::Password).await.unwrap();
        Template::new(None).with("accept", "application/json").with("x-session-token", signed_in.token().as_str())
    }

    fn begin(client: &Template) -> Request<Body> {
        client.to("GET", "/self-service/login/api?aal=aal2", Body::empty())
    }

    /// Begins a flow and makes what will be submitted.
    async fn submission(&self, client: Template) -> Request<Body> {
        let response = self.router.clone().oneshot(Self::begin(&client)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let flow: Value = serde_json::from_slice(&body).unwrap();
        let path = format!("/self-service/login?flow={}", flow["id"].as_str().unwrap());
        let seconds = u64::try_from(self.clock.now().unix_seconds()).unwrap();
        let body = format!(r#"{{"method":"totp","totp_code":"{}"}}"#, code(seconds));
        client.with("content-type", "application/json").to("POST", &path, body.into())
    }
}

fn subject(user: usize) -> Subject {
    Subject::new(format!("user-{user}")).unwrap()
}

impl Work for StepUps {
    fn prepare(&mut self, count: usize, runtime: &Runtime) {
        self.ready.clear();
        for _ in 0..count {
            let request = runtime.block_on(async {
                let client = self.site.sign_in().await;
                match self.part {
                    Part::Begin => Site::begin(&client),
                    Part::Submit => self.site.submission(client).await,
                }
            });
            self.ready.push(request);
        }
    }

    fn run(&mut self, runtime: &Runtime) {
        runtime.block_on(async {
            for request in self.ready.drain(..) {
                let response = self.site.router.clone().oneshot(request).await.unwrap();
                assert_eq!(response.status(), self.expected);
            }
        });
    }
}

pub fn all(world: &World, filter: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for place in Place::ALL {
        for (part, name) in [(Part::Begin, "begin a flow"), (Part::Submit, "submit a TOTP code")] {
            let file = if part == Part::Begin { "begin" } else { "submit" };
            let name = format!("ours: step-up, {name}, {}", place.name());
            if !name.contains(filter) {
                continue;
            }
            let Some(site) = world.runtime.block_on(Site::new(world, place, file)) else {
                println!("left out, since it is not installed: {name}");
                continue;
            };
            let work = StepUps { site, part, ready: Vec::new(), expected: StatusCode::OK };
            cases.push(Case::new(name, work).slow(4, 10));
        }
    }
    cases
}
