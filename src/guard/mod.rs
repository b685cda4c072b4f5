//! Guards: what stands before a handler and lets a request through, or not, by the session that the outer layer found.
//!
//! A guard decides and says no. What the client sees of that is rendered by the [outer layer](crate::context), which must be around
//! it; without one, a guard answers 500 and logs once how to mend it. It never lets such a request through.
//!
//! # A layer guards what is inside it
//!
//! In axum, `get(show).layer(RequireAal2).post(send)` leaves `POST` open: a method that is added after the layer is outside it.
//! Put the layer last, or use [`RouterExt::route_requiring`](crate::RouterExt::route_requiring), which takes the finished
//! `MethodRouter`. `Router::route_layer` likewise covers only the routes that were there before it.

mod future;
mod layer;
mod service;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode};

pub use self::{
    future::ResponseFuture,
    layer::{RequireAal, RequireAal2},
    service::RequireAalService,
};
use crate::{
    challenge::Rejection, context::SessionContext, requirement::Requirement, source::Evidence, step_up::StepUp,
};

/// Why a request was not let through.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The session does not do.
    Rejected(Box<Rejection>),
    /// The application is put together wrongly.
    Miswired,
}

impl Refusal {
    /// An empty answer that the outer layer fills. The status is set, since the default of a response is 200.
    pub(crate) fn into_response<B: Default>(self) -> Response<B> {
        let mut response = Response::new(B::default());
        match self {
            Self::Rejected(rejection) => {
                *response.status_mut() = rejection.status();
                response.extensions_mut().insert(*rejection);
            }
            Self::Miswired => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
        response
    }
}

/// The parts of a request that a decision and its rendering need.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) extensions: &'a Extensions,
}

fn head<B>(request: &Request<B>) -> Head<'_> {
    Head { method: request.method(), headers: request.headers(), extensions: request.extensions() }
}

/// The one way to a decision, for guards and extractors alike.
pub(crate) fn enforce<'a>(
    requirement: &Requirement,
    within: Option<&StepUp>,
    head: Head<'a>,
) -> Result<&'a Arc<Evidence>, Refusal> {
    let context = context(within, head.extensions)?;
    context.check(requirement).map_err(|denied| {
        Refusal::Rejected(Box::new(Rejection::new(context.clone(), denied, head.method, head.headers)))
    })
}

/// The context of the layer that must be around.
pub(crate) fn context<'a>(within: Option<&StepUp>, extensions: &'a Extensions) -> Result<&'a SessionContext, Refusal> {
    static MISSING: AtomicBool = AtomicBool::new(false);
    static FOREIGN: AtomicBool = AtomicBool::new(false);
    let Some(context) = SessionContext::of(extensions) else {
        if !MISSING.swap(true, Ordering::Relaxed) {
            tracing::error!(
                target: "tower_step_up::guard",
                "a guard or extractor has no StepUpLayer around it, so every request is refused with 500: \
                 put `.layer(step_up.layer())` on the router after all routes (in a ServiceBuilder: before the guard)"
            );
        }
        return Err(Refusal::Miswired);
    };
    if within.is_some_and(|step_up| !context.belongs_to(step_up)) {
        if !FOREIGN.swap(true, Ordering::Relaxed) {
            tracing::error!(
                target: "tower_step_up::guard",
                "the StepUpLayer around a guard is of another StepUp than the guard's own, so every request is refused with 500: \
                 give `RequireAal::within` the StepUp whose layer is the innermost around the route"
            );
        }
        return Err(Refusal::Miswired);
    }
    Ok(context)
}
