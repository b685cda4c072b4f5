//! When the first factor was proven: what the application says, what was seen of its login, or nothing.

use std::time::Duration;

use serde_json::{Value, json};
use tower_step_up::{
    Subject,
    directory::{Directory, DirectoryFuture, Identity},
    factor::Password,
};

use crate::{client::Browser, site::Site, step_up::older};

const MINUTE: Duration = Duration::from_secs(60);

async fn is_fresh(site: &Site, browser: &mut Browser) -> bool {
    let answer = browser.get(&site.app, "/fresh").await;
    assert!(answer.status == 200 || answer.error_id() == "session_refresh_required", "{answer:?}");
    answer.status == 200
}

#[tokio::test]
async fn a_login_is_seen_and_grows_old() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let mut kim = site.signed_in("kim").await;
        assert!(is_fresh(&site, &mut kim).await);
        site.bank.clock.advance(4 * MINUTE);
        assert!(is_fresh(&site, &mut kim).await);
        site.bank.clock.advance(2 * MINUTE);
        assert!(!is_fresh(&site, &mut kim).await);
        // What changes in the session is no login.
        for path in ["/cart", "/password"] {
            assert_eq!(kim.post(&site.app, path).await.status, 200);
            assert!(!is_fresh(&site, &mut kim).await, "{path}");
        }
        assert_eq!(kim.post(&site.app, "/login-again").await.status, 200);
        assert!(is_fresh(&site, &mut kim).await);
    }
}

#[tokio::test]
async fn a_login_in_a_session_with_a_cart_is_seen() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let mut kim = Browser::default();
        assert_eq!(kim.post(&site.app, "/cart").await.status, 200);
        assert_eq!(kim.post(&site.app, "/login/kim").await.status, 200);
        assert!(is_fresh(&site, &mut kim).await);
    }
}

/// Then a stolen one could look fresh.
#[tokio::test]
async fn a_session_from_before_has_no_time_whatever_happens_in_it() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let mut kim = older(&site);
        for path in ["/cart", "/password", "/cart", "/become/kim"] {
            assert_eq!(kim.post(&site.app, path).await.status, 200);
            assert!(!is_fresh(&site, &mut kim).await, "{path}, tells: {tells}");
        }
        site.enrol("kim").await;
        assert_eq!(site.step_up(&mut kim).await.status, 200);
        assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
        assert_eq!(kim.post(&site.app, "/login-again").await.status, 200);
        assert!(is_fresh(&site, &mut kim).await);
        assert_eq!(kim.get(&site.app, "/pay").await.status, 200, "the second factor counts on");
    }
}

struct Users;

impl Directory for Users {
    fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async { Ok(Some(Identity::new(json!({})))) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }

    fn check_password<'a>(&'a self, identifier: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        Box::pin(async move { Ok((password == "secret").then(|| Subject::new(identifier)).transpose()?) })
    }
}

/// Binds an authenticator app, where the session may.
async fn bind(site: &Site, kim: &mut Browser) {
    let settings = kim.get(&site.app, "/self-service/settings/browser").await;
    assert_eq!(settings.status, 200, "{settings:?}");
    let flow = settings.json();
    let value = |name: &str| -> Value {
        let nodes = flow["ui"]["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["attributes"]["name"] == name).unwrap()["attributes"]["value"].clone()
    };
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let secret = nodes.iter().find(|node| node["attributes"]["id"] == "totp_secret_key").unwrap();
    let secret = secret["attributes"]["text"]["context"]["secret"].as_str().unwrap().to_owned();
    let code =
        tower_step_up::test_util::totp_code(&secret, tower_step_up::clock::Clock::now(&site.bank.clock)).unwrap();
    let action = flow["ui"]["action"].as_str().unwrap().strip_prefix("https://bank.example").unwrap().to_owned();
    let form = json!({ "method": "totp", "totp_code": code, "csrf_token": value("csrf_token") });
    let saved = kim.submit(&site.app, &action, &form).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    assert_eq!(kim.get(&site.app, "/pay").await.status, 200);
}

fn path_of(url: &str) -> String {
    url.strip_prefix("https://bank.example").unwrap_or(url).to_owned()
}

/// Follows redirects as a browser does. Panics if they do not end.
async fn follow(site: &Site, kim: &mut Browser, path: &str) -> (String, crate::common::Answer) {
    let mut path = path.to_owned();
    for _ in 0..8 {
        let answer = kim.open(&site.app, &path).await;
        match answer.header("location") {
            Some(location) if answer.status.is_redirection() => path = path_of(&location),
            _ => return (path, answer),
        }
    }
    panic!("redirected for ever, last to {path}");
}

#[tokio::test]
async fn from_an_unknown_time_to_an_enrolment_with_our_password_factor() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder.directory(Users).factor(Password::default()));
        let mut kim = older(&site);
        let refused = settings_refused(&site, &mut kim).await;
        // The page of our own password form.
        let (page, shown) = follow(&site, &mut kim, &refused).await;
        assert!(page.starts_with("/self-service/ui/login?flow="), "{page}");
        assert_eq!(shown.status, 200);
        let (action, csrf) = kim.begin(&site.app, "/self-service/login/browser?refresh=true").await;
        let form =
            |password| json!({ "method": "password", "identifier": "kim", "password": password, "csrf_token": csrf });
        let before = site.records.get("older");
        assert_eq!(kim.submit(&site.app, &action, &form("wrong")).await.status, 400);
        let mut thief = kim.only_of_host();
        assert_eq!(kim.submit(&site.app, &action, &form("secret")).await.status, 200);
        assert_eq!(site.records.get("older"), before);
        assert!(is_fresh(&site, &mut kim).await);
        assert!(!is_fresh(&site, &mut thief).await, "what was proven here counts with our cookie alone");
        bind(&site, &mut kim).await;
    }
}

