//! A configuration file that a Kratos reads, as it is: what has a meaning is taken over, and the rest is named.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that fails panics"
)]

#[path = "../common/log.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with tests that use all of it")]
mod log;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use tower::ServiceExt;
use tower_step_up::{
    Config, Method, RouterExt, StepUp, StepUpBuilder, Subject,
    directory::{Directory, DirectoryFuture, Identity},
    error::BuildErrorKind,
    store::MemoryStore,
};

const PUBLIC: &str = "https://id.bank.example/auth";
const APP: &str = "https://app.bank.example";

/// What the file says that has no meaning here.
const NAMED: [&str; 18] = [
    "cookies.domain",
    "courier",
    "dsn",
    "feature_flags",
    "hashers",
    "identity",
    "log",
    "selfservice.flows.login.after.password",
    "selfservice.flows.recovery",
    "selfservice.flows.registration",
    "selfservice.methods.code",
    "selfservice.methods.password.config",
    "serve.admin",
    "serve.public.cors.allow_credentials",
    "serve.public.cors.allowed_methods",
    "serve.public.port",
    "serve.public.request_log",
    "version",
];
const NAMED_TOO: [&str; 2] = ["session.earliest_possible_extend", "sqa-opt-out"];

struct Users;

impl Directory for Users {
    fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async { Ok(Some(Identity::new(serde_json::json!({})))) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }

    fn check_password<'a>(&'a self, _: &'a str, _: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        Box::pin(async { Ok(None) })
    }
}

fn config() -> Config {
    serde_json::from_str(include_str!("kratos.json")).unwrap()
}

fn builder(config: &Config) -> StepUpBuilder {
    StepUp::builder(config.public_url().unwrap()).configure(config).store(MemoryStore::default()).directory(Users)
}

fn named() -> Vec<&'static str> {
    let mut named: Vec<_> = NAMED.into_iter().chain(NAMED_TOO).collect();
    if cfg!(not(feature = "cors")) {
        named.push("serve.public.cors.enabled");
    }
    named.sort_unstable();
    named
}

#[test]
fn what_means_nothing_is_named_in_one_warning_each() {
    let (log, _guard) = log::Log::begin();
    let config = config();
    assert!(builder(&config).build().is_ok());
    let lines: Vec<_> = log.take().into_iter().filter(|line| line.contains("sets nothing here")).collect();
    let mut keys: Vec<_> = config.ignored_keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, named());
    assert_eq!(lines.len(), keys.len(), "{lines:#?}");
    for key in keys {
        let mut own = lines.iter().filter(|line| line.contains(&format!("key={key:?}")));
        let line = own.next().unwrap_or_else(|| panic!("{key} is not named: {lines:#?}"));
        assert!(line.contains("WARN") && own.next().is_none(), "{key}: {lines:#?}");
        assert!(!line.contains("only-for-tests"), "no secret of the file in the log: {line}");
    }
}

#[test]
fn strict_config_refuses_and_lists_them_all() {
    let config = config();
    let error = builder(&config).strict_config().build().unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Config);
    for key in named() {
        assert!(error.to_string().contains(&format!("{key}: ")), "{key}: {error}");
    }
    assert!(!error.to_string().contains("only-for-tests"), "{error}");
    // The file can ask for it itself.
    let mut tree: serde_json::Value = serde_json::from_str(include_str!("kratos.json")).unwrap();
    tree["step_up"] = serde_json::json!({ "strict_config": true });
    let strict: Config = serde_json::from_value(tree).unwrap();
    assert_eq!(builder(&strict).build().unwrap_err().kind(), BuildErrorKind::Config);
    let nothing: Config =
        serde_json::from_str(r#"{ "secrets": { "cookie": ["a long text that only this test knows"] } }"#).unwrap();
    let totp = tower_step_up::factor::Totp::new("Bank");
    assert!(
        StepUp::builder(PUBLIC)
            .configure(&nothing)
            .strict_config()
            .store(MemoryStore::default())
            .factor(totp)
            .build()
            .is_ok()
    );
}

async fn send(app: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    send_body(app, Request::builder().method(method).uri(path), headers, "").await
}

async fn post(app: &Router, path: &str, headers: &[(&str, &str)], json: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::builder().method("POST").uri(path).header("content-type", "application/json");
    send_body(app, request, headers, json).await
}

