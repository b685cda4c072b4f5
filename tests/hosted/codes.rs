//! Codes to addresses of the directory, in sessions that the application has.

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

use crate::{client::STEP_UP, postbox::Postbox, site::Site};

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
