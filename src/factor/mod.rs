//! Factors behind one trait: a challenge step, an answer step, the nodes of the form, and the credential that was used.
//!
//! A factor decides and never writes. The store consumes what the answer uses up, in the transaction that renews the session.

mod code;
mod context;
mod elsewhere;
mod enrolment;
mod error;
mod form;
pub(crate) mod lookup_secret;
mod memory;
mod password;
mod picture;
mod script;
mod stored;
mod totp;
mod typed;
mod verdict;

use std::time::Duration;

use url::Url;

#[cfg(feature = "axum")]
pub(crate) use self::code::{ADDRESS_FIELD, AddressesOfUser, CODE_FIELD};
#[cfg(any(test, fuzzing))]
pub(crate) use self::memory::{no_memory, no_stores};
pub(crate) use self::totp::decode_secret as decode_totp_secret;
#[cfg(all(feature = "axum", feature = "test-util"))]
pub(crate) use self::totp::random_secret as random_totp_secret;
#[cfg(any(test, fuzzing))]
pub(crate) use self::totp::seal_context as totp_seal_context;
pub use self::{
    code::{Code, LogSender, Message, MessagePurpose, SendError, Sender, SenderFuture},
    context::FactorContext,
    elsewhere::{Elsewhere, ElsewhereContext},
    enrolment::{Enrolment, EnrolmentOutcome},
    error::{FactorError, FactorFuture},
    form::Form,
    lookup_secret::LookupSecrets,
    memory::{Changed, FactorMemory, Recalled, Remembered},
    password::{FirstFactor, Password},
    script::PageScript,
    stored::StoredCredentials,
    totp::Totp,
    verdict::{FieldError, FirstStep, Refusal, Verdict},
};
pub(crate) use self::{
    elsewhere::{KeptElsewhere, address_name},
    memory::keepers as memory_keepers,
};
#[cfg(feature = "axum")]
pub(crate) use self::{memory::is_memory, password::identifier as identifier_of};
use crate::{
    aal::{Aal, Method},
    clock::Timestamp,
    directory::Destination,
    error::BuildError,
    language::Language,
    seal::{SealError, Sealer},
    session::Subject,
    store::Credential,
    wire::ui::{Node, Text},
};

