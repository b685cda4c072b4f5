//! The configuration of a guard for sessions from another system.

use std::{fmt, net::IpAddr, sync::Arc};

use http::Response;

use super::acr::GivenAcrValues;
use crate::{
    aal::Aal,
    audit::{Audit, AuditSink},
    clock::{Clock, SystemClock},
    context::{AcrValues, ClientAddress, Edge, Refusal, RefusalHook},
    error::{BuildError, BuildErrorKind},
    source::{Head, SessionSource},
    step_up::{StepUp, StepUpGuard},
    urls::{GivenUrls, Urls},
};

impl StepUp {
    /// Starts to configure a guard for the application that browsers reach at `public_url`. Its sessions come from a
    /// [source](crate::source) of your own, such as another service, which also does the step-up.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tower_step_up::{
    ///     StepUp,
    ///     clock::Timestamp,
    ///     source::{Clue, Evidence, Head, Look, SessionSource, SourceFuture},
    /// };
    ///
    /// struct Nobody;
    ///
    /// impl SessionSource for Nobody {
    ///     fn look(&self, _: Head<'_>) -> Look {
    ///         Look::Nothing
    ///     }
    ///
    ///     fn ask<'a>(&'a self, _: &'a Clue, _: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
    ///         Box::pin(async { Ok(None) })
    ///     }
    /// }
    ///
    /// let guard = StepUp::guard("https://bank.example").source(Nobody).build()?;
    /// # drop(guard);
    /// # Ok::<(), tower_step_up::BuildError>(())
    /// ```
    pub fn guard(public_url: impl Into<String>) -> GuardBuilder {
        GuardBuilder {
            public_url: public_url.into(),
            loopback_http: false,
            urls: GivenUrls::default(),
            source: None,
            clock: Arc::new(SystemClock),
            audit: Audit::default(),
            on_refusal: None,
            client_address: None,
            acr_values: GivenAcrValues::default(),
        }
    }
}

/// Configures a [`StepUpGuard`]. Only the public URL and the source have no default.
#[must_use = "a builder does nothing until it is built"]
pub struct GuardBuilder {
    public_url: String,
    loopback_http: bool,
    urls: GivenUrls,
    source: Option<Arc<dyn SessionSource>>,
    clock: Arc<dyn Clock>,
    audit: Audit,
    on_refusal: Option<Arc<dyn RefusalHook>>,
    client_address: Option<ClientAddress>,
    acr_values: GivenAcrValues,
}

impl fmt::Debug for GuardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardBuilder").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

impl GuardBuilder {
    /// Sets the source of sessions.
    pub fn source(mut self, source: impl SessionSource) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Allows a public URL of plain HTTP on a loopback address, for development and tests.
    ///
    /// ```
    /// # use tower_step_up::StepUp;
    /// let guard = StepUp::guard("http://127.0.0.1:3000").insecure_http_on_loopback();
    /// # drop(guard);
    /// ```
    pub fn insecure_http_on_loopback(mut self) -> Self {
        self.loopback_http = true;
        self
    }

    /// Where a browser goes if it gave no `return_to`. By default `/`, the public URL. A path is relative to the public URL.
    ///
    /// ```
    /// # let guard = tower_step_up::StepUp::guard("https://app.example");
    /// let guard = guard.default_return_url("/home");
    /// # drop(guard);
    /// ```
    pub fn default_return_url(mut self, url: impl Into<String>) -> Self {
        self.urls.default_return = Some(url.into());
        self
    }

    /// Allows browsers to return to this URL and to pages under it. `*.` at the start of the host stands for any labels. By default,
    /// every page of the public URL's origin is allowed, also outside of its path. A path is relative to the public URL.
    ///
    /// ```
    /// # let guard = tower_step_up::StepUp::guard("https://app.example");
    /// let guard = guard.allowed_return_url("/").allowed_return_url("https://*.shop.example");
    /// # drop(guard);
    /// ```
    pub fn allowed_return_url(mut self, url: impl Into<String>) -> Self {
        self.urls.allowed_return.push(url.into());
        self
    }

    /// Whether a proxy in front takes the path of the public URL away from requests: nginx does so with `location /app/ { proxy_pass
    /// http://127.0.0.1:3000/; }`, whose address ends in a slash, and keeps the path without that slash.
    ///
    /// It decides where browsers return to. With the public URL `https://bank.example/app`, a request for `/pay` came from
    ///
    /// | | the browser's | what else follows |
    /// |---|---|---|
    /// | `true` | `/app/pay` | the path is always put back; behind a proxy that keeps it, it would be there twice |
    /// | `false` | `/pay` | the path is never put back; behind a proxy that strips it, browsers would leave the application |
    /// | not called | `/app/pay` | the path is put back if it is not there, and a warning in the log names this setting |
    ///
    /// If it is not called, only an application with pages of its own below `/app/app` or outside of `/app` is misunderstood. A prefix that
    /// axum's `nest` strips is known, and needs no setting.
    ///
    /// ```
    /// # let guard = tower_step_up::StepUp::guard("https://bank.example/app");
    /// let guard = guard.proxy_strips_prefix(true);
    /// # drop(guard);
    /// ```
    pub fn proxy_strips_prefix(mut self, strips: bool) -> Self {
        self.urls.prefix_stripped = Some(strips);
        self
    }

