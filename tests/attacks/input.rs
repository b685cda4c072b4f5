//! Section 9 of the list of attacks: what comes in.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::Method as HttpMethod,
};
use http_body::Frame;
use tower::ServiceExt;
use tower_step_up::{Method, factor::Password};

use crate::{
    site::{Answer, Client, Kind, OpenFlow},
    world::{WRONG, World, assert_error, assert_says, client, subject},
};

fn worlds() -> Vec<World> {
    World::on_every_store(|builder| builder)
}

async fn send(client: &Client, flow: &OpenFlow, content_type: Option<&str>, body: impl Into<Body>) -> Answer {
    let mut request = client.request(HttpMethod::POST, &flow.action());
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    client.clone().send(request.body(body.into()).unwrap()).await
}

const JSON: Option<&str> = Some("application/json");
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
const MULTIPART: Option<&str> = Some("multipart/form-data; boundary=x");

/// Pieces of a body, without end, and how many were taken.
struct Endless {
    piece: Bytes,
    left: usize,
    taken: Arc<AtomicUsize>,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.taken.fetch_add(self.piece.len(), Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

#[tokio::test]
async fn body_bombs_are_refused() {
    let world = World::new();
    let site = &world.a;
    site.enrol("kim").await;
    for kind in [Kind::Spa, Kind::Native] {
        let mut kim = client(site, kind, "kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let before = world.known("kim").await;
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let fields: String = (0..100_000).map(|number| format!("f{number}=&")).collect();
        let parts: String = (0..5_000)
            .map(|number| format!("--x\r\ncontent-disposition: form-data; name=\"{number}\"\r\n\r\n\r\n"))
            .collect();
        for (content_type, body) in [
            (JSON, deep),
            (JSON, format!("{{\"a\":\"{}\"}}", "x".repeat(200_000))),
            (FORM, fields),
            (MULTIPART, parts + "--x--"),
            (FORM, "a".repeat(200_000)),
        ] {
            let answer = send(&kim, &flow, content_type, body).await;
            assert!(matches!(answer.status.as_u16(), 400 | 413 | 415), "{answer:?}");
        }
        // Endless, with and without a length that lies: no more is taken than the limit and one piece.
        for length in [None, Some("10")] {
            let taken = Arc::new(AtomicUsize::new(0));
            let body = Endless { piece: Bytes::from(vec![b' '; 10_000]), left: 2_000, taken: Arc::clone(&taken) };
            let mut request = kim.request(HttpMethod::POST, &flow.action()).header("content-type", "application/json");
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            let answer = kim.clone().send(request.body(Body::new(body)).unwrap()).await;
            assert_eq!(answer.status, 413);
            assert!(taken.load(Ordering::SeqCst) <= 80_000, "{taken:?}");
        }
        // Nothing is unpacked.
        let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        gzip.extend([0; 2000]);
        let request = kim.request(HttpMethod::POST, &flow.action()).header("content-encoding", "gzip");
        let request = request.header("content-type", "application/json").body(Body::from(gzip)).unwrap();
        assert_says(&kim.clone().send(request).await, 4_000_001);
        let taken = Arc::new(AtomicUsize::new(0));
        let body = Endless { piece: Bytes::from(vec![b' '; 10_000]), left: 2_000, taken: Arc::clone(&taken) };
        let request = kim.request(HttpMethod::DELETE, "/self-service/logout/api").body(Body::new(body)).unwrap();
        assert_error(&kim.clone().send(request).await, 413, "");
        assert!(taken.load(Ordering::SeqCst) <= 80_000);
        assert_eq!(world.known("kim").await, before);
        assert_eq!(kim.totp(&flow, &world.next_code()).await.status, 200);
    }
}

#[tokio::test]
async fn unknown_content_type_is_refused() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        for kind in [Kind::Spa, Kind::Native] {
            let mut kim = client(site, kind, "kim").await;
            let flow = kim.begin("login", "?aal=aal2").await;
            let before = world.known("kim").await;
            let code = world.next_code();
            let csrf = flow.csrf();
            let fields = [("method", "totp"), ("totp_code", code.as_str()), ("csrf_token", &csrf)];
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            let json = format!(r#"{{"method":"totp","totp_code":"{code}","csrf_token":"{csrf}"}}"#);
            for _twice_the_limit in 0..10 {
                for (content_type, body) in [
                    (None, &form),
                    (None, &json),
                    (Some("application/xml"), &form),
                    (Some("text/plain"), &json),
                    (Some("text/xml; application/json"), &json),
                    (Some("application/jsonx"), &json),
                    (Some("application/json; charset=utf-16"), &json),
                    (Some("application/x-www-form-urlencoded; charset=iso-8859-1"), &form),
                    (FORM, &json),
                    (JSON, &form),
                    (Some("multipart/form-data"), &form),
                    (MULTIPART, &form),
                    (Some("*/*"), &json),
                    (Some(""), &json),
                ] {
                    let answer = send(&kim, &flow, content_type, body.clone()).await;
                    // JSON sent as a form is one nameless field.
                    let id = if content_type == FORM { 4_010_002 } else { 4_000_001 };
                    assert_says(&answer, id);
                }
            }
            assert_eq!(world.known("kim").await, before);
            assert_eq!(send(&kim, &flow, JSON, json).await.status, 200, "nothing was counted or used up");
        }
    }
}

#[tokio::test]
async fn broken_text_and_hostile_ids_are_refused() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let mut native = site.native("kim").await;
        let before = world.known("kim").await;
        let long = "9".repeat(10_000);
        world.store.take_calls();
        for id in [
            "%27%20OR%201=1--",
            "*",
            "flow:*",
            "%00",
            "%ff%fe",
            "..%2f..",
            "00000000-0000-0000-0000-00000000000g",
            "%7B3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20%7D",
            "urn:uuid:3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20",
            "3C1DE7A4-9A0E-4A55-8C33-1B7F0F6F5D20",
            "3c1de7a49a0e4a558c331b7f0f6f5d20",
            &long,
        ] {
            for client in [&mut kim, &mut native] {
                for kind in ["login", "settings"] {
                    // Settings ask for the level first; both are refused.
                    let read = client.read(kind, id).await;
                    assert!(matches!(read.status.as_u16(), 403 | 404), "{read:?}");
                    let sent = client.post(&format!("/self-service/{kind}?flow={id}"), &[("method", "totp")]).await;
                    assert!(matches!(sent.status.as_u16(), 400 | 403), "{sent:?}");
                }
                assert_eq!(client.get(&format!("/self-service/errors?id={id}")).await.status, 404);
                if !id.contains("%2f") {
                    assert_eq!(client.delete(&format!("/sessions/{id}"), "").await.status, 400, "{id}");
                }
            }
        }
        let calls = world.store.take_calls();
        assert!(calls.iter().all(|call| *call == "standing"), "an unparsed id reached the store: {calls:?}");

        let csrf = flow.csrf();
        for (content_type, body) in [
            (FORM, [b"method=totp&totp_code=\xff\xfe12345&csrf_token=".as_slice(), csrf.as_bytes()].concat()),
            (FORM, b"method=totp&totp_code=%ff%fe1234&csrf_token=%00".to_vec()),
            (JSON, b"{\"method\":\"totp\",\"totp_code\":\"\xff\xff\"}".to_vec()),
            (JSON, b"{\"method\":\"totp\",\"totp_code\":\"\\ud800\"}".to_vec()),
            (JSON, b"\xef\xbb\xbf{\"method\":\"totp\"}".to_vec()),
            (FORM, b"\0".to_vec()),
            (MULTIPART, b"--x\r\ncontent-disposition: form-data; name=\"\xff\"\r\n\r\n\0\r\n--x--".to_vec()),
        ] {
            let answer = send(&kim, &flow, content_type, body).await;
            assert!(matches!(answer.status.as_u16(), 400 | 403), "{answer:?}");
        }
        for (name, value) in [
            ("cookie", &b"\xff\xfe=1; __Host-step_up_session=\xff"[..]),
            ("x-session-token", b"\xff"),
            ("authorization", b"Bearer \xff"),
            ("accept", b"\xff"),
            ("content-type", b"\xff"),
            ("origin", b"\xff"),
            ("sec-fetch-site", b"\xff"),
            ("x-request-id", b"\xff"),
        ] {
            let value = axum::http::HeaderValue::from_bytes(value).unwrap();
            let stranger = site.stranger(Kind::Native);
            for path in ["/payments", "/sessions/whoami", "/self-service/login/browser?aal=aal2"] {
                let request = stranger.request(HttpMethod::GET, path).header(name, value.clone());
                let answer = stranger.clone().send(request.body(Body::empty()).unwrap()).await;
                assert!(matches!(answer.status.as_u16(), 401 | 303), "{name} {path}: {answer:?}");
            }
        }
        for path in [
            "/payments%00",
            "/%ff",
            "/self-service/login/browser?aal=%ff",
            "/self-service/login/browser?%ff=%00&aal=aal2%00",
        ] {
            let answer = kim.get(path).await;
            assert!(matches!(answer.status.as_u16(), 400 | 404), "{answer:?}");
        }
        assert_eq!(world.known("kim").await, before);
        site.step_up.unlock(&subject("kim"), Method::Totp).await.unwrap();
        assert_eq!(kim.totp(&flow, &site.code()).await.status, 200);
    }
}

