//! Submitting a login flow: section 6, row by row, and what success changes (section 7).

use std::{fmt::Write as _, time::Duration};

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use serde_json::Value;
use tower_step_up::{
    RequiredAal, Subject,
    store::{AttemptPolicy, MemoryStore},
};

use crate::site::{Answer, Client, KINDS, Kind, ORIGIN, OpenFlow, Site};

async fn client(site: &Site, kind: Kind, name: &str) -> Client {
    match kind {
        Kind::Browser => site.browser(name).await,
        Kind::Spa => site.spa(name).await,
        Kind::Native => site.native(name).await,
    }
}

/// A subject with a second factor, signed in at aal1, and an open flow.
async fn opened(site: &Site, kind: Kind, query: &str) -> (Client, OpenFlow) {
    site.enrol("kim").await;
    let mut client = client(site, kind, "kim").await;
    let flow = client.begin("login", query).await;
    (client, flow)
}

/// The flow with what it says after a refused submit: in the answer for programs, after the redirect for browsers.
async fn refused(client: &mut Client, flow: &OpenFlow, answer: Answer) -> Answer {
    if client.kind == Kind::Browser {
        assert_eq!(answer.location(), format!("{ORIGIN}/self-service/ui/login?flow={}", flow.id()));
        return client.read("login", flow.id()).await;
    }
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert_eq!(answer.json()["id"], flow.id());
    answer
}

#[tokio::test]
async fn a_right_code_lifts_the_session_for_every_client() {
    for kind in KINDS {
        let site = Site::new();
        let (mut client, flow) = opened(&site, kind, "?aal=aal2&return_to=/payments").await;
        let before = client.whoami_lax(&site).await;
        site.clock.advance(Duration::from_secs(40));
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
        match kind {
            Kind::Browser => assert_eq!(answer.location(), format!("{ORIGIN}/payments")),
            Kind::Spa => {
                let body = answer.json();
                assert_eq!(body.get("session_token"), None);
                assert_eq!(body["continue_with"][0]["redirect_browser_to"], format!("{ORIGIN}/payments"));
                assert_eq!(body["continue_with"][0]["action"], "redirect_browser_to");
            }
            Kind::Native => {
                assert_eq!(answer.headers.get("set-cookie"), None);
                assert_eq!(answer.json()["continue_with"], Value::Null);
                client.keep_token(&answer);
            }
        }
        let after = client.whoami().await.json();
        assert_eq!(after["authenticator_assurance_level"], "aal2", "{kind:?}");
        let methods: Vec<_> =
            after["authentication_methods"].as_array().unwrap().iter().map(|one| &one["method"]).collect();
        assert_eq!(methods, ["password", "totp"]);
        assert_eq!(after["authenticated_at"], after["authentication_methods"][1]["completed_at"]);
        assert_eq!(after["aal2_authenticated_at"], after["authenticated_at"]);
        assert_eq!(after["issued_at"], before["issued_at"]);
        assert_ne!(after["id"], before["id"]);
        assert_ne!(after["expires_at"], before["expires_at"]);
        assert_eq!(client.get("/payments").await.status, StatusCode::OK);
    }
}

impl Client {
    /// whoami while it asks for no more than a session.
    async fn whoami_lax(&mut self, site: &Site) -> Value {
        site.step_up.set_whoami_required_aal(RequiredAal::Aal1);
        let answer = self.whoami().await;
        site.step_up.set_whoami_required_aal(RequiredAal::HighestAvailable);
        answer.json()
    }
}

#[tokio::test]
async fn the_old_credential_is_dead_from_the_same_moment() {
    for kind in KINDS {
        let site = Site::new();
        let (mut client, flow) = opened(&site, kind, "?aal=aal2").await;
        let mut old = client.clone();
        assert_eq!(old.get("/account").await.status, StatusCode::OK);
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
        client.keep_token(&answer);
        assert_eq!(client.get("/account").await.status, StatusCode::OK);
        old.kind = if kind == Kind::Browser { Kind::Spa } else { kind };
        assert_eq!(old.get("/account").await.status, StatusCode::UNAUTHORIZED, "{kind:?}");
        assert_eq!(old.whoami().await.error_id(), "session_inactive");
    }
}

