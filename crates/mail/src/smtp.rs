//! A mail server, and how a mail gets there.

use std::{fmt, future::Future, net::IpAddr, time::Duration};

use lettre::{
    Address,
    message::Mailbox,
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailParameter},
    },
};
use tower_step_up::{
    directory::Channel,
    error::BuildError,
    factor::{Message, SendError, Sender, SenderFuture},
};
use url::{Host, Url};

use crate::text;

/// A setting of [`Smtp`] makes no sense: its text says which.
#[derive(Debug)]
pub struct InvalidSmtp(String);

impl InvalidSmtp {
    fn new(help: impl Into<String>) -> Self {
        Self(help.into())
    }
}

impl fmt::Display for InvalidSmtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidSmtp {}

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    /// From the first byte on (RFC 8314).
    Tls,
    /// By `STARTTLS`, without which nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

/// Sends codes by mail through an SMTP server.
///
/// Each mail has a connection of its own. If it surely was not taken, because there is no connection or the server says "later", it is tried once
/// more. If the connection breaks after the mail went out, nobody knows, and it is not.
///
/// ```
/// use tower_step_up::factor::Code;
/// use tower_step_up_mail::Smtp;
///
/// let smtp = Smtp::new("smtps://bank:password@mail.example", "Example Bank <no-reply@bank.example>")?;
/// let code = Code::new(smtp);
/// # Ok::<(), tower_step_up_mail::InvalidSmtp>(())
/// ```
#[derive(Clone)]
pub struct Smtp {
    host: String,
    port: u16,
    encryption: Encryption,
    in_the_clear: bool,
    credentials: Option<Credentials>,
    roots: Vec<Certificate>,
    from: Mailbox,
    hello: ClientId,
    timeout: Duration,
}

/// Shows no credentials.
impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("encryption", &self.encryption)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(20);

