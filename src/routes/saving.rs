//! Writing a flow that another request may be writing at the same moment: another tab, or the same form sent twice.
//!
//! The request that was too late reads the flow again. So every client sees what is stored.

use super::{
    failure::Failure,
    scope::Scope,
    stored_flow::{create, stored_flow},
};
use crate::{
    aal::Method,
    engine::Tried,
    factor::{Factor, FactorError},
    flow::record::{Flow, Purpose},
    session::SessionId,
    store::{Credential, StoreErrorKind, Written},
    wire::ui::{Text, message, reason},
};

/// How often a change is tried again on top of concurrent ones.
const ROUNDS: u32 = 8;

/// The outcome of a change of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a flow that was not stored must not be shown as if it were"]
pub(crate) enum Kept {
    /// The store has the flow as it is now.
    Stored,
    /// The flow was not changed: others completed it, or kept writing it.
    LeftAsItIs,
    /// The flow does not exist any more.
    Gone,
}

/// What the user reads after sending a form twice at once.
pub(crate) fn sent_twice() -> Text {
    message::generic(reason::SENT_TWICE)
}

/// Writes the flow, if nobody has written it since it was read, or stored it.
pub(crate) async fn write_once(scope: &Scope, flow: &mut Flow) -> Result<Written, Failure> {
    if !flow.is_stored() {
        return match create(scope, flow).await {
            Ok(()) => Ok(Written::Done),
            Err(error) if error.kind() == StoreErrorKind::Conflict => Ok(Written::Superseded),
            Err(error) => Err(error.into()),
        };
    }
    let written = scope.engine().stores.update_flow(&flow.to_stored()?).await?;
    if written.is_done() {
        flow.was_written();
    }
    Ok(written)
}

/// Counts a try of somebody without a session, unless there were `most` already. Returns whether it did.
pub(crate) async fn count(
    scope: &Scope,
    flow: &mut Flow,
    most: u32,
    method: Method,
    typed: Option<&str>,
) -> Result<bool, Failure> {
    for _ in 0..ROUNDS {
        if flow.completed || flow.failures >= most {
            return Ok(false);
        }
        flow.failures = flow.failures.saturating_add(1);
        flow.active = Some(method);
        flow.keep_typed(typed);
        if write_once(scope, flow).await?.is_done() {
            return Ok(true);
        }
        if !read_anew(scope, flow).await? {
            return Ok(false);
        }
    }
    Ok(false)
}

/// Takes one count of [`count`] back, after a factor compared nothing.
async fn uncount(scope: &Scope, flow: &mut Flow) {
    let uncounted = write(scope, flow, |flow, _| {
        flow.failures = flow.failures.saturating_sub(1);
        Ok(())
    });
    if let Err(failure) = uncounted.await {
        tracing::warn!(?failure, "a factor compared nothing, and its flow counts that as a wrong answer");
    }
}

/// Makes the change and writes the flow. If another request was quicker, makes the change again on its result, and tells `change` so.
pub(crate) async fn write(
    scope: &Scope,
    flow: &mut Flow,
    change: impl Fn(&mut Flow, bool) -> Result<(), FactorError>,
) -> Result<Kept, Failure> {
    for round in 0..ROUNDS {
        if flow.completed {
            return Ok(Kept::LeftAsItIs);
        }
        change(flow, round > 0)?;
        if write_once(scope, flow).await?.is_done() {
            return Ok(Kept::Stored);
        }
        if !read_anew(scope, flow).await? {
            return Ok(Kept::Gone);
        }
    }
    Ok(Kept::LeftAsItIs)
}

