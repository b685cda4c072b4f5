//! What each kind of client sees of each refusal.

mod common;

use std::time::Duration;

use axum::{
    Router,
    body::HttpBody,
    http::{HeaderValue, header},
    response::Response,
    routing::{any, get},
};
use common::{Answer, BROWSER, Bank, User, query, request, send, split};
use serde_json::json;
use tower_step_up::{
    Aal, Aal2, Method, Refusals, RequireAal, RequireAal2, Requirement, RouterExt, SessionContext,
    aal::{CredentialId, Proof},
    clock::Clock,
    standing::CredentialSummary,
    store::{Completed, Completion, Credential, CredentialChange, SubjectStore},
};

const FIVE_MINUTES: Duration = Duration::from_secs(300);
const A_LITTLE_LATER: Duration = Duration::from_millis(300_001);
const JSON: (&str, &str) = ("accept", "application/json");
const LOGIN: &str = "https://bank.example/self-service/login/browser";
const SETTINGS: &str = "https://bank.example/self-service/settings/browser";

fn app(bank: &Bank) -> Router {
    Router::new()
        .route("/aal2", any(async || ()).layer(RequireAal2))
        .route("/recent", any(async || ()).layer(RequireAal2.max_age(FIVE_MINUTES)))
        .route(
            "/signed-in-recently",
            any(async || ()).layer(RequireAal::new(Requirement::aal1().max_age(FIVE_MINUTES))),
        )
        .layer(bank.step_up.layer())
}

/// One user for each way to fall short.
struct Users {
    without_factor: User,
    aal1: User,
    stale: User,
}

impl Users {
    async fn of(bank: &Bank) -> Self {
        let stale = bank.aal2("kim").await;
        bank.clock.advance(A_LITTLE_LATER);
        Self { without_factor: bank.without_factor("ann").await, aal1: bank.aal1("bob").await, stale }
    }
}

async fn ask(app: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let answer = send(app, request(method, path, headers)).await;
    answer.assert_private();
    answer
}

#[tokio::test]
async fn programs_get_orys_envelope() {
    let bank = Bank::new();
    let (app, users) = (app(&bank), Users::of(&bank).await);
    let get = async |user: Option<&User>, path: &str| {
        let cookie = user.map(User::cookie).unwrap_or_default();
        let answer = ask(&app, "GET", path, &[("cookie", &cookie), JSON]).await;
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
        assert_eq!(answer.header("ory-error-id").unwrap(), answer.error_id());
        assert_eq!(answer.json()["error"]["code"], answer.status.as_u16());
        answer
    };

    let answer = get(None, "/aal2").await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.json(),
        json!({"error": {"id": "session_inactive", "code": 401, "status": "Unauthorized",
            "reason": "Please sign in first.", "message": "no valid session"}})
    );
    assert_eq!(answer.header("www-authenticate").as_deref(), Some("Bearer"));

    let url = format!("{LOGIN}?aal=aal2&return_to=https%3A%2F%2Fbank.example%2Faal2%3Fx%3D1");
    let answer = get(Some(&users.aal1), "/aal2?x=1").await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.json(),
        json!({
            "error": {"id": "session_aal2_required", "code": 403, "status": "Forbidden",
                "reason": "Please confirm with your second factor.", "message": "second factor missing",
                "details": {"redirect_browser_to": &url}},
            "redirect_browser_to": &url,
        })
    );
    assert_eq!(answer.header("www-authenticate"), None);

    let url = format!("{SETTINGS}?return_to=https%3A%2F%2Fbank.example%2Faal2");
    let answer = get(Some(&users.without_factor), "/aal2").await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.json(),
        json!({
            "error": {"id": "session_aal2_required", "code": 403, "status": "Forbidden",
                "reason": "This needs a second factor, and you have none yet. Please set one up first.",
                "message": "no second factor enrolled",
                "details": {"redirect_browser_to": &url, "second_factor": "missing"}},
            "redirect_browser_to": &url,
        })
    );

    for (path, aal) in [("/recent", "aal=aal2&"), ("/signed-in-recently", "")] {
        let url = format!("{LOGIN}?{aal}refresh=true&return_to=https%3A%2F%2Fbank.example%2F{}", &path[1..]);
        let answer = get(Some(&users.stale), path).await;
        assert_eq!(answer.status, 403);
        assert_eq!(
            answer.json(),
            json!({
                "error": {"id": "session_refresh_required", "code": 403, "status": "Forbidden",
                    "reason": "Please confirm again that it is you. The last time was too long ago.",
                    "message": "proven too long ago", "details": {"redirect_browser_to": &url}},
                "redirect_browser_to": &url,
            })
        );
    }
}

