use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::{Head, RequireAal, ResponseFuture, enforce};

/// The service that [`RequireAal`] and [`RequireAal2`](super::RequireAal2) make.
///
/// It calls the inner service directly when a request passes, without allocating. When it does not, the inner service is not called
/// and the request's body not read.
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
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let head = Head { method: request.method(), headers: request.headers(), extensions: request.extensions() };
        match enforce(&self.guard.requirement, self.guard.within.as_ref(), head) {
            Ok(_) => ResponseFuture::passed(self.inner.call(request)),
            Err(refusal) => ResponseFuture::refused(refusal.into_response()),
        }
    }
}
