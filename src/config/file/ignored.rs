//! What a configuration file of Ory Kratos may say that has no meaning here.

use serde_json::Value;

const LISTENS: &str = "your application opens its own sockets and serves TLS or stands behind a proxy that does";
const LOGS: &str = "logs and spans go to the tracing subscriber of your application";
const HOOKS: &str = "there are no hooks: do it in your own code, or in an AuditSink";
const ONE_AFTER_LOGIN: &str =
    "one address is for all methods: set selfservice.flows.login.after.default_browser_return_url";
const ONE_AFTER_SETTINGS: &str =
    "one address is for all methods: set selfservice.flows.settings.after.default_browser_return_url";
const CORS: &str = "StepUp::cors_layer decides it; change the layer that it returns";
const NO_SUCH_METHOD: &str = "this crate has no such method: implement Factor if it is a second factor, or prove it in your login and call StepUp::sign_in";
const USERS: &str = "your application keeps its users: implement Directory";

/// Keys of Kratos, each with all that is below it, and what to do instead.
const IGNORED: &[(&str, &str)] = &[
    ("$schema", "no schema is read"),
    ("version", "the version of this crate is in your Cargo.toml"),
    ("revision", "the version of this crate is in your Cargo.toml"),
    ("config", "give the file to the reader that your application uses"),
    ("help", "there is no command line"),
    ("dev", "for plain HTTP on this machine, set step_up.insecure_http_on_loopback"),
    ("dsn", "give the builder a store, such as SqlStore::connect(..)"),
    ("database", "stores delete what has expired as they are used"),
    ("identity", USERS),
    ("organizations", USERS),
    ("enterprise", USERS),
    ("courier", "this crate sends no messages; a Factor of your own may"),
    ("watch-courier", "this crate sends no messages; a Factor of your own may"),
    ("hashers", "your Directory checks passwords, and your application hashes them"),
    ("ciphers", "secrets at rest are always sealed by XChaCha20-Poly1305"),
    ("log", LOGS),
    ("tracing", LOGS),
    ("expose-metrics-port", "your application serves its metrics"),
    ("sqa-opt-out", "nothing is reported to anybody"),
    ("oauth2_provider", "this crate is no OAuth 2.0 provider"),
    ("preview", "reads of sessions are as old as step_up.standing_max_age allows"),
    ("security", "your own login decides what strangers learn"),
    ("clients", "this crate calls no other service"),
    ("feature_flags", "none of these features is here"),
    ("secrets.pagination", "pages of sessions need no secret"),
    ("serve.admin", "there is no admin API: call StepUp from your own code, and protect what calls it"),
    ("serve.public.host", LISTENS),
    ("serve.public.port", LISTENS),
    ("serve.public.socket", LISTENS),
    ("serve.public.tls", LISTENS),
    ("serve.public.request_log", LOGS),
    ("serve.public.domain_aliases", "there is one public URL: build a StepUp for each"),
    ("serve.public.cors.allowed_methods", CORS),
    ("serve.public.cors.allowed_headers", CORS),
    ("serve.public.cors.exposed_headers", CORS),
    ("serve.public.cors.allow_credentials", CORS),
    ("serve.public.cors.options_passthrough", CORS),
    ("serve.public.cors.max_age", CORS),
    ("serve.public.cors.debug", CORS),
    ("session.earliest_possible_extend", "a session is prolonged when a factor is proven, and only then"),
    ("session.whoami.tokenizer", "whoami makes no tokens: call SessionContext and sign one of your own"),
    ("selfservice.whitelisted_return_urls", "its name is selfservice.allowed_return_urls"),
    ("selfservice.strategies", "its name is selfservice.methods"),
    ("selfservice.flows.registration", "your application registers its users"),
    ("selfservice.flows.recovery", "your application recovers accounts; attackers try this first"),
    ("selfservice.flows.verification", "your application verifies addresses"),
    ("selfservice.flows.login.style", "identifier and password are in one form, as in the style unified"),
    ("selfservice.flows.login.request_lifespan", "its name is selfservice.flows.login.lifespan"),
    ("selfservice.flows.login.before", HOOKS),
    ("selfservice.flows.login.after.hooks", HOOKS),
    ("selfservice.flows.login.after.password", ONE_AFTER_LOGIN),
    ("selfservice.flows.login.after.webauthn", ONE_AFTER_LOGIN),
    ("selfservice.flows.login.after.passkey", ONE_AFTER_LOGIN),
    ("selfservice.flows.login.after.oidc", ONE_AFTER_LOGIN),
    ("selfservice.flows.login.after.saml", ONE_AFTER_LOGIN),
    ("selfservice.flows.login.after.code", ONE_AFTER_LOGIN),
    ("selfservice.flows.login.after.totp", ONE_AFTER_LOGIN),
    ("selfservice.flows.login.after.lookup_secret", ONE_AFTER_LOGIN),
    ("selfservice.flows.settings.request_lifespan", "its name is selfservice.flows.settings.lifespan"),
    ("selfservice.flows.settings.before", HOOKS),
    ("selfservice.flows.settings.after.hooks", HOOKS),
    ("selfservice.flows.settings.after.password", ONE_AFTER_SETTINGS),
    ("selfservice.flows.settings.after.totp", ONE_AFTER_SETTINGS),
    ("selfservice.flows.settings.after.oidc", ONE_AFTER_SETTINGS),
    ("selfservice.flows.settings.after.saml", ONE_AFTER_SETTINGS),
    ("selfservice.flows.settings.after.webauthn", ONE_AFTER_SETTINGS),
    ("selfservice.flows.settings.after.passkey", ONE_AFTER_SETTINGS),
    ("selfservice.flows.settings.after.lookup_secret", ONE_AFTER_SETTINGS),
    ("selfservice.flows.settings.after.profile", ONE_AFTER_SETTINGS),
    ("selfservice.flows.logout.clear_browser_data", "send Clear-Site-Data from the page that the logout leads to"),
    ("selfservice.methods.b2b", NO_SUCH_METHOD),
    ("selfservice.methods.captcha", "limit the attempts of strangers at your own login"),
    ("selfservice.methods.code", NO_SUCH_METHOD),
    ("selfservice.methods.link", NO_SUCH_METHOD),
    ("selfservice.methods.oidc", NO_SUCH_METHOD),
    ("selfservice.methods.passkey", NO_SUCH_METHOD),
    ("selfservice.methods.password.config", "your application decides which passwords it takes"),
    ("selfservice.methods.profile", USERS),
    ("selfservice.methods.saml", NO_SUCH_METHOD),
    ("selfservice.methods.webauthn", NO_SUCH_METHOD),
];

/// A key of the file that sets nothing, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Ignored {
    pub(in crate::config) key: String,
    pub(in crate::config) instead: &'static str,
}

/// Whether the key is one of Kratos that has no meaning here.
pub(super) fn ignored(key: &str) -> Option<Ignored> {
    let (_, instead) = IGNORED.iter().find(|(own, _)| *own == key)?;
    Some(Ignored { key: key.to_owned(), instead })
}

/// Whether something below this key is one of Kratos that has no meaning here.
pub(super) fn is_above_ignored(key: &str) -> bool {
    IGNORED.iter().any(|(own, _)| own.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether the value switches the key off, so that nothing is lost.
pub(super) fn is_off(value: &Value) -> bool {
    value.get("enabled") == Some(&Value::Bool(false)) || *value == Value::Bool(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_below_another() {
        for (key, instead) in IGNORED {
            let above = |(other, _): &&(&str, &str)| key.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'));
            assert!(IGNORED.iter().find(above).is_none(), "{key}");
            assert!(!instead.is_empty() && !instead.ends_with('.'), "{key}");
        }
    }
}
