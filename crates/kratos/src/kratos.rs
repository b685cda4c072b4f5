use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tower_step_up::{
    RequiredAal,
    clock::Timestamp,
    source::{
        Clue, Evidence, Head, Look, Recalled, Remedy, SecondFactorRequired, SessionSource, SourceError, SourceFuture,
        Unmet,
    },
};

use crate::{
    address::{self, PlainHttp},
    connected::{Connected, Session},
    credential::look,
    failure::Failure,
    session::Reading,
};

/// No setting of a time may be longer.
const LONGEST: Duration = Duration::from_secs(60);

/// Sessions of an Ory Kratos: a [`SessionSource`]. The [crate](crate) has an example.
///
/// [`GuardBuilder::build`](tower_step_up::config::GuardBuilder::build) checks the settings, and needs no network.
#[must_use = "a source does nothing until a guard has it"]
pub struct Kratos {
    public_url: String,
    internal_url: Option<String>,
    cookie_name: String,
    cache: Duration,
    timeout: Duration,
    clock_leeway: Duration,
    required_aal: RequiredAal,
    loopback_http: bool,
    internal_http: bool,
    connected: OnceLock<Result<Connected, String>>,
}

impl Kratos {
    /// Sessions of the Kratos whose public API browsers reach at this URL: its `serve.public.base_url`.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into(),
            internal_url: None,
            cookie_name: "ory_kratos_session".to_owned(),
            cache: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            clock_leeway: Duration::from_secs(5),
            required_aal: RequiredAal::Aal1,
            loopback_http: false,
            internal_http: false,
            connected: OnceLock::new(),
        }
    }

    /// Where this application reaches the same public API, if it does not go the way of browsers. The administrative API will not do: it has no
    /// `whoami`.
    ///
    /// ```
    /// # use tower_step_up_kratos::Kratos;
    /// let kratos = Kratos::new("https://auth.example.com").internal_url("https://kratos.internal:4433");
    /// # drop(kratos);
    /// ```
    pub fn internal_url(mut self, url: impl Into<String>) -> Self {
        self.internal_url = Some(url.into());
        self
    }

    /// The name of Kratos' session cookie: its `session.cookie.name`. By default `ory_kratos_session`.
    ///
    /// ```
    /// # use tower_step_up_kratos::Kratos;
    /// let kratos = Kratos::new("https://auth.example.com").cookie_name("ory_session_bank");
    /// # drop(kratos);
    /// ```
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie_name = name.into();
        self
    }

    /// How long an answer of Kratos is good for more requests of the same session. One second by default, 60 at most. With zero, every
    /// request that needs a session waits for an answer to a question that was asked after it came.
    ///
    /// So long a session that has ended, or was stolen and revoked, may still be let through. A refusal is never remembered: who comes back
    /// from the step-up is let through at once.
    ///
    /// ```
    /// # use tower_step_up_kratos::Kratos;
    /// # use std::time::Duration;
    /// let kratos = Kratos::new("https://auth.example.com").cache(Duration::ZERO);
    /// # drop(kratos);
    /// ```
    pub fn cache(mut self, max_age: Duration) -> Self {
        self.cache = max_age;
        self
    }

    /// How long Kratos may take for an answer, connecting included, before requests are refused with 503. 2 seconds by default, 60 at most.
    ///
    /// ```
    /// # use tower_step_up_kratos::Kratos;
    /// # use std::time::Duration;
    /// let kratos = Kratos::new("https://auth.example.com").timeout(Duration::from_millis(500));
    /// # drop(kratos);
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How far the clocks of Kratos and this machine may differ: a proof from further in the future does not count. 5 seconds by default, 60
    /// at most.
    ///
    /// ```
    /// # use tower_step_up_kratos::Kratos;
    /// # use std::time::Duration;
    /// let kratos = Kratos::new("https://auth.example.com").clock_leeway(Duration::from_secs(1));
    /// # drop(kratos);
    /// ```
    pub fn clock_leeway(mut self, leeway: Duration) -> Self {
        self.clock_leeway = leeway;
        self
    }

    /// What Kratos requires before it shows a session: its `session.whoami.required_aal`. If this is not called, it is taken for
    /// [`Aal1`](RequiredAal::Aal1) (lax), which claims nothing. Kratos' own default is `highest_available`.
    ///
    /// Say [`HighestAvailable`](RequiredAal::HighestAvailable) (strict) only if it is so there. Then a session that is shown with one factor
    /// is of a user who has no other, so [`Requirement::highest_available`](tower_step_up::Requirement::highest_available) lets it pass. If
    /// that is not true, users pass with a password who have a second factor. In the lax model nobody can tell, so `highest_available` lets only two
    /// factors pass.
    ///
    /// ```
    /// # use tower_step_up_kratos::Kratos;
    /// use tower_step_up::RequiredAal;
    ///
    /// let kratos = Kratos::new("https://auth.example.com").whoami_required_aal(RequiredAal::HighestAvailable); // strict
    /// # drop(kratos);
    /// ```
    pub fn whoami_required_aal(mut self, required: RequiredAal) -> Self {
        self.required_aal = required;
        self
    }

    /// Allows URLs of plain HTTP on a loopback address, for development and tests.
    ///
    /// ```
    /// # use tower_step_up_kratos::Kratos;
    /// let kratos = Kratos::new("http://127.0.0.1:4433").insecure_http_on_loopback();
    /// # drop(kratos);
    /// ```
    pub fn insecure_http_on_loopback(mut self) -> Self {
        self.loopback_http = true;
        self
    }

    /// Allows an [internal URL](Self::internal_url) of plain HTTP. Whoever can listen or answer in that network can take over every session. So
    /// use it only where the network itself encrypts and authenticates, such as a service mesh or a tunnel.
    ///
    /// ```
    /// # use tower_step_up_kratos::Kratos;
    /// let kratos = Kratos::new("https://auth.example.com")
    ///     .internal_url("http://kratos-public.auth.svc.cluster.local")
    ///     .insecure_http_to_internal_url();
    /// # drop(kratos);
    /// ```
    pub fn insecure_http_to_internal_url(mut self) -> Self {
        self.internal_http = true;
        self
    }

    fn connect(&self) -> Result<Connected, String> {
        let loopback = if self.loopback_http { PlainHttp::OnLoopback } else { PlainHttp::Never };
        let public = address::parse("Kratos::new", &self.public_url, loopback)?;
        let base = match &self.internal_url {
            None => public.clone(),
            Some(text) => {
                let plain_http = if self.internal_http { PlainHttp::Anywhere } else { loopback };
                address::parse("internal_url", text, plain_http)?
            }
        };
        if !is_cookie_name(&self.cookie_name) {
            return Err(format!("cookie_name({:?}): no cookie can have this name (RFC 6265)", self.cookie_name));
        }
        if self.cache > LONGEST {
            return Err(
                "cache must be at most 60 seconds: a revoked session may be let through for this long".to_owned()
            );
        }
        if self.timeout.is_zero() || self.timeout > LONGEST {
            return Err("timeout must be more than zero and at most 60 seconds".to_owned());
        }
        if self.clock_leeway > LONGEST {
            return Err("clock_leeway must be at most 60 seconds; set the clocks of your machines by NTP".to_owned());
        }
        let reading =
            Reading { strict: self.required_aal == RequiredAal::HighestAvailable, clock_leeway: self.clock_leeway };
        Connected::new(public, &base, self.timeout, self.cache, reading)
    }

    fn connected(&self) -> Result<&Connected, Failure> {
        self.connected.get_or_init(|| self.connect()).as_ref().map_err(|why| Failure::NotAsked(why.clone()))
    }
}

