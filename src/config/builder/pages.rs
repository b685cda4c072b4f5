//! Addresses of pages, and where browsers return to.
//!
//! A path here is relative to the public URL: with `https://bank.example/app`, `/login` is `https://bank.example/app/login`. A path that names
//! `/app` already stays. A `return_to` in a query is what the browser sees, so it is relative to the origin.

use super::StepUpBuilder;

impl StepUpBuilder {
    /// Your own login page. It gets `return_to` in its query. By default `/login`. A path is relative to the public URL: with
    /// `https://bank.example/app`, `/login` is `https://bank.example/app/login`. The same holds for every address below. A path that begins
    /// with `/app/` already stays as it is, and so does an absolute URL.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.login_url("/sign-in");
    /// # drop(builder);
    /// ```
    pub fn login_url(mut self, url: impl Into<String>) -> Self {
        self.urls.app_login = Some(url.into());
        self
    }

    /// The page that renders a login flow. By default the built-in one.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.login_ui_url("/confirm");
    /// # drop(builder);
    /// ```
    pub fn login_ui_url(mut self, url: impl Into<String>) -> Self {
        self.urls.login_ui = Some(url.into());
        self
    }

    /// The page that renders a settings flow. By default the built-in one.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.settings_ui_url("/security");
    /// # drop(builder);
    /// ```
    pub fn settings_ui_url(mut self, url: impl Into<String>) -> Self {
        self.urls.settings_ui = Some(url.into());
        self
    }

    /// The page that renders an error. By default the built-in one.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.error_ui_url("/oops");
    /// # drop(builder);
    /// ```
    pub fn error_ui_url(mut self, url: impl Into<String>) -> Self {
        self.urls.error_ui = Some(url.into());
        self
    }

    /// Where a browser goes if it gave no `return_to`. By default `/`, the public URL.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.default_return_url("/accounts");
    /// # drop(builder);
    /// ```
    pub fn default_return_url(mut self, url: impl Into<String>) -> Self {
        self.urls.default_return = Some(url.into());
        self
    }

    /// Where a browser goes after a step-up that gave no `return_to`. By default the [default return URL](Self::default_return_url).
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.after_login_url("/welcome");
    /// # drop(builder);
    /// ```
    pub fn after_login_url(mut self, url: impl Into<String>) -> Self {
        self.urls.after_login = Some(url.into());
        self
    }

    /// Where a browser goes after a change in the settings that gave no `return_to`. By default it stays on the settings page.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.after_settings_url("/profile");
    /// # drop(builder);
    /// ```
    pub fn after_settings_url(mut self, url: impl Into<String>) -> Self {
        self.urls.after_settings = Some(url.into());
        self
    }

    /// Where a browser goes after a logout that gave no `return_to`. By default the [default return URL](Self::default_return_url).
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.after_logout_url("/goodbye");
    /// # drop(builder);
    /// ```
    pub fn after_logout_url(mut self, url: impl Into<String>) -> Self {
        self.urls.after_logout = Some(url.into());
        self
    }

    /// Accepts forms and requests from pages of this origin, which serve a front end of yours on another host of the same site. The
    /// origins of your own pages ([`login_ui_url`](Self::login_ui_url) and the like) are accepted already.
    ///
    /// Scripts of such a page can do everything that its user can do. A browser lets them read the answers only with CORS: see
    /// `StepUp::cors_layer`, with the feature `cors`. From another *site*, browsers send no cookies at all.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://id.bank.example");
    /// let builder = builder.allowed_origin("https://app.bank.example");
    /// # drop(builder);
    /// ```
    ///
    /// It must be exact, without a path or a wildcard, and with HTTPS if the public URL has it.
    pub fn allowed_origin(mut self, origin: impl Into<String>) -> Self {
        self.urls.allowed_origins.push(origin.into());
        self
    }

    /// Allows browsers to return to this URL and to pages under it. `*.` at the start of the host stands for any labels. By default,
    /// every page of the public URL's origin is allowed, also outside of its path. A path is relative to the public URL.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.allowed_return_url("/").allowed_return_url("https://*.shop.example");
    /// # drop(builder);
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
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example/app");
    /// let builder = builder.proxy_strips_prefix(true);
    /// # drop(builder);
    /// ```
    pub fn proxy_strips_prefix(mut self, strips: bool) -> Self {
        self.urls.prefix_stripped = Some(strips);
        self
    }

    /// Where a browser returns to if the refused request was not GET or HEAD, since it is never replayed. By default the page that it
    /// came from if that is allowed, otherwise the default return URL.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.after_unsafe_url("/transfer");
    /// # drop(builder);
    /// ```
    pub fn after_unsafe_url(mut self, url: impl Into<String>) -> Self {
        self.urls.after_unsafe = Some(url.into());
        self
    }

    /// Whether the built-in pages send `Strict-Transport-Security`, for a year and this host alone, where the public URL is HTTPS. By default
    /// they do (RFC 6797). Switch it off if the host must also answer plain HTTP, or if something before the application sends it.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.strict_transport_security(false);
    /// # drop(builder);
    /// ```
    pub fn strict_transport_security(mut self, sends: bool) -> Self {
        self.strict_transport_security = sends;
        self
    }
}