#[tokio::test]
async fn code_grammar_is_strict() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        // A code with leading zeros, so that they can get lost.
        while !site.code().starts_with("00") {
            world.next_code();
        }
        let code = site.code();
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let before = world.known("kim").await;
        let number: u32 = code.parse().unwrap();
        let wide: String = code.chars().map(|one| char::from_u32(u32::from(one) - 0x30 + 0xff10).unwrap()).collect();
        let arabic: String = code.chars().map(|one| char::from_u32(u32::from(one) - 0x30 + 0x660).unwrap()).collect();
        for bad in [
            format!("+{}", &code[1..]),
            format!("-{}", &code[1..]),
            format!("{number:#x}"),
            format!("{number}"),
            format!("{number}.0"),
            format!("{code}.0"),
            format!("{code}\0"),
            format!("\0{code}"),
            format!("{code}0"),
            format!("0{code}"),
            code[..5].to_owned(),
            code.repeat(1_700),
            arabic,
            format!("code: {code}"),
            format!("{code},{code}"),
            format!("[\"{code}\"]"),
            format!("{number}e0"),
        ] {
            let answer = kim.totp(&flow, &bad).await;
            assert_eq!(answer.status, 400, "{bad:?}: {answer:?}");
            let field = answer.node_messages("totp_code");
            // More of them than guesses are free: none was one.
            assert!(answer.messages() == [4_000_008] || field == [4_000_003], "{bad:?}: {answer:?}");
        }
        // As a number the zeros are lost, so it is too short.
        let body = format!(r#"{{"method":"totp","totp_code":{number},"csrf_token":"{}"}}"#, flow.csrf());
        assert_eq!(send(&kim, &flow, JSON, body).await.node_messages("totp_code"), [4_000_003]);
        assert_eq!(world.known("kim").await, before);
        let written = format!(" \t{}\u{2009}-{}\n ", &wide[..9], &code[3..]);
        assert_eq!(kim.totp(&flow, &written).await.status, 200, "what a code is written with does not count");
    }
}

