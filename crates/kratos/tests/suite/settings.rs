//! What is wrong in the settings is said when the guard is built.

use std::time::Duration;

use tower_step_up::{StepUp, error::BuildErrorKind};
use tower_step_up_kratos::Kratos;

fn build(source: Kratos) -> Result<(), String> {
    let built = StepUp::guard("https://bank.example").source(source).build();
    built.map(drop).map_err(|error| {
        assert_eq!(error.kind(), BuildErrorKind::Source);
        error.to_string()
    })
}

#[test]
fn good_settings_need_no_network() {
    let kratos = || Kratos::new("https://auth.example.com");
    let minute = Duration::from_secs(60);
    for good in [
        kratos(),
        Kratos::new("https://example.com/.ory/kratos/public"),
        kratos().cache(Duration::ZERO).clock_leeway(Duration::ZERO),
        kratos().cache(minute).timeout(minute).clock_leeway(minute),
        kratos().internal_url("https://kratos.internal:4433").cookie_name("__Host-ory_session"),
        kratos().internal_url("http://kratos:4433").insecure_http_to_internal_url(),
        kratos().internal_url("http://127.0.0.1:4433").insecure_http_on_loopback(),
        Kratos::new("http://localhost:4433").insecure_http_on_loopback(),
    ] {
        assert_eq!(build(good), Ok(()));
    }
}

#[test]
fn bad_settings_say_what_to_change() {
    let kratos = || Kratos::new("https://auth.example.com");
    let more = Duration::from_millis(60_001);
    for (bad, help) in [
        (Kratos::new("auth.example.com"), "not an absolute URL"),
        (Kratos::new("http://auth.example.com").insecure_http_on_loopback(), "plain HTTP works only on loopback"),
        (Kratos::new("http://auth.example.com").insecure_http_to_internal_url(), "plain HTTP works only on loopback"),
        (Kratos::new("http://127.0.0.1:4433"), "insecure_http_on_loopback()"),
        (kratos().internal_url("kratos:4433"), "internal_url(\"kratos:4433\")"),
        (kratos().internal_url("http://kratos:4433"), "insecure_http_to_internal_url()"),
        (kratos().internal_url("http://kratos:4433").insecure_http_on_loopback(), "insecure_http_to_internal_url()"),
        (kratos().cookie_name(""), "cookie_name"),
        (kratos().cookie_name("a=b"), "cookie_name"),
        (kratos().cookie_name("a; b"), "cookie_name"),
        (kratos().cookie_name("a\r\nb"), "cookie_name"),
        (kratos().cache(more), "cache must be at most 60 seconds"),
        (kratos().timeout(Duration::ZERO), "timeout must be more than zero"),
        (kratos().timeout(more), "timeout must be more than zero and at most 60 seconds"),
        (kratos().clock_leeway(more), "clock_leeway must be at most 60 seconds"),
    ] {
        let error = build(bad).unwrap_err();
        assert!(error.contains(help), "{error}");
    }
}
