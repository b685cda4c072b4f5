use std::time::Duration;

use serde_json::json;

use super::{
    keys::{KEYS, Kind},
    *,
};
use crate::{StepUp, requirement::RequiredAal, store::MemoryStore};

const SECRET: &str = "signs in tests, and nowhere else.";

fn read(tree: Value) -> Result<Config, String> {
    serde_json::from_value(tree).map_err(|error| error.to_string())
}

#[test]
fn every_key_of_the_table_can_be_set() {
    for (key, kind) in KEYS {
        let value = match kind {
            Kind::Elsewhere if *key == "serve.public.cors.allowed_origins" => json!(["https://app.bank.example"]),
            Kind::Elsewhere if *key == "secrets.default" => json!([SECRET]),
            Kind::Text(_) | Kind::Elsewhere if key.ends_with("enabled") => json!(false),
            Kind::Text(_) | Kind::Elsewhere => json!("/x"),
            Kind::Texts(_) | Kind::List(_) => json!(["/x"]),
            Kind::Time(_) => json!("90s"),
            Kind::Level(_) => json!("aal1"),
            Kind::Count(_) => json!(7),
            Kind::Flag(_) | Kind::Switch(_) => json!(true),
            Kind::Prefix(_) => json!("secure"),
            Kind::Fixed(only, _) => json!(only),
            Kind::SigningKeys | Kind::EncryptionKeys => json!([SECRET]),
        };
        let tree = key.rsplit('.').fold(value, |inner, name| json!({ name: inner }));
        let config = read(tree).unwrap_or_else(|error| panic!("{key}: {error}"));
        let _ = StepUp::builder("https://bank.example").configure(&config);
    }
}

#[test]
fn mistakes_are_named_by_their_whole_key() {
    for (tree, name) in [
        (json!({"session": {"lifespam": "1h"}}), "session.lifespam"),
        (json!({"sessions": {}}), "sessions"),
        (json!({"session": {"lifespan": {"x": 1}}}), "session.lifespan"),
        (json!({"session": {"lifespan": 5}}), "session.lifespan"),
        (json!({"session": {"lifespan": "soon"}}), "session.lifespan"),
        (json!({"session": "1h"}), "session"),
        (json!({"session": {"whoami": {"required_aal": "aal3"}}}), "session.whoami.required_aal"),
        (json!({"selfservice": {"allowed_return_urls": "x"}}), "selfservice.allowed_return_urls"),
        (json!({"selfservice": {"methods": {"totp": {"enabled": true}}}}), "selfservice.methods.totp.config.issuer"),
        (json!({"selfservice": {"methods": {"totp": {"enabled": 1}}}}), "selfservice.methods.totp.enabled"),
        (json!({"secrets": {"cookie": ["short"]}}), "secrets.cookie"),
        (json!({"step_up": {"body_limit": -1}}), "step_up.body_limit"),
        (json!(7), "the configuration"),
    ] {
        let error = read(tree).unwrap_err();
        assert!(error.starts_with(&format!("{name}: ")), "{name}: {error}");
        assert!(!error.contains("short"), "no secret in an error");
    }
}

#[test]
fn the_names_of_levels_stand_in_the_file_too() {
    let config = read(json!({"step_up": {"acr_values": {
        "aal1": ["one"], "aal2": ["two", "urn:bank:2fa"], "phishing_resistant": ["urn:bank:key", "phr"]
    }}}));
    let builder = StepUp::builder("https://bank.example").configure(&config.unwrap());
    let names = builder.acr_values.over(crate::context::AcrValues::default()).unwrap();
    let found = [names.aal1, names.aal2, names.phishing_resistant];
    assert_eq!(
        found.each_ref().map(|name| name.as_deref()),
        [Some("one"), Some("two urn:bank:2fa"), Some("urn:bank:key phr")]
    );
    let error = read(json!({"step_up": {"acr_values": {"phishing_resistant": "phr"}}})).unwrap_err();
    assert!(error.starts_with("step_up.acr_values.phishing_resistant: "), "{error}");
}

