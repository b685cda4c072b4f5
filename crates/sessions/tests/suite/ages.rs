//! When the first factor was proven, where the application does not know it.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tower_step_up::{
    StepUpBuilder, Subject,
    clock::Clock,
    directory::{Directory, DirectoryFuture, Identity},
    factor::Password,
    test_util::totp_code,
};

use crate::{
    browser::Browser,
    site::{ID, KINDS, Kind, ORIGIN, Site, TOKEN},
};

const STALE: &str = "session_refresh_required";

/// Users whose passwords can be checked by us as well.
struct Users;

impl Directory for Users {
    fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async move { Ok(Some(Identity::new(json!({ "username": subject.as_str() })))) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }

    fn check_password<'a>(&'a self, identifier: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        Box::pin(async move {
            let right = password == format!("{identifier}-password");
            Ok(right.then(|| Subject::new(identifier).unwrap()))
        })
    }
}

fn with_passwords(builder: StepUpBuilder) -> StepUpBuilder {
    builder.directory(Users).factor(Password::default())
}

#[tokio::test]
async fn a_login_is_the_first_factor_of_that_moment() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut stranger = site.browser();
        let mut visitor = site.browser();
        visitor.post("/basket").await.is(StatusCode::OK);
        let mut lee = site.signed_in("lee").await;
        for browser in [&mut stranger, &mut visitor, &mut lee] {
            site.clock.advance(Duration::from_secs(600));
            browser.post("/login/kim").await.is(StatusCode::OK);
            assert_eq!(browser.whose("/fresh").await, "kim", "{kind:?}");
            site.clock.advance(Duration::from_secs(299));
            assert_eq!(browser.whose("/fresh").await, "kim", "{kind:?}");
            site.clock.advance(Duration::from_secs(2));
            assert_eq!(browser.whose("/fresh").await, STALE, "{kind:?}");
            assert_eq!(browser.whose("/aal1").await, "kim", "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_session_from_before_meets_no_maximum_age() {
    for kind in KINDS {
        let site = Site::new(kind);
        site.enrol("kim").await;
        let mut kim = site.signed_in_before("kim").await;
        assert_eq!((kim.whose("/aal1").await.as_str(), kim.whose("/fresh").await.as_str()), ("kim", STALE), "{kind:?}");
        kim.post("/basket").await.is(StatusCode::OK);
        assert_eq!(kim.whose("/fresh").await, STALE, "{kind:?}: a change of something else is no login");
        let saves = site.host.take_saves();
        assert!(saves > 0);
        let flow = kim.begin("login", "?aal=aal2").await;
        assert_eq!(site.host.take_saves(), 1, "{kind:?}: its note is written when the flow begins");
        let confirmed = kim.confirm(&flow).await;
        assert_eq!(confirmed.location(), "/", "{kind:?}");
        assert_eq!(site.host.take_saves(), 0, "{kind:?}: and not in the step-up");
        assert_eq!(kim.aal2().await, "kim", "{kind:?}");
        assert_eq!(kim.whose("/recent").await, "kim", "{kind:?}: the second factor is new");
        site.clock.advance(Duration::from_secs(301));
        assert_eq!(kim.whose("/fresh").await, STALE, "{kind:?}: the first is as old as it was");
        kim.post("/logout").await.is(StatusCode::OK);
        kim.post("/login/kim").await.is(StatusCode::OK);
        assert_eq!(kim.whose("/fresh").await, "kim", "{kind:?}");
    }
}

#[tokio::test]
async fn the_first_login_of_a_visitor_from_before() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut visitor = site.browser();
        visitor.post("/basket").await.is(StatusCode::OK);
        site.forget_note(&visitor).await;
        visitor.post("/login/kim").await.is(StatusCode::OK);
        // Whether somebody was signed in is not known of a session that nobody has read.
        let expected = if kind == Kind::AxumLogin { "kim" } else { STALE };
        assert_eq!(visitor.whose("/fresh").await, expected, "{kind:?}");

        let mut visitor = site.browser();
        visitor.post("/basket").await.is(StatusCode::OK);
        site.forget_note(&visitor).await;
        visitor.post("/login-that-proves/kim").await.is(StatusCode::OK);
        assert_eq!(visitor.whose("/fresh").await, "kim", "{kind:?}");
    }
}

