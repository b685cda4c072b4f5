//! An application for browsers, whose sessions begin with a login at a provider: by what it says of them, and where refusals lead.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

use std::{collections::BTreeMap, time::Duration};

use axum::{Extension, Router, body::Body, routing::any};
use http::Request;
use tower::ServiceExt as _;
use tower_step_up::{
    Aal, CurrentSession, RequireAal, RequireAal2, Requirement, RouterExt as _, StepUp, Subject,
    clock::{Clock, Timestamp},
    error::BuildErrorKind,
};
use tower_step_up_oidc::{Login, RelyingParty};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

fn app() -> Router {
    let relying_party = RelyingParty::login_at("https://bank.example/login?theme=dark")
        .acr("phr", Aal::Aal2)
        .acr("urn:example:2fa", Aal::Aal2)
        .acr("urn:example:password", Aal::Aal1)
        .amr_level("mfa", Aal::Aal2);
    let guard = StepUp::guard("https://bank.example").source(relying_party).clock(Still).build().unwrap();
    let page = || any(async |user: CurrentSession| user.subject().to_string());
    let recent = Duration::from_secs(300);
    Router::new()
        .route("/aal1", page().layer(RequireAal::new(Requirement::aal1())))
        .route("/aal2", page().layer(RequireAal2))
        .route_requiring("/recent", Requirement::aal2().max_age(recent), page())
        .route_requiring("/aal1-recent", Requirement::aal1().max_age(recent), page())
        .route("/open", any(async || "open"))
        .layer(guard.layer())
}

/// The status, and the parameters with which the browser comes to the login.
async fn ask(app: Router, path: &str) -> (u16, BTreeMap<String, String>) {
    let request = Request::get(path).header("accept", "text/html").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let Some(location) = response.headers().get("location") else {
        return (response.status().as_u16(), BTreeMap::new());
    };
    let location = url::Url::parse(location.to_str().unwrap()).unwrap();
    assert_eq!(location.as_str().split('?').next(), Some("https://bank.example/login"));
    (response.status().as_u16(), location.query_pairs().into_owned().collect())
}

fn kim() -> Login {
    Login::of(Subject::new("kim").unwrap())
}

#[tokio::test]
async fn refusals_lead_to_the_login_with_what_it_has_to_ask_for() {
    let ago = |seconds: u64| NOW - Duration::from_secs(seconds);
    let two = || kim().acr("urn:example:2fa");
    let wanted = Some("phr urn:example:2fa");
    for (what, login, path, expected) in [
        ("nobody", None, "/aal1", Some((None, None))),
        ("nobody", None, "/recent", Some((None, None))),
        ("one factor", Some(kim().acr("urn:example:password")), "/aal1", None),
        ("one factor", Some(kim().acr("urn:example:password")), "/aal2", Some((wanted, None))),
        ("one factor", Some(kim().acr("urn:example:password")), "/recent", Some((wanted, Some("300")))),
        ("no acr", Some(kim()), "/aal1", None),
        ("no acr", Some(kim()), "/aal2", Some((wanted, None))),
        ("an unlisted acr", Some(kim().acr("3fa").amr("otp")), "/aal2", Some((wanted, None))),
        ("two factors", Some(two()), "/aal2", None),
        ("two factors by amr", Some(kim().amr("mfa")), "/aal2", None),
        ("no time", Some(two()), "/recent", Some((wanted, Some("300")))),
        ("just now", Some(two().auth_time(ago(300))), "/recent", None),
        ("an hour ago", Some(two().auth_time(ago(3600))), "/recent", Some((wanted, Some("300")))),
        (
            "an hour ago",
            Some(two().auth_time(ago(3600))),
            "/aal1-recent",
            Some((Some("urn:example:password"), Some("300"))),
        ),
        ("a clock that is ahead", Some(two().auth_time(NOW + Duration::from_secs(5))), "/recent", None),
        ("the future", Some(two().auth_time(NOW + Duration::from_secs(6))), "/recent", Some((wanted, Some("300")))),
        ("the future", Some(two().auth_time(NOW + Duration::from_secs(6))), "/aal2", None),
        ("it ends now", Some(two().auth_time(ago(1)).expires_at(NOW)), "/aal2", Some((None, None))),
    ] {
        let (status, parameters) = ask(app().layer(Extension(login)), path).await;
        let Some((acr_values, max_age)) = expected else {
            assert_eq!(status, 200, "{what} {path}");
            continue;
        };
        let mut all =
            BTreeMap::from([("theme", "dark".to_owned()), ("return_to", format!("https://bank.example{path}"))]);
        all.extend(acr_values.map(|acr_values| ("acr_values", acr_values.to_owned())));
        all.extend(max_age.map(|max_age| ("max_age", max_age.to_owned())));
        let all: BTreeMap<_, _> = all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!((status, parameters), (303, all), "{what} {path}");
    }
}

#[tokio::test]
async fn without_the_layer_that_says_who_is_signed_in_nobody_passes() {
    for path in ["/aal1", "/aal2", "/recent"] {
        assert_eq!(ask(app(), path).await.0, 500, "{path}");
        assert_eq!(ask(app().layer(Extension(kim().acr("phr"))), path).await.0, 500, "{path}: not an Option");
    }
    assert_eq!(ask(app(), "/open").await.0, 200);
}

#[test]
fn what_is_wrong_is_an_error_of_the_builder() {
    for bad in ["/login", "bank.example/login", "file:///login", "https://bank.example/login#top", ""] {
        let error = StepUp::guard("https://bank.example").source(RelyingParty::login_at(bad)).build().unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Source, "{bad}");
    }
    let named = RelyingParty::login_at("https://bank.example/login").acr("two factors", Aal::Aal2);
    assert!(StepUp::guard("https://bank.example").source(named).build().is_err());
}
