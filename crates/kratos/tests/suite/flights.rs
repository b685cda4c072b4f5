//! How often Kratos is asked.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::body::Body;
use http::{HeaderValue, Request};
use serde_json::json;
use tower_step_up::{
    clock::{SystemClock, Timestamp},
    source::{Clue, Evidence, Look, SessionSource},
    test_util::FixedClock,
};
use tower_step_up_kratos::Kratos;

use crate::{
    application::Application,
    faulty::{Faulty, respond, session},
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const LONG: Duration = Duration::from_secs(60);

fn clue(source: &Kratos, token: &str) -> Clue {
    let token = HeaderValue::from_str(token).unwrap();
    let request = Request::builder().header("x-session-token", token).body(Body::empty()).unwrap();
    let Look::Clue(clue) = source.look((&request).into()) else { panic!("a clue") };
    clue
}

type Asking<'a> = tower_step_up::source::SourceFuture<'a, Option<Arc<Evidence>>>;

fn is_pending(asking: &mut Asking<'_>) -> bool {
    matches!(Pin::new(asking).poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

async fn until_it_is_asked(faulty: &Faulty, times: usize) {
    while faulty.requests.load(Ordering::SeqCst) < times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_request_is_in_flight_for_each_session_however_many_wait() {
    let faulty = Faulty::start().await;
    faulty.hold();
    let source = faulty.source().cache(LONG).timeout(LONG);
    let (one, other) = (clue(&source, "t1"), clue(&source, "t2"));
    let mut waiting: Vec<_> = (0..200).map(|_| source.ask(&one, NOW)).collect();
    assert!(waiting.iter_mut().all(is_pending));
    let mut elsewhere = source.ask(&other, NOW);
    assert!(is_pending(&mut elsewhere));
    // The one that began gives up, and more in the middle.
    waiting.drain(..20);
    waiting.drain(50..60);
    faulty.may_answer.add_permits(2);
    for asking in waiting {
        assert!(asking.await.unwrap().is_some());
    }
    assert!(elsewhere.await.unwrap().is_some());
    assert_eq!(faulty.take_requests(), 2, "one for each session");
}

#[tokio::test]
async fn nothing_is_asked_for_those_who_have_all_given_up_and_the_next_one_is_answered() {
    let faulty = Faulty::start().await;
    faulty.hold();
    let source = faulty.source().timeout(LONG);
    let clue = clue(&source, "t1");
    {
        let asking = tokio::time::timeout(Duration::from_millis(1), source.ask(&clue, NOW));
        assert!(asking.await.is_err());
    }
    faulty.may_answer.add_permits(2);
    assert!(source.ask(&clue, NOW).await.unwrap().is_some());
}

#[tokio::test]
async fn without_a_cache_no_request_is_answered_by_what_was_asked_before_it_came() {
    let faulty = Faulty::start().await;
    faulty.hold();
    let source = faulty.source().timeout(LONG);
    let clue = clue(&source, "t1");
    let mut first = source.ask(&clue, NOW);
    while faulty.requests.load(Ordering::SeqCst) < 1 {
        assert!(is_pending(&mut first));
        tokio::task::yield_now().await;
    }
    // Kratos has made up its mind; then the session is revoked.
    let mut later: Vec<_> = (0..50).map(|_| source.ask(&clue, NOW)).collect();
    assert!(later.iter_mut().all(is_pending));
    faulty.may_answer.add_permits(1);
    assert!(first.await.unwrap().is_some());
    faulty.reply(|| respond(401, "{}"));
    faulty.may_answer.add_permits(1);
    for asking in later {
        assert_eq!(asking.await.unwrap(), None);
    }
    assert_eq!((faulty.take_requests(), faulty.most_under_way.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_over_sockets_never_asks_twice_at_once() {
    let faulty = Faulty::start().await;
    faulty.hold();
    let source = faulty.source().cache(LONG).timeout(LONG);
    let application = Arc::new(Application::start(source, FixedClock::default()).await);
    let crowd: Vec<_> = (0..30)
        .map(|number| {
            let application = Arc::clone(&application);
            let path = crate::application::PATHS[number % 5];
            tokio::spawn(async move { application.get(path, &[("x-session-token", "t1")]).await.status })
        })
        .collect();
    until_it_is_asked(&faulty, 1).await;
    faulty.may_answer.add_permits(30);
    for answered in crowd {
        assert_eq!(answered.await.unwrap(), 200);
    }
    assert_eq!(faulty.most_under_way.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_remembered_lets_pass_but_refuses_nobody() {
    let faulty = Faulty::start().await;
    let application = Application::start(faulty.source().cache(LONG), FixedClock::default()).await;
    let token = [("x-session-token", "t1")];
    let mut low = session();
    low["authenticator_assurance_level"] = json!("aal1");
    faulty.reply(move || respond(200, low.to_string()));
    assert_eq!(application.get("/aal1", &token).await.status, 200);
    assert_eq!(faulty.take_requests(), 1);
    for _ in 0..3 {
        assert_eq!(application.get("/aal1", &token).await.status, 200);
    }
    assert_eq!(faulty.take_requests(), 0, "remembered");
    assert_eq!(application.get("/aal2", &token).await.status, 403);
    assert_eq!(faulty.take_requests(), 1, "asked before the refusal");
    // The user proves the second factor at Kratos. The token stays the same.
    faulty.reply(|| respond(200, session().to_string()));
    assert_eq!(application.get("/aal2", &token).await.status, 200);
    assert_eq!(faulty.take_requests(), 1);
    assert_eq!(application.statuses(&token).await.0, [200; 5]);
    assert_eq!(faulty.take_requests(), 0);
    // Another credential is another session.
    faulty.reply(|| respond(401, "{}"));
    for other in [("x-session-token", "t2"), ("cookie", "ory_kratos_session=t1")] {
        assert_eq!(application.get("/aal1", &[other]).await.status, 401);
        assert_eq!(application.get("/aal1", &[other]).await.status, 401);
    }
    assert_eq!(faulty.take_requests(), 4, "who has no session is not remembered");
}

#[tokio::test]
async fn what_is_remembered_ends_with_the_session_and_with_its_time() {
    let faulty = Faulty::start().await;
    let clock = FixedClock::default();
    let application = Application::start(faulty.source().cache(LONG), clock.clone()).await;
    let mut short = session();
    short["expires_at"] = json!("2027-01-15T08:00:30Z");
    faulty.reply(move || respond(200, short.to_string()));
    let token = [("x-session-token", "t1")];
    assert_eq!(application.get("/aal2", &token).await.status, 200);
    clock.advance(Duration::from_secs(30));
    assert_eq!(application.get("/aal2", &token).await.status, 401, "expired, whatever Kratos says");
    faulty.reply(|| respond(200, session().to_string()));
    assert_eq!(application.get("/aal2", &token).await.status, 200);
    faulty.take_requests();
    clock.advance(Duration::from_secs(59));
    assert_eq!((application.get("/aal2", &token).await.status, faulty.take_requests()), (200, 0));
    clock.advance(Duration::from_secs(1));
    assert_eq!((application.get("/aal2", &token).await.status, faulty.take_requests()), (200, 1));
}

#[tokio::test]
async fn an_open_route_asks_nobody_and_a_request_asks_once() {
    let faulty = Faulty::start().await;
    let application = Application::start(faulty.source(), SystemClock).await;
    let token = [("x-session-token", "t1")];
    application.get("/open", &token).await;
    assert_eq!(faulty.take_requests(), 0);
    // Its guard and its extractor both want to know.
    application.get("/aal2", &token).await;
    assert_eq!(faulty.take_requests(), 1);
}