#[test]
fn a_configuration_builds_what_it_says() {
    let config = read(json!({
        "serve": {"public": {"base_url": "http://127.0.0.1:3000"}},
        "session": {"lifespan": "1h 30m", "whoami": {"required_aal": "aal1"}},
        "selfservice": {
            "flows": {"settings": {"required_aal": "aal2", "privileged_session_max_age": "-1s"}},
            "methods": {"totp": {"enabled": true, "config": {"issuer": "Bank"}}, "lookup_secret": {"enabled": true}},
        },
        "secrets": {"cookie": [SECRET, "what was the secret until last May"]},
        "step_up": {"insecure_http_on_loopback": true, "attempts": {"free": 3}},
    }))
    .unwrap();
    let builder = StepUp::builder(config.public_url().unwrap()).configure(&config);
    let step_up = builder.store(MemoryStore::default()).build().unwrap();
    let engine = step_up.engine();
    assert_eq!(engine.limits.session_lifespan, Duration::from_secs(5400));
    assert_eq!(engine.limits.privileged_session_max_age, Duration::ZERO);
    assert_eq!(engine.limits.attempts.free, 3);
    assert_eq!(engine.whoami_required_aal(), RequiredAal::Aal1);
    assert_eq!(engine.settings_required_aal(), RequiredAal::Aal2);
    assert_eq!(engine.factors.len(), 2);
}

/// What Kratos v26.2 can be told, as far down as it means something here.
const KRATOS: &str = "
    ciphers clients config cookies.domain cookies.path cookies.same_site cookies.secure courier database dev dsn enterprise
    expose-metrics-port feature_flags hashers help identity log oauth2_provider organizations preview revision secrets.cipher
    secrets.cookie secrets.default secrets.pagination security selfservice.allowed_return_urls selfservice.default_browser_return_url
    selfservice.flows.error.ui_url selfservice.flows.login.after.code selfservice.flows.login.after.default_browser_return_url
    selfservice.flows.login.after.hooks selfservice.flows.login.after.lookup_secret selfservice.flows.login.after.oidc
    selfservice.flows.login.after.passkey selfservice.flows.login.after.password selfservice.flows.login.after.totp
    selfservice.flows.login.after.webauthn selfservice.flows.login.before.hooks selfservice.flows.login.lifespan
    selfservice.flows.login.style selfservice.flows.login.ui_url selfservice.flows.logout.after.default_browser_return_url
    selfservice.flows.logout.clear_browser_data selfservice.flows.recovery selfservice.flows.registration
    selfservice.flows.settings.after.default_browser_return_url selfservice.flows.settings.after.hooks
    selfservice.flows.settings.after.lookup_secret selfservice.flows.settings.after.oidc selfservice.flows.settings.after.passkey
    selfservice.flows.settings.after.password selfservice.flows.settings.after.profile selfservice.flows.settings.after.totp
    selfservice.flows.settings.after.webauthn selfservice.flows.settings.before.hooks selfservice.flows.settings.lifespan
    selfservice.flows.settings.privileged_session_max_age selfservice.flows.settings.required_aal selfservice.flows.settings.ui_url
    selfservice.flows.verification selfservice.methods.b2b.config.organizations selfservice.methods.code.config.lifespan
    selfservice.methods.code.config.max_submissions selfservice.methods.code.config.missing_credential_fallback_enabled
    selfservice.methods.code.enabled selfservice.methods.code.mfa_enabled selfservice.methods.code.passwordless_enabled
    selfservice.methods.link.config.base_url selfservice.methods.link.config.lifespan selfservice.methods.link.enabled
    selfservice.methods.lookup_secret.enabled selfservice.methods.oidc.config.base_redirect_uri
    selfservice.methods.oidc.config.providers selfservice.methods.oidc.enabled selfservice.methods.passkey.config.attestation
    selfservice.methods.passkey.config.authenticator_selection selfservice.methods.passkey.config.rp
    selfservice.methods.passkey.config.timeouts selfservice.methods.passkey.enabled
    selfservice.methods.password.config.haveibeenpwned_enabled selfservice.methods.password.config.haveibeenpwned_host
    selfservice.methods.password.config.identifier_similarity_check_enabled selfservice.methods.password.config.ignore_network_errors
    selfservice.methods.password.config.max_breaches selfservice.methods.password.config.migrate_hook
    selfservice.methods.password.config.min_password_length selfservice.methods.password.enabled selfservice.methods.profile.enabled
    selfservice.methods.totp.config.issuer selfservice.methods.totp.enabled selfservice.methods.webauthn.config.passwordless
    selfservice.methods.webauthn.config.rp selfservice.methods.webauthn.enabled serve.admin serve.public.base_url
    serve.public.cors.allow_credentials serve.public.cors.allowed_headers serve.public.cors.allowed_methods
    serve.public.cors.allowed_origins serve.public.cors.debug serve.public.cors.enabled serve.public.cors.exposed_headers
    serve.public.cors.max_age serve.public.cors.options_passthrough serve.public.host serve.public.port
    serve.public.request_log.disable_for_health serve.public.socket serve.public.tls session.cookie.domain session.cookie.name
    session.cookie.path session.cookie.persistent session.cookie.same_site session.cookie.secure session.earliest_possible_extend
    session.lifespan session.whoami.required_aal session.whoami.tokenizer.templates sqa-opt-out tracing version watch-courier
