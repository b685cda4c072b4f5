//! What the built-in pages say, in the languages that there are. It knows no requests: whoever shows a page says which languages are wanted.

#[cfg(feature = "axum")]
mod accepted;
#[cfg(feature = "axum")]
mod catalogue;
#[cfg(feature = "axum")]
mod languages;
#[cfg(all(test, feature = "axum"))]
mod samples;

use std::borrow::Cow;

#[cfg(feature = "axum")]
pub(crate) use self::{
    accepted::accepted,
    languages::{Languages, Spoken},
};

/// Texts of the built-in pages in one language, for [`StepUpBuilder::language`](crate::StepUpBuilder::language) and
/// [`Factor::languages`](crate::factor::Factor::languages).
///
/// They are written in [Fluent](https://projectfluent.org/fluent/guide/). English and German are there. The ids and what they say in English are
/// in [`Language::ENGLISH`]; a text with the number that Ory's clients know has it in its id.
///
/// ```
/// use tower_step_up::language::Language;
///
/// let french = Language::new(
///     "fr",
///     "login-title = Confirmez votre identité
///     text-1010006 = Code à six chiffres
///     cancel = Annuler",
/// );
/// # let builder = tower_step_up::StepUp::builder("https://bank.example").language(french);
/// # drop(builder);
/// ```
#[derive(Clone, Debug)]
pub struct Language {
    pub(crate) tag: Cow<'static, str>,
    pub(crate) texts: Cow<'static, str>,
}

impl Language {
    /// Every text of the built-in pages and of the crate's own factors, with its id, in English: what a translation begins with.
    pub const ENGLISH: &'static str = include_str!("en.ftl");

    /// The same in German.
    pub const GERMAN: &'static str = include_str!("de.ftl");

    /// A language with these texts, as a file of Fluent has them. `tag` is one of BCP 47, such as `fr` or `pt-BR`.
    ///
    /// A tag or a text that cannot be read is an error of [`build`](crate::StepUpBuilder::build).
    pub fn new(tag: impl Into<Cow<'static, str>>, texts: impl Into<Cow<'static, str>>) -> Self {
        Self { tag: tag.into(), texts: texts.into() }
    }
}
