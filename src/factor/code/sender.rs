//! Whoever sends a code: a trait, what a message says, and a sender that only logs.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use url::{Host, Url};

use crate::{
    directory::{Channel, Destination},
    error::{BuildError, BuildErrorKind},
};

/// What [`Sender::send`] returns.
pub type SenderFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'a>>;

/// Sends codes by mail or text message. The application implements it, or takes the one of `tower-step-up-mail` for mail.
///
/// ```
/// use tower_step_up::{directory::Channel, factor::{Message, SendError, Sender, SenderFuture}};
///
/// struct Gateway;
///
/// impl Sender for Gateway {
///     fn reaches(&self, channel: Channel) -> bool {
///         channel == Channel::Sms
///     }
///
///     fn send<'a>(&'a self, message: Message<'a>) -> SenderFuture<'a> {
///         Box::pin(async move {
///             // The last line lets phones fill the code in on this site and on no other.
///             let text = format!("{} is your code for {}.\n\n{}", message.code, message.application, message.autofill());
///             let accepted = post_to_gateway(message.to.as_str(), &text).await;
///             accepted.map_err(SendError::not_sent)
///         })
///     }
/// }
/// # async fn post_to_gateway(_: &str, _: &str) -> Result<(), std::io::Error> { Ok(()) }
/// ```
pub trait Sender: Send + Sync + 'static {
    /// Checks the sender's settings when a [`StepUp`](crate::StepUp) is built for this public URL. By default, accepts them.
    ///
    /// # Errors
    ///
    /// A setting is unsafe or makes no sense.
    fn check_configuration(&self, public_url: &Url) -> Result<(), BuildError> {
        let _ = public_url;
        Ok(())
    }

    /// Whether it sends over this channel. Addresses that no sender reaches are not offered. By default, it reaches all.
    fn reaches(&self, channel: Channel) -> bool {
        let _ = channel;
        true
    }

    /// Sends the message. It may try again by itself if it is sure that nothing was sent; the whole may take as long as
    /// [`Code::send_timeout`](super::Code::send_timeout) says, and is dropped then.
    ///
    /// # Errors
    ///
    /// It could not be sent, or nobody knows whether it was: [`SendError`]. Put neither the code nor the address into its causes, since they are
    /// logged.
    fn send<'a>(&'a self, message: Message<'a>) -> SenderFuture<'a>;
}

impl<S: Sender + ?Sized> Sender for Arc<S> {
    fn check_configuration(&self, public_url: &Url) -> Result<(), BuildError> {
        self.as_ref().check_configuration(public_url)
    }

    fn reaches(&self, channel: Channel) -> bool {
        self.as_ref().reaches(channel)
    }

    fn send<'a>(&'a self, message: Message<'a>) -> SenderFuture<'a> {
        self.as_ref().send(message)
    }
}

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessagePurpose {
    /// The user confirms that it is they, before they go on.
    Confirm,
    /// Somebody who is signed in as the user adds this address for codes. Tell whoever reads it what it means if it was not they: somebody else is
    /// in the account.
    AddAddress,
}

/// What is to be sent, and where.
///
/// Put no link to click into it: users must not learn to follow links in mails about their codes.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Message<'a> {
    /// The address. Its [channel](Destination::channel) says how it is reached.
    pub to: &'a Destination,
    /// The code: six digits.
    pub code: &'a str,
    /// For how many minutes it is good.
    pub minutes: u64,
    /// The language in which the subject reads, as [`Directory::locale`](crate::directory::Directory::locale) says it.
    pub locale: Option<&'a str>,
    /// What the code is for.
    pub purpose: MessagePurpose,
    /// The application's name, as the built-in pages show it.
    pub application: &'a str,
    /// The host of the public URL: the only place where the code may be typed.
    pub site: &'a str,
    /// What is being confirmed, in words of the application's; `None` if it is no single thing.
    pub action: Option<&'a str>,
}

