//! Section 6 of the list of attacks: pages, headers, logs.

use axum::{
    body::Body,
    http::{HeaderValue, Method as HttpMethod, header},
};
use tower_step_up::{
    SigningKey, StepUp, StepUpBuilder, Subject,
    directory::{Directory, DirectoryFuture, Identity},
    factor::{LookupSecrets, Password, Totp},
    seal::EncryptionKey,
    store::{MemoryStore, Revocation},
};

use crate::{
    common::{NO_STORE, VARY, log::Log, store::ADDRESS},
    site::{Answer, Client, KINDS, Kind, ORIGIN, Site, code_of},
    world::{WRONG, World, client, codes_of, secret_of, subject},
};

/// Answers of every kind that the companion router gives, to a client with these further headers.
async fn answers(site: &Site, kind: Kind, headers: &[(&str, &str)]) -> Vec<(String, Answer)> {
    site.enrol("kim").await;
    let mut kim = client(site, kind, "kim").await;
    let login = kim.begin("login", "?aal=aal2&return_to=/pay").await;
    let mut ann = client(site, kind, "ann").await;
    let settings = ann.begin("settings", "?return_to=/pay").await;
    let endpoint = if kind == Kind::Native { "api" } else { "browser" };
    let mut all = vec![];
    let paths = [
        format!("/self-service/login/{endpoint}?aal=aal2"),
        format!("/self-service/login/{endpoint}"),
        format!("/self-service/login/{endpoint}?aal=aal3"),
        format!("/self-service/login/flows?id={}", login.id()),
        "/self-service/login/flows?id=x".to_owned(),
        format!("/self-service/settings/{endpoint}"),
        format!("/self-service/settings/flows?id={}", settings.id()),
        "/self-service/logout/browser".to_owned(),
        "/self-service/logout?token=x".to_owned(),
        "/self-service/errors?id=stub:500".to_owned(),
        format!("/self-service/ui/login?flow={}", login.id()),
        format!("/self-service/ui/settings?flow={}", settings.id()),
        "/self-service/ui/error?id=x".to_owned(),
        "/sessions/whoami".to_owned(),
        "/sessions".to_owned(),
        "/self-service/login".to_owned(),
    ];
    let ask = async |client: &Client, method: HttpMethod, path: &str| {
        let mut request = client.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        client.clone().send(request.body(Body::empty()).unwrap()).await
    };
    for path in &paths {
        for client in [&kim, &ann, &site.stranger(kind)] {
            all.push((path.clone(), ask(client, HttpMethod::GET, path).await));
        }
    }
    all.push(("POST login".to_owned(), ask(&kim, HttpMethod::POST, &login.action()).await));
    all.push(("POST settings".to_owned(), ask(&ann, HttpMethod::POST, &settings.action()).await));
    all.push(("DELETE sessions".to_owned(), ask(&ann, HttpMethod::DELETE, "/sessions").await));
    all.push(("wrong".to_owned(), kim.totp(&login, WRONG).await));
    all.push(("right".to_owned(), kim.totp(&login, &site.code()).await));
    let code = code_of(&secret_of(&settings.view), site.seconds());
    all.push(("enrolled".to_owned(), ann.totp(&settings, &code).await));
    all
}

/// The companion router's part of `auth_responses_are_never_cached`.
pub async fn companion_answers_are_never_cached() {
    for kind in KINDS {
        let world = World::new();
        for (what, answer) in answers(&world.a, kind, &[]).await {
            let header = |name: &str| {
                let values = answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
                values.collect::<Vec<_>>().join(", ")
            };
            assert_eq!(header("cache-control"), NO_STORE, "{kind:?} {what}: {answer:?}");
            assert!(header("vary").starts_with(VARY), "{kind:?} {what}: {answer:?}");
        }
    }
}

/// The companion router's part of `host_headers_never_build_urls`.
pub async fn companion_urls_never_come_from_headers(evil: &[(&str, &str)]) {
    for kind in KINDS {
        let (honest, attacked) = (World::new(), World::new());
        let right = answers(&honest.a, kind, &[]).await;
        let wrong = answers(&attacked.a, kind, evil).await;
        for ((what, right), (_, wrong)) in right.into_iter().zip(wrong) {
            let all = format!("{wrong:?}");
            assert!(!all.contains("evil") && !all.contains("http://bank"), "{kind:?} {what}: {all}");
            // Only what checks the origin may answer otherwise.
            assert!(right.status == wrong.status || what.starts_with("POST"), "{kind:?} {what}: {right:?} {wrong:?}");
        }
    }
}

