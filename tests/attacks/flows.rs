//! Section 4 of the list of attacks: flows, cross-site requests and redirects.

use std::time::Duration;

use axum::{body::Body, http::Method as HttpMethod};
use serde_json::Value;
use tower_step_up::{
    StepUpBuilder,
    factor::Password,
    session::CookiePrefix,
    store::{FlowId, FlowStore, Written},
};

use crate::{
    site::{Answer, Client, KINDS, Kind, ORIGIN, OpenFlow, Site},
    world::{
        WRONG, World, as_program, assert_error, assert_one_passed, assert_says, client, csrf_of, secret_of, url_of,
    },
};

fn worlds() -> Vec<World> {
    World::on_every_store(|builder| builder)
}

fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The endpoints that take a `return_to`.
const DOORS: [&str; 5] = [
    "/self-service/login/browser?aal=aal2",
    "/self-service/login/api?aal=aal2",
    "/self-service/settings/browser?",
    "/self-service/settings/api?",
    "/self-service/logout/browser?",
];

/// Asks every door with this raw parameter. What it accepts must be on the site; `None` if all refuse.
async fn asked(world: &World, raw: &str) -> Option<String> {
    let site = &world.a;
    let mut found = None;
    for kind in KINDS {
        for door in DOORS {
            if door.contains("/api") != (kind == Kind::Native) {
                continue;
            }
            // Everybody begins anew, so that no door is closed for another reason.
            let mut ann = client(site, kind, "ann").await;
            let mut kim = client(site, kind, "kim").await;
            let client = if door.contains("settings") { &mut ann } else { &mut kim };
            world.store.take_calls();
            let answer = client.get(&format!("{door}&return_to={raw}")).await;
            let stored = world.store.take_calls().contains(&"create_flow");
            let refused = match kind {
                Kind::Browser if answer.status == 303 => {
                    let location = answer.location().to_owned();
                    assert!(location.starts_with(&url_of("/")), "{raw}: {location}");
                    location.contains("/self-service/ui/error?id=")
                }
                _ if answer.status == 400 => {
                    assert_error(&answer, 400, "self_service_flow_return_to_forbidden");
                    true
                }
                _ => false,
            };
            assert!(!refused || !stored, "{raw} at {door}: a flow was stored");
            assert!(!answer.headers.contains_key("x"), "{answer:?}");
            for (name, value) in &answer.headers {
                assert!(value.to_str().is_ok_and(|value| !value.contains(['\r', '\n'])), "{name}: {value:?}");
            }
            if refused {
                continue;
            }
            let kept = match kind {
                Kind::Browser if door.contains("logout") => answer.json()["logout_url"].clone(),
                Kind::Browser => {
                    let (page, id) = answer.location().split_once("flow=").unwrap();
                    let kind = if page.contains("login") { "login" } else { "settings" };
                    client.read(kind, id).await.json()["return_to"].clone()
                }
                _ if door.contains("logout") => answer.json()["logout_url"].clone(),
                _ => answer.json()["return_to"].clone(),
            };
            let kept = kept.as_str().unwrap().to_owned();
            assert!(kept.starts_with(&url_of("/")), "{raw} at {door}: {kept}");
            if !door.contains("logout") {
                assert!(found.as_ref().is_none_or(|found| *found == kept), "the doors differ: {kept}");
                found = Some(kept);
            }
        }
    }
    found
}

async fn return_world() -> World {
    let world = World::new();
    world.a.enrol("kim").await;
    assert_eq!(asked(&world, "/payments").await.unwrap(), url_of("/payments"), "the honest twin");
    world
}

async fn assert_all_forbidden(world: &World, texts: &[&str]) {
    for text in texts {
        assert_eq!(asked(world, &encode(text)).await, None, "{text:?}");
    }
}

#[tokio::test]
async fn return_to_off_site_is_refused() {
    let world = return_world().await;
    assert_all_forbidden(
        &world,
        &[
            "https://evil.example",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "javascript:alert(1)",
            "JaVaScript:\talert(1)",
            "Java\tScript:alert(1)",
            "javascript://bank.example/%0aalert(1)",
            "data:text/html,<script>",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://bank.example/x",
            "evil.example",
            "?x",
            "#x",
        ],
    )
    .await;
}

