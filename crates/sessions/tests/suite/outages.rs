//! The application's sessions and our store are two databases. One of them fails, at each point.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::Instant;
use tower_step_up::{Subject, clock::Clock, store::SubjectStore};

use crate::site::{ID, KINDS, Kind, Site, TOKEN};

const NONE: &str = "session_inactive";
const LOW: &str = "session_aal2_required";
const ERROR: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
const AWAY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// How many sessions of ours kim has.
async fn ours(site: &Site) -> usize {
    site.store.sessions(&Subject::new("kim").unwrap(), site.clock.now()).await.unwrap().len()
}

#[tokio::test]
async fn our_store_is_not_needed_for_a_login() {
    for kind in KINDS {
        let site = Site::new(kind);
        site.enrol("kim").await;
        site.store.is_down();
        let mut kim = site.signed_in("kim").await;
        assert_eq!(kim.get("/open").await.status, StatusCode::OK);
        for path in ["/aal1", "/aal2"] {
            kim.fetch(path).await.is(AWAY);
        }
        site.store.works();
        assert_eq!(kim.whose("/fresh").await, "kim", "{kind:?}");
        kim.steps_up().await;
        assert_eq!(kim.aal2().await, "kim", "{kind:?}");
    }
}

#[tokio::test]
async fn our_store_is_away_at_the_logout() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        let mut copy = kim.clone();
        site.store.is_down();
        kim.post("/logout").await.is(StatusCode::OK);
        assert!(!kim.has(TOKEN) && site.host.record(&copy.cookies[ID]).await.is_none(), "{kind:?}");
        site.store.works();
        assert_eq!(ours(&site).await, 1, "{kind:?}: it is left, and of no use");
        assert_eq!(copy.aal2().await, NONE, "{kind:?}");
        copy.cookies.remove(ID);
        let token = copy.cookies[TOKEN].clone();
        copy.post("/login/kim").await.is(StatusCode::OK);
        copy.cookies.insert(TOKEN.to_owned(), token);
        assert_eq!(copy.aal2().await, LOW, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn our_store_hangs() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        site.store.hangs();
        let started = Instant::now();
        let mut lee = site.signed_in("lee").await;
        lee.get("/open").await.is(StatusCode::OK);
        assert_eq!(started.elapsed(), Duration::ZERO, "{kind:?}: a login does not wait for it");
        kim.post("/logout").await.is(StatusCode::OK);
        assert!(!kim.has(TOKEN) && !kim.has(ID), "{kind:?}");
        assert!(started.elapsed() <= Duration::from_secs(10), "{kind:?}: a logout waits, but not for ever");
        lee.fetch("/aal2").await.is(AWAY);
    }
}

#[tokio::test]
async fn the_store_of_the_application_is_away_at_the_login() {
    for kind in KINDS {
        let site = Site::new(kind);
        site.host.writes_fail(true);
        let mut kim = site.browser();
        let answer = kim.post("/login/kim").await.is(ERROR);
        assert!(answer.cookies().is_empty(), "{kind:?}");
        site.host.writes_fail(false);
        assert_eq!(kim.whose("/aal1").await, NONE, "{kind:?}");
        kim.post("/login/kim").await.is(StatusCode::OK);
        assert_eq!(kim.whose("/fresh").await, "kim", "{kind:?}");
    }
}

#[tokio::test]
async fn a_login_whose_answer_is_an_error_is_none() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.browser();
        kim.post("/crash-after-login/kim").await.is(ERROR);
        assert_eq!(kim.whose("/aal1").await, NONE, "{kind:?}");
        // Another user's session goes on, if with one factor: axum-login keeps its id.
        let mut lee = site.stepped_up("lee").await;
        lee.post("/crash-after-login/kim").await.is(ERROR);
        assert_ne!(lee.aal2().await, "kim", "{kind:?}");
        assert_ne!(lee.whose("/aal1").await, "kim", "{kind:?}");
    }
}