#[tokio::test]
async fn untrusted_text_forges_no_header_or_log_line() {
    let world = World::with(|builder| builder.factor(Password::default()));
    let site = &world.a;
    let (log, _guard) = Log::begin();
    let hostile = [
        "\"quoted\", error=\"none\"",
        "a\\u000d\\u000aX-Evil: 1",
        "%0d%0aX-Evil: 1",
        "<script>alert(1)</script>",
        "caf\u{e9} \u{202e}txt\u{2028}",
        "${jndi:ldap://evil.example}",
    ];
    for text in hostile {
        // As a subject: who has such a name is told apart, and makes no second line.
        site.enrol(text).await;
        let mut odd = site.spa(text).await;
        assert_eq!(odd.whoami().await.status, 403);
        let flow = odd.begin("login", "?aal=aal2").await;
        odd.totp(&flow, WRONG).await;
        assert_eq!(odd.totp(&flow, &site.code()).await.status, 200);
        let whoami = odd.whoami().await;
        let id = whoami.headers["x-kratos-authenticated-identity-id"].to_str().unwrap();
        assert!(uuid::Uuid::parse_str(id).is_ok());
        // As headers.
        for name in ["x-request-id", "user-agent", "x-forwarded-for", "accept-language", "authorization", "hx-request"]
        {
            let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else { continue };
            for path in
                ["/payments", "/sessions/whoami", "/self-service/login/browser?aal=aal2", "/self-service/errors?id=x"]
            {
                let request = site.stranger(Kind::Spa).request(HttpMethod::GET, path).header(name, value.clone());
                let answer = site.stranger(Kind::Spa).send(request.body(Body::empty()).unwrap()).await;
                assert!(answer.headers.get("x-evil").is_none());
                for (name, value) in &answer.headers {
                    let value = value.to_str().unwrap();
                    assert!(!value.contains("quoted") && !value.contains("script"), "{name}: {value}");
                }
                answer.json();
            }
        }
        // As fields.
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?refresh=true").await;
        let fields = [("method", text), ("identifier", text), ("password", text), (text, text)];
        assert!(kim.submit(&flow, &fields).await.status.is_client_error());
        for line in log.take() {
            assert!(!line.contains(['\n', '\r', '\u{2028}']), "{line:?}");
            // The audit names the subject and, at the end, the user agent, escaped and in quotes; nothing else that a client says is repeated.
            let said = line.replace(&format!("subject={text:?}"), "");
            let (said, agent) = said.split_once(" user_agent=").unwrap_or((&said, "\"\""));
            assert!(!said.contains("X-Evil: 1"), "{line:?}");
            assert!(serde_json::from_str::<String>(agent).is_ok_and(|agent| agent.is_ascii()), "{line:?}");
        }
    }
    for text in ["a\r\nX-Evil: 1", "a\nb", "\0", "\u{85}"] {
        assert!(Subject::new(text).is_err(), "{text:?}");
    }
    // A challenge is quoted rightly.
    site.enrol("kim").await;
    let mut kim = site.native("kim").await;
    let token = kim.token.take().unwrap();
    let request = kim.request(HttpMethod::GET, "/payments").header("authorization", format!("Bearer {token}"));
    let answer = kim.send(request.body(Body::empty()).unwrap()).await;
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 1);
    let parameters = challenge.strip_prefix("Bearer ").unwrap();
    for parameter in parameters.split(", ") {
        let (_, value) = parameter.split_once('=').unwrap();
        assert!(
            value.starts_with('"') && value.ends_with('"') && !value[1..value.len() - 1].contains('"'),
            "{challenge}"
        );
    }
}