#[tokio::test]
async fn return_to_backslash_blank_and_encoded_tricks_are_refused() {
    let world = return_world().await;
    assert_all_forbidden(
        &world,
        &[
            "/\\evil.example",
            "\\\\evil.example",
            "/./\\evil.example",
            "/ /evil.example",
            "/\t/evil.example",
            "/\u{b}/evil.example",
            "/\r/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            "https://bank.example\\@evil.example",
            "/\u{2028}/evil.example",
            "%2f%2fevil.example",
        ],
    )
    .await;
    // Decoded once: what is left of the encoding stays a path of ours.
    for (raw, kept) in [
        ("/%255cevil.example", "/%5cevil.example"),
        ("/%252f%252fevil.example", "/%2f%2fevil.example"),
        ("%2Fpay", "/pay"),
        ("/x/..//evil.example", "//evil.example"),
    ] {
        assert_eq!(asked(&world, raw).await.as_deref(), Some(url_of(kept).as_str()), "{raw}");
    }
    for raw in ["%5cevil.example", "/%5cevil.example", "%252f%252fevil.example", "/pay%ff", "/%c0%af", "%"] {
        assert_eq!(asked(&world, raw).await, None, "{raw}");
    }
    // Said twice, it is not known which was checked.
    for raw in ["/pay&return_to=/pay", "/pay&return_to=https://evil.example", "&return_to=/pay", "/pay&return%5fto=/x"]
    {
        assert_eq!(asked(&world, raw).await, None, "{raw}");
    }
}

#[tokio::test]
async fn return_to_lookalike_hosts_are_refused() {
    let world = return_world().await;
    assert_eq!(asked(&world, &encode("HTTPS://BANK.example:443/pay")).await.unwrap(), url_of("/pay"));
    assert_all_forbidden(
        &world,
        &[
            "https://bank.example@evil.example",
            "https://bank.example:443@evil.example",
            "https://user:pw@bank.example/",
            "https://bank.example:8443/",
            "https://bank.example:0/",
            "https://bank\u{3002}example/",
            "https://bank.example\u{ff0f}.evil.example",
            "https://b\u{430}nk.example/",
            "https://xn--bnk-7cd.example/",
            "https://bank.example\0/",
            "https://bank.example%00.evil.example/",
            "https://bank.example./",
            "https://bank%2eexample/",
            "https://[::1]/",
            "http://bank.example/",
        ],
    )
    .await;
}

#[tokio::test]
async fn return_to_allow_list_is_not_a_prefix() {
    let allow = |builder: StepUpBuilder| {
        let builder = builder.default_return_url(format!("{ORIGIN}/app"));
        builder.allowed_return_url(format!("{ORIGIN}/app")).allowed_return_url("https://shop.example/app")
    };
    let world = World::with(allow);
    world.a.enrol("kim").await;
    let mut kim = world.a.spa("kim").await;
    for good in ["https://shop.example/app", "https://shop.example/app/x?y", "/self-service/ui/error"] {
        let flow = kim.begin("login", &format!("?aal=aal2&return_to={}", encode(good))).await;
        let kept = flow.view["return_to"].as_str().unwrap();
        assert!(kept.starts_with("https://shop.example/app") || kept.starts_with(&url_of("/self-service")), "{kept}");
    }
    for bad in [
        "https://shop.example.evil.com/app",
        "https://evilshop.example/app",
        "https://evil.example/app",
        "http://shop.example/app",
        "https://shop.example/apple",
        "https://shop.example/app/../admin",
        "https://shop.example/app/%2e%2e/admin",
        "https://shop.example/app/..%2fadmin/../../admin",
        "https://shop.example/",
        "https://shop.example/APP",
        "https://bank.example.evil.com/",
    ] {
        world.store.take_calls();
        let answer = kim.get(&format!("/self-service/login/browser?aal=aal2&return_to={}", encode(bad))).await;
        assert_error(&answer, 400, "self_service_flow_return_to_forbidden");
        assert!(!world.store.take_calls().contains(&"create_flow"), "{bad}");
    }
}

