//! A page as templates of the application get it.

use std::{error::Error, fmt, sync::Arc};

use serde::Serialize;
use serde_json::Value;

/// Why a template of the application shows nothing. The built-in page is shown instead, and the cause is logged.
pub type PageError = Box<dyn Error + Send + Sync>;

/// The application's way to show a page.
pub(crate) type PageHook = Arc<dyn Fn(&Page) -> Result<Option<String>, PageError> + Send + Sync>;

/// One of the built-in pages, for templates of your own: see [`StepUpBuilder::render_pages`](crate::StepUpBuilder::render_pages).
///
/// It serializes to what the page shows, for whatever engine takes such values (minijinja, tera, handlebars). Labels and messages are in the page's
/// language already. Escape all of it, as those engines do for HTML: names and addresses come from users.
///
/// | on every page | |
/// |---|---|
/// | `name` | `login`, `settings`, `sessions`, `error` or `continue` |
/// | `language`, `direction` | for `<html lang dir>` |
/// | `texts` | by id, what [`Language`](crate::language::Language) has without values |
/// | `frame` | `application`, and the addresses `style`, `own_style` and `logo`; the last two may be null |
///
/// | page | what it has |
/// |---|---|
/// | `login` | `account`, `action` (where forms are sent), `messages`, `sections`, `trust` (null, or `name` and `label` of the box for this device), `cancel` and `other_ways` (addresses; the latter may be null), `scripts` |
/// | `settings` | `account`, `action`, `messages`, `sections`, `addresses` (null, or the form of addresses that users add), `devices` (null, or `action`, `csrf` and `entries`), `sessions` and `home` (addresses), `scripts` |
/// | `sessions` | `account`, `action`, `csrf`, `sessions`, `hosted`, `home` |
/// | `error` | `title`, `reason`, `next` (null, or `href` and `label`), `home` |
/// | `continue` | `target`, to which the page must lead on by itself |
///
/// A message has `kind` (`info`, `error`, `success`) and `text`. A section is one form: every entry of `hidden` goes into it as a hidden field,
/// and each of `buttons` and `removals` is a submit button with `name`, `value` and `label`; those of `removals` are a form of their own. A
/// section also has `title`, `note`, `pictures`, `readings` (texts to read), `links`, `fields`, `errors` and `triggers`. The files in `templates/` of the crate
/// show each of them.
///
/// The content security policy stays: only the `scripts` run, each as the whole of a `<script>`, and styles come from the addresses in `frame`.
#[derive(Clone, PartialEq, Serialize)]
pub struct Page {
    name: &'static str,
    language: String,
    direction: &'static str,
    #[serde(flatten)]
    content: Value,
}

/// Without what the page shows: a new secret, for example.
impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("name", &self.name).field("language", &self.language).finish_non_exhaustive()
    }
}

impl Page {
    /// A page of this name. `content` is an object.
    pub(crate) const fn new(name: &'static str, language: String, direction: &'static str, content: Value) -> Self {
        Self { name, language, direction, content }
    }

    /// Which page it is: `login`, `settings`, `sessions`, `error` or `continue`. There may be more in later versions: show the built-in one
    /// of those that you do not know.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The language tag of the page (BCP 47).
    pub fn language(&self) -> &str {
        &self.language
    }
}