#[tokio::test]
async fn secrets_reach_no_log_debug_or_error() {
    for world in World::on_every_store(|builder| builder.factor(Password::default())) {
        let site = &world.a;
        let (log, _guard) = Log::begin();
        let mut needles: Vec<String> = vec!["kim-password".into(), "hunter2".into(), ADDRESS.into()];
        let mut shown = String::new();
        for kind in KINDS {
            let mut kim = site.stranger(kind);
            let login = kim.begin("login", "").await;
            let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
            let wrong = [("method", "password"), ("identifier", "kim"), ("password", "hunter2")];
            shown += &kim.submit(&login, &wrong).await.text;
            let answer = kim.submit(&login, &fields).await;
            kim.keep_token_if_any(&answer);
            let settings = kim.begin("settings", "").await;
            let secret = secret_of(&settings.view);
            let code = code_of(&secret, site.seconds());
            shown += &kim.totp(&settings, WRONG).await.text.replace(&secret, "");
            let answer = kim.totp(&settings, &code).await;
            kim.keep_token_if_any(&answer);
            let settings = kim.begin("settings", "").await;
            kim.submit(&settings, &[("lookup_secret_regenerate", "true")]).await;
            let codes = codes_of(&kim.read("settings", settings.id()).await.json());
            let answer = kim.submit(&settings, &[("lookup_secret_confirm", "true")]).await;
            kim.keep_token_if_any(&answer);
            let refresh = kim.begin("login", "?aal=aal2&refresh=true").await;
            shown += &kim.lookup(&refresh, "ABCD-EFGH-IJKL-MNOP").await.text;
            let answer = kim.lookup(&refresh, &codes[0]).await;
            kim.keep_token_if_any(&answer);
            shown += &format!("{:?}", answer.headers.get(header::LOCATION));
            let begun = kim.get("/self-service/logout/browser").await.json();
            needles.extend([secret, code, begun["logout_token"].as_str().unwrap().to_owned()]);
            needles.extend(codes);
            needles.extend(kim.token.clone());
            needles.extend(kim.cookies.values().cloned());
            // Errors of every kind.
            for failing in 0..6 {
                let open = kim.begin("login", "?aal=aal2&refresh=true").await;
                site.step_up.forget(&subject("kim"));
                world.store.fails_after(failing);
                let answer = kim.totp(&open, WRONG).await;
                if !world.store.has_failed() || answer.status == 503 {
                    shown += &answer.text;
                }
                site.step_up.unlock(&subject("kim"), tower_step_up::Method::Totp).await.unwrap();
            }
            for body in ["{\"totp_code\":", "method=totp&totp_code=1&totp_code=2"] {
                let request =
                    kim.request(HttpMethod::POST, &refresh.action()).header("content-type", "application/json");
                shown += &kim.clone().send(request.body(Body::from(body)).unwrap()).await.text;
            }
            let signed_in = site.step_up.sign_in(subject("kim"), tower_step_up::Method::Password).await.unwrap();
            needles.push(signed_in.token().as_str().to_owned());
            shown += &format!("{signed_in:?} {:?} {:?}", signed_in.token(), signed_in.cookie());
            shown += &format!("{:?}", world.known("kim").await);
            site.step_up
                .revoke(&subject("kim"), Revocation::All(tower_step_up::clock::Clock::now(&site.clock)))
                .await
                .unwrap();
            site.step_up.unbind(&subject("kim"), tower_step_up::Method::Totp).await.unwrap();
            world.next_code();
        }
        // What can be printed.
        let key = || SigningKey::hs256("key", b"signing-key-signing-key-signing-!").unwrap();
        let sealing = || EncryptionKey::new("seal", b"sealing-key-sealing-key-sealing-!").unwrap();
        needles.extend(["signing-key-signing".into(), "sealing-key-sealing".into()]);
        let builder =
            StepUp::builder(ORIGIN).signing_key(key()).encryption_key(sealing()).store(MemoryStore::default());
        shown += &format!("{builder:?} {:?} {:?}", key(), sealing());
        shown += &format!("{:?} {:?} {:?}", Totp::new("x"), LookupSecrets::default(), site.step_up);
        let bytes = |text: &str| text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
        let lines = log.take();
        assert!(lines.len() > 20, "the honest twin: {lines:?}");
        for needle in needles {
            assert!(!shown.contains(&needle) && !shown.contains(&bytes(&needle)), "{needle} was shown");
            // Six digits may be a part of an id or a time.
            if needle.len() > 6 {
                assert!(lines.iter().all(|line| !line.contains(&needle)), "{needle} was logged");
            } else {
                assert!(lines.iter().all(|line| !line.contains(&format!("code={needle}"))), "{needle} was logged");
            }
        }
    }
}

/// Everybody is called like this.
struct Hostile;

const NAME: &str = "<script>alert(1)</script>\"'&amp;:&secret=AAAA&issuer=Evil";