#[tokio::test]
async fn return_to_cannot_split_headers() {
    let world = return_world().await;
    let mut kim = world.a.browser("kim").await;
    let honest = kim.get("/self-service/login/browser?aal=aal2&return_to=/pay").await;
    let names = |answer: &Answer| answer.headers.keys().cloned().collect::<std::collections::HashSet<_>>();
    for raw in [
        "/%0d%0aSet-Cookie:x=1",
        "/pay%0aX:1",
        "/pay%0dX:1",
        "/pay%0a%20X:1",
        "/pay%00X",
        // Code points whose low byte is a line feed or a carriage return.
        "/pay%e4%bc%8aX:1",
        "/pay%c4%8aX:1",
        "/pay%c8%8dX:1",
        "/pay%c2%85X:1",
    ] {
        let mut kim = world.a.browser("kim").await;
        let answer = kim.get(&format!("/self-service/login/browser?aal=aal2&return_to={raw}")).await;
        assert!(names(&answer).is_subset(&names(&honest)), "{raw}: {answer:?}");
        if let Some(kept) = asked(&world, raw).await {
            assert!(kept.is_ascii() && kept.starts_with(&url_of("/pay%")), "{kept}");
        }
    }
}

fn id_of(flow: &OpenFlow) -> FlowId {
    FlowId::from(uuid::Uuid::parse_str(flow.id()).unwrap())
}

async fn alter(world: &World, flow: &OpenFlow, old: &str, new: &str) {
    let mut stored = world.store.flow(id_of(flow)).await.unwrap().unwrap();
    let body = stored.body.replace(old, new);
    assert_ne!(body, stored.body);
    stored.body = body;
    assert_eq!(world.store.update_flow(&stored).await.unwrap(), Written::Done);
}

#[tokio::test]
async fn return_to_is_checked_again_on_use() {
    for world in World::on_every_store(|builder| builder.factor(Password::default())) {
        let site = &world.a;
        site.enrol("kim").await;
        for kind in KINDS {
            for exit in ["success", "satisfied", "wrong", "expired", "read", "gate", "settings"] {
                for honest in [true, false] {
                    if kind == Kind::Native && exit == "gate" {
                        continue;
                    }
                    let name = if exit == "settings" { "ann" } else { "kim" };
                    let mut client = if exit == "gate" { site.stranger(kind) } else { client(site, kind, name).await };
                    let (flow, page) = match exit {
                        "settings" => (client.begin("settings", "?return_to=/pay").await, "settings"),
                        "gate" => (client.begin("login", "?return_to=/pay").await, "login"),
                        _ => (client.begin("login", "?aal=aal2&return_to=/pay").await, "login"),
                    };
                    if exit == "gate" {
                        // Only then it is stored.
                        let fields = [("method", "password"), ("identifier", "kim"), ("password", "x")];
                        client.submit(&flow, &fields).await;
                    }
                    if !honest {
                        alter(&world, &flow, &url_of("/pay"), "https://evil.example/pay").await;
                    }
                    world.next_code();
                    let code = site.code();
                    let mut answers = vec![];
                    match exit {
                        "success" => answers.push(client.totp(&flow, &code).await),
                        "satisfied" => {
                            let answer = client.step_up(&code).await;
                            assert!(answer.status != 400);
                            answers.push(client.totp(&flow, &code).await);
                        }
                        "wrong" => answers.push(client.totp(&flow, WRONG).await),
                        "expired" => {
                            world.advance(Duration::from_secs(3600));
                            answers.push(client.read(page, flow.id()).await);
                            answers.push(client.totp(&flow, &site.code()).await);
                        }
                        "gate" => {
                            let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
                            answers.push(client.submit(&flow, &fields).await);
                        }
                        "settings" => {
                            let code = crate::site::code_of(&secret_of(&flow.view), site.seconds());
                            answers.push(client.totp(&flow, &code).await);
                            site.step_up
                                .unbind(&crate::world::subject("ann"), tower_step_up::Method::Totp)
                                .await
                                .unwrap();
                        }
                        _ => {}
                    }
                    answers.push(client.read(page, flow.id()).await);
                    answers.push(client.get(&format!("/self-service/ui/{page}?flow={}", flow.id())).await);
                    let all = format!("{answers:?}");
                    assert!(!all.contains("evil"), "{kind:?} {exit}: {all}");
                    assert!(!honest || all.contains("/pay") || all.contains("%2Fpay"), "{kind:?} {exit}: {all}");
                    site.step_up.unlock(&crate::world::subject("kim"), tower_step_up::Method::Totp).await.unwrap();
                }
            }
        }
    }
}

