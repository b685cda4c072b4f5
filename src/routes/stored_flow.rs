//! A flow by its id, for the routes of every purpose.

use super::{failure::Failure, scope::Scope};
use crate::{flow::record::Flow, headers::negotiation, source::own::addresses::is_kept_address, store::FlowId};

/// The flow of this id. Checks its return address here, so no route can forget to: the list of allowed ones may have shrunk since it
/// began.
pub(crate) async fn stored_flow(scope: &Scope, id: FlowId) -> Result<Flow, Failure> {
    let stored = scope.engine().stores.flow(id).await?.ok_or(Failure::UnknownFlow)?;
    if is_kept_address(&stored) {
        return Err(Failure::UnknownFlow);
    }
    let mut flow = Flow::from_stored(stored)?;
    let policy = &scope.engine().urls.return_policy;
    flow.return_to = flow.return_to.and_then(|url| policy.check(url).ok());
    Ok(flow)
}

/// Tells the store that this form is in front of its user, so that flows that other tabs begin do not push it out. Call it where a client that
/// owns the flow reads it or submits it.
///
/// The flow says whether the store knows already. So it costs a write only when the user turns to another form, not each time. A beginning
/// is no such sign, though its answer may show a form: what a forgotten tab begins in the background would look just the same.
pub(crate) async fn comes_into_use(scope: &Scope, flow: &Flow) -> Result<(), Failure> {
    // A prefetch is a guess of the browser, and nobody has seen it.
    if !flow.comes_into_use(scope.now()) || negotiation::is_prefetch(&scope.headers) {
        return Ok(());
    }
    let written = scope.engine().stores.touch_flow(&flow.to_stored()?).await?;
    // It may have been pushed out since it was read. What is shown then could not be submitted.
    if written.is_done() { Ok(()) } else { Err(Failure::UnknownFlow) }
}
