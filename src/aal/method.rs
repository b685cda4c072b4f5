//! Authentication methods: Ory's names, and names that the application adds.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Aal;

/// An authentication method. Ory's SDKs know all built-in names, and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Method {
    /// A password.
    Password,
    /// OpenID Connect at another provider.
    Oidc,
    /// SAML at another provider.
    Saml,
    /// A time-based one-time password (RFC 6238).
    Totp,
    /// A look-up secret, also called recovery or backup code.
    LookupSecret,
    /// A public-key credential (W3C Web Authentication).
    WebAuthn,
    /// A code sent out of band, by mail or text message.
    Code,
    /// A discoverable public-key credential used without a password.
    Passkey,
    /// A change of the profile in a privileged session.
    Profile,
    /// A recovery link.
    LinkRecovery,
    /// A recovery code.
    CodeRecovery,
    /// A method of the application's own: [`Method::custom`].
    Custom(CustomMethod),
}

/// The text of a custom method begins with this, so it never equals a built-in name.
const PREFIX: &[u8] = b"custom:";

/// The longest name without the prefix.
const LONGEST_NAME: usize = 31;

/// The name that no application gives to a method of its own.
const RESERVED: &[u8] = b"trusted_device";

/// The name of a custom method, made by [`Method::custom`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomMethod {
    /// With the prefix, padded with zeros.
    text: [u8; PREFIX.len() + LONGEST_NAME],
    length: u8,
}

impl CustomMethod {
    /// The prefix and the name.
    fn as_str(&self) -> &str {
        let text = self.text.get(..usize::from(self.length)).unwrap_or_default();
        // Only `Method::custom` fills it, with ASCII.
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// A name with the prefix. Only the first 31 bytes count.
    const fn named(name: &[u8]) -> Self {
        let mut text = [0; PREFIX.len() + LONGEST_NAME];
        let (prefix, rest) = text.split_at_mut(PREFIX.len());
        let length = copy(PREFIX, prefix).saturating_add(copy(name, rest));
        Self { text, length }
    }

    /// `==` for constants.
    pub(super) const fn is(&self, other: &Self) -> bool {
        is_same(&self.text, &other.text)
    }

    /// The name without the prefix: `push` for `custom:push`.
    pub fn name(&self) -> &str {
        self.as_str().split_once(':').map_or("", |(_, name)| name)
    }
}

impl fmt::Debug for CustomMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

impl Method {
    pub(crate) const BUILT_IN: [Self; 11] = [
        Self::Password,
        Self::Oidc,
        Self::Saml,
        Self::Totp,
        Self::LookupSecret,
        Self::WebAuthn,
        Self::Code,
        Self::Passkey,
        Self::Profile,
        Self::LinkRecovery,
        Self::CodeRecovery,
    ];

    /// What a [trusted device](crate::StepUpBuilder::trusted_devices) is kept under. Nothing is ever proven by it. Written like a method of the
    /// application's own, so that processes of a version that does not know it can read it.
    pub(crate) const TRUSTED_DEVICE: Self = Self::Custom(CustomMethod::named(RESERVED));

    /// A method of the application's own. Its name has 1 to 31 characters of `a-z 0-9 _`, begins with a letter, and is not a
    /// built-in one or `trusted_device`.
    ///
    /// Tokens, stores and logs write it as `custom:` and the name. So it never clashes with a built-in method, not even with one
    /// that a later version adds. On Ory's endpoints it uses a built-in name, which its factor chooses
    /// ([`Factor::shown_as`](crate::factor::Factor::shown_as)).
    ///
    /// ```
    /// use tower_step_up::Method;
    ///
    /// const PUSH: Method = match Method::custom("push") {
    ///     Ok(method) => method,
    ///     Err(_) => panic!("not a name of a method"),
    /// };
    /// assert_eq!((PUSH.as_str(), PUSH.custom_name()), ("custom:push", Some("push")));
    /// assert!(Method::custom("totp").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// The name is too long, has other characters, or is a built-in one.
    pub const fn custom(name: &str) -> Result<Self, InvalidMethod> {
        let name = name.as_bytes();
        if !is_name(name) || is_built_in(name) || is_same(name, RESERVED) {
            return Err(InvalidMethod(()));
        }
        Ok(Self::Custom(CustomMethod::named(name)))
    }

