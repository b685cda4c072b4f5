//! Every text that reaches a store or the directory, in every way that leads there: it is refused, or it does no harm. No client makes an
//! error of it, and a wrong text of the application is an error of its own call.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method as HttpMethod, Request},
};
use serde_json::{Value, json};
use tower_step_up::{
    Method, StepUpBuilder, Subject,
    directory::{Directory, DirectoryFuture, Identity},
    factor::Password,
    store::CredentialName,
};

use crate::{
    common::log::Log,
    post::Post,
    site::{Client, Kind, OpenFlow},
    world::{World, client, subject},
};

/// A text as a client may send it.
struct Sent {
    /// As a JSON string has it, with the quotation marks.
    json: Vec<u8>,
    /// As it stands in a form, a query or a header.
    bytes: Vec<u8>,
}

/// Texts that some database, parser or page fails on.
fn texts() -> Vec<String> {
    let mut texts: Vec<_> = [
        "\0",
        "kim\0",
        "\u{1}\u{8}\u{1b}[2J\u{7f}",
        "\u{80}\u{85}\u{9f}",
        "line\r\nset-cookie: a=b",
        "\u{202e}\u{2028}\u{feff}\u{200b}",
        "\u{fffd}\u{fffe}\u{ffff}\u{10ffff}",
        "e\u{301}\u{301}\u{301}\u{1f511}",
        "'\"`\\;--$1:{}[]%s%00",
        "\\u0000\\ud800",
    ]
    .map(str::to_owned)
    .into();
    texts.push("k".repeat(10_000));
    texts.push("\u{1f511}".repeat(2_500));
    texts.push("\0".repeat(1_000));
    texts
}

