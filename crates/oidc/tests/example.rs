//! The example `relying_party`, walked through by a browser: a login, a step-up, and a provider that does not do what it is asked.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

#[path = "../examples/relying_party/bank.rs"]
mod bank;
#[path = "../examples/relying_party/provider.rs"]
mod provider;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request, middleware::Next, middleware::from_fn};
use http::{Uri, header};
use tokio::net::TcpListener;
use url::Url;

/// Keeps cookies by origin, and follows nothing by itself.
struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<(String, String), String>,
}

struct Page {
    url: Url,
    status: u16,
    location: Option<Url>,
    text: String,
}

impl Browser {
    fn new() -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { client, cookies: BTreeMap::new() }
    }

    async fn send(&mut self, url: Url, form: Option<&[(&str, &str)]>) -> Page {
        let origin = url.origin().ascii_serialization();
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .filter(|((of, _), _)| *of == origin)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let request = match form {
            None => self.client.get(url.clone()),
            Some(form) => {
                let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
                let of_the_form = "application/x-www-form-urlencoded";
                self.client.post(url.clone()).header(header::CONTENT_TYPE, of_the_form).body(body)
            }
        };
        let request = request.header(header::ACCEPT, "text/html").header(header::COOKIE, cookies.join("; "));
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.cookies.insert((origin.clone(), name.to_owned()), rest.split(';').next().unwrap().to_owned());
        }
        let location = response.headers().get(header::LOCATION).map(|to| url.join(to.to_str().unwrap()).unwrap());
        Page { status: response.status().as_u16(), location, text: response.text().await.unwrap(), url }
    }

    /// Follows redirects to a page, but not for ever.
    async fn open(&mut self, url: &str) -> Page {
        let page = self.send(url.parse().unwrap(), None).await;
        self.follow(page).await
    }

    async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..10 {
            let Some(location) = page.location.take() else { return page };
            page = self.send(location, None).await;
        }
        panic!("the browser was sent back and forth");
    }

    /// Fills in the provider's form.
    async fn sign_in(&mut self, form: &Page, password: &str, code: Option<&str>) -> Page {
        let hidden = |name: &str| {
            let at = form.text.find(&format!("name={name} value=")).unwrap();
            form.text[at..].split("value=").nth(1).unwrap().split('>').next().unwrap().trim_matches('"').to_owned()
        };
        let (asked, sent) = (hidden("asked"), hidden("sent"));
        let mut fields = vec![("asked", asked.as_str()), ("sent", &sent), ("user", "kim"), ("password", password)];
        fields.extend(code.map(|code| ("code", code)));
        let page = self.send(form.url.join("/sign-in").unwrap(), Some(&fields)).await;
        self.follow(page).await
    }
}

struct Site {
    bank: String,
    codes: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// `deaf`: the provider does not hear what it is asked for.
    async fn start(deaf: bool) -> Self {
        let (for_bank, for_provider) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let (bank, issuer) = (url(&for_bank), url(&for_provider));
        let codes = Arc::new(Mutex::new(Vec::new()));
        let sent = Arc::clone(&codes);
        let mut provider = provider::router(&issuer, &format!("{bank}/callback"), move |code| {
            sent.lock().unwrap().push(code.to_owned());
        })
        .unwrap();
        if deaf {
            provider = Router::new().fallback_service(provider).layer(from_fn(forget_what_is_asked));
        }
        tokio::spawn(async move { axum::serve(for_provider, provider).await });
        let app = bank::router(&bank, &issuer).await.unwrap();
        tokio::spawn(async move { axum::serve(for_bank, app).await });
        Self { bank, codes }
    }

    fn code(&self) -> String {
        self.codes.lock().unwrap().pop().unwrap()
    }
}

