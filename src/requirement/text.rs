//! A requirement as text: for tables of routes, for logs, and for people who read either.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{RequiredAal, Requirement};
use crate::aal::{Method, Methods};

/// Units of time, the longest first, in seconds.
const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];

const PHISHING_RESISTANT: &str = "phishing_resistant";
const WITHOUT_TRUSTED_DEVICES: &str = "without_trusted_devices";

/// The level, and what else there is, with commas in between: `aal2`, `aal2, max_age=5m`, `aal2, methods=totp|webauthn`, `aal2, phishing_resistant`,
/// `aal2, without_trusted_devices`. What [`FromStr`] reads; only a requirement that [nobody can meet](Requirement::is_impossible) cannot be read again.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.level.as_str())?;
        if let Some(age) = self.max_age {
            f.write_str(", max_age=")?;
            write_duration(f, age)?;
        }
        match &self.methods {
            Some(methods) if *methods == Methods::PHISHING_RESISTANT => write!(f, ", {PHISHING_RESISTANT}")?,
            Some(methods) if methods.is_empty() => f.write_str(", methods=none")?,
            Some(methods) => {
                let mut names: Vec<_> = methods.iter().map(|method| method.to_string()).collect();
                names.sort_unstable();
                write!(f, ", methods={}", names.join("|"))?;
            }
            None => {}
        }
        if self.trusted_devices { Ok(()) } else { write!(f, ", {WITHOUT_TRUSTED_DEVICES}") }
    }
}

/// In the longest unit that says it without a remainder.
fn write_duration(f: &mut fmt::Formatter<'_>, duration: Duration) -> fmt::Result {
    let (seconds, rest) = (duration.as_secs(), duration.subsec_nanos());
    if rest > 0 {
        return write!(f, "{}ns", duration.as_nanos());
    }
    let fits = |(unit, _): &&(u64, &str)| seconds.checked_rem(*unit) == Some(0) && seconds > 0;
    let (unit, name) = UNITS.iter().find(fits).copied().unwrap_or((1, "s"));
    write!(f, "{}{name}", seconds.div_euclid(unit))
}

/// The text is no [`Requirement`]. It says which part of it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRequirement(String);

impl fmt::Display for InvalidRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidRequirement {}

fn fail<T>(why: impl Into<String>) -> Result<T, InvalidRequirement> {
    Err(InvalidRequirement(why.into()))
}

/// Reads `aal2, max_age=5m, methods=totp|webauthn`: a level first (`aal1`, `highest_available` or `aal2`), then each of these at most once, in any order.
///
/// | | |
/// |---|---|
/// | `max_age=5m` | [`max_age`](Requirement::max_age): whole numbers of `d`, `h`, `m` and `s`, one after the other: `1h30m` |
/// | `methods=totp\|webauthn` | [`any_of`](Requirement::any_of): one to four methods, also `custom:name` |
/// | `phishing_resistant` | [`phishing_resistant`](Requirement::phishing_resistant) |
/// | `without_trusted_devices` | [`without_trusted_devices`](Requirement::without_trusted_devices) |
///
/// ```
/// use std::time::Duration;
/// use tower_step_up::Requirement;
///
/// let transfer: Requirement = "aal2, max_age=5m, phishing_resistant".parse()?;
/// assert_eq!(transfer, Requirement::aal2().max_age(Duration::from_secs(300)).phishing_resistant());
/// assert_eq!(transfer.to_string(), "aal2, max_age=5m, phishing_resistant");
/// # Ok::<(), tower_step_up::requirement::InvalidRequirement>(())
/// ```
///
/// # Errors
///
/// A part is unknown, is there twice, or makes no sense; or no method is left that would do.
impl FromStr for Requirement {
    type Err = InvalidRequirement;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(',').map(str::trim);
        let level = parts.next().unwrap_or_default();
        let Ok(level) = level.parse::<RequiredAal>() else {
            return fail(format!("a requirement begins with aal1, highest_available or aal2, and not with {level:?}"));
        };
        let (mut required, mut seen) = (Self::of(level), Vec::new());
        for part in parts {
            let (name, value) =
                part.split_once('=').map_or((part, None), |(name, value)| (name.trim(), Some(value.trim())));
            if seen.contains(&name) {
                return fail(format!("a requirement has {name} twice"));
            }
            seen.push(name);
            required = match (name, value) {
                ("max_age", Some(value)) => required.max_age(duration(value)?),
                ("methods", Some(value)) => required.only(methods(value)?),
                (PHISHING_RESISTANT, None) => required.phishing_resistant(),
                (WITHOUT_TRUSTED_DEVICES, None) => required.without_trusted_devices(),
                ("max_age" | "methods", None) => return fail(format!("{name} needs a value: {name}=..")),
                (PHISHING_RESISTANT | WITHOUT_TRUSTED_DEVICES, Some(_)) => return fail(format!("{name} has no value")),
                _ => {
                    return fail(format!(
                        "{part:?} is no part of a requirement: there are max_age, methods, {PHISHING_RESISTANT} and {WITHOUT_TRUSTED_DEVICES}"
                    ));
                }
            };
        }
        if required.is_impossible() {
            return fail("no method is left that would do: methods and phishing_resistant have none in common");
        }
        Ok(required)
    }
}

fn duration(text: &str) -> Result<Duration, InvalidRequirement> {
    let bad = || InvalidRequirement(format!("max_age must be like 90s, 5m, 1h30m or 1d, and not {text:?}"));
    let (mut rest, mut sum) = (text, Duration::ZERO);
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).ok_or_else(bad)?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let part = match UNITS.iter().find(|(_, name)| *name == unit) {
            Some((seconds, _)) => number.checked_mul(*seconds).map(Duration::from_secs),
            None if unit == "ns" => Some(Duration::from_nanos(number)),
            None => None,
        };
        sum = part.and_then(|part| sum.checked_add(part)).ok_or_else(bad)?;
        rest = after.trim_start();
    }
    Ok(sum)
}

