//! Slow requests: they have read the session before something happened, and write it afterwards.

use axum::http::StatusCode;
use tower_step_up::{Subject, clock::Clock, store::SubjectStore};

use crate::site::{ID, KINDS, Kind, Site, TOKEN};

const NONE: &str = "session_inactive";
const LOW: &str = "session_aal2_required";

#[tokio::test]
async fn in_flight_at_the_login() {
    for kind in KINDS {
        let site = Site::new(kind);
        site.enrol("kim").await;
        let mut stranger = site.browser();
        stranger.post("/basket").await.is(StatusCode::OK);
        let mut kim = stranger.clone();
        site.meanwhile(&stranger, async {
            kim.post("/login/kim").await.is(StatusCode::OK);
        })
        .await
        .is(StatusCode::OK);
        assert_eq!(stranger.whose("/aal1").await, NONE, "{kind:?}: the old session is back, and nobody's");
        assert_eq!(kim.whose("/fresh").await, "kim", "{kind:?}");
        kim.steps_up().await;
        assert_eq!(kim.aal2().await, "kim", "{kind:?}");
        stranger.cookies.insert(TOKEN.to_owned(), kim.cookies[TOKEN].clone());
        assert_eq!(stranger.aal2().await, NONE, "{kind:?}");
    }
}

#[tokio::test]
async fn in_flight_at_the_step_up() {
    for kind in KINDS {
        let site = Site::new(kind);
        site.enrol("kim").await;
        let mut kim = site.signed_in("kim").await;
        let slow = kim.clone();
        let answer = site.meanwhile(&slow, kim.steps_up()).await.is(StatusCode::OK);
        assert_eq!(answer.cookies(), [ID], "{kind:?}: it knows nothing of a step-up");
        assert_eq!(kim.aal2().await, "kim", "{kind:?}");
        assert_eq!(site.host.record(&kim.cookies[ID]).await.unwrap().data["basket"], 1, "{kind:?}");
        // And one that came with the token that is replaced meanwhile.
        let slow = kim.clone();
        let answer = site.meanwhile(&slow, kim.steps_up()).await.is(StatusCode::OK);
        assert_eq!(answer.cookies(), [ID], "{kind:?}: it does not take the new cookie away");
        assert_eq!(kim.aal2().await, "kim", "{kind:?}");
    }
}

#[tokio::test]
async fn in_flight_at_the_logout() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        let mut slow = kim.clone();
        site.meanwhile(&slow, async {
            kim.post("/logout").await.is(StatusCode::OK);
        })
        .await
        .is(StatusCode::OK);
        assert_eq!(slow.whose("/aal1").await, "kim", "{kind:?}: the store has it back, as it does without us");
        assert!(slow.has(TOKEN));
        assert_eq!(slow.aal2().await, LOW, "{kind:?}: but what was proven is gone");
        slow.steps_up().await;
        assert_eq!(slow.aal2().await, "kim", "{kind:?}: only the factor opens it again");
    }
}

#[tokio::test]
async fn in_flight_at_the_change_of_users() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        let mut slow = kim.clone();
        site.meanwhile(&slow, async {
            kim.post("/login/lee").await.is(StatusCode::OK);
        })
        .await
        .is(StatusCode::OK);
        assert_eq!(slow.aal2().await, LOW, "{kind:?}");
    }
}

#[tokio::test]
async fn two_flows_that_begin_at_once() {
    for kind in KINDS {
        for before in [false, true] {
            let site = Site::new(kind);
            site.enrol("kim").await;
            let mut kim = if before { site.signed_in_before("kim").await } else { site.signed_in("kim").await };
            let mut other = kim.clone();
            site.store.yields();
            let (one, two) = tokio::join!(kim.begin("login", "?aal=aal2"), other.begin("login", "?aal=aal2"));
            let subject = Subject::new("kim").unwrap();
            let ours = site.store.sessions(&subject, site.clock.now()).await.unwrap();
            assert_eq!(ours.len(), 1, "{kind:?}, from before: {before}");
            kim.confirm(&one).await;
            assert_eq!(kim.aal2().await, "kim", "{kind:?}, from before: {before}");
            // The other flow is of the session that the step-up has replaced.
            other.cookies.insert(TOKEN.to_owned(), kim.cookies[TOKEN].clone());
            other.confirm(&two).await;
            assert_eq!(other.aal2().await, "kim", "{kind:?}, from before: {before}");
        }
    }
}

#[tokio::test]
async fn in_flight_when_a_session_from_before_gets_its_note() {
    for kind in KINDS {
        let site = Site::new(kind);
        site.enrol("kim").await;
        let mut kim = site.signed_in_before("kim").await;
        let slow = kim.clone();
        site.meanwhile(&slow, kim.steps_up()).await.is(StatusCode::OK);
        let record = site.host.record(&kim.cookies[ID]).await.unwrap();
        assert!(!record.data.contains_key("tower-step-up"), "{kind:?}: the slow one has written over it");
        assert_eq!(kim.aal2().await, "kim", "{kind:?}: the handle follows from the session");
        kim.steps_up().await;
        assert_eq!(kim.aal2().await, "kim", "{kind:?}");
    }
}

/// The record is written again as it was, by whatever means.
#[tokio::test]
async fn a_record_that_is_back_has_no_second_factor() {
    for kind in KINDS {
        for end in ["/logout", "/flush", "/login/lee"] {
            let site = Site::new(kind);
            let mut kim = site.stepped_up("kim").await;
            let mut copy = kim.clone();
            let record = site.host.record(&kim.cookies[ID]).await.unwrap();
            kim.post(end).await.is(StatusCode::OK);
            site.host.bring_back(&record).await;
            assert_eq!(copy.aal2().await, LOW, "{kind:?} {end}");
        }
    }
}

#[tokio::test]
async fn a_step_up_in_flight_at_the_logout_is_refused() {
    for kind in KINDS {
        // With tower-sessions, a logout that asks nothing does not know what it ends.
        let (logout, is_refused) = match kind {
            Kind::AxumLogin => ("/logout", true),
            _ => ("/logout-that-asks", true),
        };
        let refused = step_up_in_flight_at(kind, logout).await;
        assert_eq!(refused, is_refused, "{kind:?}");
    }
    step_up_in_flight_at(Kind::TowerSessions, "/logout").await;
}

/// Whether it is refused. In any case it gives nothing to a browser whose session of the application has ended.
async fn step_up_in_flight_at(kind: Kind, logout: &str) -> bool {
    let site = Site::new(kind);
    site.enrol("kim").await;
    let mut kim = site.signed_in("kim").await;
    let mut quick = kim.clone();
    let flow = kim.begin("login", "?aal=aal2").await;
    let record = site.host.record(&kim.cookies[ID]).await.unwrap();
    let gate = site.store.hold("complete");
    let ((), _) = tokio::join!(
        async {
            gate.reached().await;
            quick.post(logout).await.is(StatusCode::OK);
            gate.open();
        },
        kim.confirm(&flow)
    );
    assert_eq!(kim.clone().aal2().await, NONE, "{kind:?}");
    let mut next = kim.clone();
    next.post("/login/kim").await.is(StatusCode::OK);
    assert_eq!(next.aal2().await, LOW, "{kind:?}: nor to the next session");
    site.host.bring_back(&record).await;
    let refused = !kim.has(TOKEN);
    assert_eq!(kim.aal2().await == LOW, refused, "{kind:?}");
    refused
}
