//! All languages of the pages, and which of them one page is in.

use std::collections::{BTreeMap, BTreeSet};

use fluent_bundle::{FluentArgs, FluentValue};
use fluent_langneg::{NegotiationStrategy, negotiate::filter_matches};
use serde_json::Value;
use unic_langid::LanguageIdentifier;

use super::{
    Language,
    catalogue::{Catalogue, Place, error, tag},
};
use crate::{
    error::BuildError,
    wire::ui::{Text, message::minute},
};

/// The languages, and what finds the text for a sentence that is written in English elsewhere.
pub(crate) struct Languages {
    all: Vec<Catalogue>,
    /// Its place in `all`.
    default: usize,
    /// English as it is shipped, whatever the application says instead.
    source: Catalogue,
    /// The texts with a number that Ory's clients know.
    numbered: BTreeMap<u32, Vec<Place>>,
    /// Sentences without values.
    fixed: BTreeMap<String, Place>,
}

/// The texts of a page in its language.
#[derive(Clone, Copy)]
pub(crate) struct Spoken<'a> {
    languages: &'a Languages,
    catalogue: &'a Catalogue,
}

impl Languages {
    /// What is shipped, with the factors' texts, and over it what the application says.
    pub(crate) fn new(factors: &[Language], own: &[Language], default: Option<&str>) -> Result<Self, BuildError> {
        let mut new = Self {
            all: Vec::new(),
            default: 0,
            source: Catalogue::new(tag("en")?),
            numbered: BTreeMap::new(),
            fixed: BTreeMap::new(),
        };
        let (english, german) = (Language::new("en", Language::ENGLISH), Language::new("de", Language::GERMAN));
        for language in [&english, &german].into_iter().chain(factors) {
            if tag(&language.tag)? == new.source.tag {
                new.source.add(language)?;
            }
            new.add(language)?;
        }
        new.index();
        for language in own {
            new.check(language)?;
        }
        if let Some(default) = default {
            let wanted = tag(default)?;
            let found = new.all.iter().position(|one| one.tag == wanted);
            new.default = found.ok_or_else(|| {
                error(format!("default_language: there are no texts in {default}; call language(..) with them"))
            })?;
        }
        Ok(new)
    }

    /// Adds a language, or texts to one that is there.
    fn add(&mut self, language: &Language) -> Result<BTreeMap<Place, BTreeSet<String>>, BuildError> {
        let tag = tag(&language.tag)?;
        if let Some(known) = self.all.iter_mut().find(|one| one.tag == tag) {
            return known.add(language);
        }
        let mut new = Catalogue::new(tag);
        let read = new.add(language)?;
        self.all.push(new);
        Ok(read)
    }

    fn index(&mut self) {
        for (place, variables) in &self.source.variables {
            if let Some(number) = place.number() {
                self.numbered.entry(number).or_default().push(place.clone());
            }
            if variables.is_empty()
                && let Some(text) = self.source.say(place, &FluentArgs::new())
            {
                self.fixed.insert(text, place.clone());
            }
        }
    }

    /// Adds texts of the application. Only what is said in English can be said in another language, and with the same values.
    fn check(&mut self, language: &Language) -> Result<(), BuildError> {
        let read = self.add(language)?;
        let name = &language.tag;
        for (place, variables) in &read {
            let Some(known) = self.source.variables.get(place) else {
                return Err(error(format!(
                    "language: {name} has a text for {place}, which no page shows; Language::ENGLISH has the ids"
                )));
            };
            if let Some(unknown) = variables.difference(known).next() {
                return Err(error(format!("language: in {name}, {place} names ${unknown}, which is not known there")));
            }
        }
        let tag = tag(name)?;
        let all = self.all.iter().find(|one| one.tag == tag);
        let missing = all.map(|one| self.source.variables.keys().filter(|place| !one.variables.contains_key(place)));
        let missing: Vec<String> = missing.into_iter().flatten().map(ToString::to_string).collect();
        if !missing.is_empty() {
            let missing = missing.join(" ");
            tracing::warn!(target: "tower_step_up::language", language = %name, missing, "texts are missing; pages say them in another language");
        }
        Ok(())
    }

    /// The ids that there are in English.
    #[cfg(test)]
    pub(crate) fn ids(&self) -> impl Iterator<Item = String> {
        self.source.variables.keys().map(ToString::to_string)
    }

    /// The first of the wanted languages that there is, or the default.
    pub(crate) fn choose<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Spoken<'_> {
        let wanted: Vec<LanguageIdentifier> = wanted.into_iter().filter_map(|text| tag(text).ok()).collect();
        let found = filter_matches(&wanted, &self.all, NegotiationStrategy::Lookup);
        let catalogue = found.first().copied().or_else(|| self.all.get(self.default)).unwrap_or(&self.source);
        Spoken { languages: self, catalogue }
    }
}

