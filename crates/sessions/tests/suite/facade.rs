//! What `StepUp` and its router do where the sessions are the application's.

use axum::http::StatusCode;
use tower_step_up::Subject;

use crate::site::{ID, KINDS, Site, TOKEN};

#[tokio::test]
async fn nobody_is_signed_in_by_us() {
    for kind in KINDS {
        let site = Site::new(kind);
        let told = site.browser().post("/sign-in").await.is(StatusCode::OK).text;
        assert!(told.starts_with("Sessions: ") && told.contains("own login begins them"), "{kind:?}: {told}");
    }
}

#[tokio::test]
async fn our_logout_ends_the_session_of_the_application() {
    for kind in KINDS {
        let site = Site::new(kind);
        for stepped_up in [false, true] {
            let mut kim = if stepped_up { site.stepped_up("kim").await } else { site.signed_in("kim").await };
            let mut copy = kim.clone();
            let token = kim.fetch("/self-service/logout/browser").await.is(StatusCode::OK).json();
            let url = token["logout_url"].as_str().unwrap().to_owned();
            kim.get(&url).await.is(StatusCode::SEE_OTHER);
            assert!(!kim.has(ID) && !kim.has(TOKEN), "{kind:?} {stepped_up}: {:?}", kim.cookies);
            assert!(site.host.record(&copy.cookies[ID]).await.is_none(), "{kind:?} {stepped_up}");
            assert_eq!(copy.whose("/aal1").await, "session_inactive", "{kind:?} {stepped_up}");
            assert_eq!(copy.aal2().await, "session_inactive", "{kind:?} {stepped_up}");
        }
    }
}

#[tokio::test]
async fn revoke_all_ends_step_ups_and_leaves_logins_to_the_application() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut one = site.stepped_up("kim").await;
        let mut two = site.stepped_up("kim").await;
        let mut lee = site.stepped_up("lee").await;
        assert_eq!(site.step_up.revoke_all(&Subject::new("kim").unwrap()).await.unwrap(), 2, "{kind:?}");
        for kim in [&mut one, &mut two] {
            assert_eq!(kim.aal2().await, "session_aal2_required", "{kind:?}");
            assert_eq!(kim.whose("/aal1").await, "kim", "{kind:?}");
            kim.steps_up().await;
            assert_eq!(kim.aal2().await, "kim", "{kind:?}");
        }
        assert_eq!(lee.aal2().await, "lee", "{kind:?}");
    }
}

#[tokio::test]
async fn whoami_shows_the_session() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut nobody = site.browser();
        nobody.fetch("/sessions/whoami").await.is(StatusCode::UNAUTHORIZED);
        let mut kim = site.stepped_up("kim").await;
        let session = kim.fetch("/sessions/whoami").await.is(StatusCode::OK).json();
        assert_eq!(session["authenticator_assurance_level"], "aal2", "{kind:?}");
        let methods: Vec<_> =
            session["authentication_methods"].as_array().unwrap().iter().map(|one| &one["method"]).collect();
        assert_eq!(methods, ["password", "totp"], "{kind:?}");
    }
}
