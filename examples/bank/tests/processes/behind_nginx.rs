//! The bank below a path, behind nginx with its default sizes: one that takes the path away, and one that keeps it.

use std::collections::BTreeMap;

use reqwest::{Method, redirect::Policy};

use crate::{
    bank::{ALICE, CAROL},
    program::{Program, code},
    servers::{free_port, nginx::Nginx},
};

/// A browser: it keeps cookies and follows redirects, and pages that lead on by themselves. It never leaves the public URL.
pub(crate) struct Browser {
    http: reqwest::Client,
    public: String,
    cookies: BTreeMap<String, String>,
}

pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// What stands between two texts.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

fn unescaped(text: &str) -> String {
    text.replace("&#38;", "&").replace("&amp;", "&").replace("&#39;", "'")
}

impl Page {
    /// The value of a field of the page.
    pub(crate) fn field(&self, name: &str) -> String {
        let tag = self.text.split('<').find(|tag| tag.contains(&format!("name=\"{name}\"")));
        let tag = tag.unwrap_or_else(|| panic!("{name} is missing at {}: {}", self.url, self.text));
        unescaped(between(tag, "value=\"", "\"").unwrap_or_default())
    }

    fn form(&self) -> String {
        unescaped(between(&self.text, "action=\"", "\"").expect("no form"))
    }
}

impl Browser {
    pub(crate) fn new(public: &str) -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        Self { http, public: public.to_owned(), cookies: BTreeMap::new() }
    }

    /// The absolute address of a link, which must be below the public URL.
    fn address(&self, link: &str) -> String {
        let origin = self.public.trim_end_matches("/app");
        let url = if link.starts_with('/') { format!("{origin}{link}") } else { link.to_owned() };
        assert!(url.starts_with(&format!("{}/", self.public)), "{link} leaves {}", self.public);
        url
    }

    async fn send(&mut self, mut method: Method, link: &str, mut body: Option<String>) -> Page {
        let mut url = self.address(link);
        for _ in 0..12 {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut request = self.http.request(method.clone(), &url);
            request = request.header("accept", "text/html,*/*;q=0.8").header("cookie", cookies.join("; "));
            if let Some(body) = body.take() {
                let origin = self.public.trim_end_matches("/app").to_owned();
                request = request.header("content-type", "application/x-www-form-urlencoded");
                request = request.header("origin", origin).header("sec-fetch-site", "same-origin").body(body);
            }
            let response = request.send().await.unwrap();
            for cookie in response.headers().get_all("set-cookie") {
                let cookie = cookie.to_str().unwrap();
                assert!(cookie.contains("Path=/;") || cookie.ends_with("Path=/"), "{cookie}");
                let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
                if cookie.contains("Max-Age=0") {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
            let status = response.status().as_u16();
            let location = response.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
            let text = response.text().await.unwrap();
            let next = location.or_else(|| between(&text, "content=\"0;url=", "\"").map(unescaped));
            let Some(next) = next else { return Page { url, status, text } };
            (url, method) = (self.address(&next), Method::GET);
        }
        panic!("it goes round in circles: {url}");
    }

    pub(crate) async fn get(&mut self, link: &str) -> Page {
        self.send(Method::GET, link, None).await
    }

    pub(crate) async fn post(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, &page.form(), Some(body)).await
    }

    /// From a page that needs a session, over the bank's login page.
    pub(crate) async fn sign_in(&mut self, user: &str, path: &str) -> Page {
        let login = self.get(&format!("{}{path}", self.public)).await;
        assert!(login.text.contains("name=\"password\""), "{}: {}", login.url, login.text);
        let (password, return_to) = (format!("{user}-password"), login.field("return_to"));
        self.post(&login, &[("username", user), ("password", &password), ("return_to", &return_to)]).await
    }

    async fn type_code(&mut self, page: &Page, code: &str) -> Page {
        let csrf = page.field("csrf_token");
        self.post(page, &[("csrf_token", &csrf), ("method", "totp"), ("totp_code", code)]).await
    }

    /// Everything that the page loads and links to is below the public URL.
    async fn check(&mut self, page: &Page) {
        for attribute in ["href=\"", "action=\""] {
            for link in page.text.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                if !link.starts_with('#') {
                    self.address(&unescaped(link));
                }
            }
        }
        let style = between(&page.text, "rel=\"stylesheet\" href=\"", "\"").unwrap().to_owned();
        assert_eq!(self.get(&style).await.status, 200, "{style}");
    }
}

async fn all_of_it(strips: bool) {
    let port = free_port();
    let public = format!("http://127.0.0.1:{port}/app");
    let mut bank = Program::bank(&[
        ("BANK_STORE", "memory"),
        ("BANK_PUBLIC_URL", &public),
        ("BANK_STRIPS_PREFIX", if strips { "true" } else { "false" }),
    ]);
    let upstream = bank.url();
    let Some(_nginx) = Nginx::below_app(port, upstream.trim_start_matches("http://"), strips) else { return };

    // The step-up.
    let mut alice = Browser::new(&public);
    let home = alice.get(&format!("{public}/")).await;
    assert_eq!(home.status, 200);
    alice.check(&home).await;
    let page = alice.sign_in("alice", "/payments?page=2").await;
    assert!(page.url.starts_with(&format!("{public}/self-service/ui/login?flow=")), "{}", page.url);
    alice.check(&page).await;
    let page = alice.type_code(&page, &code(ALICE)).await;
    assert_eq!((page.url.as_str(), page.status), (format!("{public}/payments?page=2").as_str(), 200));
    alice.check(&page).await;

    // Logout.
    let begun = alice.get(&format!("{public}/self-service/logout/browser")).await;
    let url = between(&begun.text, "\"logout_url\":\"", "\"").unwrap().to_owned();
    let page = alice.get(&url).await;
    assert_eq!((page.url, page.status), (format!("{public}/"), 200));
    assert!(page.text.contains("You are not signed in"));

    // Errors.
    let page = alice.get(&format!("{public}/self-service/login/browser?return_to=https://evil.example/")).await;
    assert!(page.url.starts_with(&format!("{public}/self-service/ui/error?id=")), "{}", page.url);
    alice.check(&page).await;
    let page = alice.get(&format!("{public}/nowhere/at/all")).await;
    assert_eq!(page.status, 404);
    alice.check(&page).await;

    // Enrolment.
    let mut bob = Browser::new(&public);
    let page = bob.sign_in("bob", "/payments").await;
    assert!(page.url.starts_with(&format!("{public}/self-service/ui/settings?flow=")), "{}", page.url);
    bob.check(&page).await;
    let secret: String = page
        .text
        .split(|letter: char| !letter.is_ascii_uppercase() && !letter.is_ascii_digit())
        .find(|word| word.len() == 32)
        .expect("no secret")
        .to_owned();
    let page = bob.type_code(&page, &code(&secret)).await;
    assert_eq!((page.url.as_str(), page.status), (format!("{public}/payments").as_str(), 200), "{}", page.text);

    // An address as long as nginx takes one: its request line has 8 kB.
    let mut carol = Browser::new(&public);
    let long = format!("/payments?q={}", "%C3%A9".repeat(1350));
    let page = carol.sign_in("carol", &long).await;
    assert!(page.url.starts_with(&format!("{public}/self-service/ui/login?flow=")), "{}", page.url);
    let page = carol.type_code(&page, &code(CAROL)).await;
    assert_eq!((page.url, page.status), (format!("{public}{long}"), 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_lost_behind_a_proxy_that_strips_the_path() {
    all_of_it(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_lost_behind_a_proxy_that_keeps_the_path() {
    all_of_it(false).await;
}