/// A way to prove who one is, such as [`Totp`].
pub trait Factor: Send + Sync + 'static {
    /// The method of its proofs and credentials: a built-in one, or one of your own ([`Method::custom`]). Two factors of a
    /// [`StepUp`](crate::StepUp) cannot share a method.
    fn method(&self) -> Method;

    /// The built-in method that Ory's endpoints show for this factor, since SDKs know only the built-in names. Forms send it as `method`,
    /// the factor's nodes are in [its group](crate::wire::ui::Group::of), and `active` and a session's `authentication_methods` have it.
    /// The latter add the name of a method of your own as `custom_method`.
    ///
    /// By default the method itself, or `code` for one of your own. Two factors of a [`StepUp`](crate::StepUp) cannot be shown as the
    /// same method. A built-in method must be shown as itself.
    fn shown_as(&self) -> Method {
        match self.method() {
            Method::Custom(_) => Method::Code,
            built_in => built_in,
        }
    }

    /// The level of its proofs.
    fn aal(&self) -> Aal {
        Aal::Aal2
    }

    /// Checks the factor's own settings when a [`StepUp`](crate::StepUp) is built for this public URL. By default, accepts them.
    ///
    /// # Errors
    ///
    /// A setting is unsafe or makes no sense.
    fn check_configuration(&self, public_url: &Url) -> Result<(), BuildError> {
        let _ = public_url;
        Ok(())
    }

    /// The script that the factor's nodes need. The companion router serves it to everybody, and its own pages contain it. By default,
    /// none.
    fn script(&self) -> Option<&PageScript> {
        None
    }

    /// Whether the factor is offered in browser flows (`true`) or in those of other clients (`false`). Where it is not, a form for it is
    /// refused like one for a factor that is not configured. By default, it is offered in both.
    fn is_offered(&self, browser: bool) -> bool {
        let _ = browser;
        true
    }

    /// How long one step of the factor may take: [`challenge`](Self::challenge), [`answer`](Self::answer), a sign-in by its
    /// [`first_factor`](Self::first_factor), or a step of its [`enrolment`](Self::enrolment). Then it is dropped and the request refused
    /// with 503. The attempt stays counted, since a code may have been compared or sent. From 1 ms to 60 seconds.
    ///
    /// By default `None`: as long as a call of the directory, 5 seconds unless
    /// [`directory_timeout`](crate::StepUpBuilder::directory_timeout) says otherwise.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Whether the factor calls [`Directory::check_password`](crate::directory::Directory::check_password). Then `build()` makes sure that
    /// the application has a directory that [checks passwords](crate::directory::Directory::checks_passwords). By default, it does not.
    fn needs_passwords(&self) -> bool {
        false
    }

    /// Whether the application keeps credentials of this factor: whether [`elsewhere`](Self::elsewhere) may tell of any. By default no, and
    /// then it is never called.
    fn keeps_elsewhere(&self) -> bool {
        false
    }

    /// The subject's credentials of this factor that the application keeps: addresses in its directory, for example. They count like stored
    /// ones for as long as they are told of here: a session asks for them, and a proof that names one counts no longer once it is gone.
    ///
    /// It is asked for each session in use, once in each [`standing_max_age`](crate::StepUpBuilder::standing_max_age), and within the time of a
    /// call of the directory. So it should be quick. The crate never stores or removes what it returns; [`Consumption::Present`](crate::store::Consumption::Present) of it uses
    /// nothing up.
    fn elsewhere<'a>(&'a self, context: ElsewhereContext<'a>) -> FactorFuture<'a, Vec<Elsewhere>> {
        let _ = context;
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Whether credentials of this factor that the store keeps count: by default, for as long as they exist. It must always say the same.
    fn stored_credentials(&self) -> StoredCredentials {
        StoredCredentials::Count
    }

    /// The address that this stored credential is, where [`stored_credentials`](Self::stored_credentials) are addresses. By default none.
    ///
    /// # Errors
    ///
    /// The credential's data does not open. The session is refused then, since nobody can say whether it was begun by this address.
    fn stored_address(
        &self,
        subject: &Subject,
        credential: &Credential,
        sealer: &Sealer,
    ) -> Result<Option<Destination>, SealError> {
        let _ = (subject, credential, sealer);
        Ok(None)
    }

    /// Whether the credentials can be used now. A set whose secrets are all used is enrolled, but not usable.
    fn is_usable(&self, credentials: &[Credential]) -> bool {
        !credentials.is_empty()
    }

    /// The challenge step, when a flow begins. Returns the state that the flow keeps, sealed, for the answer step. By default, nothing.
    ///
    /// New flows do not count as attempts. Send mails and messages in [`answer`](Self::answer), which does count.
    fn challenge<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, Option<Vec<u8>>> {
        let _ = context;
        Box::pin(async { Ok(None) })
    }

    /// A first step that needs no form, when a flow begins and the subject has no credentials of another factor: nobody has to choose. It is
    /// called after [`challenge`](Self::challenge), and no attempt is counted for it: a factor that sends something here must limit that itself.
    /// By default, there is none.
    fn begin_alone<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, FirstStep> {
        let _ = context;
        Box::pin(async { Ok(FirstStep::Choose { message: None }) })
    }

    /// The nodes of a login flow for a subject whose credentials are usable.
    fn nodes(&self, context: FactorContext<'_>) -> Vec<Node>;

    /// Whether the form is this factor's alone now, as its [state](FactorContext::state) has it: the nodes of all others are left out, and its own
    /// stay in their order. Forms of other factors are taken all the same. By default, it is not.
    fn takes_over(&self, context: FactorContext<'_>) -> bool {
        let _ = context;
        false
    }

    /// What a hidden field `identifier` of another factor says, if this factor is offered too: Ory's clients send it along with whatever form. By
    /// default, what that factor says.
    fn hidden_identifier(&self, context: FactorContext<'_>) -> Option<String> {
        let _ = context;
        None
    }

    /// Whether a form without `method` is for this factor, judged by the names of its fields: a script sends a form without the pressed
    /// button. By default, no form is.
    fn claims(&self, form: &Form) -> bool {
        let _ = form;
        false
    }

    /// Checks the fields before the attempt is counted or anything is compared.
    ///
    /// # Errors
    ///
    /// A field is missing or too short.
    fn check_fields(&self, form: &Form) -> Result<(), FieldError>;

    /// The same for forms with several fields: the errors of all of them, so that users see everything that is missing at once. Whatever
    /// [`check_fields`](Self::check_fields) refuses must be among them. By default, its one error.
    fn field_errors(&self, form: &Form) -> Vec<FieldError> {
        self.check_fields(form).err().into_iter().collect()
    }

    /// Whether nobody can guess what this form has to say: a signature, for example. Such a form is not counted as an attempt, and no lock
    /// refuses it. A wrong one is audited all the same. A form that [`sends`](Self::sends) something counts whatever this says. By
    /// default, every form counts.
    fn guesses_nothing(&self, form: &Form) -> bool {
        let _ = form;
        false
    }

    /// The answer step. The attempt already counts as failed; a success resets the count.
    ///
    /// # Errors
    ///
    /// A secret does not open, or a service of the factor does not answer. [`FactorError::NotCompared`] gives the attempt back.
    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict>;

    /// Whether this form, in a login or in the settings, may send something that must not go out twice: a mail, a message, a prompt on
    /// another device. By default, no.
    ///
    /// If several such forms arrive at once for a flow, the factor answers one of them, and the other clients learn that. A double click
    /// on "send me a code" sends one code. This costs one more write of the flow before the answer.
    fn sends(&self, form: &Form) -> bool {
        let _ = form;
        false
    }

    /// What the user reads when the answer is refused.
    fn refusal(&self, why: Refusal) -> Text;

    /// A sentence that is added to what the user reads from the second wrong answer in a flow on: what may be the matter. By default none.
    fn advice(&self) -> Option<&'static str> {
        None
    }

    /// The factor's texts in each language, which the built-in pages say instead of the English that its nodes and messages have. A text of a node is
    /// found by its number, and by what it says in English: `text-1050012 = Add this security key`; texts that share a number are attributes of one.
    /// Values come from the [context](Text::with_context) of the text. By default none: the texts stay as they are.
    fn languages(&self) -> Vec<Language> {
        Vec::new()
    }

    /// How a user without a session signs in with this factor alone; `None` if that is not possible.
    fn first_factor(&self) -> Option<&dyn FirstFactor> {
        None
    }

    /// Whether the factor is only a backup for a lost one. When the last other second factor is removed, the credentials of backup
    /// factors are removed too: leftover codes must neither lift a session nor be required.
    fn is_backup(&self) -> bool {
        false
    }

    /// How users bind and remove credentials of this factor in the settings; `None` if the application does that itself.
    fn enrolment(&self) -> Option<&dyn Enrolment> {
        None
    }

    /// The factor [`Code`], if it is one whose [users add addresses](Code::users_add_addresses) on the built-in page.
    fn with_addresses_of_users(&self) -> Option<&Code> {
        None
    }

    /// How the settings show credentials that the application manages itself ([`StepUp::bind`](crate::StepUp::bind)): for example the
    /// address that codes go to, and a link to the page that changes it. By default, not at all. A factor with an
    /// [`enrolment`](Self::enrolment) shows that one's nodes instead.
    ///
    /// # Errors
    ///
    /// The data of a credential cannot be read.
    fn settings_nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        let _ = context;
        Ok(Vec::new())
    }

    /// The credential's data, sealed again under the newest key; `None` if it already is, or if nothing is sealed.
    ///
    /// # Errors
    ///
    /// The data does not open: a key is missing, or the row was changed.
    fn reseal(
        &self,
        subject: &Subject,
        credential: &Credential,
        sealer: &Sealer,
    ) -> Result<Option<Vec<u8>>, SealError> {
        let _ = (subject, credential, sealer);
        Ok(None)
    }

    /// The time step up to which codes are burnt when *another* factor succeeds; `None` if the factor has no time steps.
    fn open_step(&self, now: Timestamp) -> Option<u64> {
        let _ = now;
        None
    }
}