#[tokio::test]
async fn one_request_is_one_guess() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut owner = site.spa("kim").await;
        assert_eq!(owner.step_up(&site.code()).await.status, 200);
        let codes = owner.enrol_lookup().await;
        let mut kim = site.spa("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let code = world.next_code();
        let before = world.known("kim").await;
        let csrf = flow.csrf();
        let escaped: String = url::form_urlencoded::byte_serialize(csrf.as_bytes()).collect();
        for body in [
            format!("method=totp&totp_code={WRONG}&totp_code={code}&csrf_token={escaped}"),
            format!("method=totp&totp_code={code}&totp_code={WRONG}&csrf_token={escaped}"),
            format!("method=totp&method=lookup_secret&totp_code={code}&csrf_token={escaped}"),
            format!("method=totp&totp_code={code}&totp_code=&csrf_token={escaped}"),
        ] {
            assert_says(&send(&kim, &flow, FORM, body).await, 4_000_001);
        }
        for list in [
            format!("[\"{code}\"]"),
            format!("[\"{WRONG}\",\"{code}\"]"),
            format!("{{\"0\":\"{code}\"}}"),
            "null".into(),
        ] {
            let body = format!(r#"{{"method":"totp","totp_code":{list},"csrf_token":"{csrf}"}}"#);
            assert_eq!(send(&kim, &flow, JSON, body).await.node_messages("totp_code"), [4_000_002], "{list}");
        }
        for several in [format!("{WRONG},{code}"), format!("{code},{WRONG}"), format!("{WRONG} {code}")] {
            assert_says(&kim.totp(&flow, &several).await, 4_000_008);
        }
        let body = format!(r#"{{"method":"totp","totp_code":"{code}","totp_code":"{WRONG}","csrf_token":"{csrf}"}}"#);
        assert_says(&send(&kim, &flow, JSON, body).await, 4_000_001);
        assert_eq!(world.known("kim").await, before);
        site.step_up.unlock(&subject("kim"), Method::Totp).await.unwrap();

        // Both credentials at once: the method's own is judged, the other is not used up.
        let both = [("lookup_secret", codes[0].as_str()), ("totp_code", WRONG), ("method", "totp")];
        assert_says(&kim.submit(&flow, &both).await, 4_000_008);
        let extra = [
            ("aal", "aal3"),
            ("session", "x"),
            ("state", "passed_challenge"),
            ("subject", "lee"),
            ("refresh", "true"),
            ("return_to", "https://evil.example"),
            ("expires_at", "9999-01-01T00:00:00Z"),
            ("completed", "false"),
        ];
        let right = [("lookup_secret", codes[0].as_str()), ("totp_code", &code), ("method", "totp")];
        let answer = kim.submit(&flow, &[&right[..], &extra].concat()).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text.contains("evil") && !answer.text.contains("aal3"));
        assert!(kim.pays(site).await);
        assert!(world.known("lee").await.sessions.is_empty());
        let mut later = site.spa("kim").await;
        let flow = later.begin("login", "?aal=aal2").await;
        assert_eq!(later.lookup(&flow, &codes[0]).await.status, 200, "the other was not used up");
    }
}

