//! The texts of one language.

use std::collections::{BTreeMap, BTreeSet};

use fluent_bundle::{FluentArgs, FluentResource, concurrent::FluentBundle};
use fluent_syntax::ast::{CallArguments, Entry, Expression, InlineExpression, Pattern, PatternElement};
use unic_langid::{CharacterDirection, LanguageIdentifier};

use super::Language;
use crate::error::{BuildError, BuildErrorKind};

/// Where a text stands: a message, or an attribute of one. Texts that share the number that Ory's clients know are attributes of one message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) id: String,
    pub(super) attribute: Option<String>,
}

impl Place {
    /// The place of `login-title`, or of `text-4000008.used`.
    pub(super) fn named(name: &str) -> Self {
        let (id, attribute) = name.split_once('.').map_or((name, None), |(id, attribute)| (id, Some(attribute)));
        Self { id: id.to_owned(), attribute: attribute.map(str::to_owned) }
    }

    /// The number of `text-4000008`.
    pub(super) fn number(&self) -> Option<u32> {
        self.id.strip_prefix("text-")?.parse().ok()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.attribute {
            Some(attribute) => write!(f, "{}.{attribute}", self.id),
            None => f.write_str(&self.id),
        }
    }
}

/// The texts of one language: in layers, of which a later one replaces what an earlier one says.
pub(super) struct Catalogue {
    pub(super) tag: LanguageIdentifier,
    layers: Vec<FluentBundle<FluentResource>>,
    /// The variables that each text names.
    pub(super) variables: BTreeMap<Place, BTreeSet<String>>,
}

impl AsRef<LanguageIdentifier> for Catalogue {
    fn as_ref(&self) -> &LanguageIdentifier {
        &self.tag
    }
}

pub(super) fn error(help: String) -> BuildError {
    BuildError::new(BuildErrorKind::Language, help)
}

pub(super) fn tag(text: &str) -> Result<LanguageIdentifier, BuildError> {
    let tag = text.parse().ok().filter(|tag: &LanguageIdentifier| !tag.language.is_empty());
    tag.ok_or_else(|| error(format!("language: {text:?} is no language tag such as fr or pt-BR (BCP 47)")))
}

impl Catalogue {
    pub(super) const fn new(tag: LanguageIdentifier) -> Self {
        Self { tag, layers: Vec::new(), variables: BTreeMap::new() }
    }

    pub(super) fn is_right_to_left(&self) -> bool {
        self.tag.character_direction() == CharacterDirection::RTL
    }

    /// Puts these texts over those that are there.
    pub(super) fn add(&mut self, language: &Language) -> Result<BTreeMap<Place, BTreeSet<String>>, BuildError> {
        let resource = FluentResource::try_new(language.texts.to_string()).map_err(|(resource, errors)| {
            let what = errors.first().map(|error| {
                let before = resource.source().get(..error.pos.start).unwrap_or_default();
                format!("line {}: {error}", before.matches('\n').count().saturating_add(1))
            });
            let what = what.unwrap_or_default();
            error(format!("language: the texts of {} are no Fluent: {what}", language.tag))
        })?;
        let read = read(&resource);
        let mut bundle = FluentBundle::new_concurrent(vec![self.tag.clone()]);
        // Marks around what is filled in are needed only where it may run the other way. Elsewhere they would be copied along.
        bundle.set_use_isolating(self.is_right_to_left());
        bundle.add_resource_overriding(resource);
        self.layers.push(bundle);
        self.variables.extend(read.clone());
        Ok(read)
    }

    /// The text there with these values; `None` if there is none, or if a value is missing.
    pub(super) fn say(&self, place: &Place, values: &FluentArgs<'_>) -> Option<String> {
        self.layers.iter().rev().find_map(|bundle| {
            let message = bundle.get_message(&place.id)?;
            let pattern = match &place.attribute {
                Some(attribute) => message.get_attribute(attribute)?.value(),
                None => message.value()?,
            };
            let mut errors = Vec::new();
            let text = bundle.format_pattern(pattern, Some(values), &mut errors).into_owned();
            errors.is_empty().then_some(text)
        })
    }
}

/// All texts of a file, with the variables that each names.
fn read(resource: &FluentResource) -> BTreeMap<Place, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for entry in resource.entries() {
        let Entry::Message(message) = entry else { continue };
        let id = || message.id.name.to_owned();
        let texts = message.value.iter().map(|pattern| (None, pattern));
        let attributes = message.attributes.iter().map(|one| (Some(one.id.name.to_owned()), &one.value));
        for (attribute, pattern) in texts.chain(attributes) {
            let mut variables = BTreeSet::new();
            in_pattern(pattern, &mut variables);
            found.insert(Place { id: id(), attribute }, variables);
        }
    }
    found
}

fn in_pattern(pattern: &Pattern<&str>, found: &mut BTreeSet<String>) {
    for element in &pattern.elements {
        if let PatternElement::Placeable { expression } = element {
            in_expression(expression, found);
        }
    }
}

fn in_expression(expression: &Expression<&str>, found: &mut BTreeSet<String>) {
    match expression {
        Expression::Inline(inline) => in_inline(inline, found),
        Expression::Select { selector, variants } => {
            in_inline(selector, found);
            for variant in variants {
                in_pattern(&variant.value, found);
            }
        }
    }
}

fn in_inline(inline: &InlineExpression<&str>, found: &mut BTreeSet<String>) {
    let mut in_call = |call: &CallArguments<&str>| {
        call.positional.iter().for_each(|value| in_inline(value, found));
        call.named.iter().for_each(|named| in_inline(&named.value, found));
    };
    match inline {
        InlineExpression::VariableReference { id } => {
            found.insert(id.name.to_owned());
        }
        InlineExpression::FunctionReference { arguments, .. } => in_call(arguments),
        InlineExpression::TermReference { arguments, .. } => arguments.iter().for_each(in_call),
        InlineExpression::Placeable { expression } => in_expression(expression, found),
        InlineExpression::StringLiteral { .. }
        | InlineExpression::NumberLiteral { .. }
        | InlineExpression::MessageReference { .. } => {}
    }
}
