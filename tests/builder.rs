//! Every misconfiguration is an error of `build()`, of the right kind, with a text that says what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails panics")]

#[path = "common/log.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with tests that use all of it")]
mod log;
#[path = "common/post.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::indexing_slicing,
    reason = "shared with tests that use all of it"
)]
mod post;

use std::time::Duration;

use tower_step_up::{
    Aal, Method, SigningKey, StepUp, StepUpBuilder, Subject,
    directory::{Directory, DirectoryFuture, Identity},
    error::BuildErrorKind::{self, AcrValues, Cookie, Factor, Key, Limit, PublicUrl, Store, Url},
    factor::{self, LookupSecrets, Password, Totp},
    seal::EncryptionKey,
    session::CookiePrefix,
    store::{AttemptPolicy, MemoryStore},
    wire::ui::{Node, Text},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn key(id: &str) -> SigningKey {
    SigningKey::generate(id).unwrap()
}

fn at(public_url: &str) -> StepUpBuilder {
    StepUp::builder(public_url).signing_key(key("2026-11")).store(MemoryStore::default()).factor(Totp::new("Bank"))
}

fn bank() -> StepUpBuilder {
    at("https://bank.example")
}

#[track_caller]
fn refused(builder: StepUpBuilder, kind: BuildErrorKind, says: &str) {
    let error = builder.build().expect_err(says);
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error:?} does not say {says:?}");
}

#[test]
fn what_is_right_is_built() {
    for builder in [
        bank(),
        at("https://bank.example:8443/auth"),
        at("http://127.0.0.1:3000").insecure_http_on_loopback(),
        at("http://localhost").insecure_http_on_loopback(),
        at("http://[::1]:3000").insecure_http_on_loopback(),
        bank().factor(LookupSecrets::default()).factor(Password::default()).directory(Users { check: true }),
        bank().encryption_key(EncryptionKey::generate("2026-11").unwrap()).signing_key(key("2026-10")),
        bank().cookie_name("__Host-session").standing_max_age(Duration::ZERO).session_absolute_lifespan(DAY),
        bank().allowed_return_url("https://*.bank.example/").default_return_url("https://www.bank.example/home"),
    ] {
        assert!(builder.build().is_ok());
    }
}

#[test]
fn public_urls_that_cannot_be_safe_are_refused() {
    refused(at(""), PublicUrl, "https://bank.example");
    refused(at("bank.example"), PublicUrl, "https://bank.example");
    refused(at("https://"), PublicUrl, "https://bank.example");
    refused(at("ftp://bank.example"), PublicUrl, "https");
    refused(at("http://bank.example"), PublicUrl, "loopback");
    refused(at("http://bank.example").insecure_http_on_loopback(), PublicUrl, "loopback");
    refused(at("http://127.0.0.1.evil.example").insecure_http_on_loopback(), PublicUrl, "loopback");
    refused(at("http://127.0.0.1:3000"), PublicUrl, "insecure_http_on_loopback()");
    refused(at("https://user@bank.example"), PublicUrl, "user");
    refused(at("https://bank.example/?x=1"), PublicUrl, "query");
    refused(at("https://bank.example/#x"), PublicUrl, "fragment");
}

#[test]
fn keys_must_be_there_strong_and_told_apart() {
    let without = StepUp::builder("https://bank.example").store(MemoryStore::default()).factor(Totp::new("Bank"));
    refused(without, Key, "signing_key(");
    refused(bank().signing_key(key("2026-11")), Key, "name of its own");
    let encryption = || EncryptionKey::generate("a").unwrap();
    refused(bank().encryption_key(encryption()).encryption_key(encryption()), Key, "name of its own");
    assert!(SigningKey::hs256("a", [7; 31]).unwrap_err().to_string().contains("32"));
    assert!(EncryptionKey::new("a", [7; 31]).unwrap_err().to_string().contains("32"));
    assert!(SigningKey::generate("a b").unwrap_err().to_string().contains("A-Z"));
    assert!(SigningKey::hs256("a", [7; 32]).unwrap_err().to_string().contains("openssl rand 32"));
    assert!(EncryptionKey::new("a", [7; 32]).unwrap_err().to_string().contains("openssl rand 32"));
}

