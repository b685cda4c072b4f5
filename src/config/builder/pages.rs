//! Addresses: of the pages, and of where browsers return to.

use super::StepUpBuilder;

impl StepUpBuilder {
    /// The application's own first login page, which takes `return_to` in its query. By default `/login`.
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

    /// The page that renders a settings flow.
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

    /// Where a browser goes that did not say where it wants to return to. By default `/`.
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

    /// Adds a URL under which browsers may return to. A host may begin with `*.`, which stands for any labels. Without any, every
    /// page of the public URL's origin is allowed.
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

    /// Where a browser returns to when the refused request was not GET, since such a request cannot be repeated. By default the
    /// page that it came from if that is allowed, else the default return URL.
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
}
