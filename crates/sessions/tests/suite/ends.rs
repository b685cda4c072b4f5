//! What ends a step-up.

use axum::http::StatusCode;
use tower_step_up::{Subject, clock::Clock, store::SubjectStore};

use crate::{
    browser::Browser,
    site::{ID, KINDS, Kind, Site, TOKEN},
};

const NONE: &str = "session_inactive";
const LOW: &str = "session_aal2_required";

/// How many sessions of ours kim has.
async fn ours(site: &Site) -> usize {
    site.store.sessions(&Subject::new("kim").unwrap(), site.clock.now()).await.unwrap().len()
}

/// A browser with these cookies of others.
fn with(site: &Site, cookies: &[(&str, &Browser)]) -> Browser {
    let mut browser = site.browser();
    for (name, of) in cookies {
        browser.cookies.insert((*name).to_owned(), of.cookies[*name].clone());
    }
    browser
}

#[tokio::test]
async fn a_session_of_the_application_ends_its_step_up_at_once() {
    for kind in KINDS {
        for end in ["/logout", "/flush", "/clear"] {
            let site = Site::new(kind);
            let mut kim = site.stepped_up("kim").await;
            let mut copy = kim.clone();
            assert_eq!(copy.aal2().await, "kim");
            assert_eq!(ours(&site).await, 1);
            let answer = kim.post(end).await.is(StatusCode::OK);
            assert!(answer.cookies().contains(&TOKEN.to_owned()), "{kind:?} {end}: our cookie is removed");
            assert!(!kim.has(TOKEN), "{kind:?} {end}");
            assert_eq!(ours(&site).await, 0, "{kind:?} {end}");
            for browser in [&mut kim, &mut copy] {
                assert_eq!(browser.whose("/aal1").await, NONE, "{kind:?} {end}");
                assert_eq!(browser.aal2().await, NONE, "{kind:?} {end}");
            }
            // Who signs in again begins from one factor, also with the old token.
            kim.post("/login/kim").await.is(StatusCode::OK);
            kim.cookies.insert(TOKEN.to_owned(), copy.cookies[TOKEN].clone());
            assert_eq!(kim.aal2().await, LOW, "{kind:?} {end}");
        }
    }
}

#[tokio::test]
async fn an_expired_session_of_the_application_ends_its_step_up() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        let mut record = site.host.record(&kim.cookies[ID]).await.unwrap();
        record.expiry_date = time::OffsetDateTime::now_utc() - time::Duration::seconds(1);
        site.host.bring_back(&record).await;
        assert_eq!(kim.aal2().await, NONE, "{kind:?}");
        kim.post("/login/kim").await.is(StatusCode::OK);
        assert_eq!(kim.aal2().await, LOW, "{kind:?}");
    }
}

#[tokio::test]
async fn another_user_in_the_same_session_has_nothing_of_it() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        site.enrol("lee").await;
        let old = kim.clone();
        let answer = kim.post("/login/lee").await.is(StatusCode::OK);
        assert!(answer.cookies().contains(&TOKEN.to_owned()), "{kind:?}");
        assert_eq!((kim.whose("/aal1").await.as_str(), kim.aal2().await.as_str()), ("lee", LOW), "{kind:?}");
        assert_eq!(ours(&site).await, 0, "{kind:?}");
        kim.cookies.insert(TOKEN.to_owned(), old.cookies[TOKEN].clone());
        assert_eq!(kim.aal2().await, LOW, "{kind:?}: the token is another user's");
        kim.post("/login/kim").await.is(StatusCode::OK);
        kim.cookies.insert(TOKEN.to_owned(), old.cookies[TOKEN].clone());
        assert_eq!(
            (kim.whose("/aal1").await.as_str(), kim.aal2().await.as_str()),
            ("kim", LOW),
            "{kind:?}: back again"
        );
    }
}

#[tokio::test]
async fn another_password_ends_the_step_ups_of_all_sessions() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        let mut elsewhere = site.stepped_up("kim").await;
        kim.post("/password/new").await.is(StatusCode::OK);
        assert_eq!((kim.whose("/aal1").await.as_str(), kim.aal2().await.as_str()), ("kim", LOW), "{kind:?}");
        assert!(!kim.has(TOKEN), "{kind:?}");
        if kind == Kind::AxumLogin {
            assert_eq!(elsewhere.aal2().await, NONE, "axum-login ends the other sessions");
        }
        // What it ended is not back when the password is.
        kim.post("/password/kim-password").await.is(StatusCode::OK);
        assert_eq!(kim.aal2().await, LOW, "{kind:?}");
    }
}

#[tokio::test]
async fn a_deleted_user_has_no_session() {
    let site = Site::new(Kind::AxumLogin);
    let mut kim = site.stepped_up("kim").await;
    site.backend.delete("kim");
    assert_eq!((kim.whose("/aal1").await.as_str(), kim.aal2().await.as_str()), (NONE, NONE));
    let begun = kim.get("/self-service/login/browser?aal=aal2").await;
    assert!(begun.location().starts_with("/self-service/ui/error"), "{begun:?}");
    kim.post("/basket").await.is(StatusCode::OK);
    kim.post("/login/lee").await.is(StatusCode::OK);
    assert_eq!((kim.whose("/aal1").await.as_str(), kim.aal2().await.as_str()), ("lee", LOW));
}

#[tokio::test]
async fn each_cookie_alone_gives_what_it_is() {
    for kind in KINDS {
        let site = Site::new(kind);
        site.enrol("kim").await;
        let before = site.signed_in("kim").await;
        let mut kim = before.clone();
        kim.steps_up().await;
        let other = site.stepped_up("kim").await;
        let lee = site.stepped_up("lee").await;
        assert_eq!(kim.aal2().await, "kim");
        let cases = [
            ("stolen before the step-up", before, "kim", LOW),
            ("the application's alone", with(&site, &[(ID, &kim)]), "kim", LOW),
            ("ours alone", with(&site, &[(TOKEN, &kim)]), NONE, NONE),
            ("of two sessions", with(&site, &[(ID, &kim), (TOKEN, &other)]), "kim", LOW),
            ("of two users", with(&site, &[(ID, &kim), (TOKEN, &lee)]), "kim", LOW),
        ];
        for (case, mut browser, one, two) in cases {
            assert_eq!(
                (browser.whose("/aal1").await.as_str(), browser.aal2().await.as_str()),
                (one, two),
                "{kind:?}: {case}"
            );
        }
        assert_eq!(kim.aal2().await, "kim", "{kind:?}: nothing of it harmed her");
    }
}

#[tokio::test]
async fn each_step_up_replaces_our_cookie() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        let mut old = kim.clone();
        kim.steps_up().await;
        assert_ne!(kim.cookies[TOKEN], old.cookies[TOKEN], "{kind:?}");
        assert_eq!((kim.aal2().await.as_str(), old.aal2().await.as_str()), ("kim", LOW), "{kind:?}");
        assert_eq!(ours(&site).await, 1, "{kind:?}");
    }
}