#[test]
fn a_store_and_a_second_factor_must_be_there() {
    let builder = || StepUp::builder("https://bank.example").signing_key(key("a"));
    refused(builder().factor(Totp::new("Bank")), Store, "store(");
    refused(builder().store(MemoryStore::default()), Factor, "factor(");
    refused(builder().store(MemoryStore::default()).factor(Password::default()), Factor, "second factor");
    refused(bank().factor(Totp::new("Other")), Factor, "totp");
    refused(builder().store(MemoryStore::default()).factor(Totp::new("a:b")), Factor, "colon");
    refused(builder().store(MemoryStore::default()).factor(Totp::new("")), Factor, "name");
    refused(builder().store(MemoryStore::default()).factor(Totp::new("x".repeat(129))), Factor, "128");
    refused(builder().store(MemoryStore::default()).factor(Totp::new("Bank").skew(3)), Factor, "two steps");
}

/// A factor of this method, shown as that one.
struct Own(Method, Option<Method>);

impl factor::Factor for Own {
    fn method(&self) -> Method {
        self.0
    }

    fn shown_as(&self) -> Method {
        self.1.unwrap_or(Method::Code)
    }

    fn nodes(&self, _: factor::FactorContext<'_>) -> Vec<Node> {
        Vec::new()
    }

    fn check_fields(&self, _: &factor::Form) -> Result<(), factor::FieldError> {
        Ok(())
    }

    fn answer<'a>(
        &'a self,
        _: factor::FactorContext<'a>,
        _: &'a factor::Form,
    ) -> factor::FactorFuture<'a, factor::Verdict> {
        Box::pin(async { Ok(factor::Verdict::Wrong) })
    }

    fn refusal(&self, _: factor::Refusal) -> Text {
        Text::error(4_000_001, "No.")
    }
}

#[test]
fn each_factor_is_shown_by_a_name_that_ory_knows_and_no_other_has() {
    let own = |name| Method::custom(name).unwrap();
    let push = || Own(own("push"), None);
    refused(bank().factor(push()).factor(push()), Factor, "custom:push");
    refused(bank().factor(push()).factor(Own(own("letter"), None)), Factor, "shown as code");
    refused(bank().factor(push()).factor(Own(Method::Code, None)), Factor, "shown as code");
    refused(bank().factor(Own(own("push"), Some(Method::Totp))), Factor, "shown as totp");
    refused(bank().factor(Own(own("push"), Some(own("push")))), Factor, "built-in");
    refused(bank().factor(Own(own("push"), Some(Method::Profile))), Factor, "built-in");
    refused(bank().factor(Own(Method::WebAuthn, Some(Method::Code))), Factor, "itself");
    assert!(bank().factor(push()).factor(Own(own("letter"), Some(Method::WebAuthn))).build().is_ok());
}

#[test]
fn cookies_are_host_only_unless_on_loopback() {
    refused(bank().cookie_name("__Secure-session"), Cookie, "__Host-");
    refused(bank().cookie_name("__host-session"), Cookie, "__Host-");
    refused(bank().cookie_name("__Host-a b"), Cookie, "letters");
    refused(bank().cookie_name(""), Cookie, "letters");
    let loopback = || at("http://127.0.0.1:3000").insecure_http_on_loopback();
    refused(loopback().cookie_name("__Host-session"), Cookie, "plain HTTP");
    refused(loopback().cookie_prefix(CookiePrefix::Host), Cookie, "plain HTTP");
    refused(loopback().cookie_prefix(CookiePrefix::Secure), Cookie, "plain HTTP");
    refused(loopback().cookie_prefix(CookiePrefix::None).cookie_domain("localhost"), Cookie, "HTTPS");
    assert!(loopback().cookie_name("session").cookie_prefix(CookiePrefix::None).build().is_ok());
    for name in ["session", "__Host-session"] {
        assert!(bank().cookie_name(name).cookie_prefix(CookiePrefix::Host).build().is_ok(), "{name}");
    }
}

