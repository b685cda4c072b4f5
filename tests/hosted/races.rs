//! Slow requests in flight while somebody signs in, steps up or signs out.

use std::sync::Arc;

use tower_step_up::Subject;

use crate::{
    client::{Browser, STEP_UP, totp},
    common::{Answer, store::TestStore},
    site::Site,
};

/// A request that has loaded the host's record and saves it when the gate opens.
async fn slow(site: &Arc<Site>, browser: &Browser) -> tokio::task::JoinHandle<Answer> {
    let (other, mut browser) = (Arc::clone(site), browser.clone());
    let running = tokio::spawn(async move { browser.post(&other.app, "/slow").await });
    site.gate.entered.notified().await;
    running
}

async fn finish(site: &Site, running: tokio::task::JoinHandle<Answer>) {
    site.gate.go_on.notify_one();
    assert_eq!(running.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_slow_request_over_a_step_up_undoes_nothing() {
    for tells in [true, false] {
        let site = Arc::new(Site::with(tells, |builder| builder));
        let mut kim = site.signed_in("kim").await;
        site.enrol("kim").await;
        let running = slow(&site, &kim).await;
        assert_eq!(site.step_up(&mut kim).await.status, 200);
        finish(&site, running).await;
        assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
    }
}

#[tokio::test]
async fn a_slow_request_over_a_logout_brings_no_second_factor_back() {
    for tells in [true, false] {
        let site = Arc::new(Site::with(tells, |builder| builder));
        let mut kim = site.stepped_up("kim").await;
        let mut copy = kim.clone();
        let running = slow(&site, &kim).await;
        assert_eq!(kim.post(&site.app, "/logout").await.status, 200);
        finish(&site, running).await;
        // The application's own record is back: that is its store's way.
        assert_eq!(copy.get(&site.app, "/me").await.status, 200);
        assert_eq!(copy.get(&site.app, "/pay").await.status, 403);
    }
}

#[tokio::test]
async fn a_slow_request_over_a_login_keeps_nobody_signed_in() {
    for tells in [true, false] {
        let site = Arc::new(Site::with(tells, |builder| builder));
        let mut kim = Browser::default();
        assert_eq!(kim.post(&site.app, "/cart").await.status, 200);
        let running = slow(&site, &kim).await;
        assert_eq!(kim.post(&site.app, "/login/kim").await.status, 200);
        finish(&site, running).await;
        site.enrol("kim").await;
        assert_eq!(kim.get(&site.app, "/fresh").await.status, 200);
        assert_eq!(site.step_up(&mut kim).await.status, 200);
        assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
    }
}

/// The code is right, and the logout is quicker than the transaction.
#[tokio::test]
async fn a_step_up_in_flight_at_the_logout_is_refused() {
    let store = TestStore::default();
    let site = Arc::new(Site::on(store.clone(), true, |builder| builder));
    let mut kim = site.signed_in("kim").await;
    site.enrol("kim").await;
    let (action, csrf) = kim.begin(&site.app, STEP_UP).await;
    let form = totp(&csrf, &site.code());
    let gate = store.hold("complete");
    let (other, mut flying) = (Arc::clone(&site), kim.clone());
    let running = tokio::spawn(async move {
        let answer = flying.submit(&other.app, &action, &form).await;
        (answer, flying)
    });
    gate.reached().await;
    let record = site.records.get(&kim.host_id()).unwrap();
    let id = kim.host_id();
    assert_eq!(kim.post(&site.app, "/logout").await.status, 200);
    gate.open();
    let (answer, mut flying) = running.await.unwrap();
    assert_eq!(answer.status, 401, "{answer:?}");
    // Even if the record comes back.
    site.records.put(&id, record);
    assert_eq!(flying.get(&site.app, "/pay").await.status, 403);
    assert!(site.bank.step_up.sessions(&Subject::new("kim").unwrap()).await.unwrap().is_empty());
}
