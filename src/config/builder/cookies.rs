//! The cookies: their name, and how much browsers protect them.

use super::StepUpBuilder;
use crate::session::CookiePrefix;

/// What the application says about cookies.
#[derive(Clone, Debug)]
pub(in crate::config) struct GivenCookies {
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) prefix: Option<CookiePrefix>,
    pub(in crate::config) domain: Option<String>,
    pub(in crate::config) persistent: bool,
}

impl Default for GivenCookies {
    fn default() -> Self {
        Self { name: None, prefix: None, domain: None, persistent: true }
    }
}

impl StepUpBuilder {
    /// The session cookie's name. By default `step_up_session`. The [prefix](Self::cookie_prefix) is put before it if it is not there: with
    /// the default prefix, browsers get `__Host-step_up_session`, on plain HTTP `step_up_session`.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.cookie_name("bank_session"); // `__Host-bank_session` for browsers
    /// # drop(builder);
    /// ```
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookies.name = Some(name.into());
        self
    }

    /// How much browsers protect the cookies from other hosts. By default as much as they can: [`CookiePrefix::Host`].
    ///
    /// <div class="warning">
    ///
    /// Anything else lets other hosts of your site set your cookies (*cookie tossing*). Whoever controls `blog.bank.example` can then sign a
    /// user of `bank.example` out, or into the attacker's own account, without the user noticing. [`CookiePrefix`] says what each prefix
    /// leaves open. You do not need this if one host serves your pages and these endpoints: let your front end pass requests on (Next.js
    /// calls it `rewrites`), and keep the default.
    ///
    /// </div>
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// use tower_step_up::session::CookiePrefix;
    ///
    /// // For a middleware that adds `Domain` to every cookie. All hosts below bank.example are ours.
    /// let builder = builder.cookie_prefix(CookiePrefix::Secure).cookie_domain("bank.example");
    /// # drop(builder);
    /// ```
    ///
    /// Plain HTTP on a loopback address has no prefix, so leave this out there. `build()` logs a warning for every prefix but
    /// [`Host`](CookiePrefix::Host).
    pub fn cookie_prefix(mut self, prefix: CookiePrefix) -> Self {
        self.cookies.prefix = Some(prefix);
        self
    }

    /// Sends the cookies to this host and to all hosts below it: the `Domain` of RFC 6265. By default, only the host of the public URL
    /// gets them.
    ///
    /// <div class="warning">
    ///
    /// Every host below the domain *receives* the session cookie with each request, and can use it: a forgotten name that somebody else
    /// now answers for (*subdomain takeover*) is enough to read the sessions of all users who come by. Each of these hosts can also set the
    /// cookie, as with every [prefix](Self::cookie_prefix) but `Host`. Use it only if you trust all of them as much as the bank itself.
    ///
    /// </div>
    ///
    /// It must be the host of the public URL or a parent of it, and needs [`CookiePrefix::Secure`] or [`CookiePrefix::None`], which you must
    /// choose yourself: browsers refuse `__Host-` cookies with a domain. When you change it, change [`cookie_name`](Self::cookie_name) too.
    /// Otherwise browsers keep both cookies, and two cookies of the name count as none.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://id.bank.example");
    /// use tower_step_up::session::CookiePrefix;
    ///
    /// let builder = builder.cookie_prefix(CookiePrefix::Secure).cookie_domain("bank.example");
    /// # drop(builder);
    /// ```
    pub fn cookie_domain(mut self, domain: impl Into<String>) -> Self {
        self.cookies.domain = Some(domain.into());
        self
    }

    /// Whether browsers keep the session cookie after they are closed. By default they do, until the session ends: Ory's
    /// `session.cookie.persistent`.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.cookie_persistent(false);
    /// # drop(builder);
    /// ```
    pub fn cookie_persistent(mut self, persistent: bool) -> Self {
        self.cookies.persistent = persistent;
        self
    }
}