/// A flow of a browser in which a code can be sent, and the right fields.
async fn browser_flow(site: &Site, kind: Kind) -> (Client, OpenFlow) {
    let mut kim = client(site, kind, "kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    (kim, flow)
}

/// Sends the body as it is.
async fn send(client: &Client, flow: &OpenFlow, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = client.request(HttpMethod::POST, &flow.action());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.clone().send(request.body(Body::from(body.to_owned())).unwrap()).await
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn csrf_token_absent_is_refused() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let (mut kim, flow) = browser_flow(site, Kind::Spa).await;
        let code = site.code();
        let before = world.known("kim").await;
        let csrf = flow.csrf();
        let mut without_cookie = kim.clone();
        without_cookie.cookies.retain(|name, _| !name.contains("csrf"));
        for token in [None, Some(""), Some(" "), Some("null"), Some("AAAA"), Some("undefined")] {
            let pairs = [("method", "totp"), ("totp_code", code.as_str())];
            let pairs = pairs.into_iter().chain(token.map(|token| ("csrf_token", token)));
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs.clone()).finish();
            let object: serde_json::Map<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.into())).collect();
            let json = Value::Object(object).to_string();
            for (content_type, body) in [
                ("application/x-www-form-urlencoded", &form),
                ("APPLICATION/X-WWW-FORM-URLENCODED", &form),
                ("application/x-www-form-urlencoded; charset=UTF-8", &form),
                ("application/json", &json),
                ("Application/JSON;charset=utf-8", &json),
            ] {
                for client in [&kim, &without_cookie] {
                    let answer = send(client, &flow, &[("content-type", content_type)], body).await;
                    assert_error(&answer, 403, "security_csrf_violation");
                    // Only the form's field counts.
                    let header = [("content-type", content_type), ("x-csrf-token", &csrf)];
                    assert_error(&send(client, &flow, &header, body).await, 403, "security_csrf_violation");
                }
            }
            for content_type in [&[][..], &[("content-type", "text/plain")]] {
                for body in [&form, &json] {
                    // Not even read: wire.md has this check before the token's.
                    assert_says(&send(&kim, &flow, content_type, body).await, 4_000_001);
                }
            }
        }
        assert_error(
            &send(&without_cookie, &flow, &[FORM], &form_of(&code, &csrf)).await,
            403,
            "security_csrf_violation",
        );
        assert_eq!(world.known("kim").await, before);
        assert_eq!(kim.totp(&flow, &code).await.status, 200, "nothing of it was counted or used up");
    }
}

fn form_of(code: &str, csrf: &str) -> String {
    let fields = [("method", "totp"), ("totp_code", code), ("csrf_token", csrf)];
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn csrf_cookie(client: &Client) -> (String, String) {
    let (name, value) = client.cookies.iter().find(|(name, _)| name.contains("csrf")).unwrap();
    (name.clone(), value.clone())
}

#[tokio::test]
async fn csrf_token_of_another_session_is_refused() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        site.enrol("eve").await;
        let (mut kim, flow) = browser_flow(site, Kind::Spa).await;
        let mut eve = site.spa("eve").await;
        let evil = eve.begin("login", "?aal=aal2").await;
        let (name, planted) = csrf_cookie(&eve);
        let code = site.code();
        let before = world.known("kim").await;
        // Eve's value in Kim's form; Eve's whole pair tossed into Kim's browser; both cookies there at once.
        let mut tossed = kim.clone();
        tossed.cookies.insert(name.clone(), planted.clone());
        let mut bare = kim.clone();
        bare.cookies.retain(|name, _| !name.contains("csrf"));
        bare.cookies.insert(name.trim_start_matches("__Host-").to_owned(), planted.clone());
        for client in [&kim, &tossed, &bare] {
            let answer = send(client, &flow, &[FORM], &form_of(&code, &evil.csrf())).await;
            assert_error(&answer, 403, "security_csrf_violation");
        }
        let both = kim.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut without = kim.clone();
        without.cookies.clear();
        for csrf in [flow.csrf(), evil.csrf()] {
            let cookies = ("cookie", format!("{both}; {name}={planted}"));
            let answer = send(&without, &flow, &[FORM, (cookies.0, &cookies.1)], &form_of(&code, &csrf)).await;
            assert_error(&answer, 403, "security_csrf_violation");
        }
        // The unmasked token is no value of a form, nor is the flow readable for whoever has another.
        let answer = send(&kim, &flow, &[FORM], &form_of(&code, &csrf_cookie(&kim).1)).await;
        assert_error(&answer, 403, "security_csrf_violation");
        assert_error(&tossed.read("login", flow.id()).await, 403, "security_csrf_violation");
        assert_eq!(world.known("kim").await, before);
        assert_eq!(kim.totp(&flow, &code).await.status, 200);

        // After the logout the browser has another token: the one from before is worth nothing.
        let (_, old) = csrf_cookie(&kim);
        let begun = kim.get("/self-service/logout/browser").await.json();
        kim.get(begun["logout_url"].as_str().unwrap()).await;
        assert_ne!(csrf_cookie(&kim).1, old);
        let mut next = site.spa("kim").await;
        next.cookies.insert(name.clone(), csrf_cookie(&kim).1);
        let flow = next.begin("login", "?aal=aal2").await;
        let mut stale = next.clone();
        stale.cookies.insert(name, old);
        let code = world.next_code();
        assert_error(&stale.totp(&flow, &code).await, 403, "security_csrf_violation");
        assert_eq!(next.totp(&flow, &code).await.status, 200);
    }
}