#[tokio::test]
async fn a_second_login_of_the_same_user_is_seen_only_if_it_says_so() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.signed_in_before("kim").await;
        kim.post("/login/kim").await.is(StatusCode::OK);
        assert_eq!(kim.whose("/fresh").await, STALE, "{kind:?}");
        let (id, saves) = (kim.cookies[ID].clone(), site.host.take_saves());
        assert!(saves > 0);
        kim.post("/login-that-proves/kim").await.is(StatusCode::OK);
        assert_eq!(site.host.take_saves(), 1, "{kind:?}");
        assert_eq!(kim.cookies[ID], id, "{kind:?}");
        assert_eq!(kim.whose("/fresh").await, "kim", "{kind:?}");
        site.clock.advance(Duration::from_secs(301));
        assert_eq!(kim.whose("/fresh").await, STALE, "{kind:?}");
        // It may say so at each login, also where it is seen.
        let mut lee = site.browser();
        lee.post("/login-that-proves/lee").await.is(StatusCode::OK);
        assert_eq!(lee.whose("/fresh").await, "lee", "{kind:?}");
    }
}

#[tokio::test]
async fn what_was_proven_to_us_outlives_a_second_login() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.stepped_up("kim").await;
        kim.post("/login-that-proves/kim").await.is(StatusCode::OK);
        assert_eq!((kim.aal2().await.as_str(), kim.whose("/fresh").await.as_str()), ("kim", "kim"), "{kind:?}");
        assert!(kim.has(TOKEN), "{kind:?}");
    }
}

/// What a user meets on the way from one page to the next.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    /// The login of the application.
    Login,
    /// Our form for a password.
    Password,
    /// The settings, where a second factor is enrolled.
    Settings,
    /// The settings, which say that it was saved.
    Saved,
    /// An error, in these words.
    Error(String),
    /// The page that was asked for, in the end.
    There,
}

/// Goes to a page, does what each page on the way asks for, and says what that was. `login` is what the login of the application does.
async fn walk(kim: &mut Browser, to: &str, login: &str) -> Vec<Met> {
    let mut met = Vec::new();
    let (mut page, mut shown) = kim.follow(to).await;
    loop {
        assert!(met.len() < 10, "it goes round and round: {met:?}");
        let next = if page == to {
            assert_eq!((shown.status, shown.text.as_str()), (StatusCode::OK, "kim"));
            met.push(Met::There);
            return met;
        } else if page.starts_with("/login?") {
            assert_eq!(shown.text, "sign in here");
            met.push(Met::Login);
            if login == "/logout" {
                kim.post(login).await.is(StatusCode::OK);
                kim.post("/login/kim").await.is(StatusCode::OK);
            } else {
                kim.post(login).await.is(StatusCode::OK);
            }
            let page = url::Url::parse(&format!("{ORIGIN}{page}")).unwrap();
            let return_to = page.query_pairs().find(|(name, _)| name == "return_to").unwrap().1.into_owned();
            return_to.strip_prefix(ORIGIN).unwrap_or(&return_to).to_owned()
        } else if page.starts_with("/self-service/ui/error") {
            let (_, words) = shown.text.split_once("role=\"alert\">").unwrap();
            met.push(Met::Error(words.split('<').next().unwrap().to_owned()));
            return met;
        } else {
            let flow = kim.flow(&page).await;
            if flow.0["state"] == "success" {
                met.push(Met::Saved);
                return met;
            }
            let answer = if page.contains("settings") {
                met.push(Met::Settings);
                // Scans the secret, and proves it.
                let secret = flow.node("totp_secret_key")["attributes"]["text"]["text"].as_str().unwrap().to_owned();
                let code = totp_code(&secret, kim.site.clock.now()).unwrap();
                kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await
            } else {
                met.push(Met::Password);
                kim.submit(&flow, &[("method", "password"), ("identifier", "kim"), ("password", "kim-password")]).await
            };
            answer.location().to_owned()
        };
        (page, shown) = kim.follow(&next).await;
    }
}