#[tokio::test]
async fn two_factors_vouched_for_elsewhere_are_renewed_elsewhere() {
    let bank = Bank::new();
    let app = app(&bank);
    let user = bank.without_factor("ann").await;
    bank.prove(&user, Proof::new(Method::Oidc, Aal::Aal2, bank.clock.now())).await;
    let get = async || ask(&app, "GET", "/recent", &[("cookie", &user.cookie()), JSON]).await;
    assert_eq!(send(&app, request("GET", "/recent", &[("cookie", &user.cookie())])).await.status, 200);
    bank.clock.advance(A_LITTLE_LATER);
    let (_, parameters) = split(get().await.json()["redirect_browser_to"].as_str().unwrap());
    assert_eq!(parameters, query(&[("refresh", "true"), ("return_to", "https://bank.example/recent")]));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_all_that_a_client_learns() {
    let bank = Bank::new();
    let (app, user) = (app(&bank), bank.aal2("kim").await);
    bank.store.is_down();
    for accept in ["application/json", BROWSER] {
        let answer = ask(&app, "GET", "/aal2", &[("cookie", &user.cookie()), ("accept", accept)]).await;
        assert_eq!(answer.status, 503);
        assert_eq!(
            answer.json(),
            json!({"error": {"code": 503, "status": "Service Unavailable", "message": "service unavailable",
                "reason": "The service is not available right now. Please try again in a moment."}})
        );
        assert_eq!(answer.header("ory-error-id").as_deref(), Some(""));
    }
}

#[tokio::test]
async fn browsers_are_sent_where_something_can_be_done_about_it() {
    let bank = Bank::new();
    let (app, users) = (app(&bank), Users::of(&bank).await);
    for (user, path, page, aal) in [
        (None, "/aal2", "https://bank.example/login", &[][..]),
        (Some(&users.aal1), "/aal2", LOGIN, &[("aal", "aal2")]),
        (Some(&users.without_factor), "/aal2", SETTINGS, &[]),
        (Some(&users.stale), "/recent", LOGIN, &[("aal", "aal2"), ("refresh", "true")]),
        (Some(&users.stale), "/signed-in-recently", LOGIN, &[("refresh", "true")]),
    ] {
        let cookie = user.map(User::cookie).unwrap_or_default();
        for accept in [BROWSER, "*/*", ""] {
            let answer = ask(&app, "GET", path, &[("cookie", &cookie), ("accept", accept)]).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (303, 0), "{path}");
            let own = format!("https://bank.example{path}");
            let expected = [aal, &[("return_to", own.as_str())]].concat();
            assert_eq!(answer.location(), (page.to_owned(), query(&expected)));
            assert_eq!(answer.header("content-type"), None);
        }
    }
}