fn header() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    prop_oneof![
        proptest::collection::vec(prop_oneof![32u8..127, 128u8..=255, Just(b'\t')], 0..80),
        "(application|text|multipart|\\*)/(json|html|\\*|x-www-form-urlencoded|form-data)(; ?(q=[0-9.]{0,4}|charset=[a-z0-9-]{0,6}|boundary=[a-z]?))?(, ?[a-z/*;=.]{0,12})?"
            .prop_map(String::into_bytes),
        "(Bearer |__Host-step_up_session=|__Host-csrf_token=)?(eyJ[A-Za-z0-9_-]{0,40})?(\\.[A-Za-z0-9_=;-]{0,40}){0,4}".prop_map(String::into_bytes),
    ]
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    /// Whatever strangers send is refused in some way that was meant: nothing panics, nothing fails inside, nobody gets in.
    #[test]
    fn no_header_or_body_is_more_than_refused(
        names in proptest::collection::vec(0..8usize, 0..5),
        values in proptest::collection::vec(header(), 5),
        body in proptest::prop_oneof![
            proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            proptest::strategy::Strategy::prop_map("[{}\\[\\]\":,a-z0-9&=%+-]{0,60}", String::into_bytes),
        ],
        query in "[a-z_=&%0-9/:.]{0,40}",
    ) {
        const NAMES: [&str; 8] =
            ["cookie", "authorization", "x-session-token", "accept", "content-type", "origin", "sec-fetch-site", "x-request-id"];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let site = &world.a;
            site.enrol("kim").await;
            let mut kim = site.spa("kim").await;
            let flow = kim.begin("login", "?aal=aal2").await;
            let settings = site.spa("ann").await.begin("settings", "").await;
            let before = (world.known("kim").await, world.known("ann").await);
            for (method, path, signed_in) in [
                (HttpMethod::GET, "/payments".to_owned(), false),
                (HttpMethod::GET, format!("/sessions/whoami?{query}"), false),
                (HttpMethod::GET, format!("/self-service/login/browser?{query}"), true),
                (HttpMethod::GET, format!("/self-service/login/flows?{query}"), true),
                (HttpMethod::POST, flow.action(), true),
                (HttpMethod::POST, flow.action(), false),
                (HttpMethod::POST, settings.action(), true),
                (HttpMethod::POST, format!("/self-service/login?{query}"), true),
                (HttpMethod::DELETE, "/self-service/logout/api".to_owned(), false),
            ] {
                let client = if signed_in { kim.clone() } else { site.stranger(Kind::Spa) };
                let mut request = client.request(method, &path).body(Body::from(body.clone())).unwrap();
                for (name, value) in names.iter().zip(&values) {
                    if let Ok(value) = axum::http::HeaderValue::from_bytes(value) {
                        request.headers_mut().append(NAMES[*name], value);
                    }
                }
                let answer = site.router.clone().oneshot(request).await.unwrap();
                assert!(answer.status().as_u16() < 500, "{path}: {answer:?}");
                assert!(!answer.headers().get_all("set-cookie").iter().any(|one| one.as_bytes().starts_with(b"__Host-step_up_session")));
            }
            assert_eq!((world.known("kim").await, world.known("ann").await), before);
            assert_eq!(site.calls.load(Ordering::SeqCst), 0);
        });
    }
}

/// A database fails on NUL, so a stranger could make errors of it. No user is called so: the credentials are wrong.
#[tokio::test]
async fn names_with_control_characters_are_wrong_names() {
    for world in World::on_every_store(|builder| builder.factor(Password::default())) {
        let site = &world.a;
        let checks = || site.users.password_checks.load(Ordering::SeqCst);
        for kind in [Kind::Spa, Kind::Native] {
            let mut stranger = site.stranger(kind);
            let longest = "k".repeat(1025);
            for name in ["kim\0", "\0", "k\u{1b}im", "k\u{85}im", "ki\nm", longest.as_str()] {
                let flow = stranger.begin("login", "").await;
                let asked = checks();
                let password = format!("{name}-password");
                let fields = [("method", "password"), ("identifier", name), ("password", password.as_str())];
                let answer = stranger.submit(&flow, &fields).await;
                assert_eq!((answer.status.as_u16(), answer.messages()), (400, vec![4_000_006]), "{name:?} {answer:?}");
                assert_eq!(checks(), asked, "{name:?}: the directory is not asked");
                // Who reads the flow again still can.
                assert_eq!(stranger.read("login", flow.id()).await.status, 200);
            }
            let flow = stranger.begin("login", "").await;
            let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
            assert_eq!(stranger.submit(&flow, &fields).await.status, 200);
        }
    }
}
