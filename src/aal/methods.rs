//! Sets of methods. They are small values, so that a requirement is a constant, and nothing is allocated to compare with one.

use std::{collections::BTreeSet, fmt, hash};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::method::{CustomMethod, Method};

/// A set of built-in methods.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct BuiltIn(u16);

const fn bit(method: Method) -> u16 {
    match method {
        Method::Password => 1,
        Method::Oidc => 1 << 1,
        Method::Saml => 1 << 2,
        Method::Totp => 1 << 3,
        Method::LookupSecret => 1 << 4,
        Method::WebAuthn => 1 << 5,
        Method::Code => 1 << 6,
        Method::Passkey => 1 << 7,
        Method::Profile => 1 << 8,
        Method::LinkRecovery => 1 << 9,
        Method::CodeRecovery => 1 << 10,
        Method::Custom(_) => 0,
    }
}

impl BuiltIn {
    pub(crate) const fn with(self, method: Method) -> Self {
        Self(self.0 | bit(method))
    }

    pub(crate) const fn contains(self, method: Method) -> bool {
        self.0 & bit(method) != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Method> {
        Method::BUILT_IN.into_iter().filter(move |method| self.contains(*method))
    }

    /// The names, sorted, with commas between them: as a parameter of an address.
    pub(crate) fn names(self) -> String {
        let names: BTreeSet<_> = self.iter().map(|method| method.as_str().to_owned()).collect();
        names.into_iter().collect::<Vec<_>>().join(",")
    }

    /// The same backwards, in any order; `None` if a name is none of a built-in method, or there is none at all.
    pub(crate) fn named(names: &str) -> Option<Self> {
        names.split(',').try_fold(Self::default(), |set, name| {
            let method: Method = name.parse().ok()?;
            method.custom_name().is_none().then(|| set.with(method))
        })
    }
}

impl fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for BuiltIn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.names())
    }
}

impl<'de> Deserialize<'de> for BuiltIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = String::deserialize(deserializer)?;
        Self::named(&names).ok_or_else(|| de::Error::custom("not a list of built-in methods"))
    }
}

/// The methods that a [`Requirement`](crate::Requirement) names: see [`Requirement::any_of`](crate::Requirement::any_of).
///
/// ```
/// use tower_step_up::{Method, Requirement};
///
/// let requirement = Requirement::aal2().phishing_resistant();
/// let methods = requirement.methods().expect("it names some");
/// assert!(methods.contains(Method::WebAuthn) && !methods.contains(Method::Totp));
/// assert_eq!(methods.to_string(), "passkey, webauthn");
/// assert!(requirement.any_of([Method::Totp]).methods().is_some_and(|left| left.is_empty()));
/// ```
#[derive(Clone, Copy)]
pub struct Methods {
    built_in: BuiltIn,
    custom: [Option<CustomMethod>; Self::MOST],
}

impl Methods {
    /// How many methods a requirement can name at once. So all custom ones have room.
    pub(crate) const MOST: usize = 4;

    /// WebAuthn signs for the origin that the browser sees, so a look-alike site gets nothing of use.
    pub(crate) const PHISHING_RESISTANT: Self = Self::of(&[Method::WebAuthn, Method::Passkey]);

    /// These methods, of which at most [`MOST`](Self::MOST) are custom.
    pub(crate) const fn of(mut methods: &[Method]) -> Self {
        let mut set = Self { built_in: BuiltIn(0), custom: [None; Self::MOST] };
        while let Some((method, rest)) = methods.split_first() {
            set = set.with(*method);
            methods = rest;
        }
        set
    }

    const fn with(mut self, method: Method) -> Self {
        if let Method::Custom(custom) = method {
            if !self.contains(method) {
                match &mut self.custom {
                    [place @ None, ..] | [_, place @ None, ..] | [_, _, place @ None, _] | [_, _, _, place] => {
                        *place = Some(custom);
                    }
                }
            }
        } else {
            self.built_in = self.built_in.with(method);
        }
        self
    }

    /// What is in both.
    pub(crate) const fn intersection(self, other: Self) -> Self {
        let [first, second, third, fourth] = self.custom;
        Self {
            built_in: BuiltIn(self.built_in.0 & other.built_in.0),
            custom: [other.keep(first), other.keep(second), other.keep(third), other.keep(fourth)],
        }
    }

    /// The custom method, if it is one of these.
    const fn keep(&self, custom: Option<CustomMethod>) -> Option<CustomMethod> {
        match custom {
            Some(custom) if self.contains(Method::Custom(custom)) => Some(custom),
            _ => None,
        }
    }

