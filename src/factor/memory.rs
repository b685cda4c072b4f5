//! What a factor remembers beyond one flow: a code that is good in every flow of a session, how often one was sent to a subject.
//!
//! The store of flows keeps each value in a row of its own, sealed. Its id is a digest, so only a holder of the key can tell whose it is.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::FactorError;
use crate::{
    aal::Method,
    clock::Timestamp,
    error::{StoreError, StoreErrorKind},
    ids,
    seal::Sealer,
    session::{BindingKey, Subject},
    store::{FlowId, StoredFlow, access::Stores},
};

/// Whose memory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remembered {
    /// Of this session, through all its rotations.
    BySession,
    /// Of the subject, over all sessions.
    BySubject,
}

/// A value as it was read, to be changed.
#[must_use = "only its successor can be written"]
pub struct Recalled {
    /// The value, if there is one that has not expired.
    pub value: Option<Zeroizing<Vec<u8>>>,
    whose: Remembered,
    name: &'static str,
    /// The row, if there is one.
    row: Option<StoredFlow>,
}

/// Shows no value.
impl fmt::Debug for Recalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recalled").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What becomes of a value, with an answer for whoever changes it.
pub enum Changed<T> {
    /// It stays as it is.
    Left(T),
    /// Another takes its place.
    Written {
        /// The new value. An empty one forgets.
        value: Zeroizing<Vec<u8>>,
        /// Until when it is remembered.
        until: Timestamp,
        /// The answer, if nobody else has written meanwhile.
        answer: T,
    },
}

/// Shows neither value nor answer.
impl<T> fmt::Debug for Changed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left(_) => "Left(..)",
            Self::Written { .. } => "Written { .. }",
        })
    }
}

/// The body of the row. No flow has this field, and no row of a memory has a flow's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    factor_memory: String,
}

/// The value and its end, which are sealed together.
#[derive(Serialize, Deserialize)]
struct Kept {
    until: Timestamp,
    value: String,
}

/// How often a value is read again that others keep writing.
const ROUNDS: u32 = 8;

/// How many values of one owner are kept: a few of each factor.
const KEPT: u32 = 32;

/// Values are short-lived. The row outlasts every value that was written in its first day; a later one may be forgotten sooner.
const ROW_LASTS: Duration = Duration::from_secs(2 * 86_400);

/// Reads and writes small values that outlast a flow, each in one atomic step: a write takes place only if nobody has written since the value
/// was read.
#[derive(Clone, Copy)]
pub struct FactorMemory<'a> {
    pub(crate) stores: &'a Stores,
    pub(crate) sealer: &'a Sealer,
    pub(crate) method: Method,
    pub(crate) subject: &'a Subject,
    /// The session's, if there is a session.
    pub(crate) binding: Option<BindingKey>,
    pub(crate) now: Timestamp,
}

impl fmt::Debug for FactorMemory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactorMemory").field("method", &self.method).finish_non_exhaustive()
    }
}

