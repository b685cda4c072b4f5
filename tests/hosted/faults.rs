//! The application's sessions and our store are two databases: one of them fails.

use crate::{
    client::{Browser, STEP_UP, totp},
    site::Site,
};

#[tokio::test]
async fn a_login_needs_no_store_of_ours() {
    let site = Site::new();
    site.bank.store.is_down();
    let mut kim = site.signed_in("kim").await;
    assert_eq!(kim.get(&site.app, "/public").await.status, 200);
    assert_eq!(kim.get(&site.app, "/pay").await.status, 503);
    assert_eq!(kim.get(&site.app, "/me").await.status, 503);
    site.bank.store.works();
    assert_eq!(kim.get(&site.app, "/fresh").await.status, 200);
}

#[tokio::test]
async fn a_login_that_the_host_cannot_save_did_not_happen() {
    let site = Site::new();
    site.records.set_down(true);
    let mut kim = Browser::default();
    assert_eq!(kim.post(&site.app, "/login/kim").await.status, 500);
    site.records.set_down(false);
    assert_eq!(kim.get(&site.app, "/me").await.status, 401);
}

#[tokio::test]
async fn a_logout_ends_the_hosts_session_without_our_store() {
    let site = Site::new();
    let mut kim = site.stepped_up("kim").await;
    let mut copy = kim.clone();
    site.bank.store.is_down();
    assert_eq!(kim.post(&site.app, "/logout").await.status, 200);
    assert!(!kim.has_token());
    site.bank.store.works();
    assert_eq!(copy.get(&site.app, "/pay").await.status, 401);
    assert_eq!(copy.get(&site.app, "/me").await.status, 401);
}

#[tokio::test]
async fn a_flow_that_began_goes_on_when_the_host_could_not_keep_the_note() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let mut kim = crate::step_up::older(&site);
        site.enrol("kim").await;
        site.records.set_down(true);
        assert_eq!(kim.get(&site.app, STEP_UP).await.status, 500);
        assert_eq!(site.records.get("older").unwrap().note, None);
        site.records.set_down(false);
        // The answer came, but the process died before the note was saved.
        let (action, csrf) = kim.begin(&site.app, STEP_UP).await;
        let mut record = site.records.get("older").unwrap();
        assert!(record.note.take().is_some());
        site.records.put("older", record);
        let code = site.code();
        assert_eq!(kim.submit(&site.app, &action, &totp(&csrf, &code)).await.status, 200);
        assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
        // And the note comes with the next flow.
        let answer = kim.get(&site.app, "/self-service/login/browser?aal=aal2&refresh=true").await;
        assert_eq!(answer.status, 200);
        assert!(site.records.get("older").unwrap().note.is_some());
        assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
    }
}

#[tokio::test]
async fn a_step_up_that_our_store_cannot_write_leaves_all_as_it_was() {
    let site = Site::new();
    let mut kim = site.signed_in("kim").await;
    site.enrol("kim").await;
    let (action, csrf) = kim.begin(&site.app, STEP_UP).await;
    let form = totp(&csrf, &site.code());
    let record = site.records.get(&kim.host_id());
    site.bank.store.is_down();
    assert_eq!(kim.submit(&site.app, &action, &form).await.status, 503);
    site.bank.store.works();
    assert_eq!(site.records.get(&kim.host_id()), record);
    assert_eq!(kim.get(&site.app, "/me").await.status, 200);
    assert_eq!(kim.submit(&site.app, &action, &form).await.status, 200);
    assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
}

/// The answer of the step-up is lost: the browser has no token, and the host's session is as it was.
#[tokio::test]
async fn a_crash_after_the_commit_costs_another_step_up() {
    let site = Site::new();
    let mut kim = site.signed_in("kim").await;
    site.enrol("kim").await;
    let mut lost = kim.clone();
    assert_eq!(site.step_up(&mut lost).await.status, 200);
    assert_eq!(kim.get(&site.app, "/pay").await.status, 403);
    assert_eq!(site.step_up(&mut kim).await.status, 200);
    assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
    assert_eq!(lost.get(&site.app, "/pay").await.status, 403, "it was replaced");
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_nobodys() {
    let site = Site::with(false, |builder| builder);
    let kim = site.stepped_up("kim").await;
    let cookies: Vec<_> = kim.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    for path in ["/me", "/pay", "/sessions/whoami"] {
        let request = http::Request::get(path).header("cookie", cookies.join("; ")).header("x-unreadable", "1");
        let answer = crate::common::send(&site.app, request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 503, "{path}");
    }
}
