//! What every route needs: the configured whole, and the context that the outer layer of the *same* whole made.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, request::Parts},
    response::Response,
};

use super::{answer, failure::Failure};
use crate::{
    clock::Timestamp, context::SessionContext, engine::Engine, flow::record::Flow, step_up::StepUp, store::FlowId,
    wire::Envelope,
};

/// The configured whole and the request's context.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) context: SessionContext,
    pub(crate) headers: HeaderMap,
}

static MISWIRED: AtomicBool = AtomicBool::new(false);

impl FromRequestParts<StepUp> for Scope {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, step_up: &StepUp) -> Result<Self, Self::Rejection> {
        match SessionContext::of(&parts.extensions) {
            Some(context) if context.belongs_to(step_up) => {
                let mut context = context.clone();
                // Whoami, the settings and the login flows all ask less of somebody who has no second factor.
                if context.remembers_no_second_factor() {
                    context = context.read_anew().await;
                }
                Ok(Self { context, headers: parts.headers.clone() })
            }
            _ => {
                if !MISWIRED.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        "the router of a StepUp must stand under the layer of the same StepUp: \
                         write Router::new().merge(step_up.router()).layer(step_up.layer())"
                    );
                }
                let envelope = Envelope::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    None,
                    "not set up",
                    "This service is not set up correctly.",
                );
                Err(answer::from_bytes(envelope.respond(&parts.headers)))
            }
        }
    }
}

impl Scope {
    pub(crate) fn engine(&self) -> &Engine {
        self.context.engine()
    }

    pub(crate) fn step_up(&self) -> &StepUp {
        self.context.step_up()
    }

    /// The flow of this id. Where it returns to is checked anew, since the list may have shrunk since it began: so no exit can forget to.
    pub(crate) async fn flow(&self, id: FlowId) -> Result<Flow, Failure> {
        let stored = self.engine().stores.flow(id).await?.ok_or(Failure::UnknownFlow)?;
        let mut flow = Flow::from_stored(stored)?;
        let policy = &self.engine().urls.return_policy;
        flow.return_to = flow.return_to.and_then(|url| policy.check(url).ok());
        Ok(flow)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.context.now()
    }
}
