//! From columns to values and back, and from sqlx's errors to the crate's. Nothing here knows which database it is.

use serde::{Deserialize, de::IntoDeserializer};
use uuid::Uuid;

use crate::{
    aal::{Aal, CredentialId, Proof},
    clock::Timestamp,
    session::{Answered, StoredSession, Subject},
    standing::CredentialSummary,
    store::{
        Changes, Counted, Credential, CredentialName, FlowId, LogPlace, StoreError, StoreErrorKind, StoredFlow,
        StoredSecret, StoredStanding, changes::TOLD_AT_ONCE,
    },
};

/// How long the log of changes goes back. Who was away for longer begins anew.
pub(super) const LOG_KEPT_SECONDS: u32 = 300;

/// At each write whose number is a multiple of this, old changes are removed from the log.
pub(super) const TRIM_EVERY: u32 = 64;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A column holds a value that this crate never wrote.
fn corrupt(cause: impl Into<Cause>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, cause)
}

/// The database cannot do this, now or at all.
pub(super) fn unavailable(cause: impl Into<Cause>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, cause)
}

pub(super) fn failed(error: sqlx::Error) -> StoreError {
    use sqlx::Error::{ColumnDecode, ColumnIndexOutOfBounds, ColumnNotFound, Configuration, Decode, TypeNotFound};
    match error {
        // The text may repeat parts of the database's address.
        Configuration(_) => unavailable("the database's URL or configuration is not valid"),
        ColumnDecode { .. } | ColumnIndexOutOfBounds { .. } | ColumnNotFound(_) | Decode(_) | TypeNotFound { .. } => {
            corrupt(error)
        }
        sqlx::Error::Database(ref inner) if inner.is_unique_violation() => {
            StoreError::with_source(StoreErrorKind::Conflict, error)
        }
        other => unavailable(other),
    }
}

/// Databases have no unsigned numbers.
pub(super) fn signed(number: impl TryInto<i64, Error: Into<Cause>>) -> Result<i64, StoreError> {
    number.try_into().map_err(unavailable)
}

pub(super) fn unsigned<T: TryFrom<i64, Error: Into<Cause>>>(number: i64) -> Result<T, StoreError> {
    number.try_into().map_err(corrupt)
}

/// `generation, locked_until` of a counter, right after an attempt was counted.
pub(super) fn counted((generation, locked_until): (Uuid, Option<i64>)) -> Counted {
    Counted::new(generation, locked_until.map(Timestamp::from_unix_milliseconds))
}

/// `id, binding, proofs, issued_at, expires_at, answered_digest, answered_at, device, seen_at`
pub(crate) type SessionRow = (Uuid, Uuid, String, i64, i64, Option<Vec<u8>>, Option<i64>, Option<String>, Option<i64>);

pub(crate) fn session(subject: &Subject, row: &SessionRow) -> Result<StoredSession, StoreError> {
    let (id, binding, proofs, issued_at, expires_at, digest, answered_at, device, seen_at) = row;
    let proofs: Vec<Proof> = serde_json::from_str(proofs).map_err(|_| corrupt("a session's proofs"))?;
    let session = StoredSession::from_parts(
        (*id).into(),
        subject.clone(),
        (*binding).into(),
        proofs,
        Timestamp::from_unix_milliseconds(*issued_at),
        Timestamp::from_unix_milliseconds(*expires_at),
    );
    let session = match device {
        Some(device) => session.with_device(&serde_json::from_str(device).map_err(|_| corrupt("a session's device"))?),
        None => session,
    };
    let session = match seen_at {
        Some(at) => session.with_seen_at(Timestamp::from_unix_milliseconds(*at)),
        None => session,
    };
    Ok(match (digest, answered_at) {
        (Some(digest), Some(at)) => session.with_answered(Answered {
            digest: digest.as_slice().try_into().map_err(|_| corrupt("the digest of a form"))?,
            at: Timestamp::from_unix_milliseconds(*at),
        }),
        _ => session,
    })
}

pub(super) fn proofs(session: &StoredSession) -> Result<String, StoreError> {
    serde_json::to_string(session.proofs()).map_err(unavailable)
}

pub(super) fn device(session: &StoredSession) -> Result<Option<String>, StoreError> {
    session.device().map(serde_json::to_string).transpose().map_err(unavailable)
}

