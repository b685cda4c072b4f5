use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{RequireAal, ResponseFuture, enforce, head};
use crate::context::SessionContext;

/// The service that [`RequireAal`] and [`RequireAal2`](super::RequireAal2) make.
///
/// It calls the inner service directly when a request passes, without allocating. When it does not, the inner service is not called
/// and the request's body not read.
///
/// One case waits for the store: a guard that asks for [the highest level available](crate::Requirement::highest_available) believes
/// no cache that a user has no second factor. The inner service is cloned then.
#[derive(Clone, Debug)]
pub struct RequireAalService<S> {
    inner: S,
    guard: RequireAal,
}

impl<S> RequireAalService<S> {
    pub(super) const fn new(inner: S, guard: RequireAal) -> Self {
        Self { inner, guard }
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
        match enforce(&self.guard.requirement, self.guard.within.as_ref(), head(&request)) {
            Ok(_) => match self.doubtful(&request) {
                None => ResponseFuture::passed(self.inner.call(request)),
                Some(context) => {
                    // The clone was never polled ready, so it stays behind and the ready one goes along.
                    let clone = self.inner.clone();
                    let ready = Self::new(mem::replace(&mut self.inner, clone), self.guard.clone());
                    ResponseFuture::reading(ready, request, context)
                }
            },
            Err(refusal) => ResponseFuture::refused(refusal.into_response()),
        }
    }
}

impl<S> RequireAalService<S> {
    /// The request's context, if it passes only because of what was known a while ago.
    fn doubtful<B>(&self, request: &Request<B>) -> Option<SessionContext> {
        if !self.guard.requirement.depends_on_enrolment() {
            return None;
        }
        SessionContext::of(request.extensions()).filter(|context| context.remembers_no_second_factor()).cloned()
    }

    /// Decides on a request that has been read anew.
    pub(super) fn decide<ReqBody, ResBody>(mut self, request: Request<ReqBody>) -> Result<S::Future, S::Response>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        ResBody: Default,
    {
        match enforce(&self.guard.requirement, self.guard.within.as_ref(), head(&request)) {
            Ok(_) => Ok(self.inner.call(request)),
            Err(refusal) => Err(refusal.into_response()),
        }
    }
}