#[tokio::test]
async fn a_wrong_code_is_told_and_lifts_nothing() {
    for kind in KINDS {
        let site = Site::new();
        let (mut client, flow) = opened(&site, kind, "?aal=aal2").await;
        for (code, global, on_field) in [
            ("000000", vec![4_000_008], vec![]),
            ("", vec![], vec![4_000_002]),
            ("   ", vec![], vec![4_000_002]),
            ("12345", vec![], vec![4_000_003]),
            ("1234567", vec![4_000_008], vec![]),
            ("+12345", vec![4_000_008], vec![]),
        ] {
            let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", code)]).await;
            let answer = refused(&mut client, &flow, answer).await;
            assert_eq!((answer.messages(), answer.node_messages("totp_code")), (global, on_field), "{kind:?} {code:?}");
            assert_eq!(answer.node("totp_code")["attributes"]["value"], "");
        }
        assert_eq!(client.whoami_lax(&site).await["authenticator_assurance_level"], "aal1");
        let code = format!(" {} ", site.code());
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
        client.keep_token(&answer);
        assert_eq!(client.whoami().await.json()["authenticator_assurance_level"], "aal2", "blanks are trimmed");
    }
}

#[tokio::test]
async fn a_code_works_once_and_only_upwards() {
    let site = Site::new();
    let (mut client, _) = opened(&site, Kind::Spa, "?aal=aal2").await;
    let old = site.code();
    let used = site.next_code();
    assert_eq!(client.step_up(&used).await.status, StatusCode::OK);
    for code in [&used, &old] {
        let flow = client.begin("login", "?aal=aal2&refresh=true").await;
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", code)]).await;
        assert_eq!(answer.messages(), [4_000_008], "{code}");
        let mut other = site.spa("kim").await;
        assert_eq!(other.step_up(code).await.messages(), [4_000_008], "{code}");
    }
    let flow = client.begin("login", "?aal=aal2&refresh=true").await;
    let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn refresh_renews_the_age_of_the_second_factor() {
    let site = Site::new();
    let (mut client, _) = opened(&site, Kind::Spa, "?aal=aal2").await;
    client.step_up(&site.code()).await;
    assert_eq!(client.get("/transfer").await.status, StatusCode::OK);
    site.clock.advance(Duration::from_secs(301));
    let refusal = client.get("/transfer").await;
    assert_eq!((refusal.status, refusal.error_id().as_str()), (StatusCode::FORBIDDEN, "session_refresh_required"));
    let url = refusal.json()["redirect_browser_to"].as_str().unwrap().to_owned();
    let expected = "https%3A%2F%2Fbank.example%2Ftransfer";
    assert_eq!(url, format!("{ORIGIN}/self-service/login/browser?aal=aal2&refresh=true&return_to={expected}"));
    let flow = client.begin("login", url.split_once("/browser").unwrap().1).await;
    let before = client.whoami().await.json();
    let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
    assert_eq!(answer.status, StatusCode::OK);
    let after = client.whoami().await.json();
    assert_ne!(after["aal2_authenticated_at"], before["aal2_authenticated_at"]);
    assert_ne!(after["id"], before["id"]);
    assert_eq!(client.get("/transfer").await.status, StatusCode::OK);
}

#[tokio::test]
async fn checks_before_the_form_answer_in_their_order() {
    let site = Site::new();
    let (mut kim, flow) = opened(&site, Kind::Spa, "?aal=aal2").await;
    let code = site.code();
    let fields = [("method", "totp"), ("totp_code", code.as_str())];
    for query in ["", "?flow=", "?flow=x", "?flow=3C1DE7A4-9A0E-4A55-8C33-1B7F0F6F5D20"] {
        let answer = kim.post(&format!("/self-service/login{query}"), &fields).await;
        assert_eq!((answer.status, answer.error_id().as_str()), (StatusCode::BAD_REQUEST, ""), "{query}");
    }
    let answer = kim.post("/self-service/login?flow=3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20", &fields).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = site.stranger(Kind::Spa).submit(&flow, &fields).await;
    assert_eq!((answer.status, answer.error_id().as_str()), (StatusCode::UNAUTHORIZED, "session_aal1_required"));
    site.enrol("lee").await;
    for name in ["lee", "kim"] {
        let mut other = site.spa(name).await;
        other.cookies.extend(kim.cookies.clone().into_iter().filter(|(name, _)| name.contains("csrf")));
        let answer = other.submit(&flow, &fields).await;
        assert_eq!((answer.status, answer.error_id().as_str()), (StatusCode::FORBIDDEN, "security_identity_mismatch"));
    }
    assert_eq!(kim.submit(&flow, &fields).await.status, StatusCode::OK, "nothing of that used the code");
}

#[tokio::test]
async fn browsers_see_errors_on_a_page() {
    let site = Site::new();
    let (mut kim, flow) = opened(&site, Kind::Browser, "?aal=aal2").await;
    let code = site.code();
    let fields = [("method", "totp"), ("totp_code", code.as_str())];
    let mut stranger = site.stranger(Kind::Browser);
    for answer in [
        kim.post("/self-service/login", &fields).await,
        kim.post("/self-service/login?flow=3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20", &fields).await,
        stranger.submit(&flow, &fields).await,
        kim.post(&flow.action(), &fields).await,
    ] {
        let page = answer.location().to_owned();
        assert!(page.starts_with(&format!("{ORIGIN}/self-service/ui/error?id=")), "{page}");
        let shown = kim.get(&page).await;
        assert_eq!(shown.status, StatusCode::OK);
        assert!(shown.text.contains("<h1>"), "{}", shown.text);
    }
    assert_eq!(kim.get("/self-service/errors?id=stub:500").await.json()["error"]["code"], 500);
    assert_eq!(kim.get("/self-service/errors?error=stub:500").await.status, StatusCode::OK);
    assert_eq!(
        kim.get("/self-service/errors?id=3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_is_satisfied_already_is_not_done_again() {
    for kind in KINDS {
        let site = Site::new();
        let (mut client, flow) = opened(&site, kind, "?aal=aal2&return_to=/pay").await;
        client.step_up(&site.code()).await;
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
        if kind == Kind::Browser {
            assert_eq!(answer.location(), format!("{ORIGIN}/pay"));
        } else {
            assert_eq!((answer.status, answer.messages()), (StatusCode::BAD_REQUEST, vec![4_000_001]));
        }
    }
}

#[tokio::test]
async fn a_completed_flow_is_spent() {
    for kind in KINDS {
        let site = Site::new();
        let (mut client, _) = opened(&site, kind, "?aal=aal2").await;
        client.step_up(&site.code()).await;
        let flow = client.begin("login", "?aal=aal2&refresh=true").await;
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
        client.keep_token(&answer);
        let next = site.next_code();
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &next)]).await;
        if kind == Kind::Browser {
            assert!(answer.location().contains("/self-service/ui/login?flow="));
        } else {
            assert_eq!((answer.status, answer.messages()), (StatusCode::BAD_REQUEST, vec![4_010_007]), "{kind:?}");
            assert_eq!(client.read("login", flow.id()).await.json()["state"], "passed_challenge");
        }
        let flow = client.begin("login", "?aal=aal2&refresh=true").await;
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &next)]).await;
        assert!(answer.status.is_success() || answer.location() == format!("{ORIGIN}/"), "the code was not used up");
    }
}

