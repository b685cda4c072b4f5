//! Debian's Chromium behind its own driver, both on this machine only.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use thirtyfour::prelude::*;

/// How long a page may take to appear.
const PATIENCE: Duration = Duration::from_secs(15);

/// Chromium speaks to nobody but the bank. `--no-sandbox`, because containers run as root without user namespaces.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1100,900",
];

/// What differs from a usual window.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    pub(crate) without_javascript: bool,
    pub(crate) phone: bool,
}

/// A virtual authenticator, by its id.
pub(crate) struct Key(String);

/// A browser of its own for one test. It ends when this is dropped.
pub(crate) struct Browser {
    driver: WebDriver,
    pictures: PathBuf,
    // Dropped after the session above, so that the session can still say good-bye.
    _process: Chromedriver,
}

impl Browser {
    /// Whether there is a browser to test with. If all tests were asked for, it is an error that there is none.
    pub(crate) fn is_installed() -> bool {
        let installed = Command::new("chromedriver")
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .is_ok_and(|output| output.status.success());
        let all = std::env::var_os("STEP_UP_TEST_ALL").is_some_and(|value| value == "1");
        assert!(installed || !all, "STEP_UP_TEST_ALL=1 asks for browser tests, but there is no chromedriver");
        installed
    }

    pub(crate) async fn start(directory: &Path, options: Options) -> Self {
        let process = Chromedriver::start(directory);
        let mut capabilities = DesiredCapabilities::chrome();
        for flag in FLAGS {
            capabilities.add_arg(flag).unwrap();
        }
        capabilities.add_arg(&format!("--user-data-dir={}", directory.join("profile").display())).unwrap();
        if options.without_javascript {
            let preferences = json!({ "profile.managed_default_content_settings.javascript": 2 });
            capabilities.add_experimental_option("prefs", preferences).unwrap();
        }
        if options.phone {
            // A window cannot be this narrow; a phone can.
            let metrics = json!({ "width": 360, "height": 740, "pixelRatio": 2.0, "touch": true });
            capabilities.add_experimental_option("mobileEmulation", json!({ "deviceMetrics": metrics })).unwrap();
        }
        let driver = WebDriver::new(format!("http://127.0.0.1:{}", process.port), capabilities).await.unwrap();
        Self { driver, pictures: directory.to_owned(), _process: process }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// Waits until the browser shows a page whose path begins so, and returns its whole text.
    pub(crate) async fn arrives_at(&self, path: &str) -> String {
        let begun = Instant::now();
        loop {
            let url = self.driver.current_url().await.unwrap();
            if url.path().starts_with(path)
                && let Ok(body) = self.driver.find(By::Css("body")).await
                && let Ok(text) = body.text().await
            {
                return text;
            }
            if begun.elapsed() > PATIENCE {
                self.take_picture("stuck").await;
                panic!("expected to arrive at {path}, but the browser is at {url}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The element, once it is there.
    pub(crate) async fn find(&self, selector: &str) -> WebElement {
        let query = self.driver.query(By::Css(selector)).wait(PATIENCE, Duration::from_millis(50));
        query.first().await.unwrap()
    }

    pub(crate) async fn find_all(&self, selector: &str) -> Vec<WebElement> {
        self.driver.find_all(By::Css(selector)).await.unwrap()
    }

    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.find(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub(crate) async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap();
    }

    pub(crate) async fn submit(&self, selector: &str) {
        self.follow(self.find(selector).await).await;
    }

    /// Clicks what leads to another page, and waits until the page before is gone: the next one may look the same.
    pub(crate) async fn follow(&self, element: WebElement) {
        let before = self.find("html").await;
        element.click().await.unwrap();
        let begun = Instant::now();
        while before.tag_name().await.is_ok() {
            assert!(begun.elapsed() < PATIENCE, "it leads nowhere");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types into whatever has the focus.
    pub(crate) async fn type_keys(&self, keys: impl Into<TypingData>) {
        self.driver.action_chain().send_keys(keys).perform().await.unwrap();
    }

    /// Presses Tab until the element that `selector` means has the focus, and checks that one can see the focus there.
    pub(crate) async fn tab_to(&self, selector: &str) {
        for _ in 0..20 {
            if self.evaluate("return document.activeElement.matches(arguments[0]);", selector).await == json!(true) {
                let outline = "const style = getComputedStyle(document.activeElement); \
                               return style.outlineStyle !== 'none' || style.boxShadow !== 'none';";
                assert_eq!(self.evaluate(outline, "").await, json!(true), "the focus on {selector} cannot be seen");
                return;
            }
            self.type_keys(thirtyfour::Key::Tab).await;
        }
        self.take_picture("no-focus").await;
        panic!("Tab never reaches {selector}");
    }

    /// Whether nothing of the page lies to the right of the window.
    pub(crate) async fn fits_the_width(&self) -> bool {
        let script = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth;";
        self.evaluate(script, "").await == json!(true)
    }

    pub(crate) async fn width(&self) -> Value {
        self.evaluate("return window.innerWidth;", "").await
    }

    /// Whether the browser would send the form with this text in the field.
    pub(crate) async fn accepts(&self, selector: &str, typed: &str) -> bool {
        let script = "const [selector, typed] = arguments; const field = document.querySelector(selector); \
                      field.value = typed; const valid = field.checkValidity(); field.value = ''; return valid;";
        let answer = self.driver.execute(script, vec![json!(selector), json!(typed)]).await.unwrap();
        answer.json().as_bool().unwrap()
    }

    pub(crate) async fn address(&self) -> String {
        self.driver.current_url().await.unwrap().into()
    }

    pub(crate) async fn forget_cookies(&self) {
        self.driver.delete_all_cookies().await.unwrap();
    }

    async fn evaluate(&self, script: &str, argument: &str) -> Value {
        self.driver.execute(script, vec![json!(argument)]).await.unwrap().json().clone()
    }

    /// A security key that is plugged in. Its user touches it whenever it blinks.
    pub(crate) async fn plug_in(&self) -> Key {
        self.command("WebAuthn.enable", json!({})).await;
        let options = json!({
            "protocol": "ctap2", "transport": "usb", "hasResidentKey": false, "hasUserVerification": false,
            "automaticPresenceSimulation": true,
        });
        let added = self.command("WebAuthn.addVirtualAuthenticator", json!({ "options": options })).await;
        Key(added["authenticatorId"].as_str().unwrap().to_owned())
    }

    /// Answers prompts for a key as the browser does when its user cancels them. Nothing in the developer tools does that.
    pub(crate) async fn cancels(&self, cancels: bool) {
        let cancelled =
            "navigator.credentials.get = () => Promise.reject(new DOMException('cancelled', 'NotAllowedError'));";
        self.evaluate(if cancels { cancelled } else { "delete navigator.credentials.get;" }, "").await;
    }

    pub(crate) async fn unplug(&self, key: Key) -> Vec<Value> {
        let held = self.command("WebAuthn.getCredentials", json!({ "authenticatorId": key.0 })).await;
        self.command("WebAuthn.removeVirtualAuthenticator", json!({ "authenticatorId": key.0 })).await;
        held["credentials"].as_array().unwrap().clone()
    }

    /// The same key as before, with what it held.
    pub(crate) async fn plug_in_again(&self, held: Vec<Value>) -> Key {
        let key = self.plug_in().await;
        for credential in held {
            let credential = json!({ "authenticatorId": key.0, "credential": credential });
            self.command("WebAuthn.addCredential", credential).await;
        }
        key
    }

    /// Lets the key sign with another signature than its own.
    pub(crate) async fn forges(&self, key: &Key, forges: bool) {
        let bits = json!({ "authenticatorId": key.0, "isBogusSignature": forges });
        self.command("WebAuthn.setResponseOverrideBits", bits).await;
    }

    async fn command(&self, name: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(name, parameters).await.unwrap()
    }

    pub(crate) async fn is_shown(&self, selector: &str) -> bool {
        self.find(selector).await.is_displayed().await.unwrap()
    }

    /// Waits until the element is shown.
    pub(crate) async fn shows(&self, selector: &str) {
        let begun = Instant::now();
        while !self.is_shown(selector).await {
            if begun.elapsed() > PATIENCE {
                self.take_picture("not-shown").await;
                panic!("{selector} is not shown");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Keeps a PNG of the page beside the test's other files.
    pub(crate) async fn take_picture(&self, name: &str) {
        self.driver.screenshot(&self.pictures.join(format!("{name}.png"))).await.unwrap();
    }

    pub(crate) async fn quit(self) {
        self.driver.quit().await.unwrap();
    }
}

/// The driver's process. It takes the browser with it when it is dropped.
struct Chromedriver {
    process: Child,
    port: u16,
}

impl Chromedriver {
    fn start(directory: &Path) -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(directory.join("chromedriver.log")).unwrap())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        // "ChromeDriver was started successfully on port 12345."
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        Self { process, port: port.expect("chromedriver says its port") }
    }

    /// Asks the driver to end its browsers and itself.
    fn ask_to_end(&self) -> std::io::Result<()> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        connection.write_all(b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        connection.read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        if self.ask_to_end().is_ok() {
            let asked = Instant::now();
            while asked.elapsed() < Duration::from_secs(5) {
                if matches!(self.process.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _already_ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}