/// A page without a flow takes the token of its own session alone: not that of an attacker whose cookie was tossed into this browser.
#[tokio::test]
async fn csrf_token_of_another_session_ends_no_sessions() {
    const SESSIONS: &str = "/self-service/ui/sessions";
    for world in World::on_every_store(|builder| builder.cookie_prefix(CookiePrefix::Secure)) {
        let site = &world.a;
        site.enrol("kim").await;
        let (mut kim, _elsewhere) = (site.spa("kim").await, site.spa("kim").await);
        assert_eq!(kim.step_up(&site.code()).await.status, 200);
        let mut eve = site.spa("eve").await;
        let (own, evil) = (csrf_of(&kim.get(SESSIONS).await.text), csrf_of(&eve.get(SESSIONS).await.text));
        let (name, planted) = csrf_cookie(&eve);
        let mut tossed = kim.clone();
        tossed.cookies.insert(name, planted);
        let before = world.known("kim").await;
        // By an old browser, which says nothing of where a form comes from.
        for (mut client, csrf) in [(tossed.clone(), &evil), (kim.clone(), &evil), (tossed, &own)] {
            for session in ["others".to_owned(), before.sessions[0].id().to_string()] {
                let answer = client.post(SESSIONS, &[("csrf_token", csrf), ("session", &session)]).await;
                assert!(answer.location().contains("/error"), "{answer:?}");
            }
        }
        assert_eq!(world.known("kim").await, before);
        let answer = kim.at(&world.b).post(SESSIONS, &[("csrf_token", &own), ("session", "others")]).await;
        assert!(answer.location().ends_with(SESSIONS), "{answer:?}");
        assert_eq!(world.known("kim").await.sessions.len(), 1);
    }
}

#[tokio::test]
async fn cross_site_metadata_is_refused() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let (mut kim, flow) = browser_flow(site, Kind::Spa).await;
        let mut ann = site.spa("ann").await;
        let settings = ann.begin("settings", "").await;
        let code = site.code();
        for headers in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", ORIGIN)],
            &[("sec-fetch-site", "same-site"), ("origin", ORIGIN)],
            &[("origin", "https://evil.example")],
            &[("origin", "https://sub.bank.example")],
            &[("origin", "https://bank.example.evil.example")],
            &[("origin", "https://bank.example:8443")],
            &[("origin", "http://bank.example")],
            &[("origin", "HTTPS://BANK.EXAMPLE/")],
            &[("origin", "null"), ("origin", "null")],
            &[("origin", "null"), ("sec-fetch-site", "same-site")],
            &[("origin", "null"), ("sec-fetch-site", "cross-site")],
            &[("origin", "null"), ("sec-fetch-site", "none")],
            &[("origin", ""), ("sec-fetch-site", "same-origin")],
            &[("origin", ORIGIN), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "something-new")],
        ] {
            for (client, flow) in [(&kim, &flow), (&ann, &settings)] {
                let headers = [headers, &[FORM]].concat();
                let answer = send(client, flow, &headers, &form_of(&code, &flow.csrf())).await;
                assert_error(&answer, 403, "security_csrf_violation");
            }
        }
        assert!(world.known("ann").await.credentials.is_empty());
        // Browsers send the last pair from pages that send no referrer, as the built-in ones do.
        let honest = [("origin", "null"), ("sec-fetch-site", "same-origin"), FORM];
        assert_eq!(send(&kim, &flow, &honest, &form_of(&code, &flow.csrf())).await.status, 200);
        kim.cookies.clear();
    }
}