fn methods(text: &str) -> Result<Methods, InvalidRequirement> {
    let mut named = Vec::new();
    for name in text.split('|').map(str::trim) {
        match name.parse::<Method>() {
            Ok(method) if method.is_trusted_device() => return fail("no requirement can name a trusted device"),
            Ok(method) if !named.contains(&method) => named.push(method),
            Ok(_) => return fail(format!("methods names {name} twice")),
            Err(_) => return fail(format!("methods names {name:?}, which is no method")),
        }
    }
    if named.len() > Methods::MOST {
        return fail("methods can name at most four");
    }
    Ok(Methods::of(&named))
}

/// As text.
impl Serialize for Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::requirement::Freshness;

    #[test]
    fn a_requirement_says_its_methods() {
        let push = Method::custom("push").unwrap();
        for (requirement, text) in [
            (Requirement::aal2().any_of([Method::WebAuthn, Method::Totp]), "aal2, methods=totp|webauthn"),
            (Requirement::fresh(Freshness::Strict).phishing_resistant(), "aal2, max_age=10m, phishing_resistant"),
            (Requirement::aal1().any_of([push, Method::Code]), "aal1, methods=code|custom:push"),
            (Requirement::aal2().any_of([push]).phishing_resistant(), "aal2, methods=none"),
            (Requirement::fresh(Freshness::Moderate), "aal2, max_age=1h"),
            (Requirement::fresh(Freshness::Lax), "aal2, max_age=1d"),
        ] {
            assert_eq!(requirement.to_string(), text);
        }
    }

    /// Requirements that somebody can meet.
    fn requirements() -> impl Strategy<Value = Requirement> {
        let push = Method::custom("push").unwrap();
        let methods = prop::sample::subsequence(
            vec![Method::Password, Method::Totp, Method::WebAuthn, Method::Passkey, push],
            0..=4,
        );
        let age = prop::option::of(prop_oneof![
            (0..100_000u64).prop_map(Duration::from_secs),
            any::<u64>().prop_map(Duration::from_nanos)
        ]);
        (prop::sample::select(RequiredAal::ALL.to_vec()), age, methods, any::<bool>()).prop_map(
            |(level, age, methods, trusted)| {
                let required = Requirement::from(level);
                let required = age.map_or(required, |age| required.max_age(age));
                let required = if methods.is_empty() { required } else { required.only(Methods::of(&methods)) };
                if trusted { required } else { required.without_trusted_devices() }
            },
        )
    }

    proptest! {
        #[test]
        fn what_a_requirement_says_is_read_again(required in requirements()) {
            let text = required.to_string();
            prop_assert_eq!(text.parse::<Requirement>(), Ok(required), "{}", text);
            prop_assert_eq!(serde_json::to_value(required).unwrap(), serde_json::Value::from(text.clone()));
            prop_assert_eq!(serde_json::from_value::<Requirement>(text.into()).unwrap(), required);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,60}", age in "\\PC{0,30}") {
            let _ = text.parse::<Requirement>();
            let _ = format!("aal2, max_age={age}").parse::<Requirement>();
        }
    }

    #[test]
    fn people_write_requirements_in_many_ways() {
        let five_minutes = Requirement::aal2().max_age(Duration::from_secs(300));
        for (text, expected) in [
            (" aal2 ", Requirement::aal2()),
            ("aal2,max_age=300s", five_minutes),
            ("aal2 ,  max_age = 4m 60s", five_minutes),
            ("aal2, max_age=0s", Requirement::aal2().max_age(Duration::ZERO)),
            (
                "highest_available, without_trusted_devices, max_age=1h30m",
                Requirement::highest_available().without_trusted_devices().max_age(Duration::from_secs(5400)),
            ),
            ("aal1, methods = webauthn | totp", Requirement::aal1().any_of([Method::Totp, Method::WebAuthn])),
            ("aal2, methods=totp|webauthn, phishing_resistant", Requirement::aal2().any_of([Method::WebAuthn])),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_requirement_says_which_part_is_wrong() {
        for (text, expected) in [
            ("", "begins with aal1, highest_available or aal2, and not with \"\""),
            ("AAL2", "begins with"),
            ("aal3", "and not with \"aal3\""),
            ("max_age=5m, aal2", "begins with"),
            ("aal2,", "\"\" is no part"),
            ("aal2, maxage=5m", "\"maxage=5m\" is no part"),
            ("aal2, max_age=5m, max_age=6m", "has max_age twice"),
            ("aal2, max_age", "max_age needs a value"),
            ("aal2, max_age=", "must be like"),
            ("aal2, max_age=5", "must be like"),
            ("aal2, max_age=-5m", "must be like"),
            ("aal2, max_age=5min", "must be like"),
            ("aal2, max_age=1.5h", "must be like"),
            ("aal2, max_age=99999999999999999d", "must be like"),
            ("aal2, methods=", "\"\", which is no method"),
            ("aal2, methods=otp", "\"otp\", which is no method"),
            ("aal2, methods=totp|totp", "totp twice"),
            ("aal2, methods=custom:trusted_device", "trusted device"),
            ("aal2, methods=totp|code|webauthn|passkey|password", "at most four"),
            ("aal2, methods=totp, phishing_resistant", "no method is left"),
            ("aal2, methods=none", "no method"),
            ("aal2, phishing_resistant=true", "has no value"),
            ("aal2; max_age=5m", "begins with"),
            ("aal2 aal1", "begins with"),
        ] {
            let error = text.parse::<Requirement>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
