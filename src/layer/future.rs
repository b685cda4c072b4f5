use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Response};
use pin_project_lite::pin_project;

use super::MakeBody;
use crate::{
    challenge::Rejection,
    context::{SessionContext, ShortAddress},
    headers,
    session::Session,
};

/// The source of sessions follows what the application did. Few requests need this, so it is boxed.
type Settle = Pin<Box<dyn Future<Output = HeaderMap> + Send>>;

pin_project! {
    /// The future of [`StepUpService`](super::StepUpService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, M, B> {
        #[pin]
        state: State<F, B>,
        context: SessionContext,
        body: M,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Called {
            #[pin]
            response: F,
        },
        Keeping {
            short: ShortAddress,
            response: Option<Response<B>>,
        },
        Settling {
            settle: Settle,
            response: Option<Response<B>>,
        },
    }
}

impl<F, M, B> ResponseFuture<F, M, B> {
    pub(super) const fn new(response: F, context: SessionContext, body: M) -> Self {
        Self { state: State::Called { response }, context, body }
    }
}

impl<F, M, B, E> Future for ResponseFuture<F, M, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    M: MakeBody<B>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut state, context, body) = (this.state, this.context, this.body);
        loop {
            match state.as_mut().project() {
                StateProj::Called { response } => {
                    let response = ready!(response.poll(cx))?;
                    if let Some(short) = keep(&response, context) {
                        state.set(State::Keeping { short, response: Some(response) });
                        continue;
                    }
                    let response = finish(response, context, body);
                    let Some(settle) = settle(context) else { return Poll::Ready(Ok(response)) };
                    state.set(State::Settling { settle, response: Some(response) });
                }
                StateProj::Keeping { short, response } => {
                    let short = ready!(short.as_mut().poll(cx));
                    let Some(mut response) = response.take() else { return Poll::Pending };
                    if let (Some(short), Some(rejection)) = (short, response.extensions_mut().get_mut::<Rejection>()) {
                        rejection.return_by(short);
                    }
                    let response = finish(response, context, body);
                    let Some(settle) = settle(context) else { return Poll::Ready(Ok(response)) };
                    state.set(State::Settling { settle, response: Some(response) });
                }
                StateProj::Settling { settle, response } => {
                    let headers = ready!(settle.as_mut().poll(cx));
                    // A finished future stays pending if it is polled again.
                    let Some(mut response) = response.take() else { return Poll::Pending };
                    let mut last = None;
                    for (name, value) in headers {
                        last = name.or(last);
                        if let Some(name) = &last {
                            response.headers_mut().append(name.clone(), value);
                        }
                    }
                    return Poll::Ready(Ok(response));
                }
            }
        }
    }
}

impl<F, M, B> std::fmt::Debug for ResponseFuture<F, M, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Renders a rejection as a challenge, and marks an answer that depends on a session.
fn finish<B>(mut response: Response<B>, context: &SessionContext, body: &impl MakeBody<B>) -> Response<B> {
    if let Some(rejection) = response.extensions_mut().remove::<Rejection>() {
        let (mut parts, _empty) = response.into_parts();
        let rendered = rejection.render(&mut parts);
        return Response::from_parts(parts, body.make_body(rendered));
    }
    if context.was_consulted() {
        headers::forbid_storing(response.headers_mut());
    }
    response
}

/// Keeps the address that the browser must return to, if it is too long to be handed on.
fn keep<B>(response: &Response<B>, context: &SessionContext) -> Option<ShortAddress> {
    let keep_address = context.edge().keep_address.as_ref()?;
    let address = response.extensions().get::<Rejection>()?.long_address()?;
    let binding = context.known_session().and_then(Session::binding);
    Some(keep_address(address, binding, context.now()))
}

fn settle(context: &SessionContext) -> Option<Settle> {
    let clue = context.clue()?;
    if !context.edge().source.is_unsettled(clue) {
        return None;
    }
    let (source, clue) = (Arc::clone(&context.edge().source), clue.clone());
    Some(Box::pin(async move {
        source.settle(&clue).await.unwrap_or_else(|error| {
            tracing::error!(target: "tower_step_up::context", %error, "a source of sessions could not follow the application");
            HeaderMap::new()
        })
    }))
}