#[tokio::test]
async fn a_browser_comes_back_to_a_page_that_can_be_asked_for() {
    let default = "https://bank.example/";
    let plain = Bank::new();
    let configured = Bank::with(|builder| builder.after_unsafe_url("/payments"));
    let narrow =
        Bank::with(|builder| builder.allowed_return_url("https://bank.example/app").default_return_url("/app"));
    for (bank, method, path, referer, expected) in [
        (&plain, "GET", "/aal2?a=b&c=%2F", "", Some("https://bank.example/aal2?a=b&c=%2F")),
        (&plain, "HEAD", "/aal2", "", Some("https://bank.example/aal2")),
        // Even if the request names another host, as HTTP/2 and proxies do.
        (&plain, "GET", "http://evil.example/aal2", "", Some("https://bank.example/aal2")),
        (&narrow, "GET", "/aal2", "", None),
        (&plain, "POST", "/aal2", "", Some(default)),
        (&plain, "POST", "/aal2", "https://bank.example/form?step=2", Some("https://bank.example/form?step=2")),
        (&plain, "POST", "/aal2", "https://evil.example/form", Some(default)),
        (&plain, "POST", "/aal2", "/form", Some(default)),
        (&plain, "POST", "/aal2", "https://bank.example@evil.example/", Some(default)),
        (&narrow, "POST", "/aal2", "https://bank.example/form", Some("https://bank.example/app")),
        (&configured, "POST", "/aal2", "https://bank.example/form", Some("https://bank.example/payments")),
        (&configured, "GET", "/aal2", "https://bank.example/form", Some("https://bank.example/aal2")),
    ] {
        let (app, user) = (app(bank), bank.aal1("bob").await);
        let headers = [("cookie", user.cookie()), ("referer", referer.to_owned())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = ask(&app, method, path, &headers).await;
        assert_eq!(answer.status, 303);
        let expected: Vec<_> = [("aal", "aal2")].into_iter().chain(expected.map(|url| ("return_to", url))).collect();
        assert_eq!(answer.location(), (LOGIN.to_owned(), query(&expected)), "{method} {path} from {referer}");
    }
}

/// What browsers send with requests that no user sees the answer of: name, headers.
const IN_THE_BACKGROUND: [(&str, &[(&str, &str)]); 9] = [
    ("fetch", &[("accept", "*/*"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]),
    ("fetch of a page", &[("accept", BROWSER), ("sec-fetch-mode", "same-origin"), ("sec-fetch-dest", "empty")]),
    ("fetch of another program", &[("accept", "*/*"), ("sec-fetch-mode", "cors")]),
    ("event source", &[("accept", "text/event-stream"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]),
    ("image", &[("accept", "image/avif,*/*;q=0.8"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]),
    ("web socket", &[("upgrade", "websocket"), ("sec-fetch-mode", "websocket"), ("sec-fetch-dest", "websocket")]),
    ("XMLHttpRequest of an old browser", &[("accept", "*/*"), ("x-requested-with", "XMLHttpRequest")]),
    ("event source of an old browser", &[("accept", "text/event-stream")]),
    ("web socket of an old browser", &[("upgrade", "websocket"), ("connection", "Upgrade")]),
];

const NAVIGATION: [(&str, &str); 3] =
    [("accept", BROWSER), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];

#[tokio::test]
async fn only_a_navigation_is_redirected() {
    let bank = Bank::new();
    let (app, users) = (app(&bank), Users::of(&bank).await);
    let cookie = users.aal1.cookie();
    for (cookie, status, id) in [(cookie.as_str(), 403, "session_aal2_required"), ("", 401, "session_inactive")] {
        let json_api = ("JSON:API", &[("accept", "application/vnd.api+json")][..]);
        for (name, headers) in IN_THE_BACKGROUND.into_iter().chain([json_api]) {
            let answer = ask(&app, "GET", "/aal2", &[&[("cookie", cookie)], headers].concat()).await;
            assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (status, id), "{name}");
            assert_eq!(answer.header("location"), None, "{name}");
        }
        // No link and no form sends these methods.
        for method in ["PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = ask(&app, method, "/aal2", &[("cookie", cookie), ("accept", BROWSER)]).await;
            assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (status, id), "{method}");
        }
        for (mode, dest) in [("navigate", "document"), ("navigate", "iframe"), ("navigate", "object")] {
            for method in ["GET", "POST"] {
                // Whatever it accepts.
                for accept in [BROWSER, "*/*", "application/json"] {
                    let headers =
                        [("cookie", cookie), ("accept", accept), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
                    assert_eq!(ask(&app, method, "/aal2", &headers).await.status, 303, "{method} {dest} {accept}");
                }
            }
        }
        // A web view of Android names its application.
        let headers = [("cookie", cookie), ("accept", BROWSER), ("x-requested-with", "com.example.app")];
        assert_eq!(ask(&app, "GET", "/aal2", &headers).await.status, 303);
    }
}

#[tokio::test]
async fn a_prefetch_is_refused_without_a_redirect() {
    let bank = Bank::new();
    let (app, users) = (app(&bank), Users::of(&bank).await);
    for purpose in [("sec-purpose", "prefetch"), ("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")] {
        for cookie in [users.aal1.cookie(), String::new()] {
            let headers = [&NAVIGATION[..], &[("cookie", cookie.as_str()), purpose]].concat();
            let answer = ask(&app, "GET", "/aal2", &headers).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (503, None));
            assert_eq!(answer.header("ory-error-id").as_deref(), Some(""));
        }
        // What may be seen may be fetched in advance.
        let user = bank.aal2("lee").await;
        let cookie = user.cookie();
        let headers = [&NAVIGATION[..], &[("cookie", cookie.as_str()), purpose]].concat();
        assert_eq!(ask(&app, "GET", "/aal2", &headers).await.status, 200);
    }
}

#[tokio::test]
async fn what_a_page_asks_for_comes_back_to_the_page() {
    let bank = Bank::new();
    let (app, users) = (app(&bank), Users::of(&bank).await);
    let page = "https://bank.example/accounts?tab=2";
    let own = "https://bank.example/aal2";
    let default = "https://bank.example/";
    let fetch = IN_THE_BACKGROUND[0].1;
    let xhr = IN_THE_BACKGROUND[6].1;
    for (headers, referer, expected) in [
        (fetch, page, page),
        (xhr, page, page),
        (&[JSON][..], page, page),
        // Never to another origin, and not to what only a script can read.
        (fetch, "https://evil.example/accounts", default),
        (fetch, "https://bank.example.evil.example/", default),
        (fetch, "", default),
        (xhr, "", default),
        // A program that is no browser asks for the address itself.
        (&[JSON], "", own),
        (IN_THE_BACKGROUND[2].1, "", own),
        (&[JSON], "https://evil.example/", own),
        (&NAVIGATION, page, own),
    ] {
        let cookie = users.aal1.cookie();
        let headers = [&[("cookie", cookie.as_str()), ("referer", referer)], headers].concat();
        let answer = ask(&app, "GET", "/aal2", &headers).await;
        let url = answer.header("location").unwrap_or_else(|| answer.json()["redirect_browser_to"].to_string());
        let (_, parameters) = split(url.trim_matches('"'));
        assert_eq!(parameters, query(&[("aal", "aal2"), ("return_to", expected)]), "{referer} {headers:?}");
    }
}

/// Layers, routes, extractors and handlers of a part that says "JSON here", and nothing beside it.
#[tokio::test]
async fn a_part_of_the_application_answers_in_json_only() {
    let bank = Bank::new();
    let users = Users::of(&bank).await;
    let routes = || {
        Router::new()
            .route("/layer", any(async || ()).layer(RequireAal2))
            .route_requiring("/route", Requirement::aal2(), any(async || ()))
            .route("/extractor", any(async |_: Aal2| ()))
            .route(
                "/handler",
                any(async |context: SessionContext| {
                    let _ = context.decide(&Requirement::aal2()).await;
                    context.challenge(Requirement::aal2())
                }),
            )
    };
    let pages = || routes().layer(Refusals::ByClient);
    let api = routes().nest("/pages", pages()).layer(Refusals::Json);
    let inside = Router::new().merge(pages()).nest("/api", api.clone()).layer(bank.step_up.layer());
    let outside = Router::new()
        .merge(pages().layer(bank.step_up.layer()))
        .nest("/api", routes().layer(bank.step_up.layer()).layer(Refusals::Json));
    let whole = Router::new().nest("/api", api).layer(bank.step_up.layer()).layer(Refusals::Json);
    for (app, prefix, json) in [
        (&inside, "/api", true),
        (&inside, "", false),
        (&inside, "/api/pages", false),
        (&outside, "/api", true),
        (&outside, "", false),
        (&whole, "/api", true),
        (&whole, "/api/pages", false),
    ] {
        for guard in ["layer", "route", "extractor", "handler"] {
            let cookie = users.aal1.cookie();
            let headers = [&NAVIGATION[..], &[("cookie", cookie.as_str())]].concat();
            let answer = ask(app, "GET", &format!("{prefix}/{guard}"), &headers).await;
            let expected = if json { 403 } else { 303 };
            assert_eq!(answer.status, expected, "{prefix}/{guard}");
            if json {
                assert_eq!(answer.error_id(), "session_aal2_required");
            }
        }
    }
}

#[tokio::test]
async fn a_page_under_another_default_is_still_found_on_the_public_origin() {
    let bank = Bank::with(|builder| {
        builder
            .default_return_url("https://www.bank.example/home")
            .allowed_return_url("https://www.bank.example")
            .allowed_return_url("https://bank.example")
    });
    let (app, user) = (app(&bank), bank.aal1("bob").await);
    let answer = ask(&app, "GET", "/aal2", &[("cookie", &user.cookie())]).await;
    assert_eq!(answer.location().1, query(&[("aal", "aal2"), ("return_to", "https://bank.example/aal2")]));
}

#[tokio::test]
async fn htmx_is_told_by_a_header_and_comes_back_to_the_page_that_the_user_sees() {
    let bank = Bank::new();
    let (app, users) = (app(&bank), Users::of(&bank).await);
    let shown = "https://bank.example/accounts#today";
    for (method, headers, return_to) in [
        ("GET", &[("hx-current-url", shown)][..], shown),
        ("POST", &[("hx-current-url", shown), ("referer", "https://bank.example/other")], shown),
        ("GET", &[("hx-current-url", "https://evil.example/")], "https://bank.example/"),
        ("GET", &[], "https://bank.example/"),
        ("GET", &[("referer", "https://bank.example/accounts")], "https://bank.example/accounts"),
        ("GET", &[("hx-boosted", "true"), ("hx-current-url", shown)], "https://bank.example/aal2"),
        ("POST", &[("hx-boosted", "true"), ("hx-current-url", shown)], shown),
    ] {
        let cookie = users.aal1.cookie();
        let headers = [&[("cookie", cookie.as_str()), ("hx-request", "true"), ("accept", "*/*")], headers].concat();
        let answer = ask(&app, method, "/aal2", &headers).await;
        assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (403, "session_aal2_required"));
        assert_eq!(answer.header("location"), None);
        let url = answer.header("hx-redirect").unwrap();
        assert_eq!(split(&url), (LOGIN.to_owned(), query(&[("aal", "aal2"), ("return_to", return_to)])));
        assert_eq!(answer.json()["redirect_browser_to"], url);
    }

    let answer = ask(&app, "GET", "/aal2", &[("hx-request", "true"), ("hx-current-url", shown)]).await;
    assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (401, "session_inactive"));
    let url = answer.header("hx-redirect").unwrap();
    assert_eq!(split(&url), ("https://bank.example/login".to_owned(), query(&[("return_to", shown)])));
}

