//! Layers in the wrong order.

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    routing::get,
};
use axum_login::AuthManagerLayerBuilder;
use tower::ServiceExt;
use tower_sessions_0_14::{MemoryStore, Session, SessionManagerLayer};
use tower_step_up::{
    RequireAal2, RouterExt, SigningKey, StepUp, factor::Totp, source::SourceError, store::MemoryStore as OurStore,
};
use tower_step_up_sessions::{AxumLogin, TowerSessions};

use crate::{host::Backend, log::Log};

fn bank(configure: impl FnOnce(tower_step_up::StepUpBuilder) -> tower_step_up::StepUpBuilder) -> StepUp {
    let builder = StepUp::builder("https://bank.example")
        .signing_key(SigningKey::generate("test").unwrap())
        .store(OurStore::default())
        .factor(Totp::new("Bank"));
    configure(builder).build().unwrap()
}

async fn status(app: &Router, path: &str) -> StatusCode {
    let request = Request::get(path).header("accept", "text/html").body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

fn routes() -> Router {
    Router::new().route("/open", get(async || "open")).route("/aal2", get(async || "aal2").layer(RequireAal2))
}

#[tokio::test]
async fn the_wrong_order_answers_500_and_logs_the_line_to_change() {
    let sessions = SessionManagerLayer::new(MemoryStore::default());
    let auth_layer = AuthManagerLayerBuilder::new(Backend::default(), sessions.clone()).build();

    let step_up = bank(|builder| builder.sessions(AxumLogin::<Backend>::new()));
    let wrong = routes().layer(auth_layer.clone()).with_step_up(&step_up);
    assert_refuses(&wrong, "write `.layer(auth_layer)` after `.layer(step_up.layer())`").await;
    let right = routes().with_step_up(&step_up).layer(auth_layer);
    assert_eq!(status(&right, "/aal2").await, StatusCode::SEE_OTHER, "led to the login");

    let step_up = bank(|builder| builder.sessions(TowerSessions::new(async |_: Session| Ok::<_, SourceError>(None))));
    let wrong = routes().layer(sessions.clone()).with_step_up(&step_up);
    assert_refuses(&wrong, "write `.layer(SessionManagerLayer::new(..))` after `.layer(step_up.layer())`").await;
    let right = routes().with_step_up(&step_up).layer(sessions);
    assert_eq!(status(&right, "/aal2").await, StatusCode::SEE_OTHER, "led to the login");
}

async fn assert_refuses(wrong: &Router, line: &str) {
    let (log, _guard) = Log::begin();
    let paths = ["/aal2", "/self-service/login/browser", "/sessions/whoami"];
    for path in [paths, paths].concat() {
        assert_eq!(status(wrong, path).await, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    assert_eq!(status(wrong, "/open").await, StatusCode::OK, "what asks nothing goes on");
    let told = log.take();
    for path in paths {
        let path = format!("route={path:?}");
        let tells = |told: &&String| told.contains(" ERROR ") && told.contains(line) && told.contains(&path);
        assert_eq!(told.iter().filter(tells).count(), 1, "once for {path}: {told:#?}");
    }
}