#[test]
fn weaker_cookies_are_warned_about() {
    let (log, _guard) = log::Log::begin();
    let warnings = |builder: StepUpBuilder| {
        assert!(builder.build().is_ok());
        log.take().into_iter().filter(|line| line.contains("WARN") && line.contains("cookie tossing")).count()
    };
    assert_eq!(warnings(bank()), 0);
    assert_eq!(warnings(at("http://127.0.0.1:3000").insecure_http_on_loopback()), 0, "its name has warned already");
    for prefix in [CookiePrefix::Secure, CookiePrefix::None] {
        assert_eq!(warnings(bank().cookie_prefix(prefix)), 1);
        assert_eq!(warnings(bank().cookie_prefix(prefix).cookie_domain("bank.example")), 1);
    }
}

/// A domain takes a second word, and must be one that browsers accept.
#[test]
fn a_cookie_domain_is_no_accident() {
    let named = |domain: &str| at("https://id.bank.example").cookie_domain(domain);
    refused(named("bank.example"), Cookie, "receives the session cookie");
    refused(named("bank.example").cookie_prefix(CookiePrefix::Host), Cookie, "receives the session cookie");
    for prefix in [CookiePrefix::Secure, CookiePrefix::None] {
        let named = |domain: &str| named(domain).cookie_prefix(prefix);
        for foreign in ["evil.example", "k.example", "other.bank.example", "xid.bank.example", "a.id.bank.example"] {
            refused(named(foreign), Cookie, "or a parent of it");
        }
        for wide in ["example", "bank.example."] {
            refused(named(wide), Cookie, "two labels");
        }
        for wrong in ["", ".", "127.0.0.1", "[::1]", "bank example", "bank.example; Path=/x", "https://bank.example"] {
            let error = named(wrong).build().unwrap_err();
            assert_eq!(error.kind(), Cookie, "{wrong}");
        }
        for right in ["bank.example", "id.bank.example", "BANK.example", ".bank.example"] {
            assert!(named(right).build().is_ok(), "{right}");
        }
    }
}

#[test]
fn urls_must_be_urls_and_allowed() {
    refused(bank().login_url("javascript:alert(1)"), Url, "login_url");
    refused(bank().login_ui_url("data:text/html,x"), Url, "login_ui_url");
    refused(bank().settings_ui_url("https://"), Url, "settings_ui_url");
    refused(bank().error_ui_url("mailto:x"), Url, "error_ui_url");
    refused(bank().default_return_url("https://evil.example/"), Url, "allowed_return_urls");
    refused(bank().after_unsafe_url("https://evil.example/"), Url, "allowed_return_urls");
    refused(bank().allowed_return_url("about:blank"), Url, "allowed_return_urls");
}

#[test]
fn what_is_no_address_is_refused_where_it_is_configured() {
    for text in [
        "",
        " ",
        "login",
        "bank.example/login",
        "my login page",
        "/log in",
        " /login",
        "/login\n",
        "//evil.example/login",
        "/\\evil.example",
        "http:login",
        "https:///login page",
        "https://user:secret@bank.example/login",
        "https://",
        "?x",
        "#x",
        "javascript:alert(1)",
    ] {
        refused(bank().login_url(text), Url, "login_url");
        refused(bank().login_ui_url(text), Url, "login_ui_url");
        refused(bank().settings_ui_url(text), Url, "settings_ui_url");
        refused(bank().error_ui_url(text), Url, "error_ui_url");
        refused(bank().default_return_url(text), Url, "default_return_url");
        refused(bank().after_unsafe_url(text), Url, "after_unsafe_url");
        refused(bank().after_login_url(text), Url, "after_login_url");
        refused(bank().after_settings_url(text), Url, "after_settings_url");
        refused(bank().after_logout_url(text), Url, "after_logout_url");
        refused(bank().allowed_return_url(text), Url, "allowed_return_urls");
    }
    for text in
        ["/", "/login", "/login?from=bank", "/#/login", "https://bank.example/login", "HTTPS://bank.example:8443"]
    {
        assert!(
            bank().login_url(text).login_ui_url(text).settings_ui_url(text).error_ui_url(text).build().is_ok(),
            "{text}"
        );
    }
}