";

/// Whoever comes from Kratos finds each key taken over or named, and none "unknown".
#[test]
fn every_key_of_kratos_is_taken_over_or_named() {
    let known = |key: &str| {
        let above = |own: &str| key == own || key.strip_prefix(own).is_some_and(|rest| rest.starts_with('.'));
        KEYS.iter().any(|(own, _)| *own == key)
            || key
                .match_indices('.')
                .map(|(end, _)| &key[..end])
                .chain([key])
                .any(|own| ignored::ignored(own).is_some_and(|ignored| above(&ignored.key)))
    };
    let unknown: Vec<_> = KRATOS.split_whitespace().filter(|key| !known(key)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn what_is_switched_off_or_null_is_not_named() {
    for tree in [
        json!({"selfservice": {"flows": {"registration": {"enabled": false, "ui_url": "/x"}}}}),
        json!({"selfservice": {"methods": {"webauthn": {"enabled": false}, "link": null}}}),
        json!({"serve": {"public": null}, "courier": null, "dev": false}),
        json!({"serve": {"public": {"cors": {"enabled": false, "allowed_origins": ["*"]}}}}),
        json!({"cookies": {"path": "/", "same_site": "lax", "secure": true}, "session": {"cookie": {"same_site": "Lax"}}}),
    ] {
        let config = read(tree.clone()).unwrap();
        assert_eq!(config.ignored_keys().collect::<Vec<_>>(), Vec::<&str>::new(), "{tree}");
    }
    for (tree, key) in [
        (json!({"selfservice": {"methods": {"webauthn": {"enabled": true}}}}), "selfservice.methods.webauthn"),
        (json!({"selfservice": {"flows": {"recovery": {"ui_url": "/x"}}}}), "selfservice.flows.recovery"),
        (json!({"cookies": {"same_site": "None"}}), "cookies.same_site"),
        (json!({"cookies": {"secure": false}}), "cookies.secure"),
        (json!({"session": {"cookie": {"path": "/app"}}}), "session.cookie.path"),
        (json!({"cookies": {"domain": "bank.example"}}), "cookies.domain"),
        (json!({"cookies": {"domain": "bank.example"}, "step_up": {"cookie_prefix": "host"}}), "cookies.domain"),
    ] {
        assert_eq!(read(tree).unwrap().ignored_keys().collect::<Vec<_>>(), [key]);
    }
}

#[test]
fn a_domain_and_open_origins_take_more_than_one_key() {
    let with = |prefix: &str| {
        let config = read(json!({
            "cookies": {"domain": "bank.example"},
            "secrets": {"default": [SECRET]},
            "selfservice": {"methods": {"lookup_secret": {"enabled": true}}},
            "step_up": {"cookie_prefix": prefix},
        }))
        .unwrap();
        StepUp::builder("https://id.bank.example").configure(&config).store(MemoryStore::default()).build().unwrap()
    };
    let cookies = |step_up: &StepUp| step_up.engine().sessions.cookies.clone();
    assert_eq!(cookies(&with("host")).domain, None);
    assert_eq!(cookies(&with("secure")).domain.as_deref(), Some("bank.example"));
    assert!(cookies(&with("secure")).session.starts_with("__Secure-"));
    let error = read(json!({"step_up": {"cookie_prefix": "Secure "}})).unwrap_err();
    assert!(error.starts_with("step_up.cookie_prefix: "), "{error}");
    for open in ["*", "https://*.bank.example"] {
        let error =
            read(json!({"serve": {"public": {"cors": {"enabled": true, "allowed_origins": [open]}}}})).unwrap_err();
        assert!(
            error.starts_with("serve.public.cors.allowed_origins: ") && error.contains("name each origin"),
            "{error}"
        );
    }
}

#[test]
fn the_issuer_is_the_host_if_nobody_names_one() {
    let config = read(json!({
        "serve": {"public": {"base_url": "https://id.bank.example/auth"}},
        "selfservice": {"methods": {"totp": {"enabled": true}}},
    }))
    .unwrap();
    assert!(format!("{:?}", config.totp).contains("id.bank.example"));
}