#[tokio::test]
async fn api_flow_with_cookie_or_origin_is_refused() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut native = site.native("kim").await;
        let flow = native.begin("login", "?aal=aal2").await;
        let (browser, browser_flow) = browser_flow(site, Kind::Spa).await;
        let code = site.code();
        let body = format!(r#"{{"method":"totp","totp_code":"{code}"}}"#);
        let before = world.known("kim").await;
        let session = format!("__Host-step_up_session={}", native.token.clone().unwrap());
        for _ in 0..10 {
            for header in [("origin", ORIGIN), ("origin", "null"), ("cookie", "a=1"), ("cookie", &session)] {
                assert_says(&send(&native, &flow, &[JSON, header], &body).await, 4_000_001);
            }
            // A browser's flow sent as if it were a program's.
            let mut program = browser.clone();
            program.token = program.session_cookie().map(str::to_owned);
            program.cookies.clear();
            assert_error(&send(&program, &browser_flow, &[JSON], &body).await, 403, "security_csrf_violation");
        }
        assert_eq!(world.known("kim").await, before);
        assert_eq!(native.totp(&flow, &code).await.status, 200, "nothing was counted");
    }
}

#[tokio::test]
async fn get_never_changes_state() {
    for world in worlds() {
        let site = &world.a;
        let mut kim = site.spa("kim").await;
        let secret = kim.enrol_totp(site).await;
        kim.enrol_lookup().await;
        world.next_code();
        let code = crate::site::code_of(&secret, site.seconds());
        let refresh = kim.begin("login", "?aal=aal2&refresh=true").await;
        let settings = kim.begin("settings", "").await;
        let eve = site.spa("eve").await;
        let foreign = eve.clone().get("/self-service/logout/browser").await.json()["logout_token"].clone();
        let before = world.known("kim").await;
        let (csrf, of_settings) = (encode(&refresh.csrf()), encode(&settings.csrf()));
        for method in [HttpMethod::GET, HttpMethod::HEAD, HttpMethod::OPTIONS, HttpMethod::PUT, HttpMethod::PATCH] {
            for path in [
                format!("{}&method=totp&totp_code={code}&csrf_token={csrf}", refresh.action()),
                format!("{}&totp_unlink=true&csrf_token={of_settings}", settings.action()),
                format!("{}&lookup_secret_regenerate=true&csrf_token={of_settings}", settings.action()),
                format!("{}&lookup_secret_disable=true&csrf_token={of_settings}", settings.action()),
            ] {
                let request = kim.request(method.clone(), &path).header("x-http-method-override", "POST");
                let answer = kim.clone().send(request.body(Body::empty()).unwrap()).await;
                assert_eq!((answer.status.as_u16(), answer.headers["allow"].to_str().unwrap()), (405, "POST"));
            }
        }
        for (query, status) in [("", 400), ("?token=", 400), ("?token=x", 403), ("?token=a&token=a", 400)] {
            let answer = kim.get(&format!("/self-service/logout{query}")).await;
            assert_error(&answer, status, "");
        }
        let path = format!("/self-service/logout?token={}", foreign.as_str().unwrap());
        assert_error(&kim.get(&path).await, 403, "");
        let mut eve = eve;
        eve.get(&path).await;
        // Links that begin, read or show something change no more than that.
        for path in ["/self-service/login/browser?aal=aal2&refresh=true", "/self-service/settings/browser", "/sessions"]
        {
            kim.clone().get(path).await;
        }
        assert_eq!(world.known("kim").await, before);
        assert_eq!(kim.totp(&refresh, &code).await.status, 200, "the honest twin");
        let begun = kim.get("/self-service/logout/browser").await.json();
        assert_eq!(kim.get(begun["logout_url"].as_str().unwrap()).await.status, 204);
    }
}

