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
use tower_step_up::{Aal, Method, RequireAal, RequireAal2, Requirement, aal::Proof, clock::Clock};

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
        (&plain, "DELETE", "/aal2", "https://bank.example/form?step=2", Some("https://bank.example/form?step=2")),
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
        // The level is missing, and nothing is said of an age.
        (&users.aal1, "/recent", "session_aal2_required", "\"second factor missing\", acr_values=\"aal2\""),
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