#[tokio::test]
async fn from_an_unknown_time_to_a_second_factor_by_our_own_password_factor() {
    for kind in KINDS {
        let site = Site::with(kind, with_passwords);
        let mut kim = site.signed_in_before("kim").await;
        let met = walk(&mut kim, "/aal2", "/never").await;
        assert_eq!(met, [Met::Settings, Met::Password, Met::Settings, Met::There], "{kind:?}");
        kim.post("/logout").await.is(StatusCode::OK);
        assert_eq!(kim.aal2().await, "session_inactive", "{kind:?}");
    }
}

#[tokio::test]
async fn from_an_unknown_time_to_a_second_factor_by_the_login_of_the_application() {
    for kind in KINDS {
        let site = Site::new(kind);
        let mut kim = site.signed_in_before("kim").await;
        let met = walk(&mut kim, "/aal2", "/login-that-proves/kim").await;
        assert_eq!(met, [Met::Settings, Met::Login, Met::Settings, Met::There], "{kind:?}");

        // Who signs out and in again has a new session, in which nothing is known of where it began.
        let site = Site::new(kind);
        let mut kim = site.signed_in_before("kim").await;
        let met = walk(&mut kim, "/aal2", "/logout").await;
        assert_eq!(met, [Met::Settings, Met::Login, Met::Settings, Met::Saved], "{kind:?}");
        assert_eq!(kim.aal2().await, "kim", "{kind:?}");
    }
}

const STILL: &str = "You are still signed in from before. Please sign out, and then sign in again.";

#[tokio::test]
async fn a_login_that_says_nothing_ends_in_an_answer_and_not_in_a_loop() {
    for kind in KINDS {
        for page in ["/aal2", "/fresh"] {
            let site = Site::new(kind);
            let mut kim = site.signed_in_before("kim").await;
            let met = walk(&mut kim, page, "/login/kim").await;
            assert_eq!(met.last(), Some(&Met::Error(STILL.to_owned())), "{kind:?} {page}: {met:?}");
            // What it says to do works.
            kim.post("/logout").await.is(StatusCode::OK);
            kim.post("/login/kim").await.is(StatusCode::OK);
            assert_eq!(walk(&mut kim, page, "/never").await.last(), Some(&Met::There), "{kind:?} {page}");
        }
    }
}

#[tokio::test]
async fn a_login_page_that_sends_users_back_at_once_makes_no_loop() {
    for kind in KINDS {
        for page in ["/aal2", "/fresh"] {
            let site = Site::new(kind);
            site.login_is_eager();
            let mut kim = site.signed_in_before("kim").await;
            let met = walk(&mut kim, page, "/never").await;
            assert_eq!(met.last(), Some(&Met::Error(STILL.to_owned())), "{kind:?} {page}: {met:?}");
        }
    }
}

#[tokio::test]
async fn whoever_is_signed_in_as_somebody_else_proves_nothing_of_it() {
    let site = Site::with(Kind::AxumLogin, with_passwords);
    let mut kim = site.signed_in_before("kim").await;
    let (page, _) = kim.follow("/fresh").await;
    let flow = kim.flow(&page).await;
    let mut lee = site.signed_in("lee").await;
    let id = page.split_once("flow=").unwrap().1;
    let read = lee.fetch(&format!("/self-service/login/flows?id={id}")).await;
    assert!(read.status.is_client_error(), "{read:?}");
    let stolen = lee.submit(&flow, &[("method", "password"), ("password", "lee-password")]).await;
    assert!(!lee.has(TOKEN), "{stolen:?}");
    assert_eq!(kim.whose("/fresh").await, STALE);
}