impl Smtp {
    /// A server by its URL, and the sender that mails are from: an address, or a name and an address.
    ///
    /// | URL | connection |
    /// |---|---|
    /// | `smtps://HOST` | encrypted from the beginning, on port 465 unless the URL has one |
    /// | `smtp://HOST` | encrypted by `STARTTLS`, on port 587 unless the URL has one; without it nothing is sent |
    /// | `smtp://127.0.0.1:2525`, `smtp://localhost:2525` | on loopback, not encrypted |
    ///
    /// A user name and a password stand before the host, as in `smtps://bank:password@mail.example`. What a URL reserves is percent-encoded.
    ///
    /// # Errors
    ///
    /// It is no such URL, or the sender has no mail address.
    pub fn new(url: &str, from: &str) -> Result<Self, InvalidSmtp> {
        const HELP: &str =
            "the URL of the mail server must be like smtps://HOST, smtps://USER:PASSWORD@HOST:PORT or smtp://HOST:PORT";
        let url = Url::parse(url).map_err(|_| InvalidSmtp::new(HELP))?;
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| !host.is_empty() && is_bare).ok_or_else(|| InvalidSmtp::new(HELP))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (encryption, port) = match url.scheme() {
            "smtps" => (Encryption::Tls, 465),
            "smtp" if is_loopback(&host) => (Encryption::None, 25),
            "smtp" => (Encryption::StartTls, 587),
            _ => return Err(InvalidSmtp::new(HELP)),
        };
        let decoded = |text: &str| percent_decoded(text).ok_or_else(|| InvalidSmtp::new(HELP));
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Credentials::new(decoded(user)?, decoded(password.unwrap_or_default())?)),
        };
        let from: Mailbox = from.parse().map_err(|_| {
            InvalidSmtp::new(
                "mails must be from an address: no-reply@bank.example, or Example Bank <no-reply@bank.example>",
            )
        })?;
        // Servers want a name with a dot here, and the sender's domain is one.
        let hello = ClientId::Domain(from.email.domain().to_owned());
        Ok(Self {
            host,
            port: url.port().unwrap_or(port),
            encryption,
            in_the_clear: false,
            credentials,
            roots: Vec::new(),
            from,
            hello,
            timeout: Duration::from_secs(4),
        })
    }

    /// How long connecting and greeting may take, and how long the server may take for the mail itself; each of the two tries anew. From one to 20
    /// seconds, 4 by default: with two tries, that fits the 10 seconds of [`Code::send_timeout`](tower_step_up::factor::Code::send_timeout).
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Trusts this certificate authority too, in PEM: for a mail server inside of a company.
    ///
    /// # Errors
    ///
    /// It is no certificate.
    pub fn trust(mut self, pem: &[u8]) -> Result<Self, InvalidSmtp> {
        // An empty list is none.
        if !pem.windows(BEGIN.len()).any(|part| part == BEGIN) {
            return Err(InvalidSmtp::new(
                "Smtp::trust needs a certificate in PEM, which begins with -----BEGIN CERTIFICATE-----",
            ));
        }
        let certificate = Certificate::from_pem(pem).map_err(|error| InvalidSmtp::new(error.to_string()))?;
        self.roots.push(certificate);
        Ok(self)
    }

    /// Encrypts by `STARTTLS` on loopback too.
    #[must_use]
    pub const fn starttls(mut self) -> Self {
        if matches!(self.encryption, Encryption::None) {
            self.encryption = Encryption::StartTls;
        }
        self
    }

    /// Sends mails without encryption to a server that is not on this machine: whoever listens reads the codes. For a private network alone.
    #[must_use]
    pub const fn in_the_clear(mut self) -> Self {
        self.in_the_clear = true;
        if matches!(self.encryption, Encryption::StartTls) {
            self.encryption = Encryption::None;
        }
        self
    }

    fn tls(&self) -> Result<TlsParameters, lettre::transport::smtp::Error> {
        let builder = TlsParameters::builder(self.host.clone());
        self.roots
            .iter()
            .cloned()
            .fold(builder, lettre::transport::smtp::client::TlsParametersBuilder::add_root_certificate)
            .build_rustls()
    }

    fn check(&self) -> Result<(), String> {
        if !TIMEOUTS.contains(&self.timeout) {
            return Err("Smtp::timeout must be from one to 20 seconds".to_owned());
        }
        if self.encryption == Encryption::None && self.credentials.is_some() && !is_loopback(&self.host) {
            return Err("the mail server would get its password in the clear: use smtps://, or none".to_owned());
        }
        if self.encryption != Encryption::None {
            self.tls().map_err(|error| format!("TLS to the mail server cannot be set up: {error}"))?;
        }
        Ok(())
    }

    /// A connection on which the server waits for the text of a mail to this address. Until then, surely nothing was sent.
    async fn open(&self, to: &Address) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let server = (self.host.as_str(), self.port);
        let tls = if self.encryption == Encryption::Tls { Some(self.tls()?) } else { None };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &self.hello, tls, None).await?;
        if self.encryption == Encryption::StartTls {
            connection.starttls(self.tls()?, &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        let needs_utf8 = !AsRef::<str>::as_ref(to).is_ascii();
        let options = if needs_utf8 && connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            vec![MailParameter::SmtpUtfEight]
        } else {
            Vec::new()
        };
        connection.command(Mail::new(Some(self.from.email.clone()), options)).await?;
        connection.command(Rcpt::new(to.clone(), Vec::new())).await?;
        connection.command(Data).await?;
        Ok(connection)
    }

    async fn deliver(&self, message: &Message<'_>) -> Result<(), SendError> {
        let to: Address = message.to.as_str().parse().map_err(SendError::not_sent)?;
        let mail = text::mail(&self.from, to.clone(), message).map_err(SendError::not_sent)?;
        let again = match self.attempt(&to, &mail).await {
            Err(Failed::Later(error)) => {
                tracing::debug!(target: "tower_step_up::mail", %error, "a mail is tried once more");
                self.attempt(&to, &mail).await
            }
            done => done,
        };
        again.map_err(Failed::into_error)
    }

    async fn attempt(&self, to: &Address, mail: &[u8]) -> Result<(), Failed> {
        let opened = self.in_time(self.open(to)).await;
        let mut connection = opened.map_err(|error| {
            let is_final = matches!(&error, Cause::Smtp(error) if error.is_permanent() || error.is_client());
            if is_final { Failed::Never(error) } else { Failed::Later(error) }
        })?;
        let taken = self.in_time(connection.message(mail)).await;
        let outcome = taken.map(drop).map_err(|error| match &error {
            Cause::Smtp(refusal) if refusal.is_permanent() => Failed::Never(error),
            Cause::Smtp(refusal) if refusal.is_transient() => Failed::Later(error),
            _ => Failed::Perhaps(error),
        });
        // The mail is there or not, whatever the farewell says.
        let _farewell = tokio::time::timeout(Duration::from_millis(200), connection.quit()).await;
        outcome
    }

    async fn in_time<T>(
        &self,
        step: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
    ) -> Result<T, Cause> {
        match tokio::time::timeout(self.timeout, step).await {
            Ok(done) => done.map_err(Cause::Smtp),
            Err(_) => Err(Cause::Slow(self.timeout)),
        }
    }
}

