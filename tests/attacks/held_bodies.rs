//! Number 26: a request whose body is held back is judged by what holds when the body is there.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::DefaultBodyLimit,
    http::{Method as HttpMethod, StatusCode},
    routing::post,
};
use http_body::Frame;
use tower::ServiceExt;
use tower_step_up::{
    Aal2, CurrentSession, Method, Proven, Required, Requirement, RouterExt, StepUp, extract::Fresh, factor::Password,
    store::Revocation,
};

use crate::{
    held,
    site::{Answer, Client, Kind, OpenFlow},
    world::{World, assert_error, assert_says, client, subject},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const SESSIONS: &str = "/self-service/ui/sessions";

impl Client {
    /// Submits a flow whose body comes after all this.
    async fn submit_late(&mut self, flow: &OpenFlow, fields: &[(&str, &str)], meanwhile: impl AsyncFnOnce()) -> Answer {
        let csrf = flow.csrf();
        let mut fields = fields.to_vec();
        if self.kind != Kind::Native {
            fields.push(("csrf_token", &csrf));
        }
        self.post_late(&flow.action(), &fields, meanwhile).await
    }
}

/// The submit is opened before the code exists, and the code is photographed: as a fresh request, it would be refused.
#[tokio::test]
async fn a_code_in_a_held_body_counts_at_the_time_of_the_body() {
    for world in World::on_every_store(|builder| builder) {
        let site = &world.a;
        for (number, kind) in [Kind::Spa, Kind::Native].into_iter().enumerate() {
            let name = format!("kim-{number}");
            site.enrol(&name).await;
            let mut kim = client(site, kind, &name).await;
            let flow = kim.begin("login", "?aal=aal2").await;
            let photographed = site.code();
            let fields = [("method", "totp"), ("totp_code", photographed.as_str())];
            let late = kim.submit_late(&flow, &fields, async || world.advance(25 * MINUTE)).await;
            assert_says(&late, 4_000_008);
            kim.assert_aal1(site).await;
            assert_says(&kim.submit(&flow, &fields).await, 4_000_008);

            // The honest twin: slow, and with the code of now.
            let flow = kim.begin("login", "?aal=aal2").await;
            let code = world.next_code();
            let fields = [("method", "totp"), ("totp_code", code.as_str())];
            let slow = kim.submit_late(&flow, &fields, async || world.advance(Duration::from_secs(5))).await;
            assert_eq!(slow.status, StatusCode::OK, "{slow:?}");
            kim.keep_token_if_any(&slow);
            assert!(kim.pays(site).await);
        }
    }
}

/// The owner's own form, opened while the proof was recent, and sent hours later by somebody at the same device.
#[tokio::test]
async fn a_factor_is_unlinked_by_a_proof_that_is_recent_when_the_body_comes() {
    for world in World::on_every_store(|builder| builder.settings_flow_lifespan(23 * HOUR)) {
        let site = &world.a;
        for (number, kind) in [Kind::Spa, Kind::Native].into_iter().enumerate() {
            let name = format!("kim-{number}");
            site.enrol(&name).await;
            let mut kim = client(site, kind, &name).await;
            let stepped_up = kim.step_up(&world.next_code()).await;
            assert_eq!(stepped_up.status, StatusCode::OK);
            let flow = kim.begin("settings", "").await;
            let unlink = [("method", "totp"), ("totp_unlink", "true")];
            let late = kim.submit_late(&flow, &unlink, async || world.advance(22 * HOUR)).await;
            assert_error(&late, 403, "session_refresh_required");
            assert_error(&kim.submit(&flow, &unlink).await, 403, "session_refresh_required");
            assert_eq!(world.known(&name).await.credentials.len(), 1);

            // The honest twin.
            let mut kim = client(site, kind, &name).await;
            assert_eq!(kim.step_up(&world.next_code()).await.status, StatusCode::OK);
            let flow = kim.begin("settings", "").await;
            let slow = kim.submit_late(&flow, &unlink, async || world.advance(Duration::from_secs(5))).await;
            assert_eq!(slow.status, StatusCode::OK, "{slow:?}");
            assert_eq!(world.known(&name).await.credentials.len(), 0);
        }
    }
}

#[tokio::test]
async fn a_flow_that_ends_while_its_body_is_held_is_over() {
    for world in World::on_every_store(|builder| builder) {
        let site = &world.a;
        site.enrol("kim").await;
        let mut kim = client(site, Kind::Spa, "kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        // The code of the moment at which the body comes.
        let code = crate::site::code_of(crate::site::SECRET, site.seconds() + 3660);
        let fields = [("method", "totp"), ("totp_code", code.as_str())];
        let late = kim.submit_late(&flow, &fields, async || world.advance(61 * MINUTE)).await;
        assert_error(&late, 410, "self_service_flow_expired");
        kim.assert_aal1(site).await;

        let mut kim = client(site, Kind::Spa, "kim").await;
        assert_eq!(kim.step_up(&world.next_code()).await.status, StatusCode::OK);
        let flow = kim.begin("settings", "").await;
        let unlink = [("method", "totp"), ("totp_unlink", "true")];
        let late = kim.submit_late(&flow, &unlink, async || world.advance(61 * MINUTE)).await;
        assert_error(&late, 410, "self_service_flow_expired");
        assert_eq!(world.known("kim").await.credentials.len(), 1);
    }
}

/// The owner revokes the thief's session on another process while the thief holds a body back on this one.
#[tokio::test]
async fn a_session_that_is_revoked_while_a_body_is_held_is_over() {
    for world in World::on_every_store(|builder| builder.factor(Password::default())) {
        let site = &world.a;
        site.enrol("kim").await;
        let revoke = async || {
            world.b.step_up.revoke_all(&subject("kim")).await.unwrap();
            world.advance(Duration::from_secs(5));
        };
        for kind in [Kind::Spa, Kind::Native] {
            let mut thief = client(site, kind, "kim").await;
            let flow = thief.begin("login", "?aal=aal2").await;
            let code = world.next_code();
            let late = thief.submit_late(&flow, &[("method", "totp"), ("totp_code", &code)], revoke).await;
            assert_error(&late, 401, "session_aal1_required");
            thief.assert_dead(site).await;

            let mut thief = client(site, kind, "kim").await;
            assert_eq!(thief.step_up(&world.next_code()).await.status, StatusCode::OK);
            let flow = thief.begin("settings", "").await;
            let unlink = [("method", "totp"), ("totp_unlink", "true")];
            let late = thief.submit_late(&flow, &unlink, revoke).await;
            assert_error(&late, 401, "session_inactive");
            assert_eq!(world.known("kim").await.credentials.len(), 1);
        }

        // The page of sessions: a revoked session ends none of the owner's.
        for named in ["others", "own"] {
            let mut thief = client(site, Kind::Spa, "kim").await;
            assert_eq!(thief.step_up(&world.next_code()).await.status, StatusCode::OK);
            let mut thief = Client { kind: Kind::Browser, ..thief };
            let csrf = csrf_of(&thief.get(SESSIONS).await.text);
            let own =
                Client { kind: Kind::Spa, ..thief.clone() }.whoami().await.json()["id"].as_str().unwrap().to_owned();
            let named = if named == "own" { own.as_str() } else { named };
            let mut owner = None;
            let late = thief
                .post_late(SESSIONS, &[("csrf_token", &csrf), ("session", named)], async || {
                    revoke().await;
                    owner = Some(client(&world.b, Kind::Spa, "kim").await);
                })
                .await;
            assert!(late.location().contains("/self-service/login/browser"), "{late:?}");
            owner.unwrap().assert_aal1(&world.b).await;
            assert_eq!(world.known("kim").await.sessions.len(), 1, "the owner's new session is there");
        }

        // One session, by its id.
        let others = world.known("kim").await.sessions;
        let mut thief = client(site, Kind::Native, "kim").await;
        let mut sessions = world.known("kim").await.sessions;
        sessions.retain(|session| others.iter().all(|other| other.id() != session.id()));
        let flow = thief.begin("login", "?refresh=true").await;
        let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
        let late = thief
            .submit_late(&flow, &fields, async || {
                let revoked = world.b.step_up.revoke(&subject("kim"), Revocation::One(sessions[0].id())).await;
                assert_eq!(revoked.unwrap(), 1);
                world.advance(Duration::from_secs(5));
            })
            .await;
        assert_error(&late, 401, "session_inactive");
    }
}

fn csrf_of(page: &str) -> String {
    let value = page.split("name=\"csrf_token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    value.expect("no csrf_token").replace("&#x2B;", "+").replace("&#43;", "+")
}

/// A body of single bytes, each of which keeps a whole buffer in memory as long as somebody keeps it.
struct Crumbs {
    left: usize,
    given: Vec<Bytes>,
    /// How much is kept when the last crumb was taken.
    kept: Arc<AtomicUsize>,
}

const BUFFER: usize = 64 * 1024;

impl http_body::Body for Crumbs {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            let kept = self.given.iter().filter(|buffer| !buffer.is_unique()).count() * BUFFER;
            self.kept.store(kept, Ordering::SeqCst);
            return Poll::Ready(None);
        }
        self.left -= 1;
        let buffer = Bytes::from(vec![b' '; BUFFER]);
        let crumb = buffer.slice(..1);
        self.given.push(buffer);
        Poll::Ready(Some(Ok(Frame::data(crumb))))
    }
}

/// A body that says how long it is, and may not be read.
struct Announced(u64);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read");
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

/// What a client may make the server hold is the limit of the endpoint, however the body is cut; and what is announced as more is not
/// read at all.
#[tokio::test]
async fn nobody_makes_the_server_hold_megabytes() {
    let world = World::with(|builder| builder.body_limit(5_000_000));
    let site = &world.a;
    site.enrol("kim").await;
    let mut kim = client(site, Kind::Spa, "kim").await;
    let login = kim.begin("login", "?aal=aal2").await.action();
    let mut native = client(site, Kind::Native, "lee").await;
    let settings = native.begin("settings", "").await.action();
    let page = client(site, Kind::Browser, "lee").await.sending(&[("origin", crate::site::ORIGIN.as_bytes())]);
    for (client, method, path, most) in [
        (&kim, HttpMethod::POST, login.as_str(), 5_000_000),
        (&native, HttpMethod::POST, settings.as_str(), 5_000_000),
        (&page, HttpMethod::POST, SESSIONS, 8192),
        (&native, HttpMethod::DELETE, "/self-service/logout/api", 8192),
    ] {
        let kept = Arc::new(AtomicUsize::new(usize::MAX));
        let request = || client.request(method.clone(), path).header("content-type", "application/json");
        let crumbs = Crumbs { left: 1000, given: Vec::new(), kept: Arc::clone(&kept) };
        client.clone().send(request().body(Body::new(crumbs)).unwrap()).await;
        assert!(kept.load(Ordering::SeqCst) <= 2 * BUFFER, "{method} {path} keeps {kept:?} bytes of 1000");

        let answer = client.clone().send(request().body(Body::new(Announced(most + 1))).unwrap()).await;
        if path == SESSIONS {
            assert!(answer.location().contains("/self-service/ui/error"), "{answer:?}");
        } else {
            assert_error(&answer, 413, "");
        }
    }
    // The honest twin.
    let logout = format!("{{\"session_token\":{:?}}}", native.token.as_deref().unwrap());
    assert_eq!(native.delete("/self-service/logout/api", &logout).await.status, StatusCode::NO_CONTENT);
}

/// A second factor, proven within the last five minutes.
struct FiveMinutes;

impl Required for FiveMinutes {
    const REQUIREMENT: Requirement = Requirement::aal2().max_age(Duration::from_secs(300));
}

async fn at_the_head(user: Aal2, Json(_): Json<u64>) -> String {
    user.subject().to_string()
}

async fn aal2(Fresh(user, Json(_)): Fresh<Aal2, Json<u64>>) -> String {
    user.subject().to_string()
}

async fn recent(Fresh(user, body): Fresh<Proven<FiveMinutes>, Bytes>) -> String {
    assert_eq!(body, "7");
    user.subject().to_string()
}

async fn session(Fresh(user, body): Fresh<CurrentSession, String>) -> String {
    assert_eq!(body, "7");
    user.subject().to_string()
}

fn own_handlers(step_up: &StepUp) -> Router {
    Router::new()
        .route("/at-the-head", post(at_the_head))
        .route("/aal2", post(aal2))
        .route("/recent", post(recent))
        .route("/session", post(session))
        .layer(DefaultBodyLimit::max(1000))
        .with_step_up(step_up)
}

/// What an application's own handlers answer to a body that comes after all this.
async fn answers(client: &Client, app: &Router, path: &str, meanwhile: impl AsyncFnOnce()) -> Answer {
    let (body, holder) = held::held();
    let mut client = Client { router: app.clone(), ..client.clone() };
    let request = client.request(HttpMethod::POST, path).header("content-type", "application/json");
    let (answer, ()) = tokio::join!(client.send(request.body(Body::new(body)).unwrap()), async {
        holder.asked().await;
        meanwhile().await;
        holder.send("7");
    });
    answer
}

#[tokio::test]
async fn a_handler_that_asks_for_it_fresh_is_judged_when_the_body_is_there() {
    for world in World::on_every_store(|builder| builder) {
        let site = &world.a;
        let app = own_handlers(&site.step_up);
        let mut number = 0;
        for kind in [Kind::Spa, Kind::Native] {
            for (change, path, expected) in [
                ("none", "/at-the-head", ""),
                ("none", "/aal2", ""),
                ("none", "/recent", ""),
                ("none", "/session", ""),
                // A guard decides at the head, as SECURITY.md says.
                ("revoked", "/at-the-head", ""),
                ("revoked", "/aal2", "session_inactive"),
                ("revoked", "/recent", "session_inactive"),
                ("revoked", "/session", "session_inactive"),
                ("six minutes", "/at-the-head", ""),
                ("six minutes", "/aal2", ""),
                ("six minutes", "/recent", "session_refresh_required"),
                ("six minutes", "/session", ""),
                ("unbound", "/at-the-head", ""),
                ("unbound", "/aal2", "session_aal2_required"),
                ("unbound", "/recent", "session_aal2_required"),
                ("unbound", "/session", ""),
            ] {
                number += 1;
                let name = format!("kim-{number}");
                site.enrol(&name).await;
                let mut kim = client(site, kind, &name).await;
                assert_eq!(kim.step_up(&world.next_code()).await.status, StatusCode::OK);
                let answer = answers(&kim, &app, path, async || {
                    match change {
                        "revoked" => drop(world.b.step_up.revoke_all(&subject(&name)).await.unwrap()),
                        "unbound" => world.b.step_up.unbind(&subject(&name), Method::Totp).await.unwrap(),
                        "six minutes" => world.advance(6 * MINUTE),
                        _ => {}
                    }
                    world.advance(Duration::from_secs(5));
                })
                .await;
                if expected.is_empty() {
                    assert_eq!(
                        (answer.status, answer.text.as_str()),
                        (StatusCode::OK, name.as_str()),
                        "{change} {path}"
                    );
                } else {
                    assert_eq!(answer.error_id(), expected, "{change} {path}: {answer:?}");
                }
            }
        }
    }
}

/// What is refused at the head is refused before the body, and so is what is too much; the rest is up to the one who reads it.
#[tokio::test]
async fn a_fresh_body_is_read_once_and_within_its_limit() {
    let world = World::new();
    let site = &world.a;
    let app = own_handlers(&site.step_up);
    site.enrol("kim").await;
    let mut kim = client(site, Kind::Native, "kim").await;
    let sent = |kim: &Client, body: Body| {
        let request = kim.request(HttpMethod::POST, "/aal2").header("content-type", "application/json");
        let answer = app.clone().oneshot(request.body(body).unwrap());
        async move { answer.await.unwrap().status().as_u16() }
    };
    assert_eq!(sent(&kim, Body::new(Announced(1))).await, 403);
    assert_eq!(sent(&site.stranger(Kind::Native), Body::new(Announced(1))).await, 401);
    assert_eq!(kim.step_up(&world.next_code()).await.status, StatusCode::OK);
    for (body, status) in [("7", 200), ("seven", 400), ("\"7\"", 422), ("", 400)] {
        assert_eq!(sent(&kim, Body::from(body)).await, status, "{body}");
    }
    assert_eq!(sent(&kim, Body::from(" ".repeat(1001))).await, 413);
    let kept = Arc::new(AtomicUsize::new(usize::MAX));
    let crumbs = Crumbs { left: 999, given: Vec::new(), kept: Arc::clone(&kept) };
    assert_eq!(sent(&kim, Body::new(crumbs)).await, 400, "blanks");
    assert!(kept.load(Ordering::SeqCst) <= 2 * BUFFER, "{kept:?}");
    // Without the layer, nobody gets in.
    let bare = Router::new().route("/aal2", post(aal2));
    let client = Client { router: bare, ..kim.clone() };
    let request = client.request(HttpMethod::POST, "/aal2").body(Body::new(Announced(1))).unwrap();
    assert_eq!(client.router.oneshot(request).await.unwrap().status(), 500);
}
