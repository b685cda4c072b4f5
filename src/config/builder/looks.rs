//! How the built-in pages look, and which languages they speak.

use std::sync::Arc;

use super::StepUpBuilder;
use crate::{
    language::Language,
    source::Head,
    theme::{Page, PageError, Theme},
};

impl StepUpBuilder {
    /// How the built-in pages look: a logo, colours for light and dark, a stylesheet of your own. By default plain, with the
    /// [name](Self::application_name) of the application.
    ///
    /// ```
    /// use tower_step_up::theme::{Theme, ThemeColor};
    ///
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.theme(Theme::default().logo("/logo.svg").color(ThemeColor::Brand, "#7a1f3d", "#f0a7bd"));
    /// # drop(builder);
    /// ```
    pub fn theme(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self
    }

    /// One more language of the built-in pages, or other words in one that is there. English and German are there already.
    ///
    /// A page is in the first of these languages that there is: what [`language_of`](Self::language_of) says for the request, what
    /// [`Directory::locale`](crate::directory::Directory::locale) says for the subject, what the browser asks for in `Accept-Language`, and the
    /// [default](Self::default_language). A text that a language lacks is said in the default language, or in English; the log lists those at the
    /// start. JSON answers stay in English: clients translate them by their ids.
    ///
    /// [`build`](Self::build) refuses a file that is no Fluent, an id that English has not, and a value that is not known there.
    ///
    /// ```
    /// use tower_step_up::language::Language;
    ///
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder
    ///     .language(Language::new("fr", "login-title = Confirmez votre identité\ncancel = Annuler"))
    ///     .language(Language::new("en", "login-title = Prove that it is you"));
    /// # drop(builder);
    /// ```
    pub fn language(mut self, language: Language) -> Self {
        self.languages.push(language);
        self
    }

    /// The language of pages for whom none is known that there is: a tag of BCP 47. By default `en`.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.default_language("de");
    /// # drop(builder);
    /// ```
    pub fn default_language(mut self, tag: impl Into<String>) -> Self {
        self.default_language = Some(tag.into());
        self
    }

    /// The language that the user has chosen in the application, as a tag of BCP 47, by the head of a request: from a cookie, or from the
    /// application's own session in the extensions. `None` if nothing was chosen. A language that is not there is passed over.
    ///
    /// ```
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.language_of(|head| {
    ///     let cookies = head.headers.get_all(http::header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    ///     cookies.flat_map(|value| value.split("; ")).find_map(|cookie| cookie.strip_prefix("language=")).map(str::to_owned)
    /// });
    /// # drop(builder);
    /// ```
    pub fn language_of<F>(mut self, chosen: F) -> Self
    where
        F: Fn(Head<'_>) -> Option<String> + Send + Sync + 'static,
    {
        self.language_of = Some(Arc::new(chosen));
        self
    }

    /// Shows the built-in pages, or some of them, by templates of your own. The function gets everything that a page shows, and returns HTML, or
    /// `None` for the built-in page. What fails is logged, and the built-in page is shown.
    ///
    /// ```
    /// use minijinja::{Environment, value::Serde};
    ///
    /// let mut templates = Environment::new();
    /// // The name ends in .html, so that everything is escaped.
    /// templates.add_template("error.html", "<!doctype html><title>{{ title }}</title><p>{{ reason }} <a href='{{ home }}'>{{ frame.application }}</a>")?;
    ///
    /// # let builder = tower_step_up::StepUp::builder("https://bank.example");
    /// let builder = builder.render_pages(move |page| match page.name() {
    ///     "error" => Ok(Some(templates.get_template("error.html")?.render(Serde(page))?)),
    ///     _ => Ok(None),
    /// });
    /// # drop(builder);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// It must not block. For a front end that renders flows by itself, see [`login_ui_url`](Self::login_ui_url).
    pub fn render_pages<F>(mut self, render: F) -> Self
    where
        F: Fn(&Page) -> Result<Option<String>, PageError> + Send + Sync + 'static,
    {
        self.render_pages = Some(Arc::new(render));
        self
    }
}