impl Directory for Hostile {
    fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async { Ok(Some(Identity::new(serde_json::json!({ "name": NAME })))) })
    }

    fn identifier<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, String> {
        Box::pin(async { Ok(NAME.to_owned()) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn step_up_page_escapes_and_cannot_be_framed() {
    let hostile = |builder: StepUpBuilder| {
        builder.directory(Hostile).application_name("<b>Bank</b>\"").factor(Password::default())
    };
    let site = Site::with(|builder| hostile(crate::stores::one().give_to(builder)));
    let mut kim = site.browser("kim").await;
    let settings = kim.begin("settings", "?return_to=/%3Cscript%3Ealert(1)%3C/script%3E%22onload=x").await;
    kim.totp(&settings, "<script>alert(1)</script>").await;
    let mut pages = vec![
        kim.get(&format!("/self-service/ui/settings?flow={}", settings.id())).await,
        kim.get("/self-service/ui/error?id=%3Cscript%3Ealert(1)%3C/script%3E").await,
    ];
    // The label of the app has one account and one issuer.
    let nodes = settings.view["ui"].to_string();
    assert!(nodes.contains("data:image/png;base64,") && !nodes.contains("<script"));
    site.enrol("kim").await;
    let login = kim.begin("login", "?aal=aal2&return_to=/%3Cscript%3E%22%27").await;
    kim.totp(&login, "<script>").await;
    pages.push(kim.get(&format!("/self-service/ui/login?flow={}", login.id())).await);
    let refresh = kim.begin("login", "?refresh=true").await;
    pages.push(kim.get(&format!("/self-service/ui/login?flow={}", refresh.id())).await);
    assert!(pages.iter().any(|page| page.text.contains("&lt;script&gt;") || page.text.contains("&#60;script&#62;")));
    for page in &pages {
        assert!(page.text.starts_with("<!") && page.text.contains("<h1>"), "{page:?}");
        let lower = page.text.to_lowercase();
        for bad in ["<script", "<b>bank", "\"onload=x", "javascript:", " on", "\"'&amp;:&secret"] {
            let found = if bad == " on" {
                lower.contains(" onclick=") || lower.contains(" onload=")
            } else {
                lower.contains(bad)
            };
            assert!(!found, "{bad}: {}", page.text);
        }
        let header = |name: &str| page.headers[name].to_str().unwrap();
        let policy = header("content-security-policy");
        for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(directive), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("strict-transport-security"), "max-age=31536000");
        assert!(header("content-type").starts_with("text/html"));
    }
    // No other origin reads anything, with credentials or without, asked before or not.
    for (method, path) in [
        (HttpMethod::GET, "/sessions/whoami"),
        (HttpMethod::OPTIONS, "/sessions/whoami"),
        (HttpMethod::OPTIONS, "/self-service/login"),
        (HttpMethod::GET, "/self-service/login/browser?aal=aal2"),
    ] {
        let request = kim.request(method, path).header("origin", "https://evil.example");
        let request = request.header("access-control-request-method", "POST");
        let answer = kim.clone().send(request.body(Body::empty()).unwrap()).await;
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{answer:?}");
    }
}

/// What a client calls itself is kept with its session: bounded, printable, and shown as text alone.
#[tokio::test]
async fn a_hostile_user_agent_is_shown_as_text_and_bounded() {
    let long = [b"A".repeat(60_000), b"</dd><script>".to_vec()].concat();
    let hostile: [&[u8]; 7] = [
        b"</dd><script>alert(1)</script>",
        b"\"'><img src=x onerror=alert(1)>",
        b"{{ 7 * 7 }} &lt;b&gt; \\u003cb\\u003e",
        b"\"}],\"client_address\":\"192.0.2.66\",\"x\":[{\"y\":\"",
        b"'); DROP TABLE step_up_sessions; --",
        b"a\tb\x80\xff\xfe \xe2\x80\xaegnp.exe",
        &long,
    ];
    for world in World::on_every_store(|builder| builder.factor(Password::default())) {
        let site = &world.a;
        let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
        let mut cookies = vec![];
        for (number, agent) in hostile.iter().enumerate() {
            let mut mallory = site.stranger(Kind::Spa).sending(&[("user-agent", *agent)]);
            let flow = mallory.begin("login", "").await;
            let answer = mallory.submit(&flow, &fields).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            cookies.push(mallory.session_cookie().unwrap().len());
            let session = mallory.at(&world.b).whoami().await.json();
            let device = &session["devices"][0];
            let kept = device["user_agent"].as_str().unwrap();
            assert!(kept.len() <= 512 && kept.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{kept}");
            assert_eq!((&device["ip_address"], session["devices"].as_array().unwrap().len()), (&"".into(), 1));
            let printable = String::from_utf8(agent.to_vec()).is_ok_and(|text| !text.contains('\t'));
            assert!(!printable || agent.starts_with(kept.as_bytes()), "{kept}");

            let mut owner = site.browser("kim").await;
            let page = owner.get("/self-service/ui/sessions").await.text;
            assert_eq!(page.matches("<dt>With</dt>").count(), number + 1, "{page}");
            assert!(["<script", "<img", "<b>"].iter().all(|markup| !page.contains(markup)), "{page}");
            assert!(page.len() < 40_000, "{}", page.len());
        }
        assert!(cookies.iter().all(|&length| length == cookies[0]), "no cookie grows by it: {cookies:?}");
    }
}
