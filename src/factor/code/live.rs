//! The code that lives in a session: one at most, good in each of the session's flows, and tried only a few times.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    aal::CredentialId,
    clock::Timestamp,
    factor::{Changed, FactorContext, FactorError, Remembered},
    store::FlowId,
};

const NAME: &str = "code";

/// How often one code is tried (NIST SP 800-63B-4 section 3.1.3.2 asks for a limit).
const TRIES: u8 = 5;

/// A code of six digits.
pub(super) struct NewCode(Zeroizing<String>);

impl NewCode {
    pub(super) fn random() -> Result<Self, FactorError> {
        const CODES: u32 = 1_000_000;
        // What would make the first codes more likely than the last.
        const FAIR: u32 = u32::MAX - u32::MAX % CODES;
        loop {
            let mut bytes = [0; 4];
            getrandom::fill(&mut bytes).map_err(|error| FactorError::NotCompared(error.into()))?;
            let number = u32::from_le_bytes(bytes);
            if number < FAIR {
                return Ok(Self(Zeroizing::new(format!("{:06}", number.checked_rem(CODES).unwrap_or_default()))));
            }
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is kept of a code: a digest under a key, never the code.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Live {
    digest: [u8; 32],
    /// The address that it was sent to.
    pub(super) to: CredentialId,
    tries: u8,
    pub(super) ends_at: Timestamp,
    /// The flow in which the right code was typed. Only there it is still right: the flow ends once.
    used_in: Option<FlowId>,
}

/// Makes the digest differ from all others.
fn message(context: &FactorContext<'_>, to: CredentialId, code: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(format!("code\0{}\0{to}\0{code}", context.subject).into_bytes())
}

/// What a typed code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Right, and it was sent to this address.
    Right(CredentialId),
    Wrong,
    /// There is a code, and it was tried too often.
    UsedUp,
}

impl Live {
    fn read(value: Option<&[u8]>, now: Timestamp) -> Option<Self> {
        let live: Self = serde_json::from_slice(value?).ok()?;
        (now < live.ends_at).then_some(live)
    }

    fn written<T>(&self, answer: T) -> Result<Changed<T>, FactorError> {
        let value = serde_json::to_vec(self).map_err(|error| FactorError::Unavailable(error.into()))?;
        Ok(Changed::Written { value: value.into(), until: self.ends_at, answer })
    }

    /// The code of this session that can still be typed.
    pub(super) async fn of(context: &FactorContext<'_>) -> Result<Option<Self>, FactorError> {
        let recalled = context.memory.recall(Remembered::BySession, NAME).await?;
        let open = |live: &Self| live.tries < TRIES && live.used_in.is_none();
        Ok(Self::read(recalled.value.as_deref().map(Vec::as_slice), context.now).filter(open))
    }

    /// Puts a new code in place of the one before, and returns that one.
    pub(super) async fn put(
        context: &FactorContext<'_>,
        code: &NewCode,
        to: CredentialId,
        lasts: Duration,
    ) -> Result<Replaced, FactorError> {
        let digest = context.sealer.digest(&message(context, to, code.as_str()));
        let digest = digest.ok_or_else(|| FactorError::Unavailable("no digest could be made".into()))?;
        let new = Self { digest, to, tries: 0, ends_at: context.now + lasts, used_in: None };
        let replace =
            |value: Option<&[u8]>| new.written(Replaced { before: Self::read(value, context.now), new: new.clone() });
        context.memory.change(Remembered::BySession, NAME, replace).await
    }

    /// Tries what the user has typed. The try is written before anybody learns what it was, and with it that the code is used.
    pub(super) async fn try_typed(
        context: &FactorContext<'_>,
        typed: &str,
        is_known: impl Fn(CredentialId) -> bool,
    ) -> Result<Typed, FactorError> {
        let attempt = |value: Option<&[u8]>| {
            // One that was sent to an address that is gone proves nothing.
            let live = Self::read(value, context.now).filter(|live| is_known(live.to));
            let Some(mut live) = live else { return Ok(Changed::Left(Typed::Wrong)) };
            let is_right = context.sealer.is_digest(&message(context, live.to, typed), &live.digest);
            match live.used_in {
                // The same form once more: of two, the store lets one through.
                Some(flow) if flow == context.flow && is_right => return Ok(Changed::Left(Typed::Right(live.to))),
                Some(_) => return Ok(Changed::Left(Typed::Wrong)),
                None if live.tries >= TRIES => return Ok(Changed::Left(Typed::UsedUp)),
                None => {}
            }
            live.tries = live.tries.saturating_add(1);
            live.used_in = is_right.then_some(context.flow);
            live.written(if is_right { Typed::Right(live.to) } else { Typed::Wrong })
        };
        context.memory.change(Remembered::BySession, NAME, attempt).await
    }
}

/// A new code that may have to be taken back.
pub(super) struct Replaced {
    before: Option<Live>,
    new: Live,
}

impl Replaced {
    /// The new code was never sent, so the one before is good again.
    pub(super) async fn take_back(self, context: &FactorContext<'_>) -> Result<(), FactorError> {
        let restore = |value: Option<&[u8]>| {
            if Live::read(value, context.now).is_none_or(|live| live.digest != self.new.digest) {
                return Ok(Changed::Left(()));
            }
            match &self.before {
                Some(before) => before.written(()),
                None => Ok(Changed::Written { value: Zeroizing::default(), until: context.now, answer: () }),
            }
        };
        context.memory.change(Remembered::BySession, NAME, restore).await
    }
}