#[tokio::test]
async fn bearer_clients_get_the_challenge_of_rfc_9470() {
    let bank = Bank::new();
    let (app, users) = (app(&bank), Users::of(&bank).await);
    let insufficient = "Bearer error=\"insufficient_user_authentication\", error_description=";
    for (user, path, id, challenge) in [
        (&users.aal1, "/aal2", "session_aal2_required", "\"second factor missing\", acr_values=\"aal2\""),
        (&users.without_factor, "/aal2", "session_aal2_required", "\"no second factor enrolled\", acr_values=\"aal2\""),
        // So that one login is enough for both.
        (
            &users.aal1,
            "/recent",
            "session_aal2_required",
            "\"second factor missing\", acr_values=\"aal2\", max_age=\"300\"",
        ),
        (
            &users.without_factor,
            "/recent",
            "session_aal2_required",
            "\"no second factor enrolled\", acr_values=\"aal2\", max_age=\"300\"",
        ),
        (
            &users.stale,
            "/recent",
            "session_refresh_required",
            "\"proven too long ago\", acr_values=\"aal2\", max_age=\"300\"",
        ),
        (
            &users.stale,
            "/signed-in-recently",
            "session_refresh_required",
            "\"proven too long ago\", acr_values=\"aal1\", max_age=\"300\"",
        ),
    ] {
        // Whatever they accept: a client that sends a token in a header of its own is no browser.
        for accept in ["application/json", "*/*", BROWSER] {
            let answer = ask(&app, "GET", path, &[("authorization", &user.bearer()), ("accept", accept)]).await;
            assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (401, id), "{path}");
            assert_eq!(answer.json()["error"]["code"], 401);
            assert_eq!(answer.header("www-authenticate"), Some(format!("{insufficient}{challenge}")));
        }
    }
    let answer = ask(&app, "GET", "/aal2", &[("authorization", "Bearer nonsense")]).await;
    assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (401, "session_inactive"));
    assert_eq!(answer.header("www-authenticate").as_deref(), Some("Bearer error=\"invalid_token\""));
    let answer = ask(&app, "GET", "/aal2", &[("x-session-token", users.aal1.token())]).await;
    assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (403, None));
}