async fn forget_what_is_asked(mut request: Request, next: Next) -> axum::response::Response {
    let mut url = Url::parse("http://provider.example").unwrap().join(&request.uri().to_string()).unwrap();
    let kept: Vec<_> =
        url.query_pairs().into_owned().filter(|(name, _)| !["acr_values", "claims"].contains(&name.as_str())).collect();
    if url.query().is_some() {
        url.query_pairs_mut().clear().extend_pairs(kept);
        *request.uri_mut() = Uri::try_from(&url[url::Position::BeforePath..]).unwrap();
    }
    next.run(request).await
}

#[tokio::test]
async fn a_login_and_a_step_up_end_where_the_user_wanted_to_go() {
    let site = Site::start(false).await;
    let mut browser = Browser::new();
    let bank = &site.bank;

    let form = browser.open(&format!("{bank}/account?a=b")).await;
    assert!(form.url.path() == "/authorize" && !form.text.contains("Code"));
    let account = browser.sign_in(&form, "kim", None).await;
    assert_eq!((account.status, account.url.as_str()), (200, format!("{bank}/account?a=b").as_str()));
    assert!(account.text.contains("The account of kim"));
    let before = browser.cookies[&(bank.clone(), "session".to_owned())].clone();

    let form = browser.open(&format!("{bank}/transfer")).await;
    assert!(form.url.path() == "/authorize" && form.text.contains("Code"));
    let asked: BTreeMap<_, _> = form.url.query_pairs().into_owned().collect();
    assert_eq!((asked["acr_values"].as_str(), asked["max_age"].as_str()), ("urn:example:2fa", "300"));
    assert!(asked["claims"].contains("\"essential\":true"));
    let code = site.code();
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let form = browser.sign_in(&form, "kim", Some(wrong)).await;
    assert!(form.text.contains("That was wrong"));
    let transfer = browser.sign_in(&form, "kim", Some(&site.code())).await;
    assert_eq!((transfer.status, transfer.url.as_str()), (200, format!("{bank}/transfer").as_str()));
    assert!(transfer.text.contains("kim has just proven a second factor"));
    assert_eq!(browser.open(&format!("{bank}/transfer")).await.status, 200, "and once more");

    // The cookie of before the step-up is worth nothing.
    let mut thief = Browser::new();
    thief.cookies.insert((bank.clone(), "session".to_owned()), before);
    assert_eq!(thief.open(&format!("{bank}/transfer")).await.url.path(), "/authorize");

    // Single sign-on at the provider: a new session of the bank without a form, with the time of the proof.
    browser.send(format!("{bank}/logout").parse().unwrap(), Some(&[])).await;
    let again = browser.open(&format!("{bank}/transfer")).await;
    assert_eq!((again.status, again.url.path()), (200, "/transfer"));
}

#[tokio::test]
async fn a_provider_that_does_not_step_up_does_not_make_a_loop() {
    let site = Site::start(true).await;
    let mut browser = Browser::new();
    let bank = &site.bank;
    let form = browser.open(&format!("{bank}/account")).await;
    assert_eq!(browser.sign_in(&form, "kim", None).await.status, 200);
    let refused = browser.open(&format!("{bank}/transfer")).await;
    assert_eq!((refused.status, refused.url.path()), (403, "/callback"));
    assert!(refused.text.contains("did not ask for the second factor"), "{}", refused.text);
    assert_eq!(browser.open(&format!("{bank}/account")).await.status, 200, "still signed in");
}

#[tokio::test]
async fn a_login_of_another_browser_or_to_another_site_goes_nowhere() {
    let site = Site::start(false).await;
    let bank = &site.bank;
    // Somebody else's link: the state is not that of this browser.
    let mut attacker = Browser::new();
    let form = attacker.open(&format!("{bank}/login")).await;
    let state = form.url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let mut victim = Browser::new();
    let page = victim.open(&format!("{bank}/callback?code=x&state={state}")).await;
    assert_eq!(page.status, 400);
    // A link that would lead away after the login.
    let form = victim.open(&format!("{bank}/login?return_to=https://evil.example/")).await;
    let home = victim.sign_in(&form, "kim", None).await;
    assert_eq!((home.status, home.url.as_str()), (200, format!("{bank}/").as_str()));
}