impl Spoken<'_> {
    /// The language tag of the page.
    pub(crate) fn tag(self) -> String {
        self.catalogue.tag.to_string()
    }

    /// Which way it is written, as HTML says it.
    pub(crate) fn direction(self) -> &'static str {
        if self.catalogue.is_right_to_left() { "rtl" } else { "ltr" }
    }

    /// The text with this id and these values.
    pub(crate) fn say(self, id: &str, values: &[(&'static str, FluentValue<'_>)]) -> String {
        let mut named = FluentArgs::new();
        for (name, value) in values {
            named.set(*name, value.clone());
        }
        self.at(&Place::named(id), &named).unwrap_or_default()
    }

    /// What the pages say without values, by id.
    pub(crate) fn all(self) -> BTreeMap<String, String> {
        let places = self.languages.fixed.values();
        places.map(|place| (place.to_string(), self.at(place, &FluentArgs::new()).unwrap_or_default())).collect()
    }

    /// A sentence without values that is written in English elsewhere. One that has no id stays as it is.
    pub(crate) fn sentence(self, english: &str) -> String {
        self.known(english).unwrap_or_else(|| english.to_owned())
    }

    fn known(self, english: &str) -> Option<String> {
        self.at(self.languages.fixed.get(english)?, &FluentArgs::new())
    }

    /// A text of a flow. One that is not as the crate or a factor says it in English, such as one of the application, stays as it is.
    pub(crate) fn text(self, text: &Text) -> String {
        self.numbered(text, None)
    }

    /// A text that has this place in a list.
    pub(crate) fn numbered(self, text: &Text, number: impl Into<Option<usize>>) -> String {
        let mut values = values_of(text.context.as_ref());
        if let Some(number) = number.into() {
            values.set("number", number);
        }
        let places = self.languages.numbered.get(&text.id).into_iter().flatten();
        for place in places {
            let Some(english) = self.languages.source.say(place, &values) else { continue };
            let Some(rest) = text.text.strip_prefix(&english) else { continue };
            let Some(said) = self.at(place, &values) else { continue };
            if rest.is_empty() {
                return said;
            }
            // A sentence may be added, such as a factor's advice.
            if let Some(advice) = rest.strip_prefix(' ').and_then(|rest| self.known(rest)) {
                return format!("{said} {advice}");
            }
        }
        self.sentence(&text.text)
    }

    fn at(self, place: &Place, values: &FluentArgs<'_>) -> Option<String> {
        let said = self.catalogue.say(place, values);
        if said.is_none() && self.catalogue.variables.contains_key(place) {
            let language = self.tag();
            tracing::warn!(target: "tower_step_up::language", language, %place, "a text could not be put together");
        }
        let default = || self.languages.all.get(self.languages.default)?.say(place, values);
        said.or_else(default).or_else(|| self.languages.source.say(place, values))
    }
}

