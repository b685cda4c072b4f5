//! When bodies are read, for how long, and what is judged afterwards.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{Method as HttpMethod, StatusCode},
};
use http_body::Frame;
use tokio::time::{Instant, sleep};

use crate::{
    held::held,
    site::{Answer, Client, KINDS, Kind, OpenFlow, Site},
    store::TestStore,
};

const SESSIONS: &str = "/self-service/ui/sessions";
const NATIVE_LOGOUT: &str = "/self-service/logout/api";

async fn client(site: &Site, kind: Kind, name: &str) -> Client {
    match kind {
        Kind::Browser => site.browser(name).await,
        Kind::Spa => site.spa(name).await,
        Kind::Native => site.native(name).await,
    }
}

/// Sends a head whose body never comes.
async fn send_no_body(client: &mut Client, method: HttpMethod, path: &str) -> (Answer, Duration) {
    let (body, _holder) = held();
    let form = client.kind == Kind::Browser;
    let media_type = if form { "application/x-www-form-urlencoded" } else { "application/json" };
    let mut request = client.request(method, path).header("content-type", media_type);
    if client.kind != Kind::Native {
        request = request.header("origin", crate::site::ORIGIN);
    }
    let begun = Instant::now();
    let answer = client.send(request.body(Body::new(body)).unwrap()).await;
    (answer, begun.elapsed())
}

fn assert_too_late(client: &Client, answer: &Answer) {
    if client.kind == Kind::Browser {
        assert!(answer.location().contains("/self-service/ui/error?id="), "{answer:?}");
    } else {
        assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT, "{answer:?}");
        assert_eq!(answer.json()["error"]["status"], "Request Timeout");
        assert_eq!(answer.error_id(), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_refused_in_time() {
    for (seconds, site) in [(10, Site::new()), (3, Site::with(|builder| builder.body_timeout(Duration::from_secs(3))))]
    {
        site.enrol("kim").await;
        for kind in KINDS {
            let (mut kim, mut lee) = (client(&site, kind, "kim").await, client(&site, kind, "lee").await);
            let login = kim.begin("login", "?aal=aal2").await;
            let settings = lee.begin("settings", "").await;
            let mut forms = vec![(&mut kim, HttpMethod::POST, login.action())];
            let mut page = lee.clone();
            match kind {
                Kind::Browser => forms.push((&mut page, HttpMethod::POST, SESSIONS.to_owned())),
                Kind::Native => forms.push((&mut page, HttpMethod::DELETE, NATIVE_LOGOUT.to_owned())),
                Kind::Spa => {}
            }
            forms.push((&mut lee, HttpMethod::POST, settings.action()));
            for (client, method, path) in forms {
                let (answer, waited) = send_no_body(client, method, &path).await;
                assert_eq!(waited.as_secs(), seconds, "{path}");
                assert_too_late(client, &answer);
            }
            // Nothing is used up.
            assert_eq!(
                kim.submit(&login, &[("method", "totp"), ("totp_code", &site.next_code())]).await.status.as_u16() / 100,
                if kind == Kind::Browser { 3 } else { 2 }
            );
            assert_eq!(lee.get("/account").await.status, StatusCode::OK);
        }
    }
}

/// A body that may not be read.
struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read");
    }
}

async fn send_untouchable(client: &Client, path: &str) -> Answer {
    let request = client.request(HttpMethod::POST, path).header("content-type", "application/json");
    client.clone().send(request.body(Body::new(Untouchable)).unwrap()).await
}

#[tokio::test]
async fn what_the_head_refuses_is_refused_before_the_body() {
    let site = Site::new();
    site.enrol("kim").await;
    let unknown = uuid::Uuid::new_v4();
    for kind in [Kind::Spa, Kind::Native] {
        let mut kim = client(&site, kind, "kim").await;
        let mut lee = client(&site, kind, "lee").await;
        let login = kim.begin("login", "?aal=aal2").await;
        let settings = lee.begin("settings", "").await;
        let stranger = site.stranger(kind);
        for (client, path, status) in [
            (&kim, "/self-service/login".to_owned(), 400),
            (&kim, format!("/self-service/login?flow={unknown}"), 404),
            (&lee, login.action(), 403),
            (&stranger, login.action(), 401),
            (&lee, "/self-service/settings".to_owned(), 400),
            (&lee, format!("/self-service/settings?flow={unknown}"), 404),
            (&kim, settings.action(), 403),
            (&stranger, settings.action(), 401),
        ] {
            let answer = send_untouchable(client, &path).await;
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
        site.clock.advance(Duration::from_secs(3600));
        for (client, flow) in [(&kim, &login), (&lee, &settings)] {
            let answer = send_untouchable(client, &flow.action()).await;
            assert_eq!(answer.status, StatusCode::GONE, "{answer:?}");
        }
        let mut kim = client_at_aal2(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
        assert_eq!(kim.submit(&flow, &[]).await.status, StatusCode::BAD_REQUEST);
    }
    // The page of sessions: neither another site's form, nor one without a session.
    let kim = site.browser("kim").await;
    let foreign = kim.clone().sending(&[("origin", b"https://evil.example")]);
    assert!(send_untouchable(&foreign, SESSIONS).await.location().contains("/self-service/ui/error"));
    let stranger = site.stranger(Kind::Browser).sending(&[("origin", crate::site::ORIGIN.as_bytes())]);
    assert!(send_untouchable(&stranger, SESSIONS).await.location().contains("/self-service/login/browser"));
}

async fn client_at_aal2(site: &Site, kind: Kind) -> Client {
    let mut kim = client(site, kind, "kim").await;
    assert_eq!(kim.step_up(&site.next_code()).await.status, StatusCode::OK);
    kim
}

async fn submit_late(client: &mut Client, flow: &OpenFlow, fields: &[(&str, &str)], after: Duration) -> Answer {
    let csrf = flow.csrf();
    let fields = [fields, &[("csrf_token", csrf.as_str())]].concat();
    client.post_late(&flow.action(), &fields, async || sleep(after).await).await
}

/// What was read a second ago is read again; what came with the head, or just after it, costs nothing.
#[tokio::test(start_paused = true)]
async fn a_body_that_takes_long_costs_a_further_read() {
    for (milliseconds, again) in [(0, false), (999, false), (1000, true), (9000, true)] {
        let store = TestStore::default();
        // Otherwise the log tells this process of its own writes meanwhile.
        let site = Site::on(store.clone(), |builder| builder.changes_interval(Duration::ZERO));
        site.enrol("kim").await;
        let mut kim = site.spa("kim").await;
        let wait = Duration::from_millis(milliseconds);
        let flow = kim.begin("login", "?aal=aal2").await;
        store.take_calls();
        let fields = [("method", "totp"), ("totp_code", &site.code())];
        assert_eq!(submit_late(&mut kim, &flow, &fields, wait).await.status, StatusCode::OK);
        let first: &[&str] = if again { &["flow"] } else { &[] };
        assert_eq!(store.take_calls(), [first, &["flow", "credentials", "begin_attempt", "complete"]].concat());

        let flow = kim.begin("settings", "").await;
        store.take_calls();
        let fields = [("lookup_secret_regenerate", "true")];
        assert_eq!(submit_late(&mut kim, &flow, &fields, wait).await.status, StatusCode::OK);
        let calls = store.take_calls();
        assert_eq!(calls.iter().filter(|call| **call == "credentials").count(), 1, "{calls:?}");
        assert_eq!(calls[..2] == ["flow", "flow"], again, "{calls:?}");
    }
}
