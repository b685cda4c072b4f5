//! The configuration of [`AccessTokens`].

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tower_step_up::{Aal, Method};

use crate::{
    algorithm::SigningAlgorithm,
    assurance::Assurance,
    keys::{Fetcher, Keys, Limits},
    source::Live,
    token::Rules,
};

/// Sessions are the access tokens that callers bring: JWTs of RFC 9068, verified here with the keys that their issuer publishes.
///
/// ```
/// use std::time::Duration;
///
/// use axum::{Router, routing::post};
/// use tower_step_up::{Aal, Requirement, RouterExt, StepUp};
/// use tower_step_up_oidc::AccessTokens;
///
/// let tokens = AccessTokens::discover("https://issuer.example")
///     .audience("https://api.example")
///     .acr("phr", Aal::Aal2) // refusals ask for it first
///     .acr("urn:example:2fa", Aal::Aal2);
/// let guard = StepUp::guard("https://api.example").source(tokens).build()?;
///
/// let recent = Requirement::aal2().max_age(Duration::from_secs(300));
/// let app: Router = Router::new().route_requiring("/transfer", recent, post(|| async { "sent" })).layer(guard.layer());
/// # drop(app);
/// # Ok::<(), tower_step_up::BuildError>(())
/// ```
///
/// # The issuer's keys
///
/// Building needs no network. The issuer is asked when the first token arrives: for `/.well-known/openid-configuration`, and then for the key set
/// that it names.
///
/// | | |
/// |---|---|
/// | the keys are older than [`refresh_keys`](Self::refresh_keys), 5 minutes by default | the next request goes on with them, and they are read again beside it, once in a minute if that fails |
/// | a token names a key that is not there | the issuer is asked once, and the request waits; other unknown keys of the next minute are refused with 401 at once |
/// | the issuer does not answer, and the keys are younger than [`keep_keys`](Self::keep_keys), an hour by default | all goes on with them |
/// | there are no keys, or only older ones | 503; the issuer is asked once in 5 seconds |
///
/// One question is in flight at a time, however many requests wait for it. So a new key counts at once, or after a minute while somebody floods
/// with made-up keys, and a key that the issuer has withdrawn no longer counts after 5 minutes (an hour if the issuer cannot be reached).
///
/// Redirects are not followed, answers of more than 512 KiB are not read, and everything is over within [`time_limit`](Self::time_limit).
///
/// # Refusals
///
/// | | |
/// |---|---|
/// | no token | 401 `Bearer` |
/// | a token that is not valid here | 401 `Bearer error="invalid_token"` (RFC 6750), with the reason |
/// | a level that is too low, unknown, or too long ago | 401 `Bearer error="insufficient_user_authentication"` with `acr_values` and `max_age` (RFC 9470) |
/// | a token that is bound to a key or a certificate (`cnf`), or the scheme `DPoP` | 401 `invalid_token`: not supported, and not taken as a bearer token either |
///
/// [`Requirement::highest_available`](tower_step_up::Requirement::highest_available) passes only tokens of two factors: a token does not say
/// whether its user has a second one.
#[derive(Clone)]
#[must_use = "it does nothing until it is the source of a guard"]
pub struct AccessTokens {
    settings: Settings,
    /// Made of the settings when it is first needed.
    live: Arc<OnceLock<Result<Live, String>>>,
}

#[derive(Clone)]
struct Settings {
    issuer: String,
    audiences: Vec<String>,
    clients: Vec<String>,
    algorithms: Vec<SigningAlgorithm>,
    plain_jwt: bool,
    leeway: Duration,
    assurance: Assurance,
    loopback_http: bool,
    time_limit: Duration,
    limits: Limits,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { issuer, audiences, .. } = &self.settings;
        f.debug_struct("AccessTokens").field("issuer", issuer).field("audiences", audiences).finish_non_exhaustive()
    }
}

const FIVE_MINUTES: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);

impl AccessTokens {
    /// Tokens of this issuer. It must be written exactly as `iss` in its tokens and as `issuer` in its metadata, with or without a slash at
    /// the end.
    pub fn discover(issuer: impl Into<String>) -> Self {
        let settings = Settings {
            issuer: issuer.into(),
            audiences: Vec::new(),
            clients: Vec::new(),
            algorithms: SigningAlgorithm::ALL.to_vec(),
            plain_jwt: false,
            leeway: Duration::from_secs(5),
            assurance: Assurance::new(),
            loopback_http: false,
            time_limit: Duration::from_secs(5),
            limits: Limits { refresh: FIVE_MINUTES, keep: HOUR },
        };
        Self { settings, live: Arc::default() }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        Self { settings: self.settings, live: Arc::default() }
    }

