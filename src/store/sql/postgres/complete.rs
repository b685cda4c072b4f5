//! A completion: one statement, which is a function of the database (`migrations/postgres/0015_less_planning.sql`). If credentials change
//! too, further statements follow in the same transaction. Everything is behind the lock of the subject's row.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Postgres, changes, failed};
use crate::{
    clock::Timestamp,
    session::{StoredSession, Subject},
    store::{
        Completed, Completion, Consumption, StoreError, StoreErrorKind,
        sql::rows::{self, signed},
    },
};

impl Postgres {
    /// If the caller gives up, a statement that was sent already may still be carried out, and then as a whole.
    pub(in crate::store::sql) async fn complete(&self, completion: &Completion) -> Result<Completed, StoreError> {
        if completion.rotate.is_some() || completion.begin.is_some() {
            self.expired_sessions.sessions(&self.pool, completion.now).await;
        }
        if completion.credentials.is_empty() {
            self.trim_now_and_then().await;
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            return carry_out(&mut connection, completion).await;
        }
        let mut transaction = self.begin().await?;
        let completed = carry_out(&mut transaction, completion).await?;
        if completed == Completed::Done {
            for change in &completion.credentials {
                if !changes::make(&mut transaction, &completion.subject, change).await? {
                    transaction.rollback().await.map_err(failed)?;
                    return Ok(Completed::CredentialsChanged);
                }
            }
        }
        // What is refused has written nothing.
        transaction.commit().await.map_err(failed)?;
        Ok(completed)
    }
}

/// Everything but the changes of credentials.
async fn carry_out(connection: &mut PgConnection, completion: &Completion) -> Result<Completed, StoreError> {
    let Completion { subject, now, expect_credentials, consume, raise_steps, rotate, begin, flow, reset, .. } =
        completion;
    let consumed = consume.as_ref().map(Consumed::of).transpose()?;
    let begun_after = begin.as_ref().and_then(StoredSession::revocations).map(signed).transpose()?;
    let expected: Option<Vec<Uuid>> =
        expect_credentials.as_ref().map(|ids| ids.iter().map(|&id| Uuid::from(id)).collect());
    let (raised, raised_steps): (Vec<Uuid>, Vec<i64>) = raise_steps
        .iter()
        .map(|(credential, step)| Ok((Uuid::from(*credential), signed(*step)?)))
        .collect::<Result<Vec<_>, StoreError>>()?
        .into_iter()
        .unzip();
    let new = NewSessions::of(rotate.as_ref().map(|rotation| &rotation.new).into_iter().chain(begin))?;
    let (reset_subjects, reset_methods): (Vec<&str>, Vec<&str>) =
        reset.iter().map(|key| (key.subject.as_str(), key.method.as_str())).unzip();
    let outcome: String = sqlx::query_scalar(
        "SELECT step_up_carry_out($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
         $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)",
    )
    .bind(subject.as_str())
    .bind(now.unix_milliseconds())
    .bind(flow.as_ref().map(|flow| Uuid::from(flow.id)))
    .bind(flow.as_ref().map(|flow| flow.body.as_str()))
    .bind(rotate.as_ref().map(|rotation| Uuid::from(rotation.old)))
    .bind(begin.is_some())
    .bind(begun_after)
    .bind(expected)
    .bind(consumed.as_ref().map(|consumed| consumed.way))
    .bind(consume.as_ref().map(|consumption| Uuid::from(consumption.credential())))
    .bind(consumed.as_ref().and_then(|consumed| consumed.step))
    .bind(consumed.as_ref().and_then(|consumed| consumed.before))
    .bind(consumed.as_ref().and_then(|consumed| consumed.after))
    .bind(raised)
    .bind(raised_steps)
    .bind(new.ids)
    .bind(new.subjects)
    .bind(new.bindings)
    .bind(new.proofs)
    .bind(new.issued)
    .bind(new.expires)
    .bind(new.digests)
    .bind(new.answered)
    .bind(new.devices)
    .bind(new.seen)
    .bind(reset_subjects)
    .bind(reset_methods)
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    match outcome.as_str() {
        "done" => Ok(Completed::Done),
        "flow gone" => Ok(Completed::FlowGone),
        "session gone" => Ok(Completed::SessionGone),
        "credentials changed" => Ok(Completed::CredentialsChanged),
        "used" => Ok(Completed::Used),
        "unknown" => Ok(Completed::Unknown),
        _ => Err(StoreError::new(StoreErrorKind::Corrupt)),
    }
}

/// What the function needs to know of a consumption, beside the credential.
struct Consumed<'a> {
    way: &'static str,
    step: Option<i64>,
    /// The data that the credential must have, or the hash of the secret.
    before: Option<&'a [u8]>,
    after: Option<&'a [u8]>,
}

impl<'a> Consumed<'a> {
    fn of(consumption: &'a Consumption) -> Result<Self, StoreError> {
        let consumed = |way| Self { way, step: None, before: None, after: None };
        Ok(match consumption {
            Consumption::Step { step, .. } => Self { step: Some(signed(*step)?), ..consumed("step") },
            Consumption::Data { expected, data, .. } => {
                Self { before: Some(expected), after: Some(data), ..consumed("data") }
            }
            Consumption::Secret { hash, .. } => Self { before: Some(hash), ..consumed("secret") },
            Consumption::Present { .. } => consumed("present"),
        })
    }
}

/// The sessions that begin, column by column.
#[derive(Default)]
struct NewSessions<'a> {
    ids: Vec<Uuid>,
    subjects: Vec<&'a str>,
    bindings: Vec<Uuid>,
    proofs: Vec<String>,
    issued: Vec<i64>,
    expires: Vec<i64>,
    digests: Vec<Option<&'a [u8]>>,
    answered: Vec<Option<i64>>,
    devices: Vec<Option<String>>,
    seen: Vec<Option<i64>>,
}

impl<'a> NewSessions<'a> {
    fn of(sessions: impl Iterator<Item = &'a StoredSession>) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        for session in sessions {
            columns.ids.push(session.id().into());
            columns.subjects.push(Subject::as_str(session.subject()));
            columns.bindings.push(session.binding().into());
            columns.proofs.push(rows::proofs(session)?);
            columns.issued.push(session.issued_at().unix_milliseconds());
            columns.expires.push(session.expires_at().unix_milliseconds());
            columns.digests.push(session.answered().map(|answered| answered.digest.as_slice()));
            columns.answered.push(session.answered().map(|answered| answered.at.unix_milliseconds()));
            columns.devices.push(rows::device(session)?);
            columns.seen.push(session.seen_at().map(Timestamp::unix_milliseconds));
        }
        Ok(columns)
    }
}