#[test]
fn allowed_origins_are_exact_and_as_safe_as_the_site() {
    for text in ["*", "https://*.bank.example", "https://*"] {
        refused(bank().allowed_origin(text), Url, "wildcard");
    }
    for text in [
        "",
        "null",
        "app.bank.example",
        "/",
        "https://app.bank.example/path",
        "https://app.bank.example/?x",
        "ftp://app.bank.example",
    ] {
        refused(bank().allowed_origin(text), Url, "no origin");
    }
    refused(bank().allowed_origin("http://app.bank.example"), Url, "HTTPS");
    assert!(
        bank()
            .allowed_origin("https://app.bank.example")
            .allowed_origin("https://app.bank.example:8443/")
            .build()
            .is_ok()
    );
    let loopback = at("http://127.0.0.1:4433").insecure_http_on_loopback();
    assert!(loopback.allowed_origin("http://127.0.0.1:3000").build().is_ok());
}

#[test]
fn a_password_needs_somebody_who_checks_it() {
    refused(bank().factor(Password::default()), Factor, "directory(");
    refused(bank().factor(Password::default()).directory(Users { check: false }), Factor, "checks_passwords");
    assert!(bank().factor(Password::default()).directory(Users { check: true }).build().is_ok());
    assert!(bank().directory(Users { check: false }).build().is_ok(), "without passwords there is nothing to check");
}

struct Users {
    check: bool,
}

impl Directory for Users {
    fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async { Ok(None) })
    }

    fn checks_passwords(&self) -> bool {
        self.check
    }
}

#[test]
fn limits_are_within_reason() {
    let policy = AttemptPolicy::default();
    for builder in vec![
        bank().session_lifespan(Duration::from_secs(59)),
        bank().session_lifespan(401 * DAY),
        bank().session_absolute_lifespan(Duration::ZERO),
        bank().session_absolute_lifespan_beyond_nist(Duration::ZERO),
        bank().second_factor_lifespan(Duration::ZERO),
        bank().session_inactivity_timeout(Duration::from_secs(299)),
        bank().second_factor_lifespan_beyond_nist(Duration::ZERO),
        bank().clock_leeway(Duration::from_secs(61)),
        bank().login_flow_lifespan(Duration::from_secs(59)),
        bank().login_flow_lifespan(25 * HOUR),
        bank().settings_flow_lifespan(Duration::from_secs(59)),
        bank().standing_max_age(Duration::from_secs(61)),
        bank().store_timeout(Duration::ZERO),
        bank().directory_timeout(Duration::from_secs(61)),
        bank().cached_sessions(0),
        bank().body_timeout(Duration::ZERO),
        bank().body_timeout(Duration::from_secs(61)),
        bank().body_limit(1023),
        bank().body_limit(5_000_001),
        bank().attempts(AttemptPolicy { free: 0, ..policy }),
        bank().attempts(AttemptPolicy { hard_stop: 101, ..policy }),
        bank().attempts(AttemptPolicy { hard_stop: 5, ..policy }),
        bank().attempts(AttemptPolicy { first_delay: Duration::ZERO, ..policy }),
        bank().attempts(AttemptPolicy { longest_delay: Duration::from_secs(1), ..policy }),
    ] {
        let error = builder.build().expect_err("a limit");
        assert_eq!(error.kind(), Limit, "{error}");
        assert!(error.to_string().contains("must") || error.to_string().contains("at least"), "{error}");
    }
}

