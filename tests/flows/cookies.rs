//! Prefix, domain and lifetime of the cookies.

use axum::http::{HeaderMap, StatusCode, header};
use cookie::{Cookie, SameSite};
use tower_step_up::{StepUpBuilder, session::CookiePrefix};

use crate::site::{Answer, Site};

type Configure = fn(StepUpBuilder) -> StepUpBuilder;

const SECURE: Configure = |builder| builder.cookie_prefix(CookiePrefix::Secure).cookie_domain("bank.example");

/// How cookies can be configured: the prefix of all names, and the domain.
const WAYS: [(Configure, &str, Option<&str>); 5] = [
    (|builder| builder, "__Host-", None),
    (|builder| builder.cookie_prefix(CookiePrefix::Secure), "__Secure-", None),
    (SECURE, "__Secure-", Some("bank.example")),
    (|builder| builder.cookie_prefix(CookiePrefix::None), "", None),
    (|builder| builder.cookie_prefix(CookiePrefix::None).cookie_domain(".BANK.example"), "", Some("bank.example")),
];

fn set_cookies(headers: &HeaderMap) -> Vec<Cookie<'static>> {
    let values = headers.get_all(header::SET_COOKIE).iter();
    values.map(|value| Cookie::parse(value.to_str().unwrap().to_owned()).unwrap()).collect()
}

/// From sign-in over the step-up to the logout, every cookie has the same attributes, and a deletion has them too: otherwise browsers
/// would not take it for the same cookie.
#[tokio::test]
async fn every_cookie_has_the_configured_prefix_and_domain() {
    for (configure, prefix, domain) in WAYS {
        let site = Site::with(configure);
        site.enrol("kim").await;
        let mut kim = site.browser("kim").await;
        let mut answers: Vec<Answer> = vec![kim.get("/self-service/login/browser?aal=aal2").await];
        let stepped_up = kim.step_up(&site.code()).await;
        assert_eq!(stepped_up.status, StatusCode::SEE_OTHER, "{prefix}: the CSRF cookie was found: {stepped_up:?}");
        answers.push(stepped_up);
        assert_eq!(kim.get("/payments").await.text, "payments", "{prefix}");
        let logout = kim.get("/self-service/logout/browser").await.json();
        answers.push(kim.get(logout["logout_url"].as_str().unwrap()).await);

        let mut cookies: Vec<_> = answers.iter().flat_map(|answer| set_cookies(&answer.headers)).collect();
        let removal = site.step_up.removal_cookie().unwrap();
        cookies.push(Cookie::parse(removal.to_str().unwrap().to_owned()).unwrap());
        assert_eq!(cookies.iter().filter(|cookie| cookie.value().is_empty()).count(), 2, "{prefix}: deletions");
        for cookie in &cookies {
            let name = cookie.name().strip_prefix(prefix).unwrap();
            assert!(name == "step_up_session" || name.starts_with("csrf_token_"), "{cookie}");
            assert_eq!(cookie.domain(), domain, "{cookie}");
            assert_eq!(
                (cookie.secure(), cookie.http_only(), cookie.path()),
                (Some(true), Some(true), Some("/")),
                "{cookie}"
            );
            assert_eq!(cookie.same_site(), Some(SameSite::Lax), "{cookie}");
        }
        assert!(kim.cookies.keys().all(|name| !name.contains("session")), "signed out: {:?}", kim.cookies);
    }
}

/// What a sibling host tosses is not read under another name, and does not decide under the same one.
#[tokio::test]
async fn a_tossed_cookie_never_signs_anybody_in_beside_the_real_one() {
    for (configure, prefix, _) in WAYS {
        let site = Site::with(configure);
        site.enrol("thief").await;
        let mut thief = site.native("thief").await;
        thief.step_up(&site.code()).await;
        let thief = thief.token.unwrap();
        let name = format!("{prefix}step_up_session");
        for other in ["step_up_session", "__Secure-step_up_session", "__Host-step_up_session", "__host-step_up_session"]
        {
            let mut kim = site.spa("kim").await;
            assert_eq!(kim.get("/account").await.text, "kim");
            kim.cookies.remove(&name);
            kim.cookies.insert(other.to_owned(), thief.clone());
            let tossed = kim.get("/account").await;
            if other == name {
                // This is the danger that the documentation names: without a cookie of their own, users take a tossed one.
                assert_eq!(tossed.text, "thief");
            } else {
                assert_eq!(tossed.status, StatusCode::UNAUTHORIZED, "{prefix}: {other}");
            }
        }
        let kim = site.spa("kim").await;
        let own = kim.cookies[&name].clone();
        for both in [format!("{name}={own}; {name}={thief}"), format!("{name}={thief}; {name}={own}")] {
            let mut victim = kim.clone();
            victim.cookies.clear();
            let request = victim.request(axum::http::Method::GET, "/account").header(header::COOKIE, both);
            let answer = victim.send(request.body(axum::body::Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{prefix}: two cookies count as none");
        }
    }
}

/// A browser that got cookies before the domain was configured would send both; the names differ.
#[tokio::test]
async fn a_domain_changes_the_name_of_the_csrf_cookie() {
    let name = async |configure: Configure| {
        let site = Site::with(configure);
        site.enrol("kim").await;
        let mut kim = site.browser("kim").await;
        kim.get("/self-service/login/browser?aal=aal2").await;
        kim.cookies.keys().find(|name| name.contains("csrf")).unwrap().clone()
    };
    let without = name(|builder| builder.cookie_prefix(CookiePrefix::Secure)).await;
    assert_ne!(without, name(SECURE).await);
}

#[tokio::test]
async fn a_session_cookie_may_end_with_the_browser() {
    let ways: [(Configure, bool); 2] = [(|builder| builder, true), (|builder| builder.cookie_persistent(false), false)];
    for (configure, persistent) in ways {
        let site = Site::with(configure);
        site.enrol("kim").await;
        let mut kim = site.browser("kim").await;
        let answer = kim.step_up(&site.code()).await;
        let session =
            set_cookies(&answer.headers).into_iter().find(|cookie| cookie.name().contains("session")).unwrap();
        assert_eq!(session.max_age().is_some(), persistent);
        assert_eq!(kim.get("/payments").await.text, "payments");
        let removal = site.step_up.removal_cookie().unwrap();
        assert!(removal.to_str().unwrap().contains("Max-Age=0"), "a deletion always says so");
    }
}

#[tokio::test]
async fn a_name_gets_the_prefix_of_the_site() {
    let ways: [(Configure, &str); 4] = [
        (|builder| builder.cookie_name("bank"), "__Host-bank"),
        (|builder| builder.cookie_name("__Host-bank"), "__Host-bank"),
        (|builder| builder.cookie_name("bank").cookie_prefix(CookiePrefix::Secure), "__Secure-bank"),
        (|builder| builder.cookie_name("bank").cookie_prefix(CookiePrefix::None), "bank"),
    ];
    for (configure, name) in ways {
        let site = Site::with(configure);
        let kim = site.browser("kim").await;
        assert_eq!(kim.cookies.keys().collect::<Vec<_>>(), [name]);
    }
}