#[tokio::test]
async fn an_expired_flow_is_replaced_by_one_with_the_same_purpose() {
    for (kind, query, ids) in [
        (Kind::Spa, "?aal=aal2&return_to=/pay", vec![1_010_004, 4_010_001]),
        (Kind::Native, "?aal=aal2&refresh=true&return_to=/pay", vec![1_010_003, 1_010_004, 4_010_001]),
        (Kind::Browser, "?aal=aal2&return_to=/pay", vec![1_010_004, 4_010_001]),
    ] {
        let site = Site::new();
        let (mut client, flow) = opened(&site, kind, query).await;
        site.clock.advance(Duration::from_secs(3600));
        let code = site.code();
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
        let id = if kind == Kind::Browser {
            answer.location().rsplit_once("flow=").unwrap().1.to_owned()
        } else {
            assert_eq!((answer.status, answer.error_id().as_str()), (StatusCode::GONE, "self_service_flow_expired"));
            answer.json()["use_flow_id"].as_str().unwrap().to_owned()
        };
        assert_ne!(id, flow.id());
        let successor = client.read("login", &id).await;
        assert_eq!(successor.messages(), ids);
        for key in ["requested_aal", "refresh", "return_to", "type", "request_url"] {
            assert_eq!(successor.json()[key], flow.view[key], "{key}");
        }
        let action = successor.json()["ui"]["action"].as_str().unwrap().to_owned();
        let csrf = successor.node("csrf_token")["attributes"]["value"].as_str().unwrap().to_owned();
        let mut fields = vec![("method", "totp"), ("totp_code", code.as_str())];
        if kind != Kind::Native {
            fields.push(("csrf_token", &csrf));
        }
        let answer = client.post(&action, &fields).await;
        client.keep_token(&answer);
        assert_eq!(client.whoami().await.json()["authenticator_assurance_level"], "aal2", "the code was not used up");
    }
}