#[tokio::test]
async fn flow_of_another_session_or_subject_is_refused() {
    for world in World::on_every_store(|builder| builder.factor(Password::default())) {
        let site = &world.a;
        site.enrol("kim").await;
        site.enrol("eve").await;
        for kind in [Kind::Spa, Kind::Native] {
            let mut kim = client(site, kind, "kim").await;
            let flow = kim.begin("login", "?aal=aal2").await;
            let settings = site.spa("ann").await.begin("settings", "").await;
            let code = world.next_code();
            let before = world.known("kim").await;
            for name in ["eve", "kim"] {
                let mut other = client(site, kind, name).await;
                other.cookies.extend(kim.cookies.clone().into_iter().filter(|(name, _)| name.contains("csrf")));
                for answer in [
                    other.read("login", flow.id()).await,
                    other.totp(&flow, &code).await,
                    other.submit(&flow, &[("method", "totp"), ("totp_code", &code), ("identifier", "kim")]).await,
                ] {
                    assert_error(&answer, 403, "security_identity_mismatch");
                    assert!(!answer.text.contains("kim"), "{answer:?}");
                }
                other.assert_aal1(site).await;
            }
            assert_error(&kim.read("settings", settings.id()).await, 403, "security_identity_mismatch");
            let unknown = uuid::Uuid::from_u128(7);
            assert_eq!(kim.read("login", &unknown.to_string()).await.status, 404);
            assert_eq!(
                kim.post(&format!("/self-service/login?flow={unknown}"), &[("method", "totp")]).await.status,
                404
            );
            assert_eq!(world.known("kim").await.steps, before.steps);

            // A refresh is answered by nobody but the session's subject: told before the password is looked at.
            let refresh = kim.begin("login", "?refresh=true").await;
            for password in ["eve-password", "wrong"] {
                let fields = [("method", "password"), ("identifier", "eve"), ("password", password)];
                let answer = kim.submit(&refresh, &fields).await;
                assert_error(&answer, 403, "security_identity_mismatch");
            }
            let answer = kim.totp(&flow, &code).await;
            assert_eq!(answer.status, 200);
            kim.keep_token_if_any(&answer);
            assert!(kim.pays(site).await);
            let after = world.known("kim").await;
            assert_eq!(after.sessions.len(), before.sessions.len() + 1, "one more was signed in, none was doubled");
        }
    }
}

#[tokio::test]
async fn victim_finishing_the_attackers_flow_helps_nobody() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        site.enrol("eve").await;
        let mut eve = site.browser("eve").await;
        let evil = eve.begin("login", "?aal=aal2").await;
        let evil_settings = site.browser("ann").await.begin("settings", "").await;
        let mut kim = site.browser("kim").await;
        let own = kim.begin("login", "?aal=aal2").await;
        let code = site.code();
        let session = kim.session_cookie().map(str::to_owned);
        let before = (world.known("kim").await, world.known("eve").await);
        // Lured there, Kim even has the attacker's CSRF cookie.
        let mut lured = as_program(&kim);
        lured.cookies.extend(eve.cookies.clone().into_iter().filter(|(name, _)| name.contains("csrf")));
        assert_error(&lured.totp(&evil, &code).await, 403, "security_identity_mismatch");
        assert_error(&lured.read("login", evil.id()).await, 403, "security_identity_mismatch");
        let fields = [("method", "totp"), ("totp_code", code.as_str()), ("csrf_token", &evil_settings.csrf())];
        let answer = lured.submit_raw(&evil_settings, &fields).await;
        assert!(matches!(answer.error_id().as_str(), "security_identity_mismatch"), "{answer:?}");
        let page = kim.get(&format!("/self-service/ui/login?flow={}", evil.id())).await;
        assert!(page.location().contains("/self-service/ui/error?id="), "{page:?}");
        assert_eq!((world.known("kim").await, world.known("eve").await), before);
        assert_eq!(kim.session_cookie().map(str::to_owned), session, "nobody switched the session");
        as_program(&eve).assert_aal1(site).await;
        assert_eq!(kim.totp(&own, &code).await.location(), url_of("/"), "the code is still good");
        assert!(as_program(&kim).pays(site).await);
    }
}

#[tokio::test]
async fn flow_is_spent_after_success() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        for (kind, query) in [
            (Kind::Spa, "?aal=aal2"),
            (Kind::Spa, "?aal=aal2&refresh=true"),
            (Kind::Native, "?aal=aal2"),
            (Kind::Native, "?aal=aal2&refresh=true"),
        ] {
            let mut kim = client(site, kind, "kim").await;
            let flow = kim.begin("login", query).await;
            let answer = kim.totp(&flow, &world.next_code()).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            kim.keep_token_if_any(&answer);
            let (before, code) = (world.known("kim").await, world.next_code());
            let again = kim.totp(&flow, &code).await;
            // Of a refresh flow it says so; any other has nothing left to do (wire.md, checks 6 and 8).
            assert_says(&again, if query.contains("refresh") { 4_010_007 } else { 4_000_001 });
            assert_eq!(world.known("kim").await, before, "neither a code nor a rotation");
            let next = kim.begin("login", "?aal=aal2&refresh=true").await;
            assert_eq!(kim.totp(&next, &code).await.status, 200);

            // Twice at once, with two codes that are both good.
            let mut kim = client(site, kind, "kim").await;
            let flow = kim.begin("login", query).await;
            let (older, newer) = (world.next_code(), world.next_code());
            let before = world.known("kim").await.sessions.len();
            let mut again = kim.clone();
            let answers = tokio::join!(kim.totp(&flow, &older), again.totp(&flow, &newer));
            assert_one_passed(&answers.0, &answers.1);
            assert_eq!(world.known("kim").await.sessions.len(), before);
            world.next_code();
        }
    }
}

