//! The codes that live in a session: one for each use, good in each of the session's flows, and tried only a few times.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::known::Known;
use crate::{
    aal::CredentialId,
    clock::Timestamp,
    directory::Destination,
    factor::{Changed, FactorContext, FactorError, Remembered},
};

/// How often one code is tried (NIST SP 800-63B-4 section 3.1.3.2 asks for a limit).
const TRIES: u8 = 5;

/// What a code is good for, and for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The user confirms that it is they.
    Proof,
    /// The user adds the address that it was sent to.
    Address,
}

impl Use {
    /// What it is remembered as.
    const fn name(self) -> &'static str {
        match self {
            Self::Proof => "code",
            Self::Address => "new address",
        }
    }

    /// What a right code is used up with, which happens once: the flow is completed, or the session is replaced.
    fn ends(self, context: &FactorContext<'_>) -> Result<Uuid, FactorError> {
        match self {
            Self::Proof => Ok(context.flow.into()),
            Self::Address => context.session.id().map(Uuid::from).ok_or_else(no_session),
        }
    }

    /// Makes the digest differ from all others.
    fn message(
        self,
        context: &FactorContext<'_>,
        to: CredentialId,
        code: &str,
    ) -> Result<Zeroizing<Vec<u8>>, FactorError> {
        let subject = context.subject;
        let text = match self {
            Self::Proof => format!("code\0{subject}\0{to}\0{code}"),
            Self::Address => {
                let session = context.memory.binding.map(Uuid::from).ok_or_else(no_session)?;
                format!("new address\0{session}\0{subject}\0{to}\0{code}")
            }
        };
        Ok(Zeroizing::new(text.into_bytes()))
    }
}

fn no_session() -> FactorError {
    FactorError::Unavailable("there is no session".into())
}

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
    /// The same in full, if nothing else has it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    tries: u8,
    ends_at: Timestamp,
    /// The flow or the session in which the right code was typed. Only there it is still right: it ends once.
    used_in: Option<Uuid>,
}

/// What a typed code is.
pub(super) enum Typed {
    /// Right.
    Right(Live),
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

    async fn recall(context: &FactorContext<'_>, good_for: Use) -> Result<Option<Self>, FactorError> {
        let recalled = context.memory.recall(Remembered::BySession, good_for.name()).await?;
        Ok(Self::read(recalled.value.as_deref().map(Vec::as_slice), context.now))
    }

    /// The code of this session that can still be typed.
    pub(super) async fn of(context: &FactorContext<'_>, good_for: Use) -> Result<Option<Self>, FactorError> {
        let open = |live: &Self| live.tries < TRIES && live.used_in.is_none();
        Ok(Self::recall(context, good_for).await?.filter(open))
    }

    /// The address that the user is adding, even if its code was tried too often: there may be another.
    pub(super) async fn address(context: &FactorContext<'_>) -> Result<Option<Destination>, FactorError> {
        // Before there is a session, nobody adds any.
        let Ok(ends) = Use::Address.ends(context) else { return Ok(None) };
        let live = Self::recall(context, Use::Address).await?;
        let live = live.filter(|live| live.used_in.is_none_or(|used| used == ends));
        Ok(live.as_ref().and_then(Self::full_address))
    }

    /// The address, if the code is good for adding it.
    pub(super) fn full_address(&self) -> Option<Destination> {
        Destination::read(self.address.as_deref()?.as_bytes())
    }

    /// Ends the code.
    pub(super) async fn forget(context: &FactorContext<'_>, good_for: Use) -> Result<(), FactorError> {
        let forget = |value: Option<&[u8]>| {
            let nothing = Changed::Written { value: Zeroizing::default(), until: context.now, answer: () };
            Ok(if value.is_some() { nothing } else { Changed::Left(()) })
        };
        context.memory.change(Remembered::BySession, good_for.name(), forget).await
    }

    /// Puts a new code in place of the one before, and returns that one.
    pub(super) async fn put(
        context: &FactorContext<'_>,
        good_for: Use,
        code: &NewCode,
        known: &Known,
        lasts: Duration,
    ) -> Result<Replaced, FactorError> {
        let digest = context.sealer.digest(&good_for.message(context, known.id, code.as_str())?);
        let digest = digest.ok_or_else(|| FactorError::Unavailable("no digest could be made".into()))?;
        let address = (good_for == Use::Address).then(|| known.to.write());
        let new = Self { digest, to: known.id, address, tries: 0, ends_at: context.now + lasts, used_in: None };
        let replace = |value: Option<&[u8]>| {
            new.written(Replaced { good_for, before: Self::read(value, context.now), new: new.clone() })
        };
        context.memory.change(Remembered::BySession, good_for.name(), replace).await
    }

    /// Tries what the user has typed. The try is written before anybody learns what it was, and with it that the code is used.
    pub(super) async fn try_typed(
        context: &FactorContext<'_>,
        good_for: Use,
        typed: &str,
        is_known: impl Fn(CredentialId) -> bool,
    ) -> Result<Typed, FactorError> {
        let ends = good_for.ends(context)?;
        let attempt = |value: Option<&[u8]>| {
            // One that was sent to an address that is gone proves nothing.
            let live = Self::read(value, context.now).filter(|live| is_known(live.to));
            let Some(mut live) = live else { return Ok(Changed::Left(Typed::Wrong)) };
            let is_right = context.sealer.is_digest(&good_for.message(context, live.to, typed)?, &live.digest);
            match live.used_in {
                // The same form once more: of two, the store lets one through.
                Some(used) if used == ends && is_right => return Ok(Changed::Left(Typed::Right(live))),
                Some(_) => return Ok(Changed::Left(Typed::Wrong)),
                None if live.tries >= TRIES => return Ok(Changed::Left(Typed::UsedUp)),
                None => {}
            }
            live.tries = live.tries.saturating_add(1);
            live.used_in = is_right.then_some(ends);
            live.written(if is_right { Typed::Right(live.clone()) } else { Typed::Wrong })
        };
        context.memory.change(Remembered::BySession, good_for.name(), attempt).await
    }
}

/// A new code that may have to be taken back.
pub(super) struct Replaced {
    good_for: Use,
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
        context.memory.change(Remembered::BySession, self.good_for.name(), restore).await
    }
}
