use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Waiting, denied};
use crate::requirement::Shortfall;

/// Looks up the session. Boxed, since only requests whose session is not in the cache need it.
type Ask = Pin<Box<dyn Future<Output = Result<(), Shortfall>> + Send>>;

pin_project! {
    /// The future of [`RequireAalService`](super::RequireAalService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S::Future, S, ReqBody, S::Response>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, S, ReqBody, R> {
        Passed { #[pin] future: F },
        Refused { response: Option<R> },
        Asking {
            ask: Ask,
            // Boxed, or every future would be this large.
            waiting: Option<Box<Waiting<S, ReqBody>>>,
        },
        // Passes as soon as the inner service is ready. Nobody has polled it yet.
        Entering { waiting: Option<Box<Waiting<S, ReqBody>>> },
    }
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) const fn passed(future: S::Future) -> Self {
        Self { state: State::Passed { future } }
    }

    pub(super) const fn refused(response: S::Response) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    /// Asks the source of sessions before the verdict.
    pub(super) fn asking(waiting: Waiting<S, ReqBody>) -> Self {
        let (context, requirement) = (waiting.context.clone(), waiting.requirement);
        let decision = context.decision(&requirement, Some(waiting.request.extensions()));
        let ask = Box::pin(async move { context.verdict_of_the_source(&requirement, decision).await.map(|_| ()) });
        Self { state: State::Asking { ask, waiting: Some(Box::new(waiting)) } }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            // A future that has finished or panicked stays pending: polling it again lets nothing through.
            match state.as_mut().project() {
                StateProj::Passed { future } => return future.poll(cx),
                StateProj::Refused { response } => {
                    return response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
                }
                StateProj::Asking { ask, waiting } => {
                    let verdict = ready!(ask.as_mut().poll(cx));
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    state.set(match verdict {
                        Ok(()) => State::Entering { waiting: Some(waiting) },
                        Err(shortfall) => {
                            let Waiting { request, context, requirement, .. } = *waiting;
                            let denied = denied(context, shortfall, requirement, &request);
                            State::Refused { response: Some(denied.into_empty_response()) }
                        }
                    });
                }
                StateProj::Entering { waiting } => {
                    let Some(entering) = waiting else { return Poll::Pending };
                    ready!(entering.inner.poll_ready(cx))?;
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    let Waiting { mut inner, request, .. } = *waiting;
                    let future = inner.call(request);
                    state.set(State::Passed { future });
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
