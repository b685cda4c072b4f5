//! What the layer and the guards need. It knows the source of sessions, but no stores, keys or factors.

use std::sync::Arc;

use super::RefusalHook;
use crate::{audit::Audit, clock::Clock, source::SessionSource, urls::Urls};

pub(crate) struct Edge {
    pub(crate) source: Arc<dyn SessionSource>,
    pub(crate) urls: Arc<Urls>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: Audit,
    pub(crate) on_refusal: Option<Arc<dyn RefusalHook>>,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("public_url", &self.urls.public.as_str()).finish_non_exhaustive()
    }
}
