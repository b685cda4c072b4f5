//! Where a request really came from, and where its browser goes: paths that a proxy strips, long addresses, other hosts.

use axum::{
    Router,
    body::Body,
    http::{Method as HttpMethod, Request, StatusCode, header},
    routing::get,
};
use tower::ServiceExt;
use tower_step_up::{RequireAal2, SigningKey, StepUp, StepUpBuilder, Subject, factor::Totp, store::MemoryStore};
use url::Url;

use crate::{
    log::Log,
    site::{BROWSER, Client, Kind, ORIGIN, Site},
};

const APP: &str = "https://bank.example/app";

fn below_app(configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> StepUp {
    let builder = StepUp::builder(APP)
        .signing_key(SigningKey::generate("2026-11").unwrap())
        .store(MemoryStore::default())
        .factor(Totp::new("Example Bank"));
    configure(builder).build().unwrap()
}

/// Guarded pages, and the companion router.
fn pages(step_up: &StepUp) -> Router {
    let pay = get(|| async { "paid" }).layer(RequireAal2);
    Router::new().route("/pay", pay.clone()).route("/app/pay", pay.clone()).route("/", pay).merge(step_up.router())
}

async fn location(app: &Router, path: &str) -> String {
    let request = Request::get(path).header(header::ACCEPT, BROWSER).body(Body::empty()).unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
    answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

fn return_to(location: &str) -> Option<String> {
    let url = Url::parse(location).unwrap();
    url.query_pairs().find(|(name, _)| name == "return_to").map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_browser_returns_to_the_address_that_it_sees() {
    for (path, setting, seen) in [
        ("/pay?x=1", None, "/app/pay?x=1"),
        ("/pay", Some(true), "/app/pay"),
        ("/pay", Some(false), "/pay"),
        ("/app/pay", None, "/app/pay"),
        ("/app/pay", Some(false), "/app/pay"),
        ("/app/pay", Some(true), "/app/app/pay"),
        ("/", None, "/app/"),
    ] {
        let step_up = below_app(|builder| match setting {
            Some(strips) => builder.proxy_strips_prefix(strips),
            None => builder,
        });
        let location = location(&pages(&step_up).layer(step_up.layer()), path).await;
        assert!(location.starts_with("https://bank.example/app/login?"), "{location}");
        assert_eq!(return_to(&location).unwrap(), format!("{ORIGIN}{seen}"), "{path} {setting:?}");
    }
}

/// axum strips the prefix, whichever side of it the layer is on, and whatever is said of proxies.
#[tokio::test]
async fn nest_needs_no_setting() {
    for setting in [None, Some(false), Some(true)] {
        let step_up = below_app(|builder| match setting {
            Some(strips) => builder.proxy_strips_prefix(strips),
            None => builder,
        });
        let inside = Router::new().nest("/app", pages(&step_up).layer(step_up.layer()));
        let service = Router::new().nest_service("/app", pages(&step_up).layer(step_up.layer()));
        let mut ways = vec![inside, service];
        if setting != Some(true) {
            ways.push(Router::new().nest("/app", pages(&step_up)).layer(step_up.layer()));
        }
        for app in ways {
            let location = location(&app, "/app/pay").await;
            assert_eq!(return_to(&location).unwrap(), format!("{APP}/pay"), "{setting:?}");
        }
    }
}

#[tokio::test]
async fn a_guess_is_logged_once() {
    let (log, _guard) = Log::begin();
    let step_up = below_app(|builder| builder);
    let app = pages(&step_up).layer(step_up.layer());
    for _ in 0..2 {
        location(&app, "/pay?secret=x").await;
    }
    let lines: Vec<_> = log.take().into_iter().filter(|line| line.contains("proxy_strips_prefix")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(!lines[0].contains("secret"), "{lines:?}");
}

#[tokio::test]
async fn configured_paths_are_relative_to_the_public_url_and_return_to_to_the_origin() {
    let step_up = below_app(|builder| builder.login_url("/sign-in").default_return_url("/home"));
    let app = pages(&step_up).layer(step_up.layer());
    assert!(location(&app, "/app/pay").await.starts_with("https://bank.example/app/sign-in?"));
    let to = location(&app, "/self-service/login/browser?return_to=/pay").await;
    assert_eq!(return_to(&to).unwrap(), "https://bank.example/pay");
    assert_eq!(step_up.return_url("/app/pay").unwrap(), "https://bank.example/app/pay");

    let signed_in = step_up.sign_in(Subject::new("kim").unwrap(), tower_step_up::Method::Password).await.unwrap();
    let cookie = signed_in.cookie().to_str().unwrap().split(';').next().unwrap().to_owned();
    let request = Request::get("/self-service/login/browser").header(header::ACCEPT, BROWSER);
    let request = request.header(header::COOKIE, cookie).body(Body::empty()).unwrap();
    let answer = app.oneshot(request).await.unwrap();
    assert_eq!(answer.headers()[header::LOCATION], "https://bank.example/app/home");
}

fn long_path(bytes: usize) -> String {
    let frame = "/payments?q=&last=1";
    let encoded = (bytes - frame.len()) / 6;
    let rest = bytes - frame.len() - encoded * 6;
    format!("/payments?q={}&last=1{}", "%C3%A9".repeat(encoded), "x".repeat(rest))
}

/// The page that a short address leads to.
async fn led_to(client: &mut Client, short: &str) -> String {
    let page = client.get(short).await;
    if page.status == StatusCode::SEE_OTHER {
        return page.location().to_owned();
    }
    assert_eq!(page.status, StatusCode::OK);
    let target = page.text.split("content=\"0;url=").nth(1).unwrap().split('"').next().unwrap();
    let target = target.replace("&#38;", "&").replace("&amp;", "&");
    assert!(page.text.matches("<a class=\"button\" href=\"https://bank.example/payments?").count() == 1);
    target
}

fn header_bytes(answer: &crate::site::Answer) -> usize {
    answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

#[tokio::test]
async fn an_address_of_eight_kilobytes_can_be_stepped_up_from() {
    let site = Site::new();
    site.enrol("kim").await;
    for bytes in [300, 1000, 3000, 8192] {
        let path = long_path(bytes);
        assert_eq!(path.len(), bytes);
        // Without a session: first the application's own login page.
        let mut stranger = site.stranger(Kind::Browser);
        let refused = stranger.get(&path).await;
        assert!(header_bytes(&refused) < 3500, "{bytes}: {}", refused.location());
        let back = return_to(refused.location()).unwrap();
        assert_eq!(site.step_up.return_url(&back).as_deref(), Some(back.as_str()));
        if back != format!("{ORIGIN}{path}") {
            assert_eq!(led_to(&mut stranger, &back).await, format!("{ORIGIN}{path}"));
        }
        // With one: the step-up, and back.
        let mut kim = site.browser("kim").await;
        let refused = kim.get(&path).await;
        assert!(header_bytes(&refused) < 3500);
        let begun = kim.get(refused.location()).await;
        assert!(header_bytes(&begun) < 3500);
        let id = begun.location().rsplit_once("flow=").unwrap().1.to_owned();
        let csrf = kim.read("login", &id).await.json();
        let csrf =
            csrf["ui"]["nodes"].as_array().unwrap().iter().find(|node| node["attributes"]["name"] == "csrf_token");
        let csrf = csrf.unwrap()["attributes"]["value"].as_str().unwrap().to_owned();
        let code = site.next_code();
        let fields = [("method", "totp"), ("totp_code", code.as_str()), ("csrf_token", csrf.as_str())];
        let done = kim.post(&format!("/self-service/login?flow={id}"), &fields).await;
        assert!(header_bytes(&done) < 3500);
        let mut place = done.location().to_owned();
        if place.contains("/self-service/continue?") {
            place = led_to(&mut kim, &place).await;
        }
        assert_eq!(place, format!("{ORIGIN}{path}"));
        assert_eq!(kim.get(&place).await.text, "payments");
    }
}

/// Also where a front end names the address itself.
#[tokio::test]
async fn a_long_return_to_is_kept_at_every_beginning() {
    let site = Site::new();
    site.enrol("kim").await;
    let long = format!("{ORIGIN}{}", long_path(3000));
    let query: String = url::form_urlencoded::byte_serialize(long.as_bytes()).collect();
    for start in ["login/browser?aal=aal2&", "settings/browser?", "login/browser?refresh=true&"] {
        for client in [site.stranger(Kind::Browser), site.browser("kim").await, site.spa("kim").await] {
            let mut client = client;
            let answer = client.get(&format!("/self-service/{start}return_to={query}")).await;
            assert!(header_bytes(&answer) < 3500, "{start}");
            assert!(answer.status != StatusCode::BAD_REQUEST, "{answer:?}");
        }
    }
    let mut spa = site.spa("kim").await;
    let flow = spa.get(&format!("/self-service/login/browser?aal=aal2&return_to={query}")).await.json();
    let short = flow["return_to"].as_str().unwrap();
    assert_eq!(led_to(&mut spa, short).await, long);
    let logout = spa.get(&format!("/self-service/logout/browser?return_to={query}")).await.json();
    assert!(logout["logout_url"].as_str().unwrap().len() < 1000);
}

#[tokio::test]
async fn a_kept_address_is_no_flow_and_a_flow_is_no_address() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.browser("kim").await;
    let refused = kim.get(&long_path(8192)).await;
    let short = return_to(refused.location()).unwrap();
    let id = short.rsplit_once("id=").unwrap().1;
    for kind in ["login", "settings"] {
        assert_eq!(kim.read(kind, id).await.status, StatusCode::NOT_FOUND);
    }
    let flow = kim.begin("login", "?aal=aal2").await;
    for id in [flow.id(), "3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20", "x", ""] {
        let answer = kim.get(&format!("/self-service/continue?id={id}")).await;
        assert_eq!(answer.location(), format!("{ORIGIN}/"));
    }
    let post = kim.request(HttpMethod::POST, &short).body(Body::empty()).unwrap();
    assert_eq!(kim.send(post).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

/// Nobody else can push out what a session keeps, and it pushes out no flow.
#[tokio::test]
async fn kept_addresses_are_bounded_and_apart() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.browser("kim").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    let first = return_to(kim.get(&long_path(8192)).await.location()).unwrap();
    let mut stranger = site.stranger(Kind::Browser);
    for _ in 0..60 {
        stranger.get(&long_path(8000)).await;
    }
    assert_eq!(led_to(&mut kim, &first).await, format!("{ORIGIN}{}", long_path(8192)));
    for shorter in 1..=50 {
        kim.get(&long_path(8192 - shorter)).await;
    }
    assert_eq!(kim.get(&first).await.location(), format!("{ORIGIN}/"), "the oldest gave way");
    assert_eq!(kim.read("login", flow.id()).await.status, StatusCode::OK);
    let first = return_to(kim.get(&long_path(8192)).await.location()).unwrap();
    site.clock.advance(std::time::Duration::from_secs(25 * 3600));
    let mut later = site.browser("kim").await;
    assert_eq!(later.get(&first).await.location(), format!("{ORIGIN}/"));
}

/// What a forgotten tab asks for again and again is kept once for its session, and pushes out no other.
#[tokio::test]
async fn the_same_address_is_kept_once() {
    let site = Site::new();
    site.enrol("kim").await;
    let (mut kim, mut elsewhere) = (site.browser("kim").await, site.browser("kim").await);
    let mut strangers = [site.stranger(Kind::Browser), site.stranger(Kind::Browser)];
    let path = long_path(8192);
    let short = async |client: &mut Client, path: &str| return_to(client.get(path).await.location()).unwrap();
    let form = short(&mut kim, &path).await;
    let polled = short(&mut kim, &long_path(4000)).await;
    for _ in 0..60 {
        assert_eq!(short(&mut kim, &long_path(4000)).await, polled);
    }
    assert_eq!(led_to(&mut kim, &form).await, format!("{ORIGIN}{path}"), "it was not pushed out");
    // The one that was asked for again stays, though it is not the newest.
    for shorter in 1..=60 {
        short(&mut kim, &long_path(8192 - shorter)).await;
    }
    assert_eq!(led_to(&mut kim, &polled).await, format!("{ORIGIN}{}", long_path(4000)));
    assert_eq!(kim.get(&form).await.location(), format!("{ORIGIN}/"), "the oldest gave way");

    // Sessions keep their own; strangers share what they ask with.
    assert_ne!(short(&mut elsewhere, &long_path(4000)).await, polled);
    let [one, other] = &mut strangers;
    let of_strangers = short(one, &path).await;
    assert_eq!(short(other, &path).await, of_strangers);
    assert_ne!(of_strangers, form);
    // Later it is kept anew, long before the old row ends.
    site.clock.advance(std::time::Duration::from_secs(3600));
    let later = short(one, &path).await;
    assert_ne!(later, of_strangers);
    site.clock.advance(std::time::Duration::from_secs(24 * 3600 - 1));
    for address in [of_strangers, later] {
        assert_eq!(led_to(one, &address).await, format!("{ORIGIN}{path}"));
    }
}

#[tokio::test]
async fn another_host_is_served_and_logged_once() {
    let (log, _guard) = Log::begin();
    let site = Site::new();
    for host in ["bank.example", "BANK.example:443", "127.0.0.1:3000", "localhost:3000"] {
        let request = Request::get("/account").header(header::HOST, host).header(header::ACCEPT, BROWSER);
        let answer = site.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert!(answer.headers()[header::LOCATION].to_str().unwrap().starts_with(ORIGIN));
    }
    let lines: Vec<_> = log.take().into_iter().filter(|line| line.contains("asks for a host")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("127.0.0.1:3000") && lines[0].contains("bank.example"), "{lines:?}");
}

#[test]
fn names_below_localhost_are_loopback_addresses() {
    let build = |url: &str, loopback: bool| {
        let builder = StepUp::builder(url)
            .signing_key(SigningKey::generate("2026-11").unwrap())
            .store(MemoryStore::default())
            .factor(Totp::new("Example Bank"));
        if loopback { builder.insecure_http_on_loopback() } else { builder }.build().is_ok()
    };
    for url in ["http://bank.localhost:3000", "http://a.b.localhost", "http://localhost:3000"] {
        assert!(build(url, true), "{url}");
        assert!(!build(url, false), "{url}");
    }
    for url in ["http://evillocalhost", "http://localhost.example", "http://bank.example"] {
        assert!(!build(url, true), "{url}");
    }
}
