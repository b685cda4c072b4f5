//! Where a request says to return to.

use url::Url;

use super::{failure::Failure, query::Query, scope::Scope};
use crate::urls::return_to::is_long;

/// Where the query says to return to, if that is allowed. In place of an address that is too long to be handed from page to page, it is a
/// short one that leads to it.
pub(crate) async fn return_to(scope: &Scope, query: &Query) -> Result<Option<Url>, Failure> {
    let engine = scope.engine();
    match query.return_to(engine)? {
        Some(url) if is_long(&url) => {
            let binding = scope.evidence().await?.and_then(|found| found.session.binding());
            Ok(Some(engine.sessions.keep_address(url, binding, scope.now()).await?))
        }
        short => Ok(short),
    }
}
