use std::{fmt, sync::Arc};

use crate::{context::Edge, layer::StepUpLayer};

/// Guards an application whose sessions and step-ups come from another system. [`StepUp::guard`](crate::StepUp::guard) builds it.
///
/// It has no router and begins no sessions. Guard routes in the same ways as under a [`StepUp`](crate::StepUp). Clones are cheap and
/// share everything.
#[derive(Clone)]
pub struct StepUpGuard {
    edge: Arc<Edge>,
}

impl StepUpGuard {
    pub(crate) const fn new(edge: Arc<Edge>) -> Self {
        Self { edge }
    }

    /// The layer: guards find each request's session through it, and it renders every refusal.
    pub fn layer(&self) -> StepUpLayer {
        StepUpLayer::new(Arc::clone(&self.edge))
    }
}

impl fmt::Debug for StepUpGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUpGuard").field("public_url", &self.edge.urls.public.as_str()).finish_non_exhaustive()
    }
}
