use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{MakeBody, ResponseFuture};
use crate::{
    audit::{Actor, AuditEventKind, Origin},
    context::{Address, Edge, RequestHead, SessionContext},
    source::{Head, Look},
};

/// The service that [`StepUpLayer`](super::StepUpLayer) makes.
///
/// It never waits before it calls the inner service, and keeps the type of the response's body.
#[derive(Clone, Debug)]
pub struct StepUpService<S, M> {
    inner: S,
    edge: Arc<Edge>,
    body: M,
}

impl<S, M> StepUpService<S, M> {
    pub(super) const fn new(inner: S, edge: Arc<Edge>, body: M) -> Self {
        Self { inner, edge, body }
    }
}

impl<S, M, ReqBody, ResBody> Service<Request<ReqBody>> for StepUpService<S, M>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    M: MakeBody<ResBody> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, M, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let edge = &self.edge;
        let now = edge.clock.now();
        let look = edge.source.look(Head::from(&request));
        if let Look::Ambiguous(_) = look {
            let request = RequestHead::of(Head::from(&request), edge).audited();
            let origin = Origin { actor: Actor::User, request };
            edge.audit.record_anonymous(now, &origin, AuditEventKind::CredentialsRefused);
        }
        edge.urls.host.compare(request.uri(), request.headers());
        // A `Refusals` outside of this layer holds too.
        let refusals = request.extensions().get().copied().unwrap_or_default();
        let context = SessionContext::new(Arc::clone(edge), look, now, Address::of(&request)).answering(refusals);
        request.extensions_mut().insert(context.clone());
        ResponseFuture::new(self.inner.call(request), context, self.body.clone())
    }
}