/// NIST SP 800-63B-4, section 5.1.
#[test]
fn trusted_devices_are_off_and_within_reason() {
    for lifespan in [Duration::ZERO, Duration::from_secs(3599), 90 * DAY + Duration::from_secs(1), Duration::MAX] {
        refused(bank().trusted_devices(lifespan), Limit, "from one hour to 90 days");
    }
    for lifespan in [HOUR, 90 * DAY] {
        assert!(bank().trusted_devices(lifespan).build().is_ok());
    }
}

/// NIST SP 800-63B-4, sections 2.1.3 and 2.2.3.
#[test]
fn more_than_nist_advises_is_asked_for_by_name() {
    let second = DAY + Duration::from_millis(1);
    let month = 30 * DAY + Duration::from_secs(1);
    refused(bank().second_factor_lifespan(second), Limit, "second_factor_lifespan_beyond_nist(..)");
    refused(bank().session_absolute_lifespan(month), Limit, "session_absolute_lifespan_beyond_nist(..)");
    refused(bank().session_lifespan(month), Limit, "session_absolute_lifespan_beyond_nist(..)");
    refused(
        bank().session_lifespan(month + Duration::from_millis(1)).session_absolute_lifespan_beyond_nist(month),
        Limit,
        "session_absolute_lifespan_beyond_nist(..)",
    );
    // Of two, the last counts.
    refused(bank().second_factor_lifespan_beyond_nist(second).second_factor_lifespan(second), Limit, "24 hours");
    for builder in [
        bank().second_factor_lifespan(DAY).session_absolute_lifespan(30 * DAY).session_lifespan(30 * DAY),
        bank().session_absolute_lifespan(HOUR),
        bank().session_inactivity_timeout(HOUR),
        bank().second_factor_lifespan_beyond_nist(second),
        bank().second_factor_lifespan_beyond_nist(Duration::MAX),
        bank().session_lifespan(month).session_absolute_lifespan_beyond_nist(month),
        bank().session_absolute_lifespan_beyond_nist(Duration::MAX).session_lifespan(400 * DAY),
    ] {
        assert!(builder.build().is_ok());
    }
}

#[test]
fn the_time_of_a_factor_is_within_reason() {
    let post = |timeout| bank().factor(post::Post::with_timeout(timeout));
    for timeout in [Duration::ZERO, Duration::from_micros(999), Duration::from_millis(60_001), Duration::MAX] {
        refused(post(Some(timeout)), Factor, "the timeout of the factor code must be from 1 ms to 60 seconds");
    }
    for timeout in [None, Some(Duration::from_millis(1)), Some(Duration::from_secs(60))] {
        assert!(post(timeout).build().is_ok(), "{timeout:?}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let secret = "signs in tests, and nowhere else.";
    let keys = || (SigningKey::hs256("new", secret).unwrap(), EncryptionKey::new("new", secret).unwrap());
    let builder = || bank().signing_key(keys().0).encryption_key(keys().1);
    let step_up = builder().build().unwrap();
    let shown = format!("{step_up:?} {:?} {:?}", builder(), keys());
    let bytes = format!("{:?}", secret.as_bytes());
    assert!(!shown.contains(secret) && !shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}

#[test]
fn names_of_levels_fit_into_a_challenge() {
    for bad in ["", "a b", "a\"b", "a\\b", "\n", "\u{fc}"] {
        refused(bank().acr_values(Aal::Aal2, ["good", bad]), AcrValues, "without spaces");
    }
    refused(bank().acr_values(Aal::Aal0, ["none"]), AcrValues, "Aal1 or Aal2");
    assert!(bank().acr_values(Aal::Aal2, ["urn:bank:2fa", "phr"]).acr_values(Aal::Aal1, [""; 0]).build().is_ok());
}