    /// Whether this method is one of them.
    pub const fn contains(&self, method: Method) -> bool {
        let Method::Custom(custom) = method else { return self.built_in.contains(method) };
        let mut known = self.custom.as_slice();
        while let Some((one, rest)) = known.split_first() {
            if let Some(one) = one
                && one.is(&custom)
            {
                return true;
            }
            known = rest;
        }
        false
    }

    /// Whether there are none: requirements that exclude each other have met. No session meets them.
    pub const fn is_empty(&self) -> bool {
        self.built_in.is_empty() && matches!(self.custom, [None, None, None, None])
    }

    /// Whether all of them resist phishing: see [`Requirement::phishing_resistant`](crate::Requirement::phishing_resistant).
    pub const fn are_phishing_resistant(&self) -> bool {
        let others = self.built_in.0 & !Self::PHISHING_RESISTANT.built_in.0;
        !self.is_empty() && others == 0 && matches!(self.custom, [None, None, None, None])
    }

    /// The methods, the built-in ones first.
    pub fn iter(&self) -> impl Iterator<Item = Method> + '_ {
        self.built_in.iter().chain(self.custom.iter().flatten().copied().map(Method::Custom))
    }
}

/// In whatever order they were named.
impl PartialEq for Methods {
    fn eq(&self, other: &Self) -> bool {
        self.iter().all(|method| other.contains(method)) && other.iter().all(|method| self.contains(method))
    }
}

impl Eq for Methods {}

impl hash::Hash for Methods {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.built_in.hash(state);
        self.custom.iter().flatten().count().hash(state);
    }
}

/// Their names, sorted, or `no method`.
impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no method");
        }
        let names: BTreeSet<_> = self.iter().map(|method| method.to_string()).collect();
        f.write_str(&names.into_iter().collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use proptest::prelude::*;

    use super::*;

    fn any_method() -> impl Strategy<Value = Method> {
        let own = ["a", "b", "c", "d", "e"].map(|name| Method::custom(name).unwrap());
        prop_oneof![prop::sample::select(Method::built_in()), prop::sample::select(own.to_vec())]
    }

    fn any_methods() -> impl Strategy<Value = Vec<Method>> {
        prop::collection::vec(any_method(), 0..=Methods::MOST)
    }

    fn hash_of(methods: Methods) -> u64 {
        let mut hasher = DefaultHasher::new();
        methods.hash(&mut hasher);
        hasher.finish()
    }

    proptest! {
        #[test]
        fn a_set_has_what_it_was_made_of(methods in any_methods(), other in any_method()) {
            let set = Methods::of(&methods);
            prop_assert_eq!(set.contains(other), methods.contains(&other));
            let expected: BTreeSet<_> = methods.iter().copied().collect();
            prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), expected.clone());
            prop_assert_eq!(set.iter().count(), expected.len());
            prop_assert_eq!(set.is_empty(), methods.is_empty());
            let resists = |method: &Method| matches!(method, Method::WebAuthn | Method::Passkey);
            prop_assert_eq!(set.are_phishing_resistant(), !methods.is_empty() && methods.iter().all(resists));
        }

        #[test]
        fn order_and_repetition_do_not_matter(methods in any_methods()) {
            let turned: Vec<_> = methods.iter().rev().copied().collect();
            let (one, other) = (Methods::of(&methods), Methods::of(&turned));
            prop_assert_eq!((one, hash_of(one), one.to_string()), (other, hash_of(other), other.to_string()));
        }

        #[test]
        fn an_intersection_has_what_both_have(one in any_methods(), two in any_methods()) {
            let both = Methods::of(&one).intersection(Methods::of(&two));
            let expected: Vec<_> = one.iter().filter(|method| two.contains(method)).copied().collect();
            prop_assert_eq!(both, Methods::of(&expected));
        }

        #[test]
        fn names_are_read_back_in_any_order(methods in prop::collection::vec(prop::sample::select(Method::built_in()), 1..6)) {
            let set = methods.iter().fold(BuiltIn::default(), |set, method| set.with(*method));
            prop_assert_eq!(BuiltIn::named(&set.names()), Some(set));
            let json = serde_json::to_value(set).unwrap();
            prop_assert_eq!(serde_json::from_value::<BuiltIn>(json).unwrap(), set);
            let turned: Vec<_> = methods.iter().rev().map(Method::as_str).collect();
            prop_assert_eq!(BuiltIn::named(&turned.join(",")), Some(set));
        }
    }

    #[test]
    fn only_names_of_built_in_methods_are_read() {
        for bad in ["", ",", "totp,", ",totp", "totp, webauthn", "TOTP", "custom:push", "push", "totp;code", " totp"] {
            assert_eq!(BuiltIn::named(bad), None, "{bad:?}");
        }
        assert_eq!(BuiltIn::named("webauthn,totp,totp").unwrap().names(), "totp,webauthn");
    }
}