impl Message<'_> {
    /// The line by which phones and browsers fill the code in on this site alone, the last of a text message: `@bank.example #123456`
    /// (origin-bound one-time codes).
    pub fn autofill(&self) -> String {
        format!("@{} #{}", self.site, self.code)
    }
}

/// Shows neither code nor address.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("to", self.to)
            .field("purpose", &self.purpose)
            .field("locale", &self.locale)
            .finish_non_exhaustive()
    }
}

/// A message was not sent, or nobody knows whether it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// Surely nothing was sent: no connection, or a refusal. The user may try again at once.
    NotSent(Box<dyn std::error::Error + Send + Sync>),
    /// It may have been sent: the connection broke before the answer. It counts as sent.
    Unknown(Box<dyn std::error::Error + Send + Sync>),
}

impl SendError {
    /// Surely nothing was sent, for this reason.
    pub fn not_sent(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::NotSent(cause.into())
    }

    /// Nobody knows whether it was sent, for this reason.
    pub fn unknown(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unknown(cause.into())
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent(_) => "the message could not be sent",
            Self::Unknown(_) => "nobody knows whether the message was sent",
        })
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotSent(error) | Self::Unknown(error) => Some(error.as_ref()),
        }
    }
}

/// Sends nothing and logs the code, for development: whoever reads the log has the second factor of everybody.
///
/// `build()` refuses it unless the public URL is on loopback. Test systems elsewhere say so by name:
///
/// ```
/// use tower_step_up::factor::{Code, LogSender};
///
/// let code = Code::new(LogSender::default());
/// let on_staging = Code::new(LogSender::whoever_reads_the_log_gets_in());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSender {
    anywhere: bool,
}

impl LogSender {
    /// The same for any public URL. Whoever reads the log gets in.
    pub const fn whoever_reads_the_log_gets_in() -> Self {
        Self { anywhere: true }
    }
}

impl Sender for LogSender {
    fn check_configuration(&self, public_url: &Url) -> Result<(), BuildError> {
        if self.anywhere || is_loopback(public_url) {
            return Ok(());
        }
        Err(BuildError::new(
            BuildErrorKind::Factor,
            "LogSender writes codes into the log, so whoever reads it has the second factor of everybody: give Code a sender that sends, for \
             example the one of tower-step-up-mail; or, on a test system, LogSender::whoever_reads_the_log_gets_in()",
        ))
    }

    fn send<'a>(&'a self, message: Message<'a>) -> SenderFuture<'a> {
        Box::pin(async move {
            let (to, code) = (message.to.as_str(), message.code);
            let what = match message.purpose {
                MessagePurpose::Confirm => "code for",
                MessagePurpose::AddAddress => "code to add",
            };
            tracing::warn!(target: "tower_step_up::code", "{what} {to}: {code}");
            Ok(())
        })
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost" || domain.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_only_logs_is_refused_in_public() {
        let check = |sender: LogSender, url| sender.check_configuration(&Url::parse(url).unwrap()).is_ok();
        for url in [
            "http://localhost:3000",
            "http://app.localhost",
            "http://127.0.0.1:3000",
            "http://[::1]",
            "https://localhost",
        ] {
            assert!(check(LogSender::default(), url), "{url}");
        }
        for url in
            ["https://bank.example", "https://10.0.0.1", "https://localhost.evil.example", "https://notlocalhost"]
        {
            assert!(!check(LogSender::default(), url), "{url}");
            assert!(check(LogSender::whoever_reads_the_log_gets_in(), url), "{url}");
        }
    }

    #[test]
    fn no_code_and_no_address_is_in_a_debug() {
        let to = Destination::parse(Channel::Email, "kim@app.example").unwrap();
        let message = Message {
            to: &to,
            code: "123456",
            minutes: 10,
            locale: None,
            purpose: MessagePurpose::Confirm,
            application: "Bank",
            site: "bank.example",
            action: None,
        };
        let text = format!("{message:?} {to:?}");
        assert!(!text.contains("123456") && !text.contains("kim"), "{text}");
        assert_eq!(message.autofill(), "@bank.example #123456");
    }
}
