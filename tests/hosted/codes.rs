//! Codes to addresses of the directory and to those that users add, in sessions that the application has.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tower_step_up::{
    Subject,
    directory::{Address, Directory, DirectoryFuture, Identity},
    factor::Code,
};

use crate::{
    client::{Browser, STEP_UP},
    postbox::Postbox,
    site::Site,
};

#[derive(Clone, Default)]
struct Users(Arc<Mutex<Vec<Address>>>);

impl Directory for Users {
    fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async { Ok(Some(Identity::new(json!({})))) })
    }

    /// Whom it disables it also signs out. It is asked for addresses all the same.
    fn ends_sessions(&self) -> bool {
        true
    }

    fn addresses<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Vec<Address>> {
        Box::pin(async { Ok(self.0.lock().unwrap().clone()) })
    }
}

#[tokio::test]
async fn a_code_lifts_the_hosts_session_for_as_long_as_the_address_is_there() {
    let (users, postbox) = (Users::default(), Postbox::default());
    let site = Site::with(true, |builder| builder.directory(users.clone()).factor(Code::new(postbox.clone())));
    let address = || vec![Address::email("kim@app.example").verified(true)];
    let mut kim = site.signed_in("kim").await;
    assert_eq!(kim.get(&site.app, "/highest").await.status, 200, "there is no second factor");
    *users.0.lock().unwrap() = address();
    site.bank.clock.advance(Duration::from_secs(1));
    assert_eq!(kim.get(&site.app, "/highest").await.status, 403, "now there is");

    let (action, csrf) = kim.begin(&site.app, STEP_UP).await;
    assert_eq!(postbox.count(), 1, "at once: it is the only way");
    // Another session of the same user cannot use it.
    let mut other = site.signed_in("kim").await;
    let (theirs, their_csrf) = other.begin(&site.app, STEP_UP).await;
    assert_eq!(postbox.count(), 1, "within the cool-down");
    let code = |csrf: &str| json!({ "method": "code", "code": postbox.code(), "csrf_token": csrf });
    assert_eq!(other.submit(&site.app, &theirs, &code(&their_csrf)).await.status, 400);
    assert_eq!(other.get(&site.app, "/pay").await.status, 403);
    let answer = kim.submit(&site.app, &action, &code(&csrf)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
    assert_eq!(site.level(&mut kim).await, "aal2");

    users.0.lock().unwrap().clear();
    site.bank.clock.advance(Duration::from_secs(1));
    assert_eq!(kim.get(&site.app, "/pay").await.status, 403);
    assert_eq!(kim.get(&site.app, "/me").await.status, 200);
    *users.0.lock().unwrap() = address();
    site.bank.clock.advance(Duration::from_secs(1));
    assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
}

/// The settings page, as a browser opens it: its address, where the forms of addresses go, their token, and all of it.
async fn page(site: &Site, kim: &mut Browser) -> (String, String, String, String) {
    let begun = kim.open(&site.app, "/self-service/settings/browser").await;
    let url = begun.headers["location"].to_str().unwrap().strip_prefix("https://bank.example").unwrap().to_owned();
    let text = String::from_utf8(kim.open(&site.app, &url).await.body.to_vec()).unwrap();
    let (_, section) = text.split_once("aria-labelledby=\"addresses\"").unwrap_or_else(|| panic!("no section: {text}"));
    let value = |before: &str| section.split_once(before).unwrap().1.split_once('"').unwrap().0.to_owned();
    let action = value("action=\"https://bank.example");
    (url, action, value("name=\"csrf_token\" value=\""), section.to_owned())
}

#[tokio::test]
async fn users_of_the_host_add_addresses_and_the_hosts_session_rises() {
    let postbox = Postbox::default();
    let code = Code::new(postbox.clone()).users_add_addresses();
    let site = Site::with(true, |builder| builder.factor(code));
    let (mut kim, mut other) = (site.signed_in("kim").await, site.signed_in("kim").await);
    let (url, action, csrf, _) = page(&site, &mut kim).await;
    let begun = json!({ "user_address": "kim@own.example", "csrf_token": csrf });
    let sent = kim.submit(&site.app, &action, &begun).await;
    assert_eq!((sent.status, postbox.count()), (303.try_into().unwrap(), 1), "{sent:?}");
    let confirmed = json!({ "user_address_code": postbox.code(), "csrf_token": csrf });
    // Another session of the same user has none to confirm.
    let (_, theirs, their_csrf, _) = page(&site, &mut other).await;
    let taken = json!({ "user_address_code": postbox.code(), "csrf_token": their_csrf });
    other.submit(&site.app, &theirs, &taken).await;
    assert_eq!(other.get(&site.app, "/highest").await.status, 200, "nothing was added");
    let added = kim.submit(&site.app, &action, &confirmed).await;
    assert_eq!(added.headers["location"], format!("https://bank.example{url}"), "{added:?}");
    assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
    site.bank.clock.advance(Duration::from_secs(1));
    assert_eq!(other.get(&site.app, "/highest").await.status, 403, "it is asked for");
    let (_, action, csrf, section) = page(&site, &mut kim).await;
    let id = section.split_once("name=\"remove\" value=\"").unwrap().1.split_once('"').unwrap().0;
    kim.submit(&site.app, &action, &json!({ "remove": id, "csrf_token": csrf })).await;
    site.bank.clock.advance(Duration::from_secs(1));
    assert_eq!(kim.get(&site.app, "/pay").await.status, 403);
    assert_eq!(other.get(&site.app, "/highest").await.status, 200);
}