    /// The name of a custom method without the prefix: `push` for `custom:push`. `None` for a built-in method.
    pub fn custom_name(&self) -> Option<&str> {
        match self {
            Self::Custom(custom) => Some(custom.name()),
            _ => None,
        }
    }

    /// The name of a built-in method on the wire, or `custom:` and the name of a custom one.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Custom(custom) => custom.as_str(),
            built_in => built_in.built_in_name().unwrap_or_default(),
        }
    }

    const fn built_in_name(self) -> Option<&'static str> {
        Some(match self {
            Self::Password => "password",
            Self::Oidc => "oidc",
            Self::Saml => "saml",
            Self::Totp => "totp",
            Self::LookupSecret => "lookup_secret",
            Self::WebAuthn => "webauthn",
            Self::Code => "code",
            Self::Passkey => "passkey",
            Self::Profile => "profile",
            Self::LinkRecovery => "link_recovery",
            Self::CodeRecovery => "code_recovery",
            Self::Custom(_) => return None,
        })
    }

    /// The level of this method as a *first* factor of [`StepUp::sign_in`](crate::StepUp::sign_in).
    ///
    /// `None` for methods that are only second factors here (`totp`, `lookup_secret`). The application decides about its own
    /// methods: [`Engine::first_factor_level`](crate::engine::Engine::first_factor_level) knows their factors.
    pub(crate) const fn first_factor_level(self) -> Option<Aal> {
        match self {
            Self::Totp | Self::LookupSecret => None,
            _ if self.is_trusted_device() => None,
            _ => Some(Aal::Aal1),
        }
    }

    /// Whether it is the one that a trusted device is kept under.
    pub(crate) const fn is_trusted_device(&self) -> bool {
        matches!(self, Self::Custom(own) if own.is(&CustomMethod::named(RESERVED)))
    }

    /// Whether a form can name it as a second factor. Custom methods use a built-in name there.
    pub(crate) const fn is_second_factor(self) -> bool {
        matches!(self, Self::Totp | Self::LookupSecret | Self::WebAuthn | Self::Code)
    }

    /// The value for the token's `amr` claim: from the registry of RFC 8176, if it has one.
    pub(crate) fn reference(self) -> Cow<'static, str> {
        match self {
            Self::Password => "pwd".into(),
            Self::Totp | Self::LookupSecret | Self::Code | Self::CodeRecovery => "otp".into(),
            Self::WebAuthn | Self::Passkey => "pop".into(),
            other => other.built_in_name().map_or_else(|| other.to_string().into(), Cow::Borrowed),
        }
    }
}

const fn is_name(name: &[u8]) -> bool {
    let Some((b'a'..=b'z', mut rest)) = name.split_first() else { return false };
    if name.len() > LONGEST_NAME {
        return false;
    }
    while let Some((byte, more)) = rest.split_first() {
        if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_') {
            return false;
        }
        rest = more;
    }
    true
}

const fn is_built_in(name: &[u8]) -> bool {
    let mut known = Method::BUILT_IN.as_slice();
    while let Some((method, rest)) = known.split_first() {
        if let Some(built_in) = method.built_in_name()
            && is_same(built_in.as_bytes(), name)
        {
            return true;
        }
        known = rest;
    }
    false
}

/// `==` for constants.
const fn is_same(mut one: &[u8], mut other: &[u8]) -> bool {
    while let (Some((first, rest)), Some((first_other, rest_other))) = (one.split_first(), other.split_first()) {
        if *first != *first_other {
            return false;
        }
        (one, other) = (rest, rest_other);
    }
    one.is_empty() && other.is_empty()
}

/// Copies as much as fits, and returns how much that was.
const fn copy(mut from: &[u8], mut to: &mut [u8]) -> u8 {
    let mut copied: u8 = 0;
    while let (Some((byte, rest)), Some((room, free))) = (from.split_first(), to.split_first_mut()) {
        *room = *byte;
        (from, to) = (rest, free);
        copied = copied.saturating_add(1);
    }
    copied
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a [`Method`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMethod(());

impl fmt::Display for UnknownMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of an authentication method")
    }
}

impl std::error::Error for UnknownMethod {}

/// The text cannot be the name of a [`Method::custom`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMethod(());

impl fmt::Display for InvalidMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a method's name has 1 to 31 characters of a-z, 0-9 and _, begins with a letter, and is not a built-in one",
        )
    }
}