/// The values that a text was made from. Times are there as the texts show them.
fn values_of(context: Option<&Value>) -> FluentArgs<'static> {
    let mut values = FluentArgs::new();
    for (name, value) in context.and_then(Value::as_object).into_iter().flatten() {
        let value = match value {
            Value::String(_) if name.ends_with("_at") => match serde_json::from_value(value.clone()) {
                Ok(time) => FluentValue::from(minute(time)),
                Err(_) => continue,
            },
            Value::String(text) => FluentValue::from(text.clone()),
            Value::Number(number) => match number.as_f64() {
                Some(number) => FluentValue::from(number),
                None => continue,
            },
            _ => continue,
        };
        values.set(name.clone(), value);
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        error::BuildErrorKind,
        factor::{Factor, Totp},
        language::samples,
        wire::ui::message,
    };

    fn languages(own: &[Language]) -> Languages {
        Languages::new(&[], own, None).unwrap()
    }

    fn refused(own: Language) -> String {
        let error = Languages::new(&[], &[own], None).err().unwrap();
        assert_eq!(error.kind(), BuildErrorKind::Language);
        error.to_string()
    }

    #[test]
    fn german_says_all_that_english_says_with_the_same_values() {
        let all = languages(&[]);
        let german = &all.all[1];
        assert_eq!(german.tag.to_string(), "de");
        let missing: Vec<_> =
            all.source.variables.keys().filter(|place| !german.variables.contains_key(place)).collect();
        assert!(missing.is_empty(), "{missing:?} are not there in German");
        for (place, variables) in &german.variables {
            assert_eq!(all.source.variables.get(place), Some(variables), "{place}");
        }
    }

    #[test]
    fn every_text_of_a_flow_has_an_id() {
        let all = languages(&[]);
        let (english, german) = (all.choose(["en"]), all.choose(["de"]));
        let mut ids = BTreeSet::new();
        for text in samples::all() {
            // Only secrets are said as they are.
            if text.id == 1_050_006 || text.id == 1_050_015 {
                continue;
            }
            assert_eq!(english.numbered(&text, 3), text.text, "{}", text.id);
            // The same in both: a name.
            assert_ne!(german.numbered(&text, 3), text.text, "{} is not translated: {}", text.id, text.text);
            ids.insert(text.id);
        }
        let unused = all.numbered.keys().filter(|id| !ids.contains(id)).collect::<Vec<_>>();
        assert!(unused.is_empty(), "no flow says {unused:?}");
    }

    #[test]
    fn an_advice_is_said_in_the_same_language() {
        let all = languages(&[]);
        let wrong = message::totp_wrong();
        let text = |advice: &str| Text { text: format!("{} {advice}", wrong.text).into(), ..wrong.clone() };
        let said = all.choose(["de"]).text(&text(Totp::new("x").advice().unwrap()));
        assert!(said.starts_with("Dieser Code ist falsch.") && said.ends_with("Uhrzeit von selbst stellt."), "{said}");
        let unknown = text("Ask the bank.");
        assert_eq!(all.choose(["de"]).text(&unknown), unknown.text, "half of it in German would help nobody");
    }

    #[test]
    fn texts_of_others_stay_as_they_are() {
        let all = languages(&[]);
        for text in [
            Text::info(1_010_006, "Code of your bank's app"),
            Text::info(1_010_023, "Send a code to kim").with_context(json!({ "address": "lee" })),
            Text::info(1_010_023, "Send a code to { $address }"),
            Text::info(7, "Hold your ring to the reader"),
        ] {
            assert_eq!(all.choose(["de"]).text(&text), text.text);
        }
    }

    #[test]
    fn a_factor_brings_its_own_texts() {
        let factor = [
            Language::new("en", "text-77 = Hold your { $thing } to the reader"),
            Language::new("de", "text-77 = Halten Sie Ihren { $thing } an den Leser"),
        ];
        let all = Languages::new(&factor, &[], None).unwrap();
        let text = Text::info(77, "Hold your ring to the reader").with_context(json!({ "thing": "ring" }));
        assert_eq!(all.choose(["de"]).text(&text), "Halten Sie Ihren ring an den Leser");
        assert_eq!(all.choose(["en"]).text(&text), text.text);
    }

    #[test]
    fn the_application_says_it_in_its_own_words() {
        let french = Language::new("fr", "cancel = Annuler\ntext-4000008 = Code incorrect.");
        let english = Language::new("en", "cancel = Leave");
        let all = Languages::new(&[], &[french, english], Some("de")).unwrap();
        let french = all.choose(["fr-CH"]);
        assert_eq!((french.say("cancel", &[]).as_str(), french.say("or", &[]).as_str()), ("Annuler", "oder"));
        assert_eq!(french.text(&message::totp_wrong()), "Code incorrect.");
        // The attribute is another text.
        assert!(french.text(&message::totp_used()).starts_with("Dieser Code kann nicht mehr"));
        assert_eq!(all.choose(["en"]).say("cancel", &[]), "Leave");
    }

    #[test]
    fn the_first_language_that_there_is_is_spoken() {
        let own = [Language::new("pt-BR", "or = ou"), Language::new("ar", "or = أو")];
        let all = Languages::new(&[], &own, Some("de")).unwrap();
        for (wanted, expected) in [
            (&["en-GB"][..], "en"),
            (&["DE-at"], "de"),
            (&["fr", "pt"], "pt-BR"),
            (&["pt-BR", "en"], "pt-BR"),
            (&["", "*", "x", "d\u{e9}", "en"], "en"),
            (&["fr"], "de"),
            (&[], "de"),
        ] {
            assert_eq!(all.choose(wanted.iter().copied()).tag(), expected, "{wanted:?}");
        }
        assert_eq!((all.choose(["ar"]).direction(), all.choose(["en"]).direction()), ("rtl", "ltr"));
    }

    #[test]
    fn numbers_agree_with_their_words() {
        let all = languages(&[]);
        let days = |language: &str, number: u64| all.choose([language]).say("trust-days", &[("number", number.into())]);
        assert_eq!(days("en", 1), "Do not ask on this device for 1 day");
        assert_eq!(days("en", 30), "Do not ask on this device for 30 days");
        assert_eq!(days("de", 1), "Auf diesem Gerät einen Tag lang nicht fragen");
    }

    #[test]
    fn a_mistake_is_told_when_the_application_starts() {
        for (language, expected) in [
            (Language::new("fr", "cancel = Annuler\n= x"), "line 2"),
            (Language::new("fr", "cancel-it = Annuler"), "cancel-it, which no page shows"),
            (Language::new("fr", "cancel = Annuler { $name }"), "names $name, which is not known there"),
            (Language::new("f", ""), "no language tag"),
            (Language::new("", ""), "no language tag"),
        ] {
            let error = refused(language);
            assert!(error.contains(expected), "{error}");
        }
        let error = Languages::new(&[], &[], Some("fr")).err().unwrap();
        assert!(error.to_string().contains("there are no texts in fr"));
    }
}