impl FactorMemory<'_> {
    /// The value of this name, of this factor alone.
    ///
    /// # Errors
    ///
    /// The store did not answer, or there is no session that could remember.
    pub async fn recall(&self, whose: Remembered, name: &'static str) -> Result<Recalled, FactorError> {
        let id = self.id(whose, name)?;
        let row = self.stores.flow(id).await?;
        let value = row.as_ref().and_then(|row| self.open(id, row));
        Ok(Recalled { value, whose, name, row })
    }

    /// Writes the value in place of the one that was read, if that still is the newest. Returns whether it did. An empty value forgets.
    ///
    /// # Errors
    ///
    /// The store did not answer, or the value could not be sealed.
    pub async fn write(&self, recalled: Recalled, value: &[u8], until: Timestamp) -> Result<bool, FactorError> {
        let id = self.id(recalled.whose, recalled.name)?;
        let kept = Kept { until, value: STANDARD.encode(value) };
        let kept = Zeroizing::new(serde_json::to_vec(&kept).map_err(corrupt)?);
        let sealed = self.sealer.seal(&context(id), &kept)?;
        let body = serde_json::to_string(&Body { factor_memory: STANDARD.encode(sealed) }).map_err(corrupt)?;
        if let Some(row) = recalled.row {
            return Ok(self.stores.update_flow(&StoredFlow { body, ..row }).await?.is_done());
        }
        let mut row = StoredFlow::new(id, self.now + ROW_LASTS, body);
        // So that it goes with its subject, and only then.
        row.subject = keepers(self.sealer, self.subject).into_iter().next();
        // Counted apart from the flows of the session, so that neither push the others out.
        row.binding = Some(ids::of_name(self.owner(recalled.whose)?, b"factor memory").into());
        match self.stores.create_flow(&row, KEPT, self.now).await {
            Err(error) if error.kind() == StoreErrorKind::Conflict => Ok(false),
            created => Ok(created.map(|()| true)?),
        }
    }

    /// Changes the value of this name in one step: reads it, asks `change` what becomes of it, and writes that. If somebody else has written
    /// meanwhile, it begins anew, a few times.
    ///
    /// ```
    /// use tower_step_up::factor::{Changed, FactorContext, FactorError, Remembered};
    ///
    /// /// Counts, and returns how often it has.
    /// async fn count(context: FactorContext<'_>) -> Result<u8, FactorError> {
    ///     let one_more = |value: Option<&[u8]>| {
    ///         let count = value.and_then(|value| value.first()).copied().unwrap_or(0).saturating_add(1);
    ///         let until = context.now + std::time::Duration::from_secs(3600);
    ///         Ok(Changed::Written { value: vec![count].into(), until, answer: count })
    ///     };
    ///     context.memory.change(Remembered::BySubject, "count", one_more).await
    /// }
    /// ```
    ///
    /// `change` may be called several times, so it must do nothing but decide.
    ///
    /// # Errors
    ///
    /// As [`recall`](Self::recall) and [`write`](Self::write); `change` failed; or others kept writing at the same moment.
    pub async fn change<T>(
        &self,
        whose: Remembered,
        name: &'static str,
        change: impl Fn(Option<&[u8]>) -> Result<Changed<T>, FactorError>,
    ) -> Result<T, FactorError> {
        for _ in 0..ROUNDS {
            let recalled = self.recall(whose, name).await?;
            match change(recalled.value.as_deref().map(Vec::as_slice))? {
                Changed::Left(answer) => return Ok(answer),
                Changed::Written { value, until, answer } => {
                    if self.write(recalled, &value, until).await? {
                        return Ok(answer);
                    }
                }
            }
        }
        Err(FactorError::Unavailable("other requests kept writing at the same moment".into()))
    }

    fn open(&self, id: FlowId, row: &StoredFlow) -> Option<Zeroizing<Vec<u8>>> {
        let body: Body = serde_json::from_str(&row.body).ok()?;
        let sealed = STANDARD.decode(body.factor_memory).ok()?;
        // Under a key that is gone, it is forgotten.
        let kept: Kept = serde_json::from_slice(&self.sealer.open(&context(id), &sealed).ok()?).ok()?;
        let value = Zeroizing::new(STANDARD.decode(Zeroizing::new(kept.value).as_bytes()).ok()?);
        (self.now < kept.until && !value.is_empty()).then_some(value)
    }

    /// The session or the subject, under a digest.
    fn owner(&self, whose: Remembered) -> Result<uuid::Uuid, FactorError> {
        let owner = match (whose, self.binding) {
            (Remembered::BySession, Some(binding)) => uuid::Uuid::from(binding).to_string(),
            (Remembered::BySession, None) => return Err(FactorError::Unavailable("there is no session".into())),
            (Remembered::BySubject, _) => String::new(),
        };
        let message = format!("factor memory\0{owner}\0{}", self.subject);
        self.uuid(message.as_bytes())
    }

    fn id(&self, whose: Remembered, name: &str) -> Result<FlowId, FactorError> {
        let message = format!("factor memory\0{}\0{}\0{name}", self.owner(whose)?, self.method);
        Ok(self.uuid(message.as_bytes())?.into())
    }

    fn uuid(&self, message: &[u8]) -> Result<uuid::Uuid, FactorError> {
        let digest = self.sealer.digest(message);
        let bytes = digest.and_then(|digest| digest.first_chunk::<16>().copied());
        let bytes = bytes.ok_or_else(|| FactorError::Unavailable("no digest could be made".into()))?;
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }
}

/// Under whose name a store keeps what is remembered of a subject; the first for new rows. It is none of the subject's own: all flows of a subject end
/// when a factor is removed, and then what limits sending would begin anew.
pub(crate) fn keepers(sealer: &Sealer, subject: &Subject) -> Vec<Subject> {
    let ids = sealer.credential_ids(format!("keeper of a factor's memory\0{subject}").as_bytes());
    ids.into_iter().filter_map(|id| Subject::new(format!("factor memory {id}")).ok()).collect()
}

/// A store for tests of factors that remember nothing.
#[cfg(any(test, fuzzing))]
pub(crate) fn no_stores() -> Stores {
    let store = std::sync::Arc::new(crate::store::MemoryStore::default());
    Stores::new(store.clone(), store, true, Duration::from_secs(1))
}

/// No memory that holds anything.
#[cfg(any(test, fuzzing))]
pub(crate) const fn no_memory<'a>(stores: &'a Stores, sealer: &'a Sealer, subject: &'a Subject) -> FactorMemory<'a> {
    FactorMemory { stores, sealer, method: Method::Code, subject, binding: None, now: Timestamp::from_unix_seconds(0) }
}

fn context(id: FlowId) -> Vec<u8> {
    format!("factor memory\0{id}").into_bytes()
}

fn corrupt(error: serde_json::Error) -> FactorError {
    StoreError::with_source(StoreErrorKind::Corrupt, error).into()
}