impl std::error::Error for InvalidMethod {}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let own = text.as_bytes().strip_prefix(PREFIX).and_then(|name| std::str::from_utf8(name).ok());
        match own {
            // Stores read what they have written.
            Some(name) if name.as_bytes() == RESERVED => Ok(Self::TRUSTED_DEVICE),
            Some(name) => Self::custom(name).map_err(|_| UnknownMethod(())),
            None => Self::BUILT_IN.into_iter().find(|method| method.as_str() == text).ok_or(UnknownMethod(())),
        }
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Method;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an authentication method")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Method, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
impl Method {
    /// All built-in methods.
    pub(super) const fn built_in() -> &'static [Self] {
        &Self::BUILT_IN
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_the_wire_names() {
        for method in Method::BUILT_IN {
            assert_eq!(method.as_str().parse(), Ok(method));
            assert_eq!(serde_json::to_value(method).unwrap(), method.as_str());
            assert_eq!(method.custom_name(), None);
        }
        for unknown in ["", "Totp", "totp ", "aal2", "magic", "push", "custom", "custom:", "custom:totp", "Custom:push"]
        {
            assert_eq!(unknown.parse::<Method>(), Err(UnknownMethod(())), "{unknown}");
            assert!(serde_json::from_value::<Method>(unknown.into()).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_name_of_ones_own_is_short_and_plain_and_none_of_the_known() {
        let longest = "a".repeat(31);
        for good in ["push", "p", "device_2", longest.as_str()] {
            let method = Method::custom(good).unwrap();
            assert_eq!(method.custom_name(), Some(good));
            assert_eq!(method.as_str(), format!("custom:{good}"));
            assert_eq!(format!("{method:?}"), format!("Custom({good:?})"));
        }
        let too_long = "a".repeat(32);
        for bad in ["", "_push", "2push", "Push", "pu-sh", "pu sh", "push\0", "pusch\u{e4}", "custom:push", &too_long] {
            assert_eq!(Method::custom(bad), Err(InvalidMethod(())), "{bad}");
        }
        for built_in in Method::BUILT_IN {
            assert_eq!(Method::custom(built_in.as_str()), Err(InvalidMethod(())));
        }
        assert!(Method::custom("totp2").is_ok() && Method::custom("tot").is_ok());
    }

    #[test]
    fn what_a_method_can_be() {
        let only_second = [Method::Totp, Method::LookupSecret];
        let second = [Method::Totp, Method::LookupSecret, Method::WebAuthn, Method::Code];
        for method in Method::BUILT_IN {
            let first = (!only_second.contains(&method)).then_some(Aal::Aal1);
            assert_eq!(method.first_factor_level(), first, "{method}");
            assert_eq!(method.is_second_factor(), second.contains(&method), "{method}");
        }
        let device = Method::TRUSTED_DEVICE;
        assert_eq!((device.as_str(), device.as_str().parse()), ("custom:trusted_device", Ok(device)));
        assert_eq!((device.first_factor_level(), device.is_second_factor()), (None, false));
        assert_eq!(Method::custom("trusted_device"), Err(InvalidMethod(())), "no factor has its name");
        let own = Method::custom("push").unwrap();
        assert!(device.is_trusted_device() && !own.is_trusted_device() && !Method::Totp.is_trusted_device());
        assert_eq!((own.first_factor_level(), own.is_second_factor()), (Some(Aal::Aal1), false));
        assert_eq!(own.reference(), "custom:push");
    }

    proptest! {
        #[test]
        fn every_text_is_a_method_or_refused(text in prop_oneof![any::<String>(), "(custom:)?[a-z0-9_]{0,34}"]) {
            match text.parse::<Method>() {
                Ok(method) => {
                    prop_assert_eq!(method.as_str(), &text);
                    let json = serde_json::to_string(&method).unwrap();
                    prop_assert_eq!(serde_json::from_str::<Method>(&json).unwrap(), method);
                    prop_assert_eq!(method.custom_name(), text.strip_prefix("custom:"));
                }
                Err(_) => prop_assert!(serde_json::from_value::<Method>(text.into()).is_err()),
            }
        }

        #[test]
        fn a_name_of_ones_own_never_means_another(one in "[a-z][a-z0-9_]{0,32}", other in "[a-z][a-z0-9_]{0,32}") {
            if let (Ok(first), Ok(second)) = (Method::custom(&one), Method::custom(&other)) {
                prop_assert_eq!(first == second, one == other);
                prop_assert!(!Method::BUILT_IN.contains(&first));
            }
        }
    }
}
