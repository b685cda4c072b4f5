//! What the versions of tower-sessions have in common.

use std::future::Future;
#[cfg(feature = "axum-login")]
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use serde_json::Value;
#[cfg(feature = "axum-login")]
use tokio::task::unconstrained;
use tower_step_up::{clock::Timestamp, source::SourceError};

/// Where the note is kept in the session's record.
const NOTE_KEY: &str = "tower-step-up";

/// A `Session` of tower-sessions, of any version whose feature is on.
///
/// It cannot be implemented elsewhere.
pub trait AnySession: Sealed {}

impl<S: Sealed> AnySession for S {}

pub trait Sealed: Clone + Send + Sync + 'static {
    fn text_id(&self) -> Option<String>;

    /// When it ends, if that is one fixed instant. One that ends some time after its last change has no such instant: the record in the store
    /// says when it ends, and there is no way to ask for that.
    fn ends_at(&self) -> Option<Timestamp>;

    fn changed(&self) -> bool;

    /// Whether there is nothing to save. Of a session that was not read from the store it is not known.
    fn has_nothing(&self) -> impl Future<Output = bool> + Send;

    fn value(&self, key: &str) -> impl Future<Output = Result<Option<Value>, SourceError>> + Send;

    fn put(&self, key: &str, value: Value) -> impl Future<Output = Result<(), SourceError>> + Send;

    fn end(&self) -> impl Future<Output = Result<(), SourceError>> + Send;
}

macro_rules! version {
    ($feature:literal, $tower_sessions:ident) => {
        #[cfg(feature = $feature)]
        impl Sealed for $tower_sessions::Session {
            fn text_id(&self) -> Option<String> {
                self.id().map(|id| id.to_string())
            }

            fn ends_at(&self) -> Option<Timestamp> {
                match self.expiry()? {
                    $tower_sessions::Expiry::AtDateTime(at) => Some(Timestamp::from_unix_seconds(at.unix_timestamp())),
                    _ => None,
                }
            }

            fn changed(&self) -> bool {
                self.is_modified()
            }

            async fn has_nothing(&self) -> bool {
                self.is_empty().await
            }

            async fn value(&self, key: &str) -> Result<Option<Value>, SourceError> {
                Ok(self.get_value(key).await?)
            }

            async fn put(&self, key: &str, value: Value) -> Result<(), SourceError> {
                self.insert_value(key, value).await?;
                Ok(())
            }

            async fn end(&self) -> Result<(), SourceError> {
                Ok(self.flush().await?)
            }
        }
    };
}

version!("tower-sessions-0_14", tower_sessions_0_14);
version!("tower-sessions-0_15", tower_sessions_0_15);

/// The note in this session, and whether there is a session to keep one in.
pub(crate) async fn note(session: &impl Sealed) -> Result<(Option<String>, bool), SourceError> {
    let note = match session.value(NOTE_KEY).await? {
        None => None,
        Some(Value::String(note)) => Some(note),
        // Not ours. With no note the session would count as one from before.
        Some(_) => return Err(format!("the value of {NOTE_KEY} in the session is not what this crate wrote").into()),
    };
    // In this order: only a session that was read knows whether it has something.
    Ok((note, !session.has_nothing().await))
}

pub(crate) async fn keep_note(session: &impl Sealed, note: String) -> Result<(), SourceError> {
    session.put(NOTE_KEY, Value::String(note)).await
}

/// What this future yields, if it need not wait. That the task has done much already is no reason to.
#[cfg(feature = "axum-login")]
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(unconstrained(future)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
