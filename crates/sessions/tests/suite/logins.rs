//! Logins and step-ups as they should be.

use axum::http::StatusCode;

use crate::site::{ID, KINDS, Site, TOKEN};

#[tokio::test]
async fn a_login_writes_one_record_with_a_note_and_sets_no_cookie_of_ours() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.browser();
        let answer = kim.post("/login/kim").await.is(StatusCode::OK);
        assert_eq!(answer.cookies(), [ID], "{kind:?}");
        assert_eq!(site.host.take_saves(), 1, "{kind:?}");
        let record = site.host.record(&kim.cookies[ID]).await.unwrap();
        assert!(record.data.contains_key("tower-step-up"), "{kind:?}: {record:?}");
        assert_eq!(kim.whose("/aal1").await, "kim");
        assert_eq!(kim.aal2().await, "session_aal2_required");
        assert_eq!(site.host.take_saves(), 0, "{kind:?}: reading writes nothing");
        assert!(site.store.take_calls().iter().all(|call| !call.starts_with("create")), "{kind:?}");
    }
}

#[tokio::test]
async fn a_step_up_leaves_the_session_of_the_application_as_it_was() {
    for kind in KINDS {
        let site = Site::new(kind);
        site.enrol("kim").await;
        let mut kim = site.signed_in("kim").await;
        let before = (kim.cookies[ID].clone(), site.host.record(&kim.cookies[ID]).await);
        site.host.take_saves();

        let (page, shown) = kim.follow("/aal2").await;
        assert!(page.contains("/login") && page.contains("flow="), "{kind:?}: {page}");
        assert_eq!(shown.status, StatusCode::OK);
        let ours: Vec<_> = kim.cookies.keys().filter(|name| *name != ID).collect();
        assert_eq!(ours.len(), 1, "{kind:?}: {ours:?}");
        assert!(ours[0].contains("csrf"), "{kind:?}: before the step-up there is nothing else: {ours:?}");
        let flow = kim.flow(&page).await;
        let answer = kim.confirm(&flow).await;
        assert_eq!(answer.location(), "/aal2", "{kind:?}");
        assert!(kim.has(TOKEN), "{kind:?}");
        assert_eq!(kim.aal2().await, "kim");
        assert_eq!(kim.whose("/recent").await, "kim");
        assert_eq!(site.host.take_saves(), 0, "{kind:?}");
        assert_eq!((kim.cookies[ID].clone(), site.host.record(&kim.cookies[ID]).await), before, "{kind:?}");
    }
}

#[tokio::test]
async fn a_layer_that_writes_each_session_changes_nothing() {
    for kind in KINDS {
        for before in [false, true] {
            let site = Site::restless(kind);
            site.enrol("kim").await;
            // As a browser does, which has seen the login page before.
            let mut kim = site.browser();
            kim.get("/login").await.is(StatusCode::OK);
            kim.post("/login/kim").await.is(StatusCode::OK);
            if before {
                site.forget_note(&kim).await;
            }
            assert_eq!(kim.whose("/aal1").await, "kim", "{kind:?}");
            assert_eq!(kim.whose("/fresh").await == "kim", !before, "{kind:?}");
            kim.steps_up().await;
            let mut copy = kim.clone();
            let mut slow = kim.clone();
            assert_eq!((kim.aal2().await.as_str(), copy.aal2().await.as_str()), ("kim", "kim"), "{kind:?}");
            slow.cookies.remove(TOKEN);
            assert_eq!(slow.aal2().await, "session_aal2_required", "{kind:?}");
            kim.post("/logout").await.is(StatusCode::OK);
            assert_eq!(copy.aal2().await, "session_inactive", "{kind:?}");
        }
    }
}