/// RFC 6265 section 4.1.1: a token of RFC 9110.
fn is_cookie_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl fmt::Debug for Kratos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kratos").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

impl SessionSource for Kratos {
    fn check(&self) -> Result<(), SourceError> {
        self.connected().map(drop).map_err(Into::into)
    }

    fn look(&self, head: Head<'_>) -> Look {
        look(head.headers, &self.cookie_name)
    }

    fn recall(&self, clue: &Clue, now: Timestamp) -> Recalled {
        let recalled = self.connected().ok().and_then(|connected| connected.recall(clue, now));
        recalled.map_or(Recalled::Unknown, Recalled::Evidence)
    }

    fn ask<'a>(&'a self, clue: &'a Clue, now: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        Box::pin(async move {
            match self.connected()?.ask(clue, &self.cookie_name, now).await? {
                Session::Shown(evidence) => Ok(Some(evidence)),
                Session::None => Ok(None),
                Session::SecondFactorRequired => Err(SecondFactorRequired::new().into()),
            }
        })
    }

    fn rises_unseen(&self) -> bool {
        true
    }

    fn remedy(&self, unmet: &Unmet<'_>) -> Remedy {
        self.connected().map_or_else(|_| Remedy::default(), |connected| address::remedy(&connected.public, unmet))
    }
}
