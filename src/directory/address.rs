//! Addresses that codes go to.

use std::fmt;

use url::Host;

/// How an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Channel {
    /// By mail.
    Email,
    /// By text message.
    Sms,
}

impl Channel {
    /// The name on the wire: `email` or `sms`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Email, Self::Sms].into_iter().find(|channel| channel.as_str() == name)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An address of a user, as the application keeps it: see [`Directory::addresses`](super::Directory::addresses).
///
/// ```
/// use tower_step_up::directory::Address;
///
/// let mail = Address::email("kim@app.example").verified(true).preferred(true);
/// let phone = Address::sms("+49 151 12345678").verified(true);
/// assert_eq!(phone.destination()?.as_str(), "+4915112345678");
/// # let _ = mail;
/// # Ok::<(), tower_step_up::directory::InvalidAddress>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// How it is reached.
    pub channel: Channel,
    /// The address as the application has it.
    pub address: String,
    /// Whether the user has shown that they read what is sent there.
    pub verified: bool,
    /// Whether it is offered before the others.
    pub preferred: bool,
}

impl Address {
    /// A mail address that is not verified.
    pub fn email(address: impl Into<String>) -> Self {
        Self { channel: Channel::Email, address: address.into(), verified: false, preferred: false }
    }

    /// A number for text messages that is not verified. It begins with `+` and the country code.
    pub fn sms(number: impl Into<String>) -> Self {
        Self { channel: Channel::Sms, ..Self::email(number) }
    }

    /// The same, verified or not.
    #[must_use]
    pub const fn verified(mut self, verified: bool) -> Self {
        self.verified = verified;
        self
    }

    /// The same, offered before the others or not.
    #[must_use]
    pub const fn preferred(mut self, preferred: bool) -> Self {
        self.preferred = preferred;
        self
    }

    /// The address in its one form.
    ///
    /// # Errors
    ///
    /// It is no mail address, or no number with its country code.
    pub fn destination(&self) -> Result<Destination, InvalidAddress> {
        Destination::parse(self.channel, &self.address)
    }
}

/// Shows no address.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("channel", &self.channel)
            .field("verified", &self.verified)
            .field("preferred", &self.preferred)
            .finish_non_exhaustive()
    }
}

/// The text is no mail address, or no number with its country code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidAddress(());

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no mail address, and no number that begins with + and the country code")
    }
}

impl std::error::Error for InvalidAddress {}

/// An address that was read: two texts that reach the same place are equal. A mail address is in lower case, a number as E.164 has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    channel: Channel,
    text: String,
}

/// RFC 5321 section 4.5.3.1, and the longest path of it without its brackets.
const LONGEST_LOCAL_PART: usize = 64;
const LONGEST_MAIL_ADDRESS: usize = 254;

impl Destination {
    /// Reads an address.
    ///
    /// A mail address has a local part without quotation marks and a domain. The local part is put in lower case too: no provider of note tells
    /// `Kim@` from `kim@`. A number has 8 to 15 digits after the `+` (E.164); blanks, dashes, dots, slashes and brackets between them are left
    /// out.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn parse(channel: Channel, text: &str) -> Result<Self, InvalidAddress> {
        let text = match channel {
            Channel::Email => mail_address(text.trim()),
            Channel::Sms => number(text.trim()),
        };
        Ok(Self { channel, text: text.ok_or(InvalidAddress(()))? })
    }

    /// How it is reached.
    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address with most of it hidden: its owner knows it again, nobody else learns it.
    ///
    /// ```
    /// use tower_step_up::directory::{Channel, Destination};
    ///
    /// assert_eq!(Destination::parse(Channel::Email, "kim@app.example")?.masked(), "k***@app.example");
    /// assert_eq!(Destination::parse(Channel::Sms, "+4915112345678")?.masked(), "+49*********78");
    /// # Ok::<(), tower_step_up::directory::InvalidAddress>(())
    /// ```
    pub fn masked(&self) -> String {
        match self.channel {
            Channel::Email => {
                let (local, domain) = self.text.rsplit_once('@').unwrap_or((&self.text, ""));
                let first: String = local.chars().take(1).collect();
                format!("{first}***@{domain}")
            }
            Channel::Sms => {
                let last = self.text.chars().count().saturating_sub(2);
                let shown = |(place, character)| if place < 3 || place >= last { character } else { '*' };
                self.text.chars().enumerate().map(shown).collect()
            }
        }
    }

    /// One text for both parts, as [`read`](Self::read) reads it.
    pub(crate) fn write(&self) -> String {
        format!("{}:{}", self.channel, self.text)
    }

    /// What [`write`](Self::write) has written.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let (channel, text) = std::str::from_utf8(text).ok()?.split_once(':')?;
        Some(Self { channel: Channel::named(channel)?, text: text.to_owned() })
    }
}

/// Shows no address.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("channel", &self.channel).finish_non_exhaustive()
    }
}