    fn assured(self, change: impl FnOnce(Assurance) -> Assurance) -> Self {
        self.with(|settings| settings.assurance = change(std::mem::take(&mut settings.assurance)))
    }

    /// The name of this API in `aud`. Of several, any one is enough. There must be one, so that no token for another API opens this one.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with(|settings| settings.audiences.push(audience.into()))
    }

    /// Takes tokens that have no `aud`, if their `client_id` is this. Amazon Cognito's are so. A token with an `aud` needs a good one all the
    /// same.
    pub fn client_without_audience(self, client_id: impl Into<String>) -> Self {
        self.with(|settings| settings.clients.push(client_id.into()))
    }

    /// Users whose `acr` is exactly this have this level: see [`Assurance::acr`].
    pub fn acr(self, name: impl Into<String>, level: Aal) -> Self {
        self.assured(|assurance| assurance.acr(name, level))
    }

    /// Users whose `acr` is exactly this have two factors, the second by this method: see [`Assurance::second_factor_acr`].
    pub fn second_factor_acr(self, name: impl Into<String>, method: Method) -> Self {
        self.assured(|assurance| assurance.second_factor_acr(name, method))
    }

    /// Users whose `amr` has exactly this have proven their second factor by this method, if they have two: see
    /// [`Assurance::second_factor_amr`].
    pub fn second_factor_amr(self, name: impl Into<String>, method: Method) -> Self {
        self.assured(|assurance| assurance.second_factor_amr(name, method))
    }

    /// Users whose `amr` has exactly this have used this method: see [`Assurance::amr`].
    pub fn amr(self, name: impl Into<String>, method: Method) -> Self {
        self.assured(|assurance| assurance.amr(name, method))
    }

    /// Users whose `amr` has exactly this have this level: see [`Assurance::amr_level`].
    pub fn amr_level(self, name: impl Into<String>, level: Aal) -> Self {
        self.assured(|assurance| assurance.amr_level(name, level))
    }

    /// The whole table of what claims mean, in place of everything that was said of them before.
    ///
    /// ```
    /// use tower_step_up::Aal;
    /// use tower_step_up_oidc::{AccessTokens, Assurance};
    ///
    /// let entra = Assurance::new().acr_claim("acrs").acr("c1", Aal::Aal2);
    /// let tokens = AccessTokens::discover("https://issuer.example").audience("api").assurance(entra);
    /// # drop(tokens);
    /// ```
    pub fn assurance(self, assurance: Assurance) -> Self {
        self.assured(|_| assurance)
    }

    /// The algorithms that tokens may be signed with. By default all of [`SigningAlgorithm::ALL`]: a key is used only with an algorithm that
    /// fits it. There is no way to allow `none` or a shared secret (`HS256`).
    ///
    /// ```
    /// use tower_step_up_oidc::{AccessTokens, SigningAlgorithm};
    ///
    /// let tokens = AccessTokens::discover("https://issuer.example").audience("api").algorithms([SigningAlgorithm::Es256]);
    /// # drop(tokens);
    /// ```
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = SigningAlgorithm>) -> Self {
        self.with(|settings| settings.algorithms = algorithms.into_iter().collect())
    }

    /// Takes access tokens whose header does not say `at+jwt` but `JWT` or nothing, for issuers that do not follow RFC 9068 there.
    ///
    /// Then an ID token of the same issuer looks much like an access token. What is known of other tokens is refused (`at_hash`, `c_hash`,
    /// `s_hash`, `events`; a claim `typ` other than `Bearer`, or `token_use` other than `access`). Besides, make sure that this API's audience
    /// is no client's id.
    pub fn accept_plain_jwt(self) -> Self {
        self.with(|settings| settings.plain_jwt = true)
    }

    /// How far the issuer's clock and this one may differ: 5 seconds by default, 5 minutes at most. A token ends so much later.
    pub fn leeway(self, leeway: Duration) -> Self {
        self.with(|settings| settings.leeway = leeway)
    }

    /// Allows an issuer of plain HTTP on a loopback address, for development and tests.
    pub fn insecure_http_on_loopback(self) -> Self {
        self.with(|settings| settings.loopback_http = true)
    }

    /// How long the issuer may take to answer with its metadata and keys together. By default 5 seconds.
    pub fn time_limit(self, time_limit: Duration) -> Self {
        self.with(|settings| settings.time_limit = time_limit)
    }

    /// The age from which keys are read again in the background. By default 5 minutes, and at least a second.
    pub fn refresh_keys(self, age: Duration) -> Self {
        self.with(|settings| settings.limits.refresh = age)
    }

    /// The age from which keys no longer count, if the issuer does not answer. By default an hour, and at least that of
    /// [`refresh_keys`](Self::refresh_keys).
    pub fn keep_keys(self, age: Duration) -> Self {
        self.with(|settings| settings.limits.keep = age)
    }

    pub(crate) fn live(&self) -> Result<&Live, &str> {
        self.live.get_or_init(|| self.settings.build()).as_ref().map_err(String::as_str)
    }
}

