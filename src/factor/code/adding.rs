//! How users add addresses of their own, and remove them: on the built-in settings page alone, by forms of its own.
//!
//! It is the enrolment of the factor, and no [`Factor::enrolment`](crate::factor::Factor::enrolment): Ory's endpoints know nothing of it.

use super::{
    delivery::{Delivery, whole_seconds},
    known::{self, Known},
    live::{Live, Typed, Use},
    own,
    settings::Code,
};
use crate::{
    aal::{CredentialId, is_apart},
    directory::{Channel, Destination},
    factor::{Enrolment, EnrolmentOutcome, FactorContext, FactorError, FactorFuture, FieldError, Form, typed},
    wire::ui::{Node, Text, message, reason},
};

/// The field with a new address.
pub(crate) const ADDRESS_FIELD: &str = "user_address";

/// The field with the code that was sent to it.
pub(crate) const CODE_FIELD: &str = "user_address_code";

/// What the page shows.
pub(crate) struct AddressesOfUser {
    /// The user's own, each as it is shown; `None` if it cannot be read.
    pub(crate) own: Vec<(CredentialId, Option<String>)>,
    /// Those of the directory, apart from these.
    pub(crate) others: Vec<String>,
    /// The one that waits for its code.
    pub(crate) waiting: Option<String>,
    /// Whether one more may be added.
    pub(crate) has_room: bool,
    pub(crate) takes: Channels,
}

/// What senders reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    pub(crate) mail: bool,
    pub(crate) sms: bool,
}

