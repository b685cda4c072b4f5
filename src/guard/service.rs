use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{ResponseFuture, Waiting, denied, find_context};
use crate::{context::Edge, requirement::Requirement};

/// The service that [`RequireAal`](super::RequireAal) and [`RequireAal2`](super::RequireAal2) make.
///
/// If the verdict is known without waiting, it calls the inner service directly and allocates nothing. If it refuses a request, it does
/// not call the inner service and does not read the body.
///
/// If the session must be looked up first, a clone of the inner service waits with the request. It is polled for readiness only
/// afterwards: a request that waits for a store takes no place of a [`ConcurrencyLimit`](https://docs.rs/tower/latest/tower/limit/).
#[derive(Clone, Debug)]
pub struct RequireAalService<S> {
    inner: S,
    requirement: Requirement,
    within: Option<Arc<Edge>>,
}

impl<S> RequireAalService<S> {
    pub(super) const fn new(inner: S, requirement: Requirement, within: Option<Arc<Edge>>) -> Self {
        Self { inner, requirement, within }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireAalService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let requirement = &self.requirement;
        let context = match find_context(self.within.as_ref(), request.uri(), request.extensions()) {
            Ok(context) => context,
            Err(denied) => return ResponseFuture::refused(denied.into_empty_response()),
        };
        match context.verdict_without_waiting(requirement, Some(request.extensions())) {
            Some(Ok(_)) => ResponseFuture::passed(self.inner.call(request)),
            Some(Err(shortfall)) => {
                let denied = denied(context.clone(), shortfall, *requirement, &request);
                ResponseFuture::refused(denied.into_empty_response())
            }
            None => {
                let (context, requirement) = (context.clone(), *requirement);
                // The ready service stays here, with any place it has taken.
                ResponseFuture::asking(Waiting { inner: self.inner.clone(), request, context, requirement })
            }
        }
    }
}