impl Settings {
    /// # Errors
    ///
    /// What to change.
    fn build(&self) -> Result<Live, String> {
        let fail = |why: &str| Err(why.to_owned());
        if self.audiences.iter().chain(&self.clients).any(String::is_empty) {
            return fail("an audience is empty");
        }
        if self.audiences.is_empty() && self.clients.is_empty() {
            return fail("no audience: call audience(..) with the name of this API in the aud of its tokens");
        }
        if self.algorithms.is_empty() {
            return fail("no algorithms: leave algorithms(..) out, or name one that the issuer signs with");
        }
        if self.leeway > FIVE_MINUTES {
            return fail("leeway: 5 minutes at most");
        }
        if self.time_limit.is_zero() {
            return fail("time_limit: it must not be zero");
        }
        if self.limits.refresh < Duration::from_secs(1) || self.limits.keep < self.limits.refresh {
            return fail("refresh_keys must be at least a second, and keep_keys at least that");
        }
        self.assurance.check()?;
        let rules = Rules {
            issuer: self.issuer.clone(),
            audiences: self.audiences.clone(),
            clients: self.clients.clone(),
            algorithms: self.algorithms.clone(),
            plain_jwt: self.plain_jwt,
            leeway: self.leeway,
        };
        let fetcher = Fetcher::new(&self.issuer, self.loopback_http, self.time_limit)?;
        Ok(Live::new(rules, self.assurance.clone(), Keys::new(fetcher, self.limits)))
    }
}

#[cfg(test)]
mod tests {
    use tower_step_up::{StepUp, error::BuildErrorKind};

    use super::*;

    #[test]
    fn what_is_wrong_is_an_error_of_the_builder() {
        let good = || AccessTokens::discover("https://issuer.example").audience("api");
        let build = |tokens: AccessTokens| StepUp::guard("https://api.example").source(tokens).build();
        assert!(build(good()).is_ok());
        assert!(build(AccessTokens::discover("https://issuer.example").client_without_audience("web")).is_ok());
        for (tokens, expected) in [
            (AccessTokens::discover("https://issuer.example"), "no audience"),
            (good().audience(""), "an audience is empty"),
            (AccessTokens::discover("http://issuer.example").audience("api"), "must be https"),
            (
                AccessTokens::discover("http://issuer.example").audience("api").insecure_http_on_loopback(),
                "loopback address",
            ),
            (AccessTokens::discover("http://127.0.0.1:9").audience("api"), "insecure_http_on_loopback()"),
            (AccessTokens::discover("issuer").audience("api"), "not an absolute URL"),
            (good().algorithms([]), "no algorithms"),
            (good().leeway(Duration::from_secs(301)), "leeway"),
            (good().time_limit(Duration::ZERO), "time_limit"),
            (good().refresh_keys(Duration::ZERO), "refresh_keys"),
            (good().keep_keys(Duration::from_secs(299)), "keep_keys"),
            (good().acr("two factors", Aal::Aal2), "acr"),
            (good().acr("0", Aal::Aal0), "Aal0"),
        ] {
            let error = build(tokens).expect_err(expected);
            assert_eq!(error.kind(), BuildErrorKind::Source);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_copy_that_is_changed_is_another_source() {
        let good = AccessTokens::discover("https://issuer.example").audience("api");
        assert!(good.live().is_ok());
        assert!(good.clone().algorithms([]).live().is_err());
        assert!(Arc::ptr_eq(&good.live, &good.clone().live), "a mere copy has the same keys");
    }
}