#[tokio::test]
async fn levels_have_the_names_that_the_authorization_server_knows() {
    let insufficient = "Bearer error=\"insufficient_user_authentication\", error_description=";
    let too_low = format!("{insufficient}\"second factor missing\"");
    let too_old = format!("{insufficient}\"proven too long ago\"");
    let default = Bank::new();
    let named = Bank::with(|builder| {
        let replaced = builder.acr_values(Aal::Aal2, ["replaced"]);
        replaced.acr_values(Aal::Aal2, ["phr", "urn:bank:2fa"]).acr_values(Aal::Aal1, ["urn:bank:1"])
    });
    let nameless = Bank::with(|builder| builder.acr_values(Aal::Aal2, [""; 0]));
    for (bank, aal1, aal2) in [
        (&default, ", acr_values=\"aal1\"", ", acr_values=\"aal2\""),
        (&named, ", acr_values=\"urn:bank:1\"", ", acr_values=\"phr urn:bank:2fa\""),
        (&nameless, ", acr_values=\"aal1\"", ""),
    ] {
        let app = app(bank).merge(bank.step_up.router().layer(bank.step_up.layer()));
        let users = Users::of(bank).await;
        for (user, path, expected) in [
            (&users.aal1, "/aal2", format!("{too_low}{aal2}")),
            (&users.aal1, "/recent", format!("{too_low}{aal2}, max_age=\"300\"")),
            (&users.stale, "/recent", format!("{too_old}{aal2}, max_age=\"300\"")),
            (&users.stale, "/signed-in-recently", format!("{too_old}{aal1}, max_age=\"300\"")),
            (&users.aal1, "/sessions/whoami", format!("{too_low}{aal2}")),
        ] {
            let answer = ask(&app, "GET", path, &[("authorization", &user.bearer())]).await;
            assert_eq!(answer.header("www-authenticate"), Some(expected), "{path}");
        }
        // Nobody learns them, or an age, without a valid token.
        for credential in [("authorization", "Bearer nonsense"), ("cookie", "")] {
            let challenge = ask(&app, "GET", "/recent", &[credential, JSON]).await.header("www-authenticate").unwrap();
            assert!(!challenge.contains("acr") && !challenge.contains("max_age"), "{challenge}");
        }
    }
}