/// The application's login page sends back whoever is signed in. Our password form would be the wrong answer to a route that takes a passkey.
#[tokio::test]
async fn who_is_sent_to_the_login_for_a_method_is_not_asked_for_another() {
    let site = Site::with(true, |builder| builder.directory(Users).factor(Password::default()));
    let mut kim = older(&site);
    let (page, _) = follow(&site, &mut kim, "/self-service/login/browser?methods=passkey&return_to=/me").await;
    assert!(page.starts_with("/self-service/ui/error?id="), "{page}");
    let (page, _) = follow(&site, &mut kim, "/self-service/login/browser?methods=password&return_to=/me").await;
    assert!(page.starts_with("/self-service/ui/login?flow="), "{page}");
}

/// Submits the settings of an older session, and returns where that leads.
async fn settings_refused(site: &Site, kim: &mut Browser) -> String {
    let flow = kim.get(&site.app, "/self-service/settings/browser").await.json();
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let csrf = nodes.iter().find(|node| node["attributes"]["name"] == "csrf_token").unwrap();
    let action = path_of(flow["ui"]["action"].as_str().unwrap());
    let form = json!({ "method": "totp", "totp_code": "123456", "csrf_token": csrf["attributes"]["value"] });
    let refused = kim.submit(&site.app, &action, &form).await;
    assert_eq!(refused.error_id(), "session_refresh_required", "{refused:?}");
    path_of(refused.json()["redirect_browser_to"].as_str().unwrap())
}

#[tokio::test]
async fn from_an_unknown_time_to_an_enrolment_with_the_hosts_login() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder);
        let mut kim = older(&site);
        let refused = settings_refused(&site, &mut kim).await;
        // The login page sends at once back who is signed in. That must not go round for ever.
        let (page, shown) = follow(&site, &mut kim, &refused).await;
        assert!(page.starts_with("/self-service/ui/error?id="), "{page}");
        let text = String::from_utf8(shown.body.to_vec()).unwrap();
        assert!(text.contains("You are still signed in from before"), "{text}");

        // A login that tells of itself.
        let led = kim.open(&site.app, &refused).await;
        let login = url::Url::parse(&led.header("location").unwrap()).unwrap();
        assert_eq!(login.path(), "/login");
        let (_, back) = login.query_pairs().find(|(name, _)| name == "return_to").unwrap();
        assert_eq!(kim.post(&site.app, "/login-again").await.status, 200);
        let (page, shown) = follow(&site, &mut kim, &path_of(&back)).await;
        assert!(page.starts_with("/self-service/ui/settings?flow="), "{page}");
        assert_eq!(shown.status, 200);
        bind(&site, &mut kim).await;

        // Or the user signs out first.
        let mut kim = older(&site);
        site.bank.step_up.unbind(&Subject::new("kim").unwrap(), tower_step_up::Method::Totp).await.unwrap();
        assert_eq!(kim.post(&site.app, "/logout").await.status, 200);
        assert_eq!(kim.post(&site.app, "/login/kim").await.status, 200);
        bind(&site, &mut kim).await;
    }
}

#[tokio::test]
async fn a_fresh_login_binds_at_once() {
    let site = Site::new();
    let mut kim = site.signed_in("kim").await;
    bind(&site, &mut kim).await;
    assert_eq!(site.level(&mut kim).await, "aal2");
}

struct Disabled;

impl Directory for Disabled {
    fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async { Ok(None) })
    }
}

#[tokio::test]
async fn who_is_signed_in_and_disabled_goes_round_nowhere() {
    for tells in [true, false] {
        let site = Site::with(tells, |builder| builder.directory(Disabled));
        let mut kim = site.signed_in("kim").await;
        for path in ["/pay", "/me", "/self-service/login/browser", "/self-service/login/browser?aal=aal2"] {
            let (_, answer) = follow(&site, &mut kim, path).await;
            assert!(!kim.has_token() && answer.body != "kim", "{path}: {answer:?}");
        }
        assert_eq!(kim.open(&site.app, "/me").await.status, 401);
    }
}
