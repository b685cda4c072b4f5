//! What the application provides: stores, factors, a directory, a clock, an audit sink, its own answers.

use std::{net::IpAddr, sync::Arc};

use super::StepUpBuilder;
use crate::{
    aal::Aal,
    audit::{Audit, AuditSink},
    clock::Clock,
    context::Refusal,
    directory::Directory,
    factor::Factor,
    source::{Head, HostSessions},
    store::{FlowStore, SubjectStore},
};

impl StepUpBuilder {
    /// Keeps everything in this store.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::store::MemoryStore;
    ///
    /// let builder = builder.store(MemoryStore::default());
    /// # drop(builder);
    /// ```
    pub fn store<S: SubjectStore + FlowStore>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.stores = Some((Arc::<S>::clone(&store), store));
        self
    }

    /// Keeps flows and counters of attempts in this store, and the rest in [`store`](Self::store).
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::store::MemoryStore;
    ///
    /// let builder = builder
    ///     .store(MemoryStore::default()) // a durable one
    ///     .flow_store(MemoryStore::default()); // a fast one, such as Redis
    /// # drop(builder);
    /// ```
    pub fn flow_store(mut self, store: impl FlowStore) -> Self {
        self.flow_store = Some(Arc::new(store));
        self
    }

    /// Takes sessions that the application has already, such as those of axum-login: who is signed in is what the application says. Its
    /// login and logout do not change, and a step-up ends with the session that it belongs to. See [`HostSessions`].
    ///
    /// Put [`StepUp::layer`](crate::StepUp::layer) inside the layer of the application's sessions, and around all routes, its login and logout
    /// among them. [`StepUp::sign_in`](crate::StepUp::sign_in) and its like are then an error.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::source::{Head, HostLook, HostSessions};
    ///
    /// struct Sessions; // `HostSessions` has an example that does something
    ///
    /// impl HostSessions for Sessions {
    ///     fn look(&self, _: Head<'_>) -> HostLook {
    ///         HostLook::Miswired("there are no sessions yet")
    ///     }
    /// }
    ///
    /// let builder = builder.sessions(Sessions);
    /// # drop(builder);
    /// ```
    pub fn sessions(mut self, sessions: impl HostSessions) -> Self {
        self.host_sessions = Some(Arc::new(sessions));
        self
    }

    /// Adds a factor: a built-in one, or one of your own that implements [`Factor`]. No two factors can have the same
    /// [method](Factor::method), or be [shown as](Factor::shown_as) the same method.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::factor::{LookupSecrets, Totp};
    ///
    /// let builder = builder.factor(Totp::new("Example Bank")).factor(LookupSecrets::default());
    /// # drop(builder);
    /// ```
    pub fn factor(mut self, factor: impl Factor) -> Self {
        self.factors.push(Box::new(factor));
        self
    }

    /// Sets the directory of your users. By default, every subject is active and has no traits.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::{Subject, directory::{Directory, DirectoryFuture, Identity}};
    ///
    /// struct Users;
    ///
    /// impl Directory for Users {
    ///     fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
    ///         Box::pin(async move { Ok(Some(Identity::new(serde_json::json!({ "username": subject.as_str() })))) })
    ///     }
    /// }
    ///
    /// let builder = builder.directory(Users);
    /// # drop(builder);
    /// ```
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.directory = Arc::new(directory);
        self
    }

    /// The clock. By default, the operating system's.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::clock::{Clock, Timestamp};
    ///
    /// struct Still;
    ///
    /// impl Clock for Still {
    ///     fn now(&self) -> Timestamp {
    ///         Timestamp::from_unix_seconds(1_800_000_000)
    ///     }
    /// }
    ///
    /// let builder = builder.clock(Still);
    /// # drop(builder);
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Gives audit events to the application, in addition to the `tracing` target `tower_step_up::audit`. See
    /// [`AuditEvent`](crate::audit::AuditEvent).
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use std::sync::mpsc;
    /// use tower_step_up::audit::AuditEvent;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// let builder = builder.audit(move |event: &AuditEvent| drop(sender.send(event.clone())));
    /// # drop(receiver);
    /// # drop(builder);
    /// ```
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Audit::to(sink);
        self
    }

    /// Answers refusals with your own function: for example a page in your own style, problem details, or an error of GraphQL or gRPC. If
    /// the function returns `None`, the client gets the crate's own answer.
    ///
    /// It must not block. Its answer gets `no-store`, and the audit gets the refusal in any case. It is called when guards, extractors
    /// and handlers refuse. The companion router always answers in Ory's format.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Response, StatusCode};
    /// use tower_step_up::{Shortfall, context::Refusal};
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    ///
    /// let step_up = StepUp::builder("https://bank.example")
    /// #   .signing_key(SigningKey::generate("2026-11")?)
    /// #   .store(MemoryStore::default())
    /// #   .factor(Totp::new("Example Bank"))
    ///     .on_refusal(|refusal: &Refusal<'_>| {
    ///         if refusal.shortfall != Shortfall::Unavailable {
    ///             return None;
    ///         }
    ///         let mut response = Response::new(Bytes::from_static(b"We will be back in a moment."));
    ///         *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    ///         Some(response)
    ///     })
    ///     .build()?;
    /// # drop(step_up);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_refusal<F>(mut self, answer: F) -> Self
    where
        F: Fn(&Refusal<'_>) -> Option<http::Response<bytes::Bytes>> + Send + Sync + 'static,
    {
        self.on_refusal = Some(Arc::new(answer));
        self
    }

    /// How the application knows the address of a client. Audit events and lists of sessions show it; nothing is decided by it. By default
    /// nobody knows it, and nothing is read from `X-Forwarded-For`, `Forwarded` and their like: anybody can send these headers.
    ///
    /// Without a proxy, the client is the peer of the connection. axum has it in `ConnectInfo`:
    ///
    #[cfg_attr(feature = "axum", doc = "```")]
    #[cfg_attr(not(feature = "axum"), doc = "```ignore")]
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use std::net::SocketAddr;
    /// use axum::extract::ConnectInfo;
    ///
    /// // serve the application with `into_make_service_with_connect_info::<SocketAddr>()`
    /// let builder = builder.client_address(|head| Some(head.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()));
    /// # drop(builder);
    /// ```
    ///
    /// Behind a proxy, that peer is the proxy. Read a header that the proxy *sets*, in place of what the client sent, and let nobody reach
    /// the application around the proxy. With nginx, `proxy_set_header X-Real-IP $remote_addr;` does so:
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.client_address(|head| head.headers.get("x-real-ip")?.to_str().ok()?.parse().ok());
    /// # drop(builder);
    /// ```
    ///
    /// A proxy *appends* to `X-Forwarded-For`. Its first entry is whatever the client wrote; only as many entries at the end as there are
    /// proxies of yours can be believed.
    ///
    /// It must not block. It is called when a request is refused, and for each request to the companion router.
    pub fn client_address<F>(mut self, address: F) -> Self
    where
        F: Fn(Head<'_>) -> Option<IpAddr> + Send + Sync + 'static,
    {
        self.client_address = Some(Arc::new(address));
        self
    }

    /// What API clients ask their authorization server for, to reach a level: the `acr_values` in the challenge of RFC 9470, in order of
    /// preference. By default `aal1` and `aal2`. An empty list leaves them out.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::Aal;
    ///
    /// let builder = builder.acr_values(Aal::Aal2, ["phr", "urn:bank:two-factors"]);
    /// # drop(builder);
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
    /// `Requirement::aal2().phishing_resistant()`. By default `phr` and `phrh`, the names of
    /// [OpenID Connect EAP ACR Values](https://openid.net/specs/openid-connect-eap-acr-values-1_0-final.html).
    /// An empty list: the names of the level. Requirements that name other methods ask by the names of the level too, since no `acr` is agreed
    /// for them.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.phishing_resistant_acr_values(["urn:bank:key", "phr"]);
    /// # drop(builder);
    /// ```
    pub fn phishing_resistant_acr_values<I, T>(mut self, values: I) -> Self
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        self.acr_values.add_phishing_resistant(values);
        self
    }
}
