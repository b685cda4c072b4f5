//! `Refusals` as a layer.

use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::context::{Refusals, SessionContext};

/// The service that [`Refusals`] makes as a layer. It changes no answer itself: it tells the guards inside how theirs are rendered.
#[derive(Clone, Debug)]
pub struct RefusalsService<S> {
    inner: S,
    refusals: Refusals,
}

impl<S> Layer<S> for Refusals {
    type Service = RefusalsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RefusalsService { inner, refusals: *self }
    }
}

impl<S, ReqBody> Service<Request<ReqBody>> for RefusalsService<S>
where
    S: Service<Request<ReqBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let extensions = request.extensions_mut();
        if let Some(context) = SessionContext::of(extensions).cloned() {
            extensions.insert(context.answering(self.refusals));
        }
        // For an outer layer that is inside of this one.
        extensions.insert(self.refusals);
        self.inner.call(request)
    }
}
