//! A Kratos that is away, slow or talks nonsense lets nobody through.

use std::{sync::atomic::Ordering, time::Duration};

use axum::{body::Body, response::Response};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_step_up::test_util::FixedClock;
use tower_step_up_kratos::Kratos;

use crate::{
    application::Application,
    faulty::{Faulty, endless, raw, respond, session},
};

const COOKIE: (&str, &str) = ("cookie", "ory_kratos_session=v1");
const SHORT: Duration = Duration::from_millis(200);

type Reply = Box<dyn Fn() -> Response + Send + Sync>;

async fn application(source: Kratos) -> Application {
    Application::start(source, FixedClock::default()).await
}

async fn statuses(application: &Application) -> [u16; 5] {
    application.statuses(&[COOKIE]).await.0
}

fn with(key: &str, value: Value) -> String {
    let mut session = session();
    session[key] = value;
    session.to_string()
}

#[tokio::test]
async fn whatever_is_no_answer_is_503_and_the_next_good_one_passes() {
    let faulty = Faulty::start().await;
    let application = application(faulty.source()).await;
    let elsewhere = Faulty::start().await;
    let target = format!("{}/sessions/whoami", elsewhere.url);
    let redirect = move |status: u16| {
        let mut response = respond(status, Body::empty());
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(&target).unwrap());
        response
    };
    let envelope = |id: Value| json!({ "error": { "id": id, "code": 403 } }).to_string();
    let good = session().to_string();
    let mut large = session();
    large["identity"]["traits"] = json!({ "picture": "x".repeat(2 * 1024 * 1024) });
    let large = large.to_string();
    let replies: Vec<(&str, Reply)> = vec![
        (
            "500",
            Box::new({
                let good = good.clone();
                move || respond(500, good.clone())
            }),
        ),
        ("502", Box::new(|| respond(502, "bad gateway"))),
        ("404", Box::new(|| respond(404, "{}"))),
        ("429", Box::new(|| respond(429, "{}"))),
        ("204", Box::new(|| respond(204, Body::empty()))),
        (
            "203",
            Box::new({
                let good = good.clone();
                move || respond(203, good.clone())
            }),
        ),
        (
            "302",
            Box::new({
                let redirect = redirect.clone();
                move || redirect(302)
            }),
        ),
        (
            "307",
            Box::new({
                let redirect = redirect.clone();
                move || redirect(307)
            }),
        ),
        ("308", Box::new(move || redirect(308))),
        ("304", Box::new(|| respond(304, Body::empty()))),
        ("403 for another reason", Box::new(move || respond(403, envelope(json!("security_csrf_violation"))))),
        ("403 of a proxy", Box::new(|| respond(403, "<html>forbidden</html>"))),
        ("a page", Box::new(|| respond(200, "<html>welcome</html>"))),
        ("nothing", Box::new(|| respond(200, Body::empty()))),
        ("an object", Box::new(|| respond(200, "{}"))),
        ("half a session", Box::new(move || respond(200, good[..good.len() / 2].to_owned()))),
        ("nobody", Box::new(|| respond(200, with("identity", Value::Null)))),
        ("a level that is not known", Box::new(|| respond(200, with("authenticator_assurance_level", json!("aal3"))))),
        ("a time that is none", Box::new(|| respond(200, with("expires_at", json!("tomorrow"))))),
        ("too much", Box::new(move || respond(200, large.clone()))),
        ("too much without an end", Box::new(|| respond(200, endless()))),
        ("too much with a refusal", Box::new(|| respond(401, endless()))),
    ];
    for (fault, reply) in replies {
        faulty.reply(reply);
        assert_eq!(statuses(&application).await, [503; 5], "{fault}");
        let answer = application.get("/aal2", &[COOKIE]).await;
        assert_eq!(answer.json()["error"]["code"], 503, "{fault}");
        assert!(
            !answer.text().contains("127.0.0.1") && !answer.text().contains("Kratos"),
            "{fault}: {}",
            answer.text()
        );
        assert!(answer.headers.get("location").is_none(), "{fault}");
        assert_eq!(application.get("/optional", &[COOKIE]).await.status, 503, "{fault}");
        faulty.reply(|| respond(200, session().to_string()));
        assert_eq!(statuses(&application).await, [200; 5], "after {fault}");
    }
    assert_eq!(elsewhere.take_requests(), 0, "no redirect is followed");
}

