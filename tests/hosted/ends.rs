//! What ends a step-up: whatever ends the application's session, or gives it to somebody else.

use axum::body::Body;
use http::Request;
use serde_json::json;
use tower_step_up::Subject;

use crate::{
    client::{Browser, STEP_UP, totp},
    common::{COOKIE, send},
    site::Site,
};

async fn rows(site: &Site, user: &str) -> usize {
    site.bank.step_up.sessions(&Subject::new(user).unwrap()).await.unwrap().len()
}

#[tokio::test]
async fn a_logout_of_the_host_ends_the_step_up_and_takes_our_cookie_away() {
    for tells in [true, false] {
        for way in ["/logout", "/forget"] {
            let site = Site::with(tells, |builder| builder);
            let mut kim = site.stepped_up("kim").await;
            let (copy, record) = (kim.clone(), site.records.get(&kim.host_id()).unwrap());
            assert_eq!(kim.post(&site.app, way).await.status, 200);
            assert!(!kim.has_token(), "{way}");
            assert_eq!(rows(&site, "kim").await, 0, "{way}");
            for mut browser in [kim, copy.clone()] {
                assert_eq!(browser.get(&site.app, "/me").await.status, 401, "{way}");
                assert_eq!(browser.get(&site.app, "/pay").await.status, 401, "{way}");
            }
            // A slow request brings the record back, and with it the login, but no second factor.
            site.records.put(&copy.host_id(), record);
            let mut back = copy;
            assert_eq!(back.get(&site.app, "/me").await.status, 200);
            assert_eq!(back.get(&site.app, "/pay").await.status, 403);
            assert_eq!(site.step_up(&mut back).await.status, 200);
            assert_eq!(back.get(&site.app, "/pay").await.status, 200);
        }
    }
}

/// The host's cookie may be one of several hosts, and ours is not.
#[tokio::test]
async fn a_logout_without_our_cookie_ends_the_step_up_if_the_host_tells_who_was_there() {
    let site = Site::new();
    let kim = site.stepped_up("kim").await;
    assert_eq!(kim.only_of_host().post(&site.app, "/logout").await.status, 200);
    assert_eq!(rows(&site, "kim").await, 0);
}

#[tokio::test]
async fn another_user_in_the_same_session_gets_nothing_of_it() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let mut kim = site.stepped_up("kim").await;
        site.enrol("lee").await;
        let copy = kim.clone();
        assert_eq!(kim.post(&site.app, "/become/lee").await.status, 200);
        assert_eq!((kim.has_token(), rows(&site, "kim").await), (false, 0));
        for mut browser in [kim.clone(), copy] {
            assert_eq!(browser.get(&site.app, "/me").await.body, "lee");
            assert_eq!(browser.get(&site.app, "/pay").await.status, 403);
        }
        // Nor does the first user, who comes back.
        assert_eq!(kim.post(&site.app, "/become/kim").await.status, 200);
        assert_eq!(kim.get(&site.app, "/me").await.body, "kim");
        assert_eq!(kim.get(&site.app, "/pay").await.status, 403);
    }
}

#[tokio::test]
async fn a_changed_password_ends_the_step_up() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let mut kim = site.stepped_up("kim").await;
        let mut copy = kim.clone();
        assert_eq!(kim.post(&site.app, "/password").await.status, 200);
        assert_eq!((kim.has_token(), rows(&site, "kim").await), (false, 0));
        for browser in [&mut kim, &mut copy] {
            assert_eq!(browser.get(&site.app, "/me").await.status, 200);
            assert_eq!(browser.get(&site.app, "/pay").await.status, 403);
            // It is the session of a login of a moment ago all the same.
            assert_eq!(browser.get(&site.app, "/fresh").await.status, 200);
        }
        // Changed elsewhere, where this crate sees nothing.
        assert_eq!(site.step_up(&mut kim).await.status, 200);
        let mut record = site.records.get(&kim.host_id()).unwrap();
        record.password = "newer".to_owned();
        site.records.put(&kim.host_id(), record);
        assert_eq!(kim.get(&site.app, "/pay").await.status, 403);
        assert_eq!(site.step_up(&mut kim).await.status, 200);
        assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
    }
}

#[tokio::test]
async fn a_session_that_expires_at_the_host_leaves_nothing() {
    let site = Site::new();
    let mut kim = site.stepped_up("kim").await;
    site.records.put(&kim.host_id(), crate::host::Record::default());
    assert_eq!(kim.get(&site.app, "/pay").await.status, 401);
}

