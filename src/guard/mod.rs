//! Guards: they stand before a handler and let a request through only if its session meets a requirement.
//!
//! A guard only decides. The [outer layer](crate::layer), which must be around it, renders what the client sees. Without the layer, a
//! guard answers 500 and logs, once per route, how to fix it. It never lets such a request through.
//!
//! # A layer guards what is inside it
//!
//! In axum, `get(show).layer(RequireAal2).post(send)` leaves `POST` open, since axum layers only the methods added before. Put the layer
//! last, or use [`RouterExt::route_requiring`](crate::RouterExt::route_requiring), which takes the finished `MethodRouter`.
//! `Router::route_layer` likewise covers only the routes added before it.

mod future;
mod layer;
mod miswired;
mod refusals;
mod service;
mod waiting;

use std::sync::Arc;

use http::{Extensions, Request, Uri};

pub(crate) use self::miswired::tell_miswired;
use self::waiting::Waiting;
pub use self::{
    future::ResponseFuture,
    layer::{RequireAal, RequireAal2},
    refusals::RefusalsService,
    service::RequireAalService,
};
use crate::{
    challenge::AccessDenied,
    context::{Edge, RequestHead, SessionContext},
    requirement::{Requirement, Shortfall},
};

fn denied<B>(
    context: SessionContext,
    shortfall: Shortfall,
    requirement: Requirement,
    request: &Request<B>,
) -> AccessDenied {
    let head = RequestHead::of(request.into(), context.edge());
    tell_unmeetable(&context, shortfall, &requirement, request.uri(), request.extensions());
    AccessDenied::new(context, shortfall, requirement, head)
}

/// Tells the developer of a route that nobody, or nobody without another provider, can ever pass.
pub(crate) fn tell_unmeetable(
    context: &SessionContext,
    shortfall: Shortfall,
    requirement: &Requirement,
    uri: &Uri,
    extensions: &Extensions,
) {
    if shortfall == Shortfall::NoMethodPossible {
        tell_miswired(
            "a route requires methods that exclude each other and refuses every request with 403: \
             name methods that have something in common in `any_of`, `phishing_resistant` and `and`",
            uri,
            extensions,
        );
    } else if context.edge().has_no_factor_for(requirement) {
        tell_miswired(
            "a route requires a second factor by methods of which none is configured, so nobody can enrol one and only another \
             provider can vouch for one: give the builder a factor with one of them, or name other methods",
            uri,
            extensions,
        );
    }
}

/// The context of the outer layer.
pub(crate) fn find_context<'a>(
    within: Option<&Arc<Edge>>,
    uri: &Uri,
    extensions: &'a Extensions,
) -> Result<&'a SessionContext, AccessDenied> {
    let Some(context) = SessionContext::of(extensions) else {
        tell_miswired(
            "a guard or extractor has no StepUpLayer around it and refuses every request with 500: \
             put `.with_step_up(&step_up)` or `.layer(step_up.layer())` on the router after all routes \
             (in a ServiceBuilder: before the guard)",
            uri,
            extensions,
        );
        return Err(AccessDenied::miswired());
    };
    if within.is_some_and(|edge| !context.belongs_to(edge)) {
        tell_miswired(
            "a guard is bound to another StepUp than the StepUpLayer around it and refuses every request with 500: \
             give `RequireAal::within` the StepUp whose layer is the innermost around the route",
            uri,
            extensions,
        );
        return Err(AccessDenied::miswired());
    }
    if let Some(help) = context.miswired() {
        tell_miswired(help, uri, extensions);
        return Err(AccessDenied::miswired());
    }
    Ok(context)
}
