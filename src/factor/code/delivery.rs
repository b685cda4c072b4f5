//! Sending a code: counted before it goes out, and good before it is there.

use std::time::Duration;

use super::{
    known::Known,
    live::{Live, NewCode, Use},
    sender::{Message, MessagePurpose, SendError},
    sends,
    settings::Code,
};
use crate::factor::{FactorContext, FactorError};

/// What became of a code.
pub(super) enum Delivery {
    /// It was sent, or one that was sent a moment ago is still good.
    Done,
    Failed,
    /// Nobody knows.
    Perhaps,
    Wait(Duration),
}

impl Code {
    /// Sends a code to this address. `anew`: whether the user has asked for another one than they have.
    pub(super) async fn send(
        &self,
        context: &FactorContext<'_>,
        good_for: Use,
        known: &Known,
        anew: bool,
    ) -> Result<Delivery, FactorError> {
        let reserved = match sends::reserve(context, known.address, self.limits).await? {
            Ok(reserved) => reserved,
            Err(wait) => {
                let there = Live::of(context, good_for).await?.is_some_and(|live| live.to == known.id);
                return Ok(if there && !anew { Delivery::Done } else { Delivery::Wait(wait) });
            }
        };
        let code = NewCode::random()?;
        // Good before it is sent: then nobody gets one that is not.
        let replaced = Live::put(context, good_for, &code, known, self.lifespan).await?;
        match self.deliver(context, good_for, known, &code).await {
            Ok(()) => Ok(Delivery::Done),
            Err(error @ SendError::NotSent(_)) => {
                tell("a code could not be sent", &error);
                replaced.take_back(context).await?;
                reserved.give_back(context).await?;
                Ok(Delivery::Failed)
            }
            Err(error @ SendError::Unknown(_)) => {
                tell("nobody knows whether a code was sent", &error);
                Ok(Delivery::Perhaps)
            }
        }
    }

    async fn deliver(
        &self,
        context: &FactorContext<'_>,
        good_for: Use,
        known: &Known,
        code: &NewCode,
    ) -> Result<(), SendError> {
        let sender = self.sender_for(known.to.channel()).ok_or_else(|| SendError::not_sent("no sender reaches it"))?;
        let locale = context.directory.locale(context.subject).await.unwrap_or_else(|error| {
            tracing::warn!(target: "tower_step_up::code", %error, "the directory does not say in which language a user reads");
            None
        });
        let message = Message {
            to: &known.to,
            code: code.as_str(),
            minutes: self.lifespan.as_secs().div_euclid(60),
            locale: locale.as_deref(),
            purpose: match good_for {
                Use::Proof => MessagePurpose::Confirm,
                Use::Address => MessagePurpose::AddAddress,
            },
            application: context.application_name,
            site: context.public_url.host_str().unwrap_or_default(),
            action: None,
        };
        let sent = tokio::time::timeout(self.send_timeout, sender.send(message)).await;
        sent.unwrap_or_else(|elapsed| Err(SendError::unknown(elapsed)))
    }
}

/// Rounded up, so that nobody comes back too early.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

fn tell(what: &str, error: &SendError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(target: "tower_step_up::code", cause, "{what}");
}