async fn raw(client: &mut Client, flow: &OpenFlow, content_type: Option<&str>, body: Vec<u8>) -> Answer {
    let mut request = client.request(Method::POST, &flow.action());
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    let request = request.body(Body::from(body)).unwrap();
    client.send(request).await
}

#[tokio::test]
async fn bodies_that_are_no_form_are_refused() {
    for kind in KINDS {
        let site = Site::new();
        let (mut client, flow) = opened(&site, kind, "?aal=aal2").await;
        for (content_type, body) in [
            (Some("application/json"), ""),
            (Some("application/json"), "{"),
            (Some("application/json"), "[1]"),
            (Some("application/json; charset=utf-16"), "{\"method\":\"totp\"}"),
            (Some("application/x-www-form-urlencoded"), ""),
            (Some("application/x-www-form-urlencoded"), "totp_code=1&totp_code=2"),
            (Some("multipart/form-data"), "x"),
            (Some("application/xml"), "<a/>"),
            (Some("text/plain"), "method=totp"),
            (None, "method=totp"),
        ] {
            // A browser that sends JSON is a program.
            let json = content_type.is_some_and(|one| one.starts_with("application/json"));
            let kind = if kind == Kind::Browser && json { Kind::Spa } else { kind };
            let mut sender = Client { kind, ..client.clone() };
            let answer = raw(&mut sender, &flow, content_type, body.as_bytes().to_vec()).await;
            let answer = refused(&mut sender, &flow, answer).await;
            assert_eq!(answer.messages(), [4_000_001], "{kind:?} {content_type:?} {body}");
        }
        let answer = raw(&mut client, &flow, Some("application/json"), vec![b' '; 100_000]).await;
        if kind == Kind::Browser {
            // JSON makes it a program here too.
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        } else {
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        }
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
        assert!(answer.status == StatusCode::OK || kind == Kind::Browser);
    }
}