#[tokio::test]
async fn the_store_of_the_application_cannot_be_read() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        site.host.reads_fail(true);
        // axum-login reads it for each request, and says 500 itself.
        let (open, guarded) = match kind {
            Kind::AxumLogin => (ERROR, ERROR),
            _ => (StatusCode::OK, AWAY),
        };
        kim.fetch("/open").await.is(open);
        for path in ["/aal1", "/aal2", "/sessions/whoami"] {
            kim.fetch(path).await.is(guarded);
        }
        site.host.reads_fail(false);
        assert_eq!(kim.aal2().await, "kim", "{kind:?}");
    }
}

#[tokio::test]
async fn the_store_of_the_application_is_away_at_the_logout() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        site.host.writes_fail(true);
        kim.post("/logout").await.is(ERROR);
        site.host.writes_fail(false);
        assert_eq!(kim.whose("/aal1").await, "kim", "{kind:?}: the application could not end it");
        assert_eq!(kim.aal2().await, LOW, "{kind:?}: the step-up has ended");
        assert!(!kim.has(TOKEN), "{kind:?}");
    }
}

#[tokio::test]
async fn the_note_of_a_session_from_before_cannot_be_written() {
    for kind in KINDS {
        let site = Site::new(kind);
        site.enrol("kim").await;
        let mut kim = site.signed_in_before("kim").await;
        site.host.writes_fail(true);
        for _ in 0..2 {
            kim.get("/self-service/login/browser?aal=aal2").await.is(ERROR);
            assert_eq!(ours(&site).await, 1, "{kind:?}: the second attempt finds what the first has left");
        }
        site.host.writes_fail(false);
        kim.steps_up().await;
        assert_eq!((kim.aal2().await.as_str(), ours(&site).await), ("kim", 1), "{kind:?}");
    }
}

#[tokio::test]
async fn our_store_fails_at_each_point_of_a_step_up() {
    for kind in KINDS {
        for before in [false, true] {
            let mut points = 0;
            loop {
                let site = Site::new(kind);
                site.enrol("kim").await;
                let mut kim = if before { site.signed_in_before("kim").await } else { site.signed_in("kim").await };
                let id = kim.cookies[ID].clone();
                site.store.fails_after(points);
                let (page, _) = kim.follow("/aal2").await;
                if let Some(flow) = kim.try_flow(&page).await {
                    kim.confirm(&flow).await;
                }
                if !site.store.has_failed() {
                    break;
                }
                let case = format!("{kind:?}, from before: {before}, call {points}");
                assert_eq!(kim.cookies[ID], id, "{case}");
                assert_eq!(kim.whose("/aal1").await, "kim", "{case}");
                kim.steps_up().await;
                assert_eq!(kim.aal2().await, "kim", "{case}");
                points += 1;
            }
            assert!(points > 5, "{points}");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_of_a_step_up_costs_another_one_at_most() {
    for kind in KINDS {
        let site = Site::new(kind);
        site.enrol("kim").await;
        let mut kim = site.signed_in("kim").await;
        let record = site.host.record(&kim.cookies[ID]).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let code = site.next_code();
        let mut unheard = kim.clone();
        unheard.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await.is(StatusCode::SEE_OTHER);
        assert_eq!(kim.aal2().await, LOW, "{kind:?}: the token did not come");
        assert_eq!(site.host.record(&kim.cookies[ID]).await, record, "{kind:?}");
        let mut again = kim.clone();
        again.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await.is(StatusCode::SEE_OTHER);
        assert_eq!(again.aal2().await, "kim", "{kind:?}: the same form gets the same answer");
        site.clock.advance(Duration::from_secs(60));
        let mut late = kim.clone();
        late.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
        assert_eq!(late.aal2().await, LOW, "{kind:?}: not for long");
        kim.steps_up().await;
        assert_eq!(kim.aal2().await, "kim", "{kind:?}");
    }
}