#[tokio::test]
async fn our_logout_ends_the_hosts_session() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        for mut kim in [site.signed_in("kim").await, site.stepped_up("kim").await] {
            let id = kim.host_id();
            if site.level(&mut kim).await == "aal1" {
                assert_eq!(site.step_up(&mut kim).await.status, 200);
            }
            let begun = kim.get(&site.app, "/self-service/logout/browser").await.json();
            let url = begun["logout_url"].as_str().unwrap().strip_prefix("https://bank.example").unwrap().to_owned();
            let mut again = kim.clone();
            let wrong = url.replace("token=", "token=x");
            assert_eq!(kim.get(&site.app, &wrong).await.status, 403);
            assert_eq!(kim.open(&site.app, &url).await.status, 303);
            assert_eq!(site.records.get(&id), None);
            assert_eq!((kim.has_token(), kim.cookies.contains_key(crate::host::COOKIE)), (false, false));
            // Clicked twice.
            assert_eq!(again.open(&site.app, &url).await.status, 303);
            assert_eq!(again.get(&site.app, "/me").await.status, 401);
        }
        assert_eq!(rows(&site, "kim").await, 0);
    }
}

/// It has the application's cookie, so it uses the flows of browsers: those of native clients take no cookie, since they have no CSRF token.
#[tokio::test]
async fn a_client_that_signs_out_by_its_token_signs_out_of_both() {
    let site = Site::new();
    let mut kim = site.signed_in("kim").await;
    site.enrol("kim").await;
    let flow = kim.get(&site.app, "/self-service/login/api?aal=aal2").await.json();
    let action = flow["ui"]["action"].as_str().unwrap().strip_prefix("https://bank.example").unwrap().to_owned();
    let code = site.code();
    let refused = kim.submit(&site.app, &action, &json!({ "method": "totp", "totp_code": code })).await;
    assert_eq!((refused.status.as_u16(), kim.has_token()), (400, false));

    assert_eq!(site.step_up(&mut kim).await.status, 200);
    let token = kim.cookies[COOKIE].clone();
    let end = |cookies: String, token: &str| {
        let request = Request::delete("/self-service/logout/api").header("cookie", cookies);
        send(&site.app, request.body(Body::from(json!({ "session_token": token }).to_string())).unwrap())
    };
    let other = site.signed_in("kim").await;
    let of = |browser: &Browser| format!("{}={}", crate::host::COOKIE, browser.host_id());
    let stranger = site.stepped_up("lee").await;
    // The token says which session ends, and only its own login ends with it.
    assert_eq!(end(of(&other), &stranger.cookies[COOKIE]).await.status, 204);
    assert!(site.records.get(&other.host_id()).is_some() && site.records.get(&stranger.host_id()).is_some());
    assert_eq!(end(of(&kim), &token).await.status, 204);
    assert_eq!((site.records.get(&kim.host_id()), rows(&site, "kim").await), (None, 0));
}

#[tokio::test]
async fn revocation_ends_step_ups_and_no_login() {
    let site = Site::new();
    let (mut kim, mut other) = (site.stepped_up("kim").await, site.stepped_up("kim").await);
    let subject = Subject::new("kim").unwrap();
    assert_eq!(site.bank.step_up.revoke_all(&subject).await.unwrap(), 2);
    for browser in [&mut kim, &mut other] {
        assert_eq!(browser.get(&site.app, "/me").await.status, 200);
        assert_eq!(browser.get(&site.app, "/pay").await.status, 403);
        assert_eq!(site.step_up(browser).await.status, 200);
        assert_eq!(browser.get(&site.app, "/pay").await.status, 200);
    }
    site.bank.step_up.unbind(&subject, tower_step_up::Method::Totp).await.unwrap();
    assert_eq!(kim.get(&site.app, "/pay").await.status, 403);
}

#[tokio::test]
async fn the_page_of_sessions_says_what_it_ends() {
    let site = Site::with(true, |builder| builder.whoami_required_aal(tower_step_up::RequiredAal::Aal1));
    let mut fresh = site.signed_in("kim").await;
    let page = fresh.open(&site.app, "/self-service/ui/sessions").await;
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(text.contains("Sign out") && text.contains("the sign-in itself goes on"), "{text}");
    let mut kim = site.stepped_up("kim").await;
    let page = kim.open(&site.app, "/self-service/ui/sessions").await;
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    for expected in ["This session", "First confirmed", "Last confirmed", "authenticator app", "Sign out"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test]
async fn a_flow_from_before_a_logout_gives_nothing() {
    let site = Site::new();
    let mut kim = site.signed_in("kim").await;
    site.enrol("kim").await;
    let (action, csrf) = kim.begin(&site.app, STEP_UP).await;
    let mut copy = kim.clone();
    kim.post(&site.app, "/logout").await;
    let code = site.code();
    assert_eq!(copy.submit(&site.app, &action, &totp(&csrf, &code)).await.status, 401);
    let mut nobody = Browser { cookies: copy.cookies };
    assert_eq!(nobody.get(&site.app, "/pay").await.status, 401);
}