async fn send_body(
    app: &Router,
    mut request: axum::http::request::Builder,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn location(headers: &HeaderMap) -> &str {
    headers[header::LOCATION].to_str().unwrap()
}

#[tokio::test]
async fn what_has_a_meaning_is_taken_over() {
    let config = config();
    let step_up = builder(&config).build().unwrap();
    // The proxy in front strips the prefix.
    let app: Router = Router::new().with_step_up(&step_up);
    let signed_in = step_up.sign_in(Subject::new("kim").unwrap(), Method::Password).await.unwrap();
    let cookie = signed_in.cookie().to_str().unwrap();
    assert!(cookie.starts_with("__Host-bank_session="), "{cookie}");
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Domain"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();

    let page = "text/html";
    let (_, headers, _) =
        send(&app, "GET", "/self-service/login/browser?refresh=true", &[("cookie", cookie), ("accept", page)]).await;
    assert!(location(&headers).starts_with(&format!("{APP}/sign-in?flow=")), "{headers:?}");
    let (_, headers, _) =
        send(&app, "GET", "/self-service/settings/browser", &[("cookie", cookie), ("accept", page)]).await;
    assert!(location(&headers).starts_with(&format!("{APP}/security?flow=")), "{headers:?}");
    let shop = "/self-service/login/browser?refresh=true&return_to=https://north.bank.example/shop/cart";
    assert_eq!(send(&app, "GET", shop, &[("cookie", cookie), ("accept", page)]).await.0, StatusCode::SEE_OTHER);
    let elsewhere = "/self-service/login/browser?refresh=true&return_to=https://evil.example/";
    let (status, _, body) = send(&app, "GET", elsewhere, &[("cookie", cookie), ("accept", "application/json")]).await;
    assert!(status == StatusCode::BAD_REQUEST && body.contains("self_service_flow_return_to_forbidden"), "{body}");

    let (_, _, body) =
        send(&app, "GET", "/self-service/logout/browser", &[("cookie", cookie), ("accept", "application/json")]).await;
    let begun: serde_json::Value = serde_json::from_str(&body).unwrap();
    let logout = begun["logout_url"].as_str().unwrap().strip_prefix(PUBLIC).unwrap();
    let (_, headers, _) = send(&app, "GET", logout, &[("cookie", cookie), ("accept", page)]).await;
    assert_eq!(location(&headers), format!("{APP}/goodbye"));
}

/// The pages of the origins that the file names can submit forms, and no others.
#[tokio::test]
async fn front_ends_on_other_hosts_are_those_that_the_file_names() {
    let config = config();
    let step_up = builder(&config).build().unwrap();
    let app: Router = Router::new().with_step_up(&step_up);
    let signed_in = step_up.sign_in(Subject::new("kim").unwrap(), Method::Password).await.unwrap();
    let session = signed_in.cookie().to_str().unwrap().split(';').next().unwrap();
    let json = ("accept", "application/json");
    let begin = "/self-service/login/browser?refresh=true";
    let (_, headers, body) = send(&app, "GET", begin, &[("cookie", session), json]).await;
    let csrf = headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
    let flow: serde_json::Value = serde_json::from_str(&body).unwrap();
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let token = nodes.iter().find(|node| node["attributes"]["name"] == "csrf_token").unwrap();
    let token = &token["attributes"]["value"];
    let form =
        serde_json::json!({ "method": "password", "identifier": "kim", "password": "wrong", "csrf_token": token });
    let form = form.to_string();
    let path = format!("/self-service/login?flow={}", flow["id"].as_str().unwrap());
    let cookies = format!("{session}; {csrf}");
    for (origin, status) in [(APP, 400), ("https://shop.bank.example", 400), ("https://evil.bank.example", 403)] {
        let headers = [("cookie", cookies.as_str()), ("origin", origin), ("sec-fetch-site", "same-site"), json];
        let (answered, _, body) = post(&app, &path, &headers, &form).await;
        assert_eq!(answered.as_u16(), status, "{origin}: {body}");
        assert_eq!(body.contains("security_csrf_violation"), status == 403, "{origin}: {body}");
    }
}

#[cfg(feature = "cors")]
#[tokio::test]
async fn the_layer_lets_exactly_these_origins_read_the_answers() {
    let config = config();
    let step_up = builder(&config).build().unwrap();
    let app: Router = Router::new().with_step_up(&step_up).layer(step_up.cors_layer());
    let allowed = |headers: &HeaderMap| {
        headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap().to_owned())
    };
    let vary = |headers: &HeaderMap| {
        let values = headers.get_all(header::VARY).iter().map(|value| value.to_str().unwrap().to_ascii_lowercase());
        values.collect::<Vec<_>>().join(", ")
    };
    for (origin, is_named) in [
        (APP, true),
        ("https://shop.bank.example", true),
        ("https://id.bank.example", false),
        ("https://evil.bank.example", false),
        ("https://app.bank.example.evil.example", false),
        ("https://app.bank.example:8443", false),
        ("http://app.bank.example", false),
        ("null", false),
    ] {
        let (status, headers, _) =
            send(&app, "GET", "/sessions/whoami", &[("origin", origin), ("accept", "application/json")]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(allowed(&headers), is_named.then(|| origin.to_owned()), "{origin}: a refusal can be read, too");
        assert!(vary(&headers).contains("origin") && vary(&headers).contains("cookie"), "{headers:?}");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");

        let asks = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-session-token"),
        ];
        let (status, headers, _) = send(&app, "OPTIONS", "/self-service/login", &asks).await;
        assert_eq!((status, allowed(&headers)), (StatusCode::OK, is_named.then(|| origin.to_owned())), "{origin}");
        let can_send = headers[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().to_ascii_lowercase();
        for name in ["authorization", "content-type", "max-age", "x-session-token", "x-xsrf-token", "x-csrf-token"] {
            assert!(can_send.split(',').any(|sent| sent.trim() == name), "{name}: {can_send}");
        }
        assert!(!can_send.contains('*'));
    }
}