/// The same, and what is no text at all.
fn sent() -> Vec<Sent> {
    let mut all: Vec<_> = texts()
        .into_iter()
        .map(|text| Sent { json: json!(text).to_string().into_bytes(), bytes: text.into_bytes() })
        .collect();
    for (json, bytes) in [
        // A lone surrogate, in the escape of JSON and as bytes.
        (&br#""\ud800""#[..], &b"\xed\xa0\x80"[..]),
        (br#""kim\udc00""#, b"kim\xed\xb0\x80"),
        (b"\"\xff\xfe\"", b"\xff\xfe"),
        (b"\"kim\xc3\"", b"kim\xc3"),
        (b"\"\0\"", b"\xf4\x90\x80\x80"),
    ] {
        all.push(Sent { json: json.to_vec(), bytes: bytes.to_vec() });
    }
    all
}

/// Each text from one kind of client, and the next from the next.
fn in_turn(kinds: &'static [Kind]) -> impl Iterator<Item = (Sent, Kind)> {
    sent().into_iter().zip(kinds.iter().copied().cycle())
}

/// A directory on a database, which takes no NUL. What it says of a user is what they have typed into it long ago.
#[derive(Clone, Default)]
struct Database {
    says: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Directory for Database {
    fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        let says = self.says.lock().unwrap().clone();
        Box::pin(async move { Ok(Some(Identity::new(json!({ says.clone(): says })))) })
    }

    fn identifier<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, String> {
        let says = self.says.lock().unwrap().clone();
        Box::pin(async move { Ok(if says.is_empty() { subject.to_string() } else { says }) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }

    fn check_password<'a>(&'a self, identifier: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if [identifier, password].iter().any(|text| text.contains('\0')) {
                return Err("invalid byte sequence for encoding \"UTF8\": 0x00".into());
            }
            let right = password == format!("{identifier}-password");
            Ok(right.then(|| Subject::new(identifier)).transpose()?)
        })
    }
}

/// On every store, with every factor that reads texts.
fn worlds() -> Vec<(World, Database)> {
    let mut worlds = Vec::new();
    for number in 0.. {
        let database = Database::default();
        let configure = |builder: StepUpBuilder| {
            let builder = builder.directory(database.clone()).factor(Password::default()).factor(Post::default());
            builder.client_address(|head| head.headers.get("x-real-ip")?.to_str().ok()?.parse().ok())
        };
        let Some(world) = World::on_every_store(configure).into_iter().nth(number) else { break };
        worlds.push((world, database));
    }
    worlds
}

fn escaped(bytes: &[u8]) -> String {
    url::form_urlencoded::byte_serialize(bytes).collect()
}

/// The bodies that have the text in this field, beside the others, and as a field's name.
fn bodies(field: &str, text: &Sent, others: &[(&str, &str)]) -> Vec<(&'static str, Vec<u8>)> {
    let (mut json, mut form, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    let quoted = |name: &str| json!(name).to_string().into_bytes();
    let named = [(quoted(field), text.json.clone()), (text.json.clone(), quoted("x"))];
    let others = others.iter().filter(|(name, _)| *name != field);
    let pairs = others.clone().map(|(name, value)| (quoted(name), quoted(value))).chain(named);
    for (name, value) in pairs {
        json.extend([if json.is_empty() { &b"{"[..] } else { b"," }, &name, b":", &value].concat());
    }
    json.push(b'}');
    let pairs = [(field.as_bytes(), &text.bytes[..]), (&text.bytes, b"x")];
    for (name, value) in others.map(|(name, value)| (name.as_bytes(), value.as_bytes())).chain(pairs) {
        form.extend(format!("{}={}&", escaped(name), escaped(value)).into_bytes());
        let head = b"--x\r\ncontent-disposition: form-data; name=\"";
        parts.extend([&head[..], name, b"\"\r\n\r\n", value, b"\r\n"].concat());
    }
    parts.extend(b"--x--\r\n");
    vec![
        ("application/json", json),
        ("application/x-www-form-urlencoded", form),
        ("multipart/form-data; boundary=x", parts),
    ]
}

/// Sends the request; whatever comes of it, it is no error of ours.
async fn harmless(client: &Client, request: Request<Body>, log: &Log, what: &str) {
    let answer = client.clone().send(request).await;
    assert!(answer.status.as_u16() < 500, "{what}: {answer:?}");
    let errors: Vec<_> = log.take().into_iter().filter(|line| line.contains(" ERROR ")).collect();
    assert!(errors.is_empty(), "{what}: {errors:?}");
}

async fn fill_in(client: &Client, flow: &OpenFlow, field: &str, text: &Sent, others: &[(&str, &str)], log: &Log) {
    let csrf = flow.csrf();
    let others = [others, &[("csrf_token", csrf.as_str())]].concat();
    for (content_type, body) in bodies(field, text, &others) {
        let what = format!("{field} as {content_type}: {:?}", String::from_utf8_lossy(&text.bytes));
        let request = client.request(HttpMethod::POST, &flow.action()).header("content-type", content_type);
        harmless(client, request.body(Body::from(body)).unwrap(), log, &what).await;
    }
}

#[tokio::test]
async fn no_text_in_a_form_is_an_error() {
    for (world, database) in worlds() {
        let (log, _guard) = Log::begin();
        let site = &world.a;
        site.enrol("kim").await;
        site.step_up.bind(&subject("kim"), Method::Code, Vec::new()).await.unwrap();
        for (text, kind) in in_turn(&[Kind::Spa, Kind::Native]) {
            for field in ["identifier", "password_identifier", "password", "method", "csrf_token", "x"] {
                let mut stranger = site.stranger(kind);
                let flow = stranger.begin("login", "").await;
                let others = [("identifier", "kim"), ("password", "wrong"), ("method", "password")];
                let others = &others[usize::from(field == "password_identifier")..];
                fill_in(&stranger, &flow, field, &text, others, &log).await;
                assert_eq!(stranger.read("login", flow.id()).await.status, 200, "{field}");
            }
            let mut kim = client(site, kind, "kim").await;
            let flow = kim.begin("login", "?aal=aal2").await;
            for (field, method) in [
                ("totp_code", "totp"),
                ("lookup_secret", "lookup_secret"),
                ("code", "code"),
                ("method", ""),
                ("csrf_token", "totp"),
            ] {
                fill_in(&kim, &flow, field, &text, &[("method", method)], &log).await;
            }
            for method in [Method::Totp, Method::Code, Method::Password] {
                site.step_up.unlock(&subject("kim"), method).await.unwrap();
            }
            let flow = kim.begin("login", "?refresh=true").await;
            for field in ["identifier", "password"] {
                let others = [("identifier", "kim"), ("password", "wrong"), ("method", "password")];
                fill_in(&kim, &flow, field, &text, &others, &log).await;
            }
            let mut ann = client(site, kind, "ann").await;
            let flow = ann.begin("settings", "").await;
            for (field, method) in [
                ("totp_code", "totp"),
                ("lookup_secret_confirm", "lookup_secret"),
                ("code", "code"),
                ("name", "code"),
                ("method", ""),
                ("csrf_token", "totp"),
            ] {
                fill_in(&ann, &flow, field, &text, &[("method", method)], &log).await;
            }
            for method in [Method::Totp, Method::Code, Method::LookupSecret] {
                site.step_up.unlock(&subject("ann"), method).await.unwrap();
            }
            assert_eq!(ann.read("settings", flow.id()).await.status, 200);
            // The bodies that are no form of a flow.
            let kim = client(site, kind, "kim").await;
            for (method, path, field) in [
                (HttpMethod::DELETE, "/self-service/logout/api", "session_token"),
                (HttpMethod::DELETE, "/sessions", "x"),
                (HttpMethod::POST, "/self-service/ui/sessions", "session"),
                (HttpMethod::POST, "/self-service/ui/sessions", "csrf_token"),
            ] {
                for (content_type, body) in bodies(field, &text, &[]) {
                    let request = kim.request(method.clone(), path).header("content-type", content_type);
                    harmless(&kim, request.body(Body::from(body)).unwrap(), &log, path).await;
                }
            }
        }
        assert!(world.known("ann").await.credentials.is_empty());
        // The honest twins.
        for kind in [Kind::Spa, Kind::Native] {
            let mut stranger = site.stranger(kind);
            let flow = stranger.begin("login", "").await;
            let fields = [("method", "password"), ("identifier", "lee"), ("password", "lee-password")];
            assert_eq!(stranger.submit(&flow, &fields).await.status, 200);
            let mut kim = client(site, kind, "kim").await;
            assert_eq!(kim.step_up(&world.next_code()).await.status, 200);
        }
        assert!(database.asked.load(Ordering::SeqCst) > 50, "texts have reached the directory");
    }
}

/// Queries, paths and headers. Addresses with such a text are kept where they are allowed, and the client with its session.
#[tokio::test]
async fn no_text_in_an_address_or_a_header_is_an_error() {
    for (world, _) in worlds() {
        let (log, _guard) = Log::begin();
        let site = &world.a;
        site.enrol("kim").await;
        for (text, kind) in in_turn(&[Kind::Browser, Kind::Spa, Kind::Native]) {
            let shown = String::from_utf8_lossy(&text.bytes).into_owned();
            let query = escaped(&text.bytes);
            let inside = escaped(format!("/pay?note={query}").as_bytes());
            let (kim, stranger) = (client(site, kind, "kim").await, site.stranger(kind));
            for path in [
                format!("/self-service/login/browser?aal=aal2&return_to={query}"),
                format!("/self-service/login/browser?aal=aal2&return_to={inside}"),
                format!("/self-service/login/browser?return_to={inside}&refresh={query}&via={query}"),
                format!("/self-service/login/api?aal={query}&x={query}"),
                format!("/self-service/login/api?aal=aal2&{query}={query}"),
                format!("/self-service/login/flows?id={query}"),
                format!("/self-service/settings/browser?return_to={inside}&x={query}"),
                format!("/self-service/settings/api?return_to={query}"),
                format!("/self-service/settings/flows?id={query}"),
                format!("/self-service/logout/browser?return_to={query}"),
                format!("/self-service/logout?token={query}&return_to={query}"),
                format!("/self-service/continue?id={query}"),
                format!("/self-service/errors?id={query}"),
                format!("/self-service/ui/login?flow={query}"),
                format!("/self-service/ui/settings?flow={query}"),
                format!("/self-service/ui/error?id={query}"),
                format!("/sessions?page_size={query}&page_token={query}"),
                format!("/sessions/whoami?tokenize_as={query}"),
                format!("/schemas/{}", query.replace('+', "%20")),
                format!("/payments?note={query}"),
                format!("/payments?{query}"),
            ] {
                for client in [&kim, &stranger] {
                    // As a server limits them.
                    if path.len() < 16_384 {
                        let request = client.request(HttpMethod::GET, &path).body(Body::empty()).unwrap();
                        harmless(client, request, &log, &format!("{path} {shown:?}")).await;
                    }
                }
            }
            let path = format!("/sessions/{}", query.replace('+', "%20"));
            let request = kim.request(HttpMethod::DELETE, &path).body(Body::empty()).unwrap();
            harmless(&kim, request, &log, &path).await;

            for (name, value) in [
                ("user-agent", text.bytes.clone()),
                ("x-request-id", text.bytes.clone()),
                ("x-real-ip", text.bytes.clone()),
                ("origin", text.bytes.clone()),
                ("referer", text.bytes.clone()),
                ("accept", text.bytes.clone()),
                ("accept-language", text.bytes.clone()),
                ("content-type", text.bytes.clone()),
                ("x-session-token", text.bytes.clone()),
                ("authorization", [b"Bearer ", &text.bytes[..]].concat()),
                ("cookie", [b"__Host-step_up_session=", &text.bytes[..]].concat()),
                ("cookie", [b"__Host-csrf_token=", &text.bytes[..]].concat()),
            ] {
                // The others are no header.
                let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
                for path in ["/payments", "/self-service/login/browser", "/self-service/login/api", "/sessions/whoami"]
                {
                    let mut request = stranger.request(HttpMethod::GET, path).body(Body::empty()).unwrap();
                    request.headers_mut().insert(HeaderName::from_static(name), value.clone());
                    harmless(&stranger, request, &log, &format!("{name}: {shown:?}")).await;
                }
            }
        }
        let mut kim = site.spa("kim").await;
        assert_eq!(kim.step_up(&world.next_code()).await.status, 200);
    }
}

/// What the application gives is refused where it is made, or is kept and comes back as it was.
#[tokio::test]
async fn a_wrong_text_of_the_application_is_an_error_of_its_call() {
    for (world, _) in worlds() {
        let (log, _guard) = Log::begin();
        let step_up = &world.a.step_up;
        let kim = subject("kim");
        let mut kept = 0;
        for text in texts() {
            let base32 = text.chars().all(|one| one.is_ascii_alphanumeric());
            assert_eq!(step_up.import_totp(&kim, &text).await.is_ok(), base32, "{text:?}");
            assert!(step_up.return_url(&text).is_none(), "{text:?}");
            assert!(Method::custom(&text).is_err() && text.parse::<Method>().is_err(), "{text:?}");
            // Codes are hashed, so all that counts is their length.
            let code = format!("{text}{}", "k".repeat(13));
            if step_up.import_lookup_secrets(&kim, &[&code]).await.is_ok() {
                assert!(code.chars().count() <= 64, "{text:?}");
            }
            let wrong = text.len() > 255 || text.chars().any(char::is_control);
            assert_eq!(
                (Subject::new(text.as_str()).is_err(), CredentialName::new(text.as_str()).is_err()),
                (wrong, wrong)
            );
            let (Ok(user), Ok(name)) = (Subject::new(text.as_str()), CredentialName::new(text.as_str())) else {
                continue;
            };
            kept += 1;
            let _signed_in = step_up.sign_in(user.clone(), Method::Password).await.unwrap();
            step_up.bind_another(&user, Method::Code, text.clone().into_bytes(), Some(name.clone())).await.unwrap();
            let known = world.known(&text).await;
            assert_eq!(known.sessions[0].subject(), &user);
            assert_eq!(
                (&known.credentials[0].name, known.credentials[0].data.as_slice()),
                (&Some(name), text.as_bytes())
            );
            step_up.unlock(&user, Method::Code).await.unwrap();
            step_up.delete(&user).await.unwrap();
            assert!(world.known(&text).await.sessions.is_empty());
        }
        assert!(kept > 3, "some texts are good");
        let errors: Vec<_> = log.take().into_iter().filter(|line| line.contains(" ERROR ")).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

/// A user may be called anything, and still reads all pages and enrols.
#[tokio::test]
async fn no_name_in_the_directory_is_an_error() {
    for (world, database) in worlds() {
        let (log, _guard) = Log::begin();
        let site = &world.a;
        for (number, text) in texts().into_iter().enumerate() {
            text.clone_into(&mut database.says.lock().unwrap());
            let name = format!("user {number}");
            for kind in [Kind::Browser, Kind::Spa, Kind::Native] {
                let mut user = client(site, kind, &name).await;
                if kind == Kind::Browser {
                    assert_eq!(user.get("/self-service/ui/sessions").await.status, 200, "{text:?}");
                } else {
                    let session: Value = user.whoami().await.json();
                    assert_eq!(session["identity"]["traits"][&text], json!(text));
                    assert_eq!(user.get("/sessions").await.status, 200, "{text:?}");
                }
                let refresh = user.begin("login", "?refresh=true").await;
                let fields = [("method", "password"), ("identifier", text.as_str()), ("password", "wrong")];
                let answer = user.submit(&refresh, &fields).await;
                assert!(answer.status.as_u16() < 500, "{text:?}: {answer:?}");
                let settings = user.begin("settings", "").await;
                if kind == Kind::Browser {
                    let page = user.get(&format!("/self-service/ui/settings?flow={}", settings.id())).await;
                    assert_eq!(page.status, 200, "{text:?}");
                }
                user.enrol_totp(site).await;
                world.advance(std::time::Duration::from_secs(30));
                site.step_up.unbind(&subject(&name), Method::Totp).await.unwrap();
                site.step_up.unlock(&subject(&name), Method::Password).await.unwrap();
                let errors: Vec<_> = log.take().into_iter().filter(|line| line.contains(" ERROR ")).collect();
                assert!(errors.is_empty(), "{text:?}: {errors:?}");
            }
        }
    }
}
