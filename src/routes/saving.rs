//! Writing a flow that somebody else may be writing at the same moment: another tab, or the same form sent twice.
//!
//! Whoever was superseded reads the flow anew. So what is shown afterwards is what is stored, whoever stored it.

use super::{failure::Failure, scope::Scope, stored_flow::stored_flow};
use crate::{
    factor::FactorError,
    flow::record::Flow,
    store::Written,
    wire::ui::{Text, message},
};

/// How often a change is made on what others have left, before they are left alone.
const ROUNDS: u32 = 8;

/// What became of a change of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a flow that was not stored must not be shown as if it were"]
pub(crate) enum Kept {
    /// The store has the flow as it is now.
    Stored,
    /// The flow is as others have left it: completed, or written again and again.
    LeftAsItIs,
    /// There is no such flow any more.
    Gone,
}

/// What the user reads of a form that was sent twice at once.
pub(crate) fn sent_twice() -> Text {
    message::generic("You sent this form twice at once, and only one counted. This is the result.")
}

/// Writes the flow as it is now, if nobody has written it since it was read.
pub(crate) async fn write_once(scope: &Scope, flow: &mut Flow) -> Result<Written, Failure> {
    let written = scope.engine().stores.update_flow(&flow.to_stored()?).await?;
    if written.is_done() {
        flow.was_written();
    }
    Ok(written)
}

/// Makes the change and writes the flow. If somebody else was quicker, it is made again on what they have left: `change` is told so.
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

/// The flow as it is stored now. Says whether it still is.
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

/// Whether this request may set something going outside: of those that are sent at once, one may, and while it does no other.
pub(crate) async fn claim(scope: &Scope, flow: &mut Flow) -> Result<bool, Failure> {
    let now = scope.now();
    // No factor is waited for any longer than that.
    let until = now + scope.engine().limits.directory_timeout;
    Ok(flow.claim(now, until) && write_once(scope, flow).await?.is_done())
}

/// Lets the next one try, after something could not be set going. If that fails too, it must wait until the claim is over.
pub(crate) async fn release(scope: &Scope, flow: &mut Flow) {
    if !flow.is_claimed() {
        return;
    }
    let released = write(scope, flow, |flow, _| {
        flow.release();
        Ok(())
    });
    if let Err(failure) = released.await {
        tracing::warn!(?failure, "a flow stays claimed for some seconds after its factor failed");
    }
}