#[tokio::test]
async fn kratos_away_slow_or_hanging_up_is_503() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let slow = Faulty::start().await;
    slow.hold();
    let begun = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"active\":true,";
    let plain = Faulty::start().await;
    let nonsense = b"SSH-2.0-OpenSSH_9.2\r\n";
    let endless_head = b"HTTP/1.1 200 OK\r\nx: y\r\n";
    for (fault, source) in [
        ("away", Kratos::new(away).insecure_http_on_loopback()),
        ("without TLS", Kratos::new(plain.url.replace("http:", "https:"))),
        ("slow", slow.source()),
        ("slow in its body", raw(begun, false).await),
        ("slow in its head", raw(endless_head, false).await),
        ("silent", raw(b"", false).await),
        ("hangs up at once", raw(b"", true).await),
        ("hangs up in its body", raw(begun, true).await),
        ("speaks something else", raw(nonsense, true).await),
    ] {
        let application = application(source.timeout(SHORT)).await;
        assert_eq!(statuses(&application).await, [503; 5], "{fault}");
        let (statuses, _) = application.statuses(&[]).await;
        assert_eq!(statuses, [401; 5], "{fault}: without a credential nobody is asked");
    }
    assert_eq!(plain.take_requests(), 0, "nothing is sent in the clear");
}

#[tokio::test]
async fn who_kratos_does_not_know_has_no_session() {
    let faulty = Faulty::start().await;
    let application = application(faulty.source()).await;
    let no_id = json!({ "error": { "code": 401, "status": "Unauthorized" } }).to_string();
    let bodies = [no_id, json!({ "error": { "id": "session_inactive", "code": 401 } }).to_string(), String::new()];
    for body in bodies {
        faulty.reply(move || respond(401, body.clone()));
        assert_eq!(statuses(&application).await, [401; 5]);
    }
    for body in [with("active", json!(false)), with("expires_at", json!("2020-01-01T00:00:00Z"))] {
        faulty.reply(move || respond(200, body.clone()));
        assert_eq!(statuses(&application).await, [401; 5]);
    }
    faulty.reply(|| respond(200, with("authentication_methods", json!([]))));
    assert_eq!(statuses(&application).await, [401; 5], "nothing was proven");
    faulty.reply(|| respond(403, json!({ "error": { "id": "session_aal2_required" } }).to_string()));
    assert_eq!(statuses(&application).await, [403; 5]);
    assert_eq!(application.get("/optional", &[COOKIE]).await.text(), "nobody");
}

#[tokio::test]
async fn of_levels_that_disagree_the_lower_one_counts() {
    let faulty = Faulty::start().await;
    let application = application(faulty.source()).await;
    let password = json!([{ "method": "password", "aal": "aal1", "completed_at": "2027-01-15T08:00:00Z" }]);
    for body in [with("authenticator_assurance_level", json!("aal1")), with("authentication_methods", password)] {
        faulty.reply(move || respond(200, body.clone()));
        assert_eq!(statuses(&application).await, [200, 403, 403, 403, 403]);
    }
}

#[tokio::test]
async fn connections_are_kept_whatever_is_answered() {
    let faulty = Faulty::start().await;
    let application = application(faulty.source()).await;
    let strict = json!({ "error": { "id": "session_aal2_required" } }).to_string();
    for _ in 0..3 {
        faulty.reply(|| respond(200, session().to_string()));
        assert_eq!(statuses(&application).await, [200; 5]);
        faulty.reply(|| respond(401, "{}"));
        assert_eq!(statuses(&application).await, [401; 5]);
        let strict = strict.clone();
        faulty.reply(move || respond(403, strict.clone()));
        assert_eq!(statuses(&application).await, [403; 5]);
    }
    assert_eq!((faulty.take_requests(), faulty.connections.load(Ordering::SeqCst)), (45, 1));
}

