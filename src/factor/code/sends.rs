//! How often codes are sent to a subject, over all its sessions and flows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    aal::CredentialId,
    clock::Timestamp,
    factor::{Changed, FactorContext, FactorError, Remembered},
};

const NAME: &str = "sends";

/// What the limit counts in.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// What limits sending; `None` for no limit at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendLimits {
    /// Between two codes to one address.
    pub(super) cool_down: Duration,
    /// To one subject.
    pub(super) per_hour: usize,
}

/// The sends of the last hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sends(Vec<(CredentialId, Timestamp)>);

impl Sends {
    fn read(value: Option<&[u8]>, now: Timestamp) -> Self {
        let known = value.and_then(|value| serde_json::from_slice::<Self>(value).ok());
        let mut known = known.unwrap_or_default();
        known.0.retain(|(_, at)| now.since(*at) < HOUR);
        known
    }

    fn written<T>(&self, now: Timestamp, answer: T) -> Result<Changed<T>, FactorError> {
        let value = serde_json::to_vec(self).map_err(|error| FactorError::Unavailable(error.into()))?;
        Ok(Changed::Written { value: value.into(), until: now + HOUR, answer })
    }

    /// How long until the next may go out to this address, if not now.
    fn wait(&self, to: CredentialId, limits: SendLimits, now: Timestamp) -> Option<Duration> {
        let rest = |at: &Timestamp, time: Duration| time.saturating_sub(now.since(*at));
        let own = self.0.iter().filter(|(address, _)| *address == to).map(|(_, at)| rest(at, limits.cool_down)).max();
        // With the oldest of as many as may go out in an hour, one more may.
        let oldest = self.0.len().checked_sub(limits.per_hour).and_then(|place| self.0.get(place));
        let hour = oldest.map(|(_, at)| rest(at, HOUR));
        own.max(hour).filter(|wait| !wait.is_zero())
    }
}

/// A send that was counted.
pub(super) struct Reserved {
    entry: Option<(CredentialId, Timestamp)>,
}

/// Counts one more send to this address before it goes out; or says for how long it may not.
pub(super) async fn reserve(
    context: &FactorContext<'_>,
    to: CredentialId,
    limits: Option<SendLimits>,
) -> Result<Result<Reserved, Duration>, FactorError> {
    let Some(limits) = limits else { return Ok(Ok(Reserved { entry: None })) };
    let now = context.now;
    let count = |value: Option<&[u8]>| {
        let mut sends = Sends::read(value, now);
        if let Some(wait) = sends.wait(to, limits, now) {
            return Ok(Changed::Left(Err(wait)));
        }
        sends.0.push((to, now));
        sends.written(now, Ok(Reserved { entry: Some((to, now)) }))
    };
    context.memory.change(Remembered::BySubject, NAME, count).await
}

impl Reserved {
    /// Nothing was sent, so it does not count.
    pub(super) async fn give_back(self, context: &FactorContext<'_>) -> Result<(), FactorError> {
        let Some(entry) = self.entry else { return Ok(()) };
        let uncount = |value: Option<&[u8]>| {
            let mut sends = Sends::read(value, context.now);
            let Some(place) = sends.0.iter().rposition(|known| *known == entry) else { return Ok(Changed::Left(())) };
            sends.0.remove(place);
            sends.written(context.now, ())
        };
        context.memory.change(Remembered::BySubject, NAME, uncount).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn an_address_cools_down_and_an_hour_is_full() {
        let limits = SendLimits { cool_down: Duration::from_secs(30), per_hour: 3 };
        let [one, other] = [(); 2].map(|()| CredentialId::random());
        let mut sends = Sends::default();
        let wait = |sends: &Sends, to, now| sends.wait(to, limits, at(now)).map(|wait| wait.as_secs());
        assert_eq!(wait(&sends, one, 1000), None);
        sends.0.push((one, at(1000)));
        assert_eq!(
            (wait(&sends, one, 1000), wait(&sends, one, 1029), wait(&sends, one, 1030)),
            (Some(30), Some(1), None)
        );
        assert_eq!(wait(&sends, other, 1000), None, "another address");
        assert_eq!(wait(&sends, one, 990), Some(30), "a clock that went back");
        sends.0.extend([(other, at(1000)), (one, at(1030))]);
        assert_eq!(wait(&sends, other, 1100), Some(3500), "the hour is full");
        assert_eq!(wait(&sends, other, 4600), None);
    }

    proptest! {
        /// However requests come, no address gets two within the cool-down, and the subject no more than it may in any hour.
        #[test]
        fn no_order_of_requests_sends_too_much(
            steps in prop::collection::vec((0_i64..400, 0_usize..3), 1..80), cool_down in 0_u64..600, per_hour in 1_usize..6,
        ) {
            let addresses = [(); 3].map(|()| CredentialId::random());
            let limits = SendLimits { cool_down: Duration::from_secs(cool_down), per_hour };
            let (mut sends, mut now, mut sent) = (Sends::default(), 0, Vec::new());
            for (passed, address) in steps {
                now += passed;
                sends.0.retain(|(_, then)| at(now).since(*then) < HOUR);
                if sends.wait(addresses[address], limits, at(now)).is_none() {
                    sends.0.push((addresses[address], at(now)));
                    sent.push((address, now));
                }
            }
            for (place, (address, then)) in sent.iter().enumerate() {
                let later = &sent[place + 1..];
                prop_assert!(later.iter().all(|(other, at)| other != address || at - then >= i64::try_from(cool_down).unwrap()));
                prop_assert!(later.iter().filter(|(_, at)| at - then < 3600).count() < per_hour);
            }
        }
    }
}