/// What went wrong.
#[derive(Debug)]
enum Cause {
    Smtp(lettre::transport::smtp::Error),
    Slow(Duration),
}

/// Without what the server says: it may repeat the address.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smtp(error) => match error.status() {
                Some(code) => write!(f, "the mail server answered {code}"),
                None => error.fmt(f),
            },
            Self::Slow(timeout) => write!(f, "the mail server took longer than {timeout:?}"),
        }
    }
}

impl std::error::Error for Cause {}

/// What an attempt that failed means for the mail.
#[derive(Debug)]
enum Failed {
    /// It was not sent, and may be in a moment.
    Later(Cause),
    /// It was not sent, and will not be.
    Never(Cause),
    /// Nobody knows.
    Perhaps(Cause),
}

impl Failed {
    fn into_error(self) -> SendError {
        match self {
            Self::Later(cause) | Self::Never(cause) => SendError::not_sent(cause),
            Self::Perhaps(cause) => SendError::unknown(cause),
        }
    }
}

impl Sender for Smtp {
    fn check_configuration(&self, _: &Url) -> Result<(), BuildError> {
        self.check().map_err(BuildError::factor)
    }

    fn reaches(&self, channel: Channel) -> bool {
        channel == Channel::Email
    }

    fn send<'a>(&'a self, message: Message<'a>) -> SenderFuture<'a> {
        Box::pin(async move { self.deliver(&message).await })
    }
}

fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(domain)) => domain == "localhost" || domain.ends_with(".localhost"),
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    const FROM: &str = "Example Bank <no-reply@bank.example>";

    #[test]
    fn a_url_says_how_to_connect() {
        for (url, encryption, host, port) in [
            ("smtps://mail.example", Encryption::Tls, "mail.example", 465),
            ("smtps://mail.example:4650/", Encryption::Tls, "mail.example", 4650),
            ("smtp://mail.example", Encryption::StartTls, "mail.example", 587),
            ("smtp://127.0.0.1:2525", Encryption::None, "127.0.0.1", 2525),
            ("smtp://localhost:25", Encryption::None, "localhost", 25),
            ("smtp://[::1]:2525", Encryption::None, "::1", 2525),
        ] {
            let smtp = Smtp::new(url, FROM).unwrap();
            assert_eq!((smtp.encryption, smtp.host.as_str(), smtp.port), (encryption, host, port), "{url}");
            assert!(smtp.credentials.is_none() && smtp.check().is_ok(), "{url}");
        }
        let smtp = Smtp::new("smtps://bank%40x:p%3Ass@mail.example", FROM).unwrap();
        assert_eq!(smtp.credentials, Some(Credentials::new("bank@x".to_owned(), "p:ss".to_owned())));
        assert!(!format!("{smtp:?}").contains("p:ss"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for url in [
            "mail.example",
            "https://mail.example",
            "smtp://",
            "smtps://mail.example/path",
            "smtps://mail.example?tls=none",
        ] {
            assert!(Smtp::new(url, FROM).is_err(), "{url}");
        }
        for from in ["", "Example Bank", "no-reply@bank.example\r\nBcc: x@y.example"] {
            assert!(Smtp::new("smtps://mail.example", from).is_err(), "{from}");
        }
        let smtp = |url| Smtp::new(url, FROM).unwrap();
        assert!(smtp("smtps://mail.example").timeout(Duration::from_secs(21)).check().is_err());
        assert!(smtp("smtp://bank:x@mail.example").in_the_clear().check().is_err(), "the password is no secret then");
        assert!(smtp("smtp://mail.example").in_the_clear().check().is_ok());
        assert!(smtp("smtps://mail.example").trust(b"no certificate").is_err());
        assert!(
            smtp("smtps://mail.example").reaches(Channel::Email) && !smtp("smtps://mail.example").reaches(Channel::Sms)
        );
    }
}