#[tokio::test]
async fn a_multipart_form_is_a_form() {
    let site = Site::new();
    let (mut client, flow) = opened(&site, Kind::Spa, "?aal=aal2").await;
    let mut body = String::new();
    for (name, value) in [("method", "totp"), ("totp_code", &site.code()), ("csrf_token", &flow.csrf())] {
        write!(body, "--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").unwrap();
    }
    body += "--x--\r\n";
    let answer = raw(&mut client, &flow, Some("multipart/form-data; boundary=x"), body.into_bytes()).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn only_methods_of_the_flows_level_are_taken() {
    let site = Site::with_password();
    for kind in KINDS {
        let (mut client, flow) = opened(&site, kind, "?aal=aal2").await;
        // Without one; unknown; of another level; not configured, known here or not.
        for method in [None, Some(""), Some("magic"), Some("password"), Some("profile"), Some("webauthn"), Some("oidc")]
        {
            let mut fields = vec![("totp_code", "123456"), ("password", "x"), ("identifier", "kim")];
            fields.extend(method.map(|method| ("method", method)));
            let answer = client.submit(&flow, &fields).await;
            assert_eq!(refused(&mut client, &flow, answer).await.messages(), [4_010_002], "{kind:?} {method:?}");
        }
        if kind != Kind::Browser {
            let request = client.request(Method::POST, &flow.action()).header(header::CONTENT_TYPE, "application/json");
            let answer = client.send(request.body(Body::from("{}")).unwrap()).await;
            assert_eq!((answer.status, answer.messages()), (StatusCode::BAD_REQUEST, vec![4_010_002]), "{kind:?}");
        }
        let answer = client.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret", "ABCD")]).await;
        assert_eq!(refused(&mut client, &flow, answer).await.messages(), [4_000_014], "{kind:?}");
    }
}

#[tokio::test]
async fn cross_site_requests_use_nothing_up() {
    let site = Site::new();
    let (mut client, flow) = opened(&site, Kind::Spa, "?aal=aal2").await;
    let code = site.code();
    let csrf = flow.csrf();
    let right = [("method", "totp"), ("totp_code", code.as_str()), ("csrf_token", csrf.as_str())];
    let mut without_cookie = client.clone();
    without_cookie.cookies.retain(|name, _| !name.contains("csrf"));
    let forged = |answer: Answer| (answer.status.as_u16(), answer.error_id());
    let expected = (403, "security_csrf_violation".to_owned());
    assert_eq!(forged(without_cookie.post(&flow.action(), &right).await), expected);
    assert_eq!(forged(client.post(&flow.action(), &right[..2]).await), expected);
    let planted = [("method", "totp"), ("totp_code", code.as_str()), ("csrf_token", "AAAA")];
    assert_eq!(forged(client.post(&flow.action(), &planted).await), expected);
    let details = client.post(&flow.action(), &planted).await.json()["error"]["details"].clone();
    assert!(details["hint"].is_string() && details["reject_reason"].is_string());
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let body = serde_json::json!({"method": "totp", "totp_code": code, "csrf_token": csrf}).to_string();
        let request = client.request(Method::POST, &flow.action()).header(name, value);
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
        assert_eq!(forged(client.send(request).await), expected, "{name}: {value}");
    }
    assert_eq!(client.post(&flow.action(), &right).await.status, StatusCode::OK);
}

/// Old web views and strict privacy settings name no origin, and send no Fetch Metadata: then the token alone decides.
#[tokio::test]
async fn where_nothing_says_the_origin_the_token_decides() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.browser("kim").await;
    for (kind, fields) in [("login", &[("method", "totp")][..]), ("settings", &[("lookup_secret_regenerate", "true")])]
    {
        let flow = kim.begin(kind, if kind == "login" { "?aal=aal2" } else { "" }).await;
        let (code, csrf) = (site.code(), flow.csrf());
        let submit = async |client: &mut Client, token: Option<&str>, site: Option<&str>| {
            let pairs = fields.iter().copied().chain([("totp_code", code.as_str())]);
            let pairs = pairs.chain(token.map(|token| ("csrf_token", token)));
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let mut request = client.request(Method::POST, &flow.action()).header("origin", "null");
            if let Some(site) = site {
                request = request.header("sec-fetch-site", site);
            }
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            client.send(request.body(Body::from(body)).unwrap()).await.location().to_owned()
        };
        let refused = format!("{ORIGIN}/self-service/ui/error?id=");
        for (token, fetch_site) in [
            (None, None),
            (Some("AAAA"), None),
            (Some(csrf.as_str()), Some("cross-site")),
            (Some(csrf.as_str()), Some("same-site")),
            (Some(csrf.as_str()), Some("none")),
        ] {
            let location = submit(&mut kim, token, fetch_site).await;
            assert!(location.starts_with(&refused), "{kind} {token:?} {fetch_site:?}: {location}");
        }
        let mut without_cookie = kim.clone();
        without_cookie.cookies.retain(|name, _| !name.contains("csrf"));
        let location = submit(&mut without_cookie, Some(&csrf), None).await;
        assert!(location.starts_with(&refused), "{kind}: {location}");
        let location = submit(&mut kim, Some(&csrf), None).await;
        assert!(!location.starts_with(&refused), "{kind}: {location}");
    }
    assert_eq!(kim.get("/payments").await.text, "payments");
}

