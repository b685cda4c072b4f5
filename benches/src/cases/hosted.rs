//! Sessions that the application has already: what a step-up adds to a request of axum-login or tower-sessions. Both keep their sessions in
//! memory, so the difference is ours and nothing else.

use axum::{
    Router,
    body::Body,
    routing::{get, post},
};
use axum_login::AuthManagerLayerBuilder;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};
use tower_step_up::{
    RequireAal, RequireAal2, Requirement, StepUp, Subject,
    source::{HostSessions, HostUser, SourceError},
    store::MemoryStore as StepUps,
};
use tower_step_up_sessions::{AxumLogin, TowerSessions};

use super::{
    flows::{TOTP_SECRET, code},
    handler,
    peers::{AuthSession, Backend},
    requests,
};
use crate::{
    measure::Case,
    requests::{Template, cookies},
    world::{World, builder, now},
};

/// Who sends what: after a login, and after a step-up.
struct Client {
    router: Router,
    one_factor: String,
    two_factors: String,
}

pub fn all(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name: &str, path: &'static str, router: &Router, cookie: &str| {
        let template = Template::new(Some(&cookies(cookie)));
        let make = move || template.to("GET", path, Body::empty());
        cases.push(requests(name, &world.runtime, router.clone(), StatusCode::OK, make));
    };
    let axum_login = world.runtime.block_on(axum_login());
    let (alone, one, two) = (&axum_login.router, &axum_login.one_factor, &axum_login.two_factors);
    case("with axum-login: its layers alone", "/before", alone, one);
    case("with axum-login: outer layer, no guard", "/", alone, one);
    case("with axum-login: both, warm token", "/aal2", alone, two);
    case("with axum-login: both, one factor, remembered", "/aal1", alone, one);
    let tower_sessions = world.runtime.block_on(tower_sessions());
    let (alone, one, two) = (&tower_sessions.router, &tower_sessions.one_factor, &tower_sessions.two_factors);
    case("with tower-sessions: its layer and one get alone", "/before", alone, one);
    case("with tower-sessions: both, warm token", "/aal2", alone, two);
    case("with tower-sessions: both, one factor, remembered", "/aal1", alone, one);
    cases
}

fn step_up(sessions: impl HostSessions) -> StepUp {
    builder().sessions(sessions).store(StepUps::default()).build().unwrap()
}

/// Routes inside our layer.
fn guarded(step_up: &StepUp) -> Router {
    Router::new()
        .route("/", get(handler))
        .route("/aal1", get(handler).layer(RequireAal::from(Requirement::aal1())))
        .route("/aal2", get(handler).layer(RequireAal2))
        .merge(step_up.router())
}

async fn axum_login() -> Client {
    let step_up = step_up(AxumLogin::<Backend>::new());
    let login = post(async |mut session: AuthSession| {
        let user = session.authenticate(1).await.unwrap().unwrap();
        session.login(&user).await.unwrap();
    });
    let sessions = SessionManagerLayer::new(MemoryStore::default());
    let router = guarded(&step_up)
        .route("/login", login)
        .layer(step_up.layer())
        .route("/before", get(handler))
        .layer(AuthManagerLayerBuilder::new(Backend::of_one_user(), sessions).build());
    Client::of(router, &step_up, "1").await
}

async fn tower_sessions() -> Client {
    let step_up = step_up(TowerSessions::new(|session: Session| async move {
        let user = session.get::<String>("user").await?;
        Ok::<_, SourceError>(user.map(Subject::new).transpose()?.map(HostUser::new))
    }));
    let router = guarded(&step_up)
        .route("/login", post(async |session: Session| session.insert("user", "kim").await.unwrap()))
        .layer(step_up.layer())
        .route(
            "/before",
            get(async |session: Session| {
                assert!(session.get::<String>("user").await.unwrap().is_some());
                handler().await
            }),
        )
        .layer(SessionManagerLayer::new(MemoryStore::default()));
    Client::of(router, &step_up, "kim").await
}

impl Client {
    /// Signs in, and then steps up.
    async fn of(router: Router, step_up: &StepUp, user: &str) -> Self {
        step_up.import_totp(&Subject::new(user).unwrap(), TOTP_SECRET).await.unwrap();
        let send = |method: &str, path: &str, cookies: &str, body: String| {
            let request = Request::builder().method(method).uri(path).header(header::COOKIE, cookies);
            let request =
                request.header(header::ACCEPT, "application/json").header(header::CONTENT_TYPE, "application/json");
            router.clone().oneshot(request.body(Body::from(body)).unwrap())
        };
        let answer = send("POST", "/login", "", String::new()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let one_factor = set(&answer);
        let answer = send("GET", "/self-service/login/browser?aal=aal2", &one_factor, String::new()).await.unwrap();
        let with_csrf = format!("{one_factor}; {}", set(&answer));
        let flow: Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        let action = flow["ui"]["action"].as_str().unwrap().strip_prefix("https://bank.example").unwrap().to_owned();
        let nodes = flow["ui"]["nodes"].as_array().unwrap();
        let csrf = nodes.iter().find(|node| node["attributes"]["name"] == "csrf_token").unwrap();
        let seconds = u64::try_from(now().unix_seconds()).unwrap();
        let form = json!({
            "method": "totp", "totp_code": code(seconds), "csrf_token": csrf["attributes"]["value"],
        });
        let answer = send("POST", &action, &with_csrf, form.to_string()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let two_factors = format!("{one_factor}; {}", set(&answer));
        Self { router, one_factor, two_factors }
    }
}

/// The cookies that an answer sets, as a browser sends them back.
fn set<B>(answer: &Response<B>) -> String {
    let set = answer.headers().get_all(header::SET_COOKIE).iter();
    let pairs: Vec<_> = set.map(|value| value.to_str().unwrap().split(';').next().unwrap()).collect();
    pairs.join("; ")
}
