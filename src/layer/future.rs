use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ResponseBody;
use crate::context::SessionContext;
use crate::{challenge::Rejection, headers};

/// A look-up in the store. Only requests whose session is not in the cache pay for the box.
type Read = Pin<Box<dyn Future<Output = SessionContext> + Send>>;

pin_project! {
    /// The future of [`StepUpService`](super::StepUpService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S::Future, S, ReqBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, S, ReqBody> {
        Reading {
            read: Read,
            // In a box, or it would make every other future as large as this one.
            waiting: Option<Box<(S, Request<ReqBody>)>>,
        },
        Called {
            #[pin]
            response: F,
            context: SessionContext,
        },
    }
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) const fn called(response: S::Future, context: SessionContext) -> Self {
        Self { state: State::Called { response, context } }
    }

    pub(super) fn reading(read: Read, ready: S, request: Request<ReqBody>) -> Self {
        Self { state: State::Reading { read, waiting: Some(Box::new((ready, request))) } }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Reading { read, waiting } => {
                    let context = ready!(read.as_mut().poll(cx));
                    // It is there: the next state replaces this one below, unless the service panics.
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    let (mut service, mut request) = *waiting;
                    request.extensions_mut().insert(context.clone());
                    let response = service.call(request);
                    state.set(State::Called { response, context });
                }
                StateProj::Called { response, context } => {
                    let response = ready!(response.poll(cx))?;
                    return Poll::Ready(Ok(finish(response, context)));
                }
            }
        }
    }
}

impl<S, ReqBody> std::fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// The way out: a rejection becomes a challenge, and an answer that depends on a session says so.
fn finish<B>(mut response: Response<B>, context: &SessionContext) -> Response<ResponseBody<B>> {
    if let Some(rejection) = response.extensions_mut().remove::<Rejection>() {
        let (mut parts, _empty) = response.into_parts();
        let body = ResponseBody::rendered(rejection.render(&mut parts));
        return Response::from_parts(parts, body);
    }
    if context.was_consulted() {
        headers::forbid_storing(response.headers_mut());
    }
    response.map(ResponseBody::new)
}