#[tokio::test]
async fn the_application_asks_inside_and_browsers_go_outside() {
    let faulty = Faulty::start().await;
    faulty.reply(|| respond(403, json!({ "error": { "id": "session_aal2_required" } }).to_string()));
    let base = format!("{}/kratos/public", faulty.url);
    let source = Kratos::new("https://auth.example.com/.ory").internal_url(base).insecure_http_on_loopback();
    let application = application(source).await;
    let answer = application.get("/aal2", &[COOKIE]).await;
    assert_eq!(faulty.seen.lock().unwrap()[0].0, "GET /kratos/public/sessions/whoami");
    let to = answer.json()["redirect_browser_to"].as_str().unwrap().to_owned();
    assert!(to.starts_with("https://auth.example.com/.ory/self-service/login/browser?aal=aal2"), "{to}");
    assert!(!answer.text().contains("/kratos/public"), "nobody outside learns of it");
}

#[tokio::test]
async fn only_the_credential_is_forwarded() {
    let faulty = Faulty::start().await;
    let application = application(faulty.source()).await;
    let everything = [
        ("cookie", "theme=dark; ory_kratos_session=v1; csrf_token_x=secret"),
        ("authorization", "Bearer secret"),
        ("x-forwarded-for", "10.0.0.7"),
        ("user-agent", "browser"),
        ("origin", "https://evil.example"),
        ("referer", "https://bank.example/?secret"),
        ("x-request-id", "secret"),
    ];
    assert_eq!(application.get("/aal2", &everything).await.status, 200);
    let host = faulty.url.strip_prefix("http://").unwrap();
    let sent = |name: &'static str, value: &'static str| {
        let mut sent = vec![("accept", "application/json"), ("host", host), (name, value)];
        sent.sort_unstable();
        sent
    };
    let seen = || {
        let (asked, headers) = faulty.seen.lock().unwrap().pop().unwrap();
        assert_eq!(asked, "GET /sessions/whoami");
        headers
    };
    let plain = |headers: &http::HeaderMap| {
        let mut headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort_unstable();
        headers
    };
    let expect = |found: http::HeaderMap, expected: Vec<(&str, &str)>| {
        let found = plain(&found);
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    };
    expect(seen(), sent("cookie", "ory_kratos_session=v1"));
    assert_eq!(application.get("/aal2", &[("x-session-token", "t1"), ("cookie", "theme=dark")]).await.status, 200);
    expect(seen(), sent("x-session-token", "t1"));
    for unused in [&[("authorization", "Bearer t1")][..], &[("cookie", "other=v1")], &[]] {
        assert_eq!(application.get("/aal2", unused).await.status, 401);
    }
    assert!(faulty.seen.lock().unwrap().is_empty(), "nobody was asked");
}

/// Kratos names the methods, and its own flows do not.
#[tokio::test]
async fn a_key_of_kratos_opens_what_takes_one() {
    let faulty = Faulty::start().await;
    let application = application(faulty.source()).await;
    let entry =
        |method: &str, aal: &str| json!({ "method": method, "aal": aal, "completed_at": "2027-01-15T08:00:00Z" });
    for (methods, status) in [
        (json!([entry("password", "aal1"), entry("webauthn", "aal2")]), 200),
        (json!([entry("password", "aal1"), entry("totp", "aal2"), entry("webauthn", "aal2")]), 200),
        (json!([entry("password", "aal1"), entry("totp", "aal2")]), 403),
        (json!([entry("passkey", "aal1"), entry("totp", "aal2")]), 403),
        (json!([entry("webauthn", "aal1"), entry("lookup_secret", "aal2")]), 403),
    ] {
        let session = with("authentication_methods", methods.clone());
        faulty.reply(move || respond(200, session.clone()));
        let answer = application.get("/key", &[COOKIE]).await;
        assert_eq!(answer.status, status, "{methods}");
        if status == 403 {
            let told = answer.json();
            assert_eq!(told["error"]["details"]["methods"], json!(["passkey", "webauthn"]));
            let page = told["redirect_browser_to"].as_str().unwrap();
            assert!(
                page.starts_with(&format!("{}/self-service/login/browser?aal=aal2&refresh=true&", faulty.url)),
                "{page}"
            );
        }
    }
}
