use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::RequireAalService;
use crate::context::SessionContext;

pin_project! {
    /// The future of [`RequireAalService`](super::RequireAalService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        kind: Kind<S::Future, S, ReqBody, S::Response>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<F, S, ReqBody, R> {
        Passed { #[pin] future: F },
        Refused { response: Option<R> },
        Reading {
            read: Pin<Box<dyn Future<Output = SessionContext> + Send>>,
            waiting: Option<Box<(RequireAalService<S>, Request<ReqBody>)>>,
        },
    }
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) const fn passed(future: S::Future) -> Self {
        Self { kind: Kind::Passed { future } }
    }

    pub(super) const fn refused(response: S::Response) -> Self {
        Self { kind: Kind::Refused { response: Some(response) } }
    }

    /// The session is read from the store before the service decides.
    pub(super) fn reading(service: RequireAalService<S>, request: Request<ReqBody>, context: SessionContext) -> Self {
        Self {
            kind: Kind::Reading { read: Box::pin(context.read_anew()), waiting: Some(Box::new((service, request))) },
        }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut kind = self.project().kind;
        loop {
            match kind.as_mut().project() {
                KindProj::Passed { future } => return future.poll(cx),
                // Whoever polls a finished future waits for ever, rather than being let through.
                KindProj::Refused { response } => {
                    return response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
                }
                KindProj::Reading { read, waiting } => {
                    let context = ready!(read.as_mut().poll(cx));
                    // It is there: the next state replaces this one below, unless the service panics.
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    let (service, mut request) = *waiting;
                    request.extensions_mut().insert(context);
                    kind.set(match service.decide(request) {
                        Ok(future) => Kind::Passed { future },
                        Err(response) => Kind::Refused { response: Some(response) },
                    });
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
