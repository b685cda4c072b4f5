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

    /// The normalised URL to return to; `None` if it is not allowed. For login pages that take `return_to` from their query.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tower_step_up::{StepUp, clock::Timestamp, source::{Clue, Evidence, Head, Look, SessionSource, SourceFuture}};
    /// # struct Nobody;
    /// # impl SessionSource for Nobody {
    /// #     fn look(&self, _: Head<'_>) -> Look { Look::Nothing }
    /// #     fn ask<'a>(&'a self, _: &'a Clue, _: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> { Box::pin(async { Ok(None) }) }
    /// # }
    /// # let guard = StepUp::guard("https://bank.example").source(Nobody).build()?;
    /// assert_eq!(guard.return_url("/payments").as_deref(), Some("https://bank.example/payments"));
    /// assert_eq!(guard.return_url("https://evil.example/"), None);
    /// # Ok::<(), tower_step_up::BuildError>(())
    /// ```
    pub fn return_url(&self, return_to: &str) -> Option<String> {
        self.edge.urls.return_policy.parse(return_to).ok().map(String::from)
    }
}

impl fmt::Debug for StepUpGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUpGuard").field("public_url", &self.edge.urls.public.as_str()).finish_non_exhaustive()
    }
}