#[tokio::test]
async fn our_own_endpoints_keep_403_and_add_the_challenge() {
    let bank = Bank::new();
    let app = Router::new().merge(bank.step_up.router()).layer(bank.step_up.layer());
    let user = bank.aal1("bob").await;
    let answer = ask(&app, "GET", "/sessions/whoami", &[("authorization", &user.bearer())]).await;
    assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (403, "session_aal2_required"));
    assert_eq!(answer.json()["redirect_browser_to"], format!("{LOGIN}?aal=aal2"));
    assert!(answer.header("www-authenticate").unwrap().contains("acr_values=\"aal2\""));
    let answer = ask(&app, "GET", "/sessions/whoami", &[("cookie", &user.cookie())]).await;
    assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (403, None));
}

#[tokio::test]
async fn head_has_the_status_and_headers_of_get_and_no_body() {
    let bank = Bank::new();
    let (app, users) = (app(&bank), Users::of(&bank).await);
    for accept in ["application/json", BROWSER] {
        for cookie in [users.aal1.cookie(), String::new()] {
            let headers = [("cookie", cookie.as_str()), ("accept", accept)];
            let (get, head) = (ask(&app, "GET", "/aal2", &headers).await, ask(&app, "HEAD", "/aal2", &headers).await);
            assert_eq!((head.status, head.headers, head.body.len()), (get.status, get.headers, 0));
        }
    }
}

#[tokio::test]
async fn problem_details_and_the_request_id_are_given_to_who_asks() {
    let bank = Bank::new();
    let (app, user) = (app(&bank), bank.aal1("bob").await);
    let headers =
        [("cookie", user.cookie()), ("accept", "application/problem+json".into()), ("x-request-id", "req-7f3".into())];
    let headers: Vec<_> = headers.iter().map(|(name, value): &(_, String)| (*name, value.as_str())).collect();
    let answer = ask(&app, "GET", "/aal2", &headers).await;
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
    let body = answer.json();
    assert_eq!(
        (&body["title"], &body["status"], &body["error"]["request"]),
        (&json!("Forbidden"), &json!(403), &json!("req-7f3"))
    );
}

#[tokio::test]
async fn what_layers_in_between_added_stays_and_what_described_the_empty_body_goes() {
    let bank = Bank::new();
    let between = tower::util::MapResponseLayer::new(|mut response: Response| {
        // What it sees is a refusal already, if an empty one.
        assert_eq!((response.status().as_u16(), response.body().size_hint().exact()), (401, Some(0)));
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://app.example"));
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        headers.insert(header::ETAG, HeaderValue::from_static("\"empty\""));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
        response
    });
    let app = Router::new().route("/", get(async || ()).layer((between, RequireAal2))).layer(bank.step_up.layer());
    let answer = send(&app, request("GET", "/", &[JSON])).await;
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://app.example"));
    assert_eq!(answer.header("vary"), Some(format!("Origin, {}", common::VARY)));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string()));
    assert_eq!(answer.header("etag"), None);
    assert_eq!(answer.header("cache-control").as_deref(), Some(common::NO_STORE));
    assert_eq!(answer.error_id(), "session_inactive");
}