    /// Where a browser returns to if the refused request was not GET or HEAD, since it is never replayed. By default the page that it
    /// came from if that is allowed, otherwise the default return URL.
    ///
    /// ```
    /// # let guard = tower_step_up::StepUp::guard("https://app.example");
    /// let guard = guard.after_unsafe_url("/transfer");
    /// # drop(guard);
    /// ```
    pub fn after_unsafe_url(mut self, url: impl Into<String>) -> Self {
        self.urls.after_unsafe = Some(url.into());
        self
    }

    /// The clock. By default, the operating system's.
    ///
    /// ```
    /// # let guard = tower_step_up::StepUp::guard("https://app.example");
    /// use tower_step_up::clock::SystemClock;
    ///
    /// let guard = guard.clock(SystemClock);
    /// # drop(guard);
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Gives audit events to the application: see [`StepUpBuilder::audit`](crate::StepUpBuilder::audit).
    ///
    /// ```
    /// # let guard = tower_step_up::StepUp::guard("https://app.example");
    /// use tower_step_up::audit::AuditEvent;
    ///
    /// let guard = guard.audit(|event: &AuditEvent| println!("{}", event.kind.name()));
    /// # drop(guard);
    /// ```
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Audit::to(sink);
        self
    }

    /// Answers refusals with your own function: see [`StepUpBuilder::on_refusal`](crate::StepUpBuilder::on_refusal).
    ///
    /// ```
    /// # let guard = tower_step_up::StepUp::guard("https://app.example");
    /// use tower_step_up::context::Refusal;
    ///
    /// let guard = guard.on_refusal(|_: &Refusal<'_>| None); // every refusal is the crate's own
    /// # drop(guard);
    /// ```
    pub fn on_refusal<F>(mut self, answer: F) -> Self
    where
        F: Fn(&Refusal<'_>) -> Option<Response<bytes::Bytes>> + Send + Sync + 'static,
    {
        self.on_refusal = Some(Arc::new(answer));
        self
    }

    /// How the application knows the address of a client: see
    /// [`StepUpBuilder::client_address`](crate::StepUpBuilder::client_address).
    pub fn client_address<F>(mut self, address: F) -> Self
    where
        F: Fn(Head<'_>) -> Option<IpAddr> + Send + Sync + 'static,
    {
        self.client_address = Some(Arc::new(address));
        self
    }

    /// What API clients ask their authorization server for, to reach a level: the `acr_values` in the challenge of RFC 9470, in order of
    /// preference. By default there are none, except what the [source](crate::source::SessionSource::remedy) names, which comes first. An
    /// empty list leaves them out.
    ///
    /// ```
    /// # let guard = tower_step_up::StepUp::guard("https://app.example");
    /// use tower_step_up::Aal;
    ///
    /// let guard = guard.acr_values(Aal::Aal2, ["phr", "urn:bank:two-factors"]);
    /// # drop(guard);
    /// ```
    pub fn acr_values<I, T>(mut self, level: Aal, values: I) -> Self
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        self.acr_values.add(level, values);
        self
    }

    /// The same for requirements that [resist phishing](crate::Requirement::phishing_resistant), such as
    /// `Requirement::aal2().phishing_resistant()`. By default there are none, except what the
    /// [source](crate::source::SessionSource::remedy) names, which comes first.
    /// An empty list: the names of the level. Requirements that name other methods ask by the names of the level too, since no `acr` is agreed
    /// for them.
    ///
    /// ```
    /// # let guard = tower_step_up::StepUp::guard("https://app.example");
    /// let guard = guard.phishing_resistant_acr_values(["phr", "phrh"]);
    /// # drop(guard);
    /// ```
    pub fn phishing_resistant_acr_values<I, T>(mut self, values: I) -> Self
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        self.acr_values.add_phishing_resistant(values);
        self
    }

    /// Checks everything and builds.
    ///
    /// # Errors
    ///
    /// Something is missing or unsafe. The error says what to change.
    pub fn build(self) -> Result<StepUpGuard, BuildError> {
        let urls = Urls::new(&self.public_url, self.loopback_http, &self.urls)?;
        let help = "no source of sessions: call source(..) with your SessionSource";
        let source = self.source.ok_or_else(|| BuildError::new(BuildErrorKind::Source, help))?;
        source.check().map_err(|error| BuildError::new(BuildErrorKind::Source, error.to_string()))?;
        let acr_values = self.acr_values.over(AcrValues::default())?;
        let Self { clock, audit, on_refusal, client_address, .. } = self;
        Ok(StepUpGuard::new(Arc::new(Edge {
            source,
            urls: Arc::new(urls),
            clock,
            audit,
            on_refusal,
            client_address,
            keep_address: None,
            acr_values,
            second_factors: None,
        })))
    }
}
