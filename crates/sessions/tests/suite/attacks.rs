//! The attacks that applications run on themselves.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use tower::ServiceExt;
use tower_step_up::{Requirement, Subject, test_util::Attacks};

use crate::site::{ID, KINDS, Site, TOKEN};

const ROUTES: [(&str, &str); 1] = [("GET", "/aal2")];

#[tokio::test]
async fn they_hold_and_let_the_honest_user_in() {
    for kind in KINDS {
        let site = Site::new(kind);
        let last = Arc::new(std::sync::Mutex::new(String::new()));
        let (signing_in, kept) = (site.clone(), Arc::clone(&last));
        let attacks =
            Attacks::new(&site.step_up, site.app.clone().into_service::<Body>(), Subject::new("kim").unwrap())
                .signing_in(move |subject| {
                    let (site, kept) = (signing_in.clone(), Arc::clone(&kept));
                    async move {
                        let cookie = format!("{ID}={}", site.signed_in(subject.as_str()).await.cookies[ID]);
                        kept.lock().unwrap().clone_from(&cookie);
                        cookie
                    }
                });
        let recent = Requirement::aal2().max_age(Duration::from_secs(300));
        attacks.assert_denied_below(Requirement::aal1(), &[("GET", "/aal1")]).await;
        attacks.assert_denied_below(Requirement::aal2(), &ROUTES).await;
        attacks.assert_denied_below(recent, &[("GET", "/recent")]).await;
        attacks.assert_replay_refused(&ROUTES).await;
        attacks.assert_steps_up(&ROUTES).await;
        let app = site.app.clone();
        attacks
            .assert_dead_after(&ROUTES, async |kim| {
                let cookies = format!("{}; {TOKEN}={}", last.lock().unwrap(), kim.token().as_str());
                let request = Request::post("/logout").header(header::COOKIE, cookies).body(Body::empty()).unwrap();
                assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::OK);
            })
            .await;
    }
}