const KEY: Requirement = Requirement::aal2().phishing_resistant();
const KEYS: &str = "passkey%2Cwebauthn";

/// Routes that name methods.
fn app_of_methods(bank: &Bank) -> Router {
    Router::new()
        .route("/key", any(async || ()).layer(RequireAal2.phishing_resistant()))
        .route("/recent-key", any(async || ()).layer(RequireAal::new(KEY.max_age(FIVE_MINUTES))))
        .route("/code-or-key", any(async || ()).layer(RequireAal2.any_of([Method::LookupSecret, Method::WebAuthn])))
        .route("/password", any(async || ()).layer(RequireAal::new(Requirement::aal1().any_of([Method::Passkey]))))
        .layer(bank.step_up.layer())
}

/// Gives the user a key beside what they have.
async fn add_key(bank: &Bank, user: &User) -> CredentialId {
    let summary = CredentialSummary { id: CredentialId::random(), method: Method::WebAuthn, aal: Aal::Aal2 };
    let mut completion = Completion::new(user.subject(), bank.clock.now());
    completion.credentials.push(CredentialChange::Add(Credential::new(summary, bank.clock.now())));
    assert!(matches!(bank.store.complete(&completion).await, Ok(Completed::Done)));
    bank.step_up.forget(&user.subject());
    summary.id
}

fn key_proven(bank: &Bank, id: CredentialId) -> Proof {
    Proof::new(Method::WebAuthn, Aal::Aal2, bank.clock.now()).with_credential(id)
}

#[tokio::test]
async fn refusals_name_the_methods_that_would_do() {
    let bank = Bank::new();
    let app = app_of_methods(&bank);
    let stale = bank.aal2("lee").await;
    let key = add_key(&bank, &stale).await;
    bank.prove(&stale, key_proven(&bank, key)).await;
    bank.clock.advance(A_LITTLE_LATER);
    let (without_factor, code_only) = (bank.without_factor("ann").await, bank.aal2("kim").await);
    let (low, low_without_key, other) = (bank.aal1("bob").await, bank.aal1("sam").await, bank.aal2("ada").await);
    add_key(&bank, &low).await;
    add_key(&bank, &other).await;
    let method_missing = ("session_refresh_required", "required method missing");
    let not_enrolled = ("session_refresh_required", "no required method enrolled");
    let keys = &["passkey", "webauthn"][..];
    let returning = |path: &str| format!("return_to=https%3A%2F%2Fbank.example%2F{path}");
    let behind = format!(
        "{LOGIN}?aal=aal2&refresh=true&return_to={}",
        "https%3A%2F%2Fbank.example%2Fself-service%2Fsettings%2Fbrowser%3Freturn_to%3Dhttps%253A%252F%252Fbank.example%252Fkey"
    );
    for (user, path, (id, message), methods, url, second_factor) in [
        (
            &low,
            "key",
            ("session_aal2_required", "second factor missing"),
            keys,
            format!("{LOGIN}?aal=aal2&methods={KEYS}&{}", returning("key")),
            None,
        ),
        (
            &other,
            "key",
            method_missing,
            keys,
            format!("{LOGIN}?aal=aal2&methods={KEYS}&refresh=true&{}", returning("key")),
            None,
        ),
        (
            &other,
            "code-or-key",
            method_missing,
            &["lookup_secret", "webauthn"],
            format!("{LOGIN}?aal=aal2&methods=lookup_secret%2Cwebauthn&refresh=true&{}", returning("code-or-key")),
            None,
        ),
        (
            &stale,
            "recent-key",
            ("session_refresh_required", "proven too long ago"),
            keys,
            format!("{LOGIN}?aal=aal2&methods={KEYS}&refresh=true&{}", returning("recent-key")),
            None,
        ),
        (&code_only, "key", not_enrolled, keys, format!("{SETTINGS}?{}", returning("key")), Some("missing")),
        (&low_without_key, "key", not_enrolled, keys, behind, Some("missing")),
        (
            &without_factor,
            "key",
            ("session_aal2_required", "no second factor enrolled"),
            keys,
            format!("{SETTINGS}?{}", returning("key")),
            Some("missing"),
        ),
        (
            &without_factor,
            "password",
            method_missing,
            &["passkey"],
            format!("{LOGIN}?methods=passkey&refresh=true&{}", returning("password")),
            None,
        ),
    ] {
        let answer = ask(&app, "GET", &format!("/{path}"), &[("cookie", &user.cookie()), JSON]).await;
        let told = answer.json();
        assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (403, id), "{path} {told}");
        assert_eq!(told["error"]["message"], message, "{path}");
        let mut details = json!({ "methods": methods, "redirect_browser_to": url });
        if let Some(second_factor) = second_factor {
            details["second_factor"] = second_factor.into();
        }
        assert_eq!((&told["error"]["details"], &told["redirect_browser_to"]), (&details, &json!(url)), "{path}");
        let answer = ask(&app, "GET", &format!("/{path}"), &[("cookie", &user.cookie()), ("accept", BROWSER)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some(url)), "{path}");
    }
    // Where the requirement names none, the answer says nothing of methods.
    let answer = send(&self::app(&bank), request("GET", "/aal2", &[("cookie", &low.cookie()), JSON])).await;
    assert_eq!(answer.json()["error"]["details"].get("methods"), None);
    // Nor does a stranger learn of them.
    let answer = ask(&app, "GET", "/key", &[JSON]).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"].get("details")), (401, None));
}

