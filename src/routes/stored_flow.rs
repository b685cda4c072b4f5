//! A flow by its id, for the routes of every purpose.

use super::{failure::Failure, scope::Scope};
use crate::{flow::record::Flow, source::own::addresses::is_kept_address, store::FlowId};

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
