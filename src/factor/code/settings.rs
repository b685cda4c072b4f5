//! The settings of the factor, and the addresses that it takes.

use std::{fmt, sync::Arc, time::Duration};

use url::Url;

use super::{
    sender::{Sender, is_loopback},
    sends::{HOUR, SendLimits},
};
use crate::{
    aal::{Aal, Method},
    clock::Timestamp,
    directory::{Address, Channel, Destination},
    error::{BuildError, BuildErrorKind},
    factor::{Elsewhere, ElsewhereContext, FactorError, address_name},
    standing::CredentialSummary,
    store::Credential,
};

/// The longest that a code may be good (NIST SP 800-63B-4 section 3.1.3.2).
const LONGEST_LIFESPAN: Duration = Duration::from_secs(600);

const MINUTE: Duration = Duration::from_secs(60);

/// Codes of six digits by mail and text message, as a second factor.
///
/// They go to the addresses that [`Directory::addresses`](crate::directory::Directory::addresses) tells of and, if the application
/// [says so](Self::users_add_addresses), to those that users add. The user chooses one; if there is only one, and no other second factor, the code is sent when the flow begins.
///
/// * A code is good for 10 minutes, once, and in each flow of the session that it was sent in. It may be tried five times. A new one ends it.
/// * One address gets a code every 30 seconds at most, and one subject 10 in an hour, over all sessions and flows.
/// * Wrong codes are counted like those of every factor: see [`StepUpBuilder::attempts`](crate::StepUpBuilder::attempts).
/// * An address that has proven the session's first factor is no second one: [`Proof::with_address`](crate::aal::Proof::with_address).
///
/// A code by mail or text message is weaker than an app or a key: it can be phished, and whoever reads the mailbox has it (NIST SP 800-63B-4
/// section 3.1.3 takes no mail at all). Offer it beside others.
///
/// ```
/// # use tower_step_up::{SigningKey, StepUp, Subject, store::MemoryStore};
/// use tower_step_up::{
///     directory::{Address, Directory, DirectoryFuture, Identity},
///     factor::{Code, LogSender},
/// };
///
/// struct Users;
///
/// impl Directory for Users {
///     fn identity<'a>(&'a self, user: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
///         Box::pin(async move { Ok(Some(Identity::new(serde_json::json!({ "username": user.as_str() })))) })
///     }
///
///     fn addresses<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Vec<Address>> {
///         Box::pin(async { Ok(vec![Address::email("kim@app.example").verified(true)]) })
///     }
/// }
///
/// let step_up = StepUp::builder("http://localhost:3000")
///     .insecure_http_on_loopback()
///     .signing_key(SigningKey::generate("2026-11")?)
///     .store(MemoryStore::default())
///     .directory(Users)
///     // It sends nothing: for development alone.
///     .factor(Code::new(LogSender::default()).mask_addresses())
///     .build()?;
/// # drop(step_up);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Code {
    senders: Vec<Arc<dyn Sender>>,
    pub(super) lifespan: Duration,
    pub(super) send_timeout: Duration,
    pub(super) limits: Option<SendLimits>,
    unverified: bool,
    pub(super) masks: bool,
    /// Whether users may add addresses.
    pub(super) users_add: bool,
    /// How many a user may have added.
    pub(super) most: usize,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code")
            .field("lifespan", &self.lifespan)
            .field("send_timeout", &self.send_timeout)
            .field("limits", &self.limits)
            .field("unverified", &self.unverified)
            .field("masks", &self.masks)
            .field("users_add", &self.users_add)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl Code {
    /// Codes that this sender sends.
    pub fn new(sender: impl Sender) -> Self {
        Self {
            senders: vec![Arc::new(sender)],
            lifespan: LONGEST_LIFESPAN,
            send_timeout: Duration::from_secs(10),
            limits: Some(SendLimits { cool_down: Duration::from_secs(30), per_hour: 10 }),
            unverified: false,
            masks: false,
            users_add: false,
            most: 5,
        }
    }

    /// One more sender, for channels that none before it [reaches](Sender::reaches): mail by one, text messages by another.
    #[must_use]
    pub fn sender(mut self, sender: impl Sender) -> Self {
        self.senders.push(Arc::new(sender));
        self
    }

    /// How long a code is good: from one to ten minutes (NIST SP 800-63B-4 section 3.1.3.2). Ten by default.
    #[must_use]
    pub const fn lifespan(mut self, lifespan: Duration) -> Self {
        self.lifespan = lifespan;
        self
    }

    /// How long sending may take, with everything that the sender tries again: from one to 45 seconds, 10 by default. What took longer may have
    /// been sent.
    #[must_use]
    pub const fn send_timeout(mut self, timeout: Duration) -> Self {
        self.send_timeout = timeout;
        self
    }

    /// How long an address gets no other code after one: from one second to one hour, 30 seconds by default.
    #[must_use]
    pub fn cool_down(mut self, cool_down: Duration) -> Self {
        if let Some(limits) = &mut self.limits {
            limits.cool_down = cool_down;
        }
        self
    }

    /// How many codes a subject gets in an hour, over all its addresses, sessions and flows: from 1 to 100, 10 by default.
    #[must_use]
    pub fn sends_per_hour(mut self, sends: u32) -> Self {
        if let Some(limits) = &mut self.limits {
            limits.per_hour = usize::try_from(sends).unwrap_or(usize::MAX);
        }
        self
    }

    /// No cool-down and no limit of sends, for tests: `build()` refuses it unless the public URL is on loopback.
    #[must_use]
    pub const fn no_send_limits_on_loopback(mut self) -> Self {
        self.limits = None;
        self
    }

    /// Takes addresses that are not [verified](Address::verified) too. Then whoever changes an address in the application has the second factor.
    #[must_use]
    pub const fn unverified_addresses(mut self) -> Self {
        self.unverified = true;
        self
    }

    /// Hides most of each address, so that whoever has only the password learns none. Forms then name an address by what is shown of it.
    #[must_use]
    pub const fn mask_addresses(mut self) -> Self {
        self.masks = true;
        self
    }

    /// Lets users add addresses of their own, on the built-in settings page. By default they cannot: only the addresses of the
    /// [`Directory`](crate::directory::Directory) count.
    ///
    /// It takes what adding every second factor takes, a recent proof, and a code that was sent to the new address. Such an address is a stored
    /// credential: it is sealed, [`StepUp::credentials`](crate::StepUp::credentials) lists it, users remove it on the same page, and the
    /// first second factor of a user lifts the session as an authenticator app does. Ory's endpoints neither show nor change it.
    ///
    /// Switched off again, addresses of before count no longer and are not shown; they are there once it is on again.
    ///
    /// ```
    /// use tower_step_up::factor::{Code, LogSender};
    ///
    /// let code = Code::new(LogSender::default()).users_add_addresses().addresses_per_user(3);
    /// ```
    #[must_use]
    pub const fn users_add_addresses(mut self) -> Self {
        self.users_add = true;
        self
    }

    /// How many addresses a user may have [added](Self::users_add_addresses): from 1 to 20, 5 by default.
    #[must_use]
    pub fn addresses_per_user(mut self, most: u32) -> Self {
        self.most = usize::try_from(most).unwrap_or(usize::MAX);
        self
    }

    /// Whether every setting makes sense at this public URL.
    pub(super) fn check(&self, public_url: &Url) -> Result<(), BuildError> {
        let fail = |help: &str| Err(BuildError::new(BuildErrorKind::Factor, help));
        if !(MINUTE..=LONGEST_LIFESPAN).contains(&self.lifespan) {
            return fail("Code::lifespan must be from one to ten minutes (NIST SP 800-63B-4, 3.1.3.2)");
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(45)).contains(&self.send_timeout) {
            return fail("Code::send_timeout must be from one to 45 seconds");
        }
        if !(1..=20).contains(&self.most) {
            return fail("Code::addresses_per_user must be from 1 to 20");
        }
        match self.limits {
            Some(limits) if !(Duration::from_secs(1)..=HOUR).contains(&limits.cool_down) => {
                return fail("Code::cool_down must be from one second to one hour");
            }
            Some(limits) if !(1..=100).contains(&limits.per_hour) => {
                return fail("Code::sends_per_hour must be from 1 to 100");
            }
            None if !is_loopback(public_url) => {
                return fail(
                    "Code::no_send_limits_on_loopback needs a public URL on loopback: elsewhere it lets anybody have mails sent",
                );
            }
            Some(_) | None => {}
        }
        self.senders.iter().try_for_each(|sender| sender.check_configuration(public_url))
    }

    pub(super) fn sender_for(&self, channel: Channel) -> Option<&Arc<dyn Sender>> {
        self.senders.iter().find(|sender| sender.reaches(channel))
    }

    /// Whether codes go to this address at all.
    fn takes(&self, address: &Address) -> bool {
        (address.verified || self.unverified) && self.sender_for(address.channel).is_some()
    }

    /// The addresses that count, each once, the preferred ones first.
    fn destinations(&self, addresses: &[Address]) -> Vec<Destination> {
        let mut taken: Vec<&Address> = addresses.iter().filter(|address| self.takes(address)).collect();
        taken.sort_by_key(|address| !address.preferred);
        let mut read = Vec::new();
        for address in taken {
            match address.destination() {
                Ok(destination) if !read.contains(&destination) => read.push(destination),
                Ok(_) => {}
                Err(error) => {
                    let channel = address.channel.as_str();
                    tracing::warn!(target: "tower_step_up::code", %error, channel, "an address of the directory is left out");
                }
            }
        }
        read
    }

    pub(super) async fn find(&self, context: ElsewhereContext<'_>) -> Result<Vec<Elsewhere>, FactorError> {
        let addresses = context.directory.addresses(context.subject).await.map_err(FactorError::Unavailable)?;
        let made = self.destinations(&addresses).into_iter().filter_map(|destination| {
            let ids = context.sealer.credential_ids(&address_name(context.subject, &destination));
            let summary = CredentialSummary { id: *ids.first()?, method: Method::Code, aal: Aal::Aal2 };
            // When it was added is the application's to know.
            let credential = Credential::new(summary, Timestamp::from_unix_seconds(0));
            Elsewhere::new(ids, credential.with_data(destination.write().into_bytes()))
        });
        Ok(made.collect())
    }
}
