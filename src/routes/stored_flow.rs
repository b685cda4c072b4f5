//! A flow by its id, for the routes of every purpose, and where new ones are kept.

use axum::response::Response;

use super::{answer, failure::Failure, scope::Scope};
use crate::{
    factor::is_memory,
    flow::{
        record::Flow,
        unstored::{self, Found},
    },
    headers::negotiation,
    session::Session,
    source::{Evidence, own::addresses::is_kept_address},
    store::{FlowId, StoreError},
};

/// The flow of this id. Checks its return address here, so no route can forget to: the list of allowed ones may have shrunk since it
/// began.
pub(crate) async fn stored_flow(scope: &Scope, id: FlowId) -> Result<Flow, Failure> {
    let engine = scope.engine();
    // What the store says counts. A browser may send an old cookie beside it.
    let mut flow = match engine.stores.flow(id).await? {
        Some(stored) if is_kept_address(&stored) || is_memory(&stored) => return Err(Failure::UnknownFlow),
        Some(stored) => Flow::from_stored(stored)?,
        None => match unstored::find(id, &scope.headers, engine, scope.now()) {
            Found::Flow(flow) => *flow,
            Found::InAnotherBrowser => return Err(Failure::Csrf),
            Found::Unknown => return Err(Failure::UnknownFlow),
        },
    };
    let policy = &engine.urls.return_policy;
    flow.return_to = flow.return_to.and_then(|url| policy.check(url).ok());
    Ok(flow)
}

/// The session that a new flow belongs to.
pub(crate) async fn session_of(scope: &Scope, found: &Evidence) -> Result<Session, Failure> {
    let clue = scope.context.clue().ok_or(Failure::NoSession)?;
    let session = scope.engine().session_of_flow(clue, found, &scope.context.client(), scope.now()).await?;
    session.ok_or(Failure::NoSession)
}

/// Keeps a new flow. Without a session, it is not stored before something is compared: the answer must [carry](carry_along) it.
pub(crate) async fn begin(scope: &Scope, flow: Flow) -> Result<Flow, Failure> {
    let mut flow = unstored::named(flow, scope.engine())?;
    if unstored::needs_the_store(&flow) {
        create(scope, &mut flow).await?;
    }
    Ok(flow)
}

/// Stores the flow for the first time.
pub(crate) async fn create(scope: &Scope, flow: &mut Flow) -> Result<(), StoreError> {
    let engine = scope.engine();
    engine.stores.create_flow(&flow.to_stored()?, engine.limits.flows_per_session, scope.now()).await?;
    flow.was_created();
    Ok(())
}

/// Gives the browser a flow that no store has.
pub(crate) fn carry_along(scope: &Scope, flow: &Flow, response: &mut Response) -> Result<(), Failure> {
    if flow.is_of_browser() && !flow.is_stored() {
        for cookie in unstored::cookies(flow, &scope.headers, scope.engine(), scope.now())? {
            answer::set_cookie(response, Some(cookie));
        }
    }
    Ok(())
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