fn mail_address(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    // Of ASCII, what RFC 5322 allows in a dot-atom. A mail header or an SMTP command has nothing to fear of it.
    let is_atom = |character: char| {
        character.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~".contains(character)
            || (!character.is_ascii() && character.is_alphanumeric())
    };
    // First, since some characters become several.
    let local = local.to_lowercase();
    if local.len() > LONGEST_LOCAL_PART || !local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom)) {
        return None;
    }
    let Ok(Host::Domain(domain)) = Host::parse(domain) else { return None };
    let is_domain = domain.contains('.') || domain == "localhost";
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let address = format!("{local}@{domain}");
    let is_good = is_domain && domain.split('.').all(is_label) && address.len() <= LONGEST_MAIL_ADDRESS;
    is_good.then_some(address)
}

fn number(text: &str) -> Option<String> {
    let digits = text.strip_prefix('+')?;
    let digits: String = digits.chars().filter(|character| !" \u{a0}\u{202f}-./()".contains(*character)).collect();
    let is_number = (8..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    is_number.then(|| format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mail(text: &str) -> Option<String> {
        Destination::parse(Channel::Email, text).ok().map(|parsed| parsed.text)
    }

    fn sms(text: &str) -> Option<String> {
        Destination::parse(Channel::Sms, text).ok().map(|parsed| parsed.text)
    }

    #[test]
    fn a_mail_address_has_one_form() {
        for (text, expected) in [
            ("kim@app.example", "kim@app.example"),
            (" Kim.Doe+bank@App.Example ", "kim.doe+bank@app.example"),
            ("k@localhost", "k@localhost"),
            ("kim@b\u{fc}cher.example", "kim@xn--bcher-kva.example"),
            ("J\u{dc}RGEN@app.example", "j\u{fc}rgen@app.example"),
        ] {
            assert_eq!(mail(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_mail_address_is_refused() {
        for text in [
            "",
            "kim",
            "@app.example",
            "kim@",
            "kim@app",
            "kim@[127.0.0.1]",
            "kim@127.0.0.1",
            "a b@app.example",
            "kim@app.example\r\nBcc: x@y.example",
            "kim\n@app.example",
            "<kim@app.example>",
            "\"kim\"@app.example",
            ".kim@app.example",
            "k..m@app.example",
            "kim.@app.example",
            "a@b@app.example",
            "kim@app..example",
            "kim@-app.example",
            "kim@app_x.example",
            "kim,lee@app.example",
            "kim;lee@app.example",
            "k\u{202e}im@app.example",
            "kim@app.example.",
        ] {
            assert_eq!(mail(text), None, "{text:?}");
        }
        assert!(mail(&format!("{}@app.example", "k".repeat(64))).is_some());
        assert!(mail(&format!("{}@app.example", "k".repeat(65))).is_none());
        let domain = |length: usize| format!("{}.{}.{}.example", "x".repeat(60), "x".repeat(60), "x".repeat(length));
        // 64 and @, then 60, 60 and the rest with their dots.
        let longest = mail(&format!("{}@{}", "k".repeat(64), domain(59)));
        assert_eq!(longest.map(|address| address.len()), Some(LONGEST_MAIL_ADDRESS));
        assert!(mail(&format!("{}@{}", "k".repeat(64), domain(60))).is_none());
    }

    #[test]
    fn a_number_has_one_form() {
        for text in ["+4915112345678", " +49 151 123 456-78", "+49 (151) 12.34/5678", "+49\u{a0}15112345678"] {
            assert_eq!(sms(text).as_deref(), Some("+4915112345678"), "{text}");
        }
        for text in [
            "",
            "+",
            "015112345678",
            "004915112345678",
            "+0151123456",
            "+1234567",
            "+1234567890123456",
            "+49x1511234567",
            "+49151\u{664}234567",
            "++4915112345678",
            "4915112345678",
            "+4915112345678\r\nX",
        ] {
            assert_eq!(sms(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_mask_hides_all_but_a_little() {
        let masked = |channel, text| Destination::parse(channel, text).unwrap().masked();
        assert_eq!(masked(Channel::Email, "j\u{fc}rgen@app.example"), "j***@app.example");
        assert_eq!(masked(Channel::Email, "k@app.example"), "k***@app.example", "its length is hidden too");
        assert_eq!(masked(Channel::Sms, "+12025550"), "+12****50");
    }

    proptest! {
        /// Whatever is read stays what it is, is plain text, and is written and read back.
        #[test]
        fn what_was_read_is_read_again(text in "[ -~\u{fc}\u{df}\u{130}]{0,40}", sms in any::<bool>()) {
            let channel = if sms { Channel::Sms } else { Channel::Email };
            for text in [text.clone(), format!("{text}@app.example"), format!("+{text}")] {
                if let Ok(parsed) = Destination::parse(channel, &text) {
                    prop_assert!(!parsed.as_str().chars().any(|one| one.is_control() || one.is_whitespace() || "<>,;:\"\\".contains(one)));
                    prop_assert_eq!(Destination::parse(channel, parsed.as_str()), Ok(parsed.clone()));
                    prop_assert_eq!(Destination::read(parsed.write().as_bytes()), Some(parsed));
                }
            }
        }

        #[test]
        fn digits_with_a_country_code_are_a_number(digits in "[1-9][0-9]{7,14}") {
            prop_assert_eq!(sms(&format!("+{digits}")), Some(format!("+{digits}")));
        }
    }
}