#[tokio::test]
async fn expired_flow_is_gone_and_keeps_its_purpose() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        for kind in [Kind::Spa, Kind::Native] {
            for query in ["?aal=aal2&return_to=/pay", "?aal=aal2&refresh=true&return_to=/pay"] {
                let mut kim = client(site, kind, "kim").await;
                let flow = kim.begin("login", query).await;
                world.advance(Duration::from_secs(3600));
                let (before, code) = (world.known("kim").await, site.code());
                let gone = kim.totp(&flow, &code).await;
                assert_error(&gone, 410, "self_service_flow_expired");
                assert_eq!(world.known("kim").await, before);
                let id = gone.json()["use_flow_id"].as_str().unwrap().to_owned();
                let successor = kim.read("login", &id).await.json();
                for key in ["requested_aal", "refresh", "return_to", "type"] {
                    assert_eq!(successor[key], flow.view[key], "{key}");
                }
                // The successor is bound as the first was.
                let mut other = client(site, kind, "kim").await;
                other.cookies.extend(kim.cookies.clone().into_iter().filter(|(name, _)| name.contains("csrf")));
                assert_error(&other.read("login", &id).await, 403, "security_identity_mismatch");
                let action = successor["ui"]["action"].as_str().unwrap().to_owned();
                let csrf = successor["ui"]["nodes"][0]["attributes"]["value"].as_str().unwrap().to_owned();
                let fields = [("method", "totp"), ("totp_code", code.as_str()), ("csrf_token", csrf.as_str())];
                let answer = kim.post(&action, &fields).await;
                assert_eq!(answer.status, 200, "the code is still good: {answer:?}");
                world.next_code();
            }
        }
    }
}

#[tokio::test]
async fn steps_cannot_be_skipped_or_claimed() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        for kind in [Kind::Spa, Kind::Native] {
            let mut kim = client(site, kind, "kim").await;
            let flow = kim.begin("login", "?aal=aal2").await;
            let before = world.known("kim").await;
            let invented = uuid::Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef);
            let fields = [("method", "totp"), ("totp_code", WRONG), ("state", "passed_challenge")];
            assert_eq!(kim.post(&format!("/self-service/login?flow={invented}"), &fields).await.status, 404);
            let claimed = ("state", "passed_challenge");
            for method in ["passkey", "profile", "password", "totp"] {
                let answer = kim.submit(&flow, &[("method", method), claimed, ("aal", "aal2")]).await;
                match method {
                    "totp" => assert_eq!(answer.node_messages("totp_code"), [4_000_002]),
                    // Not of this flow's level, or not configured.
                    _ => assert_says(&answer, 4_010_002),
                }
            }
            // A second factor without a first, in a flow of nobody's.
            let mut stranger = site.stranger(kind);
            let endpoint = if kind == Kind::Native { "api" } else { "browser" };
            let answer = stranger.get(&format!("/self-service/login/{endpoint}?aal=aal2")).await;
            assert_error(&answer, 401, "session_aal1_required");
            assert_error(&stranger.totp(&flow, &site.code()).await, 401, "session_aal1_required");
            assert_eq!(world.known("kim").await, before);
            kim.assert_aal1(site).await;
            let code = world.next_code();
            let answer = kim.totp(&flow, &code).await;
            assert_eq!(answer.status, 200);
            kim.keep_token_if_any(&answer);

            let settings = kim.begin("settings", "").await;
            let before = world.known("kim").await;
            let answer = kim.submit(&settings, &[("lookup_secret_confirm", "true")]).await;
            assert_says(&answer, 4_000_001);
            assert_eq!(world.known("kim").await, before);
        }
    }
}
