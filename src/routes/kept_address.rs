//! `/self-service/continue`: leads on to an address that was too long to be handed from page to page.

use axum::{extract::State, http::Uri, response::Response};

use super::{
    answer,
    failure::Failure,
    pages,
    query::Query,
    scope::{Scope, Site},
};

/// Proxies take only so much in the headers of an answer: nginx 4 kB of all of them by default.
const LONGEST_LOCATION: usize = 2048;

/// `GET /self-service/continue?id=<id>`. If the address is not known any more, it leads to the default page: whoever comes here has done
/// what they were asked to.
pub(crate) async fn lead_on(State(_): State<Site>, scope: Scope, uri: Uri) -> Response {
    led_on(&scope, &Query::of(&uri)).await.unwrap_or_else(|failure| failure.respond(&scope, false))
}

async fn led_on(scope: &Scope, query: &Query) -> Result<Response, Failure> {
    let engine = scope.engine();
    let kept = match query.flow_id("id")? {
        Some(id) => engine.sessions.kept_address(id, scope.now()).await?,
        None => None,
    };
    match kept {
        Some(url) if url.as_str().len() > LONGEST_LOCATION => pages::lead_on(scope, &url).await,
        kept => Ok(answer::see_other(kept.as_ref().unwrap_or(&engine.urls.default_return))),
    }
}