fn summary(id: Uuid, method: &str, aal: &str) -> Result<CredentialSummary, StoreError> {
    let aal = IntoDeserializer::<serde::de::value::Error>::into_deserializer(aal);
    Ok(CredentialSummary {
        id: CredentialId::from(id),
        method: method.parse().map_err(|_| corrupt("a credential's method"))?,
        aal: Aal::deserialize(aal).map_err(|_| corrupt("a credential's level"))?,
    })
}

/// A session, and `id, method, aal` of one of its subject's credentials.
pub(crate) type StandingRow = (
    Uuid,
    Uuid,
    String,
    i64,
    i64,
    Option<Vec<u8>>,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<Uuid>,
    Option<String>,
    Option<String>,
);

/// One row for each credential, or one without a credential.
pub(crate) fn standing(subject: &Subject, rows: Vec<StandingRow>) -> Result<Option<StoredStanding>, StoreError> {
    let mut standing: Option<StoredStanding> = None;
    for row in rows {
        let (id, binding, proofs, issued_at, expires_at, digest, answered_at, device, seen_at, ..) = row;
        let (.., credential, method, aal) = row;
        let standing = match &mut standing {
            Some(standing) => standing,
            none => none.insert(StoredStanding {
                session: session(
                    subject,
                    &(id, binding, proofs, issued_at, expires_at, digest, answered_at, device, seen_at),
                )?,
                credentials: Vec::new(),
            }),
        };
        if let (Some(credential), Some(method), Some(aal)) = (credential, method, aal) {
            standing.credentials.push(summary(credential, &method, &aal)?);
        }
    }
    Ok(standing)
}

/// `id, method, aal, name, data, last_step, created_at, last_used_at, fingerprint` of a credential, and `hash, used_at` of one of its
/// secrets.
pub(crate) type CredentialRow = (
    Uuid,
    String,
    String,
    Option<String>,
    Vec<u8>,
    i64,
    i64,
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<i64>,
);

/// One row for each secret, or one without a secret; rows of one credential are adjacent.
pub(crate) fn credentials(rows: Vec<CredentialRow>) -> Result<Vec<Credential>, StoreError> {
    let mut credentials: Vec<Credential> = Vec::new();
    for (id, method, aal, name, data, last_step, created_at, last_used_at, fingerprint, hash, used_at) in rows {
        if credentials.last().is_none_or(|last| last.summary.id != CredentialId::from(id)) {
            credentials.push(Credential {
                summary: summary(id, &method, &aal)?,
                name: name.map(CredentialName::new).transpose().map_err(corrupt)?,
                data,
                fingerprint: fingerprint
                    .map(|bytes| bytes.try_into().map_err(|_| corrupt("a credential's fingerprint")))
                    .transpose()?,
                secrets: Vec::new(),
                last_step: unsigned(last_step)?,
                created_at: Timestamp::from_unix_milliseconds(created_at),
                last_used_at: last_used_at.map(Timestamp::from_unix_milliseconds),
            });
        }
        if let (Some(hash), Some(credential)) = (hash, credentials.last_mut()) {
            credential.secrets.push(StoredSecret {
                hash: hash.try_into().map_err(|_| corrupt("a secret's hash"))?,
                used_at: used_at.map(Timestamp::from_unix_milliseconds),
            });
        }
    }
    Ok(credentials)
}

/// `subject, binding, expires_at, version, completed, in_use, body`
pub(crate) type FlowRow = (Option<String>, Option<Uuid>, i64, i64, bool, bool, String);

pub(crate) fn flow(id: FlowId, row: FlowRow) -> Result<StoredFlow, StoreError> {
    let (subject, binding, expires_at, version, completed, in_use, body) = row;
    Ok(StoredFlow {
        id,
        subject: subject.map(Subject::new).transpose().map_err(corrupt)?,
        binding: binding.map(Into::into),
        expires_at: Timestamp::from_unix_milliseconds(expires_at),
        version: unsigned(version)?,
        completed,
        in_use,
        body,
    })
}

/// The subjects of changes that follow one another without a gap. The empty one is everybody.
pub(super) fn changes(subjects: impl IntoIterator<Item = String>, now: LogPlace) -> Result<Changes, StoreError> {
    let subjects: Vec<String> = subjects.into_iter().collect();
    if subjects.len() > TOLD_AT_ONCE || subjects.iter().any(String::is_empty) {
        return Ok(Changes::OfEverybody(now));
    }
    let subjects = subjects.into_iter().map(Subject::new).collect::<Result<_, _>>().map_err(corrupt)?;
    Ok(Changes::Of(subjects, now))
}