#[tokio::test]
async fn what_resists_phishing_has_an_acr_of_its_own() {
    let default = Bank::new();
    let named = Bank::with(|builder| builder.phishing_resistant_acr_values(["urn:bank:key", "phr"]));
    let nameless = Bank::with(|builder| builder.phishing_resistant_acr_values([""; 0]));
    for (bank, acr) in [(&default, "phr phrh"), (&named, "urn:bank:key phr"), (&nameless, "aal2")] {
        let (app, user) = (app_of_methods(bank), bank.aal2("kim").await);
        add_key(bank, &user).await;
        for (path, acr, max_age) in
            [("/key", acr, ""), ("/recent-key", acr, ", max_age=\"300\""), ("/code-or-key", "aal2", "")]
        {
            let answer = ask(&app, "GET", path, &[("authorization", &user.bearer()), JSON]).await;
            let expected = format!(
                "Bearer error=\"insufficient_user_authentication\", error_description=\"not proven by a required method\", \
                 acr_values=\"{acr}\"{max_age}"
            );
            assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, Some(expected)), "{path}");
        }
    }
    let refused = tower_step_up::StepUp::builder("https://bank.example").phishing_resistant_acr_values(["a b"]).build();
    assert!(refused.is_err());
}

#[tokio::test]
async fn who_asks_for_what_nobody_has_is_told_once() {
    let (log, _guard) = common::log::Log::begin();
    let bank = Bank::new();
    // Of its own: a route is told once, whichever test asks for it.
    let app = Router::new()
        .route("/told-nobody", any(async || ()).layer(RequireAal::new(KEY.any_of([Method::Totp]))))
        .route("/told-key", any(async || ()).layer(RequireAal2.phishing_resistant()))
        .route("/told-codes", any(async || ()).layer(RequireAal2.any_of([Method::LookupSecret, Method::Code])))
        .route("/told-passkey", any(async || ()).layer(RequireAal::new(Requirement::aal1().any_of([Method::Passkey]))))
        .route("/told-saml", any(async || ()).layer(RequireAal2.any_of([Method::Saml, Method::WebAuthn])))
        .layer(bank.step_up.layer());
    let user = bank.aal2("kim").await;
    log.take();
    for path in ["/told-nobody", "/told-key", "/told-nobody", "/told-key", "/told-codes", "/told-passkey", "/told-saml"]
    {
        for credential in [("cookie", user.cookie()), ("authorization", user.bearer())] {
            let answer = ask(&app, "GET", path, &[(credential.0, &credential.1), JSON]).await;
            if path == "/told-nobody" {
                assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (403, ""), "{answer:?}");
                assert_eq!((answer.header("www-authenticate"), answer.json().get("redirect_browser_to")), (None, None));
            }
        }
    }
    let lines: Vec<_> = log.take().into_iter().filter(|line| line.starts_with("tower_step_up::guard")).collect();
    let of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(of("methods that exclude each other"), 1, "{lines:#?}");
    assert_eq!(of("of which none is configured"), 2, "each route once: {lines:#?}");
    assert_eq!(lines.len(), 3, "{lines:#?}");
}