/// What a form asks for.
enum Wish<'a> {
    Remove(&'a str),
    Cancel,
    SendAnew,
    Confirm(&'a str),
    Add(&'a str),
    /// A field is empty.
    Nothing(&'static str),
}

impl<'a> Wish<'a> {
    fn of(form: &'a Form) -> Self {
        if let Some(id) = form.get("remove") {
            Self::Remove(id)
        } else if form.flag("cancel") {
            Self::Cancel
        } else if form.flag("resend") {
            Self::SendAnew
        } else if let Some(code) = form.get(CODE_FIELD) {
            Self::Confirm(code)
        } else if form.flag("confirm") {
            Self::Nothing(CODE_FIELD)
        } else {
            form.get(ADDRESS_FIELD).map_or(Self::Nothing(ADDRESS_FIELD), Self::Add)
        }
    }
}

impl Code {
    pub(crate) async fn addresses_of_user(&self, context: FactorContext<'_>) -> Result<AddressesOfUser, FactorError> {
        let known = known::all(&context, self.masks);
        let shown = |to: &Destination| known.iter().find(|one| one.to == *to).map(|one| one.shown.clone());
        let own: Vec<_> = context.stored().iter().map(|one| (one.summary.id, own::opened(&context, one))).collect();
        let is_own = |one: &&Known| own.iter().any(|(_, to)| to.as_ref() == Some(&one.to));
        let others = known.iter().filter(|one| !is_own(one)).map(|one| one.shown.clone()).collect();
        let waiting = Live::address(&context).await?.map(|to| self.shown(&to));
        let has_room = own.len() < self.most;
        let own = own.into_iter().map(|(id, to)| (id, to.as_ref().and_then(shown))).collect();
        Ok(AddressesOfUser { own, others, waiting, has_room, takes: self.channels() })
    }

    fn shown(&self, to: &Destination) -> String {
        if self.masks { to.masked() } else { to.as_str().to_owned() }
    }

    fn channels(&self) -> Channels {
        let reaches = |channel| self.sender_for(channel).is_some();
        Channels { mail: reaches(Channel::Email), sms: reaches(Channel::Sms) }
    }

    /// The address that was typed, if the subject may add it.
    fn new_address(&self, context: &FactorContext<'_>, typed: &str) -> Result<Destination, Text> {
        let takes = self.channels();
        let invalid = || {
            message::generic(match (takes.mail, takes.sms) {
                (_, false) => reason::ADDRESS_NO_MAIL,
                (false, true) => reason::ADDRESS_NO_NUMBER,
                (true, true) => reason::ADDRESS_NEITHER,
            })
        };
        let channel = if typed.contains('@') { Channel::Email } else { Channel::Sms };
        let to = Destination::parse(channel, typed).map_err(|_| invalid())?;
        if self.sender_for(channel).is_none() {
            return Err(invalid());
        }
        self.may_add(context, &to)?;
        Ok(to)
    }

    fn may_add(&self, context: &FactorContext<'_>, to: &Destination) -> Result<(), Text> {
        if !is_apart(&own::names(context, to), context.session.proofs()) {
            return Err(message::generic(reason::ADDRESS_SIGNED_IN_WITH));
        }
        if known::all(context, false).iter().any(|known| known.to == *to) {
            return Err(message::generic(reason::ADDRESS_TAKEN));
        }
        if context.stored().len() >= self.most {
            return Err(message::generic(reason::ADDRESSES_FULL));
        }
        Ok(())
    }

    /// Sends the code that confirms this address.
    async fn send_to(
        &self,
        context: &FactorContext<'_>,
        to: Destination,
        anew: bool,
    ) -> Result<EnrolmentOutcome, FactorError> {
        let id = own::must_name(context, &to)?;
        let known = Known { id, address: id, shown: self.shown(&to), to };
        Ok(match self.send(context, Use::Address, &known, anew).await? {
            Delivery::Done => EnrolmentOutcome::Sent { credential: id, message: message::code_sent() },
            Delivery::Perhaps => EnrolmentOutcome::Sent { credential: id, message: message::code_perhaps_sent() },
            Delivery::Failed => EnrolmentOutcome::NotSent(message::generic(reason::ADDRESS_NOT_SENT)),
            Delivery::Wait(wait) => EnrolmentOutcome::Wait { seconds: whole_seconds(wait) },
        })
    }

    async fn confirm(&self, context: &FactorContext<'_>, code: &str) -> Result<EnrolmentOutcome, FactorError> {
        let wrong = || EnrolmentOutcome::Wrong(FieldError { field: Some(CODE_FIELD), text: message::code_wrong() });
        let live = match Live::try_typed(context, Use::Address, &typed::normalise(code), |_| true).await? {
            Typed::Right(live) => live,
            Typed::Wrong => return Ok(wrong()),
            Typed::UsedUp => return Ok(EnrolmentOutcome::Refused(message::code_used_up())),
        };
        let Some(to) = live.full_address().filter(|to| own::name(context, to) == Some(live.to)) else {
            return Ok(wrong());
        };
        // It may have come into the directory meanwhile.
        if let Err(text) = self.may_add(context, &to) {
            return Ok(EnrolmentOutcome::Refused(text));
        }
        Ok(EnrolmentOutcome::Added(own::credential(context, &to)?))
    }

    async fn decide(&self, context: FactorContext<'_>, form: &Form) -> Result<EnrolmentOutcome, FactorError> {
        match Wish::of(form) {
            Wish::Remove(named) => {
                let mut own = context.stored().iter().map(|one| one.summary.id);
                Ok(match own.find(|id| id.to_string() == named) {
                    Some(id) => EnrolmentOutcome::RemovedOne(id),
                    None => EnrolmentOutcome::Refused(message::generic(reason::REMOVED_ALREADY)),
                })
            }
            Wish::Cancel => {
                Live::forget(&context, Use::Address).await?;
                Ok(EnrolmentOutcome::Dropped)
            }
            Wish::SendAnew => match Live::address(&context).await? {
                Some(to) => self.send_to(&context, to, true).await,
                None => Ok(EnrolmentOutcome::Refused(message::generic(reason::ADDRESS_GONE))),
            },
            Wish::Confirm(code) => self.confirm(&context, code).await,
            Wish::Add(typed) => match self.new_address(&context, typed) {
                Ok(to) => self.send_to(&context, to, false).await,
                Err(text) => Ok(EnrolmentOutcome::Refused(text)),
            },
            Wish::Nothing(field) => Ok(EnrolmentOutcome::Refused(message::missing(field))),
        }
    }
}

/// The forms of the page, as an enrolment: what becomes of them is what becomes of every form in the settings.
pub(crate) struct AddressForms<'a>(&'a Code);

impl Code {
    pub(crate) const fn address_forms(&self) -> AddressForms<'_> {
        AddressForms(self)
    }
}

impl Enrolment for AddressForms<'_> {
    fn nodes(&self, _: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        Ok(Vec::new())
    }

    fn claims(&self, _: &Form) -> bool {
        false
    }

    fn check_fields(&self, context: FactorContext<'_>, form: &Form) -> Result<(), FieldError> {
        match Wish::of(form) {
            Wish::Add(typed) => match self.0.new_address(&context, typed) {
                Ok(_) => Ok(()),
                Err(text) => Err(FieldError { field: Some(ADDRESS_FIELD), text }),
            },
            Wish::Nothing(field) => Err(FieldError { field: Some(field), text: message::missing(field) }),
            Wish::Remove(_) | Wish::Cancel | Wish::SendAnew | Wish::Confirm(_) => Ok(()),
        }
    }

    /// How many codes are sent is limited apart.
    fn guesses_nothing(&self, form: &Form) -> bool {
        !matches!(Wish::of(form), Wish::Confirm(_))
    }

    fn submit<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, EnrolmentOutcome> {
        Box::pin(self.0.decide(context, form))
    }
}