#[tokio::test]
async fn an_api_flow_is_no_way_around_the_token() {
    let site = Site::new();
    let (mut native, flow) = opened(&site, Kind::Native, "?aal=aal2").await;
    let code = site.code();
    for (name, value) in [("origin", ORIGIN), ("cookie", "other=1")] {
        let body = serde_json::json!({"method": "totp", "totp_code": code}).to_string();
        let request = native.request(Method::POST, &flow.action()).header(name, value);
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
        let answer = native.send(request).await;
        assert_eq!((answer.status, answer.messages()), (StatusCode::BAD_REQUEST, vec![4_000_001]), "{name}");
    }
    // Cookies of a content delivery network are passed along by native clients too.
    let body = serde_json::json!({"method": "totp", "totp_code": code}).to_string();
    let request = native.request(Method::POST, &flow.action()).header("cookie", "__cf_bm=1; cf_clearance=2");
    let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
    assert_eq!(native.send(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn too_many_wrong_codes_lock_the_factor() {
    let policy = AttemptPolicy { free: 3, first_delay: Duration::from_secs(30), ..AttemptPolicy::default() };
    for kind in KINDS {
        let site = Site::with(|builder| builder.attempts(policy));
        let (mut client, flow) = opened(&site, kind, "?aal=aal2").await;
        for _ in 0..3 {
            client.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await;
        }
        let code = site.code();
        for code in ["000000", &code] {
            let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", code)]).await;
            assert_eq!(answer.headers["retry-after"], "30");
            if kind != Kind::Native {
                assert_eq!(refused(&mut client, &flow, answer).await.messages(), [4_990_001]);
                let shown = client.read("login", flow.id()).await;
                assert_eq!(shown.json()["ui"]["messages"][0]["context"]["retry_after"], 30, "a reload shows it");
                continue;
            }
            assert_eq!(
                (answer.status, answer.error_id().as_str()),
                (StatusCode::TOO_MANY_REQUESTS, "security_too_many_attempts")
            );
            assert_eq!(answer.json()["error"]["details"]["retry_after"], 30);
        }
        assert_eq!(client.get("/account").await.status, StatusCode::OK, "only the factor is closed");
        site.clock.advance(Duration::from_secs(30));
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
        client.keep_token(&answer);
        assert_eq!(client.whoami().await.json()["authenticator_assurance_level"], "aal2", "{kind:?}");
    }
}

#[tokio::test]
async fn a_success_starts_the_count_anew() {
    let policy = AttemptPolicy { free: 3, ..AttemptPolicy::default() };
    let site = Site::with(|builder| builder.attempts(policy));
    let (mut client, _) = opened(&site, Kind::Spa, "?aal=aal2").await;
    for _ in 0..4 {
        for _ in 0..2 {
            let flow = client.begin("login", "?aal=aal2&refresh=true").await;
            assert_eq!(
                client.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await.messages(),
                [4_000_008]
            );
        }
        let flow = client.begin("login", "?aal=aal2&refresh=true").await;
        let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_disabled_user_gets_nothing() {
    let site = Site::with(|builder| builder.standing_max_age(Duration::from_secs(60)));
    let (mut client, flow) = opened(&site, Kind::Spa, "?aal=aal2").await;
    assert_eq!(client.get("/account").await.status, StatusCode::OK);
    site.users.disable("kim");
    // The session is still remembered, but the last question before the proof counts is asked anew.
    let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
    assert_eq!((answer.status, answer.messages()), (StatusCode::BAD_REQUEST, vec![4_010_011]));
    site.step_up.forget(&Subject::new("kim").unwrap());
    assert_eq!(client.get("/account").await.status, StatusCode::UNAUTHORIZED);
    let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
    assert_eq!(answer.error_id(), "session_aal1_required");
}

#[tokio::test]
async fn a_second_tab_still_works_after_a_rotation() {
    let site = Site::new();
    let (mut client, _) = opened(&site, Kind::Spa, "?aal=aal2").await;
    let second_tab = client.begin("login", "?aal=aal2&refresh=true&return_to=/second").await;
    client.step_up(&site.code()).await;
    let answer = client.submit(&second_tab, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["continue_with"][0]["redirect_browser_to"], format!("{ORIGIN}/second"));
}

#[tokio::test]
async fn parallel_submits_give_one_upgrade() {
    let site = Site::new();
    let (client, flow) = opened(&site, Kind::Spa, "?aal=aal2").await;
    let code = site.code();
    let csrf = flow.csrf();
    let flow = std::sync::Arc::new(flow);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (mut client, code, csrf, flow) = (client.clone(), code.clone(), csrf.clone(), flow.clone());
        tasks.spawn(async move {
            let fields = [("method", "totp"), ("totp_code", code.as_str()), ("csrf_token", csrf.as_str())];
            client.post(&flow.action(), &fields).await
        });
    }
    let answers = tasks.join_all().await;
    // They are the same form: each gets the answer of the one that counted.
    let sessions: std::collections::BTreeSet<_> =
        answers.iter().map(|answer| answer.json()["session"]["id"].as_str().map(str::to_owned)).collect();
    assert!(answers.iter().all(|answer| answer.status.is_success()), "{answers:?}");
    assert_eq!(sessions.len(), 1, "{sessions:?}");
}

#[tokio::test]
async fn a_first_factor_refresh_keeps_the_level_but_not_the_age() {
    for kind in KINDS {
        let site = Site::with_password();
        site.enrol("kim").await;
        let mut client = client(&site, kind, "kim").await;
        client.step_up(&site.code()).await;
        let before = client.whoami().await.json();
        site.clock.advance(Duration::from_secs(301));
        let flow = client.begin("login", "?refresh=true&return_to=/transfer").await;
        assert_eq!(flow.messages(), [1_010_003]);
        assert_eq!(
            flow.nodes(),
            ["default: csrf_token", "default: identifier", "password: password", "password: method"]
        );

        let wrong = [("method", "password"), ("identifier", "kim"), ("password", "wrong")];
        let answer = client.submit(&flow, &wrong).await;
        assert_eq!(refused(&mut client, &flow, answer).await.messages(), [4_000_006]);
        let other = [("method", "password"), ("identifier", "lee"), ("password", "lee-password")];
        let answer = client.submit(&flow, &other).await;
        match kind {
            Kind::Browser => assert!(answer.location().contains("/self-service/ui/error?id=")),
            _ => assert_eq!(answer.error_id(), "security_identity_mismatch"),
        }
        assert_eq!(client.whoami().await.json()["id"], before["id"], "the session is untouched");

        let right = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
        let answer = client.submit(&flow, &right).await;
        client.keep_token(&answer);
        let after = client.whoami().await.json();
        assert_eq!(after["authenticator_assurance_level"], "aal2", "{kind:?}");
        assert_ne!(after["id"], before["id"]);
        assert_ne!(after["authenticated_at"], before["authenticated_at"]);
        assert_eq!(after["aal2_authenticated_at"], before["aal2_authenticated_at"]);
        let transfer = client.get("/transfer").await;
        assert!(transfer.status == StatusCode::FORBIDDEN || transfer.location().contains("aal=aal2&refresh=true"));
    }
}

#[tokio::test]
async fn after_a_first_factor_the_second_is_still_to_come() {
    let site = Site::with_password();
    site.enrol("kim").await;
    for kind in KINDS {
        let mut client = site.stranger(kind);
        let flow = client.begin("login", "?return_to=/pay").await;
        let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
        let answer = client.submit(&flow, &fields).await;
        let second = format!("{ORIGIN}/self-service/login/browser?aal=aal2&return_to=https%3A%2F%2Fbank.example%2Fpay");
        match kind {
            Kind::Browser => assert_eq!(answer.location(), second),
            Kind::Spa => {
                let id = answer.error_id();
                assert_eq!((answer.status.as_u16(), id.as_str()), (422, "browser_location_change_required"));
                assert_eq!(answer.json()["redirect_browser_to"], second);
            }
            Kind::Native => {
                assert_eq!(answer.json()["session"]["identity"], Value::Null);
                client.keep_token(&answer);
            }
        }
        assert_eq!(client.get("/account").await.status, StatusCode::OK, "{kind:?}");
        let answer = client.step_up(&site.next_code()).await;
        assert!(answer.status.is_success() || answer.status == StatusCode::SEE_OTHER);
        assert_eq!(client.get("/payments").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_stranger_signs_in_by_password_and_guesses_little() {
    let site = Site::with_password();
    let mut client = site.stranger(Kind::Spa);
    let flow = client.begin("login", "?return_to=/pay").await;
    let fields = |password: &'static str| [("method", "password"), ("identifier", "bob"), ("password", password)];
    for _ in 0..4 {
        assert_eq!(client.submit(&flow, &fields("wrong")).await.messages(), [4_000_006]);
    }
    let answer = client.submit(&flow, &fields("bob-password")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["continue_with"][0]["redirect_browser_to"], format!("{ORIGIN}/pay"));
    assert_eq!(client.whoami().await.json()["authenticator_assurance_level"], "aal1");

    let mut client = site.stranger(Kind::Spa);
    let flow = client.begin("login", "?return_to=/pay").await;
    for _ in 0..4 {
        client.submit(&flow, &fields("wrong")).await;
    }
    let last = client.submit(&flow, &fields("wrong")).await;
    assert_eq!(last.messages(), [4_000_006, 4_990_001], "the last wrong password says that it was the last");
    assert!(client.submit(&flow, &fields("bob-password")).await.is_locked());
    let shown = client.read("login", flow.id()).await;
    assert_eq!(shown.messages(), [4_990_001]);
    let link = shown.node("begin_again")["attributes"]["href"].as_str().unwrap().to_owned();
    assert!(link.ends_with("/self-service/login/browser?return_to=https%3A%2F%2Fbank.example%2Fpay"), "{link}");
    let page = client.get(&format!("/self-service/ui/login?flow={}", flow.id())).await;
    assert!(page.text.contains("id=\"begin_again\">Begin again</a>"), "{}", page.text);
    let flow = client.begin("login", "?return_to=/pay").await;
    assert_eq!(client.submit(&flow, &fields("bob-password")).await.status, StatusCode::OK);
    let mut owner = site.spa("bob").await;
    assert_eq!(owner.get("/account").await.status, StatusCode::OK, "nobody is locked out by a stranger");
}

#[tokio::test]
async fn a_used_code_leaves_the_flow_open_wherever_flows_are_kept() {
    for site in [Site::new(), Site::with(|builder| builder.flow_store(MemoryStore::default()))] {
        site.enrol("kim").await;
        let used = site.code();
        assert_eq!(site.spa("kim").await.step_up(&used).await.status, StatusCode::OK);
        let mut kim = site.browser("kim").await;
        let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
        kim.submit(&flow, &[("method", "totp"), ("totp_code", &used)]).await;
        assert_eq!(kim.read("login", flow.id()).await.messages(), [4_000_008]);
        let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
        assert_eq!(answer.location(), format!("{ORIGIN}/"));
        assert_eq!(kim.get("/payments").await.status, StatusCode::OK);
        let mut again = Client { kind: Kind::Spa, ..kim };
        let answer = again.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
        assert_eq!(answer.messages(), [4_010_007], "and once it has done its work, it is spent");
    }
}