/// Whether a row is one of a factor's memory, and so of no flow.
#[cfg(feature = "axum")]
pub(crate) fn is_memory(row: &StoredFlow) -> bool {
    serde_json::from_str::<Body>(&row.body).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sha2::Digest as _;

    use super::*;
    use crate::{seal::EncryptionKey, store::MemoryStore};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn sealer(keys: &[&str]) -> Sealer {
        Sealer::new(keys.iter().map(|id| EncryptionKey::new(*id, sha2::Sha256::digest(id)).unwrap()).collect())
    }

    fn stores() -> Stores {
        let store = Arc::new(MemoryStore::default());
        Stores::new(store.clone(), store, true, HOUR)
    }

    async fn read(memory: &FactorMemory<'_>, whose: Remembered) -> Option<Vec<u8>> {
        memory.recall(whose, "code").await.unwrap().value.map(|value| value.to_vec())
    }

    #[tokio::test]
    async fn of_two_who_read_one_writes() {
        let (stores, sealer, kim) = (stores(), sealer(&["one"]), Subject::new("kim").unwrap());
        let binding = Some(BindingKey::random());
        let memory =
            FactorMemory { stores: &stores, sealer: &sealer, method: Method::Code, subject: &kim, binding, now: NOW };
        for whose in [Remembered::BySession, Remembered::BySubject] {
            for value in [b"one".as_slice(), b"two", b""] {
                let [first, second] =
                    [memory.recall(whose, "code").await.unwrap(), memory.recall(whose, "code").await.unwrap()];
                assert!(memory.write(first, value, NOW + HOUR).await.unwrap());
                assert!(!memory.write(second, b"late", NOW + HOUR).await.unwrap());
                assert_eq!(read(&memory, whose).await, Some(value.to_vec()).filter(|value| !value.is_empty()));
            }
        }
    }

    #[tokio::test]
    async fn a_change_is_made_on_what_was_read() {
        let (stores, sealer, kim) = (stores(), sealer(&["one"]), Subject::new("kim").unwrap());
        let memory = no_memory(&stores, &sealer, &kim);
        let longer = |value: Option<&[u8]>| {
            let value = [value.unwrap_or_default(), b"x"].concat();
            let length = value.len();
            Ok(Changed::Written { value: value.into(), until: NOW, answer: length })
        };
        let whose = Remembered::BySubject;
        for length in 1..4 {
            assert_eq!(memory.change(whose, "code", longer).await.unwrap(), length);
        }
        let seen = |value: Option<&[u8]>| Ok(Changed::Left(value.map(<[u8]>::len)));
        assert_eq!(memory.change(whose, "code", seen).await.unwrap(), Some(3));
        let forget = |_: Option<&[u8]>| Ok(Changed::Written { value: Zeroizing::default(), until: NOW, answer: () });
        memory.change(whose, "code", forget).await.unwrap();
        assert_eq!(memory.change(whose, "code", seen).await.unwrap(), None);
        let fail = |_: Option<&[u8]>| Err::<Changed<()>, _>(FactorError::Unavailable("no digest".into()));
        assert!(memory.change(whose, "code", fail).await.is_err());
    }

    #[tokio::test]
    async fn a_value_is_one_owners_and_ends() {
        let (stores, keys, kim, lee) =
            (stores(), sealer(&["one"]), Subject::new("kim").unwrap(), Subject::new("lee").unwrap());
        let binding = Some(BindingKey::random());
        let memory =
            FactorMemory { stores: &stores, sealer: &keys, method: Method::Code, subject: &kim, binding, now: NOW };
        for whose in [Remembered::BySession, Remembered::BySubject] {
            let recalled = memory.recall(whose, "code").await.unwrap();
            assert!(memory.write(recalled, b"kim's", NOW + HOUR).await.unwrap());
            assert_eq!(read(&memory, whose).await.as_deref(), Some(b"kim's".as_slice()));
            assert_eq!(read(&FactorMemory { now: NOW + HOUR, ..memory }, whose).await, None, "it ends");
            assert_eq!(read(&FactorMemory { subject: &lee, ..memory }, whose).await, None);
            assert_eq!(read(&FactorMemory { method: Method::Totp, ..memory }, whose).await, None);
            let other = FactorMemory { binding: Some(BindingKey::random()), ..memory };
            assert_eq!(read(&other, whose).await.is_some(), whose == Remembered::BySubject);
            assert!(memory.recall(whose, "other").await.unwrap().value.is_none());
            // After it has ended, the same row takes the next.
            let late = FactorMemory { now: NOW + HOUR, ..memory };
            let recalled = late.recall(whose, "code").await.unwrap();
            assert!(late.write(recalled, b"next", NOW + 2 * HOUR).await.unwrap());
            assert_eq!(read(&late, whose).await.as_deref(), Some(b"next".as_slice()));
        }
        let none = FactorMemory { binding: None, ..memory };
        assert!(none.recall(Remembered::BySession, "code").await.is_err());
        stores.remove_flows(&kim, None).await.unwrap();
        assert!(read(&memory, Remembered::BySubject).await.is_some(), "it is no flow that ends with a factor");
        for keeper in keepers(&sealer(&["newer", "one"]), &kim) {
            stores.remove_flows(&keeper, None).await.unwrap();
        }
        assert_eq!(read(&memory, Remembered::BySubject).await, None, "it goes with its subject, under whatever key");
    }
}