/// Keeps what a factor needs for its next step, and what the user reads there, about a field or about the whole form. If another request counts instead, nothing is kept: show
/// what that one stored, and not, for example, recovery codes that would not work.
pub(crate) async fn keep_step(
    scope: &Scope,
    flow: &mut Flow,
    method: Method,
    state: &[u8],
    own: &[Credential],
    message: Option<&(Option<&'static str>, Text)>,
) -> Result<Written, Failure> {
    let (engine, now) = (scope.engine(), scope.now());
    let keep = |flow: &mut Flow, again: bool| {
        flow.keep_state(engine, method, state, own)?;
        // The page shows this factor's next step.
        flow.active = Some(method);
        if !again {
            flow.clear_messages(now);
        }
        if let Some((field, text)) = message {
            flow.say_too(*field, text.clone(), now);
        }
        if let Purpose::Settings { success } = &mut flow.purpose {
            *success = false;
        }
        flow.release();
        Ok(())
    };
    if !flow.is_claimed() && !message.is_some_and(|(_, text)| text.is_error()) {
        keep(flow, false)?;
        return write_once(scope, flow).await;
    }
    // A code may be on its way, or a challenge is used up. Keep its state, whatever others have written in the meantime.
    match write(scope, flow, keep).await? {
        Kept::Stored => Ok(Written::Done),
        Kept::LeftAsItIs if flow.completed => Ok(Written::Superseded),
        Kept::LeftAsItIs => Err(Failure::Unavailable),
        Kept::Gone => Err(Failure::UnknownFlow),
    }
}

/// Takes the factor's state for a credential, before the credential is stored. Of several requests, those that end the same session go on:
/// the store lets one of them through. `Superseded` if another has made a credential of it, or the state is a new one.
pub(crate) async fn take_state(
    scope: &Scope,
    flow: &mut Flow,
    method: Method,
    ends: Option<SessionId>,
) -> Result<Written, Failure> {
    let decided = flow.states().clone();
    for _ in 0..ROUNDS {
        if flow.states().took(&decided, method, ends) {
            return Ok(Written::Done);
        }
        if !flow.states().agree(&decided, method) {
            return Ok(Written::Superseded);
        }
        if !flow.states().has(method) {
            // A factor that keeps none.
            return Ok(Written::Done);
        }
        flow.states_mut().take(method, ends);
        if write_once(scope, flow).await?.is_done() {
            return Ok(Written::Done);
        }
        if !read_anew(scope, flow).await? {
            return Err(Failure::UnknownFlow);
        }
    }
    Err(Failure::Unavailable)
}

/// Reads the flow again. Returns whether it still exists.
pub(crate) async fn read_anew(scope: &Scope, flow: &mut Flow) -> Result<bool, Failure> {
    match stored_flow(scope, flow.id()).await {
        Ok(stored) => {
            flow.replace_by(stored);
            Ok(true)
        }
        Err(Failure::UnknownFlow) => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Whether this request may send something that must not go out twice. Of concurrent requests, only one may.
pub(crate) async fn claim(scope: &Scope, flow: &mut Flow, factor: &dyn Factor) -> Result<bool, Failure> {
    let engine = scope.engine();
    // From now, not from when the request arrived. The factor takes no longer than it may, and neither does writing the claim.
    let now = engine.now();
    let until = now + engine.stores.timeout() + engine.patience(factor);
    Ok(flow.claim(now, until) && write_once(scope, flow).await?.is_done())
}

/// What follows after a factor failed, in a flow with a session: the next request may try, and what compared nothing does not count.
pub(crate) async fn failed(scope: &Scope, flow: &mut Flow, tried: Tried, error: FactorError) -> Failure {
    if matches!(error, FactorError::NotCompared(_)) {
        scope.engine().give_back(tried, scope.now()).await;
    }
    release(scope, flow).await;
    error.into()
}

/// The same in a flow without a session, which counts by itself.
pub(crate) async fn failed_anonymously(scope: &Scope, flow: &mut Flow, error: FactorError) -> Failure {
    if matches!(error, FactorError::NotCompared(_)) {
        uncount(scope, flow).await;
    }
    error.into()
}

/// If this write fails too, the next request waits until the claim expires.
async fn release(scope: &Scope, flow: &mut Flow) {
    if !flow.is_claimed() {
        return;
    }
    let released = write(scope, flow, |flow, _| {
        flow.release();
        Ok(())
    });
    if let Err(failure) = released.await {
        tracing::warn!(?failure, "a factor failed, and its flow stays claimed for a few seconds");
    }
}
